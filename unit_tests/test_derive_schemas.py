"""How the tool that derives `schemas/` reads Stripe's OpenAPI document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.derive_schemas import Derivation, main, rendered
from tools.document import DerivationError, Document
from tools.entries import Stream, streams_of

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


def answering(schema: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"responses": {"200": {"content": {"application/json": {"schema": schema}}}}}}


def document(**components: dict[str, Any]) -> dict[str, Any]:
    """A document with one list, /v1/prices, of `price`; each component is given by its properties."""
    schemas = {name: {"type": "object", "properties": properties} for name, properties in components.items()}
    return {"paths": {"/v1/prices": answering(list_of("price"))}, "components": {"schemas": schemas}}


def derived(*expand: str, **components: dict[str, Any]) -> dict[str, Any]:
    """The properties of the schema of prices, without the `id` that every schema has."""
    stream = Stream("prices", "/v1/prices", frozenset(expand), cursor=None)
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
    schema = Derivation(Document(document(price={})), Stream("prices", "/v1/prices")).schema()
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
    stream = Stream("prices", "/v1/prices", frozenset({"parts.data.coupon"}), cursor=None)
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


def children(**components: dict[str, Any]) -> dict[str, Any]:
    """The schema of the children of prices that lie in their field `parts`; `part` is their component."""
    prices = Stream("prices", "/v1/prices")
    stream = Stream("parts", "/v1/parts", object="part", parent_field="price", cut_from=((prices, "parts"),))
    whole = document(**components)
    whole["components"]["schemas"]["price"]["required"] = ["parts"]
    return Derivation(Document(whole), stream).schema()


def test_children_are_cut_out_of_a_list_inside_their_parent() -> None:
    schema = children(price={"parts": list_of("part")}, part={"size": {"type": "integer"}})
    assert schema["properties"] == {
        "id": {"type": "string"},
        "is_deleted": BOOLEAN,
        "price": STRING,
        "size": INTEGER,
        "updated": INTEGER,
    }


def test_children_are_cut_out_of_an_array_or_an_object_as_well() -> None:
    part = {"size": {"type": "integer"}}
    array = children(price={"parts": {"type": "array", "items": ref("part")}}, part=part)
    assert array == children(price={"parts": ref("part")}, part=part) == children(price={"parts": list_of("part")}, part=part)


def test_a_child_keeps_its_own_field_for_the_parent() -> None:
    schema = children(price={"parts": list_of("part")}, part={"price": {"type": "integer"}})
    assert schema["properties"]["price"] == INTEGER


def test_of_several_kinds_of_object_in_a_list_the_children_are_one() -> None:
    several = list_of("part")
    several["properties"]["data"]["items"] = {"anyOf": [ref("part"), ref("whole")]}
    components = {"part": {"size": {"type": "integer"}}, "whole": {"weight": {"type": "integer"}}}
    assert "weight" not in children(price={"parts": several}, **components)["properties"]


def test_children_of_several_parents_have_the_fields_of_all() -> None:
    whole = document(price={"parts": ref("part")}, plan={"part": ref("old_part")}, part={"a": {}}, old_part={"b": {}})
    for name in ("part", "old_part"):
        component = whole["components"]["schemas"][name]["properties"]
        component.update({field: {"type": "string"} for field in component})
    whole["paths"]["/v1/plans"] = answering(list_of("plan"))
    parents = ((Stream("prices", "/v1/prices"), "parts"), (Stream("plans", "/v1/plans"), "part"))
    schema = Derivation(Document(whole), Stream("parts", "/v1/parts", cursor=None, cut_from=parents)).schema()
    assert schema["properties"] == {"a": STRING, "b": STRING, "id": {"type": "string"}}


def test_a_child_may_have_its_parent_expanded_further() -> None:
    prices = Stream("prices", "/v1/prices")
    stream = Stream("tiers", "/v1/tiers", frozenset({"tiers"}), object="tier", cut_from=((prices, "tiers"),))
    whole = Document(document(price={"tiers": {"type": "array", "items": ref("tier")}}, tier={"up_to": {"type": "integer"}}))
    assert Derivation(whole, stream).schema()["properties"]["up_to"] == INTEGER
    assert "tiers" not in Derivation(whole, prices).schema()["properties"]


def test_a_snapshot_is_the_object_that_its_path_answers_with() -> None:
    whole = document(balance={"object": {"type": "string"}, "pending": {"type": "integer"}})
    whole["paths"]["/v1/balance"] = answering(ref("balance"))
    stream = Stream("balance", "/v1/balance", cursor=None, kind="snapshot_stream", primary_key=("object",))
    assert Derivation(Document(whole), stream).schema()["properties"] == {"object": {"type": "string"}, "pending": INTEGER}


def test_no_part_of_a_primary_key_may_be_null() -> None:
    stream = Stream("prices", "/v1/prices", cursor=None, primary_key=("plan", "id"))
    whole = Document(document(price={"plan": {"type": "string"}, "id": {"type": "string"}}))
    assert Derivation(whole, stream).schema()["properties"] == {"id": {"type": "string"}, "plan": {"type": "string"}}


def test_a_path_is_found_whatever_its_placeholder_is_called_and_whatever_it_asks_for() -> None:
    whole = document(price={}, use={"at": {"type": "integer"}})
    whole["paths"]["/v1/prices/{price}/uses"] = answering(list_of("use"))
    stream = Stream("uses", "/v1/prices/{id}/uses?active=true", cursor=None)
    assert Derivation(Document(whole), stream).schema()["properties"] == {"at": INTEGER, "id": {"type": "string"}}


def test_what_an_id_refers_to_is_noted_by_its_path() -> None:
    price = {"product": expandable("product", "deleted_product"), "next": ref("plan")}
    derivation = Derivation(
        Document(document(price=price, plan={"by": expandable("user", "app")})), Stream("prices", "/v1/prices")
    )
    derivation.schema()
    assert derivation.references == {"product": ("product",), "next.by": ("app", "user")}


def test_an_object_that_stands_there_whole_is_noted_as_well() -> None:
    derivation = Derivation(
        Document(document(price={"plan": ref("plan")}, plan={"id": {"type": "string"}, "object": {"type": "string"}})),
        Stream("prices", "/v1/prices"),
    )
    derivation.schema()
    assert derivation.references == {"plan": ("plan",)}


def test_what_a_childs_id_refers_to_is_noted_by_its_path_in_the_child() -> None:
    prices = Stream("prices", "/v1/prices")
    whole = Document(document(price={"parts": ref("part"), "by": expandable("user")}, part={"of": expandable("plan")}))
    derivation = Derivation(whole, Stream("parts", "/v1/parts", object="part", cut_from=((prices, "parts"),)))
    derivation.schema()
    assert derivation.references == {"of": ("plan",)}


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
  child_stream: {$ref: "#/definitions/stream"}
  child_of_small_stream: {$ref: "#/definitions/stream"}
streams:
  - {$ref: "#/definitions/archived_stream", $parameters: {name: prices, expand: [tiers]}}
"""


