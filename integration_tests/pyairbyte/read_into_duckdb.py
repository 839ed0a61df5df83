"""One sync by PyAirbyte into its DuckDB cache, and what SQL then says: run in PyAirbyte's own environment.

Takes a JSON object on standard input: `executable` (the connector's command), `config`, `select` (streams), `cache` (a file),
`queries` (a folder of SQL). Writes one to the file named by its argument: `streams` (all that there are), `processed` (records
of this sync), `counts` (by selected stream, the rows that are not deleted), `answers` (by the query's name, its rows).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import airbyte as ab
from airbyte.caches import DuckDBCache


def main() -> None:
    given = json.load(sys.stdin)
    executable, config = Path(given["executable"]), given["config"]
    source = ab.get_source("source-stripe", config=config, local_executable=executable, install_if_missing=False)
    source.check()
    streams = source.get_available_streams()
    source.select_streams(given["select"])
    cache = DuckDBCache(db_path=given["cache"])
    result = source.read(cache=cache)

    def rows(sql: str) -> list[dict[str, Any]]:
        with cache.get_sql_engine().connect() as connection:
            return [dict(row) for row in connection.exec_driver_sql(sql).mappings()]

    told = {
        "streams": streams,
        "processed": result.processed_records,
        # The empty row gives streams without deletions the column, too.
        "counts": {stream: rows(_COUNT.format(stream=stream))[0]["count"] for stream in given["select"]},
        "answers": {query.stem: rows(query.read_text()) for query in sorted(Path(given["queries"]).glob("*.sql"))},
    }
    Path(sys.argv[1]).write_text(json.dumps(told, default=str))


_COUNT = """
SELECT count(*) AS count
FROM (SELECT * FROM {stream} UNION ALL BY NAME SELECT NULL AS id, NULL::BOOLEAN AS is_deleted)
WHERE id IS NOT NULL AND NOT coalesce(is_deleted, false)
"""


if __name__ == "__main__":
    main()
