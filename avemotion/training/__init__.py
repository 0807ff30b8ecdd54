"""Augmentation, the training loop, and `fit`."""
