"""The API's collections, and what a restricted key needs to read them: tables of what `kinds` knows."""

from __future__ import annotations

from pathlib import Path

import orjson

from .kinds import KINDS, Collection, Filter
from .versions import kind_at

PINNED_VERSION = "2026-08-26.dahlia"

_COLLECTIONS = [kind.collection for kind in KINDS.values() if kind.collection]
COLLECTIONS: list[Collection] = [each for each in _COLLECTIONS if each.is_listed]
UNLISTED: list[Collection] = [each for each in _COLLECTIONS if not each.is_listed]
OLDER_NAMES = {  # Further addresses of the same lists.
    "/v1/balance/history": "/v1/balance_transactions",
    "/v1/linked_accounts": "/v1/financial_connections/accounts",
}
SINGLETONS: dict[str, str] = {kind.singleton: name for name, kind in KINDS.items() if kind.singleton}  # by path
# By the object what it takes to see it, also where it only comes along with others.
PERMISSIONS = {name: kind.permission for name, kind in KINDS.items() if kind.permission[0]}
OWN_ACCOUNT_PERMISSION = ("accounts_kyc_basic_read", "Accounts KYC Basic")
SOURCE_PERMISSION = ("balance_transaction_source_read", "Balance Transaction Sources")
IMPLIED_PERMISSIONS = {
    "balance_transaction_source_read": {"balance_read", "application_fee_read", "transfer_read"},
    "credit_note_read": {"invoice_read"},
    "invoice_read": {"credit_note_read"},
}
# What an account does not have from the beginning -> what Stripe answers, with a 400, as long as it has not. The words of
# Climate and Sigma are made after those of Issuing.
PRODUCTS: dict[str, str] = orjson.loads((Path(__file__).parent / "products.json").read_bytes())
VERSIONS: list[str] = orjson.loads((Path(__file__).parent / "versions.json").read_bytes())  # of the API, oldest first


def can_expand(kind: str, path: list[str], version: str = PINNED_VERSION) -> bool:
    """Whether `path`, without the `data` of a list, leads to something Stripe expands in an object of that kind."""
    known = kind_at(kind, version)
    for length in range(1, len(path) + 1):
        place, rest = ".".join(path[:length]), path[length:]
        targets = known.expandable.get(place)
        if targets is not None and not rest:
            return True
        if targets and any(can_expand(target, rest, version) for target in targets):
            return True
        inside = known.contains.get(place)
        # An object that is there whole may be asked for as well: it stays what it is.
        if inside and (not rest or can_expand(inside, rest, version)):
            return True
        if f"{place}.data" in known.contains and (not rest or rest == ["data"]):
            return True
    return False


__all__ = ["COLLECTIONS", "PERMISSIONS", "Collection", "Filter", "can_expand"]
