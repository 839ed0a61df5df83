"""A first sync of a made-up account: everything that Stripe shows, once, and then nothing more."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer, SyncMode

from integration_tests.embedded_stripe import Account, StripeServer, made_up_account
from integration_tests.harness import (
    CHANGING,
    IMMUTABLE,
    NESTED,
    NOW,
    STREAMS,
    Reader,
    Result,
    Row,
    assert_holds_all,
    catalog,
    differences,
    plain,
    truth,
)
from source_stripe.source import SourceStripe, resources

MAIN = Path(__file__).resolve().parent.parent / "main.py"
MODES = pytest.mark.parametrize("full_refresh", [False, True], ids=["incremental", "full_refresh"])


@pytest.fixture(scope="module")
def account() -> Account:
    return made_up_account(now=NOW)


@pytest.fixture(scope="module")
def server(account: Account) -> Iterator[StripeServer]:
    with StripeServer(account) as server:
        yield server


@pytest.fixture(scope="module")
def true(account: Account) -> dict[str, dict[str, Row]]:
    return truth(account)


@pytest.fixture(scope="module")
def first(server: StripeServer) -> Result:
    """An ordinary first sync."""
    return Reader(server).sync()


@pytest.fixture(scope="module")
def whole(server: StripeServer) -> Result:
    """A full refresh."""
    return Reader(server).sync(full_refresh=True)


def config_of(server: StripeServer) -> dict[str, Any]:
    return {"secret_key": server.secret_key, "api_base": server.url, "call_rate_limit": 10_000}


def process(
    command: str, tmp_path: Path, config: dict[str, Any], state: list[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """The messages of the real command, run from a folder of its own."""
    arguments = [sys.executable, str(MAIN), command]
    files: dict[str, Any] = {"config": config}
    if command == "read":
        files |= {"catalog": ConfiguredAirbyteCatalogSerializer.dump(catalog())} | ({"state": state} if state else {})
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        arguments += [f"--{name}", f"{name}.json"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows(messages: list[dict[str, Any]], stream: str) -> list[Row]:
    return [each["record"]["data"] for each in messages if each["type"] == "RECORD" and each["record"]["stream"] == stream]


# ---------------------------------------------------------------------- everything, once


@MODES
@pytest.mark.parametrize("stream", STREAMS)
def test_every_object_comes_once_as_stripe_shows_it(
    request: pytest.FixtureRequest, true: dict[str, dict[str, Row]], stream: str, full_refresh: bool
) -> None:
    result: Result = request.getfixturevalue("whole" if full_refresh else "first")
    assert [id for id, times in Counter(result.ids(stream)).items() if times > 1] == []
    assert differences({row["id"]: row for row in result.of(stream)}, true[stream]) == []
    assert true[stream]


@MODES
def test_every_stream_is_complete(request: pytest.FixtureRequest, full_refresh: bool) -> None:
    result: Result = request.getfixturevalue("whole" if full_refresh else "first")
    assert (result.complete, result.errors, result.failure) == (set(STREAMS), {}, None)
    assert result.states.keys() == set(STREAMS)


@pytest.mark.parametrize("stream", STREAMS)
def test_every_record_is_valid_by_its_schema(first: Result, stream: str) -> None:
    validator = jsonschema.Draft7Validator(json.loads((resources() / f"schemas/{stream}.json").read_text()))
    assert [error.message for row in first.of(stream) for error in validator.iter_errors(row)] == []


def test_every_line_of_every_invoice_comes(first: Result) -> None:
    lines = {row["id"]: [line["id"] for line in row["lines"]["data"]] for row in first.of("invoices")}
    assert {id: len(set(ids)) for id, ids in lines.items()} == {
        row["id"]: row["lines"]["total_count"] for row in first.of("invoices")
    }
    assert {0, 10, 11, 250, 1000} <= {len(ids) for ids in lines.values()}


@pytest.mark.parametrize(("stream", "name"), [(stream, name) for stream in STREAMS for name in NESTED[stream]])
def test_no_nested_list_says_that_there_is_more(first: Result, stream: str, name: str) -> None:
    assert {row[name]["has_more"] for row in first.of(stream)} == {False}
    assert max(len(row[name]["data"]) for row in first.of(stream)) > 10


def test_lists_are_whole_whatever_characters_they_hold() -> None:
    account = Account(NOW)
    text = 'a\0b[\0001\0]","data":[]},\u2028\n🦄'
    account.create("invoice", {"description": text, "lines": [{"description": f"{text}{number}"} for number in range(25)]})
    account.create("subscription", {"description": text, "items": [{"metadata": {text: text}} for _ in range(25)]})
    with StripeServer(account) as server:
        assert_holds_all([Reader(server).sync()], truth(account, ["invoices", "subscriptions"]))


@pytest.mark.parametrize("stream", CHANGING)
def test_updated_is_the_time_of_a_known_event_or_of_the_creation(first: Result, stream: str) -> None:
    told: defaultdict[str, set[int]] = defaultdict(set)
    for event in first.of("events"):
        for value in event["data"]["object"].values():
            told[str(value)].add(event["created"])
    assert [row["id"] for row in first.of(stream) if row["updated"] not in {row["created"], *told[row["id"]]}] == []


@pytest.mark.parametrize("stream", IMMUTABLE)
def test_what_stays_as_it_is_comes_without_fields_of_ours(first: Result, true: dict[str, dict[str, Row]], stream: str) -> None:
    assert {row["id"]: row for row in first.of(stream)} == true[stream]


# ---------------------------------------------------------------------- and then nothing


def test_a_second_read_costs_two_requests_and_brings_nothing(server: StripeServer, first: Result) -> None:
    second = Reader(server).sync(first)
    assert sorted(second.paths) == ["/v1/balance_transactions", "/v1/events"]
    assert (second.records, second.complete) == ([], set(STREAMS))


# ---------------------------------------------------------------------- the real command


@pytest.fixture(scope="module")
def written(server: StripeServer, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The messages of a first sync by the real command."""
    return process("read", tmp_path_factory.mktemp("elsewhere"), config_of(server))


