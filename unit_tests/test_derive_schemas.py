"""How the tool that derives `schemas/` reads Stripe's OpenAPI document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.derive_schemas import Derivation, DerivationError, Document, Stream, main, rendered, streams_of

STRING, INTEGER, BOOLEAN = ({"type": ["null", name]} for name in ("string", "integer", "boolean"))
OPEN = {"type": ["null", "object"], "additionalProperties": True}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def expandable(*names: str) -> dict[str, Any]:
    targets = [ref(name) for name in names]
    return {"anyOf": [{"type": "string"}, *targets], "x-expansionResources": {"oneOf": targets}}


def list_of(name: str) -> dict[str, Any]:
    kind = {"type": "string", "enum": ["list"]}
    return {"type": "object", "properties": {"object": kind, "data": {"type": "array", "items": ref(name)}}}


def document(**components: dict[str, Any]) -> dict[str, Any]:
    """A document with one list, /v1/prices, of `price`; each component is given by its properties."""
    answer = {"200": {"content": {"application/json": {"schema": list_of("price")}}}}
    schemas = {name: {"type": "object", "properties": properties} for name, properties in components.items()}
    return {"paths": {"/v1/prices": {"get": {"responses": answer}}}, "components": {"schemas": schemas}}


def derived(*expand: str, **components: dict[str, Any]) -> dict[str, Any]:
    """The properties of the schema of prices, without the `id` that every schema has."""
    stream = Stream("prices", "/v1/prices", frozenset(expand), changing=False)
    properties: dict[str, Any] = Derivation(Document(document(**components)), stream).schema()["properties"]
    return {name: value for name, value in properties.items() if name != "id"}


def objects(**properties: Any) -> dict[str, Any]:
    return {**OPEN, "properties": properties}


@pytest.mark.parametrize("name", ["string", "integer", "number", "boolean"])
def test_a_scalar_may_be_null_and_keeps_nothing_but_its_type(name: str) -> None:
    node = {
        "type": name,
        "maxLength": 9,
        "enum": ["a"],
        "format": "unix-time",
        "description": "Prose.",
        "nullable": True,
    }
    assert derived(price={"field": node}) == {"field": {"type": ["null", name]}}


def test_the_id_alone_is_never_null() -> None:
    schema = Derivation(Document(document(price={"id": {"type": "string"}})), Stream("prices", "/v1/prices")).schema()
    assert schema["properties"]["id"] == {"type": "string"}


def test_a_changing_stream_has_two_fields_more() -> None:
    schema = Derivation(Document(document(price={})), Stream("prices", "/v1/prices", changing=True)).schema()
    assert schema["properties"] == {"id": {"type": "string"}, "is_deleted": BOOLEAN, "updated": INTEGER}


def test_an_object_keeps_its_fields_in_alphabetical_order_and_is_open() -> None:
    period = {"usage": {"type": "string"}, "count": {"type": "integer"}}
    schema = derived(price={"period": {"anyOf": [ref("period")], "nullable": True}}, period=period)
    assert schema == {"period": objects(count=INTEGER, usage=STRING)}
    assert list(schema["period"]["properties"]) == ["count", "usage"]


def test_an_array_may_hold_nulls() -> None:
    node = {"type": "array", "items": {"type": "string"}}
    assert derived(price={"names": node}) == {"names": {"type": ["null", "array"], "items": STRING}}


def test_an_object_whose_keys_are_data_is_open() -> None:
    node = {"type": "object", "additionalProperties": {"type": "string"}}
    assert derived(price={"metadata": node}) == {"metadata": OPEN}


def test_an_expandable_field_is_an_id() -> None:
    assert derived(price={"product": expandable("product")}, product={}) == {"product": STRING}


def test_an_expandable_field_needs_no_target_while_it_is_an_id() -> None:
    assert derived(price={"product": expandable("product")}) == {"product": STRING}


def test_an_expanded_field_is_the_object() -> None:
    schema = derived("coupon", price={"coupon": expandable("coupon")}, coupon={"name": {"type": "string"}})
    assert schema == {"coupon": objects(name=STRING)}


def test_an_expanded_list_of_ids_is_a_list_of_the_objects() -> None:
    node = {"type": "array", "items": expandable("discount")}
    schema = derived("discounts", price={"discounts": node}, discount={"start": {"type": "integer"}})
    assert schema == {"discounts": {"type": ["null", "array"], "items": objects(start=INTEGER)}}


@pytest.mark.parametrize("deleted", [{}, {"deleted_coupon": {"id": {"type": "string"}}}], ids=["missing", "present"])
def test_an_expanded_object_may_be_a_deleted_one(deleted: dict[str, Any]) -> None:
    price = {"coupon": expandable("coupon", "deleted_coupon")}
    schema = derived("coupon", price=price, coupon={"name": {"type": "string"}}, **deleted)
    assert schema == {"coupon": objects(deleted=BOOLEAN, name=STRING)}


def test_a_field_inside_an_expanded_list_is_expanded_by_its_whole_path() -> None:
    components = {"price": {"parts": list_of("part")}, "part": {"coupon": expandable("coupon")}, "coupon": {}}
    whole = document(**components)
    whole["components"]["schemas"]["price"]["required"] = ["parts"]
    stream = Stream("prices", "/v1/prices", frozenset({"parts.data.coupon"}), changing=False)
    parts = Derivation(Document(whole), stream).schema()["properties"]["parts"]["properties"]["data"]
    assert parts["items"] == objects(coupon=objects())


def test_an_expanded_field_that_the_document_lacks_is_refused() -> None:
    with pytest.raises(DerivationError, match=r"prices expands produkt, which is neither expandable"):
        derived("produkt", price={"product": expandable("product")}, product={})


def test_an_expanded_object_that_the_document_lacks_is_refused() -> None:
    with pytest.raises(DerivationError, match="no component product"):
        derived("product", price={"product": expandable("product")})


def test_a_union_admits_each_of_its_variants() -> None:
    source = {"anyOf": [{"type": "string"}, ref("card"), ref("bank")]}
    card, bank = {"last4": {"type": "string"}, "at": {"type": "integer"}}, {"at": {"type": "string"}}
    assert derived(price={"source": source}, card=card, bank=bank) == {
        "source": {
            "type": ["null", "object", "string"],
            "additionalProperties": True,
            "properties": {"at": {"type": ["null", "integer", "string"]}, "last4": STRING},
        }
    }


def test_what_only_a_publishable_key_is_shown_is_left_out() -> None:
    node = {"anyOf": [ref("options"), ref("options_client")]}
    components = {"options": {"a": {"type": "string"}}, "options_client": {"b": {"type": "string"}}}
    assert derived(price={"options": node}, **components) == {"options": objects(a=STRING)}


def test_an_object_inside_one_of_its_own_kind_ends_open() -> None:
    schema = derived(price={"error": ref("error")}, error={"cause": ref("error"), "code": {"type": "string"}})
    assert schema == {"error": objects(cause=OPEN, code=STRING)}


def test_a_field_that_bodies_have_only_when_asked_is_left_out() -> None:
    tiers = {"type": "array", "items": {"type": "integer"}}
    assert derived(price={"tiers": tiers}) == {}
    assert derived("tiers", price={"tiers": tiers}) == {"tiers": {"type": ["null", "array"], "items": INTEGER}}


def test_what_one_stream_asks_for_is_left_out_where_it_stands_inside_another_object() -> None:
    components = {"price": {"next": ref("plan"), "tiers": ref("tier")}, "plan": {"tiers": ref("tier")}, "tier": {}}
    assert derived("tiers", **components) == {"next": objects(), "tiers": objects()}


def test_a_nested_list_that_bodies_may_lack_has_to_be_decided_about() -> None:
    with pytest.raises(DerivationError, match=r"price\.uses is a nested list that a body may lack"):
        derived(price={"uses": list_of("use")}, use={})
    assert list(derived("uses", price={"uses": list_of("use")}, use={})) == ["uses"]


def test_a_field_that_real_bodies_have_beyond_the_document_is_shown() -> None:
    assert derived(price={"recurring": ref("recurring")}, recurring={}) == {"recurring": objects(trial_period_days=INTEGER)}


def test_a_field_of_a_list_inside_an_object_is_shown_there_alone() -> None:
    components = {"price": {"invoice": ref("invoice")}, "invoice": {"lines": list_of("line")}, "line": {}}
    whole = document(**components)
    whole["components"]["schemas"]["invoice"]["required"] = ["lines"]
    invoice = Derivation(Document(whole), Stream("prices", "/v1/prices")).schema()["properties"]["invoice"]
    assert list(invoice["properties"]) == ["lines"]
    assert invoice["properties"]["lines"]["properties"]["total_count"] == INTEGER


def test_what_the_document_says_of_a_field_that_was_seen_is_right() -> None:
    recurring = {"trial_period_days": {"type": "string"}}
    assert derived(price={"recurring": ref("recurring")}, recurring=recurring) == {"recurring": objects(trial_period_days=STRING)}


def test_a_place_named_in_the_table_ends_open() -> None:
    components = {"api_errors": {"payment_intent": ref("intent"), "code": {"type": "string"}}, "intent": {}}
    schema = derived(price={"error": ref("api_errors")}, **components)
    assert schema == {"error": objects(code=STRING, payment_intent=OPEN)}


def test_a_node_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(DerivationError, match=r"prices: recurring\.odd is of no type that is known here"):
        derived(price={"recurring": ref("recurring")}, recurring={"odd": {"type": "null"}})


def test_a_path_that_the_document_lacks_is_refused() -> None:
    with pytest.raises(DerivationError, match=r"no list at /v1/coins"):
        Derivation(Document(document(price={})), Stream("coins", "/v1/coins")).schema()


MANIFEST = """
definitions:
  stream: {}
  immutable_stream: {$ref: "#/definitions/stream"}
  changing_stream: {$ref: "#/definitions/stream"}
  archived_stream: {$ref: "#/definitions/changing_stream"}
