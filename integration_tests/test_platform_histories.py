"""Whatever happens to a platform's accounts, and to the syncs that read them: in the end a reader holds each account.

A history is a list of steps, each a name and two numbers. `History.play` plays them; one that fails is printed as the list that
hypothesis shrank it to, and can be played again as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.harness import DAY, NOW, Reader, Result, Row, States, differences, truth
from integration_tests.histories import Step, any_steps, played

STREAMS = ("balance_transactions", "charges", "coupons", "customers")
IDS = ("acct_a", "acct_b", "acct_c", "acct_d", "acct_e")
_CONFIGS: tuple[dict[str, Any], ...] = (
    {"accounts": "connected"},
    {"accounts": "connected"},
    {"account_ids": ["acct_a", "acct_b", "acct_c"]},
    {"accounts": "connected", "shard": "0/2"},
    {"account_ids": ["acct_c", "acct_d", "acct_e"]},
)
_EVENTS_LAST = 30 * DAY - 3700


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with StripeServer(Account(NOW)) as server:
        yield server


class History:
    """A platform, its reader, and what the reader's destinations hold."""

    def __init__(self, server: StripeServer, reader: Reader) -> None:
        self.server, self.reader = server, reader
        self.platform = server.account = Account(NOW)
        self.known: dict[str, Account] = {}
        """The accounts that were ever connected."""
        self.state: States = {}
        self.held: tuple[dict[tuple[str, str, str], Row], dict[tuple[str, str, str], Row]] = {}, {}
        """By stream, account and id: the row written last, and the one with the greatest cursor."""
        self.deleted: dict[tuple[str, str, str], int] = {}
        self.followed: dict[str, list[int]] = {id: [] for id in IDS}
        """When each account was read to its end."""
        self.config = _CONFIGS[0]

    def play(self, steps: list[Step]) -> None:
        self.server.clear_faults()
        self.server.clear_requests()
        for name, a, b in steps:
            getattr(self, name)(a, b)
        self.server.clear_faults()
        self.config = _CONFIGS[0]
        self.platform.advance(601)
        self.sync(0, 0)
        self.compare()
        self.sync(0, 0)  # A first sync looks at the newest page of events alone: what the others tell comes again, once.
        self.sync(0, 0)
        assert self.last.records == []

    # ------------------------------------------------------------------ what happens to the platform

    def connect(self, a: int, b: int) -> None:
        """A new account, or one that is back: some are listed without their time."""
        id = IDS[a % 5]
        if id not in self.platform.connected:
            self.known[id] = self.platform.connect(id, self.known.get(id), dated=b % 4 > 0)

    def deauthorize(self, a: int, b: int) -> None:
        if IDS[a % 5] in self.platform.connected:
            self.platform.deauthorize(IDS[a % 5])

    def create(self, a: int, b: int) -> None:
        if account := self.known.get(IDS[a % 5]):
            for number in range(1 + b % 3):
                kind = ("customer", "charge", "coupon", "balance_transaction")[(b + number) % 4]
                if kind == "coupon" and account.shelf("coupon").get("SAME") is None:
                    account.create("coupon", {"id": "SAME", "metadata": {"of": account.id}})
                elif kind == "balance_transaction":
                    account.create(kind, {"status": "available", "available_on": account.now})
                elif kind != "coupon":
                    account.create(kind)

    def old(self, a: int, b: int) -> None:
        """Objects of long ago, of which no event tells: an account has them before it is read first."""
        id = IDS[a % 5]
        if id in self.known and not self.followed[id] and not self.state:
            self.known[id].create("customer", at=self.platform.now - (40 + b) * DAY)

    def edit(self, a: int, b: int) -> None:
        if found := self._some(a, b):
            account, kind, id = found
            account.update(kind, id, {"metadata": {"edit": str(a * 1000 + b)}})

    def delete(self, a: int, b: int) -> None:
        found = self._some(a, b)
        if found and found[1] != "charge":
            account, kind, id = found
            account.delete(kind, id)
            self.deleted[f"{kind}s", account.id, id] = account.now

    def _some(self, a: int, b: int) -> tuple[Account, str, str] | None:
        account = self.known.get(IDS[a % 5])
        kind = ("customer", "coupon", "charge")[b % 3]
        ids = list(account.shelf(kind).objects) if account else []
        return (account, kind, ids[b % len(ids)]) if account and ids else None

    def clock(self, a: int, b: int) -> None:
        self.platform.advance(b)

    def days(self, a: int, b: int) -> None:
        self.platform.advance((1 + a % 28) * DAY + b)

    def weeks(self, a: int, b: int) -> None:
        self.platform.advance((29 + a % 8) * DAY + b * 37)

    def choose(self, a: int, b: int) -> None:
        """From now on other accounts are read."""
        self.config = _CONFIGS[a % len(_CONFIGS)]

    # ------------------------------------------------------------------ what happens to a sync

    def sync(self, a: int, b: int) -> None:
        self._read()

    def killed(self, a: int, b: int) -> None:
        self._read(stop_after=5 + (a * 31 + b) % 80)

    def broken_account(self, a: int, b: int) -> None:
        id, stream = IDS[a % 5], (*STREAMS, "events")[b % 5]
        self.server.fault(
            "status",
            path=f"^/v1/{stream}",
            status=400,
            message="Not today.",
            times=None,
            match=lambda request: request.headers.get("stripe-account") == id,
        )
        self._read()
        self.server.clear_faults()

    def hiccups(self, a: int, b: int) -> None:
        self.server.fault(("status", "cut_body", "rate_limit")[a % 3], after=b % 20, times=1 + b % 4)
        self._read()
        self.server.clear_faults()

    def goes_meanwhile(self, a: int, b: int) -> None:
        """An account is deauthorized while it is read."""
        id, left = IDS[a % 5], [b % 6]

        def match(request: object) -> bool:
            left[0] -= 1
            if left[0] == 0 and id in self.platform.connected:
                self.platform.deauthorize(id)
            return False

        self.server.fault("status", times=None, match=match)
        self._read()
        self.server.clear_faults()

    def _read(self, **options: Any) -> None:
        began = self.platform.now
        result = self.last = self.reader.sync(self.state, STREAMS, **options, **self.config)
        self.state = result.states
        for stream, row in result.records:
            self._take(stream, row)
        if result.complete == set(STREAMS):
            asked = {request.headers.get("stripe-account", "") for request in result.requests if request.status == 200}
            for id in asked.intersection(IDS):
                if id in self.platform.connected:
                    self.followed[id].append(began)

    def _take(self, stream: str, row: Row) -> None:
        key = stream, row["account_id"], row["id"]
        cursor = "created" if stream == "balance_transactions" else "updated"
        self.held[0][key] = row
        known = self.held[1].get(key)
        if known is None or row[cursor] >= known[cursor]:
            self.held[1][key] = row

    # ------------------------------------------------------------------ what is held in the end

    last: Result

    def compare(self) -> None:
        assert self.last.failure is None
        for id, account in self.known.items():
            if id not in self.platform.connected:
                continue
            for stream, true in truth(account, STREAMS).items():
                for rows in self.held:
                    held = {key[2]: row for key, row in rows.items() if key[:2] == (stream, id) and not row.get("is_deleted")}
                    mine = {key: row for key, row in held.items() if key in true or not self._is_unknowable(stream, id, key)}
                    shown = {key: {**row, "account_id": id} for key, row in true.items()}
                    assert differences(mine, shown) == [], f"{stream} of {id}"

    def _is_unknowable(self, stream: str, account: str, id: str) -> bool:
        """Whether the object was deleted, and its account not read while Stripe kept the event."""
        at = self.deleted.get((stream, account, id))
        return at is not None and not any(at < read <= at + _EVENTS_LAST for read in self.followed[account])


_BEGINS = "connect connect create create old old"
_HAPPENS = """connect connect connect deauthorize deauthorize create create create edit edit edit delete delete clock clock
    clock days weeks choose"""
_SYNCS = "sync sync sync sync killed killed broken_account hiccups goes_meanwhile"


_HISTORIES = st.builds(list.__add__, any_steps(_BEGINS, 4, 12), any_steps(f"{_HAPPENS} {_SYNCS} {_SYNCS}", 15, 40))


def play_histories(server: StripeServer, number: int, examples: int) -> None:
    readers = {size: Reader(server, page_size=size) for size in (2, 100)}

    @played(number, examples)
    @given(_HISTORIES, st.sampled_from([2, 100]))
    def plays(steps: list[Step], page_size: int) -> None:
        History(server, readers[page_size]).play(steps)

    plays()


@pytest.mark.parametrize("number", range(4))
def test_after_every_history_the_reader_holds_each_account(server: StripeServer, number: int) -> None:
    play_histories(server, number, examples=10)


@pytest.mark.thorough
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(1000, 1016))
def test_after_thousands_of_histories_the_reader_holds_each_account(server: StripeServer, number: int) -> None:
    play_histories(server, number, examples=150)
