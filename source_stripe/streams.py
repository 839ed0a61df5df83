"""How one stream is synced: what is immutable by `created`, what changes by its history and then its changes."""

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Raw

from source_stripe.changes import Change, ChangeIndex, Feed, FeedReader, Subscriber
from source_stripe.errors import StripeError
from source_stripe.history import Claim, ListRead, ListReader
from source_stripe.nested import NestedLists
from source_stripe.output import Output
from source_stripe.page import Row
from source_stripe.requester import Answer
from source_stripe.retriever import StripeRetriever
from source_stripe.scheduler import Owner, Scheduler, Task
from source_stripe.state import RETENTION, StreamState, refused_state

logger = logging.getLogger("airbyte")

_MOST_REREADS_QUEUED = 200
_CLOCK_TOLERANCE = 600


class StreamSync(Owner):
    """One selected stream during a sync. It ends, well or not, with everything that it emitted in the output."""

    def __init__(
        self, scheduler: Scheduler, output: Output, retriever: StripeRetriever, state: StreamState, lookback: int
    ) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.output = output
        self.retriever = retriever
        self.state = state
        self.lookback = lookback
        self.nested = NestedLists(self)
        self.history: ListRead | None = None
        self.records = 0

    @property
    def name(self) -> str:
        return self.retriever.name

    @abstractmethod
    def start(self, feed: Feed | None) -> None:
        """Queue the first requests, or ask the feed for what is needed first. Called with the lock held."""

    def ended(self) -> None:
        self.output.end(self)

    def fail(self, error: Exception) -> None:
        self.scheduler.fail(self, error)

    def emit(self, records: list[bytes], then: Callable[[], None] | None = None) -> None:
        """Hand out whole records; `then` changes the state once they are out. Blocks while the reader is slow."""
        if self.error is not None:
            return
        self.output.put(self, self.retriever.writer.page(records) if records else None, then)

    def claimed(self, lo: int, hi: int) -> None:
        """The range `lo` to `hi` of `created` is read, once what was emitted before is out."""
        if self.error is not None:
            return
        self.output.put_state(self, lambda: self.state.read(lo, hi))

    def refuses_the_future(self) -> bool:
        """Fail when the state lies in Stripe's future: what happens until then would be missed."""
        if self.state.followed is None or self.state.followed <= self.scheduler.stripe_now() + _CLOCK_TOLERANCE:
            return False
        self.fail(refused_state(self.name, "it lies in the future"))
        return True


class HistoryReader(ListReader):
    """Emits what a list shows, in ranges that the state then holds as read."""

    def __init__(self, stream: StreamSync) -> None:
        self.stream = stream
        self.list_read: ListRead | None = None

    def read_ranges(self, ranges: Sequence[tuple[int, int | None]], open_top: bool) -> None:
        """Begin with `ranges`, sorted. Called with the lock held."""
        stream = self.stream
        self.list_read = stream.history = ListRead(stream.scheduler, stream, stream.retriever, self, ranges, open_top)
        stream.nested.when_less_full(self.list_read.resume)
        self.list_read.start()

    def read(self, rows: Sequence[Any], raws: Sequence[Raw], claim: Claim) -> None:
        stream, start = self.stream, self.stream.state.start
        wanted = [(row, raw) for row, raw in zip(rows, raws, strict=True) if row.created >= start and self.is_wanted(row)]
        stream.nested.emit([(row, raw, self.updated(row)) for row, raw in wanted], claim, self.then(rows))

    def is_wanted(self, row: Any) -> bool:
        return True

    def updated(self, row: Row) -> int:
        return row.created

    def then(self, rows: Sequence[Any]) -> Callable[[], None] | None:
        """What the state learns from a page once it is out, besides its range."""
        return None

    def is_full(self) -> bool:
        return self.stream.nested.is_full()

    def claimed(self, lo: int, hi: int) -> None:
        self.stream.claimed(lo, hi)

    def finished(self) -> None:
        """Nothing: the stream ends by itself when nothing is left."""


class ImmutableSync(StreamSync):
    """A stream whose objects stay as they are: what is new is read by `created`, ten minutes of overlap besides."""

    def start(self, feed: Feed | None) -> None:
        self.reader = _NewestReader(self)
        state = self.state
        if state.followed is None or (state.is_foreign and self.retriever.settles):
            if state.is_foreign:
                # Nothing tells which transactions were pending when another connector read them.
                logger.info(f"{self.name}: read in full once, for what was pending when another connector read it")
            self.reader.read_ranges([(state.start, None)], open_top=True)
            return
        self.reader.since = max(state.start, state.window_start(self.lookback))
        unread: list[tuple[int, int | None]] = [(lo, min(hi, self.reader.since - 1)) for lo, hi in state.unread]
        unread = [(lo, hi) for lo, hi in unread if hi is not None and lo <= hi]
        if feed is not None and feed.is_whole and not unread and self.retriever.object == "event":
            self.scheduler.hold(self)
            feed.share(self.reader)
        else:
            self.reader.read_ranges([*unread, (self.reader.since, None)], open_top=True)


