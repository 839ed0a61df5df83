"""What has been read of one stream of many accounts, as its state says it."""

import zlib
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

from source_stripe.sync.state import OVERLAP, RETENTION, VERSION, BrokenState, whole

_STEP = 600
"""Times of many accounts are rounded down to these seconds, so that few different ones are left."""
_NEVER = -1
_DIGEST = 5
"""Bytes of a digest of an account's id. A new account of a platform that has ten thousand shares one by a chance of 1 in 10^8."""
_SIMPLE = {"start", "version", "newest", "recent"}


class Accounts:
    """The accounts that a sync reads, by their number."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = list(dict.fromkeys(ids))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def digests(self) -> Sequence[bytes]:
        return [digest_of(id) for id in self.ids]

    @cached_property
    def numbers(self) -> Mapping[bytes, int]:
        return {digest: number for number, digest in enumerate(self.digests)}


def digest_of(id: str) -> bytes:
    return blake2b(id.encode(), digest_size=_DIGEST).digest()


@dataclass
class Followed:
    """A time, in epoch seconds, and the digests of the accounts that are followed to it, sorted, one after another."""

    at: int
    digests: bytes

    @classmethod
    def load(cls, at: str, text: str) -> "Followed":
        columns = zlib.decompress(b64decode(text))
        count = len(columns) // _DIGEST
        return cls(whole(at), b"".join(bytes(columns[place::count]) for place in range(count)))

    @staticmethod
    def dump(digests: Iterable[bytes]) -> str:
        """Sorted, first bytes are alike: they stand beside each other."""
        rows = b"".join(sorted(digests))
        return b64encode(zlib.compress(b"".join(rows[place::_DIGEST] for place in range(_DIGEST)))).decode()

    def __iter__(self) -> Iterator[bytes]:
        return (self.digests[place : place + _DIGEST] for place in range(0, len(self.digests), _DIGEST))


class AccountsState:
    """What the state of a stream says of each account. As JSON it has:

    - `followed`: by a time, of which accounts everything is out up to then (a multiple of ten minutes, so that what the next
      sync reads again is a little more). Accounts are told by digests of their ids, a few bytes each.
    - `own`: by its id the state of an account of which that is not all: that is being read for the first time, that has changes
      of the last minutes or transactions that are pending, or that failed. It counts, whatever `followed` says.
    - `gone`: by its id, when an account was refused first. It keeps its place in the other two.
    - `start`: objects created before it are not wanted, of accounts that tell no other.
    - `has_forgotten`: an account in none of these may have been read long ago. Else it was never read.
    - `is_unfinished`: the sync that wrote it has not come to its end: an account in none of these may have been read in part.
    - `is_full_refresh`: the same, of a full refresh.

    An account that is not read any more keeps its place for the thirty days for which Stripe keeps events, and so goes on when it
    is back before; then it is forgotten, and read in full. So what is said of one account holds whichever others are read: no
    change of the accounts' list or of the shards hides anything.
    """

    def __init__(self, cursor_field: str, start: int, scope: Mapping[str, Any], is_full_refresh: bool = False) -> None:
        self._cursor_field, self._start, self._scope = cursor_field, start, scope
        self._followed: list[Followed] = []
        self._own: dict[str, dict[str, Any]] = {}
        self.gone: dict[str, int] = {}
        self._is_full_refresh = is_full_refresh
        self.has_forgotten = self.was_unfinished = False
        self._begun: int | None = None
        """The `start` of accounts that tell no other, where that is not what is wanted now."""
        self._accounts = Accounts(())
        self._times = array("q")
        """By the account's number, to when it is followed."""

    @classmethod
    def load(
        cls,
        blob: Mapping[str, Any] | None,
        cursor_field: str,
        start: int,
        scope: Mapping[str, Any],
        is_full_refresh: bool = False,
        is_shard: bool = False,
    ) -> "AccountsState":
        """The state in `blob`, or none; raises `BrokenState` for that of one account, and for anything else.

        A full refresh goes on only from one that has not come to its end. Before a shard had an account, another may have put out
        rows that its own must beat.
        """
        blob = {key: value for key, value in (blob or {}).items() if not key.startswith("__ab_")}
        state = cls(cursor_field, start, scope, is_full_refresh)
        state.has_forgotten = is_shard and not is_full_refresh
        if not blob or (is_full_refresh and not blob.get("is_full_refresh")):
            return state
        if "followed" not in blob:
            raise BrokenState("it is of a single account, and not of many")
        try:
            state._take(blob)
        except (KeyError, ValueError, TypeError, AttributeError, zlib.error) as error:
            raise BrokenState("it is not of the form that this connector writes") from error
        if (other := {name: blob.get(name) for name in scope}) != scope:
            modes = ["live mode" if each["livemode"] else "test mode" for each in (other, scope)]
            raise BrokenState(f"it is of other data ({modes[0]}) than the key reads ({modes[1]})")
        return state

    def _take(self, blob: Mapping[str, Any]) -> None:
        if blob.get("version", VERSION) != VERSION:
            raise BrokenState(f"it has the version {blob['version']!r}, made by a later connector")
        began = whole(blob["start"])
        self._followed = [Followed.load(at, text) for at, text in blob["followed"].items()]
        self._own = {id: {"start": began, **self._checked(own)} for id, own in blob["own"].items()}
        self.gone = {id: whole(since) for id, since in blob["gone"].items()}
        self.has_forgotten = self.has_forgotten or bool(blob.get("has_forgotten"))
        self.was_unfinished = bool(blob.get("is_unfinished"))
        self._begun = began if began != self._start else None

    def _checked(self, own: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state of one account, as far as it is looked at here: the account's reading looks at the rest."""
        for part in (own, *own.get("parents", {}).values()):
            if not isinstance(part, Mapping):
                raise ValueError(part)
            if self._cursor_field in part:
                whole(part[self._cursor_field])
        return own

    # ------------------------------------------------------------------ accounts

    def bind(self, accounts: Accounts) -> None:
        """These accounts are read; of the others, what is known is kept."""
        self._accounts = accounts
        self._times = array("q", [_NEVER]) * len(accounts)
        for group in self._followed:
            kept = []
            for digest in group:
                number = accounts.numbers.get(digest)
                if number is None:
                    kept.append(digest)
                elif self._begun is None:
                    self._times[number] = group.at
                else:
                    self._own.setdefault(accounts.ids[number], {self._cursor_field: group.at, "start": self._begun})
            group.digests = b"".join(kept)
        if self._begun is not None:  # What is kept of the others would be taken to begin where it does not.
            self._forget([group for group in self._followed if group.digests])

    def _forget(self, groups: Sequence[Followed]) -> None:
        self.has_forgotten = self.has_forgotten or bool(groups)
        self._followed = [group for group in self._followed if group not in groups]

    def followed_to(self, number: int) -> int:
        """To when the account of that number is followed; -1 for one that was never read."""
        own = self._own.get(self._accounts.ids[number])
        return self._times[number] if own is None else int(own.get(self._cursor_field, _NEVER))

    def is_back(self, number: int) -> None:
        """The account was not refused."""
        if self.gone:
            self.gone.pop(self._accounts.ids[number], None)

    def is_in_part(self, number: int) -> bool:
        """Whether some of what the account had is still to be read."""
        own = self._own.get(self._accounts.ids[number], {})
        return any(part.keys() & {"unread", "place"} for part in own.get("parents", {"": own}).values())

    @property
    def has_new(self) -> bool:
        """Whether there are accounts of which it says nothing."""
        return any(at == _NEVER and id not in self._own for id, at in zip(self._accounts.ids, self._times, strict=True))

    def is_simple(self, number: int) -> bool:
        """Whether a time says all of what has been read of the account."""
        return self._times[number] != _NEVER and self._accounts.ids[number] not in self._own

    def follow(self, number: int, at: int) -> None:
        """Nothing has happened in the account up to `at`."""
        self._times[number] = max(self._times[number], at // _STEP * _STEP)

    def blob_of(self, number: int) -> dict[str, Any] | None:
        """What has been read of the account, as the state of a single one; None for nothing."""
        own = self._own.get(self._accounts.ids[number])
        if own is not None:
            return {"version": VERSION, **own}
        may_be_known = self.has_forgotten or (self.was_unfinished and not self._is_full_refresh)
        if (at := self._times[number]) == _NEVER and not may_be_known:
            return None
        # What may have been read long ago is read in full, in rows that no older row may beat: as after a gap.
        return {self._cursor_field: max(at, 0), "start": self._start, "version": VERSION}

    def learn(self, number: int, blob: Mapping[str, Any]) -> None:
        """The account's state is `blob` now."""
        id = self._accounts.ids[number]
        self._times[number] = self._simple(blob)
        if self._times[number] == _NEVER:
            self._own[id] = {name: value for name, value in blob.items() if name != "version"}
        else:
            self._own.pop(id, None)

    def _simple(self, blob: Mapping[str, Any]) -> int:
        """The time up to which everything is out, if that is all there is to say."""
        if "parents" in blob:
            return min(self._simple(each) for each in blob["parents"].values())
        at = int(blob[self._cursor_field]) // _STEP * _STEP
        is_simple = blob.keys() <= _SIMPLE | {self._cursor_field} and blob["start"] == self._start
        # What is newer would be read again by the next sync, and be new to it.
        newest = max([blob.get("newest") or 0, *map(int, blob.get("recent", {}))])
        return at if is_simple and newest < at - OVERLAP else _NEVER

    # ------------------------------------------------------------------ the state itself

    def dump(self, now: int, is_complete: bool) -> dict[str, Any]:
        """The state as JSON; `load` takes it back. What is older than the events that Stripe has `now` is forgotten."""
        oldest = now - RETENTION
        self._forget([group for group in self._followed if group.at < oldest and group.digests])
        known = set(self._accounts.ids)
        left = [id for id, own in self._own.items() if id not in known and int(own.get(self._cursor_field, 0)) < oldest]
        for id in left:
            self.has_forgotten = True
            del self._own[id]
        self.gone = {id: since for id, since in self.gone.items() if id in known or since >= oldest}
        blob: dict[str, Any] = {"version": VERSION, **self._scope, "start": self._start}
        blob |= {"followed": self._dump_followed(), "own": self._dump_own(), "gone": self.gone.copy()}
        marks = {"has_forgotten": self.has_forgotten, "is_unfinished": not is_complete}
        marks["is_full_refresh"] = self._is_full_refresh and not is_complete
        return blob | {name: True for name, holds in marks.items() if holds}

    def _dump_followed(self) -> dict[str, str]:
        groups: dict[int, list[bytes]] = {}
        for digest, at in zip(self._accounts.digests, self._times, strict=True):
            if at != _NEVER:
                groups.setdefault(at, []).append(digest)
        for group in self._followed:
            if group.digests:
                groups.setdefault(group.at, []).extend(group)
        return {str(at): Followed.dump(digests) for at, digests in sorted(groups.items())}

    def _dump_own(self) -> dict[str, Any]:
        return {
            id: {name: value for name, value in own.items() if name != "start" or value != self._start}
            for id, own in self._own.items()
        }
