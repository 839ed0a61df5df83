"""How far a sync is, for a person who follows its log or looks at a terminal."""

import asyncio
from collections.abc import Sequence

from source_stripe.api.account import Account
from source_stripe.sync.output import Note, Output, Shares
from source_stripe.sync.reading import Reading
from source_stripe.sync.stream import Stream

SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_LOOKS = 0.25


class Progress:
    """Notes at a sane pace: per stream what is left to read, how many records came and how fast.

    The share that is read of each stream comes besides, with `watched` a few times a second.
    """

    def __init__(
        self, streams: Sequence[Stream], readings: Sequence[Reading], account: Account, output: Output, watched: bool
    ) -> None:
        self._streams, self._account, self._output, self._watched = streams, account, output, watched
        self._readings = {outlet.stream.name: reading for reading in readings for outlet in reading.outlets}
        self._began = self._last = asyncio.get_running_loop().time()
        self._last_records: dict[str, int] = {}
        self._last_requests = 0

    async def run(self) -> None:
        """Report for as long as the sync lasts."""
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS if self._watched else SECONDS_BETWEEN_LINES)
            shares = {name: share for name, reading in self._readings.items() if (share := reading.share(name)) is not None}
            self._output.put(Shares(shares))
            if asyncio.get_running_loop().time() - self._last >= SECONDS_BETWEEN_LINES - 0.01:  # A timer may be a little early.
                self._report_streams()

    def _report_streams(self) -> None:
        now = asyncio.get_running_loop().time()
        seconds = now - self._last
        for stream in self._streams:
            pace = (stream.records - self._last_records.get(stream.name, 0)) / seconds
            if pace or stream.is_open:
                reading = self._readings[stream.name]
                stream.note(
                    "progress",
                    records=stream.records,
                    share=reading.share(stream.name),
                    pace=pace,
                    holding=self._account.pace.holding(reading.endpoint.path, now),
                    state=stream.describe(),
                )
            self._last_records[stream.name] = stream.records
        rate = (self._account.requests - self._last_requests) / seconds
        self._output.put(Note("request_rate", values={"rate": rate}))
        self._last_requests = self._account.requests
        self._last = now

    def report(self) -> None:
        """The last line."""
        seconds = asyncio.get_running_loop().time() - self._began
        records = sum(stream.records for stream in self._streams)
        values = {"records": records, "requests": self._account.requests, "seconds": seconds}
        self._output.put(Note("sum", values=values))
