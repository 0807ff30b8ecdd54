"""Predictions on actors that a network never saw: one file a fold, written once it is finished.

A fold whose file is there is never computed again; one that was interrupted goes on from the run's
last epoch.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from avemotion.config import Engine, ExperimentSettings, Modality
from avemotion.data.dataset import ClipDataset, batches
from avemotion.data.splits import Fold, of_actors, split_actors
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.evaluation.corrupted_batches import corrupted_batches
from avemotion.evaluation.corruptions import Condition, conditions_for
from avemotion.evaluation.predictions import (
    ClipPrediction,
    Groups,
    read_predictions,
    write_predictions,
)
from avemotion.models.ar5 import AR5
from avemotion.models.base import probabilities
from avemotion.models.calibration import fit_temperature
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata
from avemotion.parallel.pool import run_all
from avemotion.parallel.processes import cores
from avemotion.training.trainer import forget_state, train

Predictions = dict[Modality, list[ClipPrediction]]
"""Modality -> what its networks said of the test clips."""

SpoiledPredictions = dict[Modality, dict[str, list[ClipPrediction]]]
"""Modality -> condition -> what its networks said of the spoiled test clips."""


@dataclass(frozen=True, slots=True)
class FoldTask:
    """One network to train and to test."""

    data: Path
    """The feature store."""
    out: Path
    """Folder of the evaluation."""
    fold: Fold
    """The actors that it is tested on."""
    experiment: ExperimentSettings
    """Modality, network, training and its seed."""
    clips: frozenset[str]
    """The clips that are tested: those of the fold's actors that every modality can use."""
    robustness: bool
    """Test it on spoiled clips too."""

    @property
    def name(self) -> str:
        """Folder of this seed and modality, and the fold's name: ``seed-0/av/1001``."""
        e = self.experiment
        return f"seed-{e.training.seed}/{e.modality}/{self.fold.name}"

    @property
    def run(self) -> Path:
        """Folder of the training."""
        return self.out / "runs" / self.name

    @property
    def answers(self) -> Path:
        """What the network says of the clips."""
        return self.out / "folds" / f"{self.name}.csv"

    @property
    def corrupted(self) -> Path:
        """What it says of them spoiled."""
        return self.out / "corrupted" / f"{self.name}.csv"

    @property
    def finished(self) -> bool:
        """All its files are there."""
        return self.answers.exists() and (self.corrupted.exists() or not self.robustness)


def train_and_test(
    tasks: Sequence[FoldTask],
    labels: Sequence[str],
    jobs: int | None,
    progress: bool,
    engine: Engine = "local",
) -> tuple[Predictions, SpoiledPredictions]:
    """Train and test the networks that are not finished, and return what all of them say.

    Args:
        tasks: What is to be done, in the order of the result.
        labels: The store's.
        jobs: Networks trained at once, by default as many as there are cores, or GPUs if there are
            any; the result does not depend on it.
        progress: Show a progress bar.
        engine: Where they are trained; nor on this.
    """
    left = [task for task in tasks if not task.finished]
    with tqdm(
        total=len(tasks), initial=len(tasks) - len(left), unit="fold", disable=not progress
    ) as bar:
        run = _run_on_ray if engine == "ray" and left else _run_here
        for name in run({task.name: task for task in left}, jobs):
            bar.set_description(name)
            bar.update()
    predictions: Predictions = {}
    corrupted: SpoiledPredictions = {}
    for task in tasks:
        modality = task.experiment.modality
        predictions.setdefault(modality, []).extend(_read(task.answers, task, labels)[()])
        if task.robustness:
            for (name,), said in _read(task.corrupted, task, labels, ("condition",)).items():
                corrupted.setdefault(modality, {}).setdefault(name, []).extend(said)
    return predictions, corrupted


def _run_here(tasks: Mapping[str, FoldTask], jobs: int | None) -> Iterator[str]:
    return run_all(run_fold, tasks, jobs or (1 if torch.cuda.is_available() else cores()))


def _run_on_ray(tasks: Mapping[str, FoldTask], jobs: int | None) -> Iterator[str]:
    from avemotion.parallel import ray_cluster

    absolute = {
        name: replace(task, data=task.data.absolute(), out=task.out.absolute())
        for name, task in tasks.items()
    }
    some = next(iter(absolute.values()))
    with ray_cluster.cluster(some.out, some.data / "manifest.csv") as admitted:
        yield from ray_cluster.run_all(run_fold, absolute, jobs, admitted)


def _read(path: Path, task: FoldTask, labels: Sequence[str], columns: Sequence[str] = ()) -> Groups:
    groups = read_predictions(path, labels, columns)
    whole = sorted(task.clips)
    if not groups or any(sorted(p.clip for p in found) != whole for found in groups.values()):
        raise UsageError(f"{path} holds other clips than the fold. Remove that file.")
    return groups


