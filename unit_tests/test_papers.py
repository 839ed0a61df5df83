"""README, CHANGELOG and docs/ say what the manifest, the spec and the files say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from integration_tests.embedded_stripe.endpoints import COLLECTIONS

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "stripe.md"
PAPERS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yaml").read_text())
OPTIONS: dict[str, dict[str, Any]] = MANIFEST["spec"]["connection_specification"]["properties"]
every_paper = pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
readme_and_guide = pytest.mark.parametrize("paper", [README, GUIDE], ids=lambda paper: paper.name)


def rows(paper: Path, *columns: str) -> list[dict[str, str]]:
    """The rows of the table whose columns begin so, without the marks of code."""
    lines = [line.strip() for line in paper.read_text().splitlines()]
    for number, line in enumerate(lines):
        if (names := _cells(line))[: len(columns)] == list(columns):
            body = lines[number + 2 : lines.index("", number) if "" in lines[number:] else None]
            return [dict(zip(names, _cells(row), strict=True)) for row in body]
    raise AssertionError(f"{paper.name} has no table with the columns {columns}")


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("`", "") for cell in line.strip("|").split("|")] if line.startswith("|") else []


def streams() -> Iterator[tuple[Mapping[str, Any], str]]:
    """What the manifest says of each stream, with its cursor."""
    for entry in MANIFEST["streams"]:
        kind = MANIFEST["definitions"][entry["$ref"].rsplit("/", 1)[-1]]
        yield entry["$parameters"], kind["incremental_sync"]["cursor_field"]


def test_the_readmes_streams_are_the_manifests() -> None:
    assert rows(README, "stream", "endpoint", "cursor") == [
        {
            "stream": stream["name"],
            "endpoint": f"/v1/{stream['name']}",
            "cursor": cursor,
            "permission of a restricted key": f"{stream['permission']['row']}: Read",
            "can be deleted": "yes" if "deleted_by" in stream else "no",
        }
        for stream, cursor in streams()
    ]


def test_the_guides_streams_are_the_manifests() -> None:
    by = {"updated": "events", "created": "the list"}
    assert rows(GUIDE, "stream", "endpoint", "cursor") == [
        {
            "stream": stream["name"],
            "endpoint": f"/v1/{stream['name']}",
            "cursor": cursor,
            "sync modes": "full refresh, incremental",
            "changes arrive by": by[cursor] + (", again when they become available" if stream.get("settles") else ""),
            "deletions arrive by": stream.get("deleted_by", "never deleted"),
            "permission": f"{stream['permission']['row']}: Read",
        }
        for stream, cursor in streams()
    ]


def test_the_guide_tells_what_is_asked_for_besides() -> None:
    assert rows(GUIDE, "stream", "whole") == [
        {
            "stream": stream["name"],
            "whole": ", ".join(sorted(each["field"] for each in stream.get("nested_lists", ()))),
            "asked for besides": ", ".join(sorted(stream["expand"])),
        }
        for stream, _ in streams()
        if "expand" in stream
    ]


def test_the_guide_names_the_streams_that_each_permission_opens() -> None:
    opened: dict[str, list[str]] = {}
    for stream, _ in streams():
        opened.setdefault(stream["permission"]["row"], []).append(stream["name"])
    told = {row["row in Stripe's form"]: row["streams"] for row in rows(GUIDE, "row in Stripe's form")}
    assert told == {permission: ", ".join(names) for permission, names in sorted(opened.items())}


@pytest.mark.parametrize("mode", ["apikeys/create", "test/apikeys/create"])
def test_the_guides_link_fills_in_what_the_table_names(mode: str) -> None:
    link = re.search(rf"\((https://dashboard\.stripe\.com/{mode}\?[^)]+)\)", GUIDE.read_text())
    assert link
    assert parse_qs(urlsplit(link[1]).query)["permissions[]"] == [
        row["permission"] for row in sorted(rows(GUIDE, "row in Stripe's form"), key=lambda row: row["permission"])
    ]


def test_the_permissions_are_those_that_the_lists_ask_for() -> None:
    asked = {(each.row, f"rak_{each.permission}") for each in COLLECTIONS if each.stream in {s["name"] for s, _ in streams()}}
    assert {(row["row in Stripe's form"], row["permission"]) for row in rows(GUIDE, "row in Stripe's form")} == asked


@readme_and_guide
def test_the_options_are_the_specs(paper: Path) -> None:
    shown = sorted((each for each in OPTIONS.items() if not each[1].get("airbyte_hidden")), key=lambda each: each[1]["order"])
    told = rows(paper, "option", "in the form")
    assert [(row["option"], row["in the form"], row["required"]) for row in told] == [
        (name, option["title"], "yes" if name in MANIFEST["spec"]["connection_specification"]["required"] else "no")
        for name, option in shown
    ]


@readme_and_guide
def test_what_an_option_may_be_is_the_specs(paper: Path) -> None:
    for row in rows(paper, "option", "in the form"):
        option = OPTIONS[row["option"]]
        if option["type"] == "integer":
            most = f" to {option['maximum']}" if "maximum" in option else " or more"
            assert row["may be"] == f"{option['minimum']}{most}"
        if "default" in option:
            assert row["default"] == str(option["default"])
        if "pattern_descriptor" in option:
            assert row["may be"] == option["pattern_descriptor"]


@readme_and_guide
def test_the_default_limits_are_the_manifests(paper: Path) -> None:
    limit = MANIFEST["api_budget"]["policies"][0]["rates"][0]["limit"]
    test, live = re.findall(r"\d+", limit)
    told = {row["option"]: row["default"] for row in rows(paper, "option", "in the form")}
    assert told["call_rate_limit"] == f"{live} with a live key, {test} with a test key"


@readme_and_guide
def test_errors_are_told_in_the_words_that_the_code_has(paper: Path) -> None:
    texts = [text for file in (ROOT / "source_stripe").glob("*.py") for text in re.findall(r'f?"([^"]*)', file.read_text())]
    for row in rows(paper, "message begins with"):
        assert any(text.startswith(row["message begins with"]) for text in texts), row


@readme_and_guide
def test_the_pinned_version_is_the_manifests(paper: Path) -> None:
    pinned = MANIFEST["definitions"]["requester"]["request_headers"]["Stripe-Version"]
    assert set(re.findall(r"\d{4}-\d\d-\d\d\.[a-z]+", paper.read_text())) == {pinned}


@every_paper
def test_links_between_files_resolve(paper: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", paper.read_text()) if not urlsplit(target).scheme]
    missing = [target for target in targets if not (paper.parent / target.partition("#")[0]).exists()]
    assert missing == []


@every_paper
def test_commands_exist(paper: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", paper.read_text(), re.MULTILINE)) <= targets
    commands = re.findall(r"(?:python main\.py|source-stripe) ([a-z]+)\b", paper.read_text())
    assert set(commands) <= {"spec", "check", "discover", "read"}


@every_paper
def test_files_that_are_named_exist(paper: Path) -> None:
    named = re.findall(r"`((?:source_stripe|unit_tests|integration_tests|tools|docs|schemas|\.ci)/[\w./-]*)", paper.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_can_be_read_at_a_sitting() -> None:
    assert 100 <= len(README.read_text().splitlines()) <= 200


def test_the_queries_name_streams_of_the_manifest() -> None:
    names = {stream["name"] for stream, _ in streams()} | {"unnest"}
    for query in ROOT.glob("docs/queries/*.sql"):
        own = set(re.findall(r"(\w+) AS \(", query.read_text()))
        assert set(re.findall(r"(?:FROM|JOIN) (\w+)", query.read_text())) - own <= names, query.name
