"""What workers hand to the one thread that writes."""

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from source_stripe.page import Page

if TYPE_CHECKING:
    from source_stripe.streams import StreamSync

_MOST_BYTES = 8 << 20

Then = Callable[[], None]
Item = tuple["StreamSync", Page | None, Then | None, bool]


class Output:
    """A queue with room for so many bytes of pages: a reader that is slow slows the workers down, not the memory up.

    An item is a stream, a page or none, what to call once the page is out, and whether the stream ends.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._closed = False

    def put(self, stream: "StreamSync", page: Page | None, then: Then | None) -> None:
        """Add a page; waits for room. Never called with the scheduler's lock held."""
        size = len(page.lines) if page else 0
        with self._condition:
            while size and self._bytes >= _MOST_BYTES and not self._closed:
                self._condition.wait()
            self._put((stream, page, then, False))

    def put_at_once(self, stream: "StreamSync", then: Then | None, page: Page | None = None) -> None:
        """Add what is small, without waiting for room; `then` is called by who writes, once the page is out."""
        with self._condition:
            self._put((stream, page, then, False))

    def end(self, stream: "StreamSync") -> None:
        """Say that nothing more of `stream` comes."""
        with self._condition:
            self._put((stream, None, None, True))

    def _put(self, item: Item) -> None:
        self._items.append(item)
        self._bytes += len(item[1].lines) if item[1] else 0
        self._condition.notify_all()

    def get(self, timeout: float) -> Item | None:
        """The next item; None when none came in `timeout` seconds."""
        with self._condition:
            if not self._items:
                self._condition.wait(timeout)
            if not self._items:
                return None
            item = self._items.popleft()
            if item[1]:
                self._bytes -= len(item[1].lines)
                self._condition.notify_all()
            return item

    def close(self) -> None:
        """Let workers that wait for room go: nobody reads any more."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def is_empty(self) -> bool:
        return not self._items
