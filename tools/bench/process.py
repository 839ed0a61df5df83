"""Runs a process to its end and tells what it took."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tools.bench.account import Wish

ROOT = Path(__file__).resolve().parents[2]
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_RECORD = b'\n{"type":"RECORD"'


@dataclass
class Took:
    """What a process took. `cpu` is user and system seconds of the whole process, `wall` from its start to its end;
    `first_request` is seconds from the start, as the account saw it; `requests` counts by endpoint."""

    records: int
    cpu: float
    wall: float
    peak_mb: float
    code: int
    requests: dict[str, int]
    refused: int
    most_in_a_second: int
    first_request: float | None
    last_words: str = ""

    @property
    def all_requests(self) -> int:
        return sum(self.requests.values())


class AccountServer:
    """`with AccountServer(wish) as server:` has the account served by another process meanwhile."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self.limits = wish.limits

    def __enter__(self) -> "AccountServer":
        command = [sys.executable, "-m", "tools.bench.account", self._wish.to_json()]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        self.url, self.key, self.now = told["url"], told["key"], told["now"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _control(self, name: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_control/{name}", timeout=60) as answer:
            return json.loads(answer.read())

    def run(self, command: Sequence[str]) -> Took:
        """Run `command`, which reads the account and writes records to its standard output."""
        self._control("clear_requests")
        took = run(command)
        log = self._control("requests")
        times = sorted(request["at"] for request in log)
        for request in log:
            endpoint = _endpoint(request["path"])
            took.requests[endpoint] = took.requests.get(endpoint, 0) + 1
        took.refused = sum(request["status"] == 429 for request in log)
        took.most_in_a_second = most_in(times, 1.0)
        took.first_request = times[0] - took.first_request if times and took.first_request is not None else None
        return took


def run(command: Sequence[str]) -> Took:
    """Run `command`; `first_request` is then the time of the start."""
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    records, rest, seen, peak = 0, b"\n", b"", 0.0
    while chunk := os.read(process.stdout.fileno(), 1 << 20):
        peak = max(peak, _peak_mb(process.pid))
        seen = rest + chunk
        records += seen.count(_RECORD)
        # A beginning of a line that is cut here is counted with the next chunk, and only there.
        rest = seen[-(len(_RECORD) - 1) :]
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    cpu = usage.ru_utime + usage.ru_stime
    last_words = seen[-2000:].decode(errors="replace")
    return Took(records, cpu, wall, peak or usage.ru_maxrss / 1024, process.returncode, {}, 0, 0, began, last_words)


def _peak_mb(pid: int) -> float:
    """The most memory that the running process took until now; 0 where the system doesn't tell. What `wait4` tells begins with
    the memory of the process that started it."""
    try:
        return int(_PEAK.findall(Path(f"/proc/{pid}/status").read_text())[0]) / 1024
    except (OSError, IndexError):
        return 0.0


def most_in(times: Sequence[float], seconds: float) -> int:
    """The most of the sorted `times` that lie in any span of `seconds`, wherever it begins."""
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _endpoint(path: str) -> str:
    """Ids taken out: `/v1/invoices/in_1/lines` is `/v1/invoices/{id}/lines`."""
    parts = path.split("/")
    return "/".join([*parts[:3], *(["{id}"] if len(parts) > 3 else []), *parts[4:]])
