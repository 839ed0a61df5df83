"""README's pictures are there, can be drawn by any browser, and show what the tables say."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tools import pictures
from tools.bench import measured

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = dict(reversed(each) for each in re.findall(r"!\[([^]]*)\]\(([^)]+)\)", README))
FILES = sorted(file.relative_to(ROOT).as_posix() for file in pictures.FOLDER.iterdir())


def texts(file: str) -> list[str]:
    return [text for each in ElementTree.parse(ROOT / file).iter("{http://www.w3.org/2000/svg}text") if (text := each.text)]


def test_the_readme_shows_each_picture_and_no_other() -> None:
    assert sorted(SHOWN) == FILES == ["docs/pictures/speed.svg", "docs/pictures/terminal.svg"]


@pytest.mark.parametrize("file", FILES)
def test_a_picture_has_a_text_for_those_who_do_not_see_it(file: str) -> None:
    assert len(SHOWN[file].split()) > 10


@pytest.mark.parametrize("file", FILES)
def test_a_picture_takes_nothing_from_elsewhere(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"https?:|@import|@font-face|<script|<image|href", text) == []


def test_the_chart_is_of_what_was_measured_last() -> None:
    assert (pictures.FOLDER / "speed.svg").read_text(encoding="utf-8") == pictures.speed()


@pytest.mark.parametrize(("table", "column"), [("cpu", "µs"), ("paced", "used")])
def test_the_chart_has_the_figures_of_the_tables(table: str, column: str) -> None:
    shown = texts("docs/pictures/speed.svg")
    for name, cells in measured.rows(table).items():  # The papers' tables: unit_tests/test_bench.py.
        figure = cells[measured.COLUMNS[table].index(column)].partition(" of ")[0]
        assert shown[shown.index(name) + 1].replace(",", "") == figure


def test_the_terminal_is_in_the_middle_of_a_read() -> None:
    shown = "".join(texts("docs/pictures/terminal.svg")).replace("\xa0", " ")
    assert re.search(r"\d of 8 streams complete: [\d,]+ records in 0:0\d, about 0:\d\d left", shown)
    assert re.search(r"charges +━+.* \d\d% *[\d,]+", shown)