class _NewestReader(HistoryReader, FeedReader):
    """Reads up to now, leaving out what the overlap brings again; may be fed by the pass over the events."""

    def __init__(self, stream: ImmutableSync) -> None:
        super().__init__(stream)
        self.since = 0
        self._handled = dict(stream.state.recent)
        self._newest: int | None = None
        self._due: list[tuple[int, tuple[int, int]]] = []

    def top(self, hi: int) -> None:
        stream = self.stream
        if stream.refuses_the_future():
            return
        state = stream.state
        self._due = [(due, range_) for due, range_ in state.pending.items() if due <= hi]
        since = max(state.start, self.since)
        stream.output.put_state(stream, lambda: state.reach(since, hi))
        for due, (first, last) in self._due:
            _SettledReader(stream, due).read_ranges([(first, last)], open_top=False)

    def is_wanted(self, row: Any) -> bool:
        is_in_range = self.list_read is not None or row.created >= self.since  # The feed may read further back.
        return is_in_range and row.id not in self._handled

    def then(self, rows: Sequence[Any]) -> Callable[[], None] | None:
        if not rows:
            return None
        state = self.stream.state
        self._newest = max(rows[0].created, self._newest or 0)
        newest = self._newest
        near = {row.id: row.created for row in rows if row.created >= newest - 1200}
        pending = _pending_of(rows) if self.stream.retriever.settles else []

        def learn() -> None:
            state.remember(near, newest)
            for due, created in pending:
                state.remember_pending(due, created)

        return learn

    def finished(self) -> None:
        if self.list_read is None:  # The feed read for this stream, which waited.
            self.stream.scheduler.release(self.stream)

    def failed(self, error: Exception) -> None:
        self.stream.fail(error)
        self.stream.scheduler.release(self.stream)


class _SettledReader(HistoryReader):
    """Reads a range again whose pending transactions became available."""

    def __init__(self, stream: StreamSync, due: int) -> None:
        super().__init__(stream)
        self._due = due
        self._still_pending: list[tuple[int, int]] = []

    def is_wanted(self, row: Any) -> bool:
        return bool(row.status != "pending")

    def then(self, rows: Sequence[Any]) -> Callable[[], None] | None:
        self._still_pending += _pending_of(rows)
        return None

    def claimed(self, lo: int, hi: int) -> None:
        """Nothing: the range was read before."""

    def finished(self) -> None:
        state, due, still_pending = self.stream.state, self._due, self._still_pending

        def learn() -> None:
            state.pending.pop(due, None)
            for later, created in still_pending:
                state.remember_pending(later, created)

        self.stream.output.put_state(self.stream, learn)


def _pending_of(rows: Sequence[Any]) -> list[tuple[int, int]]:
    return [(row.available_on, row.created) for row in rows if row.status == "pending"]


class ChangingSync(StreamSync):
    """A stream whose objects change: its history once, in parts that the state holds; then what the events tell."""

    def start(self, feed: Feed | None) -> None:
        assert feed is not None
        state = self.state
        self.index = ChangeIndex(self.retriever, state.recent)
        self.scheduler.hold(self)
        since = None
        if state.followed is not None:
            since = 0 if state.has_gap(self.scheduler.clock.now()) else state.window_start(self.lookback)
        feed.subscribe(Subscriber(self.index, since, self._begin, self._fail, can_do_without=state.followed is None))

    def _fail(self, error: Exception) -> None:
        self.fail(NeedsEventsError.of(error))
        self.scheduler.release(self)

    def _begin(self, feed: Feed) -> None:
        state = self.state
        if state.followed is None:
            if feed.error is not None:
                logger.warning(
                    f'{self.name}: the key may not read events, so later syncs will not see changes. Set "Events: Read".'
                )
            handled, newest = self.index.near, feed.newest

            def first() -> None:
                state.followed = feed.at
                state.unread = [(state.start, feed.at)] if state.start <= feed.at else []
                state.remember(handled, newest)

            self.output.put_state(self, first)
            self.reader = _History(self, self.index.changes)
            self.reader.read_ranges([(state.start, feed.at)], open_top=True)
        elif not self.refuses_the_future():
            self._follow(feed)
        self.scheduler.release(self)

    def _follow(self, feed: Feed) -> None:
        state = self.state
        assert state.followed is not None
        now = max(feed.at, int(self.scheduler.clock.now()))
        unread, open_top, floor = list(state.unread), False, state.floor
        window = state.window_start(self.lookback)
        if state.has_gap(now) or (feed.aged_out_at or 0) > state.followed:
            logger.info(
                f"{self.name}: read in full again, because Stripe keeps events for 30 days and changes were last followed"
                f" before that. What was deleted in the meantime, more than 30 days ago, can't be known."
            )
            unread, open_top = [(state.start, feed.at)], True
            floor = window = feed.at - RETENTION
            self.output.put_state(self, lambda: state.begin_full_read(feed.at))
        self.reader = _History(self, self.index.changes, floor or 0)
        Follow(self, self.index, feed, window, unread, self.reader).start()
        if unread:
            self.reader.read_ranges([*unread], open_top)


