"""Frozen encoders: networks trained elsewhere, which turn a face or a voice into an embedding."""
