"""The manifest is true: whatever is changed in it, something that the connector does changes too."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import functools
import json
import logging
import re
from collections.abc import Iterator, Sequence
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
from airbyte_cdk.sources.declarative import concurrent_declarative_source
from airbyte_cdk.sources.declarative.concurrent_declarative_source import get_declarative_component_schema, validate_manifest
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe.api.account import Account
from source_stripe.api.request import Answer, Request
from source_stripe.api.transport import Transport, Trip
from source_stripe.source import SourceStripe, load_manifest, resources
from source_stripe.sync.clock import Clock
from unit_tests.virtual_time import VirtualLoop, in_virtual_time

MANIFEST = load_manifest()
KEY = "rk_test_51H8xample00"
SOURCE = SourceStripe(config={"secret_key": KEY})
ENDPOINTS = {entry["$parameters"]["name"]: SOURCE.endpoint(entry["$parameters"]["name"]) for entry in MANIFEST["streams"]}
NOW = 1_795_000_000
OLD = NOW - 90 * 86_400
LOGGER = logging.getLogger("airbyte")
ANY = re.compile(r"https?://.*")
STATUSES = (400, 401, 402, 403, 404, 405, 408, 409, 410, 422, 425, 429, 500, 502, 503, 504)
MOST_REQUESTS = 500

NAMED = ("parents", "changed_with", "again", "announced_by", "more", "request_headers", "properties")
"""Mappings whose keys say something of their own."""


class Key(str):
    """A step to a key, not to what stands under it."""


Place = tuple[str | int, ...]
Refusal = tuple[int, dict[str, str], Any]
"""The status, headers and body of an answer."""

# ---------------------------------------------------------------------- places


def leaves(node: Any, place: Place = ()) -> Iterator[Place]:
    if place[-1:] and place[-1] in NAMED and isinstance(node, dict):
        yield from ((*place, Key(key)) for key in node)
    if isinstance(node, dict | list) and node:
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(inner, (*place, key))
    else:
        yield place


def value_at(place: Place) -> Any:
    return place[-1] if isinstance(place[-1], Key) else node_at(place, MANIFEST)


def node_at(place: Place, manifest: Any) -> Any:
    return functools.reduce(lambda node, step: node[step], place, manifest)


def another(value: Any) -> Any:
    """Another value of the same type: of a text one that is a parameter with a value, where it must be one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value - 1 if value >= 1 else value + 1
    if isinstance(value, str):
        return f"{value}x" if value else "x=x"
    return {"row": "x"} if isinstance(value, dict) else ["x"]


def changed(place: Place, value: Any) -> dict[str, Any]:
    """The manifest with that value in that place."""
    manifest = copy.deepcopy(MANIFEST)
    node, last = node_at(place[:-1], manifest), place[-1]
    if isinstance(last, Key):
        node |= {value: node.pop(last)}
    else:
        node[last] = value
    return manifest


KINDS = {
    "immutable_stream": "balance_transactions",
    "listed_stream": "payment_links",
    "small_stream": "tax_codes",
    "unpaged_stream": "report_types",
    "snapshot_stream": "balance",
    "child_stream": "bank_accounts",
    "child_of_small_stream": "external_account_cards",
}


def stream_of(place: Place) -> str:
    """The stream that a place is about: its own, or one of the kind."""
    if place[0] == "streams":
        return str(value_at((*place[:2], "$parameters", "name")))
    return next((stream for kind, stream in KINDS.items() if kind in place), "charges")


def traits(entry: Any, place: Place = ()) -> Iterator[Place]:
    """What sets an entry apart: its kind, the names of its properties at every depth, and how many parents it has."""
    if place == ():
        yield (entry["$ref"],)
    for name, inner in entry.items() if isinstance(entry, dict) else ():
        yield (*place, name, len(inner)) if name in NAMED else (*place, name)
        for item in inner if isinstance(inner, list) else [] if name in NAMED else [inner]:
            yield from traits(item, (*place, name))


def exemplary() -> set[str]:
    """A stream of each kind, and more until every trait is there."""
    traits_of = {entry["$parameters"]["name"]: set(traits(entry)) for entry in MANIFEST["streams"]}
    chosen = {"charges", *KINDS.values()}
    seen = set[Place]().union(*(traits_of[name] for name in chosen))
    for name, own in traits_of.items():
        if not own <= seen:
            seen |= own
            chosen.add(name)
    return chosen


def quick_or_thorough(places: Iterator[Place]) -> list[Any]:
    """All places but those in the entries of most streams, which are thorough."""
    quick = exemplary()
    return [
        pytest.param(
            place,
            id=".".join([*([stream_of(place)] if place[0] == "streams" else []), *map(str, place)]),
            marks=() if place[0] != "streams" or stream_of(place) in quick else pytest.mark.thorough,
        )
        for place in places
    ]


