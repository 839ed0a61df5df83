"""Catalogs and states as people have them: what `read` takes, and what it says of what it can't take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import AirbyteMessageSerializer, AirbyteStateMessageSerializer
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe import files
from source_stripe.catalog import written

LOG = {"type": "LOG", "log": {"level": "INFO", "message": "The stream_descriptor is a catalog."}}
CHARGES = {
    "name": "charges",
    "json_schema": {},
    "supported_sync_modes": ["full_refresh", "incremental"],
    "default_cursor_field": ["updated"],
    "source_defined_primary_key": [["id"]],
}
BALANCE = {"name": "balance", "json_schema": {}, "supported_sync_modes": ["full_refresh"]}
BARE = {"streams": [CHARGES, BALANCE]}
MODES = {"sync_mode": "full_refresh", "destination_sync_mode": "append"}
CONFIGURED = {"streams": [{"stream": BALANCE, **MODES}, {"stream": CHARGES, **MODES}]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


def lines(*messages: Any) -> str:
    return "".join(json.dumps(message, separators=(",", ":")) + "\n" for message in messages)


def modes(file: Path, content: str) -> dict[str, str]:
    """By the selected streams' names their sync modes."""
    file.write_text(content)
    return {each.stream.name: each.sync_mode.value for each in files.catalog_of(str(file)).streams}


# ---------------------------------------------------------------------- catalogs


@pytest.mark.parametrize(
    "content",
    [
        lines({"type": "CATALOG", "catalog": BARE}),
        lines(LOG, {"type": "CATALOG", "catalog": BARE}, LOG),
        json.dumps(BARE),
        json.dumps(BARE, indent=2),
    ],
)
def test_what_was_discovered_is_taken_as_it_is_usually_wanted(file: Path, content: str) -> None:
    assert modes(file, content) == {"charges": "incremental", "balance": "full_refresh"}
    charges, balance = files.catalog_of(str(file)).streams
    assert (charges.cursor_field, charges.primary_key, charges.destination_sync_mode.value) == (
        ["updated"],
        [["id"]],
        "append_dedup",
    )
    assert (balance.cursor_field, balance.primary_key, balance.destination_sync_mode.value) == (None, None, "overwrite")


def test_a_configured_catalog_is_taken_as_it_is(file: Path) -> None:
    assert modes(file, json.dumps(CONFIGURED)) == {"balance": "full_refresh", "charges": "full_refresh"}
    assert modes(file, written(files.catalog_of(str(file)))) == {"balance": "full_refresh", "charges": "full_refresh"}


def complaint(call: Any, file: Path, content: Any) -> str:
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(AirbyteTracedException) as caught:
        call(str(file))
    assert str(file) in str(caught.value.message)
    return str(caught.value.message)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"streams": [{"stream": CHARGES, **MODES}] * 2 + [{"stream": CHARGES, **MODES, "sync_mode": "rk_live_1"}]},
         'can\'t be used: `streams[2].sync_mode` must be one of ["full_refresh", "incremental"]. It must be what'),
        ({"streams": [{"stream": CHARGES, "sync_mode": "incremental"}]}, "`streams[0].destination_sync_mode` is missing."),
        ({"streams": [{"stream": {}, **MODES}]}, "`streams[0].stream.name` is missing."),
        ({"streams": [BALANCE, {"name": 7}]}, '`streams[1].name` must be of type "string".'),
        ({"streams": "charges"}, '`streams` must be of type "list".'),
        ({"streams": []}, "can't be used: it selects no stream."),
        ({"secret_key": "rk_live_1"}, "`streams` is missing."),
        ([], 'can\'t be used: it must be of type "object".'),
        (lines(LOG, LOG), "can't be read: it is no whole JSON (line 2, column 1)."),
        (json.dumps(CONFIGURED)[:-9], "can't be read: it is no whole JSON (line 1, column "),
    ],
)  # fmt: skip
def test_a_catalog_that_cant_be_used_is_told_by_the_place_and_without_its_values(file: Path, content: Any, words: str) -> None:
    told = complaint(files.catalog_of, file, content)
    assert words in told
    assert "rk_live" not in told


# ---------------------------------------------------------------------- states


