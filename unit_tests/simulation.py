"""Lists read to their ends at Stripe's limits, on a clock of numbers: no network, no threads, and time is counted."""

import heapq
import itertools
import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec import Raw

from source_stripe.clock import Clock
from source_stripe.history import Claim, ListRead, ListReader
from source_stripe.pace import Pace
from source_stripe.page import Row
from source_stripe.requester import Answer, Request, StripeRequester
from source_stripe.retriever import Listed, StripeRetriever
from source_stripe.scheduler import Owner, Scheduler

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


class OneList(Owner, ListReader):
    """A list of objects created at `times`: stands for its retriever, its stream and who reads it."""

    page_size = PAGE
    passes: Sequence[Mapping[str, str]] = ({},)

    def __init__(self, path: str, times: Sequence[int]) -> None:
        super().__init__()
        self.path = path
        self.read_ids: list[str] = []
        self.claims: list[tuple[int, int]] = []
        self.requests = 0
        self.is_finished = False
        self._count = len(times)
        self._rows = [Row(f"ch_{at}", created) for at, created in enumerate(sorted(times, reverse=True))]
        self._negated = [-row.created for row in self._rows]

    def __len__(self) -> int:
        return self._count

    # The retriever: a request's id says where its page begins and ends among the rows.

    def list_request(self, lo: int, hi: int | None, after: str | None, turn: int, types: Sequence[str]) -> Request:
        first = 0 if hi is None else bisect_left(self._negated, -hi)
        if after is not None:
            first = max(first, int(after.removeprefix("ch_")) + 1)
        return Request(self.path, id=f"{first} {bisect_right(self._negated, -lo)}")

    def listed(self, answer: Any) -> Listed:
        self.requests += 1
        first, end = map(int, answer.id.split())
        rows = self._rows[first : min(end, first + PAGE)]
        return Listed(rows, cast(list[Raw], rows), end > first + PAGE, None)

    # The reader and the owner.

    def read(self, rows: Sequence[Row], raws: Sequence[Raw], claim: Claim) -> None:
        self.read_ids += [row.id for row in rows]

    def claimed(self, lo: int, hi: int) -> None:
        self.claims.append((lo, hi))

    def finished(self) -> None:
        self.is_finished = True
        self._rows.clear()  # A test may keep many simulations.
        self._negated.clear()

    def ended(self) -> None:
        """Nothing is left."""


class Stopped(Clock):
    """Stands where the simulation is."""

    time = 0.0

    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return self.time


class Stripe:
    """Keeps its limits, and answers after `latency` seconds."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def pace(self) -> Pace:
        return self._pace


class Simulation:
    """Reads lists, by their paths when their objects were created, to their ends.

    Then `seconds` have gone by, and at most `most_under_way` requests were under way at a time.
    """

    def __init__(
        self, times: Mapping[str, Sequence[int]], rate: int = 100, endpoint_rate: int = 25, latency: float = 0.2
    ) -> None:
        self.lists = {path: OneList(path, when) for path, when in times.items()}
        self.seconds = 0.0
        self.most_under_way = 0
        self._rate, self._endpoint_rate, self._latency = rate, endpoint_rate, latency
        self._run()

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

    def _run(self) -> None:
        clock, numbers = Stopped(), itertools.count()
        stripe = cast(StripeRequester, Stripe(Pace(self._rate, self._endpoint_rate)))
        scheduler = Scheduler(stripe, clock, workers=0)
        under_way: list[tuple[float, int, Any]] = []
        with scheduler.lock:
            for each in self.lists.values():
                ListRead(scheduler, each, cast(StripeRetriever, each), each, [(0, None)], open_top=True).start()
            while not all(each.is_finished for each in self.lists.values()):
                time, task = scheduler.take(clock.time)
                if task is not None:
                    assert task.departure is not None
                    task.departure.has_left(clock.time)
                    heapq.heappush(under_way, (clock.time + self._latency, next(numbers), task))
                    self.most_under_way = max(self.most_under_way, len(under_way))
                elif under_way and under_way[0][0] <= time:
                    clock.time, _, task = heapq.heappop(under_way)
                    task.departure.is_answered(clock.time)
                    task.handle(cast(Answer, task.request))
                    scheduler.done(task, None)
                else:
                    clock.time = time
        self.seconds = clock.time