class NeedsEventsError(StripeError):
    """The error of the request for events, of a stream that needs them: names their permission, not the stream's."""

    @classmethod
    def of(cls, error: Exception) -> Exception:
        if isinstance(error, StripeError):
            return cls(**{name: getattr(error, name) for name in StripeError.__dataclass_fields__})
        return error


class _History(HistoryReader):
    """History of a stream that changes. Objects of `expected` that it shows need no read of their own."""

    def __init__(self, stream: StreamSync, changes: Mapping[str, Change], floor: int = 0) -> None:
        super().__init__(stream)
        self._changes = changes
        self._floor = floor
        self.expected: dict[str, Change] = {}
        self.when_finished: Callable[[], None] = lambda: None

    def read(self, rows: Sequence[Any], raws: Sequence[Raw], claim: Claim) -> None:
        if self.expected:
            with self.stream.scheduler.lock:
                for row in rows:
                    self.expected.pop(row.id, None)
        super().read(rows, raws, claim)

    def updated(self, row: Row) -> int:
        change = self._changes.get(row.id)
        return max(row.created, self._floor, change.at if change else 0)

    def finished(self) -> None:
        self.when_finished()


class _NewObjects(HistoryReader):
    """The objects created in the window, of which each that changed is looked for in the list."""

    def __init__(self, stream: ChangingSync, changes: Mapping[str, Change], when_missing: Callable[[str, Change], None]) -> None:
        super().__init__(stream)
        self._changes = changes
        self.wanted: dict[str, Change] = {}
        self._when_missing = when_missing
        self.owner: Owner = stream

    def read(self, rows: Sequence[Any], raws: Sequence[Raw], claim: Claim) -> None:
        with self.stream.scheduler.lock:
            for row in rows:
                self.wanted.pop(row.id, None)
        super().read(rows, raws, claim)

    def is_wanted(self, row: Any) -> bool:
        change = self._changes.get(row.id)
        return change is None or change.is_fresh

    def updated(self, row: Row) -> int:
        change = self._changes.get(row.id)
        return max(row.created, change.at if change else 0)

    def claimed(self, lo: int, hi: int) -> None:
        """Nothing: history is not what is read here."""

    def finished(self) -> None:
        for id, change in self.wanted.items():
            self._when_missing(id, change)


