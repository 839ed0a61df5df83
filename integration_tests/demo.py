"""Reads all streams of an embedded Stripe account with the ordinary command: `make demo`.

Runs `check`, a first read, a read when nothing has changed, and a read of a few changes. Their messages, and the files that
the command was given, stay in `demo/`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from integration_tests.embedded_stripe import Account, StripeServer, made_up_account
from integration_tests.embedded_stripe.endpoints import OWN_ACCOUNT_PERMISSION, PERMISSIONS
from integration_tests.embedded_stripe.server import Request
from tools.entries import Stream, streams_of

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "demo"
# About what an answer of Stripe takes, in seconds: without it the display would be over before it is seen.
LATENCY = 0.15


@dataclass
class Reading:
    """What one `read` wrote and what it cost. `seconds` are from a stream's start to its end."""

    records: Counter[str] = field(default_factory=Counter)
    deleted: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    whole: float = 0.0


class Demo:
    """An account, its server, and the command's files."""

    def __init__(self, account: Account, server: StripeServer, console: Console) -> None:
        self.account = account
        self.server = server
        self.console = console
        self.streams = streams_of(yaml.safe_load((ROOT / "manifest.yaml").read_text()))
        permissions = [permission for permission, _ in (*PERMISSIONS.values(), OWN_ACCOUNT_PERMISSION)]
        # This account has no limits: those of a test key would make it a matter of minutes.
        config = {"secret_key": server.restricted_key(permissions), "api_base": server.url, "call_rate_limit": 400}
        self._write("config.json", config)
        self.states: dict[str, Any] = {}
        self._places = [place for stream in self.streams for place in _places_of(stream)]

    def _write(self, name: str, content: Any) -> None:
        (FOLDER / name).write_text(json.dumps(content, indent=2) + "\n")

    def command(self, *arguments: str, into: str) -> None:
        """Run the connector with its messages going into a file; its standard error is this terminal's."""
        shown = " ".join(f"demo/{each}" if (FOLDER / each).is_file() else each for each in arguments)
        self.console.print(f"\n$ .venv/bin/python main.py {shown} > demo/{into}", style="bold")
        given = [str(FOLDER / each) if (FOLDER / each).is_file() else each for each in arguments]
        with (FOLDER / into).open("wb") as output:
            ended = subprocess.run([sys.executable, ROOT / "main.py", *given], stdout=output, cwd=ROOT, check=False)
        if ended.returncode:
            sys.exit(f"The command failed. Its messages are in demo/{into}.")

    def check(self) -> None:
        self.command("check", "--config", "config.json", into="check.jsonl")
        status = next(message["connectionStatus"] for message in messages("check.jsonl") if "connectionStatus" in message)
        if status["status"] != "SUCCEEDED":
            sys.exit(status["message"])
        if not sys.stderr.isatty():
            self.console.print(status.get("message") or "The key works, and may read every stream.")

    def choose_all_streams(self) -> None:
        """What Airbyte does when a user selects every stream: a catalog from what `discover` shows."""
        self.command("discover", "--config", "config.json", into="discover.jsonl")
        catalog = next(message["catalog"] for message in messages("discover.jsonl") if "catalog" in message)
        self._write("catalog.json", {"streams": [{"stream": stream, **_modes(stream)} for stream in catalog["streams"]]})
        self.console.print(f"{len(catalog['streams'])} streams, all selected.")

    def read(self, into: str) -> Reading:
        """A read of all streams that goes on from where the one before ended."""
        given = ["read", "--config", "config.json", "--catalog", "catalog.json"]
        if self.states:
            self._write("state.json", list(self.states.values()))
            given += ["--state", "state.json"]
        self.server.clear_requests()
        began = time.monotonic()
        self.command(*given, into=into)
        reading = self._reading(into)
        reading.whole = time.monotonic() - began
        reading.requests = Counter(self._stream_of(request) for request in self.server.requests)
        return reading

    def _reading(self, name: str) -> Reading:
        reading = Reading()
        began: dict[str, float] = {}
        for message in messages(name):
            if record := message.get("record"):
                reading.records[record["stream"]] += 1
                reading.deleted += bool(record["data"].get("is_deleted"))
            elif state := message.get("state"):
                self.states[state["stream"]["stream_descriptor"]["name"]] = state
            elif status := message.get("trace", {}).get("stream_status"):
                stream = status["stream_descriptor"]["name"]
                at = message["trace"]["emitted_at"]
                reading.seconds[stream] = (at - began.setdefault(stream, at)) / 1000
        return reading

    def _stream_of(self, request: Request) -> str:
        """Whose request it was. A list that is asked for one owner's objects is that of a nested list, or of a walk."""
        for path, owner, stream in sorted(self._places, key=lambda place: not place[1]):
            if re.fullmatch(re.sub("{[^}]*}", "[^/]+", path), request.path) and (not owner or owner in dict(request.query)):
                return stream
        return request.path

    def show(self, reading: Reading) -> None:
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("stream")
        for column in ("records", "requests", "seconds"):
            table.add_column(column, justify="right")
        empty = [name for name in sorted(reading.seconds) if not reading.records[name]]
        for name in sorted(reading.records):
            cells = (f"{reading.records[name]:,}", f"{reading.requests[name]:,}", f"{reading.seconds[name]:.1f}")
            table.add_row(name, *cells)
        table.add_section()
        total = f"{reading.records.total():,}", f"{reading.requests.total():,}", f"{reading.whole:.1f}"
        table.add_row("in all", *total, style="bold")
        self.console.print(table)
        self.console.print(f"  Nothing is there of {', '.join(empty)}.", soft_wrap=False)

    def told(self, reading: Reading) -> str:
        """What a later read brought, in words; what is read whole in each sync is no news."""
        changes = {each.name: count for each in self.streams if each.cursor and (count := reading.records[each.name])}
        named = ", ".join(f"{count} {stream}" for stream, count in changes.items()) or "0 records"
        deletions = f" ({reading.deleted} of them a deletion)" if reading.deleted else ""
        whole = reading.records.total() - sum(changes.values())
        return f"{named}{deletions}, and {whole} of lists that are read whole, with {reading.requests.total()} requests"

    def change_something(self) -> None:
        """What a day may bring: a customer renamed, a charge refunded, a coupon deleted."""
        account = self.account
        customer, charge, coupon = (account.objects(kind)[0] for kind in ("customer", "charge", "coupon"))
        account.update("customer", customer["id"], {"name": "Renamed"})
        account.create("refund", {"charge": charge["id"], "amount": 100})
        account.delete("coupon", coupon["id"])


