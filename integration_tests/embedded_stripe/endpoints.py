"""The collections of the API: where each is, what its list takes, and what a restricted key needs to read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PINNED_VERSION = "2026-08-26.dahlia"


@dataclass(frozen=True)
class Filter:
    """A list parameter. `field` is the dotted place in the object; `kind` says how the two are compared:
    `is` (the same text), `ref` (the same id, which must exist), `bool`, `range` (`[gte]` and so on), `choice`, or by a
    test of its own."""

    kind: str
    field: str = ""
    choices: tuple[str, ...] = ()
    target: str = ""


def _is(at: str) -> Filter:
    return Filter("is", at)


def _ref(target: str, at: str = "") -> Filter:
    return Filter("ref", at or target, target=target)


def _choice(at: str, *choices: str) -> Filter:
    return Filter("choice", at, choices)


_BOOL_ACTIVE = Filter("bool", "active")
_METHOD = _choice("collection_method", "charge_automatically", "send_invoice")


@dataclass(frozen=True)
class Collection:
    """`param` is what Stripe's 404 for an unknown id calls the id."""

    path: str
    object: str
    filters: Mapping[str, Filter] = field(default_factory=dict)
    permission: str = ""
    row: str = ""
    param: str = "id"
    listed: bool = True
    required: tuple[str, ...] = ()
    by_created: bool = True

    @property
    def stream(self) -> str:
        return self.path.removeprefix("/v1/")


COLLECTIONS = [
    Collection(
        "/v1/charges",
        "charge",
        {
            "customer": _ref("customer"),
            "payment_intent": _ref("payment_intent"),
            "transfer_group": _is("transfer_group"),
        },
        "charge_read",
        "Charges and Refunds",
    ),
    Collection(
        "/v1/customers",
        "customer",
        {"email": _is("email"), "test_clock": _is("test_clock")},
        "customer_read",
        "Customers",
    ),
    Collection(
        "/v1/subscriptions",
        "subscription",
        {
            "automatic_tax[enabled]": Filter("bool", "automatic_tax.enabled"),
            "collection_method": _METHOD,
            "current_period_end": Filter("range", "items.data.0.current_period_end"),
            "current_period_start": Filter("range", "items.data.0.current_period_start"),
            "customer": _ref("customer"),
            "customer_account": _is("customer_account"),
            "price": Filter("subscription_price"),
            "status": Filter(
                "subscription_status",
                "status",
                (
                    "all",
                    "active",
                    "canceled",
                    "ended",
                    "incomplete",
                    "incomplete_expired",
                    "past_due",
                    "paused",
                    "trialing",
                    "unpaid",
                ),
            ),
            "test_clock": _is("test_clock"),
        },
        "subscription_read",
        "Subscriptions",
        "subscription_exposed_id",
    ),
    Collection(
        "/v1/invoices",
        "invoice",
        {
            "collection_method": _METHOD,
            "customer": _ref("customer"),
            "customer_account": _is("customer_account"),
            "due_date": Filter("range", "due_date"),
            "status": _choice("status", "draft", "open", "paid", "uncollectible", "void"),
            "subscription": _ref("subscription", "parent.subscription_details.subscription"),
        },
        "invoice_read",
        "Invoices",
        "invoice",
    ),
    Collection(
        "/v1/products",
        "product",
        {
            "active": _BOOL_ACTIVE,
            "ids": Filter("ids"),
            "shippable": Filter("bool", "shippable"),
            "url": _is("url"),
        },
        "product_read",
        "Products",
    ),
    Collection(
        "/v1/prices",
        "price",
        {
            "active": Filter("price_active", "active"),
            "currency": _is("currency"),
            "lookup_keys": Filter("lookup_keys"),
            "product": _ref("product"),
            "recurring[interval]": _choice("recurring.interval", "day", "week", "month", "year"),
            "recurring[meter]": _is("recurring.meter"),
            "recurring[usage_type]": _choice("recurring.usage_type", "licensed", "metered"),
            "type": _choice("type", "one_time", "recurring"),
        },
        "plan_read",
        "Prices",
        "price",
    ),
    Collection(
        "/v1/payment_intents",
        "payment_intent",
        {"customer": _ref("customer"), "customer_account": _is("customer_account")},
        "payment_intent_read",
        "PaymentIntents",
        "intent",
    ),
    Collection(
        "/v1/disputes",
        "dispute",
        {"charge": _ref("charge"), "payment_intent": _ref("payment_intent")},
        "dispute_read",
        "Disputes",
        "dispute",
    ),
    Collection(
        "/v1/refunds",
        "refund",
        {"charge": _ref("charge"), "payment_intent": _ref("payment_intent")},
        "charge_read",
        "Charges and Refunds",
        "refund",
    ),
    Collection(
        "/v1/balance_transactions",
        "balance_transaction",
        {
            "currency": _is("currency"),
            "payout": Filter("payout_of", target="payout"),
            "source": Filter("source_of"),
            "type": _is("type"),
        },
        "balance_read",
        "Balance",
    ),
    Collection(
        "/v1/payouts",
        "payout",
        {"arrival_date": Filter("range", "arrival_date"), "destination": _is("destination"), "status": _is("status")},
        "payout_read",
        "Payouts",
        "payout",
    ),
    Collection(
        "/v1/events",
        "event",
        {
            "delivery_success": Filter("delivery_success"),
            "type": Filter("event_type"),
            "types": Filter("event_types"),
        },
        "event_read",
        "Events",
    ),
    Collection("/v1/coupons", "coupon", {}, "coupon_read", "Coupons", "coupon"),
    Collection("/v1/plans", "plan", {"active": _BOOL_ACTIVE, "product": _ref("product")}, "plan_read", "Prices", "plan"),
    # What the streams lead to.
    Collection(
        "/v1/invoice_payments",
        "invoice_payment",
        {
            "invoice": _ref("invoice"),
            "payment[type]": _choice("payment.type", "charge", "payment_intent", "payment_record"),
            "payment[payment_intent]": _is("payment.payment_intent"),
            "payment[payment_record]": _is("payment.payment_record"),
            "status": _choice("status", "canceled", "open", "paid"),
        },
        "invoice_read",
        "Invoices",
        "invoice_payment",
    ),
    Collection(
        "/v1/subscription_items",
        "subscription_item",
        {"subscription": _ref("subscription")},
        "subscription_read",
        "Subscriptions",
        "item",
        required=("subscription",),
        by_created=False,
    ),
]

