"""What Stripe says when it refuses: the status and the body of each kind of error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .kinds import Missing


@dataclass(slots=True)
class StripeError(Exception):
    """An answer that is no success.

    `logged`: the body links to the request's log, if the status is a 4xx. `anonymous`: refused before Stripe asked whose request
    it is, so that neither `Request-Id` nor `Stripe-Version` nor that link is there. `code_last` is the order of the body.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    type: str = "invalid_request_error"
    headers: dict[str, str] = field(default_factory=dict)
    logged: bool = True
    anonymous: bool = False
    request_id: bool = True
    code_last: bool = False

    def body(self, log_url: str) -> dict[str, Any]:
        code = {"code": self.code, "doc_url": f"https://stripe.com/docs/error-codes/{(self.code or '').replace('_', '-')}"}
        error: dict[str, Any] = {} if self.code_last or not self.code else code
        error["message"] = self.message
        if self.param:
            error["param"] = self.param
        if self.logged and not self.anonymous and 400 <= self.status < 500:
            error["request_log_url"] = log_url
        error["type"] = self.type
        return {"error": error | (code if self.code_last else {})}


def masked(key: str) -> str:
    """A key as Stripe repeats it in a message: its prefix and its end, stars between."""
    shown = 6 if len(key) > 100 else 4
    if len(key) <= 8 + shown:
        return key[:3] + "*" * max(len(key) - 3, 1)
    return key[:8] + "*" * (len(key) - 8 - shown) + key[-shown:]


def no_key() -> StripeError:
    return _not_let_in(
        "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer "
        "auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for "
        "details, or we can help at https://support.stripe.com/."
    )


def _not_let_in(message: str, code: str | None = None) -> StripeError:
    return StripeError(401, message, code, headers={"WWW-Authenticate": 'Bearer realm="Stripe"'}, anonymous=True)


def invalid_key(key: str) -> StripeError:
    return _not_let_in(f"Invalid API Key provided: {masked(key)}")


def expired_key(key: str) -> StripeError:
    return _not_let_in(f"Expired API Key provided: {masked(key)}", "api_key_expired")


def other_address(address: str) -> StripeError:
    return _not_let_in(f"The API key provided does not allow requests from your IP address ({address}).")


def publishable_key() -> StripeError:
    return StripeError(
        403,
        "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list "
        "of your API keys at https://dashboard.stripe.com/account/apikeys.",
        "secret_key_required",
        logged=False,
    )


def permission_denied(key: str, key_id: str, account: str, row: str, permission: str) -> StripeError:
    return StripeError(
        403,
        f"Permission denied. The provided key '{masked(key)}' does not have the required permissions for this endpoint "
        f"on account '{account}'. Enabling \"{row} Read\" ('{permission}') permissions on this key would allow this "
        f"request to continue. You can edit permissions at https://dashboard.stripe.com/b/{account}"
        f"?destination=%2Fapikeys%2F{key_id}%2Fedit",
        "more_permissions_required",
    )


def account_not_connected(key: str, account: str) -> StripeError:
    return StripeError(
        403,
        f"The provided key '{masked(key)}' does not have access to account '{account}' (or that account does not "
        "exist). Application access may have been revoked.",
        "account_invalid",
        anonymous=True,
        code_last=True,
    )


def not_a_platform() -> StripeError:
    return StripeError(
        403,
        "Only Stripe Connect platforms can work with other accounts. If you specified a client_id parameter, make "
        "sure it's correct.",
        "platform_account_required",
        anonymous=True,
        code_last=True,
    )


def organization_key_alone(header: str) -> StripeError:
    """An organization's key without that header. Of the version, Stripe's own words are not known."""
    what = "header with your target account" if header == "Stripe-Context" else "header"
    return StripeError(400, f"Please include the {header} {what} when using an Organization API key.", logged=False)


def bad_version(version: str) -> StripeError:
    return StripeError(400, f"Invalid Stripe API version: {version}", logged=False)


def no_such(
    missing: Missing, identifier: str, param: str | None, *, status: int = 404, livemode: bool = False, hint: str = ""
) -> StripeError:
    """`hint` says where else an object of that id is."""
    message = missing.message.format(id=identifier, livemode=str(livemode).lower())
    return StripeError(status, message + hint, missing.code, param)


