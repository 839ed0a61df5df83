"""Add a stream: `python -m tools.add_stream spec3.json /v1/tax_rates [--name NAME]`, or `make stream`.

Writes what Stripe's OpenAPI document says of the list: the entry in `manifest.yaml`, the schema in `schemas/`, what its columns
refer to in `tools/references.json`, the domain in `tools/domains.py`, and what the embedded account has to know of the object in
its `kinds/`. Takes the list out of those that docs/coverage.md leaves out. What the document does not say is marked with TODO: a
test refuses the mark until a person has decided.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.derive_schemas import REFERENCES, Derivation, rendered
from tools.document import DerivationError, Document
from tools.embedded_kind import KINDS, kind_file
from tools.entries import ROOT, streams_of
from tools.list_facts import TODO, Facts, facts_of
from tools.papers import plain

WIDTH = 130
_RETRIEVER = "source_stripe.components.StripeRetriever"
DOMAINS, COVERAGE = "tools/domains.py", "docs/coverage.md"


def entry_of(facts: Facts) -> str:
    """The manifest's entry: the questions as comments, a parameter a line, long lists below their beginning."""
    kind = f"#/definitions/{facts.kind}"
    retriever = f'{{$ref: "{kind}/retriever", type: CustomRetriever, class_name: {_RETRIEVER}}}'
    lines = [f'  - $ref: "{kind}"', "    type: DeclarativeStream", f"    retriever: {retriever}"]
    for question in facts.open:
        lines += _wrapped(f"    # {TODO}: ", question, "    #   ")
    if facts.primary_key != ("id",):
        lines.append(f"    primary_key: {_flow(list(facts.primary_key))}")
    lines += ["    $parameters:", f"      name: {facts.name}"]
    for name, value in facts.parameters.items():
        if name == "nested_lists":
            lines += [f"      {name}:", *(f'        - {{$ref: "#/definitions/nested_list", {_flow(each)[1:]}' for each in value)]
        elif name == "walk":
            lines += [f"      {name}:", *_walk(value)]
        elif isinstance(value, list):
            lines += _list(f"      {name}: [", value)
        else:
            lines.append(f"      {name}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _walk(walk: Mapping[str, Any]) -> list[str]:
    lines = [f"        {name}: {_flow(value)}" for name, value in walk.items() if name != "again"]
    if "again" in walk:
        lines.append("        again:")
        for name, types in walk["again"].items():
            lines += _list(f"          {name}: [", types)
    return lines


def _list(start: str, values: Sequence[str]) -> list[str]:
    return _wrapped(start, ", ".join(values) + "]", " " * len(start))


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in value.items()) + "}"
    if value == "":
        return '""'
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


def with_domain(domains: str, domain: str, name: str) -> str:
    """The text of `tools/domains.py` with the stream in that domain, which is made where there is none of the name."""
    if f'    "{domain}": """\n' not in domains:
        domains = re.sub(r"\n}\n", f'\n    "{domain}": """\n    """,\n}}\n', domains, count=1)
    head, start, rest = domains.partition(f'    "{domain}": """\n')
    names, end, tail = rest.partition('    """,\n')
    wrapped = textwrap.wrap(" ".join([*names.split(), name]), 120, break_on_hyphens=False)
    return head + start + "".join(f"        {line}\n" for line in wrapped) + end + tail


def without_row(coverage: str, path: str) -> str:
    """The text of docs/coverage.md without the row that says why this list is left out."""
    lines = coverage.splitlines(keepends=True)
    return "".join(line for line in lines if not (row := re.match(r"\| `(/v1/[^`]+)` \|", line)) or plain(row[1]) != plain(path))


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
    root: Path = options.root
    manifest = (root / "manifest.yaml").read_text(encoding="utf-8")
    facts = facts_of(document, options.path, streams_of(yaml.safe_load(manifest)), options.name or None)
    entry = entry_of(facts)
    text = with_entry(manifest, facts.name, entry)
    streams = {stream.name: stream for stream in streams_of(yaml.safe_load(text))}
    derivation = Derivation(document, streams[facts.name])
    written = {root / f"schemas/{facts.name}.json": rendered(derivation.schema()), root / "manifest.yaml": text}
    old = {name: (root / name).read_text(encoding="utf-8") for name in (str(REFERENCES), DOMAINS, COVERAGE)}
    written[root / REFERENCES] = _with_references(old[str(REFERENCES)], list(streams), facts.name, derivation.references)
    written[root / DOMAINS] = with_domain(old[DOMAINS], facts.domain, facts.name)
    written[root / COVERAGE] = without_row(old[COVERAGE], facts.path)
    if not (file := root / KINDS / f"{facts.object}.json").exists():
        written[file] = kind_file(document, facts)
    for file, content in written.items():
        file.write_text(content, encoding="utf-8")
    print(f"{entry}\nWritten: {', '.join(str(file.relative_to(root)) for file in written)}.")
    if places := [f"{file.relative_to(root)}:{number}" for file, number in _marks(written)]:
        print(f"Decide what is marked {TODO} in {', '.join(places)}.")
    print(f"Then: make schemas OPENAPI={options.document} && make snapshots")
    return 0


def _marks(written: Mapping[Path, str]) -> Iterator[tuple[Path, int]]:
    """The lines that hold something to decide."""
    for file, content in written.items():
        yield from ((file, number) for number, line in enumerate(content.splitlines(), 1) if TODO in line)


def _with_references(text: str, names: Sequence[str], name: str, references: Mapping[str, Sequence[str]]) -> str:
    known = json.loads(text) | {name: dict(sorted(references.items()))}
    return rendered({each: known[each] for each in names})


if __name__ == "__main__":
    sys.exit(main())
