"""PyAirbyte, a client that was not written here, syncs twice into DuckDB; the SQL of docs/queries then tells the account.

`make pyairbyte-test` installs it into an environment of its own and runs this.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from integration_tests.answers import ANSWERS, QUERIES, change_something
from integration_tests.embedded_stripe import Account, StripeServer, made_up_account
from integration_tests.harness import ALL_STREAMS, STREAMS
from integration_tests.readme import python_lines, write_config

pytestmark = [pytest.mark.pyairbyte, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parent.parent
QUIET = {"DO_NOT_TRACK": "1", "AIRBYTE_OFFLINE_MODE": "1"}
PYTHON = ROOT / ".venv-pyairbyte" / "bin" / "python"


@dataclass
class Synced:
    """The account as it was at the second sync, and what PyAirbyte told of the two."""

    account: Account
    first: dict[str, Any]
    second: dict[str, Any]


def sync(server: StripeServer, folder: Path) -> dict[str, Any]:
    given = {
        "executable": str(Path(sys.executable).with_name("source-stripe")),
        "config": {"secret_key": server.restricted_key(), "api_base": server.url},
        "select": STREAMS,
        "cache": str(folder / "cache.duckdb"),
        "queries": str(QUERIES),
    }
    told = folder / "told.json"
    subprocess.run(
        [PYTHON, ROOT / "integration_tests" / "pyairbyte" / "read_into_duckdb.py", told],
        input=json.dumps(given).encode(),
        env={**os.environ, **QUIET},
        cwd=folder,
        check=True,
    )
    found: dict[str, Any] = json.loads(told.read_text())
    return found


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synced]:
    assert PYTHON.exists(), "PyAirbyte has an environment of its own: run `make pyairbyte-test`"
    folder = tmp_path_factory.mktemp("pyairbyte")
    account = made_up_account(size=0.3)
    with StripeServer(account) as server:
        first = sync(server, folder)
        change_something(account)
        yield Synced(account, first, sync(server, folder))


def test_pyairbyte_shows_all_streams(synced: Synced) -> None:
    assert set(synced.first["streams"]) == set(ALL_STREAMS)
    assert synced.first["streams"] == synced.second["streams"]


def test_the_first_sync_brings_each_object_once(synced: Synced) -> None:
    assert synced.first["processed"] == sum(synced.first["counts"].values())


def test_the_second_sync_brings_little(synced: Synced) -> None:
    assert 0 < synced.second["processed"] < 60


def test_the_cache_holds_what_the_account_shows(synced: Synced) -> None:
    streams = [each for each in STREAMS if each != "events"]  # Old events leave Stripe, and stay in the cache.
    assert {each: synced.second["counts"][each] for each in streams} == {
        each: len(synced.account.listed(each)) for each in streams
    }


@pytest.mark.parametrize("query", ANSWERS)
def test_the_queries_answer_of_the_cache_what_the_account_holds(synced: Synced, query: str) -> None:
    assert synced.second["answers"][query] == ANSWERS[query](synced.account)


def test_the_readmes_lines_bring_rows_into_the_file_that_they_name(tmp_path: Path) -> None:
    with StripeServer(made_up_account(size=0.1)) as server:
        write_config(tmp_path, server)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        subprocess.run([PYTHON, "-c", python_lines()], cwd=tmp_path, env={**os.environ, **QUIET, "PATH": path}, check=True)
        with duckdb.connect(tmp_path / "secrets" / "airbyte.duckdb", read_only=True) as connection:
            found = connection.execute("SELECT id FROM charges").fetchall()
        assert {id for (id,) in found} == set(server.account.listed("charges"))
