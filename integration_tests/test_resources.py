"""What the process takes, how it ends, and the pace that it keeps."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.embedded_stripe import Account, StripeServer
from integration_tests.faulty import Files, finished, source_stripe, start
from integration_tests.harness import DAY, NOW, Reader, assert_holds_all, truth
from source_stripe.sync.clock import Clock

MEGABYTE = 1 << 20
MOST = 150 * MEGABYTE


@pytest.fixture
def account() -> Account:
    return Account(now=NOW)


@pytest.fixture
def server(account: Account) -> Iterator[StripeServer]:
    with StripeServer(account) as server:
        yield server


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def config(server: StripeServer, **options: Any) -> dict[str, Any]:
    return {"secret_key": server.secret_key, "api_base": server.url, "call_rate_limit": 10_000} | options


def resident(process: subprocess.Popen[bytes]) -> int:
    """Bytes of memory that the process holds now."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_some(process: subprocess.Popen[bytes], until: bytes) -> bytes:
    """What the process wrote up to the first line that holds `until`."""
    assert process.stdout is not None
    seen = b""
    for line in process.stdout:
        seen += line
        if until in line:
            break
    return seen


@contextlib.contextmanager
def running(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = start(arguments)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


# ---------------------------------------------------------------------- memory


@pytest.mark.parametrize(
    ("count", "sleeps"), [(30_000, 3), pytest.param(500_000, 20, marks=[pytest.mark.thorough, pytest.mark.timeout(1200)])]
)
def test_memory_is_bounded_though_the_reader_sleeps(
    account: Account, server: StripeServer, files: Files, count: int, sleeps: int
) -> None:
    account.bulk("charge", count, spread="crowded")
    peak = records = 0
    with running(files.read(config(server), ["charges"])) as process:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout):
            records += line.startswith(b'{"type":"RECORD"')
            if number % 1000 == 0:
                peak = max(peak, resident(process))
            if number == 500:
                for _ in range(sleeps * 10):
                    time.sleep(0.1)
                    peak = max(peak, resident(process))
        assert process.wait() == 0
    assert records == count
    assert peak < MOST, f"{peak / MEGABYTE:.0f} MB"


@pytest.mark.parametrize(
    "lines", [12_000, pytest.param(50_000, marks=[pytest.mark.thorough, pytest.mark.timeout(900)])], ids=lambda value: str(value)
)
@pytest.mark.parametrize("streams", [["invoices"], ["invoice_line_items"], ["invoice_line_items", "invoices"]], ids=",".join)
def test_memory_is_bounded_though_two_invoices_are_enormous(
    account: Account, server: StripeServer, files: Files, streams: list[str], lines: int
) -> None:
    """50,000 lines each are 226 MB in all."""
    for number in range(2):
        account.create("invoice", {"lines": [{"description": "x" * 1600}] * lines}, at=NOW - DAY - number)
    peak, records = 0, Counter[bytes]()
    with running(files.read(config(server), streams)) as process:
        assert process.stdout is not None
        for line in process.stdout:  # The whole of one is up to a hundred megabytes.
            peak = max(peak, resident(process))
            records.update(re.findall(rb'^{"type":"RECORD","record":{"stream":"(\w+)"', line[:99]))
        assert process.wait() == 0
    counts = {b"invoices": 2, b"invoice_line_items": 2 * lines}
    assert records == {name: count for name, count in counts.items() if name.decode() in streams}
    assert peak < MOST, f"{peak / MEGABYTE:.0f} MB"


def test_a_reader_that_sleeps_makes_the_requests_wait(account: Account, server: StripeServer, files: Files) -> None:
    account.bulk("charge", 60_000, spread="even")
    with running(files.read(config(server), ["charges"])) as process:
        read_some(process, b'"RECORD"')
        time.sleep(4)
        asked = len(server.requests)
        busy = processor_seconds(process)
        time.sleep(2)
        assert len(server.requests) == asked < 300
        assert processor_seconds(process) - busy < 0.2


# ---------------------------------------------------------------------- the end


def test_a_terminated_read_ends_with_whole_lines_and_a_state_to_go_on_from(
    account: Account, server: StripeServer, files: Files
) -> None:
    account.bulk("charge", 40_000, spread="even")
    with running(files.read(config(server, num_workers=2), ["charges"])) as process:
        first = b"".join(read_some(process, b'"type":"STATE"') for _ in range(8))
        time.sleep(1)  # The pipe is full by now, in the middle of a line.
        process.send_signal(signal.SIGTERM)
        ended = finished(process, timeout=10)
    lines = [json.loads(line) for line in (first + ended.out).splitlines()]
    assert (ended.code, ended.err) == (-signal.SIGTERM, b"")
    last = [line["state"] for line in lines if line["type"] == "STATE"][-1]
    before = {line["record"]["data"]["id"] for line in lines if line["type"] == "RECORD"}
    after = source_stripe(*files.read(config(server), ["charges"], [last])).of("RECORD")
    assert len(after) < 40_000
    assert len(before | {record["data"]["id"] for record in after}) == 40_000


