"""Standard output has one writer: whatever buffers the environment sets and however slowly it is read, every line is whole."""

from __future__ import annotations

import fcntl
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration_tests.embedded_stripe import Account, Fault, StripeServer
from integration_tests.faulty import Files, start
from integration_tests.harness import NOW

_COUNT = 1500
_SMALL_PIPE = 4096


@pytest.fixture
def server() -> Iterator[StripeServer]:
    """Its answers bring records, warnings and denials at the same time."""
    account = Account(NOW)
    for kind in ("charge", "customer"):
        account.bulk(kind, _COUNT, spread="even")
    with StripeServer(account) as server:
        server.fault(Fault("rate_limit", times=2, after=3))
        server.fault(Fault("status", path="^/v1/customers", times=2, after=4))
        server.fault(Fault("permission", path="^/v1/(events|products|payouts)", times=None))
        yield server


def counts_of_a_stalling_reader(
    server: StripeServer, folder: Path, buffered: bool, debug: bool
) -> tuple[list[bytes], Counter[str]]:
    """The lines that are no JSON, and how many messages there are by type; each record counts once."""
    config = {"secret_key": server.secret_key, "api_base": server.url, "call_rate_limit": 10_000}
    streams = ["balance_transactions", "charges", "customers", "payouts", "products"]
    arguments = Files(folder).read(config, streams, None, *(["--debug"] if debug else []))
    process = start(arguments, {"PYTHONUNBUFFERED": "" if buffered else "1"})
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        if sys.platform == "linux":
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, _SMALL_PIPE)
        torn, ids, counts = list[bytes](), set[str](), Counter[str]()
        for number, line in enumerate(process.stdout):
            if number in (5, 12, 200, 1000):
                time.sleep(0.4)
            try:
                message = json.loads(line)
            except ValueError:
                torn.append(line)
                continue
            counts[message["type"]] += 1
            if message["type"] == "RECORD":
                ids.add(message["record"]["data"]["id"])
        counts["RECORD"] = len(ids) if len(ids) == counts["RECORD"] else -1
    return torn, counts


_ENVIRONMENTS = pytest.mark.parametrize(
    ("buffered", "debug"), [(True, False), (True, True), (False, False), (False, True)], ids=lambda value: str(value)
)


def assert_lines_are_whole(server: StripeServer, folder: Path, buffered: bool, debug: bool) -> None:
    torn, counts = counts_of_a_stalling_reader(server, folder, buffered, debug)
    assert (torn, counts["RECORD"]) == ([], 2 * _COUNT)
    assert counts["STATE"] > 2
    assert counts["LOG"] > 8


@_ENVIRONMENTS
def test_every_line_is_whole_though_the_reader_stalls(server: StripeServer, tmp_path: Path, buffered: bool, debug: bool) -> None:
    assert_lines_are_whole(server, tmp_path, buffered, debug)


@pytest.mark.thorough
@pytest.mark.parametrize("run", range(10))
@_ENVIRONMENTS
def test_every_line_of_forty_runs_is_whole_though_the_reader_stalls(
    server: StripeServer, tmp_path: Path, buffered: bool, debug: bool, run: int
) -> None:
    assert_lines_are_whole(server, tmp_path, buffered, debug)
