"""What else an account may have: a few of each kind, made long ago and lately, some of them changed and deleted since.

The account has Issuing and Climate, and connected a few others; it has no Identity, Treasury, Sigma or Forwarding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from .account import Account
from .kinds import Object

DAY = 86_400

# What happens to the newest of a kind in the last days; None takes it away.
_LATELY: list[tuple[str, Object | None]] = [
    ("setup_intent", {"metadata": {"checked": "yes"}}),
    ("payment_method", {"customer": None}),
    ("payment_link", {"active": False}),
    ("review", {"open": False}),
    ("radar.value_list_item", None),
    ("credit_note", {"status": "void"}),
    ("invoiceitem", None),
    ("promotion_code", {"active": False}),
    ("subscription_schedule", {"status": "released"}),
    ("tax_rate", {"active": False}),
    ("quote", {"status": "canceled"}),
    ("billing.meter", {"status": "inactive"}),
    ("billing.credit_grant", {"metadata": {"checked": "yes"}}),
    ("card", None),
    ("bank_account", {"metadata": {"checked": "yes"}}),
    ("tax_id", None),
    ("entitlements.active_entitlement", None),
    ("webhook_endpoint", None),
    ("apple_pay_domain", None),
    ("terminal.reader", None),
    ("terminal.location", {"display_name": "Moved"}),
    ("issuing.card", {"status": "canceled"}),
    ("issuing.authorization", {"status": "closed"}),
    ("issuing.dispute", {"status": "submitted"}),
    ("climate.order", {"status": "canceled"}),
    ("topup", {"status": "succeeded"}),
    ("transfer", {"description": "Reviewed"}),
    ("person", None),
]


class _Film(Protocol):
    account: Account
    end: int
    customers: list[str]
    charges: list[str]
    coupons: list[str]
    prices: list[Object]
    products: list[str]

    def at(self, when: float, act: Callable[..., None], *args: Any) -> None: ...


class Rest:
    def __init__(self, film: _Film) -> None:
        self.film, self.account = film, film.account
        self.made: dict[str, list[str]] = {}

    def plan(self) -> None:
        acts = [self.pay, self.suspect, self.bill, self.meter, self.know_customers, self.connect, self.issue, self.configure]
        for days in (500, 11):
            for number, act in enumerate(acts):
                self.film.at(self.film.end - days * DAY + number * 3600, act)
        for number, (kind, change) in enumerate(_LATELY):
            self.film.at(self.film.end - 4 * DAY + number * 600, partial(self.go_on, kind, change))

    def make(self, kind: str, when: int, **fields: Any) -> str:
        place: str = self.account.create(kind, fields, at=when)["id"]
        self.made.setdefault(kind, []).append(place)
        return place

    def go_on(self, kind: str, change: Object | None, when: int) -> None:
        newest = self.made[kind].pop()
        if change is None:
            self.account.delete(kind, newest, at=when)
        else:
            self.account.update(kind, newest, change, at=when)

    def newest_invoice(self) -> str:
        return next(reversed(self.account.shelf("invoice").objects))

    # ------------------------------------------------------------------ the acts

    def pay(self, when: int) -> None:
        customers = self.film.customers[:6]
        for number, status in enumerate(("succeeded", "requires_action", "canceled", "requires_payment_method")):
            intent = self.make("setup_intent", when + number, status=status, customer=customers[number])
            for attempt in range(number * 4):
                self.make("setup_attempt", when + attempt, setup_intent=intent, status="failed")
        for customer in customers:
            self.make("payment_method", when + 10, customer=customer)
        for number, status in enumerate(("complete", "open", "expired")):
            self.make("checkout.session", when + 20, status=status, line_items=(1, 12, 3)[number], customer=customers[number])
        self.make("payment_link", when + 30, line_items=11)
        record = self.make("payment_record", when + 31)
        self.make("payment_attempt_record", when + 31, payment_record=record)
        for status in ("failed", "pending"):
            self.make("topup", when + 32, status=status)

    def suspect(self, when: int) -> None:
        for charge in self.film.charges[-3:]:
            self.make("radar.early_fraud_warning", when, charge=charge)
            self.make("review", when + 1, charge=charge)
        for number in range(2):
            its = self.make("radar.value_list", when + 2, name=f"List {number}")
            for _ in range(13 * number + 1):
                self.make("radar.value_list_item", when + 3, value_list=its)

    def bill(self, when: int) -> None:
        invoice, customers = self.newest_invoice(), self.film.customers
        for count in (1, 12):
            self.make("credit_note", when, invoice=invoice, lines=[{"amount": 100 + line} for line in range(count)])
        for pending in (False, True):
            self.make("invoiceitem", when + 1, customer=customers[0], invoice=None if pending else invoice)
        for coupon in self.film.coupons[:2]:
            self.make("promotion_code", when + 2, promotion={"coupon": coupon, "type": "coupon"})
        for status in ("completed", "canceled", "active", "not_started"):
            self.make("subscription_schedule", when + 3, customer=customers[1], status=status)
        for percentage in (7.0, 19.0):
            self.make("tax_rate", when + 4, percentage=percentage)
        items = [{"price": price, "amount_total": price["unit_amount"]} for price in self.film.prices[:11]]
        for status in ("accepted", "draft", "open"):
            self.make("quote", when + 5, customer=customers[2], status=status, line_items=items)
        self.make("invoice_rendering_template", when + 6)
        if not self.account.livemode:
            clock = self.make("test_helpers.test_clock", when + 7)
            self.account.create("customer", {"test_clock": clock, "name": "Ahead of its time"}, at=when + 8)

    def meter(self, when: int) -> None:
        meter = self.make("billing.meter", when)
        self.make(
            "billing.alert", when + 1, usage_threshold={"filters": [], "gte": 100, "meter": meter, "recurrence": "one_time"}
        )
        for customer in self.film.customers[:3]:
            grant = self.make("billing.credit_grant", when + 2, customer=customer)
            for _ in range(4):
                self.make("billing.credit_balance_transaction", when + 3, credit_grant=grant)

    def know_customers(self, when: int) -> None:
        many, few = self.film.customers[3], self.film.customers[4]
        for customer, count in ((many, 12), (few, 1)):
            for number in range(count):
                self.make("card", when + number, customer=customer)
                self.make("customer_balance_transaction", when + number, customer=customer, amount=-100 - number)
            self.make("bank_account", when + 20, customer=customer)
            self.make("source", when + 21, customer=customer)
            self.make("tax_id", when + 22, customer=customer)
            self.make("customer_cash_balance_transaction", when + 23, customer=customer)
        reduced = {"customer": few, "source": {"coupon": self.film.coupons[0], "type": "coupon"}}
        discount = self.account.shelf("discount").objects[self.make("discount", when + 24, **reduced)]
        self.account.update("customer", few, {"discount": discount}, None, at=when + 24)
        for number in range(11):
            feature = self.make("entitlements.feature", when + 30 + number, active=number > 0)
            self.make("entitlements.active_entitlement", when + 50, _customer=many, feature=feature)
        self.make("product_feature", when + 51, _product=self.film.products[0])
        bank = self.make("financial_connections.account", when + 60)
        self.make("financial_connections.transaction", when + 61, account=bank)

    def connect(self, when: int) -> None:
        for number, name in enumerate(("Bäckerei Schön", "花屋", "Old Books")):
            account = self.account.connect(at=when + number, dated=number != 2, business_type="company").id
            self.account.update("account", account, {"business_profile": {"name": name}}, at=when + 10)
            for _ in range((11, 1, 0)[number]):
                self.make("card", when + 11, account=account)
            for _ in range(number + 1):
                self.make("person", when + 12, account=account)
            for capability in ("card_payments", "transfers"):
                self.account.create("capability", {"id": capability, "account": account}, at=when + 13)
            transfer = self.make("transfer", when + 14, destination=account, amount=4000)
            for _ in range((12, 1, 0)[number]):
                self.make("transfer_reversal", when + 15, transfer=transfer, amount=100)
            fee = self.make("application_fee", when + 16, account=account, charge=self.film.charges[-1], amount=600)
            for _ in range((11, 0, 1)[number]):
                self.make("fee_refund", when + 17, fee=fee, amount=50)

    def issue(self, when: int) -> None:
        bundle = self.make("issuing.physical_bundle", when)
        self.make("issuing.personalization_design", when + 1, physical_bundle=bundle)
        for number in range(2):
            holder = self.make("issuing.cardholder", when + 2, name=f"Holder {number}")
            shown = self.account.shelf("issuing.cardholder").objects[holder]
            card = self.make("issuing.card", when + 3, cardholder=shown)
            self.make("issuing.token", when + 4, card=card)
            shown = self.account.shelf("issuing.card").objects[card]
            self.make("issuing.authorization", when + 5, card=shown)
            bought = self.make("issuing.transaction", when + 6, card=card)
            self.make("issuing.dispute", when + 7, transaction=bought)
        sold = self.make("climate.product", when + 8)
        self.make("climate.order", when + 9, product=sold)
        self.make("climate.supplier", when + 9)

    def configure(self, when: int) -> None:
        report = self.make("file", when)
        for _ in range(11):
            self.make("file_link", when + 1, file=report)
        for status in ("failed", "succeeded", "pending"):
            self.make("reporting.report_run", when + 2, status=status)
        for kind in ("shipping_rate", "webhook_endpoint", "apple_pay_domain", "payment_method_domain", "tax.registration"):
            self.make(kind, when + 3)
        self.make("payment_method_configuration", when + 4)
        self.make("billing_portal.configuration", when + 4)
        location = self.make("terminal.location", when + 5)
        self.make("terminal.reader", when + 6, location=location)
        self.make("terminal.configuration", when + 7)
        self.make("tax_id", when + 8, owner={"type": "self"})
        if not self.account.shelf("country_spec").objects:
            for country in ("DE", "JP", "US"):
                self.make("country_spec", when + 9, id=country)
            for number, name in enumerate(("Services", "Software", "Books")):
                self.make("tax_code", when + 9, id=f"txcd_1000000{number}", name=name)
                self.make("reporting.report_type", when + 9, id=f"{name.lower()}.summary.1", name=name)
