"""The files that a run is given: what can't be read or is not of its form is an error of the user's, said without its content."""

import json
from pathlib import Path
from typing import Any

from airbyte_cdk.models import (
    AirbyteStateMessage,
    AirbyteStateMessageSerializer,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteCatalogSerializer,
)

from source_stripe import sentences
from source_stripe.config import config_error


def config_of(path: str) -> dict[str, Any]:
    """The options in a JSON file."""
    config = _json(path, "config")
    if not isinstance(config, dict):
        raise config_error(sentences.NO_CONFIG.format(path=path))
    return config


def catalog_of(path: str) -> ConfiguredAirbyteCatalog:
    """The selected streams in a JSON file, at least one."""
    content = _json(path, "catalog")
    try:
        catalog = ConfiguredAirbyteCatalogSerializer.load(content)
        names = [configured.stream.name for configured in catalog.streams]
    except Exception:
        # The serializer raises whatever a value of a wrong type leads to.
        names = []
    if not names:
        raise config_error(sentences.NO_CATALOG.format(path=path))
    return catalog


def state_of(path: str | None) -> list[AirbyteStateMessage]:
    """The states in a JSON file, one a stream; none without a file."""
    content = _json(path, "state") if path else None
    try:
        messages = [AirbyteStateMessageSerializer.load(each) for each in content or []]
        if all(message.stream is not None for message in messages):
            return messages
    except Exception:
        # Likewise.
        pass
    raise config_error(sentences.NO_STATE.format(path=path))


def _json(path: str, what: str) -> Any:
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError:
        why = "it does not exist"
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
    except json.JSONDecodeError as error:
        why = f"it is no whole JSON (line {error.lineno}, column {error.colno})"
    except (ValueError, RecursionError):
        why = "it is no JSON in UTF-8"
    raise config_error(sentences.unreadable_file(what, path, why))
