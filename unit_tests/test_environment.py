"""`make setup`: which Python an environment is made with, and when it is made anew."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "environment.sh"
# Answers as Python does where it is asked for its version, and makes environments whose Python is itself.
FAKE = """#!/bin/sh
[ "$1" = -c ] && echo "3.{minor} $0"
[ "$1 $2" = "-m venv" ] && [ ! -e "$3" ] && mkdir -p "$3/bin" && cat "$0" > "$3/bin/python" && chmod +x "$3/bin/python"
exit 0
"""


class Machine:
    """A folder to work in, and the commands that there are besides the system's."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.commands = folder, folder / "commands"
        self.commands.mkdir()
        for name in ("awk", "cat", "chmod", "find", "grep", "mkdir", "rm", "sh", "touch"):
            (self.commands / name).symlink_to(str(shutil.which(name)))
        (folder / "lock").touch()

    def has(self, command: str, minor: int) -> None:
        (self.commands / command).write_text(FAKE.format(minor=minor))
        (self.commands / command).chmod(0o755)

    def make(self, **environment: str) -> str:
        """What the script says."""
        done = subprocess.run(
            ["sh", SCRIPT, "env", "11", "15", "lock"],
            cwd=self.folder,
            env={"PATH": str(self.commands), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return (done.stdout + done.stderr).strip()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_newest_python_is_taken(machine: Machine) -> None:
    machine.has("python3.12", 12)
    machine.has("python3.13", 13)
    machine.has("python3", 11)
    assert machine.make() == "Setting up env with Python 3.13 (once)"


def test_a_python_that_has_no_name_of_its_own_is_found(machine: Machine) -> None:
    machine.has("python3.12", 12)
    machine.has("python3", 14)
    assert machine.make() == "Setting up env with Python 3.14 (once)"


def test_a_command_that_does_not_run_is_passed_over(machine: Machine) -> None:
    machine.has("python3.14", 14)
    (machine.commands / "python3.14").write_text("#!/bin/sh\nexit 127\n")
    machine.has("python3.11", 11)
    assert machine.make() == "Setting up env with Python 3.11 (once)"


def test_what_is_there_is_left_alone(machine: Machine) -> None:
    machine.has("python3.12", 12)
    machine.make()
    assert machine.make() == ""


def test_an_environment_keeps_its_python_when_a_newer_one_comes(machine: Machine) -> None:
    machine.has("python3.12", 12)
    machine.make()
    machine.has("python3.13", 13)
    assert machine.make() == ""


def test_a_changed_lock_is_installed_into_what_is_there(machine: Machine) -> None:
    machine.has("python3.12", 12)
    machine.make()
    os.utime(machine.folder / "lock", (2_000_000_000, 2_000_000_000))
    assert machine.make() == "Setting up env with Python 3.12 (once)"


def test_an_environment_of_another_python_is_made_anew(machine: Machine) -> None:
    machine.has("python3.12", 12)
    machine.make()
    machine.has("python3.13", 13)
    (machine.folder / "env" / "old").touch()
    assert machine.make(PYTHON="python3.13").splitlines() == [
        "The env that is there is of another Python: it is made anew.",
        "Setting up env with Python 3.13 (once)",
    ]
    assert not (machine.folder / "env" / "old").exists()


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Machine) -> None:
    machine.has("python3.12", 12)
    machine.make()
    (machine.folder / "env" / "bin" / "python").unlink()
    assert machine.make().splitlines() == [
        "The env that is there is of another Python: it is made anew.",
        "Setting up env with Python 3.12 (once)",
    ]


def test_a_machine_without_such_a_python_is_told_what_is_needed(machine: Machine) -> None:
    assert machine.make() == (
        "env needs one of Python 3.11 to 3.14 that has venv, and there is none. Install one, or name it: "
        "make PYTHON=/path/to/python3 ..."
    )


def test_a_python_that_was_named_and_will_not_do_is_named(machine: Machine) -> None:
    machine.has("python3.12", 12)
    assert machine.make(PYTHON="/nowhere/python3.9") == "/nowhere/python3.9 is not one of Python 3.11 to 3.14 that has venv."
