"""Many accounts at Stripe's limits, in virtual time: no network, no threads, and time is counted."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import orjson
import pytest
from airbyte_cdk.models import ConfiguredAirbyteStream, DestinationSyncMode, SyncMode

from source_stripe.api.key import Key
from source_stripe.api.pace import Pace
from source_stripe.api.request import Answer, Request
from source_stripe.api.transport import Trip
from source_stripe.source import SourceStripe
from source_stripe.sync.accounts_state import Followed, digest_of
from source_stripe.sync.accounts_sync import AccountsSync, Choice
from source_stripe.sync.clock import Clock
from source_stripe.sync.output import Item, Output, State
from unit_tests.simulation import NOW, OneList, late
from unit_tests.virtual_time import in_virtual_time

LATENCY = 0.16
DAY = 86_400
CONFIG = {"secret_key": "sk_live_1234567890", "accounts": "connected"}
CLOCK = Clock(now=lambda: float(NOW))
SOURCE = SourceStripe(config=CONFIG, clock=CLOCK)
HUGE = "acct_huge"


class Stripe:
    """A platform's accounts, of which `HUGE` has charges of these `times` and the others nothing. It takes its time."""

    def __init__(self, small: int, times: list[int]) -> None:
        self.ids = [HUGE, *(f"acct_{number:06}" for number in range(small))]
        self.charges = OneList(times)
        self.came: list[tuple[float, str, str]] = []
        """When which account was asked at which endpoint."""
        self.answered: dict[str, float] = {}
        self.states: list[float] = []
        """When states of the charges were put out."""
        self._chance = random.Random(1)

    def about(self, account: str) -> Sender:
        return Sender(self, account)

    def close(self) -> None:
        """Nothing is open."""

    async def send(self, account: str, request: Request, trip: Trip) -> Answer:
        trip.has_left()
        way = self._chance.uniform(0.005, 0.04)
        await asyncio.sleep(way)
        self.came.append((asyncio.get_running_loop().time(), account, request.endpoint))
        await asyncio.sleep(LATENCY)
        trip.is_answered()
        self.answered[account] = asyncio.get_running_loop().time()
        return self._answer(account, request.endpoint, dict(request.query))

    def _answer(self, account: str, endpoint: str, query: Mapping[str, str]) -> Answer:
        if endpoint == "/v1/accounts":
            begin = self.ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
            shown = [{"id": id} for id in self.ids[begin : begin + 100]]
            return Answer(orjson.dumps({"data": shown, "has_more": begin + 100 < len(self.ids)}), NOW)
        if account == HUGE and endpoint == "/v1/charges":
            named = {"created[gte]": "gte", "created[lte]": "lte", "starting_after": "starting_after"}
            return self.charges.answer({"gte": "0"} | {named[name]: value for name, value in query.items() if name in named})
        return Answer(b'{"data":[],"has_more":false}', NOW)

    def most_in_a_second(self, by: Any) -> int:
        """The most requests that came in any second, of those that `by` counts together."""
        times: defaultdict[Any, list[float]] = defaultdict(list)
        for at, account, endpoint in self.came:
            times[by(account, endpoint)].append(at)
        return max(bisect_right(each, at + 1 - 1e-9) - number for each in times.values() for number, at in enumerate(each))


class Sender:
    def __init__(self, stripe: Stripe, account: str) -> None:
        self._stripe, self._account = stripe, account

    async def send(self, request: Request, trip: Trip | None = None) -> Answer:
        assert trip is not None
        return await self._stripe.send(self._account, request, trip)

    def close(self) -> None:
        """Nothing is open."""


class Taken(Output):
    """Takes all there is, at once."""

    async def room(self) -> None:
        """There is always room."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[float] = []
        """When a state of the charges came."""

    def put(self, item: Item) -> None:
        super().put(item)
        self.get()
        if isinstance(item, State) and item.stream == "charges":
            self.states.append(asyncio.get_running_loop().time())


def selected(stream: str, small: int) -> Any:
    """The stream, followed for the small accounts to an hour ago."""
    known = SOURCE.streams(CONFIG)
    (found,) = [each.as_airbyte_stream() for each in known if each.name == stream]
    digests = [digest_of(f"acct_{number:06}") for number in range(small)]
    blob: dict[str, Any] = {"version": 2, "livemode": True, "start": 0, "own": {}, "gone": {}}
    blob["followed"] = {str((NOW - 3600) // 600 * 600): Followed.dump(digests)}
    return SOURCE._selected(ConfiguredAirbyteStream(found, SyncMode.incremental, DestinationSyncMode.append_dedup), blob)


def read(stripe: Stripe, streams: list[str]) -> list[float]:
    """Read these streams of all accounts; when states of the charges came."""
    small = len(stripe.ids) - 1
    key = Key(stripe, Pace(100, 25), 64)
    connect = partial(SOURCE.requester.account_of_many, key, CLOCK)
    streams_of_many = [selected(stream, small) for stream in streams]
    taken = Taken()
    in_virtual_time(AccountsSync(key, connect, Choice(), streams_of_many, SOURCE.endpoint, 600, CLOCK).read_into(taken))
    return taken.states


@pytest.fixture(scope="module")
def stripe() -> Stripe:
    stripe = Stripe(1000, late(200_000))
    stripe.states = read(stripe, ["balance_transactions", "charges"])
    return stripe


def test_a_thousand_small_accounts_are_followed_while_a_huge_one_is_read(stripe: Stripe) -> None:
    # Forty seconds is what the limit of an endpoint takes for a thousand requests, and two what ten pages of accounts take.
    assert max(at for account, at in stripe.answered.items() if account != HUGE) < 42 * 1.1
    assert stripe.charges.requests < 2000 * 1.03
    assert stripe.answered[HUGE] < 2000 / 25 * 1.15


def test_no_limit_is_run_into_whether_stripe_counts_by_account_or_by_key(stripe: Stripe) -> None:
    assert stripe.most_in_a_second(lambda account, endpoint: "the key") <= 100
    assert 23 <= stripe.most_in_a_second(lambda account, endpoint: endpoint) <= 25
    assert stripe.most_in_a_second(lambda account, endpoint: (account, endpoint)) <= 25


def test_a_state_is_put_out_every_ten_seconds_at_most_and_at_the_end(stripe: Stripe) -> None:
    *between, last = stripe.states
    assert min(later - earlier for earlier, later in pairwise(between)) >= 10
    assert (len(between) >= 6, last - between[-1] < 11) == (True, True)


def test_quiet_accounts_are_asked_at_nine_tenths_of_what_the_key_allows() -> None:
    stripe = Stripe(1000, [])
    read(stripe, ["balance_transactions", "charges"])
    began = min(at for at, _, endpoint in stripe.came if endpoint == "/v1/events")
    assert 1000 / (max(stripe.answered.values()) - began) > 25 * 0.9
    assert len(stripe.came) == 11 + 2 * 1000 + 3
