"""What a person sees on standard error, while standard output carries the protocol."""

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from airbyte_cdk.models import AirbyteMessage
from airbyte_cdk.utils.airbyte_secrets_utils import filter_secrets

from source_stripe import sentences
from source_stripe.sync.output import Note, Page, Shares

if TYPE_CHECKING:
    from rich.console import Console

    from source_stripe.display import Display

Item = Page | Shares | Note | AirbyteMessage


class Terminal:
    """A verdict of `check`, the progress of `read`, warnings, and errors in words: in colours on a terminal. What is no
    terminal gets a plain line for each error and, where there is no log (`catalog`, `estimate`), for each warning.

    With standard output on the same terminal (`shares_output`), `read` is told of in the end alone: a display that is
    drawn again and again would be torn by the messages. `file` is where standard output goes otherwise, if it is a file.
    Nothing is imported for a display that nobody sees.
    """

    def __init__(self, stream: TextIO, shares_output: bool, file: str = "") -> None:
        self._stream, self._file = stream, file
        self._is_shown = _is_terminal(stream)
        self.is_live = self._is_shown and not shares_output
        self._display: Display | None = None
        self._shown_console: Console | None = None
        self._given: Sequence[str] | None = None
        self._has_state = False

    @property
    def _console(self) -> "Console":
        from rich.console import Console

        if self._shown_console is None:
            self._shown_console = Console(file=self._stream, highlight=False, markup=False, soft_wrap=True)
        return self._shown_console

    # ------------------------------------------------------------------ sentences

    def listen(self, has_no_log: bool) -> None:
        """Repeat what is logged: warnings, where the log is none or goes elsewhere; errors alone for what is no terminal."""
        if has_no_log or self.is_live:
            logging.getLogger("airbyte").addHandler(_Repeating(self, logging.WARNING))
        elif not self._is_shown:
            logging.getLogger("airbyte").addHandler(_Repeating(self, logging.ERROR))

    def tell(self, line: str) -> None:
        """Say in words what the protocol's message `line` says of a check or of a failure; nothing for any other."""
        message = json.loads(line)
        if status := message.get("connectionStatus"):
            good, words = status["status"] == "SUCCEEDED", status.get("message")
            if not good:
                self.fail(str(words))
            elif self._is_shown:
                mark = ("yellow", "! ") if words else ("green", "✓ ")
                self._say(*mark, f"The key works. {words}" if words else "The key works, and may read every stream.")
        elif error := message.get("trace", {}).get("error"):
            self.close()
            self.fail(error["message"])

    def fail(self, words: str) -> None:
        """Say what went wrong."""
        self._say("red", "✗ ", words)

    def warn(self, words: str) -> None:
        self._say("yellow", "! ", words)

    def _say(self, style: str, mark: str, words: str) -> None:
        words = filter_secrets(words)
        with contextlib.suppress(OSError, ValueError):
            if self._is_shown:
                from rich.text import Text

                self._console.print(Text.assemble((mark, style), words))
            else:
                kind = {"red": "error: ", "yellow": "warning: "}.get(style, "")
                self._stream.write(f"source-stripe: {kind}{' '.join(words.split())}\n")

    # ------------------------------------------------------------------ read

    def watch(self, items: Iterable[Item], given: Sequence[str] = ()) -> Iterator[Item]:
        """The items of a `read`, unchanged, each shown when it has been written. It went on from the states in files `given`."""
        self._given = given
        if self._is_shown:
            from source_stripe.display import Display

            self._display = Display(self._console, self.is_live)
        for item in items:
            yield item
            self._has_state |= isinstance(item, AirbyteMessage) and item.state is not None
            if self._display is not None:
                self._display.see(item)
        self.close()

    def close(self) -> None:
        """Leave the display as it is, with its sum under it. May be called at any time, and again."""
        display, self._display = self._display, None
        if display is None:
            return
        with contextlib.suppress(Exception):  # The terminal may be gone, and the command ends in its own way.
            display.close()
            if display.is_complete and self._file:
                self._console.print(sentences.to_go_on([self._file], self._file))

    def tell_what_is_kept(self) -> None:
        """Say what a read that was stopped leaves, and how to go on; nothing of what was no read."""
        self.close()
        if self._given is not None:
            self._say("", "", sentences.kept(self._has_state, self._given, self._file))


class _Repeating(logging.Handler):
    """Says what our own logger says, but not what the verdict of `check` repeats or the display shows, nor a reason why streams
    fail twice."""

    def __init__(self, terminal: Terminal, level: int) -> None:
        super().__init__(level)
        self._terminal = terminal
        self._reasons: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        reason = getattr(record, "reason", "")
        if (
            record.name != "airbyte"
            or hasattr(record, "is_verdict")
            or hasattr(record, "is_displayed")
            or reason in self._reasons
        ):
            return
        if reason:
            self._reasons.add(reason)
        (self._terminal.fail if record.levelno >= logging.ERROR else self._terminal.warn)(record.getMessage())


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False
