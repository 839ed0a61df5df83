"""Which events tell of a change: the rules of `kinds`, applied.

A rule of None is an event that no change here brings about. `on` binds a rule to "create", "update" or "delete". Any other name
is a field that has (when made) or takes (when changed) the value, one of the values, or with "*" any but null; `was` is what
that field held before a change. `while` names fields that have a value, changed or not. `otherwise` tells the event only if
none was told before it. `previous` says that the event holds `previous_attributes`, as those whose name ends in `.updated` do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .kinds import Object, kind_of

_WORDS = {"on", "was", "while", "otherwise", "previous"}


def told_of_new(obj: Object) -> list[str]:
    return _told("create", None, obj)


def told_of_change(before: Object, after: Object) -> list[str]:
    return [] if before == after else _told("update", before, after)


def told_of_deletion(obj: Object) -> list[str]:
    return _told("delete", None, obj)


def tells_previous(kind: str, type: str) -> bool:
    rule = kind_of(kind).events.get(type) or {}
    return type.endswith(".updated") or bool(rule.get("previous"))


def _told(occasion: str, before: Object | None, after: Object) -> list[str]:
    told: list[str] = []
    for type, rule in kind_of(after["object"]).events.items():
        if rule is not None and _applies(rule, occasion, before, after) and not (told and rule.get("otherwise")):
            told.append(type)
    return told


def _applies(rule: Mapping[str, Any], occasion: str, before: Object | None, after: Object) -> bool:
    if occasion != rule.get("on", occasion) or (occasion == "delete" and "on" not in rule):
        return False
    if not all(_is_one(wanted, after.get(name)) for name, wanted in rule.get("while", {}).items()):
        return False
    for name in rule.keys() - _WORDS:
        if not _is_one(rule[name], after.get(name)):
            return False
        if before is not None and before.get(name) == after.get(name):
            return False
        if before is not None and "was" in rule and not _is_one(rule["was"], before.get(name)):
            return False
    return True


def _is_one(wanted: Any, value: Any) -> bool:
    if wanted == "*":
        return value is not None
    return value in wanted if isinstance(wanted, list) else bool(value == wanted)
