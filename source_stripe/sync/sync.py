"""One sync: the selected streams side by side, and what comes out of them in order."""

import asyncio
import contextlib
import math
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any

from source_stripe.api.account import Account, Watcher
from source_stripe.api.errors import StripeError, first_of
from source_stripe.sync.changing import ChangingStream
from source_stripe.sync.clock import Clock
from source_stripe.sync.endpoint import Endpoint
from source_stripe.sync.events import EventPass, EventsError
from source_stripe.sync.immutable import ImmutableStream
from source_stripe.sync.output import Failed, Item, Note, Output, State, Status
from source_stripe.sync.progress import Progress
from source_stripe.sync.state import StreamState
from source_stripe.sync.stream import Context, Stream

_TIME_TO_END = 2.0
_MOST_SILENCE = 120.0
"""Seconds without a record or a state after which a state is put out once more: the platform takes longer silence for death."""

_PAGES_BETWEEN_STATES = 2
_SECONDS_BETWEEN_LIMITED = 10.0

Connect = Callable[[Callable[[], Awaitable[None]], Watcher], Account]
"""Makes the account that is asked, with what waits for room for an answer, and who is told of trouble."""


class Sync(Watcher):
    """Reads the selected streams into an output, each to its end: complete or failed.

    `streams` are endpoints with the state to go on from, `events` is the endpoint of the account's events, selected or not.
    `lookback` is in seconds. With `watched`, the shares that are read come a few times a second, for a person to look at.
    """

    def __init__(
        self,
        connect: Connect,
        streams: Sequence[tuple[Endpoint, StreamState]],
        events: Endpoint,
        lookback: int,
        clock: Clock,
        watched: bool = False,
    ) -> None:
        self._connect, self._selected, self._events_endpoint = connect, streams, events
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
        events = EventPass(account, self._events_endpoint, output)
        context = Context(account, output, self._lookback, self._is_state_due)
        self._streams = [_KINDS[endpoint.cursor_field](context, endpoint, state) for endpoint, state in self._selected]
        progress = Progress(self._streams, account, output, self._watched)
        try:
            async with asyncio.TaskGroup() as group:
                clockwork = [group.create_task(progress.run()), group.create_task(self._keep_talking())]
                await self._read(events)
                for each in clockwork:
                    each.cancel()
        finally:
            for stream in self._streams:
                stream.close()
            account.close()
        progress.report()

    async def _read(self, events: EventPass) -> None:
        for stream in self._streams:
            stream.note("begins", state=stream.state.describe())
            self._output.put(Status(stream.name, "started"))
        # First those that tell the pass what they need, then those that may be served by it.
        for stream in sorted(self._streams, key=lambda stream: isinstance(stream, ImmutableStream)):
            stream.register(events)
        async with asyncio.TaskGroup() as group:
            if any(isinstance(stream, ChangingStream) for stream in self._streams):
                group.create_task(events.run())
            for stream in self._streams:
                group.create_task(self._read_stream(stream))

    async def _read_stream(self, stream: Stream) -> None:
        """Read a stream to its end. What makes it fail is nobody else's."""
        error: BaseException | None = None
        try:
            await stream.run()
        except* Exception as group:
            error = first_of(group)
        stream.is_open = False
        stream.last_checkpoint(is_complete=error is None)
        if error is None:
            stream.note("complete", records=stream.records)
            self._output.put(Status(stream.name, "complete"))
        elif isinstance(error, EventsError):
            self._output.put(Failed(stream.name, error.error, self._events_endpoint.permission, stream.records))
        else:
            self._output.put(Failed(stream.name, error, stream.endpoint.permission, stream.records))

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
                known = (stream for stream in self._streams if stream.is_open and stream.state.followed is not None)
                silent = next((stream for stream in known if stream.has_said_all), None)
                if silent is not None:
                    self._output.put(State(silent.name, silent.state.dump()))

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


_KINDS: dict[str, type[Stream]] = {"updated": ChangingStream, "created": ImmutableStream}


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
