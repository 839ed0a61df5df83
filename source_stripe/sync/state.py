"""What has been read of a stream, as its state says it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from source_stripe.sync.handled import Handled
from source_stripe.sync.page import END_OF_TIME

VERSION = 2
"""Of the form of a state. The first is read too: it remembers what was handled by id alone."""
RETENTION = 30 * 86400
"""How long Stripe keeps events: https://docs.stripe.com/api/events."""
OVERLAP = 600
"""Events and balance transactions become visible up to ten minutes after their time."""
_MARGIN = 3600
_MOST_PENDING = 200

SCOPE = ("livemode", "account_id")
"""Whose data a state is of: the key's mode, and the connected account if there is one."""

Range = tuple[int, int]


class BrokenState(Exception):
    """A state that this connector did not write, or that is damaged."""


def subtract(ranges: list[Range], lo: int, hi: int) -> list[Range]:
    """`ranges` of closed intervals, sorted and apart, without [lo, hi]."""
    left = []
    for a, b in ranges:
        if b < lo or a > hi:
            left.append((a, b))
            continue
        if a < lo:
            left.append((a, lo - 1))
        if b > hi:
            left.append((hi + 1, b))
    return left


def add(ranges: list[Range], lo: int, hi: int) -> list[Range]:
    """`ranges` with [lo, hi], sorted and apart."""
    merged: list[Range] = []
    for a, b in sorted([*ranges, (lo, hi)]) if lo <= hi else ranges:
        if merged and a <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, b))
    return merged


