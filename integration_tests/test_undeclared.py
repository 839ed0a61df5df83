"""Fields that no schema declares go out like all others, and are named in the log, once a stream and sync."""

from __future__ import annotations

import pytest

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.every_kind import everything
from integration_tests.harness import ALL_STREAMS, DAY, NOW, Reader
from integration_tests.whole_account import Truth

_SAID = "has fields that its schema does not declare yet"


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.getMessage() for record in caplog.records if _SAID in record.getMessage()]
    caplog.clear()
    return said


def test_undeclared_fields_are_named_once_a_stream_and_sync(
    account: Account, server: StripeServer, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [account.create("customer", at=NOW - 300 * DAY - number)["id"] for number in range(9)]
    account.odd("customer", ids[2], {"first": "1", "second": "null"})
    account.odd("customer", ids[7], {"first": "{}", "third": "[]"})
    reader = Reader(server, page_size=3)
    first = reader.sync(streams=["coupons", "customers"])
    assert [name in row for row in first.of("customers") for name in ("first", "third")].count(True) == 3
    assert lines_of(caplog) == [f"customers: {_SAID}, and that a destination may leave out: first, second, third"]
    account.update("customer", ids[2], {"name": "Renamed"})
    second = reader.sync(first, ["coupons", "customers"])
    assert (len(second.records), lines_of(caplog)) == (
        1,
        [f"customers: {_SAID}, and that a destination may leave out: first, second"],
    )


def test_an_undeclared_field_of_every_stream_is_named(server: StripeServer, caplog: pytest.LogCaptureFixture) -> None:
    account = server.account = everything()
    truth = Truth(server)
    for stream in ALL_STREAMS:
        for row in truth.of(stream).values():
            account.odd(row["object"], row.get("id", "None"), {"never_heard_of": "7"})
    result = Reader(server).sync(streams=ALL_STREAMS)
    assert {stream for stream, row in result.records if row.get("never_heard_of") == 7} == set(ALL_STREAMS)
    assert sorted(lines_of(caplog)) == [
        f"{stream}: {_SAID}, and that a destination may leave out: never_heard_of" for stream in ALL_STREAMS
    ]
