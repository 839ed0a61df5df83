"""The user's options: what they may be, and what they mean."""

import difflib
import logging
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

from source_stripe import sentences
from source_stripe.sync.accounts_sync import Choice

logger = logging.getLogger("airbyte")

_INJECTED_PREFIX = "__injected"
_SECRET = re.compile(r"(?<![A-Za-z])(sk|rk|rkcs|ek|whsec)_")
_MOST_DAYS_OF_LOOKBACK = 29
"""Stripe keeps events for 30 days: https://docs.stripe.com/api/events."""

_OF_AIRBYTES = ("client_secret", "slice_range", "api_retention_streams")
"""Options of Airbyte's own connector that the spec does not have: one is the key, the others have no effect."""


def config_error(message: str) -> AirbyteTracedException:
    """An error that the user can mend: `message` says what is wrong and what to do."""
    return AirbyteTracedException(message=message, internal_message=message, failure_type=FailureType.config_error)


def refusal(key: object) -> str | None:
    """Why `key` can't be a key to read an account with: a sentence with the fix, without the key; None if it may be one.

    Which kinds of key there are: https://docs.stripe.com/keys. Nothing is sent to find out.
    """
    if not isinstance(key, str):
        return sentences.KEY_IS_NO_TEXT
    if not key.strip():
        return sentences.KEY_IS_EMPTY
    if key.endswith(("\n", "\r")):
        return sentences.KEY_ENDS_A_LINE
    if re.search(r"\s", key):
        return sentences.KEY_HAS_BLANKS
    if key.startswith(('"', "'", "`", "\u2018", "\u201c")):
        return sentences.KEY_IS_QUOTED
    if re.search(r"[*•…]|\.\.", key):
        return sentences.KEY_IS_HIDDEN
    for prefix, sentence in sentences.WRONG_KINDS_OF_KEY:
        if re.match(prefix, key):
            return sentence
    return None if re.fullmatch(r"(sk|rk|rkcs)_[A-Za-z0-9_]{8,}", key) else sentences.KEY_IS_NONE


def is_test_key(key: str) -> bool:
    """Whether a secret or restricted key reads test data (or a sandbox), not live data."""
    return "_test_" in key


def is_organization_key(key: object) -> bool:
    """Whether the key is one of an organization, which reads the accounts that are named with it."""
    return isinstance(key, str) and bool(re.fullmatch(r"(sk|rk)_org_[A-Za-z0-9_]{8,}", key))


class KeyTypeValidationStrategy(ValidationStrategy):
    """Refuses what is no secret or restricted key, before anything is sent, with a sentence of its own for each kind.

    An organization's key is refused by `check_options`, if no account is named with it.
    """

    def validate(self, value: Any) -> None:
        if (sentence := refusal(value)) and not is_organization_key(value):
            raise config_error(sentence)


# ---------------------------------------------------------------------- which accounts


def has_many_accounts(config: Mapping[str, Any]) -> bool:
    """Whether the accounts of a platform are read, or those that are named, rather than a single one."""
    return config.get("accounts", "own") != "own" or bool(config.get("account_ids"))


def choice_of(config: Mapping[str, Any]) -> Choice:
    """Which accounts are read, when they are many."""
    shard, _, shards = config.get("shard", "0/1").partition("/")
    return Choice(config.get("account_ids", ()), config.get("accounts") == "all", int(shard), int(shards))


def _check_accounts(config: Mapping[str, Any]) -> None:
    wanted, ids = config.get("accounts"), config.get("account_ids")
    if "account_id" in config and has_many_accounts(config):
        raise config_error(sentences.ONE_AND_MANY)
    if wanted == "own" and ids:
        raise config_error(sentences.IDS_OF_OWN)
    if is_organization_key(config["secret_key"]):
        if wanted == "all":
            raise config_error(sentences.ORGANIZATIONS_OWN)
        if wanted == "connected" and not ids:
            raise config_error(sentences.ORGANIZATIONS_ACCOUNTS)
        if not ids and "account_id" not in config:
            raise config_error(str(refusal(config["secret_key"])))
    if "shard" in config:
        if not has_many_accounts(config):
            raise config_error(sentences.SHARD_OF_ONE)
        if (choice := choice_of(config)).shard >= choice.shards:
            raise config_error(sentences.NO_SHARD)


# ---------------------------------------------------------------------- the other options


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
            elif isinstance(value, float) and value.is_integer():
                config[name] = int(value)
        if isinstance(ids := config.get("account_ids"), list):
            ids = [id.strip() if isinstance(id, str) else id for id in ids if id]
            config["account_ids"] = list(dict.fromkeys(ids)) if all(isinstance(id, str) for id in ids) else ids
            if not config["account_ids"]:
                del config["account_ids"]
        if isinstance(date := config.get("start_date"), str):
            config["start_date"] = _full_date(date)
        if isinstance(base := config.get("api_base"), str):
            config["api_base"] = base.rstrip("/")
        if isinstance(days := config.get("lookback_window_days"), int) and days > _MOST_DAYS_OF_LOOKBACK:
            logger.warning(sentences.LONG_LOOKBACK.format(days=days, most=_MOST_DAYS_OF_LOOKBACK))
            config["lookback_window_days"] = _MOST_DAYS_OF_LOOKBACK


def _full_date(text: str) -> str:
    """`2024-01-01` and `2024-01-01T00:00:00.000Z` as `2024-01-01T00:00:00Z`; anything else as it is."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)(?:\.\d+)?Z)?", text)
    return f"{match[1]}T{match[2] or '00:00:00'}Z" if match else text


def check_options(config: Mapping[str, Any], specification: Mapping[str, Any]) -> None:
    """Raise a config error that names the first option out of its range or type, never showing its value."""
    if "secret_key" not in config:
        raise config_error(sentences.KEY_IS_MISSING)
    if name := next((name for name in config if name.startswith(_INJECTED_PREFIX)), None):
        raise config_error(sentences.INJECTED.format(name=name))
    validator = jsonschema.Draft7Validator(specification)
    for error in sorted(validator.iter_errors(config), key=lambda error: list(error.path)):
        option = str(error.path[0])
        raise config_error(sentences.wrong_option(option, specification["properties"][option]))
    _check_accounts(config)
    _check_date(config.get("start_date"))
    _check_address(config.get("api_base", ""))


def warn_of_unknown(config: Mapping[str, Any], specification: Mapping[str, Any]) -> None:
    """Warn of options that are likely mistyped: they have no effect. What begins with `_` is a host's own or a comment."""
    known = [*specification["properties"], *_OF_AIRBYTES]
    for name in config:
        if name not in known and not name.startswith("_"):
            logger.warning(sentences.unknown_option(shown_name(name), difflib.get_close_matches(name, known, n=1)))


def shown_name(name: str) -> str:
    """The name of an option as it may be shown: not if a secret was put in its place."""
    return "that is a key" if _SECRET.search(name) else name


def _check_date(text: str | None) -> None:
    if not text:
        return
    try:
        start = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise config_error(sentences.NO_DATE) from None
    if start > datetime.now(UTC).timestamp() + 86400 * 366 * 10:
        raise config_error(sentences.FAR_FUTURE)


def _check_address(base: str) -> None:
    if base and not _is_address(base):
        raise config_error(sentences.NO_ADDRESS)
    if base.startswith("http://") and not re.match(r"http://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$", base):
        raise config_error(sentences.NO_TLS)


def _is_address(base: str) -> bool:
    try:
        parts = urlsplit(base)
        return bool(parts.hostname) and parts.port != 0 and base.isascii()
    except ValueError:
        return False
