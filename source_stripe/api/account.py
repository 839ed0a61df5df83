"""A Stripe account that can be asked: at Stripe's pace, and again where that may help."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from source_stripe.api.errors import StripeError
from source_stripe.api.pace import Departure, Pace
from source_stripe.api.request import Answer, Request
from source_stripe.api.transport import Trip

_T = TypeVar("_T")

# While so many answers, or bytes of them, wait to be read, nothing more is asked for.
_MOST_UNREAD = 24
_MOST_BYTES_UNREAD = 8 << 20
_LONG = 0.8


class Sender(Protocol):
    """What brings one request to Stripe and its answer back, once."""

    async def send(self, request: Request, trip: Trip | None = None) -> Answer: ...

    def close(self) -> None: ...


class List(Protocol):
    """A list that is being read in parts, which can be cut where the pace allows more requests than there are parts."""

    @property
    def endpoint(self) -> str: ...

    @property
    def left(self) -> float:
        """About how many requests it has to go, infinity when that can't be told yet."""

    def split(self) -> "asyncio.Task[None] | None":
        """A task that reads one more part, just begun; none when there is none to cut off."""


class Pauses(Protocol):
    """How long to wait between tries of a request. All times are seconds."""

    give_up_after: float

    def after(self, tries: int) -> float:
        """How long to wait after the `tries`-th failed try, unless Stripe asks for more."""


class Watcher(Protocol):
    """Who is told of what a person should know while it lasts."""

    def rate_limited(self, seconds: float) -> None:
        """Stripe said 429; the request is tried again after so many seconds."""

    def failing(self, endpoint: str, error: StripeError, seconds: float) -> None:
        """An endpoint begins to fail; it is tried again for so many seconds."""

    def recovered(self, endpoint: str) -> None:
        """It answers again."""


@dataclass(slots=True)
class TimedTrip:
    """Tells a pace when a request has gone out, and when it is answered; and the trip that another pace follows, if any."""

    departure: Departure
    time: Callable[[], float]
    other: Trip | None = None

    def has_left(self) -> None:
        self.departure.has_left(self.time())
        if self.other is not None:
            self.other.has_left()

    def is_answered(self) -> None:
        self.departure.is_answered(self.time())
        if self.other is not None:
            self.other.is_answered()


