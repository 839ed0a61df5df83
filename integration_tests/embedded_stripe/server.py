"""The HTTP server: keys, limits, faults, the log of requests, and the control interface for other processes."""

from __future__ import annotations

import base64
import contextlib
import math
import re
import secrets
import socket
import string
import struct
import threading
import time
import zlib
from bisect import bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from itertools import product
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import orjson

from . import errors
from .account import Account
from .api import Call, Route, answer, page, refused_write, route
from .control import controlled
from .endpoints import IMPLIED_PERMISSIONS, OWN_ACCOUNT_PERMISSION, PERMISSIONS, VERSIONS
from .errors import StripeError
from .faults import Fault
from .parameters import Query, parsed

_CHARACTERS = string.ascii_letters + string.digits
_LONGEST_WAIT = 3.0
"""So many seconds after it came a request may be looked at, and be counted rightly."""
_HTML = b"<html>\n<head><title>503 Service Temporarily Unavailable</title></head>\n<body>nginx</body>\n</html>\n"


@dataclass(frozen=True)
class Request:
    """A request as it came. `at` is monotonic; the key shows only its end."""

    method: str
    path: str
    query: Query
    headers: dict[str, str]
    status: int
    at: float
    key_suffix: str


@dataclass
class Key:
    """`permissions` is None for a secret key, which may read all; `connect`, what it may read of connected accounts, is None
    if that is the same."""

    token: str
    livemode: bool
    permissions: set[str] | None = None
    connect: set[str] | None = None
    state: str = "good"
    ident: str = field(default_factory=lambda: "mk_1" + secrets.token_hex(10))

    def require(self, permission: str, row: str, account: Account) -> None:
        given = self.permissions if self.connect is None or account.platform is None else self.connect
        if given is None or not permission:
            return
        held = {each.removeprefix("rak_").replace("_write", "_read") for each in given}
        for each in tuple(held):
            held |= IMPLIED_PERMISSIONS.get(each, set())
        if permission not in held:
            raise errors.permission_denied(self.token, self.ident, account.id, row, permission)


@dataclass
class _Reply:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    request_id: bool = True


@dataclass
class _Incoming:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    address: str
    at: float
    is_last: bool
    """Whether the client wants the connection closed after the answer."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> Query:
        return parsed(self.target.partition("?")[2])


class _Incomings:
    """The requests of one connection. A client that closes it ends them with an EOFError, wherever it stops."""

    def __init__(self, connection: socket.socket, address: str) -> None:
        self._connection, self._address = connection, address
        self._buffer = b""

    def next(self) -> _Incoming:
        """Raises ValueError if what comes is no request."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._receive()
        head, self._buffer = self._buffer[:end].decode("latin-1"), self._buffer[end + 4 :]
        at = time.monotonic()
        first, *lines = head.split("\r\n")
        method, target, version = first.split(" ", 2)
        if not target.startswith("/"):  # as to a proxy, with scheme and host
            target = "/" + re.sub(r"^https?://[^/?]*/?", "", target, flags=re.IGNORECASE)
        headers = {name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
        options = {option.strip() for option in headers.get("connection", "").lower().split(",")}
        is_last = "close" in options or (version == "HTTP/1.0" and "keep-alive" not in options)
        return _Incoming(method, target, headers, self._body(headers), self._address, at, is_last)

    def _body(self, headers: dict[str, str]) -> bytes:
        length = int(headers.get("content-length", 0))
        if length and headers.get("expect", "").lower() == "100-continue":
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._buffer) < length:
            self._receive()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return body

    def _receive(self) -> None:
        chunk = self._connection.recv(65536)
        if not chunk:
            raise EOFError
        self._buffer += chunk


