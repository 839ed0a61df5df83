"""Spark reads a platform: by account side by side, and as a stream of what changed.

`make spark-test` installs it into an environment of its own and runs this; it needs Java.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.embedded_stripe import Account, StripeServer, small_shop
from integration_tests.harness import DAY, Reader
from integration_tests.readme import write_config

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "scale.md"
ACCOUNTS = 8
STREAMS = ("balance_transactions", "charges", "coupons", "customers", "events", "subscriptions")
Ids = list[tuple[str, str, str]]
"""Account, stream and id of each row, sorted."""


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    from source_stripe.spark import StripeDataSource

    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.driver.host": "127.0.0.1"}
    settings["spark.sql.warehouse.dir"] = str(tmp_path_factory.mktemp("warehouse"))
    session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    session.dataSource.register(StripeDataSource)
    yield session
    session.stop()


@pytest.fixture
def platform() -> Account:
    platform = Account(None)
    platform.connect_many(ACCOUNTS, small_shop, since=platform.now - 20 * DAY, until=platform.now - 3 * DAY, spread="even")
    return platform


@pytest.fixture
def server(platform: Account) -> Iterator[StripeServer]:
    with StripeServer(platform) as server:
        yield server


def options(server: StripeServer, **more: Any) -> dict[str, Any]:
    given = {"secret_key": server.secret_key, "api_base": server.url, "accounts": "connected", "streams": ", ".join(STREAMS)}
    return given | more


def read(spark: Any, server: StripeServer, **more: Any) -> Any:
    return spark.read.format("stripe").options(**options(server, **more)).load()


def sync(spark: Any, server: StripeServer, folder: Path, **more: Any) -> list[int]:
    """A run of a scheduled job, which writes into `folder`; how many rows each of its batches had."""
    stream = spark.readStream.format("stripe").options(**options(server, **more)).load()
    writer = stream.writeStream.option("checkpointLocation", str(folder / "checkpoint")).trigger(availableNow=True)
    query = writer.format("parquet").option("path", str(folder / "rows")).start()
    query.awaitTermination()
    return [progress.numInputRows for progress in query.recentProgress]


def ids(table: Any) -> Ids:
    return sorted(tuple(row) for row in table.select("account_id", "stream", "id").collect())


def ids_of_read(server: StripeServer) -> Ids:
    """What the connector's `read` brings of each connected account."""
    accounts = list(server.account.listed("accounts"))
    results = {account: Reader(server, account_id=account).sync(streams=STREAMS) for account in accounts}
    return sorted((account, stream, row["id"]) for account, result in results.items() for stream, row in result.records)


def refused(server: StripeServer) -> int:
    return sum(request.status == 429 for request in server.requests)


