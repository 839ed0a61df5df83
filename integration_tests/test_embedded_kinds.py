"""What the embedded account knows of each kind of object: where it is listed, what tells of it, what it takes to see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from integration_tests.embedded_stripe import PRODUCTS, Account, StripeServer
from integration_tests.embedded_stripe.endpoints import COLLECTIONS, UNLISTED
from integration_tests.embedded_stripe.kinds import KINDS, Collection
from integration_tests.harness import DAY, NOW

# What a list that requires a filter is asked for: the filter's name and value, and what makes an object that it finds.
REQUIRED: dict[str, tuple[str, dict[str, Any]]] = {
    "billing.credit_balance_transaction": ("customer=cus_1", {"credit_grant": "credgr_1"}),
    "entitlements.active_entitlement": ("customer=cus_1", {"_customer": "cus_1"}),
    "financial_connections.transaction": ("account=fca_1", {"account": "fca_1"}),
    "issuing.token": ("card=ic_1", {"card": "ic_1"}),
    "payment_attempt_record": ("payment_record=pr_1", {"payment_record": "pr_1"}),
    "radar.value_list_item": ("value_list=rsl_1", {"value_list": "rsl_1"}),
    "setup_attempt": ("setup_intent=seti_1", {"setup_intent": "seti_1"}),
}
OWNERS = {
    "billing.credit_grant": {"id": "credgr_1", "customer": "cus_1"},
    "customer": {"id": "cus_1"},
    "financial_connections.account": {"id": "fca_1"},
    "issuing.card": {"id": "ic_1"},
    "payment_record": {"id": "pr_1"},
    "radar.value_list": {"id": "rsl_1"},
    "setup_intent": {"id": "seti_1"},
}
OWN: dict[str, dict[str, Any]] = {
    "country_spec": {"id": "US"},
    "exchange_rate": {"id": "usd"},
    "tax_id": {"owner": {"type": "self"}},
}
OF_A_SUBSCRIPTION = ("subscription_item",)
every_list = pytest.mark.parametrize(
    "collection", [each for each in COLLECTIONS if each.object not in OF_A_SUBSCRIPTION], ids=lambda each: each.stream
)


@pytest.fixture
def account() -> Account:
    account = Account(NOW, products=PRODUCTS)
    for kind, fields in OWNERS.items():
        account.create(kind, fields, at=NOW - DAY)
    return account


@pytest.fixture
def server(account: Account) -> Iterator[StripeServer]:
    with StripeServer(account) as server:
        yield server


def get(server: StripeServer, path: str, key: str | None = None) -> requests.Response:
    return requests.get(server.url + path, auth=(key or server.secret_key, ""), timeout=5)


def ids(server: StripeServer, path: str) -> list[str]:
    answer = get(server, path)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["data"]]


def error(server: StripeServer, path: str, key: str | None = None) -> tuple[int, str]:
    answer = get(server, path, key)
    return answer.status_code, answer.json()["error"]["message"]


def made(account: Account, collection: Collection, **options: Any) -> str:
    fields = REQUIRED.get(collection.object, ("", {}))[1] | OWN.get(collection.object, {})
    ident: str = account.create(collection.object, fields, **options)["id"]
    return ident


def listed(collection: Collection) -> str:
    """The list's path with what it requires."""
    return f"{collection.path}?{REQUIRED[collection.object][0] if collection.required else ''}"


def told(account: Account) -> list[str]:
    """The types of the events of the last second, oldest first."""
    return [each["type"] for each in reversed(account.objects("event")) if each["created"] == account.now]


# ---------------------------------------------------------------------- lists


@every_list
def test_an_object_is_in_its_list_and_in_the_truth(account: Account, server: StripeServer, collection: Collection) -> None:
    ident = made(account, collection)
    assert ident in ids(server, listed(collection))
    assert get(server, listed(collection)).json()["url"] == collection.path
    assert ident in account.listed(collection.stream)


