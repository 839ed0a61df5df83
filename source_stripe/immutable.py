"""Streams whose objects stay as they are: read by `created`."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from source_stripe.changes import Change
from source_stripe.feed import Feed, FeedReader
from source_stripe.output import Output
from source_stripe.retriever import StripeRetriever
from source_stripe.scheduler import Scheduler
from source_stripe.state import OVERLAP, Range, StreamState
from source_stripe.streams import HistoryReader, StreamSync

logger = logging.getLogger("airbyte")


class ImmutableSync(StreamSync):
    """A stream whose objects stay as they are: what is new is read by `created`, ten minutes of overlap besides."""

    def __init__(
        self, scheduler: Scheduler, output: Output, retriever: StripeRetriever, state: StreamState, lookback: int
    ) -> None:
        super().__init__(scheduler, output, retriever, state, lookback)
        self.reader = _NewestReader(self)

    @property
    def share(self) -> float | None:
        return self.reader.list_read.share() if self.reader.list_read else None

    def start(self, feed: Feed | None) -> None:
        state = self.state
        if state.followed is None or (state.is_foreign and self.retriever.settles):
            if state.is_foreign:
                # Nothing tells which transactions were pending when another connector read them.
                logger.info(f"{self.name}: read in full once, for what was pending when another connector read it")
            self.reader.read_ranges([(state.start, None)], open_top=True)
            return
        self.reader.since = max(state.start, state.window_start(self.lookback))
        unread: list[tuple[int, int | None]] = [(lo, min(hi, self.reader.since - 1)) for lo, hi in state.unread]
        unread = [(lo, hi) for lo, hi in unread if hi is not None and lo <= hi]
        if feed is not None and feed.is_whole and not unread and self.retriever.object == "event":
            self.scheduler.hold(self)
            feed.share(self.reader)
        else:
            self.reader.read_ranges([*unread, (self.reader.since, None)], open_top=True)


class _NewestReader(HistoryReader, FeedReader):
    """Reads up to now, leaving out what the overlap brings again; may be fed by the pass over the events."""

    def __init__(self, stream: ImmutableSync) -> None:
        super().__init__(stream)
        self.since = 0
        self._handled = dict(stream.state.recent)
        self._newest: int | None = None

    def top(self, hi: int) -> None:
        stream = self.stream
        if stream.refuses_the_future(hi):
            return
        state = stream.state
        since = max(state.start, self.since)
        stream.output.put_at_once(stream, lambda: state.reach(since, hi))
        for due, (first, last) in [(due, range_) for due, range_ in state.pending.items() if due <= hi]:
            _SettledReader(stream, due, (first, last)).read_ranges([(first, last)], open_top=False)

    def is_wanted(self, row: Any, change: Change | None) -> bool:
        is_in_range = self.list_read is not None or row.created >= self.since  # The feed may read further back.
        return is_in_range and row.id not in self._handled

    def then(self, rows: Sequence[Any]) -> Callable[[], None] | None:
        if not rows:
            return None
        state = self.stream.state
        self._newest = max(rows[0].created, self._newest or 0)
        newest = self._newest
        near = {row.id: row.created for row in rows if row.created >= newest - OVERLAP}
        pending = _pending_of(rows) if self.stream.retriever.settles else []

        def learn() -> None:
            state.remember(near, newest)
            for due, created in pending:
                state.remember_pending(due, created)

        return learn

    def finished(self) -> None:
        if self.list_read is None:  # The feed read for this stream, which waited.
            self.stream.scheduler.release(self.stream)

    def failed(self, error: Exception) -> None:
        self.stream.fail(error)
        self.stream.scheduler.release(self.stream)


class _SettledReader(HistoryReader):
    """Reads a range again whose pending transactions became available."""

    def __init__(self, stream: StreamSync, due: int, range_: Range) -> None:
        super().__init__(stream)
        self._due = due
        self._range = range_
        self._still_pending: list[tuple[int, int]] = []

    def is_wanted(self, row: Any, change: Change | None) -> bool:
        return bool(row.status != "pending")

    def then(self, rows: Sequence[Any]) -> Callable[[], None] | None:
        self._still_pending += _pending_of(rows)
        return None

    def claimed(self, lo: int, hi: int) -> None:
        """Nothing: the range was read before."""

    def finished(self) -> None:
        if self.stream.error is not None:
            return  # What was read may not have been emitted: the range stays due.
        state, due, range_, still_pending = self.stream.state, self._due, self._range, self._still_pending

        def learn() -> None:
            if state.pending.get(due) == range_:  # Else one that was due already came in meanwhile: next time.
                del state.pending[due]
            for later, created in still_pending:
                state.remember_pending(later, created)

        self.stream.output.put_at_once(self.stream, learn)


def _pending_of(rows: Sequence[Any]) -> list[tuple[int, int]]:
    return [(row.available_on, row.created) for row in rows if row.status == "pending"]
