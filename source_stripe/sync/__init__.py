"""From Stripe's answers to records and states."""
