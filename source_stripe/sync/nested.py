"""Nested lists, whole: Stripe shows the first ten items of a list inside an object."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import Raw

from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError
from source_stripe.api.request import Answer
from source_stripe.sync.endpoint import Endpoint, Listed, decode_item
from source_stripe.sync.outlet import Object, Rest
from source_stripe.sync.output import Sink
from source_stripe.sync.page import Row, fields_of
from source_stripe.sync.pieces import MOST_IN_MEMORY, Pieces

_MOST_INCOMPLETE = 200
"""So many objects may wait for their lists; meanwhile no more pages are asked for."""
_MOST_BYTES = 16 << 20
"""While items of so many bytes are held, one list at a time is read on: that of the object that holds most."""
_MOST_RESTARTS = 5
"""So many items to start after may vanish while an object's lists are read."""


class NestedLists:
    """Reads the rest of the lists that Stripe cut short inside objects, and emits each object when its lists are whole.

    Lists are read side by side, as far as what was read of them may lie in memory: it does until its object is whole.
    """

    def __init__(
        self,
        account: Account,
        endpoint: Endpoint,
        output: Sink,
        emit: Callable[[Object], Rest | None],
        mended: Callable[[str], None],
    ) -> None:
        self._account, self._endpoint, self._output = account, endpoint, output
        # Accounts that are read side by side share the memory.
        self._most_bytes = _MOST_BYTES // account.side_by_side
        self._most_of_a_list = MOST_IN_MEMORY // account.side_by_side
        self._emit, self._mended = emit, mended
        self._incomplete = 0
        self._bytes = 0
        self._going = 0
        self._waiting: list[tuple[_Incomplete, asyncio.Future[None]]] = []
        self._less_full = asyncio.Event()
        self._less_full.set()

    async def ready(self) -> None:
        """Wait until fewer objects are incomplete than may be."""
        await self._less_full.wait()

    def cut(self, object_: Object) -> "_Incomplete | None":
        """The object as one whose lists are to be read; None when they are whole."""
        if not self._endpoint.nested or not (names := self._endpoint.cut_lists(object_.row)):
            return None
        # As they came, they would keep the whole answer in memory.
        object_.raw, object_.row = bytes(object_.raw), Row(object_.row.id, object_.row.created, object_.row.updated)
        incomplete = _Incomplete(object_, names, self._most_of_a_list)
        self._count(1)
        return incomplete

    async def complete(self, incomplete: Sequence["_Incomplete"]) -> None:
        """Read the lists of these objects and emit their records, each as soon as it is whole."""
        async with asyncio.TaskGroup() as group:
            for each in incomplete:
                group.create_task(self._complete(each))

    async def _complete(self, incomplete: "_Incomplete") -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name in incomplete.rests:
                    group.create_task(self._read(incomplete, name))
            if not incomplete.is_gone:
                await self._output.room()
                incomplete.object.lists = {name: rest.pieces for name, rest in incomplete.rests.items()}
                if (more := self._emit(incomplete.object)) is not None:
                    await more()
        finally:
            incomplete.forget()
            self._hold(incomplete, -incomplete.held)
            self._count(-1)
            self._give_turns()

    def _count(self, more: int) -> None:
        self._incomplete += more
        if self._incomplete >= _MOST_INCOMPLETE:
            self._less_full.clear()
        else:
            self._less_full.set()

    # ------------------------------------------------------------------ one list

    async def _read(self, incomplete: "_Incomplete", name: str) -> None:
        has_more = True
        try:
            while has_more and not incomplete.is_gone:
                await self._turn(incomplete)
                try:
                    has_more = await self._read_page(incomplete, name)
                finally:
                    self._going -= 1
        finally:
            self._give_turns()

    async def _read_page(self, incomplete: "_Incomplete", name: str) -> bool:
        """Read one page; whether there are more."""
        rest = incomplete.rests[name]
        after = rest.last
        request = self._endpoint.nested_request(name, incomplete.id, after)

        def read(answer: Answer) -> Listed:
            page = self._endpoint.nested_page(answer)
            if page.has_more and not rest.new(page):
                raise answer.unreadable("a nested page without new items says that there are more")
            return page

        try:
            page = await self._account.get(request, read, first=incomplete.held > 0)
        except StripeError as error:
            return await self._refused(incomplete, name, after, error)
        if page.mended:
            self._mended(incomplete.id)
        self._hold(incomplete, rest.add(page))
        return page.has_more

    async def _refused(self, incomplete: "_Incomplete", name: str, after: str | None, error: StripeError) -> bool:
        """An item to start after that vanished: the list from its beginning. An object that vanished: nothing to show."""
        if after is not None and error.status in (400, 404) and incomplete.restarts < _MOST_RESTARTS:
            # Stripe says in more than one way that there is nothing to start after; whether the object is still there,
            # its list's first page tells.
            incomplete.restarts += 1
            self._hold(incomplete, -incomplete.rests[name].pieces.held)
            incomplete.rests[name] = _Rest(None, self._most_of_a_list)
            return True
        if after is None and error.is_missing_object and await self._is_gone(incomplete.id):
            incomplete.is_gone = True
            return False
        raise error

    async def _is_gone(self, id: str) -> bool:
        """Whether Stripe has the object no more: its list alone does not tell."""
        try:
            found = await self._account.get(self._endpoint.object_request(id), self._endpoint.found)
        except StripeError as error:
            if error.is_missing_object:
                return True
            raise
        return not found.rows

    # ------------------------------------------------------------------ who may go on

    async def _turn(self, incomplete: "_Incomplete") -> None:
        """Wait until another page of the object's lists may be held."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((incomplete, turn))
        self._give_turns()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._going -= 1
            raise

    def _give_turns(self) -> None:
        """Those first of which most was read: so their objects are whole soonest."""
        while self._waiting and (self._bytes < self._most_bytes or not self._going):
            most = max(range(len(self._waiting)), key=lambda index: self._waiting[index][0].held)
            _, turn = self._waiting.pop(most)
            if not turn.done():
                self._going += 1
                turn.set_result(None)

    def _hold(self, incomplete: "_Incomplete", more: int) -> None:
        """Count bytes that came to lie in memory, or fewer than none that no longer do."""
        incomplete.held += more
        self._bytes += more


class _Rest:
    """What was read of a cut list, after the items `shown` inside its object; all of it when these are None."""

    def __init__(self, shown: Sequence[Raw] | None, most_in_memory: int) -> None:
        self.pieces = Pieces(most_in_memory)
        """The whole list's items, to be put together with commas; as they came, they would keep whole answers in memory."""
        for item in shown or ():
            self.pieces.add(bytes(item))
        ids = [decode_item(item).id for item in shown or ()]
        self.last = ids[-1] if ids else None
        self._known = set(ids)

    def new(self, page: Listed) -> dict[str, Raw]:
        """By their ids the items of a page that were not there before."""
        return {row.id: raw for row, raw in page.pairs if row.id not in self._known}

    def add(self, page: Listed) -> int:
        """Add a page; how many bytes more lie in memory."""
        new = self.new(page)
        held = self.pieces.add(b",".join(new.values())) if new else 0
        self._known |= new.keys()
        self.last = page.rows[-1].id if page.rows else self.last
        return held


class _Incomplete:
    """An object some of whose lists are still being read."""

    def __init__(self, object_: Object, names: Sequence[str], most_in_memory: int) -> None:
        self.object, self.id = object_, object_.row.id
        fields = fields_of(object_.raw)
        self.rests = {name: _Rest(_shown(fields_of(fields[name])), most_in_memory) for name in names}
        self.held = 0
        """Bytes of the items that were read."""
        self.restarts = 0
        self.is_gone = False

    def forget(self) -> None:
        """Others of its page may take long."""
        self.rests, self.object.lists = {}, None


def _shown(list_: Mapping[str, Raw]) -> list[Raw] | None:
    """The items inside an object; None if they can't be used: the list is then read from its beginning."""
    try:
        items: list[Raw] = msgspec.json.decode(list_.get("data", b""), type=list[Raw])
        for item in items:
            decode_item(item)
    except msgspec.DecodeError:
        return None
    return items
