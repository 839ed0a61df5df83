"""A stream as the CDK knows it: what the catalog shows, and its records for a reader that asks for it alone."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from airbyte_cdk.models import AirbyteMessage, ConfiguredAirbyteCatalog, ConfiguredAirbyteStream, DestinationSyncMode, SyncMode
from airbyte_cdk.sources.message import InMemoryMessageRepository
from airbyte_cdk.sources.streams.concurrent.cursor import CursorField, FinalStateCursor
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream
from airbyte_cdk.sources.streams.concurrent.partitions.partition import Partition
from airbyte_cdk.sources.streams.concurrent.partitions.partition_generator import PartitionGenerator
from airbyte_cdk.sources.types import Record

Read = Callable[[ConfiguredAirbyteCatalog], Iterable[AirbyteMessage]]


def stripe_stream(
    definition: Mapping[str, Any], schema: Callable[[], Mapping[str, Any]], read: Read, has_many_accounts: bool = False
) -> DefaultStream:
    """The stream of a manifest entry. Its `schema` is loaded when it is asked for; `read` brings the records of a catalog.

    Of many accounts, each record tells whose it is: merchants choose some ids, and another's may be the same.
    """
    name, key = definition["name"], definition["primary_key"]
    keys = [key] if isinstance(key, str) else list(key)
    cursor_field = definition.get("incremental_sync", {}).get("cursor_field")
    generator = _WholeStream(name, read)
    stream = DefaultStream(
        partition_generator=generator,
        name=name,
        json_schema=(lambda: _with_account(schema())) if has_many_accounts else schema,
        primary_key=["account_id", *keys] if has_many_accounts else keys,
        cursor_field=CursorField(cursor_field_key=cursor_field) if cursor_field else None,
        logger=logging.getLogger("airbyte"),
        cursor=FinalStateCursor(name, None, InMemoryMessageRepository()),
    )
    generator.stream = stream
    return stream


def _with_account(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    account = {"type": "string", "description": "The connected account that the object is of."}
    return {**schema, "properties": {"account_id": account, **schema["properties"]}}


class _WholeStream(PartitionGenerator, Partition):
    """All of a stream as one partition."""

    stream: DefaultStream

    def __init__(self, name: str, read: Read) -> None:
        self._name = name
        self._read = read

    def generate(self) -> Iterator[Partition]:
        yield self

    def read(self) -> Iterator[Record]:
        configured = ConfiguredAirbyteStream(
            self.stream.as_airbyte_stream(), sync_mode=SyncMode.full_refresh, destination_sync_mode=DestinationSyncMode.overwrite
        )
        for message in self._read(ConfiguredAirbyteCatalog([configured])):
            if message.record is not None:
                yield Record(message.record.data, self._name)

    def to_slice(self) -> Mapping[str, Any] | None:
        return None

    def stream_name(self) -> str:
        return self._name

    def __hash__(self) -> int:
        return hash(self._name)
