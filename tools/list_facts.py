"""What Stripe's OpenAPI document says of a list that is to become a stream, and what it leaves to a person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.document import DerivationError, Document, is_list, name_of, variants_of
from tools.domains import domain_of
from tools.entries import CURSORS, Stream
from tools.field_tables import OMITTED_UNLESS_EXPANDED, SENT_UNASKED
from tools.papers import plain

TODO = "TODO"

# Filters that may hide a part of the objects while they are not given.
HIDING = {"active", "archived", "expired", "status"}


@dataclass
class Facts:
    """A stream as far as it is known. `parameters` are its entry's, `primary_key` stands beside them where it is not the `id`;
    `open` are the questions that are left, in words."""

    name: str
    path: str
    kind: str
    object: str
    domain: str = TODO
    primary_key: tuple[str, ...] = ("id",)
    parameters: dict[str, Any] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    @property
    def events(self) -> list[str]:
        """The types of event whose object is one of the stream."""
        return list(self.parameters.get("events", ()))


def facts_of(document: Document, path: str, streams: Sequence[Stream] = (), name: str | None = None) -> Facts:
    """The facts of the list at `path`, beside the other `streams`.

    Raises `DerivationError` where `path` is nothing in the document, or lists several kinds of object.
    """
    return _Finder(document, path, streams, name).found()


class _Finder:
    def __init__(self, document: Document, path: str, streams: Sequence[Stream], name: str | None) -> None:
        self._document, self._path, self._streams = document, path, streams
        self._is_single = document.is_single(path)
        answer = document.object_at(path) if self._is_single else document.items_at(path)
        components = [name_of(variant) for variant in variants_of(answer)]
        if len(components) != 1:
            raise DerivationError(f"{path} lists several kinds of object: {', '.join(components)}")
        self._object = components[0]
        self._component = document.component(self._object)
        self._name = name or re.sub(r"/{[^}]*}", "", path.removeprefix("/v1/")).replace("/", "_")
        self._required = [name for name, is_required in self._takes.items() if is_required]

    def found(self) -> Facts:
        sure, guessed = self._events()
        parent, cut_from = self._parent()
        facts = Facts(self._name, self._path, self._kind(parent, sure + guessed), self._object, self._domain(parent))
        facts.parameters["object"] = self._object
        if not self._required and self._path != f"/v1/{self._name}":
            facts.parameters["path"] = self._path
        facts.parameters["permission"] = parent.entry["permission"] if parent and cut_from else {"row": TODO, "token": TODO}
        if product := self._product():
            facts.parameters["product"] = product
        if self._required:
            self._add_parent(facts, parent, cut_from, sure + guessed)
        self._add_times(facts)
        if not cut_from:
            self._add_lists(facts)
        if CURSORS[facts.kind] == "updated" and not facts.parameters.get("walk") and (sure or guessed):
            self._add_events(facts, sure, guessed)
        self._ask_for_choices(facts)
        return facts

    @property
    def _takes(self) -> dict[str, bool]:
        return self._document.parameters_of(self._path)

    # ------------------------------------------------------------------ what kind it is, and whose

    def _kind(self, parent: Stream | None, events: Sequence[str]) -> str:
        """By what the list takes, and whether events tell of its objects."""
        if self._is_single:
            return "snapshot_stream"
        if self._required:
            return "child_of_small_stream" if parent and parent.cursor is None else "child_stream"
        if events:
            return "changing_stream" if "created" in self._takes else "listed_stream"
        return "small_stream" if self._document.is_paged(self._path) else "unpaged_stream"

    def _parent(self) -> tuple[Stream | None, str]:
        """The stream whose objects hold those of this list, with the field that does; or that this list belongs to, without."""
        for stream in self._streams:
            for nested in stream.entry.get("nested_lists", ()):
                if self._required and plain(nested["path"]) == plain(self._path) and stream.kind != "snapshot_stream":
                    return stream, nested["field"]
        before = plain(self._path).partition("/{}")[0] if "{" in self._path else ""
        beside = self._beside()
        for stream in sorted(self._streams, key=lambda stream: stream not in beside):
            is_named = stream.path == before or (not before and stream.object.rpartition(".")[2] in self._required)
            if is_named and not stream.parents and stream.kind != "snapshot_stream":
                return stream, ""
        return None, ""

    def _beside(self) -> list[Stream]:
        """The streams of the same part of Stripe's API, where it has parts (`/v1/issuing/…`)."""
        part = "/".join(self._path.split("/")[:3]) + "/"
        return [stream for stream in self._streams if stream.path.startswith(part) and "{" not in stream.path]

    def _domain(self, parent: Stream | None) -> str:
        domains = {domain_of(stream.name) for stream in ([parent] if parent else self._beside())}
        return domains.pop() if len(domains) == 1 else TODO

    def _product(self) -> str:
        products = {stream.entry.get("product", "") for stream in self._beside()}
        return products.pop() if len(products) == 1 else ""

    def _add_parent(self, facts: Facts, parent: Stream | None, cut_from: str, events: Sequence[str]) -> None:
        owner = next((name for name in self._required if f"{{{name}}}" not in self._path), "")
        known = [parent.object.replace(".", "_")] if parent else []
        added = self._required[0] if parent else TODO
        column = next((name for name in (*known, *self._required) if name in self._component["properties"]), added)
        name = parent.name if parent else TODO
        facts.parameters |= {"parents": {name: cut_from} if cut_from else [name], "parent_field": column}
        facts.open.append(f"is its id unique by itself? Else `primary_key: [{column}, id]` above")
        if cut_from:
            return
        walk: dict[str, Any] = {"path": re.sub(r"{[^}]*}", "{id}", self._path)}
        if owner:
            walk["owner"] = owner
        if facts.kind == "child_stream":
            walk["again"] = {column: sorted(events)} if events and column in self._component["properties"] else {"id": [TODO]}
            facts.open.append("after which other events of the parent is its list read again?")
        facts.parameters["walk"] = walk

    # ------------------------------------------------------------------ events and times

    def _events(self) -> tuple[list[str], list[str]]:
        """The types of event whose object this is, and those that only end like it (`customer.subscription.created`)."""
        sure, guessed = [], []
        for kind in self._document.event_types():
            owner = kind.rpartition(".")[0]
            if owner.replace(".", "_") == self._object.replace(".", "_"):
                sure.append(kind)
            elif owner.rpartition(".")[2] == self._object and not self._document.has_component(owner):
                guessed.append(kind)
        return sure, guessed

    def _add_events(self, facts: Facts, sure: list[str], guessed: list[str]) -> None:
        facts.parameters["events"] = sorted(sure + guessed)
        if guessed:
            facts.open.append(f"are these events of this object? {', '.join(guessed)}")
        if deleted := [kind for kind in sure + guessed if kind.endswith(".deleted")]:
            if self._document.has_component(f"deleted_{self._object}"):
                facts.parameters["deleted_by"] = deleted[0]
            else:
                facts.open.append(f"does {deleted[0]} mean that the object is gone?")
        if facts.kind == "changing_stream" and not any(kind.endswith(".created") for kind in facts.events):
            facts.open.append("no event tells of a new one: `lists_new: true` unless another does")

    def _add_times(self, facts: Facts) -> None:
        if facts.kind == "changing_stream" and "created" not in self._component["properties"]:
            facts.parameters["created"] = TODO
            facts.open.append("which field is the time that the list filters by `created`?")
        if facts.kind == "snapshot_stream" and "id" not in self._component["properties"]:
            facts.primary_key = ("object",)

    # ------------------------------------------------------------------ lists inside, and choices

    def _add_lists(self, facts: Facts) -> None:
        lists = []
        for name, node in self._component["properties"].items():
            key = f"{self._object}.{name}"
            if is_list(node) and key not in OMITTED_UNLESS_EXPANDED:
                lists.append({"field": name, **self._whole_list(name, node)})
                if name not in self._component.get("required", ()) and key not in SENT_UNASKED:
                    facts.open.append(f"{name} may be absent: expand it, or name it in tools/field_tables.py")
        if lists:
            facts.parameters["nested_lists"] = lists

    def _whole_list(self, name: str, node: Mapping[str, Any]) -> dict[str, str]:
        """Where the whole of a list inside the object is: a path below the object's own, or a list that asks for its owner."""
        below = f"{self._path}/{{id}}/{name}"
        paths = list(self._document.lists())
        if plain(below) in {plain(path) for path in paths}:
            return {"path": below}
        items = node["properties"]["data"]["items"]
        owner = self._object.rpartition(".")[2]
        for path in paths:
            if "{" not in path and self._document.items_at(path) == items and owner in self._document.parameters_of(path):
                return {"path": path, "owner": owner}
        return {"path": TODO}

    def _ask_for_choices(self, facts: Facts) -> None:
        if facts.kind == "small_stream" and "created" in self._takes:
            facts.open.append("an immutable_stream if its objects never change: no event tells of them")
        if [kind.rpartition(".")[2] for kind in facts.events] == ["created"]:
            facts.open.append("an immutable_stream if its objects never change: only their creation has an event")
        if "walk" in facts.parameters:
            return
        if hiding := sorted(HIDING & self._takes.keys()):
            facts.open.append(f"does a bare list show all? Else `passes` by {', '.join(hiding)}")
        if expandable := list(self._expandable()):
            facts.open.append(f"is any of these worth expanding? {', '.join(expandable)}")

    def _expandable(self) -> Iterator[str]:
        for name, node in self._component["properties"].items():
            if "x-expansionResources" in node or "x-expansionResources" in node.get("items", {}):
                yield name
