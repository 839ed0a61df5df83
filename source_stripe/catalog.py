"""Which streams a read takes, and how."""

import difflib
import json
from collections.abc import Sequence
from typing import Any

from airbyte_cdk.models import (
    AirbyteMessageSerializer,
    AirbyteStream,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteCatalogSerializer,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    SyncMode,
)

from source_stripe import sentences
from source_stripe.config import config_error


def configured(stream: AirbyteStream, full_refresh: bool = False) -> ConfiguredAirbyteStream:
    """`stream` as it is usually wanted: what changed, one row an object; whole each time if it can't be, or `full_refresh`."""
    is_incremental = SyncMode.incremental in stream.supported_sync_modes and not full_refresh
    return ConfiguredAirbyteStream(
        stream,
        SyncMode.incremental if is_incremental else SyncMode.full_refresh,
        DestinationSyncMode.append_dedup if is_incremental else DestinationSyncMode.overwrite,
        cursor_field=stream.default_cursor_field,
        primary_key=stream.source_defined_primary_key,
    )


def chosen(streams: Sequence[AirbyteStream], names: Sequence[str] | None, full_refresh: bool) -> ConfiguredAirbyteCatalog:
    """Those of `streams` that are named, in that order and once each, or all; raises a config error for a name that none has."""
    known = {stream.name: stream for stream in streams}
    for name in names or ():
        if name not in known:
            raise config_error(sentences.no_such_stream(name, difflib.get_close_matches(name, known)))
    return ConfiguredAirbyteCatalog([configured(known[name], full_refresh) for name in dict.fromkeys(names or known)])


def written(catalog: ConfiguredAirbyteCatalog) -> str:
    """The catalog as JSON, with a line for each stream."""
    streams = ConfiguredAirbyteCatalogSerializer.dump(catalog)["streams"]
    return '{"streams": [\n' + ",\n".join(json.dumps(stream) for stream in streams) + "\n]}\n"


def loaded(content: Any) -> ConfiguredAirbyteCatalog:
    """The catalog in a JSON value: a configured one, or one that was discovered, all of whose streams are then taken.

    What the serializer does not take raises an error of its.
    """
    if isinstance(content, dict) and content.get("type") == "CATALOG":
        content = content.get("catalog")
    streams = content.get("streams") if isinstance(content, dict) else None
    if isinstance(streams, list) and any(isinstance(each, dict) and "name" in each and "stream" not in each for each in streams):
        discovered = AirbyteMessageSerializer.load({"type": "CATALOG", "catalog": content}).catalog
        assert discovered is not None
        return ConfiguredAirbyteCatalog([configured(stream) for stream in discovered.streams])
    return ConfiguredAirbyteCatalogSerializer.load(content)
