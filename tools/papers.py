"""Write what README and docs/ tell of the streams one by one: the tables and links between `<!-- derived: … -->` and its end.

    python -m tools.papers            # write them; `make papers` and `make schemas` do it, too
    python -m tools.papers --check    # say which paper would change, exit 1 if any would

All of it follows from `manifest.yaml`, `metadata.yaml` (the suggested streams), `tools/domains.py`, and of README's speed from
what `make bench` measured last.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import yaml

from tools.bench import measured
from tools.domains import DOMAINS, domain_of
from tools.entries import ROOT, Stream, streams_of, suggested_streams

PAPERS = ("README.md", "docs/speed.md", "docs/stripe.md", "docs/streams.md", "docs/coverage.md")
BLOCK = re.compile(r"^( *)<!-- derived: ([a-z ]+) -->\n.*?^ *<!-- /derived -->\n", re.MULTILINE | re.DOTALL)
FORM = "https://dashboard.stripe.com/{mode}apikeys/create?name=Airbyte"
UNKNOWN = "not published"

AT_LENGTH = ("stream", "endpoint", "cursor", "sync modes", "changes arrive by", "deletions arrive by", "permission")
OF_A_DOMAIN = ("stream and its columns", "kind", "cursor", "changes arrive by", "deletions arrive by", "permission")

# What the papers call a kind. Children differ by whether they stand inside their parents or have a list for each of them.
KINDS = {
    "changing_stream": "changing",
    "immutable_stream": "immutable",
    "listed_stream": "listed",
    "small_stream": "small list",
    "unpaged_stream": "small list",
    "snapshot_stream": "snapshot",
    "child_stream": "child",
    "child_of_small_stream": "child",
}


class Papers:
    """The derived blocks of all papers, by their names."""

    def __init__(self, streams: Sequence[Stream], suggested: Sequence[str], left_out: Sequence[str]) -> None:
        self._streams = streams
        self._suggested = [stream for stream in streams if stream.name in suggested]
        self._left_out = left_out
        self._by_name = {stream.name: stream for stream in streams}
        self.blocks: dict[str, Callable[[], Iterable[str]]] = {
            "suggested in brief": self._in_brief,
            "suggested": lambda: self._table(self._suggested, AT_LENGTH),
            "domains": self._domains,
            "kinds": self._kinds,
            "streams": self._by_domain,
            "keys": self._keys,
            "whole": self._whole,
            "products": self._products,
            "form of the suggested": lambda: self._form(self._suggested),
            "form of all": lambda: self._form(self._streams),
            "permissions of the suggested": lambda: self._permissions(self._suggested),
            "permissions of all": lambda: self._permissions(self._streams),
            "coverage": self._coverage,
            "speed": lambda: measured.written("cpu", measured.rows("cpu")),
            "limits": lambda: measured.written("paced", measured.rows("paced")),
            "waiting": lambda: measured.written("waiting", measured.rows("waiting")),
            "start": lambda: measured.written("start", measured.rows("start")),
        }

    def fill(self, paper: str) -> str:
        """The text with its derived blocks as they are now. Raises `KeyError` for a block of another name."""

        def filled(block: re.Match[str]) -> str:
            indent, name = block.groups()
            derived = "\n".join(self.blocks[name]()).strip().split("\n")
            lines = [f"<!-- derived: {name} -->", *derived, "", "<!-- /derived -->"]
            return "".join(f"{indent}{line}".rstrip() + "\n" for line in lines)

        return BLOCK.sub(filled, paper)

    # ------------------------------------------------------------------ streams

    def _in_brief(self) -> Iterator[str]:
        deletable = [stream.name for stream in self._suggested if "deleted_by" in stream.entry]
        text = f"{_listed([stream.name for stream in self._suggested])}. Objects of {_listed(deletable)} can be deleted."
        yield from textwrap.wrap(text, 128, break_on_hyphens=False)

    def _table(self, streams: Iterable[Stream], columns: Iterable[str]) -> Iterator[str]:
        return table({column: self._cell(stream, column) for column in columns} for stream in streams)

    def _cell(self, stream: Stream, column: str) -> str:
        match column:
            case "stream":
                return stream.name
            case "stream and its columns":
                return f"[{stream.name}](schema/{domain_of(stream.name).lower()}.md#{stream.name})"
            case "endpoint":
                return f"`{stream.path}`"
            case "kind":
                return kind_of(stream)
            case "cursor":
                return f"`{stream.cursor}`" if stream.cursor else ""
            case "sync modes":
                return "full refresh, incremental" if stream.cursor else "full refresh"
            case "changes arrive by":
                return changes_of(stream)
            case "deletions arrive by":
                return deletions_of(stream)
            case _:
                return ", ".join(f"{row}: Read" for row in self._rows_of(stream)) or UNKNOWN

    def _rows_of(self, stream: Stream) -> list[str]:
        """The rows of Stripe's form that open the stream: its own and, of children, their parents'."""
        family = [stream, *(self._by_name[parent] for parent in stream.parents if parent in self._by_name)]
        return list(dict.fromkeys(row for each in family if (row := each.entry.get("permission", {}).get("row"))))

    def _domains(self) -> Iterator[str]:
        links = []
        for domain, text in DOMAINS.items():
            if count := len([name for name in text.split() if name in self._by_name]):
                links.append(f"[{domain}](docs/streams.md#{domain.lower()}) ({count})")
        yield f"All {len(self._streams)} streams by what they are about: {_listed(links)}."

    def _kinds(self) -> Iterator[str]:
        counts = Counter(kind_of(stream) for stream in self._streams)
        told = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
        yield f"{len(self._streams)} streams: {told}. {len([s for s in self._streams if s.cursor])} can be read incrementally."

    def _by_domain(self) -> Iterator[str]:
        for domain, text in DOMAINS.items():
            if names := [name for name in text.split() if name in self._by_name]:
                yield from (f"### {domain}", "")
                yield from self._table([self._by_name[name] for name in names], OF_A_DOMAIN)
                yield ""

    def _keys(self) -> Iterator[str]:
        for stream in self._streams:
            if len(stream.primary_key) > 1:
                yield f"- {stream.name}: {' and '.join(f'`{part}`' for part in stream.primary_key)}"

    def _whole(self) -> Iterator[str]:
        rows = []
        for stream in self._streams:
            nested = [each["field"] for each in stream.entry.get("nested_lists", ()) if not stream.parents]
            if nested or (stream.expand and not stream.parents):
                whole, besides = (", ".join(f"`{name}`" for name in sorted(names)) for names in (nested, stream.expand))
                rows.append({"stream": stream.name, "whole": whole, "asked for besides": besides})
        return table(rows)

    def _products(self) -> Iterator[str]:
        names: dict[str, list[str]] = {}
        for stream in self._streams:
            if product := stream.entry.get("product"):
                names.setdefault(product, []).append(stream.name)
        return table({"product": product, "streams": ", ".join(names[product])} for product in sorted(names))

    # ------------------------------------------------------------------ permissions

    def _permissions(self, streams: Sequence[Stream]) -> Iterator[str]:
        opened: dict[tuple[str, str], list[str]] = {}
        for stream in streams:
            permission = stream.entry.get("permission", {})
            opened.setdefault((permission.get("row", UNKNOWN), permission.get("token", "")), []).append(stream.name)
        known = sorted(opened, key=lambda key: (key[0] == UNKNOWN, key))
        return table(
            {
                "row in Stripe's form": row,
                "permission": f"`rak_{token}`" if token else "",
                "streams": ", ".join(opened[row, token]),
            }
            for row, token in known
        )

    def _form(self, streams: Sequence[Stream]) -> Iterator[str]:
        tokens = {token for stream in streams if (token := stream.entry.get("permission", {}).get("token"))}
        filled = "".join(f"&permissions[]=rak_{token}" for token in sorted(tokens))
        live, test = (FORM.format(mode=mode) + filled for mode in ("", "test/"))
        yield f"[for live data]({live}) or"
        yield f"[for test data]({test})."

    # ------------------------------------------------------------------ coverage

    def _coverage(self) -> Iterator[str]:
        own, serving = lists_of(self._streams)
        serving -= own
        total = len(own) + len(serving) + len(self._left_out)
        yield (
            f"Of {total} lists, {len(own)} are a stream's own, {len(serving)} serve one or more (with the rest of a nested list,"
            f" or with the children of a parent), and {len(self._left_out)} are left out."
        )


def kind_of(stream: Stream) -> str:
    """The kind in the papers' words."""
    return KINDS[stream.kind] + (" by walk" if "walk" in stream.entry else "")


