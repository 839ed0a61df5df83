"""How fast requests may be sent."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

# Stripe's second, and a little for two clocks that run unlike.
_WINDOW = 1.004
# How long a request is taken to be under way to Stripe at most, until its answer tells: requests that were sent apart but
# arrive together must stay within the limit too.
_LONGEST_WAY = 0.045
# So many answers tell how much longer than the fastest they usually take.
_MEMORY = 20
# After a 429 the pace falls by a quarter, and climbs back by a twentieth of the limit each second: it settles where others
# who use the account leave room, and one 429 too many costs little.
_FALL = 0.75
_CLIMB = 0.05
_LOWEST = 0.04


@dataclass(slots=True)
class Departure:
    """A request on its way: `left` when it was let go or, later, for want of a connection, has gone out; it came to Stripe
    `at` the latest. Who sends it says when it has gone out and when its answer has begun, and needs no lock for that: a
    measurement may get lost.
    """

    limits: tuple["_Limit", "_Limit"]
    """The endpoint's and the account's."""
    left: float
    at: float

    def has_left(self, now: float) -> None:
        self.left = now
        self.at = now + _LONGEST_WAY

    def is_answered(self, now: float) -> None:
        """The answer is Stripe's to the request, not a refusal, which may be quick."""
        way = self.limits[0].way(now - self.left)
        self.at = self.left + way
        if way > _LONGEST_WAY:
            for limit in self.limits:
                limit.is_unsorted = True


class _Limit:
    """At most `rate` requests in any second, spread rather than bunched, with what is left of the rate after a 429."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.fastest = math.inf
        """The fewest seconds from a request's leaving to its answer's beginning."""
        self.is_unsorted = False
        """A request came much later than others that had left after it."""
        self._answers = 0
        self._usually_longer = 0.0
        self._share = 1.0
        self._changed = 0.0
        self._last: Departure | None = None
        self._taken: deque[Departure] = deque(maxlen=max(1, int(rate)))

    def share(self, now: float) -> float:
        return min(1.0, self._share + (now - self._changed) * _CLIMB)

    def next(self, now: float) -> float:
        """The earliest time for one more request."""
        if self._last is None:
            return now
        share = self.share(now)
        # Half the even distance: a late request may be caught up with, but never in a burst. Of less than one a second, the
        # window below says nothing.
        time = self._last.left + (0.5 if share == 1.0 and self.rate >= 1.0 else 1.0) / (self.rate * share)
        if len(self._taken) == self._taken.maxlen:
            if self.is_unsorted:
                self.is_unsorted = False
                self._taken = deque(sorted(self._taken, key=lambda departure: departure.at), self._taken.maxlen)
            time = max(time, self._taken[0].at + _WINDOW / share)
        return time

    def take(self, departure: Departure) -> None:
        self._last = departure
        self._taken.append(departure)

    def way(self, took: float) -> float:
        """How long a request can have been under way to Stripe that was answered after `took` seconds.

        No answer takes less than the fastest, so it had come by so much before its answer began. Where answers differ much
        in how long they take, that says little of the way.
        """
        self._answers += 1
        self.fastest = min(self.fastest, took)
        longer = took - self.fastest
        self._usually_longer += (longer - self._usually_longer) / _MEMORY
        if self._answers < _MEMORY:
            return max(longer, _LONGEST_WAY)
        return longer if self._usually_longer <= _LONGEST_WAY else min(longer, _LONGEST_WAY)

    def fall(self, now: float) -> None:
        # Requests already under way are refused with the one that told: they count once.
        if now - self._changed > 1.0 or self._share == 1.0:
            self._share = max(_LOWEST, self.share(now) * _FALL)
            self._changed = now


class Pace:
    """Stripe's two limits at once, of the account and of each endpoint, shared by all requests.

    Rates are requests a second: https://docs.stripe.com/rate-limits. `is_limited` tells which endpoints have a limit of their
    own.
    """

    def __init__(self, rate: float, endpoint_rate: float, is_limited: Callable[[str], bool] = lambda endpoint: True) -> None:
        self.rate, self.endpoint_rate = rate, endpoint_rate
        self._is_limited = is_limited
        self._account = _Limit(rate)
        self._endpoints: dict[str, _Limit] = {}

    def unused(self) -> "Pace":
        """The same limits, none of them used: another account's."""
        return Pace(self.rate, self.endpoint_rate, self._is_limited)

    def _of(self, endpoint: str) -> _Limit:
        if endpoint not in self._endpoints:
            self._endpoints[endpoint] = _Limit(self.endpoint_rate if self._is_limited(endpoint) else self.rate)
        return self._endpoints[endpoint]

    def next(self, endpoint: str, now: float) -> float:
        """The earliest time, on the clock of `now`, for a request to `endpoint`."""
        return max(self._account.next(now), self._of(endpoint).next(now))

    def take(self, endpoint: str, now: float) -> Departure:
        """Count a request to `endpoint` that is sent at `now`."""
        limit = self._of(endpoint)
        departure = Departure((limit, self._account), now, now + _LONGEST_WAY)
        limit.take(departure)
        self._account.take(departure)
        return departure

    def side_by_side(self, endpoint: str) -> float:
        """How many requests to `endpoint` may be under way at a time: so many may leave while one is answered."""
        fastest = self._of(endpoint).fastest
        return max(1.0, self.endpoint_rate * fastest) if fastest < math.inf else 1.0

    def fall(self, endpoint: str, reason: str, now: float) -> None:
        """Stripe said 429: go slower, for this endpoint when the `reason` names it, else for all."""
        (self._of(endpoint) if reason.startswith(("endpoint", "resource")) else self._account).fall(now)

    def holding(self, endpoint: str, now: float) -> str:
        """Which limit holds `endpoint` now, in words for a log line."""
        account, limit = self._account.next(now), self._of(endpoint).next(now)
        if max(account, limit) <= now:
            return "Stripe's answers"
        return "the account's rate limit" if account > limit else "the endpoint's rate limit"
