"""New objects from the templates of `kinds/`: the ground that `Account.create` builds on.

A template is the object itself. In it, a text that begins with `=` stands for a value: `=id`, `=created`, `=created+3600`
(seconds), `=amount` (whatever the object holds in its field `amount`), `=new product` (a new id of a product); `{id}` in a
text stands for the id, `{tail}` for its last eight characters in capitals. The value of a list of `lists` is what it holds if
nothing else is given. `when` names what differs by the value of a field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import orjson

from .kinds import Inside, Object, kind_of

NewId = Callable[[str], str]

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MADE_ONLY_HERE = {"account": ("acct_1", 16), "request": ("req_", 14)}


def made_up_id(kind: str, random: Random) -> str:
    if kind == "coupon":
        return "".join(random.choices(_ALPHABET[:36], k=8))
    prefix, length = _MADE_ONLY_HERE.get(kind) or kind_of(kind).id
    return prefix + "".join(random.choices(_ALPHABET, k=length))


def a_list(url: str, data: list[Object], *, counted: bool = True) -> Object:
    """A list as it stands in an object."""
    total: Object = {"total_count": len(data)} if counted else {}
    return {"object": "list", "data": data, "has_more": False, **total, "url": url}


def address(**given: Any) -> Object:
    return {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None} | given


def tier(**given: Any) -> Object:
    amounts = dict.fromkeys(("flat_amount", "flat_amount_decimal", "unit_amount", "unit_amount_decimal"))
    return {**amounts, "up_to": None} | given


def new_object(kind: str, new_id: NewId, ident: str, created: int, given: Object) -> Object:
    """A new object with the fields of `given` in place of the template's. `given` takes in what follows from it."""
    known = kind_of(kind)
    for name, inside in known.lists.items():
        if not inside.by and not inside.same_as and name in known.template:
            owner = known.template | given | {"id": ident}
            given[name] = filled_list(inside, new_id, owner, created, owner[name])
    if before := _BEFORE.get(kind):
        before(new_id, ident, created, given)
    body = _body(kind, tuple(_wording(given[name]) if name in given else None for name in known.when))
    made: Object = orjson.loads(body.text)
    for path, text in body.holes:
        if path[0] not in given:
            place: Any = made
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = _stood_for(text, new_id, ident, created, given, body.fields)
    made.update(given)
    return made


@dataclass(frozen=True)
class _Body:
    """A template as it is with some values of the fields in its `when`: as JSON, and where a text stands for a value."""

    fields: Object
    text: bytes
    holes: list[tuple[tuple[str | int, ...], str]]


@cache
def _body(kind: str, values: tuple[str | None, ...]) -> _Body:
    """`values` of the fields in `when`; None is the template's own."""
    fields = kind_of(kind).template
    for (name, differing), value in zip(kind_of(kind).when.items(), values, strict=True):
        fields = _merged(fields, differing.get(_wording(fields.get(name)) if value is None else value, {}))
    return _Body(fields, orjson.dumps(fields), list(_holes(fields, ())))


