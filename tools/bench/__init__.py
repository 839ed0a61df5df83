"""Measures the connector against a hand-written loop and the CDK's own parts: `python -m tools.bench`."""
