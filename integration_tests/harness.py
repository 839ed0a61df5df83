"""Reading an embedded account in this process, and what an account that was read must look like."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from airbyte_cdk.models import (
    AirbyteMessage,
    AirbyteStateMessageSerializer,
    AirbyteStream,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    SyncMode,
)
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.embedded_stripe.server import Request
from source_stripe.source import SourceStripe, load_manifest
from source_stripe.sync.clock import Clock
from unit_tests.virtual_time import JumpingLoop, Jumps

NOW = 1_795_000_000
DAY = 86_400

Row = dict[str, Any]
States = dict[str, dict[str, Any]]
"""By the stream's name the state to go on from."""
Rows = dict[str, dict[str, Row]]
"""By the stream's name and the object's id."""

MANIFEST = {each["$parameters"]["name"]: each["$parameters"] for each in load_manifest()["streams"]}
ALL_STREAMS = tuple(MANIFEST)
STREAMS = (
    "balance_transactions",
    "charges",
    "coupons",
    "customers",
    "disputes",
    "events",
    "invoices",
    "payment_intents",
    "payouts",
    "plans",
    "prices",
    "products",
    "refunds",
    "subscriptions",
)
"""The first fourteen, which most users select."""
NESTED = {name: tuple(each["field"] for each in entry.get("nested_lists", ())) for name, entry in MANIFEST.items()}
"""By the stream's name the lists inside its objects that Stripe cuts short."""
IMMUTABLE = ("balance_transactions", "events")
CHANGING = tuple(name for name in STREAMS if name not in IMMUTABLE)
_SOURCES = itertools.count()


def account_clock(server: StripeServer, jumps: Jumps | None = None, ahead: int = 0) -> Clock:
    """The account's time of day, so many seconds `ahead`; a pause that nobody ends early takes none, and each state is put
    out. What was jumped over is told by `jumps`."""
    return Clock(
        now=lambda: float(server.account.now + ahead),
        new_loop=lambda: JumpingLoop(jumps),
        seconds_between_states=0.0,
    )


@dataclass
class Result:
    """What a sync brought. `states` are those to go on from: the given ones, with those of this sync in their place."""

    records: list[tuple[str, Row]] = field(default_factory=list)
    states: States = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    """By the stream's name the message of its error."""
    kinds: dict[str, str] = field(default_factory=dict)
    """By the stream's name the `failure_type` of its error."""
    failure: AirbyteTracedException | None = None
    emitted_states: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    complete: set[str] = field(default_factory=set)
    requests: list[Request] = field(default_factory=list)
    was_abandoned: bool = False

    def of(self, stream: str) -> list[Row]:
        return [row for name, row in self.records if name == stream]

    def ids(self, stream: str) -> list[str]:
        return [row["id"] for row in self.of(stream)]

    @property
    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [request.path for request in self.requests]

    def lists(self, stream: str) -> int:
        """How many pages of the stream's list were asked for."""
        return self.paths.count(f"/v1/{stream}")


class Reader:
    """Reads an account over and over, each time with nothing but the state of the time before.

    `page_size` makes small accounts have many pages.
    """

    def __init__(self, server: StripeServer, clock: Clock | None = None, page_size: int = 100, **options: Any) -> None:
        self._server = server
        self._config = {
            "secret_key": server.secret_key,
            "api_base": server.url,
            "call_rate_limit": 10_000,
            "num_workers": 8,
        } | options
        self._manifest = load_manifest()
        self._manifest["definitions"]["paginator"]["pagination_strategy"]["page_size"] = page_size
        self._clock = clock or account_clock(server)
        self._sources: dict[str, tuple[set[str], SourceStripe]] = {}
        """By the config the source, and the streams that it knows."""

    @property
    def source(self) -> SourceStripe:
        """One that knows all streams."""
        return self._source(self._config, catalog(_catalog_streams()))

    def _source(self, config: Mapping[str, Any], chosen: ConfiguredAirbyteCatalog) -> SourceStripe:
        """Kept, for making one takes longer than a small sync: one of the streams that are chosen first, of which it has far
        less to make; one of all as soon as others are chosen."""
        key = json.dumps(config)
        wanted = {each.stream.name for each in chosen.streams}
        known, source = self._sources.get(key, (set[str](), None))
        if source is None or not wanted <= known:
            known, first = (wanted, chosen) if source is None else (set(_catalog_streams()), None)
            source = SourceStripe(first, config, manifest=self._manifest, clock=self._clock)
            self._sources[key] = known, source
        return source

    def sync(
        self,
        state: Result | States | None = None,
        streams: Iterable[str] = STREAMS,
        *,
        full_refresh: bool = False,
        stop_after: int | None = None,
        **options: Any,
    ) -> Result:
        """One sync from `state`, that of an earlier result or of each stream. After `stop_after` messages nobody reads on."""
        states = dict(state.states if isinstance(state, Result) else state or {})
        result = Result(states=states)
        first_request = len(self._server.requests)
        config = self._config | options
        chosen = catalog(streams, SyncMode.full_refresh if full_refresh else SyncMode.incremental)
        messages = self._source(config, chosen).read(
            logging.getLogger("airbyte"),
            config,
            chosen,
            [AirbyteStateMessageSerializer.load(_state(name, blob)) for name, blob in states.items()],
        )
        try:
            for number, message in enumerate(messages, 1):
                _take(result, message)
                if number == stop_after:
                    result.was_abandoned = True
                    messages.close()  # type: ignore[attr-defined]
        except AirbyteTracedException as error:
            result.failure = error
        result.requests = self._server.requests[first_request:]
        return result


