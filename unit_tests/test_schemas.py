"""What holds of the schema of every stream in the manifest, of whatever kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from tools.entries import streams_of

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = yaml.safe_load((ROOT / "manifest.yaml").read_text(encoding="utf-8"))
STREAMS = {stream.name: stream for stream in streams_of(MANIFEST)}
PARAMETERS = {entry["$parameters"]["name"]: entry["$parameters"] for entry in MANIFEST["streams"]}
CHANGING = [stream.name for stream in STREAMS.values() if stream.changing]
IMMUTABLE = [stream.name for stream in STREAMS.values() if stream.kind == "immutable_stream"]
# A child's parent is asked for what the child expands, and need not show it.
EXPANDED = [(stream.name, field) for stream in STREAMS.values() if not stream.cut_from for field in sorted(stream.expand)]
CREATED = [
    (name, PARAMETERS[name].get("created", "created"))
    for name, stream in STREAMS.items()
    if stream.kind in ("changing_stream", "immutable_stream")
]

Schema = dict[str, Any]


def schema_of(stream: str) -> Schema:
    schema: Schema = json.loads((ROOT / f"schemas/{stream}.json").read_text(encoding="utf-8"))
    return schema


def parts_of(schema: Schema, path: str = "$") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from parts_of(inner, f"{path}.{name}")
    if "items" in schema:
        yield from parts_of(schema["items"], f"{path}[*]")


def test_every_schema_belongs_to_a_stream_and_every_stream_has_one() -> None:
    assert sorted(file.stem for file in (ROOT / "schemas").glob("*")) == sorted(STREAMS)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_schema_is_valid_draft_07(stream: str) -> None:
    assert schema_of(stream)["$schema"] == "http://json-schema.org/draft-07/schema#"
    Draft7Validator.check_schema(schema_of(stream))


@pytest.mark.parametrize("stream", STREAMS)
def test_only_the_record_and_its_primary_key_are_never_null(stream: str) -> None:
    never_null = {path: part["type"] for path, part in parts_of(schema_of(stream)) if "null" not in part["type"]}
    assert never_null == {"$": "object", **{f"$.{name}": "string" for name in STREAMS[stream].primary_key}}


@pytest.mark.parametrize("stream", STREAMS)
def test_a_schema_holds_types_and_structure_and_nothing_else(stream: str) -> None:
    keywords = {keyword for _, part in parts_of(schema_of(stream)) for keyword in part}
    assert keywords <= {"$schema", "type", "properties", "items", "additionalProperties"}


@pytest.mark.parametrize("stream", STREAMS)
def test_every_object_is_open_and_every_array_says_of_what(stream: str) -> None:
    for path, part in parts_of(schema_of(stream)):
        assert ("object" in part["type"]) == (part.get("additionalProperties") is True), path
        assert ("array" in part["type"]) == ("items" in part), path


@pytest.mark.parametrize("stream", STREAMS)
def test_every_record_tells_what_it_is(stream: str) -> None:
    assert schema_of(stream)["properties"]["object"]["type"] in (["null", "string"], "string")


@pytest.mark.parametrize(("stream", "created"), CREATED)
def test_a_record_tells_when_it_was_created_where_its_list_is_read_by_that(stream: str, created: str) -> None:
    assert schema_of(stream)["properties"][created] == {"type": ["null", "integer"]}


def test_every_child_tells_whose_it_is() -> None:
    fields = {stream.name: stream.parent_field for stream in STREAMS.values() if stream.parent_field}
    assert not {name for name, field in fields.items() if "string" not in schema_of(name)["properties"][field]["type"]}


@pytest.mark.parametrize("stream", CHANGING)
def test_a_changing_stream_shows_changes_and_deletions(stream: str) -> None:
    properties = schema_of(stream)["properties"]
    assert properties["updated"] == {"type": ["null", "integer"]}
    assert properties["is_deleted"] == {"type": ["null", "boolean"]}


@pytest.mark.parametrize("stream", IMMUTABLE)
def test_an_immutable_stream_has_no_field_of_changes(stream: str) -> None:
    assert not {"updated", "is_deleted"} & set(schema_of(stream)["properties"])


@pytest.mark.parametrize("stream", STREAMS)
def test_a_schema_is_small_enough_to_load_at_every_start(stream: str) -> None:
    assert (ROOT / f"schemas/{stream}.json").stat().st_size < 64_000


def test_the_catalog_of_all_streams_stays_small() -> None:
    schemas = [json.dumps(schema_of(stream), separators=(",", ":")) for stream in STREAMS]
    assert sum(map(len, schemas)) < 1_400_000


@pytest.mark.parametrize(
    ("stream", "path"),
    [
        ("charges", "$.refunds.data[*].amount"),
        ("coupons", "$.applies_to.products[*]"),
        ("invoices", "$.discounts[*].source.coupon"),
        ("invoices", "$.lines.data[*].pricing.price_details.price"),
        ("invoices", "$.payments.data[*].payment.payment_intent"),
        ("plans", "$.tiers[*].up_to"),
        ("prices", "$.tiers[*].up_to"),
        ("subscriptions", "$.discounts[*].promotion_code"),
        ("subscriptions", "$.items.data[*].price.product"),
    ],
)
def test_what_a_stream_asks_for_is_shown_whole(stream: str, path: str) -> None:
    assert path in dict(parts_of(schema_of(stream)))


@pytest.mark.parametrize(
    ("stream", "path"),
    [
        ("customers", "$.sources"),
        ("customers", "$.tax"),
        ("invoices", "$.confirmation_secret"),
        ("payment_intents", "$.amount_details.line_items"),
        ("subscriptions", "$.items.data[*].price.tiers"),
    ],
)
def test_what_a_stream_does_not_ask_for_is_not_shown(stream: str, path: str) -> None:
    assert path not in dict(parts_of(schema_of(stream)))


@pytest.mark.parametrize(
    ("stream", "path", "kind"),
    [
        ("charges", "$.dispute", "string"),
        ("charges", "$.source", "object"),
        ("disputes", "$.balance_transaction", "string"),
        ("invoices", "$.lines.total_count", "integer"),
        ("payment_intents", "$.payment_method_options.link.persistent_token", "string"),
        ("prices", "$.recurring.trial_period_days", "integer"),
        ("products", "$.attributes[*]", "string"),
        ("products", "$.tax_details.tax_code", "string"),
        ("subscriptions", "$.items.data[*].plan.amount", "integer"),
        ("subscriptions", "$.plan.amount", "integer"),
        ("subscriptions", "$.quantity", "integer"),
    ],
)
def test_what_real_bodies_have_beyond_the_document_is_shown(stream: str, path: str, kind: str) -> None:
    assert dict(parts_of(schema_of(stream)))[path]["type"] == ["null", kind]


@pytest.mark.parametrize(("stream", "field"), EXPANDED)
def test_every_field_that_the_manifest_expands_is_an_object_or_a_list_of_them(stream: str, field: str) -> None:
    shown = dict(parts_of(schema_of(stream)))[f"$.{field}".replace(".data.", ".data[*].")]
    assert "object" in shown.get("items", shown)["type"]


def test_what_stripe_keeps_to_itself_is_in_no_schema() -> None:
    schemas = {stream: dict(parts_of(schema_of(stream))) for stream in STREAMS}
    secrets = {"cvc", "secret", "confirmation_secret", "verified_outputs"}
    assert not {(name, path) for name, paths in schemas.items() for path in paths if secrets & set(path.split("."))}