def changes_of(stream: Stream) -> str:
    parents = ", ".join(stream.parents)
    if "walk" in stream.entry and stream.cursor:
        return f"events; the list of each of those {parents} is read again"
    match stream.kind:
        case "changing_stream" | "listed_stream":
            return "events" + ("; new ones by the list" if stream.entry.get("lists_new") else "")
        case "immutable_stream":
            return "the list" + (", again when they become available" if stream.entry.get("settles") else "")
        case "child_stream":
            return f"with {parents}"
        case "snapshot_stream":
            return "reading it"
        case _:
            return "reading all"


def deletions_of(stream: Stream) -> str:
    deleted_by = f"`{stream.entry['deleted_by']}`" if "deleted_by" in stream.entry else ""
    match stream.kind:
        case "child_stream":
            older = "an older `updated` than " + ("its siblings'" if "walk" in stream.entry else "its parent's")
            return f"{deleted_by}, else {older}" if deleted_by else older
        case "small_stream" | "unpaged_stream" | "child_of_small_stream":
            return "missing from the next read"
        case _:
            return deleted_by or "never deleted"


def lists_of(streams: Iterable[Stream]) -> tuple[set[str], set[str]]:
    """The paths of Stripe's lists that are a stream's own, and those that serve one; placeholders are `{}`."""
    own, serving = set(), set()
    for stream in streams:
        serving |= {plain(each["path"]) for each in stream.entry.get("nested_lists", ())}
        if "walk" in stream.entry:
            serving.add(plain(stream.path))
        elif not stream.parents and stream.kind != "snapshot_stream":
            own.add(plain(stream.path))
    return own, serving


