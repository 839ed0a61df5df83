"""Syncs of many accounts: what one of them meets, and what the state says of it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from airbyte_cdk.models import ConfiguredAirbyteStream, DestinationSyncMode, SyncMode

from source_stripe.api.errors import StripeError
from source_stripe.api.request import Answer, Request
from source_stripe.source import SourceStripe
from source_stripe.sync.accounts_state import Accounts, AccountsState, Followed, digest_of
from source_stripe.sync.output import Page, State
from source_stripe.sync.state import BrokenState
from unit_tests.scripted import DAY, DENIED, NOW, PLATFORM, Platform, event, one, page

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


def test_accounts_that_fail_do_not_keep_the_others_from_being_read() -> None:
    """In the second sync, those that fail are longest behind."""
    ids = [f"acct_{number:03}" for number in range(170)]
    failing = set(ids[:130])

    def stripe(account: str, request: Request, query: Query, seconds: float) -> Answer | StripeError:
        if account in failing and request.endpoint == "/v1/events":
            return DENIED
        now = int(platform.began + seconds)
        rows = [{"id": f"ch_{account}_{platform.began}", "object": "charge", "created": platform.began - 60}]
        told = [event(f"evt_{row['id']}", "charge.succeeded", platform.began - 60, row) for row in rows]
        if request.endpoint == "/v1/charges/{id}":
            return one(rows[0], date=now)
        return page(told if request.endpoint == "/v1/events" else [], query, date=now)

    platform = Platform(ids, stripe, BEGAN, {"charges": followed(ids)})
    for _ in range(3):
        outcome = platform.synced("charges")
        assert {row["account_id"] for row in outcome.records("charges")} == set(ids) - failing
        platform.began += 86_400


def test_a_state_says_of_new_accounts_that_they_may_have_been_read_before_their_first_record() -> None:
    """What is deleted after a sync was killed comes with the next one, however early that was."""
    charge = {"id": "ch_1", "object": "charge", "created": BEGAN - 5 * DAY}
    outcome = Platform(["acct_1"], lambda account, request, query, seconds: page([charge]), BEGAN).synced("charges")
    kinds = [type(item) for _, item in outcome.items if isinstance(item, State | Page)]
    assert kinds[0] is State
    (first, *_) = [item.blob for _, item in outcome.items if isinstance(item, State)]
    state = AccountsState.load(first, "updated", 0, {"livemode": True})
    state.bind(Accounts(["acct_1"]))
    assert state.blob_of(0) == {"updated": 0, "start": 0, "version": 2}


def test_a_full_refresh_does_not_go_on_from_an_incremental_sync_that_failed() -> None:
    source = SourceStripe(config=PLATFORM)
    stream = next(each for each in source.streams(PLATFORM) if each.name == "charges").as_airbyte_stream()
    wanted = ConfiguredAirbyteStream(stream, SyncMode.full_refresh, DestinationSyncMode.overwrite)
    failed = followed(["acct_1"], is_unfinished=True)
    for blob, is_known in ((failed, False), (failed | {"is_full_refresh": True}, True)):
        state: Any = source._selected(wanted, blob).state  # type: ignore[union-attr]
        state.bind(Accounts(["acct_1"]))
        assert (state.blob_of(0) is not None) is is_known


def test_an_account_that_another_shard_may_have_had_is_read_as_after_a_gap() -> None:
    config = PLATFORM | {"shard": "1/2"}
    source = SourceStripe(config=config)
    stream = next(each for each in source.streams(config) if each.name == "charges").as_airbyte_stream()
    wanted = ConfiguredAirbyteStream(stream, SyncMode.incremental, DestinationSyncMode.append_dedup)
    state: Any = source._selected(wanted, None).state  # type: ignore[union-attr]
    state.bind(Accounts(["acct_1"]))
    assert state.blob_of(0) == {"updated": 0, "start": 0, "version": 2}
