"""What README and docs/ tell of the streams, as it is made from their entries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools.entries import CURSORS, Stream
from tools.papers import KINDS, Papers, changes_of, deletions_of, kind_of, left_out_of, lists_of, main

ROOT = Path(__file__).resolve().parent.parent


def stream(name: str, kind: str = "changing_stream", parents: tuple[str, ...] = (), **entry: Any) -> Stream:
    return Stream(name, f"/v1/{name}", kind=kind, cursor=CURSORS[kind], parents=parents, entry=entry)


def block(name: str, *streams: Stream) -> str:
    """The lines of a derived block; `refunds` alone are suggested."""
    return "\n".join(Papers(streams, ["refunds"], ["/v1/prices/{price}/uses"]).blocks[name]())


def test_each_kind_of_stream_has_a_word_for_users() -> None:
    assert KINDS.keys() == CURSORS.keys()


WALK = {"path": "/v1/customers/{id}/notes", "again": {"id": ["customer.updated"]}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (stream("a"), ("changing", "events", "never deleted")),
        (stream("a", deleted_by="a.deleted"), ("changing", "events", "`a.deleted`")),
        (stream("a", lists_new=True), ("changing", "events; new ones by the list", "never deleted")),
        (stream("a", "listed_stream"), ("listed", "events", "never deleted")),
        (stream("a", "immutable_stream"), ("immutable", "the list", "never deleted")),
        (
            stream("a", "immutable_stream", settles=True),
            ("immutable", "the list, again when they become available", "never deleted"),
        ),
        (stream("a", "small_stream"), ("small list", "reading all", "missing from the next read")),
        (stream("a", "unpaged_stream"), ("small list", "reading all", "missing from the next read")),
        (stream("a", "snapshot_stream"), ("snapshot", "reading it", "never deleted")),
        (stream("a", "child_stream", ("b", "c")), ("child", "with b, c", "an older `updated` than its parent's")),
        (
            stream("a", "child_stream", ("b",), deleted_by="a.deleted"),
            ("child", "with b", "`a.deleted`, else an older `updated` than its parent's"),
        ),
        (
            stream("a", "child_stream", ("b",), walk=WALK),
            ("child by walk", "events; the list of each of those b is read again", "an older `updated` than its siblings'"),
        ),
        (stream("a", "child_of_small_stream", ("b",)), ("child", "reading all", "missing from the next read")),
        (
            stream("a", "child_of_small_stream", ("b",), walk=WALK),
            ("child by walk", "reading all", "missing from the next read"),
        ),
    ],
)
def test_a_streams_kind_tells_how_its_changes_and_deletions_arrive(given: Stream, told: tuple[str, str, str]) -> None:
    assert (kind_of(given), changes_of(given), deletions_of(given)) == told


CHARGES: dict[str, Any] = {"permission": {"row": "Charges and Refunds", "token": "charge_read"}}


def test_a_child_needs_its_parents_permission_too() -> None:
    prices = stream("prices", "child_stream", ("charges",), permission={"row": "Prices", "token": "plan_read"})
    told = block("streams", stream("charges", **CHARGES), prices)
    assert told.count("| Prices: Read, Charges and Refunds: Read |") == 1


def test_a_permission_that_is_not_published_is_said_to_be_so() -> None:
    streams = (stream("files", permission={}), stream("charges", **CHARGES), stream("reviews", permission={"row": "Radar"}))
    assert block("permissions of all", *streams).splitlines()[2:] == [
        "| Charges and Refunds | `rak_charge_read` | charges |",
        "| Radar | | reviews |",
        "| not published | | files |",
    ]


def test_the_form_has_each_permission_once() -> None:
    told = block("form of all", stream("charges", **CHARGES), stream("refunds", **CHARGES), stream("files", permission={}))
    assert told.splitlines() == [
        "[for live data](https://dashboard.stripe.com/apikeys/create?name=Airbyte&permissions[]=rak_charge_read) or",
        "[for test data](https://dashboard.stripe.com/test/apikeys/create?name=Airbyte&permissions[]=rak_charge_read).",
    ]


def test_the_suggested_streams_are_told_by_themselves() -> None:
    streams = (stream("charges", **CHARGES), stream("refunds", deleted_by="refund.deleted", **CHARGES))
    assert block("suggested in brief", *streams) == "refunds. Objects of refunds can be deleted."
    assert block("permissions of the suggested", *streams).splitlines()[2:] == [
        "| Charges and Refunds | `rak_charge_read` | refunds |"
    ]


def test_lists_are_counted_once_however_many_streams_they_serve() -> None:
    lists = [{"field": "links", "path": "/v1/files"}, {"field": "lines", "path": "/v1/prices/{id}/lines"}]
    streams = [stream("prices", nested_lists=lists), stream("files"), stream("account", "snapshot_stream")]
    streams += [Stream("lines", "/v1/prices/{price}/lines", parents=("prices",), entry={"walk": {}})]
    assert lists_of(streams) == ({"/v1/prices", "/v1/files"}, {"/v1/files", "/v1/prices/{}/lines"})
    assert block("coverage", *streams).startswith("Of 4 lists, 2 are a stream's own, 1 serve one or more")


def test_what_is_left_out_is_read_from_the_table() -> None:
    assert left_out_of("| list | why |\n| --- | --- |\n| `/v1/a/{b}` | as `/v1/c` |\n\n`/v1/d`\n") == ["/v1/a/{b}"]


def test_a_derived_block_is_filled_where_it_stands_and_all_else_stays() -> None:
    paper = "# One\n\n1. Two:\n   <!-- derived: products -->\n   old\n   <!-- /derived -->\n\nThree\n"
    assert Papers([stream("cards", product="Issuing")], [], []).fill(paper) == (
        "# One\n\n1. Two:\n   <!-- derived: products -->\n   | product | streams |\n   | --- | --- |\n   | Issuing | cards |\n\n"
        "   <!-- /derived -->\n\nThree\n"
    )


def test_a_block_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(KeyError, match="fruits"):
        Papers([], [], []).fill("<!-- derived: fruits -->\n<!-- /derived -->\n")


def test_a_paper_that_is_not_up_to_date_is_told_and_then_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("manifest.yaml", "metadata.yaml", "docs/speed.md", "docs/streams.md", "docs/stripe.md", "docs/coverage.md"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "README.md").write_text("<!-- derived: domains -->\n<!-- /derived -->\n", encoding="utf-8")
    arguments = ["--root", str(tmp_path)]
    assert main(["--check", *arguments]) == 1
    assert "README.md is not up to date" in capsys.readouterr().out
    assert (main(arguments), main(["--check", *arguments])) == (0, 0)