@every_list
def test_an_object_is_read_by_its_id_unless_stripe_has_no_address_for_it(
    account: Account, server: StripeServer, collection: Collection
) -> None:
    ident = made(account, collection)
    answer = get(server, f"{collection.path}/{ident}")
    if collection.object == "setup_attempt":
        assert answer.status_code == 404
    else:
        assert (answer.json()["id"], answer.json()["object"]) == (ident, collection.object)


@every_list
def test_a_list_takes_times_only_where_stripe_does(account: Account, server: StripeServer, collection: Collection) -> None:
    ident = made(account, collection, at=NOW - 7)
    answer = get(server, f"{listed(collection)}&created[gte]={NOW - 7}&created[lt]={NOW - 6}")
    if collection.by_created:
        assert [each["id"] for each in answer.json()["data"]] == [ident]
    else:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "created[gte]")


@pytest.mark.parametrize("collection", [each for each in COLLECTIONS if each.required], ids=lambda each: each.stream)
def test_what_a_list_requires_it_asks_for(server: StripeServer, collection: Collection) -> None:
    said = "Must provide customer" if collection.stream == "credit_balance_transactions" else None
    assert error(server, collection.path) == (400, said or f"Missing required param: {collection.required[0]}.")


@every_list
def test_a_key_needs_the_permission_of_its_row(server: StripeServer, collection: Collection) -> None:
    status = get(server, listed(collection), server.restricted_key([])).status_code
    assert status == (403 if collection.permission else 200)
    if collection.permission:
        assert (
            f"\"{collection.row} Read\" ('{collection.permission}')"
            in error(server, collection.path, server.restricted_key([]))[1]
        )
        assert get(server, listed(collection), server.restricted_key([collection.permission])).status_code == 200


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.singleton])
def test_what_an_account_has_once_is_read(server: StripeServer, name: str) -> None:
    assert get(server, KINDS[name].singleton).json()["object"] == name


def test_the_balance_is_the_sum_of_its_transactions(account: Account, server: StripeServer) -> None:
    for amount, status in ((500, "available"), (300, "pending"), (-100, "available")):
        account.create("balance_transaction", {"amount": amount, "status": status})
    balance = get(server, "/v1/balance").json()
    assert balance["available"] == [{"amount": 400, "currency": "usd", "source_types": {"card": 400}}]
    assert balance["pending"] == [{"amount": 300, "currency": "usd", "source_types": {"card": 300}}]


def test_some_lists_are_not_newest_first(account: Account, server: StripeServer) -> None:
    for number in (1, 2, 3):
        account.create("tax_code", {"id": f"txcd_{number}"}, at=NOW + number)
    assert ids(server, "/v1/tax_codes") == ["txcd_1", "txcd_2", "txcd_3"]
    assert ids(server, "/v1/tax_codes?limit=1&starting_after=txcd_1") == ["txcd_2"]
    assert ids(server, "/v1/tax_codes?limit=1&ending_before=txcd_3") == ["txcd_2"]


def test_report_types_come_whole(account: Account, server: StripeServer) -> None:
    for number in range(12):
        account.create("reporting.report_type", {"id": f"report.{number}"})
    assert len(ids(server, "/v1/reporting/report_types")) == 12
    assert error(server, "/v1/reporting/report_types?limit=5") == (400, "Received unknown parameter: limit")


def test_closed_reviews_and_custom_payment_methods_are_not_in_the_bare_list(account: Account, server: StripeServer) -> None:
    review = account.create("review")["id"]
    account.update("review", review, {"open": False})
    method = account.create("payment_method", {"type": "custom"})["id"]
    assert ids(server, "/v1/reviews") == ids(server, "/v1/payment_methods") == []
    assert get(server, f"/v1/reviews/{review}").json()["open"] is False
    assert ids(server, "/v1/payment_methods?type=custom") == [method]


