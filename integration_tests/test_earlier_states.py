"""What version 0.1.0 left behind is gone on with: states as it wrote them, kept as files in `states/`.

Each file holds the states and, by stream, the `updated` (or `created`) of the records that it had emitted by then.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.harness import DAY, NOW, Reader, Result, assert_holds_all, truth

STREAMS = ("balance_transactions", "charges", "coupons", "customers", "invoices")
STATES = Path(__file__).parent / "states"


def shop() -> Account:
    """Some of each, over a year: what 0.1.0 read."""
    account = Account(now=NOW)
    for number in range(120):
        at = NOW - 365 * DAY + number * 3 * DAY
        account.create("customer", {"id": f"cus_{number:03}"}, at=at)
        account.create("charge", {"id": f"ch_{number:03}", "customer": f"cus_{number:03}"}, at=at)
    for number in range(5):
        lines = [{"id": f"il_{number}_{line}", "amount": line} for line in range(15)]
        account.create("invoice", {"id": f"in_{number}", "customer": "cus_000", "lines": lines}, at=NOW - 50 * DAY + number)
        account.create("coupon", {"id": f"OFF{number}"}, at=NOW - 9 * DAY + number)
        account.create("balance_transaction", {"id": f"txn_{number}", "status": "available"}, at=NOW - 8 * DAY + number)
    pending = {"id": "txn_pending", "status": "pending", "available_on": NOW + DAY}
    account.create("balance_transaction", pending, at=NOW - DAY)
    return account


def business(account: Account) -> None:
    """What happens after what 0.1.0 read."""
    account.advance(3600)
    account.update("customer", "cus_005", {"name": "Renamed"})
    account.update("charge", "ch_119", {"description": "Changed"})
    account.delete("customer", "cus_007")
    account.delete("coupon", "OFF1")
    account.create("customer", {"id": "cus_new"})
    account.create("balance_transaction", {"id": "txn_new", "status": "available"})
    account.advance(2 * DAY)


def emitted(account: Account, times: dict[str, dict[str, int]]) -> Result:
    """What 0.1.0 had emitted."""
    rows = truth(account, STREAMS)
    held = [(name, id, at) for name, ids in times.items() for id, at in ids.items()]
    return Result([(name, rows[name][id] | ({} if name == "balance_transactions" else {"updated": at})) for name, id, at in held])


@pytest.mark.parametrize("left", ["interrupted", "complete", "after_a_gap"])
def test_a_state_of_the_first_version_is_gone_on_with(left: str) -> None:
    kept: dict[str, Any] = json.loads((STATES / f"{left}.json").read_text())
    account = shop()
    first = emitted(account, kept["times"])
    if left == "after_a_gap":
        account.advance(40 * DAY)
    business(account)
    with StripeServer(account) as server:
        second = Reader(server, page_size=10).sync(kept["states"], STREAMS)
        third = Reader(server, page_size=10).sync(second, STREAMS)
    assert (second.errors, third.errors, third.records) == ({}, {}, [])
    assert_holds_all([first, second], truth(account, STREAMS))


def test_what_the_first_version_had_read_is_not_read_again() -> None:
    kept = json.loads((STATES / "interrupted.json").read_text())
    account = shop()
    with StripeServer(account) as server:
        second = Reader(server, page_size=10).sync(kept["states"], STREAMS)
    before = {id for ids in kept["times"].values() for id in ids}
    again = [id for name in STREAMS for id in second.ids(name) if id in before]
    assert len(again) < len(before) / 2
