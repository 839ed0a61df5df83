"""One sync of one account, and what comes out of it in order."""

import asyncio
import contextlib
import math
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any

from source_stripe.api.account import Account, Watcher
from source_stripe.api.errors import StripeError, first_of
from source_stripe.sync.account_reading import AccountReading, Selected
from source_stripe.sync.clock import Clock
from source_stripe.sync.endpoint import Endpoint
from source_stripe.sync.output import Item, Note, Output, Status
from source_stripe.sync.progress import Progress

_TIME_TO_END = 2.0
MOST_SILENCE = 120.0
"""Seconds without a record or a state after which a state is put out once more: the platform takes longer silence for death."""

_PAGES_BETWEEN_STATES = 2
SECONDS_BETWEEN_LIMITED = 10.0

Connect = Callable[[Callable[[], Awaitable[None]], Watcher], Account]
"""Makes the account that is asked, with what waits for room for an answer, and who is told of trouble."""


class Sync(Watcher):
    """Reads the selected streams into an output, each to its end: complete or failed.

    `endpoint_of` tells of a stream's name its endpoint, selected or not. `lookback` is in seconds. With `watched`, the shares
    that are read come a few times a second, for a person to look at.
    """

    def __init__(
        self,
        connect: Connect,
        selected: Sequence[Selected],
        endpoint_of: Callable[[str], Endpoint],
        lookback: int,
        clock: Clock,
        watched: bool = False,
    ) -> None:
        self._connect, self._selected, self._endpoint_of = connect, selected, endpoint_of
        self._lookback, self._clock, self._watched = lookback, clock, watched
        self._last_states: dict[str, tuple[float, int]] = {}
        self._last_limited = -math.inf

    def run(self) -> Iterator[Item]:
        """Everything that the sync brings."""
        return items_of(self.read_into, self._clock)

    async def read_into(self, output: Output) -> None:
        self._output = output
        account = self._connect(output.room, self)
        reading = AccountReading(account, self._selected, self._endpoint_of, self._lookback, output, self._is_state_due)
        self._streams = reading.streams
        progress = Progress(reading.streams, reading.readings, account, output, self._watched)
        try:
            async with asyncio.TaskGroup() as group:
                clockwork = [group.create_task(progress.run()), group.create_task(self._keep_talking())]
                await reading.run()
                for each in clockwork:
                    each.cancel()
        finally:
            reading.close()
            account.close()
        progress.report()

    # ------------------------------------------------------------------ what goes out besides

    def _is_state_due(self, stream: str) -> bool:
        """Once in a while, or in so many pages: what was read since the last one is read again after a kill."""
        now = asyncio.get_running_loop().time()
        last, pages = self._last_states.get(stream, (-math.inf, 0))
        is_due = now - last >= self._clock.seconds_between_states or pages + 1 >= _PAGES_BETWEEN_STATES
        self._last_states[stream] = (now, 0) if is_due else (last, pages + 1)
        return is_due

    async def _keep_talking(self) -> None:
        """Put out states that were not due when they changed, and one once more after a long silence."""
        while True:
            await asyncio.sleep(1.0)
            for stream in self._streams:
                if stream.is_open:
                    stream.checkpoint()
            if self._output.silence() >= MOST_SILENCE:
                any(stream.repeat_state() for stream in self._streams if stream.is_open)

    def rate_limited(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._last_limited < SECONDS_BETWEEN_LIMITED:
            return
        self._last_limited = now
        for stream in self._streams:
            if stream.is_open:
                self._output.put(Status(stream.name, "running", limited=seconds))

    def failing(self, endpoint: str, error: StripeError, seconds: float) -> None:
        self._output.put(Note("failing", values={"endpoint": endpoint, "error": error, "seconds": seconds}))

    def recovered(self, endpoint: str) -> None:
        self._output.put(Note("recovered", values={"endpoint": endpoint}))


def items_of(read_into: Callable[[Output], Coroutine[Any, Any, None]], clock: Clock) -> Iterator[Item]:
    """What a sync reads into an output, by a thread of its own. What an item covers is out when the next is asked for."""
    output, loop, defects = Output(), clock.new_loop(), list[BaseException]()
    thread = threading.Thread(target=_run, args=(loop, read_into(output), output, defects), name="sync", daemon=True)
    thread.start()
    try:
        while (item := output.get()) is not None:
            yield item
    finally:
        _call_off(loop)
        if thread is not threading.current_thread():  # It may be: garbage collection there can close this generator.
            thread.join(_TIME_TO_END)  # A request whose answer does not come is left behind.
    if defects:
        raise defects[0]


def _run(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, None], output: Output, defects: list[BaseException]) -> None:
    """What the thread of a sync does: `main`, on a loop that owns all that it touches."""
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main)
    except asyncio.CancelledError:
        defects.append(RuntimeError("The sync was called off"))  # A reader that stopped does not see this.
    except BaseExceptionGroup as group:
        defects.append(first_of(group))
    except BaseException as error:
        defects.append(error)
    finally:
        output.end()


def _call_off(loop: asyncio.AbstractEventLoop) -> None:
    """End all that runs on `loop`, unless it is over."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
