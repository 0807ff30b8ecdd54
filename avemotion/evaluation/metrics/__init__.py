"""Figures computed from predictions."""
