"""Hold `schemas/` to Stripe's published files and to real bodies: `schemas_against_fixtures.py DIR`.

DIR holds `openapi.json` (the document of the pinned version) and `fixtures3.json` (one sample an object), both of
https://github.com/stripe/openapi, and `recorded/*.ndjson`, a line `{"source", "api_version", "body", ...}` for each body that
Stripe's API was recorded to send. They are no part of this repository: without DIR nothing is checked, and it says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parent.parent

# What some recorded bodies have and no record can have, and why. Everything else has to be in the schema.
NOT_IN_RECORDS = {
    "charge.invoice": "of versions before 2025-03-31.basil",
    "customer.invoice_credit_balance": "asked for with expand, by that program and not by this connector",
    "customer.tax": "asked for with expand, by that program and not by this connector",
    "invoice.confirmation_secret": "asked for with expand, by that program and not by this connector",
    "payment_intent.charges": "of versions before 2022-11-15",
    "payment_intent.invoice": "of versions before 2025-03-31.basil",
}

Schema = dict[str, Any]


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    if not folder.is_dir():
        print(f"skipped: Stripe's published files are not at {folder}")
        return 0
    faults = [*faults_of_samples(folder / "fixtures3.json"), *faults_of_recordings(folder / "recorded")]
    print("\n".join(faults) or "the samples and the recorded bodies are admitted by their streams' schemas", flush=True)
    derive = [sys.executable, "-m", "tools.derive_schemas", str(folder.absolute() / "openapi.json"), "--check"]
    outdated = subprocess.run(derive, cwd=ROOT, check=False).returncode
    return 1 if faults or outdated else 0


def schemas() -> Iterator[tuple[str, str, Schema]]:
    """Each stream with the name of its object and its schema."""
    manifest = yaml.safe_load((ROOT / "manifest.yaml").read_text(encoding="utf-8"))
    for parameters in (entry["$parameters"] for entry in manifest["streams"]):
        name = parameters["name"]
        yield name, parameters["object"], json.loads((ROOT / f"schemas/{name}.json").read_text(encoding="utf-8"))


def faults_of_samples(fixtures: Path) -> Iterator[str]:
    """A line for each value in a sample that the schema of its stream does not admit, and for each missing sample."""
    samples = json.loads(fixtures.read_text(encoding="utf-8"))["resources"]
    for name, kind, schema in schemas():
        if kind in samples:
            yield from (f"{name}: the sample's {fault}" for fault in violations(samples[kind], schema))
        else:
            yield f"{name}: there is no sample of a {kind}"


def faults_of_recordings(folder: Path) -> Iterator[str]:
    """A line for each value that a schema does not admit, and for each field that it lacks, with how many bodies have it."""
    lines = [line for file in sorted(folder.glob("*.ndjson")) for line in file.read_text(encoding="utf-8").splitlines()]
    bodies = [body for line in lines for body in objects_in(json.loads(line).get("body"))]
    faults: Counter[str] = Counter()
    for name, kind, schema in schemas():
        theirs = [body for body in bodies if body["object"] == kind]
        print(f"{name}: {len(theirs)} recorded bodies")
        for body in theirs:
            faults.update(f"{name}: a recorded {fault}" for fault in violations(body, schema))
            faults.update(f"{name}: {path} of recorded bodies is in no schema" for path in undeclared(body, schema))
    return (f"{fault} ({count})" for fault, count in sorted(faults.items()))


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of Stripe's in a body, itself among them, but for those that are deleted: they are an id and a flag."""
    if isinstance(value, dict):
        if isinstance(value.get("object"), str) and "deleted" not in value:
            yield {name: inner for name, inner in value.items() if f"{value['object']}.{name}" not in NOT_IN_RECORDS}
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from objects_in(inner)


def violations(body: dict[str, Any], schema: Schema) -> Iterator[str]:
    for error in jsonschema.Draft7Validator(schema).iter_errors(as_asked_for(body, schema)):
        yield f"{error.json_path}: {error.message}"


def undeclared(value: Any, schema: Schema, path: str = "$") -> Iterator[str]:
    """The fields that the schema does not name, where it names any: an object without properties has data for keys."""
    if isinstance(value, dict) and "properties" in schema:
        for name, inner in value.items():
            if name in schema["properties"]:
                yield from undeclared(inner, schema["properties"][name], f"{path}.{name}")
            elif f"{value.get('object')}.{name}" not in NOT_IN_RECORDS:
                yield f"{path}.{name}"
    if isinstance(value, list):
        for inner in value:
            yield from undeclared(inner, schema.get("items", {}), f"{path}[*]")


def as_asked_for(value: Any, schema: Schema) -> Any:
    """The body with an id where the stream does not expand the object, and an object where it does: others asked otherwise."""
    if isinstance(value, dict) and "id" in value and "string" in schema.get("type", ()):
        return value["id"]
    if isinstance(value, str) and "string" not in schema.get("type", ()) and "id" in schema.get("properties", ()):
        return {"id": value}
    if isinstance(value, dict):
        return {name: as_asked_for(inner, schema.get("properties", {}).get(name, {})) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_asked_for(inner, schema.get("items", {})) for inner in value]
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
