"""Which events, or objects, of the newest seconds were handled: so that what is read again is not emitted again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

_MOST_IDS = 100
"""So many are remembered by their ids. Of more, a second that has several is told by their number and a digest."""

Second = list[str] | tuple[int, str]


class Handled:
    """What was handled, by the second: the ids or, of many, how many they are and a digest of them.

    A second of many that has one more now, because it became visible late, counts as not handled: what it tells comes again.
    """

    def __init__(self, seconds: Mapping[int, Second] | None = None) -> None:
        self.seconds: dict[int, Second] = dict(seconds or {})
        self._ids = sum(len(known) for known in self.seconds.values() if isinstance(known, list))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handled) and self.seconds == other.seconds

    def __repr__(self) -> str:
        return f"Handled({self.seconds})"

    def needs_whole(self, second: int) -> bool:
        """Whether all ids of the second must be known to tell which are fresh."""
        return isinstance(self.seconds.get(second), tuple)

    def fresh(self, second: int, ids: Collection[str]) -> Collection[str]:
        """Those of `ids`, which are of one second, that were not handled."""
        known = self.seconds.get(second, [])
        if isinstance(known, tuple):
            return () if known == _digest(ids) else ids
        return [id for id in ids if id not in known]

    def learn(self, second: int, ids: Collection[str]) -> None:
        """All of the second, `ids`, was handled."""
        self._forget(second)
        if len(ids) == 1 or self._ids + len(ids) <= _MOST_IDS:
            self.seconds[second] = sorted(ids)
            self._ids += len(ids)
        else:
            self.seconds[second] = _digest(ids)

    def forget_before(self, second: int) -> None:
        for each in [each for each in self.seconds if each < second]:
            self._forget(each)

    def _forget(self, second: int) -> None:
        if isinstance(known := self.seconds.pop(second, None), list):
            self._ids -= len(known)

    @classmethod
    def common(cls, all_: Sequence["Handled"]) -> "Handled":
        """What was handled by all of them: of a second that they know differently, nothing."""
        first, *others = all_
        known = {
            second: what for second, what in first.seconds.items() if all(each.seconds.get(second) == what for each in others)
        }
        return cls(known)

    # ------------------------------------------------------------------ in a state

    def dump(self) -> dict[str, Any]:
        return {str(second): list(self.seconds[second]) for second in sorted(self.seconds)}

    @classmethod
    def load(cls, recent: Mapping[str, Any]) -> "Handled":
        """From what `dump` wrote, or from the times by their ids of earlier versions; raises `ValueError` for anything else."""
        if all(isinstance(value, int) for value in recent.values()):
            seen: dict[int, list[str]] = {}
            for id, second in recent.items():
                seen.setdefault(second, []).append(id)
            return cls(dict(seen))
        return cls({int(second): _loaded(known) for second, known in recent.items()})


def _loaded(known: list[Any]) -> Second:
    match known:
        case [int(count), str(digest)]:
            return count, digest
        case [*ids] if ids and all(isinstance(id, str) for id in ids):
            return list(ids)
    raise ValueError(known)


def _digest(ids: Iterable[str]) -> tuple[int, str]:
    ordered = sorted(ids)
    return len(ordered), blake2b("\n".join(ordered).encode(), digest_size=9).hexdigest()
