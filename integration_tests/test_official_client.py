"""Stripe's own Python package reads the embedded account: a reader that was not written here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from integration_tests.embedded_stripe import Account, StripeServer, made_up_account

STREAMS = [
    "balance_transactions",
    "charges",
    "coupons",
    "customers",
    "disputes",
    "events",
    "invoices",
    "payment_intents",
    "payouts",
    "plans",
    "prices",
    "products",
    "refunds",
    "subscriptions",
]
EVERYTHING: dict[str, list[dict[str, Any]]] = {
    "subscriptions": [{"status": "all"}],
    "prices": [{"active": True}, {"active": False}],
}


@pytest.fixture(scope="module")
def account() -> Account:
    return made_up_account(now=1_795_000_000)


@pytest.fixture(scope="module")
def server(account: Account) -> Iterator[StripeServer]:
    with StripeServer(account) as server:
        yield server


@pytest.fixture
def client(server: StripeServer) -> stripe.StripeClient:
    return _client(server, server.secret_key)


def _client(server: StripeServer, key: str, account: str | None = None) -> stripe.StripeClient:
    version = "2026-08-26.dahlia"
    addresses = {"api": server.url}
    return stripe.StripeClient(
        key,
        base_addresses=addresses,  # type: ignore[arg-type]
        stripe_account=account,
        stripe_version=version,
        max_network_retries=0,
    )


@pytest.mark.parametrize("stream", STREAMS)
def test_auto_paging_meets_every_object_once(client: stripe.StripeClient, account: Account, stream: str) -> None:
    service = getattr(client.v1, stream)
    ids = [
        found.id
        for parameters in EVERYTHING.get(stream, [{}])
        for found in service.list({"limit": 100, **parameters}).auto_paging_iter()
    ]
    assert len(ids) == len(set(ids))
    assert set(ids) == account.listed(stream).keys()


@pytest.mark.parametrize("stream", [stream for stream in STREAMS if stream != "events"])
def test_each_listed_object_is_read_by_its_id(client: stripe.StripeClient, account: Account, stream: str) -> None:
    for ident, truth in list(account.listed(stream).items())[::25]:
        assert getattr(client.v1, stream).retrieve(ident).last_response.data == truth


def test_ids_with_odd_characters_are_read_and_work_as_cursors(client: stripe.StripeClient) -> None:
    for ident in ("user 1/2", "a?b=c&d", "#7", "50%", "100%25", "1_000", "1e3", "ключ-42", "😀"):
        assert client.v1.customers.retrieve(ident).id == ident
        assert ident not in [other.id for other in client.v1.customers.list({"starting_after": ident}).data]


def test_a_nested_list_pages_to_its_end(client: stripe.StripeClient, account: Account) -> None:
    long = next(each for each in account.objects("invoice") if each["lines"]["total_count"] == 1000)
    lines = list(client.v1.invoices.retrieve(long["id"]).lines.auto_paging_iter())
    assert len({line.id for line in lines}) == 1000
    assert sum(line.amount for line in lines) == long["total"]


def test_going_backwards_meets_the_same_objects(client: stripe.StripeClient, account: Account) -> None:
    ids = [each["id"] for each in account.objects("refund")]
    page = client.v1.refunds.list({"ending_before": ids[-1], "limit": 10})
    assert [each.id for each in page.data] == ids[-11:-1]


def test_expanded_objects_come_typed(client: stripe.StripeClient) -> None:
    found = client.v1.charges.list({"limit": 3, "expand": ["data.balance_transaction", "data.refunds"]}).data[0]
    assert isinstance(found.balance_transaction, stripe.BalanceTransaction)
    assert isinstance(found.refunds, stripe.ListObject)


def test_limit_1000_gives_a_hundred(client: stripe.StripeClient) -> None:
    page = client.v1.charges.list({"limit": 1000})
    assert (len(page.data), page.has_more) == (100, True)


def test_a_revoked_key_is_an_authentication_error(server: StripeServer) -> None:
    key = server.restricted_key()
    server.revoke(key)
    with pytest.raises(stripe.AuthenticationError, match=r"Invalid API Key provided: rk_test_\*+"):
        _client(server, key).v1.charges.list()


def test_an_expired_key_is_an_authentication_error(server: StripeServer) -> None:
    key = server.restricted_key()
    server.expire(key)
    with pytest.raises(stripe.AuthenticationError, match="Expired API Key provided") as caught:
        _client(server, key).v1.charges.list()
    body: Any = caught.value.json_body
    assert body["error"]["code"] == "api_key_expired"


def test_a_restricted_key_without_permission_is_a_permission_error(server: StripeServer) -> None:
    key = server.restricted_key(["customer_read"])
    with pytest.raises(stripe.PermissionError, match=r"\"Charges and Refunds Read\" \('charge_read'\)"):
        _client(server, key).v1.refunds.list()


def test_an_unknown_parameter_is_an_invalid_request(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Received unknown parameter: wat") as caught:
        client.v1.charges.list({"wat": 1})  # type: ignore[arg-type]
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (400, "parameter_unknown", "wat")


def test_an_unknown_cursor_is_an_invalid_request(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_aaa'") as caught:
        client.v1.customers.list({"starting_after": "cus_aaa"})
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (
        400,
        "resource_missing",
        "starting_after",
    )


def test_a_rate_limit_is_a_rate_limit_error(server: StripeServer, client: stripe.StripeClient) -> None:
    server.fault("rate_limit")
    with pytest.raises(stripe.RateLimitError) as caught:
        client.v1.charges.list()
    assert caught.value.headers is not None
    assert caught.value.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"


def test_an_outage_is_an_api_error(server: StripeServer, client: stripe.StripeClient) -> None:
    server.fault("status", status=503)
    with pytest.raises(stripe.APIError):
        client.v1.charges.list()


def test_a_connected_account_shows_its_own_objects(server: StripeServer) -> None:
    other = Account(now=1_795_000_000, seed=7)
    other.create("customer", {"id": "cus_of_other"})
    server.connect("acct_other", other)
    client = _client(server, server.secret_key, "acct_other")
    assert [each.id for each in client.v1.customers.list().data] == ["cus_of_other"]


def test_a_live_key_shows_live_objects(server: StripeServer) -> None:
    client = _client(server, server.live_key)
    assert [(each.id, each.livemode) for each in client.v1.customers.list().data] == [("cus_OfLiveMode", True)]
    with pytest.raises(stripe.InvalidRequestError, match="a similar object exists in test mode, but a live mode key"):
        client.v1.customers.retrieve("1e3")
