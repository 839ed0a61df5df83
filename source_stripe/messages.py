"""What a sync brings, in the words of the Airbyte protocol."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec
from airbyte_cdk.models import (
    AirbyteEstimateTraceMessage,
    AirbyteMessage,
    AirbyteRecordMessage,
    AirbyteStateBlob,
    AirbyteStateMessage,
    AirbyteStateType,
    AirbyteStreamState,
    AirbyteStreamStatus,
    AirbyteStreamStatusReason,
    AirbyteStreamStatusReasonType,
    AirbyteTraceMessage,
    EstimateType,
    FailureType,
    StreamDescriptor,
    TraceType,
    Type,
)
from airbyte_cdk.utils.stream_status_utils import as_airbyte_message
from airbyte_cdk.utils.traced_exception import AirbyteTracedException
from airbyte_protocol_dataclasses.models.airbyte_protocol import AirbyteStreamStatusRateLimitedReason

from source_stripe import sentences
from source_stripe.api.account import Watcher
from source_stripe.api.errors import StripeError
from source_stripe.config import config_error
from source_stripe.sync.accounts_sync import AccountsError
from source_stripe.sync.output import Failed, Item, Note, Page, Shares, State, Status
from source_stripe.sync.pieces import NoRoomError
from source_stripe.sync.state import BrokenState

logger = logging.getLogger("airbyte")

_SECONDS_BETWEEN_ESTIMATES = 30.0
_STATUSES = {
    "started": AirbyteStreamStatus.STARTED,
    "running": AirbyteStreamStatus.RUNNING,
    "complete": AirbyteStreamStatus.COMPLETE,
}
DISPLAYED = ("not_enabled",)
"""Notes that a display shows with their stream."""
_GRAVEST_FIRST = (FailureType.system_error, FailureType.transient_error, FailureType.config_error)


class Notes:
    """Writes notes into the log. That Stripe can't be reached is told once, with its cause, and not for each endpoint."""

    def __init__(self) -> None:
        self._unreached: dict[str, str] = {}
        """By the endpoint why it could not be reached."""

    def log(self, note: Note) -> None:
        values = dict(note.values)
        if note.name == "failing" and not values["error"].status:
            is_known = values["error"].message in self._unreached.values()
            self._unreached[values["endpoint"]] = values["error"].message
            if is_known:
                return
            values["endpoint"] = "Stripe"
        elif note.name == "recovered" and (cause := self._unreached.pop(values["endpoint"], None)):
            if cause in self._unreached.values():
                return
            values["endpoint"] = "Stripe"
        elif note.name == "progress" and self._unreached:
            values["holding"] = next(iter(self._unreached.values()))
        extra = {"is_displayed": True} if note.name in DISPLAYED else None
        logger.log(*sentences.of_note(note.name, note.stream, values), extra=extra)


class Trouble(Watcher):
    """Tells the log at once of what is tried again."""

    def __init__(self) -> None:
        self._notes = Notes()

    def rate_limited(self, seconds: float) -> None:
        """Nothing: it passes within seconds."""

    def failing(self, endpoint: str, error: StripeError, seconds: float) -> None:
        self._notes.log(Note("failing", values={"endpoint": endpoint, "error": error, "seconds": seconds}))

    def recovered(self, endpoint: str) -> None:
        self._notes.log(Note("recovered", values={"endpoint": endpoint}))


class Messages:
    """Turns the items of a sync of so many streams into messages, and its notes into lines of the log.

    Pages, shares and notes stay what they are: `records_of` has a page's messages. Denials are reported last: by the first error
    the platform decides whether to try again. At the end an error is raised when a stream failed.
    """

    def __init__(self, streams: int, rows: sentences.Rows) -> None:
        self._streams, self._rows = streams, rows
        self._errors: dict[str, AirbyteTracedException] = {}
        self._records: Counter[str] = Counter()
        self._last_estimate = time.monotonic()
        self._notes = Notes()

    def of(self, items: Iterable[Item]) -> Iterator[Page | Shares | Note | AirbyteMessage]:
        for item in items:
            match item:
                case Page():
                    self._records[item.stream] += item.count
                    yield item
                case State():
                    yield _state(item)
                case Status():
                    yield _status(item)
                case Failed():
                    yield from self._failed(item)
                case Shares():
                    yield item
                    yield from self._estimates(item)
                case Note():
                    self._notes.log(item)
                    yield item
        for stream, error in self._errors.items():
            if error.failure_type == FailureType.config_error:
                yield error_message(error, StreamDescriptor(name=stream))
        if self._errors:
            raise self._summary()

    def _failed(self, item: Failed) -> Iterator[AirbyteMessage]:
        error = self._errors[item.stream] = traced(item.error, item.stream, item.permission, self._rows)
        text = f"{item.stream}: failed after {sentences.counted(item.records, 'record')}. {error.message}"
        logger.error(text, extra={"reason": sentences.own_words(str(error.message))})
        if error.failure_type != FailureType.config_error:
            yield error_message(error, StreamDescriptor(name=item.stream))
        yield as_airbyte_message(StreamDescriptor(name=item.stream), AirbyteStreamStatus.INCOMPLETE)

    def _estimates(self, item: Shares) -> Iterator[AirbyteMessage]:
        now = time.monotonic()
        if now - self._last_estimate < _SECONDS_BETWEEN_ESTIMATES:
            return
        self._last_estimate = now
        for stream, share in item.shares.items():
            if share > 0 and self._records[stream]:
                estimate = AirbyteEstimateTraceMessage(
                    name=stream, type=EstimateType.STREAM, row_estimate=round(self._records[stream] / share)
                )
                trace = AirbyteTraceMessage(type=TraceType.ESTIMATE, emitted_at=time.time() * 1000, estimate=estimate)
                yield AirbyteMessage(type=Type.TRACE, trace=trace)

    def _summary(self) -> AirbyteTracedException:
        """One error for the run: of the gravest kind that a stream's has; a system error is graver than one that may pass."""
        kinds = {error.failure_type for error in self._errors.values()}
        messages = {str(error.message) for error in self._errors.values()}
        return AirbyteTracedException(
            message=sentences.failed_streams(self._errors, self._streams, messages),
            internal_message="streams failed",
            failure_type=next(kind for kind in _GRAVEST_FIRST if kind in kinds),
        )


