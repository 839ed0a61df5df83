"""README, CHANGELOG and docs/ say what the manifest, the spec and the files say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from integration_tests.embedded_stripe.endpoints import COLLECTIONS
from tools.domains import DOMAINS
from tools.entries import suggested_streams
from tools.papers import left_out_of, load

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
GUIDE = ROOT / "docs" / "stripe.md"
STREAMS = ROOT / "docs" / "streams.md"
COVERAGE = ROOT / "docs" / "coverage.md"
PAPERS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yaml").read_text())
ENTRIES: dict[str, dict[str, Any]] = {entry["$parameters"]["name"]: entry for entry in MANIFEST["streams"]}
SUGGESTED = suggested_streams()
OPTIONS: dict[str, dict[str, Any]] = MANIFEST["spec"]["connection_specification"]["properties"]
every_paper = pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
readme_and_guide = pytest.mark.parametrize("paper", [README, GUIDE], ids=lambda paper: paper.name)
with_a_form = pytest.mark.parametrize(("paper", "names"), [(GUIDE, SUGGESTED), (STREAMS, ENTRIES)], ids=["suggested", "all"])


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


def entries(names: Iterable[str]) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """What the manifest says of these streams, each with its cursor."""
    for name in names:
        kind = MANIFEST["definitions"][ENTRIES[name]["$ref"].rsplit("/", 1)[-1]]
        yield ENTRIES[name]["$parameters"], kind.get("incremental_sync", {}).get("cursor_field")


def one_by_one() -> dict[str, list[str]]:
    """The rows of the streams in the tables of what they are about: kind, cursor, changes, deletions, permission."""
    found = re.findall(r"^\| \[(\w+)\](.*)", STREAMS.read_text(), re.MULTILINE)
    return {name: _cells("|" + rest)[1:] for name, rest in found}


@pytest.mark.parametrize("paper", [README, GUIDE, STREAMS, COVERAGE], ids=lambda paper: paper.name)
def test_what_follows_from_the_manifest_is_up_to_date(paper: Path) -> None:
    assert load().fill(paper.read_text()) == paper.read_text(), "make papers"


def test_the_readme_names_the_suggested_streams_and_those_that_can_be_deleted() -> None:
    named, deletable = re.findall(
        r"need what is suggested:\n\n<!--.*-->\n([^.]*)\.\sObjects of ([^.]*) can be deleted", README.read_text()
    )[0]
    assert re.findall(r"\b(?!and\b)[a-z_]+", named) == SUGGESTED
    assert set(re.findall(r"\b(?!and\b)[a-z_]+", deletable)) == {s["name"] for s, _ in entries(SUGGESTED) if "deleted_by" in s}


def test_the_readme_counts_all_streams_by_what_they_are_about() -> None:
    told = re.findall(r"\[(\w+)\]\(docs/streams\.md#\w+\) \((\d+)\)", README.read_text())
    assert f"All {len(ENTRIES)} streams by" in README.read_text()
    assert [(domain, int(count)) for domain, count in told] == [(name, len(text.split())) for name, text in DOMAINS.items()]


def test_the_guides_streams_are_the_suggested_ones_as_the_manifest_has_them() -> None:
    by = {"updated": "events", "created": "the list"}
    assert rows(GUIDE, "stream", "endpoint", "cursor") == [
        {
            "stream": stream["name"],
            "endpoint": f"/v1/{stream['name']}",
            "cursor": cursor,
            "sync modes": "full refresh, incremental",
            "changes arrive by": by[str(cursor)] + (", again when they become available" if stream.get("settles") else ""),
            "deletions arrive by": stream.get("deleted_by", "never deleted"),
            "permission": f"{stream['permission']['row']}: Read",
        }
        for stream, cursor in entries(SUGGESTED)
    ]


def test_the_streams_are_told_one_by_one_by_what_they_are_about() -> None:
    headings = re.findall(r"^### (\w+)\n\n\| stream and its columns(.*?)\n\n", STREAMS.read_text(), re.MULTILINE | re.DOTALL)
    assert {domain: re.findall(r"^\| \[(\w+)\]", table, re.MULTILINE) for domain, table in headings} == {
        domain: text.split() for domain, text in DOMAINS.items()
    }


def test_the_cursor_and_the_deletions_of_each_stream_are_the_manifests() -> None:
    told = one_by_one()
    for stream, cursor in entries(ENTRIES):
        _, told_cursor, _, deletions, _ = told[stream["name"]]
        assert told_cursor == (cursor or ""), stream["name"]
        assert deletions.startswith(stream.get("deleted_by", ("never", "missing from the next read", "an older updated than")))
        assert (deletions == "missing from the next read") <= (cursor is None), stream["name"]


def test_every_kind_that_a_stream_has_is_explained() -> None:
    assert {row["kind"] for row in rows(STREAMS, "kind", "its history")} == {kind for kind, *_ in one_by_one().values()}


def test_the_papers_tell_what_is_asked_for_besides() -> None:
    assert rows(STREAMS, "stream", "whole") == [
        {
            "stream": stream["name"],
            "whole": ", ".join(sorted(each["field"] for each in stream.get("nested_lists", ()))),
            "asked for besides": ", ".join(sorted(stream.get("expand", ()))),
        }
        for stream, _ in entries(ENTRIES)
        if ("expand" in stream or "nested_lists" in stream) and "parents" not in stream
    ]


@with_a_form
def test_the_papers_name_the_streams_that_each_permission_opens(paper: Path, names: Iterable[str]) -> None:
    opened: dict[str, list[str]] = {}
    for stream, _ in entries(names):
        opened.setdefault(stream["permission"].get("row", "not published"), []).append(stream["name"])
    told = {row["row in Stripe's form"]: row["streams"] for row in rows(paper, "row in Stripe's form")}
    assert told == {permission: ", ".join(names) for permission, names in opened.items()}


@with_a_form
@pytest.mark.parametrize("mode", ["apikeys/create", "test/apikeys/create"])
def test_the_link_to_the_form_fills_in_what_the_table_names(paper: Path, names: Iterable[str], mode: str) -> None:
    link = re.search(rf"\((https://dashboard\.stripe\.com/{mode}\?[^)]+)\)", paper.read_text())
    assert link
    named = sorted(row["permission"] for row in rows(paper, "row in Stripe's form") if row["permission"])
    assert parse_qs(urlsplit(link[1]).query)["permissions[]"] == named


def test_the_permissions_are_those_that_the_lists_ask_for() -> None:
    asked = {each.path: (each.row, f"rak_{each.permission}") for each in COLLECTIONS if each.permission}
    told = {name: row for row in rows(STREAMS, "row in Stripe's form") for name in row["streams"].split(", ")}
    lists = {name: stream.get("path", f"/v1/{name}") for name, entry in ENTRIES.items() if (stream := entry["$parameters"])}
    for name in (name for name, path in lists.items() if path in asked):
        row, token = asked[lists[name]]
        assert told[name]["row in Stripe's form"] == row, name
        # Stripe publishes the row of some products without its token.
        assert told[name]["permission"] in (token, "" if "product" in ENTRIES[name]["$parameters"] else token), name


def test_the_limits_of_single_streams_are_of_streams() -> None:
    limits = STREAMS.read_text().partition("## Limits of single streams")[2]
    named = {
        name for names in re.findall(r"^- (\*\*.*?\*\*):", limits, re.MULTILINE) for name in re.findall(r"\*\*(.*?)\*\*", names)
    }
    assert named - ENTRIES.keys() == {"external accounts"}


def test_the_lists_that_are_left_out_are_read_by_no_stream() -> None:
    paths = re.findall(r"/v1/[a-z_/{}]+", re.sub(r"{[^}]*}", "{}", str([entry["$parameters"] for entry in MANIFEST["streams"]])))
    left_out = {re.sub(r"{[^}]*}", "{}", path) for path in left_out_of(COVERAGE.read_text())}
    assert len(left_out) > 20
    assert left_out & {*paths, *(f"/v1/{name}" for name, entry in ENTRIES.items() if "path" not in entry["$parameters"])} == set()


def test_the_kinds_of_airbytes_streams_are_told_as_they_are() -> None:
    theirs = {row["stream"]: row["kind"] for row in rows(COVERAGE, "stream", "kind")}
    assert len(theirs) == 46
    assert theirs == {name: kind for name, (kind, *_) in one_by_one().items() if name in theirs}


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
def test_links_to_headings_lead_to_one(paper: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]*#[^)\s]+)\)", paper.read_text()):
        file, _, anchor = target.partition("#")
        if not urlsplit(target).scheme:
            headings = re.findall(r"^#+ (.*)", (paper.parent / file if file else paper).read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, target


@every_paper
def test_commands_exist(paper: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", paper.read_text(), re.MULTILINE)) <= targets
    commands = re.findall(r"(?:python main\.py|source-stripe) ([a-z]+)\b", paper.read_text())
    assert set(commands) <= {"spec", "check", "discover", "catalog", "estimate", "read"}


@every_paper
def test_files_that_are_named_exist(paper: Path) -> None:
    named = re.findall(r"`((?:source_stripe|unit_tests|integration_tests|tools|docs|schemas|\.ci)/[\w./-]*)", paper.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("room", ["source_stripe", "source_stripe/sync", "source_stripe/api"])
def test_contributing_tells_of_each_module_what_it_is_about(room: str) -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things are")[2].partition("## Add a stream")[0]
    modules = {file.stem for file in (ROOT / room).glob("*.py")} - {"__init__", "__main__"}
    assert modules <= set(re.findall(r"`(\w+)`", table))


def test_contributing_tells_of_each_parameter_of_an_entry() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| parameter | when |")[2].partition("\n\n")[0]
    told = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.rpartition(" | ")[0])}
    assert {name for entry in ENTRIES.values() for name in entry["$parameters"]} == told


def test_the_readme_can_be_read_at_a_sitting() -> None:
    assert 100 <= len(README.read_text().splitlines()) <= 200


def test_the_queries_name_streams_of_the_manifest() -> None:
    names = ENTRIES.keys() | {"unnest"}
    for query in ROOT.glob("docs/queries/*.sql"):
        own = set(re.findall(r"(\w+) AS \(", query.read_text()))
        assert set(re.findall(r"(?:FROM|JOIN) (\w+)", query.read_text())) - own <= names, query.name
