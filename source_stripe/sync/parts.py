"""Where a list is cut into parts that are read side by side: what is known of how many objects lie where."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FEWEST_PAGES_TO_SPLIT = 3
SPARE = 0.025
"""Of the pages that a list takes at the least, how many more requests may be spent: the contract allows 3 %."""
_SPARE_AT_FIRST = 0.25
# The pages that were read are no estimate: nearly all of the 3 % of them may be spent.
_NEARLY_ALL = 0.029 / SPARE
# How many pages lie below the oldest one read is a guess. No more of them than this count when requests are spent.
_MOST_GUESSED = 13
# How many lie between two pages that were read is an estimate. With those that were read, they count as no more than so many
# times these.
_MOST_FAITH = 8
# Fewer pages than these tell nothing of how many are to come.
_FEW_PAGES = 16
# Where nothing was read yet, a split skips eight pages, sixteen if the next week holds so many, or twice as many as are known.
_FIRST_LOOK = 16
_GROWTH = 4
# What began to be used at all was used for a week.
_WEEK = 7 * 86_400


@dataclass(eq=False)
class Part:
    """A range of `created` that one chain of pages reads, from `hi` down to `lo`, and what its pages told of it."""

    lo: int
    hi: int | None
    is_top: bool = False
    pass_index: int = 0
    at: int | None = None
    """`created` of the last object read; None before the first page of a pass."""
    is_at_end: bool = False
    """The last page of a pass came, and is being dealt with."""
    under: "Part | None" = None
    """The part that begins where this one ends."""
    density: float | None = None
    """Objects a second where the part is being read."""
    mean: float | None = None
    """Objects a second of what was read in this pass; 0 when there were none, None before the first page."""
    objects: int = 0
    """How many were read in this pass."""
    since: int | None = None
    """`created` of the newest object, of the part at the top."""

    def see(self, rows: Sequence[Any], wanted: int) -> None:
        """A page came: its `rows`, newest first, of which so many are `wanted`. `at` is still that of the page before."""
        self.objects += wanted
        if rows:
            assert self.hi is not None
            newest, oldest = rows[0].created, rows[-1].created
            if self.is_top and self.at is None:
                # Above the newest object there is nothing, for however long.
                self.since = newest
            self.mean = self.objects / max(1, (self.since or self.hi) - oldest)
            self.density = len(rows) / max(1, newest - oldest)
        elif self.mean is None:
            self.mean = 0.0

    def begin_again(self) -> None:
        """Another pass begins."""
        self.pass_index += 1
        self.at, self.objects, self.is_at_end = None, 0, False

    def usual_density(self) -> float:
        """Of what lies below: in a burst, as densely as all of the part that was read, gaps included."""
        assert self.density is not None
        return min(self.density, self.mean or self.density)

    def between(self, density: float | None = None) -> float:
        """How many objects the part has yet to read, if where it ends was seen too; else 0."""
        density = density or self.density
        if self.at is None or density is None or self.is_at_end or self.under is None or not self.under.mean:
            return 0.0
        below, length = self.under.mean, self.at - self.lo
        # Between the two, density is taken to fall off (or rise) as growth does: by the same factor each second.
        if abs(math.log(density / below)) < 0.01:
            return density * length
        return (density - below) / math.log(density / below) * length

    def between_at_least(self) -> float:
        """The same, for objects that come in bursts: the one that is being read does not stand for the gap behind it."""
        return self.between(min(self.density or 0.0, self.mean or 0.0))

    def between_at_most(self) -> float:
        """The same, if the greater of both densities were that of all between."""
        if not self.between():
            return 0.0
        assert self.under is not None
        return max(self.density or 0.0, self.under.mean or 0.0) * ((self.at or 0) - self.lo)

    def half_way(self) -> float:
        """The share of the part's time, from its top, that holds half of what lies `between`."""
        assert self.under is not None
        assert self.under.mean
        assert self.density
        ratio = self.under.mean / self.density
        return 0.5 if abs(math.log(ratio)) < 0.01 else math.log((1 + ratio) / 2) / math.log(ratio)

    def cut(self, at: int) -> "Part":
        """Leave what was created at `at` or before to a part of its own."""
        lower = Part(self.lo, at, pass_index=self.pass_index, under=self.under)
        self.lo, self.under = at + 1, lower
        return lower