def test_the_bare_list_of_tax_ids_is_the_accounts_own(account: Account, server: StripeServer) -> None:
    own = account.create("tax_id", {"owner": {"type": "self"}})["id"]
    customers = account.create("tax_id", {"customer": "cus_1"})["id"]
    assert ids(server, "/v1/tax_ids") == list(account.listed("tax_ids")) == [own]
    assert ids(server, "/v1/tax_ids?owner[type]=customer&owner[customer]=cus_1") == [customers]
    assert ids(server, "/v1/customers/cus_1/tax_ids") == [customers]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("invoiceitems?pending=true", {"ii_pending"}),
        ("invoiceitems?pending=false", {"ii_invoiced"}),
        ("invoiceitems?created[lt]=1795000000", {"ii_invoiced"}),
        ("entitlements/features?archived=true", {"feat_old"}),
        ("subscription_schedules?scheduled=true", {"sub_sched_next"}),
        ("radar/value_lists?contains=bad@example.com", {"rsl_1"}),
        ("payment_records?created_after=1794999999", set()),
        ("topups?amount[gte]=100&amount[lt]=200", {"tu_small"}),
        ("checkout/sessions?status=open&customer_details[email]=a@example.com", set()),
        ("issuing/cards?exp_year=2029", set()),
        ("promotion_codes?coupon=OFF", {"promo_off"}),
    ],
)
def test_a_list_is_filtered(account: Account, server: StripeServer, query: str, found: set[str]) -> None:
    account.create("invoiceitem", {"id": "ii_pending"})
    account.create("invoiceitem", {"id": "ii_invoiced", "invoice": "in_1"}, at=NOW - 5)
    account.create("entitlements.feature", {"id": "feat_old", "active": False})
    account.create("subscription_schedule", {"id": "sub_sched_next"})
    account.create("subscription_schedule", {"status": "completed"})
    account.create("radar.value_list_item", {"value_list": "rsl_1", "value": "bad@example.com"})
    account.create("topup", {"id": "tu_small", "amount": 100})
    account.create("coupon", {"id": "OFF"})
    account.create("promotion_code", {"id": "promo_off", "promotion": {"coupon": "OFF", "type": "coupon"}})
    assert set(ids(server, f"/v1/{query}")) == found


def test_a_status_is_one_of_those_that_stripe_knows(server: StripeServer) -> None:
    status, message = error(server, "/v1/checkout/sessions?status=bogus")
    assert (status, message) == (400, "Invalid status: must be one of open, complete, or expired")


# ---------------------------------------------------------------------- lists that belong to objects


@pytest.mark.parametrize(
    ("owner", "fields", "path", "stream"),
    [
        ("checkout.session", {"line_items": 12}, "/v1/checkout/sessions/{}/line_items", "checkout_sessions_line_items"),
        ("credit_note", {"lines": 12}, "/v1/credit_notes/{}/lines", "credit_note_line_items"),
        ("invoice", {"lines": 12}, "/v1/invoices/{}/lines", "invoice_line_items"),
        ("payment_link", {"line_items": 12}, "/v1/payment_links/{}/line_items", "payment_link_line_items"),
        ("quote", {"line_items": 12}, "/v1/quotes/{}/line_items", "quote_line_items"),
    ],
)
def test_items_stand_in_their_object_and_are_listed(
    account: Account, server: StripeServer, owner: str, fields: dict[str, Any], path: str, stream: str
) -> None:
    ident = account.create(owner, fields)["id"]
    found = ids(server, path.format(ident) + "?limit=100")
    assert (len(found), len(set(found))) == (12, 12)
    assert list(account.children(stream)) == [(ident, each) for each in found]
    name = path.rpartition("/")[2]
    collection = KINDS[owner].collection
    assert collection is not None
    inline = get(server, f"{collection.path}/{ident}?expand[]={name}").json()[name] if name != "lines" else None
    assert inline is None or ([each["id"] for each in inline["data"]], inline["has_more"]) == (found[:10], True)


