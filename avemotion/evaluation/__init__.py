"""Protocols, predictions, metrics, and the report."""
