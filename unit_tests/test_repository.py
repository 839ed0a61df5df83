"""What those who keep the repository rely on: workflows that are pinned and cover what is allowed, and no key in any file."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)


@pytest.fixture
def versions() -> list[str]:
    """Of Python, those that may be used: `3.11` and so on."""
    bounds = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"])
    assert bounds
    return [f"3.{minor}" for minor in range(int(bounds[1]), int(bounds[2]))]


@every_workflow
def test_actions_are_pinned_to_a_commit_whose_version_is_told(workflow: Path) -> None:
    used = re.findall(r"uses: (?!\./)(.*)", workflow.read_text())
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []


@every_workflow
def test_what_workflows_make_exists(workflow: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = re.findall(r"run: make (.*)", workflow.read_text())
    assert {word for line in lines for word in line.split() if "=" not in word} <= targets


def test_the_tests_run_on_every_python_that_is_allowed(versions: list[str]) -> None:
    check = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())
    assert check["jobs"]["tests"]["strategy"]["matrix"]["python"] == versions


def test_the_classifiers_name_every_python_that_is_allowed(versions: list[str]) -> None:
    prefix = "Programming Language :: Python :: "
    named = [each.removeprefix(prefix) for each in PROJECT["classifiers"] if each.startswith(f"{prefix}3.")]
    assert named == versions


def test_no_file_holds_what_looks_like_a_key() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("which files there are is told by git, and this is no checkout")
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    (pattern,) = (hook["entry"] for hook in hooks if hook["id"] == "no-key")
    assert re.search(pattern, '{"secret_key": "rk_' + "live_" + "0aB" * 8 + '"}')
    names = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    texts = {name: (ROOT / name).read_text(errors="replace") for name in names if (ROOT / name).exists()}
    assert [name for name, text in texts.items() if re.search(pattern, text)] == []


def test_snapshots_are_renewed_by_a_target() -> None:
    assert "RENEW_SNAPSHOTS" in (ROOT / "unit_tests/test_source.py").read_text()
    told = subprocess.check_output(["make", "--dry-run", "--always-make", "snapshots"], cwd=ROOT, text=True)
    assert "RENEW_SNAPSHOTS=1 .venv/bin/python -m pytest -q unit_tests/test_source.py -k snapshot" in told
