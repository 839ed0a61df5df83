"""Serves a made-up account until SIGTERM: `python -m integration_tests.embedded_stripe --size demo`."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from pathlib import Path

from .account import Account
from .endpoints import PRODUCTS
from .made_up import made_up_account, small_shop
from .server import StripeServer

_SIZES = {"small": 0.2, "demo": 1.0, "large": 6.0}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m integration_tests.embedded_stripe", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--size", choices=[*_SIZES, "empty"], default="demo", help="how much is in the account")
    parser.add_argument(
        "--bulk",
        action="append",
        default=[],
        metavar="OBJECT=COUNT[:even|crowded|late]",
        help="that many alike objects more, such as charge=500000:crowded",
    )
    parser.add_argument("--accounts", type=int, default=0, metavar="COUNT", help="that many small connected accounts")
    parser.add_argument("--enable", action="append", default=[], choices=PRODUCTS, help="a product that the account has")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--now", type=int, help="the account's clock, in epoch seconds; stands still (default: real)")
    parser.add_argument("--live", action="store_true", help="the account's objects are those of live mode")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how long each answer takes")
    parser.add_argument("--limit", metavar="ALL[,ENDPOINT]", help="requests a second before a 429, such as 100,25")
    parser.add_argument("--no-gzip", action="store_true")
    parser.add_argument("--config", type=Path, metavar="FILE", help="write a connector's configuration that reads it")
    return parser


def main() -> None:
    given = _parser().parse_args()
    if given.size == "empty":
        account = Account(given.now, seed=given.seed, livemode=given.live)
    else:
        account = made_up_account(given.seed, given.now, size=_SIZES[given.size], livemode=given.live)
    for wish in given.bulk:
        kind, _, rest = wish.partition("=")
        count, _, spread = rest.partition(":")
        account.bulk(kind, int(count), spread=spread or "crowded")
    for product in given.enable:
        account.enable(product)
    if given.accounts:
        account.connect_many(given.accounts, small_shop, spread="even")
    server = StripeServer(account, latency=given.latency_ms / 1000, gzip=not given.no_gzip, port=given.port, host=given.host)
    if given.limit:
        server.limit(*(float(part) for part in given.limit.split(",")))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with server:
        usable = {"url": server.url, "account": account.id, "secret_key": server.secret_key}
        usable |= {"live_key": server.live_key, "restricted_key": server.restricted_key(live=given.live)}
        usable |= {"organization_key": server.organization_key(live=given.live)}
        if given.config:
            given.config.parent.mkdir(parents=True, exist_ok=True)
            given.config.write_text(json.dumps({"secret_key": usable["restricted_key"], "api_base": server.url}) + "\n")
        print(json.dumps(usable), flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
