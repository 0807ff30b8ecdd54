"""Runtimes: what computes a network's answer; one imports torch, the other needs none."""
