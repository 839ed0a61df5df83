"""A Stripe whose answers a test writes, and a sync of it in virtual time: the product's own parts, without network or threads."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import orjson
from airbyte_cdk.models import ConfiguredAirbyteStream, DestinationSyncMode, SyncMode

from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError
from source_stripe.api.key import Key
from source_stripe.api.pace import Pace
from source_stripe.api.request import Answer, Request
from source_stripe.api.transport import Trip
from source_stripe.components import JitteredBackoffStrategy
from source_stripe.source import SourceStripe
from source_stripe.sync.account_reading import Selected
from source_stripe.sync.accounts_sync import AccountsSync, Choice, SelectedOfMany
from source_stripe.sync.clock import Clock
from source_stripe.sync.output import Failed, Item, Note, Output, Page, State, Status
from source_stripe.sync.state import StreamState
from source_stripe.sync.sync import Sync
from unit_tests.virtual_time import VirtualLoop, in_virtual_time

NOW = 1_795_000_000
DAY = 86_400
LATENCY = 0.2
SOURCE = SourceStripe(config={"secret_key": "rk_live_1234567890"})
PAUSES = JitteredBackoffStrategy(first_pause=0.5, longest_pause=30, give_up_after=660)

PLATFORM = {"secret_key": "sk_live_1234567890", "accounts": "connected"}

Row = dict[str, Any]
Script = Callable[[Request, Mapping[str, str]], Answer | StripeError]
"""What Stripe says to a request, which comes with its query."""

DENIED = StripeError("Permission denied.", status=403, code="more_permissions_required", kind="config", request_id="req_1")
MISSING = StripeError("No such object.", status=404, code="resource_missing", param="id", request_id="req_1")


def page(rows: Sequence[Row], query: Mapping[str, str] | None = None, date: int = NOW) -> Answer:
    """A page of the `rows` that Stripe lists, newest first, as the `query` bounds them."""
    query = query or {}
    lo, hi = (int(query.get(f"created[{name}]", odd)) for name, odd in (("gte", -(1 << 99)), ("lte", 1 << 99)))
    # What tells no time has one all the same, where Stripe keeps it.
    within = [row for row in rows if not isinstance(row.get("created"), int) or lo <= row["created"] <= hi]
    if "starting_after" in query:
        within = within[[row["id"] for row in within].index(query["starting_after"]) + 1 :]
    return Answer(json.dumps({"data": within[:100], "has_more": len(within) > 100}).encode(), date)


def one(row: Row, date: int = NOW) -> Answer:
    return Answer(orjson.dumps(row), date)


def event(id: str, type: str, at: int, object_: Any, **data: Any) -> Row:
    return {"id": id, "object": "event", "created": at, "type": type, "data": {"object": object_, **data}}


class ScriptedSender:
    """Answers by its script. `came` is when which request came."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.came: list[tuple[float, Request]] = []

    async def send(self, request: Request, trip: Trip | None = None) -> Answer:
        if trip is not None:
            trip.has_left()
        await asyncio.sleep(LATENCY)
        self.came.append((asyncio.get_running_loop().time(), request))
        answer = self._script(request, dict(request.query))
        if isinstance(answer, StripeError):
            raise answer
        if trip is not None:
            trip.is_answered()
        return answer

    def close(self) -> None:
        """Nothing is open."""


