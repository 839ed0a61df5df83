"""Puts what was read into tables: `python -m tools.warehouse MESSAGES... --into FOLDER`, `make warehouse`.

MESSAGES are files of what `read` wrote, in the order in which they were written. DuckDB reads them, and makes of each stream
that they name a table in `FOLDER/warehouse.duckdb` and a file `FOLDER/warehouse/STREAM.parquet`, both anew. Of the records of one
primary key that with the greatest cursor is kept, of equal ones the one written last; it is left out if it says `is_deleted`.
Of a stream that is read whole each time, what its last complete read did not bring is left out too. Children that are gone
without a record that says so stay.

A column has the type that the stream's schema declares, or JSON where a value is of another; lists and objects are JSON, as in
docs/queries. A field that the schema lacks gets a column of the type that its values have.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from source_stripe.source import load_manifest
from tools.entries import streams_of

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"
# A record is one line, and an invoice of 50,000 lines has 113 MB.
LONGEST_LINE = 256 << 20
MESSAGES = """
CREATE TEMP TABLE messages AS
SELECT
    type, record.data, trace.stream_status.status,
    coalesce(record.stream, trace.stream_status.stream_descriptor.name) AS stream
FROM read_json(?, format = 'newline_delimited', ignore_errors = true, maximum_object_size = ?, columns = {
    type: 'VARCHAR',
    record: 'STRUCT(stream VARCHAR, data JSON)',
    trace: 'STRUCT(stream_status STRUCT(status VARCHAR, stream_descriptor STRUCT(name VARCHAR)))'
})
"""
STREAMS = """
SELECT stream, count(*) FILTER (type = 'RECORD')
FROM messages WHERE stream IS NOT NULL GROUP BY stream ORDER BY stream
"""
FIELDS = """
SELECT field.key, list(DISTINCT json_type(field.value))
FROM (
    SELECT unnest(map_entries(json_transform(data, '"MAP(VARCHAR, JSON)"'))) AS field
    FROM messages WHERE type = 'RECORD' AND stream = ?
)
GROUP BY field.key ORDER BY field.key
"""
# `rowid` counts the lines of all files. Objects of a platform's accounts have an account's id besides their own.
TABLE = """
CREATE TABLE {table} AS
SELECT unnest(json_transform(data, ?)) FROM (
    SELECT data FROM messages WHERE type = 'RECORD' AND stream = ? AND rowid >= ?
    QUALIFY row_number() OVER (
        PARTITION BY data ->> 'account_id', {key}
        ORDER BY TRY_CAST(data ->> ? AS BIGINT) DESC NULLS LAST, messages.rowid DESC
    ) = 1
)
WHERE NOT coalesce(TRY_CAST(data ->> 'is_deleted' AS BOOLEAN), false)
"""
# Where the last complete read of a stream begins.
BEGINNING = """
SELECT coalesce(max(rowid) FILTER (status = 'STARTED' AND rowid < ended), 0)
FROM messages, (SELECT max(rowid) AS ended FROM messages WHERE stream = $stream AND status = 'COMPLETE')
WHERE stream = $stream
"""
INTEGERS = {"BIGINT", "UBIGINT"}
# By the type in a schema: the column's, and which of JSON's the values may be of.
TYPES = {
    "string": ("VARCHAR", {"VARCHAR"}),
    "boolean": ("BOOLEAN", {"BOOLEAN"}),
    "integer": ("BIGINT", INTEGERS),
    "number": ("DOUBLE", INTEGERS | {"DOUBLE"}),
}


class Warehouse:
    """The tables of one database file."""

    def __init__(self, database: Path, messages: list[Path]) -> None:
        # Every DuckDB from 1.0 on can open it.
        self._connection = duckdb.connect(database, config={"storage_compatibility_version": "v1.0.0"})
        self._connection.execute(MESSAGES, [[str(file) for file in messages], LONGEST_LINE])
        known = streams_of(load_manifest())
        self._keys = {stream.name: stream.primary_key for stream in known}
        self._read_whole = {stream.name for stream in known if stream.cursor is None}

    def unreadable(self) -> int:
        """How many lines are no messages: a read that was killed may leave half a line, which the next read brings again."""
        return self._number("SELECT count(*) FROM messages WHERE type IS NULL")

    def streams(self) -> dict[str, int]:
        """By its name how many records there are of each stream that has records or a schema."""
        found = self._connection.execute(STREAMS).fetchall()
        return {stream: records for stream, records in found if records or (SCHEMAS / f"{stream}.json").is_file()}

    def fill(self, stream: str) -> int:
        """Make the stream's table; how many rows it has."""
        columns = self._columns(stream)
        cursor = "updated" if "updated" in columns else "created"
        key = ", ".join(f"data ->> {_quoted(part, chr(39))}" for part in self._keys.get(stream, ("id",)))
        begin = self._number(BEGINNING, stream=stream) if stream in self._read_whole else 0
        self._connection.execute(TABLE.format(table=_quoted(stream), key=key), [json.dumps(columns), stream, begin, cursor])
        return self._number(f"SELECT count(*) FROM {_quoted(stream)}")

    def export(self, stream: str, file: Path) -> None:
        self._connection.execute(f"COPY {_quoted(stream)} TO {_quoted(str(file), chr(39))} (FORMAT parquet)")

    def close(self) -> None:
        self._connection.close()

    def _columns(self, stream: str) -> dict[str, str]:
        """Each with its type: those of the schema, and the fields besides."""
        file = SCHEMAS / f"{stream}.json"
        declared = json.loads(file.read_text())["properties"] if file.exists() else {}
        found = self._connection.execute(FIELDS, [stream]).fetchall()
        seen = {field: {kind for kind in kinds if kind not in (None, "NULL")} for field, kinds in found}
        columns = {field: column_type(kinds, TYPES) for field, kinds in seen.items()}
        return columns | {field: column_type(seen.get(field, set()), types_of(schema)) for field, schema in declared.items()}

    def _number(self, query: str, **values: str) -> int:
        (row,) = self._connection.execute(query, values or None).fetchall()
        return int(row[0])


