"""One request to Stripe and its answer."""

import random
import threading
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

import requests
import urllib3
from airbyte_cdk.sources.declarative.interpolation.interpolated_string import InterpolatedString
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from source_stripe.config import is_test_key
from source_stripe.errors import StripeError, error_of
from source_stripe.pace import Pace

# An answer that takes longer than this from its first byte to its last trickles: it is given up and asked for again.
_LONGEST_BODY = 120.0
_CHUNK = 1 << 18
# Kept open, as many as there may be workers.
_MOST_CONNECTIONS = 128
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Request:
    """A GET. `endpoint` is what Stripe counts its limit by: the path with its placeholders, `/v1/invoices/{id}`."""

    endpoint: str
    query: tuple[tuple[str, str], ...] = ()
    id: str = ""

    @property
    def target(self) -> str:
        """Path and query. An id may hold any character (merchants choose some of them)."""
        path = self.endpoint.replace("{id}", quote(self.id, safe=""))
        if not self.query:
            return path
        return f"{path}{'&' if '?' in path else '?'}{urlencode(self.query)}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Stripe's answer of status 200. `date` is Stripe's time, in epoch seconds, when it told one.

    It is kept as it came, which is a twentieth of its size: unpacked by who takes it apart, each time anew.
    """

    packed: bytes
    date: int | None
    request_id: str
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
        return StripeError(f"Stripe's answer could not be read: {why}", request_id=self.request_id, retryable=True)


@dataclass
class BackOff:
    """Pauses in seconds between tries of a request: twice as long each time, jittered, for `give_up_after` in all."""

    first_pause: float
    longest_pause: float
    give_up_after: float

    def pause(self, error: StripeError, tries: int) -> float:
        """How long to wait after the `tries`-th failed try."""
        pause = min(self.longest_pause, self.first_pause * 2.0 ** min(tries - 1, 16)) * random.uniform(0.5, 1.0)
        return max(pause, error.pause or 0.0)


class Trip(Protocol):
    """Who is told how far a request is. Called by the thread that sends it."""

    def has_left(self) -> None:
        """It has gone out, which may be well after it was begun with: a connection is made first."""

    def is_answered(self) -> None:
        """An answer of status 200 has begun to come."""


class _Thread(threading.local):
    """Whom the request that this thread is sending tells."""

    trip: Trip | None = None


_thread = _Thread()


class _Connection(HTTPConnection):
    """Tells when a request has gone out, which is when the wait for its answer begins, and when that wait is over."""

    def getresponse(self) -> Any:
        trip = _thread.trip
        if trip is None:
            return super().getresponse()
        trip.has_left()
        response = super().getresponse()
        if response.status == 200:
            trip.is_answered()
        return response


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Adapter(HTTPAdapter):
    """Makes connections that tell how far a request is."""

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        pool.ConnectionCls = _TlsConnection if isinstance(pool, HTTPSConnectionPool) else _Connection
        return pool


@dataclass(repr=False)
class StripeRequester:
    """Sends requests to one account, over connections that are kept and shared by all workers; thread-safe.

    It tries each request once: when to send is the `pace`'s to say, and whether to try again the `back_off`'s.
    The key goes to the configured address and nowhere else: redirects are not followed.
    """

    config: Mapping[str, Any]
    api_base: str
    authenticator: AuthBase
    request_headers: Mapping[str, str]
    connect_timeout_in_seconds: int
    read_timeout_in_seconds: int
    rate_limits: Mapping[str, Any]
    back_off: Mapping[str, float]

    def __post_init__(self) -> None:
        self.api_base = self._evaluated(self.api_base)
        self._secret = str(self.config.get("secret_key", ""))
        self.retry = BackOff(**self.back_off)
        headers = {name: self._evaluated(value) for name, value in self.request_headers.items()}
        headers |= {"Accept-Encoding": "gzip", "User-Agent": "airbyte-source-stripe"}
        self._template = requests.Request(
            "GET",
            self.api_base + "/v1",
            headers={name: value for name, value in headers.items() if value},
            auth=self.authenticator,
        ).prepare()
        self._session = requests.Session()
        adapter = _Adapter(pool_connections=2, pool_maxsize=_MOST_CONNECTIONS, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        # Looked up once: proxies and certificates come from the environment, as everywhere.
        self._settings = self._session.merge_environment_settings(self.api_base, {}, True, None, None)
        self._settings["stream"] = True

    def _evaluated(self, text: str) -> str:
        return str(InterpolatedString.create(str(text), parameters={}).eval(self.config) or "")

    def pace(self) -> Pace:
        """A pace of this account's limits, none of it used."""
        limits = self.rate_limits
        rate = float(limits["test"] if is_test_key(self._secret) else limits["live"])
        endpoint_rate = float(limits["endpoint"])
        if configured := self._evaluated(limits["configured"]):
            # Who was granted more than the usual limits has them raised for endpoints too.
            endpoint_rate = max(endpoint_rate, endpoint_rate * float(configured) / float(limits["live"]))
            rate = float(configured)
        return Pace(rate, endpoint_rate)

    def send(self, request: Request, trip: Trip | None = None) -> Answer:
        """Stripe's answer; raises `StripeError` for any other than 200, and when none came. `trip` is told how far it is."""
        prepared = self._template.copy()
        prepared.url = self.api_base + request.target
        request_id = ""
        _thread.trip = trip
        try:
            response = self._session.send(
                prepared,
                timeout=(self.connect_timeout_in_seconds, self.read_timeout_in_seconds),
                allow_redirects=False,
                **self._settings,
            )
            request_id = response.headers.get("Request-Id", "")
            body = self._body(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, EOFError) as error:
            raise self._broken(error, request_id) from error
        headers = response.headers
        date = _epoch(headers.get("Date"))
        answer = Answer(body, date, request_id, headers.get("Content-Encoding", "").lower() == "gzip")
        if response.status_code == 200:
            return answer
        error_answer = error_of(response.status_code, headers, answer.body, date)
        error_answer.message = self._without_secret(error_answer.message)
        if 300 <= response.status_code < 400:
            error_answer.message = f"{urlsplit(self.api_base).netloc} answered with a redirect, which is not followed"
        raise error_answer

    def _body(self, response: requests.Response) -> bytes:
        """The whole body, still packed. It is read piece by piece, so that one that trickles in for minutes is noticed."""
        deadline = time.monotonic() + _LONGEST_BODY
        pieces = []
        try:
            while piece := response.raw.read1(_CHUNK, decode_content=False):
                pieces.append(piece)
                if time.monotonic() > deadline:
                    raise requests.ReadTimeout("the answer trickled")
        except BaseException:
            response.close()
            raise
        return b"".join(pieces)

    def _broken(self, error: Exception, request_id: str) -> StripeError:
        host = urlsplit(self.api_base).netloc
        return StripeError(f"{host} could not be reached: {_cause(error)}", request_id=request_id, retryable=True)

    def _without_secret(self, text: str) -> str:
        return text.replace(self._secret, "****") if self._secret else text

    def close(self) -> None:
        self._session.close()