class Taken(Output):
    """Keeps what comes; a reader that never makes anybody wait."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[tuple[float, Item]] = []

    async def room(self) -> None:
        """There is always room."""

    def put(self, item: Item) -> None:
        self.items.append((asyncio.get_running_loop().time(), item))
        super().put(item)


@dataclass
class Outcome:
    """What a sync brought."""

    items: list[tuple[float, Item]]
    came: list[tuple[float, Request]] = field(default_factory=list)

    def records(self, stream: str) -> list[Row]:
        pages = [item for _, item in self.items if isinstance(item, Page) and item.stream == stream]
        return [orjson.loads(line)["record"]["data"] for page in pages for line in page.whole.splitlines()]

    def ids(self, stream: str) -> list[str]:
        return [row["id"] for row in self.records(stream)]

    @property
    def complete(self) -> set[str]:
        return {item.stream for _, item in self.items if isinstance(item, Status) and item.status == "complete"}

    @property
    def failed(self) -> dict[str, BaseException]:
        return {item.stream: item.error for _, item in self.items if isinstance(item, Failed)}

    @property
    def states(self) -> dict[str, Any]:
        return {item.stream: item.blob for _, item in self.items if isinstance(item, State)}

    def notes(self, name: str) -> list[Note]:
        return [item for _, item in self.items if isinstance(item, Note) and item.name == name]

    def asked(self, endpoint: str) -> int:
        return sum(request.endpoint == endpoint for _, request in self.came)


def selected(name: str, *, since: int | None = None, state: StreamState | None = None) -> Selected:
    """The stream of this name, followed to `since` with all of its history read; None for its first sync."""
    endpoint = SOURCE.endpoint(name)
    known = state or StreamState(endpoint.cursor_field or "", 0, since)
    return Selected(endpoint, dict.fromkeys((*endpoint.parents,) or (name,), known))


def synced(script: Script, *streams: Selected, watched: bool = False, side_by_side: int = 1) -> Outcome:
    """What a sync of these streams brings."""
    sender = ScriptedSender(script)

    def connect(room: Any, watcher: Any) -> Account:
        return Account(sender, Pace(100, 25), PAUSES, 64, lambda: float(NOW), room, watcher, side_by_side)

    clock = Clock(now=lambda: float(NOW), new_loop=VirtualLoop)
    output = Taken()
    in_virtual_time(Sync(connect, streams, SOURCE.endpoint, 600, clock, watched).read_into(output))
    return Outcome(output.items, sender.came)


# ---------------------------------------------------------------------- many accounts

PlatformScript = Callable[[str, Request, Mapping[str, str], float], Answer | StripeError]
"""What Stripe says of an account to a request, which comes with its query, so many seconds after the sync began."""


@dataclass
class Platform:
    """A platform with accounts of these ids, and syncs of all of them: `states` are the last ones, by stream."""

    ids: Sequence[str]
    script: PlatformScript
    began: int
    """The time of day when the sync began."""
    states: dict[str, Any] = field(default_factory=dict)

    def now(self) -> float:
        try:
            return self.began + asyncio.get_running_loop().time()
        except RuntimeError:
            return self.began

    def about(self, account: str) -> ScriptedSender:
        def script(request: Request, query: Mapping[str, str]) -> Answer | StripeError:
            if request.endpoint == "/v1/accounts":
                return page([{"id": id} for id in self.ids], query, date=int(self.now()))
            return self.script(account, request, query, self.now() - self.began)

        return ScriptedSender(script)

    def close(self) -> None:
        """Nothing is open."""

    def synced(self, *streams: str) -> Outcome:
        clock = Clock(now=self.now)
        source = SourceStripe(config=PLATFORM, clock=clock)
        known = {stream.name: stream.as_airbyte_stream() for stream in source.streams(PLATFORM)}
        key, output = Key(self, Pace(100, 25), 64), Taken()
        selected = []
        for name in streams:
            has_state = source.endpoint(name).cursor_field is not None
            mode = SyncMode.incremental if has_state else SyncMode.full_refresh
            wanted = ConfiguredAirbyteStream(known[name], mode, DestinationSyncMode.append_dedup)
            selected.append(source._selected(wanted, self.states.get(name)))
        connect = partial(source.requester.account_of_many, key, clock)
        sync = AccountsSync(key, connect, Choice(), cast(list[SelectedOfMany], selected), source.endpoint, 600, clock)
        in_virtual_time(sync.read_into(output))
        outcome = Outcome(output.items)
        self.states |= outcome.states
        return outcome
