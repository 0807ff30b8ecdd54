"""What a model answered, as evaluations score it, and adapted to unlabelled clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avemotion.data.store import ManifestRow
from avemotion.data.types import unit_of
from avemotion.evaluation.predictions import ClipPrediction
from avemotion.inference.adaptation import lean_of, without_lean


def predictions_of(
    rows: Sequence[ManifestRow], shares: NDArray[np.floating]
) -> list[ClipPrediction]:
    """Return answers, float (clip, emotion), as predictions of their clips."""
    return [
        ClipPrediction(0, "", row.clip, unit_of(row.actor, row.clip), row.emotion, tuple(values))
        for row, values in zip(rows, shares.tolist(), strict=True)
    ]


def adapted(shares: NDArray[np.floating], groups: Sequence[str]) -> NDArray[np.float64]:
    """Take out of the answers to the clips of each group what they have in common."""
    found, names = np.empty(shares.shape), np.array(groups)
    for name in set(groups):
        mine = shares[names == name]
        found[names == name] = without_lean(mine, lean_of(mine))
    return found
