"""What the connector believes of Stripe, one claim a test.

Each runs against the embedded account and, if STRIPE_TEST_KEY holds a secret key of test mode, against Stripe itself:
nothing is written there, and a claim for which that account has no data is skipped. Whoever has an account can so
settle what is only believed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from integration_tests.embedded_stripe import PRODUCTS, Account, StripeServer, made_up_account
from integration_tests.embedded_stripe.endpoints import COLLECTIONS
from integration_tests.embedded_stripe.kinds import Collection

DAY = 86_400
STRIPE_TEST_KEY = os.environ.get("STRIPE_TEST_KEY", "")
STREAMS = {
    "balance_transactions": "txn_",
    "charges": "ch_",
    "coupons": "none",
    "customers": "cus_",
    "disputes": "du_",
    "events": "evt_",
    "invoices": "in_",
    "payment_intents": "pi_",
    "payouts": "po_",
    "plans": "plan_",
    "prices": "price_",
    "products": "prod_",
    "refunds": "re_",
    "subscriptions": "sub_",
}
every_stream = pytest.mark.parametrize("stream", STREAMS)
every_list = pytest.mark.parametrize(
    "collection", [each for each in COLLECTIONS if not each.required], ids=lambda each: each.stream
)


@dataclass
class Stripe:
    url: str
    key: str
    now: int

    def answer(
        self, path: str, query: str = "", *, key: str | None = None, method: str = "GET", **headers: str
    ) -> requests.Response:
        sent = {"Stripe-Version": "2026-08-26.dahlia"} | {k.replace("_", "-"): v for k, v in headers.items()}
        if key != "":
            sent["Authorization"] = f"Bearer {key or self.key}"
        return requests.request(method, f"{self.url}/v1/{path}?{query}", headers=sent, timeout=30)

    def page(self, path: str, query: str = "limit=100") -> list[dict[str, Any]]:
        answer = self.answer(path, query)
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    def some(self, path: str, query: str = "limit=100", *, at_least: int = 1) -> list[dict[str, Any]]:
        found = self.page(path, query)
        if len(found) < at_least:
            pytest.skip(f"this account has fewer than {at_least} of {path}?{query}")
        return found

    def error(self, path: str, query: str = "", **options: Any) -> tuple[int, dict[str, Any]]:
        answer = self.answer(path, query, **options)
        return answer.status_code, answer.json()["error"]


@pytest.fixture(scope="module")
def embedded() -> Iterator[Stripe]:
    account = made_up_account(now=1_795_000_000)
    with StripeServer(account) as server:
        server.connect("acct_1Connected", Account(account.now))
        for product in PRODUCTS:
            account.enable(product)
        yield Stripe(server.url, server.secret_key, account.now)


@pytest.fixture(params=["embedded", "stripe"] if STRIPE_TEST_KEY else ["embedded"])
def stripe(request: pytest.FixtureRequest) -> Stripe:
    if request.param == "embedded":
        found: Stripe = request.getfixturevalue("embedded")
        return found
    return Stripe("https://api.stripe.com", STRIPE_TEST_KEY, int(time.time()))


def test_the_claims_are_put_to_stripe_itself() -> None:
    if not STRIPE_TEST_KEY:
        pytest.skip("no STRIPE_TEST_KEY in the environment: no claim was put to Stripe itself")
    assert "_test_" in STRIPE_TEST_KEY, "STRIPE_TEST_KEY is to be a key of test mode"


# ---------------------------------------------------------------------- lists


@every_stream
def test_a_list_says_that_it_is_one(stripe: Stripe, stream: str) -> None:
    body = stripe.answer(stream, "limit=1").json()
    assert (body["object"], body["url"], type(body["has_more"])) == ("list", f"/v1/{stream}", bool)


@every_stream
def test_a_list_is_newest_first(stripe: Stripe, stream: str) -> None:
    created = [each["created"] for each in stripe.page(stream)]
    assert created == sorted(created, reverse=True)


@every_stream
def test_every_object_has_an_id_and_a_time_in_seconds(stripe: Stripe, stream: str) -> None:
    for each in stripe.page(stream):
        assert isinstance(each["id"], str)
        assert isinstance(each["created"], int)
        assert 1_000_000_000 < each["created"] <= stripe.now + 60


@every_stream
def test_only_products_have_a_time_of_change(stripe: Stripe, stream: str) -> None:
    assert all(("updated" in each) == (stream == "products") for each in stripe.page(stream, "limit=10"))


def test_ten_objects_come_unless_asked_otherwise(stripe: Stripe) -> None:
    stripe.some("events", at_least=11)
    assert len(stripe.page("events", "")) == 10


def test_a_limit_is_clamped_in_silence(stripe: Stripe) -> None:
    assert all(len(stripe.page("events", f"limit={limit}")) <= 1 for limit in (0, -5))
    assert len(stripe.page("events", "limit=1000")) <= 100


def test_a_limit_that_is_no_integer_is_refused(stripe: Stripe) -> None:
    status, error = stripe.error("charges", "limit=abc")
    assert (status, error["code"], error["param"]) == (400, "parameter_invalid_integer", "limit")
    assert error["message"] == "Invalid integer: abc"


def test_starting_after_goes_on_behind_the_cursor(stripe: Stripe) -> None:
    ids = [each["id"] for each in stripe.some("customers", "limit=7", at_least=3)]
    after = stripe.page("customers", f"limit={len(ids) - 1}&starting_after={ids[0]}")
    assert [each["id"] for each in after] == ids[1:]


def test_ending_before_gives_what_is_just_newer_and_newest_first(stripe: Stripe) -> None:
    ids = [each["id"] for each in stripe.some("customers", "limit=7", at_least=4)]
    before = stripe.page("customers", f"limit=2&ending_before={ids[3]}")
    assert [each["id"] for each in before] == ids[1:3]


def test_both_cursors_at_once_are_refused(stripe: Stripe) -> None:
    status, error = stripe.error("customers", "starting_after=cus_a&ending_before=cus_b")
    assert (status, error.get("code")) == (400, None)
    assert error["message"].startswith("Received both starting_after and ending_before parameters.")


@every_stream
def test_an_unknown_cursor_is_a_400(stripe: Stripe, stream: str) -> None:
    status, error = stripe.error(stream, f"starting_after={STREAMS[stream]}doesnotexist")
    assert (status, error["code"], error["param"]) == (400, "resource_missing", "starting_after")


@every_stream
def test_an_unknown_parameter_is_refused(stripe: Stripe, stream: str) -> None:
    status, error = stripe.error(stream, "wat=1")
    assert (status, error["code"], error["param"]) == (400, "parameter_unknown", "wat")
    assert error["message"] == "Received unknown parameter: wat"


def test_an_empty_parameter_is_refused(stripe: Stripe) -> None:
    status, error = stripe.error("charges", "starting_after=")
    assert (status, error["code"], error["param"]) == (400, "parameter_invalid_empty", "starting_after")


@every_list
def test_a_list_that_the_account_may_read_is_one(stripe: Stripe, collection: Collection) -> None:
    answer = stripe.answer(collection.path.removeprefix("/v1/"))
    if answer.status_code != 200:
        pytest.skip(answer.json()["error"]["message"])
    body = answer.json()
    assert (list(body), body["url"]) == (["object", "data", "has_more", "url"], collection.path)
    assert {each["object"] for each in body["data"]} <= {collection.object}


@every_list
def test_a_list_takes_created_or_refuses_it(stripe: Stripe, collection: Collection) -> None:
    answer = stripe.answer(collection.path.removeprefix("/v1/"), "created[gte]=1")
    if not collection.by_created:
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "parameter_unknown")
    elif answer.status_code != 200:
        pytest.skip(answer.json()["error"]["message"])
    times = [each.get("created") or each["date"] for each in answer.json().get("data", ()) if "created" in each or "date" in each]
    assert times == sorted(times, reverse=True)


def test_a_list_tells_no_total(stripe: Stripe) -> None:
    assert list(stripe.answer("charges", "limit=1").json()) == ["object", "data", "has_more", "url"]


@pytest.mark.parametrize("stream", ["refunds", "disputes"])
def test_refunds_and_disputes_of_a_charge_are_counted(stripe: Stripe, stream: str) -> None:
    charge = stripe.some(stream)[0]["charge"]
    body = stripe.answer(stream, f"charge={charge}&limit=1").json()
    assert list(body) == ["object", "count", "data", "has_more", "url"]
    assert body["count"] == len(stripe.page(stream, f"charge={charge}&limit=100"))
    assert "count" not in stripe.answer(stream, "limit=1").json()


# ---------------------------------------------------------------------- created


@every_stream
def test_gte_and_lte_include_their_second(stripe: Stripe, stream: str) -> None:
    newest = stripe.some(stream, "limit=1")[0]
    bounds = f"created[gte]={newest['created']}&created[lte]={newest['created']}&limit=100"
    assert newest["id"] in [each["id"] for each in stripe.page(stream, bounds)]


def test_gt_and_lt_leave_their_second_out(stripe: Stripe) -> None:
    created = stripe.some("customers", "limit=1")[0]["created"]
    assert all(each["created"] > created for each in stripe.page("customers", f"created[gt]={created}"))
    assert all(each["created"] < created for each in stripe.page("customers", f"created[lt]={created}"))


def test_created_alone_is_that_second(stripe: Stripe) -> None:
    created = stripe.some("customers", "limit=1")[0]["created"]
    assert {each["created"] for each in stripe.page("customers", f"created={created}")} == {created}


def test_created_knows_no_other_operator(stripe: Stripe) -> None:
    assert stripe.error("customers", "created[after]=1")[0] == 400


# ---------------------------------------------------------------------- keys, versions, paths


def test_without_a_key_the_answer_is_401(stripe: Stripe) -> None:
    status, error = stripe.error("charges", key="")
    assert (status, error["type"]) == (401, "invalid_request_error")
    assert error["message"].startswith("You did not provide an API key.")


def test_an_unknown_key_is_repeated_with_stars(stripe: Stripe) -> None:
    status, error = stripe.error("charges", key="sk_test_thisisnokeyofanybodys1234")
    assert (status, error.get("code")) == (401, None)
    assert error["message"].startswith("Invalid API Key provided: sk_test_***")
    assert error["message"].endswith("1234")


def test_who_has_no_key_learns_of_no_request_and_no_version(stripe: Stripe) -> None:
    for key in ("", "sk_test_thisisnokeyofanybodys1234"):
        answer = stripe.answer("charges", key=key)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Stripe"'
        assert not answer.headers.keys() & {"Request-Id", "Stripe-Version"}
        assert list(answer.json()["error"]) == ["message", "type"]


def test_another_account_is_refused_without_a_request(stripe: Stripe) -> None:
    answer = stripe.answer("charges", Stripe_Account="acct_1OfNobodyHere00")
    error = answer.json()["error"]
    if error.get("code") != "account_invalid":
        pytest.skip("this account is no platform")
    assert (answer.status_code, list(error)) == (403, ["message", "type", "code", "doc_url"])
    assert error["message"].endswith("(or that account does not exist). Application access may have been revoked.")
    assert not answer.headers.keys() & {"Request-Id", "Stripe-Version"}


def test_an_account_of_nobodys_is_no_missing_object(stripe: Stripe) -> None:
    status, error = stripe.error("accounts/acct_1OfNobodyHere00")
    assert (status, list(error)) == (403, ["message", "type", "code", "doc_url"])


def test_an_answer_is_not_to_be_kept(stripe: Stripe) -> None:
    headers = stripe.answer("charges", "limit=1", Accept_Encoding="identity").headers
    assert (headers["Cache-Control"], headers["Vary"]) == ("no-cache, no-store", "Origin")
    assert {"Content-Length", "Request-Id", "Strict-Transport-Security", "X-Stripe-Priority-Routing-Enabled"} <= headers.keys()
    assert "Stripe-Should-Retry" not in headers


def test_a_key_works_as_the_user_of_basic_authentication(stripe: Stripe) -> None:
    answer = requests.get(f"{stripe.url}/v1/charges?limit=1", auth=(stripe.key, ""), timeout=30)
    assert answer.status_code == 200


def test_the_version_of_the_answer_stands_in_a_header(stripe: Stripe) -> None:
    for version in ("2026-08-26.dahlia", "2024-06-20"):
        assert stripe.answer("charges", "limit=1", Stripe_Version=version).headers["Stripe-Version"] == version


def test_an_unknown_version_is_refused(stripe: Stripe) -> None:
    status, error = stripe.error("charges", Stripe_Version="not-a-real-version")
    assert (status, error["message"]) == (400, "Invalid Stripe API version: not-a-real-version")


def test_an_unknown_version_is_repeated(stripe: Stripe) -> None:
    assert stripe.answer("charges", Stripe_Version="not-a-real-version").headers["Stripe-Version"] == "not-a-real-version"


def test_a_wrong_path_is_a_404(stripe: Stripe) -> None:
    status, error = stripe.error("nonsense")
    assert (status, error["type"]) == (404, "invalid_request_error")
    assert error["message"].startswith("Unrecognized request URL (GET: /v1/nonsense).")
    assert "request_log_url" not in error


@pytest.mark.parametrize(
    ("path", "param"), [("customers/cus_no", "id"), ("prices/price_no", "price"), ("payouts/po_no", "payout")]
)
def test_an_unknown_id_in_the_path_is_a_404(stripe: Stripe, path: str, param: str) -> None:
    status, error = stripe.error(path)
    assert (status, error["code"], error["param"]) == (404, "resource_missing", param)


@pytest.mark.parametrize(("method", "param"), [("GET", "invoice"), ("DELETE", "invoice"), ("POST", "id")])
def test_what_a_missing_invoice_is_called_depends_on_the_method(stripe: Stripe, method: str, param: str) -> None:
    status, error = stripe.error("invoices/in_nope", method=method)
    assert (status, error["message"], error["param"]) == (404, "No such invoice: 'in_nope'", param)


def test_a_balance_transaction_is_missing_in_two_words(stripe: Stripe) -> None:
    assert stripe.error("balance_transactions/txn_no")[1]["message"] == "No such balance transaction: 'txn_no'"


def test_a_missing_subscription_item_has_no_code(stripe: Stripe) -> None:
    status, error = stripe.error("subscription_items/si_nope")
    assert (status, error["message"]) == (404, "Invalid subscription_item id: si_nope")
    assert list(error) == ["message", "request_log_url", "type"]


def test_the_parts_of_a_refusal_stand_in_the_order_of_their_names(stripe: Stripe) -> None:
    _, error = stripe.error("charges", "wat=1")
    assert list(error) == ["code", "doc_url", "message", "param", "request_log_url", "type"]


def test_a_refusal_names_its_request_and_its_documentation(stripe: Stripe) -> None:
    answer = stripe.answer("charges", "wat=1")
    assert answer.headers["Request-Id"].startswith("req_")
    error = answer.json()["error"]
    assert error["doc_url"] == "https://stripe.com/docs/error-codes/parameter-unknown"
    assert error["request_log_url"].startswith("https://dashboard.stripe.com/")


def test_a_body_is_indented_and_zipped_when_asked(stripe: Stripe) -> None:
    answer = stripe.answer("events", "limit=2", Accept_Encoding="gzip")
    assert answer.text.startswith('{\n  "object": "list",\n  "data": [')
    assert answer.headers["Content-Encoding"] == "gzip"


# ---------------------------------------------------------------------- what is left out


@pytest.mark.parametrize(
    ("stream", "field"),
    [
        ("charges", "refunds"),
        ("customers", "subscriptions"),
        ("customers", "sources"),
        ("customers", "tax_ids"),
        ("invoices", "payments"),
        ("prices", "currency_options"),
    ],
)
def test_what_is_left_out_comes_when_asked_for(stripe: Stripe, stream: str, field: str) -> None:
    plain = stripe.some(stream, "limit=1")[0]
    asked = stripe.page(stream, f"limit=1&expand[]=data.{field}")[0]
    assert (field in plain, field in asked) == (False, True)


def test_tiers_come_when_asked_for(stripe: Stripe) -> None:
    tiered = [each for each in stripe.page("prices") if each["billing_scheme"] == "tiered"]
    if not tiered:
        pytest.skip("this account has no tiered price")
    asked = stripe.answer(f"prices/{tiered[0]['id']}", "expand[]=tiers").json()
    assert ("tiers" in tiered[0], asked["tiers"][-1]["up_to"]) == (False, None)


def test_an_expanded_list_holds_ten_at_most_and_has_an_address(stripe: Stripe) -> None:
    for charge in stripe.page("charges", "limit=100&expand[]=data.refunds"):
        refunds = charge["refunds"]
        assert (refunds["object"], refunds["url"]) == ("list", f"/v1/charges/{charge['id']}/refunds")
        assert len(refunds["data"]) <= 10


def test_a_list_in_an_object_tells_its_total(stripe: Stripe) -> None:
    invoice = stripe.some("invoices", "limit=1&expand[]=data.payments")[0]
    subscription = stripe.some("subscriptions", "status=all&limit=1")[0]
    charge = stripe.some("charges", "limit=1&expand[]=data.refunds")[0]
    for inside in (invoice["lines"], subscription["items"], charge["refunds"]):
        assert list(inside) == ["object", "data", "has_more", "total_count", "url"]
    assert "total_count" not in stripe.answer(f"invoices/{invoice['id']}/lines").json()


def test_an_invoices_payments_tell_no_total_and_no_invoice(stripe: Stripe) -> None:
    payments = stripe.some("invoices", "limit=1&expand[]=data.payments")[0]["payments"]
    assert (list(payments), payments["url"]) == (["object", "data", "has_more", "url"], "/v1/invoices/payments")


def test_a_reference_becomes_its_object(stripe: Stripe) -> None:
    plain = [each for each in stripe.page("charges") if each["customer"]]
    if not plain:
        pytest.skip("this account has no charge with a customer")
    asked = stripe.answer(f"charges/{plain[0]['id']}", "expand[]=customer").json()
    assert asked["customer"]["id"] == plain[0]["customer"]


def test_a_list_of_references_becomes_a_list_of_objects(stripe: Stripe) -> None:
    found = [each for each in stripe.page("subscriptions", "status=all&limit=100") if each["discounts"]]
    if not found:
        pytest.skip("this account has no subscription with a discount")
    asked = stripe.answer(f"subscriptions/{found[0]['id']}", "expand[]=discounts").json()
    assert [each["id"] for each in asked["discounts"]] == found[0]["discounts"]
    assert isinstance(asked["discounts"][0]["source"]["coupon"], str)


def test_what_is_no_reference_cannot_be_expanded(stripe: Stripe) -> None:
    status, error = stripe.error("charges", "expand[]=data.amount")
    assert status == 400
    assert error["message"].startswith("This property cannot be expanded (amount).")


def test_expansion_of_a_list_goes_through_its_data(stripe: Stripe) -> None:
    status, error = stripe.error("charges", "expand[]=customer")
    assert status == 400
    assert error["message"].startswith("This property cannot be expanded (customer).")


def test_expansion_goes_four_levels_deep(stripe: Stripe) -> None:
    assert stripe.answer("charges", "limit=1&expand[]=data.payment_intent.latest_charge.customer").status_code == 200
    status, _ = stripe.error("charges", "expand[]=data.payment_intent.latest_charge.payment_intent.customer")
    assert status == 400


def test_an_invoice_brings_ten_lines_and_the_rest_is_paged(stripe: Stripe) -> None:
    invoices = [each for each in stripe.page("invoices") if each["lines"]["has_more"]]
    if not invoices:
        pytest.skip("none of this account's newest invoices has more than ten lines")
    inline = invoices[0]["lines"]
    assert (len(inline["data"]), inline["url"]) == (10, f"/v1/invoices/{invoices[0]['id']}/lines")
    paged = stripe.page(f"invoices/{invoices[0]['id']}/lines", "limit=100")
    assert [each["id"] for each in paged[:10]] == [each["id"] for each in inline["data"]]
    following = stripe.page(f"invoices/{invoices[0]['id']}/lines", f"limit=1&starting_after={paged[9]['id']}")
    assert following[0]["id"] == paged[10]["id"]


def test_a_subscriptions_items_are_its_first_and_can_be_listed(stripe: Stripe) -> None:
    for each in stripe.some("subscriptions", "status=all&limit=20"):
        listed = stripe.page("subscription_items", f"subscription={each['id']}&limit=100")
        inline = [item["id"] for item in each["items"]["data"]]
        assert len(inline) <= 10
        assert inline == [item["id"] for item in listed[: len(inline)]]


def test_items_are_listed_oldest_first_and_the_address_keeps_its_query(stripe: Stripe) -> None:
    found = stripe.some("subscriptions", "status=all&limit=100")
    longest = max(found, key=lambda each: int(each["items"]["total_count"]))["id"]
    body = stripe.answer("subscription_items", f"subscription={longest}&limit=100").json()
    assert body["url"] == f"/v1/subscription_items?subscription={longest}"
    created = [each["created"] for each in body["data"]]
    assert created == sorted(created)


def test_items_are_listed_of_one_subscription_only(stripe: Stripe) -> None:
    status, error = stripe.error("subscription_items")
    assert (status, error["param"]) == (400, "subscription")


def test_refunds_of_a_charge_are_listed_in_two_places(stripe: Stripe) -> None:
    charge = stripe.some("refunds")[0]["charge"]
    nested = [each["id"] for each in stripe.page(f"charges/{charge}/refunds")]
    assert nested == [each["id"] for each in stripe.page("refunds", f"charge={charge}&limit=100")]


def test_refunds_and_balance_transactions_do_not_tell_their_mode(stripe: Stripe) -> None:
    for stream in ("refunds", "balance_transactions"):
        assert all("livemode" not in each for each in stripe.page(stream))


def test_a_balance_transaction_is_pending_or_available(stripe: Stripe) -> None:
    rows = stripe.some("balance_transactions")
    assert {each["status"] for each in rows} <= {"pending", "available"}
    assert all(each["available_on"] <= stripe.now for each in rows if each["status"] == "available")


# ---------------------------------------------------------------------- default filters


def test_canceled_subscriptions_show_only_when_asked_for(stripe: Stripe) -> None:
    canceled = stripe.some("subscriptions", "status=canceled&limit=100")
    assert {each["status"] for each in canceled} == {"canceled"}
    assert all(each["status"] != "canceled" for each in stripe.page("subscriptions"))
    everything = stripe.page("subscriptions", f"status=all&created={canceled[0]['created']}")
    assert canceled[0]["id"] in [each["id"] for each in everything]


def test_archived_prices_show_only_when_asked_for(stripe: Stripe) -> None:
    stripe.some("prices", "active=false")
    assert all(each["active"] for each in stripe.page("prices"))


@pytest.mark.parametrize("stream", ["products", "plans"])
def test_archived_products_and_plans_show_beside_the_others(stripe: Stripe, stream: str) -> None:
    archived = stripe.some(stream, "active=false&limit=1")[0]
    same_second = stripe.page(stream, f"created={archived['created']}&limit=100")
    assert archived["id"] in [each["id"] for each in same_second]


@pytest.mark.parametrize(
    ("stream", "choices"),
    [
        (
            "subscriptions",
            "active, past_due, unpaid, canceled, incomplete, incomplete_expired, trialing, paused, all, or ended",
        ),
        ("invoices", "draft, open, void, paid, or uncollectible"),
    ],
)
def test_a_status_that_is_none_is_refused(stripe: Stripe, stream: str, choices: str) -> None:
    status, error = stripe.error(stream, "status=bogus")
    assert (status, error["param"], error.get("code")) == (400, "status", None)
    assert error["message"] == f"Invalid status: must be one of {choices}"


def test_a_type_of_balance_transactions_that_is_none_finds_nothing(stripe: Stripe) -> None:
    assert stripe.page("balance_transactions", "type=bogus") == []


def test_invoices_of_every_status_are_listed(stripe: Stripe) -> None:
    for status in ("draft", "open", "paid", "uncollectible", "void"):
        for each in stripe.page("invoices", f"status={status}&limit=1"):
            same_second = stripe.page("invoices", f"created={each['created']}&limit=100")
            assert each["id"] in [other["id"] for other in same_second]


# ---------------------------------------------------------------------- events


def test_events_go_back_thirty_days(stripe: Stripe) -> None:
    assert stripe.page("events", f"created[lt]={stripe.now - 30 * DAY - 3600}") == []


def test_an_event_tells_its_version_and_holds_its_object_unexpanded(stripe: Stripe) -> None:
    for each in stripe.some("events"):
        assert isinstance(each["api_version"], str)
        assert "object" in each["data"]["object"]
        for nested in ("lines", "items", "refunds"):
            inside = each["data"]["object"].get(nested) or {}
            assert len(inside.get("data", [])) <= 10


def test_event_types_are_asked_for_one_by_one_or_by_group(stripe: Stripe) -> None:
    kind = stripe.some("events")[0]["type"]
    group = kind.rpartition(".")[0]
    assert {each["type"] for each in stripe.page("events", f"types[]={kind}&limit=20")} == {kind}
    assert {each["type"] for each in stripe.page("events", f"type={kind}&limit=20")} == {kind}
    assert all(each["type"].startswith(f"{group}.") for each in stripe.page("events", f"type={group}.*&limit=20"))


def test_twenty_event_types_may_be_asked_for_and_no_more(stripe: Stripe) -> None:
    names = ["charge.succeeded", "charge.failed", "customer.created", "customer.updated", "invoice.paid"] * 5
    assert stripe.answer("events", "&".join(f"types[]={name}" for name in names[:20])).status_code == 200
    assert stripe.answer("events", "&".join(f"types[]={name}" for name in names[:21])).status_code == 400


def test_type_and_types_exclude_each_other(stripe: Stripe) -> None:
    assert stripe.error("events", "type=charge.succeeded&types[]=charge.failed")[0] == 400


def test_an_update_tells_what_was_before(stripe: Stripe) -> None:
    for each in stripe.some("events", "type=customer.updated&limit=20"):
        assert each["data"]["previous_attributes"]


def test_a_closed_dispute_tells_what_was_before(stripe: Stripe) -> None:
    for each in stripe.some("events", "type=charge.dispute.closed&limit=20"):
        assert "status" in each["data"]["previous_attributes"]


def test_an_event_tells_the_request_and_in_how_many_places_it_is_awaited(stripe: Stripe) -> None:
    for each in stripe.some("events"):
        assert each["request"] is None or each["request"].keys() == {"id", "idempotency_key"}
        assert each["pending_webhooks"] in range(17)


def test_a_deletion_has_no_idempotency_key(stripe: Stripe) -> None:
    for each in stripe.some("events", "types[]=customer.deleted&types[]=product.deleted&types[]=coupon.deleted"):
        assert each["request"]["idempotency_key"] is None


def test_a_deletion_tells_the_object_without_a_flag(stripe: Stripe) -> None:
    deletion = stripe.some("events", "types[]=customer.deleted&types[]=product.deleted&types[]=coupon.deleted")[0]
    assert "created" in deletion["data"]["object"]
    assert "deleted" not in deletion["data"]["object"]


def test_a_deleted_customer_is_a_stub_and_still_a_cursor(stripe: Stripe) -> None:
    gone = stripe.some("events", "type=customer.deleted&limit=1")[0]["data"]["object"]["id"]
    stub = stripe.answer(f"customers/{gone}")
    assert (stub.status_code, stub.json()) == (200, {"id": gone, "object": "customer", "deleted": True})
    assert stripe.answer("customers", f"limit=1&starting_after={gone}").status_code == 200


@pytest.mark.parametrize("kind", ["product", "coupon"])
def test_a_deleted_product_or_coupon_is_not_found(stripe: Stripe, kind: str) -> None:
    gone = stripe.some("events", f"type={kind}.deleted&limit=1")[0]["data"]["object"]["id"]
    assert stripe.answer(f"{kind}s/{gone}").status_code == 404
    assert stripe.error(f"{kind}s", f"starting_after={gone}")[0] == 400


def test_a_canceled_subscription_was_told_as_deleted_and_is_still_there(stripe: Stripe) -> None:
    told = stripe.some("events", "type=customer.subscription.deleted&limit=1")[0]["data"]["object"]
    assert told["status"] == "canceled"
    assert stripe.answer(f"subscriptions/{told['id']}").json()["status"] == "canceled"


def test_a_preview_of_an_invoice_is_not_found(stripe: Stripe) -> None:
    for each in stripe.some("events", "type=invoice.upcoming&limit=5"):
        ident = each["data"]["object"].get("id")
        assert ident is None or stripe.answer(f"invoices/{ident}").status_code == 404


# ---------------------------------------------------------------------- what Stripe's document leaves out


@pytest.mark.parametrize(
    ("path", "query", "names"),
    [
        ("charges", "limit=1", ["destination", "dispute", "order", "source"]),
        ("disputes", "limit=1", ["balance_transaction"]),
        ("payment_intents", "limit=1", ["payment_record", "shared_payment_granted_token", "source"]),
        ("products", "limit=1", ["attributes", "tax_details", "type"]),
        ("subscriptions", "status=all&limit=1", ["plan", "quantity"]),
    ],
)
def test_an_object_has_more_than_the_document_says(stripe: Stripe, path: str, query: str, names: list[str]) -> None:
    assert stripe.some(path, query)[0].keys() >= set(names)


def test_an_item_has_more_than_the_document_says(stripe: Stripe) -> None:
    item = stripe.some("subscriptions", "status=all&limit=1")[0]["items"]["data"][0]
    assert (item["plan"]["id"], "current_trial" in item) == (item["price"]["id"], True)
    assert "trial_period_days" in item["price"]["recurring"]


def test_a_line_does_not_say_its_subscription_at_the_top(stripe: Stripe) -> None:
    assert all("subscription" not in line for line in stripe.some("invoices", "limit=1")[0]["lines"]["data"])
