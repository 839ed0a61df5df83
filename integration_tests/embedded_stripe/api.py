"""What the API answers to a request that was let in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, unquote_plus

import orjson

from . import errors, search
from .account import RETENTION, Account
from .bulk import BulkItems
from .endpoints import (
    OLDER_NAMES,
    OWN_ACCOUNT_PERMISSION,
    PERMISSIONS,
    PRODUCTS,
    SINGLETONS,
    SOURCE_PERMISSION,
    UNLISTED,
)
from .errors import StripeError
from .filters import Filters
from .kinds import Collection, Filter, Inside, Object, Tree, kind_of
from .parameters import CREATED, Parameters, Query, expansion, parameters
from .shelf import FIRST, LAST, Key
from .versions import BASIL, is_current, kind_at

# What may be given besides to retrieve an object of a kind.
_OF_RETRIEVAL = {
    "invoice_rendering_template": {"version": Filter("integer")},
    "payment_intent": {"client_secret": Filter("is")},
    "setup_intent": {"client_secret": Filter("is")},
}
# Addresses that are no ids, by the list under which they stand.
_PREVIEWS = {
    "/v1/credit_notes/preview": "/v1/credit_notes",
    "/v1/credit_notes/preview/lines": "/v1/credit_notes",
    "/v1/invoices/upcoming": "/v1/invoices",
    "/v1/invoices/upcoming/lines": "/v1/invoices",
}
_OF_SEARCH = {"query": Filter("is"), "page": Filter("is")}
# What has a DELETE of its own, or whose lists' objects have one.
_DELETABLE = {
    "account", "apple_pay_domain", "coupon", "customer", "invoice", "invoiceitem", "plan", "product", "radar.value_list",
    "radar.value_list_item", "subscription", "subscription_item", "tax_id", "terminal.configuration", "terminal.location",
    "terminal.reader", "test_helpers.test_clock", "webhook_endpoint",
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A GET that may be answered. `key` says what it may read; `path` is undecoded."""

    account: Account
    path: str
    query: Query
    version: str
    key: Any


@dataclass(frozen=True)
class Route:
    """Where a path leads: to a list or to its search, to the object `ident` of it, to one of that object's lists, to the object
    `child` of this, or to a `part` of the object; or to a `singleton`, a kind. `operation` is its name for the rate limits."""

    operation: str
    collection: Collection | None = None
    ident: str | None = None
    inside: Inside | None = None
    child: str | None = None
    part: str | None = None
    singleton: str | None = None
    is_search: bool = False
    is_preview: bool = False


def route(account: Account, path: str) -> Route | None:
    """Ids stand percent-encoded in the path, whatever a merchant has put in them."""
    if path in SINGLETONS:
        return Route(path, singleton=SINGLETONS[path])
    by_path = {known.path: known for known in (*account.collections, *UNLISTED)}
    by_path |= {older: by_path[newer] for older, newer in OLDER_NAMES.items()}
    if path in _PREVIEWS:
        return Route(path, by_path[_PREVIEWS[path]], is_preview=True)
    raw = path.split("/")
    for length in range(len(raw), max(len(raw) - 4, 0), -1):
        if collection := by_path.get("/".join(raw[:length])):
            return _within(account, collection, raw[length:])
    return None


def _within(account: Account, collection: Collection, rest: list[str]) -> Route | None:
    if not rest:
        return Route(collection.path, collection) if collection.is_listed else None
    if "" in rest:
        return None
    if rest == ["search"] and collection.searched_by:
        return Route(f"{collection.path}/search", collection, is_search=True)
    ident = unquote(rest[0])
    if "+" in ident and account.shelf(collection.object).get(ident) is None:
        ident = unquote_plus(rest[0])  # so Stripe's own libraries write a blank
    found = Route(f"{collection.path}/:id", collection, ident)
    if len(rest) == 1:
        return found if collection.is_retrieved else None
    if len(rest) == 2 and rest[1] in kind_of(collection.object).parts:
        return replace(found, operation=f"{found.operation}/{rest[1]}", part=rest[1])
    lists = kind_of(collection.object).lists.values()
    inside = next((each for each in lists if each.is_served and rest[1] in (each.name, each.also)), None)
    if inside is None or len(rest) > 3 or (len(rest) == 3 and not inside.by):
        return None
    child = unquote(rest[2]) if len(rest) == 3 else None
    operation = f"{found.operation}/{rest[1]}" + ("/:id" if child else "")
    return replace(found, operation=operation, inside=inside, child=child)


# ---------------------------------------------------------------------- answers


