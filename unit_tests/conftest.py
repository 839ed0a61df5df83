"""No unit test reaches another machine, and none depends on the environment that it runs in."""

from __future__ import annotations

import socket
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loopback is all there is."""
    connect = socket.socket.connect

    def connect_to_loopback(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1"):
            raise AssertionError(f"a unit test wanted to reach {address[0]}")
        connect(self, address)

    def resolve(host: Any, *rest: Any, **more: Any) -> Any:
        raise AssertionError(f"a unit test wanted to know the address of {host}")

    monkeypatch.setattr(socket.socket, "connect", connect_to_loopback)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no certificates of the machine's own."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "DEPLOYMENT_MODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def even_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are as long as they may be, unless a test wants them otherwise."""
    monkeypatch.setattr("source_stripe.components.random.uniform", lambda low, high: high)
