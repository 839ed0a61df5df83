"""What another process may do with a served account: `POST /_control/NAME` with a JSON object of arguments."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .account import Account
from .faults import Fault
from .made_up import small_shop

if TYPE_CHECKING:
    from .server import StripeServer

_SETTINGS = ("default_version", "prices_default", "legacy_refund_events", "pending_webhooks", "undated_in_ranges")
_OF_ACCOUNT = {
    *("advance", "connect", "connect_many", "deauthorize", "disable", "enable"),
    *("bulk", "create", "delete", "emit", "listed", "odd", "update"),
}
_OF_SERVER = {"allow", "bind_ip", "clear_faults", "clear_requests", "expire", "forbid", "limit", "restore", "revoke"}


def controlled(server: StripeServer, name: str, given: dict[str, Any]) -> Any:
    """Calls the method `name` of the account, or of the connected one that `account` names, or of the server."""
    account = server.account
    if "account" in given:
        account = account.connected[given.pop("account")]
    if name in ("organization_key", "restricted_key"):
        return {"key": getattr(server, name)(**given)}
    if given.pop("live", False):
        account = account.live
    if name in _OF_ACCOUNT:
        return _of_account(account, name, given)
    if name == "settings":
        for setting in _SETTINGS:
            if setting in given:
                setattr(account, setting, given[setting])
        server.latency = given.get("latency", server.latency)
        return {"now": account.now, "id": account.id, "default_version": account.default_version}
    if name == "fault":
        return asdict(server.fault(Fault(**given)))
    if name == "keys":
        return {"secret_key": server.secret_key, "live_key": server.live_key}
    if name == "requests":
        return [asdict(request) for request in server.requests]
    if name in _OF_SERVER:
        getattr(server, name)(**given)
        return {}
    raise KeyError(f"no control is called {name!r}")


def _of_account(account: Account, name: str, given: dict[str, Any]) -> Any:
    """The kind of an object is called `object`, as in Stripe."""
    if "object" in given:
        given["obj" if name == "emit" else "kind"] = given.pop("object")
    if name == "connect_many":
        given["fill"] = small_shop
    result = getattr(account, name)(**given)
    if name == "advance":
        return {"now": account.now}
    return {"id": result.id} if name == "connect" else result
