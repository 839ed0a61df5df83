"""README's lines, to be run as they are written, and a checkout to run them in."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from integration_tests.embedded_stripe import StripeServer

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def line(begin: str) -> str:
    """The only command that begins so."""
    found: str
    (found,) = set(re.findall(rf"`({re.escape(begin)}[^`]*)`", README))
    return found


def commands(begin: str) -> list[str]:
    """The lines of its console that begin so, in their order."""
    return re.findall(rf"^ *\$ ({re.escape(begin)}(?:.*\\\n)*.*)$", README, re.MULTILINE)


def python_lines() -> str:
    """The only piece of Python, without the indent of its list."""
    found: str
    (found,) = re.findall(r"^  ```python\n(.*?)^  ```$", README, re.MULTILINE | re.DOTALL)
    return re.sub(r"^  ", "", found, flags=re.MULTILINE)


def copy_checkout(to: Path) -> None:
    """A checkout in which nothing was made yet."""
    made = (".venv*", ".git", "secrets", "demo", "dist", "build", ".tmp", ".*_cache", ".hypothesis", "__pycache__")
    shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*made))


def write_config(folder: Path, server: StripeServer) -> None:
    """`secrets/config.json` in `folder`, as README wants it, but for an embedded account."""
    (folder / "secrets").mkdir()
    config = {"secret_key": server.restricted_key(), "api_base": server.url}
    (folder / "secrets" / "config.json").write_text(json.dumps(config))
