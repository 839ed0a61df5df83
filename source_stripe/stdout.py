"""Standard output, which has one writer: whatever thread or library a line comes from, it goes out whole."""

import contextlib
import io
import logging
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

_BYTES_AT_A_TIME = 1 << 16


class OutputError(Exception):
    """Standard output can't be written; the cause is the `OSError`."""


class LineWriter:
    """Writes whole lines, one caller at a time. While `is_writing`, an end of the process has to wait: it goes into `then`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.is_writing = False
        self.then: Callable[[], None] | None = None

    def write(self, lines: bytes) -> None:
        """Write `lines`, each with its line end; raises `OutputError`."""
        with self._lock:
            begin = 0
            while begin < len(lines):
                end = lines.rfind(b"\n", begin, begin + _BYTES_AT_A_TIME) + 1 or lines.index(b"\n", begin) + 1
                self._write_whole((memoryview(lines)[begin:end],))
                begin = end

    def write_line(self, pieces: Iterable[bytes]) -> None:
        """Write one line that comes in pieces, the last with its line end; raises `OutputError`."""
        with self._lock:
            self._write_whole(map(memoryview, pieces))

    def _write_whole(self, pieces: Iterable[memoryview]) -> None:
        self.is_writing = True
        try:
            for piece in pieces:
                self._write(piece)
        except OSError as error:
            raise OutputError from error
        finally:
            self.is_writing = False
        if self.then is not None:
            self.then()

    def _write(self, left: memoryview) -> None:
        # Without a buffer (PYTHONUNBUFFERED) a write may be cut short.
        while left:
            left = left[self._file.write(left) :]
        self._file.flush()


class Lines(io.TextIOBase):
    """What stands for `sys.stdout`: hands on what is printed as soon as it is a whole line, of each thread by itself."""

    encoding = "utf-8"

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer
        self._begun = threading.local()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        whole, end, begun = (getattr(self._begun, "text", "") + text).rpartition("\n")
        self._begun.text = begun
        if end:
            self._writer.write((whole + end).encode(errors="replace"))
        return len(text)


def take_over() -> LineWriter:
    """Have everything that is printed or logged to standard output pass through the writer that is returned."""
    # Where a line of the log can't be written, the next message can't either, and that is told.
    logging.raiseExceptions = False
    writer = LineWriter(sys.stdout.buffer)
    sys.stdout = Lines(writer)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            with contextlib.suppress(OSError):
                handler.flush()
            handler.stream = sys.stdout
    return writer


def leave_out_logs() -> None:
    """Have nothing that is logged go to standard output."""
    logging.getLogger().handlers.clear()


def file_name() -> str:
    """The file that standard output goes to, as it is called here; "" for a pipe or a terminal."""
    with contextlib.suppress(OSError, ValueError):
        if stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
            with contextlib.suppress(OSError):
                path = Path("/proc/self/fd", str(sys.stdout.fileno())).readlink()
                return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
            return "FILE"  # Only Linux tells its name.
    return ""
