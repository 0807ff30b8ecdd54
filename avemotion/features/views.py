"""The random numbers of a clip's views."""

from __future__ import annotations

import hashlib

import numpy as np


def view_rng(clip: str, view: int, seed: int) -> np.random.Generator:
    """Return the random numbers of one view: the same on every machine, whatever ran before."""
    digest = hashlib.sha256(f"{seed}/{clip}/{view}".encode(errors="surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
