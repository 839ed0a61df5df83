"""Reading the accounts of a platform as rows, with what each option and each state leads to."""

from __future__ import annotations

import pickle

import pytest

from integration_tests.embedded_stripe import Account, StripeServer
from source_stripe.rows import OWN, Options, Reached, ReadError, Row, RowReader


def options(server: StripeServer, **more: str) -> Options:
    return Options.of({"secret_key": server.secret_key, "api_base": server.url, "streams": "customers", **more})


@pytest.mark.parametrize(
    ("accounts", "expected"), [("own", [OWN]), ("connected", ["acct_2", "acct_1"]), ("all", [OWN, "acct_2", "acct_1"])]
)
def test_accounts_are_those_that_the_options_say(
    account: Account, server: StripeServer, accounts: str, expected: list[str]
) -> None:
    for id in ("acct_1", "acct_2"):
        account.connect(id)
    assert RowReader(options(server, accounts=accounts)).units() == expected


def test_a_reading_goes_on_from_the_states_of_the_one_before(server: StripeServer, account: Account) -> None:
    account.connect("acct_1").create("customer", {"id": "cus_1"})
    reading = RowReader(options(server))
    first = list(reading.read(["acct_1"]))
    states = {"acct_1": {item.stream: item.blob for item in first if isinstance(item, Reached)}}
    account.connected["acct_1"].create("customer", {"id": "cus_2"})
    second = [item.id for item in reading.read(["acct_1"], states) if isinstance(item, Row)]
    assert ([item.id for item in first if isinstance(item, Row)], second) == (["cus_1"], ["cus_2"])


def test_what_fails_is_told_in_the_connectors_words_and_survives_the_way_between_processes(server: StripeServer) -> None:
    with pytest.raises(ReadError, match=r"^1 of 1 streams failed: customers. Account not connected: ") as raised:
        list(RowReader(options(server)).read(["acct_1"]))
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
