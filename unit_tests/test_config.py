"""The user's options: what is refused, with which words, and what is taken as something else."""

from __future__ import annotations

from typing import Any

import pytest
from airbyte_cdk.models import FailureType
from airbyte_cdk.utils.traced_exception import AirbyteTracedException

from source_stripe.config import (
    AirbyteConfigTransformation,
    KeyTypeValidationStrategy,
    check_options,
    is_test_key,
    refusal,
    shown_name,
)
from source_stripe.source import SourceStripe, load_manifest

SPEC = load_manifest()["spec"]["connection_specification"]
KEY = "rk_test_51H8xample00"
ORGANIZATION = "sk_org_live_51H8xample"
SOURCE = SourceStripe()


def taken(config: dict[str, Any]) -> dict[str, Any]:
    AirbyteConfigTransformation().transform(config)
    return config


def complaint(config: dict[str, Any]) -> str:
    with pytest.raises(AirbyteTracedException) as caught:
        SOURCE.configure(config, "")
    assert caught.value.failure_type == FailureType.config_error
    return str(caught.value.message)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"accounts": "mine"}, "The option `accounts` must be one of own, connected, all."),
        ({"account_ids": "acct_1"}, "The option `account_ids` must be a list of texts that look like acct_...."),
        ({"account_ids": ["acct_1", "cus_1"]}, "The option `account_ids` must be a list of texts that look like acct_...."),
        (
            {"accounts": "all", "account_id": "acct_1"},
            "`account_id` names one account to read, `accounts` and `account_ids` several: leave the one or the others out.",
        ),
        (
            {"account_ids": ["acct_2"], "account_id": "acct_1"},
            "`account_id` names one account to read, `accounts` and `account_ids` several: leave the one or the others out.",
        ),
        (
            {"accounts": "own", "account_ids": ["acct_1"]},
            "The option `account_ids` names connected accounts, but `accounts` is own: set it to connected.",
        ),
        (
            {"secret_key": ORGANIZATION, "accounts": "all", "account_ids": ["acct_1"]},
            "An organization's key has no account of its own: set `accounts` to connected, and name some in `account_ids`.",
        ),
        (
            {"secret_key": ORGANIZATION, "accounts": "connected"},
            "Stripe does not tell an organization's key which accounts there are: name them in `account_ids`.",
        ),
        (
            {"shard": "0/4"},
            "The option `shard` takes a part of many accounts: set `accounts` to connected or all, or leave it out.",
        ),
        ({"accounts": "connected", "shard": "4"}, "The option `shard` must look like 0/4."),
        (
            {"accounts": "connected", "shard": "4/4"},
            "The option `shard` must be a number from 0 on, and how many there are: 0/4, 1/4, 2/4 and 3/4 are the four of four.",
        ),
    ],
)
def test_accounts_that_can_not_be_meant_are_refused_with_what_to_do(options: dict[str, Any], sentence: str) -> None:
    assert complaint({"secret_key": KEY} | options) == sentence


def test_an_organizations_key_that_names_no_account_is_refused() -> None:
    said = complaint({"secret_key": ORGANIZATION})
    assert said.startswith("This is an organization's key (sk_org_...)")
    assert "Or name those of its accounts that you want to read in `account_ids`, or one in `account_id`." in said


@pytest.mark.parametrize(
    "options",
    [
        {"accounts": "own"},
        {"accounts": "connected"},
        {"accounts": "all", "shard": "3/4"},
        {"accounts": "connected", "account_ids": ["acct_1"]},
        {"account_ids": ["acct_1"]},
        {"accounts": "own", "account_ids": [], "account_id": "acct_1"},
        {"secret_key": ORGANIZATION, "account_ids": ["acct_1"], "accounts": "connected"},
        {"secret_key": ORGANIZATION, "account_id": "acct_1"},
    ],
)
def test_accounts_that_can_be_meant_are_taken(options: dict[str, Any]) -> None:
    assert SOURCE.configure({"secret_key": KEY} | options, "")["secret_key"]


def test_ids_that_are_pasted_are_taken_without_blanks_and_once() -> None:
    config = taken({"secret_key": KEY, "account_ids": [" acct_1", "acct_2\n", "acct_1", ""]})
    assert config["account_ids"] == ["acct_1", "acct_2"]


