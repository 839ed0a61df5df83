"""What accounts hold as rows, for an engine that reads with several workers and keeps the states itself."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
from airbyte_cdk.models import AirbyteMessage, AirbyteStateMessage, AirbyteStateMessageSerializer, ConfiguredAirbyteCatalog
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe import catalog, sentences
from source_stripe.config import config_error, shown_name
from source_stripe.source import YieldingDeclarativeSource, load_manifest
from source_stripe.sync.page import Page

OWN = ""
"""Stands for the key's own account where an account is named."""

States = dict[str, dict[str, dict[str, Any]]]
"""By the account and the stream's name the state to go on from. They are what the connector writes, and hold no secret."""


FORMS = {
    "streams": ("(?s).*", ""),
    "accounts": ("own|connected|all", "own, connected or all"),
    "account_ids": ("[A-Za-z0-9_, ]*", "ids of accounts, parted by commas"),
    "partitions": ("[1-9]|1[0-9]|2[0-5]", "a whole number from 1 to 25"),
    "rows_in_batch": ("[1-9][0-9]{0,8}", "a whole number of at least 1"),
    "data": ("json|variant", "json or variant"),
}
"""By the option's name what it may be, as a pattern and in words. More partitions than 25 would leave each less than one request
a second to an endpoint."""


class Row(NamedTuple):
    """An object of a stream. Times are epoch seconds, None where the object has none; `data` is the whole record as JSON."""

    account_id: str | None
    stream: str
    id: str | None
    created: int | None
    updated: int | None
    is_deleted: bool
    data: str


class Reached(NamedTuple):
    """The state of a stream of an account: it covers the rows before it, and no other."""

    account: str
    stream: str
    blob: dict[str, Any]


class ReadError(Exception):
    """Why not everything could be read, in the connector's words."""


class _Record(msgspec.Struct):
    data: msgspec.Raw


class _Line(msgspec.Struct):
    record: _Record


class _Fields(msgspec.Struct):
    id: Any = None
    created: msgspec.Raw = msgspec.Raw(b"null")
    updated: msgspec.Raw = msgspec.Raw(b"null")
    is_deleted: msgspec.Raw = msgspec.Raw(b"false")


_line = msgspec.json.Decoder(_Line).decode
_fields = msgspec.json.Decoder(_Fields).decode


def rows_of(page: Page, account: str) -> Iterator[Row]:
    """The rows of a page. Only what has a column of its own is looked at in a record."""
    for line in page.whole.splitlines():
        data = bytes(_line(line).record.data)
        fields = _fields(data)
        yield Row(
            account or None,
            page.stream,
            fields.id if isinstance(fields.id, str) else None,
            _time(fields.created),
            _time(fields.updated),
            bytes(fields.is_deleted) == b"true",
            data.decode(),
        )


def _time(value: msgspec.Raw) -> int | None:
    """A time that fits into 64 bits."""
    digits = bytes(value)
    return int(digits) if digits.isdigit() and len(digits) < 19 else None


@dataclass(frozen=True)
class Options:
    """What a user of such an engine may set, and in `config` the connector's own options. Raises a config error.

    `accounts` is `own`, `connected` or `all`; `account_ids`, if any, are read in place of them. All streams are read if none is
    named. `partitions` is among how many workers the accounts are dealt, `data` is `variant` or `json`.
    """

    config: Mapping[str, Any] = field(repr=False)
    streams: Sequence[str] = ()
    accounts: str = "own"
    account_ids: Sequence[str] = ()
    partitions: int = 4
    rows_in_batch: int = 20_000
    data: str = "json"

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> "Options":
        """Those that `texts` hold: names are parted by commas."""
        properties = load_manifest()["spec"]["connection_specification"]["properties"]
        own = {name: text for name, text in texts.items() if name in FORMS}
        config = {name: text for name, text in texts.items() if name not in own}
        for name in config.keys() - properties.keys():
            raise config_error(sentences.unknown_option(shown_name(name), get_close_matches(name, [*properties, *FORMS], n=1)))
        for name, text in own.items():
            if not re.fullmatch(FORMS[name][0], text.strip()):
                raise config_error(sentences.WRONG_CHOICE.format(option=name, form=FORMS[name][1]))
        typed = {name: _typed(text, properties[name]["type"]) for name, text in config.items()}
        return cls(typed, **{name: _own(name, text) for name, text in own.items()})


