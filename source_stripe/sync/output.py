"""What the loop hands to the one who writes, in order."""

import asyncio
import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal, Protocol

from source_stripe.sync.page import Page

_MOST_BYTES = 8 << 20
MOST_NOTES = 10
"""So often a note of one kind is put out for a stream."""


@dataclass(frozen=True, slots=True)
class State:
    """What has been read of a stream: a snapshot that covers the pages before it, and no other."""

    stream: str
    blob: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    """Where a stream is. `limited` is for how many seconds Stripe's rate limit holds it, None if it does not."""

    stream: str
    status: Literal["started", "running", "complete"]
    limited: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a stream that failed. `permission` is the row of a key's form that the refused request needs."""

    stream: str
    error: BaseException
    permission: str
    records: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a person should read, by the name of its sentence and what stands in it. `stream` is "" for the sync."""

    name: str
    stream: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shares:
    """By the stream's name the share of it that is read, from 0 to 1, where that can be told."""

    shares: Mapping[str, float]


Item = Page | State | Status | Failed | Note | Shares


class Sink(Protocol):
    """Where items go, in order."""

    async def room(self) -> None:
        """Wait until there is room for a page."""

    def put(self, item: Item) -> None:
        """Add an item; never waits."""


class Output:
    """A queue from the loop's thread to the writer's: pages, states, statuses and notes, in the order in which they were put.

    A reader that is slow slows the reading down, and not the memory up: who is to put a page waits for room first.
    """

    def __init__(self) -> None:
        self._items: SimpleQueue[Item | None] = SimpleQueue()
        self._put_bytes = 0
        self._taken_bytes = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_room = asyncio.Event()
        self._last_told = math.inf

    # ------------------------------------------------------------------ on the loop

    async def room(self) -> None:
        """Wait until there is room for a page."""
        while self._put_bytes - self._taken_bytes >= _MOST_BYTES:
            self._has_room.clear()
            self._loop = asyncio.get_running_loop()
            if self._put_bytes - self._taken_bytes >= _MOST_BYTES:  # Else it was taken before it was known who waits.
                await self._has_room.wait()

    def put(self, item: Item) -> None:
        """Add an item; never waits."""
        if isinstance(item, Page):
            self._put_bytes += item.size
        if isinstance(item, Page | State | Status):
            self._last_told = asyncio.get_running_loop().time()
        self._items.put(item)

    def end(self) -> None:
        """Say that nothing more comes."""
        self._items.put(None)

    def silence(self) -> float:
        """For how many seconds neither records nor a state nor a status came."""
        return asyncio.get_running_loop().time() - self._last_told

    # ------------------------------------------------------------------ on the writer's thread

    def get(self) -> Item | None:
        """The next item, when it is there; None after the last."""
        item = self._items.get()
        if isinstance(item, Page):
            self._taken_bytes += item.size
            if self._loop is not None and self._put_bytes - self._taken_bytes < _MOST_BYTES:
                loop, self._loop = self._loop, None
                with contextlib.suppress(RuntimeError):  # The loop is over, and nobody waits any more.
                    loop.call_soon_threadsafe(self._has_room.set)
        return item


__all__ = ["Failed", "Item", "Note", "Output", "Page", "Shares", "Sink", "State", "Status"]
