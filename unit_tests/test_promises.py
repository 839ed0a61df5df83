"""What the papers promise, sentence by sentence, and the test that holds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISES = {
    # README: how a sync works.
    "stopped at any moment, it goes on with the others": (
        "integration_tests/test_interruptions.py",
        "test_a_first_sync_that_is_killed_twenty_times_misses_nothing_and_reads_little_twice",
    ),
    "and brings what changed in the meantime": (
        "integration_tests/test_interruptions.py",
        "test_what_is_made_and_what_is_deleted_between_the_attempts_of_a_first_sync_arrives",
    ),
    "an event's own copy is never the record": (
        "integration_tests/test_changes.py",
        "test_an_event_of_an_older_version_is_no_record",
    ),
    "Nothing changed: two requests for the suggested streams": (
        "integration_tests/test_request_counts.py",
        "test_a_quiet_later_sync_of_all_streams_takes_two_requests",
    ),
    "A deletion** arrives as a record with `is_deleted: true`, the deletion's time as `updated`, and the last fields": (
        "integration_tests/test_changes.py",
        "test_a_deletion_arrives_with_its_time_and_the_last_known_fields",
    ),
    "A canceled subscription, an archived price or a voided invoice is not deleted": (
        "integration_tests/test_changes.py",
        "test_what_is_cancelled_archived_or_void_is_not_deleted",
    ),
    "that turns from pending to available arrives again": (
        "integration_tests/test_changes.py",
        "test_a_pending_transaction_arrives_again_when_it_is_available",
    ),
    "the stream is read in full again, once and by itself": (
        "integration_tests/test_changes.py",
        "test_after_45_days_the_streams_are_read_in_full_once",
    ),
    # README: limits and errors.
    "A key without Events: Read brings a first sync": (
        "integration_tests/test_changes.py",
        "test_a_key_without_events_reads_a_first_sync_and_then_fails_naming_them",
    ),
    "keeps 90 bytes for each object that changed": (
        "unit_tests/test_changes.py",
        "test_a_change_takes_90_bytes_of_the_temporary_file",
    ),
    "synced every ten minutes takes 8,640": (
        "integration_tests/test_request_counts.py",
        "test_a_sync_every_ten_minutes_fits_in_what_stripe_allows_the_smallest_account",
    ),
    "is tried again for eleven minutes": (
        "unit_tests/test_account.py",
        "test_after_eleven_minutes_of_failing_a_request_is_given_up",
    ),
    "is taken as it is": (
        "integration_tests/test_first_sync.py",
        "test_a_configuration_of_airbytes_own_connector_reads_the_same",
    ),
    # docs/.
    "a sync does with 256 MiB of memory": (
        "integration_tests/test_resources.py",
        "test_memory_is_bounded_though_the_reader_sleeps",
    ),
    "is in no log, state or record": ("integration_tests/test_secrets.py", "test_no_command_writes_the_key"),
    "Ten minutes are always looked at again": (
        "integration_tests/test_changes.py",
        "test_an_event_that_becomes_visible_ten_minutes_late_still_counts",
    ),
}

PAPERS = re.sub(
    r"\s+", " ", "\n".join(file.read_text(encoding="utf-8") for file in [ROOT / "README.md", *ROOT.glob("docs/*.md")])
)


@pytest.mark.parametrize("sentence", PROMISES)
def test_a_promise_is_made_and_a_test_holds_it(sentence: str) -> None:
    file, test = PROMISES[sentence]
    assert sentence in PAPERS
    assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")
