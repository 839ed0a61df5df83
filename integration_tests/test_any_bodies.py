"""Whatever stands in a body: it harms at most the one field, or the one stream that can't do without, and nothing is asked twice
that asking again can't mend. `test_odd_bodies.py` has examples."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration_tests.embedded_stripe import Account, Fault, StripeServer
from integration_tests.harness import DAY, IMMUTABLE, MANIFEST, NESTED, NOW, Reader, Result
from integration_tests.odd_values import RAW, Lines, Row, mended, parsed, places_of


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with StripeServer(Account(NOW)) as server:
        yield server


@pytest.fixture(scope="module")
def reader(server: StripeServer) -> Reader:
    return Reader(server)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Without the log, of which thousands of syncs leave much behind."""
    monkeypatch.setattr(logging.getLogger("airbyte"), "disabled", True)
    return Lines(monkeypatch)


# ---------------------------------------------------------------------- an account with something odd

STREAMS = (
    *("balance_transactions", "charges", "coupons", "customers", "disputes", "events", "invoices", "payment_intents", "payouts"),
    *("plans", "prices", "products", "refunds", "subscriptions"),
)
_KINDS = {name: MANIFEST[name]["object"] for name in STREAMS}
_OLD = [name for name in STREAMS if name not in ("events", "prices")]


@dataclass(frozen=True)
class Oddity:
    """Of some objects one, by its number among them, shows one of its fields, by its number among all or among those that are
    `looked_at`, as `raw`, a name in `RAW`."""

    object: int
    place: int
    looked_at: bool
    raw: str


_ADDED = ("deleted", "updated", "never_heard_of")
_LOOKED_AT = {
    *("created", "updated", "object", "deleted", "status", "available_on", "type", "charge", "discounts", "payments", "items"),
    *("lines", "refunds", *(f"{name}.{inner}" for name in ("lines", "items", "refunds") for inner in ("data", "has_more"))),
    *("data", "data.object", *(f"data.object.{name}" for name in ("id", "object", "created", "updated", "charge", "customer"))),
}
"""What has a meaning for the connector in one stream or another: to be odd more often than anything else."""

Key = tuple[str, str]
"""A stream and the id of one of its objects."""


def shop() -> Account:
    """Three objects of everything that a list shows, of long ago, and one invoice with more lines than are shown at once."""
    account = Account(NOW)
    for number in range(3):
        for name in _OLD:
            lists = {"lines": 12 if number == 2 else 2} if name == "invoices" else {}
            account.create(_KINDS[name], lists, at=NOW - 300 * DAY + number)
    charge = account.objects("charge")[0]["id"]
    account.create("refund", {"charge": charge, "amount": 1}, at=NOW - 299 * DAY)
    return account


def trade(account: Account) -> list[Key]:
    """Something new, something changed, something gone, something told by another object; what is not gone, and the events."""
    account.advance(60)
    objects = {name: account.objects(_KINDS[name]) for name in _OLD}
    touched = [(name, objects[name][0]["id"]) for name in ("customers", "invoices", "plans", "products", "subscriptions")]
    for name, id in touched:
        account.update(_KINDS[name], id, {"metadata": {"n": "1"}})
    for name in ("coupons", "plans"):
        account.delete(_KINDS[name], objects[name][1]["id"])
    charge = objects["charges"][1]["id"]
    refund = account.create("refund", {"charge": charge, "amount": 2})["id"]
    moved = account.create("balance_transaction", {"available_on": account.now + DAY})["id"]
    touched += [("charges", charge), ("refunds", refund), ("balance_transactions", moved)]
    touched.append(("customers", account.create("customer")["id"]))
    account.advance(60)
    return touched + [("events", event["id"]) for event in account.objects("event")]


def make_odd(account: Account, objects: Sequence[Key], oddity: Oddity) -> tuple[str, str, str]:
    """The stream, the id and the place of what is odd now. An id stays what it is."""
    stream, id = objects[oddity.object % len(objects)]
    shown = truth_of(account, stream)[id]
    # `deleted: true` is nothing odd: so Stripe says that an object is gone.
    places = [each for each in (*places_of(shown), *_ADDED) if each != "id" and (each, oddity.raw) != ("deleted", "true")]
    if oddity.looked_at:
        places = [place for place in places if place in _LOOKED_AT]
    place = places[oddity.place % len(places)]
    account.odd(_KINDS[stream], id, {place: RAW[oddity.raw]})
    return stream, id, place


