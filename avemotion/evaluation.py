"""Compare av, video, audio and people on actors that no network saw: the command `evaluate`.

It writes into its folder: ``evaluation.json`` (what is evaluated; a folder with another evaluation
is refused), ``folds/av/1001.csv`` (predictions of a fold), ``runs/av/1001/`` (its run, with the
checkpoint) and ``results.json`` (the table).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from avemotion.config import (
    MODALITIES,
    ExperimentSettings,
    Modality,
    NetworkSettings,
    TrainingSettings,
)
from avemotion.errors import UsageError
from avemotion.files import claimed, read_json, write_json
from avemotion.folds import Predictions, score_checkpoints, train_and_test
from avemotion.humans import HumanScore, human_scores
from avemotion.models.checkpoint import CHECKPOINT_NAME
from avemotion.scores import Difference, Score, actor_accuracies, difference, score
from avemotion.splits import MIN_ACTORS, actors_of
from avemotion.store import FeatureStore, ManifestRow

Protocol = Literal["holdout", "5fold", "loso"]


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The result of an evaluation."""

    out: str
    """Folder with the predictions."""
    protocol: str
    """``holdout``, ``5fold`` or ``loso``."""
    scores: dict[str, Score]
    """Modality -> score, all on the same clips."""
    differences: dict[str, Difference]
    """``av - video`` and ``av - audio``: paired over actors."""
    humans: dict[str, HumanScore]
    """Channel -> how people did on exactly these clips; empty without ratings."""
    ceilings: dict[str, float]
    """Modality -> best possible accuracy on a synthetic corpus; empty for a recorded one."""
    notes: tuple[str, ...]
    """What was left out, and why."""


def evaluate(
    *,
    data: Path = Path("features"),
    protocol: Protocol = "holdout",
    modalities: tuple[Modality, ...] = (),
    runs: Path = Path("runs"),
    out: Path | None = None,
    network: NetworkSettings = NetworkSettings(),  # noqa: B008 (frozen)
    training: TrainingSettings = TrainingSettings(),  # noqa: B008 (frozen)
    progress: bool = True,
) -> EvaluationReport:
    """Score av, video and audio on the same clips of actors that none of the networks saw.

    Args:
        data: Feature store written by `preprocess`.
        protocol: ``holdout`` scores the checkpoints of `fit` on the actors it kept away; ``5fold``
            and ``loso`` train a network a fold and modality, and test on every actor once.
        modalities: What to compare; by default all that the store (or `runs`) offers.
        runs: Folder with the runs of `fit` that ``holdout`` scores.
        out: Folder of the predictions; by default ``evaluation/PROTOCOL``.
        network: Sizes of the networks that ``5fold`` and ``loso`` train.
        training: How they are trained.
        progress: Show a progress bar.

    Returns:
        Scores with intervals over actors, and how people did on the same clips.

    Raises:
        UsageError: The store, the runs or `out` do not fit what is asked.
    """
    store = FeatureStore(data)
    out = out or Path("evaluation", protocol)
    experiment = ExperimentSettings(network=network, training=training)
    if protocol == "holdout":
        if experiment != ExperimentSettings():
            raise UsageError(
                "--protocol holdout trains nothing, so it takes no settings of network or training "
                "(nor --config). Give them to `avemotion fit`, or choose 5fold or loso."
            )
        models = _fitted(runs, modalities)
        rows, notes = _common_clips(store, tuple(models))
        with claimed(out):
            predictions = score_checkpoints(store, models, rows, out)
    else:
        chosen = modalities or tuple(m for m in MODALITIES if store.usable(m))
        rows, notes = _common_clips(store, chosen)
        _check_actors(rows, protocol)
        with claimed(out):
            _open_evaluation(out, store, rows, protocol, experiment)
            predictions = train_and_test(store, rows, chosen, protocol, experiment, out, progress)
    report = _report(store, out, protocol, predictions, notes)
    write_json(out / "results.json", asdict(report))
    return report


