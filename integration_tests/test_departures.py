"""A request counts for the pace from when it has gone out, not from when a worker began with it."""

from __future__ import annotations

import asyncio

import pytest

from integration_tests.embedded_stripe import StripeServer
from source_stripe.api.errors import StripeError
from source_stripe.api.request import Request
from source_stripe.source import SourceStripe


def send(path: str, told: Told, **config: str) -> None:
    transport = SourceStripe(config=config).requester.transport(threads=1)
    asyncio.run(transport.send(Request(path), told))
    transport.close()


class Told:
    def __init__(self) -> None:
        self.words: list[str] = []

    def has_left(self) -> None:
        self.words.append("left")

    def is_answered(self) -> None:
        self.words.append("answered")


def test_who_sends_is_told_once_that_a_request_has_gone_out_and_once_that_its_answer_comes(server: StripeServer) -> None:
    told = Told()
    send("/v1/charges", told, secret_key=server.secret_key, api_base=server.url)
    assert told.words == ["left", "answered"]


def test_a_refusal_which_may_be_quick_is_no_answer(server: StripeServer) -> None:
    told = Told()
    with pytest.raises(StripeError):
        send("/v1/charges", told, secret_key="sk_test_51Nobody0", api_base=server.url)
    assert told.words == ["left"]


def test_a_request_without_a_connection_has_not_gone_out() -> None:
    told = Told()
    with pytest.raises(StripeError):
        send("/v1/charges", told, secret_key="sk_test_51Nobody0", api_base="http://127.0.0.1:9")
    assert told.words == []