def answer(call: Call, to: Route) -> bytes:
    """The body of a 200. Raises the StripeError otherwise. The account's lock is held by the caller."""
    call.account.settle()
    if to.singleton:
        return _singleton(call, to.singleton)
    collection = to.collection
    assert collection is not None
    inside, kind = to.inside, collection.object
    permission, row = kind_of(inside.of[0]).permission if inside else ("", "")
    call.key.require(permission or collection.permission, row or collection.row, call.account)
    if not call.account.has(kind_of(kind).product):
        raise StripeError(400, PRODUCTS[kind_of(kind).product].format(path=call.path))
    if to.is_preview:
        raise _no_preview(call)
    if to.is_search:
        return _search(call, collection)
    if to.ident is None:
        return _list(call, collection)
    if inside and to.child is not None:
        return _child(call, collection, to.ident, inside, to.child)
    if inside:
        return _nested(call, collection, to.ident, inside)
    if to.part:
        return _part(call, collection, to.ident, to.part)
    return _retrieved(call, collection, to.ident)


def refused_write(account: Account, method: str, path: str, to: Route | None) -> StripeError:
    """Nothing is written here: whatever is there can't be found by a method of writing, what is not is missing as in Stripe."""
    if to is not None and to.collection is not None and to.ident is not None and to.operation.endswith("/:id"):
        kind = to.collection.object
        if method == "DELETE" and kind not in _DELETABLE:
            return errors.wrong_path(method, path)
        found = _found(account, kind, to.ident)
        if found is None or (method == "DELETE" and kind == "subscription" and found["status"] == "canceled"):
            missing = kind_of(kind).missing
            param = missing.param_of_post if method == "POST" and missing.param_of_post else missing.param
            return _missing(account, kind, to.ident, param, 404)
    return errors.wrong_path(method, path)


def _missing(account: Account, kind: str, ident: str, param: str | None, status: int) -> StripeError:
    if kind == "event" and account.shelf("event").get(ident) is not None:
        return errors.aged_out(ident, param, status)
    twin = account._other
    hint = errors.in_other_mode(twin.livemode) if twin is not None and twin.shelf(kind).get(ident) is not None else ""
    if kind == "payment_method" and status == 404 and account.is_platform:
        hint = hint or errors.ON_A_CONNECTED_ACCOUNT
    return errors.no_such(kind_of(kind).missing, ident, param, status=status, livemode=account.livemode, hint=hint)


def _found(account: Account, kind: str, ident: str) -> Object | None:
    if kind == "account" and ident == account.id:
        return account.singleton(kind)
    found = account.shelf(kind).get(ident)
    if kind == "subscription_item" and found is None:
        for subscription in account.shelf("subscription").objects.values():
            for item in subscription["items"]["data"]:
                if item["id"] == ident:
                    return dict(item)
    if kind == "event" and found is not None:
        aged = found["created"] < account.now - RETENTION
        return None if aged or not account.is_visible(ident) else found
    return found


def _owner(call: Call, kind: str, ident: str) -> Object:
    """The object; raises what Stripe answers when there is none."""
    account = call.account
    found = _found(account, kind, ident)
    if found is None and kind == "account":
        raise errors.account_not_connected(call.key.token, ident)
    if found is None:
        raise _missing(account, kind, ident, kind_of(kind).missing.param, 404)
    return found


def _singleton(call: Call, kind: str) -> bytes:
    call.key.require(*(OWN_ACCOUNT_PERMISSION if kind == "account" else kind_of(kind).permission), call.account)
    tree = expansion(parameters(call.query, {}, paged=False).expand, kind, call.version, listed=False)
    return call.account.dumped(call.account.singleton(kind), tree, version=call.version)


def _retrieved(call: Call, collection: Collection, ident: str) -> bytes:
    account, kind = call.account, collection.object
    given = parameters(call.query, _OF_RETRIEVAL.get(kind, {}), paged=False)
    tree = expansion(given.expand, kind, call.version, listed=False)
    _require_targets(call, kind, tree)
    if kind == "customer" and ident in account.shelf(kind).gone:
        stub = {"id": ident, "object": "customer", "deleted": True}
        return orjson.dumps(stub, option=orjson.OPT_INDENT_2)
    found = _owner(call, kind, ident)
    return account.dumped(found, tree, version=_data_version(kind, call))


