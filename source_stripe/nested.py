"""Nested lists, whole: Stripe shows the first ten of a list inside an object."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Raw

from source_stripe.errors import StripeError
from source_stripe.requester import Answer
from source_stripe.scheduler import Task

if TYPE_CHECKING:
    from source_stripe.streams import StreamSync

_MOST_INCOMPLETE = 200
"""So many objects may wait for their lists; meanwhile no more pages are asked for."""
_MOST_BYTES = 16 << 20
"""While items of so many bytes are held, one list at a time is read on: that of the object that holds most."""
_MOST_RESTARTS = 5
"""So many items to start after may vanish while an object's lists are read."""


class Holdable(Protocol):
    """What must not be said to be done while an object is still incomplete. Called with the lock held."""

    def hold(self) -> None: ...

    def release(self) -> None: ...


class NestedLists:
    """The way out of every stream's objects: they are emitted at once, those with a cut list as soon as its rest was read.

    Lists are read side by side, as far as what was read of them may lie in memory: it does until its object is whole.
    """

    def __init__(self, stream: "StreamSync") -> None:
        self._stream = stream
        self._incomplete = 0
        self._bytes = 0
        self._going = 0
        self._waiting: list[tuple[_Incomplete, str]] = []
        self._resumes: list[Callable[[], None]] = []

    def is_full(self) -> bool:
        return self._incomplete >= _MOST_INCOMPLETE

    def when_less_full(self, resume: Callable[[], None]) -> None:
        self._resumes.append(resume)

    def emit(self, objects: Sequence[tuple[Any, bytes | Raw, int]], until: Holdable, then: Callable[[], None] | None) -> None:
        """Emit `objects`, each with its row and its `updated`; `until` is held for those that wait for a list."""
        retriever, writer = self._stream.retriever, self._stream.retriever.writer
        records = []
        for row, raw, updated in objects:
            record = writer.record(raw, row, updated)
            if retriever.nested_lists and (names := retriever.cut_lists(row)):
                with self._stream.scheduler.lock:
                    self._complete(_Incomplete(row.id, record, until), names)
            else:
                records.append(record)
        if records or then:
            self._stream.emit(records, then)

    def _complete(self, incomplete: "_Incomplete", names: list[str]) -> None:
        incomplete.until.hold()
        incomplete.lists_left = len(names)
        self._incomplete += 1
        shown = self._stream.retriever.shown_ids(incomplete.record)
        incomplete.rests = {name: _Rest(shown[name]) for name in names}
        self._waiting += [(incomplete, name) for name in names]
        self._go_on()

    def _go_on(self) -> None:
        """Ask for the next pages of lists, those first of which most was read: so their objects are whole soonest."""
        while self._waiting and (self._bytes < _MOST_BYTES or not self._going):
            most = max(range(len(self._waiting)), key=lambda index: self._waiting[index][0].bytes)
            incomplete, name = self._waiting.pop(most)
            self._going += 1
            self._stream.scheduler.add(self._task(incomplete, name), first=incomplete.bytes > 0)

    def _task(self, incomplete: "_Incomplete", name: str) -> Task:
        after = incomplete.rests[name].last
        return Task(
            self._stream,
            self._stream.retriever.nested_request(name, incomplete.id, after),
            lambda answer: self._handle(incomplete, name, answer),
            lambda error: self._refused(incomplete, name, after, error),
        )

    def _handle(self, incomplete: "_Incomplete", name: str, answer: Answer) -> None:
        ids, items, has_more = self._stream.retriever.nested(answer)
        with self._stream.scheduler.lock:
            if not incomplete.is_gone:
                read = incomplete.rests[name].add(ids, items)
                if has_more and not read:
                    raise answer.unreadable("a nested page without new items says that there are more")
                self._hold(incomplete, read)
                if has_more:
                    self._waiting.append((incomplete, name))
                else:
                    incomplete.lists_left -= 1
            self._going -= 1
            self._go_on()
            is_whole = incomplete.lists_left == 0 and not incomplete.is_gone
        if is_whole:
            page = self._stream.retriever.writer.page_of_one(incomplete.pieces())
            incomplete.rests.clear()
            self._stream.emit_page(page)
            with self._stream.scheduler.lock:
                self._done(incomplete)

    def _hold(self, incomplete: "_Incomplete", bytes: int) -> None:
        """Count bytes that came to lie in memory, or fewer than none that no longer do."""
        incomplete.bytes += bytes
        self._bytes += bytes

    def _refused(self, incomplete: "_Incomplete", name: str, after: str | None, error: StripeError) -> bool:
        """An item to start after that vanished: the list from its beginning. An object that vanished: nothing to show."""
        if after is not None and error.is_missing_cursor:
            incomplete.restarts += 1
            if incomplete.restarts > _MOST_RESTARTS:
                return False
            if not incomplete.is_gone:
                self._hold(incomplete, -incomplete.rests[name].bytes)
                incomplete.rests[name] = _Rest(None)
                self._waiting.append((incomplete, name))
        elif error.is_missing_object:
            if not incomplete.is_gone:
                incomplete.is_gone = True
                self._waiting = [(other, list_) for other, list_ in self._waiting if other is not incomplete]
                self._done(incomplete)
        else:
            return False
        self._going -= 1
        self._go_on()
        return True

    def _done(self, incomplete: "_Incomplete") -> None:
        self._incomplete -= 1
        self._hold(incomplete, -incomplete.bytes)
        self._go_on()
        incomplete.until.release()
        for resume in self._resumes:
            resume()


class _Rest:
    """What was read of a cut list, after the items `shown` inside its object; all of it when these are None."""

    def __init__(self, shown: Sequence[str] | None) -> None:
        self.is_all = shown is None
        self.pages: list[bytes] = []
        """The items of each page as JSON, with commas between: as they came, they would keep whole answers in memory."""
        self.last = shown[-1] if shown else None
        self._known = set(shown or ())

    def add(self, ids: Sequence[str], items: Sequence[Raw]) -> int:
        """Add a page; how many bytes of it are new."""
        new = {id: item for id, item in zip(ids, items, strict=True) if id not in self._known}
        if new:
            self.pages.append(b",".join(new.values()))
        self._known |= new.keys()
        self.last = ids[-1] if ids else self.last
        return len(self.pages[-1]) if new else 0

    @property
    def bytes(self) -> int:
        return sum(map(len, self.pages))


class _Incomplete:
    """An object some of whose lists are still being read."""

    def __init__(self, id: str, record: bytes, until: Holdable) -> None:
        self.id = id
        self.record = record
        self.until = until
        self.rests: dict[str, _Rest] = {}
        self.bytes = 0
        """Of the items that were read."""
        self.lists_left = 0
        self.restarts = 0
        self.is_gone = False

    def pieces(self) -> list[bytes]:
        """The record's JSON, with its lists whole."""
        record = msgspec.json.decode(self.record)
        lists: list[list[bytes]] = []
        for name, rest in self.rests.items():
            shown = [] if rest.is_all else [msgspec.json.encode(item) for item in record[name]["data"]]
            # What was read stays as it came. JSON has no zero byte: where one is, the items go.
            record[name] |= {"data": Raw(b"[\0%d\0]" % len(lists)), "has_more": False}
            lists.append([*shown, *rest.pages])
        pieces = []
        for place, text in enumerate(msgspec.json.encode(record).split(b"\0")):
            pieces += _with_commas(lists[int(text)]) if place % 2 else [text]
        return pieces


def _with_commas(items: Iterable[bytes]) -> list[bytes]:
    return [piece for item in items for piece in (b",", item)][1:]
