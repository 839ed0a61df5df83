"""A Stripe account on the loopback, for tests and demonstrations: strict where Stripe is, and able to fail like it.

account = Account(now=1_795_000_000)
account.create("customer", {"email": "jenny@example.com"})
with StripeServer(account) as server:
    requests.get(f"{server.url}/v1/customers", auth=(server.secret_key, ""))

What is known of a kind of object is a file of `kinds/`: its list and filters, what tells of its changes, what it takes to see
it, how it looks. `account` keeps objects and changes them, `views` shows them, `api` answers requests with `parameters` and
`filters`, `server` lets requests in and fails on demand, `made_up` plays an account of four years.
"""

from __future__ import annotations

from .account import Account
from .endpoints import PRODUCTS
from .faults import Fault
from .made_up import made_up_account, small_shop
from .server import Request, StripeServer

__all__ = ["PRODUCTS", "Account", "Fault", "Request", "StripeServer", "made_up_account", "small_shop"]