@pytest.mark.parametrize(
    "key",
    [
        "sk_live_51H8xample",
        "sk_test_51H8xample",
        "rk_live_51H8xample",
        "rk_test_" + "a" * 99,
        "rkcs_test_51H8xample",
        "sk_51H8xample",
    ],
)
def test_a_secret_or_restricted_key_is_not_refused(key: str) -> None:
    assert refusal(key) is None


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("pk_test_51H8xample", "This is a publishable key (pk_...)"),
        ("pk_live_51H8xample", "This is a publishable key (pk_...)"),
        ("whsec_51H8xample", "This is a webhook signing secret (whsec_...)"),
        ("ek_test_51H8xample", "This is an ephemeral key (ek_...)"),
        ("acct_51H8xample", "This is an account's id (acct_...)"),
        ("ca_51H8xample", "This is an OAuth client's id (ca_...)"),
        ("mk_51H8xample", "This is the id of a key (mk_...)"),
        ("sk_org_live_51H8xample", "This is an organization's key (sk_org_...)"),
        ("rk_org_test_51H8xample", "This is an organization's key (sk_org_...)"),
        ("", "The secret key is empty."),
        ("  \n", "The secret key is empty."),
        ("sk_test_51H8xample\n", "The secret key ends with a line end."),
        ("sk_test_51H8xample\r\n", "The secret key ends with a line end."),
        (" sk_test_51H8xample", "The secret key has blanks in it or around it."),
        ("sk_test_51H8 xample", "The secret key has blanks in it or around it."),
        ("sk_test_51H8\u00a0xample", "The secret key has blanks in it or around it."),
        ("sk_test_****mple", "as the Dashboard shows it, with its middle hidden."),
        ("sk_test_...mple", "as the Dashboard shows it, with its middle hidden."),
        ("sk_test_51H8…mple", "as the Dashboard shows it, with its middle hidden."),
        ("sk_test_", "This is no Stripe API key"),
        ("sk_test_51H8xämple", "This is no Stripe API key"),
        ("hunter2hunter2", "This is no Stripe API key"),
        (None, "The secret key must be a text."),
        (17, "The secret key must be a text."),
    ],
)
def test_what_is_no_key_is_refused_in_words_of_its_own(key: object, words: str) -> None:
    assert words in (refusal(key) or "")


@pytest.mark.parametrize(
    "key", ["pk_test_51H8xample", "whsec_51H8xample", "sk_test_51H8xample\n", "hunter2hunter2", "sk_test_51H8…mple"]
)
def test_a_refusal_says_what_to_do_and_does_not_show_the_key(key: str) -> None:
    sentence = refusal(key) or ""
    assert "opy" in sentence or "Create a restricted key" in sentence
    assert "51H8" not in sentence
    assert "hunter2" not in sentence


def test_the_manifests_validator_refuses_with_the_same_sentence() -> None:
    with pytest.raises(AirbyteTracedException) as caught:
        KeyTypeValidationStrategy().validate("pk_test_51H8xample")
    assert (caught.value.message, caught.value.failure_type) == (refusal("pk_test_51H8xample"), FailureType.config_error)


def test_a_key_tells_its_mode() -> None:
    assert [is_test_key(f"{prefix}51H8xample") for prefix in ("sk_test_", "rk_test_", "sk_live_", "rk_live_")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_configuration_of_airbytes_own_connector_is_taken_as_it_is() -> None:
    airbytes = {
        "client_secret": KEY,
        "account_id": "acct_1",
        "start_date": "2024-01-01T00:00:00.000Z",
        "lookback_window_days": 0,
        "slice_range": 365,
        "num_workers": 10,
        "api_retention_streams": [],
    }
    check_options(taken(airbytes), SPEC)
    assert (airbytes["secret_key"], airbytes["start_date"]) == (KEY, "2024-01-01T00:00:00Z")
    assert "client_secret" not in airbytes


def test_a_secret_key_wins_over_a_client_secret() -> None:
    assert taken({"secret_key": KEY, "client_secret": "sk_test_another0"}) == {"secret_key": KEY}


def test_fields_of_a_form_that_were_left_empty_are_absent() -> None:
    assert taken({"secret_key": KEY, "account_id": "", "start_date": None, "call_rate_limit": None}) == {"secret_key": KEY}


def test_blanks_and_line_ends_around_an_option_are_left_out() -> None:
    pasted = {"secret_key": KEY, "account_id": "acct_1\n", "start_date": " 2024-01-01", "api_base": "https://stripe.example/ "}
    assert taken(pasted) == {
        "secret_key": KEY,
        "account_id": "acct_1",
        "start_date": "2024-01-01T00:00:00Z",
        "api_base": "https://stripe.example",
    }


def test_an_empty_key_stays_to_be_told_so() -> None:
    assert complaint({"secret_key": ""}).startswith("The secret key is empty.")
    assert complaint({"client_secret": ""}).startswith("The secret key is empty.")


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("2024-01-01", 1_704_067_200),
        ("2024-01-01T00:00:00Z", 1_704_067_200),
        ("2024-01-01T00:00:01.999Z", 1_704_067_201),
        ("", 0),
        (None, 0),
    ],
)
def test_a_start_date_is_a_second_in_utc(date: str | None, seconds: int) -> None:
    source = SourceStripe(config=taken({"secret_key": KEY, "start_date": date}))
    assert source._parts("charges")[1].start == seconds


def test_without_a_start_date_everything_is_read() -> None:
    assert SourceStripe(config={"secret_key": KEY})._parts("charges")[1].start == 0


