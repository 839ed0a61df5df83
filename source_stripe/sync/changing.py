"""Streams whose objects change: history once, then what the events tell."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw

from source_stripe.api.errors import StripeError
from source_stripe.sync.changes import Change, ChangeIndex, Children, Route
from source_stripe.sync.endpoint import Endpoint, Listed, id_in, is_time
from source_stripe.sync.events import EventPass, Told
from source_stripe.sync.outlet import Object, Outlet, Rest
from source_stripe.sync.overlap import Overlap, Pair
from source_stripe.sync.paging import pages
from source_stripe.sync.parts import Part
from source_stripe.sync.reading import Context, HistoryTaker, Reading
from source_stripe.sync.state import RETENTION, StreamState

_MOST_REREADS = 200
"""So many objects wait to be read again at a time; there may be a million."""
_AT_A_TIME = 100


class ChangingReading(Reading):
    """What changes: its history once, in parts that the state holds; then what the events tell."""

    def __init__(
        self,
        context: Context,
        endpoint: Endpoint,
        state: StreamState,
        outlets: Sequence[Outlet],
        children: Sequence[Children] = (),
    ) -> None:
        super().__init__(context, endpoint, state, outlets)
        self.index = ChangeIndex(endpoint, state.handled, children)
        self.overlap: Overlap
        """Of new objects, where no event tells of them."""
        self._is_first = state.followed is None
        self._events: EventPass
        self._rereads: asyncio.Semaphore

    def close(self) -> None:
        self.index.close()

    def register(self, events: EventPass) -> None:
        self._events = events
        # After a gap too: that is all that was not followed and that Stripe still has.
        since = None if self.state.followed is None else self.state.window_start(self.lookback)
        events.listen(self.index, since)

    async def run(self) -> None:
        # Another attempt, for some of the outlets, begins with nothing shown, and with no place kept by what was called off.
        self._rereads = asyncio.Semaphore(_MOST_REREADS)
        self.overlap = Overlap(self.state.listed)
        self.index.forget_shown()
        told = await self._events.told(self.index, can_do_without=self._is_first)
        if self._is_first:
            await self._first_sync(told)
        else:
            await self._later_sync(told)

    async def _first_sync(self, told: Told) -> None:
        """History; what changes meanwhile is for the next sync, which follows the events from before it was read on."""
        if told.is_refused:
            self.note("no_events")
        state = self.state
        state.follow(told.at, self.index.near, told.newest)
        self.begin_history(told.at)
        self.checkpoint()
        await self.read_history(open_top=True, floor=0)
        state.remember_listed(self.overlap.seen)

    def begin_history(self, now: int) -> None:
        """Nothing of history is read."""
        self.state.unread = [(self.state.start, now)] if self.state.start <= now else []

    async def _later_sync(self, told: Told) -> None:
        """What is unread of history, and each changed object once, as a list would show it now; then the state says so."""
        has_gap = self._plan(told)
        async with asyncio.TaskGroup() as group:
            history = group.create_task(self.read_history(open_top=has_gap, floor=self.state.floor or 0))
            group.create_task(self._emit_deletions())
            group.create_task(self._read_announced())
            group.create_task(self._read_new())
            group.create_task(self._reread(Route.REREAD))
            await history
            await self._reread(Route.HISTORY)  # What history did not show.
        self.state.follow(told.at, self.index.near, told.newest)
        self.state.remember_listed(self.overlap.seen)

    def _plan(self, told: Told) -> bool:
        """By when its object was created, and by what is unread, each change takes its route; whether history is read anew."""
        state = self.state
        assert state.followed is not None
        self.refuse_the_future(told.at)
        window, has_gap = state.window_start(self.lookback), state.has_gap(told.at) or told.aged_out_at > state.followed
        if has_gap:
            self.note("full_read_after_gap")
            state.begin_full_read(told.at)
            self.begin_history(told.at)
            window = told.at - RETENTION
            self.checkpoint()
        self.plan_routes(window)
        return has_gap

    def plan_routes(self, window: int) -> None:
        self.index.plan(self.state.start, window, self.state.unread)

    # ------------------------------------------------------------------ lists

    async def read_history(self, open_top: bool, floor: int) -> None:
        """Read what is unread; no record's `updated` is less than `floor`."""
        if self.state.unread or open_top:
            # Nothing is unread where `start` lies in the future: its top is still open.
            ranges: list[tuple[int, int | None]] = [*(self.state.unread or [(self.state.start, self.state.start)])]
            self.list_read = ChangedTaker(self, floor).list_read(ranges, open_top)
            await self.list_read.run()

    async def _read_new(self) -> None:
        """New objects by the list, a hundred at a time, unless they are so few that reading each takes no more."""
        count, since, in_all = self.index.new()
        requests = -(-in_all // self.endpoint.paging.size) * len(self.endpoint.passes)
        is_of_use = count > requests
        if self.endpoint.lists_new:  # No event tells of a new one.
            is_of_use, since = True, self.state.window_start(self.lookback)
        if is_of_use:
            await _NewTaker(self).list_read([(since, None)], open_top=True).run()
        await self._reread(Route.NEW)  # Those that no list showed.

    # ------------------------------------------------------------------ single objects

    async def _reread(self, route: Route) -> None:
        async with asyncio.TaskGroup() as group:
            for id, change in self.index.due(route):
                await self._rereads.acquire()
                await self.nested.ready()
                group.create_task(self._reread_one(id, change))

    async def _reread_one(self, id: str, change: Change) -> None:
        try:
            await self._show_again(id, change)
        finally:
            self._rereads.release()

    async def _show_again(self, id: str, change: Change) -> None:
        try:
            found = await self.account.get(self.endpoint.object_request(id), self.endpoint.found)
        except StripeError as error:
            if not error.is_missing_object:
                raise
            found = None
        if found is None or not found.rows:
            await self._vanished(id, change)
            return
        (row,) = found.rows
        if not is_time(row.created):
            row.created = self.state.start if change.created is None else change.created
        elif row.created < self.state.start:
            return
        for mended in found.mended:
            self.mended(mended)
        if (rest := self.emit(self.objects(found.pairs, {id: change}))) is not None:
            await rest()

    def objects(self, pairs: Iterable[Pair], changes: Mapping[str, Change], least: int = 0) -> list[Object]:
        """The objects with the times that their changes tell, `least` at the least, and with the children that they lost."""
        removed = self.index.removed(list(changes)) if changes else {}
        return [
            Object(row, raw, max(row.created, least, change.at if change else 0, row.own_updated), None, removed.get(row.id, ()))
            for row, raw in pairs
            for change in (changes.get(row.id),)
            if row.created >= self.state.start
        ]

    async def _vanished(self, id: str, change: Change) -> None:
        """The object is gone though its newest event does not say so: a deletion, with what that event knew of it, which is
        nothing if it was another object's."""
        if change.created is None:
            return  # Another object's event named it, and it was never there.
        payload = change.deletion
        if payload is None:
            try:
                payload = await self._events.payload(change.event)
            except StripeError as error:
                if not (error.is_missing_object or error.is_missing_cursor):
                    raise
                return  # The event is gone, too.
        await self._delete([(payload if id_in(payload) == id else msgspec.json.encode({"id": id}), change.at)])

    async def _emit_deletions(self) -> None:
        changes = self.index.due(Route.DELETION)
        while some := list(islice(changes, _AT_A_TIME)):
            await self._delete([(change.deletion or b"{}", change.at) for _, change in some])
            await asyncio.sleep(0)  # There may be a million: others get their turn.

    async def _delete(self, deletions: Sequence[tuple[bytes, int]]) -> None:
        await self.output.room()
        for outlet in self.outlets:
            outlet.delete(deletions)

    # ------------------------------------------------------------------ objects that another's event announced

    async def _read_announced(self) -> None:
        async with asyncio.TaskGroup() as group:
            for id, at in self.index.unannounced():
                await self._rereads.acquire()
                group.create_task(self._read_owned(id, at))

    async def _read_owned(self, id: str, at: int) -> None:
        """List what belongs to the object `id`, whose event of the time `at` announced it."""
        owner = next(iter(self.endpoint.announced_by.values()))
        try:
            async for page in pages(self.account, self.endpoint, partial(self.endpoint.owned_request, owner, id), owned=True):
                if (rest := self._emit_owned(page, at)) is not None:
                    await rest()
        finally:
            self._rereads.release()

    def _emit_owned(self, page: Listed, at: int) -> Rest | None:
        for row in page.rows:
            row.created = row.created if is_time(row.created) else at
        return self.emit(self.objects(page.pairs, self.index.find([row.id for row in page.rows]), least=at))


class ChangedTaker(HistoryTaker):
    """Emits what a list shows, with the times that the events tell; `floor` is the least of them."""

    def __init__(self, reading: ChangingReading, floor: int = 0) -> None:
        super().__init__(reading)
        self.reading: ChangingReading = reading
        self._floor = floor

    def take(self, part: Part, rows: Sequence[Any], raws: Sequence[Raw]) -> Rest | None:
        index, pairs = self.reading.index, list(zip(rows, raws, strict=True))
        if self.reading.endpoint.lists_new:
            pairs = self.reading.overlap.whole(part, pairs)
        changes = index.find([row.id for row, _ in pairs])
        if changes:
            index.show(changes)
        return self.reading.emit(self.reading.objects(self.wanted(pairs, changes), changes, self._floor))

    def wanted(self, pairs: Sequence[Pair], changes: Mapping[str, Change]) -> Sequence[Pair]:
        """Those to be put out: all."""
        if self.reading.endpoint.lists_new:
            self.new(pairs)
        return pairs

    def new(self, pairs: Sequence[Pair]) -> set[str]:
        """The ids of those that no earlier sync listed as new; all are remembered."""
        state = self.reading.state
        near = state.window_start() if state.followed is not None else 0
        return self.reading.overlap.fresh([row for row, _ in pairs], near)


class _NewTaker(ChangedTaker):
    """The objects created in the window, of which each that changed is looked for in the list."""

    def wanted(self, pairs: Sequence[Pair], changes: Mapping[str, Change]) -> Sequence[Pair]:
        new = self.new(pairs) if self.reading.endpoint.lists_new else {row.id for row, _ in pairs}
        return [(row, raw) for row, raw in pairs if (changes[row.id].is_fresh if row.id in changes else row.id in new)]

    def range_read(self, lo: int, hi: int) -> None:
        """Nothing: history is not what is read here."""
