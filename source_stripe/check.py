"""Whether a key can read the account."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from airbyte_cdk.models import AirbyteConnectionStatus, Status

from source_stripe import sentences
from source_stripe.api.account import Account
from source_stripe.api.errors import StripeError
from source_stripe.api.request import Request
from source_stripe.sync.accounts_sync import Choice, ids_of
from source_stripe.sync.endpoint import Endpoint, Listed
from source_stripe.sync.readings import with_children

logger = logging.getLogger("airbyte")

_MOST_LISTED = 1000
SECONDS_TO_TRY = 30.0
"""For so long a request that fails is tried again."""


class Probe:
    """Asks for one object of each stream, side by side at the pace, and for nothing twice."""

    def __init__(self, account: Account, endpoint_of: Callable[[str], Endpoint]) -> None:
        self._account, self._endpoint_of = account, endpoint_of
        self._asked: dict[Request, asyncio.Task[Listed]] = {}

    async def refusals(self, endpoints: Sequence[Endpoint]) -> dict[str, StripeError]:
        """By the streams' names what Stripe says no with, where it does."""
        found = await asyncio.gather(*map(self._refusal, endpoints))
        self._account.close()
        return {endpoint.name: error for endpoint, error in zip(endpoints, found, strict=True) if error is not None}

    async def _refusal(self, endpoint: Endpoint) -> StripeError | None:
        try:
            if endpoint.kind != "child":
                await self._page(endpoint)
            for name in endpoint.parents:
                await self._children(endpoint, await self._page(with_children(self._endpoint_of(name), [endpoint])))
        except StripeError as error:
            return error
        return None

    async def _page(self, endpoint: Endpoint) -> Listed:
        request, read = endpoint.probe()
        if request not in self._asked:
            self._asked[request] = asyncio.create_task(self._account.get(request, read))
        return await self._asked[request]

    async def _children(self, endpoint: Endpoint, parents: Listed) -> None:
        """Ask for the children of one of the parents, if they have a list of their own."""
        for row, raw in parents.pairs:
            if endpoint.walk is not None and endpoint.walk.leads_from(raw):
                await self._account.get(endpoint.walk_request(row.id, raw, None), endpoint.listed)


@dataclass(frozen=True)
class Form:
    """The form of a restricted key: its rows by their tokens, and whether it is that of test mode."""

    rows: sentences.Rows
    is_test: bool


async def verdict_on_many(
    account_of: Callable[[str], Account],
    choice: Choice,
    endpoint_of: Callable[[str], Endpoint],
    endpoints: Sequence[Endpoint],
    form: Form,
) -> AirbyteConnectionStatus:
    """What some of a platform's accounts, and their list, say: failed if they can't be listed, or none of them can be read."""
    try:
        ids, own = await ids_of(account_of(""), choice, endpoint_of, _MOST_LISTED)
    except StripeError as error:
        return _failed(error, endpoint_of("accounts").permission, form.rows, {})
    if not ids:
        return AirbyteConnectionStatus(status=Status.FAILED, message=sentences.NO_ACCOUNTS)
    tried = list(dict.fromkeys([ids[0], ids[len(ids) // 2], ids[-1]]))
    found = []
    for id in tried:
        refused = await Probe(account_of("" if id == own else id), endpoint_of).refusals(endpoints)
        found.append(verdict(refused, endpoints, form))
    told = [sentences.of_tried(id, each.message) for id, each in zip(tried, found, strict=True) if each.message]
    status = Status.FAILED if all(each.status == Status.FAILED for each in found) else Status.SUCCEEDED
    message = " ".join([sentences.some_accounts(len(ids), len(ids) < _MOST_LISTED, tried), *told])
    logger.info(message, extra={"is_verdict": True})
    return AirbyteConnectionStatus(status=status, message=message)


def verdict(refused: Mapping[str, StripeError], endpoints: Sequence[Endpoint], form: Form) -> AirbyteConnectionStatus:
    """What the refusals mean.

    Failed, with Stripe's reason, when the key is refused, when Stripe can't be reached, or when nothing can be read. A key
    that may read some streams passes, and the message names the rows of its form that the others need.
    """
    rows, is_test = form.rows, form.is_test
    permissions = {endpoint.name: endpoint.permission for endpoint in endpoints}
    products = {endpoint.name: endpoint.product for endpoint in endpoints if endpoint.product}
    absent = {name: products[name] for name, error in refused.items() if name in products and error.is_not_enabled}
    refused = {name: error for name, error in refused.items() if name not in absent}
    fatal = [name for name, error in refused.items() if _is_fatal(error)]
    needs = {
        name: sentences.missing_rows(error, permissions[name], rows)
        for name, error in refused.items()
        if error.is_missing_permission
    }
    others = [name for name in refused if name not in needs]
    may_be_read = [each for each in endpoints if each.name not in refused and each.name not in absent]
    if fatal or (refused and not any(each.permission in rows.values() for each in may_be_read)):
        name = (fatal or others or list(refused))[0]
        return _failed(refused[name], permissions[name], rows, needs if not fatal and not others else {})
    for name in others:
        logger.warning(f"{name}: {sentences.of_error(refused[name], permissions[name], rows)}")
    for product in sorted(set(absent.values())):
        names = sorted(name for name, of in absent.items() if of == product)
        logger.info(sentences.not_enabled(product, names))
    if not refused:
        return AirbyteConnectionStatus(status=Status.SUCCEEDED)
    warning = sentences.not_everything_readable(needs, others, len(endpoints), rows, is_test)
    logger.warning(warning, extra={"is_verdict": True})
    return AirbyteConnectionStatus(status=Status.SUCCEEDED, message=warning)


def _is_fatal(error: StripeError) -> bool:
    """Whether the refusal is one of the key or the account, whatever is asked for."""
    return (
        error.status == 401 or error.retryable or error.limited != "" or (error.status == 403 and not error.is_missing_permission)
    )


def _failed(
    error: StripeError, permission: str, rows: sentences.Rows, needs: Mapping[str, Sequence[str]]
) -> AirbyteConnectionStatus:
    message = sentences.nothing_readable(needs.values(), error) if needs else sentences.of_question(error, permission, rows)
    return AirbyteConnectionStatus(status=Status.FAILED, message=message)
