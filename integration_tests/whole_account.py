"""What a destination must hold of every stream, of whatever kind: the truth of an account, and what was emitted of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3

from integration_tests.embedded_stripe import StripeServer
from integration_tests.harness import ALL_STREAMS, MANIFEST, Result, Row, differences
from source_stripe.source import SourceStripe, load_manifest

_SOURCE = SourceStripe(config={"secret_key": "sk_test_12345678"})
ENDPOINTS = {name: _SOURCE.endpoint(name) for name in ALL_STREAMS}
_KEYS = {each["$parameters"]["name"]: each.get("primary_key", "id") for each in load_manifest()["streams"]}
FULL_REFRESH_ONLY = frozenset(name for name, endpoint in ENDPOINTS.items() if endpoint.cursor_field is None)

_NOT_ENABLED = (b"not set up", b"not authorized", b"Unrecognized request URL")

Held = dict[str, Row]
"""Rows by their primary keys, the parts of a key put together."""


def key_of(stream: str, row: Row) -> str:
    key = _KEYS[stream]
    return "/".join(str(row[part]) for part in ([key] if isinstance(key, str) else key))


# ---------------------------------------------------------------------- the truth


class Truth:
    """What Stripe shows now, asked for by a client of a few lines, which asks for nothing twice."""

    def __init__(self, server: StripeServer) -> None:
        self._server = server
        headers = {"Authorization": f"Bearer {server.secret_key}", "Stripe-Version": "2026-08-26.dahlia"}
        self._connections = urllib3.PoolManager(headers=headers)
        self._bodies: dict[str, bytes] = {}
        """By the address what was answered."""

    def of(self, stream: str) -> Held:
        endpoint = ENDPOINTS[stream]
        rows = self._children(stream) if endpoint.kind == "child" else self._own(stream)
        return {key_of(stream, row): row for row in rows}

    def _own(self, stream: str, *more: str) -> list[Row]:
        endpoint = ENDPOINTS[stream]
        names = list(dict.fromkeys([*endpoint.expand, *more]))
        if endpoint.kind == "snapshot":
            return [self._whole(stream, self._get(endpoint.path, {"expand[]": names}))]
        rows: dict[str, Row] = {}
        for parameters in endpoint.passes:
            for row in self._list(endpoint.path, {**parameters, "expand[]": [f"data.{name}" for name in names]}):
                rows[row["id"]] = self._whole(stream, row, *more)
        return list(rows.values())

    def _whole(self, stream: str, row: Row, *more: str) -> Row:
        """The object with its cut lists whole."""
        lists = {
            each["field"]: each
            for name in (stream, *ENDPOINTS)
            for each in MANIFEST[name].get("nested_lists", ())
            if name == stream or (each["field"] in more and stream in ENDPOINTS[name].parents)
        }
        for field, nested in lists.items():
            if (row.get(field) or {}).get("has_more"):
                owner = {nested["owner"]: row["id"]} if nested.get("owner") else {}
                items = list(self._list(nested["path"].replace("{id}", quote(row["id"], safe="")), owner))
                row[field] = {**row[field], "data": items, "has_more": False}
        return row

    def _children(self, stream: str) -> Iterator[Row]:
        endpoint = ENDPOINTS[stream]
        for parent, field in endpoint.parents.items():
            for owner in self._own(parent, *endpoint.expand):
                for child in self._walked(stream, owner) if endpoint.walk else _inside(owner.get(field)):
                    if child["object"] == endpoint.object:
                        named = child.get(endpoint.parent_field)
                        yield {**child, endpoint.parent_field: named if isinstance(named, str) else owner["id"]}

    def _walked(self, stream: str, owner: Row) -> Iterable[Row]:
        walk = ENDPOINTS[stream].walk
        assert walk is not None
        if walk.having and not owner.get(walk.having):
            return []
        query = {walk.owner: owner["id"]} if walk.owner else {}
        query |= {name: owner[field] for name, field in walk.more.items()}
        return self._list(walk.path.replace("{id}", quote(owner["id"], safe="")), query)

    def _list(self, path: str, query: dict[str, Any]) -> Iterator[Row]:
        after: dict[str, Any] = {} if path == "/v1/reporting/report_types" else {"limit": 100}
        while True:
            page = self._get(path, query | after)
            yield from page["data"]
            if not page["has_more"]:
                return
            after["starting_after"] = page["data"][-1]["id"]

    def _get(self, path: str, query: dict[str, Any]) -> Any:
        url = f"{self._server.url}{path}?{urlencode(query, doseq=True)}"
        if url not in self._bodies:
            self._bodies[url] = self._body(url)
        return orjson.loads(self._bodies[url])

    def _body(self, url: str) -> bytes:
        answer = self._connections.request("GET", url)
        if answer.status == 400 and any(words in answer.data for words in _NOT_ENABLED):
            return b'{"data": [], "has_more": false}'
        assert answer.status == 200, answer.data
        return answer.data


def _inside(value: Any) -> Iterator[Row]:
    """The objects in a list, an array or a field; what is only an id is none."""
    if isinstance(value, dict):
        yield from value["data"] if value.get("object") == "list" else [value]
    else:
        yield from (each for each in value or () if isinstance(each, dict))


# ---------------------------------------------------------------------- what was emitted


class Warehouse:
    """What a destination holds of all streams: the row written last of each key or, `by_cursor`, that with the greatest cursor,
    the later of equal ones. Streams that are read whole are written over by each sync that completes them."""

    def __init__(self, by_cursor: bool = False) -> None:
        self._by_cursor = by_cursor
        self._rows: dict[str, Held] = {name: {} for name in ALL_STREAMS}

    def take(self, result: Result) -> None:
        for stream in FULL_REFRESH_ONLY & result.complete:
            self._rows[stream] = {}
        for stream, row in result.records:
            if stream in FULL_REFRESH_ONLY and stream not in result.complete:
                continue
            key, cursor = key_of(stream, row), ENDPOINTS[stream].cursor_field
            known = self._rows[stream].get(key)
            if known is None or not self._by_cursor or cursor is None or row[cursor] >= known[cursor]:
                self._rows[stream][key] = row

    def current(self, stream: str) -> Held:
        """The rows that are not deleted; of children, those that are as new as the others of their parent, if it is there."""
        rows = {key: row for key, row in self._rows[stream].items() if not row.get("is_deleted")}
        endpoint = ENDPOINTS[stream]
        if not endpoint.parents or endpoint.cursor_field is None:
            return rows
        parents = {id: row for parent in endpoint.parents for id, row in self.current(parent).items()}
        newest = {id: row["updated"] for id, row in parents.items()} if endpoint.walk is None else {}
        for row in rows.values() if endpoint.walk is not None else ():
            owner = row[endpoint.parent_field]
            newest[owner] = max(row["updated"], newest.get(owner, 0))
        return {
            key: row
            for key, row in rows.items()
            if (owner := row[endpoint.parent_field]) in parents and row["updated"] == newest[owner]
        }

    def differences(self, truth: Truth, streams: Iterable[str] = ALL_STREAMS) -> list[str]:
        """What is missing, too much or stale, a line each."""
        lines = []
        for stream in streams:
            held, true = self.current(stream), truth.of(stream)
            if stream == "events":  # Older ones may be held besides.
                held = {id: row for id, row in held.items() if id in true}
            lines += [f"{stream}: {line}" for line in differences(held, true)]
        return lines
