"""One sync of many accounts that one key reads: each as if it were the only one, and one output, status and state a stream."""

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from source_stripe.api.account import Account, Sender, Watcher
from source_stripe.api.errors import StripeError
from source_stripe.api.key import Key
from source_stripe.sync.account_reading import AccountReading, Selected
from source_stripe.sync.accounts_state import Accounts, AccountsState, digest_of
from source_stripe.sync.clock import Clock
from source_stripe.sync.endpoint import Endpoint
from source_stripe.sync.output import MOST_NOTES, Failed, Item, Note, Output, Page, Shares, Sink, State, Status
from source_stripe.sync.paging import pages
from source_stripe.sync.progress import SECONDS_BETWEEN_LINES
from source_stripe.sync.quiet import QuietAccounts, Witness
from source_stripe.sync.state import RETENTION, BrokenState, StreamState
from source_stripe.sync.stream import NO_CURSOR
from source_stripe.sync.sync import MOST_SILENCE, SECONDS_BETWEEN_LIMITED, items_of

ROOM = 64
"""So many accounts are read side by side, at most half of them in full."""
_STATES_IN_A_TURN = 100
"""A state of many accounts is large: it comes so many times less often than that of one."""
_BYTES_A_SECOND = 50_000
"""States take no more of the output than so much, save that one breaks a long silence."""
_LONGEST_QUIET = RETENTION - 86_400
"""Of an account that was not followed for longer, what is asked depends on when."""
_UNSAID = ("begins", "complete")

Connect = Callable[[Sender, Callable[[], Awaitable[None]], Watcher], Account]
"""Makes an account whose requests are sent so, with what waits for room, and who is told of trouble."""
Load = Callable[[Mapping[str, Any] | None], Mapping[str, StreamState]]


@dataclass(frozen=True)
class Choice:
    """Which accounts are read: those of these `ids` or, without any, all that are connected; `with_own`, the key's own besides.
    Of them those whose number in `shards` is `shard`."""

    ids: Sequence[str] = ()
    with_own: bool = False
    shard: int = 0
    shards: int = 1

    def takes(self, id: str) -> bool:
        return int.from_bytes(digest_of(id)) % self.shards == self.shard


@dataclass(frozen=True)
class SelectedOfMany:
    """A stream to be read: its endpoint, what has been read of it, None if that is never kept, and how the state of a single
    account is taken."""

    endpoint: Endpoint
    state: AccountsState | None
    load: Load


class AccountsError(Exception):
    """A stream could not be read of all accounts. `failed` are the accounts' own errors, by id; `not_tried` is how many were not
    asked any more, after the error of `given_up`, `of` how many there are."""

    def __init__(self, failed: Mapping[str, Failed], not_tried: int, of: int, given_up: Failed | None) -> None:
        super().__init__(f"{len(failed)} accounts failed")
        self.failed, self.not_tried, self.of, self.given_up = failed, not_tried, of, given_up


@dataclass(eq=False)
class _Stream:
    """What goes out in the name of one stream, of all accounts."""

    selected: SelectedOfMany
    records: int = 0
    failed: dict[str, Failed] = field(default_factory=dict)
    tried: int = 0
    failed_in_a_row: int = 0
    given_up: Failed | None = None
    """After this error the stream is not read any more."""
    has_news: bool = False
    """The state has changed since it was put out."""

    @property
    def name(self) -> str:
        return self.selected.endpoint.name

    @property
    def state(self) -> AccountsState | None:
        return self.selected.state

    def pass_over(self, number: int, now: int) -> None:
        """Nothing has happened in the account of that number."""
        assert self.state is not None
        self.state.follow(number, now)
        self.complete(number)
        self.tried += 1

    def complete(self, number: int) -> None:
        """All of the account of that number is read."""
        self.failed_in_a_row = 0
        self.has_news = True
        if self.state is not None:
            self.state.is_back(number)

    def blob(self, now: int, is_complete: bool) -> dict[str, Any]:
        return NO_CURSOR if self.state is None else self.state.dump(now, is_complete)


