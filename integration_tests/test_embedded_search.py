"""The embedded account's search: its query language, its pages, and what it says no to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import stripe

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.embedded_stripe.endpoints import COLLECTIONS
from integration_tests.harness import NOW

SEARCHED = [each.path for each in COLLECTIONS if each.searched_by]


@pytest.fixture
def account() -> Account:
    account = Account(NOW)
    account.create("customer", {"id": "cus_amy", "name": "Amy", "email": "Amy@rocketrides.io", "metadata": {"tier": "gold"}})
    account.create("customer", {"id": "cus_bob", "name": 'Bob "B"', "email": None}, at=NOW - 5)
    for number, amount in enumerate((500, 1000, 2000)):
        account.create(
            "charge", {"id": f"ch_{amount}", "amount": amount, "currency": ("usd", "eur", "usd")[number]}, at=NOW + number
        )
    return account


@pytest.fixture
def server(account: Account) -> Iterator[StripeServer]:
    with StripeServer(account) as server:
        yield server


def search(server: StripeServer, kind: str, query: str, **more: Any) -> requests.Response:
    parameters = {"query": query, **more}
    return requests.get(f"{server.url}/v1/{kind}/search", parameters, auth=(server.secret_key, ""), timeout=5)


def found(server: StripeServer, kind: str, query: str, **more: Any) -> list[str]:
    answer = search(server, kind, query, **more)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["data"]]


def test_seven_lists_have_a_search() -> None:
    names = ("charges", "customers", "invoices", "payment_intents", "prices", "products", "subscriptions")
    assert sorted(SEARCHED) == [f"/v1/{name}" for name in names]


def test_a_result_is_no_list(server: StripeServer) -> None:
    body = search(server, "customers", 'name:"nobody"').json()
    url = "/v1/customers/search"
    assert body == {"object": "search_result", "data": [], "has_more": False, "next_page": None, "url": url}


@pytest.mark.parametrize(
    ("kind", "query", "ids"),
    [
        ("customers", 'email:"amy@rocketrides.io"', ["cus_amy"]),
        ("customers", "email:'amy@rocketrides.io'", ["cus_amy"]),
        ("customers", 'email~"rocket"', ["cus_amy"]),
        ("customers", 'name:"Bob \\"B\\""', ["cus_bob"]),
        ("customers", '-name:"Amy"', ["cus_bob"]),
        ("customers", "email:null", ["cus_bob"]),
        ("customers", 'metadata["tier"]:"gold"', ["cus_amy"]),
        ("customers", 'metadata["tier"]:null', ["cus_bob"]),
        ("customers", '-metadata["tier"]:NULL', ["cus_amy"]),
        ("customers", f"created<{NOW}", ["cus_bob"]),
        ("customers", 'name:"amy" OR created>0', ["cus_amy", "cus_bob"]),
        ("charges", "amount:1000", ["ch_1000"]),
        ("charges", 'amount:"1000"', ["ch_1000"]),
        ("charges", "amount>=1000", ["ch_2000", "ch_1000"]),
        ("charges", "amount>500 AND amount<=1000", ["ch_1000"]),
        ("charges", 'amount>500 currency:"USD"', ["ch_2000"]),
        ("charges", "amount:500 or amount:2000", ["ch_2000", "ch_500"]),
        ("charges", 'payment_method_details.card.last4:4242 and refunded:"false" and amount<1000', ["ch_500"]),
    ],
)
def test_a_query_finds(server: StripeServer, kind: str, query: str, ids: list[str]) -> None:
    assert found(server, kind, query) == ids


def test_a_search_finds_what_no_list_shows(account: Account, server: StripeServer) -> None:
    account.create("price", {"id": "price_inline", "lookup_key": "x"}, inline=True)
    account.create("subscription", {"id": "sub_old", "status": "canceled"})
    account.delete("customer", "cus_amy")
    assert found(server, "prices", 'lookup_key:"x"') == ["price_inline"]
    assert found(server, "subscriptions", 'status:"canceled"') == ["sub_old"]
    assert found(server, "customers", "created>0") == ["cus_bob"]


def test_pages_lead_on_by_their_names(server: StripeServer) -> None:
    first = search(server, "charges", "amount>0", limit=2, **{"expand[]": "total_count"}).json()
    assert ([each["id"] for each in first["data"]], first["has_more"], first["total_count"]) == (["ch_2000", "ch_1000"], True, 3)
    last = search(server, "charges", "amount>0", limit=2, page=first["next_page"]).json()
    assert ([each["id"] for each in last["data"]], last["has_more"], last["next_page"]) == (["ch_500"], False, None)


def test_what_is_found_is_expanded(account: Account, server: StripeServer) -> None:
    account.update("charge", "ch_500", {"customer": "cus_amy"})
    (charge,) = search(server, "charges", "amount:500", **{"expand[]": "data.customer"}).json()["data"]
    assert charge["customer"]["email"] == "Amy@rocketrides.io"


@pytest.mark.parametrize("path", SEARCHED)
def test_a_search_needs_a_query(server: StripeServer, path: str) -> None:
    refused = requests.get(f"{server.url}{path}/search", auth=(server.secret_key, ""), timeout=5)
    said = refused.json()["error"]
    assert (refused.status_code, said["code"], said["param"]) == (400, "parameter_missing", "query")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("amy", "We were unable to parse your search query. Try using the format"),
        ('name:"amy" AND', "We were unable to parse your search query. Try using the format"),
        ('name:"amy', "We were unable to parse your search query. Try using the format"),
        ('name:"a" AND name:"b" OR name:"c"', "We were unable to parse your search query. You can't combine AND and OR"),
        (" ".join(["created>1"] * 11), "We were unable to parse your search query. It has more than 10 clauses."),
        (
            'tier:"gold"',
            "Field `tier` is an unsupported search field for resource `customers`. See http://stripe.com/docs/search",
        ),
        ('name>"a"', "Field `name` does not support the operator `>`."),
        ('metadata["tier"]~"gold"', "Field `metadata` does not support the operator `~`."),
        ("created>yesterday", "Field `created` is numeric: `yesterday` is not a number."),
        ('name~"am"', "A substring must have at least three characters."),
    ],
)
def test_a_query_that_is_none_is_refused_with_a_sentence(server: StripeServer, query: str, message: str) -> None:
    refused = search(server, "customers", query)
    said = refused.json()["error"]
    assert (refused.status_code, said["type"], said["message"][: len(message)]) == (400, "invalid_request_error", message)


@pytest.mark.parametrize(("name", "value"), [("starting_after", "cus_amy"), ("page", "x"), ("page", "cus_amy"), ("email", "x")])
def test_a_search_does_not_page_as_a_list_does(server: StripeServer, name: str, value: str) -> None:
    refused = search(server, "customers", "created>0", **{name: value})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)


def test_a_search_needs_the_permission_of_its_list(server: StripeServer) -> None:
    key = server.restricted_key(["charge_read"])
    query = {"query": "created>0"}
    refused = requests.get(f"{server.url}/v1/customers/search", query, auth=(key, ""), timeout=5)
    assert refused.status_code == 403


def test_stripes_own_client_pages_through_a_search(account: Account, server: StripeServer) -> None:
    client = stripe.StripeClient(server.secret_key, base_addresses={"api": server.url})
    pages = client.v1.charges.search({"query": "amount>0", "limit": 1})
    assert [each.id for each in pages.auto_paging_iter()] == ["ch_2000", "ch_1000", "ch_500"]
