"""What all streams of a sync have in common: a beginning, records, a state that follows them, an end."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Raw

from source_stripe.changes import Change
from source_stripe.feed import Feed
from source_stripe.history import Claim, ListRead, ListReader
from source_stripe.nested import NestedLists
from source_stripe.output import Output
from source_stripe.page import Page, Row
from source_stripe.retriever import StripeRetriever
from source_stripe.scheduler import Owner, Scheduler
from source_stripe.state import StreamState, refused_state

_CLOCK_TOLERANCE = 600


class StreamSync(Owner):
    """One selected stream during a sync. It ends, well or not, with everything that it emitted in the output."""

    def __init__(
        self, scheduler: Scheduler, output: Output, retriever: StripeRetriever, state: StreamState, lookback: int
    ) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.output = output
        self.retriever = retriever
        self.state = state
        self.lookback = lookback
        self.nested = NestedLists(self)
        self.records = 0

    @property
    def name(self) -> str:
        return self.retriever.name

    @property
    def share(self) -> float | None:
        """The share of the history, or of what is new, that has been read; None when it can't be told."""
        return None

    @abstractmethod
    def start(self, feed: Feed | None) -> None:
        """Queue the first requests, or ask the feed for what is needed first. Called with the lock held."""

    def close(self) -> None:
        """Let go of what the stream keeps outside of this process's memory. Called once, after everything."""

    def ended(self) -> None:
        self.output.end(self)

    def fail(self, error: Exception) -> None:
        self.scheduler.fail(self, error)

    def emit(self, records: list[bytes], then: Callable[[], None] | None = None) -> None:
        """Hand out whole records; `then` changes the state once they are out. Blocks while the reader is slow."""
        self.emit_page(self.retriever.writer.page(records) if records else None, then)

    def emit_page(self, page: Page | None, then: Callable[[], None] | None = None) -> None:
        """The same with a page."""
        if self.error is None:
            self.output.put(self, page, then)

    def claimed(self, lo: int, hi: int) -> None:
        """The range `lo` to `hi` of `created` is read, once what was emitted before is out."""
        if self.error is not None:
            return
        self.output.put_at_once(self, lambda: self.state.read(lo, hi))

    def refuses_the_future(self, now: int) -> bool:
        """Fail when the state lies in Stripe's future: what happens until then would be missed."""
        if self.state.followed is None or self.state.followed <= now + _CLOCK_TOLERANCE:
            return False
        self.fail(refused_state(self.name, "it lies in the future"))
        return True


class HistoryReader(ListReader):
    """Emits what a list shows, in ranges that the state then holds as read."""

    def __init__(self, stream: StreamSync) -> None:
        self.stream = stream
        self.list_read: ListRead | None = None

    def read_ranges(self, ranges: Sequence[tuple[int, int | None]], open_top: bool) -> None:
        """Begin with `ranges`, sorted. Called with the lock held."""
        stream = self.stream
        self.list_read = ListRead(stream.scheduler, stream, stream.retriever, self, ranges, open_top)
        stream.nested.when_less_full(self.list_read.resume)
        self.list_read.start()

    def read(self, rows: Sequence[Any], raws: Sequence[Raw], claim: Claim) -> None:
        stream, start = self.stream, self.stream.state.start
        changes = self.changes(rows)
        objects = [
            (row, raw, self.updated(row, changes.get(row.id)))
            for row, raw in zip(rows, raws, strict=True)
            if row.created >= start and self.is_wanted(row, changes.get(row.id))
        ]
        stream.nested.emit(objects, claim, self.then(rows))

    def changes(self, rows: Sequence[Any]) -> Mapping[str, Change]:
        """By their ids what is known to have changed of a page; asked once for each page that is emitted."""
        return {}

    def is_wanted(self, row: Any, change: Change | None) -> bool:
        return True

    def updated(self, row: Row, change: Change | None) -> int:
        return row.created

    def then(self, rows: Sequence[Any]) -> Callable[[], None] | None:
        """What the state learns from a page once it is out, besides its range."""
        return None

    def is_full(self) -> bool:
        return self.stream.nested.is_full()

    def claimed(self, lo: int, hi: int) -> None:
        self.stream.claimed(lo, hi)

    def finished(self) -> None:
        """Nothing: the stream ends by itself when nothing is left."""
