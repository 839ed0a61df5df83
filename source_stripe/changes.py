"""What the account's events tell of one stream: which objects changed, and how each is to be read again."""

import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw

from source_stripe.config import config_error
from source_stripe.page import Row
from source_stripe.retriever import StripeRetriever
from source_stripe.state import MOST_REMEMBERED

_MOST_CACHED = 1 << 20
"""So many bytes of a stream's changes are kept in memory."""
_BATCH = 500


class _EventData(msgspec.Struct):
    object: Raw


class _EventRow(Row):
    type: str = ""
    data: _EventData | None = None


decode_event = msgspec.json.Decoder(_EventRow).decode


@dataclass(slots=True)
class Event:
    """An event and its object: `payload` has some of its fields, None for those that are missing; `raw` is its JSON.

    `created` is in epoch seconds.
    """

    id: str
    created: int
    type: str
    payload: Any
    raw: Raw


class EventDecoder:
    """Takes events apart: of their objects `id`, `object`, `created`, and `fields`."""

    def __init__(self, fields: Iterable[str]) -> None:
        names = sorted({"id", "object", "created", *fields})
        payload = msgspec.defstruct("Payload", [(name, Any, None) for name in names])
        self._decode_payload = msgspec.json.Decoder(payload).decode

    def decode(self, raw: Raw | bytes) -> Event | None:
        """The event that is written in `raw`; None if it shows no object."""
        event = decode_event(raw)
        if event.data is None:
            return None
        return Event(event.id, event.created, event.type, self._decode_payload(event.data.object), event.data.object)


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
    """The object as its deletion's event carries it, when that is the newest."""
    is_tied: bool = False
    """A deletion and another event share the newest second: which came last can't be told by their times."""
    is_shown: bool = False
    """A list showed it since: it needs no read of its own."""

    @property
    def is_deleted(self) -> bool:
        """Whether the object is known to be gone."""
        return self.deletion is not None and not self.is_tied


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
class _Told:
    """What one event tells of the object `id`."""

    id: str
    event: Event
    created: int | None
    is_fresh: bool
    is_deletion: bool

    def added_to(self, change: Change | None) -> Change:
        event = self.event
        if change is None:
            change = Change(event.created, event.id, self.created)
            change.deletion = bytes(event.raw) if self.is_deletion else None
        elif event.created == change.at:
            change.is_tied = change.is_tied or self.is_deletion != (change.deletion is not None)
        elif event.created > change.at:
            change.at, change.event, change.is_tied = event.created, event.id, False
            change.deletion = bytes(event.raw) if self.is_deletion else None
        if self.created is not None and (change.created is None or event.id == change.event):
            change.created = self.created
        change.is_fresh = change.is_fresh or self.is_fresh
        return change