ON_A_CONNECTED_ACCOUNT = (
    "; It's possible this PaymentMethod exists on one of your connected accounts, in which case you should retry this request on "
    "that connected account. Learn more at https://stripe.com/docs/connect/authentication"
)


def in_other_mode(livemode: bool) -> str:
    """`livemode` is that of the object."""
    mode, used = ("live", "test") if livemode else ("test", "live")
    return f"; a similar object exists in {mode} mode, but a {used} mode key was used to make this request."


def aged_out(event: str, param: str | None, status: int) -> StripeError:
    return StripeError(
        status,
        f"Event '{event}' is no longer available because it's aged out of our retention policy",
        "resource_missing",
        param,
    )


def unknown_parameters(names: list[str]) -> StripeError:
    parameters = "parameter" if len(names) == 1 else "parameters"
    return StripeError(400, f"Received unknown {parameters}: {', '.join(names)}", "parameter_unknown", names[0])


def missing_parameter(name: str) -> StripeError:
    return StripeError(400, f"Missing required param: {name}.", "parameter_missing", name)


def empty_parameter(name: str) -> StripeError:
    return StripeError(
        400,
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; "
        f"however '{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value.",
        "parameter_invalid_empty",
        name,
    )


def bad_integer(name: str, value: str) -> StripeError:
    return StripeError(400, f"Invalid integer: {value}", "parameter_invalid_integer", name)


def bad_array(name: str) -> StripeError:
    return StripeError(400, "Invalid array", None, name)


def bad_boolean(name: str, value: str) -> StripeError:
    return StripeError(400, f"Invalid boolean: {value}", None, name)


def bad_choice(name: str, allowed: tuple[str, ...]) -> StripeError:
    those = f"one of {', '.join(allowed[:-1])}, or {allowed[-1]}" if len(allowed) > 1 else allowed[0]
    return StripeError(400, f"Invalid {name}: must be {those}", None, name)


def both_cursors() -> StripeError:
    return StripeError(400, "Received both starting_after and ending_before parameters. Please pass in only one.")


def not_expandable(field_name: str, *, hint: str | None = None) -> StripeError:
    message = f"This property cannot be expanded ({field_name})."
    if hint:
        message += f" You may want to try expanding '{hint}' instead."
    return StripeError(400, message)


def too_deep(path: str) -> StripeError:
    message = f"You cannot expand more than 4 levels of a property. Property: {path}"
    return StripeError(400, message, "property_expansion_max_depth")


def of_another_customer() -> StripeError:
    """A payment method under the address of a customer whose it is not, or not any more."""
    return StripeError(404, "Invalid request", None, "customer")


def wrong_path(method: str, path: str) -> StripeError:
    hint = (
        " If you are trying to list objects, remove the trailing slash. If you are trying to retrieve an object, make sure you "
        "passed a valid (non-empty) identifier in your code."
    )
    return StripeError(
        404,
        f"Unrecognized request URL ({method}: {path}).{hint if path.endswith('/') else ''} Please see https://stripe.com/docs or "
        "we can help at https://support.stripe.com/.",
        logged=False,
    )


def rate_limited(livemode: bool, reason: str | None) -> StripeError:
    message = (
        "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits."
        if livemode
        else "Testmode request rate limit exceeded, the rate limits in testmode are lower than livemode. You can learn "
        "more about rate limits here https://stripe.com/docs/rate-limits."
    )
    headers = {"Stripe-Rate-Limited-Reason": reason} if reason else {}
    return StripeError(429, message, "rate_limit", headers=headers)


def locked() -> StripeError:
    return StripeError(
        429,
        "This object can't be accessed right now because another API request or Stripe process is currently accessing "
        "it. If you see this error intermittently, retry the request.",
        "lock_timeout",
        request_id=False,
        logged=False,
    )


def went_wrong(status: int, headers: dict[str, str]) -> StripeError:
    return StripeError(status, "An unknown error occurred", type="api_error", headers=headers)
