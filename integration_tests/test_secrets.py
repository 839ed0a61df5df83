"""The key is in nothing that the connector writes, and goes nowhere but to the configured host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.faulty import Ended, Files, Listener, Proxy, TlsServer, certificate, source_stripe
from integration_tests.harness import DAY, NOW, Reader
from source_stripe.api.transport import Transport

ECHO = "Invalid API Key provided, or not allowed here: {key}. Header was 'Authorization: Bearer {key}'."


@pytest.fixture
def server() -> Iterator[StripeServer]:
    account = Account(now=NOW)
    for number in range(3):
        account.create("product", {"id": f"prod_{number}"}, at=NOW - DAY)
        account.create("customer", {"id": f"cus_{number}"}, at=NOW - DAY)
    with StripeServer(account) as server:
        yield server


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def assert_without(key: str, ended: Ended) -> None:
    """Neither the key nor a half of it is in any byte that the process wrote, nor in its arguments."""
    body = key.rpartition("_")[2]
    for part in (key, body, body[: len(body) // 2], body[len(body) // 2 :]):
        assert part.encode() not in ended.written


# ---------------------------------------------------------------------- what is written


@pytest.mark.parametrize("more", [(), ("--debug",)])
@pytest.mark.parametrize("command", ["check", "discover", "read"])
def test_no_command_writes_the_key(server: StripeServer, files: Files, command: str, more: tuple[str, ...]) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url}
    arguments = files.read(config, ["products", "customers", "events"], None, *more)
    if command != "read":
        arguments = [command, "--config", arguments[2], *more]
    ended = source_stripe(*arguments)
    assert ended.code == 0
    assert ended.command_line
    assert_without(server.secret_key, ended)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_an_error_in_which_stripe_repeats_the_key_is_told_without_it(server: StripeServer, files: Files, status: int) -> None:
    server.fault("status", status=status, message=ECHO.format(key=server.secret_key), times=None)
    config = {"secret_key": server.secret_key, "api_base": server.url}
    for arguments in (files.read(config, ["products", "events"], None, "--debug"), ["check", "--config", files.write(config)]):
        ended = source_stripe(*arguments)
        assert b"Header was 'Authorization: Bearer ****'" in ended.out
        assert_without(server.secret_key, ended)


BROKEN: dict[str, dict[str, Any]] = {
    "cut config": {},
    "bad option": {"num_workers": 1000},
    "bad date": {"start_date": "soon"},
    "bad account": {"account_id": "{key}"},
    "key as start": {"start_date": "{key}"},
    "key as address": {"api_base": "https://{key}@127.0.0.1"},
    "key with a line end": {"secret_key": "{key}\n"},
    "key with a blank": {"secret_key": "{key} x"},
    "unknown kind of key": {"secret_key": "xx{key}"},
    "key in a list": {"secret_key": ["{key}"]},
    "refused connection": {"api_base": "http://127.0.0.1:1"},
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_config_that_is_refused_is_refused_without_the_key(server: StripeServer, files: Files, broken: str) -> None:
    key = server.secret_key
    text = json.dumps({"secret_key": "{key}", "api_base": server.url} | BROKEN[broken]).replace("{key}", key)
    content = text[: text.index(key) + len(key)] if broken == "cut config" else text
    ended = source_stripe("check", "--config", files.write(content.encode()), "--debug")
    assert [each["status"] for each in ended.of("CONNECTION_STATUS")] == ["FAILED"]
    assert_without(key, ended)


@pytest.mark.parametrize("command", ["check", "read"])
def test_the_older_name_of_the_option_is_kept_as_secret(server: StripeServer, files: Files, command: str) -> None:
    config = {"client_secret": server.secret_key, "api_base": server.url}
    server.fault("status", status=401, message=ECHO.format(key=server.secret_key), times=None)
    arguments = files.read(config, ["products"]) if command == "read" else ["check", "--config", files.write(config)]
    ended = source_stripe(*arguments, "--debug")
    assert b"Header was" in ended.out
    assert_without(server.secret_key, ended)


def test_no_state_holds_the_key(server: StripeServer) -> None:
    result = Reader(server).sync()
    assert len(result.states) == 14
    assert server.secret_key not in json.dumps(result.states)


def test_the_key_is_in_no_address(server: StripeServer) -> None:
    Reader(server).sync()
    assert all(server.secret_key not in json.dumps([request.path, request.query]) for request in server.requests)


def test_a_defect_in_the_code_is_told_without_the_key(
    server: StripeServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(server)
    key = server.secret_key

    def broken(*arguments: object) -> None:
        raise KeyError(f"Authorization: Bearer {key}")

    monkeypatch.setattr(Transport, "_send", broken)
    result = reader.sync(streams=["products"])
    assert result.kinds == {"products": "FailureType.system_error"}
    assert key not in json.dumps(result.errors) + str(result.failure) + caplog.text


# ---------------------------------------------------------------------- where it is sent


class Stranger(Listener):
    """Another host: what it was sent, if anything."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = b""

    def serve(self, connection: Any) -> None:
        self.seen += connection.recv(65536)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: StripeServer, status: int) -> None:
    with Stranger() as stranger:
        assert isinstance(stranger, Stranger)
        location = {"Location": f"http://127.0.0.1:{stranger.port}/v1/products"}
        server.fault("status", status=status, headers=location, times=None)
        result = Reader(server).sync(streams=["products"])
    assert "answered with a redirect, which is not followed" in result.errors["products"]
    assert stranger.seen == b""
    assert {request.path for request in server.requests} == {"/v1/events"}


