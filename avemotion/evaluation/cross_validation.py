"""Train a network for each fold of a protocol, and test it on actors that it never saw.

Each fold writes one file when it is finished, and is then never computed again; one that was
interrupted goes on from the run's last epoch.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from avemotion.config import Engine, ExperimentSettings
from avemotion.data.splits import Fold
from avemotion.data.store import FeatureStore
from avemotion.data.task import Task
from avemotion.errors import UsageError
from avemotion.evaluation.predict import predict, predict_corrupted
from avemotion.evaluation.predictions import (
    CorruptedPredictions,
    Groups,
    Predictions,
    read_predictions,
    write_predictions,
)
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.metadata import CHECKPOINT_NAME
from avemotion.parallel.pool import run_all
from avemotion.parallel.processes import cores
from avemotion.progress import progress_bar


@dataclass(frozen=True, slots=True)
class FoldTask:
    """One model to train and to test."""

    data: Path
    """The feature store."""
    out: Path
    """Folder of the evaluation."""
    fold: Fold
    """The actors that it is tested on."""
    experiment: ExperimentSettings
    """Model, modality, settings and seed."""
    clips: frozenset[str]
    """Names of the tested clips: those of the fold's actors that every system can use."""
    robustness: bool
    """Test it on corrupted clips too."""

    @property
    def name(self) -> str:
        """Folder of this seed and system, and the fold's name: ``seed-0/ar5/av/1001``."""
        e = self.experiment
        return f"seed-{e.training.seed}/{e.system}/{self.fold.name}"

    @property
    def run(self) -> Path:
        """Folder of the training."""
        return self.out / "runs" / self.name

    @property
    def predictions(self) -> Path:
        """File of the predictions."""
        return self.out / "folds" / f"{self.name}.csv"

    @property
    def corrupted(self) -> Path:
        """File of the predictions for the corrupted clips."""
        return self.out / "corrupted" / f"{self.name}.csv"

    @property
    def finished(self) -> bool:
        """Whether all its files are there."""
        return self.predictions.exists() and (self.corrupted.exists() or not self.robustness)


def train_and_test(
    tasks: Sequence[FoldTask],
    learned: Task,
    jobs: int | None,
    progress: bool,
    engine: Engine = "local",
) -> tuple[Predictions, CorruptedPredictions]:
    """Train and test the networks that are not finished, and return the predictions of all.

    Args:
        tasks: The networks, in the order of the result.
        learned: What the networks learn: the store's labels and action units.
        jobs: Networks trained at once, by default one a core, or one if there is a GPU; the result
            does not depend on it.
        progress: Show a progress bar.
        engine: Where they are trained; the result does not depend on it.

    Raises:
        UsageError: A fold's file is damaged, or holds other clips than the fold.
        AvemotionError: A training failed; the others are done.
    """
    left = [task for task in tasks if not task.finished]
    with progress_bar(
        total=len(tasks), initial=len(tasks) - len(left), unit="fold", disable=not progress
    ) as bar:
        run = _run_on_ray if engine == "ray" and left else _run_here
        for name in run({task.name: task for task in left}, jobs):
            bar.set_description(name)
            bar.update()
    predictions: Predictions = {}
    corrupted: CorruptedPredictions = {}
    for task in tasks:
        system = task.experiment.system
        predictions.setdefault(system, []).extend(_read(task.predictions, task, learned)[()])
        if task.robustness:
            for (name,), found in _read(task.corrupted, task, learned, ("condition",)).items():
                corrupted.setdefault(system, {}).setdefault(name, []).extend(found)
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
    with ray_cluster.cluster(some.out, some.data / "manifest.csv") as check:
        yield from ray_cluster.run_all(run_fold, absolute, jobs, check)


def _read(path: Path, fold: FoldTask, task: Task, columns: Sequence[str] = ()) -> Groups:
    groups = read_predictions(path, task.labels, columns, task.units)
    clips = sorted(fold.clips)
    if not groups or any(sorted(p.clip for p in found) != clips for found in groups.values()):
        raise UsageError(f"{path} holds other clips than the fold. Remove that file.")
    return groups


def run_fold(task: FoldTask) -> None:
    """Train a fold's network and write its predictions; runs in a process of its own."""
    # Here alone: Lightning takes seconds to load, and the process that waits for folds needs none.
    from avemotion.training.pooled import train_system
    from avemotion.training.resumption import forget_state

    store = FeatureStore(task.data)
    tested = [row for row in store.rows if row.clip in task.clips]
    trained = task.predictions.exists() and (task.run / CHECKPOINT_NAME).exists()
    if not trained:
        usable = store.usable(task.experiment.modality)
        split = task.fold.split(usable, task.experiment.training)
        train_system(store, split, task.experiment, task.run)
    model, metadata = load_checkpoint(task.run / CHECKPOINT_NAME)
    if not trained:
        predictions = predict(store, tested, model, metadata, task.fold.name)
        write_predictions(task.predictions, {(): predictions}, store.task.outputs)
        forget_state(task.run)
    if task.robustness and not task.corrupted.exists():
        corrupted = predict_corrupted(store, tested, model, metadata, task.fold.name)
        groups: Groups = {(name,): found for name, found in corrupted.items()}
        write_predictions(task.corrupted, groups, store.task.outputs, ("condition",))
    if torch.cuda.is_available():  # the next fold in this process needs the memory
        gc.collect()
        torch.cuda.empty_cache()
