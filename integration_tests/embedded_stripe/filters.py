"""Which of a list's objects a request asks for."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from typing import Any

from .account import Account, is_hidden
from .kinds import Filter, Object, kind_of
from .parameters import Parameters


class Filters:
    """`values`: by the filter's name what was given for it, or else holds for it. `hides`: what is left out all the same."""

    def __init__(
        self,
        account: Account,
        filters: Mapping[str, Filter],
        values: Mapping[str, Any],
        given: Parameters,
        hides: Mapping[str, list[Any]],
    ) -> None:
        self._account, self._filters, self._values = account, filters, values
        self._ranges = {name: bounds for name, bounds in given.ranges.items() if name in filters}
        asked = {name.partition("[")[0] for name in values}
        self._hides = {place: hidden for place, hidden in hides.items() if place.partition(".")[0] not in asked}
        self.everything = not values and not self._ranges and not self._hides

    def unknown_reference(self) -> tuple[str, str, str] | None:
        """The first object that a filter names and that is not there: its kind, its id, the filter's name."""
        for name, value in self._values.items():
            target = self._filters[name].target
            if target:
                shelf = self._account.shelf(target)
                gone = target == "customer" and value in shelf.gone
                if shelf.get(value) is None and not gone:
                    return target, value, name
        return None

    def match(self, obj: Object) -> bool:
        return (
            not is_hidden(obj, self._hides)
            and all(self._one(obj, name) for name in self._values)
            and all(_within(value_at(obj, self._filters[name].field), bounds) for name, bounds in self._ranges.items())
        )

    def match_status(self, obj: Object) -> bool:
        return self._one(obj, "status")

    def _one(self, obj: Object, name: str) -> bool:
        known, value = self._filters[name], self._values[name]
        test = _TESTS.get(known.kind)
        found = value_at(obj, known.field)
        return bool(test(self._account, obj, found, value) if test else found == value)


def value_at(obj: Any, path: str) -> Any:
    """The value at a dotted path, None if there is none."""
    for segment in path.split("."):
        if isinstance(obj, list):
            obj = obj[int(segment)] if int(segment) < len(obj) else None
        else:
            obj = obj.get(segment) if isinstance(obj, dict) else None
    return obj


def _within(value: Any, bounds: dict[str, int]) -> bool:
    tests: dict[str, Callable[[Any, int], bool]] = {
        "is": lambda value, bound: value == bound,
        "gt": lambda value, bound: value > bound,
        "gte": lambda value, bound: value >= bound,
        "lt": lambda value, bound: value < bound,
        "lte": lambda value, bound: value <= bound,
    }
    return value is not None and all(tests[name](value, bound) for name, bound in bounds.items())


def _has_status(account: Account, subscription: Object, status: str, value: str) -> bool:
    if value == "ended":
        return status in ("canceled", "incomplete_expired")
    return status != "canceled" if value == "current" else value in ("all", status)


def _has_value(account: Account, value_list: Object, found: Any, value: str) -> bool:
    items = account.members(kind_of("radar.value_list").lists["list_items"], value_list["id"])
    return value in [item["value"] for item in items]


def _is_of_customer(account: Account, transaction: Object, found: Any, value: str) -> bool:
    grant = account.shelf("billing.credit_grant").get(transaction["credit_grant"])
    return grant is not None and grant["customer"] == value


# By the kind of a filter how it compares: the account, the object, what it holds in the filter's field, the given value.
_TESTS: dict[str, Callable[[Account, Object, Any, Any], Any]] = {
    "after": lambda account, obj, found, value: found > value,
    "before": lambda account, obj, found, value: found < value,
    "choice_or_all": lambda account, obj, found, value: value in ("all", found),
    "contains_value": _has_value,
    "customer_of_grant": _is_of_customer,
    "delivery_success": lambda account, event, found, value: value == (event["pending_webhooks"] == 0),
    "event_type": lambda account, event, found, value: fnmatch.fnmatchcase(event["type"], value),
    "in": lambda account, obj, found, value: found in value,
    "none": lambda account, obj, found, value: value == (found is None),
    "not": lambda account, obj, found, value: value == (not found),
    "payout_of": lambda account, entry, found, value: (
        entry["source"] == value or entry["id"] in account.payout_contents.get(value, ())
    ),
    "scheduled": lambda account, schedule, found, value: value == (schedule["status"] == "not_started"),
    # Stripe names a dispute as the source of a row, and yet finds none by it.
    "source_of": lambda account, entry, found, value: entry["source"] == value and not value.startswith(("du_", "dp_")),
    "subscription_price": lambda account, subscription, found, value: any(
        item["price"]["id"] == value for item in subscription["items"]["data"]
    ),
    "subscription_status": _has_status,
}
