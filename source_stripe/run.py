"""The command: `source-stripe spec|check|discover|read`."""

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
from collections.abc import Iterator
from typing import Any

from airbyte_cdk.entrypoint import AirbyteEntrypoint
from airbyte_cdk.exception_handler import init_uncaught_exception_handler
from airbyte_cdk.logger import init_logger
from airbyte_cdk.models import AirbyteMessage, ConfiguredAirbyteCatalog, FailureType
from airbyte_cdk.sources.connector_state_manager import HashableStreamDescriptor
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe import sentences, stdout
from source_stripe.messages import error_message
from source_stripe.source import YieldingDeclarativeSource
from source_stripe.sync.output import Page
from source_stripe.terminal import Terminal

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE = 2 << 20
_SECONDS_TO_END_A_LINE = 3.0


class YieldingEntrypoint(AirbyteEntrypoint):
    """The CDK's entrypoint, for which `read` goes page by page: `lines` yields what standard output takes."""

    source: YieldingDeclarativeSource

    def __init__(self, source: YieldingDeclarativeSource, terminal: Terminal) -> None:
        super().__init__(source)
        self._terminal = terminal

    def lines(self, arguments: argparse.Namespace) -> Iterator[bytes]:
        """Whole lines as bytes, with their line ends."""
        if arguments.command != "read":
            for text in self.run(arguments):
                yield text.encode() + b"\n"
                if arguments.command == "check":
                    self._terminal.tell(text)
            return
        if arguments.debug or os.environ.get("LOG_LEVEL", "").lower() == "debug":
            logging.getLogger().setLevel(logging.DEBUG)
        specification = self.source.spec(self.logger)
        config = self.source.configure(self.source.read_config(arguments.config), "")
        self.set_up_secret_filter(config, specification.connectionSpecification)
        catalog = self.source.read_catalog(arguments.catalog)
        state = self.source.read_state(arguments.state)
        counts: defaultdict[HashableStreamDescriptor, float] = defaultdict(float)
        items = self.source.read_pages(config, catalog, state, watched=self._terminal.is_live)
        for item in self._terminal.watch(items):
            if isinstance(item, Page):
                counts[HashableStreamDescriptor(name=item.stream, namespace=None)] += item.count
                yield item.lines
            elif isinstance(item, AirbyteMessage):
                yield self.airbyte_message_to_string(self.handle_record_counts(item, counts)).encode() + b"\n"


def run(arguments: list[str] | None = None) -> None:
    """Run the command and end the process: 0 when it went well (a failed `check` did), 1 when not."""
    logger = init_logger("airbyte")
    init_uncaught_exception_handler(logger)
    terminal = Terminal(sys.stderr, shares_output=sys.stdout.isatty())
    out = stdout.take_over()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, frame: _terminate(signum, out, terminal))
    parsed = YieldingEntrypoint.parse_args(sys.argv[1:] if arguments is None else arguments)
    if not parsed.command:
        sys.exit("Name a command: spec, check, discover or read.")
    code = 0
    try:
        _write(parsed, out, terminal)
    except BrokenPipeError:
        code = 1
    except AirbyteTracedException as error:
        code = _report(error, parsed.command, terminal)
    except Exception as error:
        code = _report(
            AirbyteTracedException.from_exception(error, message=sentences.DEFECT.format(type=type(error).__name__)), "", terminal
        )
    _leave(code, terminal)


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
        out.write(lines)


def _report(error: AirbyteTracedException, command: str, terminal: Terminal) -> int:
    """Say what went wrong in the protocol's words."""
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
