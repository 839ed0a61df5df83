"""What the account's events tell of one stream: which objects changed, and how each is to be read again."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cache, cached_property
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw

from source_stripe.sync.endpoint import Endpoint, is_time
from source_stripe.sync.handled import Handled
from source_stripe.sync.outlet import Removed, id_of_kind, ids_in, objects_in
from source_stripe.sync.page import Row, fields_of
from source_stripe.sync.pieces import NoRoomError

_MOST_CACHED = 1 << 20
"""So many bytes of a stream's changes are kept in memory."""
_BATCH = 500


@dataclass(slots=True)
class Event:
    """An event and its object: `payload` has some of its fields, None for those that are missing; `raw` is its JSON.

    `created` is in epoch seconds. Without an object, `raw` is None. `previous` is the JSON of what the object had before.
    """

    id: str
    created: int
    type: str
    payload: Any
    raw: Raw | None
    previous: Raw | None = None


class EventDecoder:
    """Takes events of some `types` apart: of their objects `id`, `object`, and `fields`."""

    def __init__(self, types: Collection[str], fields: Iterable[str]) -> None:
        names = sorted({"id", "object", "created", *fields})
        self._payload, self._decode_payload = _payload(tuple(names))
        self._types = types

    def decode(self, row: Row, raw: Raw | bytes) -> Event | None:
        """The event that is written in `raw`, with what the list told in `row`; None if it is of another type."""
        try:
            head = _decode_head(raw)
        except msgspec.ValidationError:
            return None  # An event without a type tells nothing.
        if head.type not in self._types:
            return None
        object_, previous = _data_of(raw)
        if object_ is not None and not bytes(object_).startswith(b"{"):
            object_ = None
        payload = self._payload() if object_ is None else self._fields_of(object_)
        return Event(row.id, row.created, head.type, payload, object_, previous)

    def _fields_of(self, object_: Raw) -> Any:
        try:
            return self._decode_payload(object_)
        except msgspec.ValidationError:  # A number beyond all that a float can be: that field counts as missing.
            payload, known = self._payload(), fields_of(object_)
            for name in known.keys() & set(payload.__struct_fields__):
                with contextlib.suppress(msgspec.ValidationError):
                    setattr(payload, name, msgspec.json.decode(known[name]))
            return payload


@cache
def _payload(names: Sequence[str]) -> tuple[type[Any], Callable[[bytes | Raw], Any]]:
    """A class with these fields, None where they are missing, and what takes one from its JSON. Both are costly to make."""
    payload = msgspec.defstruct("Payload", [(name, Any, None) for name in names])
    return payload, msgspec.json.Decoder(payload).decode


class _Head(msgspec.Struct):
    type: str


class _Data(msgspec.Struct):
    object: Raw
    previous_attributes: Raw = Raw(b"{}")


class _WithData(msgspec.Struct):
    data: _Data


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_data = msgspec.json.Decoder(_WithData).decode


def object_of(event: Raw | bytes) -> Raw | None:
    """The JSON of the object that an event shows; None where it shows none."""
    return _data_of(event)[0]


def _data_of(event: Raw | bytes) -> tuple[Raw | None, Raw | None]:
    try:
        data = _decode_data(event).data
    except msgspec.ValidationError:
        return None, None
    previous = data.previous_attributes
    return data.object, previous if bytes(previous).startswith(b"{") else None


class Route(Enum):
    """How a change gets to its record."""

    NONE = 0
    """Not at all: the object was created before what is wanted."""
    DELETION = 1
    HISTORY = 2
    """The part of history that is still to be read shows it."""
    NEW = 3
    """It may be new enough for the list of what is new."""
    REREAD = 4


@dataclass(slots=True)
class Change:
    """What is known of one object from its events. Times are epoch seconds.

    `at` and `event` are the time and the id of the newest event; `created` the object's, None when only events of other
    objects told; `is_fresh` says that at least one of the events was not handled by an earlier sync.
    """

    at: int
    event: str
    created: int | None
    is_fresh: bool = False
    deletion: bytes | None = None
    """The object as its deletion's event carries it: the newest, if there were several."""
    deleted_at: int = 0
    other_at: int = 0
    """The time of the newest event that is no deletion; 0 when there is none. If it is as new as the deletion, or newer, the
    object is read to see if it is gone: events of a second can't be put in order, another object's tells little, and an id may
    be used again."""
    is_shown: bool = False
    """A list showed it since: it needs no read of its own."""


