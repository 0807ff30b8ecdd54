"""How well a system did, with intervals over actors: pure functions of predictions.

Clips of one actor are alike, so an interval over clips would be far too narrow. Actors are the
unit: a t interval over their accuracies, and a bootstrap of whole actors for pooled scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avemotion.data.task import most_probable
from avemotion.data.types import is_group
from avemotion.evaluation.metrics.intervals import (
    SHARES,
    Interval,
    bootstrap_intervals,
    mean_interval,
)
from avemotion.evaluation.metrics.recalls import Credit
from avemotion.evaluation.predictions import ClipPrediction


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How a system did on one emotion."""

    emotion: str
    """One of the labels; only those that are the target of a clip are scored."""
    clips: int
    """Clips whose target it is."""
    recall: float
    """Share of these clips that are predicted as it, 0 to 1."""
    precision: float
    """Share of the predictions of it that are right, 0 to 1; 0 where there are none."""
    f1: float
    """Harmonic mean of the two."""


_MEASURES = ("recall", "precision", "f1")


@dataclass(frozen=True, slots=True)
class SeedScore:
    """How the networks of one training seed did."""

    seed: int
    """Seed of the training."""
    accuracy: float
    """Share of clips that are right (WAR), 0 to 1."""
    recall: float
    """Mean of the emotions' recalls (UAR), 0 to 1."""
    f1: float
    """Mean of the emotions' F1 (macro F1), 0 to 1."""


@dataclass(frozen=True, slots=True)
class Score:
    """How one system did on some clips, over all its seeds.

    All intervals are 95 % over actors, and None with one actor. Those of accuracy, recall and F1
    are a BCa bootstrap: None, too, with fewer than 6 actors or where all score the same, and short
    with a dozen actors.
    """

    clips: int
    """Clips tested."""
    actors: int
    """Actors tested; 0 where groups of pictures of unknown people stand for them."""
    accuracy: float
    """Share of predictions that are right (WAR), 0 to 1."""
    accuracy_low: float | None
    """Lower end of its interval."""
    accuracy_high: float | None
    """Upper end of it."""
    recall: float
    """Mean of the emotions' recalls (UAR), 0 to 1."""
    recall_low: float | None
    """Lower end of its interval."""
    recall_high: float | None
    """Upper end of it."""
    f1: float
    """Mean of the emotions' F1 (macro F1), 0 to 1."""
    f1_low: float | None
    """Lower end of its interval."""
    f1_high: float | None
    """Upper end of it."""
    actor_mean: float
    """Mean over actors of their accuracies: what the t interval belongs to."""
    low: float | None
    """Lower end of the t interval."""
    high: float | None
    """Upper end of it."""
    classes: tuple[ClassScore, ...]
    """Each emotion that is the target of a clip, in the order of the labels."""
    averages: tuple[ClassScore, ...]
    """Their micro, macro and weighted averages, as classification reports have them; with one
    label a clip, the micro averages are the accuracy."""
    confusion: tuple[tuple[int, ...], ...]
    """Predictions counted over all seeds: a row for each target, a column for each prediction."""
    seeds: tuple[SeedScore, ...]
    """Each training seed alone, in ascending order."""
    seed_std: float | None
    """Sample standard deviation of the seeds' accuracies; None with one seed."""