def state(stream: str, updated: int) -> dict[str, Any]:
    return {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": {"updated": updated}}}


def message(stream: str, updated: int) -> dict[str, Any]:
    return {"type": "STATE", "state": state(stream, updated) | {"sourceStats": {"recordCount": 2.0}}}


def record(**fields: Any) -> dict[str, Any]:
    return {"type": "RECORD", "record": {"stream": "charges", "data": fields, "emitted_at": 1}}


def states(file: Path, content: str) -> dict[str, Any]:
    """By the stream's name the `updated` of its state."""
    file.write_text(content)
    loaded = [AirbyteStateMessageSerializer.dump(each)["stream"] for each in files.state_of(str(file))]
    return {each["stream_descriptor"]["name"]: each["stream_state"]["updated"] for each in loaded}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([state("charges", 2), state("events", 3)]),
        json.dumps([message("charges", 1), message("events", 3), message("charges", 2)], indent=2),
        lines(state("charges", 1), state("events", 3), state("charges", 2)),
        lines(message("charges", 2), message("events", 3)),
        lines(LOG, record(id="ch_1"), message("charges", 1), record(name='"stream_descriptor"'), message("events", 3),
              AirbyteMessageSerializer.dump(AirbyteMessageSerializer.load(message("charges", 2)))),
    ],
)  # fmt: skip
def test_the_last_state_of_each_stream_counts(file: Path, content: str) -> None:
    assert states(file, content) == {"charges": 2, "events": 3}


@pytest.mark.parametrize("content", [state("charges", 2), message("charges", 2)])
@pytest.mark.parametrize("indent", [None, 2])
def test_one_state_may_stand_alone(file: Path, content: Any, indent: int | None) -> None:
    assert states(file, json.dumps(content, indent=indent)) == {"charges": 2}


@pytest.mark.parametrize("content", ["[]", "{}", "null"])
def test_no_state_is_none(file: Path, content: str) -> None:
    assert states(file, content) == {}


@pytest.mark.parametrize("last", [message("charges", 2), record(id="ch_1")])
def test_a_line_that_a_kill_cut_is_left_out_and_told(file: Path, last: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert states(file, lines(LOG, message("charges", 1)) + lines(last)[:60]) == {"charges": 1}
    assert "Line 3 of the state file" in caplog.text


def test_a_line_that_was_cut_may_be_followed_by_others(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    cut = lines(message("charges", 2))[:90] + lines(LOG, message("events", 3))
    assert states(file, lines(message("charges", 1)) + cut) == {"charges": 1, "events": 3}
    assert "Line 2 of the state file" in caplog.text


@pytest.mark.parametrize("first", ['{"type":"LOG","lo\n', "\ufeff" + lines(LOG), "WARNING: a library says so\n"])
def test_a_first_line_that_is_no_message_harms_no_other(file: Path, first: str) -> None:
    assert states(file, first + lines(message("charges", 1))) == {"charges": 1}


def test_a_read_that_adds_to_a_file_of_logs_begins(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert states(file, lines(LOG)) == {}
    assert "holds neither records nor a state: everything is read from the beginning." in caplog.text


def test_records_are_not_taken_apart(file: Path) -> None:
    no_json = '{"type":"RECORD","record":{"stream_descriptor"\n'
    assert states(file, lines(LOG) + no_json + lines(message("charges", 1))) == {"charges": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([state("charges", 1), {"type": "STREAM", "stream": {"stream_state": {}}}], "`[1].stream.stream_descriptor` is missing."),
        ([{"type": "STREAMS"}], '`[0].type` must be one of ["GLOBAL", "STREAM", "LEGACY"].'),
        ({"charges": {"updated": 1}}, "line 1 `stream` is missing."),
        (lines(LOG, {"type": "STREAM", "stream": {"stream_descriptor": {"name": 7}}}),
         'line 2 `stream.stream_descriptor.name` must be of type "string".'),
        (lines(LOG, record(id="ch_1")), "can't be used: it holds no state. It must be the list of states"),
        ("", "can't be read: it is no whole JSON"),
    ],
)  # fmt: skip
def test_a_state_that_cant_be_used_is_told_by_its_place(file: Path, content: Any, words: str) -> None:
    assert words in complaint(files.state_of, file, content)
