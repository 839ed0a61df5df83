"""A request's parameters, sorted out and checked as Stripe checks them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from . import errors
from .endpoints import can_expand
from .kinds import Filter

Query = list[tuple[str, str]]

_RANGES = ("gt", "gte", "lt", "lte")
_BOOLEANS = ("bool", "delivery_success", "none", "not", "scheduled")
_INTEGERS = ("integer", "after", "before")
_NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_EVERYTHING = 1 << 30
CREATED = {"created": Filter("range", "created")}


def parsed(query: str) -> Query:
    return parse_qsl(query, keep_blank_values=True)


@dataclass
class Parameters:
    """`values` by the filter's name, `ranges` by field."""

    limit: int
    starting_after: str | None
    ending_before: str | None
    expand: list[str]
    values: dict[str, Any]
    ranges: dict[str, dict[str, int]]


def parameters(query: Query, known: Mapping[str, Filter], *, paged: bool = True) -> Parameters:
    """A list that is not `paged` comes whole, and takes neither `limit` nor cursors."""
    given = Parameters(10 if paged else _EVERYTHING, None, None, [], {}, {})
    for name, value in query:
        base, keys, is_list = _parts(name)
        if base == "expand" and is_list:
            given.expand.append(value)
            continue
        filtered = _filter_of(name, known)
        if not _is_known(name, known, paged):
            unknown = {each: None for each, _ in query if not _is_known(each, known, paged)}
            raise errors.unknown_parameters(list(unknown))
        if not keys and (base == "expand" or (filtered is not None and filtered.kind == "in")):
            raise errors.bad_array(base)
        if value == "":
            raise errors.empty_parameter(name)
        if base == "limit":
            given.limit = min(max(_integer("limit", value), 1), 100)
        elif base == "starting_after":
            given.starting_after = value
        elif base == "ending_before":
            given.ending_before = value
        elif filtered is not None and filtered.kind == "range":
            bound = keys[0] if keys else "is"
            given.ranges.setdefault(base, {})[bound] = _integer(name, value)
        elif is_list:
            given.values.setdefault(base, []).append(value)
        elif filtered is not None:
            given.values[name] = _checked(name, value, filtered)
    for name in given.values:
        if (needed := known[name].needs) and needed not in given.values:
            raise errors.missing_parameter(needed)
    if given.starting_after and given.ending_before:
        raise errors.both_cursors()
    return given


@lru_cache(1000)
def _parts(name: str) -> tuple[str, list[str], bool]:
    """What is before a name's brackets, what is in each of them, and whether they are those of an array."""
    match = _NAME.match(name)
    base, keys = (match[1], re.findall(r"\[([^\[\]]*)\]", match[2])) if match else (name, [])
    return base, keys, len(keys) == 1 and (keys[0] == "" or keys[0].isdigit())


def _filter_of(name: str, known: Mapping[str, Filter]) -> Filter | None:
    base, keys, is_list = _parts(name)
    return known.get(name) or (known.get(base) if is_list or not keys or keys[0] in _RANGES else None)


def _is_known(name: str, known: Mapping[str, Filter], paged: bool) -> bool:
    base, keys, is_list = _parts(name)
    if base == "expand" and (is_list or not keys):
        return True
    if paged and not keys and base in ("limit", "starting_after", "ending_before"):
        return True
    filtered = _filter_of(name, known)
    return filtered is not None and _takes(filtered, keys, is_list)


def _takes(filtered: Filter, keys: list[str], is_list: bool) -> bool:
    """Whether a parameter of this kind is written with these brackets; an array's may be missing, to be refused by itself."""
    if filtered.kind == "in":
        return is_list or not keys
    if filtered.kind == "range":
        return not keys or (len(keys) == 1 and keys[0] in _RANGES)
    return not is_list


def _integer(name: str, value: str) -> int:
    if not re.fullmatch(r"-?\d+", value):
        raise errors.bad_integer(name, value)
    return int(value)


def _checked(name: str, value: str, filtered: Filter) -> Any:
    if filtered.kind in _BOOLEANS:
        if value not in ("true", "false"):
            raise errors.bad_boolean(name, value)
        return value == "true"
    if filtered.kind in _INTEGERS:
        return _integer(name, value)
    if filtered.choices and value not in filtered.choices:
        raise errors.bad_choice(name, filtered.choices)
    return value


def expansion(paths: list[str], kind: str, version: str, *, listed: bool) -> dict[str, Any]:
    """The tree of what to expand in an object of that kind."""
    tree: dict[str, Any] = {}
    for path in paths:
        segments = path.split(".")
        if len(segments) > 4:
            raise errors.too_deep(path)
        if listed:
            if segments[0] != "data" or len(segments) == 1:
                hint = f"data.{path}" if can_expand(kind, segments, version) else None
                raise errors.not_expandable(segments[-1] if hint else path, hint=hint)
            segments = segments[1:]
        if not can_expand(kind, segments, version):
            raise errors.not_expandable(segments[-1])
        branch = tree
        for segment in segments:
            branch = branch.setdefault(segment, {})
    return tree
