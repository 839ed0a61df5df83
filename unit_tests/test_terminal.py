"""What is shown of a stream's state, and to whom."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from typing import Any

import pytest
from airbyte_cdk.utils.airbyte_secrets_utils import update_secrets

from source_stripe.display import Line
from source_stripe.messages import Notes
from source_stripe.sentences import kept
from source_stripe.sync.output import Note, Shares
from source_stripe.sync.page import Page
from source_stripe.terminal import Terminal

DAY = 86_400
NOW = 20_000 * DAY


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def line() -> Line:
    return Line("charges")


PAGE = Page("charges", b"{}\n", 1)


def page(oldest: int, newest: int, count: int) -> Page:
    """Records of which the first and the last were created then."""
    times = [newest, *[newest] * (count - 2), oldest]
    return Page("charges", b"".join(b'{"record":{"data":{"created":%d}}}\n' % time for time in times), count)


def state(*unread: list[int]) -> dict[str, Any]:
    return {"updated": NOW, "start": 0, "version": 1} | ({"unread": [*unread]} if unread else {})


def test_the_first_part_of_history_is_told_by_how_far_back_it_is(line: Line) -> None:
    line.learn(state([0, NOW - 100 * DAY]))
    assert line.doing == "reading history, back to 2024-06-26"


def test_several_parts_of_history_are_counted(line: Line) -> None:
    line.learn(state([0, 5], [NOW - 200 * DAY, NOW - 151 * DAY], [NOW - 9, NOW]))
    assert line.doing == "reading history, 3 parts"


def test_a_stream_whose_history_is_read_follows_changes(line: Line) -> None:
    line.learn(state())
    assert line.doing == "following changes"


def test_what_is_immutable_is_read_as_far_as_it_is_new(line: Line) -> None:
    line.learn({"created": NOW, "start": 0, "version": 1})
    assert line.doing == "reading what is new"


def test_the_share_is_shown_and_never_falls(screen: Screen) -> None:
    list(Terminal(screen, shares_output=True).watch([PAGE, Shares({"charges": 0.43}), Shares({"charges": 0.41})]))
    assert "43%" in screen.getvalue()


def test_a_product_that_the_account_does_not_have_is_shown_with_its_stream(screen: Screen) -> None:
    absent = Note("not_enabled", "authorizations", {"product": "Issuing", "error": "Your account is not set up."})
    list(Terminal(screen, shares_output=True).watch([absent]))
    assert "not enabled: Issuing" in screen.getvalue()


def test_what_the_display_shows_is_not_told_besides(screen: Screen) -> None:
    terminal, logger = Terminal(screen, shares_output=False), logging.getLogger("airbyte")
    terminal.listen(has_no_log=False)
    Notes().log(Note("not_enabled", "authorizations", {"product": "Issuing", "error": "Your account is not set up."}))
    logger.removeHandler(logger.handlers[-1])
    assert screen.getvalue() == ""


def test_before_the_share_is_known_it_is_guessed_by_the_time_that_is_unread(line: Line) -> None:
    line.learn(state([0, NOW]))
    line.take(page(NOW - 10 * DAY, NOW, count=100))
    line.learn(state([0, NOW - 10 * DAY]))
    line.guess(beginning=NOW - 100 * DAY)
    assert line.share == pytest.approx(0.1, abs=0.01)


def test_nothing_is_said_of_the_time_that_is_left_before_it_can_be_told(line: Line) -> None:
    line.reach(0.04)
    assert line.left(now=60) is None
    line.reach(0.25)
    assert line.left(now=60) == 180


def test_a_check_that_succeeds_with_a_warning_says_so(screen: Screen) -> None:
    warning = '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED","message":"It may not read charges."}}'
    Terminal(screen, shares_output=False).tell(warning)
    assert screen.getvalue().endswith("The key works. It may not read charges.\n")


def test_a_log_line_is_not_repeated(screen: Screen) -> None:
    Terminal(screen, shares_output=False).tell('{"type":"LOG","log":{"level":"INFO","message":"Check succeeded"}}')
    assert screen.getvalue() == ""


def told(line: str) -> str:
    """What is told where no terminal is."""
    stream = io.StringIO()
    Terminal(stream, shares_output=False).tell(line)
    return stream.getvalue()


def test_what_is_no_terminal_is_told_of_no_success() -> None:
    assert told('{"connectionStatus":{"status":"SUCCEEDED"}}') == ""


def test_what_is_no_terminal_is_told_of_an_error_in_one_plain_line() -> None:
    assert told('{"connectionStatus":{"status":"FAILED","message":"One\\nand two."}}') == "source-stripe: error: One and two.\n"
    assert told('{"trace":{"error":{"message":"Three."}}}') == "source-stripe: error: Three.\n"


def test_an_error_shows_no_secret() -> None:
    update_secrets(["rk_test_51H8secret"])
    assert told('{"trace":{"error":{"message":"Not rk_test_51H8secret."}}}') == "source-stripe: error: Not ****.\n"


def test_streams_that_fail_for_one_reason_are_told_of_once() -> None:
    stream, logger = io.StringIO(), logging.getLogger("airbyte")
    Terminal(stream, shares_output=False).listen(has_no_log=False)
    for name, reason in (("charges", "No key."), ("events", "No key."), ("payouts", "No network.")):
        logger.error(f"{name}: {reason}", extra={"reason": reason})
    logger.removeHandler(logger.handlers[-1])
    assert stream.getvalue() == "source-stripe: error: charges: No key.\nsource-stripe: error: payouts: No network.\n"


@pytest.mark.parametrize(
    ("has_state", "given", "file", "words"),
    [
        (False, [], "new.jsonl", "No state was put out yet: run the same again."),
        (True, [], "new.jsonl", "To go on from here: --state new.jsonl >> new.jsonl"),
        (True, ["old.json"], "new.jsonl", "To go on from here: --state old.json --state new.jsonl >> new.jsonl"),
        (True, ["same.jsonl"], "same.jsonl", "To go on from here: --state same.jsonl >> same.jsonl"),
        (True, [], "", "put that into a file, and go on with --state and the name of the file."),
    ],
)
def test_what_was_read_is_gone_on_from(has_state: bool, given: list[str], file: str, words: str) -> None:
    assert kept(has_state, given, file).endswith(words)


def test_a_display_that_nobody_sees_is_not_imported() -> None:
    program = "import sys, source_stripe.run; sys.exit('rich.progress' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