# ---------------------------------------------------------------------- a Stripe of a few objects


def family(stream: str) -> list[str]:
    """The streams that a manifest has to have for one to be read; for the events, one that can be read without them."""
    return [stream, *ENDPOINTS[stream].parents, "events", *(["files"] if stream == "events" else [])]


class Stripe:
    """Two pages of old objects in each list, each with long lists inside; `told` events about them; `refusals` that come first,
    and `own`, what the stream's own list answers in place of objects."""

    def __init__(
        self, stream: str, told: Sequence[Any] = (), refusals: Sequence[Refusal] = (), own: Refusal | None = None
    ) -> None:
        self.stream, self.told, self.refusals, self.own = stream, told, list(refusals), own
        self.seen: list[str] = []

    def answer(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
        timeout = request.req_kwargs["timeout"]  # type: ignore[attr-defined]
        at = round(asyncio.get_running_loop().time(), 3)
        self.seen.append(f"{at} {request.url} {headers} {timeout}")
        status, more, body = self._answer(urlsplit(str(request.url)))
        return status, more, json.dumps(body)

    def _answer(self, url: Any) -> Refusal:
        if len(self.seen) > MOST_REQUESTS:
            return 404, {}, {"error": {"message": "enough"}}
        if self.refusals:
            return self.refusals.pop(0)
        if self.own is not None and any(re.fullmatch(path, url.path) for path in own_paths(self.stream)):
            return self.own
        return 200, {}, self._body(url.path, parse_qs(url.query))

    def _body(self, path: str, query: dict[str, list[str]]) -> Any:
        if path == "/v1/events" and self.told:
            types, since = query.get("types[]"), int(query.get("created[gte]", ["0"])[0])
            shown = [event for event in self.told if event["created"] >= since and (not types or event["type"] in types)]
            return {"data": shown, "has_more": False}
        for name in family(self.stream):
            endpoint = ENDPOINTS[name]
            if path == endpoint.path and endpoint.kind == "snapshot":
                return self.an_object(name, "snapshot")
            if path == endpoint.path and endpoint.kind != "child":
                return self._page(query, lambda id, name=name: self.an_object(name, id))
            if re.fullmatch(f"{endpoint.path}/[^/]+", path):
                return self.an_object(name, path.rpartition("/")[2])
        return self._page(query, self.an_item)

    def _page(self, query: dict[str, list[str]], make: Any) -> Any:
        has_more = "limit" in query and "starting_after" not in query
        return {"data": [make("first" if has_more else "last")], "has_more": has_more}

    def an_object(self, name: str, id: str) -> dict[str, Any]:
        """Of no life: every list inside is cut, children are in it, and it is pending."""
        endpoint, child = ENDPOINTS[name], ENDPOINTS[self.stream]
        object_ = {"id": id, "object": endpoint.object, endpoint.created: OLD, "status": "pending", "available_on": NOW - 1}
        lists = list(endpoint.nested_lists)
        if name in child.parents:
            lists += child.nested_lists
            object_ |= {child.parents[name]: [self.an_item(f"{id}_shown")]}
        if name in child.parents and child.walk is not None:
            object_ |= {child.walk.having: id != "last"} | {field: f"{id}_{field}" for field in child.walk.more.values()}
        cut = {each.field: {"object": "list", "data": [self.an_item(f"{id}_shown")], "has_more": True} for each in lists}
        return object_ | cut

    def an_item(self, id: str) -> dict[str, Any]:
        """Something in a list inside an object: a child, if the stream's objects are children."""
        return {"id": id, "object": ENDPOINTS[self.stream].object, "created": OLD}


def own_paths(stream: str) -> list[str]:
    """Of the lists that the stream is read from, as patterns."""
    endpoint = ENDPOINTS[stream]
    is_cut = endpoint.kind == "child" and endpoint.walk is None
    paths = [ENDPOINTS[parent].path for parent in endpoint.parents] if is_cut else [endpoint.path]
    return [path.replace("{id}", "[^/]+") for path in paths]


def events_of(stream: str) -> list[dict[str, Any]]:
    """One event of each type that the stream listens to, of an object of its own, in each way in which it does."""
    told = [one for name in (ENDPOINTS[stream].parents or [stream]) for one in _told_of(stream, name)]
    told += _told_of_children(stream)
    return [
        {
            "id": f"evt_{number}",
            "object": "event",
            "created": NOW - 60,
            "type": type_,
            "data": {"object": {"created": OLD} | object_, "previous_attributes": _previous(stream)},
        }
        for number, (type_, object_) in enumerate(told)
    ]


def _told_of(stream: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    endpoint, stripe = ENDPOINTS[name], Stripe(stream)
    for type_ in endpoint.events:
        yield type_, stripe.an_object(name, f"own_{type_}")
    for field, types in endpoint.changed_with.items():
        for type_ in types:
            yield type_, {"id": "other", "object": "other"} | _at(field, f"named_{type_}")
    for type_, owner in endpoint.announced_by.items():
        yield type_, {"id": "owner", "object": owner}


def _told_of_children(stream: str) -> Iterator[tuple[str, dict[str, Any]]]:
    child = ENDPOINTS[stream]
    owners = [child.parent_field] if len(child.parents) == 1 else [ENDPOINTS[parent].object for parent in child.parents]
    for type_ in child.events if child.parents else ():
        yield type_, {"id": f"child_{type_}", "object": child.object} | dict.fromkeys(owners, f"parent_{type_}")
    for field, types in child.walk.again.items() if child.walk is not None else ():
        for type_ in types:
            yield type_, {"id": "other", "object": "other"} | _at(field, f"walked_{type_}")


def _previous(stream: str) -> dict[str, Any]:
    """What an object had before: a child that it has no more."""
    child, gone = ENDPOINTS[stream], Stripe(stream).an_item("gone")
    fields = [child.walk.previous] if child.walk is not None else child.parents.values()
    return {field: {"data": [gone]} for field in fields}


def _at(field: str, value: Any) -> dict[str, Any]:
    """An object with that value in a dotted `field`."""
    first, _, rest = field.partition(".")
    return {first: _at(rest, value) if rest else value}


# ---------------------------------------------------------------------- what the connector does


class Doing:
    """What a connector with some manifest does, from whole syncs of one stream to what is looked up at once."""

    def __init__(self, manifest: dict[str, Any], stream: str) -> None:
        own = [
            entry
            for entry, is_own in zip(manifest["streams"], MANIFEST["streams"], strict=True)
            if is_own["$parameters"]["name"] in family(stream)
        ]
        self._manifest, self._stream = {**manifest, "streams": own}, stream
        self._sources: dict[str, SourceStripe] = {}
        self._loops: list[VirtualLoop] = []

    STEPS = ("syncs", "shown", "refused_checks", "refused_syncs", "bad_keys", "options", "verdicts", "pace")

    def step(self, name: str) -> Any:
        """Something to be compared; what can't be done is told by its error."""
        try:
            return getattr(self, name)()
        except AirbyteTracedException as error:
            return str(error.message)
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def _new_loop(self) -> VirtualLoop:
        self._loops.append(VirtualLoop())
        return self._loops[-1]

    def _source(self, **options: Any) -> SourceStripe:
        """Kept, for making one takes longer than a small sync."""
        key = json.dumps(options, sort_keys=True)
        if key not in self._sources:
            clock = Clock(lambda: float(NOW), self._new_loop, seconds_between_states=0.0)
            config = {"secret_key": KEY} | options
            self._sources[key] = SourceStripe(config=config, manifest=copy.deepcopy(self._manifest), clock=clock)
        return self._sources[key]

    def _sync(self, stripe: Stripe, state: Any = None, **options: Any) -> Any:
        """What is asked, and when; what comes out; the trouble told; how long it takes."""
        records, failures, source = [], [], self._source(**options)
        states = [AirbyteStateMessageSerializer.load(each) for each in state_of(self._stream, state)]
        with asked(stripe), warnings() as told:
            try:
                for message in source.read(LOGGER, {"secret_key": KEY} | options, catalog(self._stream), states):
                    records += [message.record.data] if message.record else []
                    failures += [message.trace.error.message] if message.trace and message.trace.error else []
            except AirbyteTracedException as error:
                failures.append(error.message)
        told = [each for each in told if "does not declare" not in each]  # One kind of object stands for all, of any schema.
        return stripe.seen, records, failures, told, self._loops[-1].time() if self._loops else 0

    def _check(self, stripe: Stripe) -> Any:
        with asked(stripe), warnings() as told:
            status = self._source().check(LOGGER, {"secret_key": KEY})
        return status.status, status.message, stripe.seen, told

    # ------------------------------------------------------------------ steps

    def syncs(self) -> Any:
        """The first, a later one, and one that has more of history to read, and balance transactions to settle."""
        told = events_of(self._stream)
        yet = [self._sync(Stripe(self._stream))]
        if ENDPOINTS[self._stream].cursor_field:
            yet.append(self._sync(Stripe(self._stream, told), FOREIGN))
        if ENDPOINTS[self._stream].kind in ("changing", "immutable"):
            pending = PENDING if ENDPOINTS[self._stream].settles else {}
            yet.append(self._sync(Stripe(self._stream), INTERRUPTED | pending))
        return yet

    def shown(self) -> Any:
        source = self._source()
        streams = [dataclasses.asdict(each.as_airbyte_stream()) for each in source.streams({"secret_key": KEY})]
        return ConnectorSpecificationSerializer.dump(source.spec(LOGGER)), streams

    def refused_checks(self) -> Any:
        """Checks that find everything readable, and that meet each kind of answer that is none."""
        return [self._check(Stripe(self._stream, own=own)) for own in (None, *OWN)]

    def refused_syncs(self) -> Any:
        """How each kind of answer that is none ends, and how long Stripe's own wish and being down are waited for."""
        own = [self._sync(Stripe(self._stream, own=each)) for each in OWN]
        refusals: tuple[list[Refusal], ...] = (
            [(403, {}, DENIED)],
            [(503, {"Retry-After": "77"}, DENIED)],
            [(503, {}, DENIED)] * MOST_REQUESTS,
        )
        return own, [self._sync(Stripe(self._stream, refusals=each)) for each in refusals]

    def bad_keys(self) -> Any:
        return self._source().configure({"client_secret": "pk_test_51H8xample"}, "")

    def options(self) -> Any:
        more = {
            "account_id": "acct_1",
            "start_date": "2026-01-01",
            "api_base": "https://stripe.example",
            "lookback_window_days": 2,
        }
        of_organization = {"secret_key": "sk_org_test_51H8xample00", "account_id": "acct_1"}
        yet = [self._sync(Stripe(self._stream), state, **more) for state in (None, FOREIGN)]
        return [*yet, self._sync(Stripe(self._stream), **of_organization)]

    def verdicts(self) -> Any:
        """What becomes of each kind of refusal."""
        kinds: list[Refusal] = [(status, {}, DENIED) for status in STATUSES]
        kinds += [(status, {"Stripe-Should-Retry": word}, DENIED) for status in (400, 500) for word in ("true", "false")]
        kinds += [(400, {}, {"error": {"code": "rate_limit"}}), (503, {"Retry-After": "77"}, DENIED)]
        return [self._source().requester._judge(response(*kind)) for kind in kinds]

    def pace(self) -> Any:
        """When a hundred requests leave for one endpoint, and for several."""
        return [
            [departures(self._source(**options), endpoints) for endpoints in (1, 9)]
            for options in ({}, {"secret_key": KEY.replace("test", "live"), "num_workers": 128}, {"call_rate_limit": 200})
        ]


FOREIGN = {"followed": str(NOW - 600)}
INTERRUPTED = {
    "followed": NOW,
    "start": 0,
    "version": 2,
    "livemode": False,
    "unread": [[OLD - 1, OLD + 1]],
}
PENDING = {"pending": [[NOW - 1, OLD, OLD]]}
DENIED = {"error": {"message": "Having more permissions would allow this."}}
OWN: tuple[Refusal, ...] = (
    (403, {}, DENIED),
    (400, {}, {"error": {"message": "Your account is not set up to use this."}}),
    (200, {}, {"data": [{"object": "thing"}], "has_more": False}),
    (200, {}, []),
)
"""A key without the permission, an account without the product, an object without an id, and no object at all."""


def asked(stripe: Stripe) -> Any:
    """Every request goes to this Stripe."""
    web = responses.RequestsMock(assert_all_requests_are_fired=False)
    web.add_callback(responses.GET, ANY, stripe.answer)
    return web


class warnings(logging.Handler):
    """The lines of the log that tell of trouble."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __enter__(self) -> list[str]:
        LOGGER.addHandler(self)
        return self.lines

    def __exit__(self, *error: object) -> None:
        LOGGER.removeHandler(self)


def response(status: int, headers: dict[str, str], body: Any) -> requests.Response:
    made = requests.Response()
    made.status_code, made.headers = status, requests.structures.CaseInsensitiveDict(headers)
    made._content = json.dumps(body).encode()
    return made


class Sender:
    """Answers after five seconds, and keeps when it was asked."""

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


def state_of(stream: str, blob: dict[str, Any] | None) -> list[dict[str, Any]]:
    """`followed` stands under the name of the cursor."""
    if blob is None:
        return []
    cursor = ENDPOINTS[stream].cursor_field or ""
    blob = {cursor if name == "followed" else name: value for name, value in blob.items()}
    return [{"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": blob}}]


# ---------------------------------------------------------------------- the tests


@pytest.fixture(autouse=True)
def cheap_and_timeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CDK's schema is loaded once, the log is not written, and a request is answered where it is sent: so time is only
    what is waited for."""
    monkeypatch.setattr(concurrent_declarative_source, "get_declarative_component_schema", cdks_schema)
    monkeypatch.setattr(Transport, "send", answered_at_once)
    monkeypatch.setattr(LOGGER, "handlers", [])
    monkeypatch.setattr(LOGGER, "propagate", False)


cdks_schema = functools.cache(get_declarative_component_schema)


async def answered_at_once(self: Transport, request: Request, trip: Trip | None = None) -> Answer:
    return self._send(request, trip)


@functools.cache
def usual(stream: str) -> Doing:
    return Doing(MANIFEST, stream)


@functools.cache
def usual_step(stream: str, step: str) -> Any:
    return usual(stream).step(step)


def has_effect(place: Place, value: Any) -> bool:
    stream = stream_of(place)
    doing = Doing(changed(place, value), stream)
    return any(doing.step(step) != usual_step(stream, step) for step in Doing.STEPS)


UNREAD = [("version",)]
"""The CDK's schema demands it, and neither the CDK nor the connector makes anything of it."""


@pytest.mark.parametrize("place", quick_or_thorough(place for place in leaves(MANIFEST) if place not in UNREAD))
def test_whatever_is_changed_in_the_manifest_changes_what_the_connector_does(place: Place) -> None:
    assert has_effect(place, another(value_at(place)))


WORDS = {
    "BearerAuthenticator": "NoAuth",
    "CustomBackoffStrategy": "ExponentialBackoffStrategy",
    "CustomPaginationStrategy": "PageIncrement",
    "CustomRequester": "HttpRequester",
    "CustomRetriever": "SimpleRetriever",
    "DatetimeBasedCursor": "IncrementingCountCursor",
    "DefaultErrorHandler": "CompositeErrorHandler",
    "DefaultPaginator": "NoPagination",
    "FAIL": "RETRY",
    "JsonFileSchemaLoader": "InlineSchemaLoader",
    "MovingWindowCallRatePolicy": "UnlimitedCallRatePolicy",
    "NoPagination": "DefaultPaginator",
    "RATE_LIMITED": "RETRY",
    "RETRY": "FAIL",
    "WaitTimeFromHeader": "WaitUntilTimeFromHeader",
    "changing": "immutable",
    "child": "small",
    "immutable": "changing",
    "listed": "small",
    "request_parameter": "header",
    "small": "snapshot",
    "snapshot": "small",
}
"""Words of the CDK, and kinds of stream, each with another that could stand in its place."""


@pytest.mark.parametrize(
    "place", quick_or_thorough(place for place in leaves(MANIFEST) if place[0] != "streams" and str(value_at(place)) in WORDS)
)
def test_another_word_of_the_cdk_is_another_thing_to_do(place: Place) -> None:
    assert has_effect(place, WORDS[value_at(place)])


EACH_STREAM = quick_or_thorough(("streams", number) for number in range(len(MANIFEST["streams"])))


@pytest.mark.parametrize("place", EACH_STREAM)
def test_an_unchanged_manifest_does_the_same_again(place: Place) -> None:
    stream = stream_of(place)
    steps = Doing.STEPS if stream == "charges" else Doing.STEPS[:-1]  # The pace is nothing of a stream's.
    assert [Doing(MANIFEST, stream).step(step) for step in steps] == [usual_step(stream, step) for step in steps]


@pytest.mark.parametrize("place", EACH_STREAM)
def test_with_the_manifest_as_it_is_all_syncs_bring_records_and_none_fails(place: Place) -> None:
    syncs = usual_step(stream_of(place), "syncs")
    assert [(failures, told) for _, _, failures, told, _ in syncs] == [([], [])] * len(syncs)
    assert all(records for _, records, *_ in syncs)


def test_the_manifest_is_written_for_the_oldest_cdk_that_is_allowed() -> None:
    project = (resources() / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"airbyte-cdk>={MANIFEST["version"]},' in project


def test_the_manifest_is_one_by_the_cdks_schema() -> None:
    validate_manifest(SourceStripe().resolved_manifest, cdks_schema())


def test_so_it_is_as_it_stands() -> None:
    validate_manifest(MANIFEST, cdks_schema())


def test_each_stream_has_the_retriever_of_its_kind() -> None:
    kinds = {(entry["$ref"] + "/retriever", entry["retriever"]["$ref"]) for entry in MANIFEST["streams"]}
    assert [pair for pair in kinds if pair[0] != pair[1]] == []