def streams_with(kind: str, primary_key: Any = "id", **parameters: Any) -> list[Stream]:
    """The streams of the manifest above with one more."""
    manifest = yaml.safe_load(MANIFEST)
    entry = {"$ref": f"#/definitions/{kind}", "primary_key": primary_key, "$parameters": parameters}
    manifest["streams"].append(entry)
    return streams_of(manifest)


PRICES = Stream("prices", "/v1/prices", frozenset({"tiers"}))


def test_a_stream_is_read_from_its_entry_and_kind() -> None:
    coins = Stream("coins", "/v2/coins", frozenset(), cursor="created", kind="immutable_stream")
    assert streams_with("immutable_stream", name="coins", path="/v2/coins") == [PRICES, coins]


def test_children_are_read_with_their_parents() -> None:
    entry = {"name": "tiers", "object": "tier", "parents": {"prices": "tiers"}, "parent_field": "price"}
    tiers = streams_with("child_stream", ["price", "id"], **entry)[1]
    assert (tiers.cut_from, tiers.parent_field, tiers.primary_key) == (((PRICES, "tiers"),), "price", ("price", "id"))


def test_children_of_no_stream_are_refused() -> None:
    with pytest.raises(DerivationError, match="tiers is cut out of coins, which is no stream"):
        streams_with("child_stream", name="tiers", parents={"coins": "tiers"})


def test_what_is_walked_to_has_the_path_of_the_walk() -> None:
    uses = streams_with("child_stream", name="uses", parents=["prices"], walk={"path": "/v1/prices/{id}/uses"})[1]
    assert (uses.path, uses.parents, uses.cut_from) == ("/v1/prices/{id}/uses", ("prices",), ())


@pytest.mark.parametrize("kind", ["immutable_stream", "child_of_small_stream"])
def test_a_stream_with_another_cursor_than_updated_shows_no_changes(kind: str) -> None:
    assert not streams_with(kind, name="uses")[1].changing
    assert streams_with("child_stream", name="uses")[1].changing


def test_a_stream_of_another_kind_is_refused() -> None:
    with pytest.raises(DerivationError, match="coins is of no kind of stream that is known here: changing_stream, "):
        streams_with("stream", name="coins")


FILES = {"manifest": "manifest.yaml", "schemas": "schemas", "references": "references.json"}


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    tiers = {"type": "array", "items": {"type": "integer"}}
    (tmp_path / "spec3.json").write_text(json.dumps(document(price={"tiers": tiers})), encoding="utf-8")
    (tmp_path / "manifest.yaml").write_text(MANIFEST, encoding="utf-8")
    (tmp_path / "schemas").mkdir()
    paths = [f"--{name}={tmp_path / file}" for name, file in FILES.items()]
    return [str(tmp_path / "spec3.json"), *paths]


def test_what_was_written_is_up_to_date(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    assert capsys.readouterr().out.endswith("2 of 2 files are up to date\n")


def test_what_ids_refer_to_is_written_beside_the_schemas(arguments: list[str], tmp_path: Path) -> None:
    components = {"price": {"product": expandable("product"), "tiers": ref("tier")}, "tier": {"by": expandable("user")}}
    (tmp_path / "spec3.json").write_text(json.dumps(document(**components)), encoding="utf-8")
    main(arguments)
    references = json.loads((tmp_path / "references.json").read_text(encoding="utf-8"))
    assert references == {"prices": {"product": ["product"], "tiers.by": ["user"]}}


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
