"""The end of a run: what is measured, drawn and written once a model is trained."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from avemotion.data.splits import actors_of, part_of
from avemotion.data.store import FeatureStore
from avemotion.errors import counted
from avemotion.files import write_atomically
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint
from avemotion.models.late import Late
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata
from avemotion.models.registry import model_class
from avemotion.models.reliability import Reliability
from avemotion.training.answered_pictures import ANSWERS_NAME, draw_answers
from avemotion.training.initial_weights import seen_before
from avemotion.training.model_card import CARD_NAME, model_card
from avemotion.training.recording_ranges import recording_ranges, training_spaces


def finish(out: Path, store: FeatureStore) -> CheckpointMetadata:
    """Score worse recordings, draw curves and answers, and write the card."""
    network, metadata = load_checkpoint(out / CHECKPOINT_NAME)
    metadata = replace(
        metadata,
        recordings=recording_ranges(store, network, metadata),
        spaces=training_spaces(store, metadata),
        reliability=_reliability(store, metadata),
    )
    save_checkpoint(out / CHECKPOINT_NAME, network, metadata)
    with (out / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    kind = model_class(metadata.experiment.model)
    title = f"{kind.about.title}, {metadata.experiment.modality}" + (
        " (synthetic data)" if metadata.synthetic else ""
    )
    draw_curves(rows, metadata.epoch, title, out / "curves.png")
    draw_answers(store, network, metadata, out / ANSWERS_NAME)
    parameters = sum(p.numel() for p in network.parameters())
    pooled = network.pooled() if isinstance(network, Late) else ()
    card = model_card(store, metadata, parameters, pooled)
    write_atomically(out / CARD_NAME, lambda path: path.write_text(card, encoding="utf-8"))
    return metadata


def _reliability(store: FeatureStore, metadata: CheckpointMetadata) -> tuple[Reliability, ...]:
    """Return what the validation clips say of the model's answers.

    Nothing without such clips, or where some of them trained the weights that it began with.
    """
    experiment = metadata.experiment
    recall = metadata.scores.get("val_uar")
    if recall is None or seen_before(store, metadata):
        return ()
    rows = part_of(store.usable(experiment.modality), metadata.split, "validation")
    actors = f" of {counted(len(actors_of(rows)), 'actor')}"
    people = ", whose people may have trained it" if metadata.split.unit == "part" else actors
    kind, chose = model_class(experiment.model), ""
    if experiment.training.early_stopping and kind.learns_in_epochs:
        chose = ", which also chose the epoch"
    elif kind.composed:
        chose = ", on which the members' weights were fitted"
    words = f"{counted(len(rows), 'validation clip')}{people}, {metadata.corpus_in_words}{chose}"
    return (Reliability(experiment.modality, recall, words),)


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
