"""A source connector that reads a Stripe account: whole, current, never silently wrong."""

from source_stripe.source import SourceStripe, YieldingDeclarativeSource

__all__ = ["SourceStripe", "YieldingDeclarativeSource"]
