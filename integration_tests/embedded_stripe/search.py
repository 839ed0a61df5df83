"""Stripe's search: its query language, and which objects a query finds."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

from .account import Account
from .errors import StripeError
from .filters import value_at
from .kinds import Collection, Object, SearchField

_MOST_CLAUSES = 10
_PAGE = "after "
_QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_CLAUSE = re.compile(rf"(-?)(metadata\[(?:{_QUOTED})\]|[a-z][\w.]*)(:|~|>=|<=|>|<)({_QUOTED}|[^\s\"'\]]+)", re.IGNORECASE)
_JOINT = re.compile(r"\s+(?:(AND|OR)\s+)?", re.IGNORECASE)
_ORDER: dict[str, Callable[[float, float], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_METADATA = SearchField("token")


@dataclass(frozen=True)
class Clause:
    """`operator` is one of `: ~ > >= < <=`; a `value` of None stands for `null`. `key` is that of the metadata."""

    field: str
    key: str | None
    operator: str
    value: str | None
    is_negated: bool


def found(account: Account, collection: Collection, query: str) -> list[Object]:
    """The stored objects that the query finds, newest first: also inline prices, which no list shows."""
    clauses, is_any = _parsed(query)
    tests = [_test(collection, clause) for clause in clauses]
    shelf = account.shelf(collection.object)
    unlisted = [obj for id, obj in shelf.objects.items() if id not in shelf.keys and not obj.get("test_clock")]
    objects = sorted([*unlisted[::-1], *account.each(collection.object)], key=lambda obj: -obj["created"])
    join = any if is_any else all
    return [obj for obj in objects if join(test(obj) for test in tests)]


def _parsed(query: str) -> tuple[list[Clause], bool]:
    """The clauses, and whether one that is met is enough: else all must be."""
    text, at, clauses, joints = query.strip(), 0, [], set()
    while match := _CLAUSE.match(text, at):
        clauses.append(_clause(*match.groups()))
        at = match.end()
        if at == len(text):
            break
        if joint := _JOINT.match(text, at):
            joints.add((joint[1] or "and").lower())
            at = joint.end()
    if at < len(text) or not match:
        raise StripeError(
            400,
            'We were unable to parse your search query. Try using the format `metadata["key"]:"value"` to query for metadata '
            'or key:"value" to query for other fields.',
        )
    if len(joints) > 1:
        raise StripeError(400, "We were unable to parse your search query. You can't combine AND and OR in one query.")
    if len(clauses) > _MOST_CLAUSES:
        raise StripeError(400, f"We were unable to parse your search query. It has more than {_MOST_CLAUSES} clauses.")
    return clauses, "or" in joints


def page_from(start: int) -> str:
    """The name of the page that begins after so many objects."""
    return urlsafe_b64encode(f"{_PAGE}{start}".encode()).decode()


def start_of(page: str) -> int:
    try:
        start = urlsafe_b64decode(page).decode()
    except ValueError:
        start = ""
    if not re.fullmatch(rf"{_PAGE}\d+", start):
        raise StripeError(400, f"Invalid page: {page}", None, "page")
    return int(start.removeprefix(_PAGE))


def _clause(minus: str, field: str, operator: str, value: str) -> Clause:
    name, bracket, key = field.partition("[")
    null = value.lower() == "null"
    return Clause(name, _unquoted(key[:-1]) if bracket else None, operator, None if null else _unquoted(value), minus == "-")


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] in ('"', "'") else text


def _test(collection: Collection, clause: Clause) -> Callable[[Object], bool]:
    """Whether an object meets the clause."""
    known = collection.searched_by.get(clause.field) if clause.key is None else _METADATA
    if known is None:
        resource = collection.path.removeprefix("/v1/")
        raise StripeError(
            400,
            f"Field `{clause.field}` is an unsupported search field for resource `{resource}`. See "
            f"http://stripe.com/docs/search#query-fields-for-{resource.replace('_', '-')} for a list of supported fields.",
        )
    compare = _comparison(known, clause)

    def is_met(obj: Object) -> bool:
        value = value_at(obj, known.field or clause.field) if clause.key is None else (obj["metadata"] or {}).get(clause.key)
        if clause.value is None:
            return (value is None) != clause.is_negated
        return (value is not None and compare(value)) != clause.is_negated

    return is_met


def _comparison(known: SearchField, clause: Clause) -> Callable[[Any], bool]:
    """How a value that is there is compared; texts are alike whatever their case."""
    operator, wanted = clause.operator, (clause.value or "").lower()
    fits = {"number": (":", *_ORDER), "text": (":", "~"), "token": (":",)}[known.type]
    if operator not in fits or (operator != ":" and clause.value is None):
        raise StripeError(400, f"Field `{clause.field}` does not support the operator `{operator}`.")
    if known.type == "number" and clause.value is not None:
        if not re.fullmatch(r"-?\d+(\.\d+)?", wanted):
            raise StripeError(400, f"Field `{clause.field}` is numeric: `{clause.value}` is not a number.")
        number = float(wanted)
        return lambda value: _ORDER[operator](value, number) if operator in _ORDER else value == number
    if operator == "~":
        if len(wanted) < 3:
            raise StripeError(400, "A substring must have at least three characters.")
        return lambda value: wanted in value.lower()
    return lambda value: str(value).lower() == wanted
