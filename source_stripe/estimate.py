"""How much a first read has to read, and how long that takes, as a few pages of each list tell it: Stripe gives no counts."""

import asyncio
import math
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from source_stripe import sentences
from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError
from source_stripe.api.pace import Pace
from source_stripe.config import config_error
from source_stripe.density import STRIPES_BEGINNING, Density
from source_stripe.sync.endpoint import Endpoint, is_time

MOST_REQUESTS = 8
"""So many for each stream, at most."""

_WIDTH = 80
_SHARE_OF_LIMITS = 0.9
"""What a first sync uses at least of what the limits allow."""

_WITHOUT_LIST = {"child": "read with its parent", "snapshot": "one object"}
"""By the kind of a stream that has no list of its own: what to say instead."""
_WITHOUT_TIMES = ("small", "listed")
"""Kinds of stream whose list can be read from its top alone."""


@dataclass(frozen=True)
class Estimate:
    """About how many objects a stream has, in how many pages, and how many more requests nested lists take; in place of that
    `why`, where it can't be told."""

    stream: str
    objects: float = 0.0
    pages: int = 0
    nested: int = 0
    is_exact: bool = False
    why: str = ""


async def estimates(account: Account, streams: Sequence[tuple[Endpoint, int]], rows: sentences.Rows) -> list[Estimate]:
    """Of each stream, given with the time from which on its objects are wanted. A config error when none can be asked for."""
    looked_at = [_Stream(account, endpoint, start, rows) for endpoint, start in streams]
    await asyncio.gather(*(stream.begin() for stream in looked_at))
    oldest = [each.oldest for stream in looked_at for each in stream.lists if each.oldest]
    await asyncio.gather(*(stream.look(min(oldest, default=0)) for stream in looked_at))
    return [stream.estimate() for stream in looked_at]


