"""Reading a list in a range of `created`, by as many requests at a time as help."""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Raw

from source_stripe.errors import StripeError
from source_stripe.parts import SPARE, Part, Parts
from source_stripe.requester import Answer
from source_stripe.retriever import Listed, StripeRetriever
from source_stripe.scheduler import Owner, Scheduler, Task


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
    chain: "_Chain"
    closes: tuple[int, int] | None
    holds: int = 1

    def hold(self) -> None:
        self.holds += 1

    def release(self) -> None:
        """Called with the lock held."""
        self.holds -= 1
        if self.holds == 0:
            self.list_read.settle(self.chain)


@dataclass(eq=False)
class _Chain:
    """One page after another of a part, and the claims of those that are being dealt with."""

    part: Part
    after: str | None = None
    at_ids: set[str] = field(default_factory=set)
    """The ids of the objects read that were created at the part's `at`."""
    restart: bool = False
    restarted_at: tuple[int, int] | None = None
    """Where the last restart was: `at`, and how many objects of that second had been read."""
    claims: deque[Claim] = field(default_factory=deque)

    def begin_again(self) -> None:
        """Another pass begins."""
        self.after, self.restart = None, False
        self.at_ids.clear()
        self.part.begin_again()


class ListRead:
    """Reads what was created from `lo` to `hi` of a list to its end, and hands the pages to a `ListReader`.

    Stripe lists newest first. A worker that would have nothing to do is given the lower half of a part. An open top has no
    upper bound in its requests: no clock that goes wrong can hide the newest objects. Its `hi` may be None: the time of the
    first answer, or of the newest object if that is later. `spare` is the share of its pages that may be spent on requests
    besides.
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
        spare: float = SPARE,
    ) -> None:
        self._scheduler = scheduler
        self._owner = owner
        self._retriever = retriever
        self._reader = reader
        self._types = types
        self._parts = Parts([Part(lo, hi) for lo, hi in ranges], retriever.page_size, spare)
        if open_top:
            self._parts.open[-1].is_top = True
        self._unclaimed = len(ranges)
        self._stalled: list[_Chain] = []

    @property
    def endpoint(self) -> str:
        return self._retriever.path

    @property
    def left(self) -> float:
        """About how many pages are still to come, infinity when that can't be told yet. Called with the lock held."""
        return self._parts.left(self._scheduler.pace.side_by_side(self.endpoint))

    def start(self) -> None:
        """Queue the first requests. Called with the lock held."""
        self._scheduler.hold(self._owner)
        self._scheduler.add_splitter(self)
        self._scheduler.add(*(self._task(_Chain(part)) for part in reversed(self._parts.open)))

    # ------------------------------------------------------------------ pages

    def _task(self, chain: _Chain) -> Task:
        part = chain.part
        hi = None if part.is_top else part.hi
        if chain.restart and part.at is not None:
            hi = part.at
        request = self._retriever.list_request(part.lo, hi, chain.after, part.turn, self._types)
        return Task(
            self._owner, request, lambda answer: self._handle(chain, answer), lambda error: self._without_cursor(chain, error)
        )

    def _without_cursor(self, chain: _Chain, error: StripeError) -> bool:
        """The object to start after has vanished: go on from its second, leaving out what was read of it."""
        at = chain.part.at
        if chain.after is None or at is None or not error.is_missing_cursor:
            return False
        if chain.restarted_at == (at, len(chain.at_ids)):
            return False  # It brought nothing: no object is found to start after.
        chain.restarted_at = (at, len(chain.at_ids))
        if error.is_aged_out:
            self._reader.aged_out(at)
        chain.after = None
        chain.restart = True
        self._scheduler.add(self._task(chain), first=True)
        return True

    def _handle(self, chain: _Chain, answer: Answer) -> None:
        listed = self._retriever.listed(answer)
        self._check(chain, listed, answer)
        part = chain.part
        with self._scheduler.lock:
            if part.hi is None:
                now = max([self._scheduler.stripe_now(), *(row.created for row in listed.rows[:1])])
                part.hi = max(now, part.lo)
                self._reader.top(now)
            rows, raws, is_end = self._advance(chain, listed)
            part.is_at_end = is_end
            claim = self._claim(chain, rows, is_end)
        self._reader.read(rows, raws, claim)
        with self._scheduler.lock:
            if not is_end:
                self._go_on(chain)
            elif part.turn + 1 < len(self._retriever.passes):
                chain.begin_again()
                self._go_on(chain)
            else:
                self._parts.end(part)
            claim.release()

    def _go_on(self, chain: _Chain) -> None:
        if self._reader.is_full():
            self._scheduler.hold(self._owner)
            self._stalled.append(chain)
        else:
            self._scheduler.add(self._task(chain))

    def resume(self) -> None:
        """Go on with the parts that waited for a full reader. Called with the lock held."""
        while self._stalled and not self._reader.is_full():
            self._scheduler.add(self._task(self._stalled.pop()))
            self._scheduler.release(self._owner)

    def _check(self, chain: _Chain, listed: Listed, answer: Answer) -> None:
        """Refuse a page that would make the reading go round in circles or end early."""
        if listed.has_more and not listed.rows:
            raise answer.unreadable("a page without objects says that there are more")
        at = math.inf if chain.part.at is None else chain.part.at
        if chain.after is not None and any(row.id == chain.after or row.created > at for row in listed.rows):
            raise answer.unreadable("a page came twice")

    def _advance(self, chain: _Chain, listed: Listed) -> tuple[Sequence[Any], Sequence[Raw], bool]:
        """Move past the page; the objects that belong to the part, and whether it ends here."""
        part, rows, raws = chain.part, listed.rows, listed.raws
        # A part that was cut while its page was under way ends earlier than the request said.
        wanted = [index for index, row in enumerate(rows) if row.created >= part.lo and row.id not in chain.at_ids]
        is_end = not listed.has_more or bool(rows and rows[-1].created < part.lo)
        if len(wanted) < len(rows):
            rows, raws = [rows[index] for index in wanted], [raws[index] for index in wanted]
        self._parts.see(part, listed.rows, len(rows))
        if listed.rows:
            oldest = listed.rows[-1].created
            chain.after = listed.rows[-1].id
            at_oldest = {row.id for row in listed.rows if row.created == oldest}
            chain.at_ids = at_oldest | (chain.at_ids if oldest == part.at else set())
        return rows, raws, is_end

    def _claim(self, chain: _Chain, rows: Sequence[Any], is_end: bool) -> Claim:
        part = chain.part
        assert part.hi is not None
        before = part.hi if part.at is None else min(part.at, part.hi)
        if rows:
            part.at = rows[-1].created
        closes = None
        if part.turn + 1 == len(self._retriever.passes):
            lo = part.lo if is_end else (part.hi if part.at is None else part.at) + 1
            if lo <= before:
                closes = (lo, before)
        claim = Claim(self, chain, closes)
        chain.claims.append(claim)
        return claim

    def settle(self, chain: _Chain) -> None:
        """Pass on the part's claims in order, as far as they are ready. Called with the lock held."""
        while chain.claims and chain.claims[0].holds == 0:
            claim = chain.claims.popleft()
            if claim.closes:
                self._reader.claimed(*claim.closes)
        if not chain.claims and chain.part not in self._parts.open:
            self._unclaimed -= 1
            if self._unclaimed == 0:
                self._scheduler.remove_splitter(self)
                self._reader.finished()
                self._scheduler.release(self._owner)

    def share(self) -> float | None:
        """The share of the pages that has been read, from 0 to 1, as the density tells it; None before it can be told."""
        return self._parts.share()

    def split(self) -> Task | None:
        """The first page of a part that is cut off another; none when that would help little or cost too much."""
        if self._owner.error is not None or self._stalled or (part := self._parts.cut()) is None:
            return None
        self._unclaimed += 1
        return self._task(_Chain(part))