class _Limits:
    """Stripe's rate limits, kept strictly: no second, wherever it begins, holds more than allowed.

    What counts is when a request came, though another that came later may be looked at first.
    """

    def __init__(self) -> None:
        self.per_second: float | None = None
        self.per_endpoint: float | None = None
        self.tell_reason = True
        self.counted_by: tuple[str, ...] = ("account",)
        self._times: dict[tuple[str, bool, str], list[float]] = {}

    def admit(self, account: Account, operation: str, at: float, key: str = "") -> None:
        checks = [(self.per_second, "", "global-rate"), (self.per_endpoint, operation, "endpoint-rate")]
        names = {"account": account.id, "key": key}
        taken = []
        for counted, (limit, name, reason) in product(self.counted_by, checks):
            if limit is None:
                continue
            times = self._times.setdefault((names[counted], account.livemode, name), [])
            del times[: bisect_right(times, at - _LONGEST_WAIT)]
            if _are_too_many([*times, at], math.ceil(limit)):
                raise errors.rate_limited(account.livemode, reason if self.tell_reason else None)
            taken.append(times)
        for times in taken:
            insort(times, at)


def _are_too_many(times: list[float], limit: int) -> bool:
    """Whether a second of `times`, sorted but for the last, holds more than `limit` and that last one."""
    place = bisect_right(times, times[-1], 0, len(times) - 1)
    times.insert(place, times.pop())
    return any(later - times[last - limit] < 1 for last, later in enumerate(times[place:], place) if last >= limit)


