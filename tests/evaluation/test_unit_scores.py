"""Scores of action units, against scikit-learn's and counts by hand."""

import numpy as np
import pytest
from sklearn import metrics

from avemotion.evaluation.metrics.unit_scores import unit_scores
from avemotion.evaluation.predictions import ClipPrediction


def predicted(units: dict[str, tuple[float, ...]]) -> list[ClipPrediction]:
    return [
        ClipPrediction(0, "fold-1", clip, clip[0], "neutral", (1.0, 0.0), units=values)
        for clip, values in units.items()
    ]


def test_by_hand() -> None:
    found = {"a1": (0.9, 0.1), "a2": (0.4, 0.2), "b1": (0.6, 0.5), "b2": (0.2, 0.0)}
    has = {"a1": (1.0, 0.0), "a2": (1.0, 0.0), "b1": (0.0, 0.0), "b2": (0.0, 0.0)}
    first, never, mean = unit_scores(predicted(found), ("AU1", "AU2"), has)
    assert (first.unit, first.present, first.answers) == ("AU1", 2, 4)
    assert first.accuracy == 2 / 4  # a2 and b1 lie on the wrong side of 0.5
    assert first.f1 == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))
    assert first.auc == 3 / 4  # of the four pairs, a2 < b1 is wrong
    assert never.accuracy == 3 / 4 and never.f1 is None and never.auc is None
    assert mean.unit == "mean" and mean.accuracy == pytest.approx(5 / 8)
    assert (mean.f1, mean.auc) == (first.f1, first.auc)
    assert first.accuracy_low is None, "two actors have no interval"


def test_a_probability_of_one_half_says_yes() -> None:
    found, has = {"a": (0.5,), "b": (0.5,)}, {"a": (1.0,), "b": (0.0,)}
    score, _ = unit_scores(predicted(found), ("AU1",), has)
    assert score.accuracy == 0.5 and score.f1 == pytest.approx(2 / 3)


def test_as_scikit_learn_with_intervals_over_actors() -> None:
    rng = np.random.default_rng(0)
    clips = [f"{actor}{take}" for actor in "abcdefgh" for take in range(30)]
    has = {clip: tuple((rng.random(3) < 0.3).astype(float)) for clip in clips}
    found = {clip: tuple(np.clip(0.4 * h + 0.7 * rng.random(), 0, 1) for h in has[clip])
             for clip in clips}  # fmt: skip
    scores = unit_scores(predicted(found), ("AU1", "AU2", "AU4"), has)
    for i, score in enumerate(scores[:-1]):
        wanted, answers = ([table[c][i] for c in clips] for table in (has, found))
        decided = [x >= 0.5 for x in answers]
        assert score.f1 == pytest.approx(metrics.f1_score(wanted, decided))
        assert score.auc == pytest.approx(metrics.roc_auc_score(wanted, answers))
        assert score.accuracy == pytest.approx(metrics.accuracy_score(wanted, decided))
        assert score.accuracy_low < score.accuracy < score.accuracy_high
