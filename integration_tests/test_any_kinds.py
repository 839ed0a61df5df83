"""The same as `test_any_bodies.py` for streams of every kind: whatever stands in an object, every other object of every stream
arrives as it is, and so does the rest of the one that is odd."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.embedded_stripe.views import with_raw
from integration_tests.every_kind import CHILDREN, everything, first_of
from integration_tests.harness import ALL_STREAMS, NESTED, NOW, Reader, Result
from integration_tests.odd_values import RAW, Lines, Row, mended, parsed, places_of
from integration_tests.whole_account import ENDPOINTS, FULL_REFRESH_ONLY, Held, Truth, key_of

_MOST_TRIES = 12
"""So often one list may be asked for the same in a sync: four kinds of children are walked to from customers. What is tried for
eleven minutes is asked for thirty times."""
_CHANGED = ("billing.credit_grant", "customer", "invoice", "payment_link", "setup_intent", "subscription", "transfer")
_LISTS: set[str] = {name for each in ENDPOINTS.values() for name in each.parents.values() if name}.union(*NESTED.values())
"""Fields that hold children, or the beginning of a list."""
_NEEDING = {name for name, each in ENDPOINTS.items() if each.walk and each.walk.more}
"""Streams whose lists can't be asked for without more of the parent than its id."""
_LEADS = {name for each in ENDPOINTS.values() if (walk := each.walk) for name in (walk.having, *walk.more.values()) if name}
"""Fields of parents that are needed on the way to their children's list."""


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with StripeServer(Account(NOW)) as server:
        yield server


@pytest.fixture(scope="module")
def reader(server: StripeServer) -> Reader:
    return Reader(server, page_size=3)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    monkeypatch.setattr(logging.getLogger("airbyte"), "disabled", True)
    return Lines(monkeypatch)


# ---------------------------------------------------------------------- what is odd


def trade(account: Account) -> None:
    """Something changed, something new and something gone, among parents and children."""
    account.advance(60)
    for kind, owner_field, owner in CHILDREN:
        account.create(kind, {owner_field: first_of(account, owner)})
    for kind in _CHANGED:
        change = {"status": "canceled"} if kind == "setup_intent" else {"metadata": {"n": "1"}}
        account.update(kind, first_of(account, kind), change)
    account.create("quote")
    for kind in ("bank_account", "coupon", "invoiceitem", "webhook_endpoint"):
        account.delete(kind, first_of(account, kind))
    account.advance(60)


@dataclass(frozen=True)
class Oddity:
    """Of the rows of a stream, by its number, one row, by its number, shows one of its fields, by its number among all or among
    those that `lead` to children, as `raw`, a name in `RAW`."""

    stream: int
    row: int
    place: int
    leads: bool
    raw: str


Truths = dict[str, Held]


def make_odd(account: Account, truths: Truths, oddity: Oddity) -> tuple[Row, str] | None:
    """The row that is odd now, and the place; None if there is none of the stream. An id stays what it is."""
    stream = ALL_STREAMS[oddity.stream % len(ALL_STREAMS)]
    rows = list(truths[stream].values())
    if not rows or ENDPOINTS[stream].kind == "snapshot":
        return None
    row = rows[oddity.row % len(rows)]
    places = [place for place in (*places_of(row), "deleted", "updated", "never_heard_of") if place != "id"]
    leading = [place for place in places if place.partition(".")[0] in _LISTS | _LEADS | {"created", "object", "data"}]
    places = leading if oddity.leads and leading else places
    place = places[oddity.place % len(places)]
    account.odd(row["object"], row["id"], {place: RAW[oddity.raw]})
    return row, place


