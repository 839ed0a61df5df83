"""What Stripe says no with, and what of it a user reads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import responses
from airbyte_cdk.models import FailureType
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe.api.errors import StripeError, error_of, first_of
from source_stripe.api.request import Request
from source_stripe.messages import traced
from source_stripe.sentences import missing_rows, of_error
from source_stripe.source import SourceStripe

REQUESTER = SourceStripe(config={"secret_key": "sk_test_51H8xample", "api_base": "https://stripe.example"}).requester
ROWS = {"charge_read": "Charges and Refunds", "coupon_read": "Coupons"}
CONFIG, TRANSIENT, SYSTEM = FailureType.config_error, FailureType.transient_error, FailureType.system_error


def error(status: int, headers: dict[str, str] | None = None, **fields: Any) -> StripeError:
    """What a request fails with that Stripe answers so, as the manifest's error handler judges it."""
    transport = REQUESTER.transport(threads=1)
    with responses.RequestsMock() as stripe:
        stripe.get(
            "https://stripe.example/v1/charges",
            status=status,
            json={"error": {"type": "invalid_request_error", **fields}} if status != 204 else None,
            headers=headers,
        )
        with pytest.raises(StripeError) as raised:
            asyncio.run(transport.send(Request("/v1/charges")))
    transport.close()
    return raised.value


def test_an_error_carries_what_stripe_told() -> None:
    body = b'{"error": {"code": "resource_missing", "message": "No such customer: \'cus_a\'", "param": "starting_after"}}'
    assert error_of(400, {"Request-Id": "req_1"}, body) == StripeError(
        "No such customer: 'cus_a'", 400, "resource_missing", "starting_after", "req_1"
    )


def test_stripes_words_come_with_what_finds_the_request() -> None:
    assert (
        str(error(400, {"Request-Id": "req_1"}, message="Invalid integer: abc"))
        == "Invalid integer: abc (HTTP 400, request req_1)"
    )
    assert str(StripeError("the connection broke")) == "the connection broke"


NESTED = b'{"x": ' * 100_000 + b"1" + b"}" * 100_000


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>nginx</html>", b'{"error": "unauthorized"}', b'{"error": {"message": 7}}', b"[]", b"\xff\xfe", b"null", NESTED],
)
def test_an_error_is_one_whatever_its_body_is(body: bytes) -> None:
    assert str(error_of(502, {}, body)) == "Stripe answered 502 without a message (HTTP 502)"


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_passes_is_tried_again(status: int) -> None:
    assert error(status).retryable


@pytest.mark.parametrize("status", [204, 302, 400, 401, 402, 403, 404, 405, 410, 422])
def test_what_does_not_pass_is_not_tried_again(status: int) -> None:
    assert not error(status).retryable


def test_stripes_own_word_on_trying_again_counts() -> None:
    assert not error(500, {"Stripe-Should-Retry": "false"}).retryable
    assert error(400, {"Stripe-Should-Retry": "true"}).retryable


def test_a_rate_limit_may_come_as_400() -> None:
    assert (error(400, code="rate_limit").retryable, error(400, code="rate_limit").limited) == (True, "unnamed")


@pytest.mark.parametrize(
    ("headers", "code", "limited"),
    [
        ({"Stripe-Rate-Limited-Reason": "endpoint-rate"}, "rate_limit", "endpoint-rate"),
        ({"Stripe-Rate-Limited-Reason": "global-concurrency"}, "rate_limit", "global-concurrency"),
        ({}, "rate_limit", "unnamed"),
        ({}, "lock_timeout", ""),
    ],
)
def test_a_429_names_its_limit_and_a_lock_is_none(headers: dict[str, str], code: str, limited: str) -> None:
    assert error(429, headers, code=code).limited == limited


@pytest.mark.parametrize(
    ("header", "pause"),
    [("7", 7.0), ("0.5", 0.5), ("-1", 0.0), ("86400", 300.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0), ("", 0.0)],
)
def test_the_pause_that_is_asked_for_is_kept_within_reason(header: str, pause: float) -> None:
    assert error(503, {"Retry-After": header}).pause == pause


def test_an_object_that_is_gone_is_not_a_cursor_that_is_gone() -> None:
    gone = error(404, code="resource_missing", param="id", message="No such charge: 'ch_1'")
    cursor = error(400, code="resource_missing", param="starting_after", message="No such charge: 'ch_1'")
    assert (gone.is_missing_object, gone.is_missing_cursor) == (True, False)
    assert (cursor.is_missing_object, cursor.is_missing_cursor) == (False, True)


def test_a_cursor_that_aged_out_is_gone() -> None:
    aged = error(404, message="The event evt_1 is no longer available because it's aged out of our retention policy.")
    assert (aged.is_aged_out, aged.is_missing_cursor) == (True, True)


