"""Hold `docs/coverage.md` to Stripe's document: `python -m tools.coverage spec3.json`.

Each list that the document has is a stream's own, serves one, or is named as left out, and is only one of these; each type of
event is followed by a stream or named as followed by none. Prints what is not so, and fails.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from tools.document import Document
from tools.entries import ROOT, Stream, streams_of
from tools.papers import left_out_of, lists_of, plain


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    document = Document.from_file(Path(arguments[0]))
    streams = streams_of(yaml.safe_load((ROOT / "manifest.yaml").read_text(encoding="utf-8")))
    coverage = (ROOT / "docs/coverage.md").read_text(encoding="utf-8")
    faults = [*faults_of_lists(document, streams, coverage), *faults_of_events(document, streams, coverage)]
    print("\n".join(faults) or "each list and each type of event in Stripe's document is read, or named as left out")
    return 1 if faults else 0


def faults_of_lists(document: Document, streams: Sequence[Stream], coverage: str) -> Iterator[str]:
    own, serving = lists_of(streams)
    left_out = {plain(path) for path in left_out_of(coverage)}
    lists = {plain(path): path for path in document.lists()}
    for path in sorted(lists.keys() - own - serving - left_out):
        yield f"{lists[path]} is read by no stream, and docs/coverage.md does not say why"
    for path in sorted(left_out & (own | serving)):
        yield f"{lists.get(path, path)} is read, and named in docs/coverage.md as left out"
    for path in sorted((own | serving | left_out) - lists.keys()):
        yield f"{path} is no list of the document"


def faults_of_events(document: Document, streams: Sequence[Stream], coverage: str) -> Iterator[str]:
    types = set(document.event_types())
    followed = {type_ for stream in streams for type_ in types_of(stream)}
    table = coverage.partition("\n## Events that no stream follows\n")[2].partition("\n## ")[0]
    patterns = [pattern for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for pattern in re.findall("`(.*?)`", row)]
    for type_ in sorted(types - followed):
        if not any(fnmatchcase(type_, pattern) for pattern in patterns):
            yield f"{type_} is followed by no stream, and docs/coverage.md does not say why"
    for pattern in patterns:
        if followed & (meant := {type_ for type_ in types if fnmatchcase(type_, pattern)}):
            yield f"{pattern} is followed, and named in docs/coverage.md as followed by no stream"
        if not meant:
            yield f"{pattern} is no type of event in the document"
    for type_ in sorted(followed - types):
        yield f"{type_} is followed, and no type of event in the document"


def types_of(stream: Stream) -> Iterator[str]:
    """The types of event that tell of the stream."""
    entry = stream.entry
    yield from entry.get("events", ())
    yield from entry.get("announced_by", ())
    for types in (*entry.get("changed_with", {}).values(), *entry.get("walk", {}).get("again", {}).values()):
        yield from types


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
