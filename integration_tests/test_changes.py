"""What a later sync promises, an example each. `test_histories.py` has it happen in any order."""

from __future__ import annotations

import logging
import sqlite3
from typing import Any

import pytest
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from integration_tests.embedded_stripe import Account, Fault, StripeServer
from integration_tests.harness import (
    CHANGING,
    DAY,
    NOW,
    STREAMS,
    Reader,
    account_clock,
    assert_holds_all,
    catalog,
    plain,
    truth,
)
from source_stripe.sync.state import RETENTION


@pytest.fixture
def reader(server: StripeServer) -> Reader:
    return Reader(server)


FOREIGN = "it is not of the form that this connector writes"


def old(account: Account, kind: str, **fields: Any) -> str:
    """An object of a year ago, of which no event tells any more."""
    return str(account.create(kind, fields, at=NOW - 365 * DAY)["id"])


def rows(result: Any, stream: str) -> list[tuple[str, int, bool]]:
    return [(row["id"], row["updated"], row.get("is_deleted", False)) for row in result.of(stream)]


# ---------------------------------------------------------------------- what changed


def test_a_changed_object_arrives_as_its_list_shows_it_at_the_time_of_its_event(account: Account, reader: Reader) -> None:
    id = old(account, "customer")
    first = reader.sync()
    account.advance(60)
    account.update("customer", id, {"name": "Renamed"})
    account.advance(60)
    second = reader.sync(first)
    assert rows(first, "customers") == [(id, NOW - 365 * DAY, False)]
    assert rows(second, "customers") == [(id, NOW + 60, False)]
    assert_holds_all([first, second], truth(account))


def test_an_object_that_changed_often_arrives_once_in_its_latest_state(account: Account, reader: Reader) -> None:
    id = old(account, "product")
    first = reader.sync()
    for number in range(7):
        account.advance(number % 2)
        account.update("product", id, {"name": f"Name {number}"})
    second = reader.sync(first)
    assert [(row["name"], row["updated"]) for row in second.of("products")] == [("Name 6", NOW + 3)]


def test_very_many_changes_of_every_kind_arrive_once_each(account: Account, reader: Reader) -> None:
    account.legacy_refund_events = True
    customers = [old(account, "customer") for _ in range(620)]
    coupons = [old(account, "coupon") for _ in range(250)]
    charges = [old(account, "charge") for _ in range(230)]
    first = reader.sync()
    account.advance(60)
    for customer in customers:
        account.update("customer", customer, {"name": "Renamed"})
    for coupon in coupons:
        account.delete("coupon", coupon)
    for charge in charges:
        account.create("refund", {"charge": charge, "amount": 1})
    products = [account.create("product", {})["id"] for _ in range(230)]
    second = reader.sync(first)
    assert sorted(second.ids("customers")) == sorted(customers)
    assert sorted(rows(second, "coupons")) == sorted((coupon, NOW + 60, True) for coupon in coupons)
    assert sorted(second.ids("charges")) == sorted(charges)
    assert sorted(row["charge"] for row in second.of("refunds")) == sorted(charges)
    assert sorted(second.ids("products")) == sorted(products)
    assert_holds_all([first, second], truth(account))
    assert not any(reader.sync(second).of(stream) for stream in CHANGING)


