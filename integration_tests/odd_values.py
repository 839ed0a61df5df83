"""What may stand in a body in place of what should, and records as they are written, to the letter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from source_stripe import source
from source_stripe.messages import records_of
from source_stripe.sync.page import Page

Row = dict[str, Any]

RAW: dict[str, bytes | None] = {
    "nothing": None,
    "half an emoji": rb'"thanks \ud83d"',
    "another half": rb'"\ude00 \ud83d\ude00 \\ud83d"',
    "half an emoji in a name": rb'{"a \ud83d": 1}',
    "no UTF-8": b'"caf\xe9"',
    "UTF-8 that is cut": b'"\xf0\x9f\x98"',
    "a NUL and a quote": rb'"\u0000\u2028\""',
    "a long text": b'"' + b"long " * 9000 + b'"',
    "deep lists": b"[" * 40 + b"]" * 40,
    **{
        text: text.encode()
        for text in (
            *("null", "true", '""', '"a text"', '"7"', "0", "-1", "-0.0", "1e-7", "0.10", "1e400", "1795000000.5", "9" * 50),
            *("[]", "{}", "[null]", '[{"id": null}]', '{"id": 5}', '{"data": null, "has_more": true}'),
            *('{"data": [], "has_more": "yes"}', '{"data": [{"id": null}], "has_more": true}', '{"has_more": true}'),
        )
    },
}
"""What may stand in place of a value, by a name that a person can read."""


def places_of(value: Row, before: str = "") -> Iterator[str]:
    """The dotted places of an object's fields, those in nested objects among them."""
    for name, inner in value.items():
        yield before + name
        if isinstance(inner, dict):
            yield from places_of(inner, f"{before}{name}.")


# ---------------------------------------------------------------------- JSON, to the letter


def parsed(text: bytes) -> Any:
    """JSON in UTF-8 with numbers as they are written; a name that comes twice in an object is none."""
    return json.loads(text.decode(), parse_int=_Number, parse_float=_Number, object_pairs_hook=_once)


@dataclass(frozen=True)
class _Number:
    text: str


def _once(pairs: list[tuple[str, Any]]) -> Row:
    assert len({name for name, _ in pairs}) == len(pairs), f"a name comes twice: {[name for name, _ in pairs]}"
    return dict(pairs)


def mended(value: Any) -> Any:
    """What is to come of a value: U+FFFD for half of a pair of surrogates."""
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, list):
        return [mended(each) for each in value]
    return {mended(name): mended(each) for name, each in value.items()} if isinstance(value, dict) else value


class Lines:
    """The RECORD lines of the syncs in this process, as they would go to standard output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[bytes] = []

        def watched(page: Page) -> Iterator[Any]:
            self.lines += page.whole.splitlines()
            return records_of(page)

        monkeypatch.setattr(source, "records_of", watched)

    def clear(self) -> None:
        self.lines = []

    def take(self) -> list[tuple[str, Row]]:
        """Those since the last time, each with its stream; one that is no line of JSON fails the test."""
        records = [parsed(line)["record"] for line in self.lines]
        self.clear()
        return [(record["stream"], record["data"]) for record in records]
