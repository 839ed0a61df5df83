"""Whatever happens to an account, and to the syncs that read it: in the end its reader holds the account.

A history is a list of steps, each a name and two numbers. `History.play` plays them; one that fails is printed as the list
that hypothesis shrank it to, and can be played again as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration_tests.embedded_stripe import Account, Fault, StripeServer
from integration_tests.embedded_stripe.account import RETENTION
from integration_tests.harness import (
    CHANGING,
    DAY,
    MANIFEST,
    NESTED,
    NOW,
    STREAMS,
    Destination,
    Reader,
    Result,
    Row,
    differences,
    truth,
)
from integration_tests.histories import Step, any_steps, played

_KIND = {name: MANIFEST[name]["object"] for name in STREAMS}
_STREAM = {kind: name for name, kind in _KIND.items()}
_VERSIONS = ("2020-08-27", "2022-08-01", "2022-11-15", "2024-06-20", "2025-03-31.basil", "2025-09-30.clover", "2026-08-26.dahlia")
_CLOCK_JITTER = 120
_CREATED = ("customer", "charge", "product", "coupon", "payment_intent", "payout", "plan", "subscription", "invoice")
_EDITED = ("customer", "charge", "product", "coupon", "payout", "plan", "price", "subscription", "invoice", "dispute", "refund")
_NESTED = "/(invoice_payments|subscription_items|invoices/.*/lines)"


class History:
    """An account, its reader, and what may still be under way between them."""

    def __init__(self, server: StripeServer, reader: Reader, start: int = 0) -> None:
        self.server, self.reader, self.start = server, reader, start
        self.account = server.account = Account(NOW)
        self.results: list[Result] = []
        self.destinations = Destination(), Destination(by_cursor=True)
        self.states: dict[str, dict[str, Any]] = {}
        self.late_by = 0
        self.in_flux: dict[tuple[str, str], int] = {}
        """What changed with an event that is not visible before a time: until then it may be held either way."""
        self.unread: dict[tuple[str, str], tuple[int, int]] = {}
        """What was deleted, or changed without being listed, since the stream's last whole sync: when, and its number."""
        self.unknowable: set[tuple[str, str]] = set()
        self.told: set[tuple[str, str]] = set()
        """What is in no list, and of which events told since its stream was first read."""
        self.deleted: dict[str, list[str]] = {"coupon": [], "product": [], "plan": []}
        self.no_events = False
        self.good_syncs = self.changes = 0

    def play(self, steps: list[Step]) -> None:
        server = self.server
        server.clear_faults()
        server.clear_requests()
        for name, a, b in steps:
            getattr(self, name)(a, b)
        self.no_events = False
        self.clock(0, 601)
        self.sync(0, 0)
        assert self.results[-1].failure is None
        self.sync(0, 0)
        self.sync(0, 0)
        last = self.results[-1]
        assert (last.records, sorted(set(last.paths))) == ([], ["/v1/balance_transactions", "/v1/events"])

    # ------------------------------------------------------------------ what happens to the account

    def change(self, do: Callable[[], object]) -> None:
        """Do something to the account, and keep book of what can't be known of it at once, or ever."""
        account = self.account
        before, events = self._stored(), set(account.shelf("event").objects)
        do()
        after = self._stored()
        new = account.shelf("event").objects.keys() - events
        for id in new if self.late_by else ():
            account.show_later(id, account.now + self.late_by)
        for name in CHANGING:
            listed = account.shelf(_KIND[name]).keys
            for id in before[name].keys() | after[name].keys():
                if before[name].get(id) == after[name].get(id):
                    continue
                key = name, id
                if self.late_by:
                    self.in_flux[key] = max(account.now + self.late_by, self.in_flux.get(key, 0))
                if id not in listed:
                    self.changes += 1
                    self.unread[key] = account.now, self.changes
                    if name in self.states:
                        self.told.add(key)
                elif id not in before[name]:  # made again
                    self.unread.pop(key, None)
                    self.unknowable.discard(key)
        self.late_by = 0

    def _stored(self) -> dict[str, dict[str, bytes]]:
        """All objects as they are shown, listed or not."""
        return {name: {id: self._shown(name, id) for id in self.account.shelf(_KIND[name]).objects} for name in CHANGING}

    def _shown(self, name: str, id: str) -> bytes:
        tree: dict[str, Any] = {field: {} for field in MANIFEST[name].get("expand", ())}
        whole = NESTED[name]
        return orjson.dumps(self.account.view(self.account.shelf(_KIND[name]).objects[id], tree, whole=whole))

    def some(self, kind: str, a: int, make: bool = True) -> str:
        """The id of one of the account's objects; of a new one if there is none."""
        ids = list(self.account.shelf(kind).objects)
        if not ids:
            return self.account.create(kind)["id"] if make else ""
        return ids[a % len(ids)]

    def late(self, a: int, b: int) -> None:
        """The next change's events become visible up to ten minutes later."""
        self.late_by = 1 + (a * 37 + b) % 600

    def clock(self, a: int, b: int) -> None:
        self.account.advance(b)

    def days(self, a: int, b: int) -> None:
        self.account.advance((1 + a % 29) * DAY + b)

    def weeks(self, a: int, b: int) -> None:
        self.account.advance(30 * DAY - 3700 + b * 37 + (a % 3) * 9 * DAY)

    def upgrade(self, a: int, b: int) -> None:
        self.account.default_version = _VERSIONS[a % len(_VERSIONS)]

    def legacy(self, a: int, b: int) -> None:
        self.account.legacy_refund_events = a % 2 == 0

    def create(self, a: int, b: int) -> None:
        kind = _CREATED[a % 9]
        fields = {"status": ("draft", "open", "paid")[b % 3], "customer": self.some("customer", b)} if kind == "invoice" else {}
        self.change(lambda: self.account.create(kind, fields))

    def old(self, a: int, b: int) -> None:
        """Objects of long ago, of which no event tells: an account has them before its first sync alone."""
        if not self.results:
            kind = _CREATED[a % 9]
            for number in range(1 + b % 5):
                self.account.create(kind, at=self.account.now - (31 + b) * DAY - number // 2)

    def many(self, a: int, b: int) -> None:
        def do() -> None:
            for number in range(2 + b % 12):
                self.account.create(("customer", "charge", "product", "coupon")[a % 4])
                if number % 4 == 3:
                    self.account.advance(a % 2)

        self.change(do)

    def price(self, a: int, b: int) -> None:
        kinds: list[Row] = [{}, {"type": "one_time"}, {"billing_scheme": "tiered"}, {"active": False}]
        self.change(lambda: self.account.create("price", kinds[a % 4], inline=b % 3 == 0))

    def edit(self, a: int, b: int) -> None:
        """A change with an event of its own."""
        kind = _EDITED[a % 11]
        if id := self.some(kind, b, make=False):
            self.change(lambda: self.account.update(kind, id, {"metadata": {"edit": str(a * 1000 + b)}}))

    def move(self, a: int, b: int) -> None:
        """Something takes its course."""
        kind, statuses = (
            ("payment_intent", ("processing", "requires_action", "succeeded", "canceled", "requires_payment_method")),
            ("invoice", ("open", "paid", "void", "uncollectible")),
            ("subscription", ("past_due", "active", "paused", "canceled")),
            ("payout", ("in_transit", "paid", "failed")),
            ("dispute", ("under_review", "won", "lost")),
            ("refund", ("pending", "succeeded", "failed")),
            ("price", (True, False)),
            ("product", (True, False)),
        )[a % 8]
        if id := self.some(kind, b, make=False):
            field = "status" if isinstance(statuses[0], str) else "active"
            self.change(lambda: self.account.update(kind, id, {field: statuses[b % len(statuses)]}))

    def delete(self, a: int, b: int) -> None:
        kind = ("customer", "product", "coupon", "plan", "price", "invoice", "subscription")[a % 7]
        if id := self.some(kind, b, make=False):
            if kind == "invoice" and self.account.shelf(kind).objects[id]["status"] != "draft":
                return
            if kind in self.deleted:
                self.deleted[kind].append(id)
            self.change(lambda: self.account.delete(kind, id))

    def again(self, a: int, b: int) -> None:
        """Something deleted is made again under its id."""
        kind = ("coupon", "product", "plan")[a % 3]
        ids = [id for id in self.deleted[kind] if id not in self.account.shelf(kind).objects]
        if ids:
            self.change(lambda: self.account.create(kind, {"id": ids[b % len(ids)], "metadata": {"again": str(a)}}))

    def edit_and_delete(self, a: int, b: int) -> None:
        self.edit(a, b)
        self.delete(a, b)
        self.again(a, b)

    def refund(self, a: int, b: int) -> None:
        charge = self.some("charge", a)
        self.change(lambda: [self.account.create("refund", {"charge": charge, "amount": 1}) for _ in range(1 + b % 12)])

    def dispute(self, a: int, b: int) -> None:
        charge = self.some("charge", a)
        self.change(lambda: self.account.create("dispute", {"charge": charge}))

    def invoice(self, a: int, b: int) -> None:
        self.change(lambda: self.account.create("invoice", {"status": "draft" if a % 2 else "paid", "lines": b % 24}))

    def grow(self, a: int, b: int) -> None:
        """An invoice gets more lines, a subscription more items."""
        kind, name = (("invoice", "lines"), ("subscription", "items"))[a % 2]
        if id := self.some(kind, b, make=False):
            held = self.account.shelf(kind).objects[id][name]["data"]
            more = [dict(item) for item in held] + [{} for _ in range(1 + b % 9)]
            self.change(lambda: self.account.update(kind, id, {name: more}))

    def pay(self, a: int, b: int) -> None:
        if invoice := self.some("invoice", a, make=False):
            self.change(
                lambda: [self.account.create("invoice_payment", {"invoice": invoice}) for _ in range((1, 1, 4, 11)[b % 4])]
            )

    def discount(self, a: int, b: int) -> None:
        subscription = self.some("subscription", a)

        def do() -> None:
            customer = self.account.shelf("subscription").objects[subscription]["customer"]
            source = {"coupon": self.some("coupon", b), "type": "coupon"}
            about = {"customer": customer, "subscription": subscription, "source": source}
            made = self.account.create("discount", about)
            self.account.update("subscription", subscription, {"discounts": [made["id"]]})

        self.change(do)

    def edit_discount(self, a: int, b: int) -> None:
        if id := self.some("discount", a, make=False):
            self.change(lambda: self.account.update("discount", id, {"end": self.account.now + b}))

    def entry(self, a: int, b: int) -> None:
        """Money moves; now and then it is told some minutes late, and it is available some days later."""
        late, wait = (0, 0, 0, b % 590)[a % 4], (0, 1, 2 * DAY, 7 * DAY, 45 * DAY)[b % 5]
        for number in range(1 + a % 3):
            at = self.account.now - late
            fields = {"available_on": at + wait + number, "status": "pending" if wait else "available"}
            self.account.create("balance_transaction", fields, at=at)

    def preview(self, a: int, b: int) -> None:
        """An invoice that is stored nowhere, and an event of a type that no stream follows."""
        if invoice := self.account.find(self.some("invoice", a, make=False)):
            self.account.emit("invoice.upcoming", {name: value for name, value in invoice.items() if name != "id"})
        self.account.emit("account.updated", {"object": "account", "id": self.account.id})

    def repeat(self, a: int, b: int) -> None:
        """An event that tells nothing new, in a version of old, a while ago."""
        kind, type_ = (("customer", "customer.updated"), ("product", "product.updated"), ("invoice", "invoice.updated"))[a % 3]
        if id := self.some(kind, b, make=False):
            at = max(self.account.now - b % 300, self.account.shelf(kind).objects[id]["created"])
            self.account.emit(type_, id, at=at, api_version=_VERSIONS[b % len(_VERSIONS)])

    # ------------------------------------------------------------------ what happens to a sync

    def sync(self, a: int, b: int) -> None:
        self._read()

    def some_streams(self, a: int, b: int) -> None:
        self._read(tuple(name for number, name in enumerate(STREAMS) if (a + b * number) % 3) or STREAMS)

    def broken_stream(self, a: int, b: int) -> None:
        path = ("/", f"/{STREAMS[a % 14]}", f"/{STREAMS[a % 14]}/.", _NESTED)[b % 4]
        self._read(faults=[Fault("status", path=f"^/v1{path}", after=(a + b) % 7, times=None, status=400, message="Not today.")])

    def revoked(self, a: int, b: int) -> None:
        self._read(faults=[Fault("revoked", after=(a * 7 + b) % 40, times=None)])

    def forbidden(self, a: int, b: int) -> None:
        self._read(faults=[Fault("permission", path=f"^/v1/{STREAMS[a % 14]}", after=b % 4, times=None)])

    def abandoned(self, a: int, b: int) -> None:
        self._read(stop_after=15 + (a * 31 + b) % 120)

    def hiccups(self, a: int, b: int) -> None:
        kind = ("status", "cut_body", "reset_inside", "reset_before", "not_json", "rate_limit", "empty_200", "gzip_broken")[a % 8]
        self._read(faults=[Fault(kind, after=(a + b) % 20, times=1 + b % 4)])

    def outage(self, a: int, b: int) -> None:
        self._read(faults=[Fault("status", path=f"^/v1/{STREAMS[a % 14]}", after=b % 5, times=None, status=503)])

    def without_events(self, a: int, b: int) -> None:
        """The key may not read events, until `with_events`."""
        self.no_events = True
        self._read()

    def with_events(self, a: int, b: int) -> None:
        self.no_events = False

    def busy(self, a: int, b: int) -> None:
        """A sync during which the account changes."""
        actions = [self.create, self.edit, self.move, self.delete, self.again, self.price, self.refund, self.grow, self.entry]
        steps = [(actions[(a + b * n) % 9], a + 3 * n, b + n) for n in range(4)]
        at = (a + b) % 30
        seen = 0

        def hook(request: object) -> bool:
            nonlocal seen
            seen += 1
            if at <= seen < at + 2 * len(steps) and (seen - at) % 2 == 0:
                act, x, y = steps[(seen - at) // 2]
                act(x, y)
                self.account.advance(x % 3)
            return False

        self._read(faults=[Fault("status", times=None, match=hook)], is_busy=True)

    def _read(
        self,
        streams: tuple[str, ...] = STREAMS,
        faults: list[Fault] | None = None,
        stop_after: int | None = None,
        is_busy: bool = False,
    ) -> None:
        account, server = self.account, self.server
        self.late_by = 0
        if self.no_events:
            server.fault("permission", path="^/v1/events", times=None)
        for fault in faults or ():
            server.fault(fault)
        began, before, unread, told = account.now, truth(account), dict(self.unread), set(self.told)
        hidden, known = self._unlisted(), self._known()
        options: dict[str, Any] = {"start_date": _date(self.start)} if self.start else {}
        result = self.reader.sync(self.states, streams, stop_after=stop_after, **options)
        server.clear_faults()
        self.states = result.states
        self.results.append(result)
        for destination in self.destinations:
            destination.upsert(result)
        after = truth(account)
        hidden_after = self._unlisted()
        assert all(row["id"] and row.get("created", self.start) >= self.start for _, row in result.records)
        if result.failure is None and not result.was_abandoned:
            assert result.complete == set(streams)
            self.good_syncs += 1
        for name in sorted(result.complete):
            self._settle_book(name, began, unread)
            for destination in self.destinations:
                # What was made during the sync and is gone again may have been seen: the next sync brings its deletion.
                held = {id: row for id, row in destination.rows(name).items() if (name, id) in known or id in after[name]}
                self._compare(name, held, before[name], after[name], hidden, hidden_after, told, began)

    def _known(self) -> set[tuple[str, str]]:
        """All that there is or ever was."""
        shelves = {name: self.account.shelf(_KIND[name]) for name in STREAMS}
        return {(name, id) for name, shelf in shelves.items() for id in (*shelf.objects, *shelf.gone)}

    def _unlisted(self) -> dict[tuple[str, str], Row]:
        """The objects that no list shows: inline prices."""
        shown: dict[tuple[str, str], Row] = {}
        for name in CHANGING:
            shelf = self.account.shelf(_KIND[name])
            for id in shelf.objects.keys() - shelf.keys.keys():
                shown[name, id] = orjson.loads(self._shown(name, id))
        return shown

    def _settle_book(self, name: str, began: int, unread: dict[tuple[str, str], tuple[int, int]]) -> None:
        """The stream was read to its end: of what its lists do not tell it knows what the events of 30 days told."""
        for key, (at, number) in unread.items():
            if key[0] == name and self.in_flux.get(key, 0) <= began and self.unread.get(key) == (at, number):
                del self.unread[key]
                if at <= began - RETENTION + _CLOCK_JITTER:
                    self.unknowable.add(key)

    def _compare(
        self,
        name: str,
        held: dict[str, Row],
        before: dict[str, Row],
        after: dict[str, Row],
        hidden: dict[tuple[str, str], Row],
        hidden_after: dict[tuple[str, str], Row],
        told: set[tuple[str, str]],
        began: int,
    ) -> None:
        """What is held is what was shown when the sync began, save what was changing or can't be known."""
        if name == "events":
            held = {id: row for id, row in held.items() if id in before}
        true = {}
        for id in before.keys() | after.keys() | held.keys() | {id for stream, id in told if stream == name}:
            key = name, id
            moved = before.get(id) != after.get(id) or hidden.get(key) != hidden_after.get(key)
            if moved or self.in_flux.get(key, 0) > began or key in self.unknowable:
                held = {other: row for other, row in held.items() if other != id}
            elif id in before:
                if before[id]["created"] >= self.start:
                    true[id] = before[id]
            elif key in hidden and (id in held or (key in told and hidden[key]["created"] >= self.start)):
                true[id] = hidden[key]
        wrong = differences(held, true)
        assert not wrong, f"{name}: {wrong}"


def _date(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_MADE = "old old old many many create price invoice refund dispute entry pay discount legacy upgrade"
_HAPPENS = """create many price edit edit edit edit move move delete delete again edit_and_delete refund dispute invoice grow grow
    pay discount edit_discount entry entry preview repeat upgrade legacy late late late clock clock clock clock days weeks"""
_SYNCS = """sync sync sync sync some_streams broken_stream revoked forbidden abandoned abandoned hiccups outage without_events
    with_events busy busy busy"""


_HISTORIES = st.builds(list.__add__, any_steps(_MADE, 6, 15), any_steps(f"{_HAPPENS} {_HAPPENS} {_SYNCS} {_SYNCS}", 20, 50))


def play_histories(server: StripeServer, number: int, examples: int) -> None:
    readers = {size: Reader(server, page_size=size) for size in (3, 100)}

    @played(number, examples)
    @given(_HISTORIES, st.sampled_from([3, 3, 100]), st.sampled_from([0, 0, 0, NOW - 40 * DAY]))
    def plays(steps: list[Step], page_size: int, start: int) -> None:
        History(server, readers[page_size], start).play(steps)

    plays()


@pytest.mark.parametrize("number", range(16))
def test_after_every_history_the_reader_holds_the_account(server: StripeServer, number: int) -> None:
    play_histories(server, number, examples=15)


@pytest.mark.thorough
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(1000, 1016))
def test_after_thousands_of_histories_the_reader_holds_the_account(server: StripeServer, number: int) -> None:
    play_histories(server, number, examples=250)
