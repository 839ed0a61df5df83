"""`python -m tools.bench.platform [COUNT …]`: what a sync of quiet accounts takes; prints the table of docs/platforms.md."""

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from source_stripe.sync.accounts_state import Followed, digest_of
from tools.bench.account import Wish
from tools.bench.process import AccountServer, Took
from tools.entries import suggested_streams

COLUMNS = ("requests", "bytes of state", "CPU s", "CPU ms an account, without start-up", "peak MB")


def ids_of(server: AccountServer) -> Iterator[str]:
    """The ids of the accounts that are connected."""
    after = ""
    while True:
        asked = urllib.request.Request(
            f"{server.url}/v1/accounts?limit=100{after}", headers={"Authorization": f"Bearer {server.key}"}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            page = json.loads(answer.read())
        yield from (each["id"] for each in page["data"])
        if not page["has_more"]:
            return
        after = f"&starting_after={page['data'][-1]['id']}"


def states_of(ids: Sequence[str]) -> list[dict[str, object]]:
    """The states of the suggested streams, after a sync an hour ago in which nothing was new."""
    at = (int(time.time()) - 3600) // 600 * 600
    blob = {"version": 2, "livemode": True, "start": 0, "followed": {str(at): Followed.dump(map(digest_of, ids))}}
    blob |= {"own": {}, "gone": {}}
    return [
        {"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": blob}} for name in suggested_streams()
    ]


def measured(count: int, folder: Path) -> tuple[Took, int]:
    """What a sync of so many quiet accounts took, and the bytes of its states."""
    with AccountServer(Wish(accounts=count)) as server:
        states = states_of(list(ids_of(server)))
        config = {"secret_key": server.key, "api_base": server.url, "call_rate_limit": 10_000, "accounts": "connected"}
        streams = [
            {
                "stream": {"name": name, "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]},
                "sync_mode": "incremental",
                "destination_sync_mode": "append_dedup",
            }
            for name in suggested_streams()
        ]
        command = [sys.executable, "main.py", "read"]
        for name, content in (("config", config), ("catalog", {"streams": streams}), ("state", states)):
            (folder / name).write_text(json.dumps(content))
            command += [f"--{name}", str(folder / name)]
        took = server.run(command)
    if took.code or took.records:
        sys.exit(f"it ended with {took.code} after {took.records} records: …{took.last_words}")
    return took, len(json.dumps(states))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.platform", description=__doc__)
    parser.add_argument("count", nargs="*", type=int, default=[1_000, 10_000], help="accounts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        empty, _ = measured(1, Path(folder))
        print(f"| accounts | {' | '.join(COLUMNS)} |\n| ---: |{' ---: |' * len(COLUMNS)}")
        for count in given.count:
            took, size = measured(count, Path(folder))
            each = (took.cpu - empty.cpu) / count * 1000
            print(
                f"| {count:,} | {took.all_requests:,} | {size:,} | {took.cpu:.1f} | {each:.2f} | {took.peak_mb:.0f} |", flush=True
            )


if __name__ == "__main__":
    main()
