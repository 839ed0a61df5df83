"""Reading a list in a range of `created`, by as many requests at a time as help."""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Raw

from source_stripe.errors import StripeError
from source_stripe.requester import Answer
from source_stripe.retriever import Listed, StripeRetriever
from source_stripe.scheduler import Owner, Scheduler, Task

_FEWEST_PAGES_TO_SPLIT = 3
# Of the pages that a list takes at the least, how many more requests may be spent: the contract allows 3 %.
_SPARE = 0.025
_SPARE_AT_FIRST = 0.25
# What was read is certain: by that nearly all of the 3 % may be spent.
_NEARLY_ALL = 0.029 / _SPARE
# Of the pages below, where nothing was read yet, so many are counted on at most; and those between two places that were
# read at most as so many times the pages read.
_MOST_GUESSED = 13
_MOST_FAITH = 8
# Fewer pages than these tell nothing of how many are to come.
_FEW_PAGES = 16
# Where nothing was read yet, a split skips eight pages, sixteen if the next week holds so many, or twice as many as are known.
_FIRST_REACH = 16
_GROWTH = 4
# What began to be used at all was used for a week.
_WEEK = 7 * 86_400


class ListReader(ABC):
    """What becomes of the pages of a list."""

    @abstractmethod
    def read(self, rows: Sequence[Any], raws: Sequence[Raw], claim: "Claim") -> None:
        """Take one page's objects, newest first, already without those outside the range. Called without the lock.

        The claim may be held until more than the page has been dealt with.
        """

    @abstractmethod
    def claimed(self, lo: int, hi: int) -> None:
        """All that was created from `lo` to `hi` has been dealt with. Called with the lock held, in any order of ranges."""

    @abstractmethod
    def finished(self) -> None:
        """The whole range has been. Called once, with the lock held."""

    def top(self, hi: int) -> None:  # noqa: B027
        """An open top was fixed at `hi`: Stripe's time of the first answer, or that of the newest object if it is later.

        Called with the lock held, before the page is read.
        """

    def aged_out(self, at: int) -> None:  # noqa: B027
        """Stripe no longer has the object, created at `at`, that a page was to start after: what is older is gone."""

    def is_full(self) -> bool:
        """Whether pages are to wait until what was read is dealt with. The reader then calls `ListRead.resume`."""
        return False


@dataclass(eq=False)
class Claim:
    """What may be said to be read once a page has been dealt with: the range of `created` that it closes, if any."""

    list_read: "ListRead"
    part: "_Part"
    closes: tuple[int, int] | None
    holds: int = 1

    def hold(self) -> None:
        self.holds += 1

    def release(self) -> None:
        """Called with the lock held."""
        self.holds -= 1
        if self.holds == 0:
            self.list_read.settle(self.part)


@dataclass(eq=False)
class _Part:
    """A range of `created` that one chain of pages reads, from `hi` down to `lo`."""

    lo: int
    hi: int | None
    is_top: bool = False
    turn: int = 0
    after: str | None = None
    at: int | None = None
    """`created` of the last object read; None before the first page of a pass."""
    at_ids: set[str] = field(default_factory=set)
    """The ids of the objects read that were created at `at`."""
    restart: bool = False
    restarted_at: tuple[int, int] | None = None
    """Where the last restart was: `at`, and how many objects of that second had been read."""
    density: float | None = None
    """Objects a second where the part is being read."""
    under: "_Part | None" = None
    """The part that begins where this one ends."""
    since: int | None = None
    """`created` of the newest object, of the part at the top."""
    objects: int = 0
    """How many were read in this pass."""
    mean: float | None = None
    """Objects a second of what was read in this pass; 0 when there were none, None before the first page."""
    is_at_end: bool = False
    """The last page of a pass came, and is being dealt with."""
    claims: deque[Claim] = field(default_factory=deque)

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


