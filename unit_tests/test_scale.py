"""The figures of docs/scale.md."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from source_stripe.components import pace_of
from source_stripe.rows import FORMS, Options, manifest_for
from source_stripe.source import load_manifest
from unit_tests.test_papers import README, rows

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "scale.md"
TEXT = re.sub(r"\s+", " ", GUIDE.read_text())
PER_RECORD = float(rows(README, "", "requests", "most in a second", "wall s")[2]["µs"]) / 1e6
"""Seconds of CPU."""
UNITS = {"hours": 3600.0, "minutes": 60.0}


def figure(what: str) -> float:
    (row,) = (row for row in rows(GUIDE, "what", "figure") if row["what"].startswith(what))
    return float(row["figure"].replace(",", ""))


def test_the_limits_and_the_page_are_the_manifests() -> None:
    manifest = load_manifest()
    pace = pace_of(manifest["api_budget"], {"secret_key": "sk_live_12345678"})
    assert figure("requests a second that Stripe allows in all") == pace.rate
    assert figure("requests a second that Stripe allows to one endpoint") == pace.endpoint_rate
    assert figure("objects on a page") == manifest["definitions"]["paginator"]["pagination_strategy"]["page_size"]


def test_objects_a_second_are_requests_times_pages() -> None:
    assert figure("objects a second, of all") == figure("requests a second that Stripe allows in all") * figure(
        "objects on a page"
    )
    assert figure("objects a second, of one") == figure("requests a second that Stripe allows to one") * figure(
        "objects on a page"
    )


def test_a_core_is_what_the_readme_measured() -> None:
    cores = figure("objects a second, of all") * PER_RECORD
    assert f"{cores:.1f}" == str(figure("CPU at 100"))
    assert f"{PER_RECORD * 1e6:.0f} µs of CPU a record" in TEXT
    assert f"about {100 / figure('CPU at 100'):.0f} requests a second" in TEXT


@pytest.mark.parametrize("row", rows(GUIDE, "what is read"), ids=lambda row: row["what is read"])
def test_what_a_read_takes_is_its_requests_at_the_limit(row: dict[str, str]) -> None:
    amount, is_million = re.findall(r"([\d,]+)( million)?", row["what is read"])[0]
    objects = int(amount.replace(",", "")) * (1_000_000 if is_million else 1)
    requests = int(row["requests"].replace(",", ""))
    assert requests == (objects * 2 if "two requests each" in row["what is read"] else objects / figure("objects on a page"))
    told, unit = row["takes"].split()
    seconds = requests / int(row["at"].removesuffix("/s"))
    assert told == f"{seconds / UNITS[unit]:.{len(told.partition('.')[2])}f}"


def test_the_long_read_is_told_as_the_table_has_it() -> None:
    (row,) = (row for row in rows(GUIDE, "what is read") if "500 million" in row["what is read"])
    assert f"Its 500 million charges take {row['takes']} on any number of machines" in TEXT


@pytest.mark.parametrize("row", rows(GUIDE, "partitions", "call_rate_limit"), ids=lambda row: "-".join(row.values()))
def test_each_partition_has_its_part_of_the_limits(row: dict[str, str]) -> None:
    config = {"secret_key": "sk_live_12345678"} | (
        {"call_rate_limit": int(row["call_rate_limit"])} if row["call_rate_limit"] != "100" else {}
    )
    pace = pace_of(manifest_for(int(row["partitions"]))["api_budget"], config)
    assert [f"{pace.rate:g}", f"{pace.endpoint_rate:g}"] == [
        row["requests a second, each"],
        row["to one endpoint, each"],
    ]


def test_the_options_and_their_defaults_are_the_codes() -> None:
    told = {row["option"]: row for row in rows(GUIDE, "option", "may be", "default")}
    defaults = {each.name: each.default for each in fields(Options) if each.name in FORMS}
    assert {
        name: {"()": "all" if name == "streams" else "none"}.get(str(value), str(value)) for name, value in defaults.items()
    } == {name: row["default"] for name, row in told.items()}
    assert {name: words for name, (_, words) in FORMS.items() if name not in ("streams", "account_ids")} == {
        name: row["may be"] for name, row in told.items() if name not in ("streams", "account_ids")
    }


def test_the_columns_are_those_of_the_data_source() -> None:
    schema = (GUIDE.parent.parent / "source_stripe" / "spark.py").read_text()
    for row in rows(GUIDE, "column", "type"):
        assert f"{row['column']} {row['type'].partition(' ')[0]}" in schema or row["column"] == "data"
