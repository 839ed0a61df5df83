"""Whether a key can read the account."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from airbyte_cdk.models import AirbyteConnectionStatus, Status

from source_stripe.clock import Clock
from source_stripe.errors import StripeError, missing_rows, sentence_of
from source_stripe.requester import StripeRequester
from source_stripe.retriever import StripeRetriever

logger = logging.getLogger("airbyte")

_SECONDS_TO_TRY = 30.0


def check(requester: StripeRequester, retrievers: Sequence[StripeRetriever], clock: Clock) -> AirbyteConnectionStatus:
    """Ask for one object of each stream, side by side.

    It fails with Stripe's reason when the key is refused, when Stripe can't be reached, or when nothing may be read. A key that
    may read some streams passes, and the message names the permission that each of the others needs.
    """
    with ThreadPoolExecutor(max_workers=len(retrievers)) as pool:
        errors = dict(
            zip(retrievers_names(retrievers), pool.map(lambda one: _probe(requester, one, clock), retrievers), strict=True)
        )
    requester.close()
    by_name = {retriever.name: retriever for retriever in retrievers}
    refused = {name: error for name, error in errors.items() if error is not None}
    for name, error in refused.items():
        if not error.is_missing_permission:
            return _failed(error, by_name[name].permission)
    if len(refused) == len(retrievers):
        rows = ", ".join(sorted({missing_rows(error, by_name[name].permission) for name, error in refused.items()}))
        return AirbyteConnectionStatus(
            status=Status.FAILED,
            message=f"Permission denied: the key may read none of the streams. Set in its form: {rows}. {_words(refused)}",
        )
    if refused:
        warning = _warning(refused, by_name)
        logger.warning(warning)
        return AirbyteConnectionStatus(status=Status.SUCCEEDED, message=warning)
    return AirbyteConnectionStatus(status=Status.SUCCEEDED)


def retrievers_names(retrievers: Sequence[StripeRetriever]) -> list[str]:
    return [retriever.name for retriever in retrievers]


def _probe(requester: StripeRequester, retriever: StripeRetriever, clock: Clock) -> StripeError | None:
    """What Stripe says no with, after some tries where trying again may help."""
    began = clock.monotonic()
    tries = 0
    while True:
        try:
            retriever.listed(requester.send(retriever.probe_request()))
        except StripeError as error:
            tries += 1
            pause = requester.retry.pause(error, tries)
            if not error.retryable or clock.monotonic() + pause - began > _SECONDS_TO_TRY:
                return error
            clock.sleep(pause)
        else:
            return None


def _failed(error: StripeError, permission: str) -> AirbyteConnectionStatus:
    message = sentence_of(error, permission)
    if error.retryable and not error.limited:
        message = f"Stripe could not be read. Try again later. Stripe says: {error}" if error.status else str(error)
    return AirbyteConnectionStatus(status=Status.FAILED, message=message)


def _warning(refused: dict[str, StripeError], by_name: dict[str, StripeRetriever]) -> str:
    needs = "; ".join(f"{name} needs {missing_rows(refused[name], by_name[name].permission)}" for name in sorted(refused))
    message = (
        f"The key may not read everything. Permission denied for: {needs}. Set it in the key's form or leave the stream out."
    )
    if "events" in refused:
        message += " Without Events, a first sync works and later ones can't see what changed: they fail."
    return message


def _words(refused: dict[str, StripeError]) -> str:
    return f"Stripe says: {next(iter(refused.values()))}"
