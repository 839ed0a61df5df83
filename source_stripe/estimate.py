"""How much a first read has to read, and how long that takes, as a few pages of each list tell it: Stripe gives no counts."""

import asyncio
import math
import textwrap
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from source_stripe import sentences
from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError
from source_stripe.api.pace import Pace
from source_stripe.config import config_error
from source_stripe.density import STRIPES_BEGINNING, Density
from source_stripe.sync.endpoint import Endpoint, Listed, is_time
from source_stripe.sync.page import END_OF_TIME

MOST_REQUESTS = 8
"""So many for each stream, at most."""

_WIDTH = 80
_SHARE_OF_LIMITS = 0.9
"""What a first sync uses at least of what the limits allow."""
_SMALL_DOUBT = 0.02
"""Of a list's length: more looks would not tell much more."""
_LOOKS = 3
"""At so many places before a list is taken for a short one."""
_WITH_TIMES = ("changing", "immutable")
"""Kinds of stream whose list can be looked into at any time; the others' can be read from its top alone."""

Certainty = Literal["exact", "about", "more"]
_MARKS: dict[Certainty, str] = {"exact": "", "about": "~ ", "more": "> "}


@dataclass(frozen=True)
class Estimate:
    """How many objects a stream has (None: nobody knows), in how many pages, and how many requests nested lists or the lists
    of children take besides; in place of that `why`, where it has no requests of its own."""

    stream: str
    objects: float | None = None
    pages: int = 0
    nested: int = 0
    certainty: Certainty = "about"
    why: str = ""


async def estimates(
    account: Account, streams: Sequence[Endpoint], parents: Mapping[str, Endpoint], start: int, rows: sentences.Rows
) -> list[Estimate]:
    """Of each stream, of objects that were created from `start` on, and of the parents that are read for children that stand in
    them; `parents` are those of all children. A config error when none can be asked for."""
    own = {each.name: each for each in streams if each.kind != "child"} | dict(parents)
    walked = [each for each in streams if each.walk is not None]
    looked_at = {name: _Stream(account, endpoint, start, walked, rows) for name, endpoint in own.items()}
    await asyncio.gather(*(stream.begin() for stream in looked_at.values()))
    beginning = min((each.deepest for stream in looked_at.values() for each in stream.lists), default=0)
    await asyncio.gather(*(stream.look(beginning) for stream in looked_at.values()))
    children = [_of_children(each, [looked_at[name] for name in each.parents]) for each in streams if each.kind == "child"]
    read = {each.name for each in streams}.union(*(each.parents for each in streams if each.walk is None))
    lists = [stream.estimate() for name, stream in looked_at.items() if name in read]
    return sorted([*lists, *children], key=lambda each: each.stream)


def _of_children(child: Endpoint, parents: Sequence["_Stream"]) -> Estimate:
    """Of children that stand in their parents' answers, or that have a list for each parent: these are listed anew for it."""
    of_parents = [parent.estimate() for parent in parents]
    if child.walk is None or any(each.why for each in of_parents):
        refusal = next((each.why for each in of_parents if each.why), "")
        return Estimate(child.name, why=refusal or f"read with {', '.join(child.parents)}")
    walks = sum((each.objects or 0) * parent.share(child.name) for each, parent in zip(of_parents, parents, strict=True))
    certainty = _least_certain(of_parents)
    return Estimate(child.name, None, sum(each.pages for each in of_parents), round(walks), certainty)


class _Stream:
    """A stream as far as a few pages show it, and what Stripe says no with, if it does."""

    def __init__(
        self, account: Account, endpoint: Endpoint, start: int, walked: Sequence[Endpoint], rows: sentences.Rows
    ) -> None:
        self.endpoint, self.rows = endpoint, rows
        children = [each for each in walked if endpoint.name in each.parents]
        self.lists = [_List(account, endpoint, index, start, children) for index in range(len(endpoint.passes))]
        self.refusal: StripeError | None = None

    async def begin(self) -> None:
        await self._ask(lambda each: each.begin())

    async def look(self, beginning: int) -> None:
        most = MOST_REQUESTS // max(1, len(self.lists)) - 1
        if self.endpoint.kind in _WITH_TIMES:
            await self._ask(lambda each: each.look(beginning, most))
        else:
            await self._ask(lambda each: each.go_on(most))

    async def _ask(self, ask: Callable[["_List"], Awaitable[None]]) -> None:
        try:
            for each in self.lists:
                await ask(each)
        except StripeError as error:
            if error.retryable or (error.kind == "config" and not error.is_missing_permission):
                raise config_error(sentences.of_question(error, self.endpoint.permission, self.rows)) from error
            self.refusal, self.lists = error, []

    def share(self, child: str) -> float:
        """Of how many of the objects the children of that name are asked for."""
        return sum(each.leading[child] for each in self.lists) / max(1, sum(each.seen for each in self.lists))

    def estimate(self) -> Estimate:
        name, size = self.endpoint.name, self.endpoint.paging.size
        if self.refusal is not None:
            absent = self.endpoint.product if self.refusal.is_not_enabled else ""
            return Estimate(name, why=sentences.not_to_be_read(self.refusal, self.endpoint.permission, self.rows, absent))
        is_exact = all(each.is_whole for each in self.lists)
        certainty: Certainty = "exact" if is_exact else "about" if self.endpoint.kind in _WITH_TIMES else "more"
        objects = sum(each.objects for each in self.lists)
        pages = sum(max(1, math.ceil(each.objects / size)) for each in self.lists)
        cut = sum(each.cut for each in self.lists) / max(1, sum(each.seen for each in self.lists))
        return Estimate(name, objects, pages, round(objects * cut), certainty)


