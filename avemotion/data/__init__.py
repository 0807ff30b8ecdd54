"""Corpora become a feature store, splits, and batches."""
