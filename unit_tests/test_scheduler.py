"""Who sends what when: on a clock that jumps to the end of each wait, over a Stripe that is one function."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from source_stripe.clock import Clock
from source_stripe.errors import StripeError
from source_stripe.pace import Pace
from source_stripe.requester import Answer, BackOff, Request, Trip
from source_stripe.scheduler import Owner, Scheduler, Task

OK = Answer(b"{}", 1_795_000_000, "req_1")
DOWN = StripeError("down", status=503, retryable=True)


class JumpingClock(Clock):
    """Waiting for a time takes none: it is then that time. Waiting to be woken, or for longer than a jump, is real."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.longest_jump = float("inf")
        self.waits: list[float] = []
        self.woken = 0

    def now(self) -> float:
        return 1_795_000_000.0

    def monotonic(self) -> float:
        return self.time

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        if seconds is None or seconds > self.longest_jump:
            condition.wait()
            self.woken += 1
        else:
            self.waits.append(seconds)
            self.time += seconds


class Stripe:
    """Answers each request with what `says`; an exception is raised. `sent` tells what was sent and when."""

    retry = BackOff(first_pause=0.5, longest_pause=30.0, give_up_after=660.0)

    def __init__(self, clock: JumpingClock) -> None:
        self.clock = clock
        self.sent: list[tuple[float, str]] = []
        self.says: Callable[[str], Answer | Exception] = lambda id: OK
        self.is_closed = False

    def pace(self) -> Pace:
        return Pace(100, 25)

    def send(self, request: Request, trip: Trip) -> Answer:
        trip.has_left()
        self.sent.append((self.clock.monotonic(), request.id))
        answer = self.says(request.id)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.is_closed = True

    @property
    def ids(self) -> list[str]:
        return [id for _, id in self.sent]


class Work(Owner):
    def __init__(self) -> None:
        super().__init__()
        self.done = threading.Event()
        self.endings = 0

    def ended(self) -> None:
        self.endings += 1
        self.done.set()


@dataclass
class Bench:
    """A scheduler with what surrounds it."""

    clock: JumpingClock = field(default_factory=JumpingClock)
    workers: int = 1

    def __post_init__(self) -> None:
        self.stripe = Stripe(self.clock)
        self.scheduler = Scheduler(self.stripe, self.clock, self.workers)  # type: ignore[arg-type]

    def task(self, owner: Owner, id: str, endpoint: str = "/v1/charges", **options: Any) -> Task:
        return Task(owner, Request(endpoint, id=id), options.pop("handle", lambda answer: None), **options)

    def run(self, *tasks: Task) -> None:
        """Add all tasks at once and wait until their owners have ended."""
        with self.scheduler.lock:
            self.scheduler.add(*tasks)
        for owner in {task.owner for task in tasks}:
            assert isinstance(owner, Work)
            assert owner.done.wait(20), "the work does not end"


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.scheduler.stop()
    assert not any(thread.is_alive() for thread in bench.scheduler._threads)


@pytest.fixture
def wide() -> Iterator[Bench]:
    bench = Bench(workers=8)
    yield bench
    bench.scheduler.stop()
    assert not any(thread.is_alive() for thread in bench.scheduler._threads)


# ---------------------------------------------------------------------- order


def test_an_endpoints_requests_go_out_in_order_and_endpoints_take_turns(bench: Bench) -> None:
    work = Work()
    charges = [bench.task(work, f"charge {number}") for number in (1, 2, 3)]
    bench.run(*charges, bench.task(work, "event 1", "/v1/events"), bench.task(work, "event 2", "/v1/events"))
    assert bench.stripe.ids == ["charge 1", "event 1", "charge 2", "event 2", "charge 3"]


def test_no_endpoint_is_served_twice_while_another_waits(bench: Bench) -> None:
    work = Work()
    bench.run(*(bench.task(work, f"{path} {number}", f"/v1/{path}") for path in "abcdefgh" for number in (1, 2)))
    assert bench.stripe.ids == [f"{path} {number}" for number in (1, 2) for path in "abcdefgh"]


def test_what_is_urgent_goes_first(bench: Bench) -> None:
    work = Work()
    with bench.scheduler.lock:
        bench.scheduler.add(bench.task(work, "second"))
        bench.scheduler.add(bench.task(work, "first"), first=True)
    assert work.done.wait(20)
    assert bench.stripe.ids == ["first", "second"]


