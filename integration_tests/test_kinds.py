"""What each kind of stream promises: what it brings, and what that costs in requests."""

from __future__ import annotations

from collections import Counter

import pytest

from integration_tests.embedded_stripe import PRODUCTS, Account, Fault, StripeServer, made_up_account
from integration_tests.harness import ALL_STREAMS, DAY, NOW, Reader, Result
from integration_tests.whole_account import ENDPOINTS, FULL_REFRESH_ONLY, Truth, Warehouse, key_of

UNTOLD = {
    "balance_transactions",
    "checkout_sessions",
    "files",
    "forwarding_requests",
    "identity_verification_reports",
    "report_runs",
}
"""Streams of which no event tells each new object: their newest page is looked at in each sync."""


@pytest.fixture
def account() -> Account:
    account = made_up_account(1, NOW, size=0.1)
    for product in PRODUCTS:
        account.enable(product)
    return account


@pytest.fixture
def reader(server: StripeServer) -> Reader:
    return Reader(server)


def changed(result: Result) -> set[str]:
    """The streams that brought something, those left out that are read whole in each sync."""
    return {name for name, _ in result.records} - FULL_REFRESH_ONLY


def asked(result: Result) -> Counter[str]:
    return Counter(result.paths)


# ---------------------------------------------------------------------- all of them


def test_a_first_sync_brings_each_object_of_every_list_once(reader: Reader, server: StripeServer) -> None:
    first = reader.sync(streams=ALL_STREAMS)
    warehouse = Warehouse()
    warehouse.take(first)
    assert warehouse.differences(Truth(server)) == []
    assert Counter((name, key_of(name, row)) for name, row in first.records).most_common(1)[0][1] == 1
    assert first.complete == set(ALL_STREAMS)


def test_a_quiet_sync_of_all_asks_for_the_events_the_small_lists_and_what_is_told_by_nobody(
    account: Account, reader: Reader
) -> None:
    first = reader.sync(streams=ALL_STREAMS)
    account.advance(9 * DAY)
    settled = reader.sync(first, ALL_STREAMS)
    account.advance(3600)
    quiet = reader.sync(settled, ALL_STREAMS)
    assert changed(quiet) == set()
    usual = {ENDPOINTS[name].path for name in {"events", *UNTOLD, *FULL_REFRESH_ONLY} if ENDPOINTS[name].kind != "child"}
    of_parents = {path for path in asked(quiet) if path.endswith(("/persons", "/external_accounts", "/value_list_items"))}
    assert set(asked(quiet)) == usual | of_parents
    assert {path: times for path, times in asked(quiet).items() if times > 1 and path not in of_parents} == {"/v1/accounts": 2}


def test_a_sync_of_all_after_one_change_of_each_kind_reads_each_object_once(account: Account, reader: Reader) -> None:
    first = reader.sync(streams=ALL_STREAMS)
    account.advance(9 * DAY)
    settled = reader.sync(first, ALL_STREAMS)
    changed_kinds = ("customer", "payment_link", "setup_intent", "credit_note")
    ids = {kind: next(iter(account.shelf(kind).objects)) for kind in changed_kinds}
    for kind, id in ids.items():
        account.update(kind, id, {"status": "canceled"} if kind == "setup_intent" else {"metadata": {"changed": "yes"}})
    account.advance(3600)
    again = reader.sync(settled, ALL_STREAMS)
    assert sorted(path for path in asked(again) if path.rsplit("/", 1)[-1] in ids.values()) == sorted(
        f"/v1/{kind}s/{id}" for kind, id in ids.items()
    )


# ---------------------------------------------------------------------- children

INSIDE = {
    "credit_note_line_items": "credit_notes",
    "customer_cards": "customers",
    "discounts": "subscriptions",
    "invoice_line_items": "invoices",
    "subscription_items": "subscriptions",
    "transfer_reversals": "transfers",
}
WALKED = {"customer_balance_transactions": "customers", "setup_attempts": "setup_intents"}


