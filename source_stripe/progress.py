"""How far a sync is, for a person who follows its log."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from source_stripe.clock import Clock
from source_stripe.scheduler import Scheduler

if TYPE_CHECKING:
    from source_stripe.streams import StreamSync

logger = logging.getLogger("airbyte")

_SECONDS_BETWEEN_LINES = 30.0


class Progress:
    """Log lines at a sane pace: per stream what is left to read, how many records came and how fast."""

    def __init__(self, streams: "Sequence[StreamSync]", scheduler: Scheduler, clock: Clock) -> None:
        self._streams = streams
        self._scheduler = scheduler
        self._clock = clock
        self._began = self._last = clock.monotonic()
        self._last_records: dict[str, int] = {}
        self._last_requests = 0

    def seconds_to_next(self) -> float:
        return max(0.05, self._last + _SECONDS_BETWEEN_LINES - self._clock.monotonic())

    def report_if_due(self) -> None:
        if self._clock.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._report_streams()

    def _report_streams(self) -> None:
        now = self._clock.monotonic()
        seconds = max(now - self._last, 0.001)
        with self._scheduler.lock:
            for stream in self._streams:
                pace = (stream.records - self._last_records.get(stream.name, 0)) / seconds
                if pace or stream.left:
                    holding = self._scheduler.pace.holding(stream.retriever.path, now)
                    done = f", about {stream.share:.0%} of history" if stream.share is not None else ""
                    logger.info(
                        f"{stream.name}: {stream.records:,} records so far{done}, {pace:,.0f} a second, held by {holding};"
                        f" {stream.state.describe()}"
                    )
                self._last_records[stream.name] = stream.records
            logger.info(f"{(self._scheduler.requests - self._last_requests) / seconds:,.1f} requests a second")
            self._last_requests = self._scheduler.requests
        self._last = now

    def report(self) -> None:
        """The last line."""
        seconds = self._clock.monotonic() - self._began
        records = sum(stream.records for stream in self._streams)
        logger.info(f"{records:,} records with {self._scheduler.requests:,} requests in {seconds:,.1f} seconds")
