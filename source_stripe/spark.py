"""Stripe as a data source of Spark's: `spark.read.format("stripe")`, and `spark.readStream`. It takes `source-stripe[spark]`.

spark.dataSource.register(StripeDataSource)
spark.read.format("stripe").option("secret_key", key).option("streams", "charges, customers").load()
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition, SimpleDataSourceStreamReader
from pyspark.sql.streaming.datasource import SupportsTriggerAvailableNow
from pyspark.sql.types import StructType, VariantVal

from source_stripe.rows import Options, Reached, Row, RowReader, States, dealt, worded

Offset = dict[str, Any]
"""`states`: by the account and the stream the connector's state. `syncs`: how many were finished."""


class StripeDataSource(DataSource):
    """Rows of all accounts and streams that the options name: the connector's options, and those of `rows.Options`."""

    @classmethod
    def name(cls) -> str:
        return "stripe"

    def schema(self) -> str:
        data = "VARIANT" if self._options.data == "variant" else "STRING"
        return (
            "account_id STRING, stream STRING NOT NULL, id STRING, created BIGINT, updated BIGINT, is_deleted BOOLEAN NOT NULL, "
            f"data {data} NOT NULL"
        )

    @property
    def _options(self) -> Options:
        with worded():
            return Options.of(self.options)

    def reader(self, schema: StructType) -> DataSourceReader:
        return Accounts(self._options)

    def simpleStreamReader(self, schema: StructType) -> SimpleDataSourceStreamReader:
        return Changes(self._options)


class Units(InputPartition):
    """What one task reads, one of `workers`: it holds no secret."""

    def __init__(self, units: Sequence[str], workers: int) -> None:
        super().__init__(", ".join(units))
        self.units, self.workers = units, workers


class Accounts(DataSourceReader):
    """All that there is, by account."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def partitions(self) -> list[Units]:
        parts = dealt(RowReader(self._options).units(), self._options.partitions)
        return [Units(units, len(parts)) for units in parts]

    def read(self, partition: Units) -> Iterator[tuple[Any, ...]]:
        for item in RowReader(self._options, partition.workers).read(partition.units):
            if isinstance(item, Row):
                yield _cells(item, self._options)


class Changes(SimpleDataSourceStreamReader, SupportsTriggerAvailableNow):
    """All that there is, and then what changed. One sync goes on over as many batches as it takes; the driver reads it.

    A batch that has to be repeated brings what was in it, and maybe more, which comes again.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._sync: Iterator[Row | Reached] | None = None
        self._reached: Offset | None = None
        self._is_once = self._is_over = False

    def initialOffset(self) -> Offset:
        return {"syncs": 0, "states": {}}

    def prepareForTriggerAvailableNow(self) -> None:
        self._is_once = True

    def read(self, start: Offset) -> tuple[Iterator[tuple[Any, ...]], Offset]:
        """A batch of one sync: `rows_in_batch` rows and those up to the next state, or all that are left of it."""
        if self._is_once and self._is_over:
            return iter(()), start
        if self._sync is None or start != self._reached:
            self._sync = self._begin(start)
        states, rows = json.loads(json.dumps(start["states"])), list[tuple[Any, ...]]()
        for item in self._sync:
            if isinstance(item, Row):
                rows.append(_cells(item, self._options))
                continue
            states.setdefault(item.account, {})[item.stream] = item.blob
            if len(rows) >= self._options.rows_in_batch and states != start["states"]:
                self._reached = {"syncs": start["syncs"], "states": states}
                return iter(rows), self._reached
        self._sync, self._is_over = None, True
        return iter(rows), {"syncs": start["syncs"] + 1, "states": states}

    def readBetweenOffsets(self, start: Offset, end: Offset) -> Iterator[tuple[Any, ...]]:
        return (_cells(item, self._options) for item in self._begin(start) if isinstance(item, Row))

    def _begin(self, start: Offset) -> Iterator[Row | Reached]:
        states: States = start["states"]
        reading = RowReader(self._options)
        return reading.read(reading.units(), states)


def _cells(row: Row, options: Options) -> tuple[Any, ...]:
    return (*row[:-1], VariantVal.parseJson(row.data)) if options.data == "variant" else row
