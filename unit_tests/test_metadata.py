"""What the platform is told of the connector is valid, and is the same everywhere."""

from __future__ import annotations

import re
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

ROOT = Path(__file__).resolve().parent.parent
METADATA: dict[str, Any] = yaml.safe_load((ROOT / "metadata.yaml").read_text())
DATA: dict[str, Any] = METADATA["data"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@pytest.fixture
def model() -> type[BaseModel]:
    """What Airbyte publishes for Python up to 3.12."""
    published = pytest.importorskip("airbyte_connector_models.metadata.v0.connector_metadata_definition_v0")
    found: type[BaseModel] = published.ConnectorMetadataDefinitionV0
    return found


def test_the_metadata_is_valid_by_airbytes_published_model(model: type[BaseModel]) -> None:
    model.model_validate(METADATA)


def test_the_model_would_refuse_a_field_that_it_does_not_know(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError, match="allowedHost"):
        model.model_validate(METADATA | {"data": DATA | {"allowedHost": {}}})


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    label = re.search(r"io\.airbyte\.version=(\S+)", DOCKERFILE)
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert label
    assert newest
    assert {"metadata": DATA["dockerImageTag"], "label": label[1], "changelog": newest[1]} == {
        "metadata": project,
        "label": project,
        "changelog": project,
    }


def test_the_commands_that_load_an_image_name_its_version() -> None:
    tags = re.findall(r"source-stripe:(\d\S*)|Docker image tag \| `([^`]+)`", (ROOT / "docs" / "airbyte.md").read_text())
    assert [one or other for one, other in tags] == [DATA["dockerImageTag"]] * 4


def test_the_image_is_named_as_the_metadata_says() -> None:
    assert f"io.airbyte.name={DATA['dockerRepository']} " in DOCKERFILE


def test_suggested_streams_exist() -> None:
    manifest = yaml.safe_load((ROOT / "manifest.yaml").read_text())
    assert set(DATA["suggestedStreams"]["streams"]) <= {entry["$parameters"]["name"] for entry in manifest["streams"]}


def test_only_the_host_that_the_manifest_names_is_allowed() -> None:
    manifest = yaml.safe_load((ROOT / "manifest.yaml").read_text())
    assert "'https://api.stripe.com'" in manifest["definitions"]["retriever"]["$parameters"]["url_base"]
    assert DATA["allowedHosts"]["hosts"] == ["api.stripe.com"]


def test_the_time_between_messages_is_one_that_the_platform_takes_as_it_is() -> None:
    assert DATA["maxSecondsBetweenMessages"] >= 3 * 60 * 60


def test_the_icon_is_a_square_drawing_that_is_small_and_loads_nothing() -> None:
    file = ROOT / DATA["icon"]
    drawing = ElementTree.parse(file).getroot()
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert drawing.get("viewBox") == "0 0 250 250"
    assert "href" not in file.read_text()
    assert file.stat().st_size < 4096