@pytest.mark.parametrize("stream", STREAMS)
def test_the_command_writes_the_same_records_from_any_folder(written: list[Any], first: Result, stream: str) -> None:
    mine = rows(written, stream)
    assert {row["id"]: row for row in mine} == {row["id"]: row for row in first.of(stream)}
    assert len(mine) == len(first.of(stream))


def test_the_command_goes_on_from_the_states_that_it_wrote(server: StripeServer, written: list[Any], tmp_path: Path) -> None:
    last = {each["state"]["stream"]["stream_descriptor"]["name"]: each["state"] for each in written if each["type"] == "STATE"}
    before = len(server.requests)
    again = process("read", tmp_path, config_of(server), list(last.values()))
    assert [each for each in again if each["type"] == "RECORD"] == []
    assert sorted(request.path for request in server.requests[before:]) == ["/v1/balance_transactions", "/v1/events"]


def test_states_count_the_records_before_them(written: list[Any], first: Result) -> None:
    counted: Counter[str] = Counter()
    for each in written:
        if each["type"] == "STATE":
            counted[each["state"]["stream"]["stream_descriptor"]["name"]] += int(each["state"]["sourceStats"]["recordCount"])
    assert counted == {stream: len(first.of(stream)) for stream in STREAMS}


def test_the_command_takes_a_configuration_of_airbytes_own_connector(server: StripeServer, tmp_path: Path) -> None:
    config = {
        "client_secret": server.secret_key,
        "account_id": server.account.id,
        "start_date": "2020-01-01T00:00:00Z",
        "lookback_window_days": 0,
        "slice_range": 365,
        "num_workers": 10,
        "api_base": server.url,
    }
    (status,) = (each["connectionStatus"] for each in process("check", tmp_path, config) if each["type"] == "CONNECTION_STATUS")
    assert status["status"] == "SUCCEEDED"


# ---------------------------------------------------------------------- whose data


def test_a_configuration_of_airbytes_own_connector_reads_the_same(server: StripeServer, first: Result) -> None:
    options: dict[str, Any] = {
        "secret_key": None,
        "client_secret": server.secret_key,
        "account_id": "",
        "start_date": "2010-01-01T00:00:00.000Z",
    }
    assert Counter(Reader(server).sync(streams=["payouts"], **options).ids("payouts")) == Counter(first.ids("payouts"))


def test_a_keys_mode_decides_whose_customers_come(server: StripeServer) -> None:
    live = Reader(server, secret_key=server.live_key).sync(streams=["customers"])
    assert live.ids("customers") == ["cus_OfLiveMode"]
    assert "cus_OfLiveMode" not in Reader(server).sync(streams=["customers"]).ids("customers")


def test_a_connected_account_is_read_with_the_platforms_key(server: StripeServer) -> None:
    theirs = Account(NOW)
    theirs.create("customer", {"id": "cus_theirs"})
    server.connect("acct_theirs1", theirs)
    result = Reader(server, account_id="acct_theirs1").sync()
    assert result.ids("customers") == ["cus_theirs"]
    assert {request.headers["stripe-account"] for request in result.requests} == {"acct_theirs1"}


def test_objects_created_before_the_start_date_are_left_out(server: StripeServer, true: dict[str, dict[str, Row]]) -> None:
    start = 1_750_000_000
    result = Reader(server, start_date="2025-06-15T15:06:40Z").sync()
    for stream in STREAMS:
        assert set(result.ids(stream)) == {id for id, row in true[stream].items() if row["created"] >= start}


# ---------------------------------------------------------------------- the CDK's own way


@pytest.mark.parametrize("name", ["invoices", "events", "products"])
def test_a_stream_that_is_read_as_the_cdk_does_gives_the_same_records(server: StripeServer, first: Result, name: str) -> None:
    config = config_of(server)
    (stream,) = (stream for stream in SourceStripe(config=config).streams(config) if stream.name == name)
    records = [record for partition in stream.generate_partitions() for record in partition.read()]
    assert {record["id"]: plain(dict(record.data)) for record in records} == {row["id"]: plain(row) for row in first.of(name)}
    assert len(records) == len(first.of(name))
    assert {record.stream_name for record in records} == {name}


def test_messages_in_this_process_are_those_of_the_protocol(server: StripeServer) -> None:
    logger = logging.getLogger("airbyte")
    messages = list(SourceStripe().read(logger, config_of(server), catalog(["payouts"], SyncMode.full_refresh)))
    assert {message.type.value for message in messages[1:-1]} == {"TRACE", "STATE", "RECORD"}
    assert [
        message.trace.stream_status.status.value for message in messages if message.trace and message.trace.stream_status
    ] == [
        "STARTED",
        "RUNNING",
        "COMPLETE",
    ]
