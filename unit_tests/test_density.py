"""How many objects lie in a span of time, told from samples."""

from __future__ import annotations

import pytest

from source_stripe.density import Density

DAY = 86_400


def density(*pages: tuple[int, int, int]) -> Density:
    """Of pages of so many objects between two days."""
    made = Density()
    for begin, end, count in pages:
        made.see(begin * DAY, end * DAY - 1, count)
    return made


def test_one_page_stands_for_all_time() -> None:
    assert density((90, 100, 100)).objects(0, 100 * DAY) == pytest.approx(1000)


def test_between_two_pages_the_density_falls_off_by_the_same_factor_each_day() -> None:
    # From 100 a day to 1 a day in 100 days: 99 / ln(100) a day on average.
    assert density((0, 2, 2), (100, 102, 200)).objects(DAY, 101 * DAY) == pytest.approx(100 * 99 / 4.60517, rel=0.001)


def test_what_lies_below_all_pages_is_most_in_doubt() -> None:
    seen = density((50, 52, 20), (98, 100, 20))
    assert seen.widest(0, 100 * DAY) == pytest.approx((0, 51 * DAY), abs=1)
    assert seen.doubt(0, 51 * DAY) == pytest.approx(510, rel=0.01)


def test_between_pages_of_one_density_nothing_is_in_doubt() -> None:
    assert density((0, 2, 20), (98, 100, 20)).doubt(DAY, 99 * DAY) == pytest.approx(0, abs=0.1)


def test_thousands_of_pages_take_little_room() -> None:
    seen = density(*((day, day + 1, 100) for day in range(5000)))
    assert len(seen._samples) <= 100
    assert seen.objects(0, 5000 * DAY) == pytest.approx(500_000, rel=0.01)
