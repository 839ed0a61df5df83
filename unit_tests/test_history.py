"""Reading a list by several chains of pages: what is read, at what price, how fast. No network, and time is counted."""

import functools
import heapq
import itertools
import math
import random
import threading
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from msgspec import Raw

from source_stripe.history import Claim, ListRead, ListReader
from source_stripe.page import Row
from source_stripe.requester import Answer
from source_stripe.retriever import Listed, StripeRetriever
from source_stripe.scheduler import Owner, Scheduler, Splitter, Task

NOW = 1_795_000_000
SPAN = 4 * 365 * 86_400
RATE = 25
LATENCY = 0.2


@dataclass
class Simulation(Owner, ListReader):
    """A list of objects created at `times`, read at 25 requests a second with 200 ms an answer.

    It stands for the scheduler, the retriever, the owner and the reader of a `ListRead`.
    """

    times: Sequence[int]
    page_size: int = 100
    path: str = "/v1/charges"
    passes: Sequence[dict[str, str]] = ({},)
    read_ids: list[str] = field(default_factory=list)
    claims: list[tuple[int, int]] = field(default_factory=list)
    requests: int = 0
    seconds: float = 0.0
    most_parts: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()
        self._rows = [Row(f"ch_{at}", created) for at, created in enumerate(sorted(self.times, reverse=True))]
        self._negated = [-row.created for row in self._rows]
        self._queue: deque[Task] = deque()
        self._splitter: Splitter | None = None
        self._is_finished = False
        self._whole = ListRead(cast(Scheduler, self), self, cast(StripeRetriever, self), self, [(0, None)], open_top=True)

    def run(self) -> "Simulation":
        self._whole.start()
        under_way: list[tuple[float, int, Task]] = []
        while not self._is_finished:
            while under_way and under_way[0][0] <= self.seconds:
                task = heapq.heappop(under_way)[2]
                task.handle(cast(Answer, task.request))
                self.release(task.owner)
            if not self._queue and self._splitter and (split := self._splitter.split()):
                self.add(split)
            if self._queue:
                self.requests += 1
                heapq.heappush(under_way, (self.seconds + LATENCY, self.requests, self._queue.popleft()))
                self.most_parts = max(self.most_parts, len(under_way))
                self.seconds += 1 / RATE
            elif under_way:
                self.seconds = max(self.seconds, under_way[0][0])
        return self

    # The scheduler.

    def stripe_now(self) -> int:
        return NOW

    def add(self, *tasks: Task, first: bool = False) -> None:
        for task in tasks:
            task.owner.left += 1
            self._queue.append(task)

    def hold(self, owner: Owner) -> None:
        owner.left += 1

    def release(self, owner: Owner) -> None:
        owner.left -= 1

    def add_splitter(self, splitter: Splitter) -> None:
        self._splitter = splitter

    def remove_splitter(self, splitter: Splitter) -> None:
        self._splitter = None

    # The retriever: a request is where its page begins and ends among the rows.

    def list_request(self, lo: int, hi: int | None, after: str | None, turn: int, types: Sequence[str]) -> tuple[int, int]:
        first = 0 if hi is None else bisect_left(self._negated, -hi)
        if after is not None:
            first = max(first, int(after.removeprefix("ch_")) + 1)
        return first, bisect_right(self._negated, -lo)

    def listed(self, answer: Any) -> Listed:
        first, end = answer
        rows = self._rows[first : min(end, first + self.page_size)]
        return Listed(rows, cast(list[Raw], rows), end > first + self.page_size, None)

    # The reader and the owner.

    def read(self, rows: Sequence[Row], raws: Sequence[Raw], claim: Claim) -> None:
        self.read_ids += [row.id for row in rows]

    def claimed(self, lo: int, hi: int) -> None:
        self.claims.append((lo, hi))

    def finished(self) -> None:
        self._is_finished = True

    def ended(self) -> None:
        """Nothing is left."""


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


def imported(count: int) -> list[int]:
    """One old day holds nine tenths of the objects."""
    return [*even_between(NOW - SPAN // 2, NOW - SPAN // 2 + 86_400, count - count // 10), *even(count // 10)]


def in_one_second(count: int) -> list[int]:
    return [NOW - 86_400] * count


@functools.cache
def simulated(shape: Callable[[int], list[int]], count: int) -> Simulation:
    """`count` objects of this shape, read to the end."""
    return Simulation(shape(count)).run()


SHAPES = [even, growing, shrinking, late, in_bursts, imported, in_one_second]
Shape = Callable[[int], list[int]]


@pytest.mark.parametrize("count", [0, 1, 100, 101, 1_234, 5_678, 23_456])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_object_is_read_once(shape: Shape, count: int) -> None:
    simulation = simulated(shape, count)
    assert sorted(simulation.read_ids) == sorted(f"ch_{number}" for number in range(count))


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_read_is_claimed_once_and_whole(shape: Shape) -> None:
    claims = sorted(simulated(shape, 23_456).claims)
    assert claims[0][0] == 0
    assert claims[-1][1] == NOW
    assert all(below[1] + 1 == above[0] for below, above in itertools.pairwise(claims))


@pytest.mark.parametrize("count", [0, 50, 101, 450, 1_000, 10_000, 100_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_first_read_costs_three_percent_and_one_request_more_than_the_least(shape: Shape, count: int) -> None:
    assert simulated(shape, count).requests <= 1.03 * max(1, math.ceil(count / 100)) + 1


@pytest.mark.parametrize("shape", [even, growing, shrinking, late])
def test_a_huge_list_is_read_at_nine_tenths_of_the_limit(shape: Shape) -> None:
    simulation = simulated(shape, 100_000)
    assert 1000 / simulation.seconds >= 0.9 * RATE


@pytest.mark.parametrize("shape", SHAPES)
def test_the_parts_are_few(shape: Shape) -> None:
    assert simulated(shape, 100_000).most_parts <= 8


def test_a_short_list_is_not_split() -> None:
    simulation = simulated(growing, 450)
    assert (simulation.requests, simulation.most_parts) == (5, 1)