def score(predictions: Sequence[ClipPrediction], labels: Sequence[str]) -> Score:
    """Score predictions of one or several seeds against their targets.

    Args:
        predictions: Each clip once for each seed.
        labels: Emotions in the order of the probabilities.

    Raises:
        ValueError: A seed lacks a clip, or has it twice.
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    tested = {(p.seed, p.clip) for p in predictions}
    seeds, clips = sorted({seed for seed, _ in tested}), {clip for _, clip in tested}
    if not len(predictions) == len(tested) == len(clips) * len(seeds):
        raise ValueError("every seed must predict the same clips, each of them once")
    truth = np.array([labels.index(p.target) for p in predictions])
    predicted = predicted_labels(predictions)
    per_actor = actor_confusions([p.actor for p in predictions], truth, predicted, len(labels))
    intervals = score_intervals(per_actor)
    accuracies = list(actor_accuracies(predictions, labels).values())
    mean, low, high = mean_interval(accuracies, SHARES)
    present = np.unique(truth)
    precision, recall, f1, counts = precision_recall_fscore_support(
        truth, predicted, labels=present, zero_division=0
    )
    seed_of = np.array([p.seed for p in predictions])
    classes = tuple(
        ClassScore(
            emotion=labels[label],
            clips=int(counts[i]) // len(seeds),
            recall=float(recall[i]),
            precision=float(precision[i]),
            f1=float(f1[i]),
        )
        for i, label in enumerate(present)
    )
    each_seed = tuple(_seed_score(s, truth[seed_of == s], predicted[seed_of == s]) for s in seeds)
    return Score(
        clips=len(clips),
        actors=sum(not is_group(name) for name in {p.actor for p in predictions}),
        accuracy=float(accuracy_score(truth, predicted)),
        accuracy_low=intervals["accuracy"][0],
        accuracy_high=intervals["accuracy"][1],
        recall=float(recall.mean()),
        recall_low=intervals["recall"][0],
        recall_high=intervals["recall"][1],
        f1=float(f1.mean()),
        f1_low=intervals["f1"][0],
        f1_high=intervals["f1"][1],
        actor_mean=mean,
        low=low,
        high=high,
        classes=classes,
        averages=_averages(classes, float(accuracy_score(truth, predicted))),
        confusion=tuple(tuple(map(int, row)) for row in per_actor.sum(axis=0)),
        seeds=each_seed,
        seed_std=float(np.std([s.accuracy for s in each_seed], ddof=1)) if len(seeds) > 1 else None,
    )


def _averages(classes: Sequence[ClassScore], accuracy: float) -> tuple[ClassScore, ...]:
    of = {name: np.array([getattr(c, name) for c in classes]) for name in _MEASURES}
    clips = np.array([c.clips for c in classes])
    found = {
        "micro average": dict.fromkeys(_MEASURES, accuracy),
        "macro average": {name: float(values.mean()) for name, values in of.items()},
        "weighted average": {
            name: float(np.average(values, weights=clips)) for name, values in of.items()
        },
    }
    return tuple(ClassScore(name, int(clips.sum()), **values) for name, values in found.items())


def _seed_score(seed: int, truth: NDArray[np.intp], predicted: NDArray[np.intp]) -> SeedScore:
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    _, recall, f1, _ = precision_recall_fscore_support(
        truth, predicted, labels=np.unique(truth), average="macro", zero_division=0
    )
    return SeedScore(seed, float(accuracy_score(truth, predicted)), float(recall), float(f1))


def predicted_labels(predictions: Sequence[ClipPrediction]) -> NDArray[np.intp]:
    """Return the index of each prediction's most probable label, int (prediction,)."""
    return most_probable(np.array([p.probabilities for p in predictions]))


def actor_accuracies(
    predictions: Sequence[ClipPrediction], labels: Sequence[str]
) -> dict[str, float]:
    """Return each actor's share of right predictions; with several seeds, its mean over them."""
    predicted = predicted_labels(predictions)
    return actor_means(
        (p.actor, labels[i] == p.target) for p, i in zip(predictions, predicted, strict=True)
    )


def credits_of(predictions: Sequence[ClipPrediction], labels: Sequence[str]) -> list[Credit]:
    """Return who is in each clip, its target, and 1 where the prediction is right, else 0."""
    predicted = predicted_labels(predictions)
    return [
        (p.actor, p.target, float(labels[i] == p.target))
        for p, i in zip(predictions, predicted, strict=True)
    ]


def actor_means(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the mean of each actor's values, the actors sorted by name."""
    by_actor: dict[str, list[float]] = {}
    for actor, value in values:
        by_actor.setdefault(actor, []).append(value)
    return {actor: float(np.mean(found)) for actor, found in sorted(by_actor.items())}


def actor_confusions(
    actors: Sequence[str], truth: NDArray[np.intp], predicted: NDArray[np.intp], labels: int
) -> NDArray[np.float64]:
    """Count each actor's predictions, float64 (actor, target, prediction), actors by name.

    Args:
        actors: Actor of each prediction.
        truth: Index of each prediction's target, (prediction,).
        predicted: Index of the predicted label, (prediction,).
        labels: Number of labels.
    """
    names, who = np.unique(actors, return_inverse=True)
    counts = np.zeros((len(names), labels, labels))
    np.add.at(counts, (who, truth, predicted), 1)
    return counts


def score_intervals(confusions: NDArray[np.float64]) -> dict[str, Interval]:
    """Return the BCa intervals over actors of accuracy, recall and F1, pooled over clips.

    Args:
        confusions: (actor, target, prediction), as `actor_confusions` counts them.
    """
    found = bootstrap_intervals(
        lambda drawn: pooled_scores(confusions[drawn].sum(axis=-3)), len(confusions)
    )
    return dict(zip(("accuracy", "recall", "f1"), found, strict=True))


def pooled_scores(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return accuracy, UAR and macro F1, (3, ...), of matrices (..., K, K), as in `score`."""
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    targets, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    present, classes = targets > 0, (targets > 0).sum(axis=-1)
    recall = np.divide(right, targets, out=np.zeros_like(targets), where=present)
    f1 = np.divide(2 * right, targets + predicted, out=np.zeros_like(targets), where=present)
    accuracy = right.sum(axis=-1) / targets.sum(axis=-1)
    return np.stack([accuracy, recall.sum(axis=-1) / classes, f1.sum(axis=-1) / classes])
