"""What `check` says: of each kind of key, account and network a sentence with the fix."""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.embedded_stripe.endpoints import OWN_ACCOUNT_PERMISSION, PERMISSIONS
from integration_tests.faulty import Files, Proxy, source_stripe
from integration_tests.harness import ALL_STREAMS, NOW, STREAMS, account_clock
from integration_tests.whole_account import ENDPOINTS
from source_stripe.source import SourceStripe, load_manifest

EVERYTHING = {permission for permission, _ in (*PERMISSIONS.values(), OWN_ACCOUNT_PERMISSION)}
KEYS = "https://dashboard.stripe.com/apikeys"
ADVICE = f"Create a restricted key (rk_live_... or rk_test_...) with Read permissions at {KEYS} and use that."


@pytest.fixture
def server() -> Iterator[StripeServer]:
    with StripeServer(Account(now=NOW)) as server:
        yield server


def check(server: StripeServer, manifest: dict[str, Any] | None = None, **options: Any) -> tuple[str, str]:
    """The status and its message."""
    config = {"secret_key": server.secret_key, "api_base": server.url} | options
    source = SourceStripe(manifest=manifest, clock=account_clock(server))
    try:
        answer = source.check(logging.getLogger("airbyte"), config)
    except AirbyteTracedException as error:
        status = error.as_connection_status_message()
        assert status is not None
        answer = status.connectionStatus
    assert answer is not None
    return answer.status.value, answer.message or ""


def test_a_good_key_passes_without_a_word_after_one_request_a_list(server: StripeServer) -> None:
    assert check(server) == ("SUCCEEDED", "")
    paths = [request.path for request in server.requests if not any(name == "expand[]" for name, _ in request.query)]
    assert len(paths) == len(set(paths))
    assert {ENDPOINTS[stream].path for stream in STREAMS} <= {request.path for request in server.requests}
    assert {value for request in server.requests for name, value in request.query if name == "limit"} == {"1"}


# ---------------------------------------------------------------------- keys that Stripe refuses

REFUSED_KEYS = {
    "revoke": f"Invalid API Key: Stripe does not know the key, or it was revoked. Copy the key again, or create a new one at"
    f" {KEYS}, and put it into `secret_key`. Stripe says: Invalid API Key provided: sk_test_***",
    "expire": f"Invalid API Key: the key has expired. Create a new one at {KEYS} and put it into `secret_key`. Stripe says: "
    "Expired",
    "bind_ip": "Invalid API Key: the key may not be used from this machine's IP address. Allow the address in the key's settings"
    f" at {KEYS}. Stripe says: The API key provided does not allow requests from your IP address (127.0.0.1)."
    " (HTTP 401)",
}


@pytest.mark.parametrize("how", REFUSED_KEYS)
def test_a_key_that_stripe_refuses_fails_with_its_reason(server: StripeServer, how: str) -> None:
    getattr(server, how)(server.secret_key)
    status, message = check(server)
    assert (status, message[: len(REFUSED_KEYS[how])]) == ("FAILED", REFUSED_KEYS[how])
    assert len(server.requests) <= len(ALL_STREAMS)


def test_a_publishable_key_that_looks_secret_is_named_by_stripe(server: StripeServer) -> None:
    server.fault("status", status=403, code="secret_key_required", message="This API call cannot be made with a ...", times=None)
    status, message = check(server)
    assert status == "FAILED"
    assert message.startswith(f"Invalid API Key: it is a publishable key. Use a restricted or secret key ({KEYS}). Stripe says: ")


# ---------------------------------------------------------------------- keys that are none