async def ids_of(
    account: Account, choice: Choice, endpoint_of: Callable[[str], Endpoint], most: float = math.inf
) -> tuple[list[str], str]:
    """The ids of the accounts to read, and that of the key's own if it is among them; `account` is the key's own. Of those that
    are connected, about so many at `most`.

    The list is read without a range of `created`: an account may tell none. Raises `StripeError`.
    """
    if choice.ids:
        return [id for id in dict.fromkeys(choice.ids) if choice.takes(id)], ""
    own, ids = "", list[str]()
    if choice.with_own:
        endpoint = endpoint_of("account")
        own = (await account.get(endpoint.snapshot_request(), endpoint.snapshot)).rows[0].id
        ids = [own] if choice.takes(own) else []
    async for id in connected(account, endpoint_of("accounts")):
        if len(ids) >= most:
            break
        if choice.takes(id):
            ids.append(id)
    return list(dict.fromkeys(ids)), own


async def connected(account: Account, endpoint: Endpoint) -> AsyncIterator[str]:
    """The ids of the connected accounts, newest first, a hundred a request."""
    async for page in pages(account, endpoint, partial(endpoint.list_request, None, None)):
        for row in page.rows:
            yield row.id


class AccountsSync:
    """Reads the selected streams of all chosen accounts into one output, each stream to its end: complete or failed.

    `endpoint_of` tells of a stream's name its endpoint, selected or not. `lookback` is in seconds. With `watched`, the share of
    the accounts that is read comes now and then, for a person to look at.
    """

    def __init__(
        self,
        key: Key,
        connect: Connect,
        choice: Choice,
        selected: Sequence[SelectedOfMany],
        endpoint_of: Callable[[str], Endpoint],
        lookback: int,
        clock: Clock,
        watched: bool = False,
    ) -> None:
        self._key, self._connect, self._choice, self._endpoint_of = key, connect, choice, endpoint_of
        self._lookback, self._clock, self._watched = lookback, clock, watched
        self._streams = {each.endpoint.name: _Stream(each) for each in selected}
        self._accounts, self._own = Accounts(()), ""
        self._stripe_now = 0
        self._done = 0
        self._quiet = QuietAccounts()
        self._gone: set[str] = set()
        self._failing: Counter[str] = Counter()
        """By the endpoint of how many accounts it fails now."""
        self._notes: Counter[tuple[str, str]] = Counter()
        self._last_limited = -math.inf

    def run(self) -> Iterator[Item]:
        """Everything that the sync brings."""
        return items_of(self.read_into, self._clock)

    async def read_into(self, output: Output) -> None:
        self._output, self._began = output, asyncio.get_running_loop().time()
        for name in self._streams:
            output.put(Status(name, "started"))
        try:
            await self._find_accounts()
            async with asyncio.TaskGroup() as group:
                clockwork = [group.create_task(each()) for each in (self._keep_talking, self._tell_progress)]
                await self._read_all()
                for each in clockwork:
                    each.cancel()
        except StripeError as error:
            for stream in self._streams.values():
                output.put(Failed(stream.name, error, self._endpoint_of("accounts").permission))
        else:
            for stream in self._streams.values():
                self._end(stream)
        finally:
            self._key.close()
        self._report()

    async def _find_accounts(self) -> None:
        account = self._connect(self._key.about(""), self._output.room, _AccountTrouble(self))
        ids, self._own = await ids_of(account, self._choice, self._endpoint_of)
        self._accounts = Accounts(ids)
        for stream in self._streams.values():
            if stream.state is not None:
                stream.state.bind(self._accounts)
                # Before the first record of a new account a state says that there may be some.
                stream.has_news = stream.state.has_new

    # ------------------------------------------------------------------ in which order

    async def _read_all(self) -> None:
        """Those longest behind first. Half of the room is for those that are followed, so that none waits for a large one; and
        half begins at the end, so that none waits for very many that fail, and are therefore behind."""
        states = [stream.state for stream in self._streams.values() if stream.state is not None]
        oldest = int(self._clock.now()) - RETENTION
        in_full, followed = deque[int](), deque[int]()
        for number in sorted(
            range(len(self._accounts)), key=lambda each: min([state.followed_to(each) for state in states] or [0])
        ):
            is_behind = max([state.followed_to(number) for state in states] or [oldest]) < oldest
            is_in_full = is_behind or any(state.is_in_part(number) for state in states)
            (in_full if is_in_full else followed).append(number)
        self._output.put(Note("accounts", values={"count": len(self._accounts), "in_full": len(in_full)}))
        async with asyncio.TaskGroup() as group:
            for place in range(ROOM):
                lines = (in_full, followed) if place % 2 else (followed,)
                group.create_task(self._read_in_turn(lines, deque.popleft if place // 2 % 2 else deque.pop))

    async def _read_in_turn(self, lines: Sequence[deque[int]], next_of: Callable[[deque[int]], int]) -> None:
        while (number := next((next_of(line) for line in lines if line), None)) is not None:
            await self._read(number)

    async def _read(self, number: int) -> None:
        """Read one account, as far as its streams are not given up."""
        id, trouble = self._accounts.ids[number], _AccountTrouble(self)
        witness = Witness(self._key.about("" if id == self._own else id))
        account = self._connect(witness, self._output.room, trouble)
        place, streams = self._place(number), [stream for stream in self._streams.values() if stream.given_up is None]
        try:
            if place and (now := await self._quiet.followed_to(place, account, witness)) is not None:
                for stream in streams:
                    stream.pass_over(number, now)
            elif await self._read_streams(number, streams, account) and place:
                self._quiet.learn(place, witness)
        finally:
            account.close()
            trouble.close()
        self._done += 1

    def _place(self, number: int) -> tuple[int, ...]:
        """How far the account is, if its streams' times say it all; () if not, after a gap, or if a stream is given up."""
        times = []
        for stream in self._streams.values():
            if stream.given_up is not None or stream.state is None or not stream.state.is_simple(number):
                return ()
            times.append(stream.state.followed_to(number))
        return tuple(times) if min(times) >= self._clock.now() - _LONGEST_QUIET else ()

    async def _read_streams(self, number: int, streams: Sequence[_Stream], account: Account) -> bool:
        """Read these streams of the account; whether nothing came and nothing failed, and there is no more to say than a time."""
        sink = _AccountSink(self, number, account)
        selected = [each for stream in streams if (each := self._selected(stream, number, sink)) is not None]
        id = self._accounts.ids[number]
        reading = AccountReading(account, selected, self._endpoint_of, self._lookback, sink, lambda stream: True, id)
        try:
            await reading.run()
        finally:
            reading.close()
        return sink.is_quiet and all(stream.state is not None and stream.state.is_simple(number) for stream in streams)

    def _selected(self, stream: _Stream, number: int, sink: "_AccountSink") -> Selected | None:
        stream.tried += 1
        try:
            return Selected(
                stream.selected.endpoint, stream.selected.load(stream.state.blob_of(number) if stream.state else None)
            )
        except BrokenState as error:
            sink.put(Failed(stream.name, error, ""))
            return None

    # ------------------------------------------------------------------ what an account brings

    async def room(self) -> None:
        """Wait until there is room for a page."""
        await self._output.room()

    def take(self, number: int, item: Item, now: int) -> None:
        """Put out what is everybody's of an item of the account of that number; `now` is Stripe's time."""
        match item:
            case Page():
                self._put_page(self._streams[item.stream], item)
            case State() if item.blob is not NO_CURSOR:  # Also of a stream with a cursor, if its product is not enabled.
                stream = self._streams[item.stream]
                assert stream.state is not None
                stream.state.learn(number, item.blob)
                stream.has_news, self._stripe_now = True, now
            case Status(status="complete"):
                self._streams[item.stream].complete(number)
            case Failed():
                self._failed(self._streams[item.stream], number, item, now)
            case Note() if item.name not in _UNSAID:
                self._put_note(Note(item.name, item.stream, {**item.values, "account": self._accounts.ids[number]}))

    def _put_page(self, stream: _Stream, page: Page) -> None:
        if not stream.records:
            self._output.put(Status(stream.name, "running"))
        stream.records += page.count
        self._output.put(page)

    def _put_note(self, note: Note) -> None:
        self._notes[note.name, note.stream] += 1
        if self._notes[note.name, note.stream] <= MOST_NOTES:
            self._output.put(note)

    def _failed(self, stream: _Stream, number: int, failed: Failed, now: int) -> None:
        """An account that is refused is gone. An error of the key is everybody's; so is one that a whole room of accounts had."""
        id, error = self._accounts.ids[number], failed.error
        if isinstance(error, StripeError) and error.code == "account_invalid":
            self._is_gone(stream, id, now)
            return
        stream.failed[id] = failed
        stream.failed_in_a_row += 1
        if isinstance(error, StripeError) and (error.status == 401 or error.code == "platform_account_required"):
            for each in self._streams.values():
                each.given_up = each.given_up or failed
        if stream.failed_in_a_row >= ROOM:
            stream.given_up = stream.given_up or failed

    def _is_gone(self, stream: _Stream, id: str, now: int) -> None:
        is_known = any(id in each.state.gone for each in self._streams.values() if each.state is not None)
        if not is_known and id not in self._gone:
            self._put_note(Note("account_gone", values={"account": id}))
        self._gone.add(id)
        if stream.state is not None:
            stream.state.gone.setdefault(id, now)
            stream.has_news = True

    def _end(self, stream: _Stream) -> None:
        not_tried = len(self._accounts) - stream.tried
        is_complete = not stream.failed and not not_tried
        self._output.put(State(stream.name, stream.blob(self._stripe_now, is_complete)))
        if is_complete:
            self._output.put(Note("complete", stream.name, {"records": stream.records}))
            self._output.put(Status(stream.name, "complete"))
        else:
            error = AccountsError(stream.failed, not_tried, len(self._accounts), stream.given_up)
            self._output.put(Failed(stream.name, error, "", stream.records))

    # ------------------------------------------------------------------ what goes out besides

    async def _keep_talking(self) -> None:
        """Put out states that have changed, and one once more after a long silence."""
        while True:
            written = sum(map(self._put_state, self._streams.values()))
            pause = max(_STATES_IN_A_TURN * self._clock.seconds_between_states, written / _BYTES_A_SECOND)
            await asyncio.sleep(min(pause, MOST_SILENCE))
            first = next((stream for stream in self._streams.values() if stream.state is not None), None)
            if first is not None and self._output.silence() >= MOST_SILENCE:
                first.has_news = True

    def _put_state(self, stream: _Stream) -> int:
        """Put out the stream's state, if it says something new; about how many bytes it takes."""
        if not stream.has_news or stream.state is None:
            return 0
        stream.has_news = False
        blob = stream.blob(self._stripe_now, is_complete=False)
        self._output.put(State(stream.name, blob))
        return sum(map(len, blob["followed"].values())) + 200 * len(blob["own"])

    async def _tell_progress(self) -> None:
        while True:
            last, done = self._key.requests, self._done
            for _ in range(int(SECONDS_BETWEEN_LINES)):
                await asyncio.sleep(1.0)
                if self._watched:
                    share = self._done / max(1, len(self._accounts))
                    self._output.put(Shares(dict.fromkeys(self._streams, share)))
            values = {"done": self._done, "count": len(self._accounts), "pace": (self._done - done) / SECONDS_BETWEEN_LINES}
            self._output.put(Note("accounts_progress", values=values))
            self._output.put(Note("request_rate", values={"rate": (self._key.requests - last) / SECONDS_BETWEEN_LINES}))

    def _report(self) -> None:
        seconds = asyncio.get_running_loop().time() - self._began
        records = sum(stream.records for stream in self._streams.values())
        self._output.put(Note("sum", values={"records": records, "requests": self._key.requests, "seconds": seconds}))

    def rate_limited(self, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._last_limited >= SECONDS_BETWEEN_LIMITED:
            self._last_limited = now
            for name in self._streams:
                self._output.put(Status(name, "running", limited=seconds))

    def failing(self, endpoint: str, error: StripeError, seconds: float) -> None:
        self._failing[endpoint] += 1
        if self._failing[endpoint] == 1:
            self._output.put(Note("failing", values={"endpoint": endpoint, "error": error, "seconds": seconds}))

    def recovered(self, endpoint: str) -> None:
        self._failing[endpoint] -= 1
        if not self._failing[endpoint]:
            self._output.put(Note("recovered", values={"endpoint": endpoint}))


class _AccountSink(Sink):
    """Where the items of one account go."""

    def __init__(self, sync: AccountsSync, number: int, account: Account) -> None:
        self._sync, self._number, self._account = sync, number, account
        self.is_quiet = True

    async def room(self) -> None:
        await self._sync.room()

    def put(self, item: Item) -> None:
        self.is_quiet = self.is_quiet and not isinstance(item, Page | Failed)
        self._sync.take(self._number, item, self._account.stripe_now())


class _AccountTrouble(Watcher):
    """Tells the sync of one account's trouble, which ends with the account."""

    def __init__(self, sync: AccountsSync) -> None:
        self._sync = sync
        self._failing: set[str] = set()

    def close(self) -> None:
        for endpoint in tuple(self._failing):
            self.recovered(endpoint)

    def rate_limited(self, seconds: float) -> None:
        self._sync.rate_limited(seconds)

    def failing(self, endpoint: str, error: StripeError, seconds: float) -> None:
        self._failing.add(endpoint)
        self._sync.failing(endpoint, error, seconds)

    def recovered(self, endpoint: str) -> None:
        self._failing.remove(endpoint)
        self._sync.recovered(endpoint)
