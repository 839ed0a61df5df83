"""Hundreds of thousands of alike objects that cost a few bytes each: made when they are read, from their index."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import orjson

from .kinds import Object, kind_of

_NUMBER, _CREATED, _AMOUNT, _CUSTOMER = "@bulk-number@", 1_111_111_111, 999_999_937, "@bulk-customer@"
_HOLES = (_NUMBER, str(_CREATED), str(_AMOUNT), _CUSTOMER)
_SCRAMBLE, _WORD = 0x9E3779B97F4A7C15, 1 << 64
_UNSCRAMBLE = pow(_SCRAMBLE, -1, _WORD)


def prefix_of(kind: str) -> str:
    return kind_of(kind).id[0] + "Bulk"


def pattern_of(kind: str) -> str:
    """The id that stands in the template of a bulk: each object has its number there, and may name others of that number."""
    return prefix_of(kind) + _NUMBER


class Bulk:
    """`count` objects of one kind between two times: evenly; crowded towards the end, as in a growing account; or late,
    nine tenths of them in the last tenth of the time. Ids and times depend on nothing else. `hidden` holds the indices
    that were changed or deleted since."""

    def __init__(self, kind: str, count: int, since: int, until: int, spread: str, make: Callable[[str, int], Object]) -> None:
        self.kind, self.count = kind, count
        self.prefix = prefix_of(kind)
        self.template = self._with_holes(make(pattern_of(kind), _CREATED))
        self.created = array("L", self._times(since, until, spread))
        self.hidden: set[int] = set()
        self._masks: dict[Any, bytes] = {}

    def _times(self, since: int, until: int, spread: str) -> Iterator[int]:
        span, last = until - since, max(self.count - 1, 1)
        if spread == "even":
            return (since + span * i // last for i in range(self.count))
        if spread == "late":
            few = self.count // 10
            bend = since + span * 9 // 10
            early = (since + (bend - since) * i // max(few, 1) for i in range(few))
            late = (bend + (until - bend) * i // max(self.count - few - 1, 1) for i in range(self.count - few))
            return chain(early, late)
        if spread != "crowded":
            raise ValueError(f"spread is 'even', 'crowded' or 'late', not {spread!r}")
        steepness = 7.0
        top = math.expm1(steepness)
        log = math.log1p
        return (since + int(span * log(i * top / last) / steepness) for i in range(self.count))

    @staticmethod
    def _number_at(index: int) -> str:
        return f"{index * _SCRAMBLE % _WORD:016x}"

    def id_at(self, index: int) -> str:
        return self.prefix + self._number_at(index)

    def index_of(self, ident: str) -> int | None:
        if not ident.startswith(self.prefix):
            return None
        try:
            index = int(ident[len(self.prefix) :], 16) * _UNSCRAMBLE % _WORD
        except ValueError:
            return None
        return index if index < self.count and index not in self.hidden and self.id_at(index) == ident else None

    def _values(self, index: int) -> tuple[bytes, bytes, bytes, bytes]:
        return (
            self._number_at(index).encode(),
            b"%d" % self.created[index],
            b"%d" % (500 + index * 37 % 90_000),
            b"cus_Bulk%06d" % (index % 5000),
        )

    @staticmethod
    def _with_holes(made: Object) -> Object:
        """Objects are alike in every field but four."""
        if "amount" in made:
            made |= {name: _AMOUNT for name in ("amount", "amount_captured", "net") if name in made}
        if "customer" in made:
            made["customer"] = _CUSTOMER
        return made

    def rendered(self, index: int, render: Callable[[Object], bytes], key: Any) -> bytes:
        """The bytes of one object. `render` is asked once a `key`."""
        mask = self._masks.get(key)
        if mask is None:
            text = render(self.template).replace(b"%", b"%%")
            for name, hole in zip(("number", "created", "amount", "customer"), _HOLES, strict=True):
                text = text.replace(hole.encode(), f"%({name})b".encode())
            mask = self._masks[key] = text
        number, created, amount, customer = self._values(index)
        return mask % {b"number": number, b"created": created, b"amount": amount, b"customer": customer}

    def object_at(self, index: int) -> Object:
        made: Object = orjson.loads(self.rendered(index, orjson.dumps, "whole"))
        return made

    def first_at(self, created: float, index: float = -1) -> int:
        """The first index whose (created, index) is not before the given pair."""
        if created in (math.inf, -math.inf):
            return self.count if created > 0 else 0
        start = bisect_left(self.created, created)
        end = bisect_left(self.created, created + 1)
        return int(min(max(start, index), end))


class BulkItems(Sequence[Object]):
    """The list `name` inside an object of a bulk. Its items are made when they are read: thousands of them take long."""

    def __init__(self, bulk: Bulk, index: int, name: str) -> None:
        self._bulk, self._index, self._name = bulk, index, name
        self.ids: list[str] = [item["id"] for item in bulk.template[name]["data"]]
        """The same in every object."""

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        name = self._name
        return orjson.loads(
            self._bulk.rendered(
                self._index, lambda made: orjson.dumps(made[name]["data"][place]), (name, range(len(self))[place])
            )
        )
