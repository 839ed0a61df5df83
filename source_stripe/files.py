"""The files that a run is given: what can't be read or is not of its form is an error of the user's, said without its content."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import orjson
from airbyte_cdk.models import AirbyteStateMessage, AirbyteStateMessageSerializer, ConfiguredAirbyteCatalog, Type

from source_stripe import catalog, sentences
from source_stripe.config import config_error

logger = logging.getLogger("airbyte")

_T = TypeVar("_T")

_RECORD = b'{"type":"RECORD"'
_SIGN_OF_STATE = b'"stream_descriptor"'
_OTHER_MESSAGES = [each.value for each in Type if each != Type.STATE]


def config_of(path: str) -> dict[str, Any]:
    """The options in a JSON file."""
    config = _read(path, "config", json.load)
    if not isinstance(config, dict):
        raise config_error(sentences.NO_CONFIG.format(path=path))
    return config


def catalog_of(path: str) -> ConfiguredAirbyteCatalog:
    """The selected streams, at least one, in a file: a catalog as JSON, or the messages of a `discover`."""
    content = _read(path, "catalog", _catalog_in)
    try:
        found = catalog.loaded(content)
    except Exception as error:
        # The serializer raises whatever a value of a wrong type leads to.
        raise config_error(sentences.NO_CATALOG.format(path=path, why=_complaint(error))) from None
    if not found.streams:
        raise config_error(sentences.NO_CATALOG.format(path=path, why="it selects no stream"))
    return found


def _catalog_in(file: BinaryIO) -> Any:
    content = file.read()
    try:
        return json.loads(content)
    except json.JSONDecodeError:
        lines = [line for line in content.splitlines() if b'"CATALOG"' in line]
        if not lines:
            raise
        return json.loads(lines[-1])


def state_of(path: str | None) -> list[AirbyteStateMessage]:
    """The last state of each stream in a file: states as JSON, or the messages of a `read`; none without a file."""
    return list(_read(path, "state", lambda file: _states_in(file, path)).values()) if path else []


def _states_in(file: BinaryIO, path: str) -> dict[str, AirbyteStateMessage]:
    states: dict[str, AirbyteStateMessage] = {}
    head = [line for line in (file.readline(), file.readline()) if line]
    has_lines = any(map(_is_message, head))
    for place, content in _of_lines(chain(head, file), path) if has_lines else _of_json(json.loads(b"".join(head) + file.read())):
        try:
            message = AirbyteStateMessageSerializer.load(content)
        except Exception as error:
            # Likewise.
            raise config_error(sentences.NO_STATE.format(path=path, why=_complaint(error, place))) from None
        if message.stream is None:
            raise config_error(sentences.NO_STATE.format(path=path, why=sentences.wrong_place(f"{place}stream", "required")))
        states[message.stream.stream_descriptor.name] = message
    if has_lines and not states:
        file.seek(0)
        if any(b'"RECORD"' in line for line in file):
            raise config_error(sentences.NO_STATE.format(path=path, why="it holds no state"))
        # A read that adds to the file failed before it read anything, or is this one: what it has logged is there already.
        logger.warning(sentences.EMPTY_STATE.format(path=path))
    return states


def _is_message(line: bytes) -> bool:
    """Whether a line is JSON by itself, as messages are."""
    try:
        return bool(orjson.loads(line)) and line.startswith(b"{")
    except orjson.JSONDecodeError:
        return False


def _of_json(content: Any) -> Iterator[tuple[str, Any]]:
    """The states of a list, or the only one, with their places."""
    if isinstance(content, list):
        yield from ((f"/{number}/", _unwrapped(each)) for number, each in enumerate(content))
    elif content:
        yield "", _unwrapped(content)


def _of_lines(lines: Iterable[bytes], path: str) -> Iterator[tuple[str, Any]]:
    """The states of lines, with their places. There may be gigabytes of records: they are not taken apart."""
    for number, line in enumerate(lines, 1):
        is_cut = not line.endswith(b"\n")
        if not is_cut and (line.startswith(_RECORD) or _SIGN_OF_STATE not in line):
            continue
        try:
            content = orjson.loads(line)
        except orjson.JSONDecodeError:
            logger.warning(sentences.CUT_LINE.format(line=number, path=path))
            continue
        if not isinstance(content, dict) or content.get("type") not in _OTHER_MESSAGES:
            yield f"line {number}: ", _unwrapped(content)


def _unwrapped(content: Any) -> Any:
    """The state, also of a message."""
    return content.get("state") if isinstance(content, dict) and content.get("type") == "STATE" else content


def _complaint(error: Exception, place: str = "") -> str:
    """What a serializer complains of first."""
    first = next(iter(getattr(error, "errors", ())), None)
    return sentences.wrong_place(
        place + getattr(first, "instance_path", "").removeprefix("catalog/"), getattr(first, "message", "")
    )


def _read(path: str, what: str, take: Callable[[BinaryIO], _T]) -> _T:
    """What `take` makes of the file."""
    try:
        with Path(path).open("rb") as file:
            return take(file)
    except FileNotFoundError:
        why = "it does not exist"
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
    except json.JSONDecodeError as error:
        why = f"it is no whole JSON (line {error.lineno}, column {error.colno})"
    except (ValueError, RecursionError):
        why = "it is no JSON in UTF-8"
    raise config_error(sentences.unreadable_file(what, path, why))