def _cause(error: BaseException) -> str:
    """In a few words what broke, with what a user can do about it. Addresses and headers stay out of it."""
    text = f"{type(error).__name__} {error}"
    for sign, words in _CAUSES:
        if sign in text:
            return words
    return f"the connection broke ({type(error).__name__})"


_CAUSES = (
    ("ProxyError", "the proxy refused or is not there; see HTTPS_PROXY and NO_PROXY in the environment"),
    ("NameResolution", "its name can't be resolved; check the network and, behind a proxy, set HTTPS_PROXY"),
    ("CERTIFICATE_VERIFY", "its certificate is not trusted; if a proxy opens TLS, name its certificate in REQUESTS_CA_BUNDLE"),
    ("SSL", "TLS could not be set up"),
    ("refused", "the connection is refused; check the network and, behind a proxy, set HTTPS_PROXY"),
    ("ConnectTimeout", "no connection in time; check the network and, behind a proxy, set HTTPS_PROXY"),
    ("Timeout", "no answer in time"),
    ("timed out", "no answer in time"),
    ("trickled", "no whole answer in time"),
)


def _epoch(text: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(text).timestamp()) if text else None
    except ValueError:
        return None


def query_of(parameters: Mapping[str, str | int | Iterable[str]]) -> tuple[tuple[str, str], ...]:
    """Parameters as Stripe takes them: a list is named `name[]`, once an item."""
    return tuple(
        (f"{name}[]", item) if many else (name, item)
        for name, value in parameters.items()
        for many in (not isinstance(value, str | int),)
        for item in (value if many else (str(value),))  # type: ignore[union-attr]
    )
