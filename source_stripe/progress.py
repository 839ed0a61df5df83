"""How far a sync is, for a person who follows its log."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from source_stripe.clock import Clock
from source_stripe.scheduler import Scheduler

if TYPE_CHECKING:
    from source_stripe.streams import StreamSync

logger = logging.getLogger("airbyte")

_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_LOOKS = 0.25

watcher: Callable[[Mapping[str, float]], None] | None = None
"""Called a few times a second, while a person watches, with the share of each stream's history that is read, from 0 to 1, as far
as it can be told. The command sets it."""


class Progress:
    """Log lines at a sane pace: per stream what is left to read, how many records came and how fast."""

    def __init__(self, streams: "Sequence[StreamSync]", scheduler: Scheduler, clock: Clock) -> None:
        self._streams = streams
        self._scheduler = scheduler
        self._clock = clock
        self._began = self._last = self._last_look = clock.monotonic()
        self._last_records: dict[str, int] = {}
        self._last_requests = 0

    def seconds_to_next(self) -> float:
        if watcher is not None:
            return _SECONDS_BETWEEN_LOOKS
        return max(0.05, self._last + _SECONDS_BETWEEN_LINES - self._clock.monotonic())

    def report_if_due(self) -> None:
        if watcher is not None and self._clock.monotonic() - self._last_look >= _SECONDS_BETWEEN_LOOKS:
            self._last_look = self._clock.monotonic()
            with self._scheduler.lock:
                shares = {stream.name: share for stream in self._streams if (share := stream.share) is not None}
            watcher(shares)
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