def records_of(page: Page) -> Iterator[AirbyteMessage]:
    """The records of a page as ordinary messages, for a reader in this process."""
    for line in page.whole.splitlines():
        try:
            record = msgspec.json.decode(line)["record"]
        except msgspec.ValidationError:  # A number beyond all that a float can be.
            record = msgspec.json.Decoder(float_hook=float).decode(line)["record"]
        yield AirbyteMessage(type=Type.RECORD, record=AirbyteRecordMessage(**record))


def _state(item: State) -> AirbyteMessage:
    stream = AirbyteStreamState(stream_descriptor=StreamDescriptor(name=item.stream), stream_state=AirbyteStateBlob(item.blob))
    return AirbyteMessage(type=Type.STATE, state=AirbyteStateMessage(type=AirbyteStateType.STREAM, stream=stream))


def _status(item: Status) -> AirbyteMessage:
    reasons = None
    if item.limited is not None:
        resets_at = round((time.time() + item.limited) * 1000)
        reasons = [
            AirbyteStreamStatusReason(
                type=AirbyteStreamStatusReasonType.RATE_LIMITED,
                rate_limited=AirbyteStreamStatusRateLimitedReason(quota_reset=resets_at),
            )
        ]
    return as_airbyte_message(StreamDescriptor(name=item.stream), _STATUSES[item.status], reasons)


def traced(error: BaseException, stream: str, permission: str, rows: sentences.Rows) -> AirbyteTracedException:
    """`error` as the CDK reports it: `config_error` for what the user can mend, `transient_error` for what passes."""
    match error:
        case AirbyteTracedException():
            return error
        case AccountsError():
            return _of_accounts(error, stream, rows)
        case BrokenState():
            return config_error(sentences.REFUSED_STATE.format(stream=stream, why=error))
        case NoRoomError():
            return config_error(sentences.NO_ROOM.format(error=error))
        case StripeError():
            sentence = sentences.of_error(error, permission, rows)
            if error.kind == "config" and not error.retryable:
                return config_error(sentence)
            kind = FailureType.transient_error if error.retryable else FailureType.system_error
            return AirbyteTracedException(message=sentence, internal_message=str(error), failure_type=kind, exception=error)
        case _:
            return AirbyteTracedException.from_exception(
                Exception(error) if not isinstance(error, Exception) else error,
                message=sentences.DEFECT.format(type=type(error).__name__),
            )


def _of_accounts(error: AccountsError, stream: str, rows: sentences.Rows) -> AirbyteTracedException:
    """The gravest of the accounts' errors, with the accounts named."""
    failed = [*error.failed.values(), *([error.given_up] if error.given_up is not None else [])]
    errors = [traced(each.error, stream, each.permission, rows) for each in failed]
    gravest = min(errors, key=lambda each: _GRAVEST_FIRST.index(each.failure_type))
    return AirbyteTracedException(
        message=sentences.failed_accounts(error.failed, error.not_tried, error.of, str(gravest.message)),
        internal_message=str(error),
        failure_type=gravest.failure_type,
        exception=gravest,
    )


def error_message(error: AirbyteTracedException, stream: StreamDescriptor | None = None) -> AirbyteMessage:
    """`error` in the protocol's words. Where in the code it came from is told only of a defect of the connector."""
    message = error.as_sanitized_airbyte_message(stream_descriptor=stream)
    if error.failure_type != FailureType.system_error and message.trace is not None and message.trace.error is not None:
        message.trace.error.stack_trace = None
    return message
