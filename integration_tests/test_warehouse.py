"""From an account to tables without Airbyte: two reads into one file of messages, then tables, then SQL."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer

from integration_tests.answers import ANSWERS, QUERIES, change_something
from integration_tests.embedded_stripe import Account, StripeServer, made_up_account
from integration_tests.harness import STREAMS, catalog

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Filled:
    """The account as it was at the second read, and the database."""

    account: Account
    database: Path

    def rows(self, query: str) -> list[dict[str, Any]]:
        with duckdb.connect(self.database, read_only=True) as connection:
            found = connection.execute(query)
            names = [column[0] for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def read(folder: Path, *state: str) -> None:
    files = ["--config", "config.json", "--catalog", "catalog.json", *state]
    with (folder / "messages.jsonl").open("ab") as messages:
        subprocess.run([sys.executable, ROOT / "main.py", "read", *files], cwd=folder, stdout=messages, check=True)


def last_states(messages: Path) -> list[Any]:
    states = [message["state"] for message in map(json.loads, messages.read_text().splitlines()) if "state" in message]
    return list({state["stream"]["stream_descriptor"]["name"]: state for state in states}.values())


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("warehouse")
    account = made_up_account(size=0.3)
    with StripeServer(account) as server:
        (folder / "config.json").write_text(json.dumps({"secret_key": server.restricted_key(), "api_base": server.url}))
        (folder / "catalog.json").write_text(json.dumps(ConfiguredAirbyteCatalogSerializer.dump(catalog())))
        read(folder)
        change_something(account)
        (folder / "state.json").write_text(json.dumps(last_states(folder / "messages.jsonl")))
        read(folder, "--state", "state.json")
        subprocess.run(
            [sys.executable, "-m", "tools.warehouse", folder / "messages.jsonl", "--into", folder], cwd=ROOT, check=True
        )
        yield Filled(account, folder / "warehouse.duckdb")


@pytest.mark.parametrize("stream", [name for name in STREAMS if name != "events"])
def test_a_table_holds_the_objects_that_the_account_shows(filled: Filled, stream: str) -> None:
    assert {row["id"] for row in filled.rows(f"SELECT id FROM {stream}")} == set(filled.account.listed(stream))


@pytest.mark.parametrize("query", ANSWERS)
def test_the_queries_answer_of_the_tables_what_the_account_holds(filled: Filled, query: str) -> None:
    assert filled.rows((QUERIES / f"{query}.sql").read_text()) == ANSWERS[query](filled.account)


def test_every_query_has_its_answer() -> None:
    assert {query.stem for query in QUERIES.glob("*.sql")} == set(ANSWERS)
