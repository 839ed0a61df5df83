"""What leaves the repository: the wheel, the source distribution, the locks; and the checkout from another directory."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from tools.entries import streams_of
from tools.package_page import page

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = {f"{stream.name}.json" for stream in streams_of(yaml.safe_load((ROOT / "manifest.yaml").read_text()))}
KEY = "sk_live_" + "51NeverPublished"
# What a user's runs leave behind, where the papers say and where they don't.
LEFT_BEHIND = [
    f"{folder}{name}"
    for folder in ("secrets/", "", "docs/", "source_stripe/", "integration_tests/")
    for name in ("config.json", "messages.jsonl", "state.json", "warehouse.duckdb", "warehouse.duckdb.wal", "charges.parquet")
] + ["catalog.json", "secrets/catalog.json", "secrets/warehouse/charges.parquet", "notes.txt", "demo/config.json"]
PINNED = re.compile(r"^[a-z0-9][a-z0-9.-]*==\S+(?: ; .+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+", re.MULTILINE)


def output(*command: str | Path, cwd: Path) -> str:
    """What `command` prints, in an environment that knows nothing of this checkout."""
    done = subprocess.run(command, cwd=cwd, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def message(printed: str, kind: str) -> Any:
    """The only message of its kind."""
    (found,) = (line for line in map(json.loads, printed.splitlines()) if line["type"] == kind.upper())
    return found[kind]


def build(target: str, checkout: Path, into: Path) -> Path:
    output(sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", into, cwd=checkout)
    (built,) = into.iterdir()
    return built


@pytest.fixture(scope="session")
def tracked() -> list[str]:
    """The files that git holds, from the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("what the repository holds is told by git, and this is no checkout")
    names = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    return [name for name in names if (ROOT / name).exists()]


