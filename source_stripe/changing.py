"""Streams whose objects change: history once, then what the events tell."""

import logging

from source_stripe.changes import ChangeIndex
from source_stripe.errors import StripeError
from source_stripe.feed import Feed, Subscriber
from source_stripe.follow import ChangedReader, Follow
from source_stripe.output import Output
from source_stripe.retriever import StripeRetriever
from source_stripe.scheduler import Scheduler
from source_stripe.state import RETENTION, StreamState
from source_stripe.streams import StreamSync

logger = logging.getLogger("airbyte")


class ChangingSync(StreamSync):
    """A stream whose objects change: its history once, in parts that the state holds; then what the events tell."""

    def __init__(
        self, scheduler: Scheduler, output: Output, retriever: StripeRetriever, state: StreamState, lookback: int
    ) -> None:
        super().__init__(scheduler, output, retriever, state, lookback)
        self.index = ChangeIndex(retriever, state.recent)
        self._history: ChangedReader | None = None

    @property
    def share(self) -> float | None:
        return self._history.list_read.share() if self._history and self._history.list_read else None

    def close(self) -> None:
        self.index.close()

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

            self.output.put_at_once(self, first)
            self._history = ChangedReader(self, self.index)
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
            self.output.put_at_once(self, lambda: state.begin_full_read(feed.at))
        self._history = ChangedReader(self, self.index, floor or 0)
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