@dataclass
class _List:
    """A list of a stream, of which it may take several to show all objects, as far as pages of it were seen."""

    account: Account
    endpoint: Endpoint
    pass_index: int
    start: int
    """Nothing that is wanted was created before."""
    children: Sequence[Endpoint] = ()
    """Those that have a list for each object of this one."""
    lowest: int = 0
    newest: int = 0
    deepest: int = END_OF_TIME
    """When the newest and the oldest object were created of those seen; nothing was before `lowest`."""
    last: str = ""
    seen_from_top: int = 0
    seen: int = 0
    cut: int = 0
    """Nested lists in the objects seen that have to be read besides."""
    leading: Counter[str] = field(default_factory=Counter)
    """By the children's name how many of the objects seen may have some."""
    is_whole: bool = False
    density: Density = field(default_factory=Density)

    async def begin(self) -> None:
        """Look at the top of the list."""
        self.lowest = max(self.start, STRIPES_BEGINNING)
        await self._page(None)

    async def go_on(self, requests: int) -> None:
        """Read on from the top."""
        while requests and not self.is_whole:
            requests -= 1
            await self._page(None, after=self.last)

    async def look(self, beginning: int, requests: int) -> None:
        """Look at what comes next, at the account's `beginning`, as far as that is known, and then wherever most is in doubt. A
        list that seems short is read on to its end."""
        await self.go_on(1)
        at = beginning - 1 if self.lowest < beginning < self.deepest else (self.lowest + self.deepest) // 2
        for left in range(0 if self.is_whole or not self.density else requests - 1, 0, -1):
            total, in_reach = self.density.objects(self.lowest, self.newest), left * self.endpoint.paging.size
            if left <= requests - _LOOKS and total < self.seen_from_top + in_reach:
                return await self.go_on(left)
            if not await self._page(at):
                self.lowest = min(at + 1, self.deepest)
            lo, hi = self.density.widest(self.lowest, self.newest)
            if self.density.doubt(lo, hi) < _SMALL_DOUBT * total:
                break
            at = int((lo + hi) / 2)

    async def _page(self, hi: int | None, after: str | None = None) -> bool:
        """See the page below `hi`, or after the object `after`; whether there are more."""
        listed = await self._listed(hi, after)
        times = [row.created for row in listed.rows if is_time(row.created)]
        if times:
            self.newest, self.deepest = max(self.newest, *times), min(self.deepest, *times)
            self.density.see(min(times), max(hi or 0, *times), len(times))
        self.seen += len(listed.rows)
        self.cut += sum(len(self.endpoint.cut_lists(row)) for row in listed.rows)
        for child in self.children:
            self.leading[child.name] += sum(child.walk is not None and child.walk.leads_from(raw) for raw in listed.raws)
        if hi is None:
            self.seen_from_top += len(listed.rows)
            self.last = listed.rows[-1].id if listed.rows else ""
            self.is_whole = not listed.has_more or not self.last
        return listed.has_more

    async def _listed(self, hi: int | None, after: str | None) -> Listed:
        if self.endpoint.kind == "snapshot":
            return await self.account.get(self.endpoint.snapshot_request(), self.endpoint.snapshot)
        start = self.start if self.endpoint.kind in _WITH_TIMES else 0
        request = self.endpoint.list_request(start or None, hi, after, self.pass_index)
        return await self.account.get(request, self.endpoint.listed)

    @property
    def objects(self) -> float:
        """Below everything that was seen no more is counted on than lies above."""
        if self.is_whole or not self.density:
            return self.seen_from_top
        above = self.density.objects(self.deepest, self.newest)
        return above + min(above, self.density.objects(self.lowest, self.deepest))


def table(estimates: Sequence[Estimate], pace: Pace, asked: int) -> str:
    """The estimates in columns, for a terminal of 80, with the limits that the minutes come from; `asked` requests told them."""
    width = max(len(each.stream) for each in estimates)
    lines = [f"{'stream':{width}}  {'objects':>13}  {'requests':>10}  {'minutes':>8}"]
    for each in estimates:
        figures = textwrap.shorten(each.why, _WIDTH - width - 2, placeholder=" ...") if each.why else _figures([each], pace)
        lines.append(f"{each.stream:{width}}  {figures}")
    lines.append(f"{'in all':{width}}  {_figures([each for each in estimates if not each.why], pace)}")
    limits = f"{pace.rate:,.0f} requests a second, {pace.endpoint_rate:,.0f} to one endpoint"
    told = [f"A first read at {limits}; {asked:,} requests told."]
    if any(each.objects is None and not each.why for each in estimates):
        told.append("Objects of a stream with ? stand inside of others, and come on top of the sum.")
    return "\n".join([*lines, "", *told]) + "\n"


def _figures(estimates: Sequence[Estimate], pace: Pace) -> str:
    """The columns of what is read side by side."""
    certainty = _least_certain(estimates)
    requests = sum(each.pages + each.nested for each in estimates)
    # A nested list has an endpoint of its own.
    most = max((max(each.pages, each.nested) for each in estimates), default=0)
    minutes = max(requests / pace.rate, most / pace.endpoint_rate) / _SHARE_OF_LIMITS / 60
    known = [each.objects for each in estimates if each.objects is not None]
    objects = _rounded(sum(known), certainty) if known or not estimates else "?"
    return f"{objects:>13}  {_rounded(requests, certainty):>10}  {minutes:>8,.1f}"


def _least_certain(estimates: Sequence[Estimate]) -> Certainty:
    return max((each.certainty for each in estimates), key=list(_MARKS).index, default="exact")


def _rounded(number: float, certainty: Certainty) -> str:
    """All digits of what is known exactly, else two."""
    if certainty == "exact":
        return f"{number:,.0f}"
    return f"{_MARKS[certainty]}{float(f'{number:.2g}') if number >= 100 else round(number):,.0f}"
