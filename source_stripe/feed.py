"""One pass over the account's events, for all streams of a sync."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from msgspec import Raw

from source_stripe.changes import ChangeIndex, Event, EventDecoder, decode_event
from source_stripe.errors import StripeError
from source_stripe.history import Claim, ListRead, ListReader
from source_stripe.requester import Answer, Request
from source_stripe.retriever import StripeRetriever
from source_stripe.scheduler import Owner, Scheduler, Task
from source_stripe.state import OVERLAP

_MOST_TYPES = 20
"""Stripe filters by at most twenty types: https://docs.stripe.com/api/events/list."""

# Everything waits for the events, and each page of them may lead to a hundred requests: some more to have them soon are few.
_SPARE = 0.1


class FeedReader(ListReader):
    """A stream that takes its records from the same pass over the events."""

    since: int

    @abstractmethod
    def failed(self, error: Exception) -> None:
        """The pass failed. Called with the lock held."""


@dataclass
class Subscriber:
    """A stream that the feed serves: `since` None needs the newest events alone, to know where to go on from."""

    index: ChangeIndex
    since: int | None
    begin: Callable[["Feed"], None]
    fail: Callable[[Exception], None]
    can_do_without: bool
    error: Exception | None = None
    """What kept the index from taking the events; the other subscribers go on."""

    def take(self, events: Iterable[Event], near: int) -> None:
        """Have the index count those of `events` that it needs; those from `near` on will be seen again."""
        if self.error is not None:
            return
        try:
            self.index.add([event for event in events if event.created >= (self.since or 0)], near)
        except AirbyteTracedException as error:
            self.error = error


class Feed(Owner, ListReader):
    """One pass over `/v1/events` for all streams of a sync, as far back as one of them needs.

    Nothing of it is kept but what the subscribers' indexes take. Each begins when the pass is complete; it then finds `at`, up
    to when changes are told, and `newest`, the newest event's time.
    """

    def __init__(self, scheduler: Scheduler, retriever: StripeRetriever) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._retriever = retriever
        self._subscribers: list[Subscriber] = []
        self._reader: FeedReader | None = None
        self.at = 0
        self.newest: int | None = None
        self.aged_out_at: int | None = None

    @cached_property
    def _decoder(self) -> EventDecoder:
        return EventDecoder(set().union(*(subscriber.index.fields for subscriber in self._subscribers)))

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def share(self, reader: FeedReader) -> None:
        """Hand the pages to the `events` stream too, as far back as it needs them."""
        self._reader = reader

    @property
    def is_whole(self) -> bool:
        """Whether a subscriber needs more than the newest page."""
        return any(subscriber.since is not None for subscriber in self._subscribers)

    def start(self) -> None:
        """Queue the first request. Called with the lock held."""
        types = sorted(set().union(*(subscriber.index.types for subscriber in self._subscribers)))
        if self._reader is not None or len(types) > _MOST_TYPES:
            types = []
        since = [subscriber.since for subscriber in self._subscribers if subscriber.since is not None]
        if self._reader is not None:
            since.append(self._reader.since)
        if since:
            ranges = [(min(since), None)]
            ListRead(self._scheduler, self, self._retriever, self, ranges, open_top=True, types=types, spare=_SPARE).start()
        else:
            request = self._retriever.list_request(None, None, None, types=types)
            self._scheduler.add(Task(self, request, self._handle_head))

    def _handle_head(self, answer: Answer) -> None:
        listed = self._retriever.listed(answer)
        self._tell(listed.raws)
        with self._scheduler.lock:
            self.top(max(self._scheduler.stripe_now(), *(row.created for row in listed.rows[:1]), 0))

    def top(self, hi: int) -> None:
        self.at = hi
        if self._reader is not None:
            self._reader.top(hi)

    def read(self, rows: Sequence[Any], raws: Sequence[Raw], claim: Claim) -> None:
        self._tell(raws)
        if self._reader is not None:
            self._reader.read(rows, raws, claim)

    def _tell(self, raws: Iterable[Raw]) -> None:
        events = [event for event in map(self._decoder.decode, raws) if event is not None]
        with self._scheduler.lock:
            self.newest = max([event.created for event in events] + [self.newest or 0]) or None
            for subscriber in self._subscribers:
                subscriber.take(events, self._near)

    def claimed(self, lo: int, hi: int) -> None:
        if self._reader is not None:
            self._reader.claimed(lo, hi)

    def finished(self) -> None:
        if self._reader is not None:
            self._reader.finished()

    def aged_out(self, at: int) -> None:
        self.aged_out_at = max(at, self.aged_out_at or 0)

    def ended(self) -> None:
        error = self.error
        if isinstance(error, StripeError) and error.is_missing_permission and self.at == 0:
            self.at = self._scheduler.stripe_now()
        for subscriber in self._subscribers:
            try:
                if (own := subscriber.error or (None if self._does_without(subscriber) else error)) is None:
                    subscriber.begin(self)
            except Exception as raised:
                own = raised
            if own is not None:
                subscriber.fail(own)
        if error is not None and self._reader is not None:
            self._reader.failed(error)

    def _does_without(self, subscriber: Subscriber) -> bool:
        return subscriber.can_do_without and isinstance(self.error, StripeError) and self.error.is_missing_permission

    def event_request(self, id: str) -> Request:
        return self._retriever.object_request(id)

    def payload(self, answer: Answer) -> bytes:
        """The object that the event in `answer` is about."""
        try:
            event = decode_event(msgspec.json.format(answer.body, indent=-1))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise answer.unreadable(str(error)) from error
        return bytes(event.data.object) if event.data else b"{}"

    @property
    def _near(self) -> int:
        """From when on events will be seen again by the next sync. Known with the newest page, which comes first."""
        return min(self.newest or 0, self.at or self.newest or 0) - OVERLAP
