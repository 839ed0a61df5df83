"""A Stripe account in memory: its clock, its objects, and the events that tell of their changes."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from random import Random
from threading import RLock
from typing import Any
from uuid import UUID
from zlib import crc32

import orjson

from .bulk import Bulk, pattern_of
from .connected import Connected
from .endpoints import COLLECTIONS, PINNED_VERSION, PRODUCTS, SINGLETONS, Collection, Filter
from .events import tells_previous, told_of_change, told_of_deletion, told_of_new
from .kinds import Inside, Object, Tree, kind_of
from .shelf import FIRST, LAST, Key, Shelf
from .templates import a_list, filled_list, made_up_id, new_object, plan_of, price_of
from .views import Views, with_raw

RETENTION = 30 * 86_400
_FOUNDED = 1_500_000_000


@dataclass(frozen=True)
class Natural:
    """The event that Stripe itself would send."""


NATURAL = Natural()
_NO_TREE: Tree = {}

_UNDONE = ("failed", "canceled")
_TWIN = {"price": "plan", "plan": "price"}


@dataclass
class _Clock:
    fixed: int | None
    offset: int = 0

    @property
    def now(self) -> int:
        return (int(time.time()) if self.fixed is None else self.fixed) + self.offset


class Account:
    """What one key's mode shows of a Stripe account. Objects handed out are copies: change them with `update`.

    With `now` the clock stands still until `advance`; without, it follows the real one. `live` and `test` are the
    two modes of the same account; this one is the mode that `livemode` says. As a new account of Stripe's, it has none of
    `PRODUCTS` but those in `products`, and those of which an object is made.
    """

    def __init__(
        self,
        now: int | None = None,
        *,
        seed: int = 0,
        id: str | None = None,
        livemode: bool = False,
        products: Iterable[str] = (),
    ) -> None:
        self.random = Random(seed)
        self.id = id or made_up_id("account", self.random)
        self.livemode = livemode
        self.default_version = PINNED_VERSION
        self.prices_default = "active"
        self.legacy_refund_events = False
        self.undated_in_ranges = True  # whether a range of times finds an account that shows no `created`
        self.pending_webhooks = 0  # in how many endpoints each new event is still awaited
        self.payout_contents: dict[str, set[str]] = {}  # payout -> the balance transactions it paid out
        self.lock = RLock()
        self.collections: list[Collection] = list(COLLECTIONS)
        self._clock = _Clock(now)
        self._shelves: dict[str, Shelf] = {}
        self._sequence = 1 << 40  # above every index of a bulk
        self._late: dict[str, int] = {}
        self._pending: list[tuple[int, str]] = []
        self._rendered: dict[Any, bytes] = {}
        self._odd: dict[tuple[str, str], dict[str, bytes | None]] = {}
        self._other: Account | None = None
        self.platform: Account | None = None
        self._is_remade = False
        self._requests_under_way = 0
        self._request: tuple[str, str] | None = None
        self.connected: Connected[Account] = Connected(self._is_connected, self._sibling)
        self._views = Views(self.find, self.members, self._is_gone, self.payment_of)
        self._products: set[str] = set()
        for product in products:
            self.enable(product)

    # ------------------------------------------------------------------ clock and modes

    @property
    def now(self) -> int:
        return self._clock.now

    def advance(self, seconds: int) -> None:
        """Moves the clock of both modes."""
        with self.lock:
            self._clock.offset += int(seconds)

    @property
    def other(self) -> Account:
        """The same account in the other mode."""
        if self._other is None:
            self._other = Account(seed=1, id=self.id, livemode=not self.livemode)
            self._other._other = self
            self._other._clock, self._other._products = self._clock, self._products
            self._other.platform, self._other.connected = self.platform, self.connected
            self._other._shelves["account"] = self.shelf("account")
        return self._other

    @property
    def live(self) -> Account:
        return self if self.livemode else self.other

    @property
    def test(self) -> Account:
        return self.other if self.livemode else self

    # ------------------------------------------------------------------ a platform's accounts

    @property
    def is_platform(self) -> bool:
        """Whether it ever connected an account."""
        shelf = self.shelf("account")
        return bool(shelf.keys or shelf.bulk or shelf.gone)

    def connect(
        self, id: str | None = None, account: Account | None = None, *, at: int | None = None, dated: bool = True, **fields: Any
    ) -> Account:
        """Connects an account, in both modes: a new one, a given one, or again one that was deauthorized. `fields` are those
        of its object in `/v1/accounts`, which has no `created` unless it is `dated`."""
        ident = id or (account.id if account else self.new_id("account"))
        if ident not in self.connected:
            self.create("account", {"id": ident, **fields}, at=at, event=None)
            if not dated:
                del self.shelf("account").objects[ident]["created"]
        if account is not None:
            for mode in (account, account.other):
                mode.id, mode.platform = ident, self
            self.connected[ident] = account
        return self.connected[ident]

    def connect_many(self, count: int, fill: Callable[[Account], object] = lambda account: None, **options: Any) -> None:
        """So many accounts, with the options of `bulk`, each of which `fill` fills once it is asked for, and again once it is
        forgotten: with objects of times after `connected_at` that do not depend on the clock."""
        self.connected.fill = fill
        self.bulk("account", count, fields={"email": "shop@example.com"}, **options)

    def deauthorize(self, id: str) -> None:
        """From now on the account is none of this platform's."""
        self.delete("account", id, event=None)

    @property
    def connected_at(self) -> int:
        """When its platform connected it."""
        found = self.platform and self.platform.shelf("account").key_of(self.id)
        return int(found[0]) if found else _FOUNDED

    def _is_connected(self, ident: str) -> bool:
        return self.shelf("account").get(ident) is not None

    def _sibling(self, ident: str) -> Account:
        """A new account beside this one, under the same clock."""
        made = Account(seed=crc32(ident.encode()), id=ident, livemode=self.livemode)
        made.platform, made._clock, made.default_version = self, self._clock, self.default_version
        made._is_remade = True
        return made

    # ------------------------------------------------------------------ products and collections

    def enable(self, product: str) -> None:
        """From now on the account has that product."""
        if product not in PRODUCTS:
            raise ValueError(f"no product is called {product!r}; there are {', '.join(sorted(PRODUCTS))}")
        self._products.add(product)

    def disable(self, product: str) -> None:
        self._products.discard(product)

    def has(self, product: str) -> bool:
        """Whether the account has that product, if one is named. Test clocks are there in test mode without being enabled."""
        return not product or product in self._products or (product == "test_clocks" and not self.livemode)

    def add_collection(
        self,
        path: str,
        object: str,
        params: Iterable[str] = (),
        *,
        permission: str | None = None,
        row: str | None = None,
    ) -> Collection:
        """A further list of the API. `params` are its filters, each compared with the field of its name."""
        filters = {name: Filter("is", name) for name in params if name != "created"}
        row = row or object.replace("_", " ").title() + "s"
        stream = path.removeprefix("/v1/").replace("/", "_")
        collection = Collection(path, object, filters, permission or f"{object}_read", row, stream)
        self.collections = [known for known in self.collections if known.path != path] + [collection]
        return collection

    def collection(self, stream: str) -> Collection:
        for known in self.collections:
            if stream in (known.stream, known.path, known.path.removeprefix("/v1/")):
                return known
        raise KeyError(stream)

    def shelf(self, kind: str) -> Shelf:
        found = self._shelves.get(kind)
        if found is None:
            found = self._shelves[kind] = Shelf(kind)
        return found

    def new_id(self, kind: str) -> str:
        return made_up_id(kind, self.random)

    # ------------------------------------------------------------------ changes

    @contextmanager
    def _one_request(self) -> Iterator[None]:
        """What happens while it lasts is one request's doing, and its events say so."""
        with self.lock:
            self._requests_under_way += 1
            try:
                yield
            finally:
                self._requests_under_way -= 1
                if not self._requests_under_way:
                    self._request = None

    def create(
        self,
        kind: str,
        fields: Mapping[str, Any] | None = None,
        *,
        at: int | None = None,
        inline: bool = False,
        event: str | Natural | None = NATURAL,
    ) -> Object:
        """A new object: a realistic one, with `fields` in place of its own. Its natural events follow, unless `event`
        names another or is None. An `inline` price, like an object of a test clock, is in no list."""
        with self._one_request():
            made = self._create(kind, dict(fields or {}), at, inline, event)
            return _copied(made)

    def _create(self, kind: str, given: Object, at: int | None, inline: bool, event: str | Natural | None) -> Object:
        known = kind_of(kind)
        created = given.get("created")
        if created is None:
            created = self.now if at is None else at
        ident = given.get("id") or self.new_id(kind)
        place = f"{given[known.unique_in]}/{ident}" if known.unique_in else ident
        shelf = self.shelf(kind)
        if shelf.get(place) is not None:
            raise ValueError(f"{kind} {place!r} exists already")
        self._inherit(kind, given)
        made = new_object(kind, self.new_id, ident, created, given)
        made["id"] = ident
        if "created" in made:
            made["created"] = created
        if "livemode" in made:
            made["livemode"] = self.livemode
        for name in [inside.name for inside in known.lists.values() if inside.by]:
            made.pop(name, None)
        if known.product:
            self.enable(known.product)
        self._put(kind, made, created, listed=not inline and not made.get("test_clock"), place=place)
        if event is NATURAL:
            for each in told_of_new(made):
                if not (self.legacy_refund_events and kind == "refund"):
                    self._natural(each, made, created)
        elif isinstance(event, str):
            self._natural(event, made, created)
        self._follow_creation(kind, made, created, inline, event is not None)
        return made

    def _inherit(self, kind: str, given: Object) -> None:
        """What an object takes over from those that it belongs to."""
        known = kind_of(kind)
        for field, names in known.inherits.items():
            owner = self.find(str(given.get(field)), known.expandable[field])
            for name in names:
                if owner and owner[name] is not None:
                    given.setdefault(name, owner[name])
        if kind == "customer_balance_transaction" and (customer := self.shelf("customer").get(str(given.get("customer")))):
            amount = given.setdefault("amount", known.template["amount"])
            given.setdefault("ending_balance", customer["balance"] + amount)

    def _put(self, kind: str, made: Object, created: int, *, listed: bool, place: str | None = None) -> None:
        self._sequence += 1
        self.shelf(kind).put(made, (created, self._sequence), listed=listed, place=place)
        if kind == "balance_transaction" and made["status"] == "pending":
            heapq.heappush(self._pending, (made["available_on"], made["id"]))
        self._rendered.clear()

    def _follow_creation(self, kind: str, made: Object, created: int, inline: bool, tell: bool) -> None:
        if made.get("status") not in _UNDONE:
            self._share(made, made.get("amount", 0), created, tell)
        if kind == "dispute":
            self._change_silently("charge", made["charge"], {"disputed": True, "dispute": made["id"]})
        if kind == "setup_attempt":
            self._change_silently("setup_intent", made["setup_intent"], {"latest_attempt": made["id"]})
        if kind == "customer_balance_transaction" and self.shelf("customer").get(made["customer"]):
            change = {"balance": made["ending_balance"]}
            self.update("customer", made["customer"], change, NATURAL if tell else None, at=created)
        if kind == "price" and made["recurring"] and not inline and made["id"] not in self.shelf("plan").objects:
            self._twin("plan", plan_of(made), created, tell)
        if kind == "plan" and made["id"] not in self.shelf("price").objects:
            self._twin("price", new_object("price", self.new_id, made["id"], created, price_of(made)), created, tell)
        if kind == "entitlements.active_entitlement" and tell:
            self._tell_entitlements(made["_customer"], created, made=made)

    def _share(self, made: Object, amount: int, when: int, tell: bool) -> None:
        """What an object adds to the sum that its owner holds: a refund to its charge's."""
        share = kind_of(made["object"]).adds_to
        owner = self.shelf(share.kind).get(made[share.by]) if share else None
        if share and owner:
            total = owner[share.to] + amount
            change = {share.to: total, share.whole: total >= owner["amount"]}
            self.update(share.kind, made[share.by], change, NATURAL if tell else None, at=when)

    def _change_silently(self, kind: str, ident: str, change: Object) -> None:
        if self.shelf(kind).get(ident):
            self.update(kind, ident, change, None)

    def _tell_entitlements(self, customer: str, when: int, made: Object | None = None, gone: Object | None = None) -> None:
        """An event about what a customer is entitled to: the object has no id, and holds the first ten; so do its previous
        attributes of those before one was `made`, or was `gone`."""
        held = [each for each in self.each("entitlements.active_entitlement") if each["_customer"] == customer]
        before = [each for each in held if made is None or each["id"] != made["id"]] + ([gone] if gone else [])

        def shown(those: list[Object]) -> Object:
            items = [self.view(each) for each in those]
            whole = a_list(f"/v1/customer/{customer}/entitlements", items, counted=False)
            return whole | {"data": items[:10], "has_more": len(items) > 10}

        summary = {"object": "entitlements.active_entitlement_summary", "customer": customer, "livemode": self.livemode}
        told = summary | {"entitlements": shown(held)}
        self._natural("entitlements.active_entitlement_summary.updated", told, when, {"entitlements": shown(before)})

    def _twin(self, kind: str, made: Object, created: int, tell: bool) -> None:
        """Stripe shows a recurring price as a plan too, and a plan as a price, under one id."""
        made["livemode"] = self.livemode
        self._put(kind, made, created, listed=True)
        if tell:
            self._natural(f"{kind}.created", made, created)

    def update(
        self,
        kind: str,
        id: str,
        fields: Mapping[str, Any],
        event: str | Natural | None = NATURAL,
        *,
        at: int | None = None,
    ) -> Object:
        """Merges `fields` into the object: dicts key by key (a None in `metadata` takes a key out), all else whole."""
        with self._one_request():
            when = self.now if at is None else at
            obj = self.singleton(kind) if id == kind else self.shelf(kind).own(id)
            if obj is None:
                raise KeyError(f"no {kind} {id!r}")
            before = _copied(obj) if event is not None or kind_of(kind).adds_to else {}
            given = dict(fields)
            self._refill(kind, obj, given)
            if "updated" in kind_of(kind).template and event is not None:
                given.setdefault("updated", when)
            shelf = self.shelf(kind)
            moved = shelf.looked_up_by(given)
            key = shelf.keys.get(id)
            if moved:
                shelf.drop(id)
                del shelf.gone[id]
            _merge(obj, given)
            if moved:
                shelf.put(obj, key or FIRST, listed=key is not None, place=id)
            if kind == "balance_transaction" and obj["status"] == "pending":
                heapq.heappush(self._pending, (obj["available_on"], id))
            self._rendered.clear()
            events = told_of_change(before, obj) if event is NATURAL else [event] if isinstance(event, str) else []
            for each in events:
                self._natural(each, obj, when, _difference(before, obj) if tells_previous(kind, each) else None)
            if kind_of(kind).adds_to and before.get("status") != obj.get("status") and obj.get("status") in _UNDONE:
                self._share(obj, -obj["amount"], when, tell=False)
            self._update_twin(kind, obj, given, event is not None, when)
            return _copied(obj)

    def _refill(self, kind: str, obj: Object, given: Object) -> None:
        """A list may be given as a plain one: its items are filled like new ones."""
        for name, inside in kind_of(kind).lists.items():
            if not inside.by and isinstance(given.get(name), list):
                given[name] = filled_list(inside, self.new_id, obj, self.now, given[name])

    def _update_twin(self, kind: str, obj: Object, given: Object, tell: bool, when: int) -> None:
        twin = _TWIN.get(kind)
        mirrored = {k: v for k, v in given.items() if k in ("active", "nickname", "metadata", "product")}
        if twin and mirrored and (other := self.shelf(twin).objects.get(obj["id"])):
            before = _copied(other)
            _merge(other, mirrored)
            if tell and before != other:
                self._natural(f"{twin}.updated", other, when, _difference(before, other))

    def delete(self, kind: str, id: str, *, at: int | None = None, event: str | Natural | None = NATURAL) -> None:
        """Gone from lists, as Stripe deletes. A subscription is cancelled instead, and stays."""
        with self._one_request():
            when = self.now if at is None else at
            if kind == "subscription":
                ended = {"status": "canceled", "canceled_at": when, "ended_at": when}
                self.update(kind, id, ended, event, at=when)
                return
            if kind == "customer":
                for _, its in self.shelf("subscription").belonging_to("customer", id):
                    if its["status"] != "canceled":
                        self.delete("subscription", its["id"], at=when)
            shelf = self.shelf(kind)
            last = shelf.own(id)
            if last is None:
                raise KeyError(f"no {kind} {id!r}")
            shelf.drop(id)
            self._rendered.clear()
            final = last | {"product": {"active": False}, "coupon": {"valid": False}}.get(kind, {})
            for each in told_of_deletion(final) if event is NATURAL else [event] if isinstance(event, str) else []:
                self._natural(each, final, when)
            if kind == "entitlements.active_entitlement" and event is not None:
                self._tell_entitlements(last["_customer"], when, gone=last)
            twin = _TWIN.get(kind)
            if twin and id in self.shelf(twin).objects:
                self.delete(twin, id, at=when, event=event)

    def odd(self, kind: str, id: str, fields: Mapping[str, str | bytes | None]) -> None:
        """From now on answers show the object with `fields`: by dotted place any JSON text, or bytes that are none, in place of
        the value; None leaves the field out. Lists are still filtered and sorted by what the object was, which is the truth."""
        with self.lock:
            if self.shelf(kind).own(id) is None and kind not in SINGLETONS.values() and not self._is_item(kind, id):
                raise KeyError(f"no {kind} {id!r}")
            raw = {place: text.encode() if isinstance(text, str) else text for place, text in fields.items()}
            self._odd.setdefault((kind, id), {}).update(raw)
            self._rendered.clear()

    @contextmanager
    def mended(self) -> Iterator[None]:
        """While it lasts, nothing is odd."""
        odd, self._odd = self._odd, {}
        self._rendered.clear()
        yield
        self._odd = odd
        self._rendered.clear()

    @property
    def oddities(self) -> dict[tuple[str, str], dict[str, bytes | None]]:
        """By kind and id what is odd, by its place."""
        return {key: dict(fields) for key, fields in self._odd.items()}

    def _is_item(self, kind: str, id: str) -> bool:
        """Whether it stands in a list of another object."""
        objects = (obj for shelf in self._shelves.values() for obj in shelf.objects.values())
        lists = (value for obj in objects for value in obj.values() if isinstance(value, dict) and value.get("object") == "list")
        return any((item["object"], item["id"]) == (kind, id) for list_ in lists for item in list_["data"])

    # ------------------------------------------------------------------ events

    def emit(
        self,
        type: str,
        obj: Object | str,
        *,
        at: int | None = None,
        api_version: str | None = None,
        visible_at: int | None = None,
        previous_attributes: Object | None = None,
        **fields: Any,
    ) -> Object:
        """A raw event about an object, given whole or by its id. It is rendered now, in `api_version` or the account's
        default, and stays so. With `visible_at` nobody sees it before that time."""
        with self.lock:
            if isinstance(obj, str):
                found = self.find(obj)
                if found is None:
                    raise KeyError(f"nothing is called {obj!r}")
                obj = found
            made = self._event(type, obj, self.now if at is None else at, previous_attributes, api_version, fields)
            if visible_at is not None:
                self._late[made["id"]] = visible_at
            return _copied(made)

    def show_later(self, event: str, visible_at: int) -> None:
        """Nobody sees that event before that time."""
        self._late[event] = visible_at

    def _natural(self, type: str, obj: Object, at: int, previous: Object | None = None) -> None:
        """Tells it, here or on the connected account that the object is about."""
        owner = obj.get(kind_of(obj["object"]).told_to)
        if owner and owner != self.id and owner in self.connected:
            self.connected[owner]._event(type, obj, at, previous, None, {})
        elif at >= self.now - RETENTION:
            self._event(type, obj, at, previous, None, {})

    def _event(self, type: str, obj: Object, at: int, previous: Object | None, version: str | None, fields: Object) -> Object:
        version = version or self.default_version
        shown = self.view(obj, version=version) if "object" in obj else obj
        data: Object = {"object": _copied(shown)}
        if previous is not None:
            data["previous_attributes"] = previous
        # Of an account that is made again, an event has its id of what it tells: those before it may have aged out since.
        random = Random(f"{self.id} {type} {obj.get('id')} {at}") if self._is_remade else self.random
        ident = fields.pop("id", "") or made_up_id("event", random)
        while self._is_remade and ident in self.shelf("event").objects:
            ident = made_up_id("event", random)
        made = self._told(ident, at, type, version, data, random) | fields
        self._put("event", made, at, listed=True)
        return made

    def _told(self, ident: str, at: int, type: str, version: str, data: Object, random: Random) -> Object:
        request, key = self._request or (made_up_id("request", random), str(UUID(int=random.getrandbits(128), version=4)))
        if self._requests_under_way:
            self._request = request, key
        account = {"account": self.id} if self.platform else {}
        made = new_object("event", self.new_id, ident, at, {})
        return {"id": ident, "object": "event", **account, **made} | {
            "api_version": version,
            "data": data,
            "livemode": self.livemode,
            "pending_webhooks": self.pending_webhooks,
            # What is deleted is so by a DELETE, which has no key.
            "request": {"id": request, "idempotency_key": None if type.endswith(".deleted") else key},
            "type": type,
        }

    def is_visible(self, event: str) -> bool:
        due = self._late.get(event)
        return due is None or due <= self.now

    # ------------------------------------------------------------------ what is there

    def settle(self) -> None:
        """Pending balance transactions whose day has come are available. No event tells of it."""
        while self._pending and self._pending[0][0] <= self.now:
            _, ident = heapq.heappop(self._pending)
            found = self.shelf("balance_transaction").objects.get(ident)
            if found and found["status"] == "pending" and found["available_on"] <= self.now:
                found["status"] = "available"
                self._rendered.clear()

    def singleton(self, kind: str) -> Object:
        """The object of a kind of which an account has one; `update` knows it under the name of its kind."""
        shelf = self.shelf(kind)
        if kind == "balance":
            return new_object(kind, self.new_id, "", self.now, {"livemode": self.livemode} | self._sums())
        if kind not in shelf.objects:
            made = new_object(kind, self.new_id, self.id, _FOUNDED, {"type": "standard"} if kind == "account" else {})
            if "livemode" in made:
                made["livemode"] = self.livemode
            shelf.put(made, FIRST, listed=False, place=kind)
        return shelf.objects[kind]

    def _sums(self) -> Object:
        """What the balance transactions sum to, but those of a bulk."""
        sums: dict[str, dict[str, int]] = {"available": {}, "pending": {}}
        for entry in self.shelf("balance_transaction").objects.values():
            by_currency = sums[entry["status"]]
            by_currency[entry["currency"]] = by_currency.get(entry["currency"], 0) + entry["net"]
        return {
            status: [{"amount": amount, "currency": code, "source_types": {"card": amount}} for code, amount in each.items()]
            for status, each in sums.items()
        }

    def find(self, ident: str, kinds: Iterable[str] | None = None) -> Object | None:
        for kind in kinds or self._shelves:
            shelf = self._shelves.get(kind)
            found = shelf.get(ident) if shelf else None
            if found is not None:
                return found
        return None

    def payment_of(self, owner: str) -> Object | None:
        """The newest invoice payment of an invoice or of a payment intent."""
        payments = self.shelf("invoice_payment")
        found = [payment for _, payment in payments.belonging_to("invoice", owner)]
        if not found and owner.startswith("pi_"):
            found = [p for p in payments.objects.values() if p["payment"].get("payment_intent") == owner]
        return found[0] if found else None

    def objects(self, kind: str) -> list[Object]:
        """All that a list could show, newest first, unexpanded."""
        with self.lock:
            self.settle()
            return [self.view(obj) for obj in self.each(kind)]

    def each(self, kind: str, after: Key = FIRST, before: Key = LAST, *, oldest_first: bool = False) -> Iterator[Object]:
        """Stored objects in list order: not to be changed or handed out."""
        shelf = self.shelf(kind)
        oldest = self.now - RETENTION
        if kind == "event":
            after = max(after, (oldest, -math.inf))
        for at in shelf.walk(after, before, oldest_first=oldest_first):
            obj = shelf.at(at)
            if kind != "event" or self.is_visible(obj["id"]):
                yield obj

    def of_clocks(self, kind: str) -> list[Object]:
        """Stored objects that belong to a test clock, newest first."""
        objects = list(self.shelf(kind).objects.values())
        found = [(obj["created"], place) for place, obj in enumerate(objects) if obj.get("test_clock")]
        return [objects[place] for _, place in sorted(found, reverse=True)]

    def listed(self, stream: str, expand: Iterable[str] = (), nested: Iterable[str] = ()) -> dict[str, Object]:
        """The truth of a collection, by id: what its list shows now if nothing is left out. `expand` names fields
        without the leading `data.`; the lists named in `nested` come whole."""
        with self.lock:
            return {view["id"]: _copied(view) for view in self._views_of(stream, expand, tuple(nested))}

    def rendered(self, stream: str, expand: Iterable[str] = ()) -> dict[str, bytes]:
        """The same as JSON, with what is `odd`, and lists that are cut."""
        with self.lock:
            return {view["id"]: orjson.dumps(with_raw(view, self._odd)) for view in self._views_of(stream, expand)}

    def _views_of(self, stream: str, expand: Iterable[str], whole: tuple[str, ...] = ()) -> Iterator[Object]:
        tree: dict[str, Any] = {}
        kind = self.collection(stream).object
        for path in [*expand, *(name for name in whole if name in kind_of(kind).includable)]:
            branch = tree
            for segment in path.removeprefix("data.").split("."):
                branch = branch.setdefault(segment, {})
        self.settle()
        hides = self.collection(stream).hides
        return (self.view(obj, tree, whole=whole) for obj in self.each(kind) if not is_hidden(obj, hides))

    def children(self, stream: str) -> dict[tuple[str, str], Object]:
        """The truth of the lists that belong to objects, such as `invoice_line_items`: by the ids of owner and child, all that
        those of the listed owners show."""
        with self.lock:
            self.settle()
            return {
                (owner["id"], each["id"]): _copied(self.view(each))
                for collection in self.collections
                for inside in kind_of(collection.object).lists.values()
                if inside.stream == stream
                for owner in self.each(collection.object)
                for each in self.inside(owner, inside)
            }

    def inside(self, owner: Object, inside: Inside) -> list[Object]:
        """The whole list that belongs to a stored object: stored objects too."""
        if inside.by:
            return self.members(inside, owner["id"])
        items: list[Object] = owner[inside.same_as or inside.name]["data"]
        return items

    def members(self, inside: Inside, owner: str) -> list[Object]:
        """In list order, newest first."""
        found = [pair for kind in inside.of for pair in self.shelf(kind).belonging_to(inside.by, owner)]
        if len(inside.of) > 1:
            found.sort(key=lambda pair: pair[0], reverse=True)
        return [obj for _, obj in found if not is_hidden(obj, inside.hides)]

    def _is_gone(self, kind: str, ident: str) -> bool:
        return ident in self.shelf(kind).gone

    def view(self, obj: Object, tree: Tree = _NO_TREE, *, version: str = PINNED_VERSION, whole: tuple[str, ...] = ()) -> Object:
        """The object as an answer shows it: what has to be asked for is there only if `tree` asks, nested lists are cut
        to ten unless `whole` names them. Parts of the stored object may be shared: not to be changed."""
        return self._views.view(obj, tree, version, whole)

    # ------------------------------------------------------------------ bytes

    def dumped(self, obj: Object, tree: Tree = _NO_TREE, *, version: str = PINNED_VERSION) -> bytes:
        """The object as an answer shows it, indented."""
        shown = self.view(obj, tree, version=version)
        return orjson.dumps(with_raw(shown, self._odd) if self._odd else shown, option=orjson.OPT_INDENT_2)

    def page_items(self, kind: str, found: list[str | int], tree: Tree, key: Any, version: str) -> list[bytes]:
        """The bytes of the objects of a page, indented as they stand in it. `key` names the tree and the version."""
        shelf, cache = self.shelf(kind), self._rendered

        def dumped(obj: Object) -> bytes:
            return self.dumped(obj, tree, version=version).replace(b"\n", b"\n    ")

        items = []
        for at in found:
            if isinstance(at, int) and shelf.bulk:
                items.append(shelf.bulk.rendered(at, dumped, (self.id, key)))
                continue
            item = cache.get((kind, at, key))
            if item is None:
                item = cache[kind, at, key] = dumped(shelf.objects[str(at)])
            items.append(item)
        return items

    def bulk(
        self,
        kind: str,
        count: int,
        *,
        spread: str = "crowded",
        since: int | None = None,
        until: int | None = None,
        fields: Mapping[str, Any] | None = None,
        make: Callable[[str, int], Object] | None = None,
        told_by: str = "",
    ) -> None:
        """`count` objects that are made when they are read, in about eight bytes each. An event of the type `told_by` tells of
        each, in the second of its creation; none does without a type."""
        new_id = partial(made_up_id, random=Random(kind))  # the same in every process

        def made(ident: str, created: int) -> Object:
            return new_object(kind, new_id, ident, created, {**kind_of(kind).busy, **(fields or {})})

        def event(ident: str, created: int) -> Object:
            shown = self.view((make or made)(pattern_of(kind), created), version=self.default_version)
            return self._told(ident, created, told_by, self.default_version, {"object": shown}, self.random)

        with self.lock:
            end = self.now - 3600 if until is None else until
            start = end - 4 * 365 * 86_400 if since is None else since
            if product := kind_of(kind).product:
                self.enable(product)
            self.shelf(kind).bulk = Bulk(kind, count, start, end, spread, make or made)
            if told_by:
                self.shelf("event").bulk = Bulk("event", count, start, end, spread, event)
            self._rendered.clear()


def is_hidden(obj: Object, hides: Mapping[str, list[Any]]) -> bool:
    """Whether a list leaves the object out: `hides` has values by dotted field."""
    for place, values in hides.items():
        value: Any = obj
        for segment in place.split("."):
            value = value.get(segment) if isinstance(value, dict) else None
        if value in values:
            return True
    return False


def _copied(obj: Object) -> Object:
    made: Object = orjson.loads(orjson.dumps(obj))
    return made


def _merge(obj: Object, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, dict) and isinstance(obj.get(name), dict) and value.get("object") != "list":
            merged = dict(obj[name])
            _merge(merged, value)
            obj[name] = {k: v for k, v in merged.items() if v is not None} if name == "metadata" else merged
        else:
            obj[name] = value


def _difference(before: Object, after: Object) -> Object:
    """What `previous_attributes` holds: the earlier values of what changed, nested objects by key, lists whole."""
    told: Object = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new or name in ("currency_options", "tiers", "sources", "tax_ids"):
            continue
        both = isinstance(old, dict) and isinstance(new, dict) and "object" not in old
        told[name] = _difference(old, new) if both and old is not None and new is not None else old
    return told