def catalog(streams: Iterable[str] = STREAMS, sync_mode: SyncMode = SyncMode.incremental) -> ConfiguredAirbyteCatalog:
    known = _catalog_streams()
    return ConfiguredAirbyteCatalog(
        [ConfiguredAirbyteStream(known[name], sync_mode, DestinationSyncMode.append_dedup) for name in streams]
    )


@cache
def _catalog_streams() -> dict[str, AirbyteStream]:
    return {stream.name: stream.as_airbyte_stream() for stream in SourceStripe().streams({"secret_key": "sk_test_12345678"})}


def _state(stream: str, blob: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": json.loads(json.dumps(blob))}}


def _take(result: Result, message: AirbyteMessage) -> None:
    if message.record is not None:
        result.records.append((message.record.stream, message.record.data))
    elif message.state is not None:
        stream = AirbyteStateMessageSerializer.dump(message.state)["stream"]
        name, blob = stream["stream_descriptor"]["name"], json.loads(json.dumps(stream["stream_state"]))
        result.states[name] = blob
        result.emitted_states.append((name, blob))
    elif message.trace is not None and message.trace.error is not None and message.trace.error.stream_descriptor is not None:
        name = message.trace.error.stream_descriptor.name
        result.errors[name] = message.trace.error.message
        result.kinds[name] = str(message.trace.error.failure_type)
    elif message.trace is not None and message.trace.stream_status is not None:
        status = message.trace.stream_status
        if status.status.value == "COMPLETE":
            result.complete.add(status.stream_descriptor.name)


class Destination:
    """What a destination holds: of each id the row written last or, `by_cursor`, the one with the greatest cursor, the later
    of equal ones."""

    def __init__(self, by_cursor: bool = False) -> None:
        self._by_cursor = by_cursor
        self._rows: Rows = {name: {} for name in STREAMS}

    def upsert(self, result: Result) -> None:
        for stream, row in result.records:
            known = self._rows[stream].get(row["id"])
            cursor = "created" if stream in IMMUTABLE else "updated"
            if known is None or not self._by_cursor or row[cursor] >= known[cursor]:
                self._rows[stream][row["id"]] = row

    def rows(self, stream: str) -> dict[str, Row]:
        """By their ids those that are not deleted."""
        return {id: row for id, row in self._rows[stream].items() if not row.get("is_deleted")}


def upserted(results: Iterable[Result], by_cursor: bool = False) -> Rows:
    """What a destination holds after `results`, deleted rows left out."""
    destination = Destination(by_cursor)
    for result in results:
        destination.upsert(result)
    return {name: destination.rows(name) for name in STREAMS}


def truth(account: Account, streams: Iterable[str] = STREAMS) -> Rows:
    """What the lists of the account show now, with what the connector asks for, nested lists whole."""
    return {name: account.listed(name, MANIFEST[name].get("expand", ()), NESTED[name]) for name in streams}


def plain(row: Row) -> Row:
    """A row without what the connector adds."""
    return {name: value for name, value in row.items() if name not in ("updated", "is_deleted")}


def differences(held: Mapping[str, Row], true: Mapping[str, Row]) -> list[str]:
    """What is missing, too much or stale among the rows of one stream, a line each."""
    lines = [f"missing {id}" for id in true.keys() - held.keys()] + [f"too much {id}" for id in held.keys() - true.keys()]
    for id in true.keys() & held.keys():
        mine, theirs = plain(held[id]), plain(true[id])
        if mine != theirs:
            names = [name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)]
            lines.append(f"stale {id}: " + "; ".join(f"{n}: {mine.get(n)!r:.200} for {theirs.get(n)!r:.200}" for n in names))
    return lines


def assert_holds_all(results: Iterable[Result], true: Rows) -> None:
    """The upserted records are `true`, whichever way a destination upserts. Of events, older ones may be held besides."""
    results = list(results)
    for by_cursor in (False, True):
        held = upserted(results, by_cursor)
        for stream, rows in true.items():
            mine = held[stream]
            if stream == "events":
                mine = {id: row for id, row in mine.items() if id in rows}
            assert differences(mine, rows) == [], f"{stream}, by the {'greatest cursor' if by_cursor else 'last row'}"
