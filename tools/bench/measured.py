"""What was measured last: `make bench` keeps it in measured.json, and README's tables and charts are made from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

FILE = Path(__file__).with_name("measured.json")

COLUMNS = {
    "cpu": [
        *("requests", "most in a second", "wall s", "CPU s", "peak MB"),
        *("µs", "of the loop's", "µs without start-up", "of the loop's"),
    ],
    "paced": [
        *("objects", "requests", "over the least", "seconds", "requests/s"),
        *("used", "most in a second", "429s", "CPU s", "peak MB"),
    ],
    "waiting": ["requests/s", "µs without start-up", "of the loop's that never waits"],
    "start": ["seconds", "of the import"],
}
"""By the name of a table the heads of its columns; the first, of the row's name, has none."""

Rows = Mapping[str, Sequence[str]]
"""By the name of a row its cells."""


def rows(table: str, file: Path = FILE) -> dict[str, list[str]]:
    measured: dict[str, dict[str, list[str]]] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return measured.get(table, {})


def keep(table: str, new: Rows, file: Path = FILE) -> None:
    """Put rows in the place of those that were measured before."""
    kept = {name: rows(name, file) for name in COLUMNS}
    kept[table] |= {name: list(cells) for name, cells in new.items()}
    tables = (f"  {json.dumps(name)}: {{\n{_lines_of(kept[name])}\n  }}" for name in COLUMNS if kept[name])
    file.write_text("{\n" + ",\n".join(tables) + "\n}\n", encoding="utf-8")


def _lines_of(table: Rows) -> str:
    return ",\n".join(f"    {json.dumps(name)}: {json.dumps(cells)}" for name, cells in table.items())


def written(table: str, shown: Rows) -> Iterator[str]:
    """The lines of a table in Markdown."""
    yield f"| | {' | '.join(COLUMNS[table])} |"
    yield f"| --- |{' ---: |' * len(COLUMNS[table])}"
    for name, cells in shown.items():
        yield f"| {name} | {' | '.join(cells)} |"
