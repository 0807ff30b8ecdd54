"""How well action units are found: accuracy, F1 and area under the curve of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avemotion.evaluation.metrics.intervals import bootstrap_intervals
from avemotion.evaluation.predictions import ClipPrediction

DELTA = 0.5
"""An answer is right where it is nearer to the label than this (or, of a label that is present, as
near). The thesis (Annex 1) counts so, and does not say how near; 0.5 is where a probability says
yes or no."""

MEAN = "mean"
"""Name of the row of means over the units."""


@dataclass(frozen=True, slots=True)
class UnitScore:
    """How well an action unit is found."""

    unit: str
    """Its name, or ``mean``, of all that can be scored."""
    present: int
    """Answers to clips that have it; with several seeds, each counts."""
    answers: int
    """Answers to clips."""
    accuracy: float
    """Share of answers nearer to the label than `DELTA`; clips without the unit count as well, so
    that never finding a rare unit is nearly always right."""
    accuracy_low: float | None
    """Lower end of its 95 % BCa interval over actors; None with fewer than 6 of them."""
    accuracy_high: float | None
    """Upper end of it."""
    f1: float | None
    """F1 at a probability of 0.5; None where no clip has the unit, or each has."""
    auc: float | None
    """Area under the receiver operating characteristic: chance that a clip with the unit gets a
    higher probability than one without; None where no clip has the unit, or each has."""


def unit_scores(
    predictions: Sequence[ClipPrediction],
    units: Sequence[str],
    units_of: Mapping[str, Sequence[float]],
) -> tuple[UnitScore, ...]:
    """Score each action unit, and the mean over them.

    Args:
        predictions: A system's, all seeds.
        units: Names of the units.
        units_of: Clip -> 1 or 0 for each unit.
    """
    found = np.array([p.units for p in predictions])
    has = np.array([units_of[p.clip] for p in predictions])
    _, actors = np.unique([p.actor for p in predictions], return_inverse=True)
    right = ((found >= DELTA) == (has >= DELTA)).astype(float)
    columns = [*right.T, right.mean(axis=1)]
    each = [
        _score(unit, found[:, i], has[:, i], right[:, i], actors) for i, unit in enumerate(units)
    ]
    low, high = _interval(columns[-1], actors)
    mean = UnitScore(
        unit=MEAN,
        present=sum(one.present for one in each),
        answers=sum(one.answers for one in each),
        accuracy=float(columns[-1].mean()),
        accuracy_low=low,
        accuracy_high=high,
        f1=_mean([one.f1 for one in each]),
        auc=_mean([one.auc for one in each]),
    )
    return (*each, mean)


def _score(
    unit: str,
    found: NDArray[np.float64],
    has: NDArray[np.float64],
    right: NDArray[np.float64],
    actors: NDArray[np.intp],
) -> UnitScore:
    from sklearn import metrics

    both = 0 < has.sum() < len(has)
    low, high = _interval(right, actors)
    return UnitScore(
        unit=unit,
        present=int(has.sum()),
        answers=len(has),
        accuracy=float(right.mean()),
        accuracy_low=low,
        accuracy_high=high,
        f1=float(metrics.f1_score(has, found >= DELTA, zero_division=0.0)) if both else None,
        auc=float(metrics.roc_auc_score(has, found)) if both else None,
    )


def _interval(
    right: NDArray[np.float64], actors: NDArray[np.intp]
) -> tuple[float | None, float | None]:
    """Return the interval of a share over draws of whole actors."""
    sums, counts = np.bincount(actors, right), np.bincount(actors)

    def drawn(who: NDArray[np.intp]) -> NDArray[np.float64]:
        share: NDArray[np.float64] = sums[who].sum(axis=-1) / counts[who].sum(axis=-1)
        return share[None]

    return bootstrap_intervals(drawn, len(sums))[0]


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None
