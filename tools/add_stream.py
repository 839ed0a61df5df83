"""Add a stream: `python -m tools.add_stream spec3.json /v1/tax_rates [--name NAME]`, or `make stream`.

Writes the entry into `manifest.yaml`, the schema into `schemas/`, and the stream's rows into the tables of README and docs, from
what Stripe's OpenAPI document says of the list. What the document does not say is marked with TODO, and a test refuses the mark
until a person has decided.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tools.derive_schemas import ROOT, Derivation, rendered
from tools.document import DerivationError, Document, is_list, name_of, variants_of
from tools.entries import CURSORS, streams_of
from tools.field_tables import OMITTED_UNLESS_EXPANDED, SENT_UNASKED

TODO = "TODO"
WIDTH = 130

# Filters that may hide a part of the objects while they are not given.
HIDING = {"active", "archived", "expired", "status"}


@dataclass
class Facts:
    """What the document says of a list. `open` are the questions that it leaves, in words."""

    name: str
    path: str
    kind: str
    object: str
    parameters: dict[str, Any] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    @property
    def cursor(self) -> str | None:
        return CURSORS[self.kind]


def facts_of(document: Document, path: str, name: str | None = None) -> Facts:
    """Raises `DerivationError` where `path` is no list of one kind of object."""
    components = [name_of(variant) for variant in variants_of(document.items_at(path))]
    if len(components) != 1:
        raise DerivationError(f"{path} lists several kinds of object: {', '.join(components)}")
    name = name or re.sub(r"/{[^}]*}", "", path.removeprefix("/v1/")).replace("/", "_")
    events, guessed = _events_of(document, components[0])
    facts = Facts(name, path, _kind_of(document, path, events + guessed), components[0])
    facts.parameters["object"] = facts.object
    if facts.kind == "child_stream":
        walk = {**_walk_to(document, path), "again": {"id": [TODO]}}
        facts.parameters |= {"parents": {TODO: ""}, "parent_field": TODO, "walk": walk}
    elif path != f"/v1/{name}":
        facts.parameters["path"] = path
    _add_times(document, facts)
    facts.parameters["permission"] = {"row": TODO, "token": TODO}
    _add_lists(document, facts)
    if facts.cursor == "updated" and (events or guessed):
        _add_events(document, facts, events, guessed)
    _ask_for_choices(document, facts)
    return facts


def _kind_of(document: Document, path: str, events: Sequence[str]) -> str:
    """By what the list takes, and whether events tell of its objects."""
    parameters = document.parameters_of(path)
    if any(parameters.values()):
        return "child_stream"
    if events:
        return "changing_stream" if "created" in parameters else "listed_stream"
    return "small_stream"


def _walk_to(document: Document, path: str) -> dict[str, str]:
    """Where the parent's id goes, which the list has in its path or asks for as a parameter."""
    asked = [name for name, required in document.parameters_of(path).items() if required and f"{{{name}}}" not in path]
    return {"path": re.sub(r"{[^}]*}", "{id}", path), **({"owner": asked[0]} if asked else {})}


def _events_of(document: Document, component: str) -> tuple[list[str], list[str]]:
    """The types of event whose object this is, and those that only end like it (`customer.subscription.created`)."""
    sure, guessed = [], []
    for kind in document.event_types():
        owner = kind.rpartition(".")[0]
        if owner.replace(".", "_") == component.replace(".", "_"):
            sure.append(kind)
        elif owner.rpartition(".")[2] == component and not document.has_component(owner):
            guessed.append(kind)
    return sure, guessed


def _add_times(document: Document, facts: Facts) -> None:
    if "created" in document.component(facts.object)["properties"]:
        return
    if facts.kind in ("changing_stream", "immutable_stream"):
        facts.parameters["created"] = TODO
        facts.open.append("which field is the time that the list filters by `created`?")


def _add_lists(document: Document, facts: Facts) -> None:
    lists = []
    for name, node in document.component(facts.object)["properties"].items():
        key = f"{facts.object}.{name}"
        if is_list(node) and key not in OMITTED_UNLESS_EXPANDED:
            lists.append({"field": name, **_whole_list(document, facts, name, node)})
            if name not in document.component(facts.object).get("required", ()) and key not in SENT_UNASKED:
                facts.open.append(f"{name} may be absent: expand it, or name it in tools/field_tables.py")
    if lists:
        facts.parameters["nested_lists"] = lists


def _whole_list(document: Document, facts: Facts, name: str, node: Mapping[str, Any]) -> dict[str, str]:
    """Where the whole of a list inside the object is read: a path below the object's own, or a list that asks for its owner."""
    below = f"{facts.path}/{{id}}/{name}"
    paths = list(document.lists())
    if re.sub(r"{[^}]*}", "{}", below) in {re.sub(r"{[^}]*}", "{}", path) for path in paths}:
        return {"path": below}
    items = node["properties"]["data"]["items"]
    owner = facts.object.rpartition(".")[2]
    for path in paths:
        if "{" not in path and document.items_at(path) == items and owner in document.parameters_of(path):
            return {"path": path, "owner": owner}
    return {"path": TODO}


def _add_events(document: Document, facts: Facts, events: list[str], guessed: list[str]) -> None:
    facts.parameters["events"] = sorted(events + guessed)
    if guessed:
        facts.open.append(f"are these events of this object? {', '.join(guessed)}")
    deleted = [kind for kind in events + guessed if kind.endswith(".deleted")]
    if deleted and document.has_component(f"deleted_{facts.object}"):
        facts.parameters["deleted_by"] = deleted[0]
    elif deleted:
        facts.open.append(f"does {deleted[0]} mean that the object is gone?")


