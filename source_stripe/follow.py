"""From the events to the records: each object that changed, once, as a list would show it now."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Raw

from source_stripe.changes import Change, ChangeIndex, Feed
from source_stripe.errors import StripeError
from source_stripe.history import Claim, ListRead
from source_stripe.page import Row
from source_stripe.requester import Answer
from source_stripe.scheduler import Owner, Scheduler, Task
from source_stripe.streams import HistoryReader, StreamSync

_MOST_REREADS_QUEUED = 200


class ExpectingHistory(Protocol):
    """History that is being read, and that shows some of what changed."""

    expected: dict[str, Change]
    """Changed objects that lie in what is unread; those that the lists show are taken out."""
    when_finished: Callable[[], None]


class Follow(Owner):
    """Brings each changed object once, as a list would show it now, and the deletions; then the state says so."""

    def __init__(
        self,
        stream: StreamSync,
        index: ChangeIndex,
        feed: Feed,
        window: int,
        unread: list[tuple[int, int]],
        history: ExpectingHistory,
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
        reader = _NewObjects(self._stream, self._index.changes, new, self._later)
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
            self._stream.scheduler.add(self._reread_task(*self._rereads.pop()))
        if self._is_waiting and not self._rereads:
            self._is_waiting = False
            self._stream.scheduler.release(self)

    def _reread_task(self, id: str, change: Change) -> Task:
        return Task(
            self,
            self._stream.retriever.object_request(id),
            lambda answer: self._reread(answer, id, change),
            lambda error: self._missing(error, id, change),
        )

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


class _NewObjects(HistoryReader):
    """The objects created in the window, of which each that changed is looked for in the list."""

    def __init__(
        self,
        stream: StreamSync,
        changes: Mapping[str, Change],
        wanted: dict[str, Change],
        when_missing: Callable[[str, Change], None],
    ) -> None:
        super().__init__(stream)
        self._changes = changes
        self._wanted = wanted
        self._when_missing = when_missing

    def read(self, rows: Sequence[Any], raws: Sequence[Raw], claim: Claim) -> None:
        with self.stream.scheduler.lock:
            for row in rows:
                self._wanted.pop(row.id, None)
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
        for id, change in self._wanted.items():
            self._when_missing(id, change)


class _Hold:
    """Keeps an owner from ending while a record's nested lists are being read; stands where a page has its claim."""

    def __init__(self, scheduler: Scheduler, owner: Owner) -> None:
        self._scheduler = scheduler
        self._owner = owner

    def hold(self) -> None:
        self._scheduler.hold(self._owner)

    def release(self) -> None:
        self._scheduler.release(self._owner)
