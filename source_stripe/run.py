"""The command: `source-stripe spec|check|discover|catalog|estimate|read`."""

import argparse
import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.exception_handler import init_uncaught_exception_handler
from airbyte_cdk.logger import init_logger, is_platform_debug_log_enabled
from airbyte_cdk.models import AirbyteMessage, ConfiguredAirbyteCatalog, FailureType
from airbyte_cdk.sources.connector_state_manager import HashableStreamDescriptor
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe import catalog, sentences, stdout
from source_stripe.arguments import parse
from source_stripe.messages import error_message
from source_stripe.source import YieldingDeclarativeSource
from source_stripe.sync.output import Page
from source_stripe.terminal import Terminal

_OF_THE_PROTOCOL = ("spec", "check", "discover", "read")
"""Commands whose messages, errors and logs Airbyte takes from standard output; those of the others are for a person."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE = 2 << 20
_SECONDS_TO_END_A_LINE = 3.0


class YieldingEntrypoint(AirbyteEntrypoint):
    """The CDK's entrypoint, for which `read` goes page by page: `lines` yields what standard output takes."""

    source: YieldingDeclarativeSource

    def __init__(self, source: YieldingDeclarativeSource, terminal: Terminal) -> None:
        super().__init__(source)
        self._terminal = terminal

    def lines(self, arguments: argparse.Namespace) -> Iterator[bytes | Iterable[bytes]]:
        """Whole lines as bytes, with their line ends, or one in pieces."""
        if arguments.command == "read":
            yield from self._read(arguments)
        elif arguments.command == "catalog":
            names = [name for each in arguments.streams.split(",") if (name := each.strip())] if arguments.streams else None
            offered = self.source.offered(self.source.read_config(arguments.config) if arguments.config else None)
            yield catalog.written(catalog.chosen(offered, names, arguments.full_refresh)).encode()
        elif arguments.command == "estimate":
            config = self.source.configure(self.source.read_config(arguments.config), "")
            self.set_up_secret_filter(config, self.source.spec(self.logger).connectionSpecification)
            selected = self.source.read_catalog(arguments.catalog).streams if arguments.catalog else ()
            yield self.source.estimate(config, [each.stream.name for each in selected]).encode()
        else:
            for text in self.run(arguments):
                yield text.encode() + b"\n"
                if arguments.command == "check":
                    self._terminal.tell(text)

    def _read(self, arguments: argparse.Namespace) -> Iterator[bytes | Iterable[bytes]]:
        if is_platform_debug_log_enabled():
            logging.getLogger().setLevel(logging.DEBUG)
        specification = self.source.spec(self.logger)
        config = self.source.configure(self.source.read_config(arguments.config), "")
        self.set_up_secret_filter(config, specification.connectionSpecification)
        selected = self.source.read_catalog(arguments.catalog)
        state = [state for file in arguments.state for state in self.source.read_state(file)]
        counts: defaultdict[HashableStreamDescriptor, float] = defaultdict(float)
        items = self.source.read_pages(config, selected, state, watched=self._terminal.is_live)
        for item in self._terminal.watch(items, arguments.state):
            if isinstance(item, Page):
                counts[HashableStreamDescriptor(name=item.stream, namespace=None)] += item.count
                yield item.lines if item.pieces is None else item.pieces
            elif isinstance(item, AirbyteMessage):
                yield self.airbyte_message_to_string(self.handle_record_counts(item, counts)).encode() + b"\n"


