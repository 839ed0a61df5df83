"""An account that has something for each stream, of whatever kind."""

from __future__ import annotations

from integration_tests.embedded_stripe import PRODUCTS, Account
from integration_tests.harness import DAY, NOW
from integration_tests.whole_account import ENDPOINTS

_KINDS = sorted({each.object for each in ENDPOINTS.values() if each.kind not in ("child", "snapshot")} - {"event"})
CHILDREN = (
    ("bank_account", "account", "account"),
    ("bank_account", "customer", "customer"),
    ("billing.credit_balance_transaction", "credit_grant", "billing.credit_grant"),
    ("card", "account", "account"),
    ("card", "customer", "customer"),
    ("customer_balance_transaction", "customer", "customer"),
    ("entitlements.active_entitlement", "_customer", "customer"),
    ("fee_refund", "fee", "application_fee"),
    ("invoice_payment", "invoice", "invoice"),
    ("person", "account", "account"),
    ("radar.value_list_item", "value_list", "radar.value_list"),
    ("setup_attempt", "setup_intent", "setup_intent"),
    ("tax_id", "customer", "customer"),
    ("transfer_reversal", "transfer", "transfer"),
)
"""Each kind of child, its field that names its parent, and the parent's kind."""


def everything() -> Account:
    """Two objects of everything that a list shows, of long ago, and two children of each kind."""
    account, then = Account(NOW, products=PRODUCTS), NOW - 300 * DAY
    for number in range(2):
        for kind in _KINDS:
            account.create(kind, {"lines": 12} if kind == "invoice" and number else {}, at=then + number)
    account.connect(at=then)
    for kind, owner_field, owner in CHILDREN * 2:
        account.create(kind, {owner_field: first_of(account, owner)}, at=then + 2)
    account.create("tax_id", {"owner": {"type": "self"}}, at=then)
    subscription, coupon = first_of(account, "subscription"), first_of(account, "coupon")
    about = {"customer": account.shelf("subscription").objects[subscription]["customer"], "subscription": subscription}
    discount = account.create("discount", about | {"source": {"coupon": coupon, "type": "coupon"}}, at=then)
    account.update("subscription", subscription, {"discounts": [discount["id"]]})
    account.payout_contents[first_of(account, "payout")] = set(account.shelf("balance_transaction").objects)
    return account


def first_of(account: Account, kind: str) -> str:
    """The id of the first object of that kind."""
    return next(iter(account.shelf(kind).objects))
