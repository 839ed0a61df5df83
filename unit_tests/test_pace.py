"""Stripe's limits are kept, and used: measured by sending as soon as the pace allows, on a clock of numbers."""

from __future__ import annotations

import pytest

from source_stripe.api.pace import Departure, Pace


def sent(pace: Pace, endpoints: list[str], seconds: float, since: float = 1000.0) -> list[float]:
    """When requests go out, in `seconds` from `since`, if the endpoints take turns and none waits longer than it must."""
    times: list[float] = []
    now = since
    while True:
        now, endpoint = min((max(now, pace.next(endpoint, now)), endpoint) for endpoint in endpoints)
        if now >= since + seconds:
            return times
        pace.take(endpoint, now)
        times.append(now)
        endpoints = [*endpoints[1:], endpoints[0]]


def most_in_a_second(times: list[float]) -> int:
    return max(sum(time <= other < time + 1 for other in times) for time in times)


ENDPOINTS = ["/v1/charges", "/v1/customers", "/v1/events", "/v1/invoices", "/v1/payouts"]


def test_the_first_request_goes_at_once() -> None:
    assert Pace(100, 25).next("/v1/charges", 5.0) == 5.0


@pytest.mark.parametrize(("endpoints", "limit"), [(ENDPOINTS[:1], 25), (ENDPOINTS[:2], 50), (ENDPOINTS, 100)])
def test_no_second_holds_more_requests_than_the_limits_allow(endpoints: list[str], limit: int) -> None:
    assert most_in_a_second(sent(Pace(100, 25), endpoints, 20)) <= limit


@pytest.mark.parametrize(("endpoints", "limit"), [(ENDPOINTS[:1], 25), (ENDPOINTS[:2], 50), (ENDPOINTS, 100)])
def test_nineteen_twentieths_of_what_is_allowed_is_used(endpoints: list[str], limit: int) -> None:
    assert len(sent(Pace(100, 25), endpoints, 20)) >= 0.95 * limit * 20


def test_a_request_that_left_late_counts_from_then() -> None:
    pace = Pace(100, 25)
    departures = [pace.take("/v1/charges", 1000.0 + number / 25) for number in range(25)]
    departures[0].has_left(1000.5)
    assert pace.next("/v1/charges", 1001.1) >= 1001.5


def arrived(pace: Pace, endpoint: str, ways: list[float], answer_time: float) -> list[float]:
    """When requests come to Stripe that take so long to get there, each sent as soon as the pace allows."""
    now, times = 1000.0, []
    under_way: list[tuple[float, Departure]] = []
    for way in ways:
        now = pace.next(endpoint, now)
        for answered, departure in [each for each in under_way if each[0] <= now]:
            departure.is_answered(answered)
            under_way.remove((answered, departure))
            now = max(now, pace.next(endpoint, now))
        departure = pace.take(endpoint, now)
        departure.has_left(now)
        times.append(now + way)
        under_way.append((now + way + answer_time, departure))
    return sorted(times)


def test_answers_that_come_evenly_let_nearly_the_whole_limit_be_used() -> None:
    times = arrived(Pace(100, 25), "/v1/charges", [0.01] * 1000, answer_time=0.2)
    assert most_in_a_second(times) <= 25
    assert 1000 / (times[-1] - times[0]) >= 0.985 * 25


def test_requests_that_are_held_up_on_the_way_are_within_the_limit_where_they_arrive() -> None:
    ways = [0.01 + 0.3 * (number % 17 == 0) for number in range(1000)]
    times = arrived(Pace(100, 25), "/v1/charges", ways, answer_time=0.2)
    assert most_in_a_second(times) <= 25


def test_one_request_that_is_held_up_on_the_way_does_not_hold_up_the_others() -> None:
    ways = [0.01 + 0.9 * (number == 500) for number in range(1000)]
    times = arrived(Pace(100, 25), "/v1/charges", ways, answer_time=0.05)
    assert most_in_a_second(times) <= 25
    assert 1000 / (times[-1] - times[0]) >= 0.97 * 25