@dataclass
class Story:
    """Syncs of an account with something odd: `held` are the rows by stream and key, `untold` the ids of objects of which what
    is odd hides that they are there, or what they have become, and `unled` those of parents whose children it hides."""

    server: StripeServer
    reader: Reader
    lines: Lines
    truths: Truths = field(default_factory=dict)
    odd: list[tuple[Row, str]] = field(default_factory=list)
    raws: list[Any] = field(default_factory=list)
    result: Result | None = None
    held: dict[str, dict[str, Row]] = field(default_factory=lambda: {name: {} for name in ALL_STREAMS})
    untold: set[str] = field(default_factory=set)
    unled: set[str] = field(default_factory=set)

    def make_odd(self, oddities: Sequence[Oddity]) -> None:
        with self.server.account.mended():
            truth = Truth(self.server)
            self.truths = {stream: truth.of(stream) for stream in ALL_STREAMS}
        for oddity in oddities:
            if (made := make_odd(self.server.account, self.truths, oddity)) is not None:
                self.odd.append(made)
                self._note_hidden(*made)

        self.raws.append(self.server.account.oddities)

    def _note_hidden(self, row: Row, place: str) -> None:
        top = place.partition(".")[0]
        if top in _LISTS | _LEADS:
            self.unled.add(row["id"])
        if top in ("deleted", "object") or top in {each.parent_field for each in ENDPOINTS.values()}:
            self.untold.add(row["id"])
        if row["object"] == "event" and top in ("data", "type"):
            told = set(re.findall(r'"(\w+)"', json.dumps(row["data"])))
            self.untold |= told
            self.unled |= told

    def sync(self, may_fail: Set[str] = frozenset()) -> None:
        self.server.clear_requests()
        self.result = self.reader.sync(self.result, ALL_STREAMS)
        assert self.result.errors.keys() <= may_fail, self.result.errors
        assert self.result.complete == set(ALL_STREAMS) - self.result.errors.keys()
        asked = Counter((request.path, *request.query) for request in self.result.requests)
        assert [target for target, times in asked.items() if times > _MOST_TRIES] == []
        for stream in FULL_REFRESH_ONLY:
            self.held[stream] = {}
        for stream, row in self.lines.take():
            self.held[stream][key_of(stream, row)] = row
            assert ENDPOINTS[stream].cursor_field != "updated" or 0 <= int(row["updated"].text) < 1 << 40

    def assert_holds(self) -> None:
        """Every row of every stream, but what is hidden."""
        assert self.result is not None
        for stream in self.result.complete:
            held = self.held[stream]
            true = {key: row for key, row in self.truths[stream].items() if not self._is_hidden(stream, row)}
            missing = [key for key in true if key not in held or "is_deleted" in held[key]]
            assert missing == [], stream
            wrong = {key: self._differences(stream, held[key], row) for key, row in true.items()}
            assert [f"{stream} {key}: {lines}" for key, lines in wrong.items() if lines] == []

    def _is_hidden(self, stream: str, row: Row) -> bool:
        return row.get("id") in self.untold or row.get(ENDPOINTS[stream].parent_field) in self.untold | self.unled

    def _differences(self, stream: str, held: Row, true: Row) -> list[str]:
        """Where a row is not as it was shown when it was read; of lists that are odd nothing is known."""
        shown = [mended(parsed(orjson.dumps(with_raw(true, raw)).decode(errors="replace").encode())) for raw in self.raws]
        places = {place.partition(".")[0] for row, place in self.odd if row.get("id") == true.get("id")}
        names = {name for each in (held, *shown) for name in each} - {"updated"} - (places & _LISTS)
        return [f"{n}: {held.get(n)!r:.99}" for n in names if all(held.get(n) != each.get(n) for each in shown)]


_NUMBERS = st.integers(0, 9999)
ODDITIES = st.lists(
    st.builds(Oddity, _NUMBERS, _NUMBERS, _NUMBERS, st.booleans(), st.sampled_from(list(RAW))), min_size=4, max_size=12
)


def read_what_is_odd(server: StripeServer, reader: Reader, lines: Lines, first: list[Oddity], later: list[Oddity]) -> None:
    server.account, story = everything(), Story(server, reader, lines)
    lines.clear()
    story.make_odd(first)
    story.sync(_NEEDING)
    story.assert_holds()
    trade(server.account)
    story.make_odd(later)
    story.sync(_NEEDING)
    story.assert_holds()
    with server.account.mended():
        story.raws.append({})
        story.sync()  # What failed is gone on with.
    story.assert_holds()


FEW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(first=ODDITIES, later=ODDITIES)
def test_whatever_is_odd_harms_only_its_own_field_in_streams_of_every_kind(
    server: StripeServer, reader: Reader, lines: Lines, first: list[Oddity], later: list[Oddity]
) -> None:
    read_what_is_odd(server, reader, lines, first, later)


@pytest.mark.thorough
@pytest.mark.timeout(3600)
@settings(FEW, max_examples=400)
@given(first=ODDITIES, later=ODDITIES)
def test_thousands_of_odd_values_harm_only_their_own_fields_in_streams_of_every_kind(
    server: StripeServer, reader: Reader, lines: Lines, first: list[Oddity], later: list[Oddity]
) -> None:
    read_what_is_odd(server, reader, lines, first, later)
