"""Write `docs/schema/`: every column of every stream and what it refers to, and a diagram of each domain.

    python -m tools.schema_pages            # write the pages; `make papers` and `make schemas` do it, too
    python -m tools.schema_pages --check    # say which would change, exit 1 if any would

Columns come from `schemas/`, and what they refer to from `tools/references.json`, which is derived with the schemas.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.derive_schemas import REFERENCES, Schema
from tools.domains import DOMAINS, domain_of
from tools.entries import ROOT, Stream, streams_of

DERIVED = "<!-- Derived by `make papers`: what is changed here is overwritten. -->\n"

# How many fields of an object are named; the schema has all.
NAMED = 8

References = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class Column:
    """A column: `targets` are the objects that its value names, or is; `inside` those that are named further in."""

    name: str
    schema: Schema
    targets: tuple[str, ...]
    inside: tuple[str, ...]

    @property
    def is_list(self) -> bool:
        """Whether it holds the objects themselves, many of them, rather than naming one."""
        holds = self.schema.get("properties", {}).get("data", self.schema)
        return "properties" in holds.get("items", ())


class Reference:
    """The pages of a set of streams."""

    def __init__(self, streams: Sequence[Stream], schemas: Mapping[str, Schema], references: References) -> None:
        self.streams = {stream.name: stream for stream in streams}
        self._schemas = schemas
        self._references = references
        self._by_object: dict[str, list[str]] = {}
        for stream in sorted(streams, key=lambda stream: (bool(stream.parent_field), stream.kind == "snapshot_stream")):
            self._by_object.setdefault(stream.object, []).append(stream.name)

    def columns(self, stream: str) -> Iterator[Column]:
        references = self._references.get(stream, {})
        for name, schema in self._schemas[stream]["properties"].items():
            own = (name, f"{name}.data")
            targets = [target for path in own for target in references.get(path, ())]
            inside = {
                target for path, each in references.items() if path.startswith(f"{name}.") and path not in own for target in each
            }
            yield Column(name, schema, tuple(targets), tuple(sorted(inside - set(targets))))

    def streams_for(self, stream: str, column: Column) -> list[str]:
        """The streams that the column refers to, as far as one stream alone has such objects."""
        if column.name == self.streams[stream].parent_field and (parents := self.streams[stream].parents):
            return [parent for parent in parents if parent in self.streams]
        return [found for target in column.targets if (found := self._stream_of(target))]

    def _stream_of(self, target: str) -> str | None:
        """The stream that lists such objects; where several cut them out of their parents, none is the one."""
        found = self._by_object.get(target, [])
        if len(found) == 1 or (found and not self.streams[found[0]].parent_field):
            return found[0]
        return None

    def _linked(self, stream: str, targets: Sequence[str]) -> str:
        return ", ".join(self._link(stream, found) if (found := self._stream_of(target)) else f"`{target}`" for target in targets)

    def _link(self, stream: str, other: str) -> str:
        page = "" if domain_of(other) == domain_of(stream) else _file_of(domain_of(other))
        return f"[{other}]({page}#{other})"

    def table(self, stream: str) -> Iterator[str]:
        yield "| column | type | refers to |"
        yield "| --- | --- | --- |"
        for column in self.columns(stream):
            parents = self.streams_for(stream, column) if column.name == self.streams[stream].parent_field else []
            cell = ", ".join(self._link(stream, parent) for parent in parents) or self._linked(stream, column.targets)
            if column.inside:
                cell += f"{'; ' if cell else ''}inside: {self._linked(stream, column.inside)}"
            yield f"| `{column.name}` | {type_of(column.schema)} | {cell} |"

    def diagram(self, names: Sequence[str]) -> Iterator[str]:
        """The streams that refer to one or are referred to, and a line for each column that refers to another of them."""
        references = [(name, column, other) for name in names for column, other in self._references_of(name)]
        shown = {name for name, _, other in references} | {other for _, _, other in references}
        if not shown & set(names):
            return
        yield "```mermaid\nerDiagram"
        for name in names:
            if name in shown:
                yield from self._entity(name)
        edges: dict[tuple[str, str, str], list[str]] = {}
        for name, column, other in references:
            if other in names:
                end = "o{" if "array" in column.schema["type"] else "o|"
                edges.setdefault((name, end, other), []).append(column.name)
        for (name, end, other), columns in edges.items():
            yield f'    {name} }}o--{end} {other} : "{", ".join(columns)}"'
        yield "```"

    def _references_of(self, name: str) -> Iterator[tuple[Column, str]]:
        for column in self.columns(name):
            if not column.is_list:
                yield from ((column, other) for other in self.streams_for(name, column))

    def _entity(self, name: str) -> Iterator[str]:
        """A stream with its keys: first its own, then those of others."""
        key = self.streams[name].primary_key
        others: dict[str, list[str]] = {}
        for column, other in self._references_of(name):
            others.setdefault(column.name, []).append(other)
        yield f"    {name} {{"
        for column in sorted(self.columns(name), key=lambda column: column.name not in key):
            marks = ["PK"] * (column.name in key) + ["FK"] * (column.name in others)
            if marks:
                comment = f' "{", ".join(others[column.name])}"' if column.name in others else ""
                yield f"        {_word_for(column.schema)} {column.name} {', '.join(marks)}{comment}"
        yield "    }"

    def page(self, domain: str, names: Sequence[str]) -> str:
        # A title of one word would take the anchor of the stream that is called so.
        lines = [DERIVED, f"# {domain} streams\n", *self.diagram(names)]
        for name in names:
            stream = self.streams[name]
            facts = [f"Objects `{stream.object}`", f"key {', '.join(f'`{part}`' for part in stream.primary_key)}"]
            facts += [f"cursor `{stream.cursor}`"] if stream.cursor else ["full refresh"]
            facts += [f"cut out of {self._link(name, parent.name)} (`{field}`)" for parent, field in stream.cut_from]
            lines += [f"\n## {name}\n", f"{'; '.join(facts)}.\n", *self.table(name)]
        return "\n".join(lines) + "\n"

    def pages(self) -> dict[str, str]:
        """The text of each page by its file's name, and of the page that names them."""
        index = [DERIVED, "# Streams and their columns\n", "| domain | streams |", "| --- | --- |"]
        pages = {}
        for domain, text in DOMAINS.items():
            if names := [name for name in text.split() if name in self.streams]:
                pages[_file_of(domain)] = self.page(domain, names)
                links = ", ".join(f"[{name}]({_file_of(domain)}#{name})" for name in names)
                index.append(f"| [{domain}]({_file_of(domain)}) | {links} |")
        return {"README.md": "\n".join(index) + "\n", **pages}


