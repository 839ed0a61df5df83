"""What a sync costs in requests: Stripe counts them, and allows an account so many a month."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from integration_tests.embedded_stripe import Account, StripeServer, made_up_account
from integration_tests.harness import CHANGING, DAY, NOW, STREAMS, Reader, assert_holds_all, truth
from source_stripe.sync.outlet import Rest
from source_stripe.sync.reading import Reading

QUIET = ["/v1/balance_transactions", "/v1/events"]


@pytest.fixture
def account() -> Account:
    """With more than a page of the busier streams, and much that happened in the last days."""
    return made_up_account(1, NOW, size=0.3)


@pytest.fixture
def reader(server: StripeServer) -> Reader:
    return Reader(server)


def least(account: Account) -> int:
    """The requests that a first sync can't do without: one a hundred objects, one a hundred items of a nested list that are
    past its first ten."""
    account.settle()
    pages = sum(max(1, math.ceil(len(rows) / 100)) for rows in truth(account).values())
    nested = 0
    for stream, field in (("invoices", "lines"), ("invoices", "payments"), ("subscriptions", "items"), ("charges", "refunds")):
        for row in truth(account, [stream])[stream].values():
            nested += math.ceil(max(0, len(row[field]["data"]) - 10) / 100)
    return pages + nested


def test_a_first_sync_spends_little_more_than_a_request_a_hundred_objects(account: Account, reader: Reader) -> None:
    first = reader.sync()
    assert len(first.requests) <= 1.03 * least(account) + len(STREAMS) + 1
    assert len({row["id"] for _, row in first.records}) > 2000


def test_a_quiet_later_sync_of_all_streams_takes_two_requests(account: Account, reader: Reader) -> None:
    first = reader.sync()
    account.advance(9 * DAY)
    settled = reader.sync(first)
    account.advance(3600)
    second = reader.sync(settled)
    assert (second.records, sorted(second.paths)) == ([], QUIET)


def test_ten_quiet_syncs_in_a_row_list_no_collection(account: Account, reader: Reader) -> None:
    result = reader.sync()
    paths: Counter[str] = Counter()
    for _ in range(10):
        account.advance(600)
        result = reader.sync(result)
        paths.update(result.paths)
    assert set(paths) == set(QUIET)
    assert paths["/v1/events"] == 10
    assert paths["/v1/balance_transactions"] <= 10 + len(result.states["balance_transactions"].get("pending", ())) + 10


@pytest.mark.parametrize("stream", CHANGING)
def test_a_quiet_later_sync_of_one_stream_takes_one_request(account: Account, reader: Reader, stream: str) -> None:
    first = reader.sync(streams=[stream])
    account.advance(3600)
    assert reader.sync(first, [stream]).paths == ["/v1/events"]


def test_a_sync_whose_only_page_is_dealt_with_slowly_asks_for_no_other(
    account: Account, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    emit = Reading.emit

    def slowly(self: Reading, objects: Sequence[Any]) -> Rest:
        rest = emit(self, objects)

        async def later() -> None:
            await asyncio.sleep(0.05)  # Meanwhile the pace allows requests, for which work could be split.
            if rest is not None:
                await rest()

        return later

    first = reader.sync()
    monkeypatch.setattr(Reading, "emit", slowly)
    assert sorted(reader.sync(first).paths) == QUIET


def test_ten_changed_old_objects_take_ten_requests_more(account: Account, reader: Reader) -> None:
    first = reader.sync()
    customers, products = first.ids("customers")[-7:], first.ids("products")[-3:]
    account.advance(3600)
    for number in range(3):
        for kind, ids in (("customer", customers), ("product", products)):
            for id in ids:
                account.update(kind, id, {"name": f"Renamed {number}"})
    second = reader.sync(first)
    assert len([path for path in second.paths if path not in QUIET]) == 10
    assert second.lists("events") == 1
    assert (sorted(second.ids("customers")), sorted(second.ids("products"))) == (sorted(customers), sorted(products))


def test_a_thousand_new_objects_take_a_request_a_hundred(account: Account, reader: Reader) -> None:
    first = reader.sync()
    for _ in range(1000):
        account.advance(2)
        account.create("customer")
    account.advance(600)
    second = reader.sync(first)
    assert len(second.ids("customers")) == len(set(second.ids("customers"))) == 1000
    assert second.lists("customers") <= 12
    assert second.lists("events") <= 13
    assert len(second.requests) <= 27
    assert_holds_all([first, second], truth(account))


def test_a_sync_every_ten_minutes_fits_in_what_stripe_allows_the_smallest_account(account: Account, reader: Reader) -> None:
    result = reader.sync()
    spent = 0
    for _ in range(144):
        account.advance(600)
        result = reader.sync(result)
        spent += len(result.requests)
    assert 30 * spent <= 10_000


@pytest.mark.parametrize(("room", "most"), [(16 << 20, 10), (1, 1)])  # Eight workers.
def test_few_long_lists_are_read_at_a_time_however_many_wait(
    account: Account, reader: Reader, monkeypatch: pytest.MonkeyPatch, room: int, most: int
) -> None:
    """What was read of an object lies in memory until its lists are whole. Where there is no room for more, one goes on."""
    monkeypatch.setattr("source_stripe.sync.nested._MOST_BYTES", room)
    invoices = [account.create("invoice", {"lines": [{} for _ in range(350)]})["id"] for _ in range(60)]
    first = reader.sync(streams=["invoices"])
    pages: Counter[str] = Counter()
    begun = []
    for path in first.paths:
        if path.endswith("/lines"):
            pages[path.split("/")[3]] += 1
            begun.append(sum(1 < pages[id] < 4 for id in invoices))
    assert [pages[id] for id in invoices] == [4] * 60
    assert max(begun) <= most
    assert {len(row["lines"]["data"]) for row in first.of("invoices") if row["id"] in invoices} == {350}
