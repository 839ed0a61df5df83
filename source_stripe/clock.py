"""Time, so that tests can take none."""

import threading
import time


class Clock:
    """The time of day, a time for measuring, and waiting. A test hands in one that jumps instead of waiting."""

    def now(self) -> float:
        """This machine's time of day, in epoch seconds."""
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait on `condition`, which the caller holds, for at most `seconds` (None: until it is notified)."""
        condition.wait(seconds)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
