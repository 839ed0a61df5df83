"""What the tool that adds a stream writes by itself, and what it leaves to a person."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.add_stream import TODO, entry_of, facts_of, main, with_entry, with_row
from tools.document import DerivationError, Document

ROOT = Path(__file__).resolve().parent.parent
STRING = {"type": "string"}
COIN = {"id": STRING, "object": STRING, "created": {"type": "integer"}, "metadata": {"type": "object"}}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(name: str, **parameters: bool) -> dict[str, Any]:
    """An endpoint that lists the component and takes the parameters, each with whether it has to be given."""
    answer = {"content": {"application/json": {"schema": listing(name)}}}
    asked = [{"name": parameter, "required": required} for parameter, required in parameters.items()]
    return {"get": {"parameters": asked, "responses": {"200": answer}}}


def listing(name: str) -> dict[str, Any]:
    data = {"type": "array", "items": ref(name)}
    return {"type": "object", "properties": {"object": {"type": "string", "enum": ["list"]}, "data": data}}


def document(*types: str, paths: dict[str, Any], **components: dict[str, Any]) -> dict[str, Any]:
    schemas = {name: {"type": "object", "properties": properties} for name, properties in components.items()}
    return {"paths": paths, "components": {"schemas": schemas}, "x-event-types": list(types)}


def entry(*types: str, path: str = "/v1/coins", paths: dict[str, Any], **components: dict[str, Any]) -> dict[str, Any]:
    """The entry for the list at `path`, as YAML reads it."""
    facts = facts_of(Document(document(*types, paths=paths, **components)), path)
    loaded: list[dict[str, Any]] = yaml.safe_load(entry_of(facts))
    return {"kind": loaded[0]["$ref"].rpartition("/")[2], **loaded[0]["$parameters"]}


def questions(*types: str, paths: dict[str, Any], **components: dict[str, Any]) -> str:
    return "\n".join(facts_of(Document(document(*types, paths=paths, **components)), "/v1/coins").open)


BY_CREATED = {"/v1/coins": list_of("coin", created=False)}
UNDECIDED = {"row": TODO, "token": TODO}


def test_a_list_by_created_that_events_tell_of_is_a_changing_stream() -> None:
    assert entry("coin.created", "coin.updated", "plan.created", paths=BY_CREATED, coin=COIN) == {
        "kind": "changing_stream",
        "name": "coins",
        "object": "coin",
        "permission": UNDECIDED,
        "events": ["coin.created", "coin.updated"],
    }


@pytest.mark.parametrize(
    ("types", "parameters", "kind"),
    [
        (["coin.created"], {}, "listed_stream"),
        ([], {}, "small_stream"),
        ([], {"created": False}, "small_stream"),
        (["coin.created"], {"created": False, "plan": True}, "child_stream"),
    ],
)
def test_the_kind_follows_from_what_the_list_takes_and_from_the_events(
    types: list[str], parameters: dict[str, bool], kind: str
) -> None:
    assert entry(*types, paths={"/v1/coins": list_of("coin", **parameters)}, coin=COIN)["kind"] == kind


def test_a_deletion_is_one_where_stripe_has_a_deleted_object() -> None:
    types = ["coin.created", "coin.deleted"]
    assert entry(*types, paths=BY_CREATED, coin=COIN, deleted_coin={})["deleted_by"] == "coin.deleted"
    assert "deleted_by" not in entry(*types, paths=BY_CREATED, coin=COIN)
    assert "does coin.deleted mean that the object is gone?" in questions(*types, paths=BY_CREATED, coin=COIN)


def test_events_that_only_end_like_the_object_are_asked_about() -> None:
    types = ["customer.coin.created", "bank.coin.created"]
    components: dict[str, Any] = {"coin": COIN, "bank.coin": COIN}
    assert entry(*types, paths=BY_CREATED, **components)["events"] == ["customer.coin.created"]
    assert "are these events of this object? customer.coin.created" in questions(*types, paths=BY_CREATED, **components)


def test_the_whole_of_a_list_inside_is_below_the_object_or_asks_for_its_owner() -> None:
    paths = {
        **BY_CREATED,
        "/v1/coins/{coin}/uses": list_of("use"),
        "/v1/marks": list_of("mark", coin=False),
    }
    coin = {**COIN, "uses": listing("use"), "marks": listing("mark"), "odd": listing("odd")}
    assert entry(paths=paths, coin=coin, use={}, mark={}, odd={})["nested_lists"] == [
        {"$ref": "#/definitions/nested_list", "field": "uses", "path": "/v1/coins/{id}/uses"},
        {"$ref": "#/definitions/nested_list", "field": "marks", "path": "/v1/marks", "owner": "coin"},
        {"$ref": "#/definitions/nested_list", "field": "odd", "path": TODO},
    ]


def test_expandable_fields_are_left_for_a_person_to_choose() -> None:
    customer = {**STRING, "x-expansionResources": {"oneOf": [ref("customer")]}}
    coin = {**COIN, "customer": customer, "friends": {"type": "array", "items": customer}}
    assert "expand" not in entry(paths=BY_CREATED, coin=coin)
    assert "is any of these worth expanding? customer, friends" in questions(paths=BY_CREATED, coin=coin)


def test_a_filter_that_may_hide_objects_is_asked_about() -> None:
    paths = {"/v1/coins": list_of("coin", active=False, customer=False)}
    assert questions(paths=paths, coin=COIN) == "does a bare list show all? Else `passes` by active"


def test_a_time_of_another_name_is_asked_for_where_the_list_filters_by_it() -> None:
    coin = {name: node for name, node in COIN.items() if name != "created"}
    assert entry("coin.created", paths=BY_CREATED, coin=coin)["created"] == TODO
    assert "created" not in entry("coin.created", paths={"/v1/coins": list_of("coin")}, coin=coin)


@pytest.mark.parametrize(
    ("path", "parameters", "walk"),
    [
        ("/v1/banks/{bank}/coins", {"bank": True}, {"path": "/v1/banks/{id}/coins"}),
        ("/v1/coins", {"bank": True, "size": False}, {"path": "/v1/coins", "owner": "bank"}),
    ],
)
def test_a_walk_has_its_parents_id_in_its_path_and_its_parent_left_open(
    path: str, parameters: dict[str, bool], walk: dict[str, str]
) -> None:
    found = entry(path=path, paths={path: list_of("coin", **parameters)}, coin=COIN)
    assert found["walk"] == {**walk, "again": {"id": [TODO]}}
    assert (found["parents"], found["parent_field"]) == ({TODO: ""}, TODO)


def test_a_list_of_several_kinds_of_object_is_refused() -> None:
    paths = {"/v1/coins": list_of("coin")}
    paths["/v1/coins"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"]["items"] = {
        "anyOf": [ref("coin"), ref("note")]
    }
    with pytest.raises(DerivationError, match="/v1/coins lists several kinds of object: coin, note"):
        facts_of(Document(document(paths=paths, coin=COIN)), "/v1/coins")


MANIFEST = """definitions: {}