class _Stream:
    """A stream as far as a few pages show it, and what Stripe says no with, if it does."""

    def __init__(self, account: Account, endpoint: Endpoint, start: int, rows: sentences.Rows) -> None:
        self.endpoint, self.rows, self.kind = endpoint, rows, getattr(endpoint, "kind", "")
        passes = [] if self.kind in _WITHOUT_LIST else endpoint.passes
        self.lists = [_List(account, endpoint, index, start) for index in range(len(passes))]
        self.refusal: StripeError | None = None

    async def begin(self) -> None:
        await self._ask(lambda each: each.begin())

    async def look(self, beginning: int) -> None:
        if self.kind not in _WITHOUT_TIMES:
            await self._ask(lambda each: each.look(beginning, MOST_REQUESTS // len(self.lists) - 1))

    async def _ask(self, ask: Callable[["_List"], Awaitable[None]]) -> None:
        try:
            for each in self.lists:
                await ask(each)
        except StripeError as error:
            if error.retryable or (error.kind == "config" and not error.is_missing_permission):
                raise config_error(sentences.of_question(error, self.endpoint.permission, self.rows)) from error
            self.refusal, self.lists = error, []

    def estimate(self) -> Estimate:
        name, size = self.endpoint.name, self.endpoint.paging.size
        if self.refusal is not None:
            return Estimate(name, why=sentences.not_to_be_read(self.refusal, self.endpoint.permission, self.rows))
        if self.kind in _WITHOUT_LIST:
            return Estimate(name, why=_WITHOUT_LIST[self.kind])
        is_exact = all(each.is_whole for each in self.lists)
        if self.kind in _WITHOUT_TIMES and not is_exact:
            return Estimate(name, why=f"more than {size:,}: its list can't be looked into")
        objects = sum(each.objects for each in self.lists)
        pages = sum(max(1, math.ceil(each.objects / size)) for each in self.lists)
        cut = sum(each.cut for each in self.lists) / max(1, sum(each.seen for each in self.lists))
        return Estimate(name, objects, pages, round(objects * cut), is_exact)


@dataclass
class _List:
    """A list of a stream, of which it may take several to show all objects, as far as pages of it were seen."""

    account: Account
    endpoint: Endpoint
    pass_index: int
    start: int
    lowest: int = 0
    """Nothing that is wanted was created before."""
    newest: int = 0
    oldest: int = 0
    """Of the objects of the first page."""
    seen: int = 0
    cut: int = 0
    """Nested lists in the objects seen that have to be read besides."""
    is_whole: bool = False
    density: Density = field(default_factory=Density)

    async def begin(self) -> None:
        """Look at the newest objects."""
        times, has_more = await self._page(None)
        self.lowest = max(self.start, STRIPES_BEGINNING)
        self.is_whole = not has_more or not times
        if times:
            self.newest, self.oldest = times[0], times[-1]
            self.density.see(self.oldest, self.newest, len(times))

    async def look(self, beginning: int, requests: int) -> None:
        """Look at the account's `beginning`, as far as that is known, and then wherever most is in doubt."""
        at = beginning - 1 if self.lowest < beginning < self.oldest else (self.lowest + self.oldest) // 2
        for _ in range(0 if self.is_whole else requests):
            times, has_more = await self._page(at)
            if times:
                self.density.see(times[-1], max(at, times[0]), len(times))
            if not has_more:
                self.lowest = times[-1] if times else at + 1
            lo, hi = self.density.widest(self.lowest, self.newest)
            if self.density.doubt(lo, hi) < self.endpoint.paging.size:
                break
            at = int((lo + hi) / 2)

    async def _page(self, hi: int | None) -> tuple[list[int], bool]:
        """When the objects of the page below `hi` were created, newest first, and whether there are more."""
        request = self.endpoint.list_request(self.start or None, hi, None, self.pass_index)
        listed = await self.account.get(request, self.endpoint.listed)
        self.seen += len(listed.rows)
        self.cut += sum(len(self.endpoint.cut_lists(row)) for row in listed.rows)
        return [row.created for row in listed.rows if is_time(row.created)], listed.has_more

    @property
    def objects(self) -> float:
        """Below everything that was seen no more is counted on than lies above."""
        if self.is_whole:
            return self.seen
        above = self.density.objects(self.density.earliest, self.newest)
        return above + min(above, self.density.objects(self.lowest, self.density.earliest))


def table(estimates: Sequence[Estimate], pace: Pace, asked: int) -> str:
    """The estimates in columns, for a terminal of 80, with the limits that the minutes come from; `asked` requests told them."""
    width = max(len(each.stream) for each in estimates)
    lines = [f"{'stream':{width}}  {'objects':>13}  {'requests':>10}  {'minutes':>8}"]
    for each in estimates:
        figures = textwrap.shorten(each.why, _WIDTH - width - 2, placeholder=" ...") if each.why else _figures([each], pace)
        lines.append(f"{each.stream:{width}}  {figures}")
    lines.append(f"{'in all':{width}}  {_figures([each for each in estimates if not each.why], pace)}")
    limits = f"{pace.rate:,.0f} requests a second, {pace.endpoint_rate:,.0f} to one endpoint"
    return "\n".join([*lines, "", f"A first read at {limits}; {asked:,} requests told."]) + "\n"


def _figures(estimates: Sequence[Estimate], pace: Pace) -> str:
    """The columns of what is read side by side."""
    is_exact = all(each.is_exact for each in estimates)
    requests = sum(each.pages + each.nested for each in estimates)
    # A nested list has an endpoint of its own.
    most = max((max(each.pages, each.nested) for each in estimates), default=0)
    minutes = max(requests / pace.rate, most / pace.endpoint_rate) / _SHARE_OF_LIMITS / 60
    objects = _rounded(sum(each.objects for each in estimates), is_exact)
    return f"{objects:>13}  {_rounded(requests, is_exact):>10}  {minutes:>8,.1f}"


def _rounded(number: float, is_exact: bool) -> str:
    """All digits of what is known exactly, else two."""
    return f"{number:,.0f}" if is_exact or number < 100 else f"~ {float(f'{number:.2g}'):,.0f}"
