"""Who asks for what when: in virtual time, over a Stripe that is one function."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError
from source_stripe.api.pace import Pace
from source_stripe.api.request import Answer, Request
from source_stripe.api.transport import Trip
from source_stripe.components import JitteredBackoffStrategy
from unit_tests.virtual_time import in_virtual_time

NOW = 1_795_000_000
OK = Answer(b"{}", NOW, "req_1")
DOWN = StripeError("down", status=503, retryable=True)
REFUSED = StripeError("no such parameter", status=400)


class Stripe:
    """Answers each request, after `latency` seconds, with what `says`; an exception is raised. `sent` tells what was sent and
    when, `most` how many requests were under way at a time."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, str]] = []
        self.says: Callable[[str], Answer | Exception] = lambda id: OK
        self.latency = 0.0
        self.under_way = self.most = 0
        self.is_closed = False

    async def send(self, request: Request, trip: Trip | None = None) -> Answer:
        assert trip is not None
        trip.has_left()
        self.sent.append((round(asyncio.get_running_loop().time(), 6), request.id))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.under_way -= 1
        answer = self.says(request.id)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.is_closed = True

    @property
    def ids(self) -> list[str]:
        return [id for _, id in self.sent]

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.sent]


class Bench:
    """An account with what surrounds it."""

    def __init__(self, workers: int = 1, room: Callable[[], Awaitable[None]] | None = None) -> None:
        self.stripe = Stripe()
        pauses = JitteredBackoffStrategy(first_pause=0.5, longest_pause=30.0, give_up_after=660.0)
        self.told: list[tuple[Any, ...]] = []
        self.account = Account(self.stripe, Pace(100, 25), pauses, workers, lambda: NOW, room, self)

    def rate_limited(self, seconds: float) -> None:
        self.told.append(("limited", seconds))

    def failing(self, endpoint: str, error: StripeError, seconds: float) -> None:
        self.told.append(("failing", endpoint, seconds))

    def recovered(self, endpoint: str) -> None:
        self.told.append(("recovered", endpoint))

    async def get(self, id: str, endpoint: str = "/v1/charges", **options: Any) -> Any:
        read = options.pop("read", lambda answer: answer)
        return await self.account.get(Request(endpoint, id=id), read, **options)

    def ask(self, *ids: str | tuple[str, str]) -> list[Any]:
        """Ask for all at once, each by its id or by id and endpoint: the answers, or what they were refused with."""

        async def ask_all() -> list[Any]:
            asked = [self.get(*(each if isinstance(each, tuple) else (each,))) for each in ids]
            return await asyncio.gather(*asked, return_exceptions=True)

        return in_virtual_time(ask_all())


@pytest.fixture
def bench() -> Bench:
    return Bench()


def says(*answers: Answer | Exception) -> Callable[[str], Answer | Exception]:
    """One after the other, whatever is asked."""
    left = list(answers)
    return lambda id: left.pop(0)


# ---------------------------------------------------------------------- order


def test_an_endpoints_requests_go_out_in_order_and_endpoints_take_turns(bench: Bench) -> None:
    bench.ask("charge 1", "charge 2", "charge 3", ("event 1", "/v1/events"), ("event 2", "/v1/events"))
    assert bench.stripe.ids == ["charge 1", "event 1", "charge 2", "event 2", "charge 3"]


def test_no_endpoint_is_served_twice_while_another_waits(bench: Bench) -> None:
    bench.ask(*((f"{path} {number}", f"/v1/{path}") for path in "abcdefgh" for number in (1, 2)))
    assert bench.stripe.ids == [f"{path} {number}" for number in (1, 2) for path in "abcdefgh"]


def test_what_is_urgent_goes_first(bench: Bench) -> None:
    async def ask() -> None:
        await asyncio.gather(bench.get("under way"), bench.get("second"), bench.get("first", first=True))

    in_virtual_time(ask())
    assert bench.stripe.ids == ["under way", "first", "second"]


def test_requests_keep_the_pace() -> None:
    bench = Bench(workers=8)
    bench.ask(*map(str, range(60)))
    times = bench.stripe.times
    assert len(times) == bench.account.requests == 60
    assert all(later - earlier > 1.0 for earlier, later in zip(times, times[25:], strict=False))


# ---------------------------------------------------------------------- trying again


def test_a_request_that_failed_is_sent_again_after_growing_pauses(bench: Bench) -> None:
    bench.stripe.says = says(DOWN, DOWN, DOWN, DOWN, OK)
    assert bench.ask("1") == [OK]
    assert bench.stripe.times == [0, 0.5, 1.5, 3.5, 7.5]


