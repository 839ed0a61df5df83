"""From the events to the records: each object that changed, once, as a list would show it now."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum, auto
from itertools import islice
from typing import Any, TypeVar

from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from msgspec import Raw

from source_stripe.changes import Change, ChangeIndex
from source_stripe.errors import StripeError
from source_stripe.feed import Feed
from source_stripe.history import ListRead
from source_stripe.page import Row
from source_stripe.requester import Answer
from source_stripe.scheduler import Owner, Scheduler, Task
from source_stripe.streams import HistoryReader, StreamSync

_T = TypeVar("_T")

_MOST_QUEUED = 200
_DELETIONS_AT_A_TIME = 100


class _Way(Enum):
    """How a change gets to its record."""

    NONE = auto()
    """Not at all: the object was created before what is wanted."""
    DELETION = auto()
    HISTORY = auto()
    """The part of history that is still to be read shows it."""
    NEWEST = auto()
    """It may be new enough for the list of what is new."""
    REREAD = auto()


class Follow(Owner):
    """Brings each changed object once, as a list would show it now, and the deletions; then the state says so."""

    def __init__(
        self,
        stream: StreamSync,
        index: ChangeIndex,
        feed: Feed,
        window: int,
        unread: list[tuple[int, int]],
        history: "ChangedReader",
    ) -> None:
        super().__init__()
        self._stream = stream
        self._index = index
        self._feed = feed
        self._window = window
        self._unread = unread
        self._history = history
        self._deletions = self._by(_Way.DELETION)
        self._tasks: deque[Iterator[Task]] = deque()
        self._is_waiting = False

    def start(self) -> None:
        """Plan and queue. Called with the lock held."""
        stream = self._stream
        stream.children.append(self)
        stream.scheduler.hold(stream)
        stream.scheduler.hold(self)
        stream.nested.when_less_full(self._pump)
        stream.scheduler.hold(self)
        self._delete_some()
        self._tasks.append(self._owned_task(id, at) for id, at in self._index.unannounced())
        is_history_awaited, new, since = False, 0, self._feed.at
        for created in self._index.created_of_due():
            way = self._way_of_living(created)
            if way == _Way.HISTORY:
                is_history_awaited = True
            elif created is not None and way == _Way.NEWEST:
                new += 1
                since = min(since, created)
        if is_history_awaited:
            stream.scheduler.hold(self)
            self._history.when_finished = self._history_is_read
        if new:
            self._read_new(new, since)
        self._tasks.append(self._rereads(_Way.REREAD))
        self._pump()
        stream.scheduler.release(self)

    def _way(self, change: Change) -> _Way:
        return _Way.DELETION if change.is_deleted and self._is_in_time(change.created) else self._way_of_living(change.created)

    def _way_of_living(self, created: int | None) -> _Way:
        if not self._is_in_time(created):
            return _Way.NONE
        if self._is_unread(created):
            return _Way.HISTORY
        return _Way.NEWEST if created is not None and created >= self._window else _Way.REREAD

    def _is_in_time(self, created: int | None) -> bool:
        return created is None or created >= self._stream.state.start

    def _is_unread(self, created: int | None) -> bool:
        if created is None:
            return bool(self._unread)
        return any(lo <= created <= hi for lo, hi in self._unread)

    def _by(self, way: _Way) -> Iterator[tuple[str, Change]]:
        return ((id, change) for id, change in self._index.due() if self._way(change) == way)

    def _rereads(self, way: _Way) -> Iterator[Task]:
        return (self._reread_task(id, change) for id, change in self._by(way))

    def _history_is_read(self) -> None:
        self._go_on_with(_Way.HISTORY)
        self._stream.scheduler.release(self)

    def _read_new(self, new: int, since: int) -> None:
        """New objects by the list, a hundred at a time, unless they are so few that reading each takes no more."""
        stream = self._stream
        pages = -(-self._index.count_created(since) // stream.retriever.page_size) * len(stream.retriever.passes)
        if new <= pages:
            self._tasks.append(self._rereads(_Way.NEWEST))
            return
        reader = _NewObjects(stream, self._index)
        reader.when_finished = lambda: self._go_on_with(_Way.NEWEST)
        reader.list_read = ListRead(stream.scheduler, self, stream.retriever, reader, [(since, None)], open_top=True)
        stream.nested.when_less_full(reader.list_read.resume)
        reader.list_read.start()

    def _go_on_with(self, way: _Way) -> None:
        """A list has been read in which objects were looked for: those that it did not show need a read each."""
        self._tasks.append(self._rereads(way))
        self._pump()

    def _pump(self) -> None:
        """Keep some tasks queued, not all: there may be a million. Called with the lock held."""
        if self._tasks and not self._is_waiting:
            self._is_waiting = True
            self._stream.scheduler.hold(self)
        while self._tasks and self.left < _MOST_QUEUED and not self._stream.nested.is_full():
            if some := self._next(self._tasks[0], 1):
                self._stream.scheduler.add(*some)
            else:
                self._tasks.popleft()
        if self._is_waiting and not self._tasks:
            self._is_waiting = False
            self._stream.scheduler.release(self)

    def _delete_some(self) -> None:
        """Emit some deletions, and the next when these are out."""
        stream = self._stream
        with stream.scheduler.lock:
            if some := self._next(self._deletions, _DELETIONS_AT_A_TIME):
                records = [stream.retriever.deletion(change.deletion or b"{}", change.at) for _, change in some]
                stream.output.put_at_once(stream, self._delete_some, stream.retriever.writer.page(records))
            else:
                stream.scheduler.release(self)

    def _next(self, iterator: Iterator[_T], most: int) -> list[_T]:
        """The next of what the index tells, at most so many; none when it can't be read, which fails the stream."""
        try:
            return list(islice(iterator, most)) if self.error is None else []
        except AirbyteTracedException as error:
            self._stream.scheduler.fail(self, error)
            return []

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
        stream.output.put_at_once(stream, None, stream.retriever.writer.page([stream.retriever.deletion(payload, at)]))

    def _owned_task(self, id: str, at: int, after: str | None = None) -> Task:
        """List what belongs to the object `id`, whose event announced it."""
        stream = self._stream
        owner = next(iter(stream.retriever.announced_by.values()))

        def handle(answer: Answer) -> None:
            listed = stream.retriever.listed(answer)
            changes = self._index.find([row.id for row in listed.rows])
            rows = [
                (row, raw, max(row.created, at, changes[row.id].at if row.id in changes else 0))
                for row, raw in zip(listed.rows, listed.raws, strict=True)
                if row.created >= stream.state.start
            ]
            with stream.scheduler.lock:
                if listed.has_more and listed.rows:
                    stream.scheduler.add(self._owned_task(id, at, listed.rows[-1].id))
                self._pump()
            stream.nested.emit(rows, _Hold(stream.scheduler, self), None)

        def refused(error: StripeError) -> bool:
            self._pump()
            return error.is_missing_object or error.is_missing_cursor

        return Task(self, stream.retriever.owned_request(owner, id, after), handle, refused)

    def ended(self) -> None:
        stream = self._stream
        if self.error is not None:
            stream.fail(self.error)
        else:
            state, feed = stream.state, self._feed
            handled = self._index.near

            stream.output.put_at_once(stream, lambda: state.follow(feed.at, handled, feed.newest))
        stream.scheduler.release(stream)


