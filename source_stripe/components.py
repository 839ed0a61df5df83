"""What the manifest declares, as the sync takes it: the custom components, and the CDK's own that are read here."""

import random
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.datetime.datetime_parser import DatetimeParser
from airbyte_cdk.sources.declarative.datetime.min_max_datetime import MinMaxDatetime
from airbyte_cdk.sources.declarative.interpolation.interpolated_string import InterpolatedString
from airbyte_cdk.sources.declarative.models import declarative_component_schema as models
from airbyte_cdk.sources.declarative.parsers.model_to_component_factory import ModelToComponentFactory
from airbyte_cdk.sources.declarative.requesters.error_handlers import DefaultErrorHandler
from airbyte_cdk.sources.declarative.requesters.paginators import DefaultPaginator, NoPagination
from airbyte_cdk.sources.declarative.requesters.paginators.strategies.pagination_strategy import PaginationStrategy
from airbyte_cdk.sources.declarative.requesters.request_options.datetime_based_request_options_provider import (
    DatetimeBasedRequestOptionsProvider,
)
from airbyte_cdk.sources.streams.http.error_handlers import BackoffStrategy, ResponseAction
from airbyte_cdk.sources.types import Record, StreamSlice
from isodate import parse_duration
from requests.auth import AuthBase

from source_stripe.api import errors
from source_stripe.api.account import Account, Sender, Watcher
from source_stripe.api.key import Key
from source_stripe.api.pace import Pace
from source_stripe.api.request import Query, query_of
from source_stripe.api.transport import Transport, Verdict
from source_stripe.sync.accounts_sync import ROOM
from source_stripe.sync.clock import Clock
from source_stripe.sync.endpoint import Endpoint, Kind, NestedList, Walk

Config = Mapping[str, Any]

_LONGEST_PAUSE_ASKED_FOR = 300.0
_KINDS: dict[FailureType, errors.Kind] = {FailureType.config_error: "config", FailureType.transient_error: "transient"}


# ---------------------------------------------------------------------- one request


@dataclass(repr=False)
class StripeRequester:
    """Where requests go, with what headers, and what becomes of those that are refused."""

    config: Config
    url_base: str
    authenticator: AuthBase
    request_headers: Mapping[str, str]
    error_handler: DefaultErrorHandler
    connect_timeout_in_seconds: int
    read_timeout_in_seconds: int

    def account(
        self,
        pace: Pace,
        workers: int,
        clock: Clock,
        room: Callable[[], Awaitable[None]] | None = None,
        watcher: Watcher | None = None,
        give_up_after: float | None = None,
    ) -> Account:
        """The account that the config names, asked by at most `workers` requests at a time."""
        pauses = self._pauses(give_up_after)
        return Account(self.transport(workers), pace, pauses, workers, clock.now, room, watcher)

    def account_of_many(
        self,
        key: Key,
        clock: Clock,
        sender: Sender,
        room: Callable[[], Awaitable[None]] | None = None,
        watcher: Watcher | None = None,
        give_up_after: float | None = None,
    ) -> Account:
        """One of the accounts that `key` may read, whose requests are sent so."""
        pauses = self._pauses(give_up_after)
        return Account(sender, key.pace.unused(), pauses, key.workers, clock.now, room, watcher, side_by_side=ROOM)

    def transport(self, threads: int) -> Transport:
        headers = {name: _evaluated(value, self.config) for name, value in self.request_headers.items()}
        return Transport(
            _evaluated(self.url_base, self.config),
            {name: value for name, value in headers.items() if value},
            self.authenticator,
            self._judge,
            (self.connect_timeout_in_seconds, self.read_timeout_in_seconds),
            threads,
            str(self.config.get("secret_key", "")),
            self._account_header,
        )

    @property
    def _account_header(self) -> str:
        """The header that names an account."""
        config = {**self.config, "account_id": "acct_"}
        return next((name for name, value in self.request_headers.items() if _evaluated(value, config) == "acct_"), "")

    def _judge(self, response: requests.Response) -> Verdict:
        resolution = self.error_handler.interpret_response(response)
        action = resolution.response_action
        asked = [each.backoff_time(response, 0) or 0.0 for each in self.error_handler.backoff_strategies or ()]
        return Verdict(
            retry=action in (ResponseAction.RETRY, ResponseAction.RATE_LIMITED),
            is_limit=action == ResponseAction.RATE_LIMITED,
            kind=_KINDS.get(resolution.failure_type or FailureType.system_error, "system"),
            pause=min(max(asked, default=0.0), _LONGEST_PAUSE_ASKED_FOR),
        )

    def _pauses(self, give_up_after: float | None) -> "JitteredBackoffStrategy":
        strategies = self.error_handler.backoff_strategies or ()
        pauses = next(each for each in strategies if isinstance(each, JitteredBackoffStrategy))
        return pauses if give_up_after is None else pauses.for_at_most(give_up_after)


