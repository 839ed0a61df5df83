"""docs/platforms.md says what the code does."""

from __future__ import annotations

import math
import re
from pathlib import Path

from source_stripe.source import load_manifest
from source_stripe.sync.accounts_state import Followed, digest_of
from source_stripe.sync.accounts_sync import ROOM
from tools.bench.platform import COLUMNS

PAPER = (Path(__file__).parents[1] / "docs" / "platforms.md").read_text(encoding="utf-8")
POLICIES = load_manifest()["api_budget"]["policies"]
ENDPOINT_RATE = 25


def rows(first: str) -> list[list[str]]:
    """The cells of the table whose first column has this head."""
    lines = PAPER.splitlines()
    begin = next(at for at, line in enumerate(lines) if line.strip().startswith(f"| {first} |"))
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[begin:]]
    return cells[: next(at for at, each in enumerate(cells) if each == [""])]


def test_the_costs_are_two_requests_an_account_and_one_a_hundred() -> None:
    assert re.findall(r"\d+", POLICIES[1]["rates"][0]["limit"])[0] == str(ENDPOINT_RATE)
    costs = PAPER[PAPER.index("| accounts | requests a sync") :]
    for accounts, requests, time in re.findall(r"\| ([\d,]+) \| ([\d,]+) \| (\d+ \w+) \|", costs)[:4]:
        count = int(accounts.replace(",", ""))
        assert int(requests.replace(",", "")) == 2 * count + math.ceil(count / 100)
        number, unit = time.split()
        assert round(count / ENDPOINT_RATE / (60 if unit == "minutes" else 1)) == int(number)


def test_the_room_is_the_codes() -> None:
    assert f"At most {ROOM} are open at a time" in PAPER
    assert f"After {ROOM} failures in a row" in PAPER


def test_an_account_takes_as_many_bytes_of_the_state_as_is_told() -> None:
    each = len(Followed.dump(digest_of(f"acct_{number}") for number in range(10_000))) / 10_000
    assert (5 < each < 6, "(five to six bytes each)" in PAPER) == (True, True)


def test_the_table_is_the_benchmarks() -> None:
    assert f"| accounts | {' | '.join(COLUMNS)} |" in PAPER


def test_what_can_be_wanted_names_each_choice_of_the_spec() -> None:
    choices = load_manifest()["spec"]["connection_specification"]["properties"]["accounts"]["enum"]
    assert {row[1] for row in rows("you want")[2:]} == set(choices)
