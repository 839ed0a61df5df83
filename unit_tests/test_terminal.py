"""What is shown of a stream's state, and to whom."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import pytest

from source_stripe.sync.page import Page
from source_stripe.terminal import Terminal, _Line

DAY = 86_400
NOW = 20_000 * DAY


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def line() -> _Line:
    return _Line(task=None)  # type: ignore[arg-type]


def state(*unread: list[int]) -> dict[str, Any]:
    return {"updated": NOW, "start": 0, "version": 1} | ({"unread": [*unread]} if unread else {})


def test_the_first_part_of_history_is_told_by_how_far_back_it_is(line: _Line) -> None:
    line.learn(state([0, NOW - 100 * DAY]))
    assert line.doing == "reading history, back to 2024-06-26"


def test_several_parts_of_history_are_counted(line: _Line) -> None:
    line.learn(state([0, 5], [NOW - 200 * DAY, NOW - 151 * DAY], [NOW - 9, NOW]))
    assert line.doing == "reading history, 3 parts"


def test_a_stream_whose_history_is_read_follows_changes(line: _Line) -> None:
    line.learn(state())
    assert line.doing == "following changes"


def test_what_is_immutable_is_read_as_far_as_it_is_new(line: _Line) -> None:
    line.learn({"created": NOW, "start": 0, "version": 1})
    assert line.doing == "reading what is new"


def test_the_share_is_shown_and_never_falls(screen: Screen) -> None:
    terminal = Terminal(screen, shares_output=True)
    next(watching := terminal.watch([Page("charges", b"{}\n", 1)]))
    terminal._look({"charges": 0.43})
    terminal._look({"charges": 0.41})
    terminal.close()
    watching.close()  # type: ignore[attr-defined]
    assert "43%" in screen.getvalue()


def test_a_check_that_succeeds_with_a_warning_says_so(screen: Screen) -> None:
    warning = '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED","message":"It may not read charges."}}'
    Terminal(screen, shares_output=False).tell(warning)
    assert screen.getvalue().endswith("The key works. It may not read charges.\n")


def test_a_log_line_is_not_repeated(screen: Screen) -> None:
    Terminal(screen, shares_output=False).tell('{"type":"LOG","log":{"level":"INFO","message":"Check succeeded"}}')
    assert screen.getvalue() == ""


def test_what_is_no_terminal_is_told_nothing() -> None:
    stream = io.StringIO()
    Terminal(stream, shares_output=False).tell('{"connectionStatus":{"status":"SUCCEEDED"}}')
    assert stream.getvalue() == ""


def test_a_display_that_nobody_sees_is_not_imported() -> None:
    program = "import sys, source_stripe.run; sys.exit('rich.progress' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
