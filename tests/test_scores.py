"""Scores and intervals against closed forms, scikit-learn and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from avemotion.scores import (
    ClipPrediction,
    actor_accuracies,
    difference,
    mean_interval,
    score,
)

LABELS = ("a", "b", "c")


def predictions(table: list[tuple[int, int, int]]) -> list[ClipPrediction]:
    """From (actor, truth, said)."""
    return [
        ClipPrediction(0, "f", str(i), str(actor), LABELS[truth], tuple(np.eye(3)[said].tolist()))
        for i, (actor, truth, said) in enumerate(table)
    ]


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=40))
def test_accuracy_and_recall(table: list[tuple[int, int, int]]) -> None:
    result = score(predictions(table), LABELS)
    truth, said = [t for _, t, _ in table], [s for _, _, s in table]
    assert result.accuracy == pytest.approx(np.mean(np.array(truth) == np.array(said)))
    present = [(t, s) for t, s in zip(truth, said, strict=True)]
    recalls = [np.mean([s == t for t, s in present if t == label]) for label in sorted(set(truth))]
    assert result.recall == pytest.approx(np.mean(recalls))
    if set(said) <= set(truth):
        assert result.recall == pytest.approx(balanced_accuracy_score(truth, said))
    assert result.actors == len({a for a, _, _ in table})


def test_interval_is_over_actors_not_clips() -> None:
    """Ten times the clips of the same actors leave the interval as it is."""
    table = [(0, 0, 0), (0, 1, 2), (1, 0, 0), (1, 1, 1), (2, 2, 0), (2, 1, 2)]
    once, often = score(predictions(table), LABELS), score(predictions(table * 10), LABELS)
    assert once.actor_mean == pytest.approx(np.mean([0.5, 1.0, 0.0]))
    assert (once.low, once.high) == pytest.approx((often.low, often.high))


def test_t_interval_closed_form() -> None:
    """Three values a tenth apart: margin t * 0.1 / sqrt(3), t(0.975, 2) = 4.30265 from tables."""
    mean, low, high = mean_interval([0.5, 0.6, 0.7])
    assert mean == pytest.approx(0.6)
    assert high - mean == pytest.approx(4.30265 * 0.1 / math.sqrt(3), rel=1e-5)
    assert mean - low == pytest.approx(high - mean)


def test_one_actor_has_no_interval() -> None:
    result = score(predictions([(0, 0, 0), (0, 1, 0)]), LABELS)
    assert result.low is None and result.high is None


def test_difference_is_paired() -> None:
    """A constant advantage on very different actors has an interval of width 0."""
    theirs = {"x": 0.2, "y": 0.5, "z": 0.8}
    ours = {actor: value + 0.1 for actor, value in theirs.items()}
    result = difference(ours, theirs)
    assert (result.mean, result.low, result.high) == pytest.approx((0.1, 0.1, 0.1))


def test_interval_covers_the_truth() -> None:
    """Actors differ in how easily they are read: over 2,000 draws about 95 % cover the truth."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        skill = rng.normal(0.6, 0.1, 24).clip(0, 1)
        _, low, high = mean_interval((rng.binomial(80, skill) / 80).tolist())
        covered += low <= 0.6 <= high
    assert 0.935 < covered / 2000 < 0.965


def test_actor_accuracies() -> None:
    table = predictions([(1, 0, 0), (1, 0, 1), (0, 2, 2)])
    assert actor_accuracies(table, LABELS) == {"0": 1.0, "1": 0.5}
