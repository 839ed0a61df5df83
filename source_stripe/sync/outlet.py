"""From an object that was read to the records of the streams that it belongs to: the object itself, or children of it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw

from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError
from source_stripe.api.request import Answer
from source_stripe.sync.endpoint import id_in
from source_stripe.sync.output import Sink
from source_stripe.sync.page import fields_of
from source_stripe.sync.paging import pages
from source_stripe.sync.pieces import Pieces
from source_stripe.sync.stream import Stream

_MOST_WALKS = 100
"""So many parents wait for their children's lists; meanwhile no more parents are asked for."""

Rest = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Object:
    """An object with its `row`, its JSON and its `updated`, in epoch seconds. `lists` are nested lists that were read to their
    ends, each as pieces of JSON with whole items, in place of what the JSON shows. `removed` are children that it had."""

    row: Any
    raw: bytes | Raw
    updated: int
    lists: dict[str, Pieces] | None = None
    removed: Sequence["Removed"] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """A child that an event showed and that may be gone since: its stream's name and its last known JSON."""

    stream: str
    id: str
    payload: bytes


class Outlet(ABC):
    """Takes what a reading brings for one stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    @abstractmethod
    def put(self, objects: Sequence[Object]) -> Rest | None:
        """Emit what is the stream's of `objects`; what is left to do until it is out, or None. Raises a `StripeError`, and emits
        nothing, if something of it has no id."""

    @abstractmethod
    def delete(self, deletions: Sequence[tuple[bytes | Raw, int]]) -> None:
        """Emit what is the stream's of objects that were deleted, each with its last known JSON and the time."""

    async def ready(self) -> None:  # noqa: B027
        """Wait until more objects can be taken."""

    @property
    def share(self) -> float:
        """The share that is out of what is due for the objects taken, from 0 to 1."""
        return 1.0

    def child(self, raw: bytes | Raw, parent: str, updated: int, *, is_deleted: bool = False) -> bytes:
        """The record of a child of the object `parent`: with its id, and what is the parent's of times."""
        endpoint = self.stream.endpoint
        fields = fields_of(raw)
        if not is_deleted:  # What an event shows is of the version of its day.
            endpoint.see(fields.keys())
        given = fields.get(endpoint.parent_field)
        if given is None or not bytes(given).startswith(b'"'):
            fields[endpoint.parent_field] = Raw(msgspec.json.encode(parent))
        if endpoint.cursor_field == "updated":
            fields["updated"] = Raw(b"%d" % updated)
        if is_deleted:
            fields["is_deleted"] = Raw(b"true")
        return msgspec.json.encode(fields)

    def emit(self, records: list[bytes]) -> None:
        """Put out these records, if there are any."""
        if records:
            self.stream.put_page(self.stream.writer.page(records))

    def gone(self, parent: Object, children: Collection[str]) -> list[bytes]:
        """The records of children that the parent had, as far as they are known, and that are not among those of these ids."""
        gone = [each for each in parent.removed if each.stream == self.stream.name and each.id not in children]
        return [self.child(each.payload, parent.row.id, parent.updated, is_deleted=True) for each in gone]


