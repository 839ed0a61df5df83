"""The pages of columns and diagrams: what they are made of, and that those in `docs/schema/` are up to date."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tools.domains import DOMAINS, domain_of
from tools.entries import Stream
from tools.schema_pages import Reference, load, main, type_of

ROOT = Path(__file__).resolve().parent.parent
PAGES = load(ROOT).pages()
TEXT = {"type": ["null", "string"]}
ID = {"type": "string"}


def objects(**properties: Any) -> dict[str, Any]:
    return {"type": ["null", "object"], "additionalProperties": True, "properties": properties}


def reference(schemas: dict[str, dict[str, Any]], references: dict[str, dict[str, list[str]]], *more: Stream) -> Reference:
    """Streams of today, of objects that are called as the stream without its s, and others besides."""
    named = {stream.name for stream in more}
    streams = [Stream(name, f"/v1/{name}", object=name.removesuffix("s")) for name in schemas if name not in named]
    return Reference([*streams, *more], {name: {"properties": properties} for name, properties in schemas.items()}, references)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (ID, "string"),
        ({"type": ["null", "integer", "string"]}, "integer or string"),
        ({"type": ["null", "array"], "items": TEXT}, "array of string"),
        ({"type": ["null", "object"]}, "object"),
        (objects(id=TEXT, object=TEXT, amount=TEXT), "object (id, amount)"),
        (objects(**{f"f{number}": TEXT for number in range(10)}), "object (f0, f1, f2, f3, f4, f5, f6, f7 and 2 more)"),
        (objects(data={"type": ["null", "array"], "items": objects(id=TEXT)}, has_more=TEXT), "list of object (id)"),
    ],
)
def test_a_type_is_told_in_words(schema: dict[str, Any], words: str) -> None:
    assert type_of(schema) == words


def test_a_column_links_the_stream_that_it_refers_to() -> None:
    found = reference({"charges": {"customer": TEXT}, "customers": {"id": ID}}, {"charges": {"customer": ["customer"]}})
    assert list(found.table("charges"))[2:] == ["| `customer` | string | [customers](customers.md#customers) |"]


def test_a_column_names_an_object_that_no_stream_has_and_what_is_further_inside() -> None:
    schemas = {"charges": {"application": TEXT, "review": objects(by=TEXT)}, "refunds": {"id": ID}}
    found = reference(schemas, {"charges": {"application": ["application"], "review.by": ["refund"]}})
    assert list(found.table("charges"))[2:] == [
        "| `application` | string | `application` |",
        "| `review` | object (by) | inside: [refunds](#refunds) |",
    ]


def test_a_childs_column_links_its_parents() -> None:
    parts = Stream("invoice_items", "/v1/parts", object="part", parent_field="of", parents=("invoices", "subscriptions"))
    schemas: dict[str, dict[str, Any]] = {"invoices": {}, "subscriptions": {}, "invoice_items": {"of": TEXT}}
    assert list(reference(schemas, {}, parts).table("invoice_items"))[2:] == [
        "| `of` | string | [invoices](#invoices), [subscriptions](#subscriptions) |"
    ]


def test_objects_that_several_children_have_are_linked_to_none() -> None:
    cards = [Stream(name, "", object="card", parent_field="of") for name in ("customer_cards", "external_account_cards")]
    schemas: dict[str, dict[str, Any]] = {"charges": {"source": TEXT}, **{card.name: {} for card in cards}}
    found = reference(schemas, {"charges": {"source": ["card"]}}, *cards)
    assert list(found.table("charges"))[2:] == ["| `source` | string | `card` |"]


def test_a_diagram_shows_keys_and_a_line_for_each_pair_of_streams() -> None:
    many = {"type": ["null", "array"], "items": TEXT}
    charges = {"customer": TEXT, "id": ID, "old": TEXT, "refunds": many}
    schemas: dict[str, dict[str, Any]] = {"charges": charges, "refunds": {"id": ID}, "disputes": {}, "customers": {}}
    paths = {"customer": ["customer"], "old": ["charge"], "refunds": ["refund"]}
    found = reference(schemas, {"charges": paths})
    assert list(found.diagram(["charges", "refunds", "disputes"])) == [
        "```mermaid\nerDiagram",
        "    charges {",
        "        string id PK",
        '        string customer FK "customers"',
        '        string old FK "charges"',
        '        array refunds FK "refunds"',
        "    }",
        "    refunds {",
        "        string id PK",
        "    }",
        '    charges }o--o| charges : "old"',
        '    charges }o--o{ refunds : "refunds"',
        "```",
    ]


def test_a_domain_whose_streams_refer_to_nothing_has_no_diagram() -> None:
    assert list(reference({"charges": {"id": ID}}, {}).diagram(["charges"])) == []


def test_a_list_of_whole_objects_is_no_line_of_a_diagram() -> None:
    whole = objects(data={"type": ["null", "array"], "items": objects(id=TEXT)}, has_more=TEXT)
    schemas = {"charges": {"id": ID, "refunds": whole}, "refunds": {"id": ID}}
    assert list(reference(schemas, {"charges": {"refunds.data": ["refund"]}}).diagram(["charges", "refunds"])) == []


def test_every_stream_is_in_one_domain() -> None:
    named = [name for text in DOMAINS.values() for name in text.split()]
    assert sorted(named) == sorted(set(named))
    assert {name: domain_of(name) for name in load(ROOT).streams}


def test_what_ids_refer_to_is_known_of_every_stream() -> None:
    assert json.loads((ROOT / "tools/references.json").read_text(encoding="utf-8")).keys() == load(ROOT).streams.keys()


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_are_those_that_the_schemas_make(page: str) -> None:
    assert (ROOT / "docs/schema" / page).read_text(encoding="utf-8") == PAGES[page]


def test_no_page_is_left_over() -> None:
    assert {file.name for file in (ROOT / "docs/schema").glob("*")} == PAGES.keys()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_to_a_stream(page: str) -> None:
    for file, anchor in re.findall(r"\]\(([a-z]*(?:\.md)?)#([a-z_]+)\)", PAGES[page]):
        assert f"\n## {anchor}\n" in PAGES[file or page]


def test_a_page_that_is_not_up_to_date_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("manifest.yaml", "schemas", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").mkdir()
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith(f"{len(PAGES)} of {len(PAGES)} pages are up to date\n")
