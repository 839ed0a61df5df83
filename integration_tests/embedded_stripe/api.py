"""What the API answers to a request that was let in: routes, parameters, paging, expansion."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus

import orjson

from . import errors
from .account import RETENTION, Account, Tree
from .bulk import BulkItems
from .endpoints import PERMISSIONS, SOURCE_PERMISSION, can_expand
from .errors import StripeError
from .kinds import Collection, Filter, Object, kind_of
from .shelf import FIRST, LAST, Key
from .versions import is_current

Query = list[tuple[str, str]]
_RANGES = ("gt", "gte", "lt", "lte")
_NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


@dataclass(frozen=True)
class Call:
    """A GET that may be answered. `allowed` says whether the key has a permission; `target` is the undecoded path."""

    account: Account
    target: str
    query: Query
    version: str
    key: Any


@dataclass(frozen=True)
class Route:
    """Where a path leads: `operation` is its name for the rate limits."""

    operation: str
    collection: Collection | None = None
    ident: str | None = None
    nested: str | None = None


def route(account: Account, path: str) -> Route | None:
    """Ids stand percent-encoded in the path, whatever a merchant has put in them."""
    raw = path.strip("/").split("/")
    if raw == ["v1", "account"]:
        return Route("/v1/account")
    by_path = {known.path: known for known in account.collections}
    collection = by_path.get("/" + "/".join(raw[:2]))
    if collection is None or path.endswith("/"):
        return None
    if len(raw) == 2:
        return Route(collection.path, collection)
    ident = unquote(raw[2])
    if "+" in ident and account.shelf(collection.object).get(ident) is None:
        ident = unquote_plus(raw[2])  # so Stripe's own libraries write a blank
    if len(raw) == 3:
        return Route(f"{collection.path}/:id", collection, ident)
    if len(raw) == 4 and raw[3] in kind_of(collection.object).lists:
        return Route(f"{collection.path}/:id/{raw[3]}", collection, ident, raw[3])
    return None


def parsed(query: str) -> Query:
    return parse_qsl(query, keep_blank_values=True)


# ---------------------------------------------------------------------- parameters


@dataclass
class Parameters:
    """A request's parameters, sorted out and checked: `values` by the filter's name, `ranges` by field."""

    limit: int
    starting_after: str | None
    ending_before: str | None
    expand: list[str]
    values: dict[str, Any]
    ranges: dict[str, dict[str, int]]


def parameters(query: Query, filters: Iterable[tuple[str, Filter]], *, paged: bool = True) -> Parameters:
    known = dict(filters)
    given = Parameters(10, None, None, [], {}, {})
    for name, value in query:
        match = _NAME.match(name)
        base, keys = (match[1], re.findall(r"\[([^\[\]]*)\]", match[2])) if match else (name, [])
        whole = base + "".join(f"[{key}]" for key in keys)
        is_list = len(keys) == 1 and (keys[0] == "" or keys[0].isdigit())
        if base == "expand" and is_list:
            given.expand.append(value)
            continue
        filtered = known.get(whole) or (known.get(base) if is_list or not keys or keys[0] in _RANGES else None)
        pageable = paged and not keys and base in ("limit", "starting_after", "ending_before")
        if not pageable and (filtered is None or not _takes(filtered, keys, is_list)):
            raise errors.unknown_parameter(whole)
        if value == "":
            raise errors.empty_parameter(whole)
        if base == "limit":
            given.limit = min(max(_integer("limit", value), 1), 100)
        elif base == "starting_after":
            given.starting_after = value
        elif base == "ending_before":
            given.ending_before = value
        elif filtered is not None and filtered.kind == "range":
            bound = keys[0] if keys else "is"
            given.ranges.setdefault(base, {})[bound] = _integer(whole, value)
        elif is_list:
            given.values.setdefault(base, []).append(value)
        elif filtered is not None:
            given.values[whole] = _checked(whole, value, filtered)
    if given.starting_after and given.ending_before:
        raise errors.both_cursors()
    return given


def _takes(filtered: Filter, keys: list[str], is_list: bool) -> bool:
    """Whether a parameter of this kind is written with these brackets."""
    if filtered.kind in ("ids", "lookup_keys", "event_types"):
        return is_list
    if filtered.kind == "range":
        return not keys or (len(keys) == 1 and keys[0] in _RANGES)
    return not is_list


def _integer(name: str, value: str) -> int:
    if not re.fullmatch(r"-?\d+", value):
        raise errors.bad_integer(name, value)
    return int(value)


def _checked(name: str, value: str, filtered: Filter) -> Any:
    if filtered.kind in ("bool", "price_active", "delivery_success"):
        if value not in ("true", "false"):
            raise errors.bad_boolean(name, value)
        return value == "true"
    if filtered.choices and value not in filtered.choices:
        raise errors.bad_choice(name, filtered.choices)
    return value


def expansion(paths: list[str], kind: str, *, listed: bool) -> dict[str, Any]:
    """The tree of what to expand in an object of that kind."""
    tree: dict[str, Any] = {}
    for path in paths:
        segments = path.split(".")
        if len(segments) > 4:
            raise errors.too_deep(path)
        if listed:
            if segments[0] != "data" or len(segments) == 1:
                hint = f"data.{path}" if can_expand(kind, segments) else None
                raise errors.not_expandable(segments[-1] if hint else path, hint=hint)
            segments = segments[1:]
        if not can_expand(kind, segments):
            raise errors.not_expandable(segments[-1])
        branch = tree
        for segment in segments:
            branch = branch.setdefault(segment, {})
    return tree


# ---------------------------------------------------------------------- answers


def answer(call: Call, to: Route) -> bytes:
    """The body of a 200. Raises the StripeError otherwise. The account's lock is held by the caller."""
    account = call.account
    account.settle()
    if to.collection is None:
        call.key.require("accounts_kyc_basic_read", "Accounts KYC Basic", account)
        return _dump(_account(account))
    collection = to.collection
    call.key.require(collection.permission, collection.row, account)
    if to.nested:
        return _nested(call, collection, str(to.ident), to.nested)
    if to.ident is not None:
        return _retrieved(call, collection, to.ident)
    return _list(call, collection)


