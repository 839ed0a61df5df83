"""What a person at a terminal sees on standard error, while standard output carries the protocol."""

import contextlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from airbyte_cdk.models import AirbyteMessage, AirbyteStreamStatus

from source_stripe.sync.output import Page, Shares

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


@dataclass
class _Line:
    """One stream's line of the display. `share` is how much of the history is read, from 0 to 1; None while nobody knows."""

    task: "TaskID"
    records: int = 0
    doing: str = "waiting"
    share: float | None = None

    def learn(self, state: dict[str, Any]) -> None:
        """Take what the stream's state tells of the way that is left. Its times are epoch seconds."""
        unread = state.get("unread", [])
        if not unread:
            self.doing = "following changes" if "updated" in state else "reading what is new"
        elif len(unread) > 1:
            self.doing = f"reading history, {len(unread)} parts"
        else:
            self.doing = f"reading history, back to {_day(unread[-1][1])}"


class Terminal:
    """A verdict of `check`, the progress of `read`, and errors in words. All of it silent when `stream` is no terminal.

    With standard output on the same terminal (`shares_output`), `read` is told of in the end alone: a display that is
    drawn again and again would be torn by the messages. Nothing is imported for a display that nobody sees.
    """

    def __init__(self, stream: TextIO, shares_output: bool) -> None:
        self._stream = stream
        self._is_shown = _is_terminal(stream)
        self.is_live = self._is_shown and not shares_output
        self._lines: dict[str, _Line] = {}
        self._progress: Progress | None = None
        self._handler: logging.Handler | None = None
        self._began = time.monotonic()

    @property
    def _console(self) -> "Console":
        from rich.console import Console

        return Console(file=self._stream, highlight=False, markup=False, soft_wrap=True)

    # ------------------------------------------------------------------ check, and what ends a command

    def tell(self, line: str) -> None:
        """Say in words what the protocol's message `line` says of a check or of a failure; nothing for any other."""
        if not self._is_shown:
            return
        message = json.loads(line)
        if status := message.get("connectionStatus"):
            good, words = status["status"] == "SUCCEEDED", status.get("message")
            if words is None:
                self._say("green", "✓ ", "The key works, and may read every stream.")
            elif good:
                self._say("yellow", "! ", f"The key works. {words}")
            else:
                self._say("red", "✗ ", str(words))
        elif error := message.get("trace", {}).get("error"):
            self.close()
            self._say("red", "✗ ", error["message"])

    def _say(self, style: str, mark: str, words: str) -> None:
        console = self._progress.console if self._progress else self._console
        with contextlib.suppress(OSError, ValueError):
            console.print(mark, style=style, end="")
            console.print(words)

    # ------------------------------------------------------------------ read

    def watch(self, items: Iterable[Page | Shares | AirbyteMessage]) -> Iterator[Page | Shares | AirbyteMessage]:
        """The items of a `read`, unchanged, each shown when it has been written."""
        if not self._is_shown:
            yield from items
            return
        self._open()
        for item in items:
            yield item
            if isinstance(item, Page):
                self._line(item.stream).records += item.count
                self._show(item.stream)
            elif isinstance(item, Shares):
                self._look(item.shares)
            else:
                self._see(item)
        self.close()

    def _open(self) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}"),
            BarColumn(24),
            TextColumn("{task.fields[done]:>4}"),
            TextColumn("{task.fields[records]:>11,} records"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[doing]}", style="dim"),
            console=self._console,
            auto_refresh=self.is_live,
            redirect_stdout=False,
            redirect_stderr=False,
            refresh_per_second=8,
        )
        self._handler = _Above(self)
        logging.getLogger("airbyte").addHandler(self._handler)
        if self.is_live:
            self._progress.start()

    def _look(self, shares: Mapping[str, float]) -> None:
        """Show how far the streams are: never less far than they were, though it is an estimate."""
        for name, share in shares.items():
            line = self._line(name)
            line.share = max(share, line.share or 0.0)
            self._show(name)

    def _line(self, name: str) -> _Line:
        assert self._progress is not None
        if name not in self._lines:
            self._lines[name] = _Line(self._progress.add_task(name, total=None, records=0, done="", doing="waiting"))
        return self._lines[name]

    def _see(self, item: AirbyteMessage) -> None:
        if item.state is not None and item.state.stream is not None:
            name = item.state.stream.stream_descriptor.name
            self._line(name).learn(dict(vars(item.state.stream.stream_state)))
            self._show(name)
        elif item.trace is not None and (status := item.trace.stream_status) is not None:
            name = status.stream_descriptor.name
            line = self._line(name)
            if status.status == AirbyteStreamStatus.COMPLETE:
                line.doing, line.share = "complete", 1.0
            elif status.status == AirbyteStreamStatus.INCOMPLETE:
                line.doing = "failed"
            elif status.status == AirbyteStreamStatus.RUNNING and line.doing == "waiting":
                line.doing = "reading"
            self._show(name)

    def _show(self, name: str) -> None:
        assert self._progress is not None
        line = self._lines[name]
        is_over = line.doing in ("complete", "failed")
        if line.doing == "failed":
            self._progress.stop_task(line.task)
        # A bar that is full means that the stream is complete.
        share = line.share if is_over or line.share is None else min(line.share, 0.99)
        done = "" if share is None or is_over else f"{share:.0%}"
        self._progress.update(
            line.task,
            total=None if share is None and not is_over else 1.0,
            completed=share or 0.0,
            records=line.records,
            done=done,
            doing=line.doing,
        )

    def close(self) -> None:
        """Leave the display as it is, with its sum under it. May be called at any time, and again."""
        display, self._progress = self._progress, None
        if display is None:
            return
        if self._handler is not None:
            logging.getLogger("airbyte").removeHandler(self._handler)
        with contextlib.suppress(Exception):  # The terminal may be gone, and the command ends in its own way.
            if self.is_live:
                display.stop()
            else:
                display.console.print(display.get_renderable())
            done = sum(line.doing == "complete" for line in self._lines.values())
            records = sum(line.records for line in self._lines.values())
            display.console.print(
                f"{done} of {len(self._lines)} streams complete: {records:,} records in {time.monotonic() - self._began:,.1f} s"
            )


class _Above(logging.Handler):
    """Shows warnings above the display: with standard output in a file they would go by unseen."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal._say("red" if record.levelno >= logging.ERROR else "yellow", "! ", record.getMessage())


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def _day(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).date().isoformat()
