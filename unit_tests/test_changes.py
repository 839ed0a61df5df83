"""What events tell of one stream's objects, whatever the order in which their pages come."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from typing import Any

import pytest

from source_stripe.changes import ChangeIndex, _decode_event
from source_stripe.source import SourceStripe

RETRIEVERS = SourceStripe(config={"secret_key": "rk_test_51H8xample"}).retrievers
Event = tuple[str, int, str, dict[str, Any]]


def index_of(stream: str, *events: Event, handled: dict[str, int] | None = None, near: int = 0) -> ChangeIndex:
    """Each event is its id, its time, its type and its object; near are those from `near` on."""
    index = ChangeIndex(RETRIEVERS[stream], handled or {})
    for id, created, type_, payload in events:
        raw = json.dumps({"id": id, "created": created, "type": type_, "data": {"object": payload}}).encode()
        event = _decode_event(raw)
        assert event.data is not None
        index.add(event, payload, event.data.object, created >= near)
    return index


def an(object: str, id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "object": object, "created": 100} | fields


CREATED: Event = ("evt_1", 100, "coupon.created", an("coupon", "A"))
UPDATED: Event = ("evt_2", 200, "coupon.updated", an("coupon", "A"))
DELETED: Event = ("evt_3", 300, "coupon.deleted", an("coupon", "A", name="Spring"))


@pytest.mark.parametrize("events", list(itertools.permutations([CREATED, UPDATED, DELETED])))
def test_the_newest_event_decides_whatever_the_order(events: tuple[Event, ...]) -> None:
    change = index_of("coupons", *events).changes["A"]
    assert (change.at, change.event, change.created, change.is_tied) == (300, "evt_3", 100, False)
    assert json.loads(bytes(change.deletion or b"null")) == DELETED[3]


@pytest.mark.parametrize(
    "events", list(itertools.permutations([DELETED, ("evt_4", 400, "coupon.created", an("coupon", "A", created=400))]))
)
def test_what_was_created_again_after_its_deletion_is_not_deleted(events: tuple[Event, ...]) -> None:
    change = index_of("coupons", *events).changes["A"]
    assert (change.at, change.created, change.deletion) == (400, 400, None)


@pytest.mark.parametrize("events", list(itertools.permutations([DELETED, ("evt_4", 300, "coupon.created", an("coupon", "A"))])))
def test_a_deletion_and_another_event_of_one_second_are_a_tie(events: tuple[Event, ...]) -> None:
    assert index_of("coupons", *events).changes["A"].is_tied


def test_a_tie_is_forgotten_when_a_newer_event_comes() -> None:
    tied = ("evt_4", 300, "coupon.created", an("coupon", "A"))
    newer = ("evt_5", 301, "coupon.updated", an("coupon", "A"))
    assert not index_of("coupons", tied, DELETED, newer).changes["A"].is_tied


def test_two_events_of_one_second_that_both_change_are_no_tie() -> None:
    assert not index_of("coupons", UPDATED, ("evt_4", 200, "coupon.updated", an("coupon", "A"))).changes["A"].is_tied


def test_a_canceled_subscription_is_not_deleted() -> None:
    canceled = ("evt_1", 300, "customer.subscription.deleted", an("subscription", "sub_1", status="canceled"))
    assert index_of("subscriptions", canceled).changes["sub_1"].deletion is None


def test_what_an_earlier_sync_handled_is_not_fresh() -> None:
    assert not index_of("coupons", UPDATED, handled={"evt_2": 200}).changes["A"].is_fresh
    assert index_of("coupons", UPDATED, DELETED, handled={"evt_2": 200}).changes["A"].is_fresh


def test_a_late_event_that_is_older_than_a_handled_one_makes_the_object_fresh() -> None:
    change = index_of("coupons", DELETED, UPDATED, handled={"evt_3": 300}).changes["A"]
    assert (change.is_fresh, change.at, change.event) == (True, 300, "evt_3")


def test_events_that_the_next_sync_sees_again_are_kept_with_their_times() -> None:
    assert index_of("coupons", CREATED, UPDATED, DELETED, near=200).near == {"evt_2": 200, "evt_3": 300}


@pytest.mark.parametrize(
    ("stream", "event"),
    [
        ("coupons", ("evt_1", 100, "customer.created", an("customer", "cus_1"))),
        ("coupons", ("evt_1", 100, "coupon.created", an("promotion_code", "promo_1"))),
        ("coupons", ("evt_1", 100, "coupon.created", {"object": "coupon"})),
        ("coupons", ("evt_1", 100, "coupon.created", an("coupon", "A") | {"id": 7})),
        ("invoices", ("evt_1", 100, "invoice.upcoming", {"object": "invoice", "created": 100})),
        ("invoices", ("evt_1", 100, "invoice.created", {"object": "invoice", "created": 100})),
        ("charges", ("evt_1", 100, "refund.created", an("refund", "re_1", charge=None))),
    ],
)
def test_what_is_no_object_of_the_stream_changes_nothing(stream: str, event: Event) -> None:
    assert index_of(stream, event).changes == {}


@pytest.mark.parametrize(
    ("stream", "type_", "payload", "changed"),
    [
        ("charges", "refund.created", an("refund", "re_1", charge="ch_1"), "ch_1"),
        ("charges", "charge.refund.updated", an("refund", "re_1", charge={"id": "ch_1"}), "ch_1"),
        ("charges", "charge.dispute.created", an("dispute", "du_1", charge="ch_1"), "ch_1"),
        ("customers", "customer.source.created", an("card", "card_1", customer="cus_1"), "cus_1"),
        ("customers", "customer.discount.created", an("discount", "di_1", customer="cus_1", subscription=None), "cus_1"),
        ("subscriptions", "customer.discount.created", an("discount", "di_1", customer="cus_1", subscription="sub_1"), "sub_1"),
        ("invoices", "invoice_payment.paid", an("invoice_payment", "inpay_1", invoice="in_1"), "in_1"),
    ],
)
def test_an_event_of_another_object_changes_the_one_that_shows_it(
    stream: str, type_: str, payload: dict[str, Any], changed: str
) -> None:
    (change,) = index_of(stream, ("evt_1", 300, type_, payload)).changes.items()
    assert (change[0], change[1].at, change[1].created) == (changed, 300, None)


def test_when_an_object_was_created_is_known_once_an_event_of_its_own_tells() -> None:
    refund = ("evt_1", 300, "refund.created", an("refund", "re_1", charge="ch_1"))
    charge = ("evt_2", 200, "charge.succeeded", an("charge", "ch_1", created=150))
    assert [index_of("charges", *both).changes["ch_1"].created for both in ((refund, charge), (charge, refund))] == [150, 150]


REFUNDED: Event = ("evt_1", 300, "charge.refunded", an("charge", "ch_1"))


def test_a_charge_that_was_refunded_announces_refunds_that_no_event_told_of() -> None:
    assert index_of("refunds", REFUNDED).unannounced() == {"ch_1": 300}


def test_a_refund_that_its_own_event_tells_of_needs_no_announcement() -> None:
    own = ("evt_2", 300, "refund.created", an("refund", "re_1", charge="ch_1"))
    assert index_of("refunds", REFUNDED, own).unannounced() == {}


def test_of_two_refunds_of_a_charge_one_may_have_no_event() -> None:
    own = ("evt_2", 300, "refund.created", an("refund", "re_1", charge="ch_1"))
    again = ("evt_3", 400, "charge.refunded", an("charge", "ch_1"))
    assert index_of("refunds", REFUNDED, own, again).unannounced() == {"ch_1": 400}


def test_an_announcement_that_was_handled_is_not_followed_again() -> None:
    assert index_of("refunds", REFUNDED, handled={"evt_1": 300}).unannounced() == {}


def test_a_stream_listens_to_the_types_that_its_entry_names() -> None:
    assert index_of("refunds").types == {
        "charge.refund.updated",
        "charge.refunded",
        "refund.created",
        "refund.failed",
        "refund.updated",
    }


def test_a_changed_object_takes_360_bytes_of_memory() -> None:
    def event(number: int) -> Event:
        return f"evt_1{number:023}", 1_790_000_000 + number, "charge.succeeded", an("charge", f"ch_3{number:023}")

    tracemalloc.start()
    index = index_of("charges", *(event(number) for number in range(20_000)))
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(index.changes) == 20_000
    assert 200 <= taken / 20_000 <= 360
