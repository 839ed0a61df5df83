"""Accounts as rows: how a page is cut, what the options may be, and how accounts are dealt."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe.rows import OWN, Options, Row, dealt, rows_of
from source_stripe.sync.page import Page, PageWriter

SPARK = Path(__file__).parents[1] / "source_stripe" / "spark.py"


def page(*records: bytes) -> Page:
    return PageWriter("charges", "updated").page(list(records))


def test_a_page_is_cut_into_rows_whose_data_is_the_record_as_it_was() -> None:
    record = b'{"id":"ch_1","created":7,"amount":1.10,"big":12345678901234567890123,"updated":9,"is_deleted":true}'
    assert list(rows_of(page(record), "acct_1")) == [Row("acct_1", "charges", "ch_1", 7, 9, True, record.decode())]


@pytest.mark.parametrize("odd", [b"null", b'"soon"', b"1.5", b"-1", b"{}", b"12345678901234567890123"])
def test_a_time_that_is_none_is_null_and_harms_nobody(odd: bytes) -> None:
    (row,) = rows_of(page(b'{"id":"ch_1","created":' + odd + b',"updated":' + odd + b"}"), OWN)
    assert (row.account_id, row.id, row.created, row.updated, row.is_deleted) == (None, "ch_1", None, None, False)


def test_a_record_without_an_id_has_a_row() -> None:
    assert [row.id for row in rows_of(page(b'{"object":"balance"}', b'{"id":7}'), OWN)] == [None, None]


def test_a_number_of_the_connectors_options_is_one_and_names_are_parted() -> None:
    found = Options.of({"secret_key": "sk_test_12345678", "num_workers": "8", "streams": "charges, coupons", "partitions": "2"})
    assert (found.config["num_workers"], found.streams, found.partitions) == (8, ["charges", "coupons"], 2)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"partitions": "26"}, "The option `partitions` must be a whole number from 1 to 25."),
        ({"accounts": "some"}, "The option `accounts` must be own, connected or all."),
        ({"data": "xml"}, "The option `data` must be json or variant."),
        (
            {"stream": "charges"},
            "The config has an option `stream`, which does not exist and has no effect. Did you mean `streams`?",
        ),
    ],
)
def test_an_option_that_is_wrong_is_named(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(AirbyteTracedException) as raised:
        Options.of(given)
    assert raised.value.message == sentence


def test_options_that_are_shown_do_not_show_the_key() -> None:
    assert "12345678" not in repr(Options.of({"secret_key": "sk_test_12345678"}))


def test_each_account_is_dealt_to_one_worker_and_none_is_idle() -> None:
    assert dealt(["a", "b", "c", "d", "e"], 2) == [["a", "c", "e"], ["b", "d"]]
    assert dealt(["a"], 4) == [["a"]]


def test_only_the_data_source_knows_spark_and_nothing_imports_it() -> None:
    files = [file for file in SPARK.parent.rglob("*.py") if file != SPARK]
    imported = {name for file in files for name in _imports(file)}
    assert [name for name in imported if name.startswith("pyspark") or name == "source_stripe.spark"] == []
    assert "pyspark.sql.datasource" in _imports(SPARK)


def test_the_image_which_has_no_spark_has_no_data_source_of_sparks() -> None:
    assert "source_stripe/spark.py" in (SPARK.parents[1] / ".dockerignore").read_text().splitlines()


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{each.name}" for each in node.names)}
    return found
