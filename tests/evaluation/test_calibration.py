"""Calibration against torchmetrics, scikit-learn, closed forms and simulation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from network_maker import calibrated_predictions
from scipy import stats
from sklearn.metrics import brier_score_loss

from avemotion.compat import mend_torchvision
from avemotion.data.types import Rating
from avemotion.evaluation.metrics.calibration import calibration, crowd_distance
from avemotion.evaluation.predictions import ClipPrediction
from avemotion.models.calibration import at_temperature

mend_torchvision()  # which torchmetrics imports
from torchmetrics.functional.classification import multiclass_calibration_error  # noqa: E402

LABELS = ("neutral", "anger", "sadness")  # not in alphabetical order


def predictions(
    probabilities: np.ndarray, targets: np.ndarray, temperature: float = 1.0
) -> list[ClipPrediction]:
    return [
        ClipPrediction(0, "f", str(i), str(i % 7), LABELS[t], tuple(map(float, row)), temperature)
        for i, (row, t) in enumerate(zip(probabilities, targets, strict=True))
    ]


@settings(deadline=None)
@given(st.integers(1, 200), st.floats(0.1, 5), st.integers(0, 10**6))
def test_against_torchmetrics_and_sklearn(clips: int, sharpness: float, seed: int) -> None:
    probabilities, targets = calibrated_predictions(clips, sharpness, seed)
    targets = np.random.default_rng(seed).permutation(targets)  # badly calibrated, too
    # torchmetrics bins in single precision: what lies on an edge may fall to either side.
    place = probabilities.max(axis=1) * 15
    assume((np.abs(place - place.round()) > 1e-5)[place < 14.5].all())
    result = calibration(predictions(probabilities, targets), LABELS)
    oracle = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(targets), num_classes=3, n_bins=15
    )
    assert result.calibration_error == pytest.approx(float(oracle), abs=1e-6)
    brier = brier_score_loss(targets, probabilities, labels=[0, 1, 2], scale_by_half=False)
    assert result.brier == pytest.approx(brier)
    wanted = -np.log(probabilities[np.arange(clips), targets])
    assert result.log_loss == pytest.approx(wanted.mean())


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(0, 10**6))
def test_bins_hold_every_answer_once(clips: int, seed: int) -> None:
    probabilities, targets = calibrated_predictions(clips, 2.0, seed)
    bins = calibration(predictions(probabilities, targets), LABELS).bins
    assert len(bins) == 15 and (bins[0].low, bins[-1].high) == (0, 1)
    assert all(a.high == b.low for a, b in zip(bins, bins[1:], strict=False))
    assert sum(b.clips for b in bins) == clips
    for b in bins:
        assert (b.clips == 0) == (b.confidence is None) == (b.accuracy is None)
        assert b.confidence is None or b.low <= b.confidence <= b.high
    right = sum(b.clips * b.accuracy for b in bins if b.accuracy is not None)
    assert right == pytest.approx(np.sum(probabilities.argmax(axis=1) == targets))


def test_by_hand() -> None:
    """Two answers with 70 %, one right; two with certainty, both right."""
    table = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0, 1, 0], [0, 0, 1]])
    result = calibration(predictions(table, np.array([0, 1, 1, 2])), LABELS)
    assert result.log_loss == pytest.approx(-(math.log(0.7) + math.log(0.2)) / 4)
    assert result.brier == pytest.approx((0.14 + 1.14) / 4)
    assert result.calibration_error == pytest.approx(0.2 / 2)
    full = {i: b for i, b in enumerate(result.bins) if b.clips}
    assert {i: (b.clips, b.accuracy) for i, b in full.items()} == {10: (2, 0.5), 14: (2, 1.0)}
    assert [b.confidence for b in full.values()] == pytest.approx([0.7, 1])


def test_certainty_of_something_wrong_is_finite() -> None:
    result = calibration(predictions(np.eye(3), np.array([1, 2, 0])), LABELS)
    assert math.isfinite(result.log_loss) and result.log_loss > 30
    assert (result.brier, result.calibration_error) == (2, 1)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        calibration(predictions(np.array([[np.nan, 0.5, 0.5]]), np.array([0])), LABELS)


def test_each_prediction_has_its_own_temperature() -> None:
    """Two halves sharpened by 2 and by 5 are calibrated again, and not before."""
    probabilities, targets = calibrated_predictions(20_000, 2.0)
    half = len(targets) // 2
    found = [
        p
        for t, part in ((2.0, slice(half)), (5.0, slice(half, None)))
        for p in predictions(at_temperature(probabilities[part], 1 / t), targets[part], t)
    ]
    truth = calibration(predictions(probabilities, targets), LABELS)
    tempered, plain = calibration(found, LABELS, tempered=True), calibration(found, LABELS)
    assert tempered.log_loss == pytest.approx(truth.log_loss)
    assert tempered.calibration_error == pytest.approx(truth.calibration_error, abs=1e-6)
    assert truth.calibration_error < 0.02 < 0.1 < plain.calibration_error
    assert plain.log_loss > truth.log_loss


def test_calibrated_predictions_have_a_small_error() -> None:
    probabilities, targets = calibrated_predictions(20_000, 1.5)
    assert calibration(predictions(probabilities, targets), LABELS).calibration_error < 0.015
    sharp = at_temperature(probabilities, 0.5)
    assert calibration(predictions(sharp, targets), LABELS).calibration_error > 0.08


def rated(votes: dict[str, tuple[int, ...]], channel: str = "av") -> list[Rating]:
    return [Rating(clip, channel, counts) for clip, counts in votes.items()]


@settings(deadline=None)
@given(
    st.tuples(*[st.floats(0.001, 1)] * 3),
    st.tuples(*[st.integers(0, 9)] * 3).filter(any),
)
def test_distance_is_the_root_of_the_divergence(
    shares: tuple[float, ...], votes: tuple[int, ...]
) -> None:
    """By another formula: the entropy of the mixture above the mean of the two entropies."""
    p, q = np.array(shares) / sum(shares), np.array(votes) / sum(votes)
    divergence = stats.entropy((p + q) / 2, base=2) - np.mean(
        [stats.entropy(p, base=2), stats.entropy(q, base=2)]
    )
    found = crowd_distance(predictions(p[None], np.array([0])), rated({"0": votes}), LABELS)
    assert found is not None and found.low is None
    assert found.mean**2 == pytest.approx(divergence, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 9)] * 3).filter(any), min_size=1, max_size=9))
def test_who_says_what_the_crowd_says_is_at_no_distance(votes: list[tuple[int, ...]]) -> None:
    shares = np.array([np.array(counts) / sum(counts) for counts in votes])
    predicted = predictions(shares, np.zeros(len(votes), int))
    found = crowd_distance(predicted, rated({str(i): v for i, v in enumerate(votes)}), LABELS)
    assert found is not None and 0 <= found.mean < 1e-6


def test_distance_is_a_mean_over_actors_of_rated_clips() -> None:
    """Actor x: distances 0 and 1, over two seeds; y: 1 on one clip; z has no votes."""
    sure = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]
    predicted = [
        ClipPrediction(seed, "f", clip, clip[0], LABELS[0], sure[answer])
        for seed in (0, 1)
        for clip, answer in (("x1", 0), ("x2", 1), ("y1", 1), ("z1", 0), ("z2", 0))
    ]
    votes = rated({"x1": (4, 0, 0), "x2": (4, 0, 0), "y1": (0, 0, 2), "z1": (0, 0, 0)})
    votes += rated({"z2": (1, 0, 0)}, "video")
    found = crowd_distance(predicted, votes, LABELS)
    assert found is not None
    assert (found.channel, found.clips, found.mean) == ("av", 3, 0.75)
    assert (found.low, found.high) == (0, 1)  # of two actors: -2.4 to 3.9, cut
    face = crowd_distance(predicted, votes, LABELS, "video")
    assert face is not None and (face.channel, face.clips, face.mean) == ("video", 1, 0)


def test_without_votes_there_is_no_distance() -> None:
    predicted = predictions(np.eye(3), np.arange(3))
    assert crowd_distance(predicted, [], LABELS) is None
    assert crowd_distance(predicted, rated({"0": (1, 0, 0)}, "audio"), LABELS) is None
    with pytest.raises(ValueError, match="3 labels"):
        crowd_distance(predicted, rated({"0": (1, 0, 0, 0)}), LABELS)