def plain(path: str) -> str:
    return re.sub(r"{[^}]*}", "{}", path)


def left_out_of(coverage: str) -> list[str]:
    """The lists that docs/coverage.md says are no stream, as it writes their paths."""
    return re.findall(r"^\| `(/v1/[^`]+)` \|", coverage, re.MULTILINE)


def table(rows: Iterable[dict[str, str]]) -> Iterator[str]:
    """The lines of a table; all rows have the same columns."""
    for number, row in enumerate(rows):
        if not number:
            yield f"| {' | '.join(row)} |"
            yield "|" + " --- |" * len(row)
        yield re.sub(r"  +\|", " |", f"| {' | '.join(row.values())} |")


def _listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def load(root: Path = ROOT) -> Papers:
    streams = streams_of(yaml.safe_load((root / "manifest.yaml").read_text(encoding="utf-8")))
    return Papers(streams, suggested_streams(root), left_out_of((root / "docs/coverage.md").read_text(encoding="utf-8")))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the derived tables of README and docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a paper is not up to date")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="CHECKOUT")
    options = parser.parse_args(arguments)
    papers = load(options.root)
    outdated = 0
    for name in PAPERS:
        file: Path = options.root / name
        text = file.read_text(encoding="utf-8")
        if (filled := papers.fill(text)) != text:
            outdated += 1
            print(f"{name} {'is not up to date' if options.check else 'was brought up to date'}")
            if not options.check:
                file.write_text(filled, encoding="utf-8")
    print(f"{len(PAPERS) - outdated} of {len(PAPERS)} papers {'are' if options.check else 'were'} up to date")
    return 1 if options.check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