@dataclass(slots=True)
class _Announced:
    """Of one object, how many of its events announced others of the stream, and how many of these have events of their own.

    `at` is the time of the newest announcement that is fresh, None when none is.
    """

    at: int | None = None
    announcements: int = 0
    creations: int = 0

    def add(self, other: "_Announced") -> None:
        self.at = max(self.at or 0, other.at or 0) or None
        self.announcements += other.announcements
        self.creations += other.creations


@dataclass(slots=True)
class _Decision:
    """What an event tells of: objects that changed, and objects that announced others."""

    changed: list[str] = field(default_factory=list)
    announcers: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Told:
    """What one event tells of the object `id`."""

    id: str
    event: Event
    created: int | None
    is_fresh: bool
    is_deletion: bool

    def added_to(self, change: Change | None) -> Change:
        event = self.event
        change = Change(event.created, event.id, self.created) if change is None else change
        if event.created > change.at:
            change.at, change.event = event.created, event.id
        if not self.is_deletion:
            change.other_at = max(change.other_at, event.created)
        elif event.created > change.deleted_at:
            change.deletion, change.deleted_at = bytes(event.raw or b"{}"), event.created
        if self.created is not None and (change.created is None or event.id == change.event):
            change.created = self.created
        change.is_fresh = change.is_fresh or self.is_fresh
        return change


@dataclass(frozen=True)
class Children:
    """Objects of the kind `object` that those of a stream hold in `field`, which are a `stream` of their own. Events tell of
    those that are gone: in what the field held before or, where they are of the type `deleted_by`, as their object."""

    stream: str
    object: str
    field: str
    deleted_by: str = ""


