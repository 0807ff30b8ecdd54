"""95 % intervals over actors: clips of one actor are alike, so actors are the unit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
LEAST_ACTORS = 6
"""With fewer, a bootstrap has too few draws that differ: of two actors it would be just their own
values."""
RESAMPLES = 2000
"""Draws of a bootstrap."""

SHARES = (0.0, 1.0)
"""Lowest and highest accuracy."""
LEADS = (-1.0, 1.0)
"""Lowest and highest difference of two accuracies."""

Interval = tuple[float | None, float | None]
"""Lower and upper end; both None where there is no interval."""


def mean_interval(
    values: Sequence[float], bounds: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[float, float | None, float | None]:
    """Return the mean and its 95 % t interval; a single value has none.

    Args:
        values: One value for each actor.
        bounds: Lowest and highest possible value. With few actors the interval would reach beyond
            them; it is cut there, which costs no coverage.

    >>> [round(x, 3) for x in mean_interval([0.5, 0.6, 0.7])]
    [0.6, 0.352, 0.848]
    """
    from scipy import stats

    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    margin = float(stats.sem(values) * stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return mean, max(mean - margin, bounds[0]), min(mean + margin, bounds[1])


def bootstrap_intervals(
    statistics: Callable[[NDArray[np.intp]], NDArray[np.float64]], actors: int
) -> list[Interval]:
    """Return BCa intervals of statistics over draws of whole actors.

    Args:
        statistics: Maps draws of actors, int (..., actor), to float (statistic, ...).
        actors: Number of actors.

    Returns:
        One interval for each statistic; no ends with fewer than `LEAST_ACTORS`, or where every
        draw gives the same.
    """
    from scipy import stats

    if actors < LEAST_ACTORS:
        count = len(statistics(np.zeros((1, 1), np.intp)))
        return [(None, None)] * count

    def scored(drawn: NDArray[np.intp], axis: int) -> NDArray[np.float64]:
        return statistics(drawn)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Where all actors score the same there is no interval: it comes as NaN, and as None here.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (np.arange(actors),),
            scored,
            vectorized=True,
            axis=-1,
            n_resamples=RESAMPLES,
            batch=200,  # a few megabytes at once
            confidence_level=CONFIDENCE,
            method="BCa",
            random_state=np.random.default_rng(0),  # the same interval at every call
        ).confidence_interval
    return [
        (low, high) if np.isfinite([low, high]).all() else (None, None)
        for low, high in np.array(found).T.tolist()
    ]
