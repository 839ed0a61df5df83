"""Reading lists by several chains of pages: what is read, at what price, how fast. No network, and time is counted."""

import functools
import itertools
from collections.abc import Callable

import pytest

from unit_tests.simulation import (
    NOW,
    Simulation,
    dormant,
    even,
    even_between,
    growing,
    imported,
    in_bursts,
    in_one_second,
    late,
    monthly,
    shrinking,
)

Shape = Callable[[int], list[int]]


SHAPES = [even, growing, shrinking, late, in_bursts, monthly, imported, dormant, in_one_second]


@functools.cache
def simulated(shape: Shape, count: int) -> Simulation:
    """`count` objects of this shape, read to the end."""
    return Simulation({"/v1/charges": shape(count)})


@pytest.mark.parametrize("count", [0, 1, 100, 101, 1_234, 5_678, 23_456])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_object_is_read_once(shape: Shape, count: int) -> None:
    (charges,) = simulated(shape, count).lists.values()
    assert sorted(charges.read_ids) == sorted(f"ch_{number}" for number in range(count))


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_read_is_claimed_once_and_whole(shape: Shape) -> None:
    (charges,) = simulated(shape, 23_456).lists.values()
    ranges = sorted(charges.read_ranges)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == NOW
    assert all(below[1] + 1 == above[0] for below, above in itertools.pairwise(ranges))


@pytest.mark.parametrize("count", [0, 50, 101, 450, 1_000, 10_000, 100_000])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_first_read_costs_three_percent_and_one_request_more_than_the_least(shape: Shape, count: int) -> None:
    simulation = simulated(shape, count)
    assert simulation.requests <= 1.03 * simulation.fewest_requests + 1


@pytest.mark.parametrize("shape", [even, growing, shrinking, late, monthly, dormant])
def test_a_huge_list_is_read_at_nineteen_twentieths_of_the_limit(shape: Shape) -> None:
    simulation = simulated(shape, 200_000)
    assert simulation.fewest_seconds / simulation.seconds >= 0.95


@pytest.mark.parametrize("shape", SHAPES)
def test_the_parts_are_few(shape: Shape) -> None:
    assert simulated(shape, 100_000).most_under_way <= 12


def test_a_short_list_is_not_split() -> None:
    simulation = simulated(growing, 450)
    assert (simulation.requests, simulation.most_under_way) == (5, 1)


def test_slow_answers_are_made_up_for_by_more_parts() -> None:
    simulation = Simulation({"/v1/charges": growing(200_000)}, latency=0.8)
    assert simulation.fewest_seconds / simulation.seconds >= 0.9
    assert simulation.most_under_way >= 20


# By stream, how many of 300,000 objects may be its.
MIXED = {
    "balance_transactions": 74_150,
    "charges": 70_000,
    "coupons": 30,
    "customers": 18_000,
    "disputes": 420,
    "invoices": 9_000,
    "payment_intents": 72_000,
    "payouts": 1_400,
    "plans": 150,
    "prices": 250,
    "products": 100,
    "refunds": 8_000,
    "subscriptions": 5_500,
}


@functools.cache
def mixed(shape: Shape) -> Simulation:
    """14 streams, 13 of this shape; events are a month old at the most."""
    times = {f"/v1/{name}": shape(count) for name, count in MIXED.items()}
    return Simulation(times | {"/v1/events": even_between(NOW - 29 * 86_400, NOW, 41_000)})


@pytest.mark.parametrize("shape", [even, growing, late, monthly, dormant])
def test_streams_of_mixed_size_end_together_near_the_limit(shape: Shape) -> None:
    simulation = mixed(shape)
    assert simulation.fewest_seconds / simulation.seconds >= 0.88


@pytest.mark.parametrize("shape", [even, growing, late, monthly, dormant])
def test_streams_of_mixed_size_cost_three_percent_more_requests_than_the_least(shape: Shape) -> None:
    assert mixed(shape).requests <= 1.03 * mixed(shape).fewest_requests
