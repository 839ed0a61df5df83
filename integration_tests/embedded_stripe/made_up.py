"""An account of some thousands of objects, with each awkward kind among them."""

from __future__ import annotations

from .account import Account


def made_up_account(seed: int = 1, now: int | None = None) -> Account:
    return Account(now, seed=seed)
