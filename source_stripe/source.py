"""The source: the manifest, loaded, and what YAML can't say about it."""

import logging
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from airbyte_cdk.models import (
    AirbyteCatalog,
    AirbyteConnectionStatus,
    AirbyteMessage,
    AirbyteStateMessage,
    ConfiguredAirbyteCatalog,
    SyncMode,
)
from airbyte_cdk.sources.declarative.concurrency_level.concurrency_level import ConcurrencyLevel
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from airbyte_cdk.sources.declarative.models.declarative_component_schema import CustomRequester, CustomRetriever
from airbyte_cdk.sources.declarative.parsers.model_to_component_factory import ModelToComponentFactory
from airbyte_cdk.sources.streams.concurrent.abstract_stream import AbstractStream

from source_stripe import files
from source_stripe.check import check
from source_stripe.clock import Clock
from source_stripe.config import AirbyteConfigTransformation, check_options, config_error, is_test_key, start_of
from source_stripe.page import Page
from source_stripe.requester import StripeRequester
from source_stripe.retriever import StripeRetriever
from source_stripe.state import BrokenState, StreamState, refused_state
from source_stripe.stream import stripe_stream
from source_stripe.sync import Sync


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
    constructor's counts.
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
        super().__init__(catalog, config, state, source_config=self._manifest, config_path=config_path)

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
        return self._bound(config)._config

    def check(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteConnectionStatus:
        """Whether the key can read the account, and what it may not read."""
        bound = self._bound(config)
        return check(bound.requester, list(bound.retrievers.values()), bound._clock)

    def discover(self, logger: logging.Logger, config: Mapping[str, Any]) -> AirbyteCatalog:
        """All streams, whatever the key may read."""
        return AirbyteCatalog(streams=[stream.as_airbyte_stream() for stream in self.streams(config)])

    def streams(self, config: Mapping[str, Any]) -> list[AbstractStream]:
        """The streams of the manifest, by name."""
        return [
            stripe_stream(definition, resources(), lambda catalog: self.read(self.logger, config, catalog))
            for definition in self.resolved_manifest["streams"]
        ]

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
                yield from item.messages()
            else:
                yield item

    # ------------------------------------------------------------------ what our launcher calls

    def read_pages(
        self,
        config: Mapping[str, Any],
        catalog: ConfiguredAirbyteCatalog,
        state: Sequence[AirbyteStateMessage] | None = None,
    ) -> Iterator[Page | AirbyteMessage]:
        """The same as `read`, with whole pages in place of record messages."""
        sync = self._bound(config)._sync(catalog, state or [])
        if sync is not None:
            yield from sync.run()

    # ------------------------------------------------------------------ parts

    def _bound(self, config: Mapping[str, Any]) -> "YieldingDeclarativeSource":
        """This source, or one for `config` if that is another."""
        wanted = dict(config)
        AirbyteConfigTransformation().transform(wanted)
        assert self._spec_component is not None
        check_options(wanted, self._spec_component.connection_specification)
        if wanted == self._config:
            return self
        return type(self)(config=wanted, manifest=self._manifest, clock=self._clock)

    @cached_property
    def _factory(self) -> ModelToComponentFactory:
        return ModelToComponentFactory()

    @cached_property
    def requester(self) -> StripeRequester:
        """What sends to the configured account; one for all streams."""
        definition = self.resolved_manifest["definitions"]["requester"]
        requester: StripeRequester = self._factory.create_component(CustomRequester, definition, self._config)
        return requester

    @cached_property
    def retrievers(self) -> dict[str, StripeRetriever]:
        """By the stream's name how it is read."""
        return {definition["name"]: self._retriever(definition) for definition in self.resolved_manifest["streams"]}

    def _retriever(self, definition: Mapping[str, Any]) -> StripeRetriever:
        retriever: StripeRetriever = self._factory.create_component(
            CustomRetriever,
            definition["retriever"],
            self._config,
            requester=self.requester,
            primary_key=definition["primary_key"],
            cursor_field=definition["incremental_sync"]["cursor_field"],
        )
        return retriever

    def _sync(self, catalog: ConfiguredAirbyteCatalog, state: Sequence[AirbyteStateMessage]) -> Sync | None:
        definitions = {definition["name"]: definition for definition in self.resolved_manifest["streams"]}
        start = start_of(self._config)
        scope: dict[str, Any] = {"livemode": not is_test_key(self._config["secret_key"])}
        if account := self._config.get("account_id"):
            scope["account_id"] = account
        blobs = _state_blobs(state)
        streams: list[tuple[StripeRetriever, StreamState]] = []
        for configured in catalog.streams:
            name = configured.stream.name
            if any(retriever.name == name for retriever, _ in streams):
                raise config_error(f"The catalog asks for the stream {name} twice. Take one of them out.")
            if name not in definitions:
                raise config_error(f"The catalog asks for the stream {name}, which does not exist. Refresh the schema.")
            retriever = self._retriever(definitions[name])
            blob = None if configured.sync_mode == SyncMode.full_refresh else blobs.get(name)
            try:
                streams.append((retriever, StreamState.load(blob, retriever.cursor_field, start, scope)))
            except BrokenState as error:
                raise refused_state(name, str(error)) from error
        if not streams:
            return None
        return Sync(
            self.requester,
            streams,
            self._retriever(definitions["events"]),
            self._workers(),
            86400 * int(self._config.get("lookback_window_days", 0)),
            self._clock,
        )

    def _workers(self) -> int:
        level = ConcurrencyLevel(
            **{
                name: value
                for name, value in self.resolved_manifest["concurrency_level"].items()
                if name in ("default_concurrency", "max_concurrency")
            },
            config=self._config,
            parameters={},
        )
        return level.get_concurrency_level()


def _state_blobs(state: Sequence[AirbyteStateMessage]) -> dict[str, dict[str, Any]]:
    return {
        message.stream.stream_descriptor.name: dict(message.stream.stream_state.__dict__)
        for message in state
        if message.stream is not None and message.stream.stream_state is not None
    }


SourceStripe = YieldingDeclarativeSource
"""The name by which the CDK's test suite looks for the class."""