def test_a_terminated_read_that_nobody_reads_ends_within_seconds(account: Account, server: StripeServer, files: Files) -> None:
    account.bulk("charge", 40_000, spread="even")
    with running(files.read(config(server), ["charges"])) as process:
        read_some(process, b'"RECORD"')
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == -signal.SIGTERM


def test_a_closed_output_ends_the_process_quietly(account: Account, server: StripeServer, files: Files) -> None:
    account.bulk("charge", 60_000, spread="even")
    with running(files.read(config(server), ["charges"])) as process:
        read_some(process, b'"RECORD"')
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=10) != 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_hung_server_does_not_keep_the_process(server: StripeServer, files: Files, how: signal.Signals) -> None:
    server.fault("hang", times=None)
    with running(files.read(config(server), ["products"])) as process:
        read_some(process, b"STARTED")
        while not server.requests:
            time.sleep(0.05)
        process.send_signal(how)
        assert finished(process, timeout=10).code != 0


def test_a_sync_that_ended_is_not_kept_by_an_answer_that_hangs(account: Account, server: StripeServer, files: Files) -> None:
    """The key is refused for one stream while the other's answer hangs: SIGTERM apart, the first is told at once."""
    account.create("product")
    server.fault("hang", path="^/v1/customers", times=None)
    with running(files.read(config(server), ["customers", "products"])) as process:
        seen = read_some(process, b"COMPLETE")
        assert json.loads(seen.splitlines()[-1])["trace"]["stream_status"]["stream_descriptor"]["name"] == "products"
        busy = processor_seconds(process)
        time.sleep(2)
        assert processor_seconds(process) - busy < 0.1


# ---------------------------------------------------------------------- the pace


class Waits(selectors.DefaultSelector):
    """What the loop waits on, of which it keeps how often."""

    count = 0

    def select(self, timeout: float | None = None) -> Any:
        Waits.count += 1
        return super().select(timeout)


def real_time(server: StripeServer) -> Clock:
    """The account's time of day, and waiting that takes what it takes."""
    Waits.count = 0
    return Clock(now=lambda: float(server.account.now), new_loop=lambda: asyncio.SelectorEventLoop(Waits()))


def most_in_a_second(times: list[float]) -> int:
    return max(sum(1 for other in times if time <= other < time + 1) for time in times)


def test_the_limits_are_kept_as_the_server_sees_it(account: Account, server: StripeServer) -> None:
    account.bulk("charge", 12_000, spread="even")
    for number in range(12):
        account.create("invoice", {"lines": [{"amount": 1} for _ in range(250)]}, at=NOW - DAY - number)
    result = Reader(server, real_time(server), call_rate_limit=25).sync(streams=["charges", "invoices", "products"])
    times = [request.at for request in result.requests]
    assert len(times) / (times[-1] - times[0] + 1) <= 25
    # On a busy machine a request may leave some hundredths of a second after it was let go.
    assert most_in_a_second(times) <= 25 + 5
    assert Waits.count < 20 * len(times)


@pytest.mark.parametrize("tells", [True, False])
def test_somebody_else_s_use_of_the_account_slows_us_down_and_loses_nothing(
    account: Account, server: StripeServer, tells: bool
) -> None:
    account.bulk("charge", 6_000, spread="even")
    account.create("product")
    server.limit(per_second=8, tell_reason=tells)
    result = Reader(server, real_time(server), call_rate_limit=40).sync(streams=["charges", "products"])
    refused = [request for request in result.requests if request.status == 429]
    assert result.complete == {"charges", "products"}
    assert refused
    assert len(refused) < len(result.requests) / 2
    assert_holds_all([result], truth(account, ["charges", "products"]))


def test_the_pace_climbs_again_after_a_429(account: Account, server: StripeServer) -> None:
    account.bulk("charge", 30_000, spread="even")
    server.fault("rate_limit", reason="global-rate", times=3)
    result = Reader(server, real_time(server), call_rate_limit=40).sync(streams=["charges"])
    times = [request.at for request in result.requests]
    first = sum(1 for time in times if time < times[0] + 2)
    last = sum(1 for time in times if time > times[-1] - 2)
    assert result.complete == {"charges"}
    assert first < last <= 80
