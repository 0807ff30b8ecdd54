"""Predictions on actors that a network never saw: one file a fold, written once it is finished.

A fold whose file is there is never computed again; one that was interrupted goes on from the run's
last epoch.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from avemotion.config import ExperimentSettings, Modality
from avemotion.dataset import ClipDataset, batches
from avemotion.errors import UsageError
from avemotion.files import write_csv
from avemotion.models.ar5 import AR5, probabilities
from avemotion.models.checkpoint import CHECKPOINT_NAME, CheckpointFacts, load_checkpoint
from avemotion.scores import ClipPrediction
from avemotion.splits import PROTOCOLS, Fold, actors_of, of_actors, split_actors
from avemotion.store import FeatureStore, ManifestRow
from avemotion.training import forget_state, train

Predictions = dict[Modality, list[ClipPrediction]]
"""Modality -> what its networks said of the test clips."""


def train_and_test(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    modalities: Sequence[Modality],
    protocol: str,
    experiment: ExperimentSettings,
    out: Path,
    progress: bool,
) -> Predictions:
    """Train one network a fold and modality, and test it on the fold's actors.

    Args:
        store: Features.
        rows: The clips to test on; every one is tested once by each modality.
        modalities: What to train.
        protocol: A key of `PROTOCOLS`.
        experiment: Network and training; its modality is replaced.
        out: Folder of the predictions and runs.
        progress: Show a progress bar.
    """
    folds = PROTOCOLS[protocol](actors_of(rows))
    predictions: Predictions = {modality: [] for modality in modalities}
    with tqdm(total=len(folds) * len(modalities), unit="fold", disable=not progress) as bar:
        for fold in folds:
            for modality in modalities:
                bar.set_description(f"{fold.name} {modality}")
                path = out / "folds" / modality / f"{fold.name}.csv"
                tested = of_actors(rows, fold.test)
                if not path.exists():
                    run = out / "runs" / modality / fold.name
                    asked = replace(experiment, modality=modality)
                    _run_fold(store, fold, asked, tested, run, path)
                found = read_predictions(path, store.labels)
                if [p.clip for p in found] != [row.clip for row in tested]:
                    raise UsageError(f"{path} holds other clips than the fold. Remove that file.")
                predictions[modality] += found
                bar.update()
    return predictions


def _run_fold(
    store: FeatureStore,
    fold: Fold,
    experiment: ExperimentSettings,
    tested: Sequence[ManifestRow],
    run: Path,
    path: Path,
) -> None:
    """Train a fold's network and write what it says of the fold's clips."""
    usable = store.usable(experiment.modality)
    split = split_actors(usable, fold.test, experiment.training)
    facts = train(store, split, experiment, run, progress=False)
    model, _ = load_checkpoint(run / CHECKPOINT_NAME)
    write_predictions(path, predict(store, tested, model, facts, fold.name), store.labels)
    forget_state(run)


def score_checkpoints(
    store: FeatureStore, models: dict[Modality, Path], rows: Sequence[ManifestRow], out: Path
) -> Predictions:
    """Test the checkpoints of `fit` on the actors that none of them saw.

    Args:
        store: Features.
        models: Modality -> checkpoint.
        rows: The clips that every modality can use.
        out: Folder of the predictions.

    Raises:
        UsageError: A checkpoint belongs to another kind of store, or saw every actor.
    """
    loaded = {modality: load_checkpoint(path) for modality, path in models.items()}
    seen: set[str] = set()
    for modality, (_, facts) in loaded.items():
        _check_fits(store, facts, models[modality])
        seen |= {*facts.split.train, *facts.split.validation}
    tested = [row for row in rows if row.actor not in seen]
    if not tested:
        raise UsageError(
            f"The checkpoints {', '.join(map(str, models.values()))} together saw every actor of "
            f"{store.directory}. Fit with --training.holdout above 0, the same --training.seed for "
            "each modality, or use --protocol 5fold."
        )
    predictions: Predictions = {}
    for modality, (model, facts) in loaded.items():
        predictions[modality] = predict(store, tested, model, facts, "holdout")
        path = out / "folds" / modality / "holdout.csv"
        write_predictions(path, predictions[modality], store.labels)
    return predictions


def _check_fits(store: FeatureStore, facts: CheckpointFacts, path: Path) -> None:
    for name, theirs, ours in (
        ("labels", facts.labels, store.labels),
        ("preprocessing settings", facts.preprocessing, store.settings),
        ("origin (recorded or synthetic)", facts.synthetic, store.synthetic),
    ):
        if theirs != ours:
            raise UsageError(
                f"{path} was trained on a store with other {name} than {store.directory}:\n"
                f"  checkpoint: {theirs}\n  store:      {ours}\nGive the store that it belongs to."
            )


def predict(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    model: AR5,
    facts: CheckpointFacts,
    fold: str,
) -> list[ClipPrediction]:
    """Return what a network says of some clips (view 0), none of whose actors it may have seen."""
    leaked = {row.actor for row in rows} & {*facts.split.train, *facts.split.validation}
    if leaked:
        raise ValueError(f"actors {sorted(leaked)} of fold {fold} were trained on")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device)
    dataset = ClipDataset(store, rows, facts.experiment)
    scores = torch.cat(
        [probabilities(model, b.to(device).inputs()).cpu() for b in batches(dataset, 64)]
    )
    return [
        ClipPrediction(
            facts.experiment.training.seed,
            fold,
            row.clip,
            row.actor,
            row.emotion,
            tuple(numbers),
        )
        for row, numbers in zip(rows, scores.tolist(), strict=True)
    ]


def write_predictions(
    path: Path, predictions: Sequence[ClipPrediction], labels: Sequence[str]
) -> None:
    """Write a fold's predictions as CSV, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (
        [p.seed, p.fold, p.clip, p.actor, p.target, *(f"{x:.9f}" for x in p.probabilities)]
        for p in predictions
    )
    write_csv(path, ["seed", "fold", "clip", "actor", "target", *labels], rows)


def read_predictions(path: Path, labels: Sequence[str]) -> list[ClipPrediction]:
    """Read a fold's predictions back.

    Raises:
        UsageError: The file is damaged.
    """
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return [
                ClipPrediction(
                    int(row["seed"]),
                    row["fold"],
                    row["clip"],
                    row["actor"],
                    row["target"],
                    tuple(float(row[label]) for label in labels),
                )
                for row in csv.DictReader(file)
            ]
        except (KeyError, ValueError, TypeError) as error:
            raise UsageError(f"{path} is damaged ({error}). Remove that file.") from error
