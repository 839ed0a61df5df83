"""Streams whose objects change: history once, then what the events tell."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Raw

from source_stripe.changes import Change, ChangeIndex, Feed, Subscriber
from source_stripe.errors import StripeError
from source_stripe.follow import Follow
from source_stripe.history import Claim
from source_stripe.output import Output
from source_stripe.page import Row
from source_stripe.retriever import StripeRetriever
from source_stripe.scheduler import Scheduler
from source_stripe.state import RETENTION, StreamState
from source_stripe.streams import HistoryReader, StreamSync

logger = logging.getLogger("airbyte")


class ChangingSync(StreamSync):
    """A stream whose objects change: its history once, in parts that the state holds; then what the events tell."""

    def __init__(
        self, scheduler: Scheduler, output: Output, retriever: StripeRetriever, state: StreamState, lookback: int
    ) -> None:
        super().__init__(scheduler, output, retriever, state, lookback)
        self.index = ChangeIndex(retriever, state.recent)
        self._history: History | None = None

    @property
    def share(self) -> float | None:
        return self._history.list_read.share() if self._history and self._history.list_read else None

    def start(self, feed: Feed | None) -> None:
        assert feed is not None
        state = self.state
        self.scheduler.hold(self)
        # After a gap too: that is all that was not followed and that Stripe still has.
        since = None if state.followed is None else state.window_start(self.lookback)
        feed.subscribe(Subscriber(self.index, since, self._begin, self._fail, can_do_without=state.followed is None))

    def _fail(self, error: Exception) -> None:
        self.fail(NeedsEventsError.of(error))
        self.scheduler.release(self)

    def _begin(self, feed: Feed) -> None:
        state = self.state
        if state.followed is None:
            if feed.error is not None:
                logger.warning(
                    f'{self.name}: the key may not read events, so later syncs will not see changes. Set "Events: Read".'
                )
            handled, newest = self.index.near, feed.newest

            def first() -> None:
                state.followed = feed.at
                state.unread = [(state.start, feed.at)] if state.start <= feed.at else []
                state.remember(handled, newest)

            self.output.put_state(self, first)
            self._history = History(self, self.index.changes)
            self._history.read_ranges([(state.start, feed.at)], open_top=True)
        elif not self.refuses_the_future(feed.at):
            self._follow(feed)
        self.scheduler.release(self)

    def _follow(self, feed: Feed) -> None:
        state = self.state
        assert state.followed is not None
        unread, open_top, floor = list(state.unread), False, state.floor
        window = state.window_start(self.lookback)
        if state.has_gap(feed.at) or (feed.aged_out_at or 0) > state.followed:
            logger.info(
                f"{self.name}: read in full again, because Stripe keeps events for 30 days and changes were last followed"
                f" before that. What was deleted in the meantime, more than 30 days ago, can't be known."
            )
            unread, open_top = [(state.start, feed.at)], True
            floor = window = feed.at - RETENTION
            self.output.put_state(self, lambda: state.begin_full_read(feed.at))
        self._history = History(self, self.index.changes, floor or 0)
        Follow(self, self.index, feed, window, unread, self._history).start()
        if unread:
            self._history.read_ranges([*unread], open_top)


class NeedsEventsError(StripeError):
    """The error of the request for events, of a stream that needs them: names their permission, not the stream's."""

    @classmethod
    def of(cls, error: Exception) -> Exception:
        if isinstance(error, StripeError):
            return cls(**{name: getattr(error, name) for name in StripeError.__dataclass_fields__})
        return error


class History(HistoryReader):
    """History of a stream that changes. Objects of `expected` that it shows need no read of their own."""

    def __init__(self, stream: StreamSync, changes: Mapping[str, Change], floor: int = 0) -> None:
        super().__init__(stream)
        self._changes = changes
        self._floor = floor
        self.expected: dict[str, Change] = {}
        self.when_finished: Callable[[], None] = lambda: None

    def read(self, rows: Sequence[Any], raws: Sequence[Raw], claim: Claim) -> None:
        if self.expected:
            with self.stream.scheduler.lock:
                for row in rows:
                    self.expected.pop(row.id, None)
        super().read(rows, raws, claim)

    def updated(self, row: Row) -> int:
        change = self._changes.get(row.id)
        return max(row.created, self._floor, change.at if change else 0)

    def finished(self) -> None:
        self.when_finished()
