"""One sync: the selected streams side by side, and what comes out of them in order."""

import logging
from collections.abc import Iterable, Iterator, Sequence

from airbyte_cdk.models import (
    AirbyteMessage,
    AirbyteStateBlob,
    AirbyteStateMessage,
    AirbyteStateType,
    AirbyteStreamState,
    AirbyteStreamStatus,
    FailureType,
    StreamDescriptor,
    Type,
)
from airbyte_cdk.utils.stream_status_utils import as_airbyte_message as status_message
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe.changing import ChangingSync, NeedsEventsError
from source_stripe.clock import Clock
from source_stripe.errors import error_message, traced
from source_stripe.feed import Feed
from source_stripe.immutable import ImmutableSync
from source_stripe.output import Output
from source_stripe.page import Page
from source_stripe.progress import Progress
from source_stripe.requester import StripeRequester
from source_stripe.retriever import StripeRetriever
from source_stripe.scheduler import Scheduler
from source_stripe.state import StreamState
from source_stripe.streams import StreamSync

logger = logging.getLogger("airbyte")

_SECONDS_BETWEEN_STATES = 0.1


class Sync:
    """Reads the selected streams. `run` yields pages and messages; a page's records are out when the next item is asked for.

    `streams` are retrievers with the state to go on from, `events` is the retriever of the account's events, selected or not.
    """

    def __init__(
        self,
        requester: StripeRequester,
        streams: Sequence[tuple[StripeRetriever, StreamState]],
        events: StripeRetriever,
        workers: int,
        lookback: int,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._output = Output()
        self.scheduler = Scheduler(requester, clock, workers)
        self._streams: list[StreamSync] = [
            (ChangingSync if retriever.cursor_field == "updated" else ImmutableSync)(
                self.scheduler, self._output, retriever, state, lookback
            )
            for retriever, state in streams
        ]
        self._events = events
        self._dirty: dict[str, StreamSync] = {}
        self._last_state = 0.0
        self._errors: dict[str, AirbyteTracedException] = {}
        self.progress = Progress(self._streams, self.scheduler, clock)

    def run(self) -> Iterator[Page | AirbyteMessage]:
        """Everything that the sync brings. Raises at the end when a stream failed; the others are whole."""
        for stream in self._streams:
            logger.info(f"{stream.name}: {stream.state.describe()}")
            yield _status(stream, AirbyteStreamStatus.STARTED)
        try:
            self._start()
            yield from self._drain()
        finally:
            self._output.close()
            self.scheduler.stop()
            for stream in self._streams:
                stream.close()
        self.progress.report()
        if self._errors:
            raise self._summary()

    def _start(self) -> None:
        changing = any(isinstance(stream, ChangingSync) for stream in self._streams)
        feed = Feed(self.scheduler, self._events) if changing else None
        with self.scheduler.lock:
            # First those that tell the feed what they need, then those that may be served by it.
            for stream in sorted(self._streams, key=lambda stream: isinstance(stream, ImmutableSync)):
                stream.start(feed)
            if feed is not None:
                feed.start()

    def _drain(self) -> Iterator[Page | AirbyteMessage]:
        open_streams = {stream.name for stream in self._streams}
        while open_streams:
            item = self._output.get(timeout=self.progress.seconds_to_next())
            self.progress.report_if_due()
            if self.scheduler.defect is not None:
                raise self.scheduler.defect
            if item is None:
                continue
            stream, page, then, is_end = item
            if page is not None:
                if not stream.records:
                    yield _status(stream, AirbyteStreamStatus.RUNNING)
                stream.records += page.count
                yield page
            if then is not None:
                then()
                self._dirty[stream.name] = stream
            if is_end:
                yield from self._states([self._dirty.pop(stream.name)] if stream.name in self._dirty else [])
                yield from self._end(stream)
                open_streams.remove(stream.name)
            elif self._dirty and (
                self._output.is_empty() or self._clock.monotonic() - self._last_state >= _SECONDS_BETWEEN_STATES
            ):
                dirty = list(self._dirty.values())
                self._dirty.clear()
                yield from self._states(dirty)

    def _states(self, streams: Iterable[StreamSync]) -> Iterator[AirbyteMessage]:
        self._last_state = self._clock.monotonic()
        for stream in streams:
            if stream.state.followed is not None:
                yield AirbyteMessage(
                    type=Type.STATE,
                    state=AirbyteStateMessage(
                        type=AirbyteStateType.STREAM,
                        stream=AirbyteStreamState(
                            stream_descriptor=StreamDescriptor(name=stream.name),
                            stream_state=AirbyteStateBlob(stream.state.dump()),
                        ),
                    ),
                )

    def _end(self, stream: StreamSync) -> Iterator[AirbyteMessage]:
        if stream.error is None:
            logger.info(f"{stream.name}: complete, {stream.records:,} records")
            yield _status(stream, AirbyteStreamStatus.COMPLETE)
            return
        permission = self._events.permission if isinstance(stream.error, NeedsEventsError) else stream.retriever.permission
        error = traced(stream.error, permission)
        self._errors[stream.name] = error
        logger.error(f"{stream.name}: failed after {stream.records:,} records. {error.message}")
        yield error_message(error, StreamDescriptor(name=stream.name))
        yield _status(stream, AirbyteStreamStatus.INCOMPLETE)

    def _summary(self) -> AirbyteTracedException:
        """One error for the run: of the gravest kind that a stream's has; a system error is graver than one that may pass."""
        kinds = {error.failure_type for error in self._errors.values()}
        kind = next(
            kind for kind in (FailureType.system_error, FailureType.transient_error, FailureType.config_error) if kind in kinds
        )
        messages = {error.message for error in self._errors.values()}
        what = messages.pop() if len(messages) == 1 else "See the error of each."
        names = ", ".join(sorted(self._errors))
        return AirbyteTracedException(
            message=f"{len(self._errors)} of {len(self._streams)} streams failed: {names}. {what}",
            internal_message="streams failed",
            failure_type=kind,
        )


def _status(stream: StreamSync, status: AirbyteStreamStatus) -> AirbyteMessage:
    return status_message(StreamDescriptor(name=stream.name), status)