# Objects that only come along with others, and what it takes to see them there.
PERMISSIONS = {collection.object: (collection.permission, collection.row) for collection in COLLECTIONS} | {
    "discount": ("coupon_read", "Coupons"),
    "line_item": ("invoice_read", "Invoices"),
    "tax_id": ("customer_read", "Customers"),
    "payment_method": ("payment_method_read", "Payment Methods"),
    "setup_intent": ("setup_intent_read", "SetupIntents"),
}
SOURCE_PERMISSION = ("balance_transaction_source_read", "Balance Transaction Sources")
IMPLIED_PERMISSIONS = {
    "balance_transaction_source_read": {"balance_read", "application_fee_read", "transfer_read"},
    "credit_note_read": {"invoice_read"},
    "invoice_read": {"credit_note_read"},
}

_STRIPE = json.loads((Path(__file__).parent / "stripe.json").read_text())
VERSIONS: list[str] = _STRIPE["versions"]  # of the API, oldest first
EXPANDABLE: dict[str, dict[str, list[str]]] = _STRIPE["expandable"]  # place -> what its id may become
CONTAINED: dict[str, dict[str, str]] = _STRIPE["contained"]  # place -> the object that is there whole
DISPUTE_EVIDENCE: list[str] = _STRIPE["dispute_evidence"]
# Left out of an object unless asked for.
INCLUDABLE = {kind: tuple(place for place, targets in places.items() if not targets) for kind, places in EXPANDABLE.items()}


def can_expand(kind: str, path: list[str]) -> bool:
    """Whether `path`, without the `data` of a list, leads to something Stripe expands in an object of that kind."""
    for length in range(1, len(path) + 1):
        place, rest = ".".join(path[:length]), path[length:]
        targets = EXPANDABLE.get(kind, {}).get(place)
        if targets is not None and not rest:
            return True
        if targets and any(can_expand(target, rest) for target in targets):
            return True
        inside = CONTAINED.get(kind, {}).get(place)
        if inside and rest and can_expand(inside, rest):
            return True
        if f"{place}.data" in CONTAINED.get(kind, {}) and (not rest or rest == ["data"]):
            return True
    return False
