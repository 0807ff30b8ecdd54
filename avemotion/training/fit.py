"""The command `fit`: one run in one folder; the actors of a later test are left out."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from avemotion.config import (
    DEFAULT_MODEL,
    ExperimentSettings,
    Modality,
    TrainingSettings,
    differences,
)
from avemotion.data.splits import check_trainable, part_of, split_for, take_actors
from avemotion.data.store import USABLE, FeatureStore
from avemotion.errors import UsageError
from avemotion.files import claimed, read_json, write_atomically, write_json
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CHECKPOINT_NAME, LATEST, CheckpointMetadata
from avemotion.models.registry import check_learns, inputs_of, model_class, with_settings
from avemotion.parallel.cluster_check import split_versions
from avemotion.training.answered_pictures import ANSWERS_NAME, draw_answers
from avemotion.training.augmentation import left_out
from avemotion.training.model_card import CARD_NAME, model_card
from avemotion.training.neutral_threshold import learned_task
from avemotion.training.precision import with_precision
from avemotion.training.provenance import precision_advice


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


def fit(
    *,
    data: Path = Path("features"),
    model: str = DEFAULT_MODEL,
    modality: Modality | None = None,
    out: Path | None = None,
    settings: Any | None = None,
    training: TrainingSettings = TrainingSettings(),  # noqa: B008 (frozen)
    progress: bool = True,
) -> FitReport:
    """Train a model on a feature store; an interrupted run resumes where it stopped.

    A share of the actors (`training.holdout`) is left out, the same actors for every modality, so
    that `evaluate --protocol holdout` can test on them.

    Args:
        data: Feature store written by `preprocess`.
        model: Name of the model: see ``avemotion models``.
        modality: What the model reads: `av`, `video` or `audio`; by default the first that it can.
        out: Folder of the run; by default ``runs/MODEL/MODALITY``.
        settings: An instance of the model's `Settings`; by default its best known values.
        training: How the model is trained.
        progress: Show a progress bar.

    Returns:
        The checkpoint and its scores on the validation actors.

    Raises:
        UsageError: There is no such model, the store cannot be used, has too few actors or lacks an
            emotion or a feature, or `out` holds another run.

    Examples:
        >>> from avemotion import fit
        >>> from avemotion.config import TrainingSettings
        >>> training = TrainingSettings(epochs=3, batch_size=8, holdout=0.34)
        >>> fit(modality="av", training=training, progress=False).checkpoint
        PosixPath('runs/ar5/av/checkpoint.safetensors')
    """
    data, out = Path(data), out and Path(out)
    store = FeatureStore(data)
    kind = model_class(model)
    experiment = ExperimentSettings(model, modality or kind.about.modalities[0], training=training)
    experiment = with_precision(with_settings(experiment, settings))
    out = out or Path("runs", experiment.system)
    everyone = [row for row in store.rows if row.status in USABLE]
    rows, official = store.usable(experiment.modality), training.split == "official"
    inputs = inputs_of(experiment)
    store.check_has(names_of(inputs), experiment.model)
    check_learns(learned_task(store.task, training), experiment)
    check_trainable(rows, store.labels, experiment.modality, official=official)
    test = () if official else take_actors(everyone, training.holdout, training.seed)
    split = split_for(rows, test, training)
    check_trainable(part_of(rows, split, "train"), store.labels, experiment.modality, 1, official)
    store.check_shards(progress)
    with claimed(out):
        finished = _open_run(out, experiment, store)
        if finished:
            _, metadata = load_checkpoint(out / CHECKPOINT_NAME)
        else:
            from avemotion.training.trainer import train  # Lightning takes seconds to load

            train(store, split, experiment, out, progress)
            metadata = _finish_run(out, store)
    _become_latest(out)
    return FitReport(
        checkpoint=out / CHECKPOINT_NAME,
        metadata=metadata,
        clips=sum(len(part_of(rows, split, part)) for part in ("train", "validation")),
        left_out=len(everyone) - len(rows),
        was_finished=finished,
        without_effect=left_out(store, inputs, training),
    )


def _open_run(out: Path, experiment: ExperimentSettings, store: FeatureStore) -> bool:
    """Write ``run.json`` into a new run's folder; return whether this run is already finished.

    Raises:
        UsageError: The folder holds a run with other settings or data, or a run that other versions
            of the packages began that split the actors.
    """
    path = out / "run.json"
    run = {
        "experiment": experiment.to_dict(),
        "data": store.content_hash(),
        "encoders": [asdict(one) for one in store.encoders_of(names_of(inputs_of(experiment)))],
        "split_versions": split_versions(),
        "finished": False,
    }
    if not path.exists():
        write_json(path, run)
        return False
    found = read_json(path, f"Remove {out}, or give another --out.")
    if found.get("data") != run["data"]:
        raise UsageError(
            f"{out} holds a run on other data than {store.directory}. "
            "Give another --out, or remove that folder."
        )
    if found.get("encoders") != run["encoders"]:
        raise UsageError(
            f"{out} holds a run on embeddings that other weights made than those in "
            f"{store.directory}. Give another --out, or remove that folder."
        )
    if found.get("experiment") != run["experiment"]:
        changed = differences(found.get("experiment"), run["experiment"])
        raise UsageError(
            f"{out} holds a run with other settings (its setting -> yours):\n  "
            + "\n  ".join(changed)
            + "\nGive another --out, or remove that folder."
            + precision_advice(changed)
        )
    if not found.get("finished") and found.get("split_versions") != run["split_versions"]:
        changed = differences(found.get("split_versions"), run["split_versions"])
        raise UsageError(
            f"{out} holds a run that other versions began, which may split the actors otherwise "
            "(its version -> yours):\n  "
            + "\n  ".join(changed)
            + "\nInstall its versions to go on, or give another --out to start anew."
        )
    return bool(found.get("finished"))


def _finish_run(out: Path, store: FeatureStore) -> CheckpointMetadata:
    """Score worse recordings, draw curves and answers, write the card, mark the run as finished."""
    from avemotion.training.recording_ranges import recording_ranges
    from avemotion.training.resumption import forget_state

    network, metadata = load_checkpoint(out / CHECKPOINT_NAME)
    metadata = replace(metadata, recordings=recording_ranges(store, network, metadata))
    save_checkpoint(out / CHECKPOINT_NAME, network, metadata)
    with (out / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    kind = model_class(metadata.experiment.model)
    title = f"{kind.about.title}, {metadata.experiment.modality}" + (
        " (synthetic data)" if metadata.synthetic else ""
    )
    draw_curves(rows, metadata.epoch, title, out / "curves.png")
    draw_answers(store, network, metadata, out / ANSWERS_NAME)
    card = model_card(store, metadata, sum(p.numel() for p in network.parameters()))
    write_atomically(out / CARD_NAME, lambda path: path.write_text(card, encoding="utf-8"))
    run = read_json(out / "run.json", f"Remove {out} and fit again.")
    write_json(out / "run.json", run | {"finished": True})
    forget_state(out)
    return metadata


def _become_latest(out: Path) -> None:
    """Point ``runs/latest`` to the run, if it is in a folder ``runs``."""
    run = out.resolve()  # where `out` is the link itself, the run that it points to
    runs = next((p for p in run.parents[:2] if p.name == LATEST.parent.name), None)
    if runs is None or run == runs / LATEST.name:
        return
    link = runs / f".{LATEST.name}.partial"
    link.unlink(missing_ok=True)
    link.symlink_to(run.relative_to(runs))
    link.replace(runs / LATEST.name)


def draw_curves(
    rows: Sequence[Mapping[str, float]], best_epoch: int, title: str, path: Path
) -> None:
    """Draw the rows of ``metrics.csv`` as a PNG.

    Args:
        rows: One mapping for each epoch, with ``epoch``, ``train_loss``, ``train_accuracy`` and, if
            there are validation actors, ``val_loss``, ``val_accuracy`` and ``val_uar``.
        best_epoch: Epoch that was kept; a line marks it.
        title: Title of the figure.
        path: File to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot: no display, no global state
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, scores = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    names = {
        losses: {"train_loss": "training (augmented)", "val_loss": "validation actors"},
        scores: {
            "train_accuracy": "accuracy, training (augmented)",
            "val_accuracy": "accuracy (WAR), validation actors",
            "val_uar": "mean recall (UAR), validation actors",
            "val_unit_f1": "F1 of action units, validation actors",
        },
    }
    for axes, lines in names.items():
        for column, label in lines.items():
            if column in rows[0]:
                axes.plot(epochs, [row[column] for row in rows], label=label)
        axes.axvline(best_epoch, color="grey", linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    losses.set_ylabel("cross-entropy")
    scores.set_ylabel("score")
    scores.set_ylim(0, 1)
    figure.suptitle(title)
    write_atomically(path, lambda p: figure.savefig(p, format="png", dpi=120))