@pytest.mark.parametrize(
    ("child", "fields", "path", "stream"),
    [
        ("application_fee", {}, None, ""),
        ("fee_refund", {"fee": "fee_1"}, "/v1/application_fees/fee_1/refunds", "application_fees_refunds"),
        ("transfer_reversal", {"transfer": "tr_1"}, "/v1/transfers/tr_1/reversals", "transfer_reversals"),
        ("refund", {"charge": "ch_1"}, "/v1/charges/ch_1/refunds", ""),
        ("card", {"customer": "cus_1"}, "/v1/customers/cus_1/sources", ""),
        ("card", {"account": "acct_1"}, "/v1/accounts/acct_1/external_accounts", "external_accounts"),
        ("bank_account", {"account": "acct_1"}, "/v1/accounts/acct_1/external_accounts", "external_accounts"),
        ("person", {"account": "acct_1"}, "/v1/accounts/acct_1/persons", "persons"),
        ("person", {"account": "acct_1"}, "/v1/accounts/acct_1/people", "persons"),
        ("capability", {"account": "acct_1", "id": "transfers"}, "/v1/accounts/acct_1/capabilities", "capabilities"),
        (
            "customer_balance_transaction",
            {"customer": "cus_1"},
            "/v1/customers/cus_1/balance_transactions",
            "customer_balance_transactions",
        ),
        ("payment_method", {"customer": "cus_1"}, "/v1/customers/cus_1/payment_methods", ""),
        ("product_feature", {"_product": "prod_1"}, "/v1/products/prod_1/features", "product_features"),
    ],
)
def test_children_are_listed_under_their_owner_and_read_there(
    account: Account, server: StripeServer, child: str, fields: dict[str, Any], path: str | None, stream: str
) -> None:
    for kind, ident in (
        ("application_fee", "fee_1"),
        ("transfer", "tr_1"),
        ("charge", "ch_1"),
        ("account", "acct_1"),
        ("product", "prod_1"),
    ):
        account.create(kind, {"id": ident})
    ident = account.create(child, fields)["id"]
    if path:
        assert ids(server, path) == [ident]
        assert get(server, f"{path}/{ident}").json()["object"] == child
        assert get(server, f"{path}/none").status_code == 404
        assert not any(name.startswith("_") for name in get(server, path).json()["data"][0])
    assert not stream or [id for _, id in account.children(stream)] == [ident]


def test_ids_that_are_unique_within_their_owner_alone(account: Account, server: StripeServer) -> None:
    for owner in ("acct_1", "acct_2"):
        account.create("account", {"id": owner})
        account.create("capability", {"id": "transfers", "account": owner})
    account.update("capability", "acct_2/transfers", {"status": "inactive"})
    found = [get(server, f"/v1/accounts/{owner}/capabilities/transfers").json()["status"] for owner in ("acct_1", "acct_2")]
    assert found == ["active", "inactive"]
    assert set(account.children("capabilities")) == {("acct_1", "transfers"), ("acct_2", "transfers")}


def test_a_quotes_items_are_its_upfront_items_too(account: Account, server: StripeServer) -> None:
    quote = account.create("quote", {"line_items": 2})["id"]
    upfront = ids(server, f"/v1/quotes/{quote}/computed_upfront_line_items")
    assert (len(upfront), upfront) == (2, ids(server, f"/v1/quotes/{quote}/line_items"))
    asked = get(server, f"/v1/quotes/{quote}?expand[]=computed.upfront.line_items").json()["computed"]["upfront"]
    assert [each["id"] for each in asked["line_items"]["data"]] == upfront
    assert "line_items" not in get(server, f"/v1/quotes/{quote}").json()["computed"]["upfront"]


def test_sources_of_several_kinds_stand_in_one_list_newest_first(account: Account, server: StripeServer) -> None:
    kinds = ("card", "bank_account", "source", "card")
    made = [account.create(kind, {"customer": "cus_1"}, at=NOW + number)["id"] for number, kind in enumerate(kinds)]
    assert ids(server, "/v1/customers/cus_1/sources") == made[::-1]
    assert ids(server, "/v1/customers/cus_1/sources?object=bank_account") == [made[1]]
    assert ids(server, "/v1/customers/cus_1/cards") == [made[3], made[0]]
    asked = get(server, "/v1/customers?expand[]=data.sources").json()["data"][0]["sources"]
    assert [each["object"] for each in asked["data"]] == list(kinds[::-1])


