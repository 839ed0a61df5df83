"""What the check of docs/coverage.md against Stripe's document finds."""

from __future__ import annotations

from typing import Any

import pytest

from tools.coverage import faults_of_events, faults_of_lists
from tools.document import Document
from tools.entries import Stream

LIST = {"type": "object", "properties": {"object": {"enum": ["list"]}, "data": {"items": {}}}}
COVERAGE = """# What is read

| list | why |
| --- | --- |
| `/v1/coins/{coin}/uses` | nobody has asked yet |

## Events that no stream follows

| types | why |
| --- | --- |
| `mint.*`, `coin.lost` | no stream |
"""


def document(*paths: str, types: tuple[str, ...] = ()) -> Document:
    answer = {"responses": {"200": {"content": {"application/json": {"schema": LIST}}}}}
    return Document({"paths": {path: {"get": answer} for path in paths}, "components": {"schemas": {}}, "x-event-types": types})


def coins(**entry: Any) -> Stream:
    return Stream("coins", "/v1/coins", entry=entry)


@pytest.mark.parametrize(
    ("paths", "faults"),
    [
        (["/v1/coins", "/v1/coins/{id}/uses"], []),
        (
            ["/v1/coins", "/v1/coins/{coin}/uses", "/v1/notes"],
            ["/v1/notes is read by no stream, and docs/coverage.md does not say why"],
        ),
        (["/v1/coins"], ["/v1/coins/{}/uses is no list of the document"]),
        (["/v1/coins/{coin}/uses"], ["/v1/coins is no list of the document"]),
    ],
)
def test_a_list_that_is_not_told_of_or_that_does_not_exist_is_a_fault(paths: list[str], faults: list[str]) -> None:
    assert list(faults_of_lists(document(*paths), [coins()], COVERAGE)) == faults


def test_a_list_that_is_read_can_not_be_left_out() -> None:
    stream = coins(nested_lists=[{"field": "uses", "path": "/v1/coins/{id}/uses"}])
    assert list(faults_of_lists(document("/v1/coins", "/v1/coins/{coin}/uses"), [stream], COVERAGE)) == [
        "/v1/coins/{coin}/uses is read, and named in docs/coverage.md as left out"
    ]


def test_a_list_for_each_parent_serves_its_stream() -> None:
    walked = Stream("uses", "/v1/coins/{id}/uses", parents=("coins",), entry={"walk": {"path": "/v1/coins/{id}/uses"}})
    assert list(faults_of_lists(document("/v1/coins", "/v1/coins/{coin}/uses"), [coins(), walked], "")) == []


@pytest.mark.parametrize(
    ("types", "faults"),
    [
        (("mint.opened", "coin.lost", "coin.made"), []),
        (
            ("mint.opened", "coin.lost", "coin.made", "note.made"),
            ["note.made is followed by no stream, and docs/coverage.md does not say why"],
        ),
        (("coin.lost", "coin.made"), ["mint.* is no type of event in the document"]),
        (("mint.opened", "coin.lost"), ["coin.made is followed, and no type of event in the document"]),
    ],
)
def test_a_type_of_event_that_is_not_told_of_or_that_does_not_exist_is_a_fault(types: tuple[str, ...], faults: list[str]) -> None:
    assert list(faults_of_events(document(types=types), [coins(events=["coin.made"])], COVERAGE)) == faults


@pytest.mark.parametrize(
    "entry",
    [
        {"events": ["coin.lost"]},
        {"changed_with": {"coin": ["coin.lost"]}},
        {"announced_by": {"coin.lost": "coin"}},
        {"walk": {"again": {"id": ["coin.lost"]}}},
    ],
)
def test_a_type_of_event_that_is_followed_can_not_be_named_as_followed_by_none(entry: dict[str, Any]) -> None:
    assert list(faults_of_events(document(types=("mint.opened", "coin.lost")), [coins(**entry)], COVERAGE)) == [
        "coin.lost is followed, and named in docs/coverage.md as followed by no stream"
    ]
