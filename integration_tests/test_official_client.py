"""Stripe's own Python package reads the embedded account: a reader that was not written here."""

from __future__ import annotations

import builtins
import inspect
import sys
import types
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
import stripe
from stripe._stripe_object import UntypedStripeObject

from integration_tests.embedded_stripe import PRODUCTS, Account, StripeServer, made_up_account
from integration_tests.embedded_stripe.endpoints import COLLECTIONS, UNLISTED
from integration_tests.embedded_stripe.kinds import KINDS, Collection, Inside
from integration_tests.harness import STREAMS

EVERYTHING: dict[str, list[dict[str, Any]]] = {
    "subscriptions": [{"status": "all"}],
    "prices": [{"active": True}, {"active": False}],
}
# Whose objects a list is asked for that requires it: the kind of those that the parameter names.
OWNERS = {
    "billing.credit_balance_transaction": "customer",
    "entitlements.active_entitlement": "customer",
    "financial_connections.transaction": "financial_connections.account",
    "issuing.token": "issuing.card",
    "payment_attempt_record": "payment_record",
    "radar.value_list_item": "radar.value_list",
    "setup_attempt": "setup_intent",
    "subscription_item": "subscription",
}
# Where the package has another name than the address.
SERVICES = {
    "apple_pay/domains": ["apple_pay_domains"],
    "credit_notes/lines": ["credit_notes", "line_items"],
    "invoiceitems": ["invoice_items"],
    "invoices/lines": ["invoices", "line_items"],
}
# Fields that the package knows of versions later than the pinned one.
NEWER = {
    "Configuration.features.subscription_pause",
    "Dispute.evidence_details.submission_method",
    "SubscriptionSchedule.pause_schedules",
}
CHILDREN = [
    (kind.collection, inside)
    for kind in KINDS.values()
    for inside in kind.lists.values()
    if kind.collection and inside.is_served and inside.stream
]


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


def service(client: stripe.StripeClient, address: str) -> Any:
    """What the package reads a list with, by the list's address without its ids."""
    found: Any = client.v1
    for name in SERVICES.get(address, address.split("/")):
        found = getattr(found, name)
    return found


def asked(account: Account, collection: Collection) -> Iterable[dict[str, Any]]:
    """The parameters of the requests that bring all that a list has."""
    if not collection.required:
        return EVERYTHING.get(collection.stream, [{}])
    return [{collection.required[0]: owner} for owner in account.shelf(OWNERS[collection.object]).objects]


@pytest.mark.parametrize("collection", COLLECTIONS, ids=lambda each: each.stream)
def test_auto_paging_meets_every_object_once_and_whole(
    client: stripe.StripeClient, account: Account, collection: Collection
) -> None:
    if not account.has(product := KINDS[collection.object].product):
        pytest.skip(f"the account has no {product}: see the test of products")
    lister = service(client, collection.path.removeprefix("/v1/"))
    paged = {"limit": 100} if collection.is_paged else {}
    found = [each for given in asked(account, collection) for each in lister.list(paged | given).auto_paging_iter()]
    ids = [each.id for each in found]
    if collection.object != "subscription_item":
        assert (len(ids), set(ids)) == (len(set(ids)), set(account.listed(collection.stream)))
    assert ids
    assert {type(each).OBJECT_NAME for each in found} == {collection.object}
    assert sorted({fault for each in found[:300] for fault in violations(each)}) == []


@pytest.mark.parametrize(("collection", "inside"), CHILDREN, ids=lambda each: each.stream)
def test_auto_paging_meets_every_child_once(
    client: stripe.StripeClient, account: Account, collection: Collection, inside: Inside
) -> None:
    lister = service(client, f"{collection.path.removeprefix('/v1/')}/{inside.name}")
    paged = {"limit": 100} if inside.is_paged else {}
    truth = account.children(inside.stream)
    without = [each["id"] for each in account.each(collection.object)][:20]
    owners = {owner for owner, _ in truth} | set(without)
    pages = ((owner, lister.list(owner, paged)) for owner in owners)
    found = [(owner, each) for owner, page in pages for each in page.auto_paging_iter()]
    keys = [(owner, each.id) for owner, each in found]
    assert (len(keys), set(keys)) == (len(set(keys)), set(truth))
    assert keys
    assert sorted({fault for _, each in found[:300] for fault in violations(each)}) == []


