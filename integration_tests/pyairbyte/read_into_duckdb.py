"""One sync by PyAirbyte into its DuckDB cache, and what SQL then says: run in PyAirbyte's own environment.

Takes a JSON object on standard input: `executable` (the connector's command), `config`, `cache` (a file), `queries` (a folder
of SQL). Writes one to the file named by its argument: `streams`, `processed` (records of this sync), `counts` (by stream, the
rows that are not deleted), `answers` (by the query's name, its rows as objects).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import airbyte as ab
import duckdb
from airbyte.caches import DuckDBCache


def sync(executable: str, config: dict[str, Any], cache: str) -> dict[str, Any]:
    source = ab.get_source("source-stripe", config=config, local_executable=Path(executable), install_if_missing=False)
    source.check()
    streams = source.get_available_streams()
    source.select_all_streams()
    result = source.read(cache=DuckDBCache(db_path=cache))
    return {"streams": streams, "processed": result.processed_records}


def answers(cache: str, queries: Path) -> dict[str, list[dict[str, Any]]]:
    found = {}
    with duckdb.connect(cache) as connection:
        for query in sorted(queries.glob("*.sql")):
            cursor = connection.execute(query.read_text())
            names = [column[0] for column in cursor.description or ()]
            found[query.stem] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return found


def counts(cache: str, streams: list[str]) -> dict[str, int]:
    with duckdb.connect(cache) as connection:
        found = {}
        for stream in streams:
            # What never is deleted has no such column.
            columns = {row[0] for row in connection.execute(f"DESCRIBE {stream}").fetchall()}
            deleted = "coalesce(is_deleted, false)" if "is_deleted" in columns else "false"
            row = connection.execute(f"SELECT count(*) FILTER (NOT {deleted}) FROM {stream}").fetchone()
            found[stream] = row[0] if row else 0
    return found


def main() -> None:
    given = json.load(sys.stdin)
    told = sync(given["executable"], given["config"], given["cache"])
    told["counts"] = counts(given["cache"], told["streams"])
    told["answers"] = answers(given["cache"], Path(given["queries"]))
    Path(sys.argv[1]).write_text(json.dumps(told, default=str))


if __name__ == "__main__":
    main()
