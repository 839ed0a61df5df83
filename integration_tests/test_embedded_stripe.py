"""The embedded account itself: its clock, its events, its limits, and each of its ways to fail."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from integration_tests.embedded_stripe import PRODUCTS, Account, Fault, StripeServer, made_up_account
from integration_tests.embedded_stripe.errors import StripeError
from integration_tests.embedded_stripe.server import _Limits

NOW = 1_795_000_000
DAY = 86_400


@pytest.fixture
def account() -> Account:
    return Account(now=NOW)


@pytest.fixture
def server(account: Account) -> Iterator[StripeServer]:
    with StripeServer(account) as server:
        yield server


def get(server: StripeServer, path: str, **options: Any) -> requests.Response:
    options.setdefault("headers", {})["Authorization"] = f"Bearer {options.pop('key', server.secret_key)}"
    return requests.get(server.url + path, timeout=5, allow_redirects=False, **options)


def in_version(version: str, server: StripeServer, path: str) -> Any:
    answer = get(server, path, headers={"Stripe-Version": version})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(server: StripeServer, path: str) -> list[str]:
    return [each["id"] for each in get(server, path).json()["data"]]


def events(account: Account) -> list[str]:
    """Oldest first."""
    return [each["type"] for each in reversed(account.objects("event"))]


# ---------------------------------------------------------------------- faults


def test_a_status_comes_with_json_html_or_nothing_and_with_headers(server: StripeServer) -> None:
    server.fault("status", status=503, headers={"Retry-After": "7"})
    server.fault("status", status=502, body="html")
    server.fault("status", status=500, body="empty")
    first, second, third = (get(server, "/v1/charges") for _ in range(3))
    assert (first.status_code, first.json()["error"]["type"], first.headers["Retry-After"]) == (503, "api_error", "7")
    assert (second.status_code, second.headers["Content-Type"]) == (502, "text/html")
    assert (third.status_code, third.content) == (500, b"")


def test_a_fault_strikes_after_some_requests_for_some_times_on_one_path(server: StripeServer) -> None:
    server.fault("status", path=r"/v1/charges\?", after=1, times=2)
    statuses = [get(server, "/v1/charges?limit=1").status_code for _ in range(4)]
    assert statuses == [200, 500, 500, 200]
    server.fault(Fault("status", path="^/v1/charges", times=None))
    assert [get(server, f"/v1/{path}").status_code for path in ("charges", "refunds", "charges")] == [500, 200, 500]
    server.clear_faults()
    assert get(server, "/v1/charges").status_code == 200


def test_a_fault_can_choose_its_requests(server: StripeServer) -> None:
    server.fault(Fault("status", match=lambda request: ("limit", "3") in request.query))
    assert [get(server, f"/v1/charges?limit={limit}").status_code for limit in (2, 3, 3)] == [200, 500, 200]


def test_a_rate_limit_tells_its_reason_or_not(server: StripeServer) -> None:
    server.fault("rate_limit")
    server.fault("rate_limit", reason=None)
    first, second = get(server, "/v1/charges"), get(server, "/v1/charges")
    assert (first.status_code, first.json()["error"]["code"]) == (429, "rate_limit")
    assert first.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert (second.status_code, "Stripe-Rate-Limited-Reason" in second.headers) == (429, False)


def test_a_lock_timeout_has_no_request_id(server: StripeServer) -> None:
    server.fault("lock_timeout")
    answer = get(server, "/v1/charges")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "lock_timeout")
    assert "Request-Id" not in answer.headers


@pytest.mark.parametrize("kind", ["rate_limit", "lock_timeout"])
def test_a_refusal_for_now_comes_with_more_headers(server: StripeServer, kind: str) -> None:
    server.fault(kind, headers={"Retry-After": "7"})
    server.fault(kind)
    first, second = get(server, "/v1/charges"), get(server, "/v1/charges")
    assert (first.headers["Retry-After"], "Retry-After" in second.headers) == ("7", False)
    assert first.headers.get("Stripe-Rate-Limited-Reason") == second.headers.get("Stripe-Rate-Limited-Reason")


@pytest.mark.parametrize("kind", ["reset_before", "reset_inside", "short_body"])
def test_a_connection_breaks(account: Account, server: StripeServer, kind: str) -> None:
    account.create("charge")
    server.fault(kind)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        get(server, "/v1/charges")
    assert get(server, "/v1/charges").status_code == 200


def test_a_cut_body_is_whole_for_http_and_broken_as_json(account: Account, server: StripeServer) -> None:
    account.create("charge")
    server.fault("cut_body")
    answer = get(server, "/v1/charges", headers={"Accept-Encoding": "identity"})
    assert (answer.status_code, int(answer.headers["Content-Length"])) == (200, len(answer.content))
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_a_gzip_stream_breaks_off(account: Account, server: StripeServer) -> None:
    account.create("charge")
    server.fault("gzip_broken")
    answer = get(server, "/v1/charges", stream=True, headers={"Accept-Encoding": "gzip"})
    with pytest.raises(EOFError):
        gzip.decompress(answer.raw.read(decode_content=False))


def test_a_success_may_be_html_or_nothing(server: StripeServer) -> None:
    server.fault("not_json")
    server.fault("empty_200")
    html, nothing = get(server, "/v1/charges"), get(server, "/v1/charges")
    assert (html.status_code, html.text[:6]) == (200, "<html>")
    assert (nothing.status_code, nothing.text) == (200, "")


def test_a_hanging_request_ends_only_with_the_clients_patience(server: StripeServer) -> None:
    server.fault("hang")
    with pytest.raises(requests.ReadTimeout):
        requests.get(server.url + "/v1/charges", auth=(server.secret_key, ""), timeout=0.2)


def test_an_answer_trickles_or_is_slow(server: StripeServer) -> None:
    server.fault("trickle", seconds=0.001)
    server.fault("slow", seconds=0.2)
    assert get(server, "/v1/charges").json()["data"] == []
    start = time.monotonic()
    assert get(server, "/v1/charges").json()["data"] == []
    assert time.monotonic() - start > 0.19


def test_pages_lie(account: Account, server: StripeServer) -> None:
    made = [account.create("charge")["id"] for _ in range(4)]
    server.fault("empty_page_with_more")
    page = get(server, "/v1/charges").json()
    assert (page["data"], page["has_more"]) == ([], True)
    server.fault("repeat_page")
    assert ids(server, f"/v1/charges?limit=2&starting_after={made[2]}") == [made[3], made[2]]
    assert ids(server, f"/v1/charges?limit=2&starting_after={made[2]}") == [made[1], made[0]]


HALF_AN_EMOJI, NO_UTF8 = rb'"thanks \ud83d"', b'"caf\xe9"'


@pytest.mark.parametrize("raw", [HALF_AN_EMOJI, NO_UTF8, b"null", b"17"])
def test_an_answer_has_an_odd_value(account: Account, server: StripeServer, raw: bytes) -> None:
    account.create("charge", {"description": 'a "quoted" text'})
    server.fault("odd_value", raw=raw)
    first, second = get(server, "/v1/charges"), get(server, "/v1/charges")
    assert first.content == second.content.replace(rb'"a \"quoted\" text"', raw)


@pytest.mark.parametrize("raw", [HALF_AN_EMOJI, NO_UTF8, b"[]", b"1e400"])
def test_an_object_is_odd_wherever_it_is_shown(account: Account, server: StripeServer, raw: bytes) -> None:
    account.create("customer", {"id": "cus_1"})
    account.create("charge", {"id": "ch_1", "customer": "cus_1"})
    account.odd("customer", "cus_1", {"name": raw, "invoice_settings.footer": b"0.10", "created": None})
    for path in (
        "/v1/customers",
        "/v1/customers/cus_1",
        "/v1/charges/ch_1?expand[]=customer",
        "/v1/customers?expand[]=data.tax_ids",
    ):
        body = get(server, path).content
        assert (b'"name": ' + raw in body, b'"footer": 0.10' in body) == (True, True)
    assert b'"created"' not in get(server, "/v1/customers/cus_1").content
    assert account.listed("customers")["cus_1"]["name"] is None


def test_an_event_is_odd_by_itself(account: Account, server: StripeServer) -> None:
    account.create("customer", {"id": "cus_1"})
    (event,) = ids(server, "/v1/events")
    account.odd("customer", "cus_1", {"email": HALF_AN_EMOJI})
    assert HALF_AN_EMOJI not in get(server, "/v1/events").content
    account.odd("event", event, {"data.object.email": HALF_AN_EMOJI})
    assert HALF_AN_EMOJI in get(server, "/v1/events").content
    assert HALF_AN_EMOJI in get(server, f"/v1/events/{event}").content


def test_the_cursor_of_a_nested_list_is_refused_in_words_of_choice(account: Account, server: StripeServer) -> None:
    account.create("invoice", {"id": "in_1", "lines": 12})
    server.fault("status", path="/lines.*starting_after", status=400, message="No such line", param="line")
    cursor = ids(server, "/v1/invoices/in_1/lines")[-1]
    refused = get(server, f"/v1/invoices/in_1/lines?starting_after={cursor}")
    error = refused.json()["error"]
    assert (refused.status_code, error["message"], error["param"], "code" in error) == (400, "No such line", "line", False)


def test_a_redirect_points_elsewhere(server: StripeServer) -> None:
    server.fault("redirect", location="http://127.0.0.1:9/v1/charges")
    answer = get(server, "/v1/charges")
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://127.0.0.1:9/v1/charges")


def test_a_key_fails_on_the_way(server: StripeServer) -> None:
    server.fault("permission")
    server.fault("revoked")
    assert [get(server, "/v1/charges").status_code for _ in range(3)] == [403, 401, 200]


def test_the_items_of_a_bulks_object_are_those_that_it_shows(server: StripeServer) -> None:
    server.account.bulk("invoice", 5, fields={"lines": [{"amount": number} for number in range(120)]})
    invoice = list(server.account.each("invoice"))[2]
    ids = [item["id"] for item in invoice["lines"]["data"]]
    first = get(server, f"/v1/invoices/{invoice['id']}/lines?limit=100").json()
    rest = get(server, f"/v1/invoices/{invoice['id']}/lines?limit=100&starting_after={ids[99]}").json()
    assert [first["has_more"], rest["has_more"]] == [True, False]
    assert [*first["data"], *rest["data"]] == invoice["lines"]["data"]
    assert get(server, f"/v1/invoices/{invoice['id']}/lines?starting_after=il_none").status_code == 400
    assert get(server, "/v1/invoices/in_1Bulk0/lines").status_code == 404


# ---------------------------------------------------------------------- limits and log


def test_no_second_holds_more_requests_than_the_limit(server: StripeServer) -> None:
    server.limit(per_second=5)
    answers = [get(server, "/v1/charges") for _ in range(8)]
    assert [each.status_code for each in answers] == [200] * 5 + [429] * 3
    assert answers[-1].headers["Stripe-Rate-Limited-Reason"] == "global-rate"


def test_a_request_counts_when_it_came_though_it_is_looked_at_later(server: StripeServer) -> None:
    limits = _Limits()
    limits.per_second = 2
    for at in (10.0, 11.5, 11.0, 10.5):
        limits.admit(server.account, "charges", at)
    for at in (10.2, 10.9, 11.2, 12.0 - 1e-6):
        with pytest.raises(StripeError):
            limits.admit(server.account, "charges", at)
    limits.admit(server.account, "charges", 12.0)


def test_each_endpoint_has_a_limit_of_its_own(server: StripeServer) -> None:
    server.limit(per_endpoint=2)
    paths = ["charges", "charges", "refunds", "charges", "refunds"]
    assert [get(server, f"/v1/{path}").status_code for path in paths] == [200, 200, 200, 429, 200]


def test_requests_are_kept_without_the_key(server: StripeServer) -> None:
    get(server, "/v1/charges?limit=2&expand[]=data.refunds")
    seen = server.requests[0]
    assert (seen.method, seen.path, seen.status) == ("GET", "/v1/charges", 200)
    assert seen.query == [("limit", "2"), ("expand[]", "data.refunds")]
    assert seen.key_suffix == server.secret_key[-4:]
    assert server.secret_key not in repr(seen)


def test_sixty_answers_take_their_latency_side_by_side(account: Account) -> None:
    with StripeServer(account, latency=0.2) as server, ThreadPoolExecutor(60) as pool:
        start = time.monotonic()
        answers = list(pool.map(lambda _: get(server, "/v1/charges"), range(60)))
        assert [each.status_code for each in answers] == [200] * 60
        assert 0.19 < time.monotonic() - start < 2


# ---------------------------------------------------------------------- HTTP


def exchange(server: StripeServer, *requests: str) -> str:
    """All that the server sends to raw requests until it closes; the client says at once that it sends no more."""
    _, _, port = server.url.rpartition(":")
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as connection:
        connection.sendall("".join(requests).encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def raw(server: StripeServer, *headers: str, line: str = "GET /v1/charges HTTP/1.1") -> str:
    return "\r\n".join([line, f"Authorization: Bearer {server.secret_key}", *headers, "", ""])


def test_what_breaks_the_server_is_an_api_error_and_is_told(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    server.fault(Fault("status", match=lambda request: bool(request.query[7])))
    answer = get(server, "/v1/charges")
    assert (answer.status_code, answer.json()) == (
        500,
        {"error": {"message": "An unknown error occurred", "type": "api_error"}},
    )
    assert [each.exc_type for each in told] == [IndexError]
    server.clear_faults()
    assert get(server, "/v1/charges").status_code == 200


def test_what_breaks_the_server_is_shown_with_its_traceback(
    server: StripeServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    monkeypatch.setattr(server, "_reply", None)
    assert get(server, "/v1/charges").status_code == 500
    shown = capfd.readouterr().err
    assert ("Traceback" in shown, "TypeError: 'NoneType' object is not callable" in shown) == (True, True)


def test_a_head_has_no_body(server: StripeServer) -> None:
    with requests.Session() as session:
        session.auth = (server.secret_key, "")
        head, after = session.head(server.url + "/v1/charges"), session.get(server.url + "/v1/charges")
    assert (head.status_code, int(head.headers["Content-Length"]) > 0) == (404, True)
    assert (after.status_code, after.json()["data"]) == (200, [])
    assert exchange(server, raw(server, line="HEAD /v1/charges HTTP/1.1")).endswith("\r\n\r\n")


def test_a_client_that_ends_inside_its_body_is_let_go(server: StripeServer) -> None:
    assert exchange(server, "POST /v1/x HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc") == ""
    assert server.requests == []


@pytest.mark.parametrize(
    ("version", "connection", "answers"),
    [
        ("1.1", "keep-alive", 2),
        ("1.1", "close", 1),
        ("1.1", "Close", 1),
        ("1.1", "TE, CLOSE", 1),
        ("1.0", "TE", 1),
        ("1.0", "Keep-Alive", 2),
    ],
)
def test_a_connection_ends_when_the_client_wants_it(server: StripeServer, version: str, connection: str, answers: int) -> None:
    request = raw(server, f"Connection: {connection}", line=f"GET /v1/charges HTTP/{version}")
    said = exchange(server, request, request)
    assert len(server.requests) == said.count("HTTP/1.1 200 OK") == answers
    assert said.count("Connection: close" if answers == 1 else "Connection: keep-alive") == answers


def test_a_client_is_told_to_go_on_with_its_body(server: StripeServer) -> None:
    said = exchange(server, raw(server, "Expect: 100-Continue", "Content-Length: 3", line="POST /v1/x HTTP/1.1"), "abc")
    assert said.startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("deflate, GZip ; q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("gzip; Q=0.00, br", None),
        ("identity", None),
        ("notgzip", None),
    ],
)
def test_an_answer_is_zipped_for_who_takes_it(
    account: Account, server: StripeServer, accepted: str, encoding: str | None
) -> None:
    account.create("charge")
    assert get(server, "/v1/charges", headers={"Accept-Encoding": accepted}).headers.get("Content-Encoding") == encoding


@pytest.mark.parametrize("host", ["http://api.example.com:80", "HTTPS://api.example.com", ""])
def test_a_request_may_come_as_to_a_proxy(server: StripeServer, host: str) -> None:
    assert exchange(server, raw(server, line=f"GET {host}/v1/charges?limit=1 HTTP/1.1")).startswith("HTTP/1.1 200 OK")
    assert (server.requests[0].path, server.requests[0].query) == ("/v1/charges", [("limit", "1")])


# ---------------------------------------------------------------------- clock and events


def test_the_clock_stands_until_it_is_moved_and_dates_the_answers(account: Account, server: StripeServer) -> None:
    assert get(server, "/v1/charges").headers["Date"] == "Wed, 18 Nov 2026 11:06:40 GMT"
    account.advance(DAY)
    assert account.now == NOW + DAY
    assert get(server, "/v1/charges").headers["Date"] == "Thu, 19 Nov 2026 11:06:40 GMT"


def test_an_account_without_a_time_follows_the_real_clock() -> None:
    account = Account()
    account.advance(100)
    assert abs(account.now - time.time() - 100) < 2


def test_events_age_out_after_thirty_days(account: Account, server: StripeServer) -> None:
    account.create("customer")
    account.advance(30 * DAY)
    (ident,) = ids(server, "/v1/events")
    account.advance(1)
    assert ids(server, "/v1/events") == []
    assert "aged out of our retention policy" in get(server, f"/v1/events/{ident}").json()["error"]["message"]
    cursor = get(server, f"/v1/events?starting_after={ident}")
    assert (cursor.status_code, cursor.json()["error"]["param"]) == (400, "starting_after")


def test_an_event_becomes_visible_late_at_its_own_place(account: Account, server: StripeServer) -> None:
    customer = account.create("customer", event=None)
    account.emit("customer.updated", customer["id"], id="evt_late", visible_at=NOW + 60)
    account.emit("customer.updated", customer["id"], at=NOW + 1, id="evt_prompt")
    assert ids(server, "/v1/events") == ["evt_prompt"]
    account.advance(60)
    assert ids(server, "/v1/events") == ["evt_prompt", "evt_late"]


def test_an_event_keeps_the_version_of_its_day(account: Account, server: StripeServer) -> None:
    account.default_version = "2024-06-20"
    account.create("subscription", {"id": "sub_1"})
    account.default_version = "2026-08-26.dahlia"
    account.update("subscription", "sub_1", {"description": "new"})
    new, old = get(server, "/v1/events").json()["data"]
    assert (old["api_version"], new["api_version"]) == ("2024-06-20", "2026-08-26.dahlia")
    assert old["data"]["object"]["current_period_start"] == NOW
    assert "current_period_start" not in new["data"]["object"]
    assert new["data"]["previous_attributes"] == {"description": None}


def test_an_event_holds_ten_lines_of_an_invoice(account: Account) -> None:
    account.create("invoice", {"lines": 11})
    lines = account.objects("event")[0]["data"]["object"]["lines"]
    assert (len(lines["data"]), lines["has_more"], lines["total_count"]) == (10, True, 11)


def test_a_deletion_tells_the_whole_object_without_a_flag(account: Account) -> None:
    account.create("product", {"id": "prod_1", "name": "Mug"})
    account.delete("product", "prod_1")
    newest = account.objects("event")[0]
    assert (newest["type"], newest["data"]["object"]["name"]) == ("product.deleted", "Mug")
    assert (newest["data"]["object"]["active"], "deleted" in newest["data"]["object"]) == (False, False)


def test_a_deleted_customer_takes_its_subscriptions_along(account: Account) -> None:
    account.create("customer", {"id": "cus_1"})
    account.create("subscription", {"id": "sub_1", "customer": "cus_1"})
    account.delete("customer", "cus_1")
    assert events(account)[2:] == ["customer.subscription.deleted", "customer.deleted"]
    assert account.listed("subscriptions")["sub_1"]["status"] == "canceled"


def test_a_refund_changes_its_charge(account: Account) -> None:
    account.create("charge", {"id": "ch_1", "amount": 500})
    account.create("refund", {"charge": "ch_1", "amount": 500})
    assert events(account) == ["charge.succeeded", "refund.created", "charge.refunded"]
    charge = account.listed("charges")["ch_1"]
    assert (charge["amount_refunded"], charge["refunded"]) == (500, True)


def test_a_refund_that_fails_is_taken_back(account: Account) -> None:
    account.create("charge", {"id": "ch_1", "amount": 500})
    account.create("refund", {"id": "re_1", "charge": "ch_1", "amount": 500})
    account.update("refund", "re_1", {"status": "failed"})
    assert events(account)[3:] == ["refund.updated", "charge.refund.updated", "refund.failed"]
    assert account.listed("charges")["ch_1"]["amount_refunded"] == 0


def test_an_older_account_tells_of_refunds_by_the_charge_alone(account: Account) -> None:
    account.legacy_refund_events = True
    account.create("charge", {"id": "ch_1"})
    account.create("refund", {"charge": "ch_1"})
    assert events(account) == ["charge.succeeded", "charge.refunded"]


def test_an_invoice_tells_its_life(account: Account) -> None:
    account.create("invoice", {"id": "in_1", "status": "draft"})
    account.update("invoice", "in_1", {"status": "paid"})
    told = ["invoice.created", "invoice.updated", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded"]
    assert events(account) == told


def test_a_silent_change_is_told_by_no_event(account: Account) -> None:
    account.create("payment_intent", {"id": "pi_1"}, event=None)
    account.update("payment_intent", "pi_1", {"metadata": {"a": "b"}})
    account.update("payment_intent", "pi_1", {"description": "x"}, event=None)
    assert events(account) == []


def test_metadata_merges_key_by_key(account: Account) -> None:
    account.create("customer", {"id": "cus_1", "metadata": {"a": "1", "b": "2"}})
    account.update("customer", "cus_1", {"metadata": {"a": None, "c": "3"}})
    assert account.listed("customers")["cus_1"]["metadata"] == {"b": "2", "c": "3"}
    previous = account.objects("event")[0]["data"]["previous_attributes"]
    assert previous == {"metadata": {"a": "1", "c": None}}


def test_a_pending_balance_transaction_settles_in_silence(account: Account, server: StripeServer) -> None:
    account.create("balance_transaction", {"id": "txn_1", "available_on": NOW + DAY})
    assert get(server, "/v1/balance_transactions/txn_1").json()["status"] == "pending"
    account.advance(DAY)
    assert get(server, "/v1/balance_transactions/txn_1").json()["status"] == "available"
    assert events(account) == []


# ---------------------------------------------------------------------- versions, keys, lists


@pytest.mark.parametrize(
    ("path", "message", "param", "code"),
    [
        ("/v1/charges?foo=1", "Received unknown parameter: foo", "foo", "parameter_unknown"),
        ("/v1/charges?foo=1&limit=2&bar[]=2&foo=3", "Received unknown parameters: foo, bar[]", "foo", "parameter_unknown"),
        ("/v1/charges?expand=data.customer", "Invalid array", "expand", None),
        ("/v1/charges/ch_1?expand=customer", "Invalid array", "expand", None),
        ("/v1/events?types=charge.failed", "Invalid array", "types", None),
        (
            "/v1/charges?expand[]=data.a.b.c.d",
            "You cannot expand more than 4 levels of a property. Property: data.a.b.c.d",
            None,
            "property_expansion_max_depth",
        ),
    ],
)
def test_wrong_parameters_are_named(server: StripeServer, path: str, message: str, param: str | None, code: str | None) -> None:
    refused = get(server, path)
    error = refused.json()["error"]
    assert (refused.status_code, error["message"], error.get("param"), error.get("code")) == (400, message, param, code)


def test_an_answer_is_in_the_version_that_was_asked_for(account: Account, server: StripeServer) -> None:
    account.create("subscription", {"id": "sub_1"})
    old = get(server, "/v1/subscriptions/sub_1", headers={"Stripe-Version": "2024-06-20"})
    new = get(server, "/v1/subscriptions/sub_1", headers={"Stripe-Version": "2026-08-26.dahlia"})
    assert (old.headers["Stripe-Version"], "current_period_end" in old.json()) == ("2024-06-20", True)
    assert (new.headers["Stripe-Version"], "current_period_end" in new.json()) == ("2026-08-26.dahlia", False)


def test_without_a_version_the_accounts_own_counts(account: Account, server: StripeServer) -> None:
    account.default_version = "2024-06-20"
    account.create("invoice", {"id": "in_1"})
    answer = get(server, "/v1/invoices/in_1")
    assert (answer.headers["Stripe-Version"], answer.json()["paid"]) == ("2024-06-20", True)


@pytest.mark.parametrize("version", ["2020-08-27", "2023-10-16; risk_in_requirements_beta=v1"])
def test_versions_of_old_and_with_trials_are_served(server: StripeServer, version: str) -> None:
    answer = get(server, "/v1/charges", headers={"Stripe-Version": version})
    assert (answer.status_code, answer.headers["Stripe-Version"]) == (200, version)


def test_discounts_in_an_array_have_the_shape_of_their_version(account: Account, server: StripeServer) -> None:
    coupon = account.create("coupon")["id"]
    about = {"customer": account.create("customer")["id"], "source": {"coupon": coupon, "type": "coupon"}}
    account.create("subscription", {"id": "sub_1", "discounts": [account.create("discount", about)["id"]]})
    path = "/v1/subscriptions?expand[]=data.discounts"
    (old,), (new,) = (
        get(server, path, headers={"Stripe-Version": version}).json()["data"][0]["discounts"]
        for version in ("2025-03-31.basil", "2025-09-30.clover")
    )
    assert (old["coupon"]["id"], "source" in old) == (coupon, False)
    assert (new["source"]["coupon"], "coupon" in new) == (coupon, False)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/v1/invoices/in_1?expand[]=payment_intent", ("payment_intent",)),
        ("/v1/charges/ch_1?expand[]=invoice", ("invoice",)),
        ("/v1/invoices/in_1?expand[]=charge.invoice.payment_intent", ("charge", "invoice", "payment_intent")),
    ],
)
def test_what_an_old_version_shows_it_expands(account: Account, server: StripeServer, path: str, place: tuple[str, ...]) -> None:
    intent = account.create("payment_intent", {"latest_charge": "ch_1"})["id"]
    account.create("charge", {"id": "ch_1", "payment_intent": intent})
    account.create("invoice", {"id": "in_1", "status": "paid"})
    account.create("invoice_payment", {"invoice": "in_1", "payment": {"type": "payment_intent", "payment_intent": intent}})
    found = get(server, path, headers={"Stripe-Version": "2024-06-20"}).json()
    for name in place:
        found = found[name]
    assert found["object"] == place[-1]
    assert get(server, path).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/v1/subscriptions?expand[]=data.items.data.price",
        "/v1/customers?expand[]=data.discount",
        "/v1/accounts?expand[]=data.external_accounts",
    ],
)
def test_what_is_there_whole_may_be_expanded_too(account: Account, server: StripeServer, path: str) -> None:
    account.create("subscription", {"customer": account.create("customer")["id"]})
    account.connect()
    plain = get(server, path.partition("?")[0]).json()["data"]
    assert get(server, path).json()["data"] == plain


def test_an_item_of_a_session_shows_discounts_and_taxes_when_asked_for(account: Account, server: StripeServer) -> None:
    session = account.create("checkout.session", {"line_items": 1})["id"]
    path = f"/v1/checkout/sessions/{session}/line_items"
    (plain,) = get(server, path).json()["data"]
    (whole,) = get(server, f"{path}?expand[]=data.discounts&expand[]=data.taxes").json()["data"]
    assert plain.keys().isdisjoint({"discounts", "taxes"})
    assert whole == plain | {"discounts": [], "taxes": []}


def test_what_is_new_is_not_expanded_in_an_old_version(server: StripeServer) -> None:
    path = "/v1/invoices?expand[]=data.payments"
    assert get(server, path, headers={"Stripe-Version": "2024-06-20"}).status_code == 400
    assert get(server, path).status_code == 200


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("charges?expand[]=data.payment_intent", ()),
        ("disputes?expand[]=data.charge.payment_intent", ("charge",)),
        ("payment_intents?expand[]=data.latest_charge.payment_intent", ("latest_charge",)),
        ("balance_transactions?expand[]=data.source.payment_intent", ("source",)),
    ],
)
def test_a_charge_of_old_names_its_invoice_beside_its_payment_intent(
    account: Account, server: StripeServer, path: str, place: tuple[str, ...]
) -> None:
    account.create("payment_intent", {"id": "pi_1", "latest_charge": "ch_1"})
    account.create("charge", {"id": "ch_1", "payment_intent": "pi_1"})
    account.create("dispute", {"charge": "ch_1"})
    account.create("balance_transaction", {"source": "ch_1"})
    account.create("invoice_payment", {"invoice": "in_1", "payment_intent": "pi_1"})
    (found,) = in_version("2024-06-20", server, f"/v1/{path}")["data"]
    for name in place:
        found = found[name]
    assert (found["invoice"], found["payment_intent"]["id"], found["payment_intent"]["invoice"]) == ("in_1", "pi_1", "in_1")


@pytest.mark.parametrize("path", ["charges?expand[]=data.refunds", "payment_intents?expand[]=data.latest_charge"])
def test_a_charge_of_old_has_its_refunds_wherever_it_stands(account: Account, server: StripeServer, path: str) -> None:
    account.create("payment_intent", {"latest_charge": "ch_1"})
    account.create("charge", {"id": "ch_1"})
    account.create("refund", {"id": "re_1", "charge": "ch_1"})
    for shown in ("charges", path):
        (found,) = in_version("2022-08-01", server, f"/v1/{shown}")["data"]
        refunds = found.get("latest_charge", found)["refunds"]
        assert ([each["id"] for each in refunds["data"]], refunds["has_more"]) == (["re_1"], False)
    assert "refunds" not in in_version("2022-11-15", server, "/v1/charges/ch_1")


def test_a_payment_intent_of_old_has_its_charges(account: Account, server: StripeServer) -> None:
    account.default_version = "2022-08-01"
    account.create("charge", {"id": "ch_1", "payment_intent": "pi_1", "customer": account.create("customer")["id"]})
    account.create("charge", {"id": "ch_2", "payment_intent": "pi_1"})
    shown = account.view(account.create("payment_intent", {"id": "pi_1"}), version="2022-08-01")["charges"]
    assert ([each["id"] for each in shown["data"]], shown["total_count"]) == (["ch_2", "ch_1"], 2)
    assert (shown["has_more"], shown["url"]) == (False, "/v1/charges?payment_intent=pi_1")
    assert shown == account.objects("event")[0]["data"]["object"]["charges"]
    path = "/v1/payment_intents?expand[]=data.charges&expand[]=data.charges.data.customer"
    (found,) = in_version("2022-08-01", server, path)["data"]
    assert found["charges"]["data"][1]["customer"]["object"] == "customer"


@pytest.mark.parametrize("version", ["2022-11-15", "2026-08-26.dahlia"])
def test_a_payment_intent_has_no_charges_since(account: Account, server: StripeServer, version: str) -> None:
    account.create("payment_intent", {"id": "pi_1"})
    assert "charges" not in in_version(version, server, "/v1/payment_intents/pi_1")
    refused = get(server, "/v1/payment_intents?expand[]=data.charges", headers={"Stripe-Version": version})
    assert (refused.status_code, refused.json()["error"]["message"][:34]) == (400, "This property cannot be expanded (")
    assert get(server, "/v1/payment_intents/pi_1/charges").status_code == 404


def test_a_customer_of_old_has_its_lists_unasked(account: Account, server: StripeServer) -> None:
    account.create("customer", {"id": "cus_1"})
    account.create("tax_id", {"id": "txi_1", "customer": "cus_1"})
    account.create("card", {"id": "card_1", "customer": "cus_1"})
    account.create("subscription", {"id": "sub_1", "customer": "cus_1"})
    account.default_version = "2020-03-02"
    account.update("customer", "cus_1", {"name": "Jenny"})
    old = in_version("2020-03-02", server, "/v1/customers/cus_1")
    listed = {name: [each["id"] for each in old[name]["data"]] for name in ("sources", "subscriptions", "tax_ids")}
    assert listed == {"sources": ["card_1"], "subscriptions": ["sub_1"], "tax_ids": ["txi_1"]}
    assert "current_period_end" in old["subscriptions"]["data"][0]
    assert old == in_version("2020-03-02", server, "/v1/customers/cus_1?expand[]=sources&expand[]=tax_ids")
    assert old == account.objects("event")[0]["data"]["object"]
    assert not listed.keys() & in_version("2020-08-27", server, "/v1/customers/cus_1").keys()


def test_a_plan_of_old_has_its_tiers_unasked(account: Account, server: StripeServer) -> None:
    tiered = account.create("price", {"id": "price_1", "billing_scheme": "tiered"})
    account.create("price", {"id": "price_2"})
    account.create("subscription", {"items": [{"price": tiered}]})
    old = {each["id"]: each for each in in_version("2020-03-02", server, "/v1/plans?expand[]=data.tiers")["data"]}
    assert (old["price_1"]["tiers"], old["price_2"]["tiers"]) == (tiered["tiers"], None)
    assert in_version("2020-03-02", server, "/v1/plans/price_1") == old["price_1"]
    (subscription,) = in_version("2020-03-02", server, "/v1/subscriptions")["data"]
    assert subscription["plan"] == subscription["items"]["data"][0]["plan"] == old["price_1"]
    assert "tiers" not in in_version("2020-08-27", server, "/v1/plans/price_1")


def test_an_invoice_item_of_old_tells_its_price_and_subscription_by_itself(account: Account, server: StripeServer) -> None:
    account.create("price", {"id": "price_1"})
    account.create("subscription", {"id": "sub_1"})
    pricing = {"price_details": {"price": "price_1"}, "unit_amount_decimal": "700"}
    origin = {"subscription_details": {"subscription": "sub_1", "subscription_item": "si_1"}}
    account.create("invoiceitem", {"id": "ii_1", "pricing": pricing, "parent": origin, "proration": True})
    account.create("invoiceitem", {"id": "ii_2", "pricing": pricing | {"unit_amount_decimal": "0.5"}})
    path = "/v1/invoiceitems?expand[]=data.subscription&expand[]=data.price.product"
    plain, prorated = in_version("2024-06-20", server, path)["data"]
    assert (prorated["price"]["id"], prorated["plan"]["object"], prorated["subscription"]["id"]) == ("price_1", "plan", "sub_1")
    assert (prorated["subscription_item"], prorated["unit_amount"], prorated["unit_amount_decimal"]) == ("si_1", 700, "700")
    assert (plain["price"]["id"], plain["plan"], plain["subscription"]) == ("price_1", None, None)
    assert "subscription_item" not in plain
    assert (plain["unit_amount"], plain["unit_amount_decimal"]) == (None, "0.5")
    assert not {"parent", "pricing"} & (plain.keys() | prorated.keys())


def test_a_credit_note_of_old_has_one_refund_and_its_tax_amounts(account: Account, server: StripeServer) -> None:
    rate = account.create("tax_rate")["id"]
    tax = {"amount": 19, "tax_behavior": "inclusive", "taxability_reason": "standard_rated", "taxable_amount": 100}
    refunds = [{"amount_refunded": 100, "refund": account.create("refund", {"id": "re_1"})["id"]}]
    account.create("credit_note", {"refunds": refunds, "total_taxes": [tax | {"tax_rate_details": {"tax_rate": rate}}]})
    account.create("credit_note")
    plain, refunded = in_version("2024-06-20", server, "/v1/credit_notes?expand[]=data.refund")["data"]
    assert (refunded["refund"]["object"], plain["refund"], plain["tax_amounts"]) == ("refund", None, [])
    (shown,) = refunded["tax_amounts"]
    assert (shown["amount"], shown["inclusive"], shown["tax_rate"]) == (19, True, rate)
    assert not {"refunds", "total_taxes"} & refunded.keys()
    refused = get(server, "/v1/credit_notes?expand[]=data.refunds.refund", headers={"Stripe-Version": "2024-06-20"})
    assert (refused.status_code, get(server, "/v1/credit_notes?expand[]=data.refund").status_code) == (400, 400)


def test_the_taxes_of_an_invoice_of_old_are_tax_amounts(account: Account, server: StripeServer) -> None:
    taxes = [{"amount": 19, "tax_behavior": "exclusive", "tax_rate_details": {"tax_rate": account.create("tax_rate")["id"]}}]
    account.create("invoice", {"id": "in_1", "total_taxes": taxes, "lines": [{"taxes": taxes}]})
    path = "/v1/invoices/in_1?expand[]=total_tax_amounts.tax_rate&expand[]=lines.data.tax_amounts.tax_rate"
    shown = in_version("2024-06-20", server, path)
    (total,), (line,) = shown["total_tax_amounts"], shown["lines"]["data"][0]["tax_amounts"]
    assert (shown["tax"], total["amount"], total["inclusive"], total["tax_rate"]["object"]) == (19, 19, False, "tax_rate")
    assert line == total


def test_a_checkout_session_of_old_has_shipping_details(account: Account, server: StripeServer) -> None:
    shipping = {"address": {"country": "US"}, "name": "Jenny"}
    account.create("checkout.session", {"id": "cs_1", "collected_information": {"shipping_details": shipping}})
    account.create("checkout.session", {"id": "cs_2"})
    plain, shipped = in_version("2025-02-24.acacia", server, "/v1/checkout/sessions")["data"]
    assert (shipped["shipping_details"], plain["shipping_details"]) == (shipping, None)
    assert "shipping_details" not in in_version("2025-03-31.basil", server, "/v1/checkout/sessions/cs_1")


@pytest.mark.parametrize("kind", ["invoice", "subscription"])
def test_the_discount_of_old_is_expanded_within(account: Account, server: StripeServer, kind: str) -> None:
    source = {"coupon": account.create("coupon", {"id": "TEN"})["id"], "type": "coupon"}
    code = account.create("promotion_code", {"promotion": source})["id"]
    account.create(kind, {"discounts": [account.create("discount", {"source": source, "promotion_code": code})["id"]]})
    (plain,) = in_version("2024-06-20", server, f"/v1/{kind}s")["data"]
    assert (plain["discount"]["promotion_code"], plain["discount"]["coupon"]["id"]) == (code, "TEN")
    path = f"/v1/{kind}s?expand[]=data.discount.promotion_code"
    (grown,) = in_version("2024-06-20", server, path)["data"]
    assert (grown["discount"]["promotion_code"]["id"], grown["discount"]["promotion_code"]["coupon"]["id"]) == (code, "TEN")
    assert get(server, path).status_code == 400


def test_an_item_of_old_has_no_period_of_its_own(account: Account, server: StripeServer) -> None:
    account.create("subscription", {"id": "sub_1"})
    path = "/v1/subscription_items?subscription=sub_1"
    old, new = (in_version(each, server, path)["data"][0] for each in ("2025-02-24.acacia", "2025-03-31.basil"))
    assert ("current_period_end" in old, "current_period_end" in new) == (False, True)


def test_expanding_in_an_old_version_needs_a_permission_too(account: Account, server: StripeServer) -> None:
    key, old = server.restricted_key(["invoice_read"]), {"Stripe-Version": "2024-06-20"}
    assert get(server, "/v1/invoices?expand[]=data.payment_intent", key=key, headers=old).status_code == 403


def test_an_invoice_of_old_has_rendering_options(account: Account, server: StripeServer) -> None:
    account.create("invoice", {"id": "in_1"})
    shown = get(server, "/v1/invoices/in_1", headers={"Stripe-Version": "2023-10-16"}).json()
    assert ("rendering_options" in shown, "rendering" in shown) == (True, False)


def test_a_permission_can_be_given_and_taken(server: StripeServer) -> None:
    key = server.restricted_key(["customer_read"])
    assert get(server, "/v1/coupons", key=key).status_code == 403
    server.allow(key, "coupon_read")
    assert get(server, "/v1/coupons", key=key).status_code == 200
    server.forbid(key, "coupon_read")
    assert get(server, "/v1/coupons", key=key).status_code == 403


def test_expanding_needs_the_permission_of_what_is_expanded(account: Account, server: StripeServer) -> None:
    account.create("charge", {"customer": account.create("customer")["id"]})
    key = server.restricted_key(["charge_read"])
    assert get(server, "/v1/charges?expand[]=data.refunds", key=key).status_code == 200
    refused = get(server, "/v1/charges?expand[]=data.customer", key=key)
    assert (refused.status_code, "('customer_read')" in refused.json()["error"]["message"]) == (403, True)


def test_a_key_may_be_bound_to_another_address(server: StripeServer) -> None:
    server.bind_ip(server.secret_key)
    answer = get(server, "/v1/charges")
    assert answer.status_code == 401
    assert answer.json()["error"]["message"].startswith("The API key provided does not allow requests from your IP")


def test_an_account_that_connects_none_is_no_platform(account: Account, server: StripeServer) -> None:
    refused = get(server, "/v1/charges", headers={"Stripe-Account": "acct_other"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "platform_account_required")
    server.connect("acct_other", Account(now=NOW))
    assert get(server, "/v1/charges", headers={"Stripe-Account": "acct_other"}).status_code == 200
    unknown = get(server, "/v1/charges", headers={"Stripe-Account": "acct_wrong"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (403, "account_invalid")


def test_prices_may_list_both_kinds_by_default(account: Account, server: StripeServer) -> None:
    account.create("price", {"id": "price_new"})
    account.create("price", {"id": "price_old", "active": False})
    assert ids(server, "/v1/prices") == ["price_new"]
    account.prices_default = "both"
    assert ids(server, "/v1/prices") == ["price_old", "price_new"]


def test_inline_prices_and_test_clocks_are_in_no_list(account: Account, server: StripeServer) -> None:
    account.create("price", {"id": "price_inline"}, inline=True)
    account.create("customer", {"id": "cus_clock", "test_clock": "clock_1"})
    assert ids(server, "/v1/prices") == ids(server, "/v1/customers") == []
    assert get(server, "/v1/prices/price_inline").status_code == 200
    assert get(server, "/v1/customers/cus_clock").status_code == 200


def test_objects_of_a_test_clock_are_listed_for_who_asks_for_it(account: Account, server: StripeServer) -> None:
    account.create("customer", {"id": "cus_other"})
    for name in ("a", "b", "c"):
        account.create("customer", {"id": f"cus_{name}", "test_clock": "clock_1"})
    account.create("subscription", {"id": "sub_1", "customer": "cus_a", "test_clock": "clock_1"})
    assert ids(server, "/v1/customers?test_clock=clock_1") == ["cus_c", "cus_b", "cus_a"]
    assert ids(server, "/v1/customers?test_clock=clock_1&limit=1&starting_after=cus_c") == ["cus_b"]
    assert ids(server, "/v1/subscriptions") == []
    assert ids(server, "/v1/subscriptions?test_clock=clock_1") == ids(server, "/v1/subscriptions?customer=cus_a") == ["sub_1"]


def test_a_disputed_charge_names_its_dispute(account: Account, server: StripeServer) -> None:
    charge = account.create("charge")["id"]
    dispute = account.create("dispute", {"charge": charge})["id"]
    shown = get(server, f"/v1/charges/{charge}").json()
    assert (shown["disputed"], shown["dispute"]) == (True, dispute)


def test_events_of_one_request_tell_the_same_request(account: Account) -> None:
    account.create("price")
    account.create("coupon")
    by_type = {each["type"]: each["request"] for each in account.objects("event")}
    assert by_type["price.created"] == by_type["plan.created"] != by_type["coupon.created"]


def test_what_has_no_delete_is_not_deleted(account: Account, server: StripeServer) -> None:
    headers = {"Authorization": f"Bearer {server.secret_key}"}
    said = requests.delete(f"{server.url}/v1/prices/price_1", headers=headers, timeout=5).json()["error"]
    assert said["message"].startswith("Unrecognized request URL (DELETE: /v1/prices/price_1).")
    account.create("subscription", {"id": "sub_1", "status": "canceled"})
    said = requests.delete(f"{server.url}/v1/subscriptions/sub_1", headers=headers, timeout=5).json()["error"]
    assert (said["code"], said["param"]) == ("resource_missing", "id")


def test_a_trailing_slash_is_told(server: StripeServer) -> None:
    said = get(server, "/v1/charges/").json()["error"]["message"]
    assert said.startswith(
        "Unrecognized request URL (GET: /v1/charges/). If you are trying to list objects, remove the trailing slash."
    )


def test_a_payment_method_is_not_another_customers(account: Account, server: StripeServer) -> None:
    account.create("customer", {"id": "cus_1"})
    account.create("payment_method", {"id": "pm_1", "customer": None})
    refused = get(server, "/v1/customers/cus_1/payment_methods/pm_1")
    said = refused.json()["error"]
    assert (refused.status_code, said["message"], said["param"], "code" in said) == (404, "Invalid request", "customer", False)


@pytest.mark.parametrize(
    ("query", "param"),
    [("invoice_payments?payment[payment_intent]=pi_1", "payment[type]"), ("tax_ids?owner[customer]=cus_1", "owner[type]")],
)
def test_a_part_of_a_filter_needs_its_type(server: StripeServer, query: str, param: str) -> None:
    said = get(server, f"/v1/{query}").json()["error"]
    assert (said["code"], said["param"]) == ("parameter_missing", param)


@pytest.mark.parametrize(
    "query",
    ["quotes?status", "payment_methods?type", "files?purpose", "issuing/cards?status", "billing/alerts?alert_type"],
)
def test_a_filter_takes_what_there_is(query: str) -> None:
    with StripeServer(Account(NOW, products=PRODUCTS)) as server:
        refused = get(server, f"/v1/{query}=bogus")
    assert (refused.status_code, refused.json()["error"]["message"][:8]) == (400, "Invalid ")


def test_a_recurring_price_is_a_plan_too(account: Account, server: StripeServer) -> None:
    account.create("price", {"id": "price_1", "unit_amount": 700})
    assert get(server, "/v1/plans/price_1").json()["amount"] == 700
    account.update("price", "price_1", {"active": False})
    assert get(server, "/v1/plans/price_1").json()["active"] is False


def test_a_collection_may_be_added(account: Account, server: StripeServer) -> None:
    assert get(server, "/v1/widgets").status_code == 404
    account.add_collection("/v1/widgets", "widget", ["customer", "created"])
    account.create("widget", {"id": "widget_1", "customer": "cus_1"})
    assert ids(server, "/v1/widgets?customer=cus_1&created[gte]=1") == ["widget_1"]
    assert ids(server, "/v1/widgets?customer=cus_2") == []
    assert list(account.listed("widgets")) == ["widget_1"]


def test_the_truth_has_nested_lists_whole(account: Account) -> None:
    account.create("invoice", {"id": "in_1", "lines": 12})
    account.create("charge", {"id": "ch_1"})
    for _ in range(11):
        account.create("refund", {"charge": "ch_1", "amount": 1})
    assert account.listed("invoices")["in_1"]["lines"]["has_more"] is True
    assert len(account.listed("invoices", nested=["lines"])["in_1"]["lines"]["data"]) == 12
    assert len(account.listed("charges", expand=["refunds"])["ch_1"]["refunds"]["data"]) == 10
    assert len(account.listed("charges", nested=["refunds"])["ch_1"]["refunds"]["data"]) == 11


# ---------------------------------------------------------------------- bulk


@pytest.mark.parametrize("spread", ["even", "crowded", "late"])
def test_a_bulk_pages_and_reads_like_any_other(account: Account, server: StripeServer, spread: str) -> None:
    account.bulk("charge", 250, spread=spread, since=NOW - 400 * DAY, until=NOW - DAY)
    account.create("charge", {"id": "ch_between"}, at=NOW - 200 * DAY)
    seen: list[dict[str, Any]] = []
    while True:
        cursor = f"&starting_after={seen[-1]['id']}" if seen else ""
        page = get(server, f"/v1/charges?limit=100{cursor}").json()
        seen += page["data"]
        if not page["has_more"]:
            break
    assert len({each["id"] for each in seen}) == 251
    assert [each["created"] for each in seen] == sorted((each["created"] for each in seen), reverse=True)
    assert get(server, f"/v1/charges/{seen[77]['id']}").json() == seen[77]
    assert {each["id"]: each for each in seen} == account.listed("charges")


@pytest.mark.parametrize("kind", ["balance_transaction", "event", "invoice", "payment_intent", "refund", "subscription"])
def test_a_bulk_may_be_of_any_kind(account: Account, server: StripeServer, kind: str) -> None:
    account.bulk(kind, 5, since=NOW - DAY)
    newest = get(server, f"/v1/{kind}s?limit=1").json()["data"][0]
    assert get(server, f"/v1/{kind}s/{newest['id']}").json() == newest
    assert len(account.listed(f"{kind}s")) == 5


def test_an_object_of_a_bulk_can_change_and_go(account: Account, server: StripeServer) -> None:
    account.bulk("charge", 10)
    first, second, *_ = ids(server, "/v1/charges")
    account.update("charge", second, {"description": "changed"})
    assert ids(server, "/v1/charges")[:2] == [first, second]
    assert get(server, f"/v1/charges/{second}").json()["description"] == "changed"
    account.delete("charge", first)
    assert len(ids(server, "/v1/charges")) == 9


def test_a_bulk_is_the_same_in_every_process() -> None:
    accounts = [Account(now=NOW, seed=seed) for seed in (1, 2)]
    for each in accounts:
        each.bulk("charge", 100)
    keys = [[(obj["id"], obj["created"]) for obj in each.objects("charge")] for each in accounts]
    assert keys[0] == keys[1]


# ---------------------------------------------------------------------- the film, and other processes


@pytest.fixture(scope="module")
def film() -> Account:
    return made_up_account(now=NOW)


def test_the_film_is_the_same_each_time(film: Account) -> None:
    again = made_up_account(now=NOW)
    assert again.listed("events") == film.listed("events")
    assert again.listed("invoices") == film.listed("invoices")


def test_the_films_invoices_add_up(film: Account) -> None:
    whole = film.listed("invoices", nested=["lines"]).values()
    assert {0, 10, 11, 250, 1000} <= {len(each["lines"]["data"]) for each in whole}
    assert all(each["total"] == sum(line["amount"] for line in each["lines"]["data"]) for each in whole)
    assert {each["status"] for each in whole} == {"draft", "open", "paid", "uncollectible", "void"}


def test_the_films_refunds_and_disputes_have_their_charge(film: Account) -> None:
    charges = film.listed("charges", nested=["refunds"])
    for ident, charge in charges.items():
        assert charge["amount_refunded"] == sum(each["amount"] for each in charge["refunds"]["data"]), ident
    assert max(len(charge["refunds"]["data"]) for charge in charges.values()) >= 12
    assert all(charges[each["charge"]]["disputed"] for each in film.objects("dispute"))


def test_the_films_payouts_pay_out_what_was_earned(film: Account) -> None:
    rows = film.listed("balance_transactions")
    for payout in film.objects("payout"):
        assert payout["amount"] == sum(rows[each]["net"] for each in film.payout_contents[payout["id"]])


def test_the_film_crowds_a_hundred_objects_into_a_second(film: Account) -> None:
    for kind in ("customer", "charge", "event"):
        seconds = [each["created"] for each in film.objects(kind)]
        assert max(map(seconds.count, set(seconds))) > 100


def control(server_url: str, name: str, **given: Any) -> Any:
    answer = requests.post(f"{server_url}/_control/{name}", json=given, timeout=5)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_another_process_can_direct_the_account(server: StripeServer) -> None:
    url = server.url
    made = control(url, "create", object="customer", fields={"email": "a@example.com"})
    control(url, "update", object="customer", id=made["id"], fields={"email": "b@example.com"})
    truth = requests.get(f"{url}/_control/listed?stream=customers&expand=sources,tax_ids", timeout=5).json()
    assert (truth[made["id"]]["email"], truth[made["id"]]["sources"]["data"]) == ("b@example.com", [])
    assert control(url, "advance", seconds=DAY) == {"now": NOW + DAY}
    control(url, "fault", kind="status", status=504)
    assert get(server, "/v1/charges").status_code == 504
    control(url, "delete", object="customer", id=made["id"])
    control(url, "limit", per_second=1)
    assert [get(server, "/v1/customers").json().get("data") for _ in range(2)] == [[], None]
    assert [each["status"] for each in control(url, "requests")] == [504, 200, 429]
    control(url, "revoke", key=server.secret_key)
    assert get(server, "/v1/charges").status_code == 401


def test_a_wrong_direction_is_refused(server: StripeServer) -> None:
    answer = requests.post(f"{server.url}/_control/fault", json={"kind": "meteor"}, timeout=5)
    assert (answer.status_code, "no fault is called 'meteor'" in answer.text) == (400, True)


def test_it_serves_as_a_process_until_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "integration_tests.embedded_stripe", "--size", "empty", "--bulk", "charge=1000"]
    command += ["--config", str(tmp_path / "secrets" / "config.json")]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        answer = requests.get(said["url"] + "/v1/charges", auth=(said["secret_key"], ""), timeout=5)
        assert len(answer.json()["data"]) == 10
        config = json.loads((tmp_path / "secrets" / "config.json").read_text())
        assert (config["api_base"], config["secret_key"]) == (said["url"], said["restricted_key"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