@pytest.mark.parametrize("product", [each for each in PRODUCTS if each != "test_clocks"])
def test_a_product_that_the_account_has_not_is_an_invalid_request(
    client: stripe.StripeClient, account: Account, product: str
) -> None:
    paths = [each.path.removeprefix("/v1/") for each in COLLECTIONS if KINDS[each.object].product == product]
    for path in paths if not account.has(product) else ():
        with pytest.raises(stripe.InvalidRequestError) as caught:
            service(client, path).list()
        assert caught.value.http_status == 400
    assert account.has(product) == (product in ("climate", "issuing"))


# ---------------------------------------------------------------------- what the package's own types say


def violations(obj: stripe.StripeObject, place: str = "") -> Iterator[str]:
    """Where an object is not what the package declares: a field that is missing, or of another type."""
    kind: Any = type(obj)
    place = place or kind.__name__
    for name, hint in hints(kind).items():
        if name in obj:
            yield from _wrong(obj[name], hint, f"{place}.{name}")
        elif not _is_optional(hint) and f"{place}.{name}" not in NEWER:
            yield f"{place}.{name} is missing"


def _wrong(value: Any, hint: Any, place: str) -> Iterator[str]:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or origin is Literal or (isinstance(value, stripe.StripeObject) and origin is UntypedStripeObject):
        return
    if origin in (Union, types.UnionType):
        found = [list(_wrong(value, each, place)) for each in args]
        yield from () if [] in found else found[0]
    elif origin is list:
        each_hint = args[0] if args else Any
        for each in value if isinstance(value, list) else ():
            yield from _wrong(each, each_hint, f"{place}[]")
        if not isinstance(value, list):
            yield f"{place} is no list: {value!r}"
    elif isinstance(value, stripe.StripeObject) and isinstance(hint, type) and issubclass(hint, stripe.StripeObject):
        yield from violations(value, place)
    elif not isinstance(value, origin or hint) or (isinstance(value, bool) and hint is not bool):
        yield f"{place} is no {hint}: {value!r}"


def _is_optional(hint: Any) -> bool:
    return type(None) in get_args(hint) or hint is Any


class _Names(dict[str, Any]):
    """Names that the package imports for type checkers alone: any type."""

    def __init__(self, known: dict[str, Any]) -> None:
        self._known = known

    def __missing__(self, name: str) -> Any:
        if name in self._known or hasattr(builtins, name):
            raise KeyError(name)
        return Any


@cache
def hints(kind: type[Any]) -> dict[str, Any]:
    """The fields that a class of the package declares, and its own nested classes."""
    known = vars(sys.modules[kind.__module__])
    declared = get_type_hints(kind, known, _Names(known))
    own = {name for base in kind.__mro__ if base.__module__ == kind.__module__ for name in inspect.get_annotations(base)}
    return {name: hint for name, hint in declared.items() if name in own and name.islower()}


@pytest.mark.parametrize("stream", [stream for stream in STREAMS if stream != "events"])
def test_each_listed_object_is_read_by_its_id(client: stripe.StripeClient, account: Account, stream: str) -> None:
    for ident, truth in list(account.listed(stream).items())[::25]:
        assert getattr(client.v1, stream).retrieve(ident).last_response.data == truth


@pytest.mark.parametrize("collection", UNLISTED, ids=lambda each: each.object)
def test_what_is_in_no_list_is_read_by_its_id(collection: Collection) -> None:
    account = Account(1_795_000_000)
    ident = account.create(collection.object)["id"]
    with StripeServer(account) as server:
        reader = service(_client(server, server.secret_key), collection.path.removeprefix("/v1/"))
        found = reader.retrieve(ident)
    assert (found.id, sorted(violations(found))) == (ident, [])


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