class ChangeIndex:
    """The changes of one stream's objects, gathered from events in any order of ranges, newest first within each.

    There may be millions: what does not fit into a little memory lies in a file of SQLite's, which has no name and is gone
    with the process; where no temporary directory can be written to, all stays in memory. A method fails with a
    `NoRoomError` when that file can't be written.
    """

    def __init__(self, endpoint: Endpoint, handled: Handled, children: Sequence[Children] = ()) -> None:
        self._endpoint = endpoint
        self._handled = handled
        self._children = children
        self._own_types = frozenset(endpoint.events)
        self._fields = {type_: name for name, types in endpoint.changed_with.items() for type_ in types}
        self.types = self._own_types | set(self._fields) | set(endpoint.announced_by)
        """The types of event that tell something of the stream."""
        self.fields = {endpoint.created} | {
            name.partition(".")[0] for name in (*self._fields.values(), *endpoint.announced_by.values())
        }
        """The fields of an event's object that tell of other objects."""
        self.near: dict[int, set[str]] = {}
        """By the second the ids of the events that told something and that the next sync may see again."""
        self.plan(0, 0, [])
        self._undecided: dict[int, dict[str, _Decision]] = {}
        """By the second, of those of which all events must be known to tell which are fresh, what each event tells of."""

    # ------------------------------------------------------------------ events

    def add(self, events: Iterable[Event], near: int) -> None:
        """Count `events`; those from `near` on may be seen again by the next sync."""
        told: list[_Told] = []
        announced: dict[str, _Announced] = {}
        for event in events:
            if event.type not in self.types:
                continue
            if event.created >= near:
                self.near.setdefault(event.created, set()).add(event.id)
            must_wait = self._handled.needs_whole(event.created)
            is_fresh = not must_wait and bool(self._handled.fresh(event.created, [event.id]))
            decision = _Decision()
            for change in self._told(event, is_fresh):
                told.append(change)
                decision.changed.append(change.id)
                self._note_removed(change.id, event)
            for owner, one in self._announced(event, is_fresh):
                announced.setdefault(owner, _Announced()).add(one)
                if one.announcements:
                    decision.announcers.append(owner)
            if must_wait:
                self._undecided.setdefault(event.created, {})[event.id] = decision
        self._count(told)
        self._count_announced(announced)

    def settle(self) -> None:
        """All events were added: decide what waited for that."""
        for second, decisions in self._undecided.items():
            for id in self._handled.fresh(second, decisions.keys()):
                self._write("UPDATE changes SET is_fresh = 1 WHERE id = ?", [(each,) for each in decisions[id].changed])
                self._write(
                    "UPDATE announced SET at = max(coalesce(at, 0), ?) WHERE id = ?",
                    [(second, each) for each in decisions[id].announcers],
                )
        self._undecided.clear()

    def _told(self, event: Event, is_fresh: bool) -> Iterator[_Told]:
        """The changes that `event` tells of; none of an object without an id: that is a preview, stored nowhere."""
        if self._is_own(event):
            is_deletion = event.type == self._endpoint.deleted_by != ""
            yield _Told(event.payload.id, event, _time_of(getattr(event.payload, self._endpoint.created)), is_fresh, is_deletion)
        elif name := self._fields.get(event.type):
            first, _, rest = name.partition(".")
            for id in dict.fromkeys(_ids_at(getattr(event.payload, first), rest)):
                yield _Told(id, event, None, is_fresh, False)

    def _note_removed(self, parent: str, event: Event) -> None:
        """Remember children that the event shows as gone, or as having been there before."""
        for children in self._children:
            gone = [event.raw] if event.type == children.deleted_by and event.raw is not None else []
            if event.previous is not None:
                previous = fields_of(event.previous).get(children.field)
                gone += objects_in(previous)
                known = [(id, msgspec.json.encode({"id": id, "object": children.object})) for id in ids_in(previous)]
                self._write_removed("INSERT OR IGNORE", parent, children.stream, known)
            known = [(id, bytes(raw)) for raw in gone if (id := id_of_kind(raw, children.object))]
            self._write_removed("REPLACE", parent, children.stream, known)

    def _write_removed(self, how: str, parent: str, stream: str, known: Sequence[tuple[str, bytes]]) -> None:
        if known:
            self._write(f"{how} INTO removed VALUES (?, ?, ?, ?)", [(parent, stream, *each) for each in known])

    def _announced(self, event: Event, is_fresh: bool) -> Iterator[tuple[str, _Announced]]:
        """The object that announced others by `event`, or the one that may have announced what was created by it."""
        if event.type in self._endpoint.announced_by and (id := _id_of(event.payload.id)):
            yield id, _Announced(event.created if is_fresh else None, announcements=1)
        if event.type.endswith(".created") and self._is_own(event):
            for owner in self._endpoint.announced_by.values():
                if id := _id_of(getattr(event.payload, owner)):
                    yield id, _Announced(creations=1)

    def _is_own(self, event: Event) -> bool:
        is_own = event.type in self._own_types and event.payload.object == self._endpoint.object
        return is_own and isinstance(event.payload.id, str) and event.payload.id != ""

    def _count(self, told: Sequence[_Told]) -> None:
        changes = self.find([one.id for one in told])
        for one in told:
            changes[one.id] = one.added_to(changes.get(one.id))
        self._put(_CHANGES, changes)

    def _count_announced(self, found: Mapping[str, _Announced]) -> None:
        announced = {owner: _Announced(*rest) for owner, *rest in self._of_ids(_ANNOUNCED, list(found))}
        for owner, one in found.items():
            announced.setdefault(owner, _Announced()).add(one)
        self._put(_ANNOUNCED, announced)

    # ------------------------------------------------------------------ changes

    def find(self, ids: Sequence[str]) -> dict[str, Change]:
        """What is known of those of `ids` that changed."""
        return {id: Change(*rest) for id, *rest in self._of_ids(_CHANGES, ids)}

    def removed(self, parents: Sequence[str]) -> dict[str, list[Removed]]:
        """Of those objects the children that they had, and may have no more."""
        found: dict[str, list[Removed]] = {}
        if self._children and parents and not self._is_empty:
            places = ", ".join("?" * len(parents))
            for parent, *rest in self._read(f"SELECT * FROM removed WHERE parent IN ({places})", *parents):
                found.setdefault(parent, []).append(Removed(*rest))
        return found

    def show(self, ids: Iterable[str]) -> None:
        """A list showed these objects."""
        if not self._is_empty:
            self._write("UPDATE changes SET is_shown = 1 WHERE id = ?", [(id,) for id in ids])

    def forget_shown(self) -> None:
        """No list has shown anything yet."""
        if not self._is_empty:
            self._write("UPDATE changes SET is_shown = 0 WHERE is_shown", [()])

    def plan(self, start: int, window: int, unread: Sequence[tuple[int, int]]) -> None:
        """Decide which route each change takes, by when its object was created: before `start`, in what is `unread` of
        history, from `window` on, or at another time."""
        in_history = [f"created BETWEEN {lo} AND {hi}" for lo, hi in unread]
        is_unread = " OR ".join(["created IS NULL", *in_history]) if unread else "FALSE"
        self._route = (
            f"CASE WHEN created < {start} THEN 0 WHEN deleted_at > other_at THEN 1"
            f" WHEN {is_unread} THEN 2 WHEN created >= {window} THEN 3 ELSE 4 END"
        )

    def due(self, route: Route) -> Iterator[tuple[str, Change]]:
        """The changes of this route that are fresh and that no list showed; other methods may be called in between."""
        condition = f"is_fresh AND NOT is_shown AND {self._route} = {route.value}"
        return ((id, Change(*rest)) for id, *rest in self._select("*", _CHANGES, condition))

    def new(self) -> tuple[int, int, int]:
        """How many changes are due that may be new, when the first of their objects was created, and how many objects that
        changed were created from then on."""
        if self._is_empty:
            return 0, 0, 0
        condition = f"is_fresh AND NOT is_shown AND {self._route} = {Route.NEW.value}"
        ((count, since),) = self._read(f"SELECT count(*), coalesce(min(created), 0) FROM changes WHERE {condition}")
        ((in_all,),) = self._read("SELECT count(*) FROM changes WHERE created >= ?", since)
        return count, since, in_all

    def unannounced(self) -> Iterator[tuple[str, int]]:
        """Objects that announced others of this stream without an event of these, with the time of the announcement."""
        return self._select("id, at", _ANNOUNCED, "at IS NOT NULL AND creations < announcements")

    # ------------------------------------------------------------------ database

    @cached_property
    def _database(self) -> sqlite3.Connection:
        try:
            tempfile.gettempdir()
            place = ""
        except FileNotFoundError:
            place = ":memory:"
        database = sqlite3.connect(place)
        database.execute("PRAGMA journal_mode = OFF")
        database.execute(f"PRAGMA cache_size = {-_MOST_CACHED // 1024}")
        for table in (_CHANGES, _ANNOUNCED):
            database.execute(f"CREATE TABLE {table.name} (id PRIMARY KEY, {', '.join(table.columns)}) WITHOUT ROWID")
        key = "parent, stream, id"
        database.execute(f"CREATE TABLE removed ({key}, payload, PRIMARY KEY ({key})) WITHOUT ROWID")
        return database

    @property
    def _is_empty(self) -> bool:
        return "_database" not in self.__dict__

    def close(self) -> None:
        """Forget everything."""
        if not self._is_empty:
            self._database.close()

    def _read(self, statement: str, *values: Any) -> list[Any]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            raise NoRoomError(str(error)) from error

    def _write(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        try:
            with self._database:
                self._database.executemany(statement, rows)
        except sqlite3.OperationalError as error:
            raise NoRoomError(str(error)) from error

    def _put(self, table: "_Table", rows: Mapping[str, Any]) -> None:
        if rows:
            places = ", ".join("?" * (1 + len(table.columns)))
            values = attrgetter(*table.columns)
            self._write(f"REPLACE INTO {table.name} VALUES ({places})", [(id, *values(row)) for id, row in rows.items()])

    def _of_ids(self, table: "_Table", ids: Sequence[str]) -> list[Any]:
        if self._is_empty or not ids:
            return []
        return self._read(f"SELECT * FROM {table.name} WHERE id IN ({', '.join('?' * len(ids))})", *ids)

    def _select(self, columns: str, table: "_Table", condition: str) -> Iterator[Any]:
        """The rows by id, a batch at a time: it starts after the last one, whatever was written meanwhile."""
        statement = f"SELECT {columns} FROM {table.name} WHERE {condition} AND id > ? ORDER BY id LIMIT {_BATCH}"
        last = ""
        while rows := [] if self._is_empty else self._read(statement, last):
            yield from rows
            last = rows[-1][0]


class _Table:
    """Where objects of one class lie: their fields, by the id that they are of."""

    def __init__(self, name: str, of: type) -> None:
        self.name = name
        self.columns = [field.name for field in fields(of)]


_CHANGES = _Table("changes", Change)
_ANNOUNCED = _Table("announced", _Announced)


def _ids_at(value: Any, path: str) -> Iterator[str]:
    """The ids at a dotted `path` below `value`, in every item of a list on the way."""
    if isinstance(value, list):
        for item in value:
            yield from _ids_at(item, path)
    elif path and isinstance(value, Mapping):
        first, _, rest = path.partition(".")
        yield from _ids_at(value.get(first), rest)
    elif not path and (id := _id_of(value)):
        yield id


def _id_of(value: Any) -> str | None:
    """The id in a field that holds an id or an object."""
    id = value.get("id") if isinstance(value, Mapping) else value
    return id if isinstance(id, str) else None


def _time_of(value: Any) -> int | None:
    return value if isinstance(value, int) and is_time(value) and not isinstance(value, bool) else None
