"""How an object looks in an older API version: the breaking changes of 2022 to 2026 that touch what a reader sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from .kinds import Kind, Object, kind_of
from .templates import plan_of

Find = Callable[..., Object | None]  # an object of the account by its id, and the kinds that it may be of, in today's shape

BASIL, CLOVER = "2025-03-31.basil", "2025-09-30.clover"


def is_current(version: str) -> bool:
    return version >= CLOVER


@dataclass(frozen=True)
class _Change:
    """What the versions before `since` had otherwise, by kind: `shape` makes an object of today's shape one of theirs.

    `expanded` and `contained` are the places that only they had, as in `Kind`; `new` those that they did not have. They showed
    the lists that are `contained`, and what is `unasked` without being asked.
    """

    since: str
    shape: Mapping[str, Callable[[Object, Find, Find], None]] = field(default_factory=dict)
    expanded: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)
    contained: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    new: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unasked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@cache
def kind_at(name: str, version: str) -> Kind:
    """What is known of a kind of object in that version. Versions compare as text, for each begins with its date."""
    known = kind_of(name)
    for change in _CHANGES:
        if version < change.since:
            new, contained = change.new.get(name, ()), change.contained.get(name, {})
            expandable = {at: to for at, to in known.expandable.items() if at not in new}
            contains = {at: of for at, of in known.contains.items() if at.removesuffix(".data") not in new}
            lists = {at: inside for at, inside in known.lists.items() if at not in new}
            known = replace(
                known,
                expandable={**expandable, **change.expanded.get(name, {})},
                contains={**contains, **contained},
                lists={at: replace(each, is_shown=each.is_shown or f"{at}.data" in contained) for at, each in lists.items()},
                unasked=(*known.unasked, *change.unasked.get(name, ())),
            )
    return known


def as_of(version: str, obj: Object, find: Find, payment_of: Find) -> Object:
    """A copy of the object as it was in that version; what is in it is shared, and as it is today.

    `payment_of` gives the invoice payment of an invoice or of a payment intent.
    """
    made = dict(obj)
    if is_current(version) or obj.keys() <= _STUB:
        return made
    for change in _CHANGES:
        if version < change.since and (shape := change.shape.get(obj.get("object", ""))):
            shape(made, find, payment_of)
    return made


def _discount(obj: Object, find: Find, payment_of: Find) -> None:
    coupon = obj.pop("source")["coupon"]
    obj["coupon"] = find(coupon, ["coupon"]) if isinstance(coupon, str) else coupon


def _promotion_code(obj: Object, find: Find, payment_of: Find) -> None:
    coupon = obj.pop("promotion")["coupon"]
    obj["coupon"] = find(coupon, ["coupon"]) if isinstance(coupon, str) else coupon


def _subscription(obj: Object, find: Find, payment_of: Find) -> None:
    items = obj["items"]["data"]
    for bound in ("current_period_start", "current_period_end"):
        obj[bound] = items[0].get(bound) if items else None
    obj["discount"] = _first_discount(obj, find)
    obj.pop("billing_mode", None)
    obj.pop("billing_schedules", None)


def _subscription_item(obj: Object, find: Find, payment_of: Find) -> None:
    for bound in ("current_period_start", "current_period_end"):
        obj.pop(bound, None)


def _first_discount(obj: Object, find: Find) -> Object | None:
    first = next(iter(obj.get("discounts", ())), None)
    return find(first) if isinstance(first, str) else first


def _invoice(obj: Object, find: Find, payment_of: Find) -> None:
    parent = (obj.pop("parent") or {}).get("subscription_details") or {}
    payment = payment_of(obj["id"]) if obj.get("id") else None
    intent = payment and payment["payment"].get("payment_intent")
    found = find(intent) if intent else None
    for new in ("amount_overpaid", "confirmation_secret", "payments"):
        obj.pop(new, None)
    taxes = _tax_amounts(obj.pop("total_taxes"))
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
        "tax": sum(each["amount"] for each in taxes) if taxes else None,
        "total_tax_amounts": taxes,
        "transfer_data": None,
    }


def _line_item(obj: Object, find: Find, payment_of: Find) -> None:
    details = obj.pop("parent") or {}
    item = details.get("subscription_item_details") or {}
    pricing = obj.pop("pricing") or {}
    obj |= {
        "amount_excluding_tax": obj["amount"],
        "invoice_item": (details.get("invoice_item_details") or {}).get("invoice_item"),
        "plan": None,
        "price": _price_in(pricing, find),
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": item.get("subscription"),
        "subscription_item": item.get("subscription_item"),
        "tax_amounts": _tax_amounts(obj.pop("taxes")),
        "tax_rates": [],
        "type": "subscription" if item else "invoiceitem",
        "unit_amount_excluding_tax": pricing.get("unit_amount_decimal"),
    }


def _invoiceitem(obj: Object, find: Find, payment_of: Find) -> None:
    origin = (obj.pop("parent") or {}).get("subscription_details") or {}
    pricing = obj.pop("pricing") or {}
    price = _price_in(pricing, find)
    decimal = pricing.get("unit_amount_decimal")
    obj |= {
        "plan": plan_of(price) if price and price["recurring"] and obj["proration"] else None,
        "price": price,
        "subscription": origin.get("subscription"),
        "unit_amount": int(decimal) if decimal and "." not in decimal else None,
        "unit_amount_decimal": decimal,
    }
    if origin.get("subscription_item"):
        obj["subscription_item"] = origin["subscription_item"]


def _price_in(pricing: Object, find: Find) -> Object | None:
    return find((pricing.get("price_details") or {}).get("price", ""), ["price"])


def _credit_note(obj: Object, find: Find, payment_of: Find) -> None:
    first: Object = next(iter(obj.pop("refunds")), {})
    obj["refund"] = first.get("refund")
    obj["tax_amounts"] = _tax_amounts(obj.pop("total_taxes"))


def _tax_amounts(taxes: list[Object] | None) -> list[Object]:
    kept = ("amount", "taxability_reason", "taxable_amount")
    return [
        {name: each.get(name) for name in kept}
        | {
            "inclusive": each.get("tax_behavior") == "inclusive",
            "tax_rate": (each.get("tax_rate_details") or {}).get("tax_rate"),
        }
        for each in taxes or ()
    ]


def _checkout_session(obj: Object, find: Find, payment_of: Find) -> None:
    obj["shipping_details"] = (obj["collected_information"] or {}).get("shipping_details")


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


def _product(obj: Object, find: Find, payment_of: Find) -> None:
    obj["features"] = obj.pop("marketing_features")


def _rendering_options(obj: Object, find: Find, payment_of: Find) -> None:
    rendering = obj.pop("rendering", None)
    obj["rendering_options"] = {"amount_tax_display": rendering["amount_tax_display"]} if rendering else None


def _tiers(obj: Object, find: Find, payment_of: Find) -> None:
    """A plan inside another object is kept without its tiers."""
    obj["tiers"] = (find(obj["id"], ["plan", "price"]) or obj).get("tiers")


_STUB = {"id", "object", "deleted"}  # all that is known of an object that is gone
_CHANGES = (
    _Change(
        CLOVER,
        shape={"discount": _discount, "promotion_code": _promotion_code},
        expanded={"discount": {"coupon": ["coupon"]}, "promotion_code": {"coupon": ["coupon"]}},
        contained={"discount": {"coupon": "coupon"}, "promotion_code": {"coupon": "coupon"}},
        new={"discount": ("source.coupon",), "promotion_code": ("promotion.coupon",)},
    ),
    _Change(
        BASIL,
        shape={
            "charge": _charge,
            "checkout.session": _checkout_session,
            "credit_note": _credit_note,
            "invoice": _invoice,
            "invoiceitem": _invoiceitem,
            "line_item": _line_item,
            "payment_intent": _payment_intent,
            "plan": _plan,
            "price": _price,
            "subscription": _subscription,
            "subscription_item": _subscription_item,
        },
        expanded={
            "charge": {"invoice": ["invoice"]},
            "credit_note": {"refund": ["refund"], "tax_amounts.tax_rate": ["tax_rate"]},
            "invoice": {
                "charge": ["charge"],
                "payment_intent": ["payment_intent"],
                "subscription": ["subscription"],
                "total_tax_amounts.tax_rate": ["tax_rate"],
            },
            "invoiceitem": {"subscription": ["subscription"]},
            "line_item": {"tax_amounts.tax_rate": ["tax_rate"]},
            "payment_intent": {"invoice": ["invoice"]},
        },
        contained={
            "invoice": {"discount": "discount"},
            "invoiceitem": {"plan": "plan", "price": "price"},
            "line_item": {"price": "price"},
            "subscription": {"discount": "discount"},
        },
        new={
            "credit_note": ("refunds.refund", "total_taxes.tax_rate_details.tax_rate"),
            "invoice": (
                "confirmation_secret",
                "parent.subscription_details.subscription",
                "payments",
                "total_taxes.tax_rate_details.tax_rate",
            ),
            "invoiceitem": ("pricing.price_details.price",),
            "line_item": ("pricing.price_details.price", "taxes.tax_rate_details.tax_rate"),
        },
    ),
    _Change("2024-04-10", shape={"invoice": _rendering_options, "product": _product}),
    _Change(
        "2022-11-15",
        contained={"payment_intent": {"charges.data": "charge"}},
        unasked={"charge": ("refunds",)},
    ),
    _Change(
        "2020-08-27",
        shape={"plan": _tiers},
        unasked={"customer": ("sources", "subscriptions", "tax_ids"), "plan": ("tiers",)},
    ),
)
