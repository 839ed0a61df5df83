"""A source connector that reads a Stripe account: whole, current, never silently wrong."""

__all__: list[str] = []