def _wording(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _merged(fields: Object, more: Object) -> Object:
    return fields | {
        name: _merged(fields[name], value) if isinstance(value, dict) and isinstance(fields.get(name), dict) else value
        for name, value in more.items()
    }


def _holes(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str) and (value.startswith("=") or "{id}" in value or "{tail}" in value):
        yield path, value
    for step, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _holes(each, (*path, step))


def _stood_for(text: Any, new_id: NewId, ident: str, created: int, given: Object, fields: Object) -> Any:
    """What a text of the template stands for; any other value stands for itself."""
    if not isinstance(text, str):
        return text
    if not text.startswith("="):
        return text.replace("{id}", ident).replace("{tail}", ident[-8:].upper())
    name, _, seconds = text[1:].partition("+")
    if name.startswith("new "):
        return new_id(name.removeprefix("new "))
    if name == "created":
        return created + int(seconds or 0)
    if name == "id":
        return ident
    return given[name] if name in given else _stood_for(fields.get(name), new_id, ident, created, given, fields)


def filled_list(inside: Inside, new_id: NewId, owner: Object, created: int, items: Any) -> Object:
    """A list of new items that stand in their owner. `items`: how many, or what sets each apart, or the list itself."""
    about = {name: owner.get(theirs) for name, theirs in inside.given.items()}
    each: Iterable[Object] = items["data"] if isinstance(items, dict) else [{}] * items if isinstance(items, int) else items
    data = []
    for item in each:
        told = about | item
        made = new_object(inside.of[0], new_id, item.get("id") or new_id(inside.of[0]), created, told)
        data.append(made | told)
    return a_list(inside.url.format(id=owner["id"]), data, counted=inside.is_counted)


# ---------------------------------------------------------------------- what follows from what is given


def _price(new_id: NewId, ident: str, created: int, given: Object) -> None:
    """The parts of `recurring` that are not given; currencies and decimals after the amount."""
    template = kind_of("price").template
    recurring = given.get("recurring", template["recurring"] if given.get("type", "recurring") == "recurring" else None)
    given["recurring"] = recurring and {**template["recurring"], **recurring}
    given.setdefault("type", "recurring" if recurring else "one_time")
    tiered = given.get("billing_scheme") == "tiered"
    amount = None if tiered else given.get("unit_amount", template["unit_amount"])
    decimal = None if amount is None else str(amount)
    given.setdefault("unit_amount_decimal", decimal)
    amounts = {"unit_amount": amount, "unit_amount_decimal": decimal}
    options = {"custom_unit_amount": None, "tax_behavior": "unspecified", **amounts}
    given.setdefault("currency_options", {given.get("currency", "usd"): options})


def _plan(new_id: NewId, ident: str, created: int, given: Object) -> None:
    amount = None if given.get("billing_scheme") == "tiered" else given.get("amount", kind_of("plan").template["amount"])
    given.setdefault("amount_decimal", None if amount is None else str(amount))


_TWINS = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product")


def plan_of(price: Object) -> Object:
    """The plan that Stripe shows beside a recurring price, under the same id."""
    recurring = price["recurring"]
    made: Object = {name: price[name] for name in _TWINS} | {
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "meter": recurring["meter"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": price["transform_quantity"],
        "trial_period_days": recurring["trial_period_days"],
        "usage_type": recurring["usage_type"],
    }
    tiers = {"tiers": price["tiers"]} if "tiers" in price else {}
    return {"id": price["id"], "object": "plan"} | dict(sorted(made.items())) | tiers


def price_of(plan: Object) -> Object:
    """What is given of the price that Stripe shows beside a plan, under the same id."""
    made: Object = {name: plan[name] for name in _TWINS} | {
        "unit_amount": plan["amount"],
        "unit_amount_decimal": plan["amount_decimal"],
        "tiers_mode": plan["tiers_mode"],
        "transform_quantity": plan["transform_usage"],
        "recurring": {name: plan[name] for name in ("interval", "interval_count", "meter", "trial_period_days", "usage_type")},
    }
    return made | ({"tiers": plan["tiers"]} if "tiers" in plan else {})


def _coupon(new_id: NewId, ident: str, created: int, given: Object) -> None:
    if "amount_off" in given:
        given.setdefault("percent_off", None)


def _subscription(new_id: NewId, ident: str, created: int, given: Object) -> None:
    """What the subscription tells of its first or only item."""
    filled = given["items"]["data"]
    given.setdefault("currency", filled[0]["price"]["currency"] if filled else "usd")
    alone = filled[0] if len(filled) == 1 else {}
    given.setdefault("plan", alone.get("plan"))
    given.setdefault("quantity", alone.get("quantity"))


def _subscription_item(new_id: NewId, ident: str, created: int, given: Object) -> None:
    price = given.get("price")
    if not isinstance(price, dict):
        price = new_object("price", new_id, price or new_id("price"), created, {})
    shown = {name: value for name, value in price.items() if name not in kind_of("price").includable}
    given.setdefault("plan", plan_of(shown))
    given["price"] = shown


def _line_item(new_id: NewId, ident: str, created: int, given: Object) -> None:
    """`price`, `subscription` and `subscription_item` say what the line is for."""
    price, subscription = given.pop("price", None), given.pop("subscription", None)
    proration = {"proration": False, "proration_details": {"credited_items": None}}
    item = invoice_item = None
    if subscription:
        item_id = given.pop("subscription_item", None) or new_id("subscription_item")
        item = proration | {"invoice_item": None, "subscription": subscription, "subscription_item": item_id}
    else:
        invoice_item = proration | {"invoice_item": "ii_1" + ident[-23:], "subscription": None}
    details = {"invoice_item_details": invoice_item, "subscription_item_details": item}
    given.setdefault("parent", details | {"type": "subscription_item_details" if item else "invoice_item_details"})
    product = price["product"] if price else "prod_" + ident[-14:]
    pricing: Object = {
        "price_details": {"price": price["id"] if price else "price_1" + ident[-23:], "product": product},
        "type": "price_details",
        "unit_amount_decimal": str(given.get("amount", kind_of("line_item").template["amount"])),
    }
    given.setdefault("pricing", pricing)


def _invoice(new_id: NewId, ident: str, created: int, given: Object) -> None:
    """What the lines sum to, and where a `subscription` stands."""
    if subscription := given.pop("subscription", None):
        details = {"metadata": {}, "subscription": subscription}
        parent = {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
        given.setdefault("parent", parent)
        given.setdefault("billing_reason", "subscription_cycle")
        given.setdefault("period_start", created - 30 * 86_400)
    given.setdefault("subtotal", sum(line["amount"] for line in given["lines"]["data"]))
    given.setdefault("total", given["subtotal"])


def _invoice_payment(new_id: NewId, ident: str, created: int, given: Object) -> None:
    intent = given.pop("payment_intent", None) or new_id("payment_intent")
    given.setdefault("payment", {"payment_intent": intent, "type": "payment_intent"})


def _balance_transaction(new_id: NewId, ident: str, created: int, given: Object) -> None:
    fee = given.get("fee", 0)
    given.setdefault("net", given.get("amount", kind_of("balance_transaction").template["amount"]) - fee)
    about = {"description": "Stripe processing fees", "type": "stripe_fee"}
    charged = {"amount": fee, "application": None, "currency": given.get("currency", "usd"), **about}
    given.setdefault("fee_details", [charged] if fee else [])


_BEFORE: dict[str, Callable[[NewId, str, int, Object], None]] = {
    "balance_transaction": _balance_transaction,
    "coupon": _coupon,
    "invoice": _invoice,
    "invoice_payment": _invoice_payment,
    "line_item": _line_item,
    "plan": _plan,
    "price": _price,
    "subscription": _subscription,
    "subscription_item": _subscription_item,
}
