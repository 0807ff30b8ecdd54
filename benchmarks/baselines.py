"""Trivial rivals of the networks: logistic regression on a small mean face, or on two numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import librosa
import numpy as np
from campaign import certain_predictions
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from avemotion.config import SAMPLE_RATE
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.evaluation.predictions import ClipPrediction

FACE_SIDE = 16
"""Rows and columns of the mean face."""

_FRAME, _HOP = 1024, 256  # samples: 64 ms, long enough for two periods of the lowest pitch
_VOICED_DB = 30.0  # frames this far below the loudest hold no voice


def mean_face(store: FeatureStore, row: ManifestRow) -> NDArray[np.float64]:
    """Return the mean of view 0's 20 frames at 16 x 16 pixels, float64 (256,)."""
    mean = store.read(row, "faces")[0].mean(axis=0)
    return cv2.resize(mean, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_AREA).ravel()


def pitch_and_energy(store: FeatureStore, row: ManifestRow) -> NDArray[np.float64]:
    """Return mean pitch in Hz and mean energy in dB of the voiced frames, float64 (2,)."""
    samples = store.read(row, "waveform") / 32_768.0
    settings = {"frame_length": _FRAME, "hop_length": _HOP}
    pitch = librosa.yin(samples, fmin=70, fmax=500, sr=SAMPLE_RATE, **settings)
    energy = librosa.feature.rms(y=samples, **settings)[0]
    decibels = 20 * np.log10(np.maximum(energy, 1e-6))
    voiced = decibels > decibels.max() - _VOICED_DB
    return np.array([pitch[voiced].mean(), decibels[voiced].mean()])


FEATURES: dict[str, Callable[[FeatureStore, ManifestRow], NDArray[np.float64]]] = {
    "logistic_face": mean_face,
    "logistic_voice": pitch_and_energy,
}
"""Baselines by name."""


def logistic(
    store: FeatureStore, clips: Sequence[ClipPrediction], name: str
) -> list[ClipPrediction]:
    """Train on four folds, answer the fifth, for each.

    Args:
        store: The features.
        clips: The clips and their folds, as the networks were tested.
        name: A key of `FEATURES`.
    """
    rows = {row.clip: row for row in store.rows}
    inputs = np.stack([FEATURES[name](store, rows[p.clip]) for p in clips])
    truth = np.array([p.target for p in clips])
    folds = np.array([p.fold for p in clips])
    answers = np.empty_like(truth)
    for fold in np.unique(folds):
        tested = folds == fold
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        answers[tested] = model.fit(inputs[~tested], truth[~tested]).predict(inputs[tested])
    return certain_predictions(clips, answers.tolist(), store.labels)
