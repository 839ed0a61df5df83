"""An account of some thousands of objects over four years, with each awkward kind among them.

It is played like a film, each act at its time, so that what belongs together agrees: a refund has its charge, lines
sum to their invoice, balance transactions to their payouts, and the events of the last 30 days tell what happened.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial
from typing import Any

from .account import RETENTION, Account
from .kinds import Object
from .made_up_rest import DAY, Rest
from .templates import address, tier

_YEARS = 4 * 365 * DAY
_ODD = [
    "user 1/2",
    "a?b=c&d",
    "#7",
    "50%",
    "100%25",
    "1_000",
    "1e3",
    "0x1F",
    "null",
    "ключ-42",
    "naïve café",
    "x+y",
    'quote"back\\slash',
    "😀",
]
_NAMES = [
    "Jenny Rosen",
    "Zoë Müller-Łukasz",
    "山田 太郎",
    'O\'Brien & Söhne "GmbH"',
    "علي حسن",
    "Line\nBreak Ltd\t",
    "Null",
    "🦄 Unicorn Inc.",
    "Ana-María Núñez",
]
_DISPUTES = [
    "fraudulent",
    "duplicate",
    "product_not_received",
    "subscription_canceled",
    "credit_not_processed",
    "general",
]


def made_up_account(seed: int = 1, now: int | None = None, *, size: float = 1.0, livemode: bool = False) -> Account:
    """`size` scales how much is ordinary in it; the awkward kinds are always all there."""
    account = Account(now, seed=seed, livemode=livemode)
    _Film(account, size).play()
    return account


def small_shop(account: Account) -> None:
    """What a small connected account has: a dozen objects from the days after it was connected. Ids that merchants choose are
    the same in each."""
    create, when = account.create, account.connected_at
    product = create("product", {"id": "gold", "name": "Gold plan"}, at=when + 60)
    price = create("price", {"product": product["id"], "unit_amount": 1900}, at=when + 61)
    create("coupon", {"id": "WELCOME", "percent_off": 10.0}, at=when + 62)
    for day in (1, 2):
        at = when + day * DAY
        customer = create("customer", {"email": f"customer{day}@example.com"}, at=at)["id"]
        create("subscription", {"customer": customer, "items": [{"price": price}]}, at=at + 1)
        charge, intent = account.new_id("charge"), account.new_id("payment_intent")
        paid: Object = {"customer": customer, "amount": 1900}
        entry = {"amount": 1900, "fee": 85, "source": charge, "status": "available"}
        entry |= {"id": account.new_id("balance_transaction"), "available_on": at + 3}
        create("balance_transaction", entry, at=at + 3)
        create("payment_intent", {"id": intent, "latest_charge": charge} | paid, at=at + 3)
        create("charge", {"id": charge, "payment_intent": intent, "balance_transaction": entry["id"]} | paid, at=at + 3)


class _Film:
    def __init__(self, account: Account, size: float) -> None:
        self.account, self.random, self.size = account, account.random, size
        self.end = account.now
        self.begin = self.end - _YEARS
        self.acts: list[tuple[int, int, Callable[[int], None]]] = []
        self.count = 0
        self.customers: list[str] = []
        self.charges: list[str] = []
        self.prices: list[Object] = []
        self.products: list[str] = []
        self.coupons: list[str] = []
        self.unpaid: dict[str, list[Object]] = {}  # currency -> balance transactions no payout has paid out

    def at(self, when: float, act: Callable[..., None], *args: Any) -> None:
        """Plays `act(when)` at that time, unless that is still to come."""
        if when <= self.end:
            self.count += 1
            heapq.heappush(self.acts, (int(when), self.count, partial(act, *args) if args else act))

    def play(self) -> None:
        account = self.account
        account.default_version = "2024-06-20"
        self.at(self.begin, self.set_up)
        self.at(self.end - 18 * DAY, partial(self.upgrade, "2025-06-30.basil"))
        self.at(self.end - 6 * DAY, partial(self.upgrade, "2026-08-26.dahlia"))
        while self.acts:
            when, _, act = heapq.heappop(self.acts)
            act(when)
        account.settle()
        other = "cus_OfTestMode" if account.livemode else "cus_OfLiveMode"
        account.other.create("customer", {"id": other, "email": "other@example.com"}, at=self.begin)

    def upgrade(self, version: str, when: int) -> None:
        self.account.default_version = version

    # ------------------------------------------------------------------ what is sold

    def set_up(self, when: int) -> None:
        self.sell(when)
        self.discount(when)
        span = self.end - self.begin
        ordinary = int(260 * self.size)
        for number in range(ordinary):  # ever more of them
            self.at(self.begin + DAY + span * (number / ordinary) ** 0.6 * 0.999, self.join)
        self.at(self.begin + 200 * DAY, self.import_customers)
        for number, ident in enumerate(_ODD):
            self.at(self.begin + (number + 2) * 90 * DAY, partial(self.join_as, ident))
        self.at(self.end - 700 * DAY, self.batch)
        for number in range(int(140 * self.size)):
            self.at(self.begin + 30 * DAY + span * self.random.random() * 0.97, self.one_off)
            if number % 10 == 0:
                self.at(self.begin + 60 * DAY + span * self.random.random() * 0.9, self.abandon)
        self.at(self.end - 400 * DAY, self.awkward_invoices)
        self.at(self.end - 20 * DAY, self.awkward_invoices)
        self.at(self.end - 22 * DAY, partial(self.contest, None))
        self.at(self.end - 300 * DAY, self.twelve_items)
        self.at(self.end - 12 * DAY, self.twelve_items)
        self.at(self.end - 200 * DAY, self.twelve_refunds)
        self.at(self.end - 3 * DAY, self.twelve_refunds)
        week = self.begin + 7 * DAY
        while week <= self.end:
            self.at(week, self.pay_out)
            week += 7 * DAY
        for days in range(1, 29):
            self.at(self.end - days * DAY + 4000, self.edit)
        self.at(self.end - 9 * DAY, self.edit_many)
        self.account.connected.fill = small_shop
        Rest(self).plan()

    def sell(self, when: int) -> None:
        create = self.account.create
        for number, name in enumerate(["Starter", "Team", "Größe L", "企業プラン", "Add-on", "T-shirt", "Support"]):
            product = create(
                "product",
                {
                    "name": name,
                    "description": None if number % 2 else f"{name}: all that you need",
                    "marketing_features": [{"name": "Fast"}, {"name": "Größer"}][: number % 3],
                    "images": ["https://shop.example.com/t.png"] if name == "T-shirt" else [],
                    "shippable": True if name == "T-shirt" else None,
                    "package_dimensions": {"height": 1.0, "length": 12.5, "weight": 8.25, "width": 9.0}
                    if name == "T-shirt"
                    else None,
                    "type": "good" if name == "T-shirt" else "service",
                    "tax_details": {"performance_location": None, "tax_code": "txcd_99999999"} if name == "T-shirt" else None,
                },
                at=when + number,
            )
            self.products.append(product["id"])
        for ident in _ODD[:6]:
            create("product", {"id": f"prod {ident}", "name": "Chosen id"}, at=when + 20)
        archived = create("product", {"name": "Old plan", "active": False}, at=when + 21)
        self.price(when + 30, product=archived["id"], active=False)
        gone = create("product", {"name": "Never sold"}, at=when + 22)
        self.at(self.end - 500 * DAY, partial(self.delete, "product", gone["id"]))
        late = create("product", {"name": "Taken off"}, at=when + 22)
        self.at(self.end - 8 * DAY, partial(self.delete, "product", late["id"]))
        for number, product_id in enumerate(self.products[:4]):
            self.prices_of(number, product_id, when + 40)
        self.tiers(when + 60)
        self.price(when + 70, keep=False, product=self.products[5], unit_amount=2500, type="one_time")
        self.price(when + 71, keep=False, product=self.products[4], unit_amount=1, unit_amount_decimal="0.5")
        self.prices_unlisted_and_plans(when + 80)

    def prices_unlisted_and_plans(self, when: int) -> None:
        create = self.account.create
        for number in range(6):
            fields = {"product": self.products[0], "unit_amount": 777 + number, "active": number % 2 == 0}
            create("price", fields, at=when + number, inline=True)
        for number, ident in enumerate([*_ODD[:8], "gold"]):
            create(
                "plan",
                {"id": f"plan {ident}", "product": self.products[1], "amount": 500 + number, "active": number % 3 > 0},
                at=when + 10,
            )
        dropped = create("plan", {"product": self.products[1]}, at=when + 11)
        self.at(self.end - 15 * DAY, partial(self.delete, "plan", dropped["id"]))

    def prices_of(self, number: int, product_id: str, when: int) -> None:
        for step, currency in enumerate(["usd", "eur", "gbp", "jpy"]):
            amount = 1900 * (number + 1) + 100 * step
            self.price(when, product=product_id, currency=currency, unit_amount=amount)
        self.price(
            when + 1,
            product=product_id,
            unit_amount=19_000 * (number + 1),
            recurring={"interval": "year"},
            lookup_key=f"yearly_{number}",
            nickname="Yearly",
        )
        self.price(when + 2 + number, product=product_id, unit_amount=900, active=False, nickname="Before 2024")

    def price(self, when: int, *, keep: bool = True, **fields: Any) -> Object:
        made = self.account.create("price", fields, at=when)
        if keep and made["active"]:
            self.prices.append(made)
        return made

    def tiers(self, when: int) -> None:
        steps = [tier(up_to=10, unit_amount=1000, unit_amount_decimal="1000")]
        steps.append(tier(up_to=100, unit_amount=None, unit_amount_decimal="850.5", flat_amount=0))
        steps[-1]["flat_amount_decimal"] = "0"
        steps.append(tier(up_to=None, unit_amount=700, unit_amount_decimal="700"))
        for mode in ("graduated", "volume"):
            self.price(
                when,
                keep=False,
                product=self.products[1],
                billing_scheme="tiered",
                tiers_mode=mode,
                tiers=steps,
                recurring={"interval": "month", "usage_type": "metered"},
            )
        several = {
            code: {
                "custom_unit_amount": None,
                "tax_behavior": "unspecified",
                "unit_amount": amount,
                "unit_amount_decimal": str(amount),
            }
            for code, amount in (("usd", 2900), ("eur", 2700), ("jpy", 4500))
        }
        self.price(when + 1, product=self.products[2], unit_amount=2900, currency_options=several)
        choice = {"maximum": None, "minimum": 100, "preset": 500}
        self.price(
            when + 2,
            keep=False,
            product=self.products[6],
            type="one_time",
            unit_amount=None,
            custom_unit_amount=choice,
        )

    def discount(self, when: int) -> None:
        create = self.account.create
        self.coupons.append(create("coupon", {"percent_off": 12.5, "name": "Sommer ☀"}, at=when)["id"])
        self.coupons.append(create("coupon", {"percent_off": 20.0, "duration": "forever"}, at=when + 1)["id"])
        months = {"duration": "repeating", "duration_in_months": 3, "percent_off": 10.0}
        self.coupons.append(create("coupon", months, at=when + 2)["id"])
        off = {"amount_off": 500, "currency": "usd", "currency_options": {"eur": {"amount_off": 450}}}
        self.coupons.append(create("coupon", off, at=when + 3)["id"])
        create("coupon", {"applies_to": {"products": self.products[:2]}, "max_redemptions": 10}, at=when + 4)
        create("coupon", {"valid": False, "redeem_by": when + 90 * DAY, "times_redeemed": 3}, at=when + 5)
        for ident in _ODD:
            create("coupon", {"id": f"OFF {ident}", "percent_off": 5.0}, at=when + 6)
        for days in (600, 11):
            dropped = create("coupon", {"name": "Mistake"}, at=when + 7)
            self.at(self.end - days * DAY, partial(self.delete, "coupon", dropped["id"]))

    def delete(self, kind: str, ident: str, when: int) -> None:
        self.account.delete(kind, ident, at=when)

    # ------------------------------------------------------------------ who buys

    def customer(self, when: int, **fields: Any) -> Object:
        number = len(self.customers)
        name = _NAMES[number % len(_NAMES)]
        given: Object = {
            "name": None if number % 7 == 3 else name,
            "email": f"customer{number}@example.com" if number % 5 else None,
            "metadata": {"tier": "gold", "größe": "XL", "empty?": "no"} if number % 4 == 0 else {},
            "currency": "usd",
            "balance": -1500 if number % 31 == 0 else 0,
            "preferred_locales": ["de", "en"] if number % 6 == 0 else [],
            "address": address(city="São Paulo", country="BR", line1="Rua 1") if number % 3 == 0 else None,
            "phone": "+49 30 123456" if number % 8 == 0 else None,
        }
        made = self.account.create("customer", given | fields, at=when)
        self.customers.append(made["id"])
        if number % 40 == 5:
            self.account.create("tax_id", {"customer": made["id"]}, at=when)
        if number % 24 == 7:
            wait = self.random.randrange(30, 900) * DAY
            self.at(when + wait, partial(self.leave, made["id"]))
        if number % 90 == 11:
            self.at(self.end - (number % 25 + 1) * DAY, partial(self.leave, made["id"]))
        return made

    def leave(self, ident: str, when: int) -> None:
        if ident in self.customers:
            self.customers.remove(ident)
            self.delete("customer", ident, when)

    def join(self, when: int) -> None:
        made = self.customer(when)
        if self.random.random() < 0.55:
            self.at(when + 60, partial(self.subscribe, made["id"]))

    def join_as(self, ident: str, when: int) -> None:
        self.customer(when, id=ident, description="An id of the merchant's own")
        self.at(when + 5, partial(self.subscribe, ident))

    def import_customers(self, when: int) -> None:
        for _ in range(120):
            self.customer(when, description="From the old system")

    def subscribe(self, customer: str, when: int) -> None:
        price = self.random.choice(self.prices)
        number = self.random.randrange(100)
        items: list[Object] = [{"price": price, "quantity": 1 + number % 3}]
        if number % 9 == 0:
            alike = ("recurring", "currency")
            others = [other for other in self.prices if all(other[name] == price[name] for name in alike)]
            items += [{"price": other} for other in others if other is not price][:2]
        fields: Object = {"customer": customer, "items": items, "metadata": {"source": "web"} if number % 4 else {}}
        if number % 8 == 0:
            fields |= {"trial_start": when, "trial_end": when + 14 * DAY, "status": "trialing"}
        if number % 13 == 0:
            fields |= {"status": ["incomplete", "incomplete_expired", "past_due", "unpaid", "paused"][number % 5]}
        made = self.account.create("subscription", fields, at=when)
        if number % 6 == 1:
            self.rebate(made, when)
        if fields.get("status") in (None, "trialing"):
            first = when + 14 * DAY if "trial_end" in fields else when
            self.at(first + 1, partial(self.bill, made["id"]))
            if number % 3 == 0:
                self.at(when + self.random.randrange(40, 700) * DAY, partial(self.cancel, made["id"]))

    def rebate(self, subscription: Object, when: int) -> None:
        coupon = self.random.choice(self.coupons)
        given = {"customer": subscription["customer"], "subscription": subscription["id"]}
        found = self.account.create("discount", given | {"source": {"coupon": coupon, "type": "coupon"}}, at=when)
        self.account.update("subscription", subscription["id"], {"discounts": [found["id"]]}, at=when)

    def cancel(self, ident: str, when: int) -> None:
        found = self.account.shelf("subscription").objects[ident]
        if found["status"] != "canceled":
            reason = {"cancellation_details": {"reason": "cancellation_requested", "feedback": "too_expensive"}}
            self.account.update("subscription", ident, reason, None)
            self.delete("subscription", ident, when)

    # ------------------------------------------------------------------ what is paid

    def bill(self, ident: str, when: int) -> None:
        """One period's invoice, and the next in its time."""
        found = self.account.shelf("subscription").objects[ident]
        if found["status"] == "canceled":
            return
        price = found["items"]["data"][0]["price"]
        days = 365 if price["recurring"]["interval"] == "year" else 61  # two months at once, for brevity
        items = [
            item | {"current_period_start": when, "current_period_end": when + days * DAY} for item in found["items"]["data"]
        ]
        fate = self.random.random()
        status = "paid" if fate < 0.93 else "open" if fate < 0.96 else "uncollectible" if fate < 0.98 else "void"
        lines = [
            {
                "amount": (item["price"]["unit_amount"] or 100) * item["quantity"],
                "quantity": item["quantity"],
                "quantity_decimal": str(item["quantity"]),
                "price": item["price"],
                "subscription_item": item["id"],
            }
            for item in items
        ]
        about = {"subscription": ident, "currency": price["currency"], "discounts": found["discounts"]}
        invoice = self.invoice(when, found["customer"], lines, status, **about)
        change: Object = {"latest_invoice": invoice["id"], "status": "active" if status == "paid" else "past_due"}
        change["items"] = found["items"] | {"data": items}
        self.account.update("subscription", ident, change, at=when)
        self.at(when + days * DAY, partial(self.bill, ident))
        if self.end - RETENTION < when + days * DAY - 3 * DAY <= self.end:
            self.at(when + (days - 3) * DAY, partial(self.announce, invoice["id"]))

    def announce(self, invoice: str, when: int) -> None:
        """The preview of the next invoice: it is stored nowhere, and has no id."""
        found = self.account.shelf("invoice").get(invoice)
        if found:
            preview = {name: value for name, value in found.items() if name != "id"} | {"status": "draft"}
            self.account.emit("invoice.upcoming", preview | {"lines": found["lines"] | {"data": []}}, at=when)

    def invoice(
        self, when: int, customer: str, lines: list[Object], status: str, *, draft: bool = False, **fields: Any
    ) -> Object:
        given = {"customer": customer, "lines": lines, "status": status, **fields}
        invoice = self.account.create("invoice", given, at=when)
        if status == "paid" and invoice["total"] > 0:
            intent = self.pay(when, customer, invoice["amount_due"], invoice["currency"])
            paid = {"invoice": invoice["id"], "payment_intent": intent, "amount_requested": invoice["amount_due"]}
            self.account.create("invoice_payment", paid, at=when)
        return invoice

    def pay(self, when: int, customer: str | None, amount: int, currency: str, **fields: Any) -> str:
        """A payment intent with its charge and balance transaction; the intent's id."""
        create, new_id = self.account.create, self.account.new_id
        charge, intent = new_id("charge"), new_id("payment_intent")
        if self.random.random() < 0.05:
            declined = {"customer": customer, "amount": amount, "currency": currency, "status": "failed"}
            create("charge", declined, at=when)
        rate = {"gbp": 1.27, "jpy": 0.0067}.get(currency)
        settled = round(amount * rate) if rate else amount
        entry = self.entry(
            when,
            settled,
            "usd" if rate else currency,
            "charge",
            charge,
            fee=min(round(settled * 0.029) + 30, settled),
            exchange_rate=rate,
        )
        about = {"customer": customer, "amount": amount, "currency": currency} | fields
        create("payment_intent", {"id": intent, "latest_charge": charge} | about, at=when)
        create("charge", {"id": charge, "payment_intent": intent} | about, at=when)
        self.fill_in("charge", charge, {"balance_transaction": entry["id"]}, when)
        self.charges.append(charge)
        return intent

    def entry(self, when: int, amount: int, currency: str, kind: str, source: str, **fields: Any) -> Object:
        given = {"amount": amount, "currency": currency, "type": kind, "source": source, **fields}
        available = when if amount < 0 else when + (7 if currency == "eur" else 2) * DAY
        # What is pending at the end turns at midnight, as Stripe's own do: not while somebody looks on.
        given |= {"available_on": available if available <= self.end else -(-available // DAY) * DAY}
        given["status"] = "available" if amount < 0 else "pending"
        made = self.account.create("balance_transaction", given, at=when)
        if kind != "payout":
            self.unpaid.setdefault(currency, []).append(made)
        return made

    def one_off(self, when: int) -> None:
        customer = self.random.choice(self.customers) if self.customers and self.random.random() < 0.8 else None
        currency = self.random.choice(["usd", "usd", "eur", "gbp", "jpy"])
        fields = {"description": self.random.choice(_NAMES), "metadata": {"order_id": str(self.count)}}
        self.pay(when, customer, self.random.randrange(100, 40_000), currency, **fields)
        fate = self.random.random()
        if fate < 0.35:
            self.at(when + self.random.randrange(1, 40) * DAY, partial(self.refund, self.charges[-1], None))
        elif fate < 0.5:
            self.at(when + self.random.randrange(5, 60) * DAY, partial(self.contest, self.charges[-1]))

    def batch(self, when: int) -> None:
        for _ in range(130):
            self.pay(when, self.random.choice(self.customers), self.random.randrange(100, 9000), "usd")

    def fill_in(self, kind: str, ident: str, fields: Object, when: int) -> None:
        """What Stripe adds to an object seconds after it was made, with no event."""
        self.account.update(kind, ident, fields, None, at=when)

    def abandon(self, when: int) -> None:
        declined = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "Your card has insufficient funds."}
        about = {"status": "requires_payment_method", "last_payment_error": declined | {"type": "card_error"}}
        self.account.create("payment_intent", about, at=when)
        for status in ("requires_payment_method", "canceled", "requires_action", "processing", "requires_capture"):
            self.account.create("payment_intent", {"status": status, "amount": 4200}, at=when)
        self.account.create("charge", {"status": "pending", "amount": 4200, "paid": False}, at=when)

    def refund(self, charge: str, amount: int | None, when: int) -> None:
        found = self.account.shelf("charge").objects[charge]
        left = found["amount"] - found["amount_refunded"]
        part = min(left, amount or (left if self.random.random() < 0.5 else left // 2))
        if part <= 0:
            return
        ident = self.account.new_id("refund")
        rate = {"gbp": 1.27, "jpy": 0.0067}.get(found["currency"])
        settled = round(part * rate) if rate else part
        entry = self.entry(when, -settled, "usd" if rate else found["currency"], "refund", ident, exchange_rate=rate)
        reason = self.random.choice([None, "requested_by_customer", "duplicate"])
        fields = {"id": ident, "charge": charge, "amount": part, "reason": reason, "balance_transaction": entry["id"]}
        made = self.account.create("refund", fields | {"customer": found["customer"]}, at=when)
        known = {"card": made["destination_details"]["card"] | {"reference_status": "available"}}
        self.at(when + 5, partial(self.fill_in, "refund", ident, {"destination_details": known}))

    def contest(self, charge: str | None, when: int) -> None:
        """A dispute of that charge or of the newest, decided after twenty days."""
        charge = charge or self.charges[-1]
        found = self.account.shelf("charge").objects[charge]
        number = self.random.randrange(100)
        ident = self.account.new_id("dispute")
        entry = self.entry(when, -found["amount"], found["currency"], "adjustment", ident, fee=1500)
        self.account.create(
            "dispute",
            {
                "id": ident,
                "charge": charge,
                "reason": _DISPUTES[number % len(_DISPUTES)],
                "status": "warning_needs_response" if number % 6 == 5 else "needs_response",
                "balance_transactions": [entry],
            },
            at=when,
        )
        person = {"evidence": {"customer_name": "Jenny Rosen", "customer_email_address": "jenny@example.com"}}
        self.at(when + 4, partial(self.fill_in, "dispute", ident, person))
        self.at(when + 20 * DAY, partial(self.decide, ident, "won" if number % 3 == 0 else "lost"))

    def decide(self, ident: str, status: str, when: int) -> None:
        found = self.account.shelf("dispute").objects[ident]
        back = []
        if status == "won":
            back = [self.entry(when, found["amount"], found["currency"], "adjustment", ident)]
        entries = [*found["balance_transactions"], *back]
        evidence = {"evidence_details": {"has_evidence": True, "submission_count": 1}}
        self.account.update("dispute", ident, {"status": status, "balance_transactions": entries} | evidence, at=when)

    def pay_out(self, when: int) -> None:
        for currency, entries in self.unpaid.items():
            due = [each for each in entries if each["available_on"] <= when]
            total = sum(each["net"] for each in due)
            if total <= 0:
                continue
            self.unpaid[currency] = [each for each in entries if each["available_on"] > when]
            ident = self.account.new_id("payout")
            entry = self.entry(when, -total, currency, "payout", ident)
            arrival = when + 2 * DAY
            self.account.create(
                "payout",
                {
                    "id": ident,
                    "amount": total,
                    "currency": currency,
                    "arrival_date": arrival,
                    "balance_transaction": entry["id"],
                    "status": "pending",
                },
                at=when,
            )
            self.at(when + DAY // 2, partial(self.send, ident, {"status": "in_transit"}))
            failure = {"failure_code": "account_closed", "failure_message": "The bank account has been closed."}
            fails = self.random.random() < 0.02
            self.at(arrival, partial(self.send, ident, {"status": "failed"} | failure if fails else {"status": "paid"}))
            self.account.payout_contents[ident] = {each["id"] for each in due}

    def send(self, payout: str, change: Object, when: int) -> None:
        self.account.update("payout", payout, change, at=when)

    # ------------------------------------------------------------------ the awkward kinds

    def awkward_invoices(self, when: int) -> None:
        customer = self.random.choice(self.customers)
        for number, count in enumerate((0, 1, 10, 11, 250, 1000)):
            lines = [{"amount": 100 + line % 7, "description": f"Item {line} → ”é”"} for line in range(count)]
            self.invoice(when + number, customer, lines, "paid", description="Many lines" if count > 10 else None)
        for status in ("draft", "open", "void", "uncollectible"):
            rendering = {"amount_tax_display": None, "pdf": {"page_size": "letter"}, "template": None, "template_version": None}
            self.invoice(when + 9, customer, [{"amount": 2500}], status, due_date=when + 30 * DAY, rendering=rendering)
        mistake = self.account.create("invoice", {"customer": customer, "status": "draft"}, at=when + 10)
        self.at(when + DAY, partial(self.delete, "invoice", mistake["id"]))
        parts = self.account.create("invoice", {"customer": customer, "lines": [{"amount": 11_000}]}, at=when + 11)
        for number in range(11):
            intent = self.pay(when + 12 + number, customer, 1000, "usd")
            share = {"invoice": parts["id"], "payment_intent": intent, "is_default": number == 10}
            self.account.create("invoice_payment", share | {"amount_requested": 1000}, at=when + 12 + number)

    def twelve_items(self, when: int) -> None:
        monthly = [price for price in self.prices if price["currency"] == "usd"]
        items = [{"price": monthly[number % len(monthly)], "quantity": number + 1} for number in range(12)]
        pending = dict.fromkeys(
            ["billing_cycle_anchor", "cancel_at_period_end", "discount", "discounts", "metadata", "trial_end"]
        )
        pending |= {"expires_at": when + DAY, "subscription_items": None, "trial_from_plan": None}
        fields = {"customer": self.random.choice(self.customers), "items": items, "pending_update": pending}
        self.account.create("subscription", fields, at=when)

    def twelve_refunds(self, when: int) -> None:
        self.pay(when - 3600, self.random.choice(self.customers), 24_000, "usd", description="Refunded bit by bit")
        charge = self.charges[-1]
        for number in range(12):
            self.refund(charge, 1000, when + number // 3)

    # ------------------------------------------------------------------ lately

    def edit(self, when: int) -> None:
        """A day's small changes."""
        update, pick = self.account.update, self.random.choice
        day = str((self.end - when) // DAY)
        self.account.pending_webhooks = int(day) % 6 if int(day) % 4 == 0 else 0
        customer = pick(self.customers)
        update("customer", customer, {"metadata": {"seen": day}}, at=when)
        update("customer", customer, {"metadata": {"seen": None}, "name": f"Renamed {day} → ✓"}, at=when)
        update("product", pick(self.products), {"description": f"Described on day {day}"}, at=when + 1)
        update("price", pick(self.prices)["id"], {"metadata": {"reviewed": day}}, at=when + 2)
        update("coupon", pick(self.coupons), {"metadata": {"reviewed": day}}, at=when + 3)
        update("charge", pick(self.charges), {"metadata": {"reviewed": day}}, at=when + 4)
        self.refund(pick(self.charges), 100, when + 5)
        if int(day) % 9 == 0:
            self.account.create("setup_intent", {"customer": customer}, at=when + 6)
            old = self.price(when + 7, keep=False, product=self.products[0], unit_amount=1500)
            update("price", old["id"], {"active": False}, at=when + 8)

    def edit_many(self, when: int) -> None:
        for ident in self.customers[:110]:
            self.account.update("customer", ident, {"metadata": {"segment": "b"}}, at=when)
