"""A later sync of very many changes, in virtual time: nobody else waits for its planning."""

from __future__ import annotations

import asyncio
import itertools
from bisect import bisect_left, bisect_right
from functools import partial

import orjson

from source_stripe.api.account import Account
from source_stripe.api.request import Answer, Request
from source_stripe.api.transport import Trip
from source_stripe.components import JitteredBackoffStrategy
from source_stripe.source import SourceStripe
from source_stripe.sync.account_reading import Selected
from source_stripe.sync.clock import Clock
from source_stripe.sync.output import Failed, Page
from source_stripe.sync.state import StreamState
from source_stripe.sync.sync import Sync
from unit_tests.simulation import NOW, PAGE
from unit_tests.virtual_time import VirtualLoop

SOURCE = SourceStripe(config={"secret_key": "rk_live_51H8xample"})
CHANGES, TRANSACTIONS = 300_000, 30_000


def seconds_ago(number: int, count: int) -> int:
    """When the object of that number was made, of so many in ten days."""
    return number * 864_000 // count


class Stripe:
    """Charges that were made, and told of by events, in the last ten days; and balance transactions. `times` are those of the
    requests for the latter."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def send(self, request: Request, trip: Trip | None = None) -> Answer:
        kind = request.endpoint.removeprefix("/v1/")
        if kind == "balance_transactions":
            self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.2)
        query = dict(request.query)
        count = TRANSACTIONS if kind == "balance_transactions" else CHANGES
        ago = partial(seconds_ago, count=count)
        first = bisect_left(range(count), NOW - int(query.get("created[lte]", NOW)), key=ago)
        last = bisect_right(range(count), NOW - int(query.get("created[gte]", 0)), key=ago)
        first = max(first, int(query["starting_after"].rpartition("_")[2]) + 1) if "starting_after" in query else first
        shown = range(first, min(first + PAGE, last))
        return Answer(
            orjson.dumps({"data": [self.made(kind, number, count) for number in shown], "has_more": last > first + PAGE})
        )

    def made(self, kind: str, number: int, count: int) -> dict[str, object]:
        created = NOW - seconds_ago(number, count)
        made = {"id": f"x_{number}", "object": "charge", "created": created, "status": "available", "available_on": created}
        return {**made, "type": "charge.succeeded", "data": {"object": made}} if kind == "events" else made

    def close(self) -> None:
        """Nothing is open."""


def test_three_hundred_thousand_changes_delay_no_other_streams_request() -> None:
    stripe = Stripe()
    pauses = JitteredBackoffStrategy(first_pause=0.5, longest_pause=30, give_up_after=660)
    charges = StreamState("updated", 0, NOW - 864_000)
    streams = [
        Selected(SOURCE.endpoint("charges"), {"charges": charges}),
        Selected(SOURCE.endpoint("balance_transactions"), {"balance_transactions": StreamState("created", NOW - 864_000)}),
    ]
    sync = Sync(
        lambda room, watcher: Account(stripe, SOURCE._pace, pauses, 64, lambda: NOW, room, watcher),
        streams,
        SOURCE.endpoint,
        600,
        Clock(now=lambda: NOW, new_loop=VirtualLoop),
    )
    items = list(sync.run())
    assert [item for item in items if isinstance(item, Failed)] == []
    assert sum(item.count for item in items if isinstance(item, Page) and item.stream == "charges") == CHANGES
    # Twenty-five requests a second: none came later than the pace allowed it.
    assert max(later - earlier for earlier, later in itertools.pairwise(stripe.times)) < 0.3
