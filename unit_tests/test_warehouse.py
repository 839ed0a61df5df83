"""`make warehouse`: messages become tables."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tools.warehouse import main

ROOT = Path(__file__).resolve().parent.parent
Read = Callable[..., list[tuple[Any, ...]]]


def record(stream: str, **data: Any) -> str:
    return json.dumps({"type": "RECORD", "record": {"stream": stream, "data": data, "emitted_at": 1}})


def customer(**data: Any) -> str:
    return record("customers", **{"id": "cus_1", "created": 1, "updated": 5, **data})


@pytest.fixture
def tables(tmp_path: Path) -> Read:
    """Makes a warehouse of some lines, and answers a query."""

    def ask(query: str, *lines: str) -> list[tuple[Any, ...]]:
        (tmp_path / "messages.jsonl").write_text("\n".join(lines))
        main([str(tmp_path / "messages.jsonl"), "--into", str(tmp_path)])
        with duckdb.connect(tmp_path / "warehouse.duckdb", read_only=True) as connection:
            return connection.execute(query).fetchall()

    return ask


def test_of_an_object_the_row_with_the_greatest_cursor_is_kept(tables: Read) -> None:
    lines = customer(name="new", updated=7), customer(name="old", updated=6), customer(id="cus_2", name="other")
    assert tables("SELECT id, name FROM customers ORDER BY id", *lines) == [("cus_1", "new"), ("cus_2", "other")]


def test_of_equal_cursors_the_later_line_is_kept(tables: Read) -> None:
    lines = [customer(name=f"line {number}") for number in range(5000)]
    assert tables("SELECT name FROM customers", *lines) == [("line 4999",)]


def test_an_immutable_streams_cursor_is_created(tables: Read) -> None:
    lines = [record("events", id="evt_1", created=at, type=f"at {at}") for at in (9, 3)]
    assert tables("SELECT type FROM events", *lines) == [("at 9",)]


def test_a_row_is_kept_of_each_primary_key(tables: Read) -> None:
    lines = [record("discounts", id="di_1", parent=parent, updated=at) for parent, at in (("in_1", 1), ("in_2", 1), ("in_1", 2))]
    assert tables("SELECT parent, updated FROM discounts ORDER BY parent", *lines) == [("in_1", 2), ("in_2", 1)]


def status(stream: str, is_now: str) -> str:
    about = {"stream_descriptor": {"name": stream}, "status": is_now}
    return json.dumps({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "stream_status": about, "emitted_at": 1}})


def read_of(stream: str, ids: str, end: str) -> list[str]:
    return [status(stream, "STARTED"), *(record(stream, id=id, created=1) for id in ids), status(stream, end)]


@pytest.mark.parametrize(
    ("reads", "kept"),
    [
        ([("ab", "COMPLETE"), ("b", "COMPLETE")], "b"),
        ([("ab", "COMPLETE"), ("c", "INCOMPLETE")], "abc"),
        ([("a", "COMPLETE"), ("b", "INCOMPLETE"), ("c", "COMPLETE")], "c"),
        ([("a", "INCOMPLETE"), ("b", "INCOMPLETE")], "ab"),
        ([("a", "COMPLETE"), ("", "COMPLETE")], ""),
    ],
)
def test_a_list_that_is_read_whole_is_as_its_last_complete_read(tables: Read, reads: list[tuple[str, str]], kept: str) -> None:
    lines = [line for ids, end in reads for line in read_of("tax_codes", ids, end)]
    assert tables("SELECT id FROM tax_codes ORDER BY id", *lines) == [(id,) for id in kept]


def test_of_others_all_reads_count(tables: Read) -> None:
    lines = [*read_of("coupons", "a", "COMPLETE"), *read_of("coupons", "b", "COMPLETE")]
    assert tables("SELECT id FROM coupons ORDER BY id", *lines) == [("a",), ("b",)]


def test_deleted_objects_are_left_out(tables: Read) -> None:
    lines = customer(), customer(updated=6, is_deleted=True), customer(id="cus_2", is_deleted=False)
    assert tables("SELECT id FROM customers", *lines) == [("cus_2",)]


def test_objects_of_two_accounts_may_have_the_same_id(tables: Read) -> None:
    lines = [record("coupons", id="SUMMER", account_id=account, updated=1) for account in ("acct_1", "acct_2", "acct_1")]
    assert tables("SELECT account_id FROM coupons ORDER BY account_id", *lines) == [("acct_1",), ("acct_2",)]


def test_columns_have_the_types_of_the_schema(tables: Read) -> None:
    columns = "SELECT typeof(id), typeof(balance), typeof(livemode), typeof(address), typeof(description) FROM customers"
    line = customer(balance=2**53 + 1, livemode=False, address={"city": "Rome"})
    assert tables(columns, line) == [("VARCHAR", "BIGINT", "BOOLEAN", "JSON", "VARCHAR")]
    assert tables("SELECT balance, address ->> '$.city', description FROM customers", line) == [(2**53 + 1, "Rome", None)]


@pytest.mark.parametrize("odd", [1.5, "12", True, {"usd": 3}])
def test_a_value_of_another_type_is_kept_as_it_is(tables: Read, odd: Any) -> None:
    found = tables("SELECT id, balance FROM customers ORDER BY id", customer(balance=odd), customer(id="cus_2", balance=7))
    assert [(id, json.loads(value)) for id, value in found] == [("cus_1", odd), ("cus_2", 7)]


def test_a_field_that_the_schema_lacks_gets_a_column(tables: Read) -> None:
    lines = customer(new_number=4, new_object={"a": 1}), customer(id="cus_2", new_text="x")
    columns = "SELECT new_number, new_object, new_text FROM customers ORDER BY id"
    assert tables(columns, *lines) == [(4, '{"a":1}', None), (None, None, "x")]


def test_a_stream_without_records_is_an_empty_table(tables: Read) -> None:
    status = {"stream_descriptor": {"name": "disputes"}, "status": "COMPLETE"}
    line = json.dumps({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "stream_status": status}})
    assert tables("SELECT count(*), count(reason) FROM disputes", line) == [(0, 0)]


def test_a_stream_that_does_not_exist_is_no_table(tables: Read) -> None:
    status = {"stream_descriptor": {"name": "custoners"}, "status": "INCOMPLETE"}
    line = json.dumps({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "stream_status": status}})
    assert tables("SELECT table_name FROM information_schema.tables", line, customer()) == [("customers",)]


def test_half_a_line_is_left_out_and_told(tables: Read, capsys: pytest.CaptureFixture[str]) -> None:
    lines = customer()[:40] + customer(name="torn"), customer(id="cus_2"), customer(id="cus_3")[:60]
    assert tables("SELECT id FROM customers", *lines) == [("cus_2",)]
    assert "2 lines are no messages, and were left out." in capsys.readouterr().out


def test_a_row_may_be_as_long_as_an_invoice_with_50000_lines(tables: Read) -> None:
    lines = [customer(metadata={"text": "x" * (40 << 20)})]
    assert tables("SELECT length(metadata) FROM customers", *lines) == [((40 << 20) + 11,)]


def test_the_same_rows_are_in_files(tables: Read, tmp_path: Path) -> None:
    tables("SELECT 1", customer(balance=3), record("coupons", id="SUMMER", updated=1))
    assert sorted(file.name for file in (tmp_path / "warehouse").iterdir()) == ["coupons.parquet", "customers.parquet"]
    with duckdb.connect() as connection:
        query = f"SELECT id, balance, typeof(balance) FROM '{tmp_path}/warehouse/customers.parquet'"
        row = connection.execute(query).fetchall()
    assert row == [("cus_1", 3, "BIGINT")]


def test_older_versions_of_duckdb_can_open_it(tables: Read, tmp_path: Path) -> None:
    tables("SELECT 1", customer())
    header = (tmp_path / "warehouse.duckdb").read_bytes()[8:20]
    assert (header[:4], int.from_bytes(header[4:], "little")) == (b"DUCK", 64)


def test_it_is_made_anew(tables: Read, tmp_path: Path) -> None:
    tables("SELECT 1", record("coupons", id="SUMMER", updated=1))
    assert tables("SELECT table_name FROM information_schema.tables", customer()) == [("customers",)]
    assert [file.name for file in (tmp_path / "warehouse").iterdir()] == ["customers.parquet"]


@pytest.mark.parametrize("content", ["", '{"secret_key": "rk_test_1"}', json.dumps({"type": "LOG"})])
def test_what_is_there_stays_if_the_file_is_none_of_a_read(
    tables: Read, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tables("SELECT 1", customer())
    with pytest.raises(SystemExit):
        tables("SELECT 1", content)
    assert "the files have no messages of a read; the tables stay as they are" in capsys.readouterr().err
    assert sorted(file.name for file in tmp_path.glob("warehouse/*")) == ["customers.parquet"]
    with duckdb.connect(tmp_path / "warehouse.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT id FROM customers").fetchall() == [("cus_1",)]


def test_without_messages_it_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "messages.jsonl")])
    assert f"there is no {tmp_path}/messages.jsonl: write what `read` says into it" in capsys.readouterr().err


def test_make_takes_what_the_papers_have_read_write() -> None:
    told = subprocess.check_output(["make", "--dry-run", "warehouse"], cwd=ROOT, text=True)
    assert "python -m tools.warehouse secrets/messages.jsonl --into secrets\n" in told
    assert "> secrets/messages.jsonl\n$ make warehouse\n" in (ROOT / "docs/warehouse.md").read_text()