def refused_write(account: Account, method: str, path: str, to: Route | None) -> StripeError:
    """Nothing is written here: whatever is there can't be found by a method of writing, what is not is missing as in Stripe."""
    if to is not None and to.collection is not None and to.ident is not None and to.nested is None:
        kind = to.collection.object
        if _found(account, kind, to.ident) is None:
            missing = kind_of(kind).missing
            param = missing.param_of_post if method == "POST" and missing.param_of_post else missing.param
            return _missing(account, kind, to.ident, param, 404)
    return errors.wrong_path(method, path)


def _dump(body: Any) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_INDENT_2)


def _account(account: Account) -> Object:
    return {"id": account.id, "object": "account", "country": "US", "default_currency": "usd", "type": "standard"} | {
        "charges_enabled": True,
        "payouts_enabled": True,
        "details_submitted": True,
        "email": "shop@example.com",
        "business_profile": {"name": "Example Shop", "url": "https://shop.example.com"},
        "created": 1_500_000_000,
        "metadata": {},
    }


def _missing(account: Account, kind: str, ident: str, param: str | None, status: int) -> StripeError:
    if kind == "event" and account.shelf("event").get(ident) is not None:
        return errors.aged_out(ident, param, status)
    twin = account._other
    hint = errors.in_other_mode(twin.livemode) if twin is not None and twin.shelf(kind).get(ident) is not None else ""
    return errors.no_such(kind_of(kind).missing, ident, param, status=status, livemode=account.livemode, hint=hint)


def _found(account: Account, kind: str, ident: str) -> Object | None:
    found = account.shelf(kind).get(ident)
    if kind == "subscription_item" and found is None:
        for subscription in account.shelf("subscription").objects.values():
            for item in subscription["items"]["data"]:
                if item["id"] == ident:
                    return dict(item)
    if kind == "event" and found is not None:
        aged = found["created"] < account.now - RETENTION
        return None if aged or not account.is_visible(found) else found
    return found


