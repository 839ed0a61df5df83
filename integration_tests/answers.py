"""What the SQL of docs/queries has to answer of an account that was read: by the query's name, its rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integration_tests.embedded_stripe import Account

QUERIES = Path(__file__).resolve().parent.parent / "docs" / "queries"
Rows = list[dict[str, Any]]


def objects(account: Account, stream: str, **options: list[str]) -> Rows:
    return list(account.listed(stream, **options).values())


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
    # One that owes nothing: who is shown of an invoice of one that is gone, differs by what a destination keeps of it.
    owing = {each["customer"] for each in account.objects("invoice") if each["status"] in ("open", "uncollectible")}
    account.delete("customer", next(each["id"] for each in account.objects("customer") if each["id"] not in owing))


def revenue_by_month_and_currency(account: Account) -> Rows:
    expected: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for charge in objects(account, "charges"):
        if charge["status"] == "succeeded" and charge["captured"]:
            month = datetime.fromtimestamp(charge["created"], UTC).strftime("%Y-%m")
            expected[month, charge["currency"]] += Counter(charges=1, paid=charge["amount_captured"])
            expected[month, charge["currency"]]["given_back"] += charge["amount_refunded"]
    return [
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


def active_subscriptions_by_plan(account: Account) -> Rows:
    products = {each["id"]: each["name"] for each in objects(account, "products")}
    rows: dict[str, dict[str, Any]] = {}
    for subscription in objects(account, "subscriptions", nested=["items"]):
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
    return sorted(rows.values(), key=lambda row: (-row["subscriptions"], row["price"]))


def refund_rate(account: Account) -> Rows:
    paid, refunded, refunds = Counter[str](), Counter[str](), Counter[str]()
    for charge in objects(account, "charges"):
        if charge["status"] == "succeeded" and charge["captured"]:
            paid[charge["currency"]] += charge["amount_captured"]
    for refund in objects(account, "refunds"):
        if refund["status"] not in ("failed", "canceled"):
            refunded[refund["currency"]] += refund["amount"]
            refunds[refund["currency"]] += 1
    return [
        {
            "currency": currency,
            "refunds": refunds[currency],
            "paid": paid[currency],
            "refunded": refunded[currency],
            "rate": round(refunded[currency] / paid[currency], 4),
        }
        for currency in sorted(paid)
    ]


def unpaid_invoices_with_lines(account: Account) -> Rows:
    customers = account.listed("customers")
    rows = [
        {
            "invoice": invoice["id"],
            "status": invoice["status"],
            "customer": customers.get(invoice["customer"], {}).get("email") or invoice["customer"],
            "amount_remaining": invoice["amount_remaining"],
            "currency": invoice["currency"],
            "line": line["id"],
            "description": line["description"],
            "amount": line["amount"],
        }
        for invoice in objects(account, "invoices", nested=["lines"])
        if invoice["status"] in ("open", "uncollectible")
        for line in invoice["lines"]["data"]
    ]
    return sorted(rows, key=lambda row: (row["invoice"], row["line"]))


def disputes_by_reason(account: Account) -> Rows:
    expected: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for dispute in objects(account, "disputes"):
        end = dispute["status"] if dispute["status"] in ("won", "lost") else "undecided"
        counted = expected[dispute["reason"], dispute["currency"]]
        counted += Counter({"disputes": 1, "amount": dispute["amount"]})
        counted[end] += dispute["status"] != "warning_closed"
    return [
        {"reason": reason, "currency": currency}
        | {name: counted[name] for name in ("disputes", "amount", "won", "lost", "undecided")}
        for (reason, currency), counted in sorted(expected.items())
    ]


def payouts_against_balance_transactions(account: Account) -> Rows:
    payouts = objects(account, "payouts")
    their_own = {each["balance_transaction"] for each in payouts}
    expected: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for moved in objects(account, "balance_transactions"):
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
    return [{"currency": currency} | {name: sums[name] for name in names} for currency, sums in sorted(expected.items())]


ANSWERS: dict[str, Callable[[Account], Rows]] = {
    each.__name__: each
    for each in (
        active_subscriptions_by_plan,
        disputes_by_reason,
        payouts_against_balance_transactions,
        refund_rate,
        revenue_by_month_and_currency,
        unpaid_invoices_with_lines,
    )
}
