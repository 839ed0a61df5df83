"""What the tool that adds a stream writes by itself, and what it leaves to a person."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.add_stream import entry_of, main, with_domain, with_entry, without_row
from tools.document import DerivationError, Document
from tools.embedded_kind import kind_file
from tools.entries import CURSORS, Stream
from tools.list_facts import TODO, facts_of

ROOT = Path(__file__).resolve().parent.parent
STRING = {"type": "string"}
COIN = {"id": STRING, "object": STRING, "created": {"type": "integer"}, "metadata": {"type": "object"}}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(name: str, limit: bool = False, **parameters: bool) -> dict[str, Any]:
    """An endpoint that lists the component, in pages, and takes the parameters, each with whether it has to be given."""
    return answering(listing(name), limit=limit, **parameters)


def answering(schema: dict[str, Any], **parameters: bool) -> dict[str, Any]:
    asked = [{"name": parameter, "required": required} for parameter, required in parameters.items()]
    return {"get": {"parameters": asked, "responses": {"200": {"content": {"application/json": {"schema": schema}}}}}}


def listing(name: str) -> dict[str, Any]:
    data = {"type": "array", "items": ref(name)}
    return {"type": "object", "properties": {"object": {"type": "string", "enum": ["list"]}, "data": data}}


def document(*types: str, paths: dict[str, Any], **components: dict[str, Any]) -> dict[str, Any]:
    schemas = {name: {"type": "object", "properties": properties} for name, properties in components.items()}
    return {"paths": paths, "components": {"schemas": schemas}, "x-event-types": list(types)}


def entry(
    *types: str, path: str = "/v1/coins", paths: dict[str, Any], beside: list[Stream] | None = None, **components: dict[str, Any]
) -> dict[str, Any]:
    """The entry for the list at `path`, as YAML reads it."""
    facts = facts_of(Document(document(*types, paths=paths, **components)), path, beside or [])
    loaded: list[dict[str, Any]] = yaml.safe_load(entry_of(facts))
    key = {"primary_key": loaded[0]["primary_key"]} if "primary_key" in loaded[0] else {}
    return {"kind": loaded[0]["$ref"].rpartition("/")[2], **key, **loaded[0]["$parameters"]}


def stream(name: str, object: str, kind: str = "changing_stream", path: str = "", **given: Any) -> Stream:
    """A stream that there is already."""
    return Stream(name, path or f"/v1/{name}", object=object, kind=kind, cursor=CURSORS[kind], entry=given)


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
    assert (found["parents"], found["parent_field"]) == ([TODO], TODO)


def test_a_walks_parent_is_the_stream_that_the_path_or_the_parameter_names() -> None:
    customers = [stream("customers", "customer")]
    below = entry(
        path="/v1/customers/{customer}/coins",
        paths={"/v1/customers/{customer}/coins": list_of("coin", customer=True)},
        coin=COIN,
        beside=customers,
    )
    asking = entry(paths={"/v1/coins": list_of("coin", customer=True)}, coin=COIN, beside=customers)
    assert [(found["parents"], found["parent_field"]) for found in (below, asking)] == [(["customers"], "customer")] * 2


def test_a_walk_is_done_again_after_events_of_its_own_objects_that_name_the_parent() -> None:
    coin = {**COIN, "customer": STRING}
    found = entry(
        "coin.created", paths={"/v1/coins": list_of("coin", customer=True)}, coin=coin, beside=[stream("customers", "customer")]
    )
    assert found["walk"] == {"path": "/v1/coins", "owner": "customer", "again": {"customer": ["coin.created"]}}
    assert "events" not in found


def test_children_of_what_is_read_whole_are_read_whole() -> None:
    customers = [stream("customers", "customer", "small_stream")]
    found = entry(paths={"/v1/coins": list_of("coin", customer=True)}, coin=COIN, beside=customers)
    assert (found["kind"], found["walk"]) == ("child_of_small_stream", {"path": "/v1/coins", "owner": "customer"})


def test_a_list_that_a_stream_shows_inside_is_cut_out_of_it_with_its_permission() -> None:
    allowed = {"row": "Customers", "token": "customer_read"}
    customers = stream(
        "customers", "customer", permission=allowed, nested_lists=[{"field": "coins", "path": "/v1/customers/{id}/coins"}]
    )
    path = "/v1/customers/{customer}/coins"
    found = entry(path=path, paths={path: list_of("coin", customer=True)}, coin={**COIN, "customer": STRING}, beside=[customers])
    assert found == {
        "kind": "child_stream",
        "name": "customers_coins",
        "object": "coin",
        "permission": allowed,
        "parents": {"customers": "coins"},
        "parent_field": "customer",
    }


def test_one_object_is_a_snapshot_whose_key_is_its_id_or_what_it_is() -> None:
    paths = {"/v1/mint": answering(ref("mint")), "/v1/till": answering(ref("till"))}
    till, mint = ({"object": STRING}, {"id": STRING, "object": STRING})
    found = [entry(path=path, paths=paths, till=till, mint=mint) for path in paths]
    assert [(each["kind"], each.get("primary_key")) for each in found] == [
        ("snapshot_stream", None),
        ("snapshot_stream", ["object"]),
    ]


def test_a_list_without_pages_is_told() -> None:
    paths = {"/v1/coins": answering(listing("coin"))}
    assert entry(paths=paths, coin=COIN)["kind"] == "unpaged_stream"


def test_a_stream_of_a_part_of_stripe_has_the_product_and_the_domain_of_the_others_there() -> None:
    cards = stream("cards", "issuing.card", path="/v1/issuing/cards", product="Issuing")
    found = facts_of(Document(document(paths={"/v1/issuing/coins": list_of("coin")}, coin=COIN)), "/v1/issuing/coins", [cards])
    assert (found.domain, found.parameters["product"]) == ("Issuing", "Issuing")
    alone = facts_of(Document(document(paths=BY_CREATED, coin=COIN)), "/v1/coins", [cards])
    assert (alone.domain, alone.parameters.get("product")) == (TODO, None)


def test_that_no_event_tells_of_a_new_one_is_asked_about() -> None:
    assert "no event tells of a new one" in questions("coin.melted", paths=BY_CREATED, coin=COIN)
    assert "no event tells of a new one" not in questions("coin.created", "coin.melted", paths=BY_CREATED, coin=COIN)


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


DOMAINS = 'DOMAINS = {\n    "Payments": """\n        charges refunds\n    """,\n}\n\n\ndef domain_of() -> str: ...\n'


def test_a_stream_is_added_to_its_domain_or_to_one_that_a_person_has_to_decide_on() -> None:
    assert with_domain(DOMAINS, "Payments", "coins") == DOMAINS.replace("charges refunds", "charges refunds coins")
    assert with_domain(DOMAINS, TODO, "coins") == DOMAINS.replace("}", '    "TODO": """\n        coins\n    """,\n}')


def test_a_list_that_is_a_stream_is_left_out_no_more() -> None:
    rows = "| list | why |\n| --- | --- |\n| `/v1/coins/{coin}/uses` | none |\n| `/v1/notes` | as `/v1/coins/{coin}/uses` |\n"
    assert without_row(rows, "/v1/coins/{id}/uses") == rows.replace("| `/v1/coins/{coin}/uses` | none |\n", "")


def test_the_embedded_account_is_told_what_the_document_says_of_the_object() -> None:
    bank = {**STRING, "x-expansionResources": {"oneOf": [ref("bank"), ref("deleted_bank")]}}
    coin = {**COIN, "bank": bank, "note": {**STRING, "nullable": True}, "side": {**STRING, "enum": ["head", "tail"]}}
    paths = {"/v1/coins": list_of("coin", created=False, active=False, weight=False)}
    _, created, active, weight = paths["/v1/coins"]["get"]["parameters"]
    created["schema"] = weight["schema"] = {"anyOf": [{"properties": {"gte": {"type": "integer"}}}, {"type": "integer"}]}
    active["schema"] = {"type": "boolean"}
    told = Document(document("coin.created", "coin.melted", paths=paths, coin=coin))
    assert json.loads(kind_file(told, facts_of(told, "/v1/coins"))) == {
        "permission": [TODO, TODO],
        "list": {"path": "/v1/coins", "stream": "coins", "takes": {"created": "range", "active": "bool", "weight": "range"}},
        "events": {"coin.created": {"on": "create"}, "coin.melted": {"on": "update"}},
        "expandable": {"bank": ["bank"]},
        "object": {
            "id": "=id",
            "object": "coin",
            "created": "=created",
            "metadata": {},
            "bank": "=new bank",
            "note": None,
            "side": "head",
        },
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of what the tool and the papers are made of."""
    for name in ("README.md", "metadata.yaml", "manifest.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("docs", "schemas", "tools", "integration_tests/embedded_stripe/kinds"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(root: Path, *command: str) -> None:
    subprocess.run([sys.executable, "-m", *command], cwd=root, capture_output=True, check=True)


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("/v1/coins", "coins", "changing_stream"),
        ("/v1/mint/stamps", "mint_stamps", "small_stream"),
        ("/v1/customers/{customer}/uses", "customers_uses", "child_stream"),
    ],
)
def test_streams_of_three_kinds_are_added_to_this_checkout(root: Path, path: str, name: str, kind: str) -> None:
    paths = {
        "/v1/coins": list_of("coin", created=False),
        "/v1/mint/stamps": list_of("stamp"),
        "/v1/customers/{customer}/uses": list_of("use", customer=True),
    }
    file = root / "spec3.json"
    file.write_text(json.dumps(document("coin.created", paths=paths, coin=COIN, stamp=COIN, use=COIN)), encoding="utf-8")
    run(root, "tools.add_stream", str(file), path)
    for tool in ("tools.schema_pages", "tools.papers"):
        run(root, tool)
    streams = yaml.safe_load((root / "manifest.yaml").read_text(encoding="utf-8"))["streams"]
    added = next(each for each in streams if each["$parameters"]["name"] == name)
    assert added["$ref"] == f"#/definitions/{kind}"
    assert "id" in json.loads((root / f"schemas/{name}.json").read_text(encoding="utf-8"))["properties"]
    assert name in json.loads((root / "tools/references.json").read_text(encoding="utf-8"))
    assert f"| [{name}](schema/" in (root / "docs/streams.md").read_text(encoding="utf-8")
    assert f"All {len(streams)} streams" in (root / "README.md").read_text(encoding="utf-8")
    assert (root / f"integration_tests/embedded_stripe/kinds/{added['$parameters']['object']}.json").exists()


