"""What the account's events tell: which objects changed, and how each is to be read again."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from source_stripe.errors import StripeError
from source_stripe.history import Claim, ListRead, ListReader
from source_stripe.page import Row
from source_stripe.requester import Answer, Request
from source_stripe.retriever import StripeRetriever
from source_stripe.scheduler import Owner, Scheduler, Task
from source_stripe.state import OVERLAP

_MOST_TYPES = 20
"""Stripe filters by at most twenty types: https://docs.stripe.com/api/events/list."""

# Everything waits for the events, and each page of them may lead to a hundred requests: some more to have them soon are few.
_SPARE = 0.1


class _EventData(msgspec.Struct):
    object: Raw


class _Event(Row):
    type: str = ""
    data: _EventData | None = None


_decode_event = msgspec.json.Decoder(_Event).decode


@dataclass(slots=True)
class Change:
    """What is known of one object from its events. Times are epoch seconds.

    `at` and `event` are the time and the id of the newest event; `created` the object's, None when only events of other
    objects told; `is_fresh` says that at least one of the events was not handled by an earlier sync.
    """

    at: int
    event: str
    created: int | None
    is_fresh: bool = False
    deletion: Raw | None = None
    """The object as its deletion's event carries it, when that is the newest."""
    is_tied: bool = False
    """A deletion and another event share the newest second: which came last can't be told by their times."""


class ChangeIndex:
    """The changes of one stream's objects, gathered from events in any order of ranges, newest first within each."""

    def __init__(self, retriever: StripeRetriever, handled: Mapping[str, int]) -> None:
        self._retriever = retriever
        self._handled = handled
        self._own_types = frozenset(retriever.events)
        self._fields = {type_: name for name, types in retriever.changed_with.items() for type_ in types}
        self.types = self._own_types | set(self._fields) | set(retriever.announced_by)
        """The types of event that tell something of the stream."""
        self.changes: dict[str, Change] = {}
        self.announced: dict[str, int] = {}
        """By the id of the object that announced others of this stream, the time of the newest fresh announcement."""
        self._announcements: dict[str, int] = {}
        self._own_creations: dict[str, int] = {}
        self.near: dict[str, int] = {}
        """By its id the time of each event that told something and that the next sync will see again."""

    def add(self, event: _Event, payload: Mapping[str, Any], raw: Raw, is_near: bool) -> None:
        """Count `event`, whose object is `payload`; one without an id is a preview that is stored nowhere."""
        if (
            event.type not in self._own_types
            and event.type not in self._fields
            and event.type not in self._retriever.announced_by
        ):
            return
        is_fresh = event.id not in self._handled
        if is_near:
            self.near[event.id] = event.created
        if (
            event.type in self._own_types
            and payload.get("object") == self._retriever.object
            and isinstance(payload.get("id"), str)
        ):
            self._count(payload["id"], event, payload.get("created"), raw, is_fresh)
            if event.type.endswith(".created"):
                for owner in self._retriever.announced_by.values():
                    if isinstance(id := _id_of(payload.get(owner)), str):
                        self._own_creations[id] = self._own_creations.get(id, 0) + 1
        elif (name := self._fields.get(event.type)) and (id := _id_of(payload.get(name))):
            self._count(id, event, None, raw, is_fresh)
        if event.type in self._retriever.announced_by and (id := _id_of(payload)):
            self._announcements[id] = self._announcements.get(id, 0) + 1
            if is_fresh:
                self.announced[id] = max(event.created, self.announced.get(id, 0))

    def _count(self, id: str, event: _Event, created: int | None, raw: Raw, is_fresh: bool) -> None:
        is_deletion = event.type == self._retriever.deleted_by != ""
        change = self.changes.get(id)
        if change is None:
            change = self.changes[id] = Change(event.created, event.id, created)
            change.deletion = raw.copy() if is_deletion else None
        elif event.created == change.at:
            change.is_tied = change.is_tied or is_deletion != (change.deletion is not None)
        elif event.created > change.at:
            change.at, change.event, change.is_tied = event.created, event.id, False
            change.deletion = raw.copy() if is_deletion else None
        if created is not None and (change.created is None or event.id == change.event):
            change.created = created
        change.is_fresh = change.is_fresh or is_fresh

    def unannounced(self) -> dict[str, int]:
        """Objects that announced others of this stream without an event of these, with the time of the announcement."""
        return {id: at for id, at in self.announced.items() if self._own_creations.get(id, 0) < self._announcements.get(id, 0)}


