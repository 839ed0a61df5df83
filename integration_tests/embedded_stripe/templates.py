"""Objects as Stripe returns them, every common field filled in: the ground that `Account.create` builds on.

Each template takes the account's maker of ids, the object's id and time, and what the caller gave, so that fields
that follow from others (a refund's currency, a list's url) agree with them.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from .endpoints import DISPUTE_EVIDENCE

Object = dict[str, Any]

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPES = {  # prefix, and how many characters follow it
    "charge": ("ch_3", 23),
    "customer": ("cus_", 14),
    "subscription": ("sub_1", 23),
    "subscription_item": ("si_", 14),
    "invoice": ("in_1", 23),
    "line_item": ("il_1", 23),
    "invoice_payment": ("inpay_1", 23),
    "product": ("prod_", 14),
    "price": ("price_1", 23),
    "plan": ("price_1", 23),
    "payment_intent": ("pi_3", 23),
    "payment_method": ("pm_1", 23),
    "setup_intent": ("seti_1", 23),
    "dispute": ("du_1", 23),
    "refund": ("re_3", 23),
    "balance_transaction": ("txn_3", 23),
    "payout": ("po_1", 23),
    "event": ("evt_1", 23),
    "discount": ("di_1", 23),
    "tax_id": ("txi_1", 23),
    "account": ("acct_1", 16),
    "request": ("req_", 14),
}


def made_up_id(kind: str, random: Random) -> str:
    if kind == "coupon":
        return "".join(random.choices(_ALPHABET[:36], k=8))
    prefix, length = _SHAPES.get(kind, (f"{kind[:4]}_", 24))
    return prefix + "".join(random.choices(_ALPHABET, k=length))


def a_list(url: str, data: list[Object]) -> Object:
    return {"object": "list", "data": data, "has_more": False, "total_count": len(data), "url": url}


def address(**given: Any) -> Object:
    return {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None} | given


def _card(brand: str = "visa", last4: str = "4242") -> Object:
    return {
        "amount_authorized": 1099,
        "authorization_code": None,
        "brand": brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "exp_month": 8,
        "exp_year": 2030,
        "extended_authorization": {"status": "disabled"},
        "fingerprint": "AOB934RVNwzk6xtn",
        "funding": "credit",
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": last4,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": brand,
        "network_token": {"used": False},
        "network_transaction_id": "104102010721611",
        "overcapture": {"maximum_amount_capturable": 1099, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "transaction_link_id": None,
        "wallet": None,
    }


def charge(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    status = given.get("status", "succeeded")
    amount = given.get("amount", 1099)
    paid = status == "succeeded"
    captured = given.get("captured", paid)
    card = _card() | {"amount_authorized": amount}
    card["overcapture"] = {"maximum_amount_capturable": amount, "status": "unavailable"}
    failed = status == "failed"
    return {
        "id": ident,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount if captured and paid else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {
            "address": address(country="US", postal_code="94107"),
            "email": given.get("receipt_email"),
            "name": "Jenny Rosen",
            "phone": None,
            "tax_id": None,
        },
        "calculated_statement_descriptor": "EXAMPLE SHOP",
        "captured": captured,
        "created": created,
        "currency": "usd",
        "customer": None,
        "description": None,
        "destination": None,
        "dispute": None,
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": "card_declined" if failed else None,
        "failure_message": "Your card was declined." if failed else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": {},
        "on_behalf_of": None,
        "order": None,
        "outcome": {
            "advice_code": "try_again_later" if failed else None,
            "network_advice_code": None,
            "network_decline_code": "05" if failed else None,
            "network_status": "declined_by_network" if failed else "approved_by_network",
            "reason": "generic_decline" if failed else None,
            "risk_level": "normal",
            "risk_score": 23,
            "seller_message": "The bank did not return any further details with this decline." if failed else "Payment complete.",
            "type": "issuer_declined" if failed else "authorized",
        },
        "paid": paid,
        "payment_intent": None,
        "payment_method": "pm_1SXq7gHIBZYyePrZb2yJ8u4d",
        "payment_method_details": {"card": card, "type": "card"},
        "radar_options": {},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": f"https://pay.stripe.com/receipts/payment/CAcaFwoVYWNjdF8xUGdhZlRCN1daMDF6Z2tXKI7ei7UGMgZv2S/{ident}",
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": status,
        "transfer_data": None,
        "transfer_group": None,
    }


def customer(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    return {
        "id": ident,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": created,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": ident[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        # There only when asked for.
        "cash_balance": None,
        "invoice_credit_balance": {},
        "sources": a_list(f"/v1/customers/{ident}/sources", []),
        "tax": {"automatic_tax": "unrecognized_location", "ip_address": None, "location": None, "provider": "stripe"},
        "tax_ids": a_list(f"/v1/customers/{ident}/tax_ids", []),
    }


def tax_id(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    owner = given.get("customer")
    return {
        "id": ident,
        "object": "tax_id",
        "country": "DE",
        "created": created,
        "customer": owner,
        "customer_account": None,
        "livemode": False,
        "owner": {"customer": owner, "type": "customer"},
        "type": "eu_vat",
        "value": "DE123456789",
        "verification": {"status": "pending", "verified_address": None, "verified_name": None},
    }


def product(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    return {
        "id": ident,
        "object": "product",
        "active": True,
        "attributes": [],
        "created": created,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": "Gold plan",
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "tax_details": None,
        "type": "service",
        "unit_label": None,
        "updated": created,
        "url": None,
    }


def price(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    tiered = given.get("billing_scheme") == "tiered"
    amount = None if tiered else given.get("unit_amount", 2000)
    currency = given.get("currency", "usd")
    recurring = given.get("recurring", {"interval": "month"} if given.get("type", "recurring") == "recurring" else None)
    made: Object = {
        "id": ident,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": created,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": given.get("product") or new_id("product"),
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": "graduated" if tiered else None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": None if amount is None else str(amount),
        # There only when asked for.
        "currency_options": {
            currency: {
                "custom_unit_amount": None,
                "tax_behavior": "unspecified",
                "unit_amount": amount,
                "unit_amount_decimal": None if amount is None else str(amount),
            }
        },
    }
    if recurring:
        given["recurring"] = made["recurring"] = {
            "interval": "month",
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        } | recurring
    if tiered:
        made["tiers"] = [
            tier(up_to=10, unit_amount=1000, unit_amount_decimal="1000"),
            tier(up_to=None, unit_amount=800, unit_amount_decimal="800"),
        ]
    return made


def tier(**given: Any) -> Object:
    return {
        "flat_amount": None,
        "flat_amount_decimal": None,
        "unit_amount": None,
        "unit_amount_decimal": None,
        "up_to": None,
    } | given


def plan(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    amount = None if given.get("billing_scheme") == "tiered" else given.get("amount", 2000)
    return {
        "id": ident,
        "object": "plan",
        "active": True,
        "amount": amount,
        "amount_decimal": None if amount is None else str(amount),
        "billing_scheme": "per_unit",
        "created": created,
        "currency": "usd",
        "interval": "month",
        "interval_count": 1,
        "livemode": False,
        "metadata": {},
        "meter": None,
        "nickname": None,
        "product": given.get("product") or new_id("product"),
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def plan_of(a_price: Object) -> Object:
    """The plan that Stripe shows beside a recurring price, under the same id."""
    recurring = a_price["recurring"]
    same = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product")
    made: Object = {name: a_price[name] for name in same} | {
        "object": "plan",
        "amount": a_price["unit_amount"],
        "amount_decimal": a_price["unit_amount_decimal"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "meter": recurring["meter"],
        "tiers_mode": a_price["tiers_mode"],
        "transform_usage": a_price["transform_quantity"],
        "trial_period_days": recurring["trial_period_days"],
        "usage_type": recurring["usage_type"],
    }
    if "tiers" in a_price:
        made["tiers"] = a_price["tiers"]
    return made


def price_of(a_plan: Object) -> Object:
    """The price that Stripe shows beside a plan, under the same id."""
    same = ("id", "active", "billing_scheme", "created", "currency", "livemode", "metadata", "nickname", "product")
    made: Object = {name: a_plan[name] for name in same} | {
        "unit_amount": a_plan["amount"],
        "unit_amount_decimal": a_plan["amount_decimal"],
        "tiers_mode": a_plan["tiers_mode"],
        "transform_quantity": a_plan["transform_usage"],
        "recurring": {
            "interval": a_plan["interval"],
            "interval_count": a_plan["interval_count"],
            "meter": a_plan["meter"],
            "trial_period_days": a_plan["trial_period_days"],
            "usage_type": a_plan["usage_type"],
        },
    }
    if "tiers" in a_plan:
        made["tiers"] = a_plan["tiers"]
    return made


def coupon(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    return {
        "id": ident,
        "object": "coupon",
        "amount_off": None,
        "created": created,
        "currency": None,
        "duration": "once",
        "duration_in_months": None,
        "livemode": False,
        "max_redemptions": None,
        "metadata": {},
        "name": None,
        "percent_off": None if "amount_off" in given else 25.5,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
    }


def discount(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    return {
        "id": ident,
        "object": "discount",
        "checkout_session": None,
        "customer": None,
        "customer_account": None,
        "end": None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": {"coupon": None, "type": "coupon"},
        "start": created,
        "subscription": None,
        "subscription_item": None,
    }


def subscription(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    canceled = given.get("status") == "canceled"
    items = given.pop("items", None)
    if isinstance(items, dict):
        items = items["data"]
    if items is None:
        items = [{}]
    filled = []
    for item in items:
        its_price = item.get("price")
        if not isinstance(its_price, dict):
            its_price = price(new_id, its_price or new_id("price"), created, {})
        else:
            its_price = {k: v for k, v in its_price.items() if k not in ("tiers", "currency_options")}
        its_price.pop("currency_options", None)
        one = subscription_item(new_id, item.get("id") or new_id("subscription_item"), created, {"subscription": ident})
        filled.append(one | {"plan": plan_of(its_price)} | item | {"price": its_price})
    return {
        "id": ident,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": created,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": None, "type": "classic"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": created + 86_400 if canceled else None,
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "reason": "cancellation_requested" if canceled else None,
        },
        "collection_method": "charge_automatically",
        "created": created,
        "currency": filled[0]["price"]["currency"] if filled else "usd",
        "customer": given.get("customer") or new_id("customer"),
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": created + 86_400 if canceled else None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": a_list(f"/v1/subscription_items?subscription={ident}", filled),
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "plan": filled[0]["plan"] if len(filled) == 1 else None,
        "quantity": filled[0].get("quantity") if len(filled) == 1 else None,
        "schedule": None,
        "start_date": created,
        "status": "active",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None,
    }


def subscription_item(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    return {
        "id": ident,
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": created,
        "current_period_end": created + 30 * 86_400,
        "current_period_start": created,
        "discounts": [],
        "metadata": {},
        "quantity": 1,
        "subscription": given["subscription"],
        "tax_rates": [],
    }


def line_item(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    amount = given.get("amount", 1000)
    its_subscription, its_price = given.get("subscription"), given.pop("price", None)
    proration = {"proration": False, "proration_details": {"credited_items": None}}
    parent: Object = {"invoice_item_details": None, "subscription_item_details": None}
    if its_subscription:
        parent["type"] = "subscription_item_details"
        parent["subscription_item_details"] = proration | {
            "invoice_item": None,
            "subscription": its_subscription,
            "subscription_item": given.pop("subscription_item", None) or new_id("subscription_item"),
        }
    else:
        parent["type"] = "invoice_item_details"
        parent["invoice_item_details"] = proration | {"invoice_item": "ii_1" + ident[-23:], "subscription": None}
    pricing: Object = {
        "price_details": {
            "price": its_price["id"] if its_price else "price_1" + ident[-23:],
            "product": its_price["product"] if its_price else "prod_" + ident[-14:],
        },
        "type": "price_details",
        "unit_amount_decimal": str(amount),
    }
    return {
        "id": ident,
        "object": "line_item",
        "amount": amount,
        "currency": "usd",
        "description": "1 × Gold plan (at $10.00 / month)",  # noqa: RUF001 - Stripe writes this sign
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": given.get("invoice"),
        "livemode": False,
        "metadata": {},
        "parent": parent,
        "period": {"end": created + 30 * 86_400, "start": created},
        "pretax_credit_amounts": [],
        "pricing": pricing,
        "quantity": 1,
        "quantity_decimal": "1",
        "subscription": its_subscription,
        "subtotal": amount,
        "taxes": [],
    }


def invoice(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    """`lines` may be given as a number of lines or as a list of what sets each apart."""
    lines = given.pop("lines", 1)
    if isinstance(lines, dict):
        lines = lines["data"]
    if isinstance(lines, int):
        lines = [{} for _ in range(lines)]
    currency = given.get("currency", "usd")
    its_subscription = given.pop("subscription", None)
    about = {"invoice": ident, "currency": currency}
    if its_subscription:
        about["subscription"] = its_subscription
    filled = []
    for line in lines:
        told = about | line
        made = line_item(new_id, line.get("id") or new_id("line_item"), created, told)
        filled.append(made | told)
    subtotal = sum(line["amount"] for line in filled)
    total = given.get("total", subtotal)
    status = given.get("status", "paid")
    final = None if status == "draft" else created + 3600
    paid_amount = total if status == "paid" else 0
    return {
        "id": ident,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Example Shop",
        "account_tax_ids": None,
        "amount_due": total,
        "amount_overpaid": 0,
        "amount_paid": paid_amount,
        "amount_remaining": total - paid_amount,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0 if status == "draft" else 1,
        "attempted": status != "draft",
        "auto_advance": status in ("draft", "open"),
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": created + 3600 if status == "draft" else None,
        "billing_reason": "subscription_cycle" if its_subscription else "manual",
        "collection_method": "charge_automatically",
        "created": created,
        "currency": currency,
        "custom_fields": None,
        "customer": given.get("customer") or new_id("customer"),
        "customer_account": None,
        "customer_address": None,
        "customer_email": None,
        "customer_name": None,
        "customer_phone": None,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": final,
        "ending_balance": None if status == "draft" else 0,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None if status == "draft" else f"https://invoice.stripe.com/i/acct_1/test_{ident}?s=ap",
        "invoice_pdf": None if status == "draft" else f"https://pay.stripe.com/invoice/acct_1/test_{ident}/pdf?s=ap",
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": a_list(f"/v1/invoices/{ident}/lines", filled),
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None if status == "draft" else f"{ident[-8:].upper()}-0001",
        "on_behalf_of": None,
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": {}, "subscription": its_subscription},
            "type": "subscription_details",
        }
        if its_subscription
        else None,
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": created,
        "period_start": created - 30 * 86_400 if its_subscription else created,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": status,
        "status_transitions": {
            "finalized_at": final,
            "marked_uncollectible_at": created + 7200 if status == "uncollectible" else None,
            "paid_at": final if status == "paid" else None,
            "voided_at": created + 7200 if status == "void" else None,
        },
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal,
        "test_clock": None,
        "total": total,
        "total_discount_amounts": [],
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": final,
        # There only when asked for.
        "confirmation_secret": None,
    }


def invoice_payment(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    status = given.get("status", "paid")
    requested = given.get("amount_requested", 1000)
    return {
        "id": ident,
        "object": "invoice_payment",
        "amount_paid": requested if status == "paid" else None,
        "amount_requested": requested,
        "created": created,
        "currency": "usd",
        "invoice": given.get("invoice") or new_id("invoice"),
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": given.pop("payment_intent", None) or new_id("payment_intent")} | {"type": "payment_intent"},
        "status": status,
        "status_transitions": {
            "canceled_at": created if status == "canceled" else None,
            "paid_at": created if status == "paid" else None,
        },
    }


def payment_intent(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    status = given.get("status", "succeeded")
    amount = given.get("amount", 1099)
    return {
        "id": ident,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount": amount,
        "amount_capturable": amount if status == "requires_capture" else 0,
        "amount_details": {"tip": {}},
        "amount_received": amount if status == "succeeded" else 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "canceled_at": created if status == "canceled" else None,
        "cancellation_reason": "requested_by_customer" if status == "canceled" else None,
        "capture_method": "automatic_async",
        "client_secret": f"{ident}_secret_fake",
        "confirmation_method": "automatic",
        "created": created,
        "currency": "usd",
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": "pm_1SXq7gHIBZYyePrZb2yJ8u4d" if status == "succeeded" else None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": status,
        "transfer_data": None,
        "transfer_group": None,
    }


def setup_intent(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    return {
        "id": ident,
        "object": "setup_intent",
        "allowed_payment_method_types": None,
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{ident}_secret_fake",
        "created": created,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": None,
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "succeeded",
        "usage": "off_session",
    }


def dispute(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    return {
        "id": ident,
        "object": "dispute",
        "amount": 1099,
        "balance_transactions": [],
        "charge": given.get("charge") or new_id("charge"),
        "created": created,
        "currency": "usd",
        "enhanced_eligibility_types": [],
        "evidence": {"enhanced_evidence": {}} | dict.fromkeys(DISPUTE_EVIDENCE),
        "evidence_details": {
            "due_by": created + 14 * 86_400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": None,
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": "fraudulent",
        "status": "needs_response",
    }


def refund(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    return {
        "id": ident,
        "object": "refund",
        "amount": 100,
        "balance_transaction": None,
        "charge": given.get("charge") or new_id("charge"),
        "created": created,
        "currency": "usd",
        "customer": None,
        "customer_account": None,
        "destination_details": {
            "card": {"reference": "8132621832", "reference_status": "available", "type": "refund"}
            | {"reference_type": "acquirer_reference_number"},
            "type": "card",
        },
        "metadata": {},
        "payment_intent": None,
        "payment_method": "pm_1SXq7gHIBZYyePrZb2yJ8u4d",
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def balance_transaction(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    amount, fee = given.get("amount", 1099), given.get("fee", 0)
    kind = given.get("type", "charge")
    currency = given.get("currency", "usd")
    fees = {"amount": fee, "application": None, "currency": currency} | {
        "description": "Stripe processing fees",
        "type": "stripe_fee",
    }
    return {
        "id": ident,
        "object": "balance_transaction",
        "amount": amount,
        "available_on": created + 2 * 86_400,
        "balance_type": "payments",
        "created": created,
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [fees] if fee else [],
        "net": amount - fee,
        "reporting_category": kind,
        "source": None,
        "status": "pending",
        "type": kind,
    }


def payout(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    return {
        "id": ident,
        "object": "payout",
        "amount": 1100,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": created + 2 * 86_400,
        "automatic": True,
        "balance_transaction": None,
        "created": created,
        "currency": "usd",
        "description": "STRIPE PAYOUT",
        "destination": "ba_1Pgc79B7WZ01zgkWoU5vBiXt",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "completed",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "paid",
        "trace_id": {"status": "supported", "value": "ABCD1234"},
        "type": "bank_account",
    }


def event(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
    return {
        "id": ident,
        "object": "event",
        "api_version": None,
        "created": created,
        "data": {"object": {}},
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": "charge.succeeded",
    }


def plain(kind: str) -> Callable[[Callable[[str], str], str, int, Object], Object]:
    """For an object that has no template here: what every object has."""

    def made(new_id: Callable[[str], str], ident: str, created: int, given: Object) -> Object:
        return {"id": ident, "object": kind, "created": created, "livemode": False, "metadata": {}}

    return made


TEMPLATES: dict[str, Callable[[Callable[[str], str], str, int, Object], Object]] = {
    "balance_transaction": balance_transaction,
    "charge": charge,
    "coupon": coupon,
    "customer": customer,
    "discount": discount,
    "dispute": dispute,
    "event": event,
    "invoice": invoice,
    "invoice_payment": invoice_payment,
    "line_item": line_item,
    "payment_intent": payment_intent,
    "payout": payout,
    "plan": plan,
    "price": price,
    "product": product,
    "refund": refund,
    "setup_intent": setup_intent,
    "subscription": subscription,
    "subscription_item": lambda new_id, ident, created, given: subscription_item(new_id, ident, created, given),
    "tax_id": tax_id,
}
