"""How an object looks in an older API version: the breaking changes of 2022 to 2026 that touch what a reader sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
Find = Callable[[str], Object | None]  # an object of the account by its id, in today's shape

BASIL, CLOVER = "2025-03-31.basil", "2025-09-30.clover"


def is_current(version: str) -> bool:
    return version >= CLOVER


def reshape(obj: Object, version: str, find: Find, payment_of: Find) -> Object:
    """`obj` as `version` shows it. `payment_of` gives the invoice payment of an invoice or of a payment intent.
    Versions compare as text, for each begins with its date. The argument is left as it is."""
    if is_current(version) or "object" not in obj:
        return obj
    kind = obj["object"]
    if kind == "list":
        return obj | {"data": [reshape(each, version, find, payment_of) for each in obj["data"]]}
    shaped = {
        name: reshape(value, version, find, payment_of) if isinstance(value, dict) and "object" in value else value
        for name, value in obj.items()
    }
    change = _BEFORE_CLOVER.get(kind)
    if change:
        change(shaped, find)
    if version < BASIL:
        older = _BEFORE_BASIL.get(kind)
        if older:
            older(shaped, find, payment_of)
    if version < "2024-04-10" and kind == "product":
        shaped["features"] = shaped.pop("marketing_features")
    return shaped


def _discount(obj: Object, find: Find) -> None:
    coupon = obj.pop("source")["coupon"]
    obj["coupon"] = find(coupon) if isinstance(coupon, str) else coupon


def _promotion_code(obj: Object, find: Find) -> None:
    coupon = obj.pop("promotion")["coupon"]
    obj["coupon"] = find(coupon) if isinstance(coupon, str) else coupon


def _subscription(obj: Object, find: Find, payment_of: Find) -> None:
    items = obj["items"]["data"]
    for bound in ("current_period_start", "current_period_end"):
        obj[bound] = items[0].get(bound) if items else None
    obj["items"] = obj["items"] | {
        "data": [{k: v for k, v in item.items() if not k.startswith("current_period_")} for item in items]
    }
    obj["discount"] = _first_discount(obj, find)
    obj.pop("billing_mode", None)
    obj.pop("billing_schedules", None)


def _first_discount(obj: Object, find: Find) -> Object | None:
    first = next(iter(obj.get("discounts", ())), None)
    found = find(first) if isinstance(first, str) else first
    if found is None:
        return None
    found = dict(found)
    if "source" in found:
        _discount(found, find)
    return found


def _invoice(obj: Object, find: Find, payment_of: Find) -> None:
    parent = (obj.pop("parent") or {}).get("subscription_details") or {}
    payment = payment_of(obj["id"]) if obj.get("id") else None
    intent = payment and payment["payment"].get("payment_intent")
    found = find(intent) if intent else None
    for new in ("amount_overpaid", "confirmation_secret", "payments", "total_taxes"):
        obj.pop(new, None)
    obj |= {
        "application_fee_amount": None,
        "charge": found["latest_charge"] if found else None,
        "discount": _first_discount(obj, find),
        "paid": obj["status"] == "paid",
        "paid_out_of_band": False,
        "payment_intent": intent,
        "quote": None,
        "subscription": parent.get("subscription"),
        "subscription_details": {"metadata": parent.get("metadata")},
        "tax": None,
        "total_tax_amounts": [],
        "transfer_data": None,
    }


def _line_item(obj: Object, find: Find, payment_of: Find) -> None:
    details = obj.pop("parent") or {}
    item = details.get("subscription_item_details") or {}
    pricing = obj.pop("pricing") or {}
    price = find((pricing.get("price_details") or {}).get("price", ""))
    obj.pop("taxes")
    obj |= {
        "amount_excluding_tax": obj["amount"],
        "invoice_item": (details.get("invoice_item_details") or {}).get("invoice_item"),
        "plan": None,
        "price": {k: v for k, v in price.items() if k not in ("tiers", "currency_options")} if price else None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": item.get("subscription"),
        "subscription_item": item.get("subscription_item"),
        "tax_amounts": [],
        "tax_rates": [],
        "type": "subscription" if item else "invoiceitem",
        "unit_amount_excluding_tax": pricing.get("unit_amount_decimal"),
    }


def _charge(obj: Object, find: Find, payment_of: Find) -> None:
    payment = payment_of(obj.get("payment_intent") or "")
    obj["invoice"] = payment["invoice"] if payment else None


def _payment_intent(obj: Object, find: Find, payment_of: Find) -> None:
    payment = payment_of(obj.get("id") or "")
    obj["invoice"] = payment["invoice"] if payment else None


def _price(obj: Object, find: Find, payment_of: Find) -> None:
    if obj["recurring"]:
        obj["recurring"] = obj["recurring"] | {"aggregate_usage": None}


def _plan(obj: Object, find: Find, payment_of: Find) -> None:
    obj["aggregate_usage"] = None


_BEFORE_CLOVER = {"discount": _discount, "promotion_code": _promotion_code}
_BEFORE_BASIL = {
    "charge": _charge,
    "invoice": _invoice,
    "line_item": _line_item,
    "payment_intent": _payment_intent,
    "plan": _plan,
    "price": _price,
    "subscription": _subscription,
}