@pytest.fixture(scope="session")
def used_checkout(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which somebody has worked: beside its files lie a key, messages, a state, a warehouse."""
    root = tmp_path_factory.mktemp("checkout")
    for name in tracked:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, root / name)
    for name in LEFT_BEHIND:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(KEY)
    return root


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment with the wheel alone, which sees this environment's other packages."""
    home = tmp_path_factory.mktemp("environment")
    output(sys.executable, "-m", "venv", "--without-pip", home, cwd=home)
    python = home / "bin/python"
    output(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=home)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return home / "bin"


def test_the_wheel_holds_the_manifest_and_the_schemas_beside_the_code(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    assert names >= {"source_stripe/manifest.yaml", "source_stripe/source.py"}
    assert names >= {f"source_stripe/schemas/{name}" for name in SCHEMAS}


def test_the_wheel_holds_nothing_outside_its_package(wheel: Path) -> None:
    assert {name.split("/")[0] for name in ZipFile(wheel).namelist()} == {
        "source_stripe",
        wheel.name.replace("-py3-none-any.whl", ".dist-info"),
    }


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    source = build("sdist", ROOT, tmp_path / "sdist")
    output("tar", "-xzf", source, cwd=tmp_path)
    again = build("wheel", tmp_path / source.name.removesuffix(".tar.gz"), tmp_path / "wheel")
    assert again.read_bytes() == wheel.read_bytes()


def test_the_source_distribution_is_what_git_holds_and_nothing_else(
    used_checkout: Path, tracked: list[str], tmp_path: Path
) -> None:
    with tarfile.open(build("sdist", used_checkout, tmp_path)) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert names == {*tracked, "PKG-INFO"}


def test_the_wheel_holds_nothing_that_a_run_left_behind(used_checkout: Path, tmp_path: Path) -> None:
    wheel = ZipFile(build("wheel", used_checkout, tmp_path))
    assert [name for name in wheel.namelist() if KEY.encode() in wheel.read(name)] == []


def test_git_offers_nothing_that_a_run_left_behind(used_checkout: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=used_checkout, check=True)
    offered = output("git", "ls-files", "--others", "--exclude-standard", cwd=used_checkout).splitlines()
    assert set(LEFT_BEHIND) & set(offered) == {"notes.txt"}


def test_the_installed_command_runs_from_any_directory(installed: Path, tmp_path: Path) -> None:
    spec = message(output(installed / "source-stripe", "spec", cwd=tmp_path), "spec")
    assert spec["connectionSpecification"]["required"] == ["secret_key"]


def test_the_installed_command_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    where = output(installed / "python", "-c", "import source_stripe; print(source_stripe.__file__)", cwd=tmp_path)
    assert Path(where).is_relative_to(installed.parent)


def test_the_installed_command_finds_its_schemas(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"secret_key": "sk_test_00000000000000000000000"}')
    printed = output(installed / "source-stripe", "discover", "--config", "config.json", cwd=tmp_path)
    found = {stream["name"]: stream["json_schema"] for stream in message(printed, "catalog")["streams"]}
    assert found == {Path(name).stem: json.loads((ROOT / "schemas" / name).read_text()) for name in SCHEMAS}


def test_a_checkout_runs_from_any_directory(tmp_path: Path) -> None:
    spec = message(output(sys.executable, ROOT / "main.py", "spec", cwd=tmp_path), "spec")
    assert spec["connectionSpecification"]["required"] == ["secret_key"]


def test_on_github_the_package_has_addresses_and_links_that_lead_there() -> None:
    readme = "[a](docs/a.md#b) ![p](docs/p.svg) [in](#in) [out](https://example.com/) `[x](y)` [s](docs/)"
    made = page(readme, "1.2.3", {"GITHUB_REPOSITORY": "jenny/stripes", "GITHUB_SERVER_URL": "https://github.example"})
    assert made["urls"]["Repository"] == "https://github.example/jenny/stripes"
    assert made["readme"]["text"] == (
        "[a](https://github.example/jenny/stripes/blob/v1.2.3/docs/a.md#b) "
        "![p](https://github.example/jenny/stripes/raw/v1.2.3/docs/p.svg) "
        "[in](#in) [out](https://example.com/) `[x](https://github.example/jenny/stripes/blob/v1.2.3/y)` "
        "[s](https://github.example/jenny/stripes/blob/v1.2.3/docs/)"
    )


def test_elsewhere_the_package_shows_the_readme_as_it_is(wheel: Path) -> None:
    (metadata,) = (name for name in ZipFile(wheel).namelist() if name.endswith("METADATA"))
    told, _, description = ZipFile(wheel).read(metadata).decode().partition("\n\n")
    assert description == (ROOT / "README.md").read_text()
    assert "Project-URL" not in told


def test_the_package_tells_type_checkers_that_it_has_types(wheel: Path) -> None:
    assert "source_stripe/py.typed" in ZipFile(wheel).namelist()


@pytest.mark.parametrize("paper", [ROOT / "README.md", *ROOT.glob("docs/*.md")], ids=lambda paper: paper.name)
def test_the_papers_put_a_users_files_into_a_folder_that_is_left_out(paper: Path) -> None:
    named = re.findall(r"[\w./]*(?:config|catalog|state)\.json\b|[\w./]+\.(?:jsonl|duckdb|parquet)\b", paper.read_text())
    assert [name for name in named if not re.match("/?secrets/|demo/", name)] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_is_nothing_but_pinned_versions_with_their_hashes(lock: str) -> None:
    text = re.sub(r"^ *#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE)
    assert len(PINNED.findall(text)) > 50
    assert PINNED.sub("", text) == ""


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_names_no_address(lock: str) -> None:
    assert not re.findall(r"\S*(?:://|--index|--find-links|@ )\S*", (ROOT / lock).read_text())


def test_the_readme_names_the_versions_of_python_that_are_allowed() -> None:
    allowed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    lowest, below = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", allowed).groups()  # type: ignore[union-attr]
    assert f"With Python 3.{lowest} to 3.{int(below) - 1} and make" in (ROOT / "README.md").read_text()


def test_the_tests_run_with_the_packages_that_a_user_gets() -> None:
    def pins(lock: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / lock).read_text(), re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
