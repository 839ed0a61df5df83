"""Whatever happens to an account, and to the syncs that read it, each stream's reader holds it in the end, of whatever kind.

The first fourteen have histories of their own, in `test_histories`; here it is the kinds of stream that count: lists without a
filter by time, small lists, snapshots, children that stand inside of their parents, and children that are walked to.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration_tests.embedded_stripe import PRODUCTS, Account, Fault, StripeServer
from integration_tests.harness import ALL_STREAMS, DAY, NOW, Reader
from integration_tests.histories import Step, any_steps, played
from integration_tests.whole_account import ENDPOINTS, FULL_REFRESH_ONLY, Truth, Warehouse

# Kinds that are made by themselves, those that an event tells of when they change, and those that are deleted.
MADE = [
    "billing.credit_grant",
    "billing.meter",
    "billing_portal.configuration",
    "checkout.session",
    "climate.order",
    "credit_note",
    "customer",
    "radar.early_fraud_warning",
    "file",
    "forwarding.request",
    "invoiceitem",
    "issuing.card",
    "issuing.authorization",
    "payment_link",
    "promotion_code",
    "quote",
    "reporting.report_run",
    "scheduled_query_run",
    "setup_intent",
    "shipping_rate",
    "subscription",
    "subscription_schedule",
    "tax_rate",
    "terminal.location",
    "test_helpers.test_clock",
    "topup",
    "transfer",
    "treasury.financial_account",
    "webhook_endpoint",
]
EDITED = [
    "billing.credit_grant",
    "billing.meter",
    "billing_portal.configuration",
    "credit_note",
    "customer",
    "issuing.card",
    "issuing.authorization",
    "payment_link",
    "promotion_code",
    "subscription",
    "subscription_schedule",
    "tax_rate",
    "transfer",
    "radar.early_fraud_warning",
]
TURNED = {
    "checkout.session": "expired",
    "climate.order": "canceled",
    "financial_connections.account": "disconnected",
    "identity.verification_session": "canceled",
    "setup_intent": "canceled",
    "test_helpers.test_clock": "advancing",
    "treasury.financial_account": "closed",
}
"""Kinds that an event tells of only when their status becomes another."""
DELETED = ["customer", "invoiceitem", "test_helpers.test_clock", "webhook_endpoint", "terminal.location", "coupon"]
CHILDREN = {
    "card": ("customer", "customer"),
    "bank_account": ("customer", "customer"),
    "tax_id": ("customer", "customer"),
    "customer_balance_transaction": ("customer", "customer"),
    "entitlements.active_entitlement": ("customer", "_customer"),
    "billing.credit_balance_transaction": ("billing.credit_grant", "credit_grant"),
    "setup_attempt": ("setup_intent", "setup_intent"),
    "transfer_reversal": ("transfer", "transfer"),
    "fee_refund": ("application_fee", "fee"),
}
LOST = ("card", "bank_account", "tax_id", "entitlements.active_entitlement")


class History:
    """An account of which every kind of stream is read, its reader, and two destinations."""

    def __init__(self, server: StripeServer, reader: Reader) -> None:
        self.server, self.reader = server, reader
        self.account = server.account = Account(NOW, products=PRODUCTS)
        self.warehouses = Warehouse(), Warehouse(by_cursor=True)
        self.states: dict[str, dict[str, Any]] = {}

    def play(self, steps: list[Step]) -> None:
        self.server.clear_faults()
        self.server.clear_requests()
        for name, a, b in steps:
            getattr(self, name)(a, b)
        self.account.advance(601)
        for _ in range(2):  # The first sync of all leaves to the next what the newest page of events did not show.
            self.sync(0, 0)
        assert {name for name, _ in self.read() if name not in FULL_REFRESH_ONLY} == set()

    # ------------------------------------------------------------------ what happens to the account

    def some(self, kind: str, a: int, make: bool = True) -> str:
        """The id of one of the account's objects; of a new one if there is none."""
        ids = list(self.account.shelf(kind).objects)
        if not ids:
            return self.account.create(kind)["id"] if make else ""
        return ids[a % len(ids)]

    def clock(self, a: int, b: int) -> None:
        self.account.advance(b)

    def old(self, a: int, b: int) -> None:
        """Objects of long ago, of which no event tells: an account has them before its first sync alone."""
        if not self.states:
            for number in range(1 + b % 5):
                self.account.create(MADE[a % len(MADE)], at=self.account.now - (31 + b) * DAY - number // 2)

    def create(self, a: int, b: int) -> None:
        for _ in range(1 + b % 4):
            self.account.create(MADE[a % len(MADE)])

    def edit(self, a: int, b: int) -> None:
        kind = EDITED[a % len(EDITED)]
        self.account.update(kind, self.some(kind, b), {"metadata": {"edit": str(a * 1000 + b)}})

    def turn(self, a: int, b: int) -> None:
        kind = list(TURNED)[a % len(TURNED)]
        self.account.update(kind, self.some(kind, b), {"status": TURNED[kind]})

    def delete(self, a: int, b: int) -> None:
        kind = DELETED[a % len(DELETED)]
        if id := self.some(kind, b, make=False):
            self.account.delete(kind, id)

    def have_child(self, a: int, b: int) -> None:
        child = list(CHILDREN)[a % len(CHILDREN)]
        kind, field = CHILDREN[child]
        owner = self.some(kind, b)
        for _ in range(1 + b % 12):
            self.account.create(child, {field: owner})
        if child in ("transfer_reversal", "fee_refund"):
            self.account.update(kind, owner, {"metadata": {"children": str(a + b)}})
        elif child == "setup_attempt":  # An attempt ends well or not, and its event is the SetupIntent's.
            failed = self.account.shelf(kind).objects[owner]["status"] == "requires_payment_method"
            self.account.update(kind, owner, {"status": "requires_action" if failed else "requires_payment_method"})

    def lose_child(self, a: int, b: int) -> None:
        child = LOST[a % len(LOST)]
        if id := self.some(child, b, make=False):
            self.account.delete(child, id)

    def edit_child(self, a: int, b: int) -> None:
        child = LOST[a % 3]
        if id := self.some(child, b, make=False):
            self.account.update(child, id, {"metadata": {"edit": str(a * 1000 + b)}})

    def lines(self, a: int, b: int) -> None:
        """An invoice or a subscription gets other lines: more, or fewer."""
        kind, name = (("invoice", "lines"), ("subscription", "items"))[a % 2]
        id = self.some(kind, b)
        held = self.account.shelf(kind).objects[id][name]["data"]
        kept = [dict(item) for item in held][a % 3 : a % 3 + 15]
        self.account.update(kind, id, {name: kept + [{} for _ in range(b % 9)]})

    def discount(self, a: int, b: int) -> None:
        subscription = self.some("subscription", a)
        known = self.account.shelf("subscription").objects[subscription]
        if known["discounts"]:
            self.account.update("subscription", subscription, {"discounts": []})
            return
        about = {"customer": known["customer"], "subscription": subscription}
        made = self.account.create("discount", about | {"source": {"coupon": self.some("coupon", b), "type": "coupon"}})
        self.account.update("subscription", subscription, {"discounts": [made["id"]]})

    # ------------------------------------------------------------------ what happens to a sync

    def sync(self, a: int, b: int) -> None:
        self.read(must_hold=True)

    def gap(self, a: int, b: int) -> None:
        """More than thirty days pass after a sync, in which things change and nothing is deleted."""
        self.sync(a, b)
        self.edit(a, b)
        self.lines(a, b)
        self.account.advance((31 + a % 9) * DAY)
        self.sync(a, b)

    def broken_list(self, a: int, b: int) -> None:
        """A list breaks off somewhere: its stream fails, the others go on."""
        path = ENDPOINTS[ALL_STREAMS[a % len(ALL_STREAMS)]].path.replace("{id}", ".*")
        self.read(faults=[Fault("status", path=f"^{path}", after=b % 4, times=None, status=400, message="Not today.")])

    def broken_children(self, a: int, b: int) -> None:
        self.read(faults=[Fault("status", path="^/v1/.*/.*/", after=b % 9, times=None, status=400, message="Not today.")])

    def abandoned(self, a: int, b: int) -> None:
        self.read(stop_after=200 + (a * 31 + b) % 300)

    def hiccups(self, a: int, b: int) -> None:
        kind = ("status", "cut_body", "reset_inside", "reset_before", "not_json", "rate_limit", "empty_200", "gzip_broken")[a % 8]
        self.read(faults=[Fault(kind, after=(a + b) % 60, times=1 + b % 4)], must_hold=True)

    def read(
        self, faults: list[Fault] | None = None, stop_after: int | None = None, must_hold: bool = False
    ) -> list[tuple[str, Any]]:
        for fault in faults or ():
            self.server.fault(fault)
        result = self.reader.sync(self.states, ALL_STREAMS, stop_after=stop_after)
        self.server.clear_faults()
        self.states = result.states
        for warehouse in self.warehouses:
            warehouse.take(result)
        assert result.failure is None or not must_hold, result.errors
        if result.failure is None and not result.was_abandoned:
            assert result.complete == set(ALL_STREAMS)
            truth = Truth(self.server)
            for warehouse in self.warehouses:
                assert warehouse.differences(truth) == []
        return result.records


_BEFORE = "old old old create create have_child lines discount"
_HAPPENS = """create create edit edit edit turn delete have_child have_child lose_child edit_child lines lines discount clock"""
_SYNCS = "sync sync gap broken_list broken_children abandoned hiccups"


_HISTORIES = st.builds(list.__add__, any_steps(_BEFORE, 4, 15), any_steps(f"{_HAPPENS} {_SYNCS}", 8, 25))


def play_histories(server: StripeServer, number: int, examples: int) -> None:
    readers = {size: Reader(server, page_size=size) for size in (3, 100)}

    @played(number, examples)
    @given(_HISTORIES, st.sampled_from([3, 100]))
    def plays(steps: list[Step], page_size: int) -> None:
        History(server, readers[page_size]).play(steps)

    plays()


@pytest.mark.parametrize("number", range(4))
def test_after_every_history_the_reader_holds_streams_of_every_kind(server: StripeServer, number: int) -> None:
    play_histories(server, number, examples=4)


@pytest.mark.thorough
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(1000, 1016))
def test_after_thousands_of_histories_the_reader_holds_streams_of_every_kind(server: StripeServer, number: int) -> None:
    play_histories(server, number, examples=150)
