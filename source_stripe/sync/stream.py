"""What all streams of a sync have in common: records, and a state that follows them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec import Raw

from source_stripe.api.account import Account
from source_stripe.sync.endpoint import Endpoint
from source_stripe.sync.events import EventPass
from source_stripe.sync.listing import CLOCK_TOLERANCE, ListRead, PageTaker, Rest
from source_stripe.sync.nested import NestedLists
from source_stripe.sync.output import Note, Output, State, Status
from source_stripe.sync.page import Page
from source_stripe.sync.state import BrokenState, StreamState

_MOST_NOTES = 10
"""So many objects with a broken text are named."""


@dataclass(frozen=True)
class Context:
    """What the streams of a sync share. `lookback` is in seconds; `checkpoint_due` tells whether a state may go out now."""

    account: Account
    output: Output
    lookback: int
    checkpoint_due: Callable[[str], bool]


class Stream(ABC):
    """One selected stream during a sync."""

    def __init__(self, context: Context, endpoint: Endpoint, state: StreamState) -> None:
        self.endpoint, self.state = endpoint, state
        self.account, self.output, self.lookback = context.account, context.output, context.lookback
        self._checkpoint_due = context.checkpoint_due
        self.nested = NestedLists(self.account, endpoint, self.output, self.put_page, self.mended)
        self.records = 0
        self.is_open = True
        self.list_read: ListRead | None = None
        self._mended = 0
        self._last_state = None if state.followed is None else state.dump()
        self._has_put_state = False
        self._records_at_state = 0

    @property
    def name(self) -> str:
        return self.endpoint.name

    @property
    def share(self) -> float | None:
        """The share of the history, or of what is new, that has been read; None when it can't be told."""
        return self.list_read.share() if self.list_read is not None else None

    @abstractmethod
    def register(self, events: EventPass) -> None:
        """Tell the pass over the events, before it begins, what is wanted of it."""

    @abstractmethod
    async def run(self) -> None:
        """Sync. Returns with everything put out; raises what kept it from that."""

    def close(self) -> None:  # noqa: B027
        """Let go of what the stream keeps outside of this process's memory. Called once, after everything."""

    # ------------------------------------------------------------------ what goes out

    def emit(self, objects: Sequence[tuple[Any, bytes | Raw, int]]) -> Rest | None:
        """Emit `objects`, each with its row and its `updated`; what is left to do where nested lists are not whole, or None."""
        writer = self.endpoint.writer
        records, incomplete = [], []
        for row, raw, updated in objects:
            record = writer.record(raw, row, updated)
            if (cut := self.nested.cut(row, record)) is not None:
                incomplete.append(cut)
            else:
                records.append(record)
        if records:
            self.put_page(writer.page(records))
        return partial(self.nested.complete, incomplete) if incomplete else None

    def put_page(self, page: Page) -> None:
        if not self.records:
            self.output.put(Status(self.name, "running"))
        self.records += page.count
        self.output.put(page)

    def note(self, name: str, **values: Any) -> None:
        self.output.put(Note(name, self.name, values))

    def mended(self, id: str) -> None:
        self._mended += 1
        if self._mended <= _MOST_NOTES:
            self.note("mended", id=id)

    def checkpoint(self) -> None:
        """Put out the state, which covers all that was put before, when one is due and it says something new."""
        if self._checkpoint_due(self.name):
            self._put_state()

    def last_checkpoint(self, is_complete: bool) -> None:
        """The same at the end, in any case. A stream that is complete has one also if nothing is new."""
        self._put_state(must=is_complete and not self._has_put_state)

    def _put_state(self, must: bool = False) -> None:
        if self.state.followed is None:
            return
        blob = self.state.dump()
        if blob != self._last_state or must:
            self._last_state, self._records_at_state, self._has_put_state = blob, self.records, True
            self.output.put(State(self.name, blob))

    @property
    def has_said_all(self) -> bool:
        """Whether no record came since the last state."""
        return self.records == self._records_at_state

    def range_read(self, lo: int, hi: int) -> None:
        """All that was created from `lo` to `hi` is out."""
        self.state.range_read(lo, hi)
        self.checkpoint()

    def refuse_the_future(self, now: int) -> None:
        """Fail when the state lies in Stripe's future: what happens until then would be missed."""
        if self.state.followed is not None and self.state.followed > now + CLOCK_TOLERANCE:
            raise BrokenState("it lies in the future")


class HistoryTaker(PageTaker):
    """Emits what a list shows, in ranges that the state then holds as read."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def list_read(self, ranges: Sequence[tuple[int, int | None]], open_top: bool) -> ListRead:
        """The reading of `ranges` of `created`, sorted, to their ends."""
        return ListRead(self.stream.account, self.stream.endpoint, self, ranges, open_top)

    async def ready(self) -> None:
        await self.stream.nested.ready()

    def mended(self, id: str) -> None:
        self.stream.mended(id)

    def range_read(self, lo: int, hi: int) -> None:
        self.stream.range_read(lo, hi)