@dataclass(frozen=True)
class RowReader:
    """Reads the accounts that the options name, as rows. Raises `ReadError`.

    Where several share the key, each keeps to its part of the key's limits, one of so many `workers`: all together are then
    within them, whether Stripe counts by key or by account.
    """

    options: Options
    workers: int = 1

    @cached_property
    def _source(self) -> YieldingDeclarativeSource:
        return YieldingDeclarativeSource(ConfiguredAirbyteCatalog([]), manifest=manifest_for(self.workers))

    @cached_property
    def _catalog(self) -> ConfiguredAirbyteCatalog:
        return self._selected(self.options.streams)

    def _selected(self, names: Sequence[str]) -> ConfiguredAirbyteCatalog:
        return catalog.chosen(self._source.offered(self.options.config), names, full_refresh=False)

    def units(self) -> Sequence[str]:
        """What can be read apart: the accounts. One is never parted, for its parts would share its limits."""
        with worded():
            assert self._catalog  # What is wrong with the options is told before anything is read.
            if self.options.account_ids:
                return self.options.account_ids
            connected = [] if self.options.accounts == "own" else [row.id or "" for row in self._connected()]
            return connected if self.options.accounts == "connected" else [OWN, *connected]

    def _connected(self) -> Iterator[Row]:
        for item in self._source.read_pages(self.options.config, self._selected(["accounts"])):
            if isinstance(item, Page):
                yield from rows_of(item, OWN)

    def read(self, units: Sequence[str], states: States | None = None) -> Iterator[Row | Reached]:
        """The rows of these accounts, one account after the other, and how far their streams are: from `states` on."""
        with worded():
            for unit in units:
                yield from self._read_one(unit, (states or {}).get(unit, {}))

    def _read_one(self, unit: str, states: Mapping[str, Mapping[str, Any]]) -> Iterator[Row | Reached]:
        config = {**self.options.config, **({"account_id": unit} if unit else {})}
        for item in self._source.read_pages(config, self._catalog, [_message(*each) for each in states.items()]):
            if isinstance(item, Page):
                yield from rows_of(item, config.get("account_id", OWN))
            elif isinstance(item, AirbyteMessage) and (reached := _reached(unit, item)):
                yield reached


def dealt(units: Sequence[str], workers: int) -> list[list[str]]:
    """`units`, dealt to at most so many workers; each has one at least."""
    return [list(units[number::workers]) for number in range(min(workers, len(units)))]


def manifest_for(workers: int) -> dict[str, Any]:
    """The manifest with the part of the limits that one of so many workers has: what it allows in a second, in so many."""
    manifest = load_manifest()
    for policy in manifest["api_budget"]["policies"]:
        for rate in policy["rates"]:
            assert rate["interval"] == "PT1S"
            rate["interval"] = f"PT{workers}S"
    return manifest


def _own(name: str, text: str) -> Any:
    if name in ("streams", "account_ids"):
        return [each.strip() for each in text.split(",") if each.strip()]
    return int(text) if name in ("partitions", "rows_in_batch") else text.strip()


def _typed(text: str, type_: str) -> str | int:
    """An option as its type is; what is no number is left for the connector to refuse."""
    return int(text) if type_ == "integer" and text.strip().isdecimal() else text


def _message(stream: str, blob: Mapping[str, Any]) -> AirbyteStateMessage:
    return AirbyteStateMessageSerializer.load(
        {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": dict(blob)}}
    )


def _reached(account: str, message: AirbyteMessage) -> Reached | None:
    """What a message tells of a state; the CDK has one without content for streams that have none."""
    if message.state is None or message.state.stream is None or message.state.stream.stream_state is None:
        return None
    blob = message.state.stream.stream_state.__dict__
    is_one = not any(name.startswith("__ab_") for name in blob)
    return Reached(account, message.state.stream.stream_descriptor.name, deepcopy(blob)) if is_one else None


@contextmanager
def worded() -> Iterator[None]:
    """Raises a `ReadError` with the connector's sentence in place of its errors."""
    try:
        yield
    except AirbyteTracedException as error:
        raise ReadError(error.message) from None
