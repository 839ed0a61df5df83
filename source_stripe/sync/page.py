"""What travels from an answer to standard output: a page of records, serialized once."""

import time
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from itertools import chain
from typing import Annotated

import msgspec

NO_TIME = -1
"""`created` of a row whose object tells none, or something else than a whole number of seconds."""
END_OF_TIME = 253_402_300_800
"""No time in epoch seconds is as great."""

Id = Annotated[str, msgspec.Meta(min_length=1)]


class Row(msgspec.Struct):
    """What the connector looks at in an object; a stream may add what it needs besides. Times are epoch seconds."""

    id: Id
    created: int = NO_TIME
    updated: int | msgspec.UnsetType | None = msgspec.UNSET
    """Stripe's own, which few kinds of object have; None where it is something else than a whole number."""

    @property
    def own_updated(self) -> int:
        """Stripe's own `updated`; 0 where there is none, or none that can be a time."""
        own = self.updated
        return own if isinstance(own, int) and 0 < own < END_OF_TIME else 0


@dataclass(frozen=True, slots=True)
class Page:
    """Records of one stream: `lines` are whole RECORD messages, a line each, as they go to standard output. Of one record that
    is too large for memory, `pieces` bring its line instead."""

    stream: str
    lines: bytes
    count: int
    pieces: Iterable[bytes | msgspec.Raw] | None = None
    held: int = 0
    """So many bytes of the pieces lie in memory."""

    @property
    def size(self) -> int:
        """The bytes that it takes in memory."""
        return len(self.lines) + self.held

    @property
    def whole(self) -> bytes:
        """The lines, however large they are."""
        return self.lines if self.pieces is None else b"".join(self.pieces)


class PageWriter:
    """Makes pages of a stream from raw objects: `updated` is set, the rest goes out as Stripe sent it.

    The bytes are those of the ordinary path (`AirbyteMessage`, serialized by the CDK), save that nulls are kept.
    """

    def __init__(self, stream: str, cursor_field: str | None) -> None:
        self._stream = stream
        self._head = b'{"type":"RECORD","record":{"stream":"' + stream.encode() + b'","data":'
        self._has_updated = cursor_field == "updated"
        self._account = b""

    def about(self, account: str) -> "PageWriter":
        """The same for records of one of many accounts, which stands in front in each."""
        other = copy(self)
        other._account = b'{"account_id":' + msgspec.json.encode(account) + b","
        return other

    def page(self, records: list[bytes]) -> Page:
        """`records` are whole, minified JSON objects."""
        head, tail = self._head + self._account, _tail()
        shown = [memoryview(record)[1:] for record in records] if self._account else records
        return Page(self._stream, b"".join([part for record in shown for part in (head, record, tail)]), len(records))

    def page_of_one(self, pieces: Iterable[bytes | msgspec.Raw], held: int = 0) -> Page:
        """One record from the pieces of its JSON, the first of which is its brace. If not all lie in memory, but `held` bytes,
        they are asked for when it is written."""
        rest = iter(pieces)
        brace = next(rest)
        line = chain((self._head, self._account or brace), rest, (_tail(),))
        return Page(self._stream, b"", 1, line, held) if held else Page(self._stream, b"".join(line), 1)

    def record(self, raw: bytes | msgspec.Raw, row: Row, updated: int) -> bytes:
        """The object with its cursor. `updated` is epoch seconds, for streams that change; Stripe's own wins when later."""
        if not self._has_updated:
            return bytes(raw)
        if row.updated is msgspec.UNSET:
            return b"".join((memoryview(raw)[:-1], b',"updated":%d}' % updated))
        fields = fields_of(raw)
        fields["updated"] = msgspec.Raw(b"%d" % max(updated, row.own_updated))
        return msgspec.json.encode(fields)


_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def fields_of(raw: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """An object's fields, their values as they stand in its JSON: so numbers keep their digits, and texts their escapes."""
    return _decode_fields(raw)


def _tail() -> bytes:
    return b',"emitted_at":%d}}\n' % (time.time_ns() // 1_000_000)
