"""What a corruption costs: pure functions of predictions for clean and for corrupted clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avemotion.errors import UsageError
from avemotion.evaluation.metrics.intervals import Interval, bootstrap_intervals
from avemotion.evaluation.metrics.scores import actor_confusions, pooled_scores, predicted_labels
from avemotion.evaluation.predictions import ClipPrediction
from avemotion.features.corruptions import CONDITIONS


@dataclass(frozen=True, slots=True)
class RobustnessScore:
    """How a system did under one condition, compared with itself on the clean clips."""

    condition: str
    """Name of the condition."""
    family: str
    """The corruption, with the unit of its level."""
    level: float | None
    """Level in that unit; None where there is only one."""
    recall: float
    """Mean of the emotions' recalls (UAR) on the corrupted clips, 0 to 1; seeds pooled."""
    change: float
    """That less the UAR on the clean clips: below 0 where the corruption costs."""
    change_low: float | None
    """Lower end of the change's 95 % BCa bootstrap interval over actors; None where there is none:
    one actor, or the same change in every draw."""
    change_high: float | None
    """Upper end of it."""
    unchanged: float
    """Share of predictions that are the same as on the clean clips, right or wrong, 0 to 1."""


def robustness_scores(
    clean: Sequence[ClipPrediction],
    corrupted: Mapping[str, Sequence[ClipPrediction]],
    labels: Sequence[str],
) -> list[RobustnessScore]:
    """Score a system under each condition.

    Args:
        clean: Predictions for the clean clips, all seeds.
        corrupted: Name of a condition -> predictions for the same clips, same seeds.
        labels: The emotions in the order of the probabilities.

    Raises:
        UsageError: A condition is unknown, or has other clips or seeds than `clean`.
    """
    before = sorted(clean, key=_key)
    scores = []
    for name, predictions in corrupted.items():
        if name not in CONDITIONS:
            raise UsageError(
                f"{name!r} is not a condition of this version ({', '.join(CONDITIONS)}). "
                "Evaluate again."
            )
        after = sorted(predictions, key=_key)
        if [_key(p) for p in after] != [_key(p) for p in before]:
            raise UsageError(
                f"{name!r} was tested on other clips or seeds than the clean clips, so the two "
                "cannot be compared. Evaluate again."
            )
        scores.append(_score(name, before, after, labels))
    return scores


def _key(prediction: ClipPrediction) -> tuple[int, str]:
    return prediction.seed, prediction.clip


def _score(
    name: str,
    before: Sequence[ClipPrediction],
    after: Sequence[ClipPrediction],
    labels: Sequence[str],
) -> RobustnessScore:
    actors = [p.actor for p in before]
    truth = np.array([labels.index(p.target) for p in before])
    predicted = [predicted_labels(before), predicted_labels(after)]
    confusions = np.stack(  # (actor, before or after, target, prediction)
        [actor_confusions(actors, truth, p, len(labels)) for p in predicted], axis=1
    )
    _, (clean_recall, recall), _ = pooled_scores(confusions.sum(axis=0))
    change_low, change_high = _change_interval(confusions)
    return RobustnessScore(
        condition=name,
        family=CONDITIONS[name].family,
        level=CONDITIONS[name].level,
        recall=float(recall),
        change=float(recall - clean_recall),
        change_low=change_low,
        change_high=change_high,
        unchanged=float(np.mean(predicted[0] == predicted[1])),
    )


def _change_interval(confusions: NDArray[np.float64]) -> Interval:
    """Return the interval of the change in UAR from confusions (actor, 2, target, prediction)."""

    def change(drawn: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the changes over draws of actors, (..., actor), as the one statistic."""
        _, recall, _ = pooled_scores(confusions[drawn].sum(axis=-4))
        return np.asarray(recall[..., 1] - recall[..., 0])[None]

    return bootstrap_intervals(change, len(confusions))[0]