def test_an_answer_may_bring_more_work(bench: Bench) -> None:
    work = Work()

    def more(answer: Answer) -> None:
        with bench.scheduler.lock:
            bench.scheduler.add(bench.task(work, "page 2"))

    bench.run(bench.task(work, "page 1", handle=more))
    assert (bench.stripe.ids, work.endings, work.error) == (["page 1", "page 2"], 1, None)


def test_an_owner_that_is_held_ends_when_it_is_released(bench: Bench) -> None:
    work = Work()
    with bench.scheduler.lock:
        bench.scheduler.hold(work)
    other = Work()
    bench.run(bench.task(other, "1"))
    assert not work.done.is_set()
    with bench.scheduler.lock:
        bench.scheduler.release(work)
    assert work.done.is_set()


def test_requests_keep_the_pace(wide: Bench) -> None:
    work = Work()
    wide.run(*(wide.task(work, str(number)) for number in range(60)))
    times = [time for time, _ in wide.stripe.sent]
    assert len(times) == wide.scheduler.requests == 60
    assert all(later - earlier > 1.0 for earlier, later in zip(times, times[25:], strict=False))


# ---------------------------------------------------------------------- trying again


def test_a_request_that_failed_is_sent_again_after_growing_pauses(bench: Bench) -> None:
    answers: list[Answer | Exception] = [DOWN, DOWN, DOWN, DOWN, OK]
    bench.stripe.says = lambda id: answers.pop(0)
    work = Work()
    bench.run(bench.task(work, "1"))
    assert (bench.clock.waits, work.error) == ([0.5, 1.0, 2.0, 4.0], None)


def test_a_body_that_can_not_be_read_counts_as_a_request_that_failed(bench: Bench) -> None:
    handled = []

    def read(answer: Answer) -> None:
        handled.append(answer)
        if len(handled) == 1:
            raise answer.unreadable("it breaks off")

    work = Work()
    bench.run(bench.task(work, "1", handle=read))
    assert (len(handled), bench.clock.waits, work.error) == (2, [0.5], None)


def test_others_go_on_while_a_request_waits_to_be_sent_again(bench: Bench) -> None:
    answers: list[Answer | Exception] = [DOWN, OK, OK, OK]
    bench.stripe.says = lambda id: answers.pop(0)
    work = Work()
    bench.run(*(bench.task(work, id) for id in ("1", "2", "3")))
    assert bench.stripe.ids == ["1", "2", "3", "1"]


def test_after_eleven_minutes_of_failing_the_owner_fails(bench: Bench) -> None:
    bench.stripe.says = lambda id: DOWN
    work = Work()
    bench.run(bench.task(work, "1"))
    assert (work.error, work.endings) == (DOWN, 1)
    assert 660 <= bench.clock.time - 1000.0 < 700


def test_a_rate_limit_slows_the_pace_too(bench: Bench) -> None:
    answers: list[Answer | Exception] = [StripeError("slow", 429, retryable=True, limited="global-rate"), *[OK] * 5]
    bench.stripe.says = lambda id: answers.pop(0)
    work = Work()
    bench.run(*(bench.task(work, str(number), f"/v1/{number}") for number in range(5)))
    times = [time for time, _ in bench.stripe.sent]
    # At three quarters of a hundred a second; at full pace two may follow each other in half a hundredth.
    assert times[2] - times[1] == pytest.approx(1 / 75, rel=0.05)


def test_stripe_may_say_how_long_to_wait(bench: Bench) -> None:
    answers: list[Answer | Exception] = [StripeError("busy", 503, retryable=True, pause=45.0), OK]
    bench.stripe.says = lambda id: answers.pop(0)
    bench.run(bench.task(Work(), "1"))
    assert bench.clock.waits == [45.0]


# ---------------------------------------------------------------------- failing


REFUSED = StripeError("no such parameter", status=400)


def test_a_refusal_drops_what_its_owner_has_queued_and_nothing_of_others(bench: Bench) -> None:
    bench.stripe.says = lambda id: REFUSED if id == "bad" else OK
    failing, other = Work(), Work()
    mine = [bench.task(failing, id) for id in ("bad", "dropped", "dropped too")]
    bench.run(*mine, bench.task(other, "1", "/v1/events"), bench.task(other, "2", "/v1/events"))
    assert bench.stripe.ids == ["bad", "1", "2"]
    assert (failing.error, failing.endings, other.error, other.endings) == (REFUSED, 1, None, 1)


def test_a_refusal_may_be_expected(bench: Bench) -> None:
    bench.stripe.says = lambda id: REFUSED
    work = Work()
    expected: list[StripeError] = []

    def take(error: StripeError) -> bool:
        expected.append(error)
        return True

    bench.run(bench.task(work, "1", refused=take))
    assert (expected, work.error) == ([REFUSED], None)


