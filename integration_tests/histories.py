"""Histories: what happens to an account and to its syncs, in any order, as hypothesis makes them up."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st

Step = tuple[str, int, int]
"""The name of what happens, and two numbers that say to what and how much."""

Plays = Callable[[], None]


def any_steps(names: str, fewest: int, most: int) -> st.SearchStrategy[list[Step]]:
    """Steps of these names, parted by blanks; one that stands there twice happens twice as often."""
    number = st.integers(0, 999)
    return st.lists(st.tuples(st.sampled_from(names.split()), number, number), min_size=fewest, max_size=most)


def played(number: int, examples: int) -> Callable[[Plays], Plays]:
    """Has a test play so many histories, the same ones for the same `number`; the shortest that fails is shown."""
    few = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: seed(number)(few(test))
