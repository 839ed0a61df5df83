"""What is known of each kind of object: a file of `kinds/` each, named for what the object calls itself in `object`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import orjson

Object = dict[str, Any]
_FOLDER = Path(__file__).parent / "kinds"


@dataclass(frozen=True)
class Filter:
    """A list parameter. `field` is the dotted place in the object; `kind` says how the two are compared:
    `is` (the same text), `ref` (the same id, which must exist), `bool`, `range` (`[gte]` and so on), `choice`, or by a
    test of its own."""

    kind: str
    field: str = ""
    choices: tuple[str, ...] = ()
    target: str = ""


@dataclass(frozen=True)
class Collection:
    """A list at the top of the API. `counted_by`: filters with which it tells how many objects there are."""

    path: str
    object: str
    filters: Mapping[str, Filter] = field(default_factory=dict)
    permission: str = ""
    row: str = ""
    required: tuple[str, ...] = ()
    by_created: bool = True
    oldest_first: bool = False
    counted_by: tuple[str, ...] = ()

    @property
    def stream(self) -> str:
        return self.path.removeprefix("/v1/")


@dataclass(frozen=True)
class Inside:
    """A list that an object shows: of the objects `of`, which stand in it whole or, with `by`, name the owner in that field.

    `given`: fields of items that stand in their owner -> the owner's field from which they have their value. `counted`: the
    list in the object has a `total_count`.
    """

    name: str
    of: str
    url: str
    by: str = ""
    given: Mapping[str, str] = field(default_factory=dict)
    counted: bool = True


@dataclass(frozen=True)
class Missing:
    """What Stripe says of an unknown id. `{id}` and `{livemode}` in the message stand for themselves."""

    message: str
    param: str | None = "id"
    param_of_post: str | None = None
    code: str | None = "resource_missing"


@dataclass(frozen=True)
class Kind:
    """`template` is the ground of a new object, `when` what differs by the value of a field: see `templates`.

    `events`: by type the rule of when an event tells of the object, in the order in which they are told. A rule of None is an
    event that nothing here sends by itself. `on` binds a rule to "create", "update" or "delete"; any other name is a field
    that has (when made) or takes (when changed) one of the values; `was` is what that field held before a change;
    `otherwise` tells it only if nothing else was told.
    """

    name: str
    id: tuple[str, int]
    template: Object
    when: Mapping[str, Mapping[str, Object]] = field(default_factory=dict)
    permission: tuple[str, str] = ("", "")
    collection: Collection | None = None
    missing: Missing = Missing("")
    events: Mapping[str, Object | None] = field(default_factory=dict)
    lists: Mapping[str, Inside] = field(default_factory=dict)
    expandable: Mapping[str, list[str]] = field(default_factory=dict)
    """Place -> what its id may become. Empty: left out of the object unless asked for."""
    contains: Mapping[str, str] = field(default_factory=dict)
    """Place -> the object that is there whole."""

    @property
    def includable(self) -> tuple[str, ...]:
        return tuple(place for place, targets in self.expandable.items() if not targets)


def _read(name: str) -> Kind:
    entry = orjson.loads((_FOLDER / f"{name}.json").read_bytes())
    permission, row = entry.get("permission", ("", ""))
    listed = entry.get("list")
    path = listed["path"] if listed else ""
    return Kind(
        name,
        tuple(entry.get("id", (f"{name[:4]}_", 24))),
        entry["object"],
        entry.get("when", {}),
        (permission, row),
        _collection(name, listed, permission, row) if listed else None,
        Missing(**{"message": f"No such {name}: '{{id}}'"} | entry.get("missing", {})),
        entry.get("events", {}),
        {inside: _inside(inside, path, fields) for inside, fields in entry.get("lists", {}).items()},
        entry.get("expandable", {}),
        entry.get("contains", {}),
    )


def _collection(name: str, listed: Object, permission: str, row: str) -> Collection:
    takes = dict(listed["takes"])
    by_created = takes.pop("created", None) is not None
    filters = {param: _filter(param, given) for param, given in takes.items()}
    return Collection(
        listed["path"],
        name,
        filters,
        permission,
        row,
        required=tuple(listed.get("requires", ())),
        by_created=by_created,
        oldest_first=listed.get("order") == "oldest first",
        counted_by=tuple(listed.get("counted_by", ())),
    )


def _filter(name: str, given: str | Object) -> Filter:
    known = {"kind": given} if isinstance(given, str) else given
    return Filter(**{"field": name} | known | {"choices": tuple(known.get("choices", ()))})


def _inside(name: str, path: str, fields: Object) -> Inside:
    url = fields.get("url", f"{path}/{{id}}/{name}")
    return Inside(name, fields["of"], url, fields.get("by", ""), fields.get("with", {}), fields.get("counted", True))


KINDS: dict[str, Kind] = {path.stem: _read(path.stem) for path in sorted(_FOLDER.glob("*.json"))}


@cache
def kind_of(name: str) -> Kind:
    """For an object of which nothing is known here: what every object has."""
    template: Object = {"id": "=id", "object": name, "created": "=created", "livemode": False, "metadata": {}}
    events = {f"{name}.{what}d": {"on": what} for what in ("create", "update", "delete")}
    missing = Missing(f"No such {name}: '{{id}}'")
    return KINDS.get(name) or Kind(name, (f"{name[:4]}_", 24), template, events=events, missing=missing)