def run_fold(task: FoldTask) -> None:
    """Train a fold's network and write what it says of the fold's clips; runs in a process."""
    store = FeatureStore(task.data)
    tested = [row for row in store.rows if row.clip in task.clips]
    trained = task.answers.exists() and (task.run / CHECKPOINT_NAME).exists()
    if not trained:
        usable = store.usable(task.experiment.modality)
        split = split_actors(usable, task.fold.test, task.experiment.training)
        train(store, split, task.experiment, task.run, progress=False)
    model, metadata = load_checkpoint(task.run / CHECKPOINT_NAME)
    if not trained:
        temperature = validated_temperature(store, model, metadata)
        said = predict(store, tested, model, metadata, task.fold.name)
        said = [replace(p, temperature=temperature) for p in said]
        write_predictions(task.answers, {(): said}, store.labels)
        forget_state(task.run)
    if task.robustness and not task.corrupted.exists():
        corrupted = predict_corrupted(store, tested, model, metadata, task.fold.name)
        write_predictions(task.corrupted, corrupted, store.labels, ("condition",))
    if torch.cuda.is_available():  # the next fold in this process needs the memory
        gc.collect()
        torch.cuda.empty_cache()


def score_checkpoints(
    store: FeatureStore,
    models: dict[Modality, Path],
    rows: Sequence[ManifestRow],
    robustness: bool,
    progress: bool,
) -> tuple[Predictions, SpoiledPredictions]:
    """Test the checkpoints of `fit` on the actors that none of them saw.

    Args:
        store: Features.
        models: Modality -> checkpoint.
        rows: The clips that every modality can use.
        robustness: Test them on spoiled clips too.
        progress: Show a progress bar.

    Raises:
        UsageError: A checkpoint belongs to another kind of store, or saw every actor.
    """
    loaded = {modality: load_checkpoint(path) for modality, path in models.items()}
    seen: set[str] = set()
    for modality, (_, metadata) in loaded.items():
        _check_fits(store, metadata, models[modality])
        seen |= {*metadata.split.train, *metadata.split.validation}
    tested = [row for row in rows if row.actor not in seen]
    if not tested:
        raise UsageError(
            f"The checkpoints {', '.join(map(str, models.values()))} together saw every actor of "
            f"{store.directory}. Fit with --training.holdout above 0, the same --training.seed for "
            "each modality, or use --protocol 5fold."
        )
    predictions: Predictions = {}
    corrupted: SpoiledPredictions = {}
    bar = tqdm(loaded.items(), unit="network", disable=not progress)
    for modality, (model, metadata) in bar:
        bar.set_description(f"test {modality}")
        temperature = validated_temperature(store, model, metadata)
        said = predict(store, tested, model, metadata, "holdout")
        predictions[modality] = [replace(p, temperature=temperature) for p in said]
        if robustness:
            found = predict_corrupted(store, tested, model, metadata, "holdout")
            corrupted[modality] = {name: said for (name,), said in found.items()}
    return predictions, corrupted


def _check_fits(store: FeatureStore, metadata: CheckpointMetadata, path: Path) -> None:
    for name, theirs, ours in (
        ("labels", metadata.labels, store.labels),
        ("preprocessing settings", metadata.preprocessing, store.settings),
        ("origin (recorded or synthetic)", metadata.synthetic, store.synthetic),
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
    metadata: CheckpointMetadata,
    fold: str,
    condition: Condition | None = None,
) -> list[ClipPrediction]:
    """Return what a network says of some clips (view 0), none of whose actors it may have seen.

    Args:
        store: Features.
        rows: The clips.
        model: The network, in evaluation mode.
        metadata: Who trained it.
        fold: Name of the fold that tests it.
        condition: How the clips are spoiled, if they are.
    """
    leaked = {row.actor for row in rows} & {*metadata.split.train, *metadata.split.validation}
    if leaked:
        raise ValueError(f"actors {sorted(leaked)} of fold {fold} were trained on")
    scores = _probabilities(store, rows, model, metadata, condition)
    seed = metadata.experiment.training.seed
    return [
        ClipPrediction(seed, fold, row.clip, row.actor, row.emotion, tuple(numbers))
        for row, numbers in zip(rows, scores.tolist(), strict=True)
    ]


def predict_corrupted(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    model: AR5,
    metadata: CheckpointMetadata,
    fold: str,
) -> Groups:
    """Return what a network says of clips spoiled in every way that it can notice."""
    return {
        (condition.name,): predict(store, rows, model, metadata, fold, condition)
        for condition in conditions_for(metadata.experiment.modality)
    }


def validated_temperature(store: FeatureStore, model: AR5, metadata: CheckpointMetadata) -> float:
    """Fit the temperature on the validation actors, who are neither trained nor tested on.

    Returns:
        1, which changes nothing, where there are none.
    """
    rows = of_actors(store.usable(metadata.experiment.modality), metadata.split.validation)
    if not rows:
        return 1.0
    scores = _probabilities(store, rows, model, metadata).numpy()
    return fit_temperature(scores, np.array([store.labels.index(row.emotion) for row in rows]))


def _probabilities(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    model: AR5,
    metadata: CheckpointMetadata,
    condition: Condition | None = None,
) -> torch.Tensor:
    """Return float32 (clip, classes) on the CPU."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device)
    found = (
        corrupted_batches(store, rows, metadata.experiment, condition)
        if condition
        else batches(ClipDataset(store, rows, metadata.experiment), 64)
    )
    return torch.cat([probabilities(model, b.to(device).inputs()).cpu() for b in found])