def _id_of(value: Any) -> str | None:
    """The id in a field that holds an id or an object."""
    id = value.get("id") if isinstance(value, Mapping) else value
    return id if isinstance(id, str) else None


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


class Feed(Owner, ListReader):
    """One pass over `/v1/events` for all streams of a sync, newest first.

    Only ids, types and times are kept. Each subscriber begins when the pass is complete, or as soon as the newest page is
    there if it needs no more; it then finds `at`, up to when changes are told, and `newest`, the newest event's time.
    """

    def __init__(self, scheduler: Scheduler, retriever: StripeRetriever) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._retriever = retriever
        self._subscribers: list[Subscriber] = []
        self._records: FeedReader | None = None
        self._has_head = False
        self.at = 0
        self.newest: int | None = None
        self.aged_out_at: int | None = None

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def share(self, reader: FeedReader) -> None:
        """Hand the pages to the `events` stream too, as far back as it needs them."""
        self._records = reader

    @property
    def is_whole(self) -> bool:
        """Whether a subscriber needs more than the newest page."""
        return any(subscriber.since is not None for subscriber in self._subscribers)

    def start(self) -> None:
        """Queue the first request. Called with the lock held."""
        types = sorted(set().union(*(subscriber.index.types for subscriber in self._subscribers)))
        if self._records is not None or len(types) > _MOST_TYPES:
            types = []
        since = [subscriber.since for subscriber in self._subscribers if subscriber.since is not None]
        if self._records is not None:
            since.append(self._records.since)
        if since:
            ranges = [(min(since), None)]
            ListRead(self._scheduler, self, self._retriever, self, ranges, open_top=True, types=types, spare=_SPARE).start()
        else:
            request = self._retriever.list_request(None, None, None, types=types)
            self._scheduler.add(Task(self, request, self._handle_head))

    def _handle_head(self, answer: Answer) -> None:
        listed = self._retriever.listed(answer)
        self._index(listed.raws)
        with self._scheduler.lock:
            self.top(max(self._scheduler.stripe_now(), *(row.created for row in listed.rows[:1]), 0))

    def top(self, hi: int) -> None:
        self.at = hi
        self._has_head = True
        if self._records is not None:
            self._records.top(hi)

    def read(self, rows: Sequence[Any], raws: Sequence[Raw], claim: Claim) -> None:
        self._index(raws)
        if self._records is not None:
            self._records.read(rows, raws, claim)

    def _index(self, raws: Iterable[Raw]) -> None:
        told = []
        for raw in raws:
            event = _decode_event(raw)
            if event.data is not None:
                told.append((event, msgspec.json.decode(event.data.object), event.data.object))
        with self._scheduler.lock:
            self.newest = max([event.created for event, _, _ in told] + [self.newest or 0]) or None
            near = self._near
            for subscriber in self._subscribers:
                for event, payload, payload_raw in told:
                    if subscriber.since is None or event.created >= subscriber.since:
                        subscriber.index.add(event, payload, payload_raw, event.created >= near)

    def claimed(self, lo: int, hi: int) -> None:
        if self._records is not None:
            self._records.claimed(lo, hi)

    def finished(self) -> None:
        if self._records is not None:
            self._records.finished()

    def aged_out(self, at: int) -> None:
        self.aged_out_at = max(at, self.aged_out_at or 0)

    def ended(self) -> None:
        error = self.error
        if isinstance(error, StripeError) and error.is_missing_permission and self.at == 0:
            self.at = self._scheduler.stripe_now()
        for subscriber in self._subscribers:
            if error is None or (subscriber.can_do_without and isinstance(error, StripeError) and error.is_missing_permission):
                subscriber.begin(self)
            else:
                subscriber.fail(error)
        if error is not None and self._records is not None:
            self._records.failed(error)

    def event_request(self, id: str) -> Request:
        return self._retriever.object_request(id)

    def payload(self, answer: Answer) -> bytes:
        """The object that the event in `answer` is about."""
        try:
            event = _decode_event(msgspec.json.format(answer.body, indent=-1))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise answer.unreadable(str(error)) from error
        return bytes(event.data.object) if event.data else b"{}"

    @property
    def _near(self) -> int:
        """From when on events will be seen again by the next sync. Known with the newest page, which comes first."""
        return min(self.newest or 0, self.at or self.newest or 0) - OVERLAP
