"""How far a read is, for a terminal: a line for each stream and one for all, drawn again and again."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from airbyte_cdk.models import AirbyteMessage, AirbyteStreamStatus
from airbyte_protocol_dataclasses.models.airbyte_protocol import AirbyteStreamStatusTraceMessage
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from source_stripe.density import STRIPES_BEGINNING, Density
from source_stripe.sentences import counted
from source_stripe.sync.output import Note, Page, Shares

_WIDTH_OF_ALL = 110
"""So many columns show everything; fewer, what matters most."""
_WIDTH_WITH_BARS = 76
_BAR, _SHORT_BAR = 22, 10
_MARKS = {"complete": ("✓ ", "green"), "failed": ("✗ ", "red")}
_SECONDS_BETWEEN_LINES = 10.0
"""Where nothing can be drawn again."""
_LEAST_SHARE = 0.05
"""Before so much is read, nothing is said of the time that is left."""
_SECONDS_TO_SHOW_LIMIT = 10.0
_LONG_SILENCE = 10.0


class _Data(msgspec.Struct):
    created: int


class _Record(msgspec.Struct):
    data: _Data


class _Message(msgspec.Struct):
    record: _Record


_decode = msgspec.json.Decoder(_Message).decode


@dataclass(eq=False)
class Line:
    """One stream. `share` is how much of it is read, from 0 to 1; None while nobody knows. `ended` is 0 until then."""

    name: str
    began: float = 0.0
    ended: float = 0.0
    records: int = 0
    doing: str = "waiting"
    share: float | None = None
    unread: Sequence[tuple[int, int]] = ()
    oldest: float = float("inf")
    absent: str = ""
    """The product that the account does not have, if the stream is one of it."""
    _density: Density = field(default_factory=Density)

    @property
    def is_over(self) -> bool:
        return self.doing in ("complete", "failed")

    def take(self, page: Page) -> None:
        self.records += page.count
        if self.unread:
            self._see(page.lines)

    def _see(self, lines: bytes) -> None:
        """Learn from the first and the last record of a page how densely the objects of its time lie."""
        try:
            newest = _decode(lines[: lines.find(b"\n")]).record.data.created
            oldest = _decode(lines[lines.rfind(b"\n", 0, -1) + 1 :]).record.data.created
        except msgspec.MsgspecError:
            return  # Some kinds of object have no time.
        if oldest < newest:
            self._density.see(oldest, newest, lines.count(b"\n"))
        self.oldest = min(self.oldest, oldest)

    def learn(self, state: Mapping[str, Any]) -> None:
        """Take what the stream's state tells of the way that is left. Its times are epoch seconds."""
        self.unread = state.get("unread", ())
        if not self.unread:
            self.doing = "following changes" if "updated" in state else "reading what is new"
        elif len(self.unread) > 1:
            self.doing = f"reading history, {len(self.unread)} parts"
        else:
            self.doing = f"reading history, back to {_day(self.unread[-1][1])}"

    def guess(self, beginning: float) -> None:
        """Guess the share by the time that is unread, in an account that has nothing older than its `beginning`."""
        if self.unread and self.records and self._density:
            left = sum(self._density.objects(max(lo, beginning), hi) for lo, hi in self.unread if hi > beginning)
            self.reach(self.records / (self.records + left))

    def reach(self, share: float) -> None:
        """Never less far than before, though it is an estimate; and no stream that is not over is whole."""
        self.share = max(min(share, 0.99), self.share or 0.0)

    def left(self, now: float) -> float | None:
        """In how many seconds it is read, if all goes on as before; None while that can't be told."""
        if self.share is None or self.share < _LEAST_SHARE:
            return None
        return (now - self.began) * (1 - self.share) / self.share


