"""Event loops on which waiting takes no time: the coroutines under test are the product's own."""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class Jumps:
    """How many seconds were jumped over in all."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def jump(self, seconds: float) -> None:
        self.seconds += seconds

    def time(self) -> float:
        return time.monotonic() + self.seconds


class _JumpingSelector(selectors.DefaultSelector):
    """Where nothing comes from outside it does not wait: it jumps over the time."""

    def __init__(self, jumps: Jumps) -> None:
        super().__init__()
        self._jumps = jumps
        self.on_their_way = 0
        """How many threads are doing something of which the loop will hear."""

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or self.on_their_way:
            return super().select(timeout)
        events = super().select(0)
        if not events:
            self._jumps.jump(timeout)
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """An answer that is on its way is waited for; a pause in which none is takes no time."""

    def __init__(self, jumps: Jumps | None = None, selector: type[_JumpingSelector] = _JumpingSelector) -> None:
        self.jumps = jumps or Jumps()
        self._jumping = selector(self.jumps)
        super().__init__(self._jumping)

    def run_in_executor(self, executor: Any, func: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:  # type: ignore[override]
        self._jumping.on_their_way += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._has_come)
        return future

    def _has_come(self, _: asyncio.Future[Any]) -> None:
        self._jumping.on_their_way -= 1

    def time(self) -> float:
        return self.jumps.time()


class _LonelySelector(_JumpingSelector):
    """Nobody else will do anything: what waits without a timer would wait for good, and says so."""

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("everything waits for something that nobody will do")
        return super().select(timeout)


class VirtualLoop(JumpingLoop):
    """Nothing comes from outside: time is what is waited for, from 0 on."""

    def __init__(self) -> None:
        super().__init__(selector=_LonelySelector)

    def time(self) -> float:
        return self.jumps.seconds


def in_virtual_time(main: Coroutine[Any, Any, _T]) -> _T:
    """What `main` returns, on a loop on which nothing takes time but waiting."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
