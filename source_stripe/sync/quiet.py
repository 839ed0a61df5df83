"""Accounts in which nothing has happened: most of those of a platform."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from source_stripe.api.account import Account, Sender
from source_stripe.api.errors import StripeError
from source_stripe.api.request import Answer, Request
from source_stripe.api.transport import Trip
from source_stripe.sync.endpoint import is_empty_list


class Witness(Sender):
    """Sends an account's requests, and knows afterwards what was asked and whether every answer was an empty list. What was
    asked before is not asked again, once."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._known: dict[Request, Answer | StripeError] = {}
        self.asked: list[Request] = []
        self.has_seen_something = False

    def know(self, request: Request, answer: Answer | StripeError) -> None:
        """Answer the request so when it comes; the error is one that trying again did not mend, or can't."""
        self._known[request] = answer

    async def send(self, request: Request, trip: Trip | None = None) -> Answer:
        known = self._known.pop(request, None)
        if isinstance(known, StripeError):
            raise replace(known, retryable=False)  # It was tried again for long enough.
        if known is not None:
            return known
        self.asked.append(request)
        is_empty = False
        try:
            answer = await self._sender.send(request, trip)
            is_empty = is_empty_list(answer)
        finally:
            self.has_seen_something = self.has_seen_something or not is_empty
        return answer

    def close(self) -> None:
        self._sender.close()


class QuietAccounts:
    """What to ask an account to see that nothing has happened: the same as another that is exactly as far, and in which nothing
    had. What is made of the answers depends on nothing else, so that it need not be made again."""

    def __init__(self) -> None:
        self._asked: dict[tuple[int, ...], Sequence[Request]] = {}

    def learn(self, place: tuple[int, ...], witness: Witness) -> None:
        """An account that was at `place` has been read, and brought nothing."""
        if not witness.has_seen_something:
            self._asked[place] = tuple(witness.asked)

    async def followed_to(self, place: tuple[int, ...], account: Account, witness: Witness) -> int | None:
        """Stripe's time up to which nothing happened in the account at `place`. None if something did, or if nobody knows: it is
        to be read, and what was asked is known then."""
        if place not in self._asked:
            return None
        requests = self._asked[place]
        asked = (account.get(request, lambda answer: answer) for request in requests)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, Answer | StripeError):
                witness.know(request, answer)
        if witness.has_seen_something:
            return None
        return min(account.answered_at(answer.date) for answer in answers if isinstance(answer, Answer))