class Display:
    """Shows the items of a read. When it `is_live` it is drawn again and again, or on a terminal that can't move its cursor
    told of now and then; else once, when it is over."""

    def __init__(self, console: Console, is_live: bool) -> None:
        self._console, self._is_live = console, is_live
        self._lines: dict[str, Line] = {}
        self._began = self._last_news = self._last_line = time.monotonic()
        self._limited_until = 0.0
        self._failing: dict[str, str] = {}
        """By the endpoint what it fails with."""
        self._requests: int | None = None
        self._is_over = False
        self._live = Live(
            console=console, get_renderable=self.picture, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False
        )
        if is_live and not console.is_dumb_terminal:
            self._live.start()

    @property
    def is_complete(self) -> bool:
        lines = list(self._lines.values())
        return bool(lines) and all(line.doing == "complete" for line in lines)

    def close(self) -> None:
        """Leave it as it is, with its sum under it."""
        self._is_over = True
        if self._live.is_started:
            self._live.stop()
        else:
            self._console.print(self.picture())

    # ------------------------------------------------------------------ what comes

    def see(self, item: Page | Shares | Note | AirbyteMessage) -> None:
        now = time.monotonic()
        if not isinstance(item, Shares):
            self._last_news = now
        match item:
            case Page():
                self._line(item.stream).take(item)
            case Shares():
                self._see_shares(item.shares)
            case Note():
                self._see_note(item)
            case AirbyteMessage(state=state) if state is not None and state.stream is not None:
                self._line(state.stream.stream_descriptor.name).learn(vars(state.stream.stream_state))
            case AirbyteMessage(trace=trace) if trace is not None and trace.stream_status is not None:
                self._see_status(trace.stream_status, now)
        if self._is_live and not self._live.is_started and now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._console.print(self._sum(now))

    def _line(self, name: str) -> Line:
        return self._lines.setdefault(name, Line(name))

    def _see_shares(self, shares: Mapping[str, float]) -> None:
        beginning = min((line.oldest for line in list(self._lines.values()) if line.is_over), default=STRIPES_BEGINNING)
        for line in list(self._lines.values()):
            if line.name in shares:
                line.reach(shares[line.name])
            elif not line.is_over:
                line.guess(beginning if beginning < line.oldest else STRIPES_BEGINNING)

    def _see_note(self, note: Note) -> None:
        if note.name == "failing":
            self._failing[note.values["endpoint"]] = str(note.values["error"])
        elif note.name == "recovered":
            self._failing.pop(note.values["endpoint"], None)
        elif note.name == "not_enabled":
            self._line(note.stream).absent = note.values["product"]
        elif note.name == "sum":
            self._requests = note.values["requests"]

    def _see_status(self, status: AirbyteStreamStatusTraceMessage, now: float) -> None:
        line = self._line(status.stream_descriptor.name)
        if status.reasons:
            self._limited_until = now + _SECONDS_TO_SHOW_LIMIT
        match status.status:
            case AirbyteStreamStatus.STARTED:
                line.began = now
            case AirbyteStreamStatus.RUNNING if line.doing == "waiting":
                line.doing = "reading"
            case AirbyteStreamStatus.COMPLETE:
                line.doing, line.share, line.ended = "complete", 1.0, now
            case AirbyteStreamStatus.INCOMPLETE:
                line.doing, line.ended = "failed", now

    # ------------------------------------------------------------------ what is shown

    def picture(self) -> RenderableType:
        """What is to be seen now."""
        now = time.monotonic()
        lines = list(self._lines.values())
        table = self._table(lines if self._is_over else self._those_that_fit(lines), now)
        trouble = "" if self._is_over else self._trouble(now)
        return Group(table, Text(self._sum(now)), *([Text(trouble, "yellow")] if trouble else ()))

    def _those_that_fit(self, lines: Sequence[Line]) -> Sequence[Line]:
        """Rather those that something happens to."""
        room = max(3, self._console.height - 5)
        if len(lines) <= room:
            return lines
        by_interest = sorted(lines, key=lambda line: (line.is_over, line.doing == "waiting"))[:room]
        return [line for line in lines if line in by_interest]

    def _table(self, lines: Sequence[Line], now: float) -> Table:
        width = self._console.width
        has_room = width >= _WIDTH_OF_ALL
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(24, width // 3))
        for _ in range(4 if has_room else 3 if width >= _WIDTH_WITH_BARS else 2):
            table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim")
        for line in lines:
            table.add_row(Text.assemble(_MARKS.get(line.doing, "  "), line.name), *self._cells(line, has_room, now))
        return table

    def _cells(self, line: Line, has_room: bool, now: float) -> tuple[RenderableType, ...]:
        """What is shown beside the name, as far as there is room for it."""
        bar = ProgressBar(1.0, line.share or 0.0, _BAR if has_room else _SHORT_BAR, pulse=line.share is None and not line.is_over)
        share = f"{line.share:4.0%}" if line.share is not None and not line.is_over else "    "
        doing = f"not enabled: {line.absent}" if line.absent else line.doing
        if has_room:
            return bar, share, counted(line.records, "record"), _clock((line.ended or now) - (line.began or now)), doing
        cells = share, f"{line.records:,}", doing.removeprefix("reading history, ")
        return (bar, *cells) if self._console.width >= _WIDTH_WITH_BARS else cells

    def _sum(self, now: float) -> str:
        lines = list(self._lines.values())
        complete = sum(line.doing == "complete" for line in lines)
        records = sum(line.records for line in lines)
        seconds = now - self._began
        words = f"{complete} of {len(lines)} streams complete: {counted(records, 'record')} in "
        if self._is_over:
            requests = "" if self._requests is None else f", with {counted(self._requests, 'request')}"
            return f"{words}{seconds:,.1f} s{requests}"
        # Lists that are read whole each time tell no share; they are short.
        left = [line.left(now) for line in lines if not line.is_over and (line.share is not None or line.unread)]
        known = [each for each in left if each is not None]
        return f"{words}{_clock(seconds)}{f', about {_clock(max(known))} left' if known and len(known) == len(left) else ''}"

    def _trouble(self, now: float) -> str:
        """Why it does not get on, if it does not."""
        if self._failing:
            endpoint, cause = next(iter(self._failing.items()))
            return f"Trying {f'{endpoint} ' if len(self._failing) == 1 else ''}again: {cause}"
        if now < self._limited_until:
            return "Stripe's rate limit is used up, by others too: going slower."
        silence = now - self._last_news
        return f"Nothing has come for {silence:.0f} seconds." if silence >= _LONG_SILENCE else ""


def _day(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).date().isoformat()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
