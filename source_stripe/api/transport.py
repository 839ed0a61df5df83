"""How a request gets to Stripe and its answer back: connections, threads, and what breaks on the way."""

import asyncio
import io
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from source_stripe.api.errors import Kind, StripeError, error_of
from source_stripe.api.request import Answer, Request

# An answer that takes longer than this from its first byte to its last trickles: it is given up and asked for again.
_LONGEST_BODY = 120.0
_CHUNK = 1 << 18

_CAUSES = (
    ("SOCKS", "proxies that speak SOCKS are not supported; name one that speaks HTTP in HTTPS_PROXY"),
    ("InvalidProxyURL", "the proxy's address is not valid; correct HTTPS_PROXY in the environment"),
    ("InvalidURL", "its address, or the proxy's, is not valid; correct HTTPS_PROXY in the environment"),
    ("InvalidSchema", "its address, or the proxy's, is not valid; correct HTTPS_PROXY in the environment"),
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
"""What an exception's text holds, and what to tell of it, the first that fits."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request that was refused: whether to try again, after how many seconds at least, whether it met a
    rate limit, and whom it concerns in the end."""

    retry: bool
    is_limit: bool
    kind: Kind
    pause: float = 0.0


Judge = Callable[[requests.Response], Verdict]


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


class Transport:
    """Sends requests to one address, once each, over connections that are kept and shared by `threads` threads.

    The key goes to that address and nowhere else: redirects are not followed. `timeouts` are seconds to connect and to wait
    for more of an answer; `secret` is left out of what an error tells; `account_header` is the header that names another
    account than the key's own.
    """

    def __init__(
        self,
        base: str,
        headers: Mapping[str, str],
        authenticator: AuthBase,
        judge: Judge,
        timeouts: tuple[float, float],
        threads: int,
        secret: str = "",
        account_header: str = "",
    ) -> None:
        self._account_header = account_header
        self._base, self._judge, self._timeouts, self._secret = base, judge, timeouts, secret
        self._template = requests.Request("GET", base + "/v1", headers=dict(headers), auth=authenticator).prepare()
        # Without a session, which would look for cookies and redirects in each answer.
        self._adapter = _Adapter(pool_connections=2, pool_maxsize=threads, max_retries=0)
        # Looked up once: proxies and certificates come from the environment, as everywhere.
        settings = requests.Session().merge_environment_settings(base, {}, stream=True, verify=None, cert=None)
        self._settings: dict[str, Any] = dict(settings)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")

    def about(self, account: str) -> "Transport":
        """Sends requests about that account over the same connections; "" is the key's own."""
        other = copy(self)
        other._template = self._template.copy()
        if account:
            other._template.headers[self._account_header] = account
        return other

    async def send(self, request: Request, trip: Trip | None = None) -> Answer:
        """Stripe's answer; raises `StripeError` for any other than 200, and when none came. `trip` is told how far it is."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._send, request, trip)

    def close(self) -> None:
        """Close the connections. A thread whose answer does not come is left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._adapter.close()

    def _send(self, request: Request, trip: Trip | None) -> Answer:
        prepared = copy(self._template)
        prepared.url = self._base + request.target
        request_id = ""
        _thread.trip = trip
        try:
            response = self._adapter.send(prepared, timeout=self._timeouts, **self._settings)
            request_id = response.headers.get("Request-Id", "")
            body = _body_of(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, EOFError) as error:
            host, is_setting = urlsplit(self._base).netloc, isinstance(error, ValueError)  # An address that is not valid.
            raise StripeError(
                f"{host} could not be reached: {_cause(error)}",
                request_id=request_id,
                retryable=not is_setting,
                kind="config" if is_setting else "transient",
            ) from error
        headers = response.headers
        is_zipped = headers.get("Content-Encoding", "").lower() == "gzip"
        answer = Answer(body, _epoch(headers.get("Date")), request_id, is_zipped)
        if response.status_code != 200:
            raise self._refusal(response, answer)
        return answer

    def _refusal(self, response: requests.Response, answer: Answer) -> StripeError:
        body = answer.body
        error = error_of(response.status_code, response.headers, body)
        error.date = answer.date
        error.message = error.message.replace(self._secret, "****") if self._secret else error.message
        if 300 <= error.status < 400:
            error.message = f"{urlsplit(self._base).netloc} answered with a redirect, which is not followed"
            return error
        try:
            verdict = self._judge(_whole(response, body))
        except RecursionError:  # It is nested too deeply to be read.
            verdict = self._judge(_whole(response, b""))
        error.retryable, error.kind, error.pause = verdict.retry, verdict.kind, verdict.pause
        error.limited = error.limited if verdict.is_limit else ""
        if _is_cut(body):  # What it would say may be that an object is gone, for one.
            error.retryable, error.kind = True, "transient"
        return error


def _is_cut(body: bytes) -> bool:
    """Whether the body begins as an object of JSON and does not end as one."""
    text = body.strip()
    return text.startswith(b"{") and not text.endswith(b"}")


def _body_of(response: requests.Response) -> bytes:
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


def _whole(response: requests.Response, body: bytes) -> requests.Response:
    """The same response with its `body` read and unpacked, for who asks for its JSON."""
    whole = requests.Response()
    whole.status_code, whole.headers, whole.url = response.status_code, response.headers, response.url
    whole.raw = io.BytesIO(body)
    return whole


def _cause(error: BaseException) -> str:
    """In a few words what broke, with what a user can do about it. Addresses and headers stay out of it."""
    text = f"{type(error).__name__} {error}"
    return next((words for sign, words in _CAUSES if sign in text), f"the connection broke ({type(error).__name__})")


def _epoch(text: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(text).timestamp()) if text else None
    except ValueError:
        return None