@dataclass
class StreamState:
    """Two facts and what goes with them. All times are epoch seconds.

    `unread`: the ranges of `created` whose objects have not all been emitted. `followed`: up to when changes (or, for
    what is immutable, new objects) were followed; None before the first sync. `start`: objects created before it are not
    wanted. `newest`: the time of the newest event (or object) seen. `handled`: which of them were handled, of those that the
    next sync will see again.
    `place`: how far a list that takes no `created` has been read: in which pass, and after which object; None when all was.
    `floor`: the least `updated` of records while a full read after a gap lasts. `pending`: by the time when they become
    available, the first and last `created` of balance transactions that were pending. `listed`: the newest objects of a list
    that each sync looks into, as no event tells of new ones. `was_interrupted`: the sync that wrote the state had not read all
    that it wanted.
    """

    cursor_field: str
    start: int = 0
    followed: int | None = None
    unread: list[Range] = field(default_factory=list)
    newest: int | None = None
    handled: Handled = field(default_factory=Handled)
    floor: int | None = None
    pending: dict[int, Range] = field(default_factory=dict)
    place: tuple[int, str | None] | None = None
    listed: Handled = field(default_factory=Handled)
    is_foreign: bool = False
    was_interrupted: bool = field(default=False, compare=False)
    scope: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        blob: Mapping[str, Any] | None,
        cursor_field: str,
        start: int,
        scope: Mapping[str, Any] | None = None,
        time_of: Callable[[object], int] | None = None,
    ) -> "StreamState":
        """The state in `blob`: of this connector, of Airbyte's own (`{"updated": "1795…"}`), or none.

        `scope` tells whose data is read (`livemode`, `account_id`): a state of another is refused. An earlier `start` than the
        state's adds what lies between to the unread. `time_of` reads the time of Airbyte's own state. Raises `BrokenState` for
        anything else.
        """
        blob = {key: value for key, value in (blob or {}).items() if not key.startswith("__ab_")}
        try:
            if not blob:
                state = cls(cursor_field, start)
            elif isinstance(blob.get("followed"), Mapping):
                raise BrokenState("it is of many accounts, and not of a single one")
            elif "version" not in blob:
                followed = next(blob[name] for name in (cursor_field, "updated", "created") if name in blob)
                state = cls(cursor_field, start, whole((time_of or whole)(followed)), is_foreign=True)
            else:
                state = cls._of_ours(blob, cursor_field, start, scope)
        except (KeyError, ValueError, TypeError, AttributeError, StopIteration) as error:
            raise BrokenState("it is not of the form that this connector writes") from error
        state.scope = dict(scope or {})
        return state

    @classmethod
    def _of_ours(cls, blob: Mapping[str, Any], cursor_field: str, start: int, scope: Mapping[str, Any] | None) -> "StreamState":
        if blob["version"] not in (1, VERSION):
            raise BrokenState(f"it has the version {blob['version']!r}, made by a later connector")
        if scope is not None and (other := {name: blob[name] for name in SCOPE if name in blob}) != scope:
            raise BrokenState(f"it is of other data ({_words(other)}) than the key reads ({_words(scope)})")
        unread = [(max(a, start), b) for a, b in _ranges(blob.get("unread", [])) if b >= start]
        was_interrupted = bool(unread) or "place" in blob
        if start < (began := whole(blob["start"])):
            unread = add(unread, start, began - 1)
        return cls(
            cursor_field,
            start,
            whole(blob[cursor_field]),
            unread,
            whole(blob["newest"]) if "newest" in blob else None,
            Handled.load(blob.get("recent", {})),
            whole(blob["floor"]) if "floor" in blob else None,
            {whole(due): (whole(first), whole(last)) for due, first, last in blob.get("pending", [])},
            _place(blob["place"]) if "place" in blob else None,
            Handled.load(blob.get("listed", {})),
            was_interrupted=was_interrupted,
        )

    def dump(self) -> dict[str, Any]:
        """The state as JSON; `load` takes it back."""
        assert self.followed is not None
        self.handled.forget_before(self.window_start())
        blob: dict[str, Any] = {self.cursor_field: self.followed, "start": self.start, "version": VERSION, **self.scope}
        if self.unread:
            blob["unread"] = [list(range_) for range_ in self.unread]
        if self.newest is not None:
            blob["newest"] = self.newest
        if self.handled.seconds:
            blob["recent"] = self.handled.dump()
        if self.listed.seconds:
            blob["listed"] = self.listed.dump()
        if self.floor is not None:
            blob["floor"] = self.floor
        if self.place is not None:
            blob["place"] = list(self.place)
        if self.pending:
            blob["pending"] = [[due, *range_] for due, range_ in sorted(self.pending.items())]
        return blob

    def describe(self) -> str:
        """What is left to do, for a log line."""
        if self.followed is None:
            return "first sync, from " + (_day(self.start) if self.start else "the beginning")
        if self.place is not None:
            return f"a list to read on; followed to {_day(self.followed)}"
        left = f"{len(self.unread)} parts of history from {_day(self.unread[0][0])} on to read; " if self.unread else ""
        return f"{left}followed to {_day(self.followed)}"

    def window_start(self, lookback: int = OVERLAP) -> int:
        """From when on events (or new objects) are to be read again; `lookback` in seconds.

        It begins with the newest one seen where that is older still: for a quiet account that costs nothing, and no clock of
        Stripe's that runs ahead can then hide what is new.
        """
        assert self.followed is not None
        newest = self.followed if self.newest is None else self.newest
        return max(0, min(self.followed - lookback, newest))

    def saw(self, newest: int | None) -> None:
        """The newest event (or object) is of this time."""
        if newest is not None:
            self.newest = max(newest, self.newest or 0)

    def remember(self, second: int, ids: Collection[str]) -> None:
        """All events (or objects) of the second were handled; what the next sync will not see again is forgotten."""
        if second >= self.window_start():
            self.handled.learn(second, ids)

    def remember_listed(self, seen: Mapping[int, Collection[str]]) -> None:
        """All new objects are out, by the second those of `seen`; what the next sync will not see again is forgotten."""
        self.listed = self._to_see_again(seen)

    def _to_see_again(self, seen: Mapping[int, Collection[str]]) -> Handled:
        """By the second those of `seen` that the next sync will see again. The newest come first: few are remembered by id."""
        handled = Handled()
        for second, ids in sorted(seen.items(), reverse=True):
            if second >= self.window_start():
                handled.learn(second, ids)
        return handled

    def range_read(self, lo: int, hi: int) -> None:
        """All that was created from `lo` to `hi` is out."""
        self.unread = subtract(self.unread, lo, hi)
        self._end_full_read()

    def list_read_to(self, place: tuple[int, str | None] | None) -> None:
        """What a list shows up to `place` is out; None for all of it."""
        self.place = place
        self._end_full_read()

    def extend_to(self, since: int, hi: int) -> None:
        """New objects are followed to `hi`, of which those since `since` are still to be read."""
        self.unread = add(self.unread, since, hi)
        self.followed = max(hi, self.followed or 0)

    def follow(self, at: int, handled: Mapping[int, Collection[str]], newest: int | None) -> None:
        """What the events tell up to `at` is out; `handled` are, by the second, those that may be seen again."""
        self.followed = max(at, self.followed or 0)
        self.saw(newest)
        self.handled = self._to_see_again(handled)
        self._end_full_read()

    def _end_full_read(self) -> None:
        if self.floor is not None and not self.is_interrupted and (self.followed or 0) > self.floor:
            self.floor = None

    @property
    def position(self) -> object:
        """How far the reading is: streams of one list that are equally far are read together."""
        return self.start, self.followed, tuple(self.unread), self.place, self.floor, self.is_foreign, tuple(self.pending.items())

    @property
    def is_interrupted(self) -> bool:
        """Whether some of what there was is still to be read."""
        return bool(self.unread) or self.place is not None

    def has_gap(self, now: float) -> bool:
        """Whether events that were not followed have left Stripe's 30 days. A full read needs only those since it began."""
        assert self.followed is not None
        since = self.followed if self.floor is None else self.floor + RETENTION
        return since < now - RETENTION + _MARGIN

    def begin_full_read(self, now: int) -> None:
        """All of history is to be read again, in rows that no older row may beat and any event of the last 30 days must."""
        self.followed = self.floor = now - RETENTION
        self.unread = [(self.start, now)]

    def remember_pending(self, due: int, created: int) -> None:
        """A balance transaction of `created` becomes available at `due`."""
        first, last = self.pending.get(due, (created, created))
        self.pending[due] = (min(first, created), max(last, created))
        while len(self.pending) > _MOST_PENDING:
            # Bounded: the two latest become one, due at the earlier.
            *_, earlier, latest = sorted(self.pending)
            a, b = self.pending.pop(latest)
            c, d = self.pending[earlier]
            self.pending[earlier] = (min(a, c), max(b, d))


