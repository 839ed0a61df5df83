"""Whether a key can read the account."""

import asyncio
import logging
from collections.abc import Sequence

from airbyte_cdk.models import AirbyteConnectionStatus, Status

from source_stripe import sentences
from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError
from source_stripe.sync.endpoint import Endpoint

logger = logging.getLogger("airbyte")

SECONDS_TO_TRY = 30.0
"""For so long a request that fails is tried again."""


async def refusals(account: Account, endpoints: Sequence[Endpoint]) -> dict[str, StripeError]:
    """Ask for one object of each stream, side by side: by their names what Stripe says no with, where it does."""

    async def refusal(endpoint: Endpoint) -> StripeError | None:
        try:
            await account.get(endpoint.probe_request(), endpoint.listed)
        except StripeError as error:
            return error
        return None

    found = await asyncio.gather(*map(refusal, endpoints))
    account.close()
    return {endpoint.name: error for endpoint, error in zip(endpoints, found, strict=True) if error is not None}


def verdict(refused: dict[str, StripeError], endpoints: Sequence[Endpoint], rows: sentences.Rows) -> AirbyteConnectionStatus:
    """What the refusals mean.

    Failed, with Stripe's reason, when the key is refused, when Stripe can't be reached, or when nothing may be read. A key
    that may read some streams passes, and the message names the permission that each of the others needs.
    """
    permissions = {endpoint.name: endpoint.permission for endpoint in endpoints}
    for name, error in refused.items():
        if not error.is_missing_permission:
            return AirbyteConnectionStatus(status=Status.FAILED, message=sentences.of_question(error, permissions[name], rows))
    needs = {name: sentences.missing_rows(error, permissions[name], rows) for name, error in refused.items()}
    if len(refused) == len(endpoints):
        message = sentences.nothing_readable(needs.values(), next(iter(refused.values())))
        return AirbyteConnectionStatus(status=Status.FAILED, message=message)
    if refused:
        warning = sentences.not_everything_readable(needs, "events" in refused)
        logger.warning(warning, extra={"is_verdict": True})
        return AirbyteConnectionStatus(status=Status.SUCCEEDED, message=warning)
    return AirbyteConnectionStatus(status=Status.SUCCEEDED)