def test_an_address_may_end_in_a_slash() -> None:
    assert taken({"api_base": "https://stripe.example/"})["api_base"] == "https://stripe.example"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"account_id": "acct_1H8xample"},
        {"account_id": "aBcDeFgH1234567890"},
        {"lookback_window_days": 29, "num_workers": 128, "call_rate_limit": 10_000},
        {"lookback_window_days": 0, "num_workers": 1, "call_rate_limit": 1},
        {"lookback_window_days": 60, "num_workers": 10.0, "call_rate_limit": 25.0},
        {"api_base": "https://stripe.example:8443"},
        {"api_base": "http://localhost:8080"},
        {"api_base": "http://127.0.0.1:8080"},
        {"api_base": "http://[::1]:8080"},
        {"of_another_version": True},
    ],
)
def test_options_in_their_range_are_taken(options: dict[str, Any]) -> None:
    check_options(taken({"secret_key": KEY, **options}), SPEC)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"account_id": "acct-1H8"}, "The option `account_id` must look like acct_...."),
        ({"account_id": 7}, "The option `account_id` must look like acct_...."),
        ({"start_date": "01/02/2024"}, "The option `start_date` must look like YYYY-MM-DDTHH:MM:SSZ."),
        ({"start_date": "2024-01-01T00:00:00+02:00"}, "The option `start_date` must look like YYYY-MM-DDTHH:MM:SSZ."),
        ({"start_date": "2024-02-30"}, "The option `start_date` is no date of the calendar: write it as 2024-01-01T00:00:00Z."),
        ({"start_date": "9999-01-01"}, "The option `start_date` lies in the far future: nothing would ever be read."),
        ({"lookback_window_days": -1}, "The option `lookback_window_days` must be a whole number of at least 0."),
        ({"num_workers": 0}, "The option `num_workers` must be a whole number from 1 to 128."),
        ({"num_workers": "8"}, "The option `num_workers` must be a whole number from 1 to 128."),
        ({"call_rate_limit": 0}, "The option `call_rate_limit` must be a whole number from 1 to 10000."),
        ({"call_rate_limit": 2.5}, "The option `call_rate_limit` must be a whole number from 1 to 10000."),
        ({"api_base": "stripe.example"}, "The option `api_base` must be a text of the right form."),
        ({"api_base": "https://stripe.example/v1"}, "The option `api_base` must be a text of the right form."),
        ({"api_base": "https://key@stripe.example"}, "The option `api_base` must be a text of the right form."),
    ],
)
def test_an_option_out_of_its_range_is_named_with_what_it_must_be(options: dict[str, Any], sentence: str) -> None:
    assert complaint({"secret_key": KEY, **options}) == sentence


@pytest.mark.parametrize(
    "base", ["http://stripe.example", "http://localhost.example", "http://127.0.0.1.example:80", "http://10.0.0.1"]
)
def test_without_tls_only_this_machine_is_allowed(base: str) -> None:
    assert complaint({"secret_key": KEY, "api_base": base}).startswith("The option `api_base` must be an https address")


def test_a_missing_key_is_asked_for() -> None:
    assert complaint({}).startswith("The secret key is missing: set `secret_key`.")


def test_a_key_in_a_wrong_option_is_not_shown() -> None:
    assert KEY not in complaint({"secret_key": KEY, "account_id": KEY})


def test_a_lookback_beyond_what_stripe_keeps_is_taken_as_that_and_said(caplog: pytest.LogCaptureFixture) -> None:
    assert taken({"lookback_window_days": 60})["lookback_window_days"] == 29
    assert "lookback_window_days is 60: taken as 29" in caplog.text


@pytest.mark.parametrize("name", ["__injected_declarative_manifest", "__injected_components_py"])
def test_what_the_platforms_builder_injects_is_told_by_its_name(name: str) -> None:
    assert f"(`{name}`)" in complaint({"secret_key": KEY, name: {}})


@pytest.mark.parametrize("quote", ['"', "'", "`", "“"])
def test_a_key_in_quotes_is_told_so(quote: str) -> None:
    assert complaint({"secret_key": f"{quote}{KEY}{quote}"}).startswith("The secret key has quotes around it.")


@pytest.mark.parametrize(
    "name", ["sk_live_abc", " rk_test_abc\n", "'sk_live_abc'", "sk_org_live_abc", "whsec_abc", "ek_live_abc"]
)
def test_a_secret_in_the_place_of_a_name_is_not_shown(name: str) -> None:
    assert shown_name(name) == "that is a key"


@pytest.mark.parametrize("name", ["task_name", "start_dat", "risk_level", "api_base"])
def test_the_name_of_an_option_is_shown(name: str) -> None:
    assert shown_name(name) == name


@pytest.mark.parametrize("ids", [[["acct_1"]], [{"id": "acct_1"}], ["acct_1", 5]])
def test_ids_of_accounts_that_are_no_texts_are_refused(ids: object) -> None:
    config = {"secret_key": "sk_live_1234567890", "accounts": "connected", "account_ids": ids}
    AirbyteConfigTransformation().transform(config)
    assert config["account_ids"] == ids
