"""Options, files, catalogs and states that can't be used: a clear error, and nothing that a destination would store."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import AirbyteStateMessageSerializer, ConfiguredAirbyteCatalogSerializer, FailureType
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.faulty import Ended, Files, catalog_of, source_stripe
from integration_tests.harness import DAY, NOW, STREAMS, account_clock
from source_stripe.source import SourceStripe

FAR = 1 << 41
SOURCE = SourceStripe()


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    account = Account(now=NOW)
    for number in range(3):
        account.create("product", {"id": f"prod_{number}"}, at=NOW - DAY)
    with StripeServer(account) as server:
        yield server


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def assert_refused(ended: Ended, *words: str) -> None:
    """A config error that holds the `words`, exit code 1, no traceback, nothing to store."""
    assert [kind for kind, _ in ended.errors] == ["config_error"]
    message = ended.errors[0][1]
    assert all(word in message for word in words), message
    assert ended.code == 1
    assert b"Traceback" not in ended.written
    assert ended.of("RECORD") + ended.of("STATE") == []


# ---------------------------------------------------------------------- options

OPTIONS = [
    ({"secret_key": None}, "The secret key must be a text."),
    ({"secret_key": ["sk_test_12345678"]}, "The secret key must be a text."),
    ({"secret_key": "pk_test_12345678"}, "This is a publishable key"),
    ({"account_id": "cus_123"}, "The option `account_id` must look like acct_..."),
    ({"account_id": 7}, "The option `account_id` must look like acct_..."),
    ({"start_date": "yesterday"}, "The option `start_date` must look like YYYY-MM-DDTHH:MM:SSZ"),
    ({"start_date": "2024-02-30"}, "The option `start_date` is no date of the calendar"),
    ({"start_date": "2024-13-01T00:00:00Z"}, "The option `start_date` is no date of the calendar"),
    ({"start_date": "2024-01-01T25:00:00Z"}, "The option `start_date` is no date of the calendar"),
    ({"start_date": "0000-01-01"}, "The option `start_date` is no date of the calendar"),
    ({"start_date": "9999-01-01"}, "The option `start_date` lies in the far future"),
    ({"start_date": 20240101}, "The option `start_date` must look like YYYY-MM-DDTHH:MM:SSZ"),
    ({"lookback_window_days": -1}, "The option `lookback_window_days` must be a whole number of at least 0"),
    ({"lookback_window_days": "7"}, "The option `lookback_window_days` must be a whole number of at least 0"),
    ({"num_workers": 0}, "The option `num_workers` must be a whole number from 1 to 128"),
    ({"num_workers": 129}, "The option `num_workers` must be a whole number from 1 to 128"),
    ({"num_workers": 2.5}, "The option `num_workers` must be a whole number from 1 to 128"),
    ({"num_workers": True}, "The option `num_workers` must be a whole number from 1 to 128"),
    ({"call_rate_limit": 0}, "The option `call_rate_limit` must be a whole number from 1 to 10000"),
    ({"call_rate_limit": 10001}, "The option `call_rate_limit` must be a whole number from 1 to 10000"),
    ({"call_rate_limit": {}}, "The option `call_rate_limit` must be a whole number from 1 to 10000"),
    (
        {"api_base": "http://example.com"},
        "The option `api_base` must be an https address: without TLS only this machine is allowed.",
    ),
    ({"api_base": "http://localhost.example.com"}, "The option `api_base` must be an https address"),
    ({"api_base": "http://127.0.0.1.example.com"}, "The option `api_base` must be an https address"),
    ({"api_base": "http://127.0.0.1@example.com"}, "The option `api_base` must"),
    ({"api_base": "https://api.stripe.com/v1"}, "The option `api_base` must"),
    ({"api_base": "ftp://api.stripe.com"}, "The option `api_base` must"),
    ({"api_base": "https://127.0.0.1:99999"}, "The option `api_base` must"),
    ({"api_base": "https://127.0.0.1:port"}, "The option `api_base` must"),
    ({"api_base": "https://[::1"}, "The option `api_base` must"),
    ({"api_base": 1}, "The option `api_base` must"),
]


def option_id(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict) else ""


@pytest.mark.parametrize(("options", "words"), OPTIONS, ids=option_id)
def test_an_option_out_of_its_range_is_refused_by_its_name(server: StripeServer, options: dict[str, Any], words: str) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url} | options
    with pytest.raises(AirbyteTracedException) as refused:
        list(SourceStripe().read(logging.getLogger("airbyte"), config, catalog(["products"]), []))
    assert words in str(refused.value.message)
    assert refused.value.failure_type == FailureType.config_error


@pytest.mark.parametrize(("options", "words"), OPTIONS[2::8], ids=option_id)
def test_the_process_refuses_an_option_out_of_its_range(
    server: StripeServer, files: Files, options: dict[str, Any], words: str
) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url} | options
    assert_refused(source_stripe(*files.read(config)), words)
    checked = source_stripe("check", "--config", files.write(config))
    assert [each["status"] for each in checked.of("CONNECTION_STATUS")] == ["FAILED"]
    assert words in checked.of("CONNECTION_STATUS")[0]["message"]
    assert (checked.code, b"Traceback" in checked.written) == (0, False)


@pytest.mark.parametrize("options", [{"start_date": ""}, {"account_id": ""}, {"num_workers": None}, {"call_rate_limit": None}])
def test_an_empty_field_of_a_form_is_as_good_as_none(server: StripeServer, options: dict[str, Any]) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url} | options
    messages = SourceStripe().read(logging.getLogger("airbyte"), config, catalog(["products"]), [])
    assert sum(1 for message in messages if message.record) == 3


# ---------------------------------------------------------------------- files


def catalog(streams: list[str]) -> Any:
    return ConfiguredAirbyteCatalogSerializer.load(catalog_of(streams))


CONFIGS: dict[str, bytes] = {
    "empty": b"",
    "cut": b'{"secret_key": "sk_te',
    "a list": b"[]",
    "a text": b'"sk_test_12345678"',
    "null": b"null",
    "not UTF-8": b'{"secret_key": "sk_test_\xff\xfe"}',
    "no option": b"{}",
}


@pytest.mark.parametrize("content", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_broken_config_file_is_a_config_error(files: Files, content: bytes) -> None:
    assert_refused(source_stripe(*files.read(content)))
    checked = source_stripe("check", "--config", files.write(content))
    assert [each["status"] for each in checked.of("CONNECTION_STATUS")] == ["FAILED"]
    assert b"Traceback" not in checked.written
    assert checked.code == 0


CATALOGS: dict[str, Any] = {
    "empty file": b"",
    "cut": json.dumps(catalog_of(STREAMS)).encode()[:-40],
    "a list": [],
    "another object": {"foo": 1},
    "streams that are none": {"streams": 17},
    "a stream that is none": {"streams": ["charges"]},
    "a stream without a name": {"streams": [{"stream": {}, "sync_mode": "incremental", "destination_sync_mode": "append"}]},
    "an unknown sync mode": json.dumps(catalog_of(["charges"])).replace('_mode": "incremental"', '_mode": "sideways"').encode(),
    "no stream": {"streams": []},
}


def read(arguments: list[str]) -> list[Any]:
    """What the process does with the arguments of a `read`, in this process; the messages that it writes."""
    given = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    source = SourceStripe(manifest=SOURCE._manifest)
    config = source.read_config(given["--config"])
    catalog, state = source.read_catalog(given["--catalog"]), source.read_state(given.get("--state", ""))
    return list(source.read(logging.getLogger("airbyte"), config, catalog, state))


@pytest.mark.parametrize("content", CATALOGS.values(), ids=CATALOGS.keys())
def test_a_broken_catalog_is_a_config_error(server: StripeServer, files: Files, content: Any) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url}
    with pytest.raises(AirbyteTracedException, match="catalog") as refused:
        read(files.read(config, content))
    assert refused.value.failure_type == FailureType.config_error


@pytest.mark.parametrize("name", ["cut", "no stream"])
def test_the_process_refuses_a_broken_catalog(server: StripeServer, files: Files, name: str) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url}
    assert_refused(source_stripe(*files.read(config, CATALOGS[name])), "catalog")


def test_a_stream_that_does_not_exist_fails_by_itself(server: StripeServer, files: Files) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url}
    ended = source_stripe(*files.read(config, ["chargebacks", "charges"]))
    statuses = [trace["stream_status"] for trace in ended.of("TRACE") if trace["type"] == "STREAM_STATUS"]
    ends = {each["stream_descriptor"]["name"]: each["status"] for each in statuses}
    assert (ended.code, ends) == (1, {"chargebacks": "INCOMPLETE", "charges": "COMPLETE"})
    assert ended.errors[0] == (
        "config_error",
        "The catalog asks for the stream chargebacks, which does not exist. Refresh the schema.",
    )


def state_of(blob: Any, stream: str = "products") -> list[dict[str, Any]]:
    return [{"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": blob}}]


GOOD_STATE = {"updated": NOW - DAY, "start": 0, "version": 1, "newest": NOW - DAY}
STATES: dict[str, Any] = {
    "empty file": b"",
    "cut": json.dumps(state_of(GOOD_STATE)).encode()[:-30],
    "another form": {"foo": 1},
    "a text": "state",
    "no descriptor": [{"type": "STREAM", "stream": {"stream_state": {}}}],
    "of another connector": state_of({"cursor": "abc", "page": 7}),
    "a cursor that is a date": state_of({"updated": "2024-01-01T00:00:00Z"}),
    "a negative cursor": state_of({"updated": -1}),
    "a later version": state_of(GOOD_STATE | {"version": 3}),
    "ranges that are none": state_of(GOOD_STATE | {"unread": [[1]]}),
    "ranges upside down": state_of(GOOD_STATE | {"unread": [[NOW, 1]]}),
    "a time of milliseconds": state_of({"updated": NOW * 1000}),
    "the future": state_of({"updated": NOW + 40 * DAY}),
    "no start": state_of({"updated": NOW, "version": 1}),
    "recent that is none": state_of(GOOD_STATE | {"recent": [1, 2]}),
    "pending that is none": state_of({"created": NOW, "start": 0, "version": 1, "pending": {"a": 1}}, "balance_transactions"),
}


@pytest.mark.parametrize("content", STATES.values(), ids=STATES.keys())
def test_a_broken_state_is_a_config_error(server: StripeServer, files: Files, content: Any) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url}
    with pytest.raises(AirbyteTracedException, match="state") as refused:
        read(files.read(config, ["products", "balance_transactions"], content))
    assert refused.value.failure_type == FailureType.config_error


@pytest.mark.parametrize("name", ["cut", "of another connector", "the future"])
def test_the_process_refuses_a_broken_state(server: StripeServer, files: Files, name: str) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url}
    ended = source_stripe(*files.read(config, ["products"], STATES[name]))
    assert {kind for kind, _ in ended.errors} == {"config_error"}
    assert (ended.code, ended.of("RECORD"), b"Traceback" in ended.written) == (1, [], False)


def test_the_error_of_a_broken_state_says_how_to_reset(server: StripeServer, files: Files) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url}
    ended = source_stripe(*files.read(config, ["products"], STATES["of another connector"]))
    assert ended.errors[0][1].startswith(
        "The state of the stream products can't be used: it is not of the form that this connector writes. Reset the stream"
    )


@pytest.mark.parametrize("missing", ["config", "catalog", "state"])
def test_a_file_that_is_not_there_is_a_config_error(server: StripeServer, files: Files, missing: str) -> None:
    arguments = files.read({"secret_key": server.secret_key, "api_base": server.url}, ["products"], state_of(GOOD_STATE))
    arguments[arguments.index(f"--{missing}") + 1] = "nowhere.json"
    assert_refused(source_stripe(*arguments), "nowhere.json")


def test_a_folder_in_place_of_a_file_is_a_config_error(files: Files) -> None:
    assert_refused(source_stripe("read", "--config", str(files.folder), "--catalog", str(files.folder)), str(files.folder))


def test_an_empty_state_starts_from_the_beginning(server: StripeServer, files: Files) -> None:
    for state in ([], state_of({}), state_of(None)):
        ended = source_stripe(*files.read({"secret_key": server.secret_key, "api_base": server.url}, ["products"], state))
        assert (ended.code, len(ended.of("RECORD"))) == (0, 3)


@pytest.mark.parametrize(
    "arguments", [[], ["frobnicate"], ["read"], ["check"], ["read", "--config", "x"], ["check", "--no-such"]]
)
def test_wrong_arguments_end_with_a_line_of_help(arguments: list[str]) -> None:
    ended = source_stripe(*arguments)
    assert ended.code != 0
    assert b"Traceback" not in ended.written
    assert ended.err.strip()


# ---------------------------------------------------------------------- anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
TIMES = st.integers(min_value=-10, max_value=NOW + 100 * DAY) | st.sampled_from([0, NOW, NOW - DAY, NOW - 40 * DAY, FAR]) | JSON
CONFIG = st.fixed_dictionaries(
    {},
    optional={
        "secret_key": JSON
        | st.sampled_from(["sk_test_", "rk_live_", "pk_", "whsec_"]).flatmap(lambda k: st.text(max_size=9).map(k.__add__)),
        "account_id": JSON | st.just("acct_1"),
        "start_date": JSON | st.dates().map(str) | st.datetimes().map(lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ")),
        "lookback_window_days": JSON | st.integers(-3, 40),
        "num_workers": JSON | st.integers(-3, 140),
        "call_rate_limit": JSON | st.integers(-3, 20_000),
        "api_base": JSON
        | st.sampled_from(["https://", "http://127.0.0.1", "http://[::1]", "http://"]).flatmap(
            lambda base: st.text(max_size=9).map(base.__add__)
        ),
        "client_secret": JSON,
        "anything": JSON,
    },
)
BLOB = st.fixed_dictionaries(
    {},
    optional={
        "updated": TIMES | TIMES.map(str),
        "created": TIMES,
        "start": TIMES,
        "version": st.just(1) | JSON,
        "unread": st.lists(st.tuples(TIMES, TIMES).map(list), max_size=3) | JSON,
        "newest": TIMES,
        "recent": st.dictionaries(st.text(max_size=5), TIMES, max_size=3) | JSON,
        "floor": TIMES,
        "pending": st.lists(st.tuples(TIMES, TIMES, TIMES).map(list), max_size=3) | JSON,
    },
)
STREAM = st.sampled_from([*STREAMS, "nothing", ""]) | st.text(max_size=4)
MODES = st.sampled_from(["incremental", "full_refresh"]) | JSON
FEW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=5000)


def refusal(call: Callable[[], Any]) -> AirbyteTracedException | None:
    """The error that `call` ends with. Any other than one that says what is wrong fails the test by itself."""
    try:
        call()
    except AirbyteTracedException as error:
        return error
    return None


def assert_taken_or_refused(config: dict[str, Any]) -> None:
    """A config that is taken is one of which a requester and a pace can be made; the key is in no refusal."""
    error = refusal(lambda: SOURCE._bound(config)._pace)
    if error is not None:
        assert (error.failure_type, bool(error.message)) == (FailureType.config_error, True)
        key = config.get("secret_key")
        assert not isinstance(key, str) or len(key) < 9 or key not in str(error.message)


def assert_gone_on_from_or_refused(source: SourceStripe, blob: dict[str, Any], stream: str) -> None:
    """A sync from `blob` ends well or with a config error, in finite time; a refused one has emitted nothing."""
    states = [AirbyteStateMessageSerializer.load(each) for each in state_of(blob, stream)]
    records: list[Any] = []
    error = refusal(
        lambda: records.extend(
            message
            for message in source.read(logging.getLogger("airbyte"), source._config, catalog([stream]), states)
            if message.record
        )
    )
    if error is not None:
        assert (error.failure_type, records) == (FailureType.config_error, [])
        assert "can't be used" in str(error.message)


@pytest.fixture(scope="module")
def source(server: StripeServer) -> SourceStripe:
    config = {"secret_key": server.secret_key, "api_base": server.url, "call_rate_limit": 10_000}
    return SourceStripe(config=config, clock=account_clock(server))


@FEW
@given(config=CONFIG)
def test_any_config_is_taken_or_refused_with_a_sentence(config: dict[str, Any]) -> None:
    assert_taken_or_refused(config)


@pytest.mark.thorough
@pytest.mark.timeout(1200)
@MANY
@given(config=CONFIG)
def test_thousands_of_configs_are_taken_or_refused_with_a_sentence(config: dict[str, Any]) -> None:
    assert_taken_or_refused(config)


KNOWN = st.sampled_from(["products", "balance_transactions", "charges", "events"])


@FEW
@given(blob=BLOB, stream=KNOWN)
def test_any_state_is_gone_on_from_or_refused(source: SourceStripe, blob: dict[str, Any], stream: str) -> None:
    assert_gone_on_from_or_refused(source, blob, stream)


@pytest.mark.thorough
@pytest.mark.timeout(1200)
@MANY
@given(blob=BLOB, stream=KNOWN)
def test_thousands_of_states_are_gone_on_from_or_refused(source: SourceStripe, blob: dict[str, Any], stream: str) -> None:
    assert_gone_on_from_or_refused(source, blob, stream)


CATALOG = st.fixed_dictionaries(
    {
        "streams": st.lists(
            st.fixed_dictionaries(
                {"stream": st.fixed_dictionaries({"name": STREAM}, optional={"json_schema": JSON, "supported_sync_modes": JSON})},
                optional={"sync_mode": MODES, "destination_sync_mode": MODES, "cursor_field": JSON, "primary_key": JSON},
            )
            | JSON,
            max_size=3,
        )
        | JSON
    }
)


def assert_selects_or_refuses(source: SourceStripe, content: Any, folder: Path) -> None:
    """A catalog file is refused, or every stream that it names ends with a status."""
    file = folder / "catalog.json"
    file.write_text(json.dumps(content))
    statuses: set[str] = set()

    def read() -> None:
        for message in source.read(logging.getLogger("airbyte"), source._config, source.read_catalog(str(file))):
            if message.trace is not None and message.trace.stream_status is not None:
                statuses.add(message.trace.stream_status.stream_descriptor.name)

    error = refusal(read)
    if error is not None:
        assert (error.failure_type, statuses) == (FailureType.config_error, set())
    else:
        assert statuses == {each["stream"]["name"] for each in content["streams"]}


@FEW
@given(content=CATALOG | JSON)
def test_any_catalog_is_read_or_refused(source: SourceStripe, tmp_path: Path, content: Any) -> None:
    assert_selects_or_refuses(source, content, tmp_path)


@pytest.mark.thorough
@pytest.mark.timeout(1200)
@MANY
@given(content=CATALOG | JSON)
def test_thousands_of_catalogs_are_read_or_refused(source: SourceStripe, tmp_path: Path, content: Any) -> None:
    assert_selects_or_refuses(source, content, tmp_path)


def test_a_stream_that_the_catalog_names_twice_is_refused(server: StripeServer) -> None:
    catalog = ConfiguredAirbyteCatalogSerializer.load(catalog_of(["products", "products"]))
    with pytest.raises(AirbyteTracedException, match="the stream products twice"):
        list(SOURCE.read(logging.getLogger(), {"secret_key": server.secret_key, "api_base": server.url}, catalog))
