"""What goes to standard output: the lines that the CDK would write, made without taking the records apart."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import orjson
import pytest
from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.models import AirbyteMessage, AirbyteRecordMessage, Type

from integration_tests.embedded_stripe import made_up_account
from integration_tests.harness import STREAMS
from source_stripe.messages import records_of
from source_stripe.sync.page import Page, PageWriter, Row

ACCOUNT = made_up_account(now=1_795_000_000, size=0.1)


def page_of(stream: str, objects: list[bytes], updated: int = 1_795_000_000) -> Page:
    writer = PageWriter(stream, "created" if stream in ("events", "balance_transactions") else "updated")
    return writer.page([writer.record(raw, msgspec.json.decode(raw, type=Row), updated) for raw in objects])


def record(raw: str, updated: int = 200) -> Any:
    """The record of an object of a stream that changes."""
    return json.loads(page_of("products", [raw.encode()], updated).lines)["record"]["data"]


def ordinary(line: bytes) -> str:
    """What the CDK writes of the same record."""
    told = json.loads(line)["record"]
    message = AirbyteMessage(
        type=Type.RECORD, record=AirbyteRecordMessage(stream=told["stream"], data=told["data"], emitted_at=told["emitted_at"])
    )
    return AirbyteEntrypoint.airbyte_message_to_string(message)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_line_is_the_cdks_save_that_nulls_are_kept(stream: str) -> None:
    objects = [orjson.dumps(each) for each in ACCOUNT.listed(stream).values()]
    for line in page_of(stream, objects).lines.splitlines():
        mine = json.loads(line)
        mine["record"]["data"] = {name: value for name, value in mine["record"]["data"].items() if value is not None}
        assert mine == json.loads(ordinary(line))


def test_a_line_without_nulls_is_the_cdks_byte_for_byte() -> None:
    line = page_of(
        "customers", [orjson.dumps({"id": "cus_1", "created": 100, "name": 'Zoë "Z"\n\u2028 🦄', "balance": -1.5})]
    ).lines
    assert line.decode() == ordinary(line) + "\n"


def test_a_page_has_a_line_for_each_of_its_records() -> None:
    page = page_of("coupons", [b'{"id":"a","created":1}', b'{"id":"b","created":2}'])
    assert (page.stream, page.count, page.lines.count(b"\n"), page.lines[-1:]) == ("coupons", 2, 2, b"\n")


@pytest.mark.parametrize("stream", STREAMS)
def test_a_reader_in_this_process_gets_the_same_records(stream: str) -> None:
    page = page_of(stream, [orjson.dumps(each) for each in ACCOUNT.listed(stream).values()])
    messages = [message.record for message in records_of(page)]
    assert [each.data for each in messages if each] == [json.loads(line)["record"]["data"] for line in page.lines.splitlines()]
    assert {each.stream for each in messages if each} == {stream}


def test_a_record_is_one_line_whatever_characters_it_holds() -> None:
    page = page_of("customers", [orjson.dumps({"id": "1", "created": 1, "name": "a\nb\rc\u2028d\x85e\x0cf"})])
    (message,) = records_of(page)
    assert message.record is not None
    assert message.record.data["name"] == "a\nb\rc\u2028d\x85e\x0cf"


def test_a_record_tells_when_it_was_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("source_stripe.sync.page.time.time_ns", lambda: 1_795_000_000_123_456_789)
    assert json.loads(page_of("coupons", [b'{"id":"a","created":1}']).lines)["record"]["emitted_at"] == 1_795_000_000_123


def test_what_changes_gets_the_time_of_its_last_change() -> None:
    assert record('{"id":"prod_1","created":100}', updated=200) == {"id": "prod_1", "created": 100, "updated": 200}


def test_what_stays_as_it_is_gets_no_field() -> None:
    assert page_of("events", [b'{"id":"evt_1","created":100}']).lines.startswith(
        b'{"type":"RECORD","record":{"stream":"events","data":{"id":"evt_1","created":100},"emitted_at":'
    )


@pytest.mark.parametrize(("own", "updated"), [("150", 200), ("200", 200), ("250", 250), ("null", 200)])
def test_a_products_own_updated_counts_when_it_is_later(own: str, updated: int) -> None:
    assert record(f'{{"id":"prod_1","created":100,"updated":{own}}}', updated=200)["updated"] == updated


def test_what_a_merchant_called_updated_stays_as_it_is() -> None:
    assert record('{"id":"prod_1","created":100,"metadata":{"updated":"never"}}')["metadata"] == {"updated": "never"}


@pytest.mark.parametrize("number", ["0.1", "1e-7", "123456789.123456789", "18446744073709551615", "-0.0", "2.0"])
def test_numbers_stay_as_stripe_writes_them(number: str) -> None:
    line = page_of("products", [f'{{"id":"prod_1","created":100,"amount":{number}}}'.encode()]).lines
    assert f'"amount":{number},'.encode() in line


def test_a_record_in_pieces_takes_the_memory_that_its_pieces_hold() -> None:
    large = PageWriter("invoices", "updated").page_of_one([b"{", b"}"], held=5_000_000)
    assert large.size == 5_000_000
    assert large.whole.endswith(b"}}\n")
