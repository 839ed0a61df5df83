"""The real command on a pseudo-terminal: what a person sees, and what the platform reads."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integration_tests.embedded_stripe import StripeServer, made_up_account
from integration_tests.harness import STREAMS, catalog

ROOT = Path(__file__).resolve().parent.parent
SHOW_CURSOR = "\x1b[?25h"
CURSOR_UP = "\x1b[1A"


@dataclass
class Ended:
    """`shown` is every byte that the terminal got; `written` the messages on standard output."""

    code: int
    shown: str
    written: bytes

    @property
    def text(self) -> str:
        """What was shown without colours and other control sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown).replace("\r\n", "\n")

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.written.splitlines()]

    def last_line_of(self, stream: str) -> str:
        return [line for line in self.text.splitlines() if f" {stream} " in line][-1]


class Command:
    """`python main.py`, with a config for the server and its files in a folder."""

    def __init__(self, folder: Path, server: StripeServer) -> None:
        self.server = server
        self.folder = folder
        self.key(server.secret_key)
        streams = [
            {"stream": each.stream.__dict__, "sync_mode": "incremental", "destination_sync_mode": "append"}
            for each in catalog(STREAMS).streams
        ]
        (folder / "catalog.json").write_text(json.dumps({"streams": streams}, default=lambda mode: mode.value))

    def key(self, key: str) -> None:
        config = {"secret_key": key, "api_base": self.server.url, "call_rate_limit": 1000}
        (self.folder / "config.json").write_text(json.dumps(config))

    def start(self, *arguments: str, shared: bool = False) -> Running:
        """Standard output is a pipe or, `shared`, the terminal too."""
        given = ["--config", "config.json", *(("--catalog", "catalog.json") if arguments[0] == "read" else ())]
        return Running([sys.executable, str(ROOT / "main.py"), *arguments, *given], self.folder, shared)

    def run(self, *arguments: str, shared: bool = False) -> Ended:
        return self.start(*arguments, shared=shared).end()


class Running:
    """A process whose standard error is a terminal of 40 lines that is looked at all the time."""

    def __init__(self, command: list[str], folder: Path, shared: bool) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        output = theirs if shared else subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=theirs, env=environment)
        os.close(theirs)
        self._shown: list[bytes] = []
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def _watch(self) -> None:
        with contextlib.suppress(OSError):  # Raised when the terminal's last user has gone.
            while piece := os.read(self._ours, 65536):
                self._shown.append(piece)

    def end(self) -> Ended:
        with self.process:
            written = self.process.stdout.read() if self.process.stdout else b""
        self._watcher.join()
        os.close(self._ours)
        return Ended(self.process.returncode, b"".join(self._shown).decode(), written)


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with StripeServer(made_up_account(size=0.1), latency=0.01) as server:
        yield server


@pytest.fixture
def command(tmp_path: Path, server: StripeServer) -> Iterator[Command]:
    server.latency = 0.01
    yield Command(tmp_path, server)
    server.clear_faults()


def test_check_gives_its_verdict_on_the_terminal(command: Command) -> None:
    told = command.run("check")
    assert told.text == "✓ The key works, and may read every stream.\n"
    assert told.messages[-1] == {"type": "CONNECTION_STATUS", "connectionStatus": {"status": "SUCCEEDED"}}


def test_a_wrong_key_is_told_with_its_fix(command: Command) -> None:
    command.key("pk_test_1234567890")
    assert command.run("check").text.startswith("✗ This is a publishable key (pk_...), made for browsers")


def test_read_shows_each_stream_to_its_end(command: Command) -> None:
    told = command.run("read")
    counts = dict.fromkeys(STREAMS, 0)
    for message in told.messages:
        if "record" in message:
            counts[message["record"]["stream"]] += 1
    for stream, count in counts.items():
        assert re.search(rf"{stream} .* {count:,} records .* complete", told.last_line_of(stream))
    assert f"14 of 14 streams complete: {sum(counts.values()):,} records in " in told.text


def test_the_display_ends_with_a_cursor(command: Command) -> None:
    assert CURSOR_UP in (shown := command.run("read").shown)
    assert SHOW_CURSOR in shown[shown.rindex(CURSOR_UP) :]


def test_a_stream_that_fails_is_told_with_the_permission_it_needs(command: Command) -> None:
    command.server.fault("permission", path="/v1/disputes", times=None)
    told = command.run("read")
    assert "failed" in told.last_line_of("disputes")
    assert "13 of 14 streams complete" in told.text
    assert '✗ 1 of 14 streams failed: disputes. Permission denied: the key may not read this. Set "Disputes: Read"' in told.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_read_leaves_a_cursor_and_no_traceback(command: Command, number: signal.Signals) -> None:
    command.server.latency = 0.5
    running = command.start("read")
    assert running.process.stdout
    next(line for line in running.process.stdout if b'"RECORD"' in line)
    running.process.send_signal(number)
    told = running.end()
    assert told.code == -number
    assert SHOW_CURSOR in told.shown
    assert "Traceback" not in told.text


def test_messages_on_the_same_terminal_are_not_torn_by_a_display(command: Command) -> None:
    told = command.run("read", shared=True)
    assert CURSOR_UP not in told.shown
    assert "14 of 14 streams complete" in told.text


def test_without_a_terminal_nothing_is_shown(command: Command) -> None:
    arguments = ["read", "--config", "config.json", "--catalog", "catalog.json"]
    silent = subprocess.run([sys.executable, ROOT / "main.py", *arguments], cwd=command.folder, capture_output=True, check=True)
    assert silent.stderr == b""