@pytest.mark.parametrize(("child", "parent"), INSIDE.items())
def test_children_inside_of_a_selected_parent_cost_no_request(reader: Reader, child: str, parent: str) -> None:
    with_child = reader.sync(streams=[parent, child])
    expanded = ENDPOINTS[child].nested_lists or ENDPOINTS[child].expand
    more = 0 if not expanded else len(with_child.requests) - len(reader.sync(streams=[parent, child]).requests)
    others = len(reader.sync(streams=[each for each in ENDPOINTS[child].parents if each != parent]).requests)
    assert len(with_child.requests) == len(reader.sync(streams=[child]).requests) + more
    assert others <= len(with_child.requests)


@pytest.mark.parametrize(("child", "parent"), (INSIDE | WALKED).items())
def test_children_alone_are_those_beside_their_parents_and_nothing_else(reader: Reader, child: str, parent: str) -> None:
    alone, beside = reader.sync(streams=[child]), reader.sync(streams=[parent, child])
    assert {name for name, _ in alone.records} == {child}
    assert sorted(map(str, alone.of(child))) == sorted(map(str, beside.of(child)))


def test_a_changed_parent_brings_all_its_children_again_as_new_as_itself(account: Account, reader: Reader) -> None:
    first = reader.sync(streams=["invoices", "invoice_line_items"])
    invoice = max(first.of("invoices"), key=lambda row: len(row["lines"]["data"]))
    account.advance(3600)
    account.update("invoice", invoice["id"], {"description": "Changed"})
    second = reader.sync(first, ["invoices", "invoice_line_items"])
    assert second.ids("invoices") == [invoice["id"]]
    assert second.ids("invoice_line_items") == [line["id"] for line in invoice["lines"]["data"]]
    assert {(row["invoice"], row["updated"]) for row in second.of("invoice_line_items")} == {(invoice["id"], account.now)}


def test_a_child_that_its_parent_lost_is_told_to_be_deleted(account: Account, reader: Reader) -> None:
    customer = account.create("customer")["id"]
    card = account.create("card", {"customer": customer})["id"]
    first = reader.sync(streams=["customer_cards"])
    account.advance(3600)
    account.delete("card", card)
    (deletion,) = reader.sync(first, ["customer_cards"]).of("customer_cards")
    assert (deletion["id"], deletion["customer"], deletion["is_deleted"]) == (card, customer, True)


def test_a_walk_is_done_again_for_those_parents_alone_that_changed(account: Account, reader: Reader) -> None:
    customers = [account.create("customer")["id"] for _ in range(3)]
    for customer in customers:
        account.create("customer_balance_transaction", {"customer": customer})
    first = reader.sync(streams=["customer_balance_transactions"])
    account.advance(3600)
    account.create("customer_balance_transaction", {"customer": customers[1]})
    second = reader.sync(first, ["customer_balance_transactions"])
    assert {row["customer"] for row in second.of("customer_balance_transactions")} == {customers[1]}
    assert [path for path in second.paths if path.endswith("/balance_transactions")] == [
        f"/v1/customers/{customers[1]}/balance_transactions"
    ]


def test_children_that_the_key_may_not_read_leave_their_parents_alone(account: Account, server: StripeServer) -> None:
    denied = 'The provided key does not have the required permissions for this endpoint. Having the "Sources Read" permission'
    server.fault(Fault("status", path="expand.*sources", times=None, status=403, message=denied))
    result = Reader(server).sync(streams=["customers", "customer_cards"])
    assert result.complete == {"customers"}
    assert '"Sources: Read"' in result.errors["customer_cards"]
    assert set(result.ids("customers")) >= set(account.listed("customers"))


# ---------------------------------------------------------------------- lists of other kinds


def test_a_list_without_created_goes_on_after_the_last_object_that_is_out(account: Account, server: StripeServer) -> None:
    reader = Reader(server, page_size=5)
    known = len(account.listed("payment_links")) or 1
    for _ in range(40):
        account.create("payment_link", at=NOW - 40 * DAY)
    stopped = reader.sync(streams=["payment_links"], stop_after=30)
    resumed = reader.sync(stopped, ["payment_links"])
    assert len(stopped.of("payment_links")) >= 20
    assert len(resumed.of("payment_links")) <= 40 + known - 15
    assert set(stopped.ids("payment_links") + resumed.ids("payment_links")) == set(account.listed("payment_links"))