def test_a_wrong_address_is_no_missing_object() -> None:
    wrong = error(404, message="Unrecognized request URL (GET: /v1/x).")
    assert not wrong.is_missing_object
    assert not wrong.is_missing_cursor


@pytest.mark.parametrize(
    "code", ["", "more_permissions_required", "more_permissions_required_for_application", "oauth_not_supported"]
)
def test_a_403_is_a_missing_permission(code: str) -> None:
    assert error(403, code=code).is_missing_permission


@pytest.mark.parametrize("code", ["account_invalid", "platform_account_required", "secret_key_required"])
def test_a_403_of_the_account_or_the_kind_of_key_is_no_missing_permission(code: str) -> None:
    assert not error(403, code=code).is_missing_permission


@pytest.mark.parametrize(
    ("refused", "words", "kind"),
    [
        (
            error(401, message="Invalid API Key provided: sk_test_****1234"),
            "Stripe does not know the key, or it was revoked.",
            CONFIG,
        ),
        (
            error(401, code="api_key_expired", message="Expired API Key provided: rk_****"),
            "Invalid API Key: the key has expired.",
            CONFIG,
        ),
        (
            error(401, message="The API key provided does not allow requests from your IP address."),
            "the key may not be used from this machine's IP address.",
            CONFIG,
        ),
        (error(403, message="..."), 'Set "Charges and Refunds: Read" in the key\'s form', CONFIG),
        (
            error(403, code="account_invalid"),
            "Account not connected: the key has no access to the account in `account_id` or `account_ids`.",
            CONFIG,
        ),
        (error(403, code="platform_account_required"), "Account not connected: the key is no Connect platform's.", CONFIG),
        (error(403, code="secret_key_required"), "it is a publishable key. Use a restricted or secret key", CONFIG),
        (error(429, code="rate_limit"), "Rate limit exceeded: Stripe kept refusing for too many requests.", TRANSIENT),
        (error(429, code="lock_timeout"), "trying again did not help. The next sync goes on from here.", TRANSIENT),
        (error(503), "trying again did not help. The next sync goes on from here.", TRANSIENT),
        (StripeError("the connection broke", retryable=True), "trying again did not help.", TRANSIENT),
        (error(400, message="Invalid Stripe API version: 2031-01-01"), "Stripe does not know the API version", SYSTEM),
        (error(400, message="Received unknown parameter: wat"), "in a way that trying again can't mend", SYSTEM),
    ],
)
def test_a_user_reads_what_is_wrong_and_the_platform_whose_turn_it_is(
    refused: StripeError, words: str, kind: FailureType
) -> None:
    told = traced(refused, "charges", "Charges and Refunds", ROWS)
    assert told.message is not None
    assert words in told.message
    assert str(refused) in told.message
    assert told.failure_type == kind


def test_every_sentence_ends_with_stripes_words() -> None:
    assert of_error(error(403, {"Request-Id": "req_1"}, message="Permission denied."), "Events", ROWS).endswith(
        "Stripe says: Permission denied. (HTTP 403, request req_1)"
    )


def test_an_error_that_is_told_already_stays_as_it_is() -> None:
    told = AirbyteTracedException(message="The catalog asks for a stream that does not exist.", failure_type=CONFIG)
    assert traced(told, "events", "Events", ROWS) is told


def test_a_defect_of_the_connector_asks_to_be_reported_without_showing_data() -> None:
    told = traced(KeyError("jenny@example.com"), "customers", "Customers", ROWS)
    assert told.message == "The connector failed on its own account (KeyError). Please report this."
    assert told.failure_type == SYSTEM


@pytest.mark.parametrize(
    ("message", "rows"),
    [
        ("Having the 'rak_coupon_read' permission would allow this request to continue.", ["Coupons"]),
        ("Having the 'rak_coupon_read', 'rak_charge_read' permissions would", ["Coupons", "Charges and Refunds"]),
        ("Enabling \"Coupons Read\" ('coupon_read') permissions on this key", ["Coupons"]),
        ("Having the 'rak_unheard_of_read' permission would allow this", ["Invoices"]),
        ("Having more permissions would allow this request to continue.", ["Invoices"]),
    ],
)
def test_the_row_to_set_is_the_one_that_stripe_names_by_its_row_or_its_token(message: str, rows: list[str]) -> None:
    assert missing_rows(error(403, message=message), "Invoices", ROWS) == rows


def test_of_errors_that_came_together_the_first_counts() -> None:
    first = StripeError("no such parameter", 400)
    assert first_of(ExceptionGroup("", [ExceptionGroup("", [first]), KeyError("lines")])) is first
