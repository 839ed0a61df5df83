"""The source: what it shows of itself, whose configuration counts, and what its manifest says of every stream.

`snapshots/` holds `spec` and the catalog as a user sees them. After a change that is wanted, write them anew and look at
the difference: `make snapshots`.
"""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qsl

import pytest
import responses
import stripe
from airbyte_cdk.models import (
    AirbyteStateMessageSerializer,
    ConfiguredAirbyteCatalogSerializer,
    ConnectorSpecificationSerializer,
    FailureType,
    Status,
)
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe.api.errors import StripeError
from source_stripe.api.request import Answer
from source_stripe.source import SourceStripe, load_manifest, resources
from source_stripe.sync.output import Page

LOGGER = logging.getLogger("airbyte")
KEY, OTHER_KEY = "rk_test_51H8first", "rk_test_51H8second"
BASE = "https://stripe.example"
ANY = re.compile(rf"{BASE}/v1/.*")
EMPTY = {"object": "list", "data": [], "has_more": False}
ENTRIES: dict[str, dict[str, Any]] = {entry["$parameters"]["name"]: entry["$parameters"] for entry in load_manifest()["streams"]}
SOURCE = SourceStripe(config={"secret_key": KEY})
ENDPOINTS = {name: SOURCE.endpoint(name) for name in ENTRIES}
STRIPES_TYPES = get_args(stripe.Event.__annotations__["type"])


