"""Nested lists, whole: Stripe shows the first ten of a list inside an object."""

from collections.abc import Callable, Sequence
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
_MOST_RESTARTS = 5
"""So many items to start after may vanish while an object's lists are read."""


class Holdable(Protocol):
    """What must not be said to be done while an object is still incomplete. Called with the lock held."""

    def hold(self) -> None: ...

    def release(self) -> None: ...


class NestedLists:
    """Emits objects of a stream, those with a cut list as soon as its rest was read. Lists are read side by side."""

    def __init__(self, stream: "StreamSync") -> None:
        self._stream = stream
        self._incomplete = 0
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
            if retriever.nested_lists and (names := retriever.cut_lists(row)):
                with self._stream.scheduler.lock:
                    self._complete(_Incomplete(row, bytes(raw), updated, until), names)
            else:
                records.append(writer.record(raw, row, updated))
        if records or then:
            self._stream.emit(records, then)

    def _complete(self, incomplete: "_Incomplete", names: list[str]) -> None:
        incomplete.until.hold()
        incomplete.lists_left = len(names)
        self._incomplete += 1
        shown = self._stream.retriever.shown_ids(incomplete.raw)
        tasks = []
        for name in names:
            rest = incomplete.rests[name] = _Rest(shown[name])
            tasks.append(self._task(incomplete, name, rest.last))
        self._stream.scheduler.add(*tasks)

    def _task(self, incomplete: "_Incomplete", name: str, after: str | None) -> Task:
        request = self._stream.retriever.nested_request(name, incomplete.id, after)
        return Task(
            self._stream,
            request,
            lambda answer: self._handle(incomplete, name, answer),
            lambda error: self._refused(incomplete, name, after, error),
        )

    def _handle(self, incomplete: "_Incomplete", name: str, answer: Answer) -> None:
        ids, items, has_more = self._stream.retriever.nested(answer)
        rest = incomplete.rests[name]
        is_new = rest.add(ids, items)
        if has_more and not is_new:
            raise answer.unreadable("a nested page without new items says that there are more")
        if has_more:
            with self._stream.scheduler.lock:
                # Before the first pages of others: what has been read of an object lies in memory until it is whole.
                self._stream.scheduler.add(self._task(incomplete, name, rest.last), first=True)
            return
        with self._stream.scheduler.lock:
            incomplete.lists_left -= 1
            is_whole = incomplete.lists_left == 0 and not incomplete.is_gone
        if is_whole:
            raw = incomplete.whole()
            self._stream.emit([self._stream.retriever.writer.record(raw, incomplete.row, incomplete.updated)])
            with self._stream.scheduler.lock:
                self._done(incomplete)

    def _refused(self, incomplete: "_Incomplete", name: str, after: str | None, error: StripeError) -> bool:
        """An item to start after that vanished: the list from its beginning. An object that vanished: nothing to show."""
        if after is not None and error.is_missing_cursor:
            incomplete.restarts += 1
            if incomplete.restarts > _MOST_RESTARTS:
                return False
            incomplete.rests[name] = _Rest(None)
            self._stream.scheduler.add(self._task(incomplete, name, None), first=True)
            return True
        if error.is_missing_object:
            if not incomplete.is_gone:
                incomplete.is_gone = True
                self._done(incomplete)
            return True
        return False

    def _done(self, incomplete: "_Incomplete") -> None:
        self._incomplete -= 1
        incomplete.until.release()
        for resume in self._resumes:
            resume()


class _Rest:
    """What was read of a cut list, after the items `shown` inside its object; all of it when these are None."""

    def __init__(self, shown: Sequence[str] | None) -> None:
        self.is_all = shown is None
        self.items: list[Raw] = []
        self.last = shown[-1] if shown else None
        self._known = set(shown or ())

    def add(self, ids: Sequence[str], items: Sequence[Raw]) -> bool:
        """Add a page; whether anything of it is new."""
        new = [(id, item) for id, item in zip(ids, items, strict=True) if id not in self._known]
        self.items += [item for _, item in new]
        self._known.update(id for id, _ in new)
        self.last = ids[-1] if ids else self.last
        return bool(new)


class _Incomplete:
    """An object some of whose lists are still being read."""

    def __init__(self, row: Any, raw: bytes, updated: int, until: Holdable) -> None:
        self.row = row
        self.id: str = row.id
        self.raw = raw
        self.updated = updated
        self.until = until
        self.rests: dict[str, _Rest] = {}
        self.lists_left = 0
        self.restarts = 0
        self.is_gone = False

    def whole(self) -> bytes:
        """The object as JSON, with its lists whole."""
        whole = msgspec.json.decode(self.raw)
        for name, rest in self.rests.items():
            whole[name]["data"] = rest.items if rest.is_all else [*whole[name]["data"], *rest.items]
            whole[name]["has_more"] = False
        return msgspec.json.encode(whole)
