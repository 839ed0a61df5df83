"""Lists that take no bound by `created`: read from top to bottom."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from source_stripe.api.account import Account
from source_stripe.sync.changing import ChangingReading
from source_stripe.sync.endpoint import Endpoint, Listed, is_time
from source_stripe.sync.events import EventPass
from source_stripe.sync.outlet import Object
from source_stripe.sync.page import END_OF_TIME
from source_stripe.sync.paging import pages
from source_stripe.sync.reading import Reading
from source_stripe.sync.state import RETENTION, BrokenState

Place = tuple[int, str | None]
"""Which pass over a list, and the object to start after."""


async def pages_of(
    account: Account, endpoint: Endpoint, ready: Callable[[], Awaitable[None]], place: Place = (0, None)
) -> AsyncIterator[tuple[Listed, Place | None]]:
    """The pages of a list from `place` on, each when who takes it is `ready`, with the place after it; None when all was read.
    Where the object to start after has vanished, its pass begins anew."""
    first, after = place
    for pass_index in range(first, len(endpoint.passes)):
        await ready()
        following = (pass_index + 1, None) if pass_index + 1 < len(endpoint.passes) else None
        request = partial(endpoint.list_request, None, None, pass_index=pass_index)
        async for page in pages(account, endpoint, request, after):
            yield page, (pass_index, page.rows[-1].id) if page.has_more else following
            await ready()
        after = None


class ListedReading(ChangingReading):
    """What changes and whose list takes no `created`: the list once, resumable by its place; then what the events tell."""

    async def run(self) -> None:
        if self.state.place is not None and self.state.place[0] >= len(self.endpoint.passes):
            raise BrokenState("it is not of the form that this connector writes")
        await super().run()

    def register(self, events: EventPass) -> None:
        if self.state.unread:  # An earlier start: no range of its times can be asked for.
            self.begin_history(0)
        super().register(events)

    def begin_history(self, now: int) -> None:
        self.state.unread = []
        self.state.place = (0, None)

    def plan_routes(self, window: int) -> None:
        """Nothing is listed as new; what is still to be listed may be any object."""
        everything = [(0, END_OF_TIME)] if self.state.place is not None else []
        self.index.plan(self.state.start, END_OF_TIME, everything)

    async def read_history(self, open_top: bool, floor: int) -> None:
        state = self.state
        if state.place is None:
            return
        assert state.followed is not None
        # No event of the objects that the list shows is older than the thirty days before.
        least = max(floor, state.followed - RETENTION)
        async for page, place in pages_of(self.account, self.endpoint, self.ready, state.place):
            changes = self.index.find([row.id for row in page.rows])
            if changes:
                self.index.show(changes)
            for row in page.rows:
                row.created = row.created if is_time(row.created) else state.start
            for id in page.mended:
                self.mended(id)
            if (rest := self.emit(self.objects(page.pairs, changes, least))) is not None:
                await rest()
            state.list_read_to(place)
            self.checkpoint()


class SmallReading(Reading):
    """A list that no event tells of: read whole in each sync."""

    def register(self, events: EventPass) -> None:
        """Nothing is wanted of the events."""

    async def run(self) -> None:
        async for page, _ in pages_of(self.account, self.endpoint, self.ready):
            for id in page.mended:
                self.mended(id)
            wanted = [pair for pair in page.pairs if not is_time(pair[0].created) or pair[0].created >= self.state.start]
            if (rest := self.emit([Object(row, raw, row.created) for row, raw in wanted])) is not None:
                await rest()


class SnapshotReading(Reading):
    """One object, read in each sync."""

    def register(self, events: EventPass) -> None:
        """Nothing is wanted of the events."""

    async def run(self) -> None:
        found = await self.account.get(self.endpoint.snapshot_request(), self.endpoint.snapshot)
        for id in found.mended:
            self.mended(id)
        if (rest := self.emit([Object(row, raw, row.created) for row, raw in found.pairs])) is not None:
            await rest()