def types_of(schema: Mapping[str, Any]) -> list[str]:
    """The type that a schema declares besides null; none if there is none, or several."""
    declared = schema.get("type", [])
    types = [kind for kind in ([declared] if isinstance(declared, str) else declared) if kind != "null"]
    return types if len(types) == 1 else []


def column_type(seen: Collection[str], types: Iterable[str]) -> str:
    """The column's type for the first of `types` that all values are of, where `seen` says what DuckDB calls theirs."""
    fitting = (TYPES[kind][0] for kind in types if kind in TYPES and TYPES[kind][1].issuperset(seen))
    return next(fitting, "JSON")


def _quoted(name: str, mark: str = '"') -> str:
    return mark + name.replace(mark, 2 * mark) + mark


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="tools.warehouse", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("messages", nargs="+", type=Path)
    parser.add_argument("--into", type=Path, default=Path("secrets"))
    given = parser.parse_args(arguments)
    if missing := [str(file) for file in given.messages if not file.is_file()]:
        parser.error(f"there is no {missing[0]}: write what `read` says into it")
    database, tables = given.into / "warehouse.duckdb", given.into / "warehouse"
    # What is there stays until the new one is whole.
    new = given.into / ".warehouse.new"
    shutil.rmtree(new, ignore_errors=True)
    (new / "warehouse").mkdir(parents=True)
    warehouse = Warehouse(new / "warehouse.duckdb", given.messages)
    if not warehouse.streams():
        shutil.rmtree(new)
        parser.error("the files have no messages of a read; the tables stay as they are")
    for stream, records in warehouse.streams().items():
        rows = warehouse.fill(stream)
        warehouse.export(stream, new / "warehouse" / f"{stream}.parquet")
        print(f"{stream:24} {records:>10,} records {rows:>10,} rows")
    if unreadable := warehouse.unreadable():
        print(f"{unreadable} lines are no messages, and were left out.")
    warehouse.close()
    shutil.rmtree(tables, ignore_errors=True)
    (new / "warehouse").replace(tables)
    (new / "warehouse.duckdb").replace(database)
    new.rmdir()
    print(f"The tables are in {database}, and each as a file in {tables}.")


if __name__ == "__main__":
    main()
