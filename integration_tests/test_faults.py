"""Each way in which Stripe or the network fails, in each place of a sync: nothing is lost, and nothing is green that failed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from integration_tests.embedded_stripe import Account, Fault, StripeServer
from integration_tests.harness import DAY, NOW, AccountClock, Reader, assert_holds_all, truth

READ = ("balance_transactions", "coupons", "customers", "invoices", "products")

# What passes if one tries again, and what Stripe sends with it.
PASSING: dict[str, dict[str, Any]] = {
    "429": {"kind": "rate_limit"},
    "429 of the account": {"kind": "rate_limit", "reason": "global-rate"},
    "429 without a reason": {"kind": "rate_limit", "reason": None},
    "429 lock_timeout": {"kind": "lock_timeout"},
    "409 lock_timeout": {"kind": "status", "status": 409, "code": "lock_timeout"},
    "500": {"kind": "status"},
    "502 in HTML": {"kind": "status", "status": 502, "body": "html"},
    "503 with Retry-After": {"kind": "status", "status": 503, "headers": {"Retry-After": "7"}},
    "504 without a body": {"kind": "status", "status": 504, "body": "empty"},
    "400 with Stripe-Should-Retry": {"kind": "status", "status": 400, "headers": {"Stripe-Should-Retry": "true"}},
    "HTML with 200": {"kind": "not_json"},
    "nothing with 200": {"kind": "empty_200"},
    "cut JSON": {"kind": "cut_body"},
    "short body": {"kind": "short_body"},
    "broken gzip": {"kind": "gzip_broken"},
    "reset before": {"kind": "reset_before"},
    "reset inside": {"kind": "reset_inside"},
    "empty page that claims more": {"kind": "empty_page_with_more"},
    "page that repeats": {"kind": "repeat_page"},
}
# What can't get better, with the kind of error that its stream ends with.
STANDING: dict[str, tuple[dict[str, Any], str]] = {
    "400": (
        {"kind": "status", "status": 400, "code": "parameter_unknown", "message": "Received unknown parameter: wat"},
        "system_error",
    ),
    "401": ({"kind": "revoked"}, "config_error"),
    "403": ({"kind": "permission"}, "config_error"),
    "404": ({"kind": "status", "status": 404, "message": "Unrecognized request URL (GET: /v1/x)."}, "system_error"),
    "404 in HTML": ({"kind": "status", "status": 404, "body": "html"}, "system_error"),
    "500 with Stripe-Should-Retry": ({"kind": "status", "headers": {"Stripe-Should-Retry": "false"}}, "system_error"),
    "redirect": ({"kind": "redirect"}, "system_error"),
}
WITHOUT_REQUEST_ID = {"429 lock_timeout", "reset before"}


@dataclass(frozen=True)
class Place:
    """Where it strikes: `streams` are those that may fail of it."""

    path: str
    streams: tuple[str, ...]
    is_later_sync: bool = False


PLACES = {
    "first page": Place(r"^/v1/customers\?(?!.*starting_after)", ("customers",)),
    "later page": Place(r"^/v1/customers\?.*starting_after", ("customers",)),
    "nested list": Place(r"^/v1/invoices/in_[^/]+/lines", ("invoices",)),
    "events": Place(r"^/v1/events\?", ("coupons", "customers", "invoices", "products"), is_later_sync=True),
    "re-read": Place(r"^/v1/customers/cus_", ("customers",), is_later_sync=True),
}
# A page that is an object's own neither repeats nor claims more, and a first page can't repeat.
IMPOSSIBLE = {
    (fault, place)
    for fault, places in {
        "page that repeats": ("first page", "events", "re-read"),
        "empty page that claims more": ("re-read",),
    }.items()
    for place in places
}
CELLS = [(fault, place) for fault in PASSING for place in PLACES if (fault, place) not in IMPOSSIBLE]


def shop() -> Account:
    """Three pages of customers over twenty days, an invoice with four pages of lines, and a few of everything else."""
    account = Account(now=NOW)
    for number in range(240):
        account.create("customer", {"id": f"cus_{number:04}"}, at=NOW - 20 * DAY + number * 7000)
    lines = [{"amount": 100 + number, "description": f"Line {number}"} for number in range(230)]
    account.create("invoice", {"customer": "cus_0003", "lines": lines}, at=NOW - 10 * DAY)
    for number in range(3):
        account.create("product", {"id": f"prod_{number}"}, at=NOW - DAY + number)
        account.create("coupon", {"id": f"OFF{number}"}, at=NOW - DAY + number)
        account.create("balance_transaction", {"status": "available"}, at=NOW - DAY + number)
    return account


def business(account: Account, day: str) -> None:
    """What happens between two syncs: of each kind something new, something changed, something gone."""
    account.advance(3600)
    account.create("customer", {"id": f"cus_new_{day}"})
    for number in (5, 77, 150):
        account.update("customer", f"cus_{number:04}", {"name": f"Renamed on {day}"})
    account.delete("customer", "cus_0100" if day == "Monday" else "cus_0101")
    account.update("product", "prod_1", {"name": f"Renamed on {day}"})
    account.create("balance_transaction", {"status": "available"})
    account.advance(60)


@pytest.fixture
def server() -> Iterator[StripeServer]:
    with StripeServer(shop()) as server:
        yield server


@dataclass
class Story:
    """The sync that a fault struck, those before and after it, and how long the struck one tried."""

    server: StripeServer
    place: Place
    fault: dict[str, Any]
    times: int | None

    def __post_init__(self) -> None:
        self.clock = AccountClock(self.server)
        self.reader = Reader(self.server, self.clock)
        self.results = []
        if self.place.is_later_sync:
            self.results.append(self.reader.sync(streams=READ))
            business(self.server.account, "Monday")
        struck = self.server.fault(Fault(**self.fault, path=self.place.path, times=self.times))
        began = self.clock.monotonic()
        self.struck = self.reader.sync(self.results[-1] if self.results else None, READ)
        self.seconds = self.clock.monotonic() - began
        self.hits = struck.hits
        self.results.append(self.struck)
        self.server.clear_faults()

    def assert_that_others_are_whole(self) -> None:
        others = set(READ) - set(self.place.streams)
        assert self.struck.complete >= others
        assert_holds_all(self.results, truth(self.server.account, others))

    def assert_that_the_next_sync_makes_it_good(self) -> None:
        business(self.server.account, "Tuesday")
        after = self.reader.sync(self.struck, READ)
        assert (after.complete, after.errors) == (set(READ), {})
        assert_holds_all([*self.results, after], truth(self.server.account, READ))


@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize(("fault", "place"), CELLS)
def test_what_passes_is_outlasted(server: StripeServer, fault: str, place: str, times: int) -> None:
    story = Story(server, PLACES[place], PASSING[fault], times)
    assert story.hits == times
    assert (story.struck.complete, story.struck.errors) == (set(READ), {})
    assert_holds_all(story.results, truth(server.account, READ))
    story.assert_that_the_next_sync_makes_it_good()


@pytest.mark.parametrize(("fault", "place"), CELLS)
def test_what_does_not_pass_is_tried_for_ten_minutes_and_then_said(server: StripeServer, fault: str, place: str) -> None:
    story = Story(server, PLACES[place], PASSING[fault], None)
    assert set(story.struck.errors) == set(PLACES[place].streams)
    assert set(story.struck.kinds.values()) == {"FailureType.transient_error"}
    assert story.seconds >= 600
    assert 15 <= story.hits
    named = re.search(r"request req_\w+", str(story.struck.errors)) is not None
    assert named == (fault not in WITHOUT_REQUEST_ID)
    story.assert_that_others_are_whole()
    story.assert_that_the_next_sync_makes_it_good()


@pytest.mark.parametrize("times", [1, 5, None])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", STANDING)
def test_what_cannot_get_better_is_asked_once(server: StripeServer, fault: str, place: str, times: int | None) -> None:
    shape, kind = STANDING[fault]
    story = Story(server, PLACES[place], shape, times)
    assert set(story.struck.errors) == set(PLACES[place].streams)
    assert set(story.struck.kinds.values()) == {f"FailureType.{kind}"}
    targets = [(request.path, request.query) for request in story.struck.requests if request.status != 200]
    assert targets
    assert all(targets.count(target) == 1 for target in targets)
    assert "request req_" in str(story.struck.errors)
    story.assert_that_others_are_whole()
    story.assert_that_the_next_sync_makes_it_good()
