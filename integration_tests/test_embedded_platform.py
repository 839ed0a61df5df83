"""The embedded account as a platform: its connected accounts, what they are asked for with, and how they are limited."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from integration_tests.embedded_stripe import Account, StripeServer, small_shop
from integration_tests.harness import DAY, NOW

VERSION = "2026-08-26.dahlia"


@pytest.fixture
def platform() -> Account:
    return Account(NOW)


@pytest.fixture
def server(platform: Account) -> Iterator[StripeServer]:
    with StripeServer(platform) as server:
        yield server


def get(server: StripeServer, path: str, account: str | None = None, key: str | None = None, **headers: str) -> requests.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | ({"Stripe-Account": account} if account else {})
    return requests.get(server.url + path, auth=(key or server.secret_key, ""), headers=sent, timeout=5)


def ids(server: StripeServer, path: str, account: str | None = None) -> list[str]:
    return [each["id"] for each in get(server, path, account).json()["data"]]


def refusal(answer: requests.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json()["error"].get("code")


# ---------------------------------------------------------------------- the accounts


def test_connected_accounts_are_listed_newest_first_and_by_the_time_of_their_connection(
    platform: Account, server: StripeServer
) -> None:
    for days in (3, 2, 1):
        platform.connect(f"acct_{days}", at=NOW - days * DAY)
    assert ids(server, "/v1/accounts") == ["acct_1", "acct_2", "acct_3"]
    assert ids(server, f"/v1/accounts?created[gte]={NOW - 2 * DAY}&created[lt]={NOW - DAY}") == ["acct_2"]
    assert get(server, "/v1/accounts/acct_2").json()["created"] == NOW - 2 * DAY


def test_an_account_may_have_no_time(platform: Account, server: StripeServer) -> None:
    platform.connect("acct_dated", at=NOW - 2)
    platform.connect("acct_undated", at=NOW - 1, dated=False)
    listed = get(server, "/v1/accounts").json()["data"]
    assert [(each["id"], "created" in each) for each in listed] == [("acct_undated", False), ("acct_dated", True)]


@pytest.mark.parametrize(("found", "expected"), [(True, ["acct_undated", "acct_dated"]), (False, ["acct_dated"])])
def test_a_range_of_times_finds_an_account_without_a_time_or_not(
    platform: Account, server: StripeServer, found: bool, expected: list[str]
) -> None:
    platform.undated_in_ranges = found
    platform.connect("acct_dated", at=NOW - 2)
    platform.connect("acct_undated", at=NOW - 1, dated=False)
    assert ids(server, f"/v1/accounts?created[gte]={NOW - 9}") == expected
    assert ids(server, "/v1/accounts") == ["acct_undated", "acct_dated"]


def test_a_connected_account_shows_its_own_objects_and_says_so(platform: Account, server: StripeServer) -> None:
    platform.create("coupon", {"id": "SAME", "percent_off": 5.0})
    platform.connect("acct_1").create("coupon", {"id": "SAME", "percent_off": 50.0})
    own, connected = get(server, "/v1/coupons/SAME"), get(server, "/v1/coupons/SAME", "acct_1")
    assert (own.json()["percent_off"], connected.json()["percent_off"]) == (5.0, 50.0)
    assert ("Stripe-Account" in own.headers, connected.headers["Stripe-Account"]) == (False, "acct_1")


def test_an_account_by_itself_is_no_platform(platform: Account, server: StripeServer) -> None:
    assert refusal(get(server, "/v1/charges", "acct_1")) == (403, "platform_account_required")
    platform.connect("acct_1")
    assert refusal(get(server, "/v1/charges", "acct_2")) == (403, "account_invalid")
    assert refusal(get(server, "/v1/accounts/acct_2")) == (403, "account_invalid")
    assert get(server, f"/v1/accounts/{platform.id}").json()["id"] == platform.id


def test_a_deauthorized_account_is_refused_from_then_on(platform: Account, server: StripeServer) -> None:
    platform.connect("acct_1").create("customer", {"id": "cus_1"})
    assert ids(server, "/v1/customers", "acct_1") == ["cus_1"]
    platform.deauthorize("acct_1")
    assert refusal(get(server, "/v1/customers", "acct_1")) == (403, "account_invalid")
    assert ids(server, "/v1/accounts") == []


def test_a_deauthorized_account_comes_back_with_what_it_has(platform: Account, server: StripeServer) -> None:
    behind = platform.connect("acct_1", at=NOW - DAY)
    platform.deauthorize("acct_1")
    behind.create("customer", {"id": "cus_1"})
    platform.connect("acct_1")
    assert get(server, "/v1/accounts/acct_1").json()["created"] == NOW
    assert ids(server, "/v1/customers", "acct_1") == ["cus_1"]


def test_a_change_of_an_account_is_told_among_its_own_events(platform: Account, server: StripeServer) -> None:
    platform.connect("acct_1")
    platform.update("account", "acct_1", {"email": "new@example.com"})
    platform.create("person", {"account": "acct_1"})
    told = get(server, "/v1/events", "acct_1").json()["data"]
    assert [(each["type"], each["account"]) for each in told] == [("person.created", "acct_1"), ("account.updated", "acct_1")]
    assert ids(server, "/v1/events") == []


def test_an_event_of_a_connected_account_is_none_of_the_platforms(platform: Account, server: StripeServer) -> None:
    platform.connect("acct_1").create("customer")
    (event,) = ids(server, "/v1/events", "acct_1")
    answer = get(server, f"/v1/events/{event}")
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, f"No such event: '{event}'")


def test_a_platform_is_told_where_a_payment_method_may_be(platform: Account, server: StripeServer) -> None:
    platform.connect("acct_1")
    said = get(server, "/v1/payment_methods/pm_1").json()["error"]["message"]
    assert said.startswith("No such PaymentMethod: 'pm_1'; It's possible this PaymentMethod exists on one of your connected")


# ---------------------------------------------------------------------- thousands


def test_ten_thousand_accounts_are_there_at_once(platform: Account, server: StripeServer) -> None:
    began = time.monotonic()
    platform.connect_many(10_000, small_shop, spread="even")
    newest = ids(server, "/v1/accounts?limit=3")
    assert [len(ids(server, f"/v1/{path}", newest[1])) for path in ("customers", "charges", "coupons")] == [2, 2, 1]
    assert time.monotonic() - began < 5


def test_an_account_that_was_forgotten_is_made_again_as_it_was(platform: Account, server: StripeServer) -> None:
    platform.connect_many(300, small_shop, since=NOW - 20 * DAY, until=NOW - 3 * DAY, spread="even")
    accounts = ids(server, "/v1/accounts?limit=100")
    before = [get(server, f"/v1/{path}", accounts[0]).json() for path in ("customers", "events?limit=100", "invoices")]
    platform.advance(15 * DAY)
    for other in range(300):
        platform.connected.read(platform.shelf("account").id_at(other))
    after = [get(server, f"/v1/{path}", accounts[0]).json() for path in ("customers", "events?limit=100", "invoices")]
    assert before == after


def test_one_of_thousands_has_its_capabilities(platform: Account, server: StripeServer) -> None:
    platform.connect_many(2, small_shop, spread="even")
    ident = platform.objects("account")[0]["id"]
    assert get(server, f"/v1/accounts/{ident}/capabilities").json()["data"] == []
    platform.create("capability", {"id": "transfers", "account": ident})
    assert [each["id"] for each in get(server, f"/v1/accounts/{ident}/capabilities").json()["data"]] == ["transfers"]


def test_one_of_thousands_can_change_and_go(platform: Account, server: StripeServer) -> None:
    platform.connect_many(1000, small_shop)
    ident = ids(server, "/v1/accounts?limit=1")[0]
    platform.connected[ident].create("customer", {"id": "cus_new"})
    for other in range(300):
        platform.connected.read(platform.shelf("account").id_at(other))
    assert "cus_new" in ids(server, "/v1/customers", ident)
    platform.deauthorize(ident)
    assert refusal(get(server, "/v1/customers", ident)) == (403, "account_invalid")
    assert ids(server, "/v1/accounts?limit=1") != [ident]


# ---------------------------------------------------------------------- keys and limits


def test_a_restricted_key_may_have_other_permissions_for_connected_accounts(platform: Account, server: StripeServer) -> None:
    platform.connect("acct_1")
    key = server.restricted_key(["charge_read", "customer_read"], connect=["charge_read"])
    statuses = [
        get(server, f"/v1/{path}", account, key).status_code for account in (None, "acct_1") for path in ("charges", "customers")
    ]
    assert statuses == [200, 200, 200, 403]
    assert refusal(get(server, "/v1/accounts", key=key)) == (403, "more_permissions_required")


@pytest.mark.parametrize("live", [False, True])
def test_an_organizations_key_needs_an_account_and_a_version(platform: Account, server: StripeServer, live: bool) -> None:
    key = server.organization_key(live=live)
    assert key.startswith("sk_org_live_" if live else "sk_org_test_")
    asked = {"Stripe_Context": platform.id, "Stripe_Version": VERSION}
    assert get(server, "/v1/charges", key=key, **asked).status_code == 200
    for missing in asked:
        answer = get(server, "/v1/charges", key=key, **{name: value for name, value in asked.items() if name != missing})
        assert (answer.status_code, missing.replace("_", "-") in answer.json()["error"]["message"]) == (400, True)


def test_an_organizations_key_reads_its_accounts_and_those_that_they_connected(platform: Account, server: StripeServer) -> None:
    sister = Account(NOW, id="acct_sister")
    sister.connect("acct_below").create("customer", {"id": "cus_below"})
    server.join_organization(sister)
    key = server.organization_key()

    def customers(context: str) -> requests.Response:
        return get(server, "/v1/customers", key=key, Stripe_Context=context, Stripe_Version=VERSION)

    assert customers("acct_sister").json()["data"] == []
    assert [each["id"] for each in customers("acct_sister/acct_below").json()["data"]] == ["cus_below"]
    assert refusal(customers("acct_below")) == (403, "account_invalid")


@pytest.mark.parametrize(
    ("per", "statuses"),
    [
        ("account", {"own": 200, "connected": 200, "other key": 429}),
        ("key", {"own": 200, "connected": 429, "other key": 200}),
        ("both", {"own": 200, "connected": 429, "other key": 429}),
    ],
)
def test_a_limit_counts_by_account_by_key_or_by_both(
    platform: Account, server: StripeServer, per: str, statuses: dict[str, int]
) -> None:
    platform.connect("acct_1")
    server.limit(per_second=1, per=per)
    answers: dict[str, Any] = {"own": get(server, "/v1/charges")}
    answers["connected"] = get(server, "/v1/charges", "acct_1")
    answers["other key"] = get(server, "/v1/charges", key=server.restricted_key())
    assert {name: answer.status_code for name, answer in answers.items()} == statuses


def test_another_process_can_connect_and_deauthorize(platform: Account, server: StripeServer) -> None:
    def control(name: str, **given: Any) -> Any:
        return requests.post(f"{server.url}/_control/{name}", json=given, timeout=5).json()

    assert control("connect", id="acct_1", at=NOW - 5) == {"id": "acct_1"}
    control("connect_many", count=20, since=NOW - 9 * DAY, until=NOW - 8 * DAY)
    assert len(ids(server, "/v1/accounts?limit=100")) == 21
    made = control("create", account="acct_1", object="customer")
    assert ids(server, "/v1/customers", "acct_1") == [made["id"]]
    control("deauthorize", id="acct_1")
    assert refusal(get(server, "/v1/customers", "acct_1")) == (403, "account_invalid")