def test_a_part_of_a_customer_has_an_address(account: Account, server: StripeServer) -> None:
    assert get(server, "/v1/customers/cus_1/cash_balance").json()["object"] == "cash_balance"
    assert error(server, "/v1/customers/cus_1/discount") == (404, "No active discount for customer: cus_1")


def test_a_charges_dispute_has_an_address(account: Account, server: StripeServer) -> None:
    account.create("charge", {"id": "ch_1"})
    assert error(server, "/v1/charges/ch_1/dispute") == (404, "No dispute for charge: ch_1")
    dispute = account.create("dispute", {"charge": "ch_1"})["id"]
    assert get(server, "/v1/charges/ch_1/dispute").json() == get(server, f"/v1/disputes/{dispute}").json()
    assert get(server, "/v1/charges/ch_1/dispute?expand[]=charge").json()["charge"]["id"] == "ch_1"
    assert get(server, "/v1/charges/ch_1/dispute", server.restricted_key(["charge_read"])).status_code == 403


def test_the_items_of_a_payments_amount_are_listed_and_shown_if_asked_for(account: Account, server: StripeServer) -> None:
    account.create("payment_intent", {"id": "pi_1"})
    items = [account.create("payment_intent_amount_details_line_item", {"_payment_intent": "pi_1"})["id"] for _ in range(12)]
    path = "/v1/payment_intents/pi_1"
    listed = get(server, f"{path}/amount_details_line_items?limit=100").json()["data"]
    assert [each["id"] for each in listed] == items[::-1]
    shown = get(server, f"{path}?expand[]=amount_details.line_items").json()["amount_details"]["line_items"]
    assert (shown["data"], shown["has_more"]) == (listed[:10], True)
    assert get(server, path).json()["amount_details"] == {"tip": {}}


def test_the_items_of_a_tax_transaction_are_listed_and_shown_if_asked_for(account: Account, server: StripeServer) -> None:
    path = "/v1/tax/transactions/" + account.create("tax.transaction", {"line_items": 2})["id"]
    listed = get(server, f"{path}/line_items").json()["data"]
    assert get(server, f"{path}?expand[]=line_items").json()["line_items"]["data"] == listed
    assert (len(listed), "line_items" in get(server, path).json()) == (2, False)


# ---------------------------------------------------------------------- other addresses


@pytest.mark.parametrize("collection", UNLISTED, ids=lambda each: each.object)
def test_what_is_in_no_list_is_read_by_its_id(account: Account, server: StripeServer, collection: Collection) -> None:
    ident = account.create(collection.object)["id"]
    assert get(server, f"{collection.path}/{ident}").json()["id"] == ident
    assert get(server, f"{collection.path}/none").json()["error"]["code"] == "resource_missing"
    assert error(server, collection.path)[1].startswith(f"Unrecognized request URL (GET: {collection.path}).")


@pytest.mark.parametrize(
    ("older", "newer", "kind"),
    [
        ("/v1/balance/history", "/v1/balance_transactions", "balance_transaction"),
        ("/v1/linked_accounts", "/v1/financial_connections/accounts", "financial_connections.account"),
    ],
)
def test_an_older_name_of_a_list_leads_to_the_same(
    account: Account, server: StripeServer, older: str, newer: str, kind: str
) -> None:
    ident = account.create(kind)["id"]
    assert get(server, older).json() == get(server, newer).json()
    assert get(server, f"{older}/{ident}").json() == get(server, f"{newer}/{ident}").json()


@pytest.mark.parametrize("path", ["/v1/invoices/upcoming", "/v1/invoices/upcoming/lines"])
def test_upcoming_invoices_are_gone_since_basil(account: Account, server: StripeServer, path: str) -> None:
    assert error(server, f"{path}?customer=cus_1")[1].startswith(f"Unrecognized request URL (GET: {path}).")
    account.default_version = "2025-02-24.acacia"
    assert error(server, path) == (400, "Missing required param: customer.")
    assert error(server, f"{path}?customer=cus_1") == (404, "No upcoming invoices for customer: cus_1")