class ChangeIndex:
    """The changes of one stream's objects, gathered from events in any order of ranges, newest first within each.

    There may be millions: what does not fit into a little memory lies in a file of SQLite's, which has no name and is gone
    with the process; where no temporary directory can be written to, all stays in memory. A method fails with a
    `config_error` when that file can't be written.
    """

    def __init__(self, retriever: StripeRetriever, handled: Mapping[str, int]) -> None:
        self._retriever = retriever
        self._handled = handled
        self._own_types = frozenset(retriever.events)
        self._fields = {type_: name for name, types in retriever.changed_with.items() for type_ in types}
        self.types = self._own_types | set(self._fields) | set(retriever.announced_by)
        """The types of event that tell something of the stream."""
        self.fields = {*self._fields.values(), *retriever.announced_by.values()}
        """The fields of an event's object that tell of other objects."""
        self.near: dict[str, int] = {}
        """By its id the time of each event that told something and that the next sync will see again; the newest of them."""
        self._lock = threading.Lock()

    # ------------------------------------------------------------------ events

    def add(self, events: Iterable[Event], near: int) -> None:
        """Count `events`; those from `near` on will be seen again by the next sync. Called by one thread at a time."""
        told: list[_Told] = []
        announced: dict[str, _Announced] = {}
        for event in events:
            if event.type not in self.types:
                continue
            is_fresh = event.id not in self._handled
            if event.created >= near:
                self.near[event.id] = event.created
            if (change := self._told(event, is_fresh)) is not None:
                told.append(change)
            for owner, one in self._announced(event, is_fresh):
                announced.setdefault(owner, _Announced()).add(one)
        if len(self.near) > 2 * MOST_REMEMBERED:
            self.near = dict(sorted(self.near.items(), key=lambda item: item[1], reverse=True)[:MOST_REMEMBERED])
        self._count(told)
        self._count_announced(announced)

    def _told(self, event: Event, is_fresh: bool) -> _Told | None:
        """The change that `event` tells of; none of an object without an id: that is a preview, stored nowhere."""
        if self._is_own(event):
            is_deletion = event.type == self._retriever.deleted_by != ""
            return _Told(event.payload.id, event, event.payload.created, is_fresh, is_deletion)
        if (name := self._fields.get(event.type)) and (id := _id_of(getattr(event.payload, name))):
            return _Told(id, event, None, is_fresh, False)
        return None

    def _announced(self, event: Event, is_fresh: bool) -> Iterator[tuple[str, _Announced]]:
        """The object that announced others by `event`, or the one that may have announced what was created by it."""
        if event.type in self._retriever.announced_by and (id := _id_of(event.payload.id)):
            yield id, _Announced(event.created if is_fresh else None, announcements=1)
        if event.type.endswith(".created") and self._is_own(event):
            for owner in self._retriever.announced_by.values():
                if id := _id_of(getattr(event.payload, owner)):
                    yield id, _Announced(creations=1)

    def _is_own(self, event: Event) -> bool:
        is_own = event.type in self._own_types and event.payload.object == self._retriever.object
        return is_own and bool(_id_of(event.payload.id))

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

    def show(self, ids: Iterable[str]) -> None:
        """A list showed these objects."""
        if not self._is_empty:
            self._write("UPDATE changes SET is_shown = 1 WHERE id = ?", [(id,) for id in ids])

    def due(self) -> Iterator[tuple[str, Change]]:
        """The changes that are fresh and that no list showed; other methods may be called in between."""
        return ((id, Change(*rest)) for id, *rest in self._select("*", _CHANGES, "is_fresh AND NOT is_shown"))

    def created_of_due(self) -> Iterator[int | None]:
        """When they were created, of those of `due` that are not deleted, None where that is not known."""
        condition = "is_fresh AND NOT is_shown AND (deletion IS NULL OR is_tied)"
        return (created for _, created in self._select("id, created", _CHANGES, condition))

    def count_created(self, since: int) -> int:
        """How many of the objects that changed were created from `since` on."""
        return 0 if self._is_empty else int(self._read("SELECT count(*) FROM changes WHERE created >= ?", since)[0][0])

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
        database = sqlite3.connect(place, check_same_thread=False)
        database.execute("PRAGMA journal_mode = OFF")
        database.execute(f"PRAGMA cache_size = {-_MOST_CACHED // 1024}")
        for table in (_CHANGES, _ANNOUNCED):
            database.execute(f"CREATE TABLE {table.name} (id PRIMARY KEY, {', '.join(table.columns)}) WITHOUT ROWID")
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
            with self._lock:
                return self._database.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            raise _no_room(error) from error

    def _write(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        try:
            with self._lock, self._database:
                self._database.executemany(statement, rows)
        except sqlite3.OperationalError as error:
            raise _no_room(error) from error

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


def _no_room(error: sqlite3.OperationalError) -> Exception:
    return config_error(
        "What changed since the last sync did not find room in the temporary directory. Make room there, or name another one"
        f" in the environment variable SQLITE_TMPDIR. SQLite says: {error}"
    )


def _id_of(value: Any) -> str | None:
    """The id in a field that holds an id or an object."""
    id = value.get("id") if isinstance(value, Mapping) else value
    return id if isinstance(id, str) else None