@dataclass
class JitteredBackoffStrategy(BackoffStrategy):
    """Pauses in seconds between tries of a request: twice as long each time, jittered, for `give_up_after` in all."""

    first_pause: float
    longest_pause: float
    give_up_after: float

    def backoff_time(self, response_or_exception: Any, attempt_count: int) -> float | None:
        """How long to wait after the `attempt_count`-th failed try; 0 before the first."""
        return self.after(attempt_count) if attempt_count else 0.0

    def after(self, tries: int) -> float:
        """The same, for who tries."""
        return min(self.longest_pause, self.first_pause * 2.0 ** min(tries - 1, 16)) * random.uniform(0.5, 1.0)

    def for_at_most(self, seconds: float) -> "JitteredBackoffStrategy":
        return JitteredBackoffStrategy(self.first_pause, self.longest_pause, min(seconds, self.give_up_after))


def pace_of(definition: Mapping[str, Any], config: Config) -> Pace:
    """The pace that the manifest's `api_budget` allows.

    Stripe counts a request against the account's limit and its endpoint's: a policy without matchers is the account's, one
    with matchers holds for each endpoint that they match.
    """
    budget = models.HTTPAPIBudget.parse_obj(definition)
    policies = [policy for policy in budget.policies if isinstance(policy, models.MovingWindowCallRatePolicy)]
    account = min(_per_second(policy, config) for policy in policies if not policy.matchers)
    of_endpoints = next(policy for policy in policies if policy.matchers)
    patterns = [re.compile(matcher.url_path_pattern or "") for matcher in of_endpoints.matchers]
    return Pace(account, _per_second(of_endpoints, config), lambda endpoint: any(each.search(endpoint) for each in patterns))


def _per_second(policy: models.MovingWindowCallRatePolicy, config: Config) -> float:
    rates = [float(_evaluated(str(rate.limit), config)) / _seconds(rate.interval) for rate in policy.rates]
    return min(rates)


# ---------------------------------------------------------------------- one list


@dataclass
class LastIdPaginationStrategy(PaginationStrategy):
    """The next page starts after the last object's id, for as long as the list says that there is more."""

    page_size: int

    @property
    def initial_token(self) -> None:
        return None

    def next_page_token(
        self,
        response: requests.Response,
        last_page_size: int,
        last_record: Record | None,
        last_page_token_value: Any | None,
        page_size_override: int | None = None,
        stream_slice: StreamSlice | None = None,
    ) -> Any | None:
        return last_record["id"] if last_record and response.json()["has_more"] else None

    def get_page_size(self) -> int:
        return self.page_size


class CreatedRange:
    """The manifest's `DatetimeBasedCursor`: from when on objects are wanted, and how a list is bounded by their time."""

    def __init__(self, definition: Mapping[str, Any], factory: ModelToComponentFactory, config: Config) -> None:
        cursor = models.DatetimeBasedCursor.parse_obj(definition)
        self._parser = DatetimeParser()
        self._format = cursor.datetime_format
        self._state_formats = cursor.cursor_datetime_formats or [cursor.datetime_format]
        start: MinMaxDatetime = factory.create_component(models.MinMaxDatetime, definition["start_datetime"], config)
        self.start = max(0, int(start.get_datetime(config).timestamp()))
        """Objects created before it, in epoch seconds, are not wanted."""
        self.lookback = int(_seconds(_evaluated(cursor.lookback_window or "PT0S", config)))
        """Seconds before the last sync that are looked at again."""
        self._options = DatetimeBasedRequestOptionsProvider(
            config=config,
            parameters={},
            start_time_option=factory.create_component(models.RequestOption, definition["start_time_option"], config),
            end_time_option=factory.create_component(models.RequestOption, definition["end_time_option"], config),
        )

    def query(self, lo: int | None, hi: int | None) -> Query:
        slice_ = StreamSlice(partition={}, cursor_slice={"start_time": self._text(lo or None), "end_time": self._text(hi)})
        parameters = self._options.get_request_params(stream_slice=slice_)
        return tuple((name, value) for name, value in parameters.items() if value is not None)

    def _text(self, time: int | None) -> str | None:
        return None if time is None else self._parser.format(datetime.fromtimestamp(time, UTC), self._format)

    def time_of(self, value: object) -> int:
        """The time, in epoch seconds, that another connector's state holds; raises `ValueError` if it holds none."""
        for format_ in self._state_formats:
            try:
                return int(self._parser.parse(str(value), format_).timestamp())
            except (ValueError, OverflowError):
                continue
        raise ValueError(value)


