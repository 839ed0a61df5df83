"""Which events tell of a change: the rules of `kinds`, applied."""

from __future__ import annotations

from typing import Any

from .kinds import Object, kind_of

_WORDS = ("on", "was", "otherwise", "previous")


def told_of_new(obj: Object) -> list[str]:
    return _told("create", None, obj)


def told_of_change(before: Object, after: Object) -> list[str]:
    return [] if before == after else _told("update", before, after)


def told_of_deletion(obj: Object) -> list[str]:
    return _told("delete", None, obj)


def tells_previous(kind: str, type: str) -> bool:
    """Whether an event of this type holds `previous_attributes`."""
    rule = kind_of(kind).events.get(type) or {}
    return type.endswith(".updated") or bool(rule.get("previous"))


def _told(occasion: str, before: Object | None, after: Object) -> list[str]:
    told: list[str] = []
    for type, rule in kind_of(after["object"]).events.items():
        if rule is not None and _applies(rule, occasion, before, after) and not (told and rule.get("otherwise")):
            told.append(type)
    return told


def _applies(rule: Object, occasion: str, before: Object | None, after: Object) -> bool:
    fields = [name for name in rule if name not in _WORDS]
    if occasion != rule.get("on", occasion) or (occasion == "delete" and "on" not in rule):
        return False
    for name in fields:
        if not _is_one(rule[name], after.get(name)):
            return False
        if before is not None and before.get(name) == after.get(name):
            return False
        if before is not None and "was" in rule and not _is_one(rule["was"], before.get(name)):
            return False
    return True


def _is_one(wanted: Any, value: Any) -> bool:
    return value in wanted if isinstance(wanted, list) else bool(value == wanted)