def test_as_many_requests_to_an_endpoint_are_side_by_side_as_may_leave_while_one_is_answered() -> None:
    pace = Pace(100, 25)
    assert pace.side_by_side("/v1/charges") == 1.0
    for took in (0.5, 0.4):
        pace.take("/v1/charges", 1000.0).is_answered(1000.0 + took)
    assert pace.side_by_side("/v1/charges") == pytest.approx(10.0)
    assert pace.side_by_side("/v1/events") == 1.0


def test_answers_that_take_a_little_unlike_long_cost_little() -> None:
    times = arrived(Pace(100, 25), "/v1/charges", [0.01 * (number % 3) for number in range(1000)], answer_time=0.2)
    assert most_in_a_second(times) <= 25
    assert 1000 / (times[-1] - times[0]) >= 0.97 * 25


def test_answers_that_take_unlike_long_cost_a_twentieth_of_the_limit_at_most() -> None:
    pace = Pace(100, 25)
    now = 1000.0
    for number in range(500):
        now = pace.next("/v1/charges", now)
        departure = pace.take("/v1/charges", now)
        departure.has_left(now)
        departure.is_answered(now + (0.1 if number % 2 else 0.6))
    assert 500 / (now - 1000.0) >= 0.95 * 25


def test_a_rest_is_not_made_up_for_by_a_burst() -> None:
    pace = Pace(100, 25)
    sent(pace, ["/v1/charges"], 2)
    times = sent(pace, ["/v1/charges"], 5, since=1060.0)
    assert most_in_a_second(times) <= 25
    assert times[1] - times[0] == pytest.approx(0.02)


def test_one_request_a_second_is_a_pace_too() -> None:
    assert most_in_a_second(sent(Pace(1, 25), ENDPOINTS, 20)) == 1


def test_after_a_429_the_pace_falls_by_a_quarter_and_climbs_back_within_ten_seconds() -> None:
    pace = Pace(100, 25)
    sent(pace, ENDPOINTS, 2)
    pace.fall("/v1/charges", "global-rate", 1002.0)
    pairs = [len(sent(pace, ENDPOINTS, 2, since=1002.0 + second)) for second in range(0, 14, 2)]
    assert pairs[0] <= 140 < pairs[1] <= 180
    assert min(pairs[-3:]) >= 190


def test_a_429_of_an_endpoint_slows_that_one_alone() -> None:
    pace = Pace(100, 25)
    pace.fall("/v1/charges", "endpoint-rate", 1000.0)
    assert len(sent(pace, ["/v1/charges"], 1)) <= 20
    assert len(sent(pace, ["/v1/customers"], 1, since=1001.0)) == 25


@pytest.mark.parametrize("reason", ["global-rate", "global-concurrency", "unnamed"])
def test_a_429_of_the_account_slows_all(reason: str) -> None:
    pace = Pace(20, 25)
    pace.fall("/v1/charges", reason, 1000.0)
    assert len(sent(pace, ["/v1/customers"], 1)) <= 16


def test_requests_that_were_refused_together_count_once() -> None:
    pace = Pace(20, 25)
    for time in (1000.0, 1000.1, 1000.2):
        pace.fall("/v1/charges", "global-rate", time)
    assert len(sent(pace, ["/v1/charges"], 1, since=1000.2)) >= 14


def test_a_pace_that_falls_again_and_again_still_moves() -> None:
    pace = Pace(100, 25)
    for second in range(100):
        pace.fall("/v1/charges", "global-rate", 1000.0 + 2 * second)
    assert len(sent(pace, ["/v1/charges"], 10, since=1200.0)) >= 10


def test_the_log_can_say_what_holds_the_reading() -> None:
    pace = Pace(2, 1)
    assert pace.holding("/v1/charges", 1000.0) == "Stripe's answers"
    pace.take("/v1/charges", 1000.0)
    assert pace.holding("/v1/charges", 1000.0) == "the endpoint's rate limit"
    pace.take("/v1/customers", 1000.0)
    pace.take("/v1/events", 1000.6)
    assert pace.holding("/v1/payouts", 1000.6) == "the account's rate limit"


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_less_than_one_a_second_is_kept_too(rate: float) -> None:
    pace, at, count = Pace(rate, rate), 0.0, 0
    while at < 1_000:
        pace.take("/v1/charges", at)
        at, count = max(at, pace.next("/v1/charges", at)), count + 1
    assert count <= 1_000 * rate + 1
