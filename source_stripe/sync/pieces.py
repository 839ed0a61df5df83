"""JSON in pieces, of which a temporary file holds what would be too much for memory."""

import os
import tempfile
import weakref
from collections.abc import Iterator
from typing import BinaryIO

MOST_IN_MEMORY = 4 << 20


class NoRoomError(Exception):
    """What a sync has to keep for a while did not find room in the temporary directory; the text is the system's."""


class Pieces:
    """Pieces of JSON in the order in which they were added, to be gone through any number of times, on any thread.

    What goes beyond `most` bytes lies in a file without a name, gone with the last who holds this. Where none can be made, it
    stays in memory; where it has no more room, `add` fails with a `NoRoomError`. `held` are the bytes in memory.
    """

    def __init__(self, most: int = MOST_IN_MEMORY) -> None:
        self._most = most
        self._in_memory: list[bytes] = []
        self._in_file: list[tuple[int, int]] = []
        """Where each of the later pieces lies, and how long it is."""
        self._file: BinaryIO | None = None
        self._end = 0
        self.held = 0

    @property
    def is_large(self) -> bool:
        """Whether there is more than lies in memory."""
        return bool(self._in_file)

    def add(self, piece: bytes) -> int:
        """Add a piece; how many bytes more lie in memory."""
        if self._in_file or self.held + len(piece) > self._most:
            try:
                self._write(piece)
                return 0
            except OSError as error:
                if self._in_file:  # In memory, it would come before these.
                    raise NoRoomError(str(error)) from error
        self._in_memory.append(piece)
        self.held += len(piece)
        return len(piece)

    def _write(self, piece: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            weakref.finalize(self, self._file.close)
        left = memoryview(piece)
        while left:
            left = left[os.pwrite(self._file.fileno(), left, self._end + len(piece) - len(left)) :]
        self._in_file.append((self._end, len(piece)))
        self._end += len(piece)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._in_memory
        for place, size in self._in_file:
            assert self._file is not None
            yield os.pread(self._file.fileno(), size, place)
