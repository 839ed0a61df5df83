"""A selected stream during a sync: what goes out in its name, and its state."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from source_stripe.sync.endpoint import Endpoint
from source_stripe.sync.output import MOST_NOTES, Note, Sink, State, Status
from source_stripe.sync.page import Page
from source_stripe.sync.state import StreamState

NO_CURSOR = {"__ab_no_cursor_state_message": True}
"""The state of a stream that is read whole each time, as Airbyte writes it."""


class Stream:
    """What goes out in the name of one stream. `states` are what has been read of it, by the stream whose list is read: its own
    or, of children, their parents'. With an `account`, each record tells that it is of that one."""

    def __init__(
        self,
        endpoint: Endpoint,
        states: Mapping[str, StreamState],
        output: Sink,
        checkpoint_due: Callable[[str], bool],
        account: str = "",
    ) -> None:
        self.endpoint, self.name = endpoint, endpoint.name
        self.writer = endpoint.writer.about(account) if account else endpoint.writer
        self.states = dict(states)
        self.records = 0
        self.is_open = True
        self.error: BaseException | None = None
        self._output, self._checkpoint_due = output, checkpoint_due
        self._mended = 0
        self._last_state = self._blob()
        self._has_put_state = False
        self._records_at_state = 0

    def fail(self, error: BaseException, list_: str) -> None:
        """This stream fails, and others read on in that list: what they read from now on is not read of this one."""
        self.error = error
        self.states[list_] = deepcopy(self.states[list_])

    def put_page(self, page: Page) -> None:
        if not self.records:
            self._output.put(Status(self.name, "running"))
        self.records += page.count
        self._output.put(page)

    def note(self, name: str, **values: Any) -> None:
        self._output.put(Note(name, self.name, values))

    def mended(self, id: str) -> None:
        self._mended += 1
        if self._mended <= MOST_NOTES:
            self.note("mended", id=id)

    # ------------------------------------------------------------------ state

    def checkpoint(self) -> None:
        """Put out the state, which covers all that was put before, when one is due and it says something new."""
        if self._checkpoint_due(self.name):
            self._put_state()

    def last_checkpoint(self, is_complete: bool) -> None:
        """The same at the end, in any case. A stream that is complete has one also if nothing is new."""
        self._put_state(must=is_complete and not self._has_put_state)

    def _put_state(self, must: bool = False) -> None:
        blob = self._blob()
        if blob is None and must:
            blob = NO_CURSOR
        if blob is not None and (blob != self._last_state or must):
            self._last_state, self._records_at_state, self._has_put_state = blob, self.records, True
            self._output.put(State(self.name, blob))

    def _blob(self) -> dict[str, Any] | None:
        """The state as JSON; None when there is none yet, or never is."""
        if self.endpoint.cursor_field is None or any(state.followed is None for state in self.states.values()):
            return None
        blobs = {parent: state.dump() for parent, state in self.states.items()}
        if len(blobs) == 1:
            return next(iter(blobs.values()))
        return {"updated": min(blob["updated"] for blob in blobs.values()), "parents": blobs}

    def repeat_state(self) -> bool:
        """Put the state out once more, though it says nothing new, if no record came since; whether that was done."""
        blob = self._blob()
        if blob is None or self.records != self._records_at_state:
            return False
        self._output.put(State(self.name, blob))
        return True

    def describe(self) -> str:
        """What is left to do, for a log line."""
        if self.endpoint.cursor_field is None:
            return "read whole"
        return "; ".join(dict.fromkeys(state.describe() for state in self.states.values()))