class Account:
    """Asks one account for one thing after another, over at most `workers` requests at a time.

    A request waits until the pace allows it. Where an endpoint's pace would allow one and none waits, its list is asked to be
    split. The endpoint with most to go is served first, so that all end together: the limit of one endpoint is lower than
    that of the account. `now` tells this machine's time of day, in epoch seconds.

    An answer waits, packed, for `room`: until who takes it can take what it holds. So many accounts as are read `side_by_side`
    share the memory for that. Everything happens on one event loop.
    """

    def __init__(
        self,
        sender: Sender,
        pace: Pace,
        pauses: Pauses,
        workers: int,
        now: Callable[[], float],
        room: Callable[[], Awaitable[None]] | None = None,
        watcher: Watcher | None = None,
        side_by_side: int = 1,
    ) -> None:
        self.pace = pace
        self.requests = 0
        self._sender, self._pauses, self._workers, self._now = sender, pauses, workers, now
        self._room, self._watcher = room, watcher
        self.side_by_side = side_by_side
        self._most_unread = max(_MOST_UNREAD // side_by_side, 2)
        self._most_bytes_unread = _MOST_BYTES_UNREAD // side_by_side
        self._waiting: dict[str, deque[asyncio.Future[Departure]]] = {}
        self._served: dict[str, int] = {}
        """By the endpoint the number of the last request to it."""
        self._lists: list[List] = []
        self._under_way = 0
        self._unread = 0
        self._unread_bytes = 0
        self._starting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._skew: float | None = None
        self._failing: set[str] = set()

    def stripe_now(self) -> int:
        """The time of day at Stripe, in epoch seconds, as its first answer told it; this machine's before that."""
        return int(self._now() + (self._skew or 0.0))

    def answered_at(self, date: int | None) -> int:
        """The time at Stripe of an answer that told this `date`. It may have waited since: of what happened meanwhile, it tells
        nothing."""
        return self.stripe_now() if date is None else min(date, self.stripe_now())

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def add(self, list_: List) -> None:
        """Split `list_` where the pace allows, until it is removed."""
        self._lists.append(list_)

    def remove(self, list_: List) -> None:
        self._lists.remove(list_)

    # ------------------------------------------------------------------ asking

    async def get(self, request: Request, read: Callable[[Answer], _T], *, first: bool = False) -> _T:
        """What `read` makes of Stripe's answer. `first` goes before others of its endpoint.

        Raises `StripeError` when Stripe refuses in a way that trying again can't mend, and when trying again did not help for
        as long as the pauses last. A `read` that finds a body unreadable raises one too, to be tried again.
        """
        loop = asyncio.get_running_loop()
        failing_since: float | None = None
        tries = 0
        while True:
            try:
                found = await self._read(request, read, first or tries > 0)
            except StripeError as error:
                if error.request_id:  # Else it is no answer of Stripe's own.
                    self._learn_time(error.date)
                now = loop.time()
                failing_since = now if failing_since is None else failing_since
                tries += 1
                left = failing_since + self._pauses.give_up_after - now
                pause = min(max(self._pauses.after(tries), error.pause), left)
                if error.limited:
                    self._slow_down(request.endpoint, error.limited, now, max(pause, 0.0))
                if not error.retryable or left <= 0:
                    raise
                self._tell_of_failure(request.endpoint, error)
            else:
                self._tell_of_recovery(request.endpoint)
                return found
            await asyncio.sleep(pause)

    async def _read(self, request: Request, read: Callable[[Answer], _T], first: bool) -> _T:
        try:
            answer = await self._sent(request, first)
            self._learn_time(answer.date)
            return await self._in_its_turn(read, answer)
        finally:
            self._dispatch()

    async def _in_its_turn(self, read: Callable[[Answer], _T], answer: Answer) -> _T:
        """What `read` makes of the answer, as soon as there is room for that."""
        size = len(answer.packed)
        self._unread += 1
        self._unread_bytes += size
        try:
            if self._room is not None:
                await self._room()
            return read(answer)
        finally:
            self._unread -= 1
            self._unread_bytes -= size

    async def _sent(self, request: Request, first: bool) -> Answer:
        if self._starting is asyncio.current_task():
            self._starting = None
        turn: asyncio.Future[Departure] = asyncio.get_running_loop().create_future()
        line = self._waiting.setdefault(request.endpoint, deque())
        (line.appendleft if first else line.append)(turn)
        self._dispatch()
        try:
            departure = await turn
            return await self._sender.send(request, TimedTrip(departure, asyncio.get_running_loop().time))
        finally:
            # Also who is called off gives its place back: it has one as soon as its turn has come.
            if turn.done() and not turn.cancelled():
                self._under_way -= 1

    # ------------------------------------------------------------------ who may go

    def _dispatch(self) -> None:
        """Let go whose turn it is, and come back when the pace allows the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while self._may_ask:
            now = loop.time()
            endpoint, later = self._next(now)
            if endpoint is None:
                if later is not None:
                    self._timer = loop.call_at(later, self._dispatch)
                return
            self._under_way += 1
            self.requests += 1
            self._served[endpoint] = self.requests
            self._waiting[endpoint].popleft().set_result(self.pace.take(endpoint, now))

    @property
    def _may_ask(self) -> bool:
        has_worker = self._under_way < self._workers
        return has_worker and self._unread < self._most_unread and self._unread_bytes < self._most_bytes_unread

    def _next(self, now: float) -> tuple[str | None, float | None]:
        """The endpoint that a request may go to now; without one, when to look again, if there is anything to look for.

        Where nothing waits for an endpoint whose time has come, its list is split: the new part asks as soon as it runs.
        """
        later = None
        left = self._left_by_endpoint()
        # An endpoint that alone will take about as long as all together may not wait with being split until nothing is queued.
        known = sum(requests for requests in left.values() if requests < float("inf"))
        long = _LONG * known / self.pace.rate * self.pace.endpoint_rate
        idle = []
        # Endpoints of which nothing else is known take turns.
        for endpoint in sorted(left, key=lambda endpoint: (-left[endpoint], self._served.get(endpoint, 0))):
            if (at := self.pace.next(endpoint, now)) > now:
                later = at if later is None else min(at, later)
            elif self._is_waited_for(endpoint):
                return endpoint, None
            elif left[endpoint] > long and self._split(endpoint):
                return None, now
            else:
                idle.append(endpoint)
        return None, now if any(self._split(endpoint) for endpoint in idle) else later

    def _left_by_endpoint(self) -> dict[str, float]:
        """How much each endpoint has to go. Those whose requests come one by one go first: something waits for them."""
        left = {endpoint: float("inf") for endpoint in self._waiting if self._is_waited_for(endpoint)}
        lists = [(each.endpoint, each.left) for each in self._lists]
        left |= {endpoint: 0.0 for endpoint, _ in lists}
        for endpoint, requests in lists:
            left[endpoint] += requests
        return left

    def _is_waited_for(self, endpoint: str) -> bool:
        line = self._waiting.get(endpoint)
        while line and line[0].done():  # Who waited was called off.
            line.popleft()
        return bool(line)

    def _split(self, endpoint: str) -> bool:
        """Have a list of `endpoint` split, unless a part that was cut off just now has yet to ask; whether one was."""
        if self._starting is not None and not self._starting.done():
            return False
        started = (each.split() for each in self._lists if each.endpoint == endpoint)
        self._starting = next((task for task in started if task is not None), None)
        return self._starting is not None

    # ------------------------------------------------------------------ what answers tell

    def _learn_time(self, date: int | None) -> None:
        if self._skew is None and date is not None:
            self._skew = date - self._now()

    def _slow_down(self, endpoint: str, limit: str, now: float, pause: float) -> None:
        self.pace.fall(endpoint, limit, now)
        if self._watcher is not None:
            self._watcher.rate_limited(pause)

    def _tell_of_failure(self, endpoint: str, error: StripeError) -> None:
        if self._watcher is not None and not error.limited and endpoint not in self._failing:
            self._failing.add(endpoint)
            self._watcher.failing(endpoint, error, self._pauses.give_up_after)

    def _tell_of_recovery(self, endpoint: str) -> None:
        if self._watcher is not None and endpoint in self._failing:
            self._failing.remove(endpoint)
            self._watcher.recovered(endpoint)