def _child(call: Call, collection: Collection, ident: str, inside: Inside, child: str) -> bytes:
    account, owner = call.account, _owner(call, collection.object, ident)
    found = next((each for each in account.inside(owner, inside) if each["id"] == child), None)
    kind = inside.of[0]
    if found is None and kind == "payment_method" and account.shelf(kind).get(child) is not None:
        raise errors.of_another_customer()
    if found is None:
        raise _missing(account, kind, child, kind_of(kind).missing.param, 404)
    tree = expansion(parameters(call.query, {}, paged=False).expand, found["object"], call.version, listed=False)
    _require_targets(call, kind, tree)
    return account.dumped(found, tree, version=call.version)


def _part(call: Call, collection: Collection, ident: str, part: str) -> bytes:
    owner = _owner(call, collection.object, ident)
    given = parameters(call.query, {}, paged=False)
    found = owner[part]
    if found is None and part == "dispute":
        raise StripeError(404, f"No dispute for charge: {ident}")
    if found is None:
        raise StripeError(404, f"No active {part} for {collection.object}: {ident}", "resource_missing")
    if isinstance(found, str):
        found = call.account.find(found) or {}
        call.key.require(*kind_of(found["object"]).permission, call.account)
    tree = expansion(given.expand, found["object"], call.version, listed=False)
    _require_targets(call, found["object"], tree)
    return call.account.dumped(found, tree, version=call.version)


def _no_preview(call: Call) -> StripeError:
    """Nothing is previewed here. Upcoming invoices are gone since basil, and no customer has one in the versions before."""
    given = dict(call.query)
    needed = "customer" if "/invoices/" in call.path else "invoice"
    if needed == "customer" and call.version >= BASIL:
        return errors.wrong_path("GET", call.path)
    if needed not in given:
        return errors.missing_parameter(needed)
    if call.account.shelf(needed).get(given[needed]) is None:
        return _missing(call.account, needed, given[needed], needed, 400)
    if needed == "customer":
        return StripeError(404, f"No upcoming invoices for customer: {given[needed]}", "invoice_upcoming_none")
    return StripeError(400, "The embedded account makes no previews of credit notes.")


def _data_version(kind: str, call: Call) -> str:
    """Events keep the shape of the day they were made, whatever version is asked for."""
    return "9999" if kind == "event" else call.version


def _require_targets(call: Call, kind: str, tree: Tree) -> None:
    """A key needs the permission of what it expands too."""

    def visit(kind: str, tree: Tree, prefix: str) -> None:
        for name, branch in tree.items():
            at = prefix + name
            known = kind_at(kind, call.version)
            inside = known.contains.get(at) or known.contains.get(f"{at}.data")
            targets = known.expandable.get(at, [])
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


# ---------------------------------------------------------------------- lists


def _list(call: Call, collection: Collection) -> bytes:
    account, kind = call.account, collection.object
    created = CREATED if collection.by_created else {}
    given = parameters(call.query, {**collection.filters, **created}, paged=collection.is_paged)
    for name in collection.required:
        if name not in given.values:
            raise StripeError(400, collection.saying) if collection.saying else errors.missing_parameter(name)
    tree = expansion(given.expand, kind, call.version, listed=True)
    _require_targets(call, kind, tree)
    if kind == "subscription_item":
        subscription = given.values["subscription"]
        items = _items(account, subscription)
        return _page_of(call, kind, items, given, tree, f"{collection.path}?subscription={subscription}")
    values = given.values
    if kind != "price" or account.prices_default == "active":
        values = {**collection.defaults, **values}
    if kind == "event":
        _check_event_types(given)
    keep = Filters(account, collection.filters, values, given, collection.hides)
    if unknown := keep.unknown_reference():
        raise _missing(account, *unknown, 400)
    if _asks_for_a_clock(account, kind, values):
        return _page_of(call, kind, [each for each in account.of_clocks(kind) if keep.match(each)], given, tree, collection.path)
    found, has_more = _found_on_shelf(call, collection, given, keep)
    version = _data_version(kind, call)
    key = (tuple(sorted(given.expand)), version if not is_current(version) else "")
    counted = given.values.keys() & set(collection.counted_by)
    count = sum(map(keep.match, account.each(kind))) if counted else None
    return page(account.page_items(kind, found, tree, key, version), has_more, collection.path, count)


