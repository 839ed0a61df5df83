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
        tasks = []
        for name in names:
            items = incomplete.whole[name]["data"]
            tasks.append(self._task(incomplete, name, items[-1]["id"] if items else None))
        self._stream.scheduler.add(*tasks)

    def _task(self, incomplete: "_Incomplete", name: str, after: str | None) -> Task:
        request = self._stream.retriever.nested_request(name, incomplete.id, after)
        return Task(
            self._stream,
            request,
            lambda answer: self._handle(incomplete, name, after, answer),
            lambda error: self._refused(incomplete, name, after, error),
        )

    def _handle(self, incomplete: "_Incomplete", name: str, after: str | None, answer: Answer) -> None:
        items, has_more, last = self._stream.retriever.nested(answer)
        known = {item["id"] for item in incomplete.whole[name]["data"]}
        new = [item for item in map(msgspec.json.decode, items) if item["id"] not in known]
        if has_more and not new:
            raise answer.unreadable("a nested page without new items says that there are more")
        incomplete.whole[name]["data"] += new
        if has_more:
            with self._stream.scheduler.lock:
                self._stream.scheduler.add(self._task(incomplete, name, last))
            return
        incomplete.whole[name]["has_more"] = False
        with self._stream.scheduler.lock:
            incomplete.lists_left -= 1
            is_whole = incomplete.lists_left == 0 and not incomplete.is_gone
        if is_whole:
            raw = msgspec.json.encode(incomplete.whole)
            self._stream.emit([self._stream.retriever.writer.record(raw, incomplete.row, incomplete.updated)])
            with self._stream.scheduler.lock:
                self._done(incomplete)

    def _refused(self, incomplete: "_Incomplete", name: str, after: str | None, error: StripeError) -> bool:
        """An item to start after that vanished: the list from its beginning. An object that vanished: nothing to show."""
        if after is not None and error.is_missing_cursor:
            incomplete.restarts += 1
            if incomplete.restarts > _MOST_RESTARTS:
                return False
            incomplete.whole[name]["data"] = []
            self._stream.scheduler.add(self._task(incomplete, name, None))
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


class _Incomplete:
    """An object some of whose lists are still being read."""

    def __init__(self, row: Any, raw: bytes, updated: int, until: Holdable) -> None:
        self.row = row
        self.id: str = row.id
        self.whole = msgspec.json.decode(raw)
        self.updated = updated
        self.until = until
        self.lists_left = 0
        self.restarts = 0
        self.is_gone = False
