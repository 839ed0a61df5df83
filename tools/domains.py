"""The streams by what they are about, in the order in which the papers show them."""

from __future__ import annotations

DOMAINS = {
    "Payments": """
        charges refunds disputes payment_intents setup_intents setup_attempts payment_methods payment_method_configurations
        payment_method_domains apple_pay_domains checkout_sessions checkout_sessions_line_items payment_links
        payment_link_line_items payment_records forwarding_requests financial_connections_accounts
    """,
    "Balance": """
        balance balance_transactions payouts payout_balance_transactions top_ups exchange_rates
    """,
    "Customers": """
        customers customer_balance_transactions customer_tax_ids bank_accounts customer_cards
    """,
    "Products": """
        products prices plans coupons promotion_codes discounts shipping_rates
    """,
    "Billing": """
        subscriptions subscription_items subscription_schedule invoices invoice_line_items invoice_items invoice_payments
        invoice_rendering_templates credit_notes credit_note_line_items quotes quote_line_items billing_meters billing_alerts
        billing_portal_configurations credit_grants credit_balance_transactions entitlements_features active_entitlements
    """,
    "Tax": """
        tax_rates tax_codes tax_ids tax_registrations
    """,
    "Connect": """
        account accounts persons external_account_bank_accounts external_account_cards application_fees application_fees_refunds
        transfers transfer_reversals country_specs
    """,
    "Fraud": """
        early_fraud_warnings reviews radar_value_lists value_list_items
    """,
    "Issuing": """
        cards cardholders authorizations transactions issuing_disputes issuing_personalization_designs issuing_physical_bundles
    """,
    "Treasury": """
        treasury_financial_accounts
    """,
    "Identity": """
        identity_verification_sessions identity_verification_reports
    """,
    "Terminal": """
        terminal_readers terminal_locations terminal_configurations
    """,
    "Climate": """
        climate_orders climate_products
    """,
    "Reporting": """
        report_runs report_types sigma_scheduled_query_runs files file_links
    """,
    "Account": """
        events webhook_endpoints test_clocks
    """,
}


def domain_of(stream: str) -> str:
    """Raises `KeyError` for a stream that has no domain yet."""
    for domain, streams in DOMAINS.items():
        if stream in streams.split():
            return domain
    raise KeyError(f"{stream} is in no domain of tools/domains.py")