def run(arguments: list[str] | None = None) -> None:
    """Run the command and end the process, with an exit code of those that its help tells."""
    if sys.stderr is None:  # Closed by who started the process: what would be told is left out.
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    if sys.stdout is None:
        sys.stderr.write(f"source-stripe: error: {sentences.NO_OUTPUT.format(why='it is closed')}\n")
        sys.stderr.flush()
        os._exit(1)
    logger = init_logger("airbyte")
    init_uncaught_exception_handler(logger)
    terminal = Terminal(sys.stderr, sys.stdout.isatty(), stdout.file_name())
    out = stdout.take_over()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, frame: _terminate(signum, out, terminal))
    try:
        code = _run(arguments, out, terminal)
    except stdout.OutputError as error:
        code = 1
        if not isinstance(error.__cause__, BrokenPipeError):  # Who took it has enough.
            terminal.fail(
                sentences.NO_OUTPUT.format(why=str(getattr(error.__cause__, "strerror", "") or error.__cause__).lower())
            )
            terminal.tell_what_is_kept()
    _leave(code, terminal)


def _run(arguments: list[str] | None, out: stdout.LineWriter, terminal: Terminal) -> int:
    try:
        parsed = parse(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    if parsed.debug:  # As by the platform's own switch, what is told is then a message of the protocol's.
        os.environ["LOG_LEVEL"] = "debug"
    is_for_a_person = parsed.command not in _OF_THE_PROTOCOL
    if is_for_a_person:
        stdout.leave_out_logs()
    terminal.listen(has_no_log=is_for_a_person)
    try:
        _write(parsed, out, terminal)
    except stdout.OutputError:
        raise
    except AirbyteTracedException as error:
        return _report(error, parsed.command, terminal)
    except Exception as error:
        defect = AirbyteTracedException.from_exception(error, message=sentences.DEFECT.format(type=type(error).__name__))
        return _report(defect, parsed.command, terminal)
    return 0


def _write(parsed: argparse.Namespace, out: stdout.LineWriter, terminal: Terminal) -> None:
    # What the imports left behind is never garbage, and pages are freed by their counts.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    # Else each worker has a heap of its own, which keeps what its largest page took, and what is large is put into these heaps
    # where it leaves holes behind. Only glibc knows the options.
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, 4 * _LARGE)
    # Of the streams, only those are looked at that the command is about.
    entrypoint = YieldingEntrypoint(YieldingDeclarativeSource(ConfiguredAirbyteCatalog([])), terminal)
    for lines in entrypoint.lines(parsed):
        if isinstance(lines, bytes):
            out.write(lines)
        else:
            out.write_line(lines)


def _report(error: AirbyteTracedException, command: str, terminal: Terminal) -> int:
    """Say what went wrong, in the protocol's words where they are expected."""
    if command not in _OF_THE_PROTOCOL:
        terminal.fail(str(error.message))
        return 1
    if command == "check" and error.failure_type == FailureType.config_error:
        message: Any = error.as_connection_status_message()
        code = 0
    else:
        message, code = error_message(error), 1
    line = AirbyteEntrypoint.airbyte_message_to_string(message)
    sys.stdout.write(line + "\n")
    terminal.tell(line)
    return code


def _terminate(signum: int, out: stdout.LineWriter, terminal: Terminal) -> None:
    """The platform wants an end: what was written is whole lines, and the last state is among them.

    A line that is being written is ended first, unless nobody reads it for some seconds. The process dies of the signal, as
    who sent it expects: PyAirbyte takes any other end for a failure.
    """
    signal.signal(signum, signal.SIG_DFL)
    if out.is_writing:
        out.then = lambda: _die(signum, terminal)
        watchdog = threading.Timer(_SECONDS_TO_END_A_LINE, os.kill, (os.getpid(), signum))
        watchdog.daemon = True
        watchdog.start()
    else:
        _die(signum, terminal)


def _die(signum: int, terminal: Terminal) -> None:
    terminal.close()
    if signum == signal.SIGINT:
        terminal.tell_what_is_kept()
    _flush(terminal)
    os.kill(os.getpid(), signum)
    os._exit(128 + signum)  # The first process of a container can't die of it.


def _leave(code: int, terminal: Terminal) -> None:
    """End now. A worker that waits for an answer must not keep the process."""
    os._exit(code if _flush(terminal) else code or 1)


def _flush(terminal: Terminal) -> bool:
    terminal.close()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return False
    return True
