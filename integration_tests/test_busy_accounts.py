"""What later syncs of a busy account cost: a change is read once, however many there are."""

from __future__ import annotations

import json

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.harness import DAY, NOW, Reader, Result

_MOST_STATE = 30_000
"""Bytes of a state, of the stream that changed."""


def customers(account: Account, count: int) -> list[str]:
    return [account.create("customer", at=NOW - 300 * DAY)["id"] for _ in range(count)]


def size_of(result: Result, stream: str) -> int:
    return len(json.dumps(result.states[stream]))


def test_three_thousand_changes_in_five_minutes_are_read_once(account: Account, server: StripeServer) -> None:
    reader, ids = Reader(server), customers(account, 3000)
    first = reader.sync()
    for second in range(300):
        account.advance(1)
        for id in ids[second * 10 : second * 10 + 10]:
            account.update("customer", id, {"name": "Renamed"})
    results = [reader.sync(first)]
    assert sorted(results[0].ids("customers")) == sorted(ids)
    for pause in (60, 3600, DAY, 60):
        account.advance(pause)
        results.append(reader.sync(results[-1]))
    assert [len(result.records) for result in results[1:]] == [0, 0, 0, 0]
    # For ten minutes any of these events may have become visible late: they are listed, a hundred a page. Then no more.
    assert [len(result.requests) <= most for result, most in zip(results[1:], (40, 40, 2, 2), strict=True)] == [True] * 4
    assert max(size_of(result, "customers") for result in results) < _MOST_STATE


def test_an_account_of_twenty_events_a_second_is_read_without_repetition(account: Account, server: StripeServer) -> None:
    reader, ids = Reader(server), customers(account, 1200)
    result, read, sizes = reader.sync(), list[int](), list[int]()
    for _ in range(10):
        for second in range(60):
            account.advance(1)
            for id in ids[second * 20 : second * 20 + 20]:
                account.update("customer", id, {"metadata": {"at": str(account.now)}})
        result = reader.sync(result)
        read.append(len(result.of("customers")))
        sizes.append(size_of(result, "customers"))
    # Each minute brings all of them; those of the second in which the sync before ended may come again.
    assert max(read) <= 1200 + 20
    assert max(sizes) < _MOST_STATE


def test_a_late_event_of_a_busy_second_arrives_with_at_most_that_second_s_others(account: Account, server: StripeServer) -> None:
    reader, ids = Reader(server), customers(account, 2000)
    first = reader.sync()
    for second in range(100):
        account.advance(1)
        for id in ids[second * 20 : second * 20 + 20]:
            account.update("customer", id, {"name": "Renamed"})
    late = ids[1010]
    (event,) = [each["id"] for each in account.objects("event") if each["data"]["object"]["id"] == late]
    account.show_later(event, account.now + 240)
    second_sync = reader.sync(first)
    assert late not in second_sync.ids("customers")
    account.advance(300)
    third = reader.sync(second_sync)
    assert late in third.ids("customers")
    assert set(third.ids("customers")) <= set(ids[1000:1020])
