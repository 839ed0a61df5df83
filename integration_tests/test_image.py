"""The image, run as Airbyte runs it: `make image`, then `make image-test`."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from integration_tests.embedded_stripe import StripeServer, made_up_account
from integration_tests.harness import ALL_STREAMS, STREAMS
from integration_tests.readme import line, write_config
from integration_tests.whole_account import FULL_REFRESH_ONLY

pytestmark = pytest.mark.image

ROOT = Path(__file__).resolve().parent.parent
IMAGE = os.environ.get("IMAGE", "source-stripe")
METADATA = yaml.safe_load((ROOT / "metadata.yaml").read_text())["data"]


class Account:
    """An embedded account, and a folder with what a platform mounts for it: `config.json`, `catalog.json`, `state.json`."""

    def __init__(self, server: StripeServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.write("config", {"secret_key": server.secret_key, "api_base": server.url})
        (catalog,) = of_type("CATALOG", self.docker("discover"))
        streams = [
            {"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append_dedup"}
            for stream in catalog["catalog"]["streams"]
        ]
        self.write("catalog", {"streams": streams})

    def write(self, name: str, content: Any) -> None:
        (self.folder / f"{name}.json").write_text(json.dumps(content))

    def docker_command(self, command: str, *more: str, user: str = "54321:54321") -> list[str]:
        """A user that the image doesn't know, on a root file system that can't be written to, with nothing to write to."""
        limits = ["--network", "host", "--read-only", "--user", user, "--cap-drop", "ALL"]
        mount = ["--volume", f"{self.folder}:/config:ro"]
        return ["docker", "run", "--rm", *limits, *mount, *more, IMAGE, *arguments(command, "/config")]

    def docker(self, command: str) -> list[dict[str, Any]]:
        return messages(self.docker_command(command))

    def checkout(self, command: str) -> list[dict[str, Any]]:
        return messages([sys.executable, str(ROOT / "main.py"), *arguments(command, str(self.folder))])


def arguments(command: str, folder: str) -> list[str]:
    """`read` or, with the state, `resume`."""
    files = {"spec": [], "check": ["config"], "discover": ["config"], "read": ["config", "catalog"]}
    files["resume"] = ["config", "catalog", "state"]
    options = [word for name in files[command] for word in (f"--{name}", f"{folder}/{name}.json")]
    return ["read" if command == "resume" else command, *options]


def messages(command: list[str]) -> list[dict[str, Any]]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_type(kind: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in found if message["type"] == kind]


def records(found: list[dict[str, Any]]) -> list[str]:
    """The records in an order that doesn't depend on which came first."""
    return sorted(
        json.dumps([message["record"]["stream"], message["record"]["data"]], sort_keys=True)
        for message in of_type("RECORD", found)
    )


