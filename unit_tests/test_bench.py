"""The benchmark measures what it says."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path

import pytest

from source_stripe.source import load_manifest
from tools.bench import measured
from tools.bench.__main__ import Bench
from tools.bench.account import Wish, made
from tools.bench.process import most_in, run
from tools.bench.stock import stock_manifest

ROOT = Path(__file__).parents[1]
SPEED = ROOT / "docs" / "speed.md"
PAPERS = {"cpu": ROOT / "README.md", "paced": SPEED, "waiting": SPEED, "start": SPEED}
"""By the name of a table where it is shown."""


def test_the_most_in_a_second_is_sought_wherever_the_second_begins() -> None:
    assert most_in([0.0, 0.6, 0.9, 1.4, 1.5], 1.0) == 4


def test_a_span_does_not_hold_both_of_its_ends() -> None:
    assert most_in([0.0, 1.0], 1.0) == 1


def test_records_are_counted_wherever_a_read_cuts_them() -> None:
    write = "import sys; [sys.stdout.write('{\"type\":\"RECORD\",\"record\":' + '9' * 999 + '}\\n') for _ in range(3000)]"
    assert run([sys.executable, "-c", f'{write}; print(\'{{"type":"STATE"}}\')']).records == 3000


def test_a_run_is_measured_with_its_code() -> None:
    took = run([sys.executable, "-c", "bytearray(50_000_000); sum(range(3_000_000)); raise SystemExit(3)"])
    assert took.code == 3
    assert took.peak_mb > 50
    assert took.cpu > 0.01


def test_the_stock_manifest_has_the_suggested_streams_and_no_component_of_ours() -> None:
    manifest = stock_manifest(load_manifest())
    assert len(manifest["streams"]) == 14
    assert "source_stripe" not in str(manifest)
    assert manifest["streams"][1]["transformations"][0]["fields"][0]["path"] == ["updated"]


@pytest.mark.parametrize("table", measured.COLUMNS)
def test_the_papers_show_what_was_measured_last(table: str) -> None:
    assert "\n".join(measured.written(table, measured.rows(table))) in PAPERS[table].read_text(encoding="utf-8")


def test_what_is_measured_anew_takes_the_place_of_what_was_measured_before(tmp_path: Path) -> None:
    file = tmp_path / "measured.json"
    measured.keep("paced", {"one stream": ["1"], "four streams": ["2"]}, file)
    measured.keep("paced", {"one stream": ["3"]}, file)
    measured.keep("cpu", {"a loop": ["4"]}, file)
    assert json.loads(file.read_text()) == {"cpu": {"a loop": ["4"]}, "paced": {"one stream": ["3"], "four streams": ["2"]}}


@pytest.mark.parametrize("name", re.findall(r'_(?:first_sync|paced_row)\("([^"]+)"', inspect.getsource(Bench)))
def test_the_papers_show_each_scenario_of_the_benchmark(name: str) -> None:
    assert f"| {name} |" in PAPERS["paced"].read_text(encoding="utf-8")


@pytest.mark.parametrize("lines", [1, 11])
def test_an_account_is_made_as_wished(lines: int) -> None:
    account = made(Wish({"invoice": 30}, lines=lines))
    assert len(account.shelf("invoice")) == 30
    assert len(account.listed("invoices", nested=["lines"]).popitem()[1]["lines"]["data"]) == lines


def test_changed_objects_are_old_and_their_events_new() -> None:
    account = made(Wish({"charge": 100}, changed={"charge": 10}))
    events = list(account.each("event"))
    assert len(events) == 10
    assert all(event["type"] == "charge.updated" for event in events)
    assert max(event["data"]["object"]["created"] for event in events) < account.now - 86_400 * 30
