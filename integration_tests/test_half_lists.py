"""A list of any kind that breaks off in the middle, for longer than it is tried: its stream fails as INCOMPLETE, nothing that is
there counts as deleted, no table is written over with half a list, and the next sync mends it."""

from __future__ import annotations

import pytest

from integration_tests.embedded_stripe import Account, Fault, StripeServer
from integration_tests.every_kind import everything, first_of
from integration_tests.harness import DAY, NOW, Reader
from integration_tests.whole_account import FULL_REFRESH_ONLY, Truth, Warehouse

LISTS = {
    "changing": (["customers"], r"^/v1/customers\?"),
    "created has another name": (["invoice_items"], r"^/v1/invoiceitems\?"),
    "immutable": (["forwarding_requests"], r"^/v1/forwarding/requests\?"),
    "in two passes": (["promotion_codes"], r"^/v1/promotion_codes\?"),
    "listed": (["quote_line_items", "quotes"], r"^/v1/quotes\?"),
    "small": (["terminal_locations"], r"^/v1/terminal/locations\?"),
    "unpaged": (["report_types"], r"^/v1/reporting/report_types"),
    "snapshot": (["account", "balance"], r"^/v1/balance(\?|$)"),
    "child by cut list": (["invoice_line_items", "invoices"], r"^/v1/invoices/[^/]+/lines"),
    "child of small by cut list": (["radar_value_lists", "value_list_items"], r"^/v1/radar/value_list_items"),
    "child by walk": (["customer_balance_transactions", "customers"], r"^/v1/customers/[^/]+/balance_transactions"),
    "child by walk of parents": (["customer_balance_transactions", "customers"], r"^/v1/customers\?"),
    "child of small by walk": (["accounts", "persons"], r"^/v1/accounts/[^/]+/persons"),
    "child of several": (["customers", "discounts", "invoices", "subscriptions"], r"^/v1/subscriptions\?"),
}
"""By the kind of list the streams that are read, and the requests that fail."""
FAULTS = ("cut_body", "short_body", "reset_inside", "not_json", "status", "rate_limit", "empty_page_with_more", "repeat_page")
_ONE_PAGE = ("unpaged", "snapshot")
_FROM_THE_FIRST = (*_ONE_PAGE, "child by cut list")
"""Of a cut list the first part stands in its owner."""
_PAGED = ("empty_page_with_more", "repeat_page")
CASES = [(kind, fault) for kind in LISTS for fault in FAULTS if kind not in _ONE_PAGE or fault not in _PAGED]


def shop() -> Account:
    """Five of each object that is listed, and a dozen of each kind of child."""
    account, then = everything(), NOW - 300 * DAY
    listed = (
        "coupon",
        "customer",
        "forwarding.request",
        "invoiceitem",
        "promotion_code",
        "quote",
        "subscription",
        "terminal.location",
    )
    for number in range(3):
        for kind in listed:
            account.create(kind, at=then + 10 + number)
    children = {
        "customer_balance_transaction": "customer",
        "person": "account",
        "radar.value_list_item": "radar.value_list",
    }
    for child, owner in children.items():
        for number in range(12):
            account.create(child, {owner.partition(".")[2] or owner: first_of(account, owner)}, at=then + 20 + number)
    return account


def change(account: Account) -> None:
    """Something new and something changed of each, so that a later sync reads on; and something gone where lists show that."""
    account.advance(60)
    for kind in ("customer", "invoice", "subscription"):
        account.update(kind, first_of(account, kind), {"metadata": {"n": "1"}})
    account.create("customer_balance_transaction", {"customer": first_of(account, "customer")})
    account.delete("terminal.location", first_of(account, "terminal.location"))
    account.advance(601)


def read_half(server: StripeServer, kind: str, fault: str, in_a_later_sync: bool) -> None:
    streams, path = LISTS[kind]
    account = server.account = shop()
    reader, warehouses = Reader(server, page_size=2), (Warehouse(), Warehouse(by_cursor=True))
    results = [reader.sync(streams=streams)] if in_a_later_sync else []
    if in_a_later_sync:
        change(account)
    faulty = server.fault(Fault(fault, path=path, after=int(kind not in _FROM_THE_FIRST), times=None))
    results.append(reader.sync(results[-1] if results else None, streams))
    server.clear_faults()
    if not in_a_later_sync or faulty.hits:
        assert (faulty.hits > 0, set(results[-1].kinds.values())) == (True, {"FailureType.transient_error"})
        assert results[-1].failure is not None
        assert results[-1].complete | results[-1].errors.keys() == set(streams)
    for warehouse in warehouses:
        for result in results:
            warehouse.take(result)
        if in_a_later_sync:
            lost = [line for line in warehouse.differences(Truth(server), streams) if "missing" in line]
            new = {"customer_balance_transactions"} | FULL_REFRESH_ONLY
            assert [line for line in lost if line.partition(":")[0] not in new] == []
        mended = reader.sync(results[-1], streams)
        warehouse.take(mended)
        assert (mended.errors, warehouse.differences(Truth(server), streams)) == ({}, [])


@pytest.mark.parametrize(("kind", "fault"), CASES[::7])
def test_half_a_list_of_a_first_sync_is_gone_on_with(server: StripeServer, kind: str, fault: str) -> None:
    read_half(server, kind, fault, in_a_later_sync=False)


@pytest.mark.parametrize(("kind", "fault"), CASES[3::7])
def test_half_a_list_of_a_later_sync_deletes_nothing(server: StripeServer, kind: str, fault: str) -> None:
    read_half(server, kind, fault, in_a_later_sync=True)


@pytest.mark.thorough
@pytest.mark.parametrize("in_a_later_sync", [False, True])
@pytest.mark.parametrize(("kind", "fault"), CASES)
def test_half_a_list_of_every_kind_loses_nothing(server: StripeServer, kind: str, fault: str, in_a_later_sync: bool) -> None:
    read_half(server, kind, fault, in_a_later_sync)
