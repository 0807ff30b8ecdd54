"""Frozen encoders, which turn features into named embeddings."""