def type_of(schema: Schema) -> str:
    """The type in words: `string`, `array of string`, `list of object (id, amount)`. Each may be null, but for the key."""
    words = []
    for kind in [schema["type"]] if isinstance(schema["type"], str) else schema["type"]:
        properties = schema.get("properties", {})
        if kind == "array":
            words.append(f"array of {type_of(schema['items'])}")
        elif kind == "object" and {"data", "has_more"} <= properties.keys():
            words.append(f"list of {type_of(properties['data']['items'])}")
        elif kind == "object" and properties:
            named = [name for name in properties if name != "object"]
            more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
            words.append(f"object ({', '.join(named[:NAMED])}{more})")
        elif kind != "null":
            words.append(kind)
    return " or ".join(words)


def _word_for(schema: Schema) -> str:
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return next(kind for kind in kinds if kind != "null")


def _file_of(domain: str) -> str:
    return f"{domain.lower()}.md"


def load(root: Path = ROOT) -> Reference:
    streams = streams_of(yaml.safe_load((root / "manifest.yaml").read_text(encoding="utf-8")))
    texts = {stream.name: (root / f"schemas/{stream.name}.json").read_text(encoding="utf-8") for stream in streams}
    references = json.loads((root / REFERENCES).read_text(encoding="utf-8"))
    return Reference(streams, {name: json.loads(text) for name, text in texts.items()}, references)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write docs/schema/ from the schemas.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a page is not up to date")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="CHECKOUT")
    options = parser.parse_args(arguments)
    folder: Path = options.root / "docs" / "schema"
    pages = load(options.root).pages()
    outdated = sorted(name for name, text in pages.items() if _text_of(folder / name) != text)
    leftover = sorted({file.name for file in folder.glob("*.md")} - pages.keys())
    if not options.check:
        folder.mkdir(exist_ok=True)
        for name in outdated:
            (folder / name).write_text(pages[name], encoding="utf-8")
        for name in leftover:
            (folder / name).unlink()
    print(f"{len(pages) - len(outdated)} of {len(pages)} pages {'are' if options.check else 'were'} up to date")
    return 1 if options.check and (outdated or leftover) else 0


def _text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
