"""One pass over the account's events, for all streams of a sync."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Raw

from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError, first_of
from source_stripe.api.request import Answer
from source_stripe.sync.changes import ChangeIndex, EventDecoder, object_of
from source_stripe.sync.endpoint import Endpoint, is_time
from source_stripe.sync.listing import ListRead, PageTaker, fill_times, top_of
from source_stripe.sync.outlet import Rest
from source_stripe.sync.output import MOST_NOTES, Note, Sink
from source_stripe.sync.parts import Part
from source_stripe.sync.pieces import NoRoomError
from source_stripe.sync.state import OVERLAP

_MOST_TYPES = 20
"""Stripe filters by at most twenty types: https://docs.stripe.com/api/events/list."""
# What changes waits for the events, and a page of them may lead to a hundred requests: a tenth more pages, to have them sooner,
# adds little to these.
_SPARE = 0.1


class EventsError(Exception):
    """The events, which a stream needs, could not be read; `error` is why."""

    def __init__(self, error: StripeError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Told:
    """What the pass told in all: changes up to `at`, in Stripe's epoch seconds; the `newest` event's time, if there was one.

    `is_refused`: the key may not read events, and nothing is known. `aged_out_at`: events of this time and before left the
    30 days while they were read.
    """

    at: int
    newest: int | None = None
    is_refused: bool = False
    aged_out_at: int = 0


@dataclass
class _Listener:
    """A stream that wants to know its changes: from `since` on, or for None only up to when they are told."""

    index: ChangeIndex
    since: int | None
    error: NoRoomError | None = None


class EventPass(PageTaker):
    """One pass over `/v1/events`, as far back as one of the streams needs.

    Nothing of it is kept but what the streams' indexes take. A stream registers before the pass begins and then waits for
    what it `told`. The `events` stream takes its records from the same pass, as a further `taker`.
    """

    def __init__(self, account: Account, endpoint: Endpoint, output: Sink) -> None:
        self._account, self._endpoint, self._output = account, endpoint, output
        self._listeners: list[_Listener] = []
        self._taker: PageTaker | None = None
        self._taker_since = 0
        self._told = Told(0)
        self._mended = 0
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # ------------------------------------------------------------------ for streams

    def listen(self, index: ChangeIndex, since: int | None) -> None:
        """Have `index` take the events from `since` on; for None, the newest page of them alone."""
        self._listeners.append(_Listener(index, since))

    @property
    def reads_on(self) -> bool:
        """Whether a stream needs more than the newest page."""
        return any(listener.since is not None for listener in self._listeners)

    def share(self, taker: PageTaker, since: int) -> None:
        """Hand the pages from `since` on, and perhaps some before that, to `taker` too."""
        self._taker, self._taker_since = taker, since

    async def told(self, index: ChangeIndex, can_do_without: bool = False) -> Told:
        """What the pass told, when it is over; raises an `EventsError` when it failed. A stream that `can_do_without` gets an
        answer also when the key may not read events."""
        try:
            await asyncio.shield(self._end)
        except StripeError as error:
            if can_do_without and error.is_missing_permission:
                return Told(self._told.at or self._account.stripe_now(), is_refused=True)
            raise EventsError(error) from error
        if (full := next(listener.error for listener in self._listeners if listener.index is index)) is not None:
            raise full
        index.settle()
        return self._told

    async def over(self) -> None:
        """Wait until the pass is over; raises its error."""
        await asyncio.shield(self._end)

    # ------------------------------------------------------------------ reading

    async def run(self) -> None:
        """Read the events; an error is for those who wait for what they tell."""
        try:
            await self._read()
        except* Exception as group:
            self._end.set_exception(first_of(group))
            self._end.exception()  # Nobody may be waiting.
        else:
            self._end.set_result(None)

    async def _read(self) -> None:
        types: list[str] = sorted(set().union(*(listener.index.types for listener in self._listeners)))
        fields: set[str] = set().union(*(listener.index.fields for listener in self._listeners))
        self._decoder = EventDecoder(frozenset(types), fields)
        if self._taker is not None or len(types) > _MOST_TYPES:
            types = []
        since = [listener.since for listener in self._listeners if listener.since is not None]
        if self._taker is not None:
            since.append(self._taker_since)
        if since:
            await ListRead(
                self._account, self._endpoint, self, [(min(since), None)], open_top=True, types=types, spare=_SPARE
            ).run()
        else:
            await self._read_newest(types)

    async def _read_newest(self, types: Sequence[str]) -> None:
        page = await self._account.get(self._endpoint.list_request(None, None, None, types=types), self._endpoint.listed)
        now = self._account.answered_at(page.date)
        fill_times(page.rows, [row.created for row in page.rows if is_time(row.created)], now)
        self.fixed_top(top_of(page.rows, now))
        self._tell(page.rows, page.raws)

    def fixed_top(self, hi: int) -> None:
        self._told.at = hi
        if self._taker is not None:
            self._taker.fixed_top(hi)

    def take(self, part: Part, rows: Sequence[Any], raws: Sequence[Raw]) -> Rest | None:
        self._tell(rows, raws)
        return self._taker.take(part, rows, raws) if self._taker is not None else None

    def _tell(self, rows: Sequence[Any], raws: Sequence[Raw]) -> None:
        if rows:
            self._told.newest = max(rows[0].created, self._told.newest or 0)
        events = [event for row, raw in zip(rows, raws, strict=True) if (event := self._decoder.decode(row, raw)) is not None]
        for event in events:
            if event.raw is None:
                self._output.put(Note("event_without_object", values={"id": event.id, "type": event.type}))
        near = min(self._told.newest or self._told.at, self._told.at - OVERLAP)
        for listener in self._listeners:
            if listener.error is None:
                try:
                    listener.index.add([event for event in events if event.created >= (listener.since or 0)], near)
                except NoRoomError as error:
                    listener.error = error  # The others go on.

    def range_read(self, lo: int, hi: int) -> None:
        if self._taker is not None:
            self._taker.range_read(lo, hi)

    def aged_out(self, at: int) -> None:
        self._told.aged_out_at = max(at, self._told.aged_out_at)

    def mended(self, id: str) -> None:
        self._mended += 1
        if self._mended <= MOST_NOTES:
            self._output.put(Note("mended", self._endpoint.name, {"id": id}))

    # ------------------------------------------------------------------ single events

    async def payload(self, id: str) -> bytes:
        """The JSON of the object that the event was about; raises a `StripeError` when the event is gone."""
        return await self._account.get(self._endpoint.object_request(id), self._payload)

    def _payload(self, answer: Answer) -> bytes:
        found = self._endpoint.found(answer)
        return bytes((object_of(found.raws[0]) if found.raws else None) or b"{}")
