"""What travels from a worker to standard output: a page of records, serialized once."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec
from airbyte_cdk.models import AirbyteMessage, AirbyteRecordMessage, Type


class Row(msgspec.Struct):
    """What the connector looks at in an object of a list; a stream may add what it needs besides."""

    id: str
    created: int
    updated: int | msgspec.UnsetType | None = msgspec.UNSET


class ListBody(msgspec.Struct):
    """A list as Stripe answers it, its objects not yet decoded."""

    data: list[msgspec.Raw]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Records of one stream: `lines` are whole RECORD messages, a line each, as they go to standard output."""

    stream: str
    lines: bytes
    count: int

    def messages(self) -> Iterator[AirbyteMessage]:
        """The same records as ordinary messages, for a reader in this process."""
        for line in self.lines.splitlines():
            record = msgspec.json.decode(line)["record"]
            yield AirbyteMessage(type=Type.RECORD, record=AirbyteRecordMessage(**record))


class PageWriter:
    """Makes pages of a stream from raw objects: `updated` is set, the rest goes out as Stripe sent it.

    The bytes are those of the ordinary path (`AirbyteMessage`, serialized by the CDK), save that nulls are kept.
    """

    def __init__(self, stream: str, cursor_field: str) -> None:
        self._stream = stream
        self._head = b'{"type":"RECORD","record":{"stream":"' + stream.encode() + b'","data":'
        self._has_updated = cursor_field == "updated"

    def page(self, records: list[bytes]) -> Page:
        """`records` are whole, minified JSON objects."""
        head, tail = self._head, _tail()
        return Page(self._stream, b"".join([part for record in records for part in (head, record, tail)]), len(records))

    def page_of_one(self, pieces: Iterable[bytes]) -> Page:
        """One record, which may be megabytes, from the pieces of its JSON."""
        return Page(self._stream, b"".join((self._head, *pieces, _tail())), 1)

    def record(self, raw: bytes | msgspec.Raw, row: Row, updated: int) -> bytes:
        """The object with its cursor. `updated` is epoch seconds, for streams that change; Stripe's own wins when later."""
        if not self._has_updated:
            return bytes(raw)
        if row.updated is msgspec.UNSET:
            return b"".join((memoryview(raw)[:-1], b',"updated":%d}' % updated))
        whole = msgspec.json.decode(raw)
        whole["updated"] = max(updated, whole["updated"] or 0)
        return msgspec.json.encode(whole)


def _tail() -> bytes:
    return b',"emitted_at":%d}}\n' % (time.time_ns() // 1_000_000)