def _retrieved(call: Call, collection: Collection, ident: str) -> bytes:
    account, kind = call.account, collection.object
    given = parameters(call.query, [("client_secret", Filter("is"))] if kind == "payment_intent" else [], paged=False)
    tree = expansion(given.expand, kind, listed=False)
    _require_targets(call, kind, tree)
    found = _found(account, kind, ident)
    if found is None:
        if kind == "customer" and ident in account.shelf(kind).gone:
            return _dump({"id": ident, "object": "customer", "deleted": True})
        raise _missing(account, kind, ident, kind_of(kind).missing.param, 404)
    return _dump(account.view(found, tree, version=_data_version(kind, call)))


def _data_version(kind: str, call: Call) -> str:
    """Events keep the shape of the day they were made, whatever version is asked for."""
    return "9999" if kind == "event" else call.version


def _require_targets(call: Call, kind: str, tree: Tree) -> None:
    """A key needs the permission of what it expands too."""

    def visit(kind: str, tree: Tree, prefix: str) -> None:
        for name, branch in tree.items():
            at = prefix + name
            inside = kind_of(kind).contains.get(at) or kind_of(kind).contains.get(f"{at}.data")
            targets = kind_of(kind).expandable.get(at, [])
            if kind == "balance_transaction" and at == "source":
                call.key.require(*SOURCE_PERMISSION, call.account)
                continue
            for target in [inside] if inside else targets[:1]:
                if target in PERMISSIONS:
                    call.key.require(*PERMISSIONS[target], call.account)
                visit(target, branch.get("data", branch) if inside else branch, "")
            if not inside and not targets:
                visit(kind, branch, at + ".")

    visit(kind, tree, "")


def _list(call: Call, collection: Collection) -> bytes:
    account, kind = call.account, collection.object
    ranged = [("created", Filter("range", "created"))] if collection.by_created else []
    given = parameters(call.query, [*collection.filters.items(), *ranged])
    for name in collection.required:
        if name not in given.values:
            raise errors.missing_parameter(name)
    tree = expansion(given.expand, kind, listed=True)
    _require_targets(call, kind, tree)
    if kind == "subscription_item":
        url = f"{collection.path}?subscription={given.values['subscription']}"
        return _page_of(call, kind, _items(account, given.values["subscription"]), given, tree, url)
    keep = _Filters(account, collection, given)
    after, before = _bounds(given.ranges.pop("created", {}))
    keep.check()
    shelf = account.shelf(kind)
    if kind == "event":
        after = max(after, (account.now - RETENTION, -math.inf))
    cursor = given.starting_after or given.ending_before
    if cursor:
        param = "starting_after" if given.starting_after else "ending_before"
        at = _cursor(account, kind, cursor, param, keep)
        if given.starting_after:
            before = min(before, at)
        else:
            after = max(after, at)
    found: list[str | int] = []
    for at_item in shelf.walk(after, before, oldest_first=bool(given.ending_before)):
        if keep.everything or keep.matches(at_item):
            found.append(at_item)
            if len(found) > given.limit:
                break
    has_more = len(found) > given.limit
    found = found[: given.limit]
    if given.ending_before:
        found.reverse()
    version = _data_version(kind, call)
    key = (tuple(sorted(given.expand)), version if not is_current(version) else "")
    count = sum(map(keep.matches, shelf.walk())) if given.values.keys() & set(collection.counted_by) else None
    return page(account.page_items(kind, found, tree, key, version), has_more, collection.path, count)