streams:
  - $ref: "#/definitions/small_stream"
    $parameters:
      name: banks
      # Why.
      object: bank

  - $ref: "#/definitions/small_stream"
    $parameters:
      name: notes

# ------ check
check: {}
"""


@pytest.mark.parametrize(("name", "names"), [("a", "a banks notes"), ("coins", "banks coins notes"), ("z", "banks notes z")])
def test_an_entry_is_added_in_alphabetical_order_and_all_else_stays(name: str, names: str) -> None:
    added = f'  - $ref: "#/definitions/small_stream"\n    $parameters:\n      name: {name}\n'
    text = with_entry(MANIFEST, name, added)
    assert [each["$parameters"]["name"] for each in yaml.safe_load(text)["streams"]] == names.split()
    assert text.replace(f"{added}\n", "") == MANIFEST or text.replace(f"\n{added}", "") == MANIFEST


def test_a_name_that_is_there_is_refused() -> None:
    with pytest.raises(DerivationError, match="the manifest has a stream notes"):
        with_entry(MANIFEST, "notes", "")


def test_a_row_is_added_in_alphabetical_order_with_what_is_known() -> None:
    facts = facts_of(Document(document("coin.updated", paths=BY_CREATED, coin=COIN)), "/v1/coins")
    table = "| stream | endpoint | cursor | permission |\n| --- | --- | --- | --- |\n| banks | | | |\n| notes | | | |\n\nText.\n"
    row = "| coins | `/v1/coins` | `updated` | TODO |\n"
    assert with_row(table, facts) == table.replace("| notes", f"{row}| notes")


def checkout(tmp_path: Path) -> Path:
    """A copy of what the tool writes to."""
    for name in ("README.md", "docs", "schemas", "manifest.yaml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("/v1/coins", "coins", "changing_stream"),
        ("/v1/mint/stamps", "mint_stamps", "small_stream"),
        ("/v1/coins/{coin}/uses", "coins_uses", "walk_stream"),
    ],
)
def test_streams_of_three_kinds_are_added_to_this_checkout(tmp_path: Path, path: str, name: str, kind: str) -> None:
    paths = {
        "/v1/coins": list_of("coin", created=False),
        "/v1/mint/stamps": list_of("stamp"),
        "/v1/coins/{coin}/uses": list_of("use", coin=True),
    }
    file = tmp_path / "spec3.json"
    file.write_text(json.dumps(document("coin.created", paths=paths, coin=COIN, stamp=COIN, use=COIN)), encoding="utf-8")
    root = checkout(tmp_path)
    assert main([str(file), path, "--root", str(root)]) == 0
    streams = yaml.safe_load((root / "manifest.yaml").read_text(encoding="utf-8"))["streams"]
    added = next(each for each in streams if each["$parameters"]["name"] == name)
    assert added["$ref"] == f"#/definitions/{kind}"
    assert "id" in json.loads((root / f"schemas/{name}.json").read_text(encoding="utf-8"))["properties"]
    assert f"| {name} |" in (root / "README.md").read_text(encoding="utf-8")
    assert f"| {name} |" in (root / "docs/stripe.md").read_text(encoding="utf-8")


def test_a_list_that_the_document_lacks_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "spec3.json"
    file.write_text(json.dumps(document(paths={})), encoding="utf-8")
    root = checkout(tmp_path)
    assert main([str(file), "/v1/coins", "--root", str(root)]) == 2
    assert "the document has no list at /v1/coins" in capsys.readouterr().err
    assert (root / "manifest.yaml").read_bytes() == (ROOT / "manifest.yaml").read_bytes()


def test_make_takes_the_list_in_the_variable_that_says_where_programs_are() -> None:
    command = ["make", "-n", "stream", "PATH=/v1/coins", "OPENAPI=spec3.json"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ".venv/bin/python -m tools.add_stream spec3.json /v1/coins" in told


@pytest.mark.parametrize("file", ["manifest.yaml", "README.md", "docs/stripe.md"])
def test_nothing_is_left_for_a_person_to_decide(file: str) -> None:
    assert TODO not in (ROOT / file).read_text(encoding="utf-8")
