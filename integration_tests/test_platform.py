"""Reading the accounts of a platform with one key: each as if it were the only one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from integration_tests.embedded_stripe import Account, StripeServer, small_shop
from integration_tests.embedded_stripe.endpoints import PERMISSIONS
from integration_tests.harness import DAY, NOW, STREAMS, Reader, Result, Row, account_clock
from source_stripe.source import SourceStripe
from source_stripe.sync.clock import Clock

Held = dict[tuple[str, str], Row]
"""By the account's id and its own the rows of one stream."""


@pytest.fixture
def platform() -> Account:
    return Account(NOW)


@pytest.fixture
def server(platform: Account) -> Iterator[StripeServer]:
    with StripeServer(platform) as server:
        yield server


def three_shops(platform: Account) -> list[str]:
    """A platform with three connected accounts that have the same ids where merchants choose them."""
    ids = ["acct_a", "acct_b", "acct_c"]
    for number, id in enumerate(ids):
        small_shop(platform.connect(id, at=NOW - (90 - number) * DAY))
    return ids


def held(stream: str, *results: Result) -> Held:
    rows = {(row["account_id"], row["id"]): row for result in results for row in result.of(stream)}
    return {key: row for key, row in rows.items() if not row.get("is_deleted")}


def asked(result: Result) -> list[str]:
    """The accounts that were asked, each once."""
    return sorted({request.headers.get("stripe-account", "own") for request in result.requests})


# ---------------------------------------------------------------------- which accounts


def test_each_record_tells_whose_it_is(platform: Account, server: StripeServer) -> None:
    ids = three_shops(platform)
    result = Reader(server, accounts="connected").sync(streams=["coupons"])
    assert held("coupons", result).keys() == {(id, "WELCOME") for id in ids}
    assert next(iter(result.of("coupons")[0])) == "account_id"


