"""The user's options: what they may be, and what they mean."""

import re
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import jsonschema
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.declarative.transformations.config_transformations.config_transformation import (
    ConfigTransformation,
)
from airbyte_cdk.sources.declarative.validators.validation_strategy import ValidationStrategy
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

KEYS_PAGE = "https://dashboard.stripe.com/apikeys"

_WRONG_KINDS = (
    (r"pk_", "This is a publishable key (pk_...), made for browsers: it can read nothing."),
    (r"whsec_", "This is a webhook signing secret (whsec_...), not an API key."),
    (r"ek_", "This is an ephemeral key (ek_...), made for mobile apps: it expires within the hour."),
    (r"acct_", "This is an account's id (acct_...), not an API key."),
    (r"ca_", "This is an OAuth client's id (ca_...), not an API key."),
    (r"mk_", "This is the id of a key (mk_...), not the key itself."),
    (r"(sk|rk)_org_", "This is an organization's key (sk_org_...): take a key of the one account that you want to read."),
)
_ADVICE = f"Create a restricted key (rk_live_... or rk_test_...) with Read permissions at {KEYS_PAGE} and use that."


def config_error(message: str) -> AirbyteTracedException:
    """An error that the user can mend: `message` says what is wrong and what to do."""
    return AirbyteTracedException(message=message, internal_message=message, failure_type=FailureType.config_error)


def refusal(key: object) -> str | None:
    """Why `key` can't be a key to read an account with: a sentence with the fix, without the key; None if it may be one.

    Which kinds of key there are: https://docs.stripe.com/keys. Nothing is sent to find out.
    """
    if not isinstance(key, str):
        return f"The secret key must be a text. {_ADVICE}"
    if not key.strip():
        return f"The secret key is empty. {_ADVICE}"
    if key.endswith(("\n", "\r")):
        return "The secret key ends with a line end. Copy it again without the line end."
    if re.search(r"\s", key):
        return "The secret key has blanks in it or around it. Copy it again without them."
    if re.search(r"[*•…]|\.\.", key):
        return "This is a key as the Dashboard shows it, with its middle hidden. Reveal the key there and copy the whole of it."
    for prefix, sentence in _WRONG_KINDS:
        if re.match(prefix, key):
            return f"{sentence} {_ADVICE}"
    if not re.fullmatch(r"(sk|rk|rkcs)_[A-Za-z0-9_]{8,}", key):
        return f"This is no Stripe API key: they begin with rk_live_, rk_test_, sk_live_ or sk_test_. {_ADVICE}"
    return None


def is_test_key(key: str) -> bool:
    """Whether a secret or restricted key reads test data (or a sandbox), not live data."""
    return "_test_" in key


def start_of(config: Mapping[str, Any]) -> int:
    """The time, in epoch seconds, before which created objects are left out; 0 without a `start_date`."""
    text = config.get("start_date")
    if not text:
        return 0
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


class SecretKeyValidationStrategy(ValidationStrategy):
    """Refuses what is no secret or restricted key, before anything is sent, with a sentence of its own for each kind."""

    def validate(self, value: Any) -> None:
        if sentence := refusal(value):
            raise config_error(sentence)


class AirbyteConfigTransformation(ConfigTransformation):
    """Takes a configuration written for Airbyte's own connector as it is, and empty fields of a form as absent."""

    def transform(self, config: MutableMapping[str, Any]) -> None:
        if not config.get("secret_key") and "client_secret" in config:
            config["secret_key"] = config["client_secret"]
        config.pop("client_secret", None)
        for name, value in [item for item in config.items() if item[0] != "secret_key"]:
            # What is pasted into a form brings blanks and line ends along.
            config[name] = value.strip() if isinstance(value, str) else value
            if config[name] in (None, ""):
                del config[name]
        if isinstance(date := config.get("start_date"), str):
            config["start_date"] = _full_date(date)
        if isinstance(base := config.get("api_base"), str):
            config["api_base"] = base.rstrip("/")


def _full_date(text: str) -> str:
    """`2024-01-01` and `2024-01-01T00:00:00.000Z` as `2024-01-01T00:00:00Z`; anything else as it is."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)(?:\.\d+)?Z)?", text)
    return f"{match[1]}T{match[2] or '00:00:00'}Z" if match else text


def check_options(config: Mapping[str, Any], specification: Mapping[str, Any]) -> None:
    """Raise a config error that names the first option out of its range or type, never showing its value."""
    if "secret_key" not in config:
        raise config_error(f"The secret key is missing: set `secret_key`. {_ADVICE}")
    if sentence := refusal(config["secret_key"]):
        raise config_error(sentence)
    validator = jsonschema.Draft7Validator(specification)
    for error in sorted(validator.iter_errors(config), key=lambda error: list(error.path)):
        option = ".".join(str(step) for step in error.path)
        raise config_error(f"The option `{option}` {_what_it_must_be(specification['properties'][option])}.")
    try:
        start = start_of(config)
    except ValueError:
        raise config_error("The option `start_date` is no date of the calendar: write it as 2024-01-01T00:00:00Z.") from None
    if start > datetime.now(UTC).timestamp() + 86400 * 366 * 10:
        raise config_error("The option `start_date` lies in the far future: nothing would ever be read.")
    base = config.get("api_base", "")
    if base and not _is_address(base):
        raise config_error("The option `api_base` must be an address such as https://api.stripe.com.")
    if base.startswith("http://") and not re.match(r"http://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$", base):
        raise config_error("The option `api_base` must be an https address: without TLS only this machine is allowed.")


def _is_address(base: str) -> bool:
    try:
        parts = urlsplit(base)
        return bool(parts.hostname) and parts.port != 0 and base.isascii()
    except ValueError:
        return False


def _what_it_must_be(option: Mapping[str, Any]) -> str:
    if option["type"] == "integer":
        return f"must be a whole number from {option['minimum']} to {option['maximum']}"
    return (
        f"must look like {option['pattern_descriptor']}" if "pattern_descriptor" in option else "must be a text of the right form"
    )
