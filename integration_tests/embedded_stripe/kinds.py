"""What is known of each kind of object: a file of `kinds/` each, named for what the object calls itself in `object`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import orjson

Object = dict[str, Any]
Tree = Mapping[str, Any]  # what to expand in an object: {"customer": {"subscriptions": {}}}
_FOLDER = Path(__file__).parent / "kinds"
_NONE: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Filter:
    """A list parameter. `field` is the dotted place in the object; `kind` says how the two are compared:
    `is` (the same text), `ref` (the same id, which must exist), `bool`, `range` (`[gte]` and so on), `choice`, `in` (one of
    those in a list), or by a test of its own. `needs` names another one that must be given with it."""

    kind: str
    field: str = ""
    choices: tuple[str, ...] = ()
    target: str = ""
    needs: str = ""


@dataclass(frozen=True)
class SearchField:
    """What a search can ask for. `type` is `number`, `text`, of which a part can be asked for too, or `token`. `field` is the
    dotted place in the object, if that is not the name."""

    type: str
    field: str = ""


@dataclass(frozen=True)
class Collection:
    """A list at the top of the API.

    `counted_by`: filters with which it tells how many objects there are. `defaults`: what a filter is if it is not given.
    `hides`: by field the values of objects that it shows only to who filters by that field. `saying`: Stripe's words for a
    required filter that is missing, where they are not the usual ones. `searched_by`: its fields for the search, if there is
    one. What is not `is_listed` is no list: its objects are read by their ids alone.
    """

    path: str
    object: str
    filters: Mapping[str, Filter] = field(default_factory=dict)
    permission: str = ""
    row: str = ""
    stream: str = ""
    required: tuple[str, ...] = ()
    saying: str = ""
    by_created: bool = True
    oldest_first: bool = False
    is_paged: bool = True
    is_listed: bool = True
    is_retrieved: bool = True
    counted_by: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    hides: Mapping[str, list[Any]] = field(default_factory=dict)
    searched_by: Mapping[str, SearchField] = field(default_factory=dict)


@dataclass(frozen=True)
class Inside:
    """A list that belongs to an object: of the objects `of`, which stand in it whole or, with `by`, name the owner in that field.

    `given`: fields of items that stand in their owner -> the owner's field from which they have their value. `is_shown`: the
    object shows it, if asked; `is_served`: it has an address of its own, under the object's, by its name or that in `also`;
    `is_counted`: it has a `total_count` in the object. `same_as` names the list whose items it has, `place` where it stands if
    not under its name.
    `hides`: by field the values of objects that are not in it.
    """

    name: str
    of: tuple[str, ...]
    url: str
    by: str = ""
    stream: str = ""
    also: str = ""
    same_as: str = ""
    place: str = ""
    given: Mapping[str, str] = field(default_factory=dict)
    filters: Mapping[str, Filter] = field(default_factory=dict)
    hides: Mapping[str, list[Any]] = field(default_factory=dict)
    by_created: bool = False
    is_counted: bool = True
    is_paged: bool = True
    is_served: bool = True
    is_shown: bool = True


@dataclass(frozen=True)
class Missing:
    """What Stripe says of an unknown id. `{id}` and `{livemode}` in the message stand for themselves."""

    message: str
    param: str | None = "id"
    param_of_post: str | None = None
    code: str | None = "resource_missing"


@dataclass(frozen=True)
class Share:
    """What an object adds to its owner, of that kind, whom its field `by` names: its amount to the field `to`; the flag `whole`
    says that this is all there was."""

    kind: str
    by: str
    to: str
    whole: str


@dataclass(frozen=True)
class Kind:
    """`template` is the ground of a new object, `when` what differs by the value of a field: see `templates`. Fields that
    begin with `_` are never shown. `busy` has fields that make an object as long as in a busy shop.

    `events`: by type the rule of when an event tells of the object, in the order in which they are told; see `events`.
    `told_to`: the field with the account among whose events they are, if that is not the account that holds the object.
    `singleton`: the address of an object that an account has once. `parts`: fields that have an address under the object's.
    `unique_in`: the field with the owner within which alone ids are unique. `inherits`: by a field that names another object
    what a new object has from that one.
    """

    name: str
    id: tuple[str, int]
    template: Object
    when: Mapping[str, Mapping[str, Object]] = field(default_factory=dict)
    busy: Object = field(default_factory=dict)
    permission: tuple[str, str] = ("", "")
    product: str = ""
    singleton: str = ""
    collection: Collection | None = None
    missing: Missing = Missing("")
    events: Mapping[str, Object | None] = field(default_factory=dict)
    told_to: str = ""
    inherits: Mapping[str, list[str]] = field(default_factory=dict)
    adds_to: Share | None = None
    unique_in: str = ""
    lists: Mapping[str, Inside] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    expandable: Mapping[str, list[str]] = field(default_factory=dict)
    """Place -> what its id may become. Empty: left out of the object unless asked for."""
    contains: Mapping[str, str] = field(default_factory=dict)
    """Place -> the object that is there whole."""
    unasked: tuple[str, ...] = ()
    """Places that may be asked for, but are there anyway: in older versions."""

    @cached_property
    def includable(self) -> tuple[str, ...]:
        return tuple(place for place, targets in self.expandable.items() if not targets and place not in self.unasked)

    @cached_property
    def hidden(self) -> tuple[str, ...]:
        return tuple(name for name in self.template if name.startswith("_"))


def _read(name: str) -> Kind:
    entry = orjson.loads((_FOLDER / f"{name}.json").read_bytes())
    listed = entry.get("list")
    path = listed["path"] if listed else f"/v1/{name}s"
    permission, row = entry.get("permission", ("", ""))
    return Kind(
        name,
        tuple(entry.get("id", (f"{name[:4]}_", 24))),
        entry["object"],
        entry.get("when", _NONE),
        entry.get("busy", {}),
        (permission, row),
        entry.get("product", ""),
        entry.get("singleton", ""),
        _collection(name, listed, permission, row) if listed else None,
        Missing(**{"message": f"No such {name}: '{{id}}'"} | entry.get("missing", {})),
        entry.get("events", _NONE),
        entry.get("told_to", ""),
        entry.get("inherits", _NONE),
        Share(**entry["adds_to"]) if "adds_to" in entry else None,
        entry.get("unique_in", ""),
        {inside: _inside(inside, path, given) for inside, given in entry.get("lists", _NONE).items()},
        tuple(entry.get("parts", ())),
        entry.get("expandable", _NONE),
        entry.get("contains", _NONE),
    )


def _collection(name: str, listed: Object, permission: str, row: str) -> Collection:
    filters = _filters(listed.get("takes", _NONE))
    return Collection(
        listed["path"],
        name,
        {param: known for param, known in filters.items() if param != "created"},
        permission,
        row,
        listed.get("stream", listed["path"].removeprefix("/v1/").replace("/", "_")),
        required=tuple(listed.get("requires", ())),
        saying=listed.get("requires_saying", ""),
        by_created="created" in filters,
        oldest_first=listed.get("order") == "oldest first",
        is_paged=listed.get("paged", True),
        is_listed=listed.get("listed", True),
        is_retrieved=listed.get("retrieved", True),
        counted_by=tuple(listed.get("counted_by", ())),
        defaults=listed.get("defaults", _NONE),
        hides=listed.get("hides", _NONE),
        searched_by={
            name: SearchField(given) if isinstance(given, str) else SearchField(**given)
            for name, given in listed.get("searched_by", _NONE).items()
        },
    )


def _filters(takes: Mapping[str, str | Object]) -> dict[str, Filter]:
    filters = {}
    for name, given in takes.items():
        known = {"kind": given} if isinstance(given, str) else given
        filters[name] = Filter(**{"field": name} | known | {"choices": tuple(known.get("choices", ()))})
    return filters


def _inside(name: str, path: str, given: Object) -> Inside:
    filters = _filters(given.get("takes", _NONE))
    of = given.get("of", ())
    return Inside(
        name,
        (of,) if isinstance(of, str) else tuple(of),
        given.get("url", f"{path}/{{id}}/{name}"),
        given.get("by", ""),
        given.get("stream", ""),
        given.get("also", ""),
        given.get("same_as", ""),
        given.get("place", ""),
        given.get("with", _NONE),
        {param: known for param, known in filters.items() if param != "created"},
        given.get("hides", _NONE),
        by_created="created" in filters,
        is_counted=given.get("counted", True),
        is_paged=given.get("paged", True),
        is_served=given.get("served", True),
        is_shown=given.get("shown", True),
    )


KINDS: dict[str, Kind] = {path.stem: _read(path.stem) for path in sorted(_FOLDER.glob("*.json"))}


@cache
def kind_of(name: str) -> Kind:
    """For an object of which nothing is known here: what every object has."""
    template: Object = {"id": "=id", "object": name, "created": "=created", "livemode": False, "metadata": {}}
    events = {f"{name}.{what}d": {"on": what} for what in ("create", "update", "delete")}
    missing = Missing(f"No such {name}: '{{id}}'")
    return KINDS.get(name) or Kind(name, (f"{name[:4]}_", 24), template, events=events, missing=missing)