Load = Callable[[Mapping[str, Any] | None], StreamState]


def states_of(blob: Mapping[str, Any] | None, lists: Sequence[str], load: Load) -> dict[str, StreamState]:
    """What the state of a stream tells of each of the lists that it is read from; raises `BrokenState`."""
    parts = (blob or {}).get("parents") if len(lists) > 1 else None
    if parts is None:
        return {each: load(blob) for each in lists}
    if not isinstance(parts, Mapping):
        raise BrokenState("it is not of the form that this connector writes")
    return {each: load(parts.get(each)) for each in lists}


def interrupted_states_of(blob: Mapping[str, Any] | None, lists: Sequence[str], load: Load) -> dict[str, StreamState]:
    """The same for a full refresh: only what tells of one that was interrupted counts."""
    try:
        states = states_of(blob, lists, load)
    except BrokenState:
        return states_of(None, lists, load)
    return states if any(state.was_interrupted for state in states.values()) else states_of(None, lists, load)


def _day(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _words(scope: Mapping[str, Any]) -> str:
    mode = "live mode" if scope.get("livemode") else "test mode"
    return f"{mode}, {scope['account_id']}" if "account_id" in scope else mode


def whole(value: Any) -> int:
    """A number of a state, at most a time in epoch seconds; raises a `ValueError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(value)
    number = int(value)
    if not 0 <= number < END_OF_TIME:
        raise ValueError(value)
    return number


def _place(value: Any) -> tuple[int, str | None]:
    pass_index, after = value
    if after is not None and not isinstance(after, str):
        raise ValueError(after)
    return whole(pass_index), after


def _ranges(values: Any) -> list[Range]:
    ranges: list[Range] = []
    for lo, hi in values:
        if whole(lo) > whole(hi):
            raise ValueError(lo)
        ranges = add(ranges, whole(lo), whole(hi))
    return ranges
