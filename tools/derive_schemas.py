"""Derive `schemas/*.json` from Stripe's OpenAPI document.

Run it again when the manifest's Stripe-Version moves, with the document of that version
(`spec3.json` in https://github.com/stripe/openapi):

    python tools/derive_schemas.py spec3.json            # write schemas/
    python tools/derive_schemas.py spec3.json --check    # say what would change, exit 1 if anything would

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent

Schema = dict[str, Any]

# Fields that a body has only when they are asked for, by the OpenAPI component that owns them, and why a stream that
# does not ask for them does well without. A stream asks with `expand` in its manifest entry. The document does not
# mark such fields; a nested list that may be absent is always one, and the tool refuses one that is not named here.
OMITTED_UNLESS_EXPANDED = {
    "charge.refunds": "the refunds stream has them; charges ask for them",
    "coupon.applies_to": "asked for by coupons; elsewhere a coupon is its id",
    "coupon.currency_options": "asked for by coupons; elsewhere a coupon is its id",
    "customer.cash_balance": "another object, with a permission of its own",
    "customer.invoice_credit_balance": "follows from the customer's balance transactions, changes without an event",
    "customer.sources": "other objects, with a permission of their own; default_source names the one in use",
    "customer.subscriptions": "the subscriptions stream has them",
    "customer.tax": "where Stripe takes the customer to be, computed at each reading, changes without an event",
    "customer.tax_ids": "other objects, with a permission of their own",
    "invoice.confirmation_secret": "a secret that lets its holder pay the invoice",
    "invoice.payments": "asked for by invoices; elsewhere an invoice is its id",
    "invoices_resource_shipping_cost.taxes": "amount_tax is their sum; asked for by no stream",
    "payment_flows_amount_details.line_items": "other objects, a list of their own under each PaymentIntent",
    "plan.tiers": "asked for by plans",
    "price.currency_options": "asked for by prices; inside another object the prices stream has them",
    "price.tiers": "asked for by prices; inside another object the prices stream has them",
}

# Places that end in an open object, by component and field, and why. An object inside one of its own kind ends so
# without being named here, and so does one whose keys are data (metadata, currency_options). All else is whole.
CUT = {
    "api_errors.payment_intent": "a copy of another object as it stood when the payment failed",
    "api_errors.setup_intent": "a copy of another object as it stood when the payment failed",
    "api_errors.source": "one of three kinds of object, of payment methods that Stripe has retired",
    "payment_method_card.generated_from": "how a card was made from an earlier payment, a charge's details in small",
}

OPEN_OBJECT: Schema = {"type": ["null", "object"], "additionalProperties": True}


@dataclass(frozen=True)
class Undocumented:
    """A field that real bodies have and Stripe's document lacks: its node, in the document's language, and where it was seen.

    `seen` names the versions of the bodies, first and last. Of a field that was null in all of them, the type is the one that
    Stripe's documents of earlier or preview versions give it.
    """

    node: Mapping[str, Any]
    seen: str


_STRING, _INTEGER, _BOOLEAN, _OBJECT = ({"type": name} for name in ("string", "integer", "boolean", "object"))
_PLAN = {"$ref": "#/components/schemas/plan"}
_EVERY = "2025-10-29.clover to 2026-08-26.dahlia"

# By the component, and the fields within it, that own the field. Where the document names it, the document is right.
UNDOCUMENTED = {
    "charge.destination": Undocumented(_STRING, "2025-04-30.basil to 2026-08-26.dahlia"),
    "charge.dispute": Undocumented(_STRING, "2025-04-30.basil to 2026-08-26.dahlia"),
    "charge.order": Undocumented(_STRING, "2025-04-30.basil to 2026-08-26.dahlia, null"),
    "charge.refunds.total_count": Undocumented(_INTEGER, "2025-04-30.basil to 2026-03-25.dahlia"),
    "charge.source": Undocumented(_OBJECT, "2025-04-30.basil to 2026-08-26.dahlia, null"),
    "dispute.balance_transaction": Undocumented(_STRING, "2025-04-30.basil to 2026-08-26.dahlia"),
    "invoice.lines.total_count": Undocumented(_INTEGER, _EVERY),
    "payment_intent.payment_record": Undocumented(_STRING, "2026-08-26.dahlia, null"),
    "payment_intent.shared_payment_granted_token": Undocumented(_STRING, "2026-06-24.dahlia to 2026-08-26.dahlia, null"),
    "payment_intent.source": Undocumented(_STRING, "2025-03-31.basil to 2026-08-26.dahlia, null"),
    "payment_intent_payment_method_options_link.persistent_token": Undocumented(
        _STRING, "2025-03-31.basil to 2026-03-25.dahlia, null"
    ),
    "payment_method.shared_payment_granted_token": Undocumented(_STRING, "2026-06-24.dahlia, null"),
    "payment_method_details_card.electronic_commerce_indicator": Undocumented(_STRING, "2026-08-26.dahlia"),
    "product.attributes": Undocumented({"type": "array", "items": _STRING}, "2026-08-26.dahlia, empty"),
    "product.tax_details": Undocumented(
        {"type": "object", "properties": {"performance_location": _STRING, "tax_code": _STRING}}, "2026-08-26.dahlia"
    ),
    "product.type": Undocumented(_STRING, "2026-08-26.dahlia"),
    "recurring.trial_period_days": Undocumented(_INTEGER, f"{_EVERY}, null"),
    "subscription.items.total_count": Undocumented(_INTEGER, _EVERY),
    "subscription.plan": Undocumented(_PLAN, _EVERY),
    "subscription.quantity": Undocumented(_INTEGER, _EVERY),
    "subscription_item.current_trial": Undocumented(_OBJECT, "2026-08-26.dahlia, null"),
    "subscription_item.plan": Undocumented(_PLAN, _EVERY),
    "subscriptions_resource_pending_update.cancel_at_period_end": Undocumented(_BOOLEAN, "2026-08-26.dahlia, null"),
    "subscriptions_resource_trial_settings_end_behavior.billing_cycle_anchor": Undocumented(_STRING, "2026-08-26.dahlia"),
}

# What the connector adds to the records of a stream that changes. Products have an `updated` of Stripe's own.
ADDED_TO_CHANGING: dict[str, Schema] = {
    "updated": {"type": ["null", "integer"]},
    "is_deleted": {"type": ["null", "boolean"]},
}


class DerivationError(Exception):
    """The document or the manifest holds something that a person has to decide; the message says what."""


@dataclass(frozen=True)
class Stream:
    """A stream as its manifest entry has it. `expand` is written as Stripe's `expand[]`, without `data.`."""

    name: str
    path: str
    expand: frozenset[str] = frozenset()
    changing: bool = True

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], definitions: Mapping[str, Any]) -> Stream:
        parameters = entry["$parameters"]
        name = parameters["name"]
        return cls(
            name=name,
            path=parameters.get("path", f"/v1/{name}"),
            expand=frozenset(parameters.get("expand", ())),
            changing=_kind(entry, definitions) == "changing_stream",
        )


