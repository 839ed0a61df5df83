"""A list read to its end by Stripe's cursor: each page starts after the last object of the page before."""

from collections.abc import AsyncIterator, Callable
from functools import partial

from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError
from source_stripe.api.request import Request
from source_stripe.sync.endpoint import Endpoint, Listed

_MOST_RESTARTS = 5


async def pages(
    account: Account, endpoint: Endpoint, request: Callable[[str | None], Request], after: str | None = None, owned: bool = False
) -> AsyncIterator[Listed]:
    """The pages of the list that `request` asks for, told the id after which a page starts; of a list that is `owned` by an
    object, none if that is gone.

    Stripe says in more than one way that there is nothing to start after: the list is then read again from its beginning, whose
    answer tells what is amiss, if anything is. Raises a `StripeError` when that does not help either.
    """
    restarts = 0
    has_more = True
    while has_more:
        try:
            page = await account.get(request(after), partial(endpoint.page_after, after))
        except StripeError as error:
            if owned and after is None and error.is_missing_object:
                return
            if after is None or error.status not in (400, 404) or restarts == _MOST_RESTARTS:
                raise
            after, restarts = None, restarts + 1
            continue
        yield page
        has_more = page.has_more
        after = page.rows[-1].id if page.rows else None
