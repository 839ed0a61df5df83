"""README's first command does what README shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from integration_tests import demo
from integration_tests.readme import README

_ROW = re.compile(r"^  (\w[\w ]*?) +([\d,]+) +([\d,]+) +\d+\.\d *$", re.MULTILINE)
"""A row of the table: a stream, its records, its requests, and seconds."""


def rows(text: str) -> dict[str, tuple[int, int]]:
    return {name: (number(records), number(requests)) for name, records, requests in _ROW.findall(text)}


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_readme_shows_what_the_demo_prints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What an account of four years until today holds, differs a little by the day; and how a list is parted by how fast it is
    answered."""
    monkeypatch.setattr(demo, "FOLDER", tmp_path / "demo")
    monkeypatch.setattr(demo, "LATENCY", 0.0)
    demo.main()
    printed = capfd.readouterr().out
    (shown,) = re.findall(r"^```text\n(\$ .*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert rows(shown).keys() == {"charges", "invoice_line_items", "invoices", "in all"}
    for name, counts in rows(shown).items():
        assert rows(printed)[name] == pytest.approx(counts, rel=0.1)
    paragraphs = re.split(r"\n+(?=\$ |Nothing|A customer)|\n\n", _ROW.sub("", shown))
    lines = [" ".join(each.split()) for each in paragraphs if not re.search("[…─✓]", each)]
    assert len(lines) == 5
    for line in lines:
        assert line in " ".join(printed.split())