def _kind(entry: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The first of the two kinds of stream that the entry's ladder of `$ref`s comes by."""
    step = entry
    while kind := _name(step):
        if kind in ("changing_stream", "immutable_stream"):
            return kind
        step = definitions.get(kind, {})
    raise DerivationError(f"{entry['$parameters']['name']} is neither a changing_stream nor an immutable_stream")


def streams_of(manifest: Mapping[str, Any]) -> list[Stream]:
    """The manifest's streams, in its order."""
    return [Stream.from_entry(entry, manifest["definitions"]) for entry in manifest["streams"]]


class Document:
    """Stripe's OpenAPI document, whole or cut down to the components that the streams need."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._paths: Mapping[str, Any] = document["paths"]
        self._components: Mapping[str, Any] = document["components"]["schemas"]

    def listed_at(self, path: str) -> str:
        """The name of the component that the list endpoint `path` lists."""
        try:
            content = self._paths[path]["get"]["responses"]["200"]["content"]["application/json"]
            return _name(content["schema"]["properties"]["data"]["items"])
        except KeyError as missing:
            raise DerivationError(f"the document has no list at {path} ({missing} is missing)") from missing

    def component(self, name: str) -> Mapping[str, Any]:
        if name not in self._components:
            raise DerivationError(f"the document has no component {name}")
        component: Mapping[str, Any] = self._components[name]
        return component


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

    `omitted`, `expanded`, `cut` and `undocumented` hold keys of the three tables above, `recursive` the other places that
    end open.
    """

    document: Document
    stream: Stream
    omitted: set[str] = field(default_factory=set)
    expanded: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    undocumented: set[str] = field(default_factory=set)
    recursive: set[str] = field(default_factory=set)
    _granted: set[str] = field(default_factory=set)

    def schema(self) -> Schema:
        """The whole schema. Raises `DerivationError` for a field to expand that is not there or not expandable."""
        component = self.document.listed_at(self.stream.path)
        properties = self._component(component, Place())["properties"]
        if self.stream.changing:
            properties |= ADDED_TO_CHANGING
        properties["id"] = {"type": "string"}
        if unknown := self.stream.expand - self._granted:
            raise DerivationError(
                f"{self.stream.name} expands {', '.join(sorted(unknown))}, which is neither expandable in the document"
                " nor named in OMITTED_UNLESS_EXPANDED"
            )
        return {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "additionalProperties": True,
            "properties": dict(sorted(properties.items())),
        }

    def _value(self, node: Mapping[str, Any], place: Place) -> Schema:
        if "$ref" in node:
            return self._component(_name(node), place)
        if "x-expansionResources" in node:
            return self._expandable(node, place)
        if variants := node.get("anyOf", node.get("oneOf")):
            return self._union(variants, place)
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
        return self._object(self.document.component(name), place.component(name))

    def _expandable(self, node: Mapping[str, Any], place: Place) -> Schema:
        """An id, unless the stream asks for the object."""
        if not self._asks_for(place):
            return {"type": ["null", "string"]}
        return self._union(node["x-expansionResources"]["oneOf"], place)

    def _union(self, variants: Iterable[Mapping[str, Any]], place: Place) -> Schema:
        """What admits each of the variants, but for those that a publishable key alone is shown (`..._client`)."""
        schemas = []
        for variant in variants:
            if _name(variant).startswith("deleted_"):
                # A deleted object has a flag more and some fields less.
                schemas.append(_object_of({"deleted": {"type": ["null", "boolean"]}}))
            elif not _name(variant).endswith("_client"):
                schemas.append(self._value(variant, place))
        return _merged(schemas)

    def _object(self, node: Mapping[str, Any], place: Place) -> Schema:
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

    def _seen_beside(self, node: Mapping[str, Any], owner: str) -> dict[str, Any]:
        """The fields of this object that the document does not name."""
        keys = {key for key in UNDOCUMENTED if key.rpartition(".")[0] == owner}
        keys -= {f"{owner}.{name}" for name in node["properties"]}
        self.undocumented |= keys
        return {key.rpartition(".")[2]: UNDOCUMENTED[key].node for key in keys}

    def _is_left_out(self, node: Mapping[str, Any], place: Place, *, required: bool) -> bool:
        if place.owner in OMITTED_UNLESS_EXPANDED:
            asked = self._asks_for(place)
            (self.expanded if asked else self.omitted).add(place.owner)
            return not asked
        if _is_list(node) and not required and not self._asks_for(place):
            raise DerivationError(
                f"{place.owner} is a nested list that a body may lack: have the stream expand it,"
                " or name it in OMITTED_UNLESS_EXPANDED with the reason"
            )
        return False

    def _asks_for(self, place: Place) -> bool:
        asked = {path for path in self.stream.expand if f"{path}.".startswith(f"{place}.")}
        self._granted |= asked & {str(place)}
        return bool(asked)


def _name(node: Mapping[str, Any]) -> str:
    """The component that a `$ref` names; nothing for another node."""
    return str(node.get("$ref", "")).rsplit("/", 1)[-1]


def _is_list(node: Mapping[str, Any]) -> bool:
    """Whether this is one of Stripe's list objects: `{"object": "list", "data": [...], "has_more": ...}`."""
    return bool(node.get("properties", {}).get("object", {}).get("enum") == ["list"])


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
            *(f"  undocumented: {key} (real bodies, {UNDOCUMENTED[key].seen})" for key in sorted(derivation.undocumented)),
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
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except DerivationError as error:
        print(error, file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    document = Document(json.loads(options.document.read_text(encoding="utf-8")))
    streams = streams_of(yaml.safe_load(options.manifest.read_text(encoding="utf-8")))
    if unknown := set(options.stream or ()) - {stream.name for stream in streams}:
        raise DerivationError(f"the manifest has no stream {', '.join(sorted(unknown))}")
    chosen = [stream for stream in streams if not options.stream or stream.name in options.stream]
    derivations = [Derivation(document, stream) for stream in chosen]
    texts = {options.schemas / f"{each.stream.name}.json": rendered(each.schema()) for each in derivations}
    if not options.stream:
        _note_leftovers(options.schemas, texts, derivations)
    if options.check:
        return _check(texts)
    for derivation, (file, text) in zip(derivations, texts.items(), strict=True):
        file.write_text(text, encoding="utf-8")
        print(summary(derivation, text))
    return 0


def _check(texts: Mapping[Path, str]) -> int:
    changes = list(filter(None, (difference(file, text) for file, text in texts.items())))
    sys.stdout.write("".join(changes))
    print(f"{len(texts) - len(changes)} of {len(texts)} schemas are up to date")
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