def test_a_small_list_that_breaks_off_is_not_complete(account: Account, server: StripeServer) -> None:
    for _ in range(12):
        account.create("shipping_rate")
    server.fault(Fault("status", path="^/v1/shipping_rates", after=1, times=None, status=400, message="Not today."))
    result = Reader(server, page_size=5).sync(streams=["shipping_rates", "coupons"])
    assert (result.complete, set(result.errors)) == ({"coupons"}, {"shipping_rates"})


def test_a_small_list_is_read_whole_in_each_sync(account: Account, reader: Reader) -> None:
    first = reader.sync(streams=["shipping_rates"])
    account.create("shipping_rate")
    assert set(reader.sync(first, ["shipping_rates"]).ids("shipping_rates")) == set(account.listed("shipping_rates"))
    assert first.states == {"shipping_rates": {"__ab_no_cursor_state_message": True}}


def test_a_list_of_one_page_is_asked_for_without_a_page_size(account: Account, reader: Reader) -> None:
    (request,) = reader.sync(streams=["report_types"]).requests
    assert (request.path, dict(request.query)) == ("/v1/reporting/report_types", {})


def test_the_balance_is_one_record_in_each_sync(reader: Reader) -> None:
    first = reader.sync(streams=["balance"])
    assert len(first.of("balance")) == len(reader.sync(first, ["balance"]).of("balance")) == 1


def test_invoice_items_are_read_by_the_time_that_they_call_date(account: Account, reader: Reader) -> None:
    account.create("invoiceitem", at=NOW - 40 * DAY)
    new = account.create("invoiceitem", at=NOW - 10 * DAY)["id"]
    result = reader.sync(streams=["invoice_items"], start_date="2026-11-01")
    assert new in result.ids("invoice_items")
    assert all(row["date"] >= 1_793_491_200 and row["updated"] >= row["date"] for row in result.of("invoice_items"))


@pytest.mark.parametrize(("stream", "kind"), [("checkout_sessions", "checkout.session"), ("report_runs", "reporting.report_run")])
@pytest.mark.parametrize("created", [5, 150])
def test_an_object_that_no_event_announces_is_brought_once(server: StripeServer, stream: str, kind: str, created: int) -> None:
    account = server.account = Account(NOW)
    reader = Reader(server, page_size=20)
    first = reader.sync(streams=[stream])
    for number in range(created):
        account.create(kind)
        account.advance(number % 2)
    second = reader.sync(first, [stream])
    account.advance(60)
    assert (len(second.records), reader.sync(second, [stream]).records) == (created, [])


# ---------------------------------------------------------------------- products


def test_a_product_that_is_not_enabled_is_an_empty_stream_and_once_enabled_all_of_it(server: StripeServer) -> None:
    account = server.account = Account(NOW)
    reader = Reader(server)
    first = reader.sync(streams=["cards", "charges"])
    assert (first.complete, first.of("cards")) == ({"cards", "charges"}, [])
    account.enable("issuing")
    cards = {account.create("issuing.card", at=NOW - days * DAY)["id"] for days in (1, 50, 400)}
    account.advance(3600)
    assert set(reader.sync(first, ["cards", "charges"]).ids("cards")) == cards


def test_a_400_that_means_something_else_fails_the_stream_of_a_product(server: StripeServer) -> None:
    server.fault(Fault("status", path="^/v1/issuing/cards", times=None, status=400, message="Invalid integer: x"))
    result = Reader(server).sync(streams=["cards", "charges"])
    assert (result.complete, set(result.errors)) == ({"charges"}, {"cards"})


# ---------------------------------------------------------------------- what is never asked for


def test_card_numbers_file_contents_and_client_secrets_are_never_asked_for(reader: Reader) -> None:
    first = reader.sync(streams=ALL_STREAMS)
    expanded = {value for request in first.requests for name, value in request.query if name == "expand[]"}
    assert [each for each in expanded if each.rsplit(".", 1)[-1] in ("number", "cvc", "client_secret", "contents")] == []
    assert [path for path in first.paths if "/contents" in path] == []
