"""What events tell of one stream's objects, whatever the order in which their pages come."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from random import Random
from string import ascii_letters, digits
from typing import Any, get_args

import pytest
import stripe
from airbyte_cdk.models import FailureType

from source_stripe.messages import traced
from source_stripe.source import SourceStripe
from source_stripe.sync.changes import Change, ChangeIndex, EventDecoder, Route
from source_stripe.sync.changes import Event as StripeEvent
from source_stripe.sync.handled import Handled
from source_stripe.sync.page import Row
from source_stripe.sync.pieces import NoRoomError

SOURCE = SourceStripe(config={"secret_key": "rk_test_51H8xample"})


DECODER = EventDecoder(get_args(stripe.Event.__annotations__["type"]), ["charge", "customer", "invoice", "subscription"])
Event = tuple[str, int, str, dict[str, Any]]


def index_of(stream: str, *events: Event, handled: dict[str, int] | None = None, near: int = 0) -> ChangeIndex:
    """Each event is its id, its time, its type and its object; near are those from `near` on."""
    index = ChangeIndex(SOURCE.endpoint(stream), Handled.load(handled or {}))
    for event in map(event_of, events):
        index.add([event], near)
    return index


def event_of(told: Event) -> StripeEvent:
    id, created, type_, payload = told
    event = DECODER.decode(Row(id, created), json.dumps({"type": type_, "data": {"object": payload}}).encode())
    assert event is not None
    return event


def change_of(stream: str, id: str, *events: Event, handled: dict[str, int] | None = None) -> Change:
    """What is known of the object `id`, the same whether its events come in one page or in many."""
    at_once = ChangeIndex(SOURCE.endpoint(stream), Handled.load(handled or {}))
    at_once.add(list(map(event_of, events)), 0)
    change = index_of(stream, *events, handled=handled).find([id])[id]
    assert at_once.find([id]) == {id: change}
    return change


def is_tied(stream: str, id: str, *events: Event) -> bool:
    """Whether the object is read all the same, though its deletion is known."""
    index = index_of(stream, *events)
    return index.find([id])[id].deletion is not None and id not in dict(index.due(Route.DELETION))


def due(index: ChangeIndex) -> Iterator[tuple[str, Change]]:
    """What is due, whatever its route."""
    return (pair for route in Route for pair in index.due(route))


def an(object: str, id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "object": object, "created": 100} | fields


CREATED: Event = ("evt_1", 100, "coupon.created", an("coupon", "A"))
UPDATED: Event = ("evt_2", 200, "coupon.updated", an("coupon", "A"))
DELETED: Event = ("evt_3", 300, "coupon.deleted", an("coupon", "A", name="Spring"))


@pytest.mark.parametrize("events", list(itertools.permutations([CREATED, UPDATED, DELETED])))
def test_the_newest_event_decides_whatever_the_order(events: tuple[Event, ...]) -> None:
    change = change_of("coupons", "A", *events)
    assert (change.at, change.event, change.created, is_tied("coupons", "A", *events)) == (300, "evt_3", 100, False)
    assert json.loads(bytes(change.deletion or b"null")) == DELETED[3]


@pytest.mark.parametrize(
    "events", list(itertools.permutations([DELETED, ("evt_4", 400, "coupon.created", an("coupon", "A", created=400))]))
)
def test_what_was_created_again_after_its_deletion_is_read_to_see_if_it_is_there(events: tuple[Event, ...]) -> None:
    change = change_of("coupons", "A", *events)
    assert (change.at, change.created, is_tied("coupons", "A", *events)) == (400, 400, True)


DISCOUNT_LOST: Event = ("evt_5", 301, "customer.discount.deleted", {"id": "di_1", "object": "discount", "customer": "cus_1"})
CUSTOMER_LOST: Event = ("evt_3", 300, "customer.deleted", an("customer", "cus_1", name="Jo"))


@pytest.mark.parametrize("events", list(itertools.permutations([CUSTOMER_LOST, DISCOUNT_LOST])))
def test_a_deletion_keeps_what_it_knew_when_another_objects_event_comes_later(events: tuple[Event, ...]) -> None:
    change = change_of("customers", "cus_1", *events)
    assert (change.at, is_tied("customers", "cus_1", *events)) == (301, True)
    assert json.loads(change.deletion or b"{}")["name"] == "Jo"


@pytest.mark.parametrize("events", list(itertools.permutations([DELETED, ("evt_4", 300, "coupon.created", an("coupon", "A"))])))
def test_a_deletion_and_another_event_of_one_second_are_a_tie(events: tuple[Event, ...]) -> None:
    assert is_tied("coupons", "A", *events)


def test_a_tie_is_forgotten_when_a_newer_deletion_comes() -> None:
    tied = ("evt_4", 300, "coupon.created", an("coupon", "A"))
    newer = ("evt_5", 301, "coupon.deleted", an("coupon", "A"))
    assert not is_tied("coupons", "A", tied, DELETED, newer)


def test_two_events_of_one_second_that_both_change_are_no_tie() -> None:
    assert not is_tied("coupons", "A", UPDATED, ("evt_4", 200, "coupon.updated", an("coupon", "A")))


def test_a_canceled_subscription_is_not_deleted() -> None:
    canceled = ("evt_1", 300, "customer.subscription.deleted", an("subscription", "sub_1", status="canceled"))
    assert change_of("subscriptions", "sub_1", canceled).deletion is None


def test_what_an_earlier_sync_handled_is_not_fresh() -> None:
    assert not change_of("coupons", "A", UPDATED, handled={"evt_2": 200}).is_fresh
    assert change_of("coupons", "A", UPDATED, DELETED, handled={"evt_2": 200}).is_fresh


def test_a_late_event_that_is_older_than_a_handled_one_makes_the_object_fresh() -> None:
    change = change_of("coupons", "A", DELETED, UPDATED, handled={"evt_3": 300})
    assert (change.is_fresh, change.at, change.event) == (True, 300, "evt_3")


def test_events_that_the_next_sync_sees_again_are_kept_with_their_times() -> None:
    assert index_of("coupons", CREATED, UPDATED, DELETED, near=200).near == {200: {"evt_2"}, 300: {"evt_3"}}


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
    assert list(due(index_of(stream, event))) == []


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
    (change,) = due(index_of(stream, ("evt_1", 300, type_, payload)))
    assert (change[0], change[1].at, change[1].created) == (changed, 300, None)


def test_when_an_object_was_created_is_known_once_an_event_of_its_own_tells() -> None:
    refund = ("evt_1", 300, "refund.created", an("refund", "re_1", charge="ch_1"))
    charge = ("evt_2", 200, "charge.succeeded", an("charge", "ch_1", created=150))
    assert [change_of("charges", "ch_1", *both).created for both in ((refund, charge), (charge, refund))] == [150, 150]


REFUNDED: Event = ("evt_1", 300, "charge.refunded", an("charge", "ch_1"))


def test_a_charge_that_was_refunded_announces_refunds_that_no_event_told_of() -> None:
    assert dict(index_of("refunds", REFUNDED).unannounced()) == {"ch_1": 300}


def test_a_refund_that_its_own_event_tells_of_needs_no_announcement() -> None:
    own = ("evt_2", 300, "refund.created", an("refund", "re_1", charge="ch_1"))
    assert dict(index_of("refunds", REFUNDED, own).unannounced()) == {}


def test_of_two_refunds_of_a_charge_one_may_have_no_event() -> None:
    own = ("evt_2", 300, "refund.created", an("refund", "re_1", charge="ch_1"))
    again = ("evt_3", 400, "charge.refunded", an("charge", "ch_1"))
    assert dict(index_of("refunds", REFUNDED, own, again).unannounced()) == {"ch_1": 400}


def test_an_announcement_that_was_handled_is_not_followed_again() -> None:
    assert dict(index_of("refunds", REFUNDED, handled={"evt_1": 300}).unannounced()) == {}


def test_a_stream_listens_to_the_types_that_its_entry_names() -> None:
    assert index_of("refunds").types == {
        "charge.refund.updated",
        "charge.refunded",
        "refund.created",
        "refund.failed",
        "refund.updated",
    }


def test_an_object_that_a_list_showed_is_due_no_more() -> None:
    index = index_of("charges", *(("evt_1", 200, "charge.updated", an("charge", f"ch_{number}")) for number in range(3)))
    index.show(["ch_1"])
    assert [id for id, _ in due(index)] == ["ch_0", "ch_2"]
    assert index.find(["ch_1"])["ch_1"].is_shown


def test_changes_come_in_batches_whatever_is_written_between_them() -> None:
    index = index_of("charges")
    index.add([event_of((f"evt_{n}", 200, "charge.updated", an("charge", f"ch_{n:04}"))) for n in range(1200)], 0)
    seen = []
    for id, _ in due(index):
        seen.append(id)
        index.show([id])
    assert seen == [f"ch_{n:04}" for n in range(1200)]


BUSY = [(f"evt_{n}", 200, "charge.updated", an("charge", f"ch_{n}")) for n in range(500)]


def handled(*events: Event) -> Handled:
    handled = Handled()
    handled.learn(200, [id for id, *_ in events])
    return handled


@pytest.mark.parametrize("page", [1, 7, 100, 500])
def test_of_a_busy_second_that_was_handled_nothing_is_due(page: int) -> None:
    index = ChangeIndex(SOURCE.endpoint("charges"), handled(*BUSY))
    for at in range(0, 500, page):
        index.add(map(event_of, BUSY[at : at + page]), 0)
    index.settle()
    assert list(due(index)) == []


def test_a_late_event_of_a_busy_second_is_due_with_the_others_of_that_second() -> None:
    index = ChangeIndex(SOURCE.endpoint("charges"), handled(*BUSY[1:]))
    index.add(map(event_of, BUSY), 0)
    index.settle()
    assert "ch_0" in [id for id, _ in due(index)]


def test_a_busy_second_that_was_handled_announces_nothing_again() -> None:
    told = [(f"evt_{n}", 200, "charge.refunded", an("charge", f"ch_{n}")) for n in range(200)]
    index = ChangeIndex(SOURCE.endpoint("refunds"), handled(*told))
    index.add(map(event_of, told), 0)
    index.settle()
    assert list(index.unannounced()) == []


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_tie_keeps_what_the_deleting_event_knew(order: tuple[int, int]) -> None:
    renamed = ("evt_2", 300, "coupon.updated", an("coupon", "A", name="Renamed"))
    events = [(renamed, DELETED)[each] for each in order]
    change = change_of("coupons", "A", *events)
    assert is_tied("coupons", "A", *events)
    assert json.loads(change.deletion or b"{}")["name"] == "Spring"


_MEMORY = """
import resource, sys
from unit_tests.test_changes import due, event_of, index_of

