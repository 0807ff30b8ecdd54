"""What a leave-one-actor-out evaluation of CREMA-D costs: measured on few folds, extrapolated."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from reporting import parser, publish, table
from train import write_store

from avemotion.config import MODALITIES, ExperimentSettings, Modality, TrainingSettings
from avemotion.data.corpora.crema_d import CLIPS
from avemotion.data.splits import Fold, actors_of, of_actors
from avemotion.data.store import FeatureStore
from avemotion.evaluation.cross_validation import FoldTask, train_and_test
from avemotion.models.registry import with_settings

FOLDS = 91
EPOCHS = TrainingSettings().epochs
VALIDATION = TrainingSettings().validation
TRAINED_CLIPS = round(CLIPS * (FOLDS - 1) / FOLDS * (1 - VALIDATION))
"""Clips that a fold trains on; the others are tested on, or choose the epoch."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Time that one modality takes with one number of jobs."""

    per_clip_seconds: float
    """Wall time for a clip in an epoch, over all jobs."""
    per_fold_seconds: float
    """Wall time of a fold without its epochs: starting, statistics, testing."""

    @property
    def hours(self) -> float:
        """Extrapolated wall time of all folds with all epochs."""
        fold = self.per_fold_seconds + self.per_clip_seconds * TRAINED_CLIPS * EPOCHS
        return FOLDS * fold / 3600


def measure(
    store: FeatureStore, modality: Modality, jobs: int, epochs: tuple[int, int], work: Path
) -> Cost:
    """Time two folds, each half of the actors, with few and with more epochs."""
    actors = actors_of(store.rows)
    halves = Fold("first", actors[: len(actors) // 2]), Fold("second", actors[len(actors) // 2 :])
    seconds = []
    for count in epochs:
        settings = TrainingSettings(epochs=count, validation=0.0, early_stopping=False)
        with tempfile.TemporaryDirectory(dir=work) as out:
            tasks = [
                FoldTask(
                    store.directory,
                    Path(out),
                    fold,
                    with_settings(ExperimentSettings(modality=modality, training=settings)),
                    frozenset(row.clip for row in of_actors(store.rows, fold.test)),
                    robustness=False,
                )
                for fold in halves
            ]
            start = time.perf_counter()
            train_and_test(tasks, store.task, jobs, progress=False)
            seconds.append(time.perf_counter() - start)
    clips = len(store.rows)  # each of the two folds trains on one half of them
    per_clip = (seconds[1] - seconds[0]) / ((epochs[1] - epochs[0]) * clips)
    return Cost(per_clip, (seconds[0] - per_clip * epochs[0] * clips) / 2)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--actors", type=int, default=16, help="of the random store")
    arguments.add_argument("--clips-per-actor", type=int, default=72)
    arguments.add_argument("--epochs", type=int, nargs=2, default=(1, 3))
    arguments.add_argument("--jobs", type=int, nargs="+", default=(1, 2))
    arguments.add_argument("--modalities", nargs="+", choices=MODALITIES, default=MODALITIES)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder, "features"), given.actors, given.clips_per_actor)
        costs = {
            (modality, jobs): measure(store, modality, jobs, tuple(given.epochs), Path(folder))
            for modality in given.modalities
            for jobs in given.jobs
        }
    rows = [
        [modality, jobs, f"{1 / cost.per_clip_seconds:.0f}", f"{cost.per_fold_seconds:.1f}",
         f"{cost.hours:.1f}"]
        for (modality, jobs), cost in costs.items()
    ]  # fmt: skip
    publish(
        given.out,
        "cost",
        "What leaving each of CREMA-D's 91 actors out costs",
        [
            f"Random features of CREMA-D's shapes, {given.actors} x {given.clips_per_actor} clips, "
            "full-size networks, each job one thread. **Measured**: two folds with "
            f"{given.epochs[0]} and "
            f"with {given.epochs[1]} epochs. **Extrapolated**: {FOLDS} folds x {EPOCHS} epochs x "
            f"{TRAINED_CLIPS} training clips of {CLIPS}; early stopping, which would shorten it, "
            "is not counted, nor is testing on corrupted clips:",
            table(["", "jobs", "training clips/s", "other s a fold", "hours, extrapolated"], rows),
        ],
        {f"{m}_{jobs}_jobs_hours": cost.hours for (m, jobs), cost in costs.items()},
    )


if __name__ == "__main__":
    main()