def _search(call: Call, collection: Collection) -> bytes:
    account, kind = call.account, collection.object
    given = parameters(call.query, _OF_SEARCH)
    for name in ("starting_after", "ending_before"):
        if getattr(given, name):
            raise errors.unknown_parameters([name])
    if "query" not in given.values:
        raise errors.missing_parameter("query")
    tree = expansion([path for path in given.expand if path != "total_count"], kind, call.version, listed=True)
    _require_targets(call, kind, tree)
    start = search.start_of(given.values["page"]) if "page" in given.values else 0
    found = search.found(account, collection, given.values["query"])
    end = start + given.limit
    items = [account.dumped(each, tree, version=call.version).replace(b"\n", b"\n    ") for each in found[start:end]]
    has_more = len(found) > end
    body = {
        "object": "search_result",
        "data": list(map(orjson.Fragment, items)),
        "has_more": has_more,
        "next_page": search.page_from(end) if has_more else None,
        **({"total_count": len(found)} if "total_count" in given.expand else {}),
        "url": f"{collection.path}/search",
    }
    return orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _asks_for_a_clock(account: Account, kind: str, values: Mapping[str, Any]) -> bool:
    """Objects of test clocks are listed for who asks for a clock, or for the subscriptions of a clock's customer."""
    if kind == "subscription" and "customer" in values:
        return bool((account.shelf("customer").get(values["customer"]) or {}).get("test_clock"))
    return "test_clock" in values


def _check_event_types(given: Parameters) -> None:
    if {"type", "types"} <= given.values.keys():
        raise StripeError(400, "You may only specify one of these parameters: type, types.")
    if len(given.values.get("types", ())) > 20:
        raise StripeError(400, "You may specify up to 20 event types.", None, "types")


def _found_on_shelf(call: Call, collection: Collection, given: Parameters, keep: Filters) -> tuple[list[str | int], bool]:
    """The places of a page's objects, and whether there are more."""
    account, kind = call.account, collection.object
    shelf = account.shelf(kind)
    after, before = _bounds(given.ranges.get("created", {}) if collection.by_created else {})
    if kind == "event":
        after = max(after, (account.now - RETENTION, -math.inf))
    # `starting_after` goes on in the list's own direction, `ending_before` against it.
    forwards = not given.ending_before
    cursor = given.starting_after or given.ending_before
    oldest_first = collection.oldest_first == forwards
    if cursor:
        at = _cursor(account, kind, cursor, "starting_after" if forwards else "ending_before", keep)
        after, before = (max(after, at), before) if oldest_first else (after, min(before, at))
    dated_only = kind == "account" and "created" in given.ranges and not account.undated_in_ranges
    found: list[str | int] = []
    for place in shelf.walk(after, before, oldest_first=oldest_first):
        if dated_only and "created" not in shelf.at(place):
            continue
        is_visible = kind != "event" or account.is_visible(shelf.id_at(place))
        if is_visible and (keep.everything or keep.match(shelf.at(place))):
            found.append(place)
            if len(found) > given.limit:
                break
    has_more = len(found) > given.limit
    found = found[: given.limit]
    return (found if forwards else found[::-1]), has_more


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


def _cursor(account: Account, kind: str, ident: str, param: str, keep: Filters) -> Key:
    shelf = account.shelf(kind)
    at = shelf.key_of(ident)
    if at is None and kind == "customer":
        at = shelf.gone.get(ident)
    if kind == "event" and at is not None and at[0] < account.now - RETENTION:
        raise errors.aged_out(ident, param, 400)
    if at is None or (kind == "subscription" and not keep.match_status(shelf.get(ident) or {})):
        raise _missing(account, kind, ident, param, 400)
    return at


def _items(account: Account, subscription: str) -> list[Object]:
    found = account.shelf("subscription").get(subscription)
    if found is None:
        raise _missing(account, "subscription", subscription, "subscription", 400)
    items: list[Object] = found["items"]["data"]
    return items


def _nested(call: Call, collection: Collection, ident: str, inside: Inside) -> bytes:
    account, kind = call.account, inside.of[0]
    known = {**inside.filters, **(CREATED if inside.by_created else {})}
    given = parameters(call.query, known, paged=inside.is_paged)
    shelf = account.shelf(collection.object)
    items: Sequence[Object] | None = None if inside.by else shelf.bulk_items(ident, inside.name)
    if items is None:
        items = account.inside(_owner(call, collection.object, ident), inside)
    if given.values or given.ranges:
        keep = Filters(account, known, given.values, given, {})
        items = [each for each in items if keep.match(each)]
    tree = expansion(given.expand, kind, call.version, listed=True)
    _require_targets(call, kind, tree)
    return _page_of(call, kind, items, given, tree, f"{collection.path}/{ident}/{inside.name}")


def _page_of(call: Call, kind: str, items: Sequence[Object], given: Parameters, tree: Tree, url: str) -> bytes:
    """A page of a list that belongs to an object."""
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
    dumped = [account.dumped(item, tree, version=call.version).replace(b"\n", b"\n    ") for item in found]
    return page(dumped, has_more, url)


__all__ = ["Call", "Route", "answer", "page", "refused_write", "route"]
