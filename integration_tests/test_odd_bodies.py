"""What becomes of bodies that are JSON of an unusual shape, an example each. `test_any_bodies.py` has anything stand anywhere."""

from __future__ import annotations

from typing import Any

import pytest

from integration_tests.embedded_stripe import Account, Fault, StripeServer
from integration_tests.harness import DAY, NOW, STREAMS, Reader, Result, assert_holds_all, truth

HALF_AN_EMOJI = rb'"thanks \ud83d"'


@pytest.fixture
def reader(server: StripeServer) -> Reader:
    return Reader(server)


def customers(account: Account, count: int = 3) -> list[str]:
    """The ids of as many new customers of long ago, the newest first."""
    made = [account.create("customer", {}, at=NOW - 300 * DAY + number)["id"] for number in range(count)]
    return made[::-1]


def assert_is_read(result: Result, ids: list[str], stream: str = "customers") -> None:
    """All of these arrived, at the first try."""
    assert (result.ids(stream), result.errors) == (ids, {})
    assert len(set(map(str, result.requests))) == len(result.requests)


# ---------------------------------------------------------------------- texts


@pytest.mark.parametrize(("raw", "text"), [(HALF_AN_EMOJI, "thanks \ufffd"), (b'"caf\xe9"', "caf\ufffd")])
def test_a_text_that_is_cut_inside_a_character_has_a_mark_in_that_place(
    account: Account, reader: Reader, caplog: pytest.LogCaptureFixture, raw: bytes, text: str
) -> None:
    ids = customers(account)
    account.odd("customer", ids[1], {"description": raw})
    result = reader.sync(streams=["customers"])
    assert_is_read(result, ids)
    assert [row["description"] for row in result.of("customers")] == [None, text, None]
    assert caplog.text.count(f"customers: {ids[1]} has a text that was broken inside a character: U+FFFD") == 1


def test_of_very_many_broken_texts_ten_are_named(account: Account, reader: Reader, caplog: pytest.LogCaptureFixture) -> None:
    ids = customers(account, 30)
    for id in ids:
        account.odd("customer", id, {"description": HALF_AN_EMOJI})
    assert_is_read(reader.sync(streams=["customers"]), ids)
    assert caplog.text.count("has a text that was broken") == 10


def test_a_broken_text_inside_an_event_stops_nobody(account: Account, reader: Reader) -> None:
    id = customers(account)[0]
    first = reader.sync()
    account.update("customer", id, {"name": "Renamed"})
    account.odd("event", account.objects("event")[0]["id"], {"data.object.name": HALF_AN_EMOJI})
    second = reader.sync(first)
    assert (second.complete, second.errors) == (set(STREAMS), {})
    assert [row["name"] for row in second.of("customers")] == ["Renamed"]