def test_a_redirect_to_the_same_host_is_not_followed(server: StripeServer) -> None:
    server.fault("redirect", times=None)
    assert Reader(server).sync(streams=["products"]).errors
    assert {request.path for request in server.requests} == {"/v1/events"}


def test_the_key_does_not_come_from_a_netrc_file(server: StripeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert Reader(server).sync(streams=["products"]).complete == {"products"}


# ---------------------------------------------------------------------- proxies


def test_a_proxy_carries_tls_and_never_sees_the_key(server: StripeServer, files: Files, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with TlsServer(int(server.url.rpartition(":")[2]), file) as front, Proxy() as proxy:
        assert isinstance(front, TlsServer)
        assert isinstance(proxy, Proxy)
        config = {"secret_key": server.secret_key, "api_base": front.url}
        environment = {"HTTPS_PROXY": proxy.url, "REQUESTS_CA_BUNDLE": str(file)}
        ended = source_stripe(*files.read(config, ["products"]), environment=environment)
        assert (ended.code, len(ended.of("RECORD"))) == (0, 3)
        assert {request.rpartition(" ")[0] for request in proxy.requests} == {f"CONNECT localhost:{front.port}"}
        assert server.secret_key.encode() not in proxy.seen


def test_a_host_that_no_proxy_names_is_asked_directly(server: StripeServer, files: Files, tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with TlsServer(int(server.url.rpartition(":")[2]), file) as front, Proxy() as proxy:
        assert isinstance(front, TlsServer)
        assert isinstance(proxy, Proxy)
        config = {"secret_key": server.secret_key, "api_base": front.url}
        environment = {"HTTPS_PROXY": proxy.url, "NO_PROXY": "example.com,localhost", "REQUESTS_CA_BUNDLE": str(file)}
        ended = source_stripe(*files.read(config, ["products"]), environment=environment)
        assert (ended.code, len(ended.of("RECORD")), proxy.requests) == (0, 3, [])


def test_the_password_of_a_proxy_is_not_written(server: StripeServer, files: Files) -> None:
    with Proxy(status="407 Proxy Authentication Required") as proxy:
        assert isinstance(proxy, Proxy)
        config = {"secret_key": server.secret_key, "api_base": "https://stripe.invalid"}
        environment = {"HTTPS_PROXY": f"http://someone:pass-of-the-proxy@127.0.0.1:{proxy.port}"}
        ended = source_stripe("check", "--debug", "--config", files.write(config), environment=environment)
    assert b"the proxy refused or is not there" in ended.out
    assert b"pass-of-the-proxy" not in ended.written
    assert_without(server.secret_key, ended)
