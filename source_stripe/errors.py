"""What Stripe, or the way to it, says no with: one class, and the sentences that a user reads."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from airbyte_cdk.models import AirbyteMessage, FailureType, StreamDescriptor
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe.config import KEYS_PAGE, config_error


@dataclass
class StripeError(Exception):
    """A request that brought no answer to use.

    `status` is 0 when no answer came or its body was unreadable. `pause` is how long Stripe asks to wait, in seconds.
    `limited` names the limit of a 429 (`global-rate`, `endpoint-rate`, ...); "" when it was none.
    `date` is Stripe's time of the answer, in epoch seconds, if it told one.
    """

    message: str
    status: int = 0
    code: str = ""
    param: str = ""
    request_id: str = ""
    retryable: bool = False
    pause: float | None = None
    limited: str = ""
    date: int | None = None

    def __str__(self) -> str:
        """Stripe's own words with what finds the request in Stripe's logs."""
        marks = [f"HTTP {self.status}" if self.status else "", f"request {self.request_id}" if self.request_id else ""]
        where = ", ".join(mark for mark in marks if mark)
        return f"{self.message} ({where})" if where else self.message

    @property
    def is_missing_object(self) -> bool:
        """Whether the object asked for, or whose list is asked for, does not exist (any more).

        Not so a 404 without a code: that is a wrong address.
        """
        return self.status in (400, 404) and self.code == "resource_missing" and self.param != "starting_after"

    @property
    def is_missing_cursor(self) -> bool:
        """Whether the object that a page was to start after can't be found (any more).

        An event that left the 30 days answers with a text of its own.
        """
        return self.status in (400, 404) and (
            (self.code == "resource_missing" and self.param in ("starting_after", "")) or self.is_aged_out
        )

    @property
    def is_aged_out(self) -> bool:
        return "aged out" in self.message

    @property
    def is_missing_permission(self) -> bool:
        return self.status == 403 and self.code not in ("account_invalid", "platform_account_required", "secret_key_required")


class _Error(msgspec.Struct):
    message: str = ""
    code: str = ""
    param: str = ""


class _Body(msgspec.Struct):
    error: _Error


def error_of(status: int, headers: Mapping[str, str], body: bytes, date: int | None) -> StripeError:
    """The error that an answer other than 200 stands for; it never fails, whatever the body is.

    What is worth another try is what Stripe's own libraries try again, and 429 besides:
    https://github.com/stripe/stripe-python/blob/master/stripe/_http_client.py
    """
    try:
        error = msgspec.json.decode(body, type=_Body).error
    except msgspec.MsgspecError:
        error = _Error()
    limited = headers.get("Stripe-Rate-Limited-Reason", "") if status == 429 else ""
    rate_limited = status == 429 or error.code == "rate_limit"
    if rate_limited and not limited and error.code != "lock_timeout":
        limited = "unnamed"
    retryable = rate_limited or status in (408, 409, 425) or status >= 500
    if (asked := headers.get("Stripe-Should-Retry", "").lower()) in ("true", "false"):
        retryable = asked == "true"
    return StripeError(
        message=error.message or f"Stripe answered {status} without a message",
        status=status,
        code=error.code,
        param=error.param,
        request_id=headers.get("Request-Id", ""),
        retryable=retryable,
        pause=_seconds(headers.get("Retry-After")),
        limited=limited,
        date=date,
    )


def _seconds(text: str | None) -> float | None:
    try:
        return min(max(float(text), 0.0), 300.0) if text else None
    except ValueError:
        return None


def sentence_of(error: StripeError, permission: str) -> str:
    """What a user reads of `error`: what is wrong, what to do, and Stripe's own words.

    `permission` is the row of a restricted key's form that the request needs, for example "Charges and Refunds".
    """
    if error.status == 401:
        return f"{_KEY_FIXES.get(_reason_of_401(error), _KEY_FIXES['invalid'])} Stripe says: {error}"
    if error.code == "secret_key_required" or "publishable API key" in error.message:
        return f"Invalid API Key: it is a publishable key. Use a restricted or secret key ({KEYS_PAGE}). Stripe says: {error}"
    if error.code == "account_invalid":
        return (
            "Account not connected: the key has no access to the account in `account_id`. Correct the option, empty it to read"
            f" the key's own account, or have that account connect to your platform again. Stripe says: {error}"
        )
    if error.code == "platform_account_required":
        return f"Account not connected: the key is no Connect platform's. Empty the option `account_id`. Stripe says: {error}"
    if error.is_missing_permission:
        return (
            f"Permission denied: the key may not read this. Set {missing_rows(error, permission)} in the key's form at"
            f" {KEYS_PAGE}, or leave the stream out. Stripe says: {error}"
        )
    if error.limited:
        return f"Rate limit exceeded: Stripe kept refusing for too many requests. Lower `call_rate_limit`. Stripe says: {error}"
    if "Invalid Stripe API version" in error.message:
        return f"Stripe does not know the API version that this connector reads: update the connector. Stripe says: {error}"
    if error.retryable:
        return f"Stripe could not be read, and trying again did not help. The next sync goes on from here. {error}"
    return f"Stripe refused a request in a way that trying again can't mend: {error}"


def missing_rows(error: StripeError, permission: str) -> str:
    """The rows of a key's form to set: those that Stripe names, which may be another object's that is shown inside, else
    the stream's own."""
    return ", ".join(f'"{row}: Read"' for row in re.findall(r'"([^"]+) Read"', error.message) or [permission])


_KEY_FIXES = {
    "expired": f"Invalid API Key: the key has expired. Create a new one at {KEYS_PAGE} and put it into `secret_key`.",
    "address": (
        "Invalid API Key: the key may not be used from this machine's IP address. Allow the address in the key's settings"
        f" at {KEYS_PAGE}."
    ),
    "invalid": (
        "Invalid API Key: Stripe does not know the key, or it was revoked. Copy the key again, or create a new one at"
        f" {KEYS_PAGE}, and put it into `secret_key`."
    ),
}


def _reason_of_401(error: StripeError) -> str:
    if error.code == "api_key_expired" or error.message.startswith("Expired"):
        return "expired"
    return "address" if "IP address" in error.message else "invalid"


def traced(error: Exception, permission: str) -> AirbyteTracedException:
    """`error` as the CDK reports it: `config_error` for what the user can mend, `transient_error` for what passes."""
    if isinstance(error, AirbyteTracedException):
        return error
    if not isinstance(error, StripeError):
        return AirbyteTracedException.from_exception(
            error, message=f"The connector failed on its own account ({type(error).__name__}). Please report this."
        )
    sentence = sentence_of(error, permission)
    if error.retryable:
        return AirbyteTracedException(
            message=sentence, internal_message=str(error), failure_type=FailureType.transient_error, exception=error
        )
    if error.status in (401, 403):
        return config_error(sentence)
    return AirbyteTracedException(
        message=sentence, internal_message=str(error), failure_type=FailureType.system_error, exception=error
    )


def error_message(error: AirbyteTracedException, stream: StreamDescriptor | None = None) -> AirbyteMessage:
    """`error` in the protocol's words. Where in the code it came from is told only of a defect of the connector."""
    message = error.as_sanitized_airbyte_message(stream_descriptor=stream)
    if error.failure_type != FailureType.system_error and message.trace is not None and message.trace.error is not None:
        message.trace.error.stack_trace = None
    return message
