"""`python -m tools.bench [SCENARIO …]`: measures, prints the tables of the README, and keeps what they show in measured.json."""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from source_stripe.source import load_manifest
from tools.bench import measured
from tools.bench.account import Wish
from tools.bench.process import AccountServer, Took, run
from tools.entries import streams_of, suggested_streams

_LATENCY = 0.2
_LIVE, _TEST = (100, 25), (25, 25)
_IMPORT = "import os, airbyte_cdk.sources.declarative.concurrent_declarative_source; os._exit(0)"
# How 300,000 objects may lie in the suggested streams.
_MIXED = {
    "balance_transaction": 74_150,
    "charge": 70_000,
    "coupon": 30,
    "customer": 18_000,
    "dispute": 420,
    "event": 41_000,
    "invoice": 9_000,
    "payment_intent": 72_000,
    "payout": 1_400,
    "plan": 150,
    "price": 250,
    "product": 100,
    "refund": 8_000,
    "subscription": 5_500,
}


class _Cost:
    """Microseconds of CPU a record, of the `whole` process and `net` of what it takes for an empty account."""

    def __init__(self, full: Took, empty: Took) -> None:
        self.whole = full.cpu / full.records * 1e6
        self.net = (full.cpu - empty.cpu) / full.records * 1e6


class Bench:
    """The scenarios. `scale` multiplies the numbers of objects, `rounds` repeats those that measure CPU; the best counts."""

    def __init__(self, folder: Path, scale: float, rounds: int) -> None:
        self._folder = folder
        self._scale = scale
        self._rounds = rounds
        self._manifest = load_manifest()
        self._names = {each.object: each.name for each in streams_of(self._manifest) if each.name in suggested_streams()}
        self._paced: dict[str, list[str]] = {}

    # ------------------------------------------------------------------ scenarios

    def cpu(self) -> None:
        """CPU a record: the floor, the CDK's stock parts, and the connector."""
        count = self._count(100_000)
        with AccountServer(Wish()) as server:
            empty = {name: self._least(server, command, rounds) for name, command, rounds in self._readers(server)}
        with AccountServer(Wish({"charge": count}, spread="crowded")) as server:
            full = {name: self._least(server, command, rounds) for name, command, rounds in self._readers(server)}
        loop, stock, own = (_Cost(full[name], empty[name]) for name in full)
        rows = {name: _cells(full[name], cost, loop) for name, cost in zip(full, (loop, stock, own), strict=True)}
        self._show(f"{count:,} charges, without latency; µs are of CPU, a record.", "cpu", rows)
        print(
            f"\nThe connector takes {stock.whole / own.whole:.1f} times less CPU a record than the stock parts,"
            f" {stock.net / own.net:.1f} times without the start-up.",
            flush=True,
        )

    def pace(self) -> None:
        """CPU a record with the default options, which wait at Stripe's pace, beside the floor, which never waits, and beside the
        floor made to wait as long."""
        objects = {"charge": self._count(100_000)}
        with AccountServer(Wish()) as server:
            empty = [self._least(server, command, self._rounds) for command in (self._floor(server), self._paced_reader(server))]
        with AccountServer(Wish(objects, spread="crowded", limits=_LIVE)) as server:
            own = self._least(server, self._paced_reader(server), self._rounds)
        rate = own.all_requests / own.wall
        with AccountServer(Wish(objects, spread="crowded")) as server:
            floor = self._least(server, self._floor(server), self._rounds)
            waiting = self._least(server, [*self._floor(server), f"{rate:.1f}"], self._rounds)
        loop = _Cost(floor, empty[0])
        costs = {
            "a hand-written loop that never waits": (floor, loop),
            "the same loop, which waits as long as this connector": (waiting, _Cost(waiting, empty[0])),
            "this connector with its default options": (own, _Cost(own, empty[1])),
        }
        rows = {
            name: [f"{took.all_requests / took.wall:.1f}", f"{cost.net:.1f}", f"{cost.net / loop.net:.2f}"]
            for name, (took, cost) in costs.items()
        }
        self._show(f"{floor.records:,} charges at Stripe's pace; µs are of CPU, a record.", "waiting", rows)

    def start(self) -> None:
        """From the start of the process to its first request, against a process that imports the CDK and ends."""
        imports, firsts = [], []
        with AccountServer(Wish()) as server:
            connector = self._connector(server, ["charge"])
            for _ in range(1 + 3 * self._rounds):
                imports.append(run([sys.executable, "-c", _IMPORT]).wall)
                firsts.append(server.run(connector).first_request or math.inf)
        # The first of each warms the disk's cache.
        least, first = min(imports[1:]), min(firsts[1:])
        rows = {
            "a process that imports the CDK and ends": [f"{least:.2f}", "1.00"],
            "until this connector's first request leaves": [f"{first:.2f}", f"{first / least:.2f}"],
        }
        self._show("From the start of the process.", "start", rows)

    def one(self) -> None:
        """One stream, nine tenths of whose objects lie in the last tenth of the time."""
        objects = {"charge": self._count(200_000)}
        self._first_sync("one stream", Wish(objects, latency=_LATENCY, limits=_LIVE), 25)

    def four(self) -> None:
        """Four such streams."""
        kinds = ["charge", "payment_intent", "refund", "balance_transaction"]
        objects = dict.fromkeys(kinds, self._count(200_000))
        self._first_sync("four streams", Wish(objects, latency=_LATENCY, limits=_LIVE), 100)

    def test(self) -> None:
        """Four streams with a test key."""
        kinds = ["charge", "payment_intent", "refund", "balance_transaction"]
        objects = dict.fromkeys(kinds, self._count(50_000))
        self._first_sync("four streams, test key", Wish(objects, latency=_LATENCY, limits=_TEST, live=False), 25)

    def all(self) -> None:
        """The 14 suggested streams, of mixed size."""
        objects = {kind: self._count(count) for kind, count in _MIXED.items()}
        self._first_sync("14 streams", Wish(objects, latency=_LATENCY, limits=_LIVE), 100)

    def nested(self) -> None:
        """Invoices with eleven lines, of which Stripe shows ten: a request more for each."""
        count = self._count(10_000)
        wish = Wish({"invoice": count}, lines=11, latency=_LATENCY, limits=_LIVE)
        self._first_sync("invoices with eleven lines", wish, 25, more=count)

    def long(self) -> None:
        """Invoices whose lines are megabytes, all of which lie in memory until the last is there."""
        count, lines = self._count(100), 2_000
        wish = Wish({"invoice": count}, lines=lines, latency=_LATENCY, limits=_LIVE)
        self._first_sync("invoices with 2,000 lines", wish, 25, more=count * math.ceil((lines - 10) / 100))

    def rereads(self) -> None:
        """A later sync, after ten thousand old objects of four streams changed: a request for each."""
        kinds = ["charge", "customer", "refund", "payout"]
        count = self._count(2_500)
        wish = Wish(dict.fromkeys(kinds, 10 * count), changed=dict.fromkeys(kinds, count), latency=_LATENCY, limits=_LIVE)
        with AccountServer(wish) as server:
            state = {"updated": str(server.now - 7200)}
            took = server.run(self._connector(server, kinds, state=state))
        least = len(kinds) * count + math.ceil(len(kinds) * count / 100)
        self._paced_row("changed objects of four streams", took, len(kinds) * count, least, 100)

    def changes(self) -> None:
        """A later sync, after very many objects were created: the events, then the list."""
        count = self._count(300_000)
        told = {"charge": "charge.succeeded"}
        wish = Wish({"charge": count}, days=10, told=told, latency=_LATENCY, limits=_LIVE)
        with AccountServer(wish) as server:
            state = {"updated": str(server.now - 11 * 86_400)}
            took = server.run(self._connector(server, ["charge"], state=state))
        self._paced_row("new objects, told by events", took, count, 2 * math.ceil(count / 100), 25)

    # ------------------------------------------------------------------ commands

    def _count(self, count: int) -> int:
        return max(1, round(count * self._scale))

    def _floor(self, server: AccountServer) -> list[str]:
        version = self._manifest["definitions"]["requester"]["request_headers"]["Stripe-Version"]
        return [sys.executable, "-m", "tools.bench.floor", server.url, server.key, version]

    def _stock(self, server: AccountServer) -> list[str]:
        config, catalog = self._files(server, ["charge"], 10_000)
        return [sys.executable, "-m", "tools.bench.stock", "read", "--config", config, "--catalog", catalog]

    def _connector(self, server: AccountServer, kinds: list[str], state: dict[str, str] | None = None) -> list[str]:
        # Without latency, no limit either: the pace must not be what is measured.
        config, catalog = self._files(server, kinds, 10_000 if server.limits is None else None)
        command = [sys.executable, "main.py", "read", "--config", config, "--catalog", catalog]
        if state is None:
            return command
        messages = [
            {
                "type": "STREAM",
                "stream": {"stream_descriptor": {"name": self._names[kind]}, "stream_state": state},
            }
            for kind in kinds
        ]
        return [*command, "--state", self._file("state", messages)]

    def _files(self, server: AccountServer, kinds: list[str], rate: int | None) -> tuple[str, str]:
        config = {"secret_key": server.key, "api_base": server.url} | ({"call_rate_limit": rate} if rate else {})
        streams = [
            {
                "stream": {
                    "name": self._names[kind],
                    "json_schema": {},
                    "supported_sync_modes": ["full_refresh", "incremental"],
                },
                "sync_mode": "incremental",
                "destination_sync_mode": "append",
            }
            for kind in kinds
        ]
        return self._file("config", config), self._file("catalog", {"streams": streams})

    def _file(self, name: str, content: object) -> str:
        path = self._folder / f"{name}.json"
        path.write_bytes(orjson.dumps(content))
        return str(path)

    def _paced_reader(self, server: AccountServer) -> list[str]:
        config, catalog = self._files(server, ["charge"], None)
        return [sys.executable, "main.py", "read", "--config", config, "--catalog", catalog]

    def _readers(self, server: AccountServer) -> Iterator[tuple[str, list[str], int]]:
        """Those that are compared, and how often each runs. The stock parts take a minute and more: once."""
        yield "a hand-written loop", self._floor(server), self._rounds
        yield "the CDK's stock parts", self._stock(server), 1
        yield "this connector", self._connector(server, ["charge"]), self._rounds

    def _least(self, server: AccountServer, command: list[str], rounds: int) -> Took:
        """The run that took the least CPU: whatever else the machine does can only add."""
        return min((_went_well(server.run(command)) for _ in range(rounds)), key=lambda took: took.cpu)

    # ------------------------------------------------------------------ at Stripe's pace

    def _first_sync(self, name: str, wish: Wish, limit: int, more: int = 0) -> None:
        with AccountServer(wish) as server:
            took = server.run(self._connector(server, list(wish.objects)))
        least = more + sum(math.ceil(count / 100) for count in wish.objects.values())
        self._paced_row(name, took, sum(wish.objects.values()), least, limit)

    def _paced_row(self, name: str, took: Took, objects: int, least: int, limit: int) -> None:
        _went_well(took)
        if took.records != objects:
            sys.exit(f"{name}: {took.records:,} records came of {objects:,} objects")
        used = took.all_requests / took.wall
        self._paced[name] = [
            *(f"{objects:,}", f"{took.all_requests:,}", f"{(took.all_requests / least - 1) * 100:.1f} %"),
            *(f"{took.wall:.1f}", f"{used:.1f}", f"{used / limit * 100:.0f} % of {limit}", f"{took.most_in_a_second}"),
            *(f"{took.refused}", f"{took.cpu:.1f}", f"{took.peak_mb:.0f}"),
        ]
        print(name, *self._paced[name], sep=" | ", file=sys.stderr, flush=True)

    def report(self) -> None:
        """Print the table of what was read at Stripe's pace."""
        if self._paced:
            text = f"At Stripe's limits, which the account keeps; {_LATENCY * 1000:.0f} ms an answer; whole processes."
            self._show(text, "paced", self._paced)

    def _show(self, text: str, table: str, rows: measured.Rows) -> None:
        """Print the rows of a table, and keep them where they are of the full size."""
        print(f"\n{text}\n", *measured.written(table, rows), sep="\n", flush=True)
        if self._scale == 1.0:
            measured.keep(table, rows)


