"""One request and its answer: what is sent, to whom, and what each answer counts as."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe.api.errors import StripeError
from source_stripe.api.request import Answer, Request, query_of
from source_stripe.components import JitteredBackoffStrategy
from source_stripe.source import SourceStripe

KEY = "rk_test_51H8xample00"
BASE = "https://stripe.example"
CHARGES = f"{BASE}/v1/charges"


def source(**options: Any) -> SourceStripe:
    return SourceStripe(config={"secret_key": KEY, "api_base": BASE, **options})


def send(request: Request, **options: Any) -> Answer:
    """The answer to one request, sent as the manifest and the config say."""
    transport = source(**options).requester.transport(threads=1)
    try:
        return asyncio.run(transport.send(request))
    finally:
        transport.close()


def refused(**options: Any) -> StripeError:
    """What a request for charges is refused with, when the answer is what `options` say."""
    with responses.RequestsMock() as stripe:
        stripe.get(CHARGES, **options)
        with pytest.raises(StripeError) as caught:
            send(Request("/v1/charges"))
        assert len(stripe.calls) == 1
    return caught.value


@responses.activate
def test_a_request_carries_the_key_and_the_pinned_version() -> None:
    responses.get(CHARGES, body=b"{}")
    send(Request("/v1/charges"))
    headers = responses.calls[0].request.headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Stripe-Version"] == "2026-08-26.dahlia"
    assert headers["Accept-Encoding"] == "gzip"
    assert headers["User-Agent"] == "airbyte-source-stripe"


@responses.activate
def test_another_account_is_named_only_when_one_is_configured() -> None:
    responses.get(CHARGES, body=b"{}")
    for options in ({}, {"account_id": ""}, {"account_id": "acct_1"}):
        send(Request("/v1/charges"), **options)
    assert [call.request.headers.get("Stripe-Account") for call in responses.calls] == [None, None, "acct_1"]


@responses.activate
def test_the_address_is_stripes_unless_another_is_configured() -> None:
    responses.get("https://api.stripe.com/v1/charges", body=b"{}")
    send(Request("/v1/charges"), api_base="")
    assert len(responses.calls) == 1


@responses.activate
def test_an_answer_is_its_body_with_stripes_time() -> None:
    responses.get(CHARGES, body=b'{"data": []}', headers={"Date": "Sun, 22 Nov 2026 12:26:40 GMT", "Request-Id": "req_1"})
    assert send(Request("/v1/charges")) == Answer(b'{"data": []}', 1_795_350_400, "req_1")


@responses.activate
def test_a_date_that_is_none_is_left_out() -> None:
    responses.get(CHARGES, body=b"{}", headers={"Date": "yesterday"})
    assert send(Request("/v1/charges")).date is None


@responses.activate
def test_a_zipped_answer_is_unzipped() -> None:
    responses.get(CHARGES, body=gzip.compress(b'{"data": []}'), headers={"Content-Encoding": "gzip"})
    assert send(Request("/v1/charges")).body == b'{"data": []}'


@responses.activate
def test_a_zipped_answer_that_breaks_off_is_asked_for_again() -> None:
    body = gzip.compress(json.dumps({"data": [], "url": "/v1/charges" * 5000}).encode())
    responses.get(CHARGES, body=body[: len(body) // 2], headers={"Content-Encoding": "gzip"})
    with pytest.raises(StripeError, match="Stripe's answer could not be read") as caught:
        source().endpoint("charges").listed(send(Request("/v1/charges")))
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("id", "path"),
    [
        ("user 1/2", "/v1/customers/user%201%2F2"),
        ("a?b=c&d", "/v1/customers/a%3Fb%3Dc%26d"),
        ("#7", "/v1/customers/%237"),
        ("100%25", "/v1/customers/100%2525"),
        ("x+y", "/v1/customers/x%2By"),
        ("1_000", "/v1/customers/1_000"),
        ("naïve 😀", "/v1/customers/na%C3%AFve%20%F0%9F%98%80"),
        ("{id}", "/v1/customers/%7Bid%7D"),
    ],
)
@responses.activate
def test_an_id_may_hold_any_character(id: str, path: str) -> None:
    responses.get(BASE + path, body=b"{}")
    send(Request("/v1/customers/{id}", id=id))
    assert responses.calls[0].request.path_url == path


def test_a_cursor_may_hold_any_character() -> None:
    assert Request("/v1/customers", query_of({"limit": 100, "starting_after": "a?b=c&d é"})).target == (
        "/v1/customers?limit=100&starting_after=a%3Fb%3Dc%26d+%C3%A9"
    )


def test_a_list_is_sent_as_stripe_takes_it() -> None:
    assert query_of({"expand": ["data.tiers", "data.currency_options"], "limit": 100}) == (
        ("expand[]", "data.tiers"),
        ("expand[]", "data.currency_options"),
        ("limit", "100"),
    )


def test_a_redirect_is_not_followed_so_the_key_stays_with_the_address() -> None:
    redirect = refused(status=302, headers={"Location": "https://elsewhere.example/v1/charges"})
    assert str(redirect) == "stripe.example answered with a redirect, which is not followed (HTTP 302)"
    assert not redirect.retryable


def test_a_key_that_stripe_repeats_is_not_shown() -> None:
    assert str(refused(status=401, json={"error": {"message": f"Invalid API Key provided: {KEY}"}})) == (
        "Invalid API Key provided: **** (HTTP 401)"
    )


def test_the_key_is_not_in_what_python_shows_of_the_parts() -> None:
    source = SourceStripe(config={"secret_key": KEY})
    assert KEY not in repr(source.requester) + repr(source.endpoint("charges")) + repr(source._paging)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 410])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    assert not refused(status=status, json={"error": {"message": "no"}}).retryable


@pytest.mark.parametrize("status", [400, 404])
def test_a_refusal_that_breaks_off_is_asked_for_again(status: int) -> None:
    refusal = refused(status=status, body=b'{"error": {"code": "resource_miss')
    assert (refusal.retryable, refusal.kind) == (True, "transient")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert refused(status=status, body=b"<html>").retryable


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (requests.ConnectionError("Connection refused"), "the connection is refused; check the network"),
        (requests.ConnectionError("NameResolutionError"), "its name can't be resolved; check the network"),
        (requests.exceptions.ProxyError("Cannot connect"), "the proxy refused or is not there; see HTTPS_PROXY"),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), "its certificate is not trusted"),
        (requests.exceptions.SSLError("WRONG_VERSION_NUMBER"), "TLS could not be set up"),
        (requests.ConnectTimeout(), "no connection in time"),
        (requests.ReadTimeout(), "no answer in time"),
        (requests.exceptions.ChunkedEncodingError(), "the connection broke (ChunkedEncodingError)"),
        (ConnectionResetError(f"with {KEY}"), "the connection broke (ConnectionResetError)"),
    ],
)
def test_a_way_that_breaks_is_tried_again_and_named(broken: Exception, words: str) -> None:
    error = refused(body=broken)
    assert error.retryable
    assert error.status == 0
    assert error.message.startswith(f"stripe.example could not be reached: {words}")
    assert KEY not in str(error)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (
            requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support."),
            "proxies that speak SOCKS are not",
        ),
        (requests.exceptions.InvalidSchema("No connection adapters were found"), "its address, or the proxy's, is not valid"),
        (requests.exceptions.InvalidProxyURL("Please check proxy URL."), "the proxy's address is not valid; correct HTTPS_PROXY"),
        (requests.exceptions.InvalidURL("Failed to parse"), "its address, or the proxy's, is not valid; correct HTTPS_PROXY"),
    ],
)
def test_an_address_that_is_not_valid_is_the_users_to_mend(broken: Exception, words: str) -> None:
    error = refused(body=broken)
    assert (error.retryable, error.kind) == (False, "config")
    assert error.message.startswith(f"stripe.example could not be reached: {words}")


@responses.activate
def test_proxies_and_certificates_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    responses.get(CHARGES, body=b"{}")
    send(Request("/v1/charges"))
    sent = responses.calls[0].request.req_kwargs  # type: ignore[attr-defined]
    assert (sent["proxies"]["https"], sent["verify"]) == ("http://proxy.example:3128", str(tmp_path))


@responses.activate
def test_an_address_that_needs_no_proxy_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "stripe.example")
    responses.get(CHARGES, body=b"{}")
    send(Request("/v1/charges"))
    assert not responses.calls[0].request.req_kwargs["proxies"]  # type: ignore[attr-defined]


@responses.activate
def test_a_netrc_file_does_not_replace_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine stripe.example login jenny password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    responses.get(CHARGES, body=b"{}")
    send(Request("/v1/charges"))
    assert responses.calls[0].request.headers["Authorization"] == f"Bearer {KEY}"


@responses.activate
def test_nothing_waits_for_ever() -> None:
    responses.get(CHARGES, body=b"{}")
    send(Request("/v1/charges"))
    assert responses.calls[0].request.req_kwargs["timeout"] == (20, 80)  # type: ignore[attr-defined]


@responses.activate
def test_an_answer_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_stripe.api.transport._LONGEST_BODY", -1.0)
    responses.get(CHARGES, body=b"x" * 1_000_000)
    with pytest.raises(StripeError, match="could not be reached: no answer in time") as caught:
        send(Request("/v1/charges"))
    assert caught.value.retryable


def test_a_body_that_is_cut_is_asked_for_again() -> None:
    error = Answer(b'{"data": [', None, "req_1").unreadable("it breaks off")
    assert (str(error), error.retryable) == ("Stripe's answer could not be read: it breaks off (request req_1)", True)


def test_pauses_double_up_to_half_a_minute() -> None:
    pauses = JitteredBackoffStrategy(first_pause=0.5, longest_pause=30.0, give_up_after=660.0)
    assert [pauses.after(tries) for tries in (1, 2, 3, 4, 5, 6, 7, 8, 5000)] == [
        0.5,
        1,
        2,
        4,
        8,
        16,
        30,
        30,
        30,
    ]


def test_pauses_are_jittered_down_to_their_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_stripe.components.random.uniform", lambda low, high: low)
    assert JitteredBackoffStrategy(0.5, 30.0, 660.0).after(3) == 1.0


@pytest.mark.parametrize(
    ("options", "account", "endpoint"),
    [
        ({"secret_key": "rk_test_51H8xample"}, 25, 25),
        ({"secret_key": "rk_live_51H8xample"}, 100, 25),
        ({"call_rate_limit": 10}, 10, 25),
        ({"secret_key": "rk_live_51H8xample", "call_rate_limit": 400}, 400, 100),
    ],
)
def test_the_pace_follows_from_the_keys_mode_and_the_option(options: dict[str, Any], account: float, endpoint: float) -> None:
    pace = source(**options)._pace
    pace.take("/v1/charges", 1000.0)
    assert pace.next("/v1/charges", 1000.0) == pytest.approx(1000.0 + 0.5 / min(account, endpoint))
    assert pace.next("/v1/customers", 1000.0) == pytest.approx(1000.0 + 0.5 / account)


def test_a_wrong_key_is_refused_before_anything_is_sent() -> None:
    with responses.RequestsMock(), pytest.raises(AirbyteTracedException, match="publishable"):
        SourceStripe().configure({"secret_key": "pk_test_51H8xample"}, "")
