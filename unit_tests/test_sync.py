"""Syncs of a Stripe that says odd things, or that says things in an odd order: nobody else is harmed, and nothing is lost."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from source_stripe.api.errors import StripeError
from source_stripe.api.request import Answer, Request
from source_stripe.sync.output import Page
from source_stripe.sync.state import BrokenState, StreamState, interrupted_states_of
from unit_tests.scripted import DAY, DENIED, MISSING, NOW, SOURCE, Outcome, Row, event, one, page, selected, synced

Query = Mapping[str, str]


# ---------------------------------------------------------------------- parents and children


def test_a_child_stream_that_fails_early_stops_nobody() -> None:
    def invoice(number: int) -> Row:
        line = {"object": "line_item"} | ({} if number == 150 else {"id": f"il_{number}"})
        lines = {"object": "list", "data": [line], "has_more": False}
        return {"id": f"in_{number}", "object": "invoice", "created": NOW - 1 - number, "lines": lines}

    invoices = [invoice(number) for number in range(1_000)]

    def stripe(request: Request, query: Query) -> Answer:
        return page(invoices if request.endpoint == "/v1/invoices" else [], query)

    outcome = synced(stripe, *map(selected, ("invoices", "invoice_line_items", "customers")), watched=True)
    assert outcome.complete == {"invoices", "customers"}
    assert outcome.failed.keys() == {"invoice_line_items"}
    assert len(outcome.ids("invoices")) == 1_000


def _customer(number: int, query: Query) -> Row:
    """The third has more sources than are shown."""
    customer = {"id": f"cus_{number}", "object": "customer", "created": NOW - 1_000 - number * 10}
    if any("sources" in value for value in query.values()):
        customer["sources"] = {"has_more": number == 3, "data": [{"id": f"ba_{number}", "object": "bank_account"}]}
    return customer


def test_parents_come_whole_when_the_rest_of_a_list_of_their_children_is_denied() -> None:
    def stripe(request: Request, query: Query) -> Answer | StripeError:
        match request.endpoint:
            case "/v1/events":
                told = [_customer(number, {}) for number in range(20)]
                return page([event(f"evt_{each['id']}", "customer.created", each["created"], each) for each in told], query)
            case "/v1/customers":
                return page([_customer(number, query) for number in range(20)], query)
            case "/v1/customers/{id}/sources":
                return DENIED
            case "/v1/customers/{id}":
                return one(_customer(int(request.id[4:]), query))
        return page([])

    outcome = synced(stripe, *(selected(name, since=NOW - DAY) for name in ("customers", "bank_accounts")))
    assert outcome.complete == {"customers"}
    assert set(outcome.ids("customers")) == {f"cus_{number}" for number in range(20)}


def test_parents_are_read_first_also_by_a_key_that_may_read_neither_their_children_nor_events() -> None:
    def stripe(request: Request, query: Query) -> Answer | StripeError:
        if request.endpoint == "/v1/events" or any("sources" in value for value in query.values()):
            return DENIED
        return page([_customer(number, query) for number in range(50)] if request.endpoint == "/v1/customers" else [], query)

    outcome = synced(stripe, selected("customers"), selected("bank_accounts"))
    assert outcome.complete == {"customers"}
    assert len(outcome.ids("customers")) == 50


# ---------------------------------------------------------------------- lists


def test_new_objects_of_which_no_event_tells_are_listed_however_many_others_changed() -> None:
    sessions: list[Row] = [
        {
            "id": f"cs_{n}",
            "object": "checkout.session",
            "created": NOW - 100 - n * 7,
            "line_items": {"data": [], "has_more": False},
        }
        for n in range(10_205)
    ]
    told = [event(f"evt_{each['id']}", "checkout.session.completed", each["created"] + 1, each) for each in sessions[:10_200]]

    def stripe(request: Request, query: Query) -> Answer:
        return page({"/v1/events": told, "/v1/checkout/sessions": sessions}.get(request.endpoint, []), query)

    outcome = synced(stripe, selected("checkout_sessions", since=NOW - DAY))
    assert len(set(outcome.ids("checkout_sessions"))) == 10_205
    assert outcome.asked("/v1/checkout/sessions/{id}") == 0


QUOTES = [
    {"id": f"qt_{created}", "object": "quote", "created": created, "line_items": {"data": [], "has_more": False}}
    for created in (1_750_000_000, 1_720_000_000, 1_650_000_000)
]


def _quotes(request: Request, query: Query) -> Answer:
    return page(QUOTES if request.endpoint == "/v1/quotes" else [])


def _state_of_quotes(blob: object, start: int) -> StreamState:
    return StreamState.load(blob, "updated", start)  # type: ignore[arg-type]


def test_a_list_without_times_is_read_again_for_an_earlier_start() -> None:
    first = synced(_quotes, selected("quotes", state=_state_of_quotes(None, 1_700_000_000)))
    assert len(first.ids("quotes")) == 2
    later = synced(_quotes, selected("quotes", state=_state_of_quotes(first.states["quotes"], 0)))
    assert len(later.ids("quotes")) == 3
    again = synced(_quotes, selected("quotes", state=_state_of_quotes(later.states["quotes"], 0)))
    assert again.ids("quotes") == []
    assert "unread" not in again.states["quotes"]


@pytest.mark.parametrize("more", [{}, {"unread": [[1_600_000_000, 1_650_000_000]]}])
def test_a_full_refresh_begins_anew_after_one_that_was_complete_also_for_another_start(more: Row) -> None:
    blob = {"updated": NOW, "start": 1_700_000_000, "version": 2, **more}
    states = interrupted_states_of(blob, ["quotes"], lambda each: _state_of_quotes(each, 1_690_000_000))
    assert states["quotes"].followed is None


def test_a_list_that_is_oldest_first_fails_before_anything_counts_as_read() -> None:
    rows: list[Row] = [{"id": f"cus_{number}", "object": "customer", "created": NOW - 900 + number} for number in range(230)]

    def stripe(request: Request, query: Query) -> Answer:
        return page(rows if request.endpoint == "/v1/customers" else [], query)

    outcome = synced(stripe, selected("customers"), selected("charges"))
    assert "/v1/customers is listed oldest first" in str(outcome.failed["customers"])
    assert (outcome.complete, outcome.states["customers"]["unread"]) == ({"charges"}, [[0, NOW]])


def test_a_state_that_names_a_pass_that_does_not_exist_fails_its_stream() -> None:
    state = _state_of_quotes({"updated": NOW, "start": 0, "version": 2, "place": [3, None]}, 0)
    outcome = synced(_quotes, selected("quotes", state=state), selected("customers"))
    assert isinstance(outcome.failed["quotes"], BrokenState)
    assert outcome.complete == {"customers"}


@pytest.mark.parametrize(("accounts", "is_large"), [(1, False), (64, True)])
def test_accounts_that_are_read_side_by_side_share_the_memory_for_nested_lists(accounts: int, is_large: bool) -> None:
    lines: list[Row] = [{"id": f"il_{n}", "object": "line_item", "description": "x" * 2_000} for n in range(100)]
    invoice: Row = {"id": "in_1", "object": "invoice", "created": NOW - 1, "lines": {"data": lines[:10], "has_more": True}}

    def stripe(request: Request, query: Query) -> Answer:
        return page({"/v1/invoices": [invoice], "/v1/invoices/{id}/lines": lines}.get(request.endpoint, []), query)

    outcome = synced(stripe, selected("invoices"), side_by_side=accounts)
    (shown,) = [item for _, item in outcome.items if isinstance(item, Page)]
    assert (shown.held > 0) is is_large
    assert len(orjson.loads(shown.whole)["record"]["data"]["lines"]["data"]) == 100


# ---------------------------------------------------------------------- time


def test_what_happens_while_an_answer_waits_is_not_taken_for_followed() -> None:
    """The page of events says nothing of what comes after it, whenever it is read."""
    outcome = synced(lambda request, query: page([], query, date=NOW - 900), selected("charges", since=NOW - 7_200))
    assert outcome.states["charges"]["updated"] == NOW - 900


def test_a_start_before_1970_is_the_beginning() -> None:
    source = type(SOURCE)(config={"secret_key": "rk_live_1234567890", "start_date": "1960-01-01T00:00:00Z"})
    range_: Any = source.endpoint("charges").range
    assert range_.start == 0


def test_a_state_beyond_all_times_is_none() -> None:
    with pytest.raises(BrokenState):
        StreamState.load({"updated": 500_000_000_000, "start": 0, "version": 2}, "updated", 0)


# ---------------------------------------------------------------------- odd events


@pytest.mark.parametrize("created", [None, -3, 10**13, 5 * 10**18, 10**20])
def test_an_event_with_an_odd_time_does_not_harm_a_first_sync(created: object) -> None:
    charge: Row = {"id": "ch_1", "object": "charge", "created": NOW - 5_000}
    odd = event("evt_1", "charge.captured", 0, charge) | {"created": created}

    def stripe(request: Request, query: Query) -> Answer:
        return page([odd] if request.endpoint == "/v1/events" else [charge] if request.endpoint == "/v1/charges" else [])

    outcome = synced(stripe, selected("charges"), selected("customers"))
    assert outcome.complete == {"charges", "customers"}
    assert [row["updated"] for row in outcome.records("charges")] == [NOW]
    assert StreamState.load(outcome.states["charges"], "updated", 0).followed == NOW


@pytest.mark.parametrize("id", [{"id": "x"}, ["x"], 5, "", None])
def test_an_event_whose_object_has_an_odd_id_harms_nobody(id: object) -> None:
    odd = event("evt_1", "charge.captured", NOW - 1_000, {"id": id, "object": "charge"})
    outcome = synced(
        lambda request, query: page([odd] if request.endpoint == "/v1/events" else []),
        *(selected(name, since=NOW - DAY) for name in ("charges", "customers")),
    )
    assert outcome.complete == {"charges", "customers"}


def test_an_announced_object_without_a_time_is_of_its_announcement() -> None:
    refunds: list[Row] = [{"id": "re_1", "object": "refund", "created": None}]
    refunds += [{"id": "re_2", "object": "refund", "created": NOW - 1_000}]
    told = event("evt_1", "charge.refunded", NOW - 1_000, {"id": "ch_1", "object": "charge", "created": NOW - 5_000})

    def stripe(request: Request, query: Query) -> Answer:
        if request.endpoint == "/v1/refunds":
            return page(refunds if "charge" in query else [])
        return page([told] if request.endpoint == "/v1/events" else [])

    assert synced(stripe, selected("refunds", since=NOW - DAY)).ids("refunds") == ["re_1", "re_2"]


@pytest.mark.parametrize("later", [0, 1, 100])
def test_a_deletion_has_the_last_known_fields_also_when_another_objects_event_follows(later: int) -> None:
    customer = {"id": "cus_1", "object": "customer", "created": NOW - 50_000, "name": "Jo"}
    told = [
        event("evt_2", "customer.discount.deleted", NOW - 1_000 + later, {"object": "discount", "customer": "cus_1"}),
        event("evt_1", "customer.deleted", NOW - 1_000, customer),
    ]

    def stripe(request: Request, query: Query) -> Answer | StripeError:
        if request.endpoint == "/v1/customers/{id}":
            return MISSING
        return page(told if request.endpoint == "/v1/events" else [], query)

    (deleted,) = synced(stripe, selected("customers", since=NOW - DAY)).records("customers")
    assert (deleted["name"], deleted["is_deleted"], deleted["updated"]) == ("Jo", True, NOW - 1_000 + later)


# ---------------------------------------------------------------------- what is refused


def _persons(refusal: StripeError) -> Outcome:
    """A first sync of the persons of three accounts, of which the second is refused."""
    accounts: list[Row] = [{"id": f"acct_{n}", "object": "account", "created": NOW - n} for n in range(3)]

    def stripe(request: Request, query: Query) -> Answer | StripeError:
        if request.endpoint == "/v1/accounts/{id}/persons":
            return (
                refusal if request.id == "acct_1" else page([{"id": f"person_{request.id}", "object": "person", "created": NOW}])
            )
        return page(accounts if request.endpoint == "/v1/accounts" else [])

    return synced(stripe, selected("persons"))


def test_an_account_whose_persons_stripe_does_not_show_is_left_out_with_a_warning() -> None:
    outcome = _persons(StripeError("This is not permitted on account 'acct_1'.", status=403, request_id="req_1"))
    assert outcome.complete == {"persons"}
    assert outcome.ids("persons") == ["person_acct_0", "person_acct_2"]
    assert [note.values["id"] for note in outcome.notes("parent_refused")] == ["acct_1"]


def test_a_key_that_may_not_read_persons_fails_their_stream() -> None:
    assert _persons(DENIED).failed.keys() == {"persons"}


@pytest.mark.parametrize("is_gone", [True, False])
def test_an_object_is_gone_only_if_it_is_itself_not_found(is_gone: bool) -> None:
    invoice: Row = {"id": "in_1", "object": "invoice", "created": NOW - 1, "lines": {"data": [], "has_more": True}}

    def stripe(request: Request, query: Query) -> Answer | StripeError:
        match request.endpoint:
            case "/v1/invoices/{id}/lines":
                return MISSING
            case "/v1/invoices/{id}":
                return MISSING if is_gone else one(invoice)
        return page([invoice] if request.endpoint == "/v1/invoices" else [])

    outcome = synced(stripe, selected("invoices"))
    assert ("invoices" in outcome.complete, "invoices" in outcome.failed) == (is_gone, not is_gone)


def test_the_stub_of_a_deleted_object_has_no_undeclared_field() -> None:
    told = event("evt_1", "customer.updated", NOW - 1_000, {"id": "cus_1", "object": "customer", "created": NOW - 9_000})

    def stripe(request: Request, query: Query) -> Answer:
        if request.endpoint == "/v1/customers/{id}":
            return one({"id": "cus_1", "object": "customer", "deleted": True})
        return page([told] if request.endpoint.startswith("/v1/events") and not request.id else [])

    outcome = synced(stripe, selected("customers", since=NOW - DAY))
    assert outcome.notes("undeclared") == []


@pytest.mark.parametrize("position", [99, 399, 999, 2_999])
@pytest.mark.parametrize("shift", [DAY, 3 * 365 * DAY, -4_000, -DAY, -40 * DAY])
def test_an_object_out_of_order_at_the_end_of_a_page_neither_hides_others_nor_leads_in_circles(position: int, shift: int) -> None:
    true: list[Row] = [{"id": f"ch_{n}", "object": "charge", "created": NOW - 100 - n * 3} for n in range(3_000)]

    def stripe(request: Request, query: Query) -> Answer:
        if request.endpoint != "/v1/charges":
            return page([])
        answer = orjson.loads(page(true, query).body)
        for row in answer["data"]:
            row["created"] += shift if row["id"] == f"ch_{position}" else 0
        return one(answer)

    outcome = synced(stripe, selected("charges"))
    assert (outcome.complete, len(set(outcome.ids("charges")))) == ({"charges"}, 3_000)
    assert len(outcome.came) < 50
