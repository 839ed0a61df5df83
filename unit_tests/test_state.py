"""What a state says was read, and what is done with one that can't be understood."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_stripe.messages import traced
from source_stripe.sync.handled import Handled
from source_stripe.sync.state import OVERLAP, RETENTION, BrokenState, Range, StreamState, add, subtract

NOW = 1_795_000_000
DAY = 86_400
RANGE = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: (min(pair), max(pair)))
STEPS = st.lists(st.tuples(st.sampled_from([add, subtract]), RANGE), max_size=12)
SCOPE = {"livemode": False}


def whole(blob: dict[str, Any], start: int = 0) -> StreamState:
    return StreamState.load(blob, "updated", start)


def written(**facts: Any) -> dict[str, Any]:
    return {"version": 1, "start": 0, "updated": NOW} | facts


def seconds(ranges: list[Range]) -> set[int]:
    return {second for lo, hi in ranges for second in range(lo, hi + 1)}


# ---------------------------------------------------------------------- ranges


@settings(deadline=None)
@given(STEPS)
def test_adding_and_subtracting_ranges_is_that_of_the_seconds_in_them(steps: list[Any]) -> None:
    ranges: list[Range] = []
    for step, (lo, hi) in steps:
        expected = seconds(ranges) | seconds([(lo, hi)]) if step is add else seconds(ranges) - seconds([(lo, hi)])
        ranges = step(ranges, lo, hi)
        assert seconds(ranges) == expected


@settings(deadline=None)
@given(STEPS)
def test_ranges_stay_sorted_and_apart(steps: list[Any]) -> None:
    ranges: list[Range] = []
    for step, (lo, hi) in steps:
        ranges = step(ranges, lo, hi)
    assert all(lo <= hi for lo, hi in ranges)
    # What is one range is not written as two; what a subtraction divided lies apart by what was taken out.
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(ranges))


def test_nothing_added_is_nothing() -> None:
    assert add([(1, 2)], 9, 8) == [(1, 2)]


# ---------------------------------------------------------------------- there and back


@pytest.mark.parametrize(
    "state",
    [
        StreamState("updated", 0, NOW),
        StreamState("updated", 7, NOW, [(7, 100), (200, NOW)]),
        StreamState("updated", 0, NOW, newest=NOW - 5, handled=Handled({NOW - 5: ["evt_1"], NOW - 300: (9, "ab")})),
        StreamState("updated", 0, NOW - RETENTION, [(0, 10)], floor=NOW - RETENTION),
        StreamState("created", 0, NOW, pending={NOW + DAY: (NOW - 9, NOW), NOW + 2 * DAY: (1, 1)}),
        StreamState("updated", 0, NOW, scope={"livemode": True, "account_id": "acct_1"}),
    ],
)
def test_a_state_survives_being_written_and_read(state: StreamState) -> None:
    assert StreamState.load(json.loads(json.dumps(state.dump())), state.cursor_field, state.start, state.scope) == state


def test_a_state_is_json_that_a_person_can_read() -> None:
    state = StreamState("updated", 7, NOW, [(7, 100)], NOW - 5, Handled({NOW - 5: ["evt_1"]}), scope=SCOPE)
    assert state.dump() == {
        "updated": 1_795_000_000,
        "start": 7,
        "version": 2,
        "livemode": False,
        "unread": [[7, 100]],
        "newest": 1_794_999_995,
        "recent": {"1794999995": ["evt_1"]},
    }


# ---------------------------------------------------------------------- of others


@pytest.mark.parametrize("blob", [None, {}, {"__ab_no_cursor_state_message": True}, {"__ab_full_refresh_state_message": True}])
def test_without_a_state_the_first_sync_begins(blob: dict[str, Any] | None) -> None:
    assert StreamState.load(blob, "updated", 5) == StreamState("updated", 5)


@pytest.mark.parametrize(
    "blob",
    [
        {"updated": "1795000000"},
        {"updated": 1_795_000_000},
        {"created": 1_795_000_000},
        {"updated": "1795000000", "__ab_full_refresh_sync_complete": True},
        {"updated": 1_795_000_000, "slices": [], "state_type": "date-range"},
    ],
)
def test_a_state_of_airbytes_own_connector_is_gone_on_from(blob: dict[str, Any]) -> None:
    state = whole(blob)
    assert (state.followed, state.unread, state.is_foreign) == (1_795_000_000, [], True)


def test_what_was_gone_on_from_is_then_a_state_of_this_connector() -> None:
    assert not whole(whole({"updated": "1795000000"}).dump()).is_foreign


# ---------------------------------------------------------------------- broken


@pytest.mark.parametrize(
    "blob",
    [
        {"cursor": 5},
        {"updated": None},
        {"updated": "yesterday"},
        {"updated": "2026-11-22T00:00:00Z"},
        {"updated": -1},
        {"updated": True},
        {"updated": 1795000000.5},
        {"updated": 1_795_000_000_000_000},
        {"updated": {"charges": 5}},
        {"version": 1},
        written(start=None),
        written(unread=5),
        written(unread=[[1]]),
        written(unread=[[1, 2, 3]]),
        written(unread=[["a", "b"]]),
        written(unread={"1": 2}),
        written(newest="soon"),
        written(recent=["evt_1"]),
        written(recent={"evt_1": None}),
        written(floor="low"),
        written(pending=[[1, 2]]),
        written(pending=7),
    ],
)
def test_a_damaged_state_is_refused_and_not_guessed_at(blob: dict[str, Any]) -> None:
    with pytest.raises(BrokenState, match="it is not of the form that this connector writes"):
        whole(blob)


@pytest.mark.parametrize("version", [0, 3, "1", None])
def test_the_state_of_another_version_is_refused(version: object) -> None:
    with pytest.raises(BrokenState, match="it has the version"):
        whole(written(version=version))


@pytest.mark.parametrize(
    ("of", "words"),
    [
        ({"livemode": True}, r"of other data \(live mode\) than the key reads \(test mode\)"),
        ({"livemode": False, "account_id": "acct_1"}, r"of other data \(test mode, acct_1\) than the key reads \(test mode\)"),
    ],
)
def test_the_state_of_other_data_is_refused(of: dict[str, Any], words: str) -> None:
    with pytest.raises(BrokenState, match=words):
        StreamState.load(written(**of), "updated", 0, SCOPE)


def test_a_refusal_says_how_to_begin_anew() -> None:
    assert traced(BrokenState("it is damaged"), "charges", "Charges and Refunds", {}).message == (
        "The state of the stream charges can't be used: it is damaged. Reset the stream (clear its data, or take it out of the"
        " state file) to read it from the beginning."
    )


# ---------------------------------------------------------------------- start_date


def test_an_earlier_start_adds_what_lies_between() -> None:
    assert whole(written(start=1000, unread=[[5000, 6000]]), start=400).unread == [(400, 999), (5000, 6000)]


def test_a_later_start_takes_away_what_lies_before() -> None:
    assert whole(written(unread=[[0, 100], [200, 900]]), start=500).unread == [(500, 900)]


# ---------------------------------------------------------------------- what is read


def test_what_is_out_is_no_longer_unread() -> None:
    state = StreamState("updated", 0, NOW, [(0, NOW)])
    state.range_read(1000, NOW)
    assert state.unread == [(0, 999)]


def test_what_is_new_is_unread_until_it_is_out() -> None:
    state = StreamState("created", 0, NOW)
    state.extend_to(NOW - 600, NOW + 50)
    assert (state.followed, state.unread) == (NOW + 50, [(NOW - 600, NOW + 50)])


def test_the_time_followed_to_never_goes_back() -> None:
    state = StreamState("updated", 0, NOW)
    state.follow(NOW - 5, {}, None)
    assert state.followed == NOW


@pytest.mark.parametrize(
    ("newest", "lookback", "since"),
    [
        (None, OVERLAP, NOW - 600),
        (NOW, OVERLAP, NOW - 600),
        (NOW - 100, OVERLAP, NOW - 600),
        (NOW - 700, OVERLAP, NOW - 700),
        (NOW + 100, OVERLAP, NOW - 600),
        (NOW, DAY, NOW - DAY),
    ],
)
def test_a_sync_looks_ten_minutes_back_or_as_far_as_is_asked(newest: int | None, lookback: int, since: int) -> None:
    assert StreamState("updated", 0, NOW, newest=newest).window_start(lookback) == since


def test_what_was_handled_is_remembered_as_long_as_it_will_be_seen_again() -> None:
    state = StreamState("updated", 0, NOW)
    state.follow(NOW, {NOW - OVERLAP - 1: {"evt_1"}, NOW - OVERLAP: {"evt_2"}, NOW: {"evt_3"}}, NOW)
    assert state.dump()["recent"] == {str(NOW - OVERLAP): ["evt_2"], str(NOW): ["evt_3"]}


def test_the_newest_is_remembered_however_old_it_is() -> None:
    state = StreamState("updated", 0, NOW)
    state.follow(NOW + DAY, {NOW: {"evt_1"}}, NOW)
    assert (state.window_start(), state.dump()["recent"]) == (NOW, {str(NOW): ["evt_1"]})


def test_a_state_stays_small_in_a_busy_account() -> None:
    """Twenty events a second for ten minutes: 12,000."""
    state = StreamState("updated", 0, NOW)
    state.follow(NOW, {NOW - ago: {f"evt_{ago}_{number}" for number in range(20)} for ago in range(OVERLAP)}, NOW)
    assert len(json.dumps(state.dump())) < 30_000


def test_seconds_that_were_handled_are_known_by_all_their_ids() -> None:
    handled = Handled()
    handled.learn(NOW, [f"evt_{number}" for number in range(500)])
    assert list(handled.fresh(NOW, [f"evt_{number}" for number in reversed(range(500))])) == []
    assert len(handled.fresh(NOW, [f"evt_{number}" for number in range(501)])) == 501
    assert len(handled.fresh(NOW, [f"evt_{number}" for number in range(1, 501)])) == 500


def test_the_state_of_the_first_version_is_remembered_by_its_ids() -> None:
    state = whole(written(newest=NOW, recent={"evt_1": NOW, "evt_2": NOW, "evt_3": NOW - 9}))
    assert state.handled.fresh(NOW, ["evt_1", "evt_2", "evt_4"]) == ["evt_4"]


# ---------------------------------------------------------------------- past the 30 days


@pytest.mark.parametrize(("days", "has_gap"), [(0, False), (29, False), (30, True), (45, True)])
def test_a_gap_is_what_events_no_longer_tell(days: int, has_gap: bool) -> None:
    assert StreamState("updated", 0, NOW).has_gap(NOW + days * DAY) is has_gap


def test_a_full_read_after_a_gap_lasts_until_all_is_read_and_followed() -> None:
    state = StreamState("updated", 0, NOW - 45 * DAY)
    state.begin_full_read(NOW)
    assert (state.followed, state.floor, state.unread) == (NOW - RETENTION, NOW - RETENTION, [(0, NOW)])
    state.range_read(0, NOW)
    assert state.dump()["floor"] == NOW - RETENTION
    state.follow(NOW, {}, None)
    assert "floor" not in state.dump()


def test_a_full_read_is_not_begun_anew_because_it_lasts() -> None:
    state = StreamState("updated", 0, NOW - 45 * DAY)
    state.begin_full_read(NOW)
    assert not state.has_gap(NOW + 20 * DAY)
    assert state.has_gap(NOW + 31 * DAY)


# ---------------------------------------------------------------------- balance transactions


def test_what_becomes_available_together_is_one_range() -> None:
    state = StreamState("created", 0, NOW)
    for created in (NOW - 5, NOW - 90, NOW - 40):
        state.remember_pending(NOW + DAY, created)
    assert state.pending == {NOW + DAY: (NOW - 90, NOW - 5)}


def test_pending_ranges_have_their_bounds_and_none_is_forgotten() -> None:
    state = StreamState("created", 0, NOW)
    for number in range(1000):
        state.remember_pending(NOW + number * DAY, NOW - number)
    assert len(state.pending) == 200
    assert min(first for first, _ in state.pending.values()) == NOW - 999


# ---------------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (StreamState("updated"), "first sync, from the beginning"),
        (StreamState("updated", 1_704_067_200), "first sync, from 2024-01-01T00:00:00Z"),
        (StreamState("updated", 0, NOW), "followed to 2026-11-18T11:06:40Z"),
        (
            StreamState("updated", 0, NOW, [(1_704_067_200, 1_704_067_300), (1_794_000_000, NOW)]),
            "2 parts of history from 2024-01-01T00:00:00Z on to read; followed to 2026-11-18T11:06:40Z",
        ),
    ],
)
def test_a_state_says_what_is_left_to_do(state: StreamState, words: str) -> None:
    assert state.describe() == words
