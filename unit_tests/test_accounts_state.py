"""What a state says of many accounts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from source_stripe.sync.accounts_state import Accounts, AccountsState
from source_stripe.sync.state import BrokenState

NOW = 1_795_000_200
DAY = 86_400
TEST = {"livemode": False}


def state(blob: dict[str, Any] | None = None, ids: tuple[str, ...] = ("acct_a", "acct_b"), start: int = 0) -> AccountsState:
    state = AccountsState.load(blob, "updated", start, TEST)
    state.bind(Accounts(ids))
    return state


def followed(at: int, **more: Any) -> dict[str, Any]:
    return {"updated": at, "start": 0, "version": 2, **more}


def dumped(state: AccountsState, now: int = NOW, is_complete: bool = True) -> dict[str, Any]:
    blob: dict[str, Any] = json.loads(json.dumps(state.dump(now, is_complete)))
    return blob


def test_accounts_that_are_followed_to_one_time_stand_together_by_their_digests() -> None:
    first = state()
    first.learn(0, followed(NOW))
    first.learn(1, followed(NOW + 100, newest=NOW - 5 * DAY, recent={str(NOW - 5 * DAY): ["evt_1"]}))
    blob = dumped(first)
    assert (list(blob["followed"]), blob["own"], len(json.dumps(blob)) < 150) == ([str(NOW // 600 * 600)], {}, True)
    assert [state(blob).blob_of(number) for number in (0, 1)] == [followed(NOW // 600 * 600)] * 2


@pytest.mark.parametrize(
    "more",
    [
        {"unread": [[0, NOW]]},
        {"place": [0, "pm_1"]},
        {"floor": NOW - 30 * DAY},
        {"pending": [[NOW + DAY, NOW, NOW]]},
        {"recent": {str(NOW - 300): ["evt_1"]}},
        {"start": 5},
    ],
)
def test_an_account_of_which_a_time_does_not_say_all_has_a_state_of_its_own(more: dict[str, Any]) -> None:
    first = state()
    first.learn(0, followed(NOW, **more))
    blob = dumped(first)
    assert (blob["followed"], list(blob["own"])) == ({}, ["acct_a"])
    assert state(blob).blob_of(0) == followed(NOW, **more)


def test_an_account_whose_newest_event_the_next_sync_would_see_again_has_a_state_of_its_own() -> None:
    first = state()
    first.learn(0, followed(NOW + 300, newest=NOW - 500))
    first.learn(1, followed(NOW + 300, newest=NOW - 700))
    assert (list(dumped(first)["own"]), [first.is_simple(0), first.is_simple(1)]) == (["acct_a"], [False, True])


def test_children_are_followed_to_where_the_last_of_their_parents_is() -> None:
    first = state()
    first.learn(0, {"updated": NOW, "parents": {"a": followed(NOW), "b": followed(NOW + 1200)}})
    first.learn(1, {"updated": NOW, "parents": {"a": followed(NOW), "b": followed(NOW, place=[0, "x"])}})
    blob = dumped(first)
    assert (list(blob["followed"]), list(blob["own"])) == ([str(NOW // 600 * 600)], ["acct_b"])


def test_an_account_that_was_never_read_has_no_state() -> None:
    assert state(dumped(state())).blob_of(0) is None


def test_an_account_that_is_not_read_any_more_keeps_its_place_for_thirty_days() -> None:
    first = state()
    first.learn(0, followed(NOW))
    later = state(dumped(first), ids=("acct_b",))
    back = state(dumped(later, now=NOW + 29 * DAY))
    assert (back.blob_of(0), back.blob_of(1)) == (followed(NOW // 600 * 600), None)


def test_what_was_forgotten_is_read_as_after_a_gap_for_it_may_have_been_read() -> None:
    first = state(ids=("acct_a", "acct_c"))
    first.learn(0, followed(NOW))
    first.learn(1, followed(NOW, unread=[[0, 5]]))
    later = state(dumped(first), ids=("acct_b",))
    back = state(dumped(later, now=NOW + 31 * DAY))
    assert (back.blob_of(0), back.blob_of(1)) == (followed(0), followed(0))


def test_accounts_keep_where_they_began_until_they_are_read_from_an_earlier_start() -> None:
    first = state(start=500)
    for number in (0, 1):
        first.learn(number, followed(NOW) | {"start": 500})
    later = state(dumped(first))
    later.learn(0, followed(NOW + 600))
    again = state(dumped(later))
    at = NOW // 600 * 600
    assert (again.blob_of(0), again.blob_of(1)) == (followed(at + 600), followed(at) | {"start": 500})


def test_a_refused_account_is_gone_since_then_until_it_is_back() -> None:
    first = state()
    first.gone["acct_b"] = NOW - DAY
    later = state(dumped(first))
    assert later.gone == {"acct_b": NOW - DAY}
    later.is_back(1)
    assert dumped(later)["gone"] == {}


def test_a_state_tells_whether_its_sync_came_to_its_end() -> None:
    assert [state(dumped(state(), is_complete=each)).was_unfinished for each in (True, False)] == [False, True]


def test_ten_thousand_quiet_accounts_of_fourteen_streams_take_less_than_a_megabyte() -> None:
    many = state(ids=tuple(f"acct_1Nv0FGQ9RKHgC{number:06}" for number in range(10_000)))
    for number in range(10_000):
        many.learn(number, followed(NOW))
    assert 14 * len(json.dumps(dumped(many))) < 1_000_000


@pytest.mark.parametrize(
    ("blob", "why"),
    [
        ({"updated": "1795000000"}, "it is of a single account, and not of many"),
        (followed(NOW), "it is of a single account, and not of many"),
        ({"followed": {}}, "it is not of the form that this connector writes"),
        ({"followed": {"1": "x"}, "own": {}, "gone": {}, "start": 0}, "it is not of the form that this connector writes"),
        ({"followed": {}, "own": [], "gone": {}, "start": 0}, "it is not of the form that this connector writes"),
        (
            {"followed": {}, "own": {}, "gone": {}, "start": 0, "livemode": True},
            r"it is of other data \(live mode\) than the key reads \(test mode\)",
        ),
    ],
)
def test_a_state_of_something_else_is_refused(blob: dict[str, Any], why: str) -> None:
    with pytest.raises(BrokenState, match=why):
        state(blob)
