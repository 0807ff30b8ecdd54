"""The command `fit`: one run in one folder; the actors of a later test are left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avemotion.config import ExperimentSettings, GivenTraining, Modality
from avemotion.data.splits import check_trainable, part_of, split_for, take_actors
from avemotion.data.store import USABLE, FeatureStore
from avemotion.data.types import Split
from avemotion.errors import UsageError
from avemotion.files import claimed
from avemotion.models.header import read_header
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata
from avemotion.training.initial_weights import initial_notes
from avemotion.training.neutral_threshold import learned_task
from avemotion.training.request import FitRequest
from avemotion.training.runs import choose_latest, finished_run, mark_finished, open_run


@dataclass(frozen=True, slots=True)
class FitReport:
    """Result of `fit`."""

    checkpoint: Path
    """File of the trained network."""
    metadata: CheckpointMetadata
    """Metadata of the checkpoint: epoch, scores on the validation actors, split and settings."""
    clips: int
    """Number of clips of the actors that trained or chose the epoch."""
    left_out: int
    """Number of usable clips of the store that lack a modality of this network."""
    was_finished: bool
    """Whether the folder already held this run, finished."""
    without_effect: str = ""
    """What the store's features do not allow; empty where nothing is lost."""
    initial: tuple[str, ...] = ()
    """With `init`: what training began with, and which held-out actors are not unseen therefore; a
    sentence each."""
    latest: Path | None = None
    """The run that ``runs/latest`` points to; None where the run is in no folder ``runs``."""


def fit(
    *,
    data: Path = Path("features"),
    model: str | None = None,
    modality: Modality | None = None,
    out: Path | None = None,
    init: Path | None = None,
    members: tuple[Path, ...] = (),
    settings: Any | None = None,
    training: GivenTraining = None,
    progress: bool = True,
) -> FitReport:
    """Train a model on a feature store; an interrupted run resumes where it stopped.

    A share of the actors (`training.holdout`) is left out, the same actors for every modality, so
    that `evaluate --protocol holdout` can test on them.

    Args:
        data: Feature store written by `preprocess`.
        model: Name of the model: see ``avemotion models``; by default ar5.
        modality: What the model reads: `av`, `video` or `audio`; by default the first that it can.
        out: Folder of the run; by default ``runs/MODEL/MODALITY``.
        init: Checkpoint, folder of a run, or avemotion-1, whose weights training begins with;
            model, modality and the model's own settings are by default its own; of face and voice
            one alone may be trained on, where the model has a part for it.
        members: Of the model `late`: folders of finished runs, or checkpoints, whose answers are
            pooled. Nothing is trained but temperatures and weights, on the validation actors that
            they have in common.
        settings: An instance of the model's `Settings`; by default its best known values.
        training: How the model is trained: single settings by name, which count over the model's
            own recipe; an instance of `TrainingSettings`, which is taken whole; by default the
            recipe.
        progress: Show a progress bar.

    Returns:
        The checkpoint and its scores on the validation actors.

    Raises:
        UsageError: There is no such model, the store cannot be used, has too few actors or lacks an
            emotion or a feature, the weights of `init` or the members do not fit, or `out` holds
            another run.

    Examples:
        >>> from avemotion import fit
        >>> training = {"epochs": 3, "batch_size": 8, "holdout": 0.34}
        >>> fit(modality="av", training=training, progress=False).checkpoint
        PosixPath('runs/ar5/av/checkpoint.safetensors')
    """
    asked = FitRequest.of(model, modality, out, init, settings, training, members)
    store = FeatureStore(Path(data))
    if done := finished_run(store, asked):
        return _report(done.folder, read_header(done.folder / CHECKPOINT_NAME), True, done.counts)
    plan = _planned(store, asked)
    from avemotion.training.resumption import forget_state  # torch is loaded by now

    store.check_shards(progress)
    with claimed(plan.out):
        finished = open_run(plan.out, plan.experiment, store, asked)
        metadata = _trained(store, plan, asked, progress, finished)
        plan.counts["initial"] = initial_notes(store, metadata)
        mark_finished(plan.out, plan.counts)
        forget_state(plan.out)
    return _report(plan.out, metadata, finished, plan.counts)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is trained, on whom, and where it is written."""

    experiment: ExperimentSettings
    split: Split
    out: Path
    counts: dict[str, Any]
    """What `FitReport` says of the clips."""


def _planned(store: FeatureStore, asked: FitRequest) -> _Plan:
    """Settle model and split.

    Raises:
        UsageError: The store cannot be used for it.
    """
    # What needs torch is loaded here: that takes seconds, and a finished run says so at once.
    from avemotion.models.registry import check_learns, inputs_of, model_class, with_settings
    from avemotion.training.augmentation import left_out
    from avemotion.training.precision import with_precision

    training, modality = asked.training, asked.modality
    kind = model_class(asked.model)
    if kind.composed and asked.members is None:
        raise UsageError(
            f"{asked.model} pools trained models. Name the folders of two or more runs of `fit`: "
            "--members RUN,RUN."
        )
    modality = modality or kind.can_read(asked.settings or kind.Settings())[0]
    experiment = ExperimentSettings(asked.model, modality, training=training)
    experiment = with_precision(with_settings(experiment, asked.settings))
    everyone = [row for row in store.rows if row.status in USABLE]
    rows, official = store.usable(modality), training.split == "official"
    inputs = inputs_of(experiment)
    store.check_has(names_of(inputs), asked.model)
    check_learns(task := learned_task(store.task, training), experiment)
    if asked.initial is not None:
        asked.initial.check_fits(task, experiment)
        asked.initial.check_reads(store, inputs)
    check_trainable(rows, store.labels, modality, official=official)
    if asked.members is not None:
        asked.members.check_fits(store)
        split = asked.members.split()
    else:
        test = () if official else take_actors(everyone, training.holdout, training.seed)
        split = split_for(rows, test, training)
    check_trainable(part_of(rows, split, "train"), store.labels, modality, 1, official)
    counts = {
        "clips": sum(len(part_of(rows, split, part)) for part in ("train", "validation")),
        "left_out": len(everyone) - len(rows),
        "without_effect": "" if asked.members else left_out(store, inputs, training),
    }
    return _Plan(experiment, split, asked.out or Path("runs", experiment.system), counts)


def _trained(
    store: FeatureStore, plan: _Plan, asked: FitRequest, progress: bool, finished: bool
) -> CheckpointMetadata:
    """Train the model, if that is not done, and return its checkpoint's metadata."""
    if finished:
        from avemotion.models.checkpoint import load_checkpoint

        return load_checkpoint(plan.out / CHECKPOINT_NAME)[1]
    from avemotion.training.finishing import finish
    from avemotion.training.pooled import pool  # Lightning takes seconds to load
    from avemotion.training.trainer import train

    if asked.members is not None:
        paths, origins = [one.path for one in asked.members.each], asked.members.origins
        pool(store, plan.split, plan.experiment, paths, plan.out, origins)
    else:
        train(store, plan.split, plan.experiment, plan.out, progress, asked.initial)
    return finish(plan.out, store)


def _report(
    out: Path, metadata: CheckpointMetadata, was_finished: bool, counts: dict[str, Any]
) -> FitReport:
    return FitReport(
        checkpoint=out / CHECKPOINT_NAME,
        metadata=metadata,
        was_finished=was_finished,
        latest=choose_latest(out),
        **counts | {"initial": tuple(counts["initial"])},  # JSON has lists alone
    )
