"""Do real voices and real facial movement complement each other? RAVDESS, landmark video."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from campaign import (
    ROOT,
    by_modality,
    certain_predictions,
    lead,
    name_of,
    percent,
    plain,
    read_settings,
)
from numpy.typing import NDArray
from reporting import parser, publish, table
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from avemotion.config import PreprocessSettings
from avemotion.data.store import FeatureStore
from avemotion.evaluation.evaluate import evaluate
from avemotion.evaluation.metrics.recalls import Difference
from avemotion.evaluation.metrics.scores import Score, score
from avemotion.evaluation.predictions import ClipPrediction, read_records
from avemotion.evaluation.report.results import EvaluationResults

sys.path.insert(0, str(ROOT / "data_prep"))
from ravdess import LANDMARKS_FILE, fill, read_landmarks  # noqa: E402

CONFIG = ROOT / "configs" / "ravdess.yaml"

PROTOTYPE = {"av": 0.625, "video": 0.467, "audio": 0.449}
"""What a first sketch scored (line faces as channels, log-mel, 4 folds of 6 actors, one seed)."""


def landmark_statistics(points: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return mean and std over a take's frames of its points, relative to its mean face.

    Args:
        points: int16 (frame, 68, 2).

    Returns:
        float64 (272,).
    """
    scale = np.median(np.ptp(points[..., 1], axis=1))
    normalised = (points - points.mean(axis=(0, 1))) / scale
    return np.concatenate([normalised.mean(axis=0).ravel(), normalised.std(axis=0).ravel()])


def log_mel_statistics(store: FeatureStore, clip: str) -> NDArray[np.float64]:
    """Return mean and std of a clip's log-mel over time, float64 (128,)."""
    row = next(row for row in store.rows if row.clip == clip)
    image = store.read(row, "log_mel").astype(np.float64)
    sounding = image[:, image.any(axis=0)]
    return np.concatenate([sounding.mean(axis=1), sounding.std(axis=1)])


def ridge(
    clips: list[ClipPrediction], inputs: NDArray[np.float64], labels: tuple[str, ...]
) -> list[ClipPrediction]:
    """Train on the other folds, answer each fold; the penalty is chosen on the training clips."""
    truth = np.array([p.target for p in clips])
    folds = np.array([p.fold for p in clips])
    answers = np.empty_like(truth)
    for fold in np.unique(folds):
        tested = folds == fold
        model = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(0, 5, 11)))
        answers[tested] = model.fit(inputs[~tested], truth[~tested]).predict(inputs[tested])
    return certain_predictions(clips, answers.tolist(), labels)


def together(clips: list[ClipPrediction]) -> list[ClipPrediction]:
    """Return the mean answer of a clip's networks, one of each seed."""
    by_clip: dict[str, list[ClipPrediction]] = {}
    for clip in clips:
        by_clip.setdefault(clip.clip, []).append(clip)
    return [
        replace(seeds[0], probabilities=tuple(np.mean([p.probabilities for p in seeds], axis=0)))
        for seeds in by_clip.values()
    ]


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--ravdess", type=Path, required=True, help="folder of the speech and the landmarks"
    )
    arguments.add_argument(
        "--work", type=Path, required=True, help="folder of the store and the runs; kept"
    )
    arguments.add_argument("--config", type=Path, default=CONFIG)
    arguments.add_argument("--protocol", choices=("luna-jimenez", "loso"), default="luna-jimenez")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--jobs", type=int, default=None)
    given = arguments.parse_args()
    store = given.work / "features"
    fill(given.ravdess, store, PreprocessSettings())
    settings, training = read_settings(given.config)
    out = given.work / given.protocol
    results = evaluate(
        data=store,
        protocol=given.protocol,
        seeds=given.seeds,
        jobs=given.jobs,
        robustness=False,
        out=out,
        settings={"ar5": settings},
        training=training,
    )
    records = read_records(out)
    first = [p for p in records.predictions["ar5/av"] if p.seed == results.seeds[0]]
    landmarks = read_landmarks(given.ravdess / LANDMARKS_FILE)
    opened = FeatureStore(store)
    face = np.stack([landmark_statistics(landmarks[p.clip]) for p in first])
    voice = np.stack([log_mel_statistics(opened, p.clip) for p in first])
    baselines = {
        "video": ridge(first, face, results.labels),
        "audio": ridge(first, voice, results.labels),
        "av": ridge(first, np.hstack([face, voice]), results.labels),
    }
    joint = {
        m: score(together(p), results.labels) for m, p in by_modality(records.predictions).items()
    }
    _publish(given.out, name_of(given.config), results, joint, baselines)


