"""How far a network's probabilities can be trusted: pure functions of predictions and votes.

A network is calibrated if 70 % of its predictions with a confidence of 70 % are right. Dividing its
logits by a temperature (`avemotion.models.calibration`) corrects much of the error. Probabilities
can also be compared with the crowd's votes: people disagree, and probabilities may spread likewise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avemotion.data.task import most_probable
from avemotion.data.types import Rating
from avemotion.evaluation.metrics.intervals import SHARES, mean_interval
from avemotion.evaluation.predictions import ClipPrediction
from avemotion.models.calibration import at_temperature

BINS = 15
"""Bins of equal width, as in Guo et al. and most later work."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The predictions with about the same confidence."""

    low: float
    """Lowest confidence, 0 to 1."""
    high: float
    """Highest confidence; it belongs to the next bin, but 1 to the last."""
    clips: int
    """Predictions in the bin; a clip counts once for each seed."""
    confidence: float | None
    """Mean probability of the predicted emotions; None in an empty bin."""
    accuracy: float | None
    """Share of the predictions that are right; None in an empty bin."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well probabilities say what is right; all are better when smaller."""

    log_loss: float
    """Mean of -ln of the target's probability."""
    brier: float
    """Mean over predictions of the squared error summed over emotions, 0 to 2 (Brier 1950)."""
    calibration_error: float
    """Expected calibration error (ECE): mean distance of confidence and accuracy over the bins."""
    bins: tuple[Bin, ...]
    """Bins by the probability of the predicted emotion, ascending."""


@dataclass(frozen=True, slots=True)
class CrowdDistance:
    """How far a network's probabilities are from the shares of the crowd's votes."""

    channel: str
    """What the crowd was given: ``audio``, ``video`` or ``av``."""
    clips: int
    """Clips with ratings."""
    mean: float
    """Mean over actors of their clips' Jensen-Shannon distance, 0 (the same) to 1."""
    low: float | None
    """Lower end of its 95 % t interval over actors; None with one actor."""
    high: float | None
    """Upper end of it."""


def calibration(
    predictions: Sequence[ClipPrediction], labels: Sequence[str], tempered: bool = False
) -> Calibration:
    """Compare probabilities with the targets.

    Args:
        predictions: Predictions of one seed or several, pooled.
        labels: Emotions in the order of the probabilities.
        tempered: Divide each prediction's logits by its temperature first.
    """
    from sklearn.metrics import log_loss

    probabilities = _probabilities(predictions)
    if tempered:
        temperatures = np.array([[p.temperature] for p in predictions])
        probabilities = at_temperature(probabilities, temperatures)
    targets = np.array([labels.index(p.target) for p in predictions])
    wanted = np.eye(len(labels))[targets]
    right = most_probable(probabilities) == targets
    bins = _bins(probabilities.max(axis=1), right)
    return Calibration(
        log_loss=float(log_loss(targets, probabilities, labels=np.arange(len(labels)))),
        brier=float(((probabilities - wanted) ** 2).sum(axis=1).mean()),
        calibration_error=sum(
            b.clips / len(predictions) * abs(b.confidence - b.accuracy)
            for b in bins
            if b.confidence is not None and b.accuracy is not None
        ),
        bins=bins,
    )


def _probabilities(predictions: Sequence[ClipPrediction]) -> NDArray[np.float64]:
    """Return probabilities (prediction, emotion); single precision and files leave sums near 1."""
    given = np.array([p.probabilities for p in predictions], np.float64)
    if not np.isfinite(given).all():
        raise ValueError("a probability is not a number")
    shares: NDArray[np.float64] = given / given.sum(axis=1, keepdims=True)
    return shares


def _bins(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    edges = np.linspace(0, 1, BINS + 1)
    where = np.digitize(confidences, edges[1:-1])
    bins = []
    for number in range(BINS):
        inside = where == number
        found = bool(inside.any())
        bins.append(
            Bin(
                low=float(edges[number]),
                high=float(edges[number + 1]),
                clips=int(inside.sum()),
                confidence=float(confidences[inside].mean()) if found else None,
                accuracy=float(right[inside].mean()) if found else None,
            )
        )
    return tuple(bins)


def crowd_distance(
    predictions: Sequence[ClipPrediction],
    ratings: Iterable[Rating],
    labels: Sequence[str],
    channel: str = "av",
) -> CrowdDistance | None:
    """Return how far the probabilities are from the clips' shares of votes.

    The distance is the root of the Jensen-Shannon divergence to base 2, so it is a metric.

    Args:
        predictions: Predictions of one seed or several; clips without votes are left out.
        ratings: Votes, in the order of the labels.
        labels: Emotions in the order of the probabilities.
        channel: What the raters were given.

    Returns:
        None where no clip has votes.

    Raises:
        ValueError: Votes are on other labels.
    """
    from scipy.spatial.distance import jensenshannon

    votes = {r.clip: r.votes for r in ratings if r.channel == channel and any(r.votes)}
    if any(len(counts) != len(labels) for counts in votes.values()):
        raise ValueError(f"the votes are not on the {len(labels)} labels {', '.join(labels)}")
    rated = [p for p in predictions if p.clip in votes]
    if not rated:
        return None
    shares = np.array([votes[p.clip] for p in rated], np.float64)
    with np.errstate(invalid="ignore"):  # rounding may take the root of -1e-17
        distances = np.asarray(jensenshannon(_probabilities(rated), shares, base=2, axis=1))
    distances = np.nan_to_num(distances)
    actors = np.array([p.actor for p in rated])
    means = [float(distances[actors == actor].mean()) for actor in np.unique(actors)]
    mean, low, high = mean_interval(means, SHARES)
    return CrowdDistance(
        channel=channel, clips=len({p.clip for p in rated}), mean=mean, low=low, high=high
    )
