"""PyAirbyte, a client that was not written here, syncs twice into DuckDB; the SQL of docs/queries then tells the account.

`make pyairbyte-test` installs it into an environment of its own and runs this.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integration_tests.embedded_stripe import Account, StripeServer, made_up_account

pytestmark = [pytest.mark.pyairbyte, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv-pyairbyte" / "bin" / "python"
Rows = list[dict[str, Any]]


@dataclass
class Synced:
    """The account as it was at the second sync, and what PyAirbyte told of the two."""

    account: Account
    first: dict[str, Any]
    second: dict[str, Any]

    def objects(self, stream: str, **options: list[str]) -> Rows:
        return list(self.account.listed(stream, **options).values())


def sync(server: StripeServer, folder: Path) -> dict[str, Any]:
    given = {
        "executable": str(Path(sys.executable).with_name("source-stripe")),
        "config": {"secret_key": server.restricted_key(), "api_base": server.url},
        "cache": str(folder / "cache.duckdb"),
        "queries": str(ROOT / "docs" / "queries"),
    }
    told = folder / "told.json"
    quiet = {"DO_NOT_TRACK": "1", "AIRBYTE_OFFLINE_MODE": "1"}
    subprocess.run(
        [PYTHON, ROOT / "integration_tests" / "pyairbyte" / "read_into_duckdb.py", told],
        input=json.dumps(given).encode(),
        env={**os.environ, **quiet},
        cwd=folder,
        check=True,
    )
    found: dict[str, Any] = json.loads(told.read_text())
    return found


def change_something(account: Account) -> None:
    """A refund, a new sale, a canceled subscription, a decided dispute, an invoice that was paid, a deleted customer."""
    charge = account.create("charge", {"amount": 7000, "currency": "eur"})
    account.create("refund", {"charge": charge["id"], "amount": 2500})
    active = [each for each in account.objects("subscription") if each["status"] == "active"]
    account.delete("subscription", active[0]["id"])
    account.update("subscription", active[1]["id"], {"metadata": {"seat": "7"}})
    dispute = next(each for each in account.objects("dispute") if each["status"] == "lost")
    account.update("dispute", dispute["id"], {"status": "won"})
    unpaid = next(each for each in account.objects("invoice") if each["status"] == "open")
    account.update("invoice", unpaid["id"], {"status": "paid", "amount_remaining": 0})
    account.delete("customer", account.objects("customer")[0]["id"])


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synced]:
    assert PYTHON.exists(), "PyAirbyte has an environment of its own: run `make pyairbyte-test`"
    folder = tmp_path_factory.mktemp("pyairbyte")
    account = made_up_account(size=0.3)
    with StripeServer(account) as server:
        first = sync(server, folder)
        change_something(account)
        yield Synced(account, first, sync(server, folder))


def answer(synced: Synced, query: str) -> Rows:
    rows: Rows = synced.second["answers"][query]
    return rows


def test_pyairbyte_shows_all_streams(synced: Synced) -> None:
    assert len(synced.first["streams"]) == 14
    assert synced.first["streams"] == synced.second["streams"]


def test_the_first_sync_brings_each_object_once(synced: Synced) -> None:
    assert synced.first["processed"] == sum(synced.first["counts"].values())


def test_the_second_sync_brings_little(synced: Synced) -> None:
    assert 0 < synced.second["processed"] < 60


def test_the_cache_holds_what_the_account_shows(synced: Synced) -> None:
    streams = [each for each in synced.second["streams"] if each != "events"]  # Old events leave Stripe, and stay in the cache.
    assert {each: synced.second["counts"][each] for each in streams} == {
        each: len(synced.account.listed(each)) for each in streams
    }


def test_revenue_by_month_and_currency(synced: Synced) -> None:
    expected: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for charge in synced.objects("charges"):
        if charge["status"] == "succeeded" and charge["captured"]:
            month = datetime.fromtimestamp(charge["created"], UTC).strftime("%Y-%m")
            expected[month, charge["currency"]] += Counter(charges=1, paid=charge["amount_captured"])
            expected[month, charge["currency"]]["given_back"] += charge["amount_refunded"]
    assert answer(synced, "revenue_by_month_and_currency") == [
        {
            "month": month,
            "currency": currency,
            "charges": sums["charges"],
            "paid": sums["paid"],
            "given_back": sums["given_back"],
            "revenue": sums["paid"] - sums["given_back"],
        }
        for (month, currency), sums in sorted(expected.items())
    ]


def test_active_subscriptions_by_plan(synced: Synced) -> None:
    products = {each["id"]: each["name"] for each in synced.objects("products")}
    rows: dict[str, dict[str, Any]] = {}
    for subscription in synced.objects("subscriptions", nested=["items"]):
        if subscription["status"] != "active":
            continue
        seen = set()
        for item in subscription["items"]["data"]:
            price = item["price"]
            row = rows.setdefault(
                price["id"],
                {
                    "price": price["id"],
                    "product": products[price["product"]],
                    "currency": price["currency"],
                    "interval": price["recurring"]["interval"],
                    "subscriptions": 0,
                    "quantity": 0,
                },
            )
            row["subscriptions"] += price["id"] not in seen
            row["quantity"] += item["quantity"]
            seen.add(price["id"])
    expected = sorted(rows.values(), key=lambda row: (-row["subscriptions"], row["price"]))
    assert answer(synced, "active_subscriptions_by_plan") == expected


def test_refund_rate(synced: Synced) -> None:
    paid, refunded, refunds = Counter[str](), Counter[str](), Counter[str]()
    for charge in synced.objects("charges"):
        if charge["status"] == "succeeded" and charge["captured"]:
            paid[charge["currency"]] += charge["amount_captured"]
    for refund in synced.objects("refunds"):
        if refund["status"] not in ("failed", "canceled"):
            refunded[refund["currency"]] += refund["amount"]
            refunds[refund["currency"]] += 1
    assert answer(synced, "refund_rate") == [
        {
            "currency": currency,
            "refunds": refunds[currency],
            "paid": paid[currency],
            "refunded": refunded[currency],
            "rate": pytest.approx(refunded[currency] / paid[currency], abs=0.0001),
        }
        for currency in sorted(paid)
    ]


def test_unpaid_invoices_with_all_their_lines(synced: Synced) -> None:
    emails = {each["id"]: each["email"] for each in synced.objects("customers")}
    expected = [
        {
            "invoice": invoice["id"],
            "status": invoice["status"],
            "amount_remaining": invoice["amount_remaining"],
            "currency": invoice["currency"],
            "line": line["id"],
            "description": line["description"],
            "amount": line["amount"],
        }
        for invoice in synced.objects("invoices", nested=["lines"])
        if invoice["status"] in ("open", "uncollectible")
        for line in invoice["lines"]["data"]
    ]
    told = answer(synced, "unpaid_invoices_with_lines")
    customers = {row.pop("customer") for row in (dict(row) for row in told)}
    assert [{name: row[name] for name in expected[0]} for row in told] == sorted(
        expected, key=lambda row: (row["invoice"], row["line"])
    )
    assert customers & {email for email in emails.values() if email}


def test_disputes_by_reason(synced: Synced) -> None:
    expected: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for dispute in synced.objects("disputes"):
        end = dispute["status"] if dispute["status"] in ("won", "lost") else "undecided"
        counted = expected[dispute["reason"], dispute["currency"]]
        counted += Counter({"disputes": 1, "amount": dispute["amount"]})
        counted[end] += dispute["status"] != "warning_closed"
    assert answer(synced, "disputes_by_reason") == [
        {"reason": reason, "currency": currency}
        | {name: counted[name] for name in ("disputes", "amount", "won", "lost", "undecided")}
        for (reason, currency), counted in sorted(expected.items())
    ]


def test_payouts_against_balance_transactions(synced: Synced) -> None:
    payouts = synced.objects("payouts")
    their_own = {each["balance_transaction"] for each in payouts}
    expected: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for moved in synced.objects("balance_transactions"):
        sums = expected[moved["currency"]]
        sums["left_over"] += moved["net"]
        sums["difference" if moved["id"] in their_own else "earned"] += moved["net"]
        sums["pending"] += moved["net"] if moved["status"] == "pending" else 0
    for payout in payouts:
        sums = expected[payout["currency"]]
        sums["payouts"] += 1
        sums["paid_out"] += payout["amount"]
        sums["difference"] += payout["amount"]
    names = ("payouts", "paid_out", "difference", "earned", "left_over", "pending")
    assert answer(synced, "payouts_against_balance_transactions") == [
        {"currency": currency} | {name: sums[name] for name in names} for currency, sums in sorted(expected.items())
    ]