def test_a_body_that_can_not_be_read_counts_as_a_request_that_failed(bench: Bench) -> None:
    tried = []

    def read(answer: Answer) -> str:
        tried.append(answer)
        if len(tried) == 1:
            raise answer.unreadable("it breaks off")
        return "read"

    assert in_virtual_time(bench.get("1", read=read)) == "read"
    assert bench.stripe.times == [0, 0.5]


def test_a_body_of_a_shape_that_can_not_be_read_is_not_asked_for_again(bench: Bench) -> None:
    def read(answer: Answer) -> None:
        raise answer.odd("it is no list of objects")

    with pytest.raises(StripeError, match="has a shape that can't be read: it is no list of objects"):
        in_virtual_time(bench.get("1", read=read))
    assert bench.stripe.times == [0]


def test_others_go_on_while_a_request_waits_to_be_sent_again(bench: Bench) -> None:
    bench.stripe.says = says(DOWN, OK, OK, OK)
    bench.ask("1", "2", "3")
    assert bench.stripe.ids == ["1", "2", "3", "1"]


def test_after_eleven_minutes_of_failing_a_request_is_given_up(bench: Bench) -> None:
    bench.stripe.says = lambda id: DOWN
    assert bench.ask("1") == [DOWN]
    assert 660 <= bench.stripe.times[-1] < 700


def test_a_rate_limit_slows_the_pace_too(bench: Bench) -> None:
    bench.stripe.says = says(StripeError("slow", 429, retryable=True, limited="global-rate"), *[OK] * 5)
    bench.ask(*((str(number), f"/v1/{number}") for number in range(5)))
    # At three quarters of a hundred a second; at full pace two may follow each other in half a hundredth.
    assert bench.stripe.times[2] - bench.stripe.times[1] == pytest.approx(1 / 75, rel=0.05)


def test_stripe_may_ask_for_a_longer_pause_and_not_for_a_shorter_one(bench: Bench) -> None:
    busy = [StripeError("busy", 503, retryable=True, pause=pause) for pause in (45.0, 0.25)]
    bench.stripe.says = says(*busy, OK)
    bench.ask("1")
    assert bench.stripe.times == [0, 45, 46]


# ---------------------------------------------------------------------- failing


def test_a_refusal_is_its_askers_alone(bench: Bench) -> None:
    bench.stripe.says = lambda id: REFUSED if id == "bad" else OK
    assert bench.ask("bad", "1", ("2", "/v1/events")) == [REFUSED, OK, OK]
    assert bench.stripe.ids == ["bad", "2", "1"]


def test_a_defect_in_what_reads_an_answer_is_its_askers_alone(bench: Bench) -> None:
    def broken(answer: Answer) -> None:
        raise KeyError("lines")

    async def ask() -> Any:
        return await asyncio.gather(bench.get("1", read=broken), bench.get("2"), return_exceptions=True)

    defect, answer = in_virtual_time(ask())
    assert (type(defect), answer) == (KeyError, OK)


def test_who_is_called_off_gives_its_place_to_others() -> None:
    bench = Bench(workers=2)
    bench.stripe.latency = 10.0

    async def ask() -> None:
        tasks = [asyncio.create_task(bench.get(str(number), f"/v1/{number}")) for number in range(6)]
        await asyncio.sleep(1.0)  # Two are under way, four wait.
        for task in tasks[:5]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await bench.get("next")

    in_virtual_time(ask())
    assert bench.stripe.ids == ["0", "1", "5", "next"]


# ---------------------------------------------------------------------- splitting


