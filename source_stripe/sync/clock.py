"""Time, so that tests can take none."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """The time of day, and the loops on which time passes. A test hands in loops that jump over waiting."""

    now: Callable[[], float] = time.time
    """This machine's time of day, in epoch seconds."""
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
    seconds_between_states: float = 0.1
    """At most one state a stream in that time."""