NO_KEYS = {
    "": f"The secret key is empty. {ADVICE}",
    "   ": f"The secret key is empty. {ADVICE}",
    "\n": f"The secret key is empty. {ADVICE}",
    "sk_test_1234567890abcdef\n": "The secret key ends with a line end. Copy it again without the line end.",
    "sk_test_1234567890abcdef\r\n": "The secret key ends with a line end. Copy it again without the line end.",
    " sk_test_1234567890abcdef": "The secret key has blanks in it or around it. Copy it again without them.",
    "sk_test_12345 67890abcdef": "The secret key has blanks in it or around it. Copy it again without them.",
    "pk_live_1234567890abcdef": f"This is a publishable key (pk_...), made for browsers: it can read nothing. {ADVICE}",
    "whsec_1234567890abcdef": f"This is a webhook signing secret (whsec_...), not an API key. {ADVICE}",
    "ek_test_1234567890abcdef": f"This is an ephemeral key (ek_...), made for mobile apps: it expires within the hour. {ADVICE}",
    "acct_1234567890abcdef": f"This is an account's id (acct_...), not an API key. {ADVICE}",
    "sk_org_live_1234567890": "This is an organization's key (sk_org_...): take a key of the one account that you want to read."
    f" Or name those of its accounts that you want to read in `account_ids`, or one in `account_id`. {ADVICE}",
    "sk_live_****1234": "This is a key as the Dashboard shows it, with its middle hidden. Reveal the key there"
    " and copy the whole of it.",
    "my secret": "The secret key has blanks in it or around it. Copy it again without them.",
    "hunter2": f"This is no Stripe API key: they begin with rk_live_, rk_test_, sk_live_ or sk_test_. {ADVICE}",
    "sk_test_ключ12345": f"This is no Stripe API key: they begin with rk_live_, rk_test_, sk_live_ or sk_test_. {ADVICE}",
}


@pytest.mark.parametrize("key", NO_KEYS)
def test_what_is_no_key_is_refused_before_anything_is_sent(server: StripeServer, key: str) -> None:
    assert check(server, secret_key=key) == ("FAILED", NO_KEYS[key])
    assert server.requests == []


def test_a_key_of_another_type_is_refused(server: StripeServer) -> None:
    assert check(server, secret_key=17) == ("FAILED", f"The secret key must be a text. {ADVICE}")


# ---------------------------------------------------------------------- connected accounts and versions


def test_an_account_that_is_not_connected_is_named(server: StripeServer) -> None:
    server.connect("acct_1Other", Account(now=NOW))
    status, message = check(server, account_id="acct_1Stranger")
    assert status == "FAILED"
    assert message.startswith("Account not connected: the key has no access to the account in `account_id` or `account_ids`.")
    assert "does not have access to account 'acct_1Stranger'" in message


def test_a_key_that_is_no_platforms_is_told_to_leave_the_account_out(server: StripeServer) -> None:
    status, message = check(server, account_id="acct_1Stranger")
    assert status == "FAILED"
    assert message.startswith(
        "Account not connected: the key is no Connect platform's. Empty the option `account_id`, or `account_ids` and set"
    )


def test_a_connected_account_passes(server: StripeServer) -> None:
    server.connect("acct_1Other", Account(now=NOW))
    assert check(server, account_id="acct_1Other") == ("SUCCEEDED", "")


def test_an_api_version_that_stripe_does_not_know_asks_for_an_update(server: StripeServer) -> None:
    manifest = load_manifest()
    manifest["definitions"]["requester"]["request_headers"]["Stripe-Version"] = "2035-01-01.unknown"
    status, message = check(server, manifest)
    assert status == "FAILED"
    assert message.startswith(
        "Stripe does not know the API version that this connector reads: update the connector. Stripe says: Inv"
    )


# ---------------------------------------------------------------------- permissions


def test_a_key_that_lacks_two_permissions_passes_and_names_them(server: StripeServer) -> None:
    key = server.restricted_key(EVERYTHING - {"dispute_read", "payout_read"})
    count = len(load_manifest()["streams"])
    assert check(server, secret_key=key) == (
        "SUCCEEDED",
        f"The key may read {count - 3} of {count} streams."
        ' Permission denied for the others, which need: "Disputes: Read" (disputes);'
        ' "Payouts: Read" (payout_balance_transactions, payouts). Leave them out, or set these rows in the key\'s form:'
        " https://dashboard.stripe.com/test/apikeys/create?name=Airbyte&permissions[]=rak_dispute_read&permissions[]=rak_payout_read",
    )


def test_a_key_that_lacks_a_permission_of_two_streams_names_both(server: StripeServer) -> None:
    _, message = check(server, secret_key=server.restricted_key(EVERYTHING - {"charge_read"}))
    assert '"Charges and Refunds: Read" (charges, early_fraud_warnings, refunds' in message


def test_a_key_that_lacks_events_is_warned_of_later_syncs(server: StripeServer) -> None:
    status, message = check(server, secret_key=server.restricted_key(EVERYTHING - {"event_read"}))
    assert status == "SUCCEEDED"
    assert '"Events: Read" (events)' in message
    assert message.endswith("Without Events, a first sync works and later ones can't see what changed: they fail.")


