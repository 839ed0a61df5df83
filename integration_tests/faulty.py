"""What stands between the connector and the embedded account when the network is the fault, and the connector as a process."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from integration_tests.harness import STREAMS

ROOT = Path(__file__).resolve().parent.parent


# ---------------------------------------------------------------------- the network


class Listener:
    """Takes connections on a port of the loopback, each in a thread of its own, until the `with` ends."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Listener:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.add(connection)
        with contextlib.suppress(OSError), connection:
            self.serve(connection)
        self._open.discard(connection)

    def serve(self, connection: socket.socket) -> None:
        """What becomes of a connection; by default it is closed."""


def _carry(one: socket.socket, other: socket.socket) -> None:
    """Bytes from each to the other until one of them ends."""
    while True:
        ready = [each for each in (one, other) if isinstance(each, ssl.SSLSocket) and each.pending()]
        for each in ready or select.select([one, other], [], [])[0]:
            chunk = each.recv(65536)
            if not chunk:
                return
            (other if each is one else one).sendall(chunk)


class TlsServer(Listener):
    """TLS before a plain port of this machine. The first `failures` handshakes break off."""

    def __init__(self, target: int, certificate: Path, failures: int = 0) -> None:
        super().__init__()
        self._target, self.failures = target, failures
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        if self.failures > 0:
            self.failures -= 1
            connection.recv(1)
            return
        wrapped = self._context.wrap_socket(connection, server_side=True)
        with wrapped, socket.create_connection(("127.0.0.1", self._target)) as other:
            _carry(wrapped, other)


class Proxy(Listener):
    """An HTTP proxy for both ways of asking, CONNECT and whole addresses; `requests` are the first lines that came.

    With a `status` it refuses everything.
    """

    def __init__(self, status: str = "", port: int = 0) -> None:
        super().__init__(port)
        self.status = status
        self.requests: list[str] = []
        self.seen = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        self.seen += head
        line = head.split(b"\r\n", 1)[0].decode()
        self.requests.append(line)
        method, target, _ = line.split(" ", 2)
        if self.status:
            connection.sendall(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port))) as other:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _carry(connection, other)
            return
        address, path = target.removeprefix("http://").split("/", 1)
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port))) as other:
            other.sendall(head.replace(target.encode(), b"/" + path.encode(), 1))
            _carry(connection, other)


def certificate(folder: Path) -> Path:
    """A certificate for `localhost` that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "localhost.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


# ---------------------------------------------------------------------- the process


@dataclass
class Ended:
    """A run of the connector: every byte that it wrote, and how it ended."""

    code: int
    out: bytes
    err: bytes
    command_line: bytes = b""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What came on standard output: whole JSON lines and nothing else."""
        return [json.loads(line) for line in self.out.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        name = {"CONNECTION_STATUS": "connectionStatus"}.get(kind, kind.lower())
        return [message[name] for message in self.messages if message["type"] == kind]

    @property
    def errors(self) -> list[tuple[str, str]]:
        """The `failure_type` and the message of each error trace."""
        errors = [trace["error"] for trace in self.of("TRACE") if trace["type"] == "ERROR"]
        return [(error["failure_type"], error["message"]) for error in errors]

    @property
    def written(self) -> bytes:
        return self.out + self.err + self.command_line


@dataclass
class Files:
    """Configs, catalogs and states, written where a process can read them."""

    folder: Path
    count: int = field(default=0, init=False)

    def write(self, content: object) -> str:
        """`content` as JSON; bytes as they are."""
        self.count += 1
        file = self.folder / f"file_{self.count}.json"
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return str(file)

    def read(self, config: object, streams: object = STREAMS, state: object = None, *more: str) -> list[str]:
        """The arguments of a `read`; `streams` are names, or the catalog itself."""
        catalog = (
            catalog_of(streams) if isinstance(streams, list | tuple) and all(isinstance(x, str) for x in streams) else streams
        )
        arguments = ["read", "--config", self.write(config), "--catalog", self.write(catalog), *more]
        return arguments if state is None else [*arguments, "--state", self.write(state)]


def catalog_of(streams: Iterable[str]) -> dict[str, Any]:
    return {
        "streams": [
            {
                "stream": {"name": name, "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]},
                "sync_mode": "incremental",
                "destination_sync_mode": "append_dedup",
            }
            for name in streams
        ]
    }


def start(arguments: Iterable[str], environment: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
    """The connector as a process, without the proxies of this machine."""
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean | dict(environment or {}),
        **options,
    )


def finished(process: subprocess.Popen[bytes], timeout: float = 60) -> Ended:
    """Reads the process to its end; kills it, and fails, when that takes longer than `timeout` seconds."""
    command_line = b""
    try:
        while sys.platform == "linux" and not command_line and process.poll() is None:
            command_line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert process.stdout is not None
        assert process.stderr is not None
        # Not `communicate`: it would lose what a test that read some lines has in its buffer.
        with ThreadPoolExecutor(2) as readers:
            out, err = readers.submit(process.stdout.read), readers.submit(process.stderr.read)
            try:
                process.wait(timeout)
            finally:
                process.kill()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return Ended(process.returncode, out.result(), err.result(), command_line)


def source_stripe(*arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 60) -> Ended:
    return finished(start(arguments, environment), timeout)