def test_a_list_that_the_document_lacks_changes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = root / "spec3.json"
    file.write_text(json.dumps(document(paths={})), encoding="utf-8")
    assert main([str(file), "/v1/coins", "--root", str(root)]) == 2
    assert "the document has no list at /v1/coins" in capsys.readouterr().err
    assert (root / "manifest.yaml").read_bytes() == (ROOT / "manifest.yaml").read_bytes()


def test_make_takes_the_list_in_the_variable_that_says_where_programs_are() -> None:
    command = ["make", "-n", "stream", "PATH=/v1/coins", "OPENAPI=spec3.json"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert '.venv/bin/python -m tools.add_stream spec3.json "/v1/coins"' in told
    assert ".venv/bin/python -m tools.papers" in told


FILES = ["manifest.yaml", "README.md", "tools/domains.py", *(str(file.relative_to(ROOT)) for file in ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("file", FILES)
def test_nothing_is_left_for_a_person_to_decide(file: str) -> None:
    assert TODO not in (ROOT / file).read_text(encoding="utf-8")


def test_nothing_is_left_to_decide_in_what_the_embedded_account_knows() -> None:
    kinds = (ROOT / "integration_tests/embedded_stripe/kinds").glob("*.json")
    assert [file.name for file in kinds if TODO in file.read_text(encoding="utf-8")] == []
