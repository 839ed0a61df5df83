"""Syncs of many accounts: what one of them meets, and what the state says of it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest

from source_stripe.api.errors import StripeError
from source_stripe.api.request import Answer, Request
from source_stripe.sync.accounts_state import AccountsState, Followed, digest_of
from source_stripe.sync.output import State
from source_stripe.sync.state import BrokenState
from unit_tests.scripted import DAY, NOW, Platform, event, one, page

Query = Mapping[str, str]
BROKEN = StripeError("boom", status=500, retryable=True, kind="transient", request_id="req_1")
# So that what happens within eleven minutes crosses the ten minutes that the state rounds to.
BEGAN = NOW // 600 * 600 - 40
IDS = [f"acct_{number:03}" for number in range(90)]


def followed(ids: Sequence[str], **more: Any) -> dict[str, Any]:
    """The state of a stream in which all these accounts are followed to an hour ago."""
    at = (BEGAN - 3_600) // 600 * 600
    return {
        "version": 2,
        "livemode": True,
        "start": 0,
        "own": {},
        "gone": {},
        "followed": {str(at): Followed.dump(map(digest_of, ids))},
    } | more


def test_what_happens_in_a_quiet_account_during_an_incident_comes_with_the_next_sync() -> None:
    charge = {"id": "ch_1", "object": "charge", "created": BEGAN - 5 * DAY}
    captured = event("evt_1", "charge.captured", BEGAN + 30, charge)
    is_over = False

    def stripe(account: str, request: Request, query: Query, seconds: float) -> Answer | StripeError:
        now = int(platform.began + seconds)
        if account == IDS[-1]:
            if request.endpoint == "/v1/balance_transactions" and not is_over and seconds < 640:
                return BROKEN
            if request.endpoint == "/v1/events":
                return page([captured] if captured["created"] <= now else [], query, date=now)
            if request.endpoint == "/v1/charges/{id}":
                return one(charge, date=now)
        return page([], query, date=now)

    streams = ("charges", "balance_transactions")
    platform = Platform(IDS, stripe, BEGAN, dict.fromkeys(streams, followed(IDS)))
    assert platform.synced(*streams).complete == set(streams)
    is_over, platform.began = True, BEGAN + 3_000
    assert platform.synced(*streams).ids("charges") == ["ch_1"]


def test_an_endpoint_that_fails_is_tried_for_eleven_minutes_once() -> None:
    def stripe(account: str, request: Request, query: Query, seconds: float) -> Answer | StripeError:
        if account == IDS[-1] and request.endpoint == "/v1/balance_transactions":
            return BROKEN
        return page([], query, date=int(BEGAN + seconds))

    streams = ("charges", "balance_transactions")
    outcome = Platform(IDS, stripe, BEGAN, dict.fromkeys(streams, followed(IDS))).synced(*streams)
    assert outcome.failed.keys() == {"balance_transactions"}
    assert outcome.items[-1][0] < 700


@pytest.mark.parametrize("streams", [("charges", "country_specs"), ("country_specs", "charges")])
def test_a_long_silence_is_broken_whichever_stream_is_the_first(streams: tuple[str, str]) -> None:
    def stripe(account: str, request: Request, query: Query, seconds: float) -> Answer | StripeError:
        if account == "acct_1" and request.endpoint == "/v1/events" and seconds < 600:
            return BROKEN
        return page([], query, date=int(BEGAN + seconds))

    ids = ["acct_0", "acct_1"]
    outcome = Platform(ids, stripe, BEGAN, {"charges": followed(ids)}).synced(*streams)
    states = [at for at, item in outcome.items if isinstance(item, State)]
    assert max(after - before for before, after in pairwise(states)) < 180


@pytest.mark.parametrize(
    "own", [{"updated": "x"}, {"updated": None}, {"updated": 500_000_000_000}, {"updated": NOW, "parents": {"customers": 3}}, 3]
)
def test_a_state_that_is_damaged_in_one_account_is_refused(own: object) -> None:
    with pytest.raises(BrokenState):
        AccountsState.load(followed([], own={"acct_1": own}), "updated", 0, {"livemode": True})