def _places_of(stream: Stream) -> Iterator[tuple[str, str, str]]:
    """The paths that are asked for the stream's sake, each with the parameter that names an owner, if there is one."""
    yield stream.path, stream.entry.get("walk", {}).get("owner", ""), stream.name
    yield stream.path + "/{id}", "", stream.name
    for each in stream.entry.get("nested_lists", ()):
        yield each["path"], each.get("owner", ""), stream.name


def _modes(stream: dict[str, Any]) -> dict[str, str]:
    """As the papers advise: what has a cursor incrementally, all else whole."""
    if "incremental" in stream["supported_sync_modes"]:
        return {"sync_mode": "incremental", "destination_sync_mode": "append_dedup"}
    return {"sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}


def messages(name: str) -> list[dict[str, Any]]:
    with (FOLDER / name).open("rb") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    console = Console(highlight=False, soft_wrap=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    account = made_up_account()
    with StripeServer(account, latency=LATENCY) as server:
        console.print(f"A made-up Stripe account of four years is served at {server.url}.")
        demo = Demo(account, server, console)
        demo.check()
        demo.choose_all_streams()
        first = demo.read("messages.jsonl")
        demo.show(first)
        console.print(f"Nothing has changed: {demo.told(demo.read('second.jsonl'))}.")
        demo.change_something()
        console.print(f"A customer was renamed, a charge refunded, a coupon deleted: {demo.told(demo.read('third.jsonl'))}.")
    console.print("\nEverything that the command wrote is in demo/: the first read in demo/messages.jsonl.")


if __name__ == "__main__":
    main()