def _ask_for_choices(document: Document, facts: Facts) -> None:
    if facts.kind == "small_stream" and "created" in document.parameters_of(facts.path):
        facts.open.append("an immutable_stream if its objects never change: no event tells of them")
    if [kind.rpartition(".")[2] for kind in facts.parameters.get("events", ())] == ["created"]:
        facts.open.append("an immutable_stream if its objects never change: only their creation has an event")
    if hiding := sorted(HIDING & document.parameters_of(facts.path).keys()):
        facts.open.append(f"does a bare list show all? Else `passes` by {', '.join(hiding)}")
    if expandable := list(_expandable(document, facts.object)):
        facts.open.append(f"is any of these worth expanding? {', '.join(expandable)}")


def _expandable(document: Document, component: str) -> Iterator[str]:
    for name, node in document.component(component)["properties"].items():
        if "x-expansionResources" in node or "x-expansionResources" in node.get("items", {}):
            yield name


def entry_of(facts: Facts) -> str:
    """The manifest's entry: the questions as comments, a parameter a line, long lists below their beginning."""
    lines = [f'  - $ref: "#/definitions/{facts.kind}"']
    for question in facts.open:
        lines += _wrapped(f"    # {TODO}: ", question, "    #   ")
    lines += ["    $parameters:", f"      name: {facts.name}"]
    for name, value in facts.parameters.items():
        if name == "nested_lists":
            lines += [f"      {name}:", *(f'        - {{$ref: "#/definitions/nested_list", {_flow(each)[1:]}' for each in value)]
        elif isinstance(value, list):
            lines += _wrapped(f"      {name}: [", ", ".join(value) + "]", " " * len(f"      {name}: ["))
        else:
            lines.append(f"      {name}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in value.items()) + "}"
    text = yaml.safe_dump(value, default_flow_style=True, width=1_000_000).removesuffix("...\n").strip()
    return f'"{value}"' if isinstance(value, str) and "{" in value else text


def _wrapped(start: str, text: str, indent: str) -> list[str]:
    return textwrap.wrap(start + text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def with_entry(manifest: str, name: str, entry: str) -> str:
    """The manifest's text with one entry more, in alphabetical order; comments and all else stay as they are."""
    head, start, rest = manifest.partition("\nstreams:\n")
    body, end, tail = rest.partition("\n# ---")
    entries = [text.strip("\n") + "\n" for text in re.split(r"\n(?=  - \$ref: )", "\n" + body) if text.strip()]
    names = [yaml.safe_load(text)[0]["$parameters"]["name"] for text in entries]
    if name in names:
        raise DerivationError(f"the manifest has a stream {name}")
    position = sum(each < name for each in names)
    entries.insert(position, entry)
    return head + start + "\n".join(entries) + end + tail


def with_row(paper: str, facts: Facts) -> str:
    """The text with one row more in its table of streams and endpoints."""
    cells = {
        "stream": facts.name,
        "endpoint": f"`{facts.path}`",
        "kind": facts.kind.removesuffix("_stream"),
        "cursor": f"`{facts.cursor}`" if facts.cursor else "",
        "sync modes": "full refresh, incremental" if facts.cursor else "full refresh",
        "can be deleted": "yes" if "deleted_by" in facts.parameters else "no",
        "changes arrive by": {"updated": "events", "created": "the list"}.get(facts.cursor or "", "reading all"),
        "deletions arrive by": f"`{facts.parameters['deleted_by']}`" if "deleted_by" in facts.parameters else TODO,
    }
    lines = paper.split("\n")
    start = next((number for number, line in enumerate(lines) if line.startswith("| stream | endpoint |")), None)
    if start is None:
        raise DerivationError("there is no table of streams with their endpoints")
    columns = [column.strip() for column in lines[start].strip("|").split("|")]
    row = start + 2
    while lines[row].startswith("|") and lines[row][2:].partition(" ")[0] < facts.name:
        row += 1
    lines.insert(row, f"| {' | '.join(cells.get(column, TODO) for column in columns)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Add the stream of one of Stripe's lists.")
    parser.add_argument("document", type=Path, metavar="OPENAPI_JSON")
    parser.add_argument("path", metavar="/v1/LIST")
    parser.add_argument("--name", help="another name than the path's")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="CHECKOUT")
    options = parser.parse_args(arguments)
    try:
        return _run(Document.from_file(options.document), options)
    except DerivationError as error:
        print(error, file=sys.stderr)
        return 2


def _run(document: Document, options: argparse.Namespace) -> int:
    facts = facts_of(document, options.path, options.name or None)
    entry = entry_of(facts)
    manifest: Path = options.root / "manifest.yaml"
    text = with_entry(manifest.read_text(encoding="utf-8"), facts.name, entry)
    stream = next(each for each in streams_of(yaml.safe_load(text)) if each.name == facts.name)
    manifest.write_text(text, encoding="utf-8")
    for paper in (options.root / "README.md", options.root / "docs" / "stripe.md"):
        paper.write_text(with_row(paper.read_text(encoding="utf-8"), facts), encoding="utf-8")
    print(
        f"{entry}\nThe entry is in manifest.yaml, a row of it in README.md and in docs/stripe.md. Decide what is marked {TODO}."
    )
    schema: Path = options.root / "schemas" / f"{facts.name}.json"
    schema.write_text(rendered(Derivation(document, stream).schema()), encoding="utf-8")
    print(f"The schema is in {schema.relative_to(options.root)}; `make schemas` derives it again after a decision.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
