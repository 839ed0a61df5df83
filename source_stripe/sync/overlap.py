"""Leaving out of a list's pages what an earlier sync handled: the newest seconds are read again by each."""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from source_stripe.sync.handled import Handled
from source_stripe.sync.parts import Part

Pair = tuple[Any, Raw]


class Overlap:
    """What earlier syncs handled, which the state forgets as this one goes on; `seen` is what this sync was shown of it."""

    def __init__(self, handled: Handled) -> None:
        self._handled = Handled(handled.seconds)
        self._held: dict[Part, list[Pair]] = {}
        """By the part what was read of its last second, where all of the second must be known to tell what is new of it."""
        self.seen: dict[int, set[str]] = {}
        """By the second the ids of what the next sync may see again."""

    def whole(self, part: Part, pairs: Sequence[Pair]) -> list[Pair]:
        """A page of `part`, newest first: without its last second, if that goes on in the next page and must be known whole."""
        pairs = [*self._held.pop(part, ()), *pairs]
        if pairs and not part.is_at_end and self._handled.needs_whole(last := pairs[-1][0].created):
            self._held[part] = [(row, raw) for row, raw in pairs if row.created == last]
            pairs = [(row, raw) for row, raw in pairs if row.created > last]
        return pairs

    def fresh(self, rows: Sequence[Any], near: int) -> set[str]:
        """The ids of those that were not handled; what was created from `near` on is kept in `seen`."""
        again: dict[int, set[str]] = {}
        for row in rows:
            if row.created >= near or row.created in self._handled.seconds:
                again.setdefault(row.created, set()).add(row.id)
        fresh = {second: set(self._handled.fresh(second, ids)) for second, ids in again.items()}
        for second, ids in again.items():
            self.seen.setdefault(second, set()).update(ids)
        return {row.id for row in rows if row.created not in fresh or row.id in fresh[row.created]}
