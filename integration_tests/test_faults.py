"""Each way in which Stripe or the network fails, in each place of a sync: nothing is lost, and nothing is green that failed."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integration_tests.embedded_stripe import Account, Fault, StripeServer
from integration_tests.embedded_stripe.endpoints import PERMISSIONS
from integration_tests.faulty import Listener, TlsServer, certificate
from integration_tests.harness import DAY, NOW, STREAMS, Reader, account_clock, assert_holds_all, truth
from unit_tests.virtual_time import Jumps

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
WITHOUT_REQUEST_ID = {"401", "429 lock_timeout", "reset before"}


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
FIVE = pytest.param(5, marks=pytest.mark.thorough)
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
        jumps = Jumps()
        self.reader = Reader(self.server, account_clock(self.server, jumps))
        self.results = []
        if self.place.is_later_sync:
            self.results.append(self.reader.sync(streams=READ))
            business(self.server.account, "Monday")
        struck = self.server.fault(Fault(**self.fault, path=self.place.path, times=self.times))
        began = jumps.time()
        self.struck = self.reader.sync(self.results[-1] if self.results else None, READ)
        self.seconds = jumps.time() - began
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


@pytest.mark.parametrize("times", [1, FIVE])
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
    assert story.hits >= 15
    named = re.search(r"request req_\w+", str(story.struck.errors)) is not None
    assert named == (fault not in WITHOUT_REQUEST_ID)
    story.assert_that_others_are_whole()
    story.assert_that_the_next_sync_makes_it_good()


@pytest.mark.parametrize("fault", ["400", "404", "404 in HTML"])
def test_a_later_page_of_a_nested_list_that_is_refused_once_leads_back_to_its_beginning(server: StripeServer, fault: str) -> None:
    """Stripe says in more than one way that an item to start after has vanished."""
    story = Story(server, PLACES["nested list"], STANDING[fault][0], 1)
    assert (story.struck.complete, story.struck.errors) == (set(READ), {})
    assert_holds_all(story.results, truth(server.account, READ))


@pytest.mark.parametrize("times", [1, FIVE, None])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", STANDING)
def test_what_cannot_get_better_is_asked_once(server: StripeServer, fault: str, place: str, times: int | None) -> None:
    if (place, times) == ("nested list", 1) and fault.startswith("40") and fault not in ("401", "403"):
        pytest.skip("the list is read again from its beginning")
    shape, kind = STANDING[fault]
    story = Story(server, PLACES[place], shape, times)
    assert set(story.struck.errors) == set(PLACES[place].streams)
    assert set(story.struck.kinds.values()) == {f"FailureType.{kind}"}
    targets = [(request.path, request.query) for request in story.struck.requests if request.status != 200]
    assert targets
    assert all(targets.count(target) == 1 for target in targets)
    assert ("request req_" in str(story.struck.errors)) == (fault not in WITHOUT_REQUEST_ID)
    story.assert_that_others_are_whole()
    story.assert_that_the_next_sync_makes_it_good()


# ---------------------------------------------------------------------- the network


def assert_reads_all(server: StripeServer, reader: Reader) -> None:
    result = reader.sync(streams=READ)
    assert (result.complete, result.errors) == (set(READ), {})
    assert_holds_all([result], truth(server.account, READ))


class Starting(Jumps):
    """Starts the server once its time, in seconds from now, has come."""

    def __init__(self, server: StripeServer, after: float) -> None:
        super().__init__()
        self._starting, self._after = server, after
        self.has_started = False

    def jump(self, seconds: float) -> None:
        super().jump(seconds)
        if self.seconds > self._after and not self.has_started:
            self.has_started = True
            self._starting.start()


def test_a_server_that_refuses_connections_for_eight_minutes_is_outlasted() -> None:
    with Listener() as free:
        port = free.port
    server = StripeServer(shop(), port=port)
    jumps = Starting(server, after=480)
    assert_reads_all(server, Reader(server, account_clock(server, jumps)))
    assert jumps.has_started
    server.stop()


@pytest.mark.parametrize("failures", [1, 5])
def test_a_name_that_is_not_resolved_for_a_moment_is_outlasted(
    server: StripeServer, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    resolve, left = socket.getaddrinfo, [failures]

    def resolving(host: str, *arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    assert_reads_all(server, Reader(server, api_base=server.url.replace("127.0.0.1", "localhost")))
    assert left[0] < 0


def test_a_name_that_is_never_resolved_fails_as_transient(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolving(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    result = Reader(server, api_base="http://localhost:1").sync(streams=["products"])
    assert result.kinds == {"products": "FailureType.transient_error"}
    assert "its name can't be resolved; check the network and, behind a proxy, set HTTPS_PROXY" in result.errors["products"]


@pytest.mark.parametrize("failures", [1, 5])
def test_tls_that_fails_for_a_moment_is_outlasted(
    server: StripeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    file = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    with TlsServer(int(server.url.rpartition(":")[2]), file, failures) as front:
        assert isinstance(front, TlsServer)
        assert_reads_all(server, Reader(server, api_base=front.url))
        assert front.failures == 0


def test_a_certificate_that_is_not_trusted_is_named_as_such(server: StripeServer, tmp_path: Path) -> None:
    with TlsServer(1, certificate(tmp_path)) as front:
        assert isinstance(front, TlsServer)
        result = Reader(server, api_base=front.url).sync(streams=["products"])
    assert "its certificate is not trusted; if a proxy opens TLS, name its certificate in REQUESTS_CA_BUNDLE" in str(
        result.errors
    )


def impatient(server: StripeServer, seconds: int, longest_body: float = 0) -> Reader:
    """A reader whose manifest waits `seconds` for an answer."""
    reader = Reader(server)
    reader.source.requester.read_timeout_in_seconds = seconds
    return reader


@pytest.mark.parametrize("place", ["first page", "nested list"])
def test_a_hung_answer_is_asked_for_again(server: StripeServer, place: str) -> None:
    reader = impatient(server, seconds=1)
    struck = server.fault("hang", path=PLACES[place].path)
    assert_reads_all(server, reader)
    assert struck.hits == 1


def test_a_trickling_answer_is_asked_for_again(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_stripe.api.transport._LONGEST_BODY", 0.5)
    struck = server.fault("trickle", seconds=0.01, path=r"^/v1/customers\?")
    assert_reads_all(server, Reader(server))
    assert struck.hits == 1


def test_a_slow_answer_is_waited_for(server: StripeServer) -> None:
    struck = server.fault("slow", seconds=2, path=r"^/v1/customers\?")
    assert_reads_all(server, impatient(server, seconds=10))
    assert (struck.hits, [request.status for request in server.requests if request.status != 200]) == (1, [])


# ---------------------------------------------------------------------- what Stripe asks for


@pytest.mark.parametrize(("asked", "waits"), [("40", 40), ("0", 0.25), ("nonsense", 0.25), ("-5", 0.25), ("1e9", 300)])
def test_retry_after_is_honoured_within_reason(server: StripeServer, asked: str, waits: float) -> None:
    server.fault("status", status=503, headers={"Retry-After": asked}, path=r"^/v1/products")
    jumps = Jumps()
    began = jumps.time()
    assert Reader(server, account_clock(server, jumps)).sync(streams=["products"]).complete == {"products"}
    assert waits <= jumps.time() - began < waits + 10


def test_a_page_that_repeats_an_earlier_one_than_the_last_is_noticed(server: StripeServer) -> None:
    """The third page comes as the first: going on from its end would go round and round."""
    last_of_second = sorted(server.account.listed("customers"))[-200]
    server.fault(Fault("repeat_page", times=None, match=lambda request: ("starting_after", last_of_second) in request.query))
    result = Reader(server, num_workers=2).sync(streams=["customers"])
    assert result.kinds == {"customers": "FailureType.transient_error"}


@pytest.mark.parametrize("path", ["^/v1/customers", "^/v1/invoices/.*/lines"])
def test_cursors_that_are_never_found_end_in_the_whole_list_or_in_an_error(server: StripeServer, path: str) -> None:
    missing = Fault(
        "status", status=400, code="resource_missing", message="No such cursor", times=None, path=path + ".*starting_after"
    )
    server.fault(missing)
    result = Reader(server).sync(streams=["customers", "invoices"])
    assert result.complete | result.errors.keys() == {"customers", "invoices"}
    assert_holds_all([result], truth(server.account, result.complete))


@pytest.mark.parametrize("fault", ["500", "cut JSON", "reset before"])
def test_a_first_sync_that_learns_nothing_of_events_claims_nothing(server: StripeServer, fault: str) -> None:
    server.fault(Fault(**PASSING[fault], path="^/v1/events", times=None))
    reader = Reader(server)
    struck = reader.sync(streams=READ)
    assert (struck.complete, set(struck.states)) == ({"balance_transactions"}, {"balance_transactions"})
    assert set(struck.kinds.values()) == {"FailureType.transient_error"}
    server.clear_faults()
    assert_holds_all([struck, reader.sync(struck, READ)], truth(server.account, READ))


# ---------------------------------------------------------------------- permissions


def test_a_key_without_disputes_and_events_reads_the_rest_of_a_first_sync(server: StripeServer) -> None:
    everything = {permission for permission, _ in PERMISSIONS.values()}
    key = server.restricted_key(everything - {"dispute_read", "event_read"})
    result = Reader(server, secret_key=key).sync()
    assert set(result.errors) == {"disputes", "events"}
    assert set(result.kinds.values()) == {"FailureType.config_error"}
    assert result.complete == set(STREAMS) - {"disputes", "events"}
    assert 'Permission denied: the key may not read this. Set "Disputes: Read"' in result.errors["disputes"]
    assert 'Set "Events: Read"' in result.errors["events"]
    assert_holds_all([result], truth(server.account, result.complete))


def test_a_key_without_disputes_and_events_fails_what_changes_in_a_later_sync(server: StripeServer) -> None:
    everything = {permission for permission, _ in PERMISSIONS.values()}
    key = server.restricted_key(everything - {"dispute_read", "event_read"})
    reader = Reader(server, secret_key=key)
    first = reader.sync()
    business(server.account, "Monday")
    later = reader.sync(first)
    assert later.complete == {"balance_transactions"}
    assert set(later.kinds.values()) == {"FailureType.config_error"}
    assert all('Set "Events: Read"' in message for name, message in later.errors.items() if name != "disputes")
    assert later.errors["disputes"]
    server.allow(key, "event_read")
    server.allow(key, "dispute_read")
    after = reader.sync(later)
    assert (after.complete, after.errors) == (set(STREAMS), {})
    assert_holds_all([first, later, after], truth(server.account))


def test_a_key_revoked_in_the_middle_fails_what_is_left_and_resumes(server: StripeServer) -> None:
    reader = Reader(server)
    server.fault("revoked", times=None, path="starting_after")
    struck = reader.sync(streams=READ)
    assert struck.kinds == {"customers": "FailureType.config_error", "invoices": "FailureType.config_error"}
    assert "Invalid API Key" in struck.errors["customers"]
    server.clear_faults()
    after = reader.sync(struck, READ)
    assert_holds_all([struck, after], truth(server.account, READ))