def test_an_expectation_that_is_not_met_fails_the_owner(bench: Bench) -> None:
    bench.stripe.says = lambda id: REFUSED
    work = Work()
    bench.run(bench.task(work, "1", refused=lambda error: False))
    assert work.error is REFUSED


def test_a_defect_in_what_handles_an_answer_fails_the_owner_alone(bench: Bench) -> None:
    defect = KeyError("lines")

    def broken(answer: Answer) -> None:
        raise defect

    failing, other = Work(), Work()
    bench.run(bench.task(failing, "1", handle=broken), bench.task(other, "2"))
    assert (failing.error, other.error) == (defect, None)


def test_what_is_part_of_an_owner_fails_with_it(bench: Bench) -> None:
    bench.stripe.says = lambda id: REFUSED if id == "bad" else OK
    stream, part = Work(), Work()
    stream.children.append(part)
    bench.run(bench.task(stream, "bad"), bench.task(part, "dropped"))
    assert (part.error, bench.stripe.ids) == (REFUSED, ["bad"])


def test_a_failed_owner_gets_no_more_work(bench: Bench) -> None:
    bench.stripe.says = lambda id: REFUSED
    work = Work()
    bench.run(bench.task(work, "bad"))
    with bench.scheduler.lock:
        bench.scheduler.add(bench.task(work, "too late"))
    bench.run(bench.task(Work(), "other"))
    assert bench.stripe.ids == ["bad", "other"]


def test_an_owner_ends_only_when_what_is_under_way_has_come_back(wide: Bench) -> None:
    both_are_sent = threading.Barrier(2)
    is_failed = threading.Event()
    came_back: list[bool] = []

    def says(id: str) -> Answer | Exception:
        both_are_sent.wait(20)
        if id == "bad":
            return REFUSED
        is_failed.wait(20)
        came_back.append(work.done.is_set())
        return OK

    wide.stripe.says = says

    def refuse(error: StripeError) -> bool:
        is_failed.set()
        return False

    work = Work()
    wide.run(wide.task(work, "bad", "/v1/events", refused=refuse), wide.task(work, "slow"))
    assert (came_back, work.endings, work.error) == ([False], 1, REFUSED)


def test_a_defect_in_a_worker_is_there_to_be_found() -> None:
    bench, work, defect = Bench(), Work(), ZeroDivisionError()
    pieces = Pieces(bench, work, 1)

    def broken(id: str) -> Task | None:
        raise defect

    pieces.task = broken
    with bench.scheduler.lock:
        bench.scheduler.add(bench.task(work, "1", handle=pieces.begin))
    bench.scheduler._threads[0].join(20)
    assert bench.scheduler.defect is defect


# ---------------------------------------------------------------------- splitting


@dataclass
class Pieces:
    """Work that can be cut into so many tasks more, and is done when all are."""

    bench: Bench
    work: Work
    left: int
    endpoint: str = "/v1/charges"
    name: str = "piece"

    def __post_init__(self) -> None:
        self.task: Callable[[str], Task | None] = self.piece

    def begin(self, answer: Answer) -> None:
        with self.bench.scheduler.lock:
            self.bench.scheduler.hold(self.work)
            self.bench.scheduler.add_splitter(self)

    def split(self) -> Task | None:
        if self.left == 0:
            return None
        self.left -= 1
        return self.task(f"{self.name} {self.left}")

    def piece(self, id: str) -> Task:
        return self.bench.task(self.work, id, self.endpoint, handle=self.end if self.left == 0 else lambda answer: None)

    def end(self, answer: Answer) -> None:
        with self.bench.scheduler.lock:
            self.bench.scheduler.remove_splitter(self)
            self.bench.scheduler.release(self.work)


def test_a_worker_with_nothing_to_do_asks_for_work_to_be_split_when_the_pace_allows(bench: Bench) -> None:
    work = Work()
    bench.run(bench.task(work, "1", handle=Pieces(bench, work, 3).begin))
    assert bench.stripe.sent == [(1000.0, "1"), (1000.02, "piece 2"), (1000.04, "piece 1"), (1000.06, "piece 0")]


def test_while_there_is_work_nothing_is_split(bench: Bench) -> None:
    work = Work()
    queued = [bench.task(work, str(number), f"/v1/{number}") for number in (2, 3)]
    bench.run(bench.task(work, "1", handle=Pieces(bench, work, 1).begin), *queued)
    assert bench.stripe.ids == ["1", "2", "3", "piece 0"]


