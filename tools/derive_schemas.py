"""Derive `schemas/*.json` from Stripe's OpenAPI document.

Run it again when the manifest's Stripe-Version moves, with the document of that version
(`spec3.json` in https://github.com/stripe/openapi):

    python -m tools.derive_schemas spec3.json            # write schemas/
    python -m tools.derive_schemas spec3.json --check    # say what would change, exit 1 if anything would

What a stream is, and which fields it has expanded, is read from the manifest. Types and structure are taken over,
nothing else: Stripe's prose, its enums (a monthly release may add a value), its lengths and its `required` (bodies
lack some of those) are left behind. What real bodies have beyond the document stands in a table here. Everything but
the record's own `id` may be null, and every object is open.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from tools.document import DerivationError, Document, Node, is_list, name_of, variants_of
from tools.entries import ROOT, Stream, streams_of
from tools.field_tables import CUT, OMITTED_UNLESS_EXPANDED, SENT_UNASKED, UNDOCUMENTED

# Which objects the columns of each stream refer to, by the column's path; beside the schemas, which have no place for it.
REFERENCES = Path("tools/references.json")

Schema = dict[str, Any]

OPEN_OBJECT: Schema = {"type": ["null", "object"], "additionalProperties": True}

# What the connector adds to the records of a stream that changes. Products have an `updated` of Stripe's own.
ADDED_TO_CHANGING: dict[str, Schema] = {
    "updated": {"type": ["null", "integer"]},
    "is_deleted": {"type": ["null", "boolean"]},
}


@dataclass(frozen=True)
class Place:
    """Where in a record a node stands.

    `path` is as Stripe's `expand[]` would write it. `owner` is the component, and the fields within it, that hold the
    node. `within` are the components around it.
    """

    path: tuple[str, ...] = ()
    owner: str = ""
    within: tuple[str, ...] = ()

    def field(self, name: str) -> Place:
        return Place((*self.path, name), f"{self.owner}.{name}", self.within)

    def component(self, name: str) -> Place:
        return Place(self.path, name, (*self.within, name))

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass
class Derivation:
    """The schema of one stream's records. A new one for each stream: it notes what it left out on the way.

    `omitted`, `expanded`, `cut` and `undocumented` hold keys of the tables, `recursive` the other places that end open,
    `references` the components that an id refers to, or that stand there whole, by their path. `only` is a field of several
    kinds of object and the kind that counts.
    """

    document: Document
    stream: Stream
    only: tuple[str, str] = ("", "")
    omitted: set[str] = field(default_factory=set)
    expanded: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    undocumented: set[str] = field(default_factory=set)
    recursive: set[str] = field(default_factory=set)
    references: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _granted: set[str] = field(default_factory=set)

    def schema(self) -> Schema:
        """The whole schema. Raises `DerivationError` for a field to expand that is not there or not expandable."""
        node = self._cut_out() if self.stream.cut_from else self._whole()
        properties = dict(node["properties"])
        if self.stream.parent_field:
            properties.setdefault(self.stream.parent_field, {"type": ["null", "string"]})
        if self.stream.changing:
            properties |= ADDED_TO_CHANGING
        for name in self.stream.primary_key:
            properties[name] = {"type": "string"}
        return {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "additionalProperties": True,
            "properties": dict(sorted(properties.items())),
        }

    def _whole(self) -> Schema:
        """The object that the stream's endpoint lists, or answers with."""
        path = self.stream.path
        single = self.stream.kind == "snapshot_stream"
        schema = self._value(self.document.object_at(path) if single else self.document.items_at(path), Place())
        if unknown := self.stream.expand - self._granted:
            raise DerivationError(
                f"{self.stream.name} expands {', '.join(sorted(unknown))}, which is neither expandable in the document"
                " nor named in OMITTED_UNLESS_EXPANDED"
            )
        return schema

    def _cut_out(self) -> Schema:
        """The objects inside the parents' records, in the shape that they have there."""
        cuts = []
        for parent, name in self.stream.cut_from:
            asking = replace(parent, expand=parent.expand | self.stream.expand)
            around = Derivation(self.document, asking, only=(name, self.stream.object))
            schema = around._whole()
            prefix = f"{name}."
            for step in name.split("."):
                schema = schema["properties"][step]
            if "data" in schema.get("properties", ()):
                schema, prefix = schema["properties"]["data"], f"{name}.data."
            cuts.append(schema.get("items", schema))
            inside = {path: names for path, names in around.references.items() if path.startswith(prefix)}
            self.references |= {path.removeprefix(prefix): names for path, names in inside.items()}
        return _merged(cuts)

    def _value(self, node: Node, place: Place) -> Schema:
        if "$ref" in node:
            return self._component(name_of(node), place)
        if "x-expansionResources" in node:
            return self._expandable(node, place)
        if "anyOf" in node or "oneOf" in node:
            return self._union(variants_of(node), place)
        match node.get("type"):
            case "object":
                return self._object(node, place)
            case "array":
                return {"type": ["null", "array"], "items": self._value(node["items"], place)}
            case "string" | "integer" | "number" | "boolean" as scalar:
                return {"type": ["null", scalar]}
        raise DerivationError(f"{self.stream.name}: {place} is of no type that is known here: {dict(node)}")

    def _component(self, name: str, place: Place) -> Schema:
        if name in place.within:
            self.recursive.add(place.owner)
            return OPEN_OBJECT
        component = self.document.component(name)
        if place.path and {"id", "object"} <= component.get("properties", {}).keys():
            self._refer(place, [name])
        return self._object(component, place.component(name))

    def _refer(self, place: Place, components: Iterable[str]) -> None:
        names = {name for name in components if not name.startswith("deleted_")}
        self.references[str(place)] = tuple(sorted(names | set(self.references.get(str(place), ()))))

    def _expandable(self, node: Node, place: Place) -> Schema:
        """An id, unless the stream asks for the object."""
        targets = list(variants_of(node["x-expansionResources"]))
        if self._asks_for(place):
            return self._union(targets, place)
        self._refer(place, map(name_of, targets))
        return {"type": ["null", "string"]}

    def _union(self, variants: Iterable[Node], place: Place) -> Schema:
        """What admits each of the variants, but for those that a publishable key alone is shown (`..._client`)."""
        name, kind = self.only
        if str(place) in (name, f"{name}.data"):
            variants = [variant for variant in variants if name_of(variant) in (kind, "")]
        schemas = []
        for variant in variants:
            if name_of(variant).startswith("deleted_"):
                # A deleted object has a flag more and some fields less.
                schemas.append(_object_of({"deleted": {"type": ["null", "boolean"]}}))
            elif not name_of(variant).endswith("_client"):
                schemas.append(self._value(variant, place))
        return _merged(schemas)

    def _object(self, node: Node, place: Place) -> Schema:
        """Keys that are data (metadata, currencies) make an open object: what has names has properties."""
        if "properties" not in node:
            return OPEN_OBJECT
        properties = {}
        for name, value in (self._seen_beside(node, place.owner) | node["properties"]).items():
            spot = place.field(name)
            if self._is_left_out(value, spot, required=name in node.get("required", ())):
                continue
            if spot.owner in CUT:
                self.cut.add(spot.owner)
                properties[name] = OPEN_OBJECT
            else:
                properties[name] = self._value(value, spot)
        return _object_of(properties)

    def _seen_beside(self, node: Node, owner: str) -> dict[str, Any]:
        """The fields of this object that the document does not name."""
        keys = {key for key in UNDOCUMENTED if key.rpartition(".")[0] == owner}
        keys -= {f"{owner}.{name}" for name in node["properties"]}
        self.undocumented |= keys
        return {key.rpartition(".")[2]: UNDOCUMENTED[key].node for key in keys}

    def _is_left_out(self, node: Node, place: Place, *, required: bool) -> bool:
        if place.owner in OMITTED_UNLESS_EXPANDED:
            asked = self._asks_for(place)
            (self.expanded if asked else self.omitted).add(place.owner)
            return not asked
        if is_list(node) and not required and place.owner not in SENT_UNASKED and not self._asks_for(place):
            raise DerivationError(
                f"{place.owner} is a nested list that a body may lack: have the stream expand it,"
                " or name it in OMITTED_UNLESS_EXPANDED or SENT_UNASKED with the reason"
            )
        return False

    def _asks_for(self, place: Place) -> bool:
        asked = {path for path in self.stream.expand if f"{path}.".startswith(f"{place}.")}
        self._granted |= asked & {str(place)}
        return bool(asked)