streams:
  - {$ref: "#/definitions/archived_stream", $parameters: {name: prices, expand: [tiers]}}
"""


def test_a_stream_is_read_from_its_entry_and_kind() -> None:
    entry = {"$ref": "#/definitions/immutable_stream", "$parameters": {"name": "coins", "path": "/v2/coins"}}
    manifest = yaml.safe_load(MANIFEST)
    manifest["streams"].append(entry)
    assert streams_of(manifest) == [
        Stream("prices", "/v1/prices", frozenset({"tiers"}), changing=True),
        Stream("coins", "/v2/coins", frozenset(), changing=False),
    ]


def test_a_stream_of_another_kind_is_refused() -> None:
    entry = {"$ref": "#/definitions/stream", "$parameters": {"name": "coins"}}
    with pytest.raises(DerivationError, match="coins is neither a changing_stream nor an immutable_stream"):
        streams_of({"definitions": {"stream": {}}, "streams": [entry]})


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    tiers = {"type": "array", "items": {"type": "integer"}}
    (tmp_path / "spec3.json").write_text(json.dumps(document(price={"tiers": tiers})), encoding="utf-8")
    (tmp_path / "manifest.yaml").write_text(MANIFEST, encoding="utf-8")
    (tmp_path / "schemas").mkdir()
    return [str(tmp_path / "spec3.json"), f"--manifest={tmp_path}/manifest.yaml", f"--schemas={tmp_path}/schemas"]


def test_what_was_written_is_up_to_date(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    assert capsys.readouterr().out.endswith("1 of 1 schemas are up to date\n")


def test_a_check_shows_what_would_change_and_changes_nothing(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments)
    file = tmp_path / "schemas" / "prices.json"
    old = file.read_text(encoding="utf-8").replace('"is_deleted": {"type": ["null", "boolean"]}', '"gone": {}')
    file.write_text(old, encoding="utf-8")
    assert main([*arguments, "--check"]) == 1
    assert '-  "gone": {},\n+  "is_deleted": {"type": ["null", "boolean"]},\n' in capsys.readouterr().out
    assert file.read_text(encoding="utf-8") == old


def test_a_file_of_no_stream_is_pointed_out(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "schemas" / "coins.json").write_text("{}", encoding="utf-8")
    main(arguments)
    assert "coins.json belongs to no stream" in capsys.readouterr().err


def test_a_line_of_a_table_that_is_of_no_use_is_pointed_out(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments)
    assert "product.type, in a table of this tool, is in the document by now or in no stream" in capsys.readouterr().err


def test_an_unknown_stream_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--stream", "coins"]) == 2
    assert capsys.readouterr().err == "the manifest has no stream coins\n"


def test_a_file_reads_as_json_with_short_parts_on_one_line() -> None:
    schema = {"type": "object", "properties": dict.fromkeys(("a", "b", "c", "d"), STRING)}
    text = rendered(schema)
    assert json.loads(text) == schema
    assert '\n  "a": {"type": ["null", "string"]},\n' in text
