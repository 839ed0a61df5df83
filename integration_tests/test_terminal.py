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
import time
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
        self.configure({})
        streams = [
            {"stream": each.stream.__dict__, "sync_mode": "incremental", "destination_sync_mode": "append"}
            for each in catalog(STREAMS).streams
        ]
        (folder / "catalog.json").write_text(json.dumps({"streams": streams}, default=lambda mode: mode.value))

    def configure(self, options: dict[str, Any]) -> None:
        config = {"secret_key": self.server.secret_key, "api_base": self.server.url, "call_rate_limit": 1000} | options
        (self.folder / "config.json").write_text(json.dumps(config))

    def start(self, *arguments: str, **terminal: Any) -> Running:
        given = ["--config", "config.json", *(("--catalog", "catalog.json") if arguments[0] == "read" else ())]
        return Running([sys.executable, str(ROOT / "main.py"), *arguments, *given], self.folder, **terminal)

    def run(self, *arguments: str, **terminal: Any) -> Ended:
        return self.start(*arguments, **terminal).end()


class Running:
    """A process whose standard error is a terminal of 40 lines that is looked at all the time. Standard output is a pipe, or
    the terminal too, or is written into a `file`."""

    def __init__(
        self, command: list[str], folder: Path, shared: bool = False, file: str = "", width: int = 120, term: str = "xterm"
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        # pytest-xdist has a width of its own.
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")} | {"TERM": term}
        with (folder / (file or os.devnull)).open("ab") as opened:
            output = opened if file else theirs if shared else subprocess.PIPE
            self.process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=theirs, env=environment)
        os.close(theirs)
        self.shown = b""
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()

    def _watch(self) -> None:
        with contextlib.suppress(OSError):  # Raised when the terminal's last user has gone.
            while piece := os.read(self._ours, 65536):
                self.shown += piece

    def end(self) -> Ended:
        with self.process:
            written = self.process.stdout.read() if self.process.stdout else b""
        self._watcher.join()
        os.close(self._ours)
        return Ended(self.process.returncode, self.shown.decode(), written)


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
    command.configure({"secret_key": "pk_test_1234567890"})
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


def test_a_narrow_terminal_is_not_overrun(command: Command) -> None:
    told = command.run("read", width=60)
    assert max(len(line) for line in told.text.splitlines() if "streams complete" not in line) <= 60
    assert re.search(r"customers +\d+ +complete", told.last_line_of("customers"))


def test_a_terminal_that_knows_no_control_sequences_gets_none(command: Command) -> None:
    command.configure({"secret_key": "rk_test_1234567890"})
    told = command.run("read", term="dumb")
    assert "\x1b" not in told.shown
    assert "0 of 14 streams complete" in told.text


def test_a_reason_why_many_streams_fail_is_told_once_and_at_the_end(command: Command) -> None:
    command.configure({"secret_key": "rk_test_1234567890"})
    assert command.run("read").text.count("Stripe does not know the key") == 2


def test_the_end_tells_requests_and_where_the_states_are(command: Command) -> None:
    command.server.clear_requests()
    told = command.run("read", file="messages.jsonl")
    assert f" s, with {len(command.server.requests)} requests\n" in told.text
    assert told.text.endswith("To go on from here: --state messages.jsonl >> messages.jsonl\n")


def test_what_the_end_tells_goes_on(command: Command) -> None:
    command.run("read", file="messages.jsonl")
    command.server.clear_requests()
    assert "14 of 14 streams complete: 0 records" in command.run("read", "--state", "messages.jsonl", file="messages.jsonl").text
    assert len(command.server.requests) == 2


def test_an_interrupted_read_tells_what_is_kept_and_how_to_go_on(command: Command) -> None:
    command.server.latency = 0.5
    (command.folder / "earlier.jsonl").write_text("[]")
    running = command.start("read", "--state", "earlier.jsonl", file="messages.jsonl")
    while b'"STATE"' not in (command.folder / "messages.jsonl").read_bytes():
        time.sleep(0.05)
    running.process.send_signal(signal.SIGINT)
    kept = "What was read is kept. To go on from here: --state earlier.jsonl --state messages.jsonl >> messages.jsonl"
    assert kept in running.end().text


def test_a_network_that_is_down_is_told_at_once_with_its_cause(command: Command) -> None:
    command.configure({"api_base": "https://stripe.invalid"})
    running = command.start("read")
    while b"again: stripe.invalid could not be reached: its name can't be resolved" not in running.shown:
        assert running.process.poll() is None
        time.sleep(0.05)
    running.process.send_signal(signal.SIGTERM)
    told = running.end()
    assert told.text.count("! Stripe can't be read now, and is tried again for 11 minutes. stripe.invalid could not") == 1


def test_a_mistyped_option_is_told_of_in_a_check_that_succeeds(command: Command) -> None:
    command.configure({"start_dat": "2024-01-01"})
    assert command.run("check").text == (
        "! The config has an option `start_dat`, which does not exist and has no effect. Did you mean `start_date`?\n"
        "✓ The key works, and may read every stream.\n"
    )


def test_without_a_terminal_nothing_is_shown(command: Command) -> None:
    arguments = ["read", "--config", "config.json", "--catalog", "catalog.json"]
    silent = subprocess.run([sys.executable, ROOT / "main.py", *arguments], cwd=command.folder, capture_output=True, check=True)
    assert silent.stderr == b""
