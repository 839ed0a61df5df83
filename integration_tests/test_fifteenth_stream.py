"""A stream more is an entry, a generated schema, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.harness import NOW
from tools import derive_schemas

ROOT = Path(__file__).resolve().parent.parent
ENTRY = """
  - $ref: "#/definitions/changing_stream"
    type: DeclarativeStream
    retriever: {$ref: "#/definitions/changing_stream/retriever", type: CustomRetriever,
                class_name: source_stripe.components.StripeRetriever}
    $parameters:
      name: setup_intents
      object: setup_intent
      permission: {row: SetupIntents, token: setup_intent_read}
      events: [setup_intent.canceled, setup_intent.created, setup_intent.requires_action, setup_intent.setup_failed,
               setup_intent.succeeded]
"""
# As much of Stripe's document as the entry is about.
ITEMS = {"type": "array", "items": {"$ref": "#/components/schemas/setup_intent"}}
LIST = {"type": "object", "properties": {"data": ITEMS}}
DOCUMENT = {
    "paths": {"/v1/setup_intents": {"get": {"responses": {"200": {"content": {"application/json": {"schema": LIST}}}}}}},
    "components": {
        "schemas": {
            "customer": {"type": "object", "properties": {"id": {"type": "string"}}},
            "setup_intent": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "string", "maxLength": 5000},
                    "created": {"type": "integer", "format": "unix-time"},
                    "customer": {
                        "anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/customer"}],
                        "nullable": True,
                        "x-expansionResources": {"oneOf": [{"$ref": "#/components/schemas/customer"}]},
                    },
                    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                    "payment_method_types": {"type": "array", "items": {"type": "string"}},
                    "status": {"type": "string", "enum": ["canceled", "succeeded"]},
                },
            },
        }
    },
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The connector with one more entry and its schema."""
    shutil.copytree(ROOT / "source_stripe", tmp_path / "source_stripe", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    shutil.copy(ROOT / "main.py", tmp_path)
    manifest, document = tmp_path / "manifest.yaml", tmp_path / "openapi.json"
    head, mark, tail = (ROOT / "manifest.yaml").read_text().partition("\nstreams:\n")
    manifest.write_text(head + mark + ENTRY.lstrip("\n") + "\n" + tail)
    document.write_text(json.dumps(DOCUMENT))
    files = ["--manifest", str(manifest), "--schemas", str(tmp_path / "schemas")]
    assert derive_schemas.main([str(document), "--stream", "setup_intents", *files]) == 0
    return tmp_path


class Command:
    """The copy's ordinary command, with its files in its folder."""

    def __init__(self, folder: Path, server: StripeServer) -> None:
        self._folder = folder
        self._write("config.json", {"secret_key": server.secret_key, "api_base": server.url})

    def _write(self, name: str, content: Any) -> None:
        (self._folder / name).write_text(json.dumps(content))

    def _run(self, *arguments: str) -> list[dict[str, Any]]:
        command = [sys.executable, "main.py", *arguments, "--config", "config.json"]
        ended = subprocess.run(command, cwd=self._folder, stdout=subprocess.PIPE)
        assert ended.returncode == 0, ended.stdout.decode()[-2000:]
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def discovered(self) -> dict[str, dict[str, Any]]:
        catalog = next(message["catalog"] for message in self._run("discover") if "catalog" in message)
        return {stream["name"]: stream for stream in catalog["streams"]}

    def read(self) -> list[dict[str, Any]]:
        """The records of a read that goes on from the one before."""
        stream = self.discovered()["setup_intents"]
        modes = {"sync_mode": "incremental", "destination_sync_mode": "append_dedup"}
        self._write("catalog.json", {"streams": [{"stream": stream, **modes}]})
        state = ["--state", "state.json"] if (self._folder / "state.json").exists() else []
        messages = self._run("read", "--catalog", "catalog.json", *state)
        self._write("state.json", [message["state"] for message in messages if "state" in message][-1:])
        return [message["record"]["data"] for message in messages if "record" in message]


@pytest.fixture
def account() -> Account:
    account = Account(NOW)
    account.add_collection("/v1/setup_intents", "setup_intent", ["customer", "payment_method"])
    return account


@pytest.fixture
def command(copy: Path, account: Account) -> Iterator[Command]:
    with StripeServer(account) as server:
        yield Command(copy, server)


def test_the_fifteenth_stream_is_discovered(command: Command) -> None:
    stream = command.discovered()["setup_intents"]
    assert stream["source_defined_primary_key"] == [["id"]]
    assert stream["default_cursor_field"] == ["updated"]
    assert stream["json_schema"]["properties"]["customer"] == {"type": ["null", "string"]}


def test_its_history_is_read(command: Command, account: Account) -> None:
    ids = [account.create("setup_intent", {"customer": None}, at=NOW - day * 86_400)["id"] for day in range(150)]
    assert sorted(record["id"] for record in command.read()) == sorted(ids)


def test_its_changes_are_followed(command: Command, account: Account) -> None:
    ids = [account.create("setup_intent", at=NOW - day * 86_400)["id"] for day in range(100)]
    command.read()
    account.advance(3600)
    account.update("setup_intent", ids[90], {"status": "succeeded"}, event="setup_intent.succeeded")
    assert [(record["id"], record["updated"], record["status"]) for record in command.read()] == [
        (ids[90], NOW + 3600, "succeeded")
    ]


def test_its_records_are_as_its_schema_says(command: Command, account: Account) -> None:
    account.create("setup_intent", at=NOW - 10)
    (record,) = command.read()
    jsonschema.validate(record, command.discovered()["setup_intents"]["json_schema"])