def page(items: list[bytes], has_more: bool, url: str, count: int | None = None) -> bytes:
    """A list as Stripe indents it; `items` are indented already as they stand inside."""
    data = b"[\n    " + b",\n    ".join(items) + b"\n  ]" if items else b"[]"
    return b'{\n  "object": "list",\n%b  "data": %b,\n  "has_more": %b,\n  "url": %b\n}\n' % (
        b"" if count is None else b'  "count": %d,\n' % count,
        data,
        b"true" if has_more else b"false",
        orjson.dumps(url),
    )


def _bounds(ranges: dict[str, int]) -> tuple[Key, Key]:
    after, before = FIRST, LAST
    if "is" in ranges:
        after, before = (ranges["is"], -math.inf), (ranges["is"], math.inf)
    if "gt" in ranges:
        after = max(after, (ranges["gt"], math.inf))
    if "gte" in ranges:
        after = max(after, (ranges["gte"], -math.inf))
    if "lt" in ranges:
        before = min(before, (ranges["lt"], -math.inf))
    if "lte" in ranges:
        before = min(before, (ranges["lte"], math.inf))
    return after, before


def _cursor(account: Account, kind: str, ident: str, param: str, keep: _Filters) -> Key:
    shelf = account.shelf(kind)
    at = shelf.key_of(ident)
    if at is None and kind == "customer":
        at = shelf.gone.get(ident)
    if kind == "event" and at is not None and at[0] < account.now - RETENTION:
        raise errors.aged_out(ident, param, 400)
    if at is None or (kind == "subscription" and not keep.status_matches(ident)):
        raise _missing(account, kind, ident, param, 400)
    return at


def _items(account: Account, subscription: str) -> list[Object]:
    found = account.shelf("subscription").get(subscription)
    if found is None:
        raise _missing(account, "subscription", subscription, "subscription", 400)
    items: list[Object] = found["items"]["data"]
    return items


def _nested(call: Call, collection: Collection, ident: str, name: str) -> bytes:
    kind = kind_of(collection.object).lists[name].of
    items = _inside(call.account, collection, ident, name)
    given = parameters(call.query, [])
    tree = expansion(given.expand, kind, listed=True)
    _require_targets(call, kind, tree)
    return _page_of(call, kind, items, given, tree, f"/v1/{collection.stream}/{ident}/{name}")


def _inside(account: Account, collection: Collection, ident: str, name: str) -> Sequence[Object]:
    """The whole list `name` of an object; raises what Stripe answers when there is no such object."""
    if (alike := account.shelf(collection.object).bulk_items(ident, name)) is not None:
        return alike
    owner = _found(account, collection.object, ident)
    if owner is None:
        raise _missing(account, collection.object, ident, kind_of(collection.object).missing.param, 404)
    if name in owner:
        items: list[Object] = owner[name]["data"]
        return items
    shown = account.view(owner, {name: {}}, whole=(name,))[name]["data"]
    return [account.shelf(kind_of(collection.object).lists[name].of).objects[each["id"]] for each in shown]


def _page_of(call: Call, kind: str, items: Sequence[Object], given: Parameters, tree: Tree, url: str) -> bytes:
    """A page of a list that stands in an object."""
    account = call.account
    start, end = 0, len(items)
    cursor = given.starting_after or given.ending_before
    if cursor:
        ids = items.ids if isinstance(items, BulkItems) else [item["id"] for item in items]
        places = [at for at, id in enumerate(ids) if id == cursor]
        if not places:
            param = "starting_after" if given.starting_after else "ending_before"
            raise _missing(account, kind, cursor, param, 400)
        start, end = (places[0] + 1, end) if given.starting_after else (0, places[0])
    if given.ending_before:
        found, has_more = items[max(start, end - given.limit) : end], end - start > given.limit
    else:
        found, has_more = items[start : start + given.limit], end - start > given.limit
    dumped = [_dump(account.view(item, tree, version=call.version)).replace(b"\n", b"\n    ") for item in found]
    return page(dumped, has_more, url)


