"""What Stripe, or the way to it, says no with."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

Kind = Literal["config", "transient", "system"]
"""Whom an error concerns: the user who can mend it, nobody for it passes, or the connector."""

_NOT_ENABLED = re.compile(
    "not (set up|authorized|enabled|eligible|onboarded) |only available in test ?mode|[Hh]ave you onboarded"
    "|Unrecognized request URL"
)
_NOT_ABOUT_PERMISSIONS = ("account_invalid", "platform_account_required", "secret_key_required")


@dataclass
class StripeError(Exception):
    """A request that brought no answer to use.

    `status` is 0 when no answer came or its body was unreadable. `pause` is how long Stripe asks to wait, in seconds.
    `limited` names the limit of a 429 (`global-rate`, `endpoint-rate`, ...); "" when it was none.
    `date` is Stripe's time of the answer, in epoch seconds, if it told one. `asked` is the path, where it is not the list of the
    stream that fails.
    """

    message: str
    status: int = 0
    code: str = ""
    param: str = ""
    request_id: str = ""
    retryable: bool = False
    kind: Kind = "system"
    pause: float = 0.0
    limited: str = ""
    date: int | None = None
    asked: str = ""

    def __str__(self) -> str:
        """Stripe's own words with what finds the request in Stripe's logs."""
        status = f"HTTP {self.status}" if self.status else ""
        marks = [self.asked, status, f"request {self.request_id}" if self.request_id else ""]
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
        is_about_it = self.code == "resource_missing" and self.param in ("starting_after", "")
        return self.status in (400, 404) and (is_about_it or self.is_aged_out)

    @property
    def is_aged_out(self) -> bool:
        return "aged out" in self.message

    @property
    def is_not_enabled(self) -> bool:
        """Whether the account does not have the product that the list is of: each says so in a sentence of its own."""
        is_plain = self.status in (400, 403, 404) and not self.param and self.code in ("", "testmode_charges_only")
        return is_plain and bool(_NOT_ENABLED.search(self.message))

    @property
    def is_missing_permission(self) -> bool:
        return self.status == 403 and self.code not in _NOT_ABOUT_PERMISSIONS


class _Error(msgspec.Struct):
    message: str = ""
    code: str = ""
    param: str = ""


class _Body(msgspec.Struct):
    error: _Error


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> StripeError:
    """The error that an answer other than 200 stands for; it never fails, whatever the body is."""
    try:
        error = msgspec.json.decode(body, type=_Body).error
    except (msgspec.MsgspecError, RecursionError):  # The latter: it is nested too deeply.
        error = _Error()
    limited = headers.get("Stripe-Rate-Limited-Reason", "") if status == 429 else ""
    if (status == 429 or error.code == "rate_limit") and not limited and error.code != "lock_timeout":
        limited = "unnamed"
    return StripeError(
        message=error.message or f"Stripe answered {status} without a message",
        status=status,
        code=error.code,
        param=error.param,
        request_id=headers.get("Request-Id", ""),
        limited=limited,
    )


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error of a group that counts: the first, for it called the others off."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