class Paging:
    """The manifest's paginator: how many objects a page has, and how the next one is asked for. Without one, a page has all."""

    def __init__(self, paginator: DefaultPaginator | NoPagination) -> None:
        if isinstance(paginator, DefaultPaginator) and not isinstance(paginator.pagination_strategy, LastIdPaginationStrategy):
            raise TypeError("a list is paged by the ids of its objects alone")
        self._paginator = paginator
        size = paginator.get_page_size() if isinstance(paginator, DefaultPaginator) else None
        self.size = size or sys.maxsize

    def query(self, after: str | None, size: int | None = None) -> Query:
        if isinstance(self._paginator, NoPagination):
            return ()
        token = None if after is None else {"next_page_token": after}
        return query_of(self._paginator.get_request_params(next_page_token=token, page_size_override=size))


# ---------------------------------------------------------------------- streams


@dataclass(repr=False)
class NestedListExpansion:
    """A list inside an object that Stripe cuts after ten items, such as an invoice's lines: it is shown whole.

    `path` is where the whole of it is: with `{id}`, or with the parameter `owner` that takes the object's id.
    """

    field: str
    path: str
    owner: str = ""


@dataclass(repr=False)
class StripeRetriever:
    """What sets a stream apart, as its entry tells it; `endpoint` is what the sync reads: see there what the fields mean."""

    config: Config
    name: str
    object: str
    kind: Kind
    permission: Mapping[str, str]
    path: str = ""
    product: str = ""
    created: str = "created"
    expand: Sequence[str] = ()
    nested_lists: Sequence[NestedListExpansion] = ()
    passes: Sequence[str] = ("",)
    events: Sequence[str] = ()
    deleted_by: str = ""
    changed_with: Mapping[str, Sequence[str]] = field(default_factory=dict)
    announced_by: Mapping[str, str] = field(default_factory=dict)
    lists_new: bool = False
    settles: bool = False
    parents: Mapping[str, str] | Sequence[str] = ()
    parent_field: str = ""
    walk: Mapping[str, Any] = field(default_factory=dict)
    parameters: InitVar[Mapping[str, Any] | None] = None

    def endpoint(self, paging: Paging, range_: CreatedRange, cursor_field: str | None) -> Endpoint:
        return Endpoint(
            name=self.name,
            object=self.object,
            kind=self.kind,
            permission=self.permission.get("row", ""),
            path=self.path or self.walk.get("path") or f"/v1/{self.name}",
            cursor_field=cursor_field,
            paging=paging,
            range=range_,
            product=self.product,
            created=self.created,
            expand=self.expand,
            nested_lists=[NestedList(each.field, each.path, each.owner) for each in self.nested_lists],
            passes=[dict(parse_qsl(each)) for each in self.passes],
            events=self.events,
            deleted_by=self.deleted_by,
            changed_with=self.changed_with,
            announced_by=self.announced_by,
            lists_new=self.lists_new,
            settles=self.settles,
            parents=self.parents if isinstance(self.parents, Mapping) else dict.fromkeys(self.parents, ""),
            parent_field=self.parent_field,
            walk=Walk(**self.walk) if self.walk else None,
        )


def _seconds(duration: str) -> float:
    """What an ISO 8601 duration lasts."""
    return float(parse_duration(duration).total_seconds())


def _evaluated(text: str, config: Config) -> str:
    return str(InterpolatedString.create(str(text), parameters={}).eval(config) or "")
