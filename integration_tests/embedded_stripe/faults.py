"""The ways in which a network or a server fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KINDS = frozenset(
    "status rate_limit lock_timeout reset_before reset_inside cut_body short_body not_json empty_200 gzip_broken hang "
    "trickle empty_page_with_more repeat_page redirect permission revoked slow".split()
)


@dataclass
class Fault:
    """What goes wrong with the requests whose path (with its query) matches `path`, a regular expression, and for
    which `match` is true: `times` of them, or all if None, once `after` have gone well.

    `status`, `body` ("json", "html", "empty"), `headers`, `code` and `message` shape the kind `status`; `reason` is
    the `Stripe-Rate-Limited-Reason` of `rate_limit`; `seconds` is for `slow` and, a byte, for `trickle`; `location` is
    where `redirect` points to.
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
    reason: str | None = "endpoint-rate"
    seconds: float = 1.0
    location: str | None = None
    hits: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}; there are {', '.join(sorted(KINDS))}")

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
