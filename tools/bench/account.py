"""The account that is read, in a process of its own: `python -m tools.bench.account WISH` serves until its input ends."""

import json
import sys
from dataclasses import asdict, dataclass, field

from integration_tests.embedded_stripe import Account, StripeServer, small_shop

_DAY = 86_400
_MONTH = 29


@dataclass
class Wish:
    """What account is wanted. `objects`: by kind how many; `spread` says how they lie in the last `days`.

    `told`: by kind the type of the events that told of them. `changed`: of these kinds, so many old objects each were changed
    in the last hour. `lines`: lines of each invoice. `accounts`: so many small ones are connected, in which nothing was new for
    sixty days.
    `latency`: seconds that an answer takes; `limits`: requests a second, of the account and of an endpoint.
    """

    objects: dict[str, int] = field(default_factory=dict)
    spread: str = "late"
    days: int = 4 * 365
    told: dict[str, str] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    lines: int = 1
    accounts: int = 0
    latency: float = 0.0
    limits: tuple[int, int] | None = None
    live: bool = True

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def made(wish: Wish) -> Account:
    """The account; its clock is the real one."""
    account = Account(seed=1, livemode=wish.live)
    for kind, count in wish.objects.items():
        # Stripe keeps events for thirty days.
        since = account.now - _DAY * (_MONTH if kind == "event" else wish.days)
        fields = {"lines": wish.lines} if kind == "invoice" else None
        account.bulk(kind, count, spread=wish.spread, since=since, fields=fields, told_by=wish.told.get(kind, ""))
    for kind, count in wish.changed.items():
        _change(account, kind, count)
    if wish.accounts:
        account.connect_many(
            wish.accounts, small_shop, spread="even", since=account.now - 400 * _DAY, until=account.now - 60 * _DAY
        )
    return account


def _change(account: Account, kind: str, count: int) -> None:
    bulk = account.shelf(kind).bulk
    assert bulk is not None
    event = "charge.updated" if kind == "charge" else f"{kind}.updated"
    for number in range(count):
        ident = bulk.id_at(number * (bulk.count // 2) // count)
        at = account.now - 3000 + 2400 * number // count
        account.update(kind, ident, {"metadata": {"number": str(number)}}, event, at=at)


def main() -> None:
    # Answers are made side by side: none is to wait long for its turn to be sent.
    sys.setswitchinterval(0.001)
    wish = Wish(**json.loads(sys.argv[1]))
    server = StripeServer(made(wish), latency=wish.latency)
    if wish.limits:
        server.limit(*wish.limits)
    with server:
        key = server.live_key if wish.live else server.secret_key
        print(json.dumps({"url": server.url, "key": key, "now": server.account.now}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
