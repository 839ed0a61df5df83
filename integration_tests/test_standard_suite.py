"""Airbyte's standard tests of a source, as `acceptance-test-config.yml` lists them, against an embedded account.

The image's tests among them run with `make image-test`. The suite skips, and says so, what the list does not ask for:
`discover` and `read` with the configuration that is there to fail `check`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.test.entrypoint_wrapper import EntrypointOutput
from airbyte_cdk.test.models import ConnectorTestScenario
from airbyte_cdk.test.standard_tests import SourceTestSuiteBase, docker_base

from integration_tests.embedded_stripe import StripeServer, made_up_account
from integration_tests.readme import copy_checkout
from source_stripe.source import SourceStripe

NOT_ENABLED_AT_FIRST = (
    "exchange_rate",
    "forwarding.request",
    "identity.verification_report",
    "identity.verification_session",
    "scheduled_query_run",
    "treasury.financial_account",
)
"""Kinds of object whose products an account gets with the first of them."""


class TestSourceStripe(SourceTestSuiteBase):
    connector = SourceStripe

    # Nothing is published to compare the spec with, and a test asks no host but this one.
    test_docker_image_spec_backward_compatibility = None  # type: ignore[assignment]

    def test_check(self, scenario: ConnectorTestScenario, server: StripeServer) -> None:  # type: ignore[override]
        super().test_check(scenario)
        assert server.requests, "check passed without asking the configured account"

    def test_basic_read(self, scenario: ConnectorTestScenario, server: StripeServer) -> None:  # type: ignore[override]
        super().test_basic_read(scenario)
        assert server.requests, "read passed without asking the configured account"


def write_config(file: Path, server: StripeServer) -> None:
    key = "sk_test_nobodys" if file.stem == "invalid_config" else server.secret_key
    file.write_text(json.dumps({"secret_key": key, "api_base": server.url}))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "scenario" in metafunc.fixturenames:
        scenarios = TestSourceStripe.get_scenarios()
        metafunc.parametrize("scenario", scenarios, ids=[scenario.id for scenario in scenarios], indirect=True)


@pytest.fixture
def server() -> Iterator[StripeServer]:
    account = made_up_account(size=0.2)
    for kind in NOT_ENABLED_AT_FIRST:
        account.create(kind)
    account.create("bank_account", {"account": next(iter(account.shelf("account").objects))})
    with StripeServer(account) as server:
        yield server


@pytest.fixture
def scenario(request: pytest.FixtureRequest, server: StripeServer, tmp_path: Path) -> ConnectorTestScenario:
    """A listed scenario, whose configuration is written for this test's server."""
    listed: ConnectorTestScenario = request.param
    assert listed.config_path is not None
    file = tmp_path / listed.config_path.name
    write_config(file, server)
    return listed.model_copy(update={"config_path": file})


def test_airbytes_command_for_developers_runs_in_a_checkout(server: StripeServer, tmp_path: Path) -> None:
    checkout = tmp_path / "source-stripe"
    copy_checkout(checkout)
    (checkout / "secrets").mkdir()
    for name in ("config", "invalid_config"):
        write_config(checkout / "secrets" / f"{name}.json", server)
    command = Path(sys.executable).with_name("airbyte-cdk")
    done = subprocess.run([command, "connector", "test"], cwd=checkout, capture_output=True, text=True, check=False)
    assert (done.returncode, re.findall(r"\d+ passed", done.stdout)) == (0, ["7 passed"]), done.stdout


# ---------------------------------------------------------------------- what the image's tests take


@pytest.fixture
def connector_image_override() -> str:
    return os.environ.get("IMAGE", "source-stripe")


@pytest.fixture
def connector_base_image_override() -> None:
    return None


@pytest.fixture
def read_from_streams() -> str:
    return "all"


@pytest.fixture
def read_scenarios() -> str:
    return "all"


@pytest.fixture(autouse=True)
def containers_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite starts containers on a network of their own, from which the loopback is another."""
    run = docker_base.run_docker_airbyte_command

    def run_on_host_network(command: list[str], **options: Any) -> EntrypointOutput:
        return run([*command[:2], "--network", "host", *command[2:]], **options)

    monkeypatch.setattr(docker_base, "run_docker_airbyte_command", run_on_host_network)
