"""The source: the manifest, loaded, and bound to a config, a catalog and a state."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import yaml
from airbyte_cdk.models import (
    AirbyteCatalog,
    AirbyteConnectionStatus,
    AirbyteMessage,
    AirbyteStateMessage,
    AirbyteStream,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteStream,
    SyncMode,
)
from airbyte_cdk.sources.declarative.concurrency_level.concurrency_level import ConcurrencyLevel
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from airbyte_cdk.sources.declarative.interpolation.interpolated_string import InterpolatedString
from airbyte_cdk.sources.declarative.models import declarative_component_schema as models
from airbyte_cdk.sources.declarative.parsers.model_to_component_factory import ModelToComponentFactory
from airbyte_cdk.sources.declarative.requesters.paginators import NoPagination
from airbyte_cdk.sources.declarative.schema import JsonFileSchemaLoader, SchemaLoader
from airbyte_cdk.sources.streams.concurrent.abstract_stream import AbstractStream
from airbyte_cdk.sources.streams.concurrent.default_stream import DefaultStream

from source_stripe import check, estimate, files, sentences
from source_stripe.api.account import Account, Watcher
from source_stripe.api.key import Key
from source_stripe.api.pace import Pace
from source_stripe.components import CreatedRange, Paging, StripeRequester, StripeRetriever, pace_of
from source_stripe.config import check_options, choice_of, config_error, has_many_accounts, is_test_key, warn_of_unknown
from source_stripe.messages import Messages, Trouble, records_of
from source_stripe.stream import Read, stripe_stream
from source_stripe.sync.account_reading import Selected
from source_stripe.sync.accounts_state import AccountsState
from source_stripe.sync.accounts_sync import AccountsSync, SelectedOfMany
from source_stripe.sync.clock import Clock
from source_stripe.sync.endpoint import Endpoint
from source_stripe.sync.output import Failed, Item, Note, Page, Shares, Status
from source_stripe.sync.readings import with_children
from source_stripe.sync.state import StreamState, interrupted_states_of, states_of
from source_stripe.sync.sync import Sync

Definition = Mapping[str, Any]


def resources() -> Path:
    """Where `manifest.yaml` and `schemas/` lie: beside the code in a wheel, one level up in a checkout."""
    here = Path(__file__).resolve().parent
    return here if (here / "manifest.yaml").is_file() else here.parent


def load_manifest() -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    manifest: dict[str, Any] = yaml.load((resources() / "manifest.yaml").read_bytes(), loader)
    return manifest


class YieldingDeclarativeSource(ConcurrentDeclarativeSource):
    """A declarative source that yields pages to its own launcher, and ordinary messages to anybody else.

    It yields, too, to what `check`, `discover` and `read` are given: a config, catalog or state other than the
    constructor's counts. With a `catalog`, the manifest's other streams are not even looked at.
    """

    def __init__(
        self,
        catalog: ConfiguredAirbyteCatalog | None = None,
        config: Mapping[str, Any] | None = None,
        state: list[AirbyteStateMessage] | None = None,
        config_path: str | None = None,
        *,
        manifest: dict[str, Any] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._manifest = manifest or load_manifest()
        self._clock = clock or Clock()
        entries = self._manifest["streams"] if catalog is None else self._entries_for(config or {}, catalog)
        own = {**self._manifest, "streams": entries}
        super().__init__(catalog, config, state, source_config=own, config_path=config_path)

    # ------------------------------------------------------------------ what the CDK calls

    @staticmethod
    def read_config(config_path: str) -> MutableMapping[str, Any]:
        return files.config_of(config_path)

    @classmethod
    def read_catalog(cls, catalog_path: str) -> ConfiguredAirbyteCatalog:
        return files.catalog_of(catalog_path)

    @classmethod
    def read_state(cls, state_path: str) -> list[AirbyteStateMessage]:
        return files.state_of(state_path)

    def configure(self, config: Mapping[str, Any], temp_dir: str) -> Mapping[str, Any]:
        """The config as the connector understands it; a config error when it can't be used."""
        assert self._spec_component is not None
        warn_of_unknown(config, self._spec_component.connection_specification)
        return self._valid(config)

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """Whether the key can read the account, and what it may not read."""
        bound = self._bound(config)
        names = bound._check_names()
        endpoints = [bound.endpoint(name) for name in bound._definitions if name in names]

        async def ask() -> AirbyteConnectionStatus:
            form = check.Form(bound._rows, is_test_key(bound._config["secret_key"]))
            if has_many_accounts(bound._config):
                with closing(bound._key) as key:
                    account_of = bound._accounts_for_a_while(key)
                    return await check.verdict_on_many(account_of, choice_of(bound._config), bound.endpoint, endpoints, form)
            refused = await check.Probe(bound._account_for_a_while(), bound.endpoint).refusals(endpoints)
            return check.verdict(refused, endpoints, form)

        with asyncio.Runner(loop_factory=self._clock.new_loop) as runner:
            return runner.run(ask())

    def discover(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteCatalog:
        """All streams, whatever the key may read."""
        return AirbyteCatalog(streams=self.offered(config))

    def streams(self, config: Mapping[str, Any]) -> list[AbstractStream]:
        """The streams of the manifest, by name."""
        return list(self._bound(config)._streams(lambda catalog: self.read(self.logger, config, catalog)))

    def read(
        self,
        logger: logging.Logger,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: Sequence[AirbyteStateMessage] | None = None,
    ) -> Iterator[AirbyteMessage]:
        """The records, states and statuses of a sync as ordinary messages."""
        for item in self.read_pages(config, catalog, state):
            if isinstance(item, Page):
                yield from records_of(item)
            elif isinstance(item, AirbyteMessage):
                yield item

    # ------------------------------------------------------------------ what our launcher calls

    def read_pages(
        self,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: Sequence[AirbyteStateMessage] | None = None,
        watched: bool = False,
    ) -> Iterator[Page | Shares | Note | AirbyteMessage]:
        """The same as `read`, with whole pages in place of record messages, and notes; `watched`, also how far it is."""
        bound = self._bound(config, catalog)
        items = bound._items(catalog, _state_blobs(state or []), watched)
        return Messages(len(catalog.streams), bound._rows).of(items)

    def offered(self, config: Mapping[str, Any] | None = None) -> list[AirbyteStream]:
        """All streams, as `discover` shows them; without a config, those of one account."""
        whole = self._bound(config) if config is not None else type(self)(manifest=self._manifest, clock=self._clock)
        return [stream.as_airbyte_stream() for stream in whole._streams(lambda _: ())]

    def estimate(self, config: Mapping[str, Any], names: Sequence[str] = ()) -> str:
        """A table that tells how much a first read of the streams of these names, or of all, has to read, and how long it
        takes."""
        bound = self._bound(config)
        if has_many_accounts(bound._config):
            raise config_error(sentences.ESTIMATE_OF_MANY)
        if unknown := next((name for name in names if name not in bound._definitions), None):
            raise config_error(sentences.UNKNOWN_STREAM.format(stream=unknown))
        streams = [bound.endpoint(name) for name in dict.fromkeys(names or bound._definitions)]
        children = [each for each in streams if each.walk is None]
        parents = {
            name: with_children(bound.endpoint(name), [child for child in children if name in child.parents])
            for name in dict.fromkeys(parent for each in streams for parent in each.parents)
        }

        async def ask() -> str:
            account = bound._account_for_a_while()
            _, range_ = bound._parts(streams[0].name)
            try:
                found = await estimate.estimates(account, streams, parents, range_.start, bound._rows)
            finally:
                account.close()
            return estimate.table(found, account.pace, account.requests)

        with asyncio.Runner(loop_factory=self._clock.new_loop) as runner:
            return runner.run(ask())

    # ------------------------------------------------------------------ parts

    def _bound(self, config: Mapping[str, Any], catalog: ConfiguredAirbyteCatalog | None = None) -> "YieldingDeclarativeSource":
        """This source, or one for `config` if that is another, or if this one lacks streams; all, or those of the catalog."""
        wanted = self._valid(config)
        entries = self._manifest["streams"] if catalog is None else self._entries_for(wanted, catalog)
        if wanted == self._config and self._definitions.keys() >= {_name(entry) for entry in entries}:
            return self
        return type(self)(catalog, wanted, manifest=self._manifest, clock=self._clock)

    def _entries_for(self, config: Mapping[str, Any], catalog: ConfiguredAirbyteCatalog) -> list[Definition]:
        """The manifest's entries of the catalog's streams, and of those that tell which accounts there are."""
        return _entries(self._manifest, _names_in(catalog) | ({"account", "accounts"} if has_many_accounts(config) else set()))

    def _valid(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The config as the connector understands it."""
        assert self._spec_component is not None
        wanted = dict(config)
        self._spec_component.transform_config(wanted)
        self._spec_component.validate_config(wanted)
        check_options(wanted, self._spec_component.connection_specification)
        return wanted

    def _streams(self, read: Read) -> Iterator[DefaultStream]:
        """Those that this source knows, with what `read` brings of them."""
        for definition in self._definitions.values():
            yield stripe_stream(definition, self._schema(definition), read, has_many_accounts(self._config))

    @cached_property
    def _definitions(self) -> dict[str, Definition]:
        """The streams' resolved definitions, by name."""
        return {definition["name"]: definition for definition in self.resolved_manifest["streams"]}

    @cached_property
    def _factory(self) -> ModelToComponentFactory:
        return ModelToComponentFactory()

    @cached_property
    def requester(self) -> StripeRequester:
        """What sends to the configured account; one for all streams."""
        requester: StripeRequester = self._component(models.CustomRequester, self._shared["requester"])
        return requester

    @cached_property
    def _paging(self) -> Paging:
        return Paging(self._component(models.DefaultPaginator, self._shared["paginator"], url_base=self.requester.url_base))

    @property
    def _shared(self) -> Definition:
        """What the streams have in common; it is read where the events have it, which every sync needs."""
        shared: Definition = self._definitions["events"]["retriever"]
        return shared

    @cached_property
    def _endpoints(self) -> dict[str, tuple[Endpoint, CreatedRange]]:
        return {}

    def endpoint(self, name: str) -> Endpoint:
        """What the sync reads for the stream of that name."""
        return self._parts(name)[0]

    def _parts(self, name: str) -> tuple[Endpoint, CreatedRange]:
        if name not in self._endpoints:
            definition, events = self._definitions[name], self._definitions["events"]
            sync = definition.get("incremental_sync")
            range_ = CreatedRange(sync or events["incremental_sync"], self._factory, self._config)
            # Those that all streams share are not made anew.
            own = {key: value for key, value in definition["retriever"].items() if key not in ("requester", "paginator")}
            retriever: StripeRetriever = self._component(models.CustomRetriever, own)
            is_paged = definition["retriever"]["paginator"]["type"] != "NoPagination"
            paging = self._paging if is_paged else Paging(NoPagination(parameters={}))
            endpoint = retriever.endpoint(paging, range_, sync and sync["cursor_field"])
            endpoint.columns = partial(self._columns, definition)
            self._endpoints[name] = endpoint, range_
        return self._endpoints[name]

    def _component(self, model: type[Any], definition: Definition, **given: Any) -> Any:
        return self._factory.create_component(model, definition, self._config, **given)

    def _schema(self, definition: Definition) -> Callable[[], Mapping[str, Any]]:
        """What loads the stream's schema, from where the manifest and the schemas lie."""

        def load() -> Mapping[str, Any]:
            loader: SchemaLoader = self._component(
                getattr(models, definition["schema_loader"]["type"]), definition["schema_loader"]
            )
            if not isinstance(loader, JsonFileSchemaLoader):
                return loader.get_json_schema()
            path = InterpolatedString.create(loader.file_path, parameters={}).eval(self._config)
            schema: Mapping[str, Any] = orjson.loads((resources() / path).read_bytes())
            return schema

        return load

    def _columns(self, definition: Definition) -> Collection[str]:
        return frozenset(self._schema(definition)()["properties"])

    @property
    def _rows(self) -> dict[str, str]:
        """By their tokens the rows of a restricted key's form."""
        permissions = [entry["$parameters"]["permission"] for entry in self._manifest["streams"]]
        return {each["token"]: each["row"] for each in permissions if {"row", "token"} <= each.keys()}

    @property
    def _workers(self) -> int:
        level = self._component(models.ConcurrencyLevel, self.resolved_manifest["concurrency_level"])
        assert isinstance(level, ConcurrencyLevel)
        return level.get_concurrency_level()

    @property
    def _pace(self) -> Pace:
        """The pace of this account's limits, none of it used."""
        return pace_of(self.resolved_manifest["api_budget"], self._config)

    def _check_names(self) -> Sequence[str]:
        named = models.CheckStream.parse_obj(self.resolved_manifest["check"]).stream_names
        return list(self._definitions) if named is None else named

    # ------------------------------------------------------------------ one sync

    def _items(self, catalog: ConfiguredAirbyteCatalog, blobs: Mapping[str, Mapping[str, Any]], watched: bool) -> Iterator[Item]:
        """What the sync brings; what can't be read, for its state or its name, fails by itself."""
        readable: list[Selected | SelectedOfMany] = []
        unreadable: list[Item] = []
        for configured in catalog.streams:
            name = configured.stream.name
            if any(each.endpoint.name == name for each in readable):
                raise config_error(sentences.TWICE.format(stream=name))
            try:
                readable.append(self._selected(configured, blobs.get(name)))
            except Exception as error:
                unreadable += [Status(name, "started"), Failed(name, error, "")]
        if not readable:
            return iter(unreadable)
        return chain(unreadable, self._sync(readable, watched).run())

    def _sync(self, selected: Sequence[Selected | SelectedOfMany], watched: bool) -> Sync | AccountsSync:
        _, range_ = self._parts(selected[0].endpoint.name)
        one = [each for each in selected if isinstance(each, Selected)]
        many = [each for each in selected if isinstance(each, SelectedOfMany)]
        if many:
            key = self._key
            connect = partial(self.requester.account_of_many, key, self._clock)
            return AccountsSync(key, connect, choice_of(self._config), many, self.endpoint, range_.lookback, self._clock, watched)
        return Sync(self._connect, one, self.endpoint, range_.lookback, self._clock, watched)

    def _selected(self, configured: ConfiguredAirbyteStream, blob: Mapping[str, Any] | None) -> Selected | SelectedOfMany:
        name = configured.stream.name
        if name not in self._definitions:
            raise config_error(sentences.UNKNOWN_STREAM.format(stream=name))
        endpoint, range_ = self._parts(name)
        endpoint = replace(endpoint)  # What it sees is of this sync.
        scope: dict[str, Any] = {"livemode": not is_test_key(self._config["secret_key"])}
        is_full = configured.sync_mode == SyncMode.full_refresh
        if has_many_accounts(self._config):
            return self._selected_of_many(endpoint, range_, scope, blob, is_full)
        if account := self._config.get("account_id"):
            scope["account_id"] = account
        load = partial(
            StreamState.load, cursor_field=endpoint.cursor_field or "", start=range_.start, scope=scope, time_of=range_.time_of
        )
        lists = list(endpoint.parents) or [name]
        if endpoint.cursor_field is None:
            return Selected(endpoint, states_of(None, lists, load))
        if is_full:
            return Selected(endpoint, interrupted_states_of(blob, lists, load))
        return Selected(endpoint, states_of(blob, lists, load))

    def _selected_of_many(
        self, endpoint: Endpoint, range_: CreatedRange, scope: Mapping[str, Any], blob: Mapping[str, Any] | None, is_full: bool
    ) -> SelectedOfMany:
        """The same for the accounts of a platform, where one state tells of all of them."""
        cursor_field = endpoint.cursor_field or ""
        load = partial(StreamState.load, cursor_field=cursor_field, start=range_.start, scope={}, time_of=range_.time_of)
        states = partial(states_of, lists=list(endpoint.parents) or [endpoint.name], load=load)
        if endpoint.cursor_field is None:
            return SelectedOfMany(endpoint, None, lambda blob: states(None))
        is_shard = choice_of(self._config).shards > 1
        state = AccountsState.load(blob, cursor_field, range_.start, scope, is_full, is_shard)
        return SelectedOfMany(endpoint, state, states)

    @property
    def _key(self) -> Key:
        """The key, for the accounts that it may read."""
        return Key(self.requester.transport(self._workers), self._pace, self._workers)

    def _account_for_a_while(self) -> Account:
        """One that does not try for long, and tells the log at once when it has to."""
        return self.requester.account(self._pace, self._workers, self._clock, None, Trouble(), check.SECONDS_TO_TRY)

    def _accounts_for_a_while(self, key: Key) -> Callable[[str], Account]:
        """The same of each account that the key may read, by its id; "" for the key's own."""
        of_many = partial(self.requester.account_of_many, watcher=Trouble(), give_up_after=check.SECONDS_TO_TRY)
        return lambda id: of_many(key, self._clock, key.about(id))

    def _connect(self, room: Callable[[], Awaitable[None]], watcher: Watcher) -> Account:
        return self.requester.account(self._pace, self._workers, self._clock, room, watcher)


def _name(entry: Definition) -> str:
    name: str = entry["$parameters"]["name"]
    return name


def _names_in(catalog: ConfiguredAirbyteCatalog) -> set[str]:
    return {configured.stream.name for configured in catalog.streams}


def _entries(manifest: Definition, names: set[str]) -> list[Definition]:
    """The manifest's entries of those streams, and of those that they need: their parents, and the events."""
    parents = {
        parent for entry in manifest["streams"] if _name(entry) in names for parent in entry["$parameters"].get("parents", ())
    }
    return [entry for entry in manifest["streams"] if _name(entry) in names | parents | {"events"}]


def _state_blobs(state: Sequence[AirbyteStateMessage]) -> dict[str, dict[str, Any]]:
    """By the stream's name its last state; one that is null takes away what was said before."""
    last = {message.stream.stream_descriptor.name: message.stream.stream_state for message in state if message.stream is not None}
    return {name: dict(state.__dict__) for name, state in last.items() if state is not None}


SourceStripe = YieldingDeclarativeSource
"""The name by which the CDK's test suite looks for the class."""