def truth_of(account: Account, stream: str) -> dict[str, Row]:
    """By their ids the objects of a stream as they are, without anything odd."""
    return account.listed(stream, MANIFEST[stream].get("expand", ()), NESTED[stream])


def rows_of(account: Account, stream: str) -> dict[str, Row]:
    """By their ids the rows of a stream that are to come, with what is odd; of a list that does not say that it is whole, the
    whole."""
    true = truth_of(account, stream)
    shown = shown_rows(account, stream, MANIFEST[stream].get("expand", ()))
    for name in NESTED[stream]:
        items = shown_rows(account, name) if name in STREAMS else {}  # What is odd of them shows in the list, too.
        for id, row in shown.items():
            if isinstance(row.get(name), dict) and row[name].get("has_more") is not False:
                whole = parsed(json.dumps(true[id][name]["data"]).encode())
                row[name] |= {"has_more": False, "data": [items.get(item["id"], item) for item in whole]}
    return shown


def shown_rows(account: Account, stream: str, expand: Sequence[str] = ()) -> dict[str, Row]:
    """By their ids the objects of a stream as Stripe shows them, with what is odd."""
    rows = account.rendered(stream, expand)
    return {id: mended(parsed(text.decode(errors="replace").encode())) for id, text in rows.items()}


def differences(row: Row, true: Row) -> list[str]:
    """Where a row is not as it should be, but for `updated`, which the connector sets."""
    names = (row.keys() | true.keys()) - {"updated"}
    return [f"{name}: {row.get(name)!r:.99} for {true.get(name)!r:.99}" for name in names if row.get(name) != true.get(name)]


@dataclass
class Story:
    """Two syncs of an account with something odd: `held` are the rows by stream and id after both."""

    reader: Reader
    lines: Lines
    results: list[Result] = field(default_factory=list)
    held: dict[str, dict[str, Row]] = field(default_factory=lambda: {name: {} for name in STREAMS})

    def sync(self, may_fail: Set[str] = frozenset()) -> Result:
        result = self.reader.sync(self.results[-1] if self.results else None, STREAMS)
        self.results.append(result)
        assert result.errors.keys() <= may_fail, result.errors
        assert result.complete == set(STREAMS) - result.errors.keys()
        for stream, row in self.lines.take():
            self.held[stream][row["id"]] = row
            assert stream in IMMUTABLE or 0 <= int(row["updated"].text) < 1 << 40
        return result

    def assert_nothing_is_asked_twice(self) -> None:
        for result in self.results:
            targets = Counter((request.path, *request.query) for request in result.requests)
            # A first sync asks for the newest events twice: for what changes, and for their own stream.
            assert [target for target, times in targets.items() if times > 1 + (target[0] == "/v1/events")] == []

    def assert_holds(self, account: Account, unknown: set[str]) -> None:
        """Every row of every stream, but for those with `unknown` ids."""
        for stream in STREAMS:
            true = rows_of(account, stream)
            held = {id: row for id, row in self.held[stream].items() if "is_deleted" not in row}
            if stream == "events":
                held = {id: row for id, row in held.items() if id in true}
            assert (held.keys() ^ true.keys()) - unknown == set(), stream
            wrong = {id: differences(held[id], true[id]) for id in (held.keys() & true.keys()) - unknown}
            assert [(stream, id, lines) for id, lines in wrong.items() if lines] == []


_NUMBERS = st.integers(0, 999)
ODDITIES = st.lists(st.builds(Oddity, _NUMBERS, _NUMBERS, st.booleans(), st.sampled_from(list(RAW))), min_size=1, max_size=6)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=5000)


# ---------------------------------------------------------------------- odd values


def read_what_is_odd(server: StripeServer, reader: Reader, lines: Lines, first: list[Oddity], later: list[Oddity]) -> None:
    account, story = shop(), Story(reader, lines)
    server.account = account
    server.clear_requests()
    lines.clear()
    old = [(name, id) for name in _OLD for id in truth_of(account, name)]
    for oddity in first:
        make_odd(account, old, oddity)
    story.sync()
    touched = trade(account)
    unknown: set[str] = set()
    for oddity in later:
        stream, id, place = make_odd(account, touched, oddity)
        if stream == "events" and place.partition(".")[0] in ("data", "type"):
            unknown |= ids_in(truth_of(account, "events")[id])
    story.sync()
    story.assert_holds(account, unknown)
    account.advance(2 * DAY)
    assert {stream for stream, _ in story.sync().records} <= {"balance_transactions"}
    story.assert_nothing_is_asked_twice()