def test_of_many_events_with_a_broken_text_ten_are_named(
    account: Account, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    ids = customers(account, 14)
    first = reader.sync(streams=["customers"])
    for id in ids:
        account.update("customer", id, {"name": "Renamed"})
    for event in account.objects("event")[: len(ids)]:
        account.odd("event", event["id"], {"data.object.name": HALF_AN_EMOJI})
    second = reader.sync(first, ["customers"])
    assert sorted(second.ids("customers")) == sorted(ids)
    assert caplog.text.count("has a text that was broken") == 10


# ---------------------------------------------------------------------- times


@pytest.mark.parametrize("created", [None, "null", "0", "-5", '"yesterday"', "1e400", "9" * 30, "1795000000000000"])
def test_an_object_without_a_time_counts_as_made_with_the_one_before_it(
    account: Account, server: StripeServer, created: str | None
) -> None:
    ids = customers(account, 9)
    for id in ids[1:3]:  # One of them ends a page.
        account.odd("customer", id, {"created": created})
    result = Reader(server, page_size=3).sync(streams=["customers"])
    assert sorted(result.ids("customers")) == sorted(ids)
    assert [row["updated"] for row in result.of("customers") if row["id"] in ids[1:3]] == [NOW - 300 * DAY + 8] * 2


@pytest.mark.parametrize("created", [NOW + 365 * DAY, NOW - 900 * DAY])
def test_a_time_out_of_its_order_ends_no_list_early(account: Account, server: StripeServer, created: int) -> None:
    ids = customers(account, 12)
    for id in (ids[0], ids[5], ids[7]):
        account.odd("customer", id, {"created": str(created)})
    reader = Reader(server, page_size=3, start_date="2024-11-18T00:00:00Z")
    first = reader.sync(streams=["customers"])
    account.advance(3600)
    account.update("customer", ids[-1], {"name": "Renamed"})
    second = reader.sync(first, ["customers"])
    assert (sorted(set(first.ids("customers"))), second.ids("customers")) == (sorted(ids), [ids[-1]])
    assert first.errors | second.errors == {}


def test_an_event_of_a_far_future_leaves_a_state_that_can_be_gone_on_from(account: Account, reader: Reader) -> None:
    id = customers(account)[0]
    first = reader.sync()
    account.update("customer", id, {"name": "One"})
    account.odd("event", account.objects("event")[0]["id"], {"created": str(NOW + 365 * DAY)})
    second = reader.sync(first)
    account.advance(3600)
    account.update("customer", id, {"name": "Two"})
    third = reader.sync(second)
    assert [row["name"] for row in second.of("customers") + third.of("customers")] == ["One", "Two"]
    assert third.errors == {}


@pytest.mark.parametrize("updated", ["null", '"soon"', "-1", "9" * 30, "[]"])
def test_an_own_updated_that_is_no_time_is_replaced(account: Account, reader: Reader, updated: str) -> None:
    id = account.create("product", at=NOW - 300 * DAY)["id"]
    account.odd("product", id, {"updated": updated})
    (row,) = reader.sync(streams=["products"]).of("products")
    assert row["updated"] == NOW - 300 * DAY


@pytest.mark.parametrize("available_on", [None, "null", '"soon"', "9" * 30])
def test_a_pending_transaction_that_tells_no_day_arrives_when_it_is_available(
    account: Account, reader: Reader, available_on: str | None
) -> None:
    id = account.create("balance_transaction", {"available_on": NOW + DAY})["id"]
    account.odd("balance_transaction", id, {"available_on": available_on})
    first = reader.sync()
    account.advance(2 * DAY)
    second = reader.sync(first)
    assert [row["status"] for row in first.of("balance_transactions")] == ["pending"]
    assert [row["status"] for row in second.of("balance_transactions")] == ["available"]


# ---------------------------------------------------------------------- lists inside objects


@pytest.mark.parametrize("deleted", ['"yes"', "7", "null", HALF_AN_EMOJI])
def test_an_item_of_a_nested_list_may_say_anything_of_its_deletion(account: Account, reader: Reader, deleted: str) -> None:
    account.create("invoice", {"id": "in_1", "lines": 14})
    lines = account.find("in_1")["lines"]["data"]  # type: ignore[index]
    for line in (lines[2], lines[12]):  # One that is shown, and one that has to be asked for.
        account.odd("line_item", line["id"], {"deleted": deleted})
    result = reader.sync(streams=["invoices"])
    assert (result.errors, [len(row["lines"]["data"]) for row in result.of("invoices")]) == ({}, [14])


@pytest.mark.parametrize("lines", ["[]", "null", '"none"', None])
def test_a_nested_list_that_is_none_stays_as_it_is(account: Account, reader: Reader, lines: str | None) -> None:
    ids = [account.create("invoice", at=NOW - DAY - number)["id"] for number in range(3)]
    account.odd("invoice", ids[1], {"lines": lines})
    assert_is_read(reader.sync(streams=["invoices"]), ids, "invoices")


@pytest.mark.parametrize(
    "odd", [{"lines.has_more": "null"}, {"lines.has_more": None}, {"lines.data": "null"}, {"lines.data": '[{"id": null}]'}]
)
def test_a_nested_list_that_tells_too_little_is_read_whole(account: Account, reader: Reader, odd: dict[str, str | None]) -> None:
    id = account.create("invoice", {"lines": 25}, at=NOW - DAY)["id"]
    account.odd("invoice", id, odd)
    result = reader.sync(streams=["invoices"])
    assert_holds_all([result], truth(account, ["invoices"]))


# ---------------------------------------------------------------------- events


@pytest.mark.parametrize("data", [None, "null", "{}", '{"object": null}', '{"object": []}', '{"object": {"id": 7}}', "[]"])
def test_an_event_that_shows_no_object_stops_nobody(
    account: Account, reader: Reader, caplog: pytest.LogCaptureFixture, data: str | None
) -> None:
    ids = customers(account)
    first = reader.sync()
    account.update("customer", ids[0], {"name": "Renamed"})
    event = account.emit("customer.updated", ids[1])["id"]
    account.odd("event", event, {"data": data})
    second = reader.sync(first)
    assert (second.complete, second.ids("customers")) == (set(STREAMS), [ids[0]])
    assert (f"the event {event} (customer.updated) shows no object" in caplog.text) == (data != '{"object": {"id": 7}}')


def test_an_event_of_a_type_that_no_stream_reads_is_not_looked_at(
    account: Account, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    first = reader.sync()
    event = account.emit("account.updated", {"object": "account"})["id"]
    account.odd("event", event, {"data": "{}"})
    second = reader.sync(first)
    assert (second.complete, second.ids("events")) == (set(STREAMS), [event])
    assert "shows no object" not in caplog.text


@pytest.mark.parametrize("previous", ["null", "[]", '"none"', '{"sources": 7}', '{"sources": {"data": [{"id": 5}, null]}}'])
def test_previous_attributes_that_are_none_stop_nobody(account: Account, reader: Reader, previous: str) -> None:
    streams = ["bank_accounts", "customers"]
    first = reader.sync(streams=streams)
    customer = account.create("customer")["id"]
    bank_account = account.create("bank_account", {"customer": customer})["id"]
    account.update("customer", customer, {"name": "Renamed"})
    account.odd("event", account.objects("event")[0]["id"], {"data.previous_attributes": previous})
    second = reader.sync(first, streams)
    assert (second.errors, second.ids("customers"), second.ids("bank_accounts")) == ({}, [customer], [bank_account])


def test_a_time_that_is_no_number_hides_no_change(account: Account, reader: Reader) -> None:
    id = customers(account)[0]
    first = reader.sync()
    account.update("customer", id, {"name": "Renamed"})
    account.odd("event", account.objects("event")[0]["id"], {"data.object.created": "1e400"})
    assert reader.sync(first).ids("customers") == [id]


def test_an_object_that_vanished_after_its_child_s_event_is_deleted_by_its_own_id(account: Account, reader: Reader) -> None:
    streams = ["bank_accounts", "customers"]
    id = customers(account)[0]
    first = reader.sync(streams=streams)
    account.advance(60)
    account.update("customer", id, {"name": "Renamed"})
    account.advance(60)
    account.create("bank_account", {"customer": id})
    account.delete("customer", id)
    account.show_later(account.objects("event")[0]["id"], account.now + 300)
    second = reader.sync(first, streams)
    assert [(row["id"], row["is_deleted"]) for row in second.of("customers")] == [(id, True)]


# ---------------------------------------------------------------------- children


@pytest.mark.parametrize("object_", [None, "null", "7", "[]"])
def test_a_child_that_does_not_tell_what_it_is_arrives(account: Account, reader: Reader, object_: str | None) -> None:
    lines = account.create("invoice", {"lines": 3}, at=NOW - DAY)["lines"]["data"]
    account.odd("line_item", lines[1]["id"], {"object": object_})
    assert_is_read(reader.sync(streams=["invoice_line_items"]), [line["id"] for line in lines], "invoice_line_items")


@pytest.mark.parametrize("lines", ["{}", '{"id": 5}', '[{"id": null}]', '[null, "il_1"]', "null", '{"data": {}}'])
def test_what_is_no_list_of_children_fails_nobody(account: Account, reader: Reader, lines: str) -> None:
    ids = [account.create("invoice", {"lines": 1}, at=NOW - (300 + number) * DAY)["id"] for number in range(2)]
    account.odd("invoice", ids[0], {"lines": lines})
    result = reader.sync(streams=["invoice_line_items", "invoices"])
    assert (sorted(result.ids("invoices")), result.errors) == (sorted(ids), {})
    assert ids[1] in [row["invoice"] for row in result.of("invoice_line_items")]


@pytest.mark.parametrize("id", [None, "null", '""', "7", "1e400"])
def test_a_child_without_an_id_fails_its_stream_alone_which_goes_on_from_there(
    account: Account, server: StripeServer, id: str | None
) -> None:
    streams, reader = ["invoice_line_items", "invoices"], Reader(server, page_size=3)
    invoices = [account.create("invoice", {"lines": 1}, at=NOW - (300 + number) * DAY) for number in range(9)]
    line = invoices[4]["lines"]["data"][0]["id"]
    account.odd("line_item", line, {"id": id})
    first = reader.sync(streams=streams)
    assert (len(first.ids("invoices")), first.complete) == (9, {"invoices"})
    assert f"lines of {invoices[4]['id']} holds something without an id" in first.errors["invoice_line_items"]
    account.odd("line_item", line, {"id": f'"{line}"'})
    second = reader.sync(first, streams)
    assert (second.ids("invoices"), second.complete) == ([], set(streams))
    assert len({*first.ids("invoice_line_items"), *second.ids("invoice_line_items")}) == 9


@pytest.mark.parametrize("customer", ["null", '{"id": 5}', "1e400"])
def test_a_parent_that_does_not_tell_what_its_children_s_list_needs_fails_their_stream_alone(
    account: Account, reader: Reader, customer: str
) -> None:
    grant = account.create("billing.credit_grant")["id"]
    account.odd("billing.credit_grant", grant, {"customer": customer})
    result = reader.sync(streams=["credit_balance_transactions", "credit_grants"])
    assert (result.ids("credit_grants"), list(result.errors)) == ([grant], ["credit_balance_transactions"])


# ---------------------------------------------------------------------- what can't be worked around


@pytest.mark.parametrize("id", ["null", '""', "7", None])
def test_an_object_without_an_id_fails_its_stream_at_once(account: Account, reader: Reader, id: str | None) -> None:
    odd = customers(account)[1]
    coupon = account.create("coupon", at=NOW - DAY)["id"]
    account.odd("customer", odd, {"id": id})
    result = reader.sync(streams=["coupons", "customers"])
    assert (result.ids("coupons"), result.lists("customers")) == ([coupon], 1)
    assert (
        "a shape that can't be read: /v1/customers lists something without an id where a customer should be"
        in result.errors["customers"]
    )
    assert result.kinds == {"customers": "FailureType.system_error"}


@pytest.mark.parametrize("data", ["null", "{}", '"none"', "7"])
def test_a_list_that_is_none_fails_its_stream_at_once(account: Account, server: StripeServer, data: str) -> None:
    server.fault(Fault("odd_value", path="^/v1/customers", of="data", raw=data, times=None))
    result = Reader(server).sync(streams=["coupons", "customers"])
    assert (result.complete, result.lists("customers")) == ({"coupons"}, 1)
    assert "a shape that can't be read: it is no list of objects" in result.errors["customers"]


def test_a_body_that_is_nested_too_deeply_fails_its_stream_at_once(account: Account, server: StripeServer) -> None:
    server.fault(Fault("odd_value", path="^/v1/customers", of="data", raw="[" * 100_000 + "]" * 100_000, times=None))
    result = Reader(server).sync(streams=["coupons", "customers"])
    assert (result.complete, result.lists("customers")) == ({"coupons"}, 1)
    assert "a shape that can't be read: it is nested too deeply" in result.errors["customers"]


@pytest.mark.parametrize("count", [6, 7])
@pytest.mark.parametrize("raw", ["null", '"true"'])
def test_a_list_that_does_not_tell_whether_it_goes_on_does_until_a_page_is_empty(
    account: Account, server: StripeServer, count: int, raw: str
) -> None:
    ids = customers(account, count)
    server.fault(Fault("odd_value", path="^/v1/customers", of="has_more", raw=raw, times=None))
    result = Reader(server, page_size=3).sync(streams=["customers"])
    assert (result.ids("customers"), result.errors) == (ids, {})


def test_a_web_page_in_place_of_an_answer_is_told_as_one(account: Account, server: StripeServer) -> None:
    server.fault(Fault("status", path="^/v1/customers", status=200, body="html", times=None))
    assert "it is a web page, not JSON" in Reader(server).sync(streams=["customers"]).errors["customers"]


def test_events_that_can_t_be_read_are_named_where_they_fail_another_stream(account: Account, server: StripeServer) -> None:
    customers(account, 1)
    server.fault(Fault("status", path="^/v1/events", status=404, message="Not Found", times=None))
    errors = Reader(server).sync(streams=["customers"]).errors
    assert "Not Found (/v1/events, HTTP 404, request req_" in errors["customers"]


def test_an_error_in_place_of_an_object_is_no_record(account: Account, server: StripeServer) -> None:
    server.fault(Fault("status", path="^/v1/balance$", status=200, message="Try again later.", times=None))
    result = Reader(server).sync(streams=["balance", "customers"])
    assert (result.complete, result.of("balance")) == ({"customers"}, [])
    assert "it is an error where a balance should be" in result.errors["balance"]


# ---------------------------------------------------------------------- numbers


@pytest.mark.parametrize("number", ["0.10", "-0.0", "1e400", "9" * 40, "1.0"])
def test_a_number_in_this_process_is_what_python_makes_of_it(account: Account, reader: Reader, number: str) -> None:
    (id,) = customers(account, 1)
    account.odd("customer", id, {"balance": number})
    (row,) = reader.sync(streams=["customers"]).of("customers")
    expected: Any = int(number) if number.isdigit() else float(number)
    assert row["balance"] == expected
