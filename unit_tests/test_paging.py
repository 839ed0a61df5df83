"""Lists read page after page: what becomes of them when the object to start after is gone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from source_stripe.api.errors import StripeError
from source_stripe.api.request import Request
from source_stripe.sync.endpoint import Listed
from source_stripe.sync.page import Row
from source_stripe.sync.paging import pages

MISSING_CURSOR = StripeError("No such file: 'f_2'", status=400, code="resource_missing", param="starting_after")
WORDS_OF_ITS_OWN = StripeError("Start somewhere else.", status=404)
NO_OWNER = StripeError("No such customer: 'cus_1'", status=404, code="resource_missing", param="id")


@dataclass
class Account:
    """Lists four objects, two a page; `refused` are the answers to the first requests that start after one of them."""

    refused: list[StripeError] = field(default_factory=list)
    gone: StripeError | None = None
    asked: list[str | None] = field(default_factory=list)

    async def get(self, request: Request, read: Callable[..., Any]) -> Listed:
        after = dict(request.query).get("starting_after")
        self.asked.append(after)
        if after is not None and self.refused:
            raise self.refused.pop(0)
        if self.gone is not None:
            raise self.gone
        first = int(after.removeprefix("f_")) + 1 if after else 1
        rows = [Row(id=f"f_{number}") for number in (first, first + 1)]
        return Listed(rows, [], has_more=first < 3)


class Endpoint:
    """Its answers are pages as they come."""

    def page_after(self, after: str | None, answer: Listed) -> Listed:
        return answer


def request(after: str | None) -> Request:
    return Request("/v1/files", (("starting_after", after),) if after else ())


def read(account: Account, *, owned: bool = False) -> list[str]:
    async def all_of_it() -> list[str]:
        listed: Any = pages(account, Endpoint(), request, owned=owned)  # type: ignore[arg-type]
        return [row.id async for page in listed for row in page.rows]

    return asyncio.run(all_of_it())


@pytest.mark.parametrize("refusal", [MISSING_CURSOR, WORDS_OF_ITS_OWN])
def test_a_list_whose_cursor_vanished_is_read_from_its_beginning(refusal: StripeError) -> None:
    account = Account([refusal])
    assert read(account) == ["f_1", "f_2", "f_1", "f_2", "f_3", "f_4"]
    assert account.asked == [None, "f_2", None, "f_2"]


def test_a_list_whose_cursors_are_always_refused_ends_with_what_stripe_says() -> None:
    account = Account([MISSING_CURSOR] * 100)
    with pytest.raises(StripeError, match="No such file"):
        read(account)
    assert len(account.asked) == 12


def test_of_an_object_that_is_gone_there_is_no_list() -> None:
    assert read(Account(gone=NO_OWNER), owned=True) == []
    assert read(Account([NO_OWNER], gone=NO_OWNER), owned=True) == []


def test_a_list_that_belongs_to_no_object_is_not_empty_because_something_is_missing() -> None:
    with pytest.raises(StripeError, match="No such customer"):
        read(Account(gone=NO_OWNER))
