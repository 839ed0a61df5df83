"""A Stripe account on the loopback, for tests and demonstrations: strict where Stripe is, and able to fail like it.

account = Account(now=1_795_000_000)
account.create("customer", {"email": "jenny@example.com"})
with StripeServer(account) as server:
    requests.get(f"{server.url}/v1/customers", auth=(server.secret_key, ""))
"""

from __future__ import annotations

from .account import Account
from .endpoints import PRODUCTS
from .faults import Fault
from .made_up import made_up_account, small_shop
from .server import Request, StripeServer

__all__ = ["PRODUCTS", "Account", "Fault", "Request", "StripeServer", "made_up_account", "small_shop"]