@pytest.mark.parametrize("path", ["/v1/credit_notes/preview", "/v1/credit_notes/preview/lines"])
def test_a_preview_of_a_credit_note_needs_an_invoice(server: StripeServer, path: str) -> None:
    assert error(server, path) == (400, "Missing required param: invoice.")
    assert error(server, f"{path}?invoice=in_none") == (400, "No such invoice: 'in_none'")


# ---------------------------------------------------------------------- what tells of a change


@pytest.mark.parametrize(
    ("kind", "fields", "changes", "types"),
    [
        ("setup_intent", {"status": "requires_action"}, [{"status": "succeeded"}], ["created", "requires_action", "succeeded"]),
        ("checkout.session", {"status": "open"}, [{"status": "complete", "payment_status": "unpaid"}], ["completed"]),
        (
            "checkout.session",
            {"payment_status": "unpaid"},
            [{"payment_status": "paid"}],
            ["completed", "async_payment_succeeded"],
        ),
        ("checkout.session", {"status": "open"}, [{"metadata": {"a": "b"}}, {"status": "expired"}], ["expired"]),
        ("credit_note", {}, [{"memo": "x"}, {"status": "void"}], ["created", "updated", "voided"]),
        ("promotion_code", {}, [{"active": False}], ["created", "updated"]),
        ("subscription_schedule", {}, [{"status": "canceled"}], ["created", "updated", "canceled"]),
        ("topup", {"status": "pending"}, [{"description": "x"}, {"status": "succeeded"}], ["created", "succeeded"]),
        (
            "quote",
            {"status": "draft"},
            [{"header": "x"}, {"status": "open"}, {"status": "accepted"}],
            ["created", "finalized", "accepted"],
        ),
        ("review", {}, [{"open": False}], ["opened", "closed"]),
        ("payment_method", {}, [{"metadata": {"a": "b"}}], []),
        (
            "payment_method",
            {"customer": "cus_1"},
            [{"metadata": {"a": "b"}}, {"customer": None}],
            ["attached", "updated", "detached"],
        ),
        ("invoiceitem", {}, [{"description": "x"}], ["created"]),
        ("billing.meter", {}, [{"display_name": "x"}, {"status": "inactive"}], ["created", "updated", "deactivated"]),
        ("file", {}, [{"title": "x"}], ["created"]),
        ("tax_code", {}, [{"name": "x"}], []),
        (
            "issuing.dispute",
            {},
            [{"status": "submitted"}, {"status": "won"}],
            ["created", "updated", "submitted", "updated", "closed"],
        ),
        ("test_helpers.test_clock", {}, [{"status": "advancing"}], ["created", "advancing"]),
        ("card", {"customer": "cus_1"}, [{"name": "x"}], ["created", "updated"]),
    ],
)
def test_events_tell_of_a_change(
    account: Account, kind: str, fields: dict[str, Any], changes: list[dict[str, Any]], types: list[str]
) -> None:
    account.create("customer", {"id": "cus_2"}, at=NOW - 31 * DAY)
    ident = account.create(kind, fields)["id"]
    for change in changes:
        account.update(kind, ident, change)
    assert [each.rpartition(".")[2] for each in told(account)] == types


@pytest.mark.parametrize(
    ("kind", "type"),
    [
        ("card", "customer.source.deleted"),
        ("invoiceitem", "invoiceitem.deleted"),
        ("tax_id", "customer.tax_id.deleted"),
        ("test_helpers.test_clock", "test_helpers.test_clock.deleted"),
        ("webhook_endpoint", None),
        ("terminal.reader", None),
        ("radar.value_list", None),
    ],
)
def test_a_deletion_is_told_or_not(account: Account, server: StripeServer, kind: str, type: str | None) -> None:
    ident = account.create(kind, {"customer": "cus_1"} if kind in ("card", "tax_id") else {}, event=None)["id"]
    account.delete(kind, ident)
    assert told(account) == ([type] if type else [])
    collection = KINDS[kind].collection
    assert collection is None or get(server, f"{collection.path}/{ident}").status_code == 404


