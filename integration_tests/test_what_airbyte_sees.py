"""What a platform shows of a sync while it lasts, and what it decides by."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
from typing import Any

import pytest
from airbyte_cdk.models import AirbyteMessage, AirbyteMessageSerializer, AirbyteStateMessageSerializer
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from integration_tests.embedded_stripe import Account, Fault, StripeServer
from integration_tests.faulty import Files, source_stripe
from integration_tests.harness import DAY, NOW, Reader, account_clock, catalog
from source_stripe import messages
from source_stripe.messages import Messages
from source_stripe.source import SourceStripe
from source_stripe.sync.output import Item, Page, Shares
from unit_tests.virtual_time import Jumps

Message = dict[str, Any]


def messages_of(server: StripeServer, streams: list[str], state: list[Any] | None = None, page_size: int = 100) -> list[Message]:
    """All that a sync says, in its order; its error is left out."""
    config = {"secret_key": server.secret_key, "api_base": server.url, "call_rate_limit": 10_000}
    reader = Reader(server, page_size=page_size)
    source = SourceStripe(config=config, manifest=reader._manifest, clock=account_clock(server, Jumps()))
    said: list[Message] = []
    with contextlib.suppress(AirbyteTracedException):
        for message in source.read(logging.getLogger("airbyte"), config, catalog(streams), state):
            said.append(AirbyteMessageSerializer.dump(message))
    return said


def traces(said: list[Message], type_: str) -> list[Message]:
    return [each["trace"][type_.lower()] for each in said if each["type"] == "TRACE" and each["trace"]["type"] == type_]


def test_a_rate_limit_shows_as_a_reason_with_the_time_when_it_ends(account: Account, server: StripeServer) -> None:
    account.create("customer")
    server.fault(Fault("rate_limit", path="^/v1/customers", headers={}, times=2))
    statuses = traces(messages_of(server, ["customers"]), "STREAM_STATUS")
    (reason,) = next(each["reasons"] for each in statuses if each.get("reasons"))
    assert (statuses[1]["status"], reason["type"]) == ("RUNNING", "RATE_LIMITED")
    assert reason["rate_limited"]["quota_reset"] > 1_700_000_000_000
    assert statuses[-1]["status"] == "COMPLETE"


def test_an_endpoint_that_fails_is_told_when_it_begins_and_when_it_recovers(
    account: Account, server: StripeServer, caplog: pytest.LogCaptureFixture
) -> None:
    account.create("customer")
    server.fault(Fault("status", path="^/v1/customers", status=503, times=3))
    messages_of(server, ["customers"])
    said = [(each.levelname, each.getMessage()) for each in caplog.records if "/v1/customers" in each.getMessage()]
    assert [level for level, _ in said] == ["WARNING", "INFO"]
    assert said[0][1].startswith("/v1/customers can't be read now, and is tried again for 11 minutes.")
    assert said[1][1] == "/v1/customers can be read again"


def test_one_record_is_told_as_one(account: Account, server: StripeServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    account.create("customer")
    messages_of(server, ["customers"])
    said = [each.getMessage() for each in caplog.records]
    assert "customers: complete, 1 record" in said
    assert said[-1].startswith("1 record with ")


def test_no_two_equal_states_have_records_between_them(account: Account, server: StripeServer) -> None:
    for _ in range(40):  # All of one second: while its pages are read, a state has nothing new to say.
        account.create("customer", at=NOW - 300 * DAY)
    said = messages_of(server, ["customers"], page_size=3)
    states = [number for number, each in enumerate(said) if each["type"] == "STATE"]
    for one, other in itertools.pairwise(states):
        is_equal = said[one]["state"]["stream"] == said[other]["state"]["stream"]
        assert not is_equal or {each["type"] for each in said[one + 1 : other]}.isdisjoint({"RECORD"})
    assert sum(each["type"] == "RECORD" for each in said) == 40


def test_a_state_comes_every_few_minutes_while_the_events_take_long(account: Account, server: StripeServer) -> None:
    first = [each["state"] for each in messages_of(server, ["customers"]) if each["type"] == "STATE"][-1]
    account.advance(3600)
    server.fault(Fault("status", path="^/v1/events", times=24))
    state = [AirbyteStateMessageSerializer.load(first)]
    said = messages_of(server, ["customers"], state)
    assert len([each for each in said if each["type"] == "STATE"]) >= 3
    assert traces(said, "STREAM_STATUS")[-1]["status"] == "COMPLETE"


def test_denials_are_told_after_errors_that_may_pass(server: StripeServer) -> None:
    server.fault(Fault("permission", path="^/v1/customers", times=None))
    server.fault(Fault("status", path="^/v1/products", times=None))
    errors = [each["failure_type"] for each in traces(messages_of(server, ["customers", "products"]), "ERROR")]
    assert errors == ["transient_error", "config_error"]


def test_an_estimate_comes_where_the_share_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "_SECONDS_BETWEEN_ESTIMATES", 0.0)
    items: list[Item] = [Page("charges", b"", 500), Shares({"charges": 0.25, "customers": 0.5, "products": 0.0})]
    (trace,) = [each.trace for each in Messages(3, {}).of(items) if isinstance(each, AirbyteMessage)]
    assert trace is not None
    assert trace.estimate is not None
    assert (trace.estimate.name, trace.estimate.row_estimate) == ("charges", 2000)


def test_shares_are_told_also_where_nobody_looks(account: Account, server: StripeServer) -> None:
    account.create("customer")
    server.fault(Fault("status", path="^/v1/customers", times=10))
    items = list(Reader(server).source.read_pages(Reader(server)._config, catalog(["customers"]), []))
    assert [item for item in items if isinstance(item, Shares)] != []


@pytest.mark.parametrize("level", ["debug", "DEBUG"])
def test_the_platform_asks_for_debug_with_a_variable(server: StripeServer, tmp_path: Any, level: str) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url}
    ended = source_stripe(*Files(tmp_path).read(config, ["customers"]), environment={"LOG_LEVEL": level})
    assert ended.code == 0
    assert "DEBUG" in {log["level"] for log in ended.of("LOG")}


@pytest.mark.parametrize("command", ["spec", "discover", "check", "read"])
def test_a_person_asks_for_debug_with_an_option(server: StripeServer, tmp_path: Any, command: str) -> None:
    config = {"secret_key": server.secret_key, "api_base": server.url}
    _, *files = Files(tmp_path).read(config, ["customers"])
    given = {"spec": [], "read": files}.get(command, files[:2])
    ended = source_stripe(command, *given, "--debug")
    assert ended.code == 0
    assert "DEBUG" in {log["level"] for log in ended.of("LOG")}
    types = {json.loads(line)["type"] for line in ended.out.splitlines()}
    assert types <= {"LOG", "SPEC", "CATALOG", "CONNECTION_STATUS", "STATE", "TRACE"}