def _publish(
    out: Path,
    config: str,
    results: EvaluationResults,
    joint: dict[str, Score],
    baselines: dict[str, list[ClipPrediction]],
) -> None:
    labels = results.labels
    rows, ahead = [], {}
    records = read_records(Path(results.out))
    for modality, ours in by_modality(results.scores).items():
        theirs = score(baselines[modality], labels)
        ahead[modality] = lead(records.predictions[f"ar5/{modality}"], baselines[modality], labels)
        spread = "" if ours.seed_std is None else f"{100 * ours.seed_std:.1f}"
        seeds = ", ".join(f"{100 * s.accuracy:.1f}" for s in ours.seeds)
        rows.append([modality, percent(ours), f"{100 * ours.recall:.1f}", seeds, spread,
                     percent(joint[modality]),
                     f"{100 * theirs.accuracy:.1f}", percent(ahead[modality]),
                     f"{100 * PROTOTYPE[modality]:.1f}"])  # fmt: skip
    pairs = {k: d for k, d in results.differences.items() if k.startswith("ar5/av - ar5/")}
    publish(
        out,
        "landmark_video",
        "RAVDESS, landmark video",
        [
            "Real voices, and 98 x 80 line faces drawn from the real landmarks of "
            f"{results.actors} actors, {results.clips} takes, 8 emotions. **Not the videos' "
            "pixels**: movement without texture. Target: the intended emotion. Protocol "
            f"`{results.protocol}`, {results.folds} folds over actors, `{config}`, no "
            f"pretraining; seeds {', '.join(map(str, results.seeds))}, each clip tested once a "
            "seed by a network that never saw its actor. Intervals: 95 % over actors. *Ridge*: "
            "ridge regression on mean and deviation over time of the landmarks, of the log-mel, of "
            "both, same folds. *Together*: the mean of the seeds' probabilities, as one system. "
            "*Sketch*: a first prototype on other folds (4 of 6 actors, one "
            "seed). Accuracy in per cent, AR5 - ridge in UAR:",
            table(
                [
                    "",
                    "AR5",
                    "UAR",
                    "each seed",
                    "deviation",
                    "together",
                    "ridge",
                    "AR5 - ridge",
                    "sketch",
                ],
                rows,
            ),
            "Differences of the mean recalls on the same clips, in points (p: permutation test):",
            table(["pair", "difference", "p"], [[k, percent(d), _p(d)] for k, d in pairs.items()]),
        ],
        {
            "accuracies": {m: s.accuracy for m, s in by_modality(results.scores).items()},
            "together": {m: s.accuracy for m, s in joint.items()},
            "recalls": {m: s.recall for m, s in by_modality(results.scores).items()},
            "ridge": {m: score(p, labels).accuracy for m, p in baselines.items()},
            **{k.replace(" - ", "_minus_").replace("ar5/", ""): plain(d) for k, d in pairs.items()},
            **{f"{m}_minus_ridge": plain(d) for m, d in ahead.items()},
        },
    )


def _p(value: Difference) -> str:
    return "" if value.p is None else f"{value.p:.1g}"


if __name__ == "__main__":
    main()