class Pieces:
    """A list that can be cut into so many parts more, each of one page."""

    def __init__(self, bench: Bench, left: int, endpoint: str = "/v1/charges", name: str = "piece") -> None:
        self._bench, self._endpoint, self._name = bench, endpoint, name
        self.left: float = left

    @property
    def endpoint(self) -> str:
        return self._endpoint

    def split(self) -> asyncio.Task[None] | None:
        if self.left == 0:
            return None
        self.left -= 1
        return self._group.create_task(self._bench.get(f"{self._name} {self.left:.0f}", self._endpoint))

    async def read(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            self._bench.account.add(self)
            await self._bench.get("1", "/v1/first")
            while self.left:
                await asyncio.sleep(0.001)
        self._bench.account.remove(self)


def read_side_by_side(*lists: Pieces) -> None:
    async def read() -> None:
        await asyncio.gather(*(each.read() for each in lists))

    in_virtual_time(read())


def test_a_list_is_split_when_the_pace_allows_more_than_is_asked_for(bench: Bench) -> None:
    read_side_by_side(Pieces(bench, 3))
    (_, *pieces) = bench.stripe.sent
    assert [id for _, id in pieces] == ["piece 2", "piece 1", "piece 0"]
    assert [round(later - earlier, 3) for (earlier, _), (later, _) in itertools.pairwise(pieces)] == [0.02, 0.02]


def test_while_something_waits_nothing_is_split(bench: Bench) -> None:
    async def ask() -> None:
        pieces = Pieces(bench, 1)
        await asyncio.gather(pieces.read(), bench.get("2", "/v1/2"), bench.get("3", "/v1/3"))

    in_virtual_time(ask())
    assert bench.stripe.ids == ["1", "2", "3", "piece 0"]


def test_the_list_with_most_to_go_is_served_first(bench: Bench) -> None:
    read_side_by_side(Pieces(bench, 1, "/v1/payouts", "little"), Pieces(bench, 3, "/v1/events", "much"))
    assert [id for id in bench.stripe.ids if id != "1"] == ["much 2", "little 0", "much 1", "much 0"]


# ---------------------------------------------------------------------- waiting


def test_a_long_pause_does_not_keep_others_waiting() -> None:
    bench = Bench(workers=8)
    bench.stripe.says = says(StripeError("busy", 503, retryable=True, pause=300.0), *[OK] * 31)
    bench.ask(("paused", "/v1/events"), *map(str, range(30)))
    assert bench.stripe.ids[-1] == "paused"
    assert bench.stripe.times[-2] < 2


def test_no_more_requests_are_under_way_than_are_allowed() -> None:
    bench = Bench(workers=3)
    bench.stripe.latency = 1.0
    bench.ask(*((str(number), f"/v1/{number % 10}") for number in range(50)))
    assert bench.stripe.most == 3


@pytest.mark.parametrize(("answer", "fewest"), [(OK, 24), (Answer(b" " * (2 << 20), None, "req_1"), 4)])
def test_while_many_answers_wait_to_be_read_nothing_more_is_asked_for(answer: Answer, fewest: int) -> None:
    async def ask() -> tuple[int, int]:
        has_room = asyncio.Event()

        async def room() -> None:
            await has_room.wait()

        bench = Bench(workers=128, room=room)
        bench.stripe.says = lambda id: answer
        asked = [asyncio.create_task(bench.get(str(number), f"/v1/{number}")) for number in range(200)]
        await asyncio.sleep(60)
        sent = len(bench.stripe.sent)
        has_room.set()
        await asyncio.gather(*asked)
        return sent, len(bench.stripe.sent)

    waiting, in_all = in_virtual_time(ask())
    assert (fewest <= waiting < fewest + 30, in_all) == (True, 200)


# ---------------------------------------------------------------------- telling


def told_of(bench: Bench, answers: Iterable[Answer | Exception]) -> list[tuple[Any, ...]]:
    bench.stripe.says = says(*answers)
    bench.ask("1")
    return bench.told


def test_a_person_is_told_once_that_an_endpoint_fails_for_how_long_it_is_tried_and_when_it_recovers(bench: Bench) -> None:
    assert told_of(bench, [DOWN, DOWN, DOWN, OK]) == [("failing", "/v1/charges", 660.0), ("recovered", "/v1/charges")]


def test_a_person_is_told_of_a_rate_limit_and_how_long_it_is_waited_for(bench: Bench) -> None:
    assert told_of(bench, [StripeError("slow", 429, retryable=True, limited="global-rate", pause=7.0), OK]) == [("limited", 7.0)]


# ---------------------------------------------------------------------- time


def test_stripes_time_is_that_of_its_first_answer(bench: Bench) -> None:
    bench.stripe.says = lambda id: Answer(b"{}", NOW - 90, "req_1")
    assert bench.account.stripe_now() == NOW
    bench.ask("1")
    assert bench.account.stripe_now() == NOW - 90


def test_an_error_tells_stripes_time_too(bench: Bench) -> None:
    bench.stripe.says = lambda id: StripeError("no", status=400, date=NOW + 90, request_id="req_1")
    bench.ask("1")
    assert bench.account.stripe_now() == NOW + 90


def test_an_error_of_a_gateway_does_not_tell_stripes_time(bench: Bench) -> None:
    bench.stripe.says = lambda id: StripeError("no", status=400, date=NOW + 3600)
    bench.ask("1")
    assert bench.account.stripe_now() < NOW + 60
