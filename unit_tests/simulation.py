"""Lists read to their ends at Stripe's limits, in virtual time: no network, no threads, and time is counted."""

import asyncio
import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

import orjson

from source_stripe.api.account import Account
from source_stripe.api.pace import Pace
from source_stripe.api.request import Answer, Query, Request, query_of
from source_stripe.api.transport import Trip
from source_stripe.components import JitteredBackoffStrategy
from source_stripe.sync.endpoint import Endpoint
from source_stripe.sync.listing import ListRead, PageTaker
from source_stripe.sync.outlet import Rest
from source_stripe.sync.page import Row
from source_stripe.sync.parts import Part
from unit_tests.virtual_time import in_virtual_time

NOW = 1_795_000_000
SPAN = 4 * 365 * 86_400
PAGE = 100

# ---------------------------------------------------------------------- shapes: when `count` objects were created


def even(count: int) -> list[int]:
    return [NOW - SPAN + SPAN * number // count for number in range(count)]


def growing(count: int) -> list[int]:
    """Half of the objects in the last tenth of the time."""
    return [NOW - SPAN + int(SPAN * math.log1p(number * math.expm1(7) / count) / 7) for number in range(count)]


def shrinking(count: int) -> list[int]:
    return [2 * NOW - SPAN - time for time in growing(count)]


def late(count: int) -> list[int]:
    """Nine tenths of the objects in the last tenth of the time, from one day to the next."""
    bend, few = NOW - SPAN // 10, count // 10
    return [*even_between(NOW - SPAN, bend, few), *even_between(bend, NOW, count - few)]


def even_between(since: int, until: int, count: int) -> list[int]:
    return [since + (until - since) * number // count for number in range(count)]


def in_bursts(count: int) -> list[int]:
    """Thirty hours of four years hold all objects."""
    chance = random.Random(2)
    hours = [NOW - 3600 - chance.randrange(SPAN) for _ in range(30)]
    return [chance.choice(hours) + chance.randrange(3600) for _ in range(count)]


def monthly(count: int) -> list[int]:
    """Half of the objects in the first two days of a month."""
    chance = random.Random(3)
    days = [NOW - SPAN + chance.randrange(48) * SPAN // 48 + chance.randrange(2 * 86_400) for _ in range(count // 2)]
    return [*days, *even(count - count // 2)]


def imported(count: int) -> list[int]:
    """One old day holds nine tenths of the objects."""
    return [*even_between(NOW - SPAN // 2, NOW - SPAN // 2 + 86_400, count - count // 10), *even(count // 10)]


def dormant(count: int) -> list[int]:
    """Late, and nothing for a year."""
    return [time - 365 * 86_400 for time in late(count)]


def in_one_second(count: int) -> list[int]:
    return [NOW - 86_400] * count


# ---------------------------------------------------------------------- the simulation


class Paging:
    size = PAGE

    def query(self, after: str | None, size: int | None = None) -> Query:
        return () if after is None else (("starting_after", after),)


class Range:
    def query(self, lo: int | None, hi: int | None) -> Query:
        return query_of({name: value for name, value in (("gte", lo), ("lte", hi)) if value is not None})


def endpoint_of(path: str) -> Endpoint:
    return Endpoint(
        name=path.removeprefix("/v1/"),
        object="charge",
        kind="immutable",
        permission="",
        path=path,
        cursor_field="created",
        paging=Paging(),
        range=Range(),
    )


class OneList(PageTaker):
    """A list of objects created at `times`, and who takes its pages."""

    def __init__(self, times: Sequence[int]) -> None:
        self.read_ids: list[str] = []
        self.read_ranges: list[tuple[int, int]] = []
        self.requests = 0
        self._times = sorted(times, reverse=True)
        self._negated = [-time for time in self._times]

    def __len__(self) -> int:
        return len(self._times)

    def answer(self, query: Mapping[str, str]) -> Answer:
        self.requests += 1
        first = bisect_left(self._negated, -int(query["lte"])) if "lte" in query else 0
        if "starting_after" in query:
            first = max(first, int(query["starting_after"].removeprefix("ch_")) + 1)
        end = bisect_right(self._negated, -int(query["gte"]))
        shown = range(first, min(end, first + PAGE))
        data = [{"id": f"ch_{at}", "created": self._times[at]} for at in shown]
        return Answer(orjson.dumps({"data": data, "has_more": end > first + PAGE}))

    def take(self, part: Part, rows: Sequence[Row], raws: object) -> Rest | None:
        self.read_ids += [row.id for row in rows]
        return None

    def range_read(self, lo: int, hi: int) -> None:
        self.read_ranges.append((lo, hi))


class Simulation:
    """Reads lists, by their paths when their objects were created, to their ends: with the connector's own coroutines, at
    Stripe's limits, from a sender that answers each request after `latency` seconds.

    Then `seconds` have gone by, and at most `most_under_way` requests were under way at a time.
    """

    def __init__(
        self, times: Mapping[str, Sequence[int]], rate: int = 100, endpoint_rate: int = 25, latency: float = 0.2
    ) -> None:
        self.lists = {path: OneList(when) for path, when in times.items()}
        self.seconds = 0.0
        self.most_under_way = 0
        self._rate, self._endpoint_rate, self._latency = rate, endpoint_rate, latency
        self._under_way = 0
        in_virtual_time(self._run())

    @property
    def requests(self) -> int:
        return sum(each.requests for each in self.lists.values())

    @property
    def fewest_requests(self) -> int:
        return sum(max(1, math.ceil(len(each) / PAGE)) for each in self.lists.values())

    @property
    def fewest_seconds(self) -> float:
        """What the limits allow."""
        longest = max(len(each) for each in self.lists.values())
        return max(self.fewest_requests / self._rate, longest / PAGE / self._endpoint_rate)

    async def _run(self) -> None:
        pauses = JitteredBackoffStrategy(first_pause=0.5, longest_pause=30, give_up_after=660)
        account = Account(self, Pace(self._rate, self._endpoint_rate), pauses, workers=1000, now=lambda: NOW)
        async with asyncio.TaskGroup() as group:
            for path, each in self.lists.items():
                group.create_task(ListRead(account, endpoint_of(path), each, [(0, None)], open_top=True).run())
        self.seconds = asyncio.get_running_loop().time()

    async def send(self, request: Request, trip: Trip | None = None) -> Answer:
        """Stripe: it answers after its latency."""
        assert trip is not None
        trip.has_left()
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        await asyncio.sleep(self._latency)
        self._under_way -= 1
        trip.is_answered()
        return self.lists[request.endpoint].answer(dict(request.query))

    def close(self) -> None:
        """Nothing is open."""
