"""One sync: the selected streams side by side, and what comes out of them in order."""

import asyncio
import contextlib
import math
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from source_stripe.api.account import Account, Watcher
from source_stripe.api.errors import StripeError, first_of
from source_stripe.sync.changing import ChangingReading
from source_stripe.sync.clock import Clock
from source_stripe.sync.endpoint import Endpoint
from source_stripe.sync.events import EventPass, EventsError
from source_stripe.sync.immutable import ImmutableReading
from source_stripe.sync.output import Failed, Item, Note, Output, Status
from source_stripe.sync.progress import Progress
from source_stripe.sync.reading import Context, Reading
from source_stripe.sync.readings import readings_of, without_refused
from source_stripe.sync.state import StreamState
from source_stripe.sync.stream import Stream

_TIME_TO_END = 2.0
_MOST_SILENCE = 120.0
"""Seconds without a record or a state after which a state is put out once more: the platform takes longer silence for death."""

_PAGES_BETWEEN_STATES = 2
_SECONDS_BETWEEN_LIMITED = 10.0

Connect = Callable[[Callable[[], Awaitable[None]], Watcher], Account]
"""Makes the account that is asked, with what waits for room for an answer, and who is told of trouble."""


@dataclass(frozen=True)
class Selected:
    """A stream to be read: its endpoint, and what has been read of it, by the stream whose list is read: its own or, of
    children, their parents'."""

    endpoint: Endpoint
    states: Mapping[str, StreamState]


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
        """Everything that the sync brings, read by a thread of its own. What an item covers is out when the next is asked for."""
        output, loop, defects = Output(), self._clock.new_loop(), list[BaseException]()
        thread = threading.Thread(target=_run, args=(loop, self._read_into(output), output, defects), name="sync", daemon=True)
        thread.start()
        try:
            while (item := output.get()) is not None:
                yield item
        finally:
            _call_off(loop)
            thread.join(_TIME_TO_END)  # A request whose answer does not come is left behind.
        if defects:
            raise defects[0]

    async def _read_into(self, output: Output) -> None:
        self._output = output
        account = self._connect(output.room, self)
        self._streams = [Stream(each.endpoint, each.states, output, self._is_state_due) for each in self._selected]
        context = Context(account, output, self._lookback)
        readings = readings_of(context, self._streams, self._endpoint_of)
        progress = Progress(self._streams, readings, account, output, self._watched)
        try:
            async with asyncio.TaskGroup() as group:
                clockwork = [group.create_task(progress.run()), group.create_task(self._keep_talking())]
                own = (reading.endpoint for reading in readings if reading.endpoint.name == "events")
                await self._read(readings, EventPass(account, next(own, None) or self._endpoint_of("events"), output))
                for each in clockwork:
                    each.cancel()
        finally:
            for reading in readings:
                reading.close()
            account.close()
        progress.report()

    async def _read(self, readings: Sequence[Reading], events: EventPass) -> None:
        for stream in self._streams:
            stream.note("begins", state=stream.describe())
            self._output.put(Status(stream.name, "started"))
        # First those that tell the pass what they need, then those that may be served by it.
        for reading in sorted(readings, key=lambda reading: isinstance(reading, ImmutableReading)):
            reading.register(events)
        async with asyncio.TaskGroup() as group:
            if any(isinstance(reading, ChangingReading) for reading in readings):
                group.create_task(events.run())
            tasks = {reading: group.create_task(self._run(reading)) for reading in readings}
            for stream in self._streams:
                own = [task for reading, task in tasks.items() if stream in (outlet.stream for outlet in reading.outlets)]
                group.create_task(self._end(stream, own))

    async def _run(self, reading: Reading) -> None:
        """Read to the end. What makes a reading fail is nobody else's; nor is it its parent's what makes children fail."""
        error = await _error_of(reading)
        if error is not None and (rest := without_refused(reading, error, self._endpoint_of)) is not None:
            for outlet in reading.outlets:
                if outlet not in rest.outlets:
                    outlet.stream.fail(error, reading.endpoint.name)
            reading, error = rest, await _error_of(rest)
        if isinstance(error, StripeError) and reading.endpoint.product and error.is_not_enabled:
            reading.note("not_enabled", product=reading.endpoint.product, error=error)
        elif error is not None:
            for outlet in reading.outlets:
                outlet.stream.error = error

    async def _end(self, stream: Stream, readings: Sequence[asyncio.Task[None]]) -> None:
        """The stream's own end, when all its `readings` are over."""
        await asyncio.gather(*readings)
        stream.is_open = False
        if names := stream.endpoint.undeclared:
            stream.note("undeclared", names=sorted(names))
        stream.last_checkpoint(is_complete=stream.error is None)
        if stream.error is None:
            stream.note("complete", records=stream.records)
            self._output.put(Status(stream.name, "complete"))
            return
        error, permission = stream.error, stream.endpoint.permission
        if isinstance(error, EventsError):
            error, permission = error.error, self._endpoint_of("events").permission
        self._output.put(Failed(stream.name, error, permission, stream.records))

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
            if self._output.silence() >= _MOST_SILENCE:
                any(stream.repeat_state() for stream in self._streams if stream.is_open)

    def rate_limited(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._last_limited < _SECONDS_BETWEEN_LIMITED:
            return
        self._last_limited = now
        for stream in self._streams:
            if stream.is_open:
                self._output.put(Status(stream.name, "running", limited=seconds))

    def failing(self, endpoint: str, error: StripeError, seconds: float) -> None:
        self._output.put(Note("failing", values={"endpoint": endpoint, "error": error, "seconds": seconds}))

    def recovered(self, endpoint: str) -> None:
        self._output.put(Note("recovered", values={"endpoint": endpoint}))


async def _error_of(reading: Reading) -> BaseException | None:
    error: BaseException | None = None
    try:
        await reading.run()
    except* Exception as group:
        error = first_of(group)
    return error


def _run(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, None], output: Output, defects: list[BaseException]) -> None:
    """What the thread of a sync does: `main`, on a loop that owns all that it touches."""
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main)
    except asyncio.CancelledError:
        pass  # Nobody reads any more.
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
