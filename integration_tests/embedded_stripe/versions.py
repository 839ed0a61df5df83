"""How an object looks in an older API version: the breaking changes of 2022 to 2026 that touch what a reader sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .kinds import Kind, Object, Tree

Find = Callable[[str], Object | None]  # an object of the account by its id, in today's shape

BASIL, CLOVER = "2025-03-31.basil", "2025-09-30.clover"


def is_current(version: str) -> bool:
    return version >= CLOVER


def expandable(known: Kind, version: str) -> Mapping[str, list[str]]:
    """The places of an object that can be expanded in that version, and what their ids may become."""
    places = known.expandable
    for since, new, old in ((CLOVER, _NEW_IN_CLOVER, _OLD_IN_CLOVER), (BASIL, _NEW_IN_BASIL, _OLD_IN_BASIL)):
        if version < since:
            kept = {place: targets for place, targets in places.items() if place not in new.get(known.name, ())}
            places = {**kept, **old.get(known.name, {})}
    return places


@dataclass(frozen=True)
class Shaper:
    """Puts objects into the shape of `version`, an older one. Versions compare as text, for each begins with its date.

    `payment_of` gives the invoice payment of an invoice or of a payment intent; `expanded` what stands in place of an id, with a
    branch of what is to be expanded in it, and the kinds that it may be of.
    """

    version: str
    find: Find
    payment_of: Find
    expanded: Callable[[Any, Tree, list[str]], Any]

    def shaped(self, value: Any, tree: Tree) -> Any:
        """`value`, with what `tree` asks for; the argument is left as it is."""
        if isinstance(value, list):
            return [self.shaped(each, tree) for each in value]
        if not isinstance(value, dict) or "object" not in value or value.keys() <= _STUB:
            return value
        made = {name: self.shaped(inner, tree.get(name, {})) for name, inner in value.items()}
        kind = value["object"]
        if change := _BEFORE_CLOVER.get(kind):
            change(made, self.find)
        if self.version < BASIL and (older := _BEFORE_BASIL.get(kind)):
            older(made, self.find, self.payment_of)
            for name, targets in _OLD_IN_BASIL.get(kind, {}).items():
                if name in tree and made.get(name):
                    made[name] = self.shaped(self.expanded(made[name], tree[name], targets), tree[name])
        if self.version < "2024-04-10" and kind == "product":
            made["features"] = made.pop("marketing_features")
        if self.version < "2024-04-10" and kind == "invoice":
            rendering = made.pop("rendering", None)
            made["rendering_options"] = {"amount_tax_display": rendering["amount_tax_display"]} if rendering else None
        return made


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


# What could be expanded before a version and not since, by the kind of object; and the other way round.
_OLD_IN_BASIL: dict[str, dict[str, list[str]]] = {
    "charge": {"invoice": ["invoice"]},
    "invoice": {
        "charge": ["charge"],
        "payment_intent": ["payment_intent"],
        "subscription": ["subscription"],
        "total_tax_amounts.tax_rate": ["tax_rate"],
    },
    "payment_intent": {"invoice": ["invoice"]},
}
_NEW_IN_BASIL = {"invoice": ("confirmation_secret", "payments", "total_taxes.tax_rate_details.tax_rate")}
_OLD_IN_CLOVER: dict[str, dict[str, list[str]]] = {"discount": {"coupon": ["coupon"]}, "promotion_code": {"coupon": ["coupon"]}}
_NEW_IN_CLOVER = {"discount": ("source.coupon",), "promotion_code": ("promotion.coupon",)}
_STUB = {"id", "object", "deleted"}  # all that is known of an object that is gone
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
