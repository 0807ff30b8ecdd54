"""How well a system did, with intervals over actors: pure functions of predictions.

Clips of one actor are alike, so an interval over clips would be far too narrow. Actors are the
unit: a t interval over their mean scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.metrics import accuracy_score, recall_score

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class ClipPrediction:
    """What a network said of one test clip."""

    seed: int
    """Seed of the training that made the network."""
    fold: str
    """The fold that tested it."""
    clip: str
    """Name of the clip."""
    actor: str
    """Who is in it; nobody in the fold's training or validation."""
    target: str
    """The emotion that counts as right: the intended one, or the crowd's."""
    probabilities: tuple[float, ...]
    """In the order of the labels."""
    temperature: float = 1.0
    """Divides the logits for calibrated probabilities; fitted on validation actors alone."""


@dataclass(frozen=True, slots=True)
class Score:
    """How one system did on some clips."""

    clips: int
    """Clips tested."""
    actors: int
    """Actors tested."""
    accuracy: float
    """Share of clips that are right (WAR), 0 to 1."""
    recall: float
    """Mean of the emotions' recalls (UAR), 0 to 1."""
    actor_mean: float
    """Mean over actors of their accuracies: what the interval belongs to."""
    low: float | None
    """Lower end of its 95 % interval over actors; None with one actor."""
    high: float | None
    """Upper end of it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one system did than another on the same clips."""

    mean: float
    """Mean over actors of the difference in accuracy."""
    low: float | None
    """Lower end of its 95 % interval over actors; None with one actor."""
    high: float | None
    """Upper end of it."""


def score(predictions: Sequence[ClipPrediction], labels: Sequence[str]) -> Score:
    """Score predictions against the intended emotions."""
    truth = [p.target for p in predictions]
    said = [labels[int(np.argmax(p.probabilities))] for p in predictions]
    per_actor = actor_accuracies(predictions, labels)
    mean, low, high = mean_interval(list(per_actor.values()))
    present = sorted(set(truth))
    return Score(
        len(predictions),
        len(per_actor),
        float(accuracy_score(truth, said)),
        float(recall_score(truth, said, labels=present, average="macro", zero_division=0)),
        mean,
        low,
        high,
    )


def actor_accuracies(
    predictions: Sequence[ClipPrediction], labels: Sequence[str]
) -> dict[str, float]:
    """Return each actor's share of right clips."""
    right: dict[str, list[bool]] = {}
    for p in predictions:
        said = labels[int(np.argmax(p.probabilities))]
        right.setdefault(p.actor, []).append(said == p.target)
    return {actor: float(np.mean(hits)) for actor, hits in sorted(right.items())}


def difference(ours: Mapping[str, float], theirs: Mapping[str, float]) -> Difference:
    """Compare two systems' accuracies on the same actors, pair by pair."""
    return Difference(*mean_interval([ours[actor] - theirs[actor] for actor in ours]))


def mean_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Return the mean and its 95 % t interval; a single value has none.

    >>> [round(x, 3) for x in mean_interval([0.5, 0.6, 0.7])]
    [0.6, 0.352, 0.848]
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    margin = float(stats.sem(values) * stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return mean, mean - margin, mean + margin
