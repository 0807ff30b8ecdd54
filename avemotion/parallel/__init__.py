"""Processes that may crash, pools, and the Ray cluster."""
