"""Reading a list in a range of `created`, by as many requests at a time as help."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec import Raw

from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError
from source_stripe.api.request import Answer, Request
from source_stripe.sync.endpoint import Endpoint, Listed, is_time
from source_stripe.sync.outlet import Rest
from source_stripe.sync.parts import SPARE, Part, Parts

CLOCK_TOLERANCE = 600
"""Seconds that one clock may run ahead of another."""


def top_of(rows: Sequence[Any], now: int) -> int:
    """Stripe's time `now`, or that of the newest of `rows` if it is a little later: what lies far ahead tells no time."""
    newest: int = rows[0].created if rows else now
    return newest if now < newest <= now + CLOCK_TOLERANCE else now


def fill_times(rows: Sequence[Any], times: Sequence[int], usual: int) -> None:
    """An object whose time is none of the `times` gets that of the one before it in the list; where none is, the first of the
    `times`, or else the `usual` one."""
    told, known = set(times), times[0] if times else usual
    for row in rows:
        row.created = known = row.created if row.created in told else known


def _end_of(rows: Sequence[Any]) -> int:
    """To when a page reads, newest first. One object alone may tell an odd time: its last two don't both."""
    end: int = max(row.created for row in rows[-2:])
    return end


class PageTaker(ABC):
    """What becomes of the pages of a list."""

    @abstractmethod
    def take(self, part: Part, rows: Sequence[Any], raws: Sequence[Raw]) -> Rest | None:
        """Take one page of `part`, without objects outside of its range; what is left to do until all of it is out, or None."""

    @abstractmethod
    def range_read(self, lo: int, hi: int) -> None:
        """All that was created from `lo` to `hi` is out. The ranges come in any order."""

    def fixed_top(self, hi: int) -> None:  # noqa: B027
        """An open top was fixed at `hi`: Stripe's time of the first answer, or that of the newest object if it is later.

        Called before the page is taken.
        """

    def aged_out(self, at: int) -> None:  # noqa: B027
        """Stripe no longer has the object, created at `at`, that a page was to start after: what is older is gone."""

    def mended(self, id: str) -> None:  # noqa: B027
        """A broken text in the object was mended."""

    async def ready(self) -> None:  # noqa: B027
        """Wait until more pages can be taken."""


@dataclass(eq=False)
class _Place:
    """Where the reading of a part is."""

    after: str | None = None
    at_ids: set[str] = field(default_factory=set)
    """The ids of the objects read that were created at the part's `at`."""
    restarted_at: tuple[int, int] | None = None
    """Where the object to start after had vanished: `at`, and how many objects of that second had been read."""

    @property
    def is_restart(self) -> bool:
        return self.after is None and bool(self.at_ids)