class WholeOutlet(Outlet):
    """The objects themselves, without fields that are there for others alone."""

    def __init__(self, stream: Stream, hidden: Iterable[str] = ()) -> None:
        super().__init__(stream)
        self._hidden = frozenset(hidden)

    def put(self, objects: Sequence[Object]) -> Rest | None:
        writer = self.stream.writer
        if len(objects) == 1 and objects[0].lists:  # An object whose lists were read comes alone.
            lists = objects[0].lists
            is_large = any(pieces.is_large for pieces in lists.values())
            held = len(objects[0].raw) + sum(pieces.held for pieces in lists.values()) if is_large else 0
            self.stream.put_page(writer.page_of_one(self._pieces(objects[0], lists), held))
        else:
            self.stream.put_page(writer.page([writer.record(self._shown(each.raw), each.row, each.updated) for each in objects]))
        return None

    def _shown(self, raw: bytes | Raw) -> bytes | Raw:
        if not self._hidden:
            return raw
        return msgspec.json.encode({name: value for name, value in fields_of(raw).items() if name not in self._hidden})

    def _pieces(self, object_: Object, lists: Mapping[str, Pieces]) -> Iterator[bytes | Raw]:
        """The record's JSON, with its lists whole."""
        record = self.stream.writer.record(self._shown(object_.raw), object_.row, object_.updated)
        yield b"{"
        for number, (name, value) in enumerate(fields_of(record).items()):
            yield (b"," if number else b"") + msgspec.json.encode(name) + b":"
            if name in lists:
                yield from _whole_list(value, lists[name])
            else:
                yield value
        yield b"}"

    def delete(self, deletions: Sequence[tuple[bytes | Raw, int]]) -> None:
        endpoint = self.stream.endpoint
        records = [endpoint.deletion(self._shown(payload), at) for payload, at in deletions]
        self.stream.put_page(self.stream.writer.page(records))


def _whole_list(list_: Raw, pieces: Pieces) -> Iterator[bytes | Raw]:
    yield b"{"
    for number, (name, value) in enumerate(({"data": Raw(b"[]")} | fields_of(list_) | {"has_more": Raw(b"false")}).items()):
        yield (b"," if number else b"") + msgspec.json.encode(name) + b":"
        if name != "data":
            yield value
            continue
        yield b"["
        for place, piece in enumerate(pieces):
            if place:
                yield b","
            yield piece
        yield b"]"
    yield b"}"


class ChildOutlet(Outlet):
    """Children that are cut out of the objects: all of them, with their parent's `updated` and its id in a field of theirs."""

    def __init__(self, stream: Stream, field: str, output: Sink) -> None:
        super().__init__(stream)
        self._field, self._output = field, output

    def put(self, objects: Sequence[Object]) -> Rest | None:
        if len(objects) == 1 and (pieces := (objects[0].lists or {}).get(self._field)) is not None and pieces.is_large:
            ids = {id for id, _ in self._children(objects[0])}
            return partial(self._put_many, objects[0], pieces, ids)
        known = [dict(self._children(object_)) for object_ in objects]
        records: list[bytes] = []
        for object_, children in zip(objects, known, strict=True):
            records += [self.child(raw, object_.row.id, object_.updated) for raw in children.values()]
            records += self.gone(object_, children.keys())
        self.emit(records)
        return None

    async def _put_many(self, object_: Object, pieces: Pieces, ids: Collection[str]) -> None:
        """The children of one object, too many for memory, some at a time."""
        for piece in pieces:
            await self._output.room()
            self.emit([self.child(raw, object_.row.id, object_.updated) for _, raw in self._own(_items_of(piece))])
        self.emit(self.gone(object_, ids))

    def delete(self, deletions: Sequence[tuple[bytes | Raw, int]]) -> None:
        records = []
        for payload, at in deletions:
            fields = fields_of(payload)
            parent = msgspec.json.decode(fields.get("id", Raw(b'""')), type=str)
            shown = self._own(objects_in(fields.get(self._field)))
            records += [self.child(raw, parent, at, is_deleted=True) for id, raw in shown if id]
        self.emit(records)

    def _children(self, object_: Object) -> Iterator[tuple[str, Raw]]:
        """Those of the stream, with their ids."""
        for id, raw in self._own(self._shown(object_)):
            if not id:
                raise Answer(b"").odd(f"{self._field} of {object_.row.id} holds something without an id")
            yield id, raw

    def _own(self, shown: Iterable[Raw]) -> Iterator[tuple[str, Raw]]:
        return ((id, raw) for raw in shown if (id := id_of_kind(raw, self.stream.endpoint.object)) is not None)

    def _shown(self, object_: Object) -> Iterator[Raw]:
        if object_.lists and self._field in object_.lists:
            for piece in object_.lists[self._field]:
                yield from _items_of(piece)
        else:
            yield from objects_in(fields_of(object_.raw).get(self._field))