class Follow(Owner):
    """Brings each changed object once, as a list would show it now, and the deletions; then the state says so."""

    def __init__(
        self, stream: ChangingSync, index: ChangeIndex, feed: Feed, window: int, unread: list[tuple[int, int]], history: _History
    ) -> None:
        super().__init__()
        self._stream = stream
        self._index = index
        self._feed = feed
        self._window = window
        self._unread = unread
        self._history = history
        self._rereads: list[tuple[str, Change]] = []
        self._is_waiting = False

    def start(self) -> None:
        """Plan and queue. Called with the lock held."""
        stream, start = self._stream, self._stream.state.start
        stream.children.append(self)
        stream.scheduler.hold(stream)
        stream.scheduler.hold(self)
        stream.nested.when_less_full(self._pump)
        new: dict[str, Change] = {}
        deletions = []
        for id, change in self._index.changes.items():
            if not change.is_fresh or (change.created is not None and change.created < start):
                continue
            if change.deletion is not None and not change.is_tied:
                deletions.append(stream.retriever.deletion(change.deletion, change.at))
            elif self._is_unread(change.created):
                self._history.expected[id] = change
            elif change.created is not None and change.created >= self._window:
                new[id] = change
            else:
                self._rereads.append((id, change))
        if self._history.expected:
            stream.scheduler.hold(self)
            self._history.when_finished = self._look_for_expected
        if deletions:
            stream.output.put_state(stream, None, stream.retriever.writer.page(deletions))
        for id, at in self._index.unannounced().items():
            self._list_announced(id, at)
        self._read_new(new)
        self._pump()
        stream.scheduler.release(self)

    def _is_unread(self, created: int | None) -> bool:
        if created is None:
            return bool(self._unread)
        return any(lo <= created <= hi for lo, hi in self._unread)

    def _look_for_expected(self) -> None:
        self._rereads += self._history.expected.items()
        self._history.expected.clear()
        self._pump()
        self._stream.scheduler.release(self)

    def _read_new(self, new: dict[str, Change]) -> None:
        """New objects by the list, a hundred at a time, unless they are so few that reading each takes no more."""
        if not new:
            return
        since = min(change.created or 0 for change in new.values())
        listed = sum(1 for change in self._index.changes.values() if change.created is not None and change.created >= since)
        pages = -(-listed // self._stream.retriever.page_size) * len(self._stream.retriever.passes)
        if len(new) <= pages:
            self._rereads += new.items()
            return
        reader = _NewObjects(self._stream, self._index.changes, lambda id, change: self._later(id, change))
        reader.wanted = new
        reader.list_read = ListRead(self._stream.scheduler, self, self._stream.retriever, reader, [(since, None)], open_top=True)
        self._stream.nested.when_less_full(reader.list_read.resume)
        reader.list_read.start()

    def _later(self, id: str, change: Change) -> None:
        self._rereads.append((id, change))
        self._pump()

    def _pump(self) -> None:
        """Keep some re-reads queued, not all: there may be a million."""
        if self._rereads and not self._is_waiting:
            self._is_waiting = True
            self._stream.scheduler.hold(self)
        while self._rereads and self.left < _MOST_REREADS_QUEUED and not self._stream.nested.is_full():
            id, change = self._rereads.pop()
            self._stream.scheduler.add(
                Task(
                    self,
                    self._stream.retriever.object_request(id),
                    lambda answer, id=id, change=change: self._reread(answer, id, change),  # type: ignore[misc]
                    lambda error, id=id, change=change: self._missing(error, id, change),  # type: ignore[misc]
                )
            )
        if self._is_waiting and not self._rereads:
            self._is_waiting = False
            self._stream.scheduler.release(self)

    def _reread(self, answer: Answer, id: str, change: Change) -> None:
        found = self._stream.retriever.reread(answer)
        with self._stream.scheduler.lock:
            if found is None:
                self._vanished(id, change)
            self._pump()
        if found is not None:
            row, raw = found
            if row.created >= self._stream.state.start:
                hold = _Hold(self._stream.scheduler, self)
                self._stream.nested.emit([(row, raw, max(change.at, row.created))], hold, None)

    def _missing(self, error: StripeError, id: str, change: Change) -> bool:
        if not error.is_missing_object:
            return False
        self._vanished(id, change)
        self._pump()
        return True

    def _vanished(self, id: str, change: Change) -> None:
        """The object is gone though its newest event does not say so: a deletion, with what that event knew of it."""
        if change.created is None:
            return  # Another object's event named it, and it was never there.
        if change.deletion is not None:
            self._delete(change.deletion, change.at)
            return
        stream = self._stream
        stream.scheduler.add(
            Task(
                self,
                self._feed.event_request(change.event),
                lambda answer: self._delete(self._feed.payload(answer), change.at),
                lambda error: error.is_missing_cursor or error.is_missing_object,
            )
        )

    def _delete(self, payload: bytes | Raw, at: int) -> None:
        stream = self._stream
        stream.output.put_state(stream, None, stream.retriever.writer.page([stream.retriever.deletion(payload, at)]))

    def _list_announced(self, id: str, at: int, after: str | None = None) -> None:
        """List what belongs to the object `id`, whose event announced it."""
        stream = self._stream
        owner = next(iter(stream.retriever.announced_by.values()))
        request = stream.retriever.owned_request(owner, id, after)

        def handle(answer: Answer) -> None:
            listed = stream.retriever.listed(answer)
            rows = [
                (row, raw, max(row.created, at, self._at_of(row.id)))
                for row, raw in zip(listed.rows, listed.raws, strict=True)
                if row.created >= stream.state.start
            ]
            with stream.scheduler.lock:
                if listed.has_more and listed.rows:
                    self._list_announced(id, at, listed.rows[-1].id)
            stream.nested.emit(rows, _Hold(stream.scheduler, self), None)

        stream.scheduler.add(Task(self, request, handle, lambda error: error.is_missing_object or error.is_missing_cursor))

    def _at_of(self, id: str) -> int:
        change = self._index.changes.get(id)
        return change.at if change else 0

    def ended(self) -> None:
        stream = self._stream
        if self.error is not None:
            stream.fail(self.error)
        else:
            state, feed = stream.state, self._feed
            handled = self._index.near

            stream.output.put_state(stream, lambda: state.follow(feed.at, handled, feed.newest))
        stream.scheduler.release(stream)


class _Hold:
    """Keeps an owner from ending while a record's nested lists are being read; stands where a page has its claim."""

    def __init__(self, scheduler: Scheduler, owner: Owner) -> None:
        self._scheduler = scheduler
        self._owner = owner

    def hold(self) -> None:
        self._scheduler.hold(self._owner)

    def release(self) -> None:
        self._scheduler.release(self._owner)