def test_the_keys_own_account_is_read_besides_where_all_are_wanted(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    platform.create("coupon", {"id": "WELCOME"})
    result = Reader(server, accounts="all").sync(streams=["coupons"])
    assert {account for account, _ in held("coupons", result)} == {platform.id, "acct_a", "acct_b", "acct_c"}


def test_only_the_accounts_that_are_named_are_read_and_nobody_lists_them(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    result = Reader(server, account_ids=["acct_c", "acct_a"]).sync(streams=["coupons"])
    assert held("coupons", result).keys() == {("acct_a", "WELCOME"), ("acct_c", "WELCOME")}
    assert "/v1/accounts" not in result.paths


def test_an_organizations_key_reads_the_accounts_that_are_named(platform: Account, server: StripeServer) -> None:
    sister = Account(NOW, id="acct_sister")
    sister.create("coupon", {"id": "WELCOME"})
    server.join_organization(sister)
    result = Reader(server, secret_key=server.organization_key(), account_ids=["acct_sister"]).sync(streams=["coupons"])
    assert held("coupons", result).keys() == {("acct_sister", "WELCOME")}
    assert {request.headers.get("stripe-context") for request in result.requests} == {"acct_sister"}


def test_an_organizations_key_reads_one_account_as_its_own(platform: Account, server: StripeServer) -> None:
    platform.create("coupon", {"id": "WELCOME"})
    result = Reader(server, secret_key=server.organization_key(), account_id=platform.id).sync(streams=["coupons"])
    assert result.ids("coupons") == ["WELCOME"]


def test_an_account_that_tells_no_time_is_read_like_others(platform: Account, server: StripeServer) -> None:
    small_shop(platform.connect("acct_undated", dated=False))
    small_shop(platform.connect("acct_dated"))
    platform.undated_in_ranges = False
    reader = Reader(server, accounts="connected", page_size=1)
    first = reader.sync(streams=["coupons"])
    assert held("coupons", first).keys() == {("acct_dated", "WELCOME"), ("acct_undated", "WELCOME")}
    assert reader.sync(first, streams=["coupons"]).records == []


def test_without_accounts_there_is_nothing_to_read(server: StripeServer) -> None:
    result = Reader(server, accounts="connected").sync()
    assert (result.records, result.failure, result.complete) == ([], None, set(STREAMS))


# ---------------------------------------------------------------------- later syncs


def test_a_quiet_account_costs_two_requests_and_the_list_of_accounts_a_page(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    reader = Reader(server, accounts="connected")
    first = reader.sync()
    platform.advance(3600)
    later = reader.sync(first)
    assert (later.records, later.complete) == ([], set(STREAMS))
    assert sorted(later.paths) == ["/v1/accounts"] + ["/v1/balance_transactions"] * 3 + ["/v1/events"] * 3


def test_what_changed_in_one_account_arrives_and_once(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    reader = Reader(server, accounts="connected")
    first = reader.sync()
    platform.connected["acct_b"].update("coupon", "WELCOME", {"name": "Hello"})
    platform.connected["acct_c"].delete("coupon", "WELCOME")
    later = reader.sync(first)
    shown = [(row["account_id"], row["name"], row.get("is_deleted")) for row in later.of("coupons")]
    assert sorted(shown, key=str) == [("acct_b", "Hello", None), ("acct_c", None, True)]
    assert reader.sync(later).records == []


def test_what_changed_a_quarter_of_an_hour_ago_is_not_read_again(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    reader = Reader(server, accounts="connected")
    result = reader.sync()
    platform.connected["acct_b"].create("charge")
    platform.advance(103)
    platform.connected["acct_b"].update("coupon", "WELCOME", {"name": "Hello"})
    platform.advance(601)
    changed = reader.sync(result)
    assert [len(changed.of("charges")), len(reader.sync(changed).records)] == [1, 0]


def test_a_new_account_gets_its_whole_history(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    reader = Reader(server, accounts="connected")
    first = reader.sync()
    platform.advance(DAY)
    small_shop(platform.connect("acct_new", at=NOW - 400 * DAY))
    later = reader.sync(first)
    assert {row["account_id"] for _, row in later.records} == {"acct_new"}
    assert len(later.of("charges")) == 2


def test_an_account_that_is_named_later_gets_its_whole_history(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    reader = Reader(server)
    first = reader.sync(account_ids=["acct_a", "acct_b"])
    platform.advance(DAY)
    later = reader.sync(first, account_ids=["acct_b", "acct_c"])
    assert {row["account_id"] for _, row in later.records} == {"acct_c"}
    platform.connected["acct_a"].update("coupon", "WELCOME", {"name": "Hello"})
    again = reader.sync(later, accounts="connected")
    assert [(row["account_id"], row["name"]) for row in again.of("coupons")] == [("acct_a", "Hello")]


def test_an_earlier_start_date_brings_what_lies_between_of_each_account(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    reader = Reader(server, accounts="connected")
    first = reader.sync(streams=["customers"], start_date="2026-09-01T00:00:00Z")
    assert first.records == []
    later = reader.sync(first, streams=["customers"], start_date="2020-01-01T00:00:00Z")
    assert len(held("customers", later)) == 6
    assert reader.sync(later, streams=["customers"], start_date="2020-01-01T00:00:00Z").records == []


def test_the_state_of_one_account_is_none_of_many(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    reader = Reader(server)
    one, many = reader.sync(streams=["coupons"]), reader.sync(streams=["coupons"], accounts="connected")
    refused = reader.sync(one, streams=["coupons"], accounts="connected"), reader.sync(many, streams=["coupons"])
    assert [each.errors["coupons"].partition(": ")[2].partition(". ")[0] for each in refused] == [
        "it is of a single account, and not of many",
        "it is of many accounts, and not of a single one",
    ]


# ---------------------------------------------------------------------- failures


def test_an_account_that_fails_is_named_and_the_others_are_read(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    match = lambda request: request.headers.get("stripe-account") == "acct_b"  # noqa: E731
    server.fault("status", path="^/v1/charges", status=400, message="Not today.", times=None, match=match)
    reader = Reader(server, accounts="connected")
    first = reader.sync()
    assert {account for account, _ in held("charges", first)} == {"acct_a", "acct_c"}
    assert first.errors["charges"].startswith("1 of 3 accounts could not be read: acct_b. Stripe refused a request")
    assert first.complete == set(STREAMS) - {"charges"}
    server.clear_faults()
    later = reader.sync(first)
    assert [row["account_id"] for _, row in later.records] == ["acct_b", "acct_b"]


def test_a_key_that_is_revoked_ends_it_for_all(platform: Account, server: StripeServer) -> None:
    platform.connect_many(200, small_shop, spread="even")
    server.fault("revoked", after=300, times=None)
    result = Reader(server, accounts="connected").sync()
    assert "168 of 200 accounts were not tried any more. Invalid API Key" in result.errors["charges"]
    assert len(result.requests) < 1500


def test_a_permission_that_no_account_gives_is_asked_of_few(platform: Account, server: StripeServer) -> None:
    platform.connect_many(200, small_shop, spread="even")
    every = ["charge_read", "coupon_read", "connected_account_read", "event_read"]
    key = server.restricted_key(every, connect=["coupon_read", "event_read"])
    result = Reader(server, accounts="connected", secret_key=key).sync(streams=["charges", "coupons"])
    assert len(held("coupons", result)) == 200
    assert "Permission denied" in result.errors["charges"]
    assert result.lists("charges") < 130


def test_who_may_not_list_the_accounts_is_told_so(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    key = server.restricted_key(["charge_read"])
    result = Reader(server, accounts="connected", secret_key=key).sync(streams=["charges"])
    assert result.errors["charges"].startswith('Permission denied: the key may not read this. Set "Connected accounts: Read"')


# ---------------------------------------------------------------------- accounts that go and come


def test_an_account_that_goes_is_told_of_once_and_the_others_are_read(
    platform: Account, server: StripeServer, caplog: pytest.LogCaptureFixture
) -> None:
    three_shops(platform)
    reader = Reader(server, account_ids=["acct_a", "acct_b", "acct_c"])
    results = [reader.sync()]
    platform.deauthorize("acct_b")
    for _ in range(2):
        platform.advance(DAY)
        results.append(reader.sync(results[-1]))
    assert [result.failure for result in results] == [None] * 3
    assert caplog.text.count("the account acct_b is not connected to the key's") == 1


@pytest.mark.parametrize("how", [{"accounts": "connected"}, {"account_ids": ["acct_a", "acct_b", "acct_c"]}])
@pytest.mark.parametrize(("days", "charges"), [(20, 0), (40, 2)])
def test_an_account_that_is_back_goes_on_or_after_thirty_days_is_read_in_full(
    platform: Account, server: StripeServer, how: dict[str, Any], days: int, charges: int
) -> None:
    three_shops(platform)
    reader = Reader(server, **how)
    result = reader.sync()
    account = platform.connected["acct_b"]
    platform.deauthorize("acct_b")
    for _ in range(days // 5):
        platform.advance(5 * DAY)
        result = reader.sync(result)
    account.delete("coupon", "WELCOME")
    platform.connect("acct_b", account)
    back = reader.sync(result)
    assert [(row["id"], row.get("is_deleted")) for row in back.of("coupons")] == [("WELCOME", True)]
    assert len(back.of("charges")) == charges
    assert reader.sync(back).records == []


# ---------------------------------------------------------------------- states


def test_a_first_sync_that_is_stopped_goes_on_and_reads_no_account_twice(platform: Account, server: StripeServer) -> None:
    platform.connect_many(30, small_shop, spread="even", since=NOW - 90 * DAY, until=NOW - 30 * DAY)
    reader = Reader(server, accounts="connected")
    result = reader.sync(streams=["coupons"], stop_after=40)
    results = [result]
    while result.was_abandoned:
        result = reader.sync(result, streams=["coupons"], stop_after=40)
        results.append(result)
    assert len(held("coupons", *results)) == 30
    assert sum(len(each.of("coupons")) for each in results) < 60


def test_a_full_refresh_that_is_stopped_goes_on_and_one_that_was_not_reads_all(platform: Account, server: StripeServer) -> None:
    platform.connect_many(30, small_shop, spread="even", since=NOW - 90 * DAY, until=NOW - 30 * DAY)
    reader = Reader(server, accounts="connected")
    begun = reader.sync(streams=["coupons"], full_refresh=True, stop_after=25)
    ended = reader.sync(begun, streams=["coupons"], full_refresh=True)
    assert len(ended.of("coupons")) < 30
    assert len(held("coupons", begun, ended)) == 30
    assert len(reader.sync(ended, streams=["coupons"], full_refresh=True).of("coupons")) == 30


def test_three_hundred_quiet_accounts_make_a_small_state(platform: Account, server: StripeServer) -> None:
    platform.connect_many(300, small_shop, spread="even", since=NOW - 90 * DAY, until=NOW - 30 * DAY)
    reader = Reader(server, accounts="connected")
    first = reader.sync()
    platform.advance(DAY)
    later = reader.sync(first)
    assert (later.records, len(later.requests)) == ([], 2 * 300 + 3)
    assert len(json.dumps(later.states)) < 14 * (300 * 8 + 200)


def test_four_shards_bring_each_account_once(platform: Account, server: StripeServer) -> None:
    platform.connect_many(60, small_shop, spread="even", since=NOW - 90 * DAY, until=NOW - 30 * DAY)
    results = [Reader(server, accounts="connected", shard=f"{shard}/4").sync(streams=["coupons"]) for shard in range(4)]
    assert sum(len(result.of("coupons")) for result in results) == len(held("coupons", *results)) == 60
    assert min(len(result.of("coupons")) for result in results) > 5


def test_an_account_whose_shard_changes_is_read_in_full_and_the_others_go_on(platform: Account, server: StripeServer) -> None:
    platform.connect_many(60, small_shop, spread="even", since=NOW - 90 * DAY, until=NOW - 30 * DAY)
    before = [Reader(server, accounts="connected", shard=f"{shard}/4").sync(streams=["coupons"]) for shard in range(4)]
    after = [Reader(server, accounts="connected", shard=f"{shard}/3").sync(before[shard], ["coupons"]) for shard in range(3)]
    for shard in range(3):
        others = held("coupons", *(before[each] for each in range(4) if each != shard))
        assert held("coupons", after[shard]).keys() <= others.keys()
        assert len(held("coupons", before[shard], after[shard])) >= 10
    assert len(held("coupons", *before[:3], *after)) == 60


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize("per", ["account", "key", "both"])
def test_no_limit_is_run_into_whatever_stripe_counts(platform: Account, server: StripeServer, per: str) -> None:
    platform.connect_many(40, small_shop, spread="even", since=NOW - 90 * DAY, until=NOW - 30 * DAY)
    reader = Reader(server, accounts="connected", call_rate_limit=25)
    first = reader.sync(call_rate_limit=10_000)
    platform.advance(3600)
    server.limit(25, 25, per=per)
    later = Reader(server, Clock(now=lambda: float(platform.now)), accounts="connected", call_rate_limit=25).sync(first)
    # How much of the limits is used is told in virtual time: unit_tests/test_many_accounts.py.
    assert ({request.status for request in later.requests}, len(later.requests)) == ({200}, 81)


# ---------------------------------------------------------------------- check


def check(server: StripeServer, **options: Any) -> tuple[str, str]:
    config = {"secret_key": server.secret_key, "api_base": server.url, "call_rate_limit": 10_000} | options
    status = SourceStripe(clock=account_clock(server)).check(logging.getLogger("airbyte"), config)
    return status.status.value, status.message or ""


def test_check_counts_the_accounts_and_tries_some(platform: Account, server: StripeServer) -> None:
    platform.connect_many(120, small_shop, spread="even")
    status, message = check(server, accounts="connected")
    assert (status, message.partition(" Tried: ")[0]) == ("SUCCEEDED", "There are 120 accounts to read.")
    assert len({request.headers["stripe-account"] for request in server.requests if "stripe-account" in request.headers}) == 3


def test_check_names_the_permission_that_the_list_of_accounts_needs(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    status, message = check(server, accounts="connected", secret_key=server.restricted_key(["charge_read"]))
    assert status == "FAILED"
    assert message.startswith('Permission denied: the key may not read this. Set "Connected accounts: Read" in the key\'s form')


def test_check_names_the_permissions_of_the_forms_column_for_connected_accounts(platform: Account, server: StripeServer) -> None:
    three_shops(platform)
    key = server.restricted_key(connect={permission for permission, _ in PERMISSIONS.values()} - {"charge_read"})
    status, message = check(server, accounts="connected", secret_key=key)
    assert (status, '"Charges and Refunds: Read" (charges, ' in message) == ("SUCCEEDED", True)
    assert "For connected accounts the form's column Connect counts." in message


def test_check_fails_where_no_account_is_connected_or_none_that_is_named(platform: Account, server: StripeServer) -> None:
    status, message = check(server, accounts="connected")
    assert (status, message.partition(",")[0]) == ("FAILED", "No account is connected to the key's")
    platform.connect("acct_a")
    status, message = check(server, account_ids=["acct_x", "acct_y"])
    assert (status, "acct_x: Account not connected" in message) == ("FAILED", True)


def test_an_estimate_is_of_one_account(server: StripeServer) -> None:
    with pytest.raises(AirbyteTracedException, match="An estimate is of one account: name it in `account_id`"):
        SourceStripe().estimate({"secret_key": server.secret_key, "accounts": "all"}, ["charges"])


# ---------------------------------------------------------------------- discover


def test_discovery_follows_the_accounts(server: StripeServer) -> None:
    config = {"secret_key": server.secret_key}
    found = {
        many: {each.name: each for each in SourceStripe().discover(logging.getLogger("airbyte"), config | options).streams}
        for many, options in ((False, {}), (True, {"accounts": "connected"}))
    }
    assert found[False]["coupons"].source_defined_primary_key == [["id"]]
    for name, stream in found[True].items():
        single = found[False][name]
        assert stream.source_defined_primary_key == [["account_id"], *(single.source_defined_primary_key or [])]
        assert stream.json_schema["properties"].keys() - single.json_schema["properties"].keys() == {"account_id"}
