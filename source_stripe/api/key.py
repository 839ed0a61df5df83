"""One key that reads many accounts: they share its limits and its connections."""

import asyncio
import itertools
from heapq import heappop, heappush
from typing import Protocol

from source_stripe.api.account import Sender, TimedTrip
from source_stripe.api.errors import StripeError
from source_stripe.api.pace import Departure, Pace
from source_stripe.api.request import Answer, Request
from source_stripe.api.transport import Trip


class Connections(Protocol):
    """What brings requests about any account that the key may read to Stripe."""

    def about(self, account: str) -> Sender: ...

    def close(self) -> None: ...


_Turn = tuple[int, int, "asyncio.Future[Departure]"]


class Key:
    """Lets at most `workers` requests be under way at a time, at the `pace` of the key.

    Whose limit a request about a connected account counts against, the account's or the key's, Stripe does not tell: each
    account has a pace of its own, and what that allows waits here for the key's. An account that has asked least goes first,
    so that a large one does not hold up small ones.
    """

    def __init__(self, connections: Connections, pace: Pace, workers: int) -> None:
        self.pace = pace
        self.requests = 0
        self._connections, self.workers = connections, workers
        self._waiting: dict[str, list[_Turn]] = {}
        """By the endpoint, a heap of who waits: how many requests its account has made, when it came, and its turn."""
        self._numbers = itertools.count()
        self._under_way = 0
        self._timer: asyncio.TimerHandle | None = None

    def about(self, account: str) -> "AccountSender":
        """What sends requests about that account, "" for the key's own."""
        return AccountSender(self, self._connections.about(account))

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    async def turn(self, endpoint: str, asked: int) -> Departure:
        """Wait until a request may go to `endpoint`, from an account that has `asked` so often before; `give_back` frees
        the place."""
        turn: asyncio.Future[Departure] = asyncio.get_running_loop().create_future()
        heappush(self._waiting.setdefault(endpoint, []), (asked, next(self._numbers), turn))
        self._dispatch()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        """Free the place of a request that had its turn: it has been answered, or never will be."""
        self._under_way -= 1
        self._dispatch()

    def _dispatch(self) -> None:
        """Let go whose turn it is, and come back when the pace allows the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._under_way < self.workers:
            now = loop.time()
            endpoint, later = self._next(now)
            if endpoint is None:
                if later is not None:
                    self._timer = loop.call_at(later, self._dispatch)
                return
            self._under_way += 1
            self.requests += 1
            _, _, turn = heappop(self._waiting[endpoint])
            turn.set_result(self.pace.take(endpoint, now))

    def _next(self, now: float) -> tuple[str | None, float | None]:
        """The endpoint that a request may go to now; without one, when to look again, if anybody waits."""
        ready: list[tuple[_Turn, str]] = []
        later = None
        for endpoint, line in self._waiting.items():
            while line and line[0][2].done():  # Who waited was called off.
                heappop(line)
            if not line:
                continue
            if (at := self.pace.next(endpoint, now)) <= now:
                ready.append((line[0], endpoint))
            else:
                later = at if later is None else min(at, later)
        return (min(ready)[1], None) if ready else (None, later)


class AccountSender:
    """Sends the requests about one account, each when the key's limits allow it, too."""

    def __init__(self, key: Key, sender: Sender) -> None:
        self._key, self._sender = key, sender
        self._asked = 0

    async def send(self, request: Request, trip: Trip | None = None) -> Answer:
        departure = await self._key.turn(request.endpoint, self._asked)
        self._asked += 1
        loop = asyncio.get_running_loop()
        try:
            return await self._sender.send(request, TimedTrip(departure, loop.time, trip))
        except StripeError as error:
            if error.limited:
                self._key.pace.fall(request.endpoint, error.limited, loop.time())
            raise
        finally:
            self._key.give_back()

    def close(self) -> None:
        """The connections are the key's, and stay open."""