@pytest.mark.parametrize("per", ["key", "account", "both"])
def test_partitions_bring_what_read_brings_within_the_limits(
    spark: Any, server: StripeServer, per: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = ids_of_read(server)
    server.limit(25, 25, per=per)
    server.clear_requests()
    began = time.monotonic()
    table = read(spark, server).cache()
    found, seconds = ids(table), time.monotonic() - began
    assert (found, refused(server), table.rdd.getNumPartitions()) == (expected, 0, 4)
    with capsys.disabled():
        print(f"\nlimits by {per}: {ACCOUNTS} accounts, 4 partitions, {len(found)} rows, {seconds:.1f} s, 429s: 0")


def test_each_account_can_be_a_partition_and_is_never_parted(spark: Any, server: StripeServer) -> None:
    table = read(spark, server, partitions="25", streams="charges")
    parts = table.rdd.mapPartitions(lambda rows: [sorted({row.account_id for row in rows})]).collect()
    assert sorted(parts) == sorted([account] for account in server.account.listed("accounts"))


def test_the_accounts_that_are_named_are_read_in_place_of_all(spark: Any, server: StripeServer) -> None:
    named = list(server.account.listed("accounts"))[:2]
    table = read(spark, server, accounts="own", account_ids=", ".join(named))
    assert {row.account_id for row in table.collect()} == set(named)


def test_data_is_text_that_sql_can_parse_or_variant(spark: Any, server: StripeServer) -> None:
    text, variant = (read(spark, server, streams="charges", data=data) for data in ("json", "variant"))
    amount = "variant_get({}, '$.amount', 'int') AS amount"
    assert [str(table.schema["data"].dataType) for table in (text, variant)] == ["StringType()", "VariantType()"]
    expected = Counter({1900: 2 * ACCOUNTS})
    assert Counter(row.amount for row in text.selectExpr(amount.format("parse_json(data)")).collect()) == expected
    assert Counter(row.amount for row in variant.selectExpr(amount.format("data")).collect()) == expected


def test_the_streams_second_run_brings_the_changes_only(
    spark: Any, platform: Account, server: StripeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = ids_of_read(server)
    server.limit(25, 25, per="key")
    first = sync(spark, server, tmp_path)
    before = ids(spark.read.parquet(str(tmp_path / "rows")))
    assert before == expected
    changed, other = list(platform.listed("accounts"))[:2]
    new = platform.connected[changed].create("customer")["id"]
    platform.connected[other].delete("coupon", "WELCOME")
    server.clear_requests()
    second = sync(spark, server, tmp_path)
    after = spark.read.parquet(str(tmp_path / "rows"))
    came = Counter(ids(after)) - Counter(before)
    assert {row for row in came if row[1] != "events"} == {(changed, "customers", new), (other, "coupons", "WELCOME")}
    assert sum(came.values()) == sum(second) == 4
    assert [row.id for row in after.where("is_deleted").collect()] == ["WELCOME"]
    assert refused(server) == 0
    with capsys.disabled():
        print(f"\na stream: batches of {first} rows; after a new customer and a deleted coupon: {second}, 429s: 0")


def test_a_sync_may_take_many_batches_and_brings_each_row_once(spark: Any, server: StripeServer, tmp_path: Path) -> None:
    batches = sync(spark, server, tmp_path, rows_in_batch="20")
    assert len(batches) > 2
    assert ids(spark.read.parquet(str(tmp_path / "rows"))) == ids_of_read(server)


def test_a_batch_that_was_not_written_comes_again(spark: Any, server: StripeServer, tmp_path: Path) -> None:
    def fail(table: Any, number: int) -> None:
        raise RuntimeError("no room")

    stream = spark.readStream.format("stripe").options(**options(server)).load()
    writer = stream.writeStream.option("checkpointLocation", str(tmp_path / "checkpoint")).trigger(availableNow=True)
    with pytest.raises(Exception, match="no room"):
        writer.foreachBatch(fail).start().awaitTermination()
    brought: Ids = []
    writer.foreachBatch(lambda table, number: brought.extend(ids(table))).start().awaitTermination()
    assert sorted(set(brought)) == ids_of_read(server)


def test_no_plan_offset_or_row_holds_the_key(spark: Any, server: StripeServer, tmp_path: Path) -> None:
    sync(spark, server, tmp_path)
    table = read(spark, server)
    plan = table._jdf.queryExecution().toString()
    kept = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    texts = [plan.encode(), *kept, *(row.data.encode() for row in table.collect())]
    assert b'"syncs":1' in b"".join(kept).replace(b" ", b"")
    assert [text for text in texts if server.secret_key.encode() in text] == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"streams": "chargs"}, "There is no stream chargs: did you mean charges"),
        ({"secret_key": "pk_test_12345678"}, "This is a publishable key"),
        (
            {"star_date": "2024-01-01"},
            "an option `star_date`, which does not exist and has no effect. Did you mean `start_date`?",
        ),
        ({"account_ids": "acct_other"}, "Account not connected: the key has no access"),
    ],
)
def test_what_goes_wrong_is_told_in_the_connectors_words(
    spark: Any, server: StripeServer, given: dict[str, str], sentence: str
) -> None:
    with pytest.raises(Exception, match=re.escape(sentence)) as raised:
        read(spark, server, **given).count()
    assert server.secret_key not in str(raised.value)


def test_the_lines_of_the_guide_run_and_keep_the_newest_of_each_object(
    spark: Any, platform: Account, server: StripeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(tmp_path, server)
    monkeypatch.chdir(tmp_path)
    before = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    # Java does not follow to where this process goes.
    lines = before.replace("stripe/checkpoint", f"{tmp_path}/checkpoint")
    assert lines != before
    given = {"spark": spark}
    exec(lines, given)
    account = next(iter(platform.listed("accounts")))
    platform.connected[account].delete("coupon", "WELCOME")
    exec(lines, given)
    newest = spark.table("stripe_newest").where("stream = 'coupons'").collect()
    assert len(newest) == ACCOUNTS
    assert [row.account_id for row in newest if row.is_deleted] == [account]