def last_states(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a platform keeps: for each stream the newest."""
    newest = {message["state"]["stream"]["stream_descriptor"]["name"]: message["state"] for message in of_type("STATE", found)}
    return list(newest.values())


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Its clock stands still, so that two reads are of the same moment."""
    folder = tmp_path_factory.mktemp("config")
    folder.chmod(0o755)
    with StripeServer(made_up_account(size=0.3, now=1_795_000_000)) as server:
        yield Account(server, folder)


@pytest.fixture(scope="module")
def inspected() -> dict[str, Any]:
    config: dict[str, Any] = json.loads(subprocess.check_output(["docker", "image", "inspect", IMAGE]))[0]["Config"]
    return config


def in_image(*command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    run = ["docker", "run", "--rm", "--network", "none", *options, "--entrypoint", command[0], IMAGE, *command[1:]]
    return subprocess.run(run, capture_output=True, text=True, check=False)


def test_spec_asks_for_a_secret_key(account: Account) -> None:
    (spec,) = of_type("SPEC", account.docker("spec"))
    assert spec["spec"]["connectionSpecification"]["required"] == ["secret_key"]


def test_check_succeeds(account: Account) -> None:
    (status,) = of_type("CONNECTION_STATUS", account.docker("check"))
    assert status["connectionStatus"]["status"] == "SUCCEEDED"


def test_the_readmes_line_checks_the_key(account: Account, tmp_path: Path) -> None:
    write_config(tmp_path, account.server)
    # The loopback of a container is another.
    command = line("docker run").replace("docker run", "docker run --network host").replace("source-stripe", IMAGE)
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert '"status":"SUCCEEDED"' in done.stdout


def test_discover_shows_what_the_checkout_shows(account: Account) -> None:
    found = of_type("CATALOG", account.docker("discover"))
    assert [stream["name"] for stream in found[0]["catalog"]["streams"]] == list(ALL_STREAMS)
    assert found == of_type("CATALOG", account.checkout("discover"))


def test_read_emits_what_the_checkout_emits(account: Account) -> None:
    found = records(account.docker("read"))
    assert {json.loads(record)[0] for record in found} >= set(STREAMS)
    assert found == records(account.checkout("read"))


def test_a_resumed_read_emits_what_changed(account: Account) -> None:
    account.write("state", last_states(account.docker("read")))
    made = account.server.account.create("customer", {"email": "jenny@example.com"})
    emitted = [message["record"] for message in of_type("RECORD", account.docker("resume"))]
    assert {record["stream"] for record in emitted} - FULL_REFRESH_ONLY == {"customers", "events"}
    assert [record["data"]["id"] for record in emitted if record["stream"] == "customers"] == [made["id"]]


def test_every_line_is_a_message_of_the_protocol(account: Account) -> None:
    kinds = {message["type"] for message in account.docker("read")}
    assert kinds == {"RECORD", "STATE", "TRACE", "LOG"}


def test_the_image_runs_as_its_own_user_unless_told_otherwise(account: Account) -> None:
    assert in_image("id", "-u").stdout == "1000\n"
    assert of_type("SPEC", messages(["docker", "run", "--rm", "--read-only", "--network", "none", IMAGE, "spec"]))


_SPILL = """
import os, sqlite3
database = sqlite3.connect("")
database.execute("PRAGMA cache_size = 1")
database.execute("CREATE TABLE changes (id)")
database.execute("INSERT INTO changes VALUES (zeroblob(1000000))")
print(*(os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")))
"""


@pytest.mark.parametrize(("options", "place"), [([], "/tmp"), (["--read-only"], "/dev/shm")])
def test_what_is_too_much_for_memory_goes_to_the_disk_if_it_can(options: list[str], place: str) -> None:
    assert f"{place}/etilqs_" in in_image("python", "-c", _SPILL, options=options).stdout


def test_sigterm_stops_a_read_within_seconds(account: Account) -> None:
    account.server.latency = 1
    name = f"source-stripe-test-{os.getpid()}"
    running = subprocess.Popen(account.docker_command("read", "--name", name), stdout=subprocess.PIPE, text=True)
    try:
        wait_for_a_request(account.server)
        subprocess.run(["docker", "kill", "--signal", "TERM", name], check=True, capture_output=True)
        running.communicate(timeout=5)
    finally:
        account.server.latency = 0
        subprocess.run(["docker", "rm", "--force", name], check=False, capture_output=True)
    assert running.returncode == 128 + 15


def wait_for_a_request(server: StripeServer) -> None:
    server.clear_requests()
    until = time.monotonic() + 60
    while not server.requests:
        assert time.monotonic() < until, "the container asked for nothing"
        time.sleep(0.05)


def test_the_labels_name_the_connector_and_its_version(inspected: dict[str, Any]) -> None:
    labels = {name: value for name, value in inspected["Labels"].items() if name.startswith("io.airbyte.")}
    assert labels == {"io.airbyte.name": METADATA["dockerRepository"], "io.airbyte.version": METADATA["dockerImageTag"]}


def test_the_platform_is_told_the_command_that_the_image_runs(inspected: dict[str, Any]) -> None:
    (entrypoint,) = [value for value in inspected["Env"] if value.startswith("AIRBYTE_ENTRYPOINT=")]
    assert inspected["Entrypoint"] == [entrypoint.removeprefix("AIRBYTE_ENTRYPOINT=")]


def test_the_platforms_shell_runs_the_command(account: Account) -> None:
    assert '"type":"SPEC"' in in_image("sh", "-c", 'eval "$AIRBYTE_ENTRYPOINT spec"').stdout


def test_the_build_is_sent_nothing_that_a_run_left_behind(tmp_path: Path) -> None:
    for folder in ("schemas", "source_stripe", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("config.json", "messages.jsonl", "state.json", "warehouse.duckdb", "charges.parquet"):
        for folder in ("", "secrets/", "source_stripe/", "schemas/"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / f"{folder}{file}").write_text("sk_live_...")
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /sent\n")
    files = (file for folder in ("schemas", "source_stripe") for file in (ROOT / folder).rglob("*.*"))
    expected = {str(file.relative_to(ROOT)) for file in files if "__pycache__" not in file.parts and file.name != "spark.py"}
    assert sent(tmp_path) == {
        *expected,
        "tools/compile_imported.py",
        "tools/left_out_of_image.txt",
        "tools/package_page.py",
    }


def sent(folder: Path) -> set[str]:
    """The files that an image gets whose Dockerfile takes all there are."""
    image = subprocess.check_output(["docker", "build", "--quiet", folder], text=True).strip()
    container = subprocess.check_output(["docker", "create", image, "nothing"], text=True).strip()
    try:
        exported = subprocess.check_output(["docker", "export", container])
    finally:
        subprocess.run(["docker", "rm", container], check=True, capture_output=True)
        subprocess.run(["docker", "rmi", image], check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        return {each.name.removeprefix("sent/") for each in archive if each.isfile() and each.name.startswith("sent/")}


@pytest.mark.parametrize("module", ["pip", "pytest", "hatchling", "unit_tests", "integration_tests", "tools"])
def test_what_only_builds_or_tests_is_not_in_the_image(module: str) -> None:
    assert f"No module named '{module}'" in in_image("python", "-c", f"import {module}").stderr


def left_out() -> set[str]:
    return set(re.findall(r"^[a-z]\S*", (ROOT / "tools/left_out_of_image.txt").read_text(), re.MULTILINE))


def test_the_image_adds_the_connector_and_the_locked_packages_but_those_that_are_left_out() -> None:
    lock = [Requirement(line) for line in re.findall(r"^(\S+==.+) \\$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)]
    base = {"python_version": "3.11", "python_full_version": "3.11.0"}
    locked = {each.name for each in lock if each.marker is None or each.marker.evaluate(base)}
    listing = "from importlib.metadata import distributions; print(*(each.name for each in distributions()))"
    found = {name.lower().replace("_", "-") for name in in_image("python", "-c", listing).stdout.split()}
    assert left_out() < locked
    assert found == {*locked - left_out(), "source-stripe"}


def test_the_bill_of_materials_tells_what_the_image_adds(tmp_path: Path) -> None:
    subprocess.run(["make", "sbom", f"IMAGE={IMAGE}", f"SBOM={tmp_path / 'sbom.json'}"], cwd=ROOT, check=True)
    told = json.loads((tmp_path / "sbom.json").read_text())
    listing = "from importlib.metadata import distributions; print(*(f'{each.name}=={each.version}' for each in distributions()))"
    assert told["metadata"]["component"]["name"] == "source-stripe"
    assert {f"{each['name']}=={each['version']}" for each in [*told["components"], told["metadata"]["component"]]} == set(
        in_image("python", "-c", listing).stdout.split()
    )


# For every module that is loaded with all of the connector, what it imports: at its top, inside a function, or by its name.
_IMPORTS = """
import ast, importlib, json, pathlib, pkgutil, sys
import source_stripe
for module in pkgutil.walk_packages(source_stripe.__path__, "source_stripe."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
imports = {}
for name, module in sorted(sys.modules.items()):
    if (getattr(module, "__file__", None) or "").startswith(sys.prefix) and module.__file__.endswith(".py"):
        found = imports[name] = []
        for node in ast.walk(ast.parse(pathlib.Path(module.__file__).read_bytes())):
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.append(node.module)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                found += [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
print(json.dumps(imports))
"""


def test_nothing_that_is_loaded_imports_what_is_left_out_even_later() -> None:
    packages = {module: {name.lower() for name in names} for module, names in packages_distributions().items()}
    imports = json.loads(in_image("python", "-c", _IMPORTS).stdout)
    assert len(imports) > 500
    assert {
        (module, name)
        for module, names in imports.items()
        for name in names
        if packages.get(name.split(".")[0], set()) & left_out()
    } == {("airbyte_cdk.sources.declarative.extractors.response_to_file_extractor", "pandas")}
