"""The accounts that a platform has connected: thousands of them, made when they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import RLock
from typing import Generic, TypeVar

A = TypeVar("A")
_KEPT = 256


class Connected(Generic[A]):
    """By its id the account behind each of a platform's objects of the kind account. KeyError means: not connected.

    `connected[id]` is that account for good. One that is only read is made for the request, and may be forgotten and made again:
    `fill` has to give it the same objects each time, whatever the clock says.
    """

    def __init__(self, is_connected: Callable[[str], bool], new: Callable[[str], A]) -> None:
        self._is_connected, self._new = is_connected, new
        self._kept: dict[str, A] = {}
        self._read: OrderedDict[str, A] = OrderedDict()
        self._lock = RLock()
        self.fill: Callable[[A], object] = lambda account: None

    def __contains__(self, ident: str) -> bool:
        return self._is_connected(ident)

    def __getitem__(self, ident: str) -> A:
        with self._lock:
            account = self._kept[ident] = self.read(ident)
            self._read.pop(ident, None)
            return account

    def __setitem__(self, ident: str, account: A) -> None:
        self._kept[ident] = account

    def read(self, ident: str) -> A:
        """The account as it is, not to be changed."""
        with self._lock:
            if ident not in self:
                raise KeyError(f"no account {ident!r} is connected")
            if ident in self._kept:
                return self._kept[ident]
            account = self._read.get(ident)
            if account is None:
                account = self._read[ident] = self._new(ident)
                self.fill(account)
            self._read.move_to_end(ident)
            if len(self._read) > _KEPT:
                self._read.popitem(last=False)
            return account
