"""README's ways to get the command, each in an environment of its own: `make install-test`.

The newest packages that pyproject.toml allows are installed, as a user gets them: not those of the locks.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration_tests.embedded_stripe import StripeServer, made_up_account
from integration_tests.readme import ROOT, commands, copy_checkout, line, write_config

pytestmark = [pytest.mark.install, pytest.mark.timeout(600)]
TOOLS = ROOT / ".venv-tools" / "bin"


class Machine:
    """A checkout in which nothing was made, and a PATH with the installers and what they install."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.commands = folder / "checkout", folder / "commands"
        self.commands.mkdir(parents=True)
        for name in ("uv", "pipx"):
            (self.commands / name).symlink_to(TOOLS / name)
        (self.commands / "python").symlink_to(sys.executable)
        copy_checkout(self.checkout)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))},
            "PATH": f"{self.commands}:/usr/bin:/bin",
            "UV_PYTHON": sys.executable,
            "UV_TOOL_DIR": str(folder / "uv"),
            "UV_TOOL_BIN_DIR": str(self.commands),
            "PIPX_HOME": str(folder / "pipx"),
            "PIPX_BIN_DIR": str(self.commands),
            "PIPX_DEFAULT_PYTHON": sys.executable,
        }

    def run(self, command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=self.checkout, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
        return done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with StripeServer(made_up_account(size=0.1)) as server:
        yield server


def assert_checks(machine: Machine, server: StripeServer) -> None:
    write_config(machine.checkout, server)
    messages = [json.loads(each) for each in machine.run(commands("source-stripe check")[0]).splitlines()]
    (status,) = (message["connectionStatus"]["status"] for message in messages if message["type"] == "CONNECTION_STATUS")
    assert status == "SUCCEEDED"


@pytest.mark.parametrize("begin", ["uv tool install", "pipx install"])
def test_the_command_is_on_the_path_after_one_line(machine: Machine, server: StripeServer, begin: str) -> None:
    machine.run(line(begin))
    assert_checks(machine, server)


def test_the_wheel_of_make_build_brings_the_command(machine: Machine, server: StripeServer) -> None:
    machine.run(f"make build PYTHON={sys.executable}")
    machine.run(f"python -m venv ../environment && . ../environment/bin/activate && {line('pip install dist')}")
    shutil.copy(machine.checkout.parent / "environment/bin/source-stripe", machine.commands)
    assert_checks(machine, server)