def test_a_key_for_the_suggested_streams_is_told_in_a_few_lines_what_it_lacks(server: StripeServer) -> None:
    manifest = {each["$parameters"]["name"]: each["$parameters"] for each in load_manifest()["streams"]}
    status, message = check(server, secret_key=server.restricted_key({manifest[name]["permission"]["token"] for name in STREAMS}))
    assert status == "SUCCEEDED"
    assert re.match(rf"The key may read \d\d of {len(manifest)} streams\. ", message)
    assert "(" not in message.partition(" Leave them out")[0]
    assert len(message.partition("https://")[0]) < 1500


def test_a_key_that_may_read_nothing_fails_and_names_every_row(server: StripeServer) -> None:
    status, message = check(server, secret_key=server.restricted_key(set()))
    assert status == "FAILED"
    assert message.startswith("Permission denied: the key may read none of the streams that need a permission. Set in its form: ")
    for row in ("Balance", "Charges and Refunds", "Coupons", "Customers", "Events", "Invoices", "Prices", "Subscriptions"):
        assert f'"{row}: Read"' in message


# ---------------------------------------------------------------------- the network, and faults


def test_a_refused_connection_tells_to_look_at_the_network(server: StripeServer) -> None:
    with socket.socket() as silent:  # It holds the port, so that nobody else listens there.
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        assert check(server, api_base=f"http://127.0.0.1:{port}") == (
            "FAILED",
            f"127.0.0.1:{port} could not be reached: the connection is refused; check the network and,"
            " behind a proxy, set HTTPS_PROXY",
        )


def test_a_name_that_can_t_be_resolved_tells_to_look_at_the_network(server: StripeServer) -> None:
    assert check(server, api_base="https://stripe.invalid") == (
        "FAILED",
        "stripe.invalid could not be reached: its name can't be resolved; check the network and, behind a proxy, set HTTPS_PROXY",
    )


def environment_of(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_proxy_that_is_not_there_is_named(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    environment_of(monkeypatch, {"HTTPS_PROXY": "http://127.0.0.1:1"})
    status, message = check(server, api_base="https://stripe.invalid")
    assert status == "FAILED"
    assert message.endswith("the proxy refused or is not there; see HTTPS_PROXY and NO_PROXY in the environment")


def test_a_proxy_that_refuses_is_named(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(status="407 Proxy Authentication Required") as proxy:
        assert isinstance(proxy, Proxy)
        environment_of(monkeypatch, {"HTTPS_PROXY": proxy.url})
        status, message = check(server, api_base="https://stripe.invalid")
    assert status == "FAILED"
    assert message.endswith("the proxy refused or is not there; see HTTPS_PROXY and NO_PROXY in the environment")


@pytest.mark.parametrize("kind", ["rate_limit", "reset_before", "not_json", "lock_timeout"])
def test_a_fault_that_passes_does_not_fail_the_check(server: StripeServer, kind: str) -> None:
    server.fault(kind, path="^/v1/charges", times=2)
    assert check(server) == ("SUCCEEDED", "")


def test_a_standing_fault_fails_the_check_within_a_minute(server: StripeServer) -> None:
    server.fault("status", status=503, times=None, path="^/v1/charges")
    status, message = check(server)
    assert status == "FAILED"
    assert message.startswith(
        "Stripe could not be read. Try again later. Stripe says: An unknown error occurred (HTTP 503, request req_"
    )


def test_a_standing_rate_limit_is_named_as_such(server: StripeServer) -> None:
    server.fault("rate_limit", times=None, path="^/v1/charges")
    status, message = check(server)
    assert status == "FAILED"
    assert message.startswith(
        "Rate limit exceeded: Stripe kept refusing for too many requests. Lower `call_rate_limit`. Stripe says: "
    )


# ---------------------------------------------------------------------- the process


def test_check_writes_one_status_and_ends_well_whatever_it_says(server: StripeServer, tmp_path: Path) -> None:
    files = Files(tmp_path)
    for key, status in ((server.secret_key, "SUCCEEDED"), ("sk_test_nobodysKey1234", "FAILED"), ("pk_test_12345678", "FAILED")):
        ended = source_stripe("check", "--config", files.write({"secret_key": key, "api_base": server.url}))
        assert [each["status"] for each in ended.of("CONNECTION_STATUS")] == [status]
        assert ended.code == 0
        assert b"Traceback" not in ended.written
