"""The objects of one kind in the order in which Stripe lists them."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from typing import Any

from .bulk import Bulk, BulkItems
from .kinds import KINDS

Object = dict[str, Any]
Key = tuple[float, float]  # created, then the order in which objects of one second were made

FIRST: Key = (-math.inf, -math.inf)
LAST: Key = (math.inf, math.inf)

# Where an object is looked up by what it belongs to: kind -> fields.
_INDEXED: dict[str, set[str]] = {}
for _owner in KINDS.values():
    for _inside in _owner.lists.values():
        for _member in _inside.of if _inside.by else ():
            _INDEXED.setdefault(_member, set()).add(_inside.by)


class Shelf:
    """`objects` holds what can be read by id; `keys`, of those, what a list shows. Names of vanished objects keep
    their place in `gone`, for a cursor may still name them. Where ids are unique within an owner alone, both are named."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.objects: dict[str, Object] = {}
        self.keys: dict[str, Key] = {}
        self.gone: dict[str, Key] = {}
        self.bulk: Bulk | None = None
        self._order: list[tuple[Key, str]] = []
        self._by: dict[str, dict[str, list[str]]] = {name: {} for name in _INDEXED.get(kind, ())}

    def put(self, obj: Object, key: Key, *, listed: bool = True, place: str | None = None) -> None:
        ident = place or obj["id"]
        self.objects[ident] = obj
        for name, index in self._by.items():
            if obj.get(name):
                index.setdefault(obj[name], []).append(ident)
        if listed:
            self.keys[ident] = key
            insort(self._order, (key, ident))

    def drop(self, ident: str) -> None:
        key = self.keys.pop(ident, FIRST)
        obj = self.objects.pop(ident)
        for name, index in self._by.items():
            if obj.get(name):
                index[obj[name]].remove(ident)
        if key != FIRST:
            del self._order[bisect_left(self._order, (key, ident))]
        self.gone[ident] = key

    def get(self, ident: str) -> Object | None:
        found = self.objects.get(ident)
        if found is None and self.bulk:
            index = self.bulk.index_of(ident)
            return None if index is None else self.bulk.object_at(index)
        return found

    def at(self, place: str | int) -> Object:
        """The object at a place that `walk` gave."""
        return self.bulk.object_at(place) if isinstance(place, int) and self.bulk else self.objects[str(place)]

    def id_at(self, place: str | int) -> str:
        return self.bulk.id_at(place) if isinstance(place, int) and self.bulk else str(place)

    def bulk_items(self, ident: str, name: str) -> BulkItems | None:
        """The items of the list `name` inside an object of the bulk; None if that has no such object or list."""
        index = self.bulk.index_of(ident) if self.bulk and ident not in self.objects else None
        return BulkItems(self.bulk, index, name) if self.bulk and index is not None and name in self.bulk.template else None

    def own(self, ident: str) -> Object | None:
        """The object to be changed; one of a bulk becomes an object of its own."""
        if self.bulk and ident not in self.objects:
            index = self.bulk.index_of(ident)
            if index is not None:
                made = self.bulk.object_at(index)
                self.bulk.hidden.add(index)
                self.put(made, (self.bulk.created[index], index))
        return self.objects.get(ident)

    def key_of(self, ident: str) -> Key | None:
        if ident in self.keys:
            return self.keys[ident]
        index = self.bulk.index_of(ident) if self.bulk else None
        return None if index is None or self.bulk is None else (self.bulk.created[index], index)

    def looked_up_by(self, names: Iterable[str]) -> bool:
        return any(name in self._by for name in names)

    def belonging_to(self, name: str, owner: str) -> list[tuple[Key, Object]]:
        """In list order, newest first."""
        idents = self._by[name].get(owner, ())
        listed = sorted((ident for ident in idents if ident in self.keys), key=self.keys.__getitem__, reverse=True)
        return [(self.keys[ident], self.objects[ident]) for ident in listed]

    def walk(self, after: Key = FIRST, before: Key = LAST, *, oldest_first: bool = False) -> Iterator[str | int]:
        """Ids, and indices of the bulk, strictly between two keys; newest first unless told otherwise."""
        start = bisect_right(self._order, (after, "\uffff"))
        end = max(start, bisect_left(self._order, (before, "")))
        mine = range(start, end) if oldest_first else range(end - 1, start - 1, -1)
        if not self.bulk:
            return (self._order[at][1] for at in mine)
        low = self.bulk.first_at(after[0], after[1] + 1)
        high = max(low, self.bulk.first_at(*before))
        theirs: Iterator[int] = iter(range(low, high) if oldest_first else range(high - 1, low - 1, -1))
        if self.bulk.hidden:
            hidden = self.bulk.hidden
            theirs = (index for index in theirs if index not in hidden)
        if not mine:
            return theirs
        created = self.bulk.created
        of_mine: Iterator[tuple[Key, str | int]] = ((key, ident) for key, ident in (self._order[at] for at in mine))
        of_theirs: Iterator[tuple[Key, str | int]] = (((created[index], index), index) for index in theirs)
        merged = heapq.merge(of_mine, of_theirs, key=lambda pair: pair[0], reverse=not oldest_first)
        return (each for _, each in merged)

    def __len__(self) -> int:
        return len(self.keys) + (self.bulk.count - len(self.bulk.hidden) if self.bulk else 0)