class _Filters:
    """Which of a collection's objects a request asks for."""

    def __init__(self, account: Account, collection: Collection, given: Parameters) -> None:
        self.account, self.collection, self.given = account, collection, given
        self.shelf = account.shelf(collection.object)
        self.values = dict(given.values)
        kind = collection.object
        if kind == "subscription" and "status" not in self.values:
            self.values["status"] = "current"
        if kind == "price" and "active" not in self.values and account.prices_default == "active":
            self.values["active"] = True
        self.everything = not self.values and not set(given.ranges) - {"created"} and kind != "event"

    def check(self) -> None:
        values, account = self.values, self.account
        if "type" in values and "types" in values and self.collection.object == "event":
            raise StripeError(400, "You may only specify one of these parameters: type, types.")
        if len(values.get("types", ())) > 20:
            raise StripeError(400, "You may specify up to 20 event types.", None, "types")
        for name, value in values.items():
            known = self.collection.filters[name]
            if known.target and known.kind in ("ref", "payout_of"):
                shelf = account.shelf(known.target)
                gone = known.target == "customer" and value in shelf.gone
                if shelf.get(value) is None and not gone:
                    raise _missing(account, known.target, value, name, 400)

    def matches(self, at: str | int) -> bool:
        shelf = self.shelf
        obj = shelf.bulk.object_at(at) if isinstance(at, int) and shelf.bulk else shelf.objects[str(at)]
        filters = self.collection.filters
        if self.collection.object == "event" and not self.account.is_visible(obj):
            return False
        for name, value in self.values.items():
            if not self._one(obj, filters[name], value):
                return False
        return all(
            _within(_places(obj, filters[name].field), bounds) for name, bounds in self.given.ranges.items() if name in filters
        )

    def status_matches(self, ident: str) -> bool:
        found = self.shelf.get(ident)
        return found is not None and self._one(found, self.collection.filters["status"], self.values["status"])

    def _one(self, obj: Object, known: Filter, value: Any) -> bool:
        test = _TESTS.get(known.kind)
        return bool(test(self.account, obj, value) if test else value in _places(obj, known.field))


def _has_status(account: Account, subscription: Object, value: str) -> bool:
    status = subscription["status"]
    if value == "ended":
        return status in ("canceled", "incomplete_expired")
    return status != "canceled" if value == "current" else value in ("all", status)


_TESTS: dict[str, Callable[[Account, Object, Any], Any]] = {
    "delivery_success": lambda account, event, value: value == (event["pending_webhooks"] == 0),
    "event_type": lambda account, event, value: fnmatch.fnmatchcase(event["type"], value),
    "event_types": lambda account, event, value: event["type"] in value,
    "ids": lambda account, obj, value: obj["id"] in value,
    "lookup_keys": lambda account, price, value: price["lookup_key"] in value,
    "payout_of": lambda account, entry, value: entry["source"] == value or entry["id"] in account.payout_contents.get(value, ()),
    # Stripe names a dispute as the source of a row, and yet finds none by it.
    "source_of": lambda account, entry, value: entry["source"] == value and not value.startswith(("du_", "dp_")),
    "subscription_price": lambda account, subscription, value: any(
        item["price"]["id"] == value for item in subscription["items"]["data"]
    ),
    "subscription_status": _has_status,
}


def _places(obj: Any, path: str) -> list[Any]:
    """The value at a dotted path, as a list of none or one."""
    for segment in path.split("."):
        if isinstance(obj, list):
            obj = obj[int(segment)] if int(segment) < len(obj) else None
        else:
            obj = obj.get(segment) if isinstance(obj, dict) else None
    return [] if obj is None else [obj]


def _within(values: Iterable[int], bounds: dict[str, int]) -> bool:
    tests = {
        "is": lambda value, bound: value == bound,
        "gt": lambda value, bound: value > bound,
        "gte": lambda value, bound: value >= bound,
        "lt": lambda value, bound: value < bound,
        "lte": lambda value, bound: value <= bound,
    }
    found = list(values)
    return bool(found) and all(tests[name](value, bound) for value in found for name, bound in bounds.items())


__all__ = ["Call", "Route", "answer", "page", "parsed", "refused_write", "route"]