def test_the_endpoint_with_most_to_go_is_served_first(bench: Bench) -> None:
    work = Work()
    little, much = Pieces(bench, work, 1, "/v1/payouts", "little"), Pieces(bench, work, 3, "/v1/events", "much")

    def begin(answer: Answer) -> None:
        little.begin(answer)
        much.begin(answer)

    bench.run(bench.task(work, "1", handle=begin))
    assert bench.stripe.ids == ["1", "much 2", "little 0", "much 1", "much 0"]


# ---------------------------------------------------------------------- waiting


def test_one_worker_alone_watches_the_time_and_none_is_busy(wide: Bench) -> None:
    answers: list[Answer | Exception] = [*[DOWN] * 7, OK]
    wide.stripe.says = lambda id: answers.pop(0) if id == "1" else OK
    work = Work()
    wide.run(*(wide.task(work, str(number), f"/v1/{number}") for number in range(6)))
    assert len(wide.stripe.sent) == 13
    assert min(wide.clock.waits) > 0
    # At most one wait for the pace and one for a pause for each request.
    assert len(wide.clock.waits) <= 2 * 13
    assert wide.clock.woken <= 4 * 13


def test_a_long_pause_does_not_keep_others_waiting(wide: Bench) -> None:
    wide.clock.longest_jump = 100.0
    answers: list[Answer | Exception] = [StripeError("busy", 503, retryable=True, pause=300.0), OK]
    wide.stripe.says = lambda id: answers.pop(0) if id == "paused" else OK
    paused, other = Work(), Work()
    with wide.scheduler.lock:
        wide.scheduler.add(wide.task(paused, "paused", "/v1/events"))
    wide.run(*(wide.task(other, str(number)) for number in range(30)))
    assert not paused.done.is_set()


def test_workers_start_as_they_are_needed(wide: Bench) -> None:
    work = Work()
    wide.run(wide.task(work, "1"))
    assert len(wide.scheduler._threads) <= 2


def test_no_more_workers_start_than_are_allowed() -> None:
    bench = Bench(workers=3)
    work = Work()
    bench.run(*(bench.task(work, str(number), f"/v1/{number % 10}") for number in range(50)))
    assert len(bench.scheduler._threads) <= 3
    bench.scheduler.stop()


@pytest.mark.parametrize(("answer", "fewest"), [(OK, 24), (Answer(b" " * (2 << 20), None, "req_1"), 4)])
def test_while_many_answers_wait_to_be_handled_nothing_more_is_asked_for(answer: Answer, fewest: int) -> None:
    bench, work, goes_on, is_blocked = Bench(workers=128), Work(), threading.Event(), threading.Event()
    bench.stripe.says = lambda id: answer

    def block(answer: Answer) -> None:
        is_blocked.set()
        goes_on.wait(20)

    tasks = [bench.task(work, str(number), f"/v1/{number}", handle=block) for number in range(200)]
    with bench.scheduler.lock:
        bench.scheduler.add(*tasks)
    assert is_blocked.wait(20)
    time.sleep(0.5)
    asked = len(bench.stripe.sent)
    goes_on.set()
    assert work.done.wait(20)
    bench.scheduler.stop()
    assert fewest <= asked < fewest + 30
    assert len(bench.stripe.sent) == 200


def test_a_stop_leaves_queued_work_unsent_and_closes_the_connections(bench: Bench) -> None:
    sent = threading.Event()
    stopped = threading.Event()

    def slow(answer: Answer) -> None:
        sent.set()
        stopped.wait(20)

    work = Work()
    with bench.scheduler.lock:
        bench.scheduler.add(bench.task(work, "1", handle=slow), bench.task(work, "2"))
    assert sent.wait(20)
    with bench.scheduler.lock:
        bench.scheduler._stopped = True
    stopped.set()
    bench.scheduler.stop()
    assert (bench.stripe.ids, bench.stripe.is_closed) == (["1"], True)


# ---------------------------------------------------------------------- time


def test_stripes_time_is_that_of_its_first_answer(bench: Bench) -> None:
    bench.stripe.says = lambda id: Answer(b"{}", 1_795_000_000 - 90, "req_1")
    assert bench.scheduler.stripe_now() == 1_795_000_000
    bench.run(bench.task(Work(), "1"))
    assert bench.scheduler.stripe_now() == 1_795_000_000 - 90


def test_an_error_tells_stripes_time_too(bench: Bench) -> None:
    bench.stripe.says = lambda id: StripeError("no", status=400, date=1_795_000_000 + 90)
    bench.run(bench.task(Work(), "1"))
    assert bench.scheduler.stripe_now() == 1_795_000_000 + 90