def _cells(took: Took, cost: _Cost, loop: _Cost) -> list[str]:
    return [
        *(f"{took.all_requests:,}", f"{took.most_in_a_second}", f"{took.wall:.1f}", f"{took.cpu:.1f}", f"{took.peak_mb:.0f}"),
        *(f"{cost.whole:.1f}", f"{cost.whole / loop.whole:.2f}", f"{cost.net:.1f}", f"{cost.net / loop.net:.2f}"),
    ]


def _went_well(took: Took) -> Took:
    if took.code:
        sys.exit(f"A measured process ended with {took.code}: …{took.last_words}")
    return took


def main() -> None:
    scenarios = ["cpu", "pace", "start", "one", "four", "test", "all", "nested", "long", "rereads", "changes"]
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("scenario", nargs="*", metavar="SCENARIO", help=f"of {', '.join(scenarios)}; without one, all")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the numbers of objects")
    parser.add_argument("--rounds", type=int, default=2, help="how often CPU is measured; the least counts")
    given = parser.parse_args()
    if unknown := set(given.scenario) - set(scenarios):
        parser.error(f"no scenario is called {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.scale, given.rounds)
        for name in given.scenario or scenarios:
            scenario: Callable[[], None] = getattr(bench, name)
            scenario()
        bench.report()


if __name__ == "__main__":
    main()