@dataclass
class Parts:
    """The parts of a list that are not yet read to their ends, and how many more pages they may have.

    Stripe tells no counts. A page's span of time tells the density, so the largest part is cut in the middle of what it is
    taken to hold, as far as the few requests that this wastes allow: `spare` is the share of the list's pages that may be
    spent on requests besides. All estimates are in pages.
    """

    open: list[Part]
    page_size: int
    spare: float = SPARE
    requests: int = 0
    objects: int = 0
    _ended: int = 0
    _left: float | None = None
    _is_cut_in_vain: bool = False

    def see(self, part: Part, rows: Sequence[Any], wanted: int) -> None:
        """A page of `part` came: its `rows`, newest first, of which so many are `wanted`."""
        self._left = None
        self._is_cut_in_vain = False
        self.requests += 1
        self.objects += wanted
        part.see(rows, wanted)

    def end(self, part: Part) -> None:
        """`part` has been read to its end."""
        self.open.remove(part)
        self._ended += 1

    def left(self, side_by_side: float) -> float:
        """About how many pages are still to come, infinity as long as reading on will tell more of that.

        The pages of a part that can't be cut come one by one: each counts for as many as come `side_by_side` otherwise.
        """
        if self._left is None:
            self._left = self._estimate(side_by_side)
        return self._left

    def _estimate(self, side_by_side: float) -> float:
        left, known = self.pages_left(), self._pages_known()
        if self.requests < _FEW_PAGES or any(self._is_bottomless(part, known) for part in self.open):
            return math.inf
        longest = max(left.values(), default=0.0) if self._is_spent(known + _MOST_GUESSED) else 0.0
        return max(longest * side_by_side, sum(left.values()))

    def share(self) -> float | None:
        """The share of the pages that has been read, from 0 to 1; None before it can be told."""
        if not self.requests or any(
            part.at is None or (self._pages_below(part, 1.0) and not part.between()) for part in self.open
        ):
            return None
        return self.requests / (self.requests + sum(self.pages_left().values()))

    # ------------------------------------------------------------------ which part is cut, and where

    def cut(self) -> Part | None:
        """The lower half of one of the parts; none when none is long, or when that may cost too much."""
        if self._is_cut_in_vain or not self.open:
            return None
        self._left = None
        lower = self._of_the_longest() or self._of_one_that_may_be_long()
        self._is_cut_in_vain = lower is None
        return lower

    def _of_the_longest(self) -> Part | None:
        left, known = self.pages_left(), self._pages_known()
        guessed = sum(pages for part, pages in left.items() if not part.between())
        if self._is_spent(known + min(guessed, _MOST_GUESSED)):
            return None
        return self._cut_first(left, lambda part: self._middle(part, known))

    def _of_one_that_may_be_long(self) -> Part | None:
        """Towards the end: a part that is long if its density does not fall off before where it ends."""
        if self._is_spent(self.objects / self.page_size * _NEARLY_ALL):
            return None
        most = {part: part.between_at_most() / self.page_size for part in self.open}
        return self._cut_first(most, lambda part: part.at and (part.at + part.lo) // 2)

    def _is_spent(self, pages: float) -> bool:
        """Whether another part might cost more requests than a list of so many pages allows.

        Where a part ends half a page is lost, or more if that is what the parts that have ended tell.
        """
        wasted = self.requests - self.objects / self.page_size
        by_part = max(0.5, (wasted + 1.0) / (self._ended + 2))
        return wasted + by_part * len(self.open) > self.spare * pages + _SPARE_AT_FIRST

    def _cut_first(self, pages: Mapping[Part, float], point: Callable[[Part], int | None]) -> Part | None:
        for part in sorted(self.open, key=pages.__getitem__, reverse=True):
            if pages[part] < _FEWEST_PAGES_TO_SPLIT:
                break
            if (at := point(part)) is not None:
                lower = part.cut(at)
                self.open.append(lower)
                return lower
        return None

    def _middle(self, part: Part, known: float) -> int | None:
        """The second at which the lower of two parts should begin, going down: the middle of its objects."""
        assert part.at is not None
        if part.between():
            at = part.at - int(part.half_way() * (part.at - part.lo))
        else:
            at = part.at - int(self._pages_below(part, known) / 2 * self.page_size / part.usual_density())
        return at if part.lo <= at < part.at else None

    # ------------------------------------------------------------------ estimates

    def _pages_known(self) -> float:
        """Pages that are there: those read, and those between two places that were read, as far as a guess can be trusted."""
        read = self.objects / self.page_size
        return min(read + sum(part.between_at_least() for part in self.open) / self.page_size, _MOST_FAITH * read)

    def pages_left(self) -> dict[Part, float]:
        """An estimate of the pages that each part has yet to read; 0 when nothing is known."""
        known = self._pages_known()
        return {
            part: part.between() / self.page_size or min(self._pages_below(part, known), max(known, self._soon(part)))
            for part in self.open
        }

    def _soon(self, part: Part) -> float:
        """About how many pages the next week below `part` holds."""
        return 0.0 if part.density is None else part.usual_density() * _WEEK / self.page_size

    def _pages_below(self, part: Part, known: float) -> float:
        """How many pages a part of which only the upper end was seen may have: at most a few times those that are known."""
        if part.at is None or part.density is None or part.is_at_end or (part.under and part.under.mean is None):
            return 0.0
        pages = part.usual_density() * (part.at - part.lo) / self.page_size
        return min(pages, self._most_counted_on(part, known))

    def _most_counted_on(self, part: Part, known: float) -> float:
        """How many pages are counted on below a part of which only the upper end was seen, however far back it goes."""
        return max(_FIRST_LOOK, min(self._soon(part), 2 * _FIRST_LOOK), _GROWTH * known)

    def _is_bottomless(self, part: Part, known: float) -> bool:
        """Whether nothing tells yet where the objects below the part end."""
        return part.under is None and (part.at is None or self._pages_below(part, known) >= self._most_counted_on(part, known))
