"""Runtimes: torch for checkpoints, onnxruntime for exported models."""
