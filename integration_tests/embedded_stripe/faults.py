"""The ways in which a network or a server fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .errors import StripeError, went_wrong

KINDS = {
    "status": "a status of choice, with a body of choice",
    "rate_limit": "429, with the header that tells the reason or without",
    "lock_timeout": "429, because something else holds the object",
    "permission": "403, as if the key lacked the permission",
    "revoked": "401, as if the key had just been revoked",
    "redirect": "302 to another address",
    "not_json": "200 with a page of HTML",
    "empty_200": "200 with nothing",
    "empty_page_with_more": "a page without objects that says there are more",
    "repeat_page": "the first page again, whatever the cursor",
    "odd_value": "200 with any text in place of a field's value",
    "cut_body": "JSON that breaks off, with the length of what is there",
    "short_body": "less than the announced length, then the end",
    "gzip_broken": "a gzip stream that breaks off",
    "reset_before": "the connection reset before the answer",
    "reset_inside": "the connection reset in the middle of the body",
    "hang": "no answer until the server stops",
    "slow": "the answer after some seconds",
    "trickle": "the answer a byte at a time",
}


@dataclass
class Fault:
    """What goes wrong with the requests whose path (with its query) matches `path`, a regular expression, and for
    which `match` is true: `times` of them, or all if None, once `after` have gone well.

    `status`, `body` ("json", "html", "empty"), `code`, `message` and `param` shape the kind `status`; `headers` come with it,
    and with `rate_limit` and `lock_timeout`; `reason` is the `Stripe-Rate-Limited-Reason` of `rate_limit`; `seconds` is for
    `slow` and, a byte, for `trickle`; `location` is where `redirect` points to. `odd_value` puts `raw` in place of the body's
    first value `of`.
    """

    kind: str
    path: str | None = None
    times: int | None = 1
    after: int = 0
    match: Callable[[Any], bool] | None = None
    status: int = 500
    body: str = "json"
    headers: dict[str, str] = field(default_factory=dict)
    code: str | None = None
    message: str | None = None
    param: str | None = None
    reason: str | None = "endpoint-rate"
    seconds: float = 1.0
    location: str | None = None
    of: str = "description"
    raw: str | bytes = "null"
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}; there are {', '.join(sorted(KINDS))}")

    def error(self) -> StripeError:
        """What the kind `status` answers as JSON."""
        if self.status >= 500 and not (self.message or self.code):
            return went_wrong(self.status, self.headers)
        message = self.message or "An unknown error occurred"
        return StripeError(self.status, message, self.code, self.param, headers=self.headers)

    def spoiled(self, body: bytes) -> bytes:
        """What the kind `odd_value` makes of a body."""
        raw = self.raw.encode() if isinstance(self.raw, str) else self.raw
        value = rb'"(?:[^"\\]|\\.)*"|[^,\s"\[{]+|\[\]|\{\}'
        return re.sub(rb'("%b": )(?:%b)' % (self.of.encode(), value), lambda found: found[1] + raw, body, count=1)

    def strikes(self, target: str, request: Any) -> bool:
        """Whether this request is one to fail; counts it."""
        if self.times == 0 or (self.path and not re.search(self.path, target)):
            return False
        if self.match and not self.match(request):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        self.hits += 1
        return True