def test_a_detached_payment_method_tells_its_customer_of_before_and_stays(account: Account, server: StripeServer) -> None:
    account.create("payment_method", {"id": "pm_1", "customer": "cus_1"}, at=NOW - 1)
    account.update("payment_method", "pm_1", {"customer": None})
    assert account.objects("event")[0]["data"]["previous_attributes"] == {"customer": "cus_1"}
    assert get(server, "/v1/payment_methods/pm_1").json()["customer"] is None
    assert ids(server, "/v1/customers/cus_1/payment_methods") == []


@pytest.mark.parametrize(
    ("child", "owner", "sums", "types"),
    [
        (
            "transfer_reversal",
            ("transfer", "transfer"),
            ("amount_reversed", "reversed"),
            ["transfer.reversed", "transfer.updated"],
        ),
        ("fee_refund", ("application_fee", "fee"), ("amount_refunded", "refunded"), ["application_fee.refunded"]),
    ],
)
def test_what_is_taken_back_changes_what_it_was_taken_from(
    account: Account, child: str, owner: tuple[str, str], sums: tuple[str, str], types: list[str]
) -> None:
    ident = account.create(owner[0], {"amount": 300, "currency": "eur"}, at=NOW - 1)["id"]
    taken = account.create(child, {owner[1]: ident, "amount": 300})
    whole = account.find(ident) or {}
    assert (whole[sums[0]], whole[sums[1]], taken["currency"]) == (300, True, "eur")
    assert told(account) == types


def test_a_customers_balance_follows_its_transactions(account: Account) -> None:
    first = account.create("customer_balance_transaction", {"customer": "cus_1", "amount": -500})
    second = account.create("customer_balance_transaction", {"customer": "cus_1", "amount": 200})
    assert (first["ending_balance"], second["ending_balance"]) == (-500, -300)
    assert account.listed("customers")["cus_1"]["balance"] == -300
    assert [each["data"]["previous_attributes"] for each in account.objects("event")[:2]] == [{"balance": -500}, {"balance": 0}]


def test_the_summary_of_entitlements_holds_ten_and_has_no_id(account: Account) -> None:
    for _ in range(11):
        account.create("entitlements.active_entitlement", {"_customer": "cus_1"})
    newest = account.objects("event")[0]
    summary = newest["data"]["object"]
    assert (newest["type"], summary["customer"]) == ("entitlements.active_entitlement_summary.updated", "cus_1")
    assert ("id" in summary, len(summary["entitlements"]["data"]), summary["entitlements"]["has_more"]) == (False, 10, True)


# ---------------------------------------------------------------------- products


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_product_that_the_account_has_not_is_refused_with_a_sentence(product: str) -> None:
    account = Account(NOW, livemode=product == "test_clocks")
    path = next(each.path for each in COLLECTIONS if KINDS[each.object].product == product)
    with StripeServer(account) as server:
        key = server.live_key if account.livemode else server.secret_key
        assert error(server, path, key) == (400, PRODUCTS[product].format(path=path))
        account.enable(product)
        assert get(server, path, key).status_code == 200


def test_an_object_of_a_product_brings_the_product_along(server: StripeServer) -> None:
    server.account.disable("climate")
    assert get(server, "/v1/climate/orders").status_code == 400
    server.account.create("climate.order")
    assert get(server, "/v1/climate/orders").status_code == 200


def test_there_are_test_clocks_in_test_mode_alone() -> None:
    with StripeServer(Account(NOW)) as server:
        assert get(server, "/v1/test_helpers/test_clocks").status_code == 200
        assert get(server, "/v1/test_helpers/test_clocks", server.live_key).status_code == 400
