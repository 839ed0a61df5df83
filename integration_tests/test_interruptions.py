"""A first sync that is stopped, again and again, at any moment: kill -9 of the real process, and each stream failing."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.harness import DAY, MANIFEST, NESTED, NOW, STREAMS, Reader, Row, assert_holds_all, catalog, plain, truth

ROOT = Path(__file__).parents[1]
KILLS = 20
COUPONS, TRANSACTIONS = 120_000, 80_000


def digest(row: Row) -> bytes:
    """What tells one row from another, without what the connector adds, in little room."""
    return hashlib.blake2b(orjson.dumps(plain(row), option=orjson.OPT_SORT_KEYS), digest_size=12).digest()


class Destination:
    """Upserts what processes wrote, both ways, and keeps the state to go on from."""

    def __init__(self, folder: Path, server: StripeServer) -> None:
        self._folder = folder
        config = {"secret_key": server.secret_key, "api_base": server.url, "call_rate_limit": 10_000, "num_workers": 8}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "catalog.json").write_bytes(orjson.dumps(ConfiguredAirbyteCatalogSerializer.dump(catalog())))
        self.states: dict[str, Any] = {}
        self.last: dict[tuple[str, str], bytes | None] = {}
        self.greatest: dict[tuple[str, str], tuple[int, bytes | None]] = {}
        self.records = 0

    def start(self) -> subprocess.Popen[bytes]:
        """A process that reads from the last state on."""
        folder = self._folder
        (folder / "state.json").write_bytes(orjson.dumps(list(self.states.values())))
        command: list[str | Path] = [sys.executable, "main.py", "read", "--config", folder / "config.json"]
        command += ["--catalog", folder / "catalog.json"]
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            return subprocess.Popen([*command, "--state", folder / "state.json"], cwd=ROOT, stdout=out, stderr=err)

    def take(self) -> None:
        """What the process wrote, up to the last whole line."""
        for line in (self._folder / "out").read_bytes().split(b"\n")[:-1]:
            message = orjson.loads(line)
            if message["type"] == "RECORD":
                self._upsert(message["record"]["stream"], message["record"]["data"])
            elif message["type"] == "STATE":
                self.states[message["state"]["stream"]["stream_descriptor"]["name"]] = message["state"]

    def _upsert(self, stream: str, row: Row) -> None:
        self.records += 1
        key = stream, row["id"]
        value = None if row.get("is_deleted") else digest(row)
        cursor = row["updated" if MANIFEST[stream].get("events") else "created"]
        self.last[key] = value
        if key not in self.greatest or cursor >= self.greatest[key][0]:
            self.greatest[key] = cursor, value


@pytest.fixture
def account() -> Account:
    """Large, on the real clock: a process that is killed reads it."""
    account = Account()
    account.bulk("coupon", COUPONS)
    account.bulk("balance_transaction", TRANSACTIONS, spread="even")
    for kind in ("customer", "charge", "product", "payment_intent", "invoice", "subscription", "price"):
        for number in range(400):
            account.create(kind, at=account.now - (40 + number) * DAY)
    return account


class Shop:
    """Lets things happen in an account, in a thread, until it closes."""

    def __init__(self, account: Account) -> None:
        self._account, self._random = account, random.Random(1)
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._trade, daemon=True)
        self.changes = 0

    def __enter__(self) -> Shop:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed.set()
        self._thread.join()

    def _trade(self) -> None:
        account, random = self._account, self._random
        bulk = account.shelf("coupon").bulk
        assert bulk is not None
        deleted: set[int] = set()
        while not self._is_closed.wait(0.03):
            number = random.randrange(COUPONS)
            coupon = bulk.id_at(number)
            what = random.randrange(6)
            if what == 0 and number not in deleted:
                account.update("coupon", coupon, {"name": f"Renamed {self.changes}"})
            elif what == 1 and number not in deleted:
                deleted.add(number)
                account.delete("coupon", coupon)
            elif what == 2:
                account.create("balance_transaction", {"status": "available"})
            elif what == 3:
                account.create("customer")
            else:
                kind = random.choice(["customer", "product", "price", "subscription", "charge"])
                id = random.choice(list(account.shelf(kind).objects))
                account.update(kind, id, {"metadata": {"n": str(self.changes)}})
            self.changes += 1


@pytest.fixture
def server(account: Account) -> Iterator[StripeServer]:
    with StripeServer(account, latency=0.02) as server:
        yield server


def list_pages(server: StripeServer) -> int:
    """Pages of lists that were answered, but for events, which every attempt follows anew."""
    paths = {f"/v1/{stream}" for stream in STREAMS if stream != "events"}
    return sum(1 for request in server.requests if request.path in paths and request.status == 200)


@pytest.mark.timeout(600)
def test_a_first_sync_that_is_killed_twenty_times_misses_nothing_and_reads_little_twice(
    account: Account, server: StripeServer, tmp_path: Path
) -> None:
    destination, moments = Destination(tmp_path, server), random.Random(20)
    needed = sum(-(-len(account.shelf(MANIFEST[name]["object"])) // 100) for name in STREAMS if name != "events")
    points = sorted(moments.randrange(1, needed) for _ in range(KILLS))
    kills = 0
    with Shop(account) as shop:
        for point in points:
            process = destination.start()
            while process.poll() is None and len(server.requests) < point:
                time.sleep(0.002)
            kills += process.poll() is None
            process.kill()
            process.wait()
            destination.take()
        process = destination.start()
        assert process.wait() == 0, (tmp_path / "err").read_text()[-2000:]
        destination.take()
    read = list_pages(server)
    process = destination.start()
    assert process.wait() == 0
    destination.take()
    held = {key for key, value in destination.last.items() if value is not None and key[0] != "events"}
    true = {(name, obj["id"]): digest(obj) for name in STREAMS if name != "events" for obj in truth_of(account, name)}
    print(f"{kills} kills, {shop.changes} changes, {read} list pages for {needed}: {read / needed - 1:.1%} read twice")
    print(destination.records, len(destination.last), len(server.requests))
    assert held == true.keys()
    assert [key for key in true if destination.last[key] != true[key]] == []
    assert [key for key in true if destination.greatest[key][1] != true[key]] == []
    assert read <= 1.1 * needed
    assert kills >= KILLS * 0.9


@pytest.fixture
def small() -> Iterator[StripeServer]:
    """Twelve objects of each kind, long ago, and twelve events."""
    account = Account(NOW)
    with StripeServer(account) as server:
        for number in range(12):
            for name in STREAMS:
                if name != "events":
                    account.create(MANIFEST[name]["object"], at=NOW - (40 + number) * DAY)
            account.emit("account.updated", {"object": "account"}, at=NOW - number)
        yield server


@pytest.mark.parametrize("stream", STREAMS)
def test_a_first_sync_in_which_a_stream_fails_is_gone_on_with_from_there(small: StripeServer, stream: str) -> None:
    reader = Reader(small, page_size=3)
    small.fault("status", path=f"^/v1/{stream}\\?.*starting_after", after=1, times=None, status=400, message="Not today.")
    first = reader.sync()
    small.clear_faults()
    second = reader.sync(first)
    assert (set(first.errors), first.complete) == ({stream}, set(STREAMS) - {stream})
    assert (second.failure, {name for name, _ in second.records}) == (None, {stream})
    assert set(first.ids(stream)) < set(first.ids(stream)) | set(second.ids(stream)) == set(truth(small.account)[stream])
    # The last two of the last page are looked at again, since the time of one alone may be odd (each price made a plan too); the
    # first of two passes is as well.
    assert len(set(first.ids(stream)) & set(second.ids(stream))) <= {"prices": 6}.get(stream, 2)


@pytest.mark.parametrize("requests", [0, 1, 5, 15, 16, 17, 30, 60])
def test_a_key_that_is_revoked_in_the_middle_of_a_first_sync_costs_no_record(small: StripeServer, requests: int) -> None:
    reader = Reader(small, page_size=3)
    small.fault("revoked", after=requests, times=None)
    first = reader.sync()
    small.clear_faults()
    small.account.update("customer", next(iter(truth(small.account)["customers"])), {"name": "Renamed"})
    second = reader.sync(first)
    assert set(first.kinds.values()) == {"FailureType.config_error"}
    assert second.failure is None
    assert_holds_all([first, second], truth(small.account))


@pytest.mark.parametrize("messages", range(10, 250, 20))
def test_a_first_sync_that_nobody_reads_to_its_end_is_gone_on_with(small: StripeServer, messages: int) -> None:
    reader = Reader(small, page_size=3)
    first = reader.sync(stop_after=messages)
    gone = small.account.objects("coupon")[5]["id"]
    small.account.advance(3600)
    small.account.delete("coupon", gone)
    second = reader.sync(first)
    assert first.was_abandoned
    assert_holds_all([first, second], truth(small.account))


def test_what_is_made_and_what_is_deleted_between_the_attempts_of_a_first_sync_arrives(small: StripeServer) -> None:
    reader, account = Reader(small, page_size=3), small.account
    small.fault("status", path="^/v1/coupons.*starting_after", after=1, times=None, status=400, message="Not today.")
    first = reader.sync(streams=["coupons"])
    small.clear_faults()
    account.advance(20 * DAY)
    for id in (first.ids("coupons")[0], account.objects("coupon")[-1]["id"]):
        account.delete("coupon", id)
    made = account.create("coupon")["id"]
    second = reader.sync(first, ["coupons"])
    assert made in second.ids("coupons")
    assert_holds_all([first, second], truth(account, ["coupons"]))


def test_an_inline_price_that_changes_between_the_attempts_of_a_first_sync_arrives(small: StripeServer) -> None:
    reader, account = Reader(small, page_size=3), small.account
    id = account.create("price", at=NOW - 60 * DAY, inline=True)["id"]
    small.fault("status", path="^/v1/prices.*starting_after", after=1, times=None, status=400, message="Not today.")
    first = reader.sync(streams=["prices"])
    small.clear_faults()
    account.update("price", id, {"nickname": "Renamed"})
    second = reader.sync(first, ["prices"])
    assert [row["nickname"] for row in second.of("prices") if row["id"] == id] == ["Renamed"]


def truth_of(account: Account, name: str) -> Iterator[Row]:
    """All objects of a list, one at a time: there are too many to hold."""
    tree: dict[str, Any] = {field: {} for field in MANIFEST[name].get("expand", ())}
    whole = NESTED[name]
    with account.lock:
        account.settle()
        for obj in account.each(MANIFEST[name]["object"]):
            yield account.view(obj, tree, whole=whole)
