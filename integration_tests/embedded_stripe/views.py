"""How an object looks in an answer: what was asked for is there, nested lists are cut, references are expanded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from .kinds import Inside, Kind, Object, Tree
from .templates import a_list
from .versions import as_of, kind_at

INLINE = 10  # how much of a nested list comes with its object

_NO_TREE: Tree = {}


class Views:
    """Shows the objects of one account. `find` gives an object by its id and the kinds that it may be of, `members` those of a
    list that name their owner, `is_gone` whether an object of a kind was deleted."""

    def __init__(
        self,
        find: Callable[..., Object | None],
        members: Callable[[Inside, str], list[Object]],
        is_gone: Callable[[str, str], bool],
        payment_of: Callable[[str], Object | None],
    ) -> None:
        self._find, self._members, self._is_gone, self._payment_of = find, members, is_gone, payment_of

    def view(self, obj: Object, tree: Tree, version: str, whole: tuple[str, ...] = ()) -> Object:
        """The object in that version; the nested lists in `whole` are not cut. Parts of `obj` may be shared."""
        known = kind_at(obj.get("object", ""), version)
        shown = as_of(version, obj, self._find, self._payment_of)
        for name in known.hidden:
            shown.pop(name, None)
        for place in known.includable:
            if not _is_asked(tree, place):
                _remove(shown, place)
        for inside in known.lists.values():
            self._show_list(shown, inside, tree, known, whole)
            if inside.place and _is_asked(tree, inside.place):
                _put(shown, inside.place, _cut(self._placed(obj, inside, version), inside.name in whole))
        for place in known.contains:
            name, _, rest = place.partition(".")
            if shown.get(name):
                shown[name] = self._contained(shown[name], rest, tree.get(name, _NO_TREE), version)
        if tree:
            self._grow(shown, tree, known, "", version)
        return shown

    def _placed(self, obj: Object, inside: Inside, version: str) -> Object:
        """A list that stands elsewhere than under its name."""
        url = inside.url.format(id=obj["id"])
        if inside.same_as:
            return {**obj[inside.same_as], "url": url}
        data = [self.view(each, _NO_TREE, version) for each in self._members(inside, obj["id"])]
        return a_list(url, data, counted=inside.is_counted)

    def _show_list(self, shown: Object, inside: Inside, tree: Tree, known: Kind, whole: tuple[str, ...]) -> None:
        name = inside.name
        if not inside.is_shown:
            return
        if inside.by and "id" in shown and (name in tree or name not in known.includable):
            data = self._members(inside, shown["id"])
            shown[name] = _cut(a_list(inside.url.format(id=shown["id"]), data, counted=inside.is_counted), name in whole)
        elif name in shown and isinstance(shown[name], dict):
            shown[name] = _cut(shown[name], name in whole)

    def _contained(self, value: Any, place: str, branch: Tree, version: str) -> Any:
        """`value` with the objects that stand whole at a dotted place in it, as they are shown."""
        if isinstance(value, list):
            return [self._contained(each, place, branch, version) for each in value]
        if not isinstance(value, dict):
            return value
        if not place:
            return self.view(value, branch, version) if "object" in value else value
        name, _, rest = place.partition(".")
        if not value.get(name):
            return value
        return value | {name: self._contained(value[name], rest, branch.get(name, _NO_TREE), version)}

    def _grow(self, value: Object, tree: Tree, known: Kind, prefix: str, version: str) -> None:
        places, contains = known.expandable, known.contains
        for name, branch in tree.items():
            at, inside = prefix + name, value.get(name)
            if places.get(at):
                value[name] = self._expanded(inside, branch, places[at], version)
            elif at in places or f"{at}.data" in contains or at in contains:
                continue
            elif isinstance(inside, dict):
                value[name] = grown = dict(inside)
                self._grow(grown, branch, known, at + ".", version)
            elif isinstance(inside, list):
                value[name] = grown_all = [dict(each) for each in inside]
                for each in grown_all:
                    self._grow(each, branch, known, at + ".", version)

    def _expanded(self, value: Any, branch: Tree, targets: list[str], version: str) -> Any:
        if isinstance(value, list):
            return [self._expanded(each, branch, targets, version) for each in value]
        if not isinstance(value, str):
            return value
        found = self._find(value, targets)
        if found is None and self._is_gone(targets[0], value):
            return {"id": value, "object": targets[0], "deleted": True}
        return {"id": value, "object": targets[0]} if found is None else self.view(found, branch, version)


def _cut(items: Object, whole: bool) -> Object:
    if whole or len(items["data"]) <= INLINE:
        return dict(items)
    return items | {"data": items["data"][:INLINE], "has_more": True}


def _is_asked(tree: Tree, place: str) -> bool:
    for segment in place.split("."):
        if segment not in tree:
            return False
        tree = tree[segment]
    return True


def _remove(shown: Object, place: str) -> None:
    """Takes the field at a dotted place out, without a change of what is shared."""
    name, _, rest = place.partition(".")
    if not rest:
        shown.pop(name, None)
    elif isinstance(shown.get(name), dict):
        shown[name] = dict(shown[name])
        _remove(shown[name], rest)


def _put(shown: Object, place: str, value: Any) -> None:
    """Sets the field at a dotted place, without a change of what is shared."""
    name, _, rest = place.partition(".")
    if not rest:
        shown[name] = value
    else:
        inner = shown.get(name)
        shown[name] = dict(inner) if isinstance(inner, dict) else {}
        _put(shown[name], rest, value)


Raw = Mapping[tuple[str, str], Mapping[str, bytes | None]]


def with_raw(shown: Any, raw: Raw) -> Any:
    """`shown`, and each object in it, with the bytes that `raw` has by kind and id, and by dotted place, in place of values."""
    if isinstance(shown, list):
        return [with_raw(each, raw) for each in shown]
    if not isinstance(shown, dict):
        return shown
    whole = shown.get("object") == "event"  # what an event tells of is its own
    made = dict(shown) if whole else {name: with_raw(value, raw) for name, value in shown.items()}
    for place, text in raw.get((str(shown.get("object")), str(shown.get("id"))), {}).items():
        if text is None:
            _remove(made, place)
        else:
            _put(made, place, orjson.Fragment(text))
    return made
