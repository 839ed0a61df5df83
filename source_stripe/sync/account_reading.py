"""The reading of one account: the selected streams side by side, each to its end."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError, first_of
from source_stripe.sync.changing import ChangingReading
from source_stripe.sync.endpoint import Endpoint
from source_stripe.sync.events import EventPass, EventsError
from source_stripe.sync.immutable import ImmutableReading
from source_stripe.sync.output import Failed, Sink, Status
from source_stripe.sync.reading import Context, Reading
from source_stripe.sync.readings import readings_of, without_refused
from source_stripe.sync.state import StreamState
from source_stripe.sync.stream import Stream


@dataclass(frozen=True)
class Selected:
    """A stream to be read: its endpoint, and what has been read of it, by the stream whose list is read: its own or, of
    children, their parents'."""

    endpoint: Endpoint
    states: Mapping[str, StreamState]


class AccountReading:
    """Reads the selected streams of one account into an output, each to its end: complete or failed.

    `endpoint_of` tells of a stream's name its endpoint, selected or not. `lookback` is in seconds. `checkpoint_due` tells of a
    stream's name whether a state is due. With a `name`, each record tells that it is of the account of that name.
    """

    def __init__(
        self,
        account: Account,
        selected: Sequence[Selected],
        endpoint_of: Callable[[str], Endpoint],
        lookback: int,
        output: Sink,
        checkpoint_due: Callable[[str], bool],
        name: str = "",
    ) -> None:
        self.account, self._endpoint_of, self._output = account, endpoint_of, output
        self.streams = [Stream(each.endpoint, each.states, output, checkpoint_due, name) for each in selected]
        self.readings = readings_of(Context(account, output, lookback), self.streams, endpoint_of)

    def close(self) -> None:
        """Let go of what lies outside of this process's memory."""
        for reading in self.readings:
            reading.close()

    async def run(self) -> None:
        """Read everything; who called it off has to `close`, too."""
        selected = (reading.endpoint for reading in self.readings if reading.endpoint.name == "events")
        events = EventPass(self.account, next(selected, None) or self._endpoint_of("events"), self._output)
        for stream in self.streams:
            stream.note("begins", state=stream.describe())
            self._output.put(Status(stream.name, "started"))
        # First those that tell the pass what they need, then those that may be served by it.
        for reading in sorted(self.readings, key=lambda reading: isinstance(reading, ImmutableReading)):
            reading.register(events)
        async with asyncio.TaskGroup() as group:
            if any(isinstance(reading, ChangingReading) for reading in self.readings):
                group.create_task(events.run())
            tasks = {reading: group.create_task(self._run(reading)) for reading in self.readings}
            for stream in self.streams:
                own = [task for reading, task in tasks.items() if stream in (outlet.stream for outlet in reading.outlets)]
                group.create_task(self._end(stream, own))

    async def _run(self, reading: Reading) -> None:
        """Read to the end. An error fails the streams of this reading and no others. Where the key may not read children, their
        parent is read again without them."""
        error = await _error_of(reading)
        if error is not None and (rest := without_refused(reading, error, self._endpoint_of)) is not None:
            for outlet in reading.outlets:
                if outlet not in rest.outlets:
                    outlet.stream.fail(error, reading.endpoint.name)
            async with asyncio.TaskGroup() as group:  # In a task of its own: a task some of whose tasks failed counts as ending.
                again = group.create_task(_error_of(rest))
            reading, error = rest, again.result()
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
            names.clear()  # Another account's stream may have the endpoint, too.
        stream.last_checkpoint(is_complete=stream.error is None)
        if stream.error is None:
            stream.note("complete", records=stream.records)
            self._output.put(Status(stream.name, "complete"))
            return
        error, permission = stream.error, stream.endpoint.permission
        if isinstance(error, EventsError):
            events = self._endpoint_of("events")
            error, permission = error.error, events.permission
            error.asked = events.path
        self._output.put(Failed(stream.name, error, permission, stream.records))


async def _error_of(reading: Reading) -> BaseException | None:
    error: BaseException | None = None
    try:
        await reading.run()
    except* Exception as group:
        error = first_of(group)
    return error
