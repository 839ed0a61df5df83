"""How many objects lie in a span of time, as pages of a list that show some of them tell."""

import math
from bisect import insort
from datetime import UTC, datetime
from itertools import pairwise

STRIPES_BEGINNING = int(datetime(2011, 1, 1, tzinfo=UTC).timestamp())
"""No account has older objects."""

_MOST_SAMPLES = 100


class Density:
    """How densely a list's objects lie in time, by samples. Times are epoch seconds, spans include both their ends."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float]] = []
        """Times, and objects a second there; sorted."""

    def __bool__(self) -> bool:
        """Whether anything was seen."""
        return bool(self._samples)

    def see(self, lo: int, hi: int, count: int) -> None:
        """From `lo` to `hi` lie `count` objects, at least one."""
        insort(self._samples, ((lo + hi) / 2, count / (hi - lo + 1)))
        if len(self._samples) > _MOST_SAMPLES:
            del self._samples[1::2]

    @property
    def earliest(self) -> float:
        """The time of the earliest sample."""
        return self._samples[0][0]

    def objects(self, lo: float, hi: float) -> float:
        """About how many lie from `lo` to `hi`."""
        return sum(_between(one, other) for one, other in pairwise(self._knots(lo, hi)))

    def widest(self, lo: float, hi: float) -> tuple[float, float]:
        """Of the spans between samples, from `lo` to `hi`, that of which is least known how many lie there."""
        return max(((one[0], other[0]) for one, other in pairwise(self._knots(lo, hi))), key=lambda span: self.doubt(*span))

    def doubt(self, lo: float, hi: float) -> float:
        """By how many objects one may be wrong of a span between samples. Before the earliest there may be none."""
        if lo < self.earliest:
            return self.objects(lo, hi)
        return max(self._at(lo), self._at(hi)) * (hi - lo) - self.objects(lo, hi)

    def _knots(self, lo: float, hi: float) -> list[tuple[float, float]]:
        return [(lo, self._at(lo)), *(each for each in self._samples if lo < each[0] < hi), (hi, self._at(hi))]

    def _at(self, time: float) -> float:
        """Objects a second: between two samples they change by the same factor each second, outside of all not at all."""
        before = max((each for each in self._samples if each[0] <= time), default=self._samples[0])
        after = min((each for each in self._samples if each[0] >= time), default=self._samples[-1])
        if before[0] >= after[0]:
            return before[1]
        return before[1] * math.pow(after[1] / before[1], (time - before[0]) / (after[0] - before[0]))


def _between(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The objects between two times at which their density is known: the integral of what changes by a factor each second."""
    (begin, first), (end, last) = one, other
    growth = math.log(last / first)
    return (end - begin) * (first if abs(growth) < 0.01 else (last - first) / growth)