stream, type_ = sys.argv[1:]
index = index_of(stream)

def add(first):
    for page in range(first, first + 250):
        numbers = range(page * 100, page * 100 + 100)
        ids = [f"{number * 7919 % 50021:023}" for number in numbers]
        payloads = [{"id": id, "object": stream[:-1], "created": 1} for id in ids]
        index.add([event_of((f"evt_1{payload['id']}", 1, type_, payload)) for payload in payloads], 0)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

add(0)
before = peak()
add(250)
print(sum(1 for _ in due(index)), peak() - before)
"""


@pytest.mark.parametrize(("stream", "type_"), [("charges", "charge.updated"), ("customers", "customer.deleted")])
def test_changes_take_no_more_memory_however_many_they_are(stream: str, type_: str) -> None:
    told = subprocess.run([sys.executable, "-c", _MEMORY, stream, type_], capture_output=True, text=True, check=True).stdout
    changes, kib = map(int, told.split())
    assert changes == 50_000
    assert kib < 1500


def test_a_change_takes_90_bytes_of_the_temporary_file() -> None:
    index, random = index_of("charges"), Random(1)
    ids = ["".join(random.choices(ascii_letters + digits, k=23)) for _ in range(20_000)]
    for page in (ids[at : at + 100] for at in range(0, 20_000, 100)):
        index.add([event_of((f"evt_1{id}", 1_790_000_000, "charge.updated", an("charge", f"ch_3{id}"))) for id in page], 0)
    (size,) = index._database.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
    assert 70 <= size / 20_000 <= 90


def test_without_a_temporary_directory_changes_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_directory() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("tempfile.gettempdir", no_directory)
    index = index_of("coupons", UPDATED)
    assert [id for id, _ in due(index)] == ["A"]


def test_a_full_disk_is_told_with_what_to_do() -> None:
    index = index_of("coupons", UPDATED)
    index._database.execute("PRAGMA max_page_count = 5")
    with pytest.raises(NoRoomError) as raised:
        index.add([event_of((f"evt_{n}", 200, "coupon.updated", an("coupon", f"{n}"))) for n in range(1000)], 0)
    error = traced(raised.value, "coupons", "Coupons", {})
    assert re.match(
        r"^What changed since the last sync, or the lists of a very large object, did not find room .* Make room there",
        str(error.message),
    )
    assert error.failure_type == FailureType.config_error


@pytest.mark.parametrize(
    ("created", "event", "route"),
    [
        (50, UPDATED, Route.NONE),
        (100, DELETED, Route.DELETION),
        (250, UPDATED, Route.HISTORY),
        (900, UPDATED, Route.NEW),
        (500, UPDATED, Route.REREAD),
    ],
)
def test_a_change_takes_its_route_by_when_its_object_was_created(created: int, event: Event, route: Route) -> None:
    id, at, type_, payload = event
    index = index_of("coupons", (id, at, type_, payload | {"created": created}))
    index.plan(start=60, window=800, unread=[(200, 300)])
    assert [each for each in Route if list(index.due(each))] == [route]
