"""The streams, as their entries in `manifest.yaml` declare them to the tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from tools.document import DerivationError

ROOT = Path(__file__).resolve().parent.parent

# The kinds of stream, each with the cursor of its records. What has a cursor `updated` shows changes and deletions.
CURSORS = {
    "changing_stream": "updated",
    "immutable_stream": "created",
    "listed_stream": "updated",
    "small_stream": None,
    "unpaged_stream": None,
    "snapshot_stream": None,
    "child_stream": "updated",
    "child_of_small_stream": None,
}


@dataclass(frozen=True)
class Stream:
    """A stream as its manifest entry has it. `expand` is written as Stripe's `expand[]`, without `data.`.

    `parents` are the streams of which its objects are children, `parent_field` is the column that holds the parent's id.
    `cut_from` names, for children that are cut out of their parents' pages, each parent with the field that holds them; of
    such a field that holds several kinds of object, those of the kind `object` are the stream's. `entry` are the parameters of
    the entry, as they are.
    """

    name: str
    path: str
    expand: frozenset[str] = frozenset()
    kind: str = "changing_stream"
    object: str = ""
    primary_key: tuple[str, ...] = ("id",)
    cursor: str | None = "updated"
    parent_field: str = ""
    parents: tuple[str, ...] = ()
    cut_from: tuple[tuple[Stream, str], ...] = ()
    entry: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def changing(self) -> bool:
        """Whether its records show changes and deletions."""
        return self.cursor == "updated"

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], definitions: Mapping[str, Any]) -> Stream:
        parameters = entry["$parameters"]
        name = parameters["name"]
        kind = _kind(entry, definitions)
        key = entry.get("primary_key", "id")
        path = parameters.get("walk", {}).get("path") or parameters.get("path", f"/v1/{name}")
        return cls(
            name=name,
            path=path,
            expand=frozenset(parameters.get("expand", ())),
            kind=kind,
            object=parameters.get("object", ""),
            primary_key=(key,) if isinstance(key, str) else tuple(key),
            cursor=CURSORS[kind],
            parent_field=parameters.get("parent_field", ""),
            parents=tuple(parameters.get("parents", ())),
            entry=parameters,
        )


def _kind(entry: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The first kind of stream that the entry's ladder of `$ref`s comes by."""
    step = entry
    while kind := str(step.get("$ref", "")).rsplit("/", 1)[-1]:
        if kind in CURSORS:
            return kind
        step = definitions.get(kind, {})
    raise DerivationError(f"{entry['$parameters']['name']} is of no kind of stream that is known here: {', '.join(CURSORS)}")


def streams_of(manifest: Mapping[str, Any]) -> list[Stream]:
    """The manifest's streams, in its order, each child with its parents."""
    entries: Sequence[Mapping[str, Any]] = manifest["streams"]
    streams = {stream.name: stream for stream in (Stream.from_entry(entry, manifest["definitions"]) for entry in entries)}
    for parameters in (entry["$parameters"] for entry in entries):
        sources = {} if "walk" in parameters else parameters.get("parents", {})
        if missing := sources.keys() - streams.keys():
            raise DerivationError(f"{parameters['name']} is cut out of {', '.join(missing)}, which is no stream")
        cut_from = tuple((streams[parent], field) for parent, field in sources.items())
        streams[parameters["name"]] = replace(streams[parameters["name"]], cut_from=cut_from)
    return list(streams.values())


def suggested_streams(root: Path = ROOT) -> list[str]:
    """The streams that the papers name first, and that Airbyte's registry would preselect."""
    names: list[str] = yaml.safe_load((root / "metadata.yaml").read_text(encoding="utf-8"))["data"]["suggestedStreams"]["streams"]
    return names