class ChangedReader(HistoryReader):
    """Emits what a list shows, with the times that the events tell; `floor` is the least of them."""

    def __init__(self, stream: StreamSync, index: ChangeIndex, floor: int = 0) -> None:
        super().__init__(stream)
        self._index = index
        self._floor = floor
        self.when_finished: Callable[[], None] = lambda: None

    def changes(self, rows: Sequence[Any]) -> Mapping[str, Change]:
        """As for any page; what is found counts as shown from now on."""
        changes = self._index.find([row.id for row in rows])
        if changes:
            self._index.show(changes)
        return changes

    def updated(self, row: Row, change: Change | None) -> int:
        return max(row.created, self._floor, change.at if change else 0)

    def finished(self) -> None:
        self.when_finished()


class _NewObjects(ChangedReader):
    """The objects created in the window, of which each that changed is looked for in the list."""

    def is_wanted(self, row: Any, change: Change | None) -> bool:
        return change is None or change.is_fresh

    def claimed(self, lo: int, hi: int) -> None:
        """Nothing: history is not what is read here."""


class _Hold:
    """Keeps an owner from ending while a record's nested lists are being read; stands where a page has its claim."""

    def __init__(self, scheduler: Scheduler, owner: Owner) -> None:
        self._scheduler = scheduler
        self._owner = owner

    def hold(self) -> None:
        self._scheduler.hold(self._owner)

    def release(self) -> None:
        self._scheduler.release(self._owner)
