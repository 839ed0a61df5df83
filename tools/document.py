"""Stripe's OpenAPI document (`spec3.json` in https://github.com/stripe/openapi), as the tools read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Node = Mapping[str, Any]


class DerivationError(Exception):
    """The document or the manifest holds something that a person has to decide; the message says what."""


class Document:
    """The document, whole or cut down to the components that the streams need.

    A path may name its placeholders as it likes and have a query: `/v1/invoices/{id}/lines` finds
    `/v1/invoices/{invoice}/lines`.
    """

    def __init__(self, document: Node) -> None:
        self._document = document
        self._paths: dict[str, Node] = {_plain(path): node["get"] for path, node in document["paths"].items() if "get" in node}
        self._components: Mapping[str, Node] = document["components"]["schemas"]

    @classmethod
    def from_file(cls, file: Path) -> Document:
        return cls(json.loads(file.read_text(encoding="utf-8")))

    def items_at(self, path: str) -> Node:
        """What the list endpoint `path` lists: a `$ref` to a component, or a union of them."""
        try:
            items: Node = self._answer(path)["properties"]["data"]["items"]
        except KeyError as missing:
            raise DerivationError(f"the document has no list at {path} ({missing} is missing)") from missing
        return items

    def object_at(self, path: str) -> Node:
        """What `path` answers with: a `$ref` to a component."""
        if _plain(path) not in self._paths:
            raise DerivationError(f"the document has nothing at {path}")
        return self._answer(path)

    def is_single(self, path: str) -> bool:
        """Whether `path` answers with one object, and with no list."""
        return _plain(path) in self._paths and "$ref" in self._answer(path)

    def is_paged(self, path: str) -> bool:
        return any(each["name"] == "limit" for each in self._paths[_plain(path)].get("parameters", ()))

    def lists(self) -> Iterator[str]:
        """The paths of all lists."""
        for path, node in self._document["paths"].items():
            if "get" in node and is_list(self._answer(path)):
                yield path

    def parameters_of(self, path: str) -> dict[str, bool]:
        """What a list may be asked for besides its pages and expansions, each with whether it has to be."""
        paging = {"expand", "limit", "starting_after", "ending_before"}
        parameters = self._paths[_plain(path)].get("parameters", ())
        return {each["name"]: each.get("required", False) for each in parameters if each["name"] not in paging}

    def filters_of(self, path: str) -> dict[str, Node]:
        """The same parameters, but for those in the path, with the schema of each."""
        parameters = self._paths[_plain(path)].get("parameters", ())
        schemas = {each["name"]: each.get("schema", {}) for each in parameters if each.get("in") != "path"}
        return {name: schema for name, schema in schemas.items() if name in self.parameters_of(path)}

    def event_types(self) -> list[str]:
        """Every type of event: those that a webhook endpoint may be made for."""
        if "x-event-types" in self._document:
            return sorted(self._document["x-event-types"])
        body = self._document["paths"]["/v1/webhook_endpoints"]["post"]["requestBody"]["content"]
        types = body["application/x-www-form-urlencoded"]["schema"]["properties"]["enabled_events"]["items"]["enum"]
        return sorted(set(types) - {"*"})

    def has_component(self, name: str) -> bool:
        return name in self._components

    def component(self, name: str) -> Node:
        if name not in self._components:
            raise DerivationError(f"the document has no component {name}")
        return self._components[name]

    def _answer(self, path: str) -> Node:
        content = self._paths[_plain(path)]["responses"]["200"]["content"]
        answer: Node = content.get("application/json", {}).get("schema", {})
        return answer


def _plain(path: str) -> str:
    return re.sub(r"{[^}]*}", "{}", path.partition("?")[0])


def name_of(node: Node) -> str:
    """The component that a `$ref` names; nothing for another node."""
    return str(node.get("$ref", "")).rsplit("/", 1)[-1]


def is_list(node: Node) -> bool:
    """Whether this is one of Stripe's list objects: `{"object": "list", "data": [...], "has_more": ...}`."""
    return bool(node.get("properties", {}).get("object", {}).get("enum") == ["list"])


def variants_of(node: Node) -> Iterator[Node]:
    """The nodes of a union; of another node, itself."""
    yield from node.get("anyOf", node.get("oneOf", (node,)))