def ids_in(event: Row) -> set[str]:
    """Of the objects that an event tells of or names."""
    return set(re.findall(r'"(\w+)"', json.dumps(event["data"]))) | {event["data"]["object"]["id"]}


@FEW
@given(first=ODDITIES, later=ODDITIES)
def test_whatever_is_odd_harms_only_its_own_field(
    server: StripeServer, reader: Reader, lines: Lines, first: list[Oddity], later: list[Oddity]
) -> None:
    read_what_is_odd(server, reader, lines, first, later)


@pytest.mark.thorough
@pytest.mark.timeout(3600)
@MANY
@given(first=ODDITIES, later=ODDITIES)
def test_thousands_of_odd_values_harm_only_their_own_fields(
    server: StripeServer, reader: Reader, lines: Lines, first: list[Oddity], later: list[Oddity]
) -> None:
    read_what_is_odd(server, reader, lines, first, later)


# ---------------------------------------------------------------------- odd answers


_FED_BY_EVENTS = set(STREAMS) - {"balance_transactions"}
ANSWERS = {
    r"^/v1/customers\?": {"customers"},
    r"^/v1/balance_transactions\?": {"balance_transactions"},
    r"^/v1/events\?": _FED_BY_EVENTS,
    r"^/v1/customers/cus_": {"customers"},
    r"^/v1/invoices/in_[^/]*/lines": {"invoices"},
    r"^/v1/invoice_payments": {"invoices"},
    r"^/v1/refunds\?.*charge=": {"refunds"},
}
"""By the target of a request the streams that can't do without its answer."""
_HARMLESS = ("has_more", "no has_more", "url")
_PLACES = ("the whole", "data", "no data", "an item", "an id", *_HARMLESS)
_NO_ID = ("null", '""', "0", "{}", "[null]", '{"id": 5}', "deep lists", "1e400")


class Shaped(Fault):
    """Answers to requests that match `path` have another shape than they should."""

    def __init__(self, path: str, place: str, raw: bytes) -> None:
        super().__init__("odd_value", path=path, times=None)
        self._place, self._raw = place, raw

    def spoiled(self, body: bytes) -> bytes:
        shown, odd = orjson.loads(body), orjson.Fragment(self._raw)
        is_list = shown["object"] == "list"
        match self._place:
            case "the whole":
                return self._raw
            case "an id":
                for first in shown["data"][:1] if is_list else [shown]:
                    first["id"] = odd
            case "an item" if is_list and shown["data"]:
                shown["data"][0] = odd
            case "no data" | "no has_more" if is_list:
                shown.pop(self._place.removeprefix("no "))
            case "data" | "has_more" | "url" if is_list:
                shown[self._place] = odd
        return orjson.dumps(shown)


def read_what_has_an_odd_shape(server: StripeServer, reader: Reader, lines: Lines, path: str, place: str, raw: str) -> None:
    server.account, story = shop(), Story(reader, lines)
    account = server.account
    server.clear_requests()
    lines.clear()
    server.fault(Shaped(path, place, RAW[raw] or b"null"))
    may_fail = set() if place in _HARMLESS else ANSWERS[path]
    first = story.sync(may_fail)
    trade(account)
    later = story.sync(may_fail)
    assert {*first.kinds.values(), *later.kinds.values()} <= {"FailureType.system_error"}
    story.assert_nothing_is_asked_twice()
    server.clear_faults()
    story.sync()
    story.assert_holds(account, set())


SHAPES = st.tuples(st.sampled_from(list(ANSWERS)), st.sampled_from(_PLACES), st.sampled_from(_NO_ID))


@FEW
@given(shape=SHAPES)
def test_an_answer_of_an_odd_shape_fails_its_streams_at_once_and_no_other(
    server: StripeServer, reader: Reader, lines: Lines, shape: tuple[str, str, str]
) -> None:
    read_what_has_an_odd_shape(server, reader, lines, *shape)


@pytest.mark.thorough
@pytest.mark.timeout(3600)
@settings(FEW, max_examples=2000)
@given(shape=SHAPES)
def test_thousands_of_answers_of_odd_shapes_fail_their_streams_at_once_and_no_other(
    server: StripeServer, reader: Reader, lines: Lines, shape: tuple[str, str, str]
) -> None:
    read_what_has_an_odd_shape(server, reader, lines, *shape)
