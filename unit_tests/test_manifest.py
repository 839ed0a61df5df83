"""The manifest is true: whatever is changed in it, something that the connector does changes too."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import functools
import json
import logging
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from airbyte_cdk.models import (
    AirbyteStateMessageSerializer,
    ConfiguredAirbyteCatalogSerializer,
    ConnectorSpecificationSerializer,
)
from airbyte_cdk.sources.declarative.concurrent_declarative_source import get_declarative_component_schema, validate_manifest
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe.api.account import Account
from source_stripe.api.request import Answer, Request
from source_stripe.api.transport import Trip
from source_stripe.source import SourceStripe, load_manifest
from source_stripe.sync.clock import Clock
from unit_tests.virtual_time import JumpingLoop, Jumps, in_virtual_time

MANIFEST = load_manifest()
STREAMS = {entry["$parameters"]["name"]: entry["$parameters"] for entry in MANIFEST["streams"]}
NOW = 1_795_000_000
OLD = NOW - 90 * 86_400
KEY = "rk_test_51H8xample00"
LOGGER = logging.getLogger("airbyte")

Place = tuple[str | int, ...]
Refusal = tuple[int, dict[str, str], dict[str, Any]]
STATUSES = (400, 401, 402, 403, 404, 405, 408, 409, 410, 422, 425, 429, 500, 502, 503, 504)


def leaves(node: Any, place: Place = ()) -> Iterator[Place]:
    if isinstance(node, dict | list) and node:
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(inner, (*place, key))
    else:
        yield place


def changed(place: Place) -> dict[str, Any]:
    """The manifest with another value in that place."""
    manifest = copy.deepcopy(MANIFEST)
    node: Any = manifest
    for step in place[:-1]:
        node = node[step]
    value = node[place[-1]]
    if isinstance(value, bool):
        node[place[-1]] = not value
    elif isinstance(value, int | float):
        node[place[-1]] = value + 1
    else:
        node[place[-1]] = f"{value}x" if isinstance(value, str) else ["x"]
    return manifest


# ---------------------------------------------------------------------- a Stripe of a few objects


class Stripe:
    """Two pages of old objects in each list, each with long lists inside; `told` events about them; refusals on demand."""

    def __init__(self, told: list[dict[str, Any]], refusals: list[Refusal]) -> None:
        self.told, self.refusals = told, refusals
        self.seen: list[tuple[Any, ...]] = []

    def answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        url = urlsplit(str(request.url))
        query = dict(sorted(parse_qs(url.query).items()))
        headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
        timeout = request.req_kwargs["timeout"]  # type: ignore[attr-defined]
        self.seen.append((f"{url.scheme}://{url.netloc}{url.path}", json.dumps(query), json.dumps(headers), timeout))
        if self.refusals:
            status, more, error = self.refusals.pop(0)
            return status, more, json.dumps({"error": error})
        return 200, {}, json.dumps(self._body(url.path, query))

    def _body(self, path: str, query: dict[str, list[str]]) -> Any:
        if path == "/v1/events":
            types, since = query.get("types[]"), int(query.get("created[gte]", ["0"])[0])
            shown = [event for event in self.told if event["created"] >= since and (not types or event["type"] in types)]
            return {"data": sorted(shown, key=lambda event: -event["created"]), "has_more": False}
        parts = path.split("/")
        if len(parts) == 4:
            return an_object(parts[2], parts[3])
        is_last = "starting_after" in query
        return {"data": [an_object(parts[2], f"{parts[-1]}_{int(is_last)}")], "has_more": not is_last}


def an_object(stream: str, id: str) -> dict[str, Any]:
    """Of no life: every list inside is cut, and it is pending."""
    entry = STREAMS.get(stream, {})
    cut = {each["field"]: {"object": "list", "data": [{"id": "x"}], "has_more": True} for each in entry.get("nested_lists", ())}
    object_ = {"id": id, "object": entry.get("object", "x"), "created": OLD, "status": "pending", "available_on": NOW - 1}
    return object_ | cut


def events_of(stream: str) -> list[dict[str, Any]]:
    """One event of each type that the stream listens to, of an object of its own."""
    entry = STREAMS[stream]
    told = [(type_, {"id": f"own_{type_}", "object": entry["object"]}) for type_ in entry.get("events", ())]
    for field, types in entry.get("changed_with", {}).items():
        told += [(type_, {"id": "other", "object": "other", field: f"named_{type_}"}) for type_ in types]
    told += [(type_, {"id": "owner", "object": owner}) for type_, owner in entry.get("announced_by", {}).items()]
    return [
        {
            "id": f"evt_{number}",
            "object": "event",
            "created": NOW - 60,
            "type": type_,
            "data": {"object": {"created": OLD} | object_},
        }
        for number, (type_, object_) in enumerate(told)
    ]


# ---------------------------------------------------------------------- what the connector does


class Doing:
    """What a connector with some manifest does, from what is looked up at once to whole syncs."""

    def __init__(self, manifest: dict[str, Any], stream: str) -> None:
        self._manifest, self._stream = manifest, stream
        self._sources: dict[str, SourceStripe] = {}
        self._jumps = Jumps()

    def steps(self) -> Iterator[Any]:
        """Each as something to be compared; what can't be done is told by its error."""
        for step in (self._shown, self._syncs, self._bad_keys, self._check, self._pace, self._refusals, self._options):
            try:
                yield step()
            except AirbyteTracedException as error:
                yield str(error.message)
            except Exception as error:
                yield f"{type(error).__name__}: {error}"

    def _source(self, **options: Any) -> SourceStripe:
        """Kept, for making one takes longer than a small sync."""
        key = json.dumps(options, sort_keys=True)
        if key not in self._sources:
            clock = Clock(lambda: float(NOW), lambda: JumpingLoop(self._jumps), seconds_between_states=0.0)
            config = {"secret_key": KEY} | options
            self._sources[key] = SourceStripe(config=config, manifest=copy.deepcopy(self._manifest), clock=clock)
        return self._sources[key]

    def _shown(self) -> Any:
        source = self._source()
        streams = {each.name: each.as_airbyte_stream() for each in source.streams({"secret_key": KEY})}
        shown = streams.get(self._stream)
        stock = ConnectorSpecificationSerializer.dump(source.spec(LOGGER))
        return stock, sorted(streams), shown and dataclasses.asdict(shown)

    def _pace(self) -> Any:
        """When fifty requests leave for one endpoint, and for several."""
        return [
            [departures(self._source(**options), endpoints) for endpoints in (1, 9)]
            for options in ({}, {"secret_key": KEY.replace("test", "live"), "num_workers": 128}, {"call_rate_limit": 200})
        ]

    def _sync(self, stripe: Stripe, state: Any = None, streams: Any = None, **options: Any) -> Any:
        began = self._jumps.seconds
        with responses.RequestsMock(assert_all_requests_are_fired=False) as web:
            web.add_callback(responses.GET, ANY, stripe.answer)
            source = self._source(**options)
            states = [AirbyteStateMessageSerializer.load(each) for each in state_of(self._stream, state)] if state else []
            records, failure = [], None
            try:
                for message in source.read(LOGGER, {"secret_key": KEY} | options, catalog(self._stream), states):
                    records += [message.record.data] if message.record else []
                    failure = message.trace.error.message if message.trace and message.trace.error else failure
            except AirbyteTracedException as error:
                failure = failure or error.message
        records = sorted(json.dumps(record, sort_keys=True) for record in records)
        return sorted(map(str, stripe.seen)), records, failure, round((self._jumps.seconds - began) / 5)

    def _refusals(self) -> Any:
        """How long each kind of refusal is tried again, and how it ends."""
        error = {"message": f"Having the 'rak_{STREAMS[self._stream]['permission']['token']}' permission would"}
        kinds: list[Refusal] = [(status, {}, error) for status in STATUSES]
        kinds += [(status, {"Stripe-Should-Retry": word}, error) for status in (400, 500) for word in ("true", "false")]
        kinds += [(400, {}, {"code": "rate_limit", "message": "no"}), (503, {"Retry-After": "77"}, error)]
        down: Refusal = (503, {}, error)
        ends = [self._sync(Stripe([], refusals))[1:] for refusals in ([kinds[3]], [kinds[-1]], [down] * 1000)]
        return [self._verdict(kind) for kind in kinds], ends

    def _verdict(self, kind: Refusal) -> Any:
        response = requests.Response()
        response.status_code, response.headers = kind[0], requests.structures.CaseInsensitiveDict(kind[1])
        response._content = json.dumps({"error": kind[2]}).encode()
        return self._source().requester._judge(response)

    def _check(self) -> Any:
        stripe = Stripe([], [])
        with responses.RequestsMock(assert_all_requests_are_fired=False) as web:
            web.add_callback(responses.GET, ANY, stripe.answer)
            status = self._source().check(LOGGER, {"secret_key": KEY})
        return status.status, status.message, sorted(map(str, stripe.seen))

    def _syncs(self) -> Any:
        told = events_of(self._stream)
        first = self._sync(Stripe([], []))
        return first, self._sync(Stripe(told, []), {"updated": str(NOW - 600)}), self._sync(Stripe(told, []), PENDING)

    def _options(self) -> Any:
        more = {
            "account_id": "acct_1",
            "start_date": "2026-01-01",
            "api_base": "https://stripe.example",
            "lookback_window_days": 2,
        }
        of_organization = {"secret_key": "sk_org_test_51H8xample", "account_id": "acct_1"}
        return (
            self._sync(Stripe([], []), {"updated": str(NOW - 600)}, **more),
            self._sync(Stripe([], []), **more),
            self._sync(Stripe([], []), **of_organization),
        )

    def _bad_keys(self) -> Any:
        return self._source().configure({"client_secret": "pk_test_51H8xample"}, "")