class StripeServer:
    """`with StripeServer(account) as server:` serves the account at `server.url`, on a port of the loopback.

    `secret_key` reads its test mode or, if the account is a live one, still the mode that its prefix tells.
    """

    def __init__(
        self, account: Account, *, latency: float = 0.0, gzip: bool = True, port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self.account = account
        self.latency, self.gzip = latency, gzip
        self.organization = {account.id: account}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.keys: dict[str, Key] = {}
        self._limits = _Limits()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._sockets: set[socket.socket] = set()
        self.secret_key = self._new_key("sk_test_", None)
        self.live_key = self._new_key("sk_live_", None)
        self._host, self._port = host, port

    # ------------------------------------------------------------------ start and stop

    def start(self) -> StripeServer:
        self._listener = socket.create_server((self._host, self._port), backlog=256)
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="embedded-stripe", daemon=True).start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> StripeServer:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._port}"

    # ------------------------------------------------------------------ keys and accounts

    def _new_key(self, prefix: str, permissions: Iterable[str] | None) -> str:
        token = prefix + "".join(secrets.choice(_CHARACTERS) for _ in range(99))
        held = None if permissions is None else set(permissions)
        self.keys[token] = Key(token, "_live_" in prefix, held)
        return token

    def restricted_key(
        self, permissions: Iterable[str] | None = None, *, live: bool = False, connect: Iterable[str] | None = None
    ) -> str:
        """A new key that may read what `permissions` ("charge_read", …) say, by default all that the lists need; of connected
        accounts what `connect` says, by default the same."""
        every = {permission for permission, _ in (*PERMISSIONS.values(), OWN_ACCOUNT_PERMISSION)}
        token = self._new_key("rk_live_" if live else "rk_test_", every if permissions is None else permissions)
        self.keys[token].connect = None if connect is None else set(connect)
        return token

    def organization_key(self, *, live: bool = False) -> str:
        """A new key of the organization, for this account and those that joined it."""
        token = f"sk_org_{'live' if live else 'test'}_" + "".join(secrets.choice(_CHARACTERS) for _ in range(200))
        return self.add_key(token)

    def join_organization(self, account: Account) -> None:
        self.organization[account.id] = account

    def add_key(self, token: str, permissions: Iterable[str] | None = None) -> str:
        """A key of the caller's own choice."""
        self.keys[token] = Key(token, "_live_" in token, None if permissions is None else set(permissions))
        return token

    def revoke(self, key: str) -> None:
        self.keys[key].state = "revoked"

    def expire(self, key: str) -> None:
        self.keys[key].state = "expired"

    def bind_ip(self, key: str) -> None:
        """The key works from some other address only."""
        self.keys[key].state = "bound"

    def restore(self, key: str) -> None:
        self.keys[key].state = "good"

    def allow(self, key: str, permission: str) -> None:
        held = self.keys[key].permissions
        if held is not None:
            held.add(permission)

    def forbid(self, key: str, permission: str) -> None:
        """Also makes a secret key into one that may read all but this."""
        found = self.keys[key]
        if found.permissions is None:
            found.permissions = {each for each, _ in (*PERMISSIONS.values(), OWN_ACCOUNT_PERMISSION)}
        found.permissions.discard(permission)

    def connect(self, ident: str, account: Account) -> None:
        """A connected account, read with the header `Stripe-Account`."""
        self.account.connect(ident, account)

    # ------------------------------------------------------------------ limits, faults, log

    def limit(
        self,
        per_second: float | None = None,
        per_endpoint: float | None = None,
        *,
        tell_reason: bool = True,
        per: str = "account",
    ) -> None:
        """429 beyond so many requests in any one second, in all and for each endpoint. `per` says what is counted together: the
        requests about one "account", those of one "key", or "both", each by itself."""
        self._limits.per_second, self._limits.per_endpoint = per_second, per_endpoint
        self._limits.tell_reason = tell_reason
        self._limits.counted_by = {"account": ("account",), "key": ("key",), "both": ("account", "key")}[per]

    def fault(self, fault: Fault | str, **options: Any) -> Fault:
        made = Fault(fault, **options) if isinstance(fault, str) else fault
        with self._lock:
            self.faults.append(made)
        return made

    def clear_faults(self) -> None:
        with self._lock:
            self.faults.clear()

    def clear_requests(self) -> None:
        with self._lock:
            self.requests.clear()

    # ------------------------------------------------------------------ connections

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets.add(connection)
            threading.Thread(target=self._serve, args=(connection, address[0]), daemon=True).start()

    def _serve(self, connection: socket.socket, address: str) -> None:
        incomings = _Incomings(connection, address)
        try:
            while not self._stopped.is_set():
                try:
                    incoming = incomings.next()
                except (EOFError, ValueError):
                    return
                if not self._answer(connection, incoming) or incoming.is_last:
                    return
        except OSError:
            pass
        finally:
            with self._lock:
                self._sockets.discard(connection)
            connection.close()

    def _answer(self, connection: socket.socket, incoming: _Incoming) -> bool:
        """Answers, as its faults have it; false if the connection ends with that."""
        is_control = incoming.path.startswith("/_control/")
        fault = None
        try:
            fault = None if is_control else self._fault_for(incoming)
            reply = self._control(incoming) if is_control else self._reply(incoming, fault)
        except Exception as error:
            reply = self._broken(error)
        if is_control:
            return self._send(connection, incoming, reply)
        self._log(incoming, reply.status)
        if fault and fault.kind == "reset_before":
            return _reset(connection)
        if fault and fault.kind == "hang":
            self._stopped.wait()
            return False
        wait = self.latency + (fault.seconds if fault and fault.kind == "slow" else 0)
        if wait:
            self._stopped.wait(max(0.0, wait - (time.monotonic() - incoming.at)))
        return self._send(connection, incoming, reply, fault)

    def _broken(self, error: Exception) -> _Reply:
        """The answer when this server itself fails. The hook shows the traceback, and has pytest fail the test."""
        threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread())))
        return self._refusal(errors.went_wrong(500, {}), self.account, self.account.default_version)

    def _fault_for(self, incoming: _Incoming) -> Fault | None:
        if not self.faults:
            return None
        seen = self._as_request(incoming, 0)
        with self._lock:
            return next((fault for fault in self.faults if fault.strikes(incoming.target, seen)), None)

    def _as_request(self, incoming: _Incoming, status: int) -> Request:
        headers = {name: value for name, value in incoming.headers.items() if name != "authorization"}
        token = _token(incoming.headers.get("authorization", ""))
        suffix = token[-4:] if token else ""
        return Request(incoming.method, incoming.path, incoming.query, headers, status, incoming.at, suffix)

    def _log(self, incoming: _Incoming, status: int) -> None:
        self.requests.append(self._as_request(incoming, status))

    # ------------------------------------------------------------------ replies

    def _reply(self, incoming: _Incoming, fault: Fault | None) -> _Reply:
        if fault and fault.kind in ("reset_before", "hang"):
            return _Reply(0, b"")
        account = self.account
        version = incoming.headers.get("stripe-version", account.default_version)
        try:
            key, account = self._admitted(incoming)
            version = incoming.headers.get("stripe-version", account.default_version)
            if version.partition(";")[0] not in VERSIONS:  # What is in trial is asked for behind it.
                raise errors.bad_version(version)
            to = route(account, incoming.path)
            if incoming.method != "GET" or to is None:
                raise refused_write(account, incoming.method, incoming.path, to)
            with self._lock:
                self._limits.admit(account, to.operation, incoming.at, key.token)
            reply = self._failed(fault, key, account, to) if fault else None
            if reply is None:
                query = incoming.query
                if fault and fault.kind == "repeat_page":
                    query = [pair for pair in query if pair[0] not in ("starting_after", "ending_before")]
                with account.lock:
                    body = answer(Call(account, incoming.path, query, version, key), to)
                if fault and fault.kind == "empty_page_with_more":
                    body = page([], True, incoming.path)
                reply = _Reply(200, fault.spoiled(body) if fault and fault.kind == "odd_value" else body)
        except StripeError as error:
            return self._refusal(error, account, version)
        reply.headers |= {"Stripe-Version": version, "X-Stripe-Priority-Routing-Enabled": "true"}
        if account.platform is not None:
            reply.headers["Stripe-Account"] = account.id
        return reply

    def _refusal(self, error: StripeError, account: Account, version: str) -> _Reply:
        request = f"req_{secrets.token_hex(7)}"
        mode = "" if account.livemode else "test/"
        log_url = f"https://dashboard.stripe.com/{account.id}/{mode}workbench/logs?object={request}"
        body = orjson.dumps(error.body(log_url), option=orjson.OPT_INDENT_2) + b"\n"
        headers = dict(error.headers)
        if not error.anonymous:
            headers["Stripe-Version"] = version
            if error.request_id:
                headers["Request-Id"] = request
        return _Reply(error.status, body, headers, request_id=False)

    def _failed(self, fault: Fault, key: Key, account: Account, to: Route) -> _Reply | None:
        """The answer of a fault that has one of its own. Raises the error that the fault is."""
        kind = fault.kind
        if kind in ("rate_limit", "lock_timeout"):
            error = errors.locked() if kind == "lock_timeout" else errors.rate_limited(account.livemode, fault.reason)
            error.headers |= fault.headers
            raise error
        if kind == "revoked":
            raise errors.invalid_key(key.token)
        if kind == "permission":
            collection = to.collection
            row, permission = (collection.row, collection.permission) if collection else ("Accounts", "account_read")
            raise errors.permission_denied(key.token, key.ident, account.id, row, permission)
        if kind == "not_json":
            return _Reply(200, _HTML, content_type="text/html")
        if kind == "empty_200":
            return _Reply(200, b"")
        if kind == "redirect":
            return _Reply(302, b"", {"Location": fault.location or f"{self.url}/elsewhere"})
        if kind == "status" and fault.body == "html":
            return _Reply(fault.status, _HTML, dict(fault.headers), content_type="text/html")
        if kind == "status" and fault.body == "empty":
            return _Reply(fault.status, b"", dict(fault.headers))
        if kind == "status":
            raise fault.error()
        return None

    def _admitted(self, incoming: _Incoming) -> tuple[Key, Account]:
        token = _token(incoming.headers.get("authorization", ""))
        if not token:
            raise errors.no_key()
        if re.match(r"pk_(test|live)_", token):
            raise errors.publishable_key()
        key = self.keys.get(token)
        if key is None or key.state == "revoked":
            raise errors.invalid_key(token)
        if key.state == "expired":
            raise errors.expired_key(token)
        if key.state == "bound":
            raise errors.other_address(incoming.address)
        return key, self._addressed(key, incoming.headers)

    def _addressed(self, key: Key, headers: dict[str, str]) -> Account:
        """The account that a request is about."""
        account = self.account
        named = headers.get("stripe-account") or headers.get("stripe-context", "")
        if key.token.startswith("sk_org_"):
            for header in ("Stripe-Context", "Stripe-Version"):
                if not headers.get(header.lower()):
                    raise errors.organization_key_alone(header)
            ident, _, named = headers["stripe-context"].partition("/")
            if ident not in self.organization:
                raise errors.account_not_connected(key.token, ident)
            account = self.organization[ident]
        if named and named != account.id:
            if not account.is_platform:
                raise errors.not_a_platform()
            if named not in account.connected:
                raise errors.account_not_connected(key.token, named)
            account = account.connected.read(named)
        return account.live if key.livemode else account.test

    # ------------------------------------------------------------------ sending

    def _send(self, connection: socket.socket, incoming: _Incoming, reply: _Reply, fault: Fault | None = None) -> bool:
        kind = fault.kind if fault else ""
        body = reply.body[: len(reply.body) * 2 // 3] if kind == "cut_body" else reply.body
        zipped = self.gzip and len(body) > 200 and _takes_gzip(incoming.headers.get("accept-encoding", ""))
        if zipped:
            packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = packer.compress(body) + packer.flush()
        if kind == "gzip_broken":
            body = body[: len(body) // 2]
        headers = self._headers(reply, len(body), zipped)
        if incoming.is_last:
            headers["Connection"] = "close"
        if incoming.method == "HEAD":
            body = b""
        reason = HTTPStatus(reply.status).phrase if reply.status in HTTPStatus._value2member_map_ else "Unknown"
        lines = [f"HTTP/1.1 {reply.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        if kind == "reset_inside":
            connection.sendall(head + body[: len(body) // 2])
            time.sleep(0.01)  # lets the first half arrive: a reset overtakes what is still under way
            return _reset(connection)
        if kind == "short_body":
            connection.sendall(head + body[: len(body) // 2])
            return False
        if kind == "trickle":
            connection.sendall(head)
            for at in range(len(body)):
                connection.sendall(body[at : at + 1])
                if self._stopped.wait(fault.seconds if fault else 0):
                    return False
            return True
        connection.sendall(head + body)
        return True

    def _headers(self, reply: _Reply, length: int, zipped: bool) -> dict[str, str]:
        headers = {
            "Server": "nginx",
            "Date": formatdate(self.account.now, usegmt=True),
            "Content-Type": reply.content_type,
            "Content-Length": str(length),
            "Connection": "keep-alive",
            "Cache-Control": "no-cache, no-store",
            "Vary": "Origin",
            "Strict-Transport-Security": "max-age=63072000; includeSubDomains; preload",
        }
        if reply.request_id:
            headers["Request-Id"] = f"req_{secrets.token_hex(7)}"
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return headers | reply.headers

    # ------------------------------------------------------------------ control

    def _control(self, incoming: _Incoming) -> _Reply:
        name = urlsplit(incoming.path).path.removeprefix("/_control/")
        try:
            given = orjson.loads(incoming.body) if incoming.body else {}
            for key, value in incoming.query:
                bare = key.removesuffix("[]")
                if bare in ("expand", "nested"):
                    given.setdefault(bare, []).extend(filter(None, value.split(",")))
                else:
                    given[bare] = value
            return _Reply(200, orjson.dumps(controlled(self, name, given), default=str))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problem = {"error": f"{type(error).__name__}: {error}"}
            return _Reply(400, orjson.dumps(problem))


@lru_cache
def _takes_gzip(accepted: str) -> bool:
    for each in accepted.lower().replace(" ", "").split(","):
        name, _, weight = each.partition(";q=")
        if name == "gzip":
            return re.fullmatch(r"0(\.0*)?", weight) is None
    return False


def _token(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest).decode().partition(":")[0]
        except ValueError:
            return ""
    return rest.strip() if scheme.lower() == "bearer" else ""


def _reset(connection: socket.socket) -> bool:
    """Ends the connection with a RST instead of a FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return False