def catalog(*streams: str, mode: str = "incremental") -> Any:
    return ConfiguredAirbyteCatalogSerializer.load(
        {
            "streams": [
                {
                    "stream": {"name": name, "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]},
                    "sync_mode": mode,
                    "destination_sync_mode": "append",
                }
                for name in streams
            ]
        }
    )


def assert_unchanged(name: str, shown: Any) -> None:
    file = Path(__file__).parent / "snapshots" / f"{name}.json"
    if os.environ.get("RENEW_SNAPSHOTS"):
        file.write_text(json.dumps(shown, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert shown == json.loads(file.read_text(encoding="utf-8"))


# ---------------------------------------------------------------------- what a user sees


def test_the_spec_is_that_of_the_snapshot() -> None:
    assert_unchanged("spec", ConnectorSpecificationSerializer.dump(SourceStripe().spec(LOGGER)))


def test_the_catalog_is_that_of_the_snapshot_and_shows_each_schema_whole() -> None:
    streams = [stream.as_airbyte_stream() for stream in SourceStripe().streams({"secret_key": KEY})]
    for stream in streams:
        assert stream.json_schema == json.loads((resources() / f"schemas/{stream.name}.json").read_text(encoding="utf-8"))
    # The schemas are files of their own: a change of theirs shows there.
    assert_unchanged(
        "catalog",
        [
            {
                "name": stream.name,
                "supported_sync_modes": [mode.value for mode in stream.supported_sync_modes],
                "source_defined_cursor": stream.source_defined_cursor,
                "default_cursor_field": stream.default_cursor_field,
                "source_defined_primary_key": stream.source_defined_primary_key,
                "is_resumable": stream.is_resumable,
            }
            for stream in streams
        ],
    )


def test_only_the_key_is_required_and_it_alone_is_a_secret() -> None:
    shown = SourceStripe().spec(LOGGER).connectionSpecification
    assert shown["required"] == ["secret_key"]
    assert [name for name, option in shown["properties"].items() if option.get("airbyte_secret")] == ["secret_key"]


def test_discovery_shows_all_streams_and_asks_nobody() -> None:
    with responses.RequestsMock():
        shown = SourceStripe().discover(LOGGER, {"secret_key": KEY})
    assert [stream.name for stream in shown.streams] == list(ENTRIES)


# ---------------------------------------------------------------------- whose configuration counts


def keys_and_hosts() -> set[tuple[str | None, str | None]]:
    return {(call.request.headers["Authorization"], call.request.url.split("/v1")[0]) for call in responses.calls}  # type: ignore[union-attr]


@pytest.mark.parametrize("constructed", [None, {"secret_key": KEY}, {"secret_key": KEY, "api_base": "https://other.example"}])
@responses.activate
def test_check_asks_with_the_configuration_that_it_is_given(constructed: dict[str, Any] | None) -> None:
    responses.get(ANY, json=EMPTY)
    status = SourceStripe(config=constructed).check(LOGGER, {"secret_key": OTHER_KEY, "api_base": BASE})
    assert status.status == Status.SUCCEEDED
    assert keys_and_hosts() == {(f"Bearer {OTHER_KEY}", BASE)}


@pytest.mark.parametrize("constructed", [None, {"secret_key": KEY}, {"secret_key": KEY, "api_base": "https://other.example"}])
@responses.activate
def test_read_asks_with_the_configuration_that_it_is_given(constructed: dict[str, Any] | None) -> None:
    responses.get(ANY, json=EMPTY)
    list(SourceStripe(config=constructed).read(LOGGER, {"secret_key": OTHER_KEY, "api_base": BASE}, catalog("payouts")))
    assert keys_and_hosts() == {(f"Bearer {OTHER_KEY}", BASE)}


@responses.activate
def test_read_goes_on_from_the_state_that_it_is_given() -> None:
    responses.get(ANY, json=EMPTY)
    state = AirbyteStateMessageSerializer.load(
        {"type": "STREAM", "stream": {"stream_descriptor": {"name": "events"}, "stream_state": {"created": "1795000000"}}}
    )
    list(SourceStripe().read(LOGGER, {"secret_key": KEY, "api_base": BASE}, catalog("events"), [state]))
    assert "created%5Bgte%5D=1794999400" in str(responses.calls[0].request.url)


@responses.activate
def test_a_full_refresh_begins_at_the_beginning_whatever_the_state() -> None:
    responses.get(ANY, json=EMPTY)
    state = AirbyteStateMessageSerializer.load(
        {"type": "STREAM", "stream": {"stream_descriptor": {"name": "events"}, "stream_state": {"created": "1795000000"}}}
    )
    list(SourceStripe().read(LOGGER, {"secret_key": KEY, "api_base": BASE}, catalog("events", mode="full_refresh"), [state]))
    assert "created" not in str(responses.calls[0].request.url)


def test_a_configuration_is_not_changed_in_the_callers_hands() -> None:
    config = {"client_secret": KEY, "account_id": ""}
    assert SourceStripe().configure(config, "") == {"secret_key": KEY}
    assert config == {"client_secret": KEY, "account_id": ""}


@pytest.mark.parametrize("method", ["check", "configure", "read"])
def test_a_configuration_that_can_not_be_used_is_refused_everywhere(method: str) -> None:
    source, config = SourceStripe(), {"secret_key": "pk_test_51H8xample"}
    calls: dict[str, Any] = {
        "check": lambda: source.check(LOGGER, config),
        "configure": lambda: source.configure(config, ""),
        "read": lambda: list(source.read(LOGGER, config, catalog("events"))),
    }
    with pytest.raises(AirbyteTracedException, match="publishable key") as caught:
        calls[method]()
    assert caught.value.failure_type == FailureType.config_error


def test_a_stream_that_does_not_exist_is_a_config_error() -> None:
    with pytest.raises(AirbyteTracedException, match="asks for the stream refund, which does not exist") as caught:
        list(SourceStripe().read(LOGGER, {"secret_key": KEY}, catalog("refund")))
    assert caught.value.failure_type == FailureType.config_error


def test_a_state_that_can_not_be_used_is_a_config_error_before_anything_is_sent() -> None:
    state = AirbyteStateMessageSerializer.load(
        {"type": "STREAM", "stream": {"stream_descriptor": {"name": "events"}, "stream_state": {"created": "soon"}}}
    )
    with responses.RequestsMock(), pytest.raises(AirbyteTracedException, match="The state of the stream events can't be used"):
        list(SourceStripe().read(LOGGER, {"secret_key": KEY}, catalog("events"), [state]))


def test_a_catalog_without_streams_asks_nobody() -> None:
    with responses.RequestsMock():
        assert list(SourceStripe().read(LOGGER, {"secret_key": KEY}, catalog())) == []


@responses.activate
def test_the_launcher_gets_pages_and_anybody_else_messages() -> None:
    coupon = {"id": "A", "object": "coupon", "created": 1_700_000_000}
    responses.get(f"{BASE}/v1/coupons", json={**EMPTY, "data": [coupon]})
    responses.get(f"{BASE}/v1/events", json=EMPTY)
    source, config = SourceStripe(), {"secret_key": KEY, "api_base": BASE}
    (page,) = (item for item in source.read_pages(config, catalog("coupons")) if isinstance(item, Page))
    (message,) = (item for item in source.read(LOGGER, config, catalog("coupons")) if item.record)
    assert (page.count, message.record.data if message.record else None) == (1, coupon | {"updated": 1_700_000_000})


# ---------------------------------------------------------------------- the manifest


def test_the_stock_source_loads_the_manifest_without_complaint(caplog: pytest.LogCaptureFixture) -> None:
    stock = ConcurrentDeclarativeSource(catalog=None, config={"secret_key": KEY}, state=None, source_config=load_manifest())
    assert [stream.name for stream in stock.streams({"secret_key": KEY})] == list(ENTRIES)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_streams_are_in_alphabetical_order() -> None:
    assert list(ENTRIES) == sorted(ENTRIES)


@responses.activate
def test_check_tries_every_stream() -> None:
    responses.get(ANY, json=EMPTY)
    SourceStripe().check(LOGGER, {"secret_key": KEY, "api_base": BASE})
    asked = {str(call.request.url).removeprefix(BASE).split("?")[0] for call in responses.calls}
    assert asked == {endpoint.path for endpoint in ENDPOINTS.values() if endpoint.kind != "child"}


@pytest.mark.parametrize("stream", ENTRIES)
def test_what_a_stream_declares_reaches_its_endpoint(stream: str) -> None:
    endpoint, entry = ENDPOINTS[stream], dict(ENTRIES[stream])
    walk = entry.pop("walk", {})
    assert endpoint.permission == entry.pop("permission").get("row", "")
    assert endpoint.path == entry.pop("path", walk.get("path", f"/v1/{stream}"))
    assert [each.field for each in endpoint.nested_lists] == [each["field"] for each in entry.pop("nested_lists", [])]
    assert endpoint.passes == [dict(parse_qsl(each)) for each in entry.pop("passes", [""])]
    assert {name: getattr(endpoint.walk, name) for name in walk} == walk
    parents = entry.pop("parents", {})
    assert endpoint.parents == (dict.fromkeys(parents, "") if walk else parents)
    assert {name: getattr(endpoint, name) for name in entry} == entry


@pytest.mark.parametrize("stream", ENTRIES)
def test_a_key_needs_a_row_and_its_token_or_stripe_names_neither(stream: str) -> None:
    assert ENTRIES[stream]["permission"].keys() in ({"row", "token"}, {"row"}, set())


@pytest.mark.parametrize("stream", ENTRIES)
def test_the_cursor_is_updated_where_events_tell_of_changes(stream: str) -> None:
    cursors = {"changing": "updated", "listed": "updated", "immutable": "created", "small": None, "snapshot": None}
    endpoint = ENDPOINTS[stream]
    parents = {cursors[ENDPOINTS[parent].kind] for parent in endpoint.parents}
    assert {endpoint.cursor_field} == (parents or {cursors[endpoint.kind]})


@pytest.mark.parametrize("stream", ENTRIES)
def test_every_type_of_event_that_is_listened_to_is_one_of_stripes(stream: str) -> None:
    endpoint = ENDPOINTS[stream]
    named = [*endpoint.events, *endpoint.announced_by]
    named += [type_ for types in endpoint.changed_with.values() for type_ in types]
    named += [type_ for types in (endpoint.walk.again.values() if endpoint.walk else ()) for type_ in types]
    assert set(named) <= set(STRIPES_TYPES)
    assert len(named) == len(set(named))


# What stands before the last word of the types of event that carry an object; by default the object's name.
FAMILIES = {
    "disputes": "charge.dispute",
    "subscriptions": "customer.subscription",
    "authorizations": "issuing_authorization",
    "cardholders": "issuing_cardholder",
    "cards": "issuing_card",
    "issuing_disputes": "issuing_dispute",
    "transactions": "issuing_transaction",
    "sigma_scheduled_query_runs": "sigma.scheduled_query_run",
}
# The preview of an invoice and of a quote that expires are stored nowhere, and what is about to be asked of an authorization.
NOT_FOLLOWED = {"invoice.upcoming"}
# What Stripe called refund.updated before.
BESIDES = {"refunds": {"charge.refund.updated"}}
TOLD = [name for name, endpoint in ENDPOINTS.items() if endpoint.events and endpoint.kind != "child"]


@pytest.mark.parametrize("stream", TOLD)
def test_a_stream_that_changes_listens_to_every_type_of_its_objects(stream: str) -> None:
    family = FAMILIES.get(stream, ENTRIES[stream]["object"])
    stripes = {type_ for type_ in STRIPES_TYPES if type_.rpartition(".")[0] == family}
    assert set(ENTRIES[stream]["events"]) == stripes - NOT_FOLLOWED | BESIDES.get(stream, set())


@pytest.mark.parametrize("stream", TOLD)
def test_every_deletion_that_stripe_tells_of_is_one_but_a_cancellation(stream: str) -> None:
    told = [type_ for type_ in ENTRIES[stream]["events"] if type_.endswith(".deleted")]
    assert ENTRIES[stream].get("deleted_by", "") == ("" if stream == "subscriptions" else "".join(told))


@pytest.mark.parametrize(
    ("stream", "query"),
    [
        ("subscriptions", "/v1/subscriptions?status=all&expand%5B%5D=data.discounts&created%5Blte%5D=9&limit=100"),
        ("customers", "/v1/customers?created%5Blte%5D=9&limit=100"),
        ("plans", "/v1/plans?expand%5B%5D=data.tiers&created%5Blte%5D=9&limit=100"),
    ],
)
def test_a_list_is_asked_for_with_what_it_would_leave_out(stream: str, query: str) -> None:
    assert ENDPOINTS[stream].list_request(None, 9, None).target == query


def test_an_answer_that_is_no_object_is_told_by_what_it_should_be() -> None:
    with pytest.raises(StripeError, match=r"has a shape that can't be read: it is no balance$"):
        ENDPOINTS["balance"].snapshot(Answer(b"[]"))


def test_archived_prices_are_asked_for_besides_the_active_ones() -> None:
    targets = [ENDPOINTS["prices"].list_request(5, None, "price_1", turn).target for turn in (0, 1)]
    rest = "&expand%5B%5D=data.tiers&expand%5B%5D=data.currency_options&created%5Bgte%5D=5&starting_after=price_1&limit=100"
    assert targets == [f"/v1/prices?active={active}{rest}" for active in ("true", "false")]