class ListRead:
    """Reads what was created from `lo` to `hi` of a list to its end, and hands the pages to a `ListReader`.

    Stripe lists newest first and tells no counts. A page's span of time tells the density, so a worker that would have
    nothing to do is given the lower half of the largest part, as far as the few requests that this wastes allow. An open
    top has no upper bound in its requests: no clock that goes wrong can hide the newest objects. Its `hi` may be None: the
    time of the first answer, or of the newest object if that is later. `spare` is the share of its pages that may be spent
    on requests besides.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        owner: Owner,
        retriever: StripeRetriever,
        reader: ListReader,
        ranges: Sequence[tuple[int, int | None]],
        open_top: bool = False,
        types: Sequence[str] = (),
        spare: float = _SPARE,
    ) -> None:
        self._scheduler = scheduler
        self._owner = owner
        self._retriever = retriever
        self._reader = reader
        self._types = types
        self._spare = spare
        self._parts = [_Part(lo, hi) for lo, hi in ranges]
        if open_top:
            self._parts[-1].is_top = True
        self._unclaimed = len(self._parts)
        self._requests = 0
        self._objects = 0
        self._ended = 0
        self._stalled: list[_Part] = []
        self._left: float | None = None
        self._splits_in_vain = False

    @property
    def endpoint(self) -> str:
        return self._retriever.path

    @property
    def left(self) -> float:
        """About how many pages are still to come, infinity as long as reading on will tell more of that.

        The pages of a part that can't be split come one by one: each counts for as many as come side by side otherwise.
        Called with the lock held.
        """
        if self._left is None:
            left, known = self._pages_left(), self._pages_known()
            if self._requests < _FEW_PAGES or any(self._is_bottomless(part, known) for part in self._parts):
                self._left = math.inf
            else:
                is_spent = self._is_spent(known + _MOST_GUESSED)
                longest = max(left.values(), default=0.0) if is_spent else 0.0
                self._left = max(longest * self._scheduler.pace.side_by_side(self.endpoint), sum(left.values()))
        return self._left

    def start(self) -> None:
        """Queue the first requests. Called with the lock held."""
        self._scheduler.hold(self._owner)
        self._scheduler.add_splitter(self)
        self._scheduler.add(*(self._task(part) for part in reversed(self._parts)))

    # ------------------------------------------------------------------ pages

    def _task(self, part: _Part) -> Task:
        hi = None if part.is_top else part.hi
        if part.restart and part.at is not None:
            hi = part.at
        request = self._retriever.list_request(part.lo, hi, part.after, part.turn, self._types)
        return Task(
            self._owner, request, lambda answer: self._handle(part, answer), lambda error: self._without_cursor(part, error)
        )

    def _without_cursor(self, part: _Part, error: StripeError) -> bool:
        """The object to start after has vanished: go on from its second, leaving out what was read of it."""
        if part.after is None or part.at is None or not error.is_missing_cursor:
            return False
        if part.restarted_at == (part.at, len(part.at_ids)):
            return False  # It brought nothing: no object is found to start after.
        part.restarted_at = (part.at, len(part.at_ids))
        if error.is_aged_out:
            self._reader.aged_out(part.at)
        part.after = None
        part.restart = True
        self._scheduler.add(self._task(part), first=True)
        return True

    def _handle(self, part: _Part, answer: Answer) -> None:
        listed = self._retriever.listed(answer)
        self._check(part, listed, answer)
        with self._scheduler.lock:
            if part.hi is None:
                now = max([self._scheduler.stripe_now(), *(row.created for row in listed.rows[:1])])
                part.hi = max(now, part.lo)
                self._reader.top(now)
            rows, raws, is_end = self._advance(part, listed)
            part.is_at_end = is_end
            claim = self._claim(part, rows, is_end)
        self._reader.read(rows, raws, claim)
        with self._scheduler.lock:
            if not is_end:
                self._go_on(part)
            elif part.turn + 1 < len(self._retriever.passes):
                part.turn += 1
                part.after, part.at, part.restart, part.is_at_end = None, None, False, False
                part.objects = 0
                part.at_ids.clear()
                self._go_on(part)
            else:
                self._parts.remove(part)
                self._ended += 1
            claim.release()

    def _go_on(self, part: _Part) -> None:
        if self._reader.is_full():
            self._scheduler.hold(self._owner)
            self._stalled.append(part)
        else:
            self._scheduler.add(self._task(part))

    def resume(self) -> None:
        """Go on with the parts that waited for a full reader. Called with the lock held."""
        while self._stalled and not self._reader.is_full():
            self._scheduler.add(self._task(self._stalled.pop()))
            self._scheduler.release(self._owner)

    def _check(self, part: _Part, listed: Listed, answer: Answer) -> None:
        """Refuse a page that would make the reading go round in circles or end early."""
        if listed.has_more and not listed.rows:
            raise answer.unreadable("a page without objects says that there are more")
        at = math.inf if part.at is None else part.at
        if part.after is not None and any(row.id == part.after or row.created > at for row in listed.rows):
            raise answer.unreadable("a page came twice")

    def _advance(self, part: _Part, listed: Listed) -> tuple[Sequence[Any], Sequence[Raw], bool]:
        """Move the part's position past the page; the objects that belong to the part, and whether it ends here."""
        self._left, self._splits_in_vain = None, False
        self._requests += 1
        rows, raws = listed.rows, listed.raws
        # A part that was split while its page was under way ends earlier than the request said.
        wanted = [index for index, row in enumerate(rows) if row.created >= part.lo and row.id not in part.at_ids]
        is_end = not listed.has_more or bool(rows and rows[-1].created < part.lo)
        if len(wanted) < len(rows):
            rows, raws = [rows[index] for index in wanted], [raws[index] for index in wanted]
        self._objects += len(rows)
        part.objects += len(rows)
        if listed.rows:
            assert part.hi is not None
            newest, oldest = listed.rows[0].created, listed.rows[-1].created
            if part.is_top and part.at is None:
                # Above the newest object there is nothing, for however long.
                part.since = newest
            part.mean = part.objects / max(1, (part.since or part.hi) - oldest)
            part.density = len(listed.rows) / max(1, newest - oldest)
            part.after = listed.rows[-1].id
            part.at_ids = {row.id for row in listed.rows if row.created == oldest} | (part.at_ids if oldest == part.at else set())
        elif part.mean is None:
            part.mean = 0.0
        return rows, raws, is_end

    def _claim(self, part: _Part, rows: Sequence[Any], is_end: bool) -> Claim:
        assert part.hi is not None
        before = part.hi if part.at is None else min(part.at, part.hi)
        if rows:
            part.at = rows[-1].created
        closes = None
        if part.turn + 1 == len(self._retriever.passes):
            lo = part.lo if is_end else (part.hi if part.at is None else part.at) + 1
            if lo <= before:
                closes = (lo, before)
        claim = Claim(self, part, closes)
        part.claims.append(claim)
        return claim

    def settle(self, part: _Part) -> None:
        """Pass on the part's claims in order, as far as they are ready. Called with the lock held."""
        while part.claims and part.claims[0].holds == 0:
            claim = part.claims.popleft()
            if claim.closes:
                self._reader.claimed(*claim.closes)
        if not part.claims and part not in self._parts:
            self._unclaimed -= 1
            if self._unclaimed == 0:
                self._scheduler.remove_splitter(self)
                self._reader.finished()
                self._scheduler.release(self._owner)

    def share(self) -> float | None:
        """The share of the pages that has been read, from 0 to 1, as the density tells it; None before it can be told."""
        if not self._requests or any(part.at is None or (self._reach(part, 1.0) and not part.between()) for part in self._parts):
            return None
        return self._requests / (self._requests + sum(self._pages_left().values()))

    # ------------------------------------------------------------------ splitting

    def split(self) -> Task | None:
        if self._splits_in_vain or self._owner.error is not None or not self._parts or self._stalled:
            return None
        self._left = None
        part = self._longest() or self._perhaps_long()
        self._splits_in_vain = part is None
        return self._task(part) if part else None

    def _longest(self) -> _Part | None:
        """The lower half of the part that has most to go; none when none is long, or when that may cost too much."""
        left, known = self._pages_left(), self._pages_known()
        guessed = sum(pages for part, pages in left.items() if not part.between())
        if self._is_spent(known + min(guessed, _MOST_GUESSED)):
            return None
        return self._cut_first(left, lambda part: self._split_point(part, known))

    def _perhaps_long(self) -> _Part | None:
        """Towards the end: a part that is long if its density does not fall off before where it ends."""
        if self._is_spent(self._objects / self._retriever.page_size * _NEARLY_ALL):
            return None
        most = {part: part.between_at_most() / self._retriever.page_size for part in self._parts}
        return self._cut_first(most, lambda part: part.at and (part.at + part.lo) // 2)

    def _is_spent(self, pages: float) -> bool:
        """Whether another part might cost more requests than a list of so many pages allows.

        Where a part ends half a page is lost, or more if that is what the parts that have ended tell.
        """
        wasted = self._requests - self._objects / self._retriever.page_size
        by_part = max(0.5, (wasted + 1.0) / (self._ended + 2))
        return wasted + by_part * len(self._parts) > self._spare * pages + _SPARE_AT_FIRST

    def _cut_first(self, pages: Mapping[_Part, float], point: Callable[[_Part], int | None]) -> _Part | None:
        for part in sorted(self._parts, key=pages.__getitem__, reverse=True):
            if pages[part] < _FEWEST_PAGES_TO_SPLIT:
                break
            if (at := point(part)) is not None:
                return self._cut(part, at)
        return None

    def _pages_known(self) -> float:
        """Pages that are there: those read, and those between two places that were read, as far as a guess can be trusted."""
        read = self._objects / self._retriever.page_size
        return min(read + sum(part.between_at_least() for part in self._parts) / self._retriever.page_size, _MOST_FAITH * read)

    def _pages_left(self) -> dict[_Part, float]:
        """An estimate of the pages that each part has yet to read; 0 when nothing is known."""
        known = self._pages_known()
        return {
            part: part.between() / self._retriever.page_size or min(self._reach(part, known), max(known, self._soon(part)))
            for part in self._parts
        }

    def _soon(self, part: _Part) -> float:
        """About how many pages the next week below `part` holds."""
        return 0.0 if part.density is None else self._usual_density(part) * _WEEK / self._retriever.page_size

    def _reach(self, part: _Part, known: float) -> float:
        """How many pages a part of which only the upper end was seen may have: at most a few times those that are known."""
        if part.at is None or part.density is None or part.is_at_end or (part.under and part.under.mean is None):
            return 0.0
        pages = self._usual_density(part) * (part.at - part.lo) / self._retriever.page_size
        return min(pages, self._far(part, known))

    def _far(self, part: _Part, known: float) -> float:
        """How many pages are counted on below a part of which only the upper end was seen, however far back it goes."""
        return max(_FIRST_REACH, min(self._soon(part), 2 * _FIRST_REACH), _GROWTH * known)

    def _is_bottomless(self, part: _Part, known: float) -> bool:
        """Whether nothing tells yet where the objects below the part end."""
        return part.under is None and (part.at is None or self._reach(part, known) >= self._far(part, known))

    @staticmethod
    def _usual_density(part: _Part) -> float:
        """Of what lies below `part`: in a burst, as densely as all of the part that was read, gaps included."""
        assert part.density is not None
        return min(part.density, part.mean or part.density)

    def _split_point(self, part: _Part, known: float) -> int | None:
        """The second at which the lower of two parts should begin, going down: the middle of its objects."""
        assert part.at is not None
        assert part.density is not None
        if part.between():
            at = part.at - int(part.half_way() * (part.at - part.lo))
        else:
            at = part.at - int(self._reach(part, known) / 2 * self._retriever.page_size / self._usual_density(part))
        return at if part.lo <= at < part.at else None

    def _cut(self, part: _Part, at: int) -> _Part:
        lower = _Part(part.lo, at, turn=part.turn, under=part.under)
        part.lo, part.under = at + 1, lower
        self._parts.append(lower)
        self._unclaimed += 1
        return lower
