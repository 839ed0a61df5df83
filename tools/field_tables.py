"""What a person decided about single fields of Stripe's document, each with the reason. Keys are components and fields.

`tools/derive_schemas.py` stops where a decision is missing, and says when a line here is of no use any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Fields that a body has only when they are asked for, by the OpenAPI component that owns them, and why a stream that
# does not ask for them does well without. A stream asks with `expand` in its manifest entry. The document does not
# mark such fields; a nested list that may be absent is always one, and the tool refuses one that is not named here.
OMITTED_UNLESS_EXPANDED = {
    "charge.refunds": "the refunds stream has them; charges ask for them",
    "checkout.session.line_items": "asked for by checkout_sessions",
    "coupon.applies_to": "asked for by coupons; elsewhere a coupon is its id",
    "coupon.currency_options": "asked for by coupons; elsewhere a coupon is its id",
    "customer.cash_balance": "another object, with a permission of its own",
    "customer.invoice_credit_balance": "follows from the customer's balance transactions, changes without an event",
    "customer.sources": "other objects, with a permission of their own; default_source names the one in use",
    "customer.subscriptions": "the subscriptions stream has them",
    "customer.tax": "where Stripe takes the customer to be, computed at each reading, changes without an event",
    "customer.tax_ids": "other objects, with a permission of their own",
    "gelato_document_report.dob": "personal data that a restricted key has to be allowed to ask for",
    "gelato_document_report.number": "personal data that a restricted key has to be allowed to ask for",
    "gelato_id_number_report.dob": "personal data that a restricted key has to be allowed to ask for",
    "gelato_id_number_report.id_number": "personal data that a restricted key has to be allowed to ask for",
    "identity.verification_session.verified_outputs": "personal data; the session's report has what may be shown",
    "invoice.confirmation_secret": "a secret that lets its holder pay the invoice",
    "invoice.payments": "asked for by invoices; elsewhere an invoice is its id",
    "invoices_resource_shipping_cost.taxes": "amount_tax is their sum; asked for by no stream",
    "issuing.card.cvc": "a secret of the card",
    "issuing.card.number": "a secret of the card; last4 is shown",
    "issuing.transaction.purchase_details": "asked for by transactions; inside an authorization the transactions stream has them",
    "item.discounts": "amount_discount is their sum; asked for by no stream",
    "item.taxes": "amount_tax is their sum; asked for by no stream",
    "payment_flows_amount_details.line_items": "other objects, a list of their own under each PaymentIntent",
    "payment_link.line_items": "asked for by payment_links",
    "payment_pages_checkout_session_shipping_cost.taxes": "amount_tax is their sum; asked for by no stream",
    "payment_pages_checkout_session_total_details.breakdown": "the line items have the same, one by one",
    "plan.tiers": "asked for by plans",
    "price.currency_options": "asked for by prices; inside another object the prices stream has them",
    "price.tiers": "asked for by prices; inside another object the prices stream has them",
    "promotion_codes_resource_restrictions.currency_options": "asked for by promotion_codes",
    "quote.line_items": "asked for by quotes",
    "quotes_resource_total_details.breakdown": "amount_discount and amount_tax are the sums; asked for by no stream",
    "quotes_resource_upfront.line_items": "items of a preview, a list of their own under each quote",
    "shipping_rate_fixed_amount.currency_options": "asked for by shipping_rates",
    "treasury.financial_account.features": "active_features, pending_features and restricted_features name them",
    "treasury_financial_accounts_resource_aba_record.account_number": "a secret of the account; account_number_last4 is shown",
    "webhook_endpoint.secret": "a secret, sent once by the answer that creates the endpoint",
}

# Lists inside objects that the document calls optional and that bodies have all the same, and how that is known.
SENT_UNASKED = {
    "account.external_accounts": "Stripe's sample of an account has it; absent where the platform may not see it",
    "file.links": "Stripe's sample of a file has it",
}

# Places that end in an open object, by component and field, and why. An object inside one of its own kind ends so
# without being named here, and so does one whose keys are data (metadata, currency_options). All else is whole.
CUT = {
    "api_errors.payment_intent": "a copy of another object as it stood when the payment failed",
    "api_errors.setup_intent": "a copy of another object as it stood when the payment failed",
    "api_errors.source": "one of three kinds of object, of payment methods that Stripe has retired",
    "payment_method_card.generated_from": "how a card was made from an earlier payment, a charge's details in small",
}


@dataclass(frozen=True)
class Undocumented:
    """A field that real bodies have and Stripe's document lacks: its node, in the document's language, and where it was seen.

    `seen` names the versions of the real bodies, first and last, or Stripe's own samples. Of a field that was null in all of
    them, the type is the one that Stripe's documents of earlier or preview versions give it.
    """

    node: Mapping[str, Any]
    seen: str


_STRING, _INTEGER, _BOOLEAN, _OBJECT = ({"type": name} for name in ("string", "integer", "boolean", "object"))
_PLAN = {"$ref": "#/components/schemas/plan"}
_TAX_DETAILS = {"type": "object", "properties": {"performance_location": _STRING, "tax_code": _STRING}}
_LATEST = "bodies of 2026-08-26.dahlia"
_SINCE_BASIL = "bodies of 2025-04-30.basil to 2026-08-26.dahlia"
_SINCE_CLOVER = "bodies of 2025-10-29.clover to 2026-08-26.dahlia"
_REFERENCE = "the samples of Stripe's API reference"

# By the component, and the fields within it, that own the field. Where the document names it, the document is right.
UNDOCUMENTED = {
    "account.external_accounts.total_count": Undocumented(_INTEGER, _REFERENCE),
    "account_payments_settings.statement_descriptor_prefix_kana": Undocumented(_STRING, f"{_REFERENCE}, null"),
    "account_payments_settings.statement_descriptor_prefix_kanji": Undocumented(_STRING, f"{_REFERENCE}, null"),
    "application_fee.refunds.total_count": Undocumented(_INTEGER, _REFERENCE),
    "charge.destination": Undocumented(_STRING, _SINCE_BASIL),
    "charge.dispute": Undocumented(_STRING, _SINCE_BASIL),
    "charge.order": Undocumented(_STRING, f"{_SINCE_BASIL}, null"),
    "charge.refunds.total_count": Undocumented(_INTEGER, "bodies of 2025-04-30.basil to 2026-03-25.dahlia"),
    "charge.source": Undocumented(_OBJECT, f"{_SINCE_BASIL}, null"),
    "credit_note.lines.total_count": Undocumented(_INTEGER, _REFERENCE),
    "dispute.balance_transaction": Undocumented(_STRING, _SINCE_BASIL),
    "invoice.lines.total_count": Undocumented(_INTEGER, _SINCE_CLOVER),
    "payment_intent.payment_record": Undocumented(_STRING, f"{_LATEST}, null"),
    "payment_intent.shared_payment_granted_token": Undocumented(_STRING, f"{_LATEST} and before, null"),
    "payment_intent.source": Undocumented(_STRING, f"{_SINCE_BASIL}, null"),
    "payment_intent_payment_method_options_link.persistent_token": Undocumented(
        _STRING, "bodies of 2025-03-31.basil to 2026-03-25.dahlia, null"
    ),
    "payment_method.shared_payment_granted_token": Undocumented(_STRING, "bodies of 2026-06-24.dahlia, null"),
    "payment_method_details_card.electronic_commerce_indicator": Undocumented(_STRING, _LATEST),
    "product.attributes": Undocumented({"type": "array", "items": _STRING}, f"{_LATEST}, empty"),
    "product.tax_details": Undocumented(_TAX_DETAILS, _LATEST),
    "product.type": Undocumented(_STRING, _LATEST),
    "radar.value_list.list_items.total_count": Undocumented(_INTEGER, _REFERENCE),
    "recurring.trial_period_days": Undocumented(_INTEGER, f"{_SINCE_CLOVER}, null"),
    "subscription.items.total_count": Undocumented(_INTEGER, _SINCE_CLOVER),
    "subscription.plan": Undocumented(_PLAN, _SINCE_CLOVER),
    "subscription.quantity": Undocumented(_INTEGER, _SINCE_CLOVER),
    "subscription_item.current_trial": Undocumented(_OBJECT, f"{_LATEST}, null"),
    "subscription_item.plan": Undocumented(_PLAN, _SINCE_CLOVER),
    "subscription_schedule_configuration_item.plan": Undocumented(_STRING, f"{_REFERENCE}, expanded"),
    "subscriptions_resource_pending_update.cancel_at_period_end": Undocumented(_BOOLEAN, f"{_LATEST}, null"),
    "subscriptions_resource_trial_settings_end_behavior.billing_cycle_anchor": Undocumented(_STRING, _LATEST),
    "transfer.reversals.total_count": Undocumented(_INTEGER, _REFERENCE),
}