class _Child(msgspec.Struct):
    id: Raw = Raw(b"null")
    object: Raw = Raw(b"null")


_decode_child = msgspec.json.Decoder(_Child).decode


def id_of_kind(raw: bytes | Raw, object: str) -> str | None:
    """The id of an object of that kind, "" if it has none, or of one that tells no kind; None for one of another kind, of which
    a list may hold several, and for what tells neither kind nor id."""
    child = _decode_child(raw)
    if bytes(child.object).startswith(b'"'):
        return id_in(child.id) if msgspec.json.decode(child.object) == object else None
    return id_in(child.id) or None


def _items_of(piece: bytes) -> Iterator[Raw]:
    return objects_in(b"[" + piece + b"]")


def objects_in(value: bytes | Raw | None) -> Iterator[Raw]:
    """The objects in a list, in an array, or in a field that holds one; what is only an id is none."""
    return (item for item in _items_in(value) if bytes(item).startswith(b"{"))


def ids_in(value: Raw | None) -> list[str]:
    """What is only an id in a list, in an array, or in a field that holds one."""
    return [msgspec.json.decode(item, type=str) for item in _items_in(value) if bytes(item).startswith(b'"')]


def _items_in(value: bytes | Raw | None) -> list[Raw]:
    text = bytes(value or b"null").lstrip()
    if text.startswith(b"["):
        return msgspec.json.decode(text, type=list[Raw])
    if text.startswith(b"{") and "data" in (fields := fields_of(text)):
        return _items_in(fields["data"])
    return [Raw(text)]


class WalkOutlet(Outlet):
    """Children that have a list of their own for each object: it is read to its end."""

    def __init__(self, stream: Stream, account: Account, output: Sink) -> None:
        super().__init__(stream)
        assert stream.endpoint.walk is not None
        self._walk, self._account, self._output = stream.endpoint.walk, account, output
        self._taken = self._waiting = 0
        self._fewer = asyncio.Event()
        self._fewer.set()

    async def ready(self) -> None:
        await self._fewer.wait()

    def put(self, objects: Sequence[Object]) -> Rest | None:
        parents = [each for each in objects if self._walk.leads_from(each.raw)]
        self._taken += len(parents)
        self._count(len(parents))
        return partial(self._walk_all, parents)

    @property
    def share(self) -> float:
        return 1 - self._waiting / max(1, self._taken)

    def delete(self, deletions: Sequence[tuple[bytes | Raw, int]]) -> None:
        """Nothing is known of the children of an object that is gone."""

    def _count(self, more: int) -> None:
        self._waiting += more
        if self._waiting >= _MOST_WALKS:
            self._fewer.clear()
        else:
            self._fewer.set()

    async def _walk_all(self, objects: Sequence[Object]) -> None:
        async with asyncio.TaskGroup() as group:
            for object_ in objects:
                group.create_task(self._walk_one(object_))

    async def _walk_one(self, object_: Object) -> None:
        try:
            await self._read(object_)
        except StripeError as error:
            # Not the key, but that object is refused, if it is named: an account that the platform has no control of, for one.
            if not error.is_missing_permission or object_.row.id not in error.message:
                raise
            self.stream.note("parent_refused", id=object_.row.id, error=error)
        finally:
            self._count(-1)

    async def _read(self, parent: Object) -> None:
        endpoint, ids = self.stream.endpoint, set[str]()
        request = partial(endpoint.walk_request, parent.row.id, parent.raw)
        async for page in pages(self._account, endpoint, request, owned=True):
            for id in page.mended:
                self.stream.mended(id)
            await self._output.room()
            self.emit([self.child(raw, parent.row.id, parent.updated) for raw in page.raws])
            ids |= {row.id for row in page.rows} if parent.removed else set()
        self.emit(self.gone(parent, ids))