def _fitted(runs: Path, modalities: Sequence[Modality]) -> dict[Modality, Path]:
    """Return the checkpoints of `fit`, by modality."""
    models = {m: runs / m / CHECKPOINT_NAME for m in modalities or MODALITIES}
    missing = [m for m, path in models.items() if not path.is_file()]
    if missing and modalities or len(missing) == len(models):
        raise UsageError(
            f"No checkpoint of {', '.join(missing)} in {runs}. Train it with "
            f"`avemotion fit --modality {missing[0]}`, or give another --runs."
        )
    return {m: path for m, path in models.items() if m not in missing}


def _common_clips(
    store: FeatureStore, modalities: Sequence[Modality]
) -> tuple[list[ManifestRow], tuple[str, ...]]:
    """Return the clips that every modality can use, and a note on those left out."""
    usable = [{row.clip for row in store.usable(m)} for m in modalities]
    common = set.intersection(*usable) if usable else set()
    rows = [row for row in store.rows if row.clip in common]
    counts = Counter(row.status for row in store.rows if row.clip not in common)
    notes = tuple(
        f"{n} clips of the store are not scored: {_WHY_NOT[status]}"
        for status, n in sorted(counts.items())
    )
    if not rows:
        raise UsageError(
            f"No clip of {store.directory} can be used for all of "
            f"{', '.join(modalities or MODALITIES)}. Choose fewer with --modalities."
        )
    return rows, notes


_WHY_NOT = {
    "audio": "they have no face",
    "video": "they have no sound",
    "excluded": "known to be bad",
    "failed": "they could not be read",
}


def _check_actors(rows: Sequence[ManifestRow], protocol: str) -> None:
    actors = actors_of(rows)
    if len(actors) < MIN_ACTORS[protocol]:
        raise UsageError(
            f"--protocol {protocol} needs at least {MIN_ACTORS[protocol]} actors; "
            f"{len(actors)} have clips that every modality can use. "
            "Choose fewer with --modalities, or another --protocol."
        )


def _open_evaluation(
    out: Path,
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    protocol: str,
    experiment: ExperimentSettings,
) -> None:
    """Refuse a folder that holds the folds of another evaluation."""
    clips = "\n".join(row.clip for row in rows)
    asked = experiment.to_dict()
    ours = {
        "protocol": protocol,
        "data": store.content_hash(),
        "clips": hashlib.sha256(clips.encode()).hexdigest(),
        "network": asked["network"],
        "training": asked["training"],
    }
    path = out / "evaluation.json"
    if not path.exists():
        write_json(path, ours)
        return
    theirs = read_json(path, f"Remove {out}, or give another --out.")
    for key, value in ours.items():
        if theirs.get(key) != value:
            raise UsageError(
                f"{out} holds an evaluation with other {key}:\n"
                f"  there: {theirs.get(key)}\n  asked: {value}\n"
                "Give another --out, or remove that folder."
            )


def _report(
    store: FeatureStore,
    out: Path,
    protocol: str,
    predictions: Predictions,
    notes: tuple[str, ...],
) -> EvaluationReport:
    accuracies = {m: actor_accuracies(p, store.labels) for m, p in predictions.items()}
    pairs = [("av", other) for other in ("video", "audio") if {"av", other} <= predictions.keys()]
    intended = {p.clip: p.target for p in next(iter(predictions.values()))}
    ceilings = (store.synthetic or {}).get("ceilings", {})
    return EvaluationReport(
        out=str(out),
        protocol=protocol,
        scores={m: score(p, store.labels) for m, p in predictions.items()},
        differences={
            f"{a} - {b}": difference(accuracies[a], accuracies[b])  # type: ignore[index]
            for a, b in pairs
        },
        humans=human_scores(store.ratings(), intended, store.labels),
        ceilings={m: ceilings[m] for m in MODALITIES if m in ceilings},
        notes=notes,
    )
