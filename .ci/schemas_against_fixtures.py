"""Hold `schemas/` to Stripe's published files: `schemas_against_fixtures.py DIR`.

DIR holds `openapi.json` (the document of the pinned version) and `fixtures3.json` (one sample an object), both of
https://github.com/stripe/openapi. They are no part of this repository: without DIR nothing is checked, and it says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    if not folder.is_dir():
        print(f"skipped: Stripe's published files are not at {folder}")
        return 0
    faults = list(faults_of_samples(folder / "fixtures3.json"))
    print("\n".join(faults) or "the samples are admitted by their streams' schemas", flush=True)
    derive = [sys.executable, str(ROOT / "tools/derive_schemas.py"), str(folder / "openapi.json"), "--check"]
    outdated = subprocess.run(derive, check=False).returncode
    return 1 if faults or outdated else 0


def faults_of_samples(fixtures: Path) -> Iterator[str]:
    """A line for each value in a sample that the schema of its stream does not admit, and for each missing sample."""
    samples = json.loads(fixtures.read_text(encoding="utf-8"))["resources"]
    manifest = yaml.safe_load((ROOT / "manifest.yaml").read_text(encoding="utf-8"))
    for parameters in (entry["$parameters"] for entry in manifest["streams"]):
        name, kind = parameters["name"], parameters["object"]
        if kind not in samples:
            yield f"{name}: there is no sample of a {kind}"
            continue
        schema = json.loads((ROOT / f"schemas/{name}.json").read_text(encoding="utf-8"))
        sample = unexpanded(samples[kind], schema)
        for error in jsonschema.Draft7Validator(schema).iter_errors(sample):
            yield f"{name}: {error.json_path} of the sample: {error.message}"


def unexpanded(value: Any, schema: dict[str, Any]) -> Any:
    """The sample with ids in place of the objects that the stream does not expand: some samples show them."""
    if isinstance(value, dict) and "id" in value and "string" in schema.get("type", ()):
        return value["id"]
    if isinstance(value, dict):
        return {name: unexpanded(inner, schema.get("properties", {}).get(name, {})) for name, inner in value.items()}
    if isinstance(value, list):
        return [unexpanded(inner, schema.get("items", {})) for inner in value]
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
