"""Objects that stay as they are: read by `created`."""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from source_stripe.sync.endpoint import Endpoint, is_time
from source_stripe.sync.events import EventPass
from source_stripe.sync.outlet import Object, Outlet, Rest
from source_stripe.sync.overlap import Overlap
from source_stripe.sync.parts import Part
from source_stripe.sync.reading import Context, HistoryTaker, Reading
from source_stripe.sync.state import BrokenState, Range, StreamState


class ImmutableReading(Reading):
    """What stays as it is: what is new is read by `created`, ten minutes of overlap besides."""

    def __init__(self, context: Context, endpoint: Endpoint, state: StreamState, outlets: Sequence[Outlet]) -> None:
        super().__init__(context, endpoint, state, outlets)
        self._taker = _NewTaker(self)
        self._ranges: list[tuple[int, int | None]] = [(state.start, None)]
        self.settling: asyncio.TaskGroup
        if state.is_foreign and endpoint.settles:
            # Nothing tells which transactions were pending when another connector read them.
            self.note("settling_anew")
        elif state.followed is not None:
            since = self._taker.since = max(state.start, state.window_start(self.lookback))
            unread = [(lo, min(hi, since - 1)) for lo, hi in state.unread]
            self._ranges = [*((lo, hi) for lo, hi in unread if lo <= hi), (since, None)]

    def register(self, events: EventPass) -> None:
        is_one_range = self.state.followed is not None and len(self._ranges) == 1
        if self.endpoint.object == "event" and is_one_range and events.reads_on:
            events.share(self._taker, self._taker.since)
            self._taker.events = events

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self.settling:
            if self._taker.events is not None:
                await self._taker.events.over()
            else:
                self.list_read = self._taker.list_read(self._ranges, open_top=True)
                await self.list_read.run()
        if self._taker.refusal is not None:
            raise self._taker.refusal


class _NewTaker(HistoryTaker):
    """Takes what the state has not read, and what is new, leaving out what the overlap brings again."""

    def __init__(self, reading: ImmutableReading) -> None:
        super().__init__(reading)
        self.reading: ImmutableReading = reading
        self.since = reading.state.start
        self.events: EventPass | None = None
        """The pass that hands on its pages, if others need them too: there is no list of its own then."""
        self.refusal: BrokenState | None = None
        self._overlap = Overlap(reading.state.handled)

    def fixed_top(self, hi: int) -> None:
        reading, state = self.reading, self.reading.state
        try:
            reading.refuse_the_future(hi)
        except BrokenState as error:
            if self.events is None:
                raise
            self.refusal = error  # Others, too, read the events.
            return
        due = [(due, range_) for due, range_ in state.pending.items() if due <= hi and reading.endpoint.settles]
        state.extend_to(self.since, hi)
        for each, range_ in due:
            reading.settling.create_task(_SettledTaker(reading, each, range_).run())

    def take(self, part: Part, rows: Sequence[Any], raws: Sequence[Raw]) -> Rest | None:
        if self.refusal is not None:
            return None
        reading, state = self.reading, self.reading.state
        if rows:
            state.saw(rows[0].created)
        pairs = list(zip(rows, raws, strict=True))
        if self.events is not None:  # They may be read from further back.
            pairs = [(row, raw) for row, raw in pairs if row.created >= self.since]
        if reading.endpoint.settles:
            for due, created in _pending_of(rows):
                state.remember_pending(due, created)
        near = state.window_start() if state.followed is not None else 0
        pairs = self._overlap.whole(part, pairs)
        fresh = self._overlap.fresh([row for row, _ in pairs], near)
        wanted = [(row, raw) for row, raw in pairs if row.id in fresh and row.created >= state.start]
        return reading.emit([Object(row, raw, row.created) for row, raw in wanted])

    def range_read(self, lo: int, hi: int) -> None:
        if self.refusal is not None:
            return
        seen = self._overlap.seen
        for second in [second for second in seen if lo <= second <= hi]:
            self.reading.state.remember(second, seen.pop(second))
        super().range_read(lo, hi)


class _SettledTaker(HistoryTaker):
    """Reads a range again whose pending transactions became available, and emits those that are."""

    def __init__(self, reading: ImmutableReading, due: int, range_: Range) -> None:
        super().__init__(reading)
        self._due, self._range = due, range_
        self._still_pending: list[tuple[int, int]] = []

    async def run(self) -> None:
        await self.list_read([self._range], open_top=False).run()
        state = self.reading.state
        if state.pending.get(self._due) == self._range:  # Else one that was due already came in meanwhile: next time.
            del state.pending[self._due]
        for due, created in self._still_pending:
            state.remember_pending(due, created)
        self.reading.checkpoint()

    def take(self, part: Part, rows: Sequence[Any], raws: Sequence[Raw]) -> Rest | None:
        self._still_pending += _pending_of(rows)
        state = self.reading.state
        settled = [(row, raw) for row, raw in zip(rows, raws, strict=True) if row.status != "pending"]
        return self.reading.emit([Object(row, raw, row.created) for row, raw in settled if row.created >= state.start])

    def range_read(self, lo: int, hi: int) -> None:
        """Nothing: the range was read before."""


def _pending_of(rows: Sequence[Any]) -> list[tuple[int, int]]:
    """When the pending ones become available, at the earliest as they are created, and when they were created."""
    pending = [row for row in rows if row.status == "pending"]
    return [(max(row.available_on if is_time(row.available_on) else 0, row.created), row.created) for row in pending]
