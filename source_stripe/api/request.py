"""One request to Stripe, and its answer."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from source_stripe.api.errors import StripeError

_GZIP = 16 + zlib.MAX_WBITS

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A GET. `endpoint` is what Stripe counts its limit by: the path with its placeholder, `/v1/invoices/{id}`."""

    endpoint: str
    query: Query = ()
    id: str = ""

    @property
    def target(self) -> str:
        """Path and query. An id may hold any character (merchants choose some of them)."""
        id = self.id.replace(".", "%2E") if self.id in (".", "..") else quote(self.id, safe="")  # Else it would be a folder.
        path = self.endpoint.replace("{id}", id)
        return f"{path}?{urlencode(self.query)}" if self.query else path


@dataclass(frozen=True, slots=True)
class Answer:
    """Stripe's answer of status 200. `date` is Stripe's time, in epoch seconds, when it told one.

    It is kept as it came, which is a twentieth of its size, and unpacked by who takes it apart, each time anew.
    """

    packed: bytes
    date: int | None = None
    request_id: str = ""
    is_zipped: bool = False

    @property
    def body(self) -> bytes:
        """The JSON text; raises a `StripeError` to be tried again when it can't be unpacked."""
        try:
            return zlib.decompress(self.packed, _GZIP) if self.is_zipped else self.packed
        except zlib.error as error:
            raise self.unreadable("its compression is broken") from error

    def unreadable(self, why: str) -> StripeError:
        """A body that is cut or is no JSON: asked for again, like a broken connection."""
        return StripeError(
            f"Stripe's answer could not be read: {why}", request_id=self.request_id, retryable=True, kind="transient"
        )

    def odd(self, why: str) -> StripeError:
        """A body that is whole and yet not of a shape that can be used: asking again brings the same."""
        return StripeError(f"Stripe's answer has a shape that can't be read: {why}", request_id=self.request_id)


def query_of(parameters: Mapping[str, str | int | Iterable[str]]) -> Query:
    """Parameters as Stripe takes them: a list is named `name[]`, once an item."""
    query: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if isinstance(value, str | int):
            query.append((name, str(value)))
        else:
            query += [(f"{name}[]", item) for item in value]
    return tuple(query)