def test_a_full_temporary_directory_fails_the_streams_whose_changes_need_it(
    account: Account, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = reader.sync()
    account.advance(60)
    for _ in range(300):
        account.create("customer", {})
    account.create("coupon", {})
    connect = sqlite3.connect

    def on_a_full_disk(*args: Any, **options: Any) -> sqlite3.Connection:
        database: sqlite3.Connection = connect(*args, **options)
        database.execute("PRAGMA max_page_count = 8")
        return database

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", on_a_full_disk)
        second = reader.sync(first)
    assert "Make room there" in second.errors["customers"]
    assert second.kinds["customers"] == "FailureType.config_error"
    assert second.complete == set(STREAMS) - {"customers"}
    assert_holds_all([first, second, reader.sync(second)], truth(account))


def test_an_event_of_an_older_version_is_no_record(account: Account, reader: Reader) -> None:
    subscription = old(account, "subscription")
    first = reader.sync()
    account.default_version = "2020-08-27"
    account.update("subscription", subscription, {"metadata": {"seats": "3"}})
    second = reader.sync(first)
    event = account.objects("event")[0]
    assert "current_period_start" in event["data"]["object"]
    assert [plain(row) for row in second.of("subscriptions")] == list(truth(account)["subscriptions"].values())


@pytest.mark.parametrize(
    ("kind", "field", "count"), [("invoice", "lines", 11), ("invoice", "lines", 1250), ("subscription", "items", 12)]
)
def test_a_changed_object_brings_all_of_its_nested_list(
    account: Account, reader: Reader, kind: str, field: str, count: int
) -> None:
    id = old(account, kind)
    first = reader.sync()
    account.update(kind, id, {field: [{} for _ in range(count)]})
    (record,) = reader.sync(first).of(f"{kind}s")
    assert len(record[field]["data"]) == count
    assert record[field]["has_more"] is False


def test_a_refund_changes_its_charge(account: Account, reader: Reader) -> None:
    charge = old(account, "charge")
    first = reader.sync()
    account.create("refund", {"charge": charge, "amount": 300})
    second = reader.sync(first)
    assert [(row["amount_refunded"], len(row["refunds"]["data"])) for row in second.of("charges")] == [(300, 1)]
    assert [row["charge"] for row in second.of("refunds")] == [charge]
    account.update("refund", second.of("refunds")[0]["id"], {"metadata": {"reason": "late"}})
    third = reader.sync(second)
    assert_holds_all([first, second, third], truth(account))
    assert (len(third.of("charges")), len(third.of("refunds"))) == (1, 1)


def test_a_refund_that_only_its_charge_announces_arrives(account: Account, reader: Reader) -> None:
    account.legacy_refund_events = True
    charge = old(account, "charge")
    first = reader.sync()
    for _ in range(120):
        account.create("refund", {"charge": charge, "amount": 1})
    second = reader.sync(first)
    assert len(set(second.ids("refunds"))) == len(second.ids("refunds")) == 120
    assert_holds_all([first, second], truth(account))


def test_no_refund_is_among_the_charges(account: Account, reader: Reader) -> None:
    refund = account.create("refund", {"charge": old(account, "charge")})["id"]
    first = reader.sync()
    account.update("refund", refund, {"status": "failed"})
    second = reader.sync(first)
    assert {row["object"] for row in second.of("charges")} == {"charge"}
    assert {row["object"] for row in second.of("refunds")} == {"refund"}


def test_a_dispute_and_a_payment_change_their_charge_and_their_invoice(account: Account, reader: Reader) -> None:
    charge, invoice = old(account, "charge"), old(account, "invoice")
    first = reader.sync()
    account.create("dispute", {"charge": charge})
    account.create("invoice_payment", {"invoice": invoice})
    second = reader.sync(first)
    assert [row["disputed"] for row in second.of("charges")] == [True]
    assert [len(row["payments"]["data"]) for row in second.of("invoices")] == [1]


def test_an_inline_price_arrives_when_an_event_tells_of_it(account: Account, reader: Reader) -> None:
    first = reader.sync()
    id = account.create("price", {}, inline=True)["id"]
    second = reader.sync(first)
    assert (first.ids("prices"), second.ids("prices")) == ([], [id])


def test_a_preview_reaches_no_stream_but_events(account: Account, reader: Reader) -> None:
    first = reader.sync()
    account.emit("invoice.upcoming", {"object": "invoice", "status": "draft"})
    second = reader.sync(first)
    assert [(stream, row["type"]) for stream, row in second.records] == [("events", "invoice.upcoming")]


def test_a_change_of_the_second_in_which_a_sync_ended_arrives(account: Account, reader: Reader) -> None:
    id = old(account, "coupon")
    first = reader.sync()
    account.update("coupon", id, {"name": "One"})
    second = reader.sync(first)
    account.update("coupon", id, {"name": "Two"})
    third = reader.sync(second)
    assert [row["name"] for row in second.of("coupons") + third.of("coupons")] == ["One", "Two"]
    assert_holds_all([first, second, third], truth(account))


# ---------------------------------------------------------------------- what is late


def test_an_event_that_becomes_visible_ten_minutes_late_still_counts(account: Account, reader: Reader) -> None:
    id, other = old(account, "customer"), old(account, "customer")
    first = reader.sync()
    account.update("customer", id, {"name": "Late"}, event=None)
    account.emit("customer.updated", id, visible_at=NOW + 600)
    account.update("customer", other, {"name": "In time"})
    account.advance(599)
    second = reader.sync(first)
    account.advance(1)
    third = reader.sync(second)
    assert (second.ids("customers"), rows(third, "customers")) == ([other], [(id, NOW, False)])


def test_a_late_older_event_brings_back_no_older_state(account: Account, reader: Reader) -> None:
    id = old(account, "coupon")
    first = reader.sync()
    account.advance(100)
    account.emit("coupon.updated", id, at=NOW + 50, visible_at=NOW + 300)
    account.delete("coupon", id)
    second = reader.sync(first)
    account.advance(300)
    third = reader.sync(second)
    assert rows(second, "coupons") == [(id, NOW + 100, True)]
    assert_holds_all([first, second, third], truth(account))


def test_what_was_handled_is_not_read_again_within_the_ten_minutes(account: Account, reader: Reader) -> None:
    ids = [old(account, "customer") for _ in range(3)]
    first = reader.sync()
    for id in ids:
        account.update("customer", id, {"name": "Renamed"})
    second = reader.sync(first)
    account.advance(60)
    third = reader.sync(second)
    assert sorted(second.ids("customers")) == sorted(ids)
    assert (third.records, sorted(third.paths)) == ([], ["/v1/balance_transactions", "/v1/events"])


def test_lookback_looks_at_days_again(account: Account, reader: Reader) -> None:
    id = old(account, "customer")
    account.update("customer", id, {"name": "Renamed"})
    account.create("balance_transaction", {"status": "available"})
    first = reader.sync()
    account.advance(3 * DAY)
    hidden = account.create("balance_transaction", {"status": "available"}, at=NOW + 2 * DAY)["id"]
    again = reader.sync(reader.sync(first), lookback_window_days=4)
    assert hidden in reader.sync(first).ids("balance_transactions")
    assert again.lists("events") == 1
    assert_holds_all([first, again, reader.sync(first)], truth(account))


# ---------------------------------------------------------------------- what is deleted


@pytest.mark.parametrize(
    ("kind", "stream"),
    [("customer", "customers"), ("product", "products"), ("price", "prices"), ("plan", "plans"), ("coupon", "coupons")],
)
def test_a_deletion_arrives_with_its_time_and_the_last_known_fields(
    account: Account, reader: Reader, kind: str, stream: str
) -> None:
    id = old(account, kind, metadata={"kept": "yes"})
    first = reader.sync()
    account.advance(90)
    account.delete(kind, id)
    account.advance(90)
    second = reader.sync(first)
    assert rows(second, stream) == [(id, NOW + 90, True)]
    assert [row["metadata"] for row in second.of(stream)] == [{"kept": "yes"}]
    assert all("deleted" not in row for row in second.of(stream))


def test_a_deleted_draft_invoice_is_a_deletion(account: Account, reader: Reader) -> None:
    id = old(account, "invoice", status="draft")
    first = reader.sync()
    account.delete("invoice", id)
    assert rows(reader.sync(first), "invoices") == [(id, NOW, True)]


def test_what_is_cancelled_archived_or_void_is_not_deleted(account: Account, reader: Reader) -> None:
    subscription, price, invoice = old(account, "subscription"), old(account, "price"), old(account, "invoice", status="open")
    first = reader.sync()
    account.delete("subscription", subscription)
    account.update("price", price, {"active": False})
    account.update("invoice", invoice, {"status": "void"})
    second = reader.sync(first)
    assert [row["status"] for row in second.of("subscriptions") + second.of("invoices")] == ["canceled", "void"]
    assert not any("is_deleted" in row for _, row in second.records)


def test_what_changed_and_was_deleted_between_two_syncs_is_a_deletion(account: Account, reader: Reader) -> None:
    id = old(account, "customer")
    first = reader.sync()
    account.update("customer", id, {"name": "Renamed"})
    account.delete("customer", id)
    second = reader.sync(first)
    assert rows(second, "customers") == [(id, NOW, True)]
    assert second.of("customers")[0]["name"] == "Renamed"


def test_what_was_deleted_and_made_again_is_alive(account: Account, reader: Reader) -> None:
    old(account, "coupon", id="SUMMER", percent_off=10.0)
    first = reader.sync()
    account.delete("coupon", "SUMMER")
    account.create("coupon", {"id": "SUMMER", "percent_off": 20.0})
    second = reader.sync(first)
    assert [(row["percent_off"], row.get("is_deleted")) for row in second.of("coupons")] == [(20.0, None)]


def test_what_was_made_and_deleted_between_two_syncs_is_not_alive(account: Account, reader: Reader) -> None:
    first = reader.sync()
    id = account.create("coupon")["id"]
    account.delete("coupon", id)
    second = reader.sync(first)
    assert all(row["is_deleted"] for row in second.of("coupons"))
    assert_holds_all([first, second], truth(account))


def test_an_object_that_vanishes_before_it_is_read_again_is_a_deletion(
    account: Account, server: StripeServer, reader: Reader
) -> None:
    id = old(account, "product")
    first = reader.sync()
    account.update("product", id, {"name": "Renamed"})

    def vanish(request: Any) -> bool:
        if request.path == f"/v1/products/{id}" and id in account.shelf("product").objects:
            account.delete("product", id)
        return False

    server.fault(Fault("status", match=vanish, times=None))
    second = reader.sync(first)
    third = reader.sync(second)
    assert second.failure is None
    assert_holds_all([first, second, third], truth(account))


# ---------------------------------------------------------------------- money


def test_a_pending_transaction_arrives_again_when_it_is_available(account: Account, reader: Reader) -> None:
    id = account.create("balance_transaction", {"available_on": NOW + 2 * DAY})["id"]
    first = reader.sync()
    account.advance(2 * DAY - 1)
    second = reader.sync(first)
    account.advance(1)
    third = reader.sync(second)
    statuses = [[(row["id"], row["status"]) for row in each.of("balance_transactions")] for each in (first, second, third)]
    assert statuses == [[(id, "pending")], [], [(id, "available")]]
    assert [each.lists("balance_transactions") for each in (second, third, reader.sync(third))] == [1, 2, 1]


def test_a_pending_transaction_stays_due_when_its_stream_fails_before_it_is_emitted(
    account: Account, server: StripeServer
) -> None:
    reader = Reader(server, page_size=3)
    for _ in range(6):
        account.create("balance_transaction")
        account.advance(3)
    first = reader.sync(streams=["balance_transactions"])
    account.advance(3 * DAY)
    server.fault("status", match=lambda request: "starting_after" in dict(request.query), times=None, status=400)
    server.fault("slow", match=lambda request: "created[lte]" in dict(request.query), times=None, seconds=0.3)
    failed = reader.sync(first, streams=["balance_transactions"])
    assert failed.failure is not None
    server.clear_faults()
    assert_holds_all([first, failed, reader.sync(failed, ["balance_transactions"])], truth(account, ["balance_transactions"]))


def test_what_was_pending_for_airbytes_own_connector_arrives_again(account: Account, reader: Reader) -> None:
    id = account.create("balance_transaction", {"available_on": NOW + DAY}, at=NOW - DAY)["id"]
    account.advance(2 * DAY)
    first = reader.sync({"balance_transactions": {"created": str(NOW - DAY)}}, ["balance_transactions"])
    assert [(row["id"], row["status"]) for row in first.of("balance_transactions")] == [(id, "available")]


def test_a_transaction_that_stays_pending_past_its_day_arrives_when_it_is_available(account: Account, reader: Reader) -> None:
    account.create("balance_transaction", {"available_on": NOW + DAY})
    first = reader.sync()
    account.advance(2 * DAY)
    id = account.create("balance_transaction", {"available_on": NOW + DAY, "status": "available"})["id"]
    account.shelf("balance_transaction").objects[id]["status"] = "pending"
    second = reader.sync(first)
    account.update("balance_transaction", id, {"status": "available"})
    third = reader.sync(second)
    assert [(row["id"], row["status"]) for row in third.of("balance_transactions") if row["id"] == id] == [(id, "available")]


# ---------------------------------------------------------------------- a long pause


def test_after_45_days_the_streams_are_read_in_full_once(
    account: Account, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    customer, coupon = old(account, "customer"), old(account, "coupon")
    first = reader.sync()
    account.update("customer", customer, {"name": "Long ago"})
    account.advance(45 * DAY)
    account.delete("coupon", coupon)
    second = reader.sync(first)
    third = reader.sync(second)
    floor = NOW + 45 * DAY - RETENTION
    assert rows(second, "customers") == [(customer, floor, False)]
    assert rows(second, "coupons") == [(coupon, NOW + 45 * DAY, True)]
    assert_holds_all([first, second], truth(account))
    assert "customers: read in full again, because Stripe keeps events for 30 days" in caplog.text
    assert (third.records, len(third.requests)) == ([], 2)


def test_a_full_read_after_a_pause_that_was_stopped_goes_on(account: Account, server: StripeServer) -> None:
    reader = Reader(server, page_size=3)
    for number in range(20):
        account.create("customer", at=NOW - (400 - number) * DAY)
    first = reader.sync()
    gone = first.ids("customers")[3]
    account.update("customer", first.ids("customers")[0], {"name": "Long ago"})
    account.advance(45 * DAY)
    account.delete("customer", gone)
    server.fault("status", path="^/v1/customers", after=4, times=None, status=400, message="Not today.")
    second = reader.sync(first)
    server.clear_faults()
    account.advance(3 * DAY)
    third = reader.sync(second)
    assert (second.failure is None, third.failure) == (False, None)
    assert {"unread", "floor"} <= second.states["customers"].keys()
    assert not {"unread", "floor"} & third.states["customers"].keys()
    assert third.lists("customers") < first.lists("customers")
    assert_holds_all([first, second, third], truth(account))


def test_a_quiet_stream_is_never_read_in_full(account: Account, reader: Reader) -> None:
    old(account, "coupon")
    customer = old(account, "customer")
    result = reader.sync()
    for number in range(6):
        account.advance(20 * DAY)
        account.update("customer", customer, {"name": f"Name {number}"})
        result = reader.sync(result)
        assert (result.lists("coupons"), result.lists("customers"), result.failure) == (0, 0, None)


def test_a_clock_of_this_machine_that_is_weeks_off_causes_no_full_read(account: Account, server: StripeServer) -> None:
    customer = old(account, "customer")
    account.update("customer", customer, {"name": "Renamed"})
    reader = Reader(server, account_clock(server, ahead=40 * DAY))
    first = reader.sync()
    account.advance(DAY)
    second = reader.sync(first)
    assert (second.records, len(second.requests)) == ([], 2)


def test_an_event_to_go_on_from_that_aged_out_is_a_pause_too_long(account: Account, server: StripeServer) -> None:
    reader = Reader(server, page_size=3)
    customer = old(account, "customer")
    for number in range(8):
        account.emit("customer.updated", customer, at=NOW - 29 * DAY + number)
    first = reader.sync(streams=["customers"])
    account.update("customer", customer, {"name": "Renamed"})
    server.fault("status", path="starting_after", times=1, status=400, code="resource_missing", message="The event has aged out.")
    second = reader.sync({"customers": {"updated": NOW - 29 * DAY}}, ["customers"])
    assert second.failure is None
    assert_holds_all([first, second], truth(account, ["customers"]))


# ---------------------------------------------------------------------- states


@pytest.mark.parametrize("value", [NOW, str(NOW)])
def test_a_state_of_airbytes_own_connector_is_gone_on_from(account: Account, reader: Reader, value: int | str) -> None:
    unchanged, changed = old(account, "customer"), old(account, "customer")
    account.advance(60)
    account.update("customer", changed, {"name": "Renamed"})
    second = reader.sync({"customers": {"updated": value}}, ["customers"])
    assert second.ids("customers") == [changed]
    assert unchanged not in reader.sync(second, ["customers"]).ids("customers")


def test_a_state_of_airbytes_own_connector_from_long_ago_is_read_in_full_once(account: Account, reader: Reader) -> None:
    id = old(account, "customer")
    second = reader.sync({"customers": {"updated": str(NOW - 300 * DAY)}}, ["customers"])
    assert rows(second, "customers") == [(id, NOW - RETENTION, False)]
    assert reader.sync(second, ["customers"]).lists("customers") == 0


@pytest.mark.parametrize(
    ("blob", "why"),
    [
        ({"updated": "last Tuesday"}, FOREIGN),
        (
            {"updated": NOW, "start": 0, "version": 1, "livemode": False, "unread": [[5]]},
            FOREIGN,
        ),
        ({"updated": NOW, "start": 0, "version": 3}, "it has the version 3, made by a later connector"),
        ({"cursor": NOW}, FOREIGN),
    ],
)
def test_a_broken_state_is_refused_with_the_way_to_reset(reader: Reader, blob: dict[str, Any], why: str) -> None:
    result = reader.sync({"customers": blob}, ["customers"])
    assert result.kinds == {"customers": "FailureType.config_error"}
    assert result.errors["customers"] == (
        f"The state of the stream customers can't be used: {why}. Reset the stream (clear its data, or take it out of the"
        " state file) to read it from the beginning."
    )


@pytest.mark.parametrize("stream", ["customers", "events", "balance_transactions"])
def test_a_state_of_the_future_is_refused(reader: Reader, stream: str) -> None:
    cursor = "updated" if stream == "customers" else "created"
    result = reader.sync({stream: {cursor: NOW + 3600}}, [stream])
    assert "it lies in the future. Reset the stream" in result.errors[stream]
    assert result.kinds[stream] == "FailureType.config_error"
    assert (result.records, result.emitted_states) == ([], [])


def test_full_refresh_ignores_the_state(account: Account, reader: Reader) -> None:
    old(account, "customer")
    first = reader.sync()
    again = reader.sync(first, full_refresh=True)
    assert (again.ids("customers"), again.failure) == (first.ids("customers"), None)


@pytest.mark.parametrize("stream", STREAMS)
def test_the_state_says_up_to_when_it_was_followed_not_when_something_happened(
    account: Account, reader: Reader, stream: str
) -> None:
    first = reader.sync(streams=[stream])
    account.advance(10 * DAY)
    second = reader.sync(first, [stream])
    cursor = "updated" if stream in CHANGING else "created"
    assert (first.states[stream][cursor], second.states[stream][cursor]) == (NOW, NOW + 10 * DAY)


# ---------------------------------------------------------------------- start_date


def test_nothing_created_before_the_start_date_is_emitted_on_any_path(account: Account, server: StripeServer) -> None:
    reader = Reader(server, start_date="2026-11-01T00:00:00Z")
    before = {kind: old(account, kind) for kind in ("customer", "coupon", "charge", "product")}
    first = reader.sync()
    account.update("customer", before["customer"], {"name": "Renamed"})
    account.delete("coupon", before["coupon"])
    account.create("dispute", {"charge": before["charge"]})
    account.create("balance_transaction", {"status": "available"}, at=NOW - 365 * DAY)
    second = reader.sync(first)
    account.advance(45 * DAY)
    third = reader.sync(second)
    created = [row["created"] for result in (first, second, third) for _, row in result.records]
    assert created
    assert min(created) >= NOW - 17 * DAY - 11 * 3600
    assert [row["object"] for row in second.of("disputes")] == ["dispute"]


@pytest.mark.parametrize(("kind", "stream"), [("customer", "customers"), ("balance_transaction", "balance_transactions")])
def test_an_earlier_start_date_brings_what_lies_between_once(account: Account, reader: Reader, kind: str, stream: str) -> None:
    oldest = account.create(kind, at=NOW - 300 * DAY)["id"]
    middle = account.create(kind, at=NOW - 100 * DAY)["id"]
    first = reader.sync(start_date="2026-11-01T00:00:00Z")
    second = reader.sync(first, start_date="2026-06-01T00:00:00Z")
    third = reader.sync(second, start_date="2026-06-01T00:00:00Z")
    fourth = reader.sync(third)
    assert [each.ids(stream) for each in (first, second, third, fourth)] == [[], [middle], [], [oldest]]


def test_a_later_start_date_leaves_out_what_lies_before(account: Account, reader: Reader) -> None:
    customer = old(account, "customer")
    first = reader.sync()
    account.update("customer", customer, {"name": "Renamed"})
    second = reader.sync(first, start_date="2026-11-01T00:00:00Z")
    assert (first.ids("customers"), second.ids("customers"), second.failure) == ([customer], [], None)


# ---------------------------------------------------------------------- a key without Events


def test_a_key_without_events_reads_a_first_sync_and_then_fails_naming_them(account: Account, server: StripeServer) -> None:
    reader = Reader(server, secret_key=server.restricted_key({"customer_read", "coupon_read"}))
    customer = old(account, "customer")
    first = reader.sync(streams=["customers", "coupons"])
    account.update("customer", customer, {"name": "Renamed"})
    second = reader.sync(first, ["customers", "coupons"])
    assert (first.ids("customers"), first.failure) == ([customer], None)
    assert second.errors.keys() == {"customers", "coupons"}
    assert all('Set "Events: Read"' in message for message in second.errors.values())
    assert set(second.kinds.values()) == {"FailureType.config_error"}
    assert (second.records, second.emitted_states) == ([], [])


def test_what_happened_while_events_were_forbidden_arrives_once_they_are_not(account: Account, server: StripeServer) -> None:
    key = server.restricted_key({"customer_read"})
    reader = Reader(server, secret_key=key)
    customer = old(account, "customer")
    first = reader.sync(streams=["customers"])
    account.update("customer", customer, {"name": "Renamed"})
    second = reader.sync(first, ["customers"])
    server.allow(key, "event_read")
    third = reader.sync(second, ["customers"])
    assert isinstance(second.failure, AirbyteTracedException)
    assert [row["name"] for row in third.of("customers")] == ["Renamed"]


def test_a_first_sync_that_was_stopped_can_not_go_on_without_events(account: Account, server: StripeServer) -> None:
    reader = Reader(server, page_size=3, num_workers=1)
    for number in range(12):
        account.create("customer", at=NOW - 40 * DAY - number)
    server.fault("status", path="^/v1/customers", after=2, times=None, status=400, message="Not today.")
    first = reader.sync(streams=["customers"])
    server.clear_faults()
    server.fault("permission", path="^/v1/events", times=None)
    second = reader.sync(first, ["customers"])
    assert (len(first.of("customers")), second.records) == (6, [])
    assert 'Set "Events: Read"' in second.errors["customers"]


def test_children_that_were_forbidden_arrive_in_full_once_they_are_not(account: Account, server: StripeServer) -> None:
    streams, reader = ["bank_accounts", "customers"], Reader(server)
    ids = [account.create("customer", at=NOW - 300 * DAY)["id"] for _ in range(3)]
    owned = [account.create("bank_account", {"customer": id})["id"] for id in ids]
    server.fault(Fault("permission", path="sources", times=None))
    first = reader.sync(streams=streams)
    server.clear_faults()
    second = reader.sync(first, streams)
    assert (first.complete, len(first.ids("customers"))) == ({"customers"}, 3)
    assert (second.ids("customers"), sorted(second.ids("bank_accounts"))) == ([], sorted(owned))


def test_check_warns_of_a_key_that_may_not_read_events(server: StripeServer) -> None:
    config = {"secret_key": server.restricted_key({"customer_read"}), "api_base": server.url}
    status = Reader(server).source.check(logging.getLogger("airbyte"), config)
    assert status.status.value == "SUCCEEDED"
    assert "Without Events, a first sync works and later ones can't see what changed: they fail." in str(status.message)


def test_all_streams_are_in_the_catalog_of_these_tests() -> None:
    assert [each.stream.name for each in catalog().streams] == list(STREAMS)