class ListRead:
    """Reads what was created from `lo` to `hi` of a list to its end, and hands the pages to a `PageTaker`.

    Stripe lists newest first. Where the pace allows more requests, the lower half of a part becomes a part of its own. An open
    top has no upper bound in its requests: no clock that goes wrong can hide the newest objects. Its `hi` may be None: the
    time of the first answer, or of the newest object if that is later. `spare` is the share of its pages that may be spent on
    requests besides.
    """

    def __init__(
        self,
        account: Account,
        endpoint: Endpoint,
        taker: PageTaker,
        ranges: Sequence[tuple[int, int | None]],
        open_top: bool = False,
        types: Sequence[str] = (),
        spare: float = SPARE,
    ) -> None:
        self._account, self._endpoint, self._taker, self._types = account, endpoint, taker, types
        self._parts = Parts([Part(lo, hi) for lo, hi in ranges], endpoint.paging.size, spare)
        if open_top:
            self._parts.open[-1].is_top = True
        self._waiting = 0
        self._task: asyncio.Task[Any] | None = None

    @property
    def endpoint(self) -> str:
        return self._endpoint.path

    @property
    def left(self) -> float:
        """About how many pages are still to come, infinity when that can't be told yet."""
        return self._parts.left(self._account.pace.side_by_side(self.endpoint))

    def share(self) -> float | None:
        """The share of the pages that has been read, from 0 to 1, as the density tells it; None before it can be told."""
        return self._parts.share()

    async def run(self) -> None:
        """Read it all. Returns when everything is out."""
        self._task = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._account.add(self)
                for part in reversed(self._parts.open):
                    group.create_task(self._read(part))
        finally:
            self._account.remove(self)

    def split(self) -> asyncio.Task[None] | None:
        """A task that reads a part cut off another; None when that would help little or cost too much."""
        is_ending = self._task is None or self._task.cancelling() > 0  # A task group that ends takes no more tasks.
        if is_ending or self._waiting or (part := self._parts.cut()) is None:
            return None
        return self._group.create_task(self._read(part))

    # ------------------------------------------------------------------ one part

    async def _read(self, part: Part) -> None:
        place, out = _Place(), None
        while True:
            await self._ready()
            listed = await self._page(part, place)
            self._fix_top(part, listed)
            rows, raws = self._advance(part, place, listed)
            closed = self._closed_range(part, rows)
            rest = self._taker.take(part, rows, raws)
            for id in listed.mended:
                self._taker.mended(id)
            if rest is not None or (out is not None and not out.done()):
                out = self._group.create_task(self._settle(out, rest, closed))
            elif closed:
                self._taker.range_read(*closed)
            if part.is_at_end and part.pass_index + 1 == len(self._endpoint.passes):
                self._parts.end(part)
                return
            if part.is_at_end:
                part.begin_again()
                place = _Place()

    async def _ready(self) -> None:
        self._waiting += 1
        try:
            await self._taker.ready()
        finally:
            self._waiting -= 1

    async def _settle(self, before: asyncio.Task[None] | None, rest: Rest | None, closed: tuple[int, int] | None) -> None:
        """Have the page dealt with, and those `before` it; then its range is read."""
        if rest is not None:
            await rest()
        if before is not None:
            await before
        if closed:
            self._taker.range_read(*closed)

    async def _page(self, part: Part, place: _Place) -> Listed:
        while True:
            try:
                return await self._account.get(
                    self._request(part, place), partial(self._checked, part, place, part.lo), first=place.is_restart
                )
            except StripeError as error:
                if not self._can_do_without_cursor(part, place, error):
                    raise

    def _request(self, part: Part, place: _Place) -> Request:
        hi = part.at if place.is_restart else None if part.is_top else part.hi
        return self._endpoint.list_request(part.lo, hi, place.after, part.pass_index, self._types)

    def _can_do_without_cursor(self, part: Part, place: _Place, error: StripeError) -> bool:
        """The object to start after has vanished: go on from its second, leaving out what was read of it."""
        if place.after is None or part.at is None or not error.is_missing_cursor:
            return False
        here = (part.at, len(place.at_ids))
        if place.restarted_at == here:
            return False  # It brought nothing: no object is found to start after.
        place.restarted_at, place.after = here, None
        if error.is_aged_out:
            self._taker.aged_out(part.at)
        return True

    def _checked(self, part: Part, place: _Place, lo: int, answer: Answer) -> Listed:
        """The page of what was created from `lo` on, unless it would make the reading go round in circles or end early."""
        listed = self._endpoint.page_after(place.after, answer)
        times = [row.created for row in listed.rows if is_time(row.created) and row.created >= lo]
        comes_earlier = len(times) > 1 and part.at is not None and min(times) > part.at  # One alone is an odd time.
        if place.after is not None and comes_earlier:
            raise answer.unreadable("a page came twice")
        # Odd times may make a few objects look so.
        if listed.has_more and len(times) > 4 and times[0] < times[-1] and times == sorted(times):
            raise answer.odd(f"{self.endpoint} is listed oldest first")
        if len(times) < len(listed.rows):
            # Also one that tells a time before all that was asked for.
            usual = next(time for time in (part.at, part.hi, self._account.stripe_now()) if time is not None)
            fill_times(listed.rows, times, usual)
        return listed

    def _fix_top(self, part: Part, listed: Listed) -> None:
        if part.hi is None:
            now = top_of(listed.rows, self._account.answered_at(listed.date))
            part.hi = max(now, part.lo)
            self._taker.fixed_top(now)

    def _advance(self, part: Part, place: _Place, listed: Listed) -> tuple[Sequence[Any], Sequence[Raw]]:
        """Move past the page; the objects of it that belong to the part and were not read before."""
        rows, raws = listed.rows, listed.raws
        # A part that was cut while its page was under way ends earlier than the request said.
        wanted = [index for index, row in enumerate(rows) if row.created >= part.lo and row.id not in place.at_ids]
        part.is_at_end = not listed.has_more or bool(rows and _end_of(rows) < part.lo)
        if len(wanted) < len(rows):
            rows, raws = [rows[index] for index in wanted], [raws[index] for index in wanted]
        self._parts.see(part, listed.rows, len(rows))
        if listed.rows:
            oldest = _end_of(listed.rows)
            at_oldest = {row.id for row in listed.rows if row.created <= oldest}
            place.at_ids = at_oldest | (place.at_ids if oldest == part.at else set())
            place.after = listed.rows[-1].id
        return rows, raws

    def _closed_range(self, part: Part, rows: Sequence[Any]) -> tuple[int, int] | None:
        """The range of `created` that is read once the page is out; None when the page does not end a second."""
        assert part.hi is not None
        before = part.hi if part.at is None else min(part.at, part.hi)
        if rows:
            part.at = min(_end_of(rows), before)  # Not above the part, whatever odd time stands there.
        lo = part.lo if part.is_at_end else (part.hi if part.at is None else part.at) + 1
        is_last_pass = part.pass_index + 1 == len(self._endpoint.passes)
        return (lo, before) if is_last_pass and lo <= before else None
