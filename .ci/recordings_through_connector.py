"""Read real bodies through the connector, and tell what comes out otherwise: `recordings_through_connector.py DIR`.

DIR holds `recorded/*.ndjson`, a line `{"source", "api_version", "body", ...}` for each body that Stripe was recorded to send.
They are no part of this repository: without DIR nothing is read, and it says so. Every object in a body, also one that stands
inside of another, is listed where its stream looks for it, and has to arrive as it is, field by field, and so have its children.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from airbyte_cdk.models import ConfiguredAirbyteCatalog, ConfiguredAirbyteStream, DestinationSyncMode, SyncMode

from source_stripe.source import SourceStripe
from source_stripe.sync.endpoint import Endpoint

Body = dict[str, Any]
KEY = "sk_test_recorded00000000"
_ADDED = {"updated"}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0], "recorded")
    if not folder.is_dir():
        print(f"skipped: no recorded bodies are at {folder}")
        return 0
    logging.getLogger("airbyte").setLevel(logging.ERROR)
    endpoints = {name: SourceStripe(config={"secret_key": KEY}).endpoint(name) for name in names_of_streams()}
    bodies, read, faults = bodies_by_kind(folder), Counter[str](), list[str]()
    with Stripe() as stripe:
        while stripe.serve(endpoints, bodies):
            faults += faults_of(stripe, endpoints, read)
    for name, count in sorted(read.items()):
        print(f"{name}: {count} read")
    print(f"{sum(read.values())} records read of recorded bodies, {len(faults)} otherwise than they were", flush=True)
    print("\n".join(faults))
    return 1 if faults or not read else 0


def names_of_streams() -> list[str]:
    return [stream.name for stream in SourceStripe().streams({"secret_key": KEY})]


def bodies_by_kind(folder: Path) -> dict[str, list[Body]]:
    """Those that differ, of objects that are not deleted."""
    found: dict[str, dict[str, Body]] = {}
    for file in sorted(folder.glob("*.ndjson")):
        for line in file.read_text(encoding="utf-8").splitlines():
            for body in objects_in(json.loads(line).get("body")):
                found.setdefault(body["object"], {})[json.dumps(body, sort_keys=True)] = body
    return {kind: list(bodies.values()) for kind, bodies in found.items()}


def objects_in(value: Any) -> Iterator[Body]:
    if isinstance(value, dict):
        if isinstance(value.get("object"), str) and isinstance(value.get("id"), str) and "deleted" not in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from objects_in(inner)


class Stripe:
    """Lists bodies at the paths of their streams, each id once at a time: what is left over is for another reading."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Body]] = {}
        stripe = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: Any) -> None:
                pass

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                body = json.dumps(stripe.page(url.path, dict(parse_qsl(url.query)))).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Stripe:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self, endpoints: dict[str, Endpoint], bodies: dict[str, list[Body]]) -> bool:
        """Have the next of `bodies` listed, and take them out; whether there were any."""
        self.lists = {}
        for endpoint in endpoints.values():
            if endpoint.kind in ("changing", "immutable", "listed") and bodies.get(endpoint.object):
                once = {body["id"]: body for body in bodies[endpoint.object]}
                self.lists[endpoint.path] = sorted(once.values(), key=lambda body: -body["created"])
        for kind in {endpoint.object for endpoint in endpoints.values() if endpoint.path in self.lists}:
            served = [body for rows in self.lists.values() for body in rows]
            bodies[kind] = [body for body in bodies[kind] if not any(body is each for each in served)]
        return bool(self.lists)

    def page(self, path: str, query: dict[str, str]) -> Body:
        low, high = int(query.get("created[gte]", 0)), int(query.get("created[lte]", 1 << 40))
        rows = [row for row in self.lists.get(path, ()) if low <= row["created"] <= high]
        if "active" in query:
            rows = [row for row in rows if json.dumps(row["active"]) == query["active"]]
        if after := query.get("starting_after"):
            rows = rows[[row["id"] for row in rows].index(after) + 1 :] if any(row["id"] == after for row in rows) else []
        size = int(query.get("limit", 10))
        return {"object": "list", "url": path, "has_more": len(rows) > size, "data": rows[:size]}


def faults_of(stripe: Stripe, endpoints: dict[str, Endpoint], read: Counter[str]) -> Iterator[str]:
    """A line for each record that is missing or otherwise than its body."""
    lists = [name for name, endpoint in endpoints.items() if endpoint.path in stripe.lists and endpoint.kind != "child"]
    children = [name for name, each in endpoints.items() if each.walk is None and set(each.parents) & set(lists)]
    for name, rows in read_streams(stripe.url, [*lists, *children]).items():
        read[name] += len(rows)
        endpoint = endpoints[name]
        expected: dict[Any, Body]
        held: dict[Any, Body]
        if endpoint.kind == "child":
            expected = {
                (owner["id"], child["id"]): child | {endpoint.parent_field: owner["id"]}
                for parent, field in endpoint.parents.items()
                for owner in stripe.lists.get(endpoints[parent].path, ())
                for child in children_in(owner.get(field), endpoint.object)
            }
            held = {(row[endpoint.parent_field], row["id"]): row for row in rows}
        else:
            expected = {row["id"]: row for row in stripe.lists[endpoint.path]}
            held = {row["id"]: row for row in rows}
        yield from (f"{name}: {key} is missing" for key in expected.keys() - held.keys())
        yield from (f"{name}: {key} comes of no body" for key in held.keys() - expected.keys())
        for key in expected.keys() & held.keys():
            names = (expected[key].keys() | held[key].keys()) - _ADDED
            yield from (
                f"{name}: {key}: {field} is otherwise" for field in names if expected[key].get(field) != held[key].get(field)
            )


def children_in(value: Any, kind: str) -> Iterator[Body]:
    items = value.get("data", [value]) if isinstance(value, dict) else value or ()
    return (item for item in items if isinstance(item, dict) and item.get("object") == kind)


def read_streams(url: str, names: list[str]) -> dict[str, list[Body]]:
    config = {"secret_key": KEY, "api_base": url, "call_rate_limit": 10_000}
    source = SourceStripe(config=config)
    streams = {stream.name: stream.as_airbyte_stream() for stream in source.streams(config)}
    catalog = ConfiguredAirbyteCatalog(
        [ConfiguredAirbyteStream(streams[name], SyncMode.incremental, DestinationSyncMode.append_dedup) for name in names]
    )
    rows: dict[str, list[Body]] = {name: [] for name in names}
    for message in source.read(logging.getLogger("airbyte"), config, catalog):
        if message.record is not None:
            rows[message.record.stream].append(message.record.data)
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
