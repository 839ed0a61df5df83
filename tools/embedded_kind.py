"""What the embedded account has to know of an object, as far as Stripe's document tells it: a file of its `kinds/`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.document import Document, Node, is_list, name_of, variants_of
from tools.field_tables import OMITTED_UNLESS_EXPANDED
from tools.list_facts import TODO, Facts

KINDS = Path("integration_tests/embedded_stripe/kinds")

_MADE_UP = {"id": "=id", "created": "=created", "livemode": False, "metadata": {}}
_BY_TYPE: Mapping[str, Any] = {"string": "x", "integer": 1, "number": 1.0, "boolean": True, "array": []}
_ENDINGS = {"created": "create", "deleted": "delete"}


def kind_file(document: Document, facts: Facts) -> str:
    """The file's text. Ids begin as the object's name does, and what is null in no object has a made-up value."""
    permission = facts.parameters["permission"]
    kind: dict[str, Any] = {"permission": [permission.get("token", TODO), permission.get("row", TODO)]}
    if product := facts.parameters.get("product"):
        kind["product"] = product.lower().replace(" ", "_")
    if facts.kind == "snapshot_stream":
        kind["singleton"] = facts.path
    elif "{" not in facts.path:
        kind["list"] = {"path": facts.path, "stream": facts.name, "takes": dict(_filters(document, facts.path))}
        if required := [name for name, is_required in document.parameters_of(facts.path).items() if is_required]:
            kind["list"]["requires"] = required
        if not document.is_paged(facts.path):
            kind["list"]["paged"] = False
    if types := facts.events or facts.parameters.get("walk", {}).get("again", {}).get(facts.parameters.get("parent_field"), ()):
        kind["events"] = {type_: {"on": _ENDINGS.get(type_.rpartition(".")[2], "update")} for type_ in types}
    properties = document.component(facts.object)["properties"]
    if expandable := {name: _targets(node) for name, node in properties.items() if "x-expansionResources" in node}:
        kind["expandable"] = expandable
    return json.dumps(kind | {"object": _object(document, facts.object, ())}, indent=2, ensure_ascii=False) + "\n"


def _filters(document: Document, path: str) -> Iterator[tuple[str, Any]]:
    """The list's filters in the words of `kinds`: a range, a truth, one of some words, or the same text."""
    for name, schema in document.filters_of(path).items():
        if any("gte" in each.get("properties", {}) for each in variants_of(schema)):
            yield name, "range"
        elif schema.get("type") == "boolean":
            yield name, "bool"
        elif "enum" in schema:
            yield name, {"kind": "choice", "choices": list(schema["enum"])}
        elif document.has_component(name):
            yield name, {"kind": "ref", "target": name}
        else:
            yield name, "is"


def _targets(node: Node) -> list[str]:
    names = map(name_of, variants_of(node["x-expansionResources"]))
    return [name for name in names if not name.startswith("deleted_")]


def _object(document: Document, name: str, within: tuple[str, ...]) -> dict[str, Any]:
    properties = document.component(name)["properties"]
    shown = {field: node for field, node in properties.items() if f"{name}.{field}" not in OMITTED_UNLESS_EXPANDED}
    known = {} if within else {field: value for field, value in (_MADE_UP | {"object": name}).items() if field in shown}
    return {field: _value(document, node, (*within, name)) for field, node in shown.items()} | known


def _value(document: Document, node: Node, within: tuple[str, ...]) -> Any:
    if node.get("nullable"):
        return None
    if "x-expansionResources" in node:
        return f"=new {_targets(node)[0]}"
    if "$ref" in node:
        return None if name_of(node) in within else _object(document, name_of(node), within)
    if "anyOf" in node:
        return _value(document, next(variants_of(node)), within)
    if "enum" in node:
        return node["enum"][0]
    if node.get("type") != "object":
        return _BY_TYPE[node.get("type", "string")]
    if is_list(node):
        return []
    return {field: _value(document, inner, within) for field, inner in node.get("properties", {}).items()}