def _object_of(properties: Mapping[str, Schema]) -> Schema:
    return {"type": ["null", "object"], "additionalProperties": True, "properties": dict(sorted(properties.items()))}


def _merged(schemas: Sequence[Schema]) -> Schema:
    """One schema that admits what any of them admits, with the fields of all."""
    if len(schemas) == 1:
        return schemas[0]
    types = {name for schema in schemas for name in schema["type"]}
    merged: Schema = {"type": ["null", *sorted(types - {"null"})]}
    if "object" in types:
        merged["additionalProperties"] = True
    if items := [schema["items"] for schema in schemas if "items" in schema]:
        merged["items"] = _merged(items)
    if names := {name for schema in schemas for name in schema.get("properties", ())}:
        merged["properties"] = {
            name: _merged([schema["properties"][name] for schema in schemas if name in schema.get("properties", ())])
            for name in sorted(names)
        }
    return merged


def rendered(schema: Schema) -> str:
    """The text of a schema's file: an object's keys below each other, and what fits on a line on one line."""
    return "".join(_lines(schema, "")) + "\n"


def _lines(value: Any, indent: str) -> Iterator[str]:
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict) or len(indent) + len(flat) <= 110:
        yield flat
        return
    yield "{"
    for number, (key, inner) in enumerate(value.items()):
        yield f"{',' if number else ''}\n{indent} {json.dumps(key)}: "
        yield from _lines(inner, indent + " ")
    yield f"\n{indent}}}"


