"""Stripe over HTTP: an account that can be asked. Knows neither Airbyte nor what a sync is."""
