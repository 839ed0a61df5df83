"""The reading of one list, for all selected streams that take records from it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError
from source_stripe.sync.endpoint import Endpoint
from source_stripe.sync.events import EventPass
from source_stripe.sync.listing import CLOCK_TOLERANCE, ListRead, PageTaker
from source_stripe.sync.nested import NestedLists
from source_stripe.sync.outlet import Object, Outlet, Rest
from source_stripe.sync.output import Sink
from source_stripe.sync.state import BrokenState, StreamState


@dataclass(frozen=True)
class Context:
    """What the readings of a sync share. `lookback` is in seconds."""

    account: Account
    output: Sink
    lookback: int


class Reading(ABC):
    """Reads what `endpoint` lists, from its `state` on, and hands each object to the `outlets`."""

    def __init__(self, context: Context, endpoint: Endpoint, state: StreamState, outlets: Sequence[Outlet]) -> None:
        self.endpoint, self.state, self.outlets = endpoint, state, outlets
        self.account, self.output, self.lookback = context.account, context.output, context.lookback
        self.nested = NestedLists(self.account, endpoint, self.output, self._emit_whole, self.mended)
        self.list_read: ListRead | None = None
        self._note_undeclared()

    def share(self, stream: str) -> float | None:
        """The share of the stream's history, or of what is new, that has been read; None when it can't be told."""
        share = self.list_read.share() if self.list_read is not None else None
        own = next((outlet.share for outlet in self.outlets if outlet.stream.name == stream), None)
        return share * own if share is not None and own is not None else None

    @abstractmethod
    def register(self, events: EventPass) -> None:
        """Tell the pass over the events, before it begins, what is wanted of it."""

    @abstractmethod
    async def run(self) -> None:
        """Read. Returns with everything put out; raises what kept it from that."""

    def close(self) -> None:  # noqa: B027
        """Let go of what is kept outside of this process's memory. Called once, after everything."""

    def of(self, endpoint: Endpoint, outlets: Sequence[Outlet]) -> "Reading":
        """The same reading, as far as it is, for some of its outlets."""
        other = copy(self)
        other.endpoint, other.outlets = endpoint, outlets
        other.nested = NestedLists(self.account, endpoint, self.output, other._emit_whole, other.mended)
        other._note_undeclared()
        return other

    def _note_undeclared(self) -> None:
        """Note undeclared fields of the objects for the stream of the objects. Those of children, the children's outlets note."""
        for outlet in self.outlets:
            if outlet.stream.name == self.endpoint.name:
                self.endpoint.undeclared = outlet.stream.endpoint.undeclared

    # ------------------------------------------------------------------ what goes out

    def emit(self, objects: Sequence[Object]) -> Rest | None:
        """Hand out `objects`; what is left to do until all of them are out, or None."""
        whole, incomplete = [], []
        for object_ in objects:
            if (cut := self.nested.cut(object_)) is not None:
                incomplete.append(cut)
            else:
                whole.append(object_)
        rests = self._put(whole) if whole else []
        if incomplete:
            rests.append(partial(self.nested.complete, incomplete))
        return partial(_all_of, rests) if rests else None

    def _emit_whole(self, object_: Object) -> Rest | None:
        rests = self._put([object_])
        return partial(_all_of, rests) if rests else None

    def _put(self, objects: Sequence[Object]) -> list[Rest]:
        """What an outlet can't take fails its stream, and the others go on without it."""
        rests = []
        for outlet in self.outlets:
            try:
                rest = outlet.put(objects)
            except StripeError as error:
                if len(self.outlets) == 1:
                    raise
                self.outlets = [each for each in self.outlets if each is not outlet]
                outlet.stream.fail(error, self.endpoint.name)
            else:
                rests += [] if rest is None else [rest]
        return rests

    async def ready(self) -> None:
        """Wait until more objects can be taken."""
        await self.nested.ready()
        for outlet in self.outlets:
            await outlet.ready()

    def note(self, name: str, **values: Any) -> None:
        for outlet in self.outlets:
            outlet.stream.note(name, **values)

    def mended(self, id: str) -> None:
        self.outlets[0].stream.mended(id)

    def checkpoint(self) -> None:
        for outlet in self.outlets:
            outlet.stream.checkpoint()

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

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def list_read(self, ranges: Sequence[tuple[int, int | None]], open_top: bool) -> ListRead:
        """The reading of `ranges` of `created`, sorted, to their ends."""
        return ListRead(self.reading.account, self.reading.endpoint, self, ranges, open_top)

    async def ready(self) -> None:
        await self.reading.ready()

    def mended(self, id: str) -> None:
        self.reading.mended(id)

    def range_read(self, lo: int, hi: int) -> None:
        self.reading.range_read(lo, hi)


async def _all_of(rests: Sequence[Rest]) -> None:
    for rest in rests:
        await rest()