def summary(derivation: Derivation, text: str) -> str:
    """What a person who moves the version wants to look over: sizes, places that end open, fields left out."""
    return "\n".join(
        [
            f"{derivation.stream.name}: {len(text.encode()):,} bytes",
            *(f"  open: {key} ({CUT[key]})" for key in sorted(derivation.cut)),
            *(f"  open: {key} (an object inside one of its own kind)" for key in sorted(derivation.recursive)),
            *(f"  undocumented: {key} ({UNDOCUMENTED[key].seen})" for key in sorted(derivation.undocumented)),
            *(f"  without: {key} ({OMITTED_UNLESS_EXPANDED[key]})" for key in sorted(derivation.omitted)),
        ]
    )


def difference(file: Path, text: str) -> str:
    """What would change in the file; nothing if it is up to date."""
    there = file.read_text(encoding="utf-8") if file.exists() else ""
    lines = difflib.unified_diff(
        there.splitlines(keepends=True),
        text.splitlines(keepends=True),
        f"{file.name} (as it is)",
        f"{file.name} (derived)",
    )
    return "".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Derive schemas/*.json from Stripe's OpenAPI document.")
    parser.add_argument("document", type=Path, metavar="OPENAPI_JSON")
    parser.add_argument("--stream", action="append", metavar="NAME", help="this stream only (may be repeated)")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a file is not up to date")
    parser.add_argument("--manifest", type=Path, default=ROOT / "manifest.yaml")
    parser.add_argument("--schemas", type=Path, default=ROOT / "schemas", metavar="FOLDER")
    parser.add_argument("--references", type=Path, default=ROOT / REFERENCES, metavar="JSON")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except DerivationError as error:
        print(error, file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    document = Document.from_file(options.document)
    streams = streams_of(yaml.safe_load(options.manifest.read_text(encoding="utf-8")))
    if unknown := set(options.stream or ()) - {stream.name for stream in streams}:
        raise DerivationError(f"the manifest has no stream {', '.join(sorted(unknown))}")
    chosen = [stream for stream in streams if not options.stream or stream.name in options.stream]
    derivations = [Derivation(document, stream) for stream in chosen]
    texts = {options.schemas / f"{each.stream.name}.json": rendered(each.schema()) for each in derivations}
    if not options.stream:
        _note_leftovers(options.schemas, texts, derivations)
    if options.check:
        return _check(texts | _references(options, derivations))
    for derivation, (file, text) in zip(derivations, texts.items(), strict=True):
        file.write_text(text, encoding="utf-8")
        print(summary(derivation, text))
    for file, text in _references(options, derivations).items():
        file.write_text(text, encoding="utf-8")
    return 0


def _references(options: argparse.Namespace, derivations: Iterable[Derivation]) -> dict[Path, str]:
    """The file of references, which is of all streams or not written."""
    if options.stream:
        return {}
    return {options.references: rendered({each.stream.name: dict(sorted(each.references.items())) for each in derivations})}


def _check(texts: Mapping[Path, str]) -> int:
    changes = list(filter(None, (difference(file, text) for file, text in texts.items())))
    sys.stdout.write("".join(changes))
    print(f"{len(texts) - len(changes)} of {len(texts)} files are up to date")
    return 1 if changes else 0


def _note_leftovers(folder: Path, files: Iterable[Path], derivations: Iterable[Derivation]) -> None:
    """Say which files and which lines of the tables are of no use any more; a person deletes them."""
    for file in sorted(set(folder.glob("*.json")) - set(files)):
        print(f"{file.name} belongs to no stream", file=sys.stderr)
    used = set().union(*(each.omitted | each.expanded | each.cut | each.undocumented for each in derivations))
    for key in sorted({*OMITTED_UNLESS_EXPANDED, *CUT} - used):
        print(f"{key}, in a table of this tool, is in no stream's document", file=sys.stderr)
    for key in sorted(UNDOCUMENTED.keys() - used):
        print(f"{key}, in a table of this tool, is in the document by now or in no stream", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