ANY = re.compile(r"https?://.*")
PENDING = {"created": NOW, "start": 0, "version": 2, "livemode": False, "pending": [[NOW - 1, OLD, OLD]]}


class Sender:
    """Answers at once, and keeps when it was asked."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def send(self, request: Request, trip: Trip | None = None) -> Answer:
        self.times.append(round(asyncio.get_running_loop().time(), 3))
        await asyncio.sleep(5)
        return Answer(b"{}")

    def close(self) -> None:
        """Nothing is open."""


def departures(source: SourceStripe, endpoints: int) -> list[float]:
    sender = Sender()

    async def ask() -> None:
        account = Account(sender, source._pace, source.requester._pauses(None), source._workers, lambda: NOW)
        asked = [Request(f"/v1/{number % endpoints}") for number in range(300)]
        await asyncio.gather(*(account.get(each, lambda answer: answer) for each in asked))

    in_virtual_time(ask())
    return sender.times


def catalog(stream: str) -> Any:
    return ConfiguredAirbyteCatalogSerializer.load(
        {
            "streams": [
                {
                    "stream": {"name": stream, "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]},
                    "sync_mode": "incremental",
                    "destination_sync_mode": "append",
                }
            ]
        }
    )


def state_of(stream: str, blob: dict[str, Any]) -> list[dict[str, Any]]:
    cursor = "created" if stream in ("events", "balance_transactions") else "updated"
    blob = {cursor if name in ("created", "updated") else name: value for name, value in blob.items()}
    return [{"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": blob}}]


@functools.cache
def usual(stream: str) -> list[Any]:
    return list(Doing(MANIFEST, stream).steps())


def stream_of(place: Place) -> str:
    """The stream that a place is about: its own, or one of the kind."""
    if place[0] == "streams":
        return str(MANIFEST["streams"][place[1]]["$parameters"]["name"])
    return "balance_transactions" if "immutable_stream" in place else "charges"


@pytest.mark.parametrize("place", list(leaves(MANIFEST)), ids=lambda place: ".".join(map(str, place)))
def test_whatever_is_changed_in_the_manifest_changes_what_the_connector_does(place: Place) -> None:
    stream = stream_of(place)
    steps = zip(Doing(changed(place), stream).steps(), usual(stream), strict=True)
    assert any(mine != theirs for mine, theirs in steps)


@pytest.mark.parametrize("which", ["raw", "resolved"])
def test_the_manifest_is_one_by_the_cdks_schema(which: str) -> None:
    manifest = load_manifest() if which == "raw" else SourceStripe().resolved_manifest
    validate_manifest(manifest, get_declarative_component_schema())
