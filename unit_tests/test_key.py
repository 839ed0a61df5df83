"""A key's accounts share its limits and its connections: who may go when, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from source_stripe.api.errors import StripeError
from source_stripe.api.key import Key
from source_stripe.api.pace import Pace
from source_stripe.api.request import Answer, Request
from source_stripe.api.transport import Trip
from unit_tests.virtual_time import in_virtual_time


class Connections:
    """Answers after 0.2 seconds, and keeps which account asked when. While it is `limited`, it refuses."""

    def __init__(self) -> None:
        self.came: list[tuple[float, str]] = []
        self.limited = False
        self.is_closed = False

    def about(self, account: str) -> Sender:
        return Sender(self, account)

    def close(self) -> None:
        self.is_closed = True


class Sender:
    def __init__(self, to: Connections, account: str) -> None:
        self._to, self._account = to, account

    async def send(self, request: Request, trip: Trip | None = None) -> Answer:
        self._to.came.append((round(asyncio.get_running_loop().time(), 2), self._account))
        await asyncio.sleep(0.2)
        if self._to.limited:
            raise StripeError("Slow down", 429, limited="global-rate", retryable=True)
        return Answer(b"{}")

    def close(self) -> None:
        """Nothing is open."""


async def sending(key: Key, account: str, count: int, endpoint: str = "/v1/charges") -> None:
    sender = key.about(account)
    await asyncio.gather(*(sender.send(Request(endpoint)) for _ in range(count)))


@pytest.mark.parametrize(("workers", "seconds"), [(1, 9.8), (10, 1.5)])
def test_all_accounts_together_keep_within_the_keys_rate_and_its_connections(workers: int, seconds: float) -> None:
    connections = Connections()
    key = Key(connections, Pace(25, 25), workers)

    async def ask() -> None:
        await asyncio.gather(*(sending(key, f"acct_{number}", 10) for number in range(5)))

    in_virtual_time(ask())
    last = max(at for at, _ in connections.came)
    assert key.requests == 50
    assert last == pytest.approx(seconds, abs=0.15)


def test_an_account_that_has_asked_least_goes_first() -> None:
    connections = Connections()
    key = Key(connections, Pace(10, 10), 64)

    async def ask() -> None:
        sender = key.about("acct_large")
        for _ in range(3):
            await sender.send(Request("/v1/events"))
        large = [asyncio.create_task(sender.send(Request("/v1/events"))) for _ in range(20)]
        await asyncio.sleep(0.01)
        await sending(key, "acct_small", 2, "/v1/events")
        assert sum(task.done() for task in large) <= 3
        await asyncio.gather(*large)

    in_virtual_time(ask())


def test_an_endpoint_whose_limit_is_reached_holds_up_no_other() -> None:
    connections = Connections()
    key = Key(connections, Pace(100, 5), 64)

    async def ask() -> float:
        slow = asyncio.create_task(asyncio.wait_for(sending(key, "acct_1", 50, "/v1/events"), 60))
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await sending(key, "acct_2", 1)
        took = asyncio.get_running_loop().time() - began
        await slow
        return took

    assert in_virtual_time(ask()) < 0.3


def test_a_refusal_for_too_many_requests_slows_the_key_down() -> None:
    connections = Connections()
    key = Key(connections, Pace(20, 20), 64)

    async def ask() -> None:
        connections.limited = True
        with pytest.raises(StripeError):
            await sending(key, "acct_1", 1)
        connections.limited = False
        began = len(connections.came)
        await sending(key, "acct_2", 20)
        gaps = [connections.came[at + 1][0] - connections.came[at][0] for at in range(began, began + 5)]
        assert min(gaps) >= 0.05

    in_virtual_time(ask())


def test_who_is_called_off_gives_its_place_back() -> None:
    connections = Connections()
    key = Key(connections, Pace(100, 100), 1)

    async def ask() -> None:
        tasks = [asyncio.create_task(key.about("acct_1").send(Request("/v1/events"))) for _ in range(5)]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
        await asyncio.wait_for(sending(key, "acct_2", 1), 1)

    in_virtual_time(ask())


def test_an_account_that_is_closed_leaves_the_connections_open() -> None:
    connections = Connections()
    key = Key(connections, Pace(100, 100), 1)
    key.about("acct_1").close()
    assert not connections.is_closed
    key.close()
    assert connections.is_closed
