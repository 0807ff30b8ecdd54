"""What a model of pictures calls what: pictures in rows by its answer, or by the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avemotion.data.dataset import ClipDataset
from avemotion.data.splits import part_of
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.task import most_probable
from avemotion.files import write_atomically
from avemotion.models.base import EmotionModel, probabilities
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CheckpointMetadata

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ANSWERS_NAME = "answers.png"
"""File name in the folder of a run."""

_COLUMNS = 12  # pictures of each answer
_ASKED = 1_000  # pictures, at most
_BATCH = 64


def draw_answers(
    store: FeatureStore, model: EmotionModel, metadata: CheckpointMetadata, path: Path
) -> None:
    """Draw random pictures by the model's answer, each with its label above it, wrong ones in red.

    The pictures are of the validation people where there are any, else of those that trained. Of
    K-Means an answer is a cluster.

    Args:
        store: Where the pictures are; nothing is drawn if the model reads no picture.
        model: The model, in evaluation mode.
        metadata: Of its checkpoint.
        path: The PNG.
    """
    if names_of(model.inputs) != ("image",):
        return
    usable = store.usable(metadata.experiment.modality)
    validation = part_of(usable, metadata.split, "validation")
    rows = validation or part_of(usable, metadata.split, "train")
    rows = in_random_order(rows)[:_ASKED]
    answers = _answers(store, rows, model)
    who = "validation" if validation else "training"
    title = f"{metadata.experiment.model}: answers to pictures of the {who} part"
    _draw(store, rows, answers, title, path)


def in_random_order(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Return pictures in an order that is always the same; those of a store are often by label."""
    return [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]


def _answers(store: FeatureStore, rows: Sequence[ManifestRow], model: EmotionModel) -> list[str]:
    dataset = ClipDataset(store, rows, names_of(model.inputs))
    found: list[str] = []
    for start in range(0, len(rows), _BATCH):
        picks = [(i, 0) for i in range(start, min(start + _BATCH, len(rows)))]
        shares, _ = model.task.split(probabilities(model, dataset[picks]))
        found += [model.task.labels[index] for index in most_probable(shares)]
    return found


def _draw(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    answers: Sequence[str],
    title: str,
    path: Path,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    labels = store.labels
    figure = Figure(figsize=(_COLUMNS, 1.25 * len(labels) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid: Any = figure.subplots(len(labels), _COLUMNS, squeeze=False)
    for line, label in zip(grid, labels, strict=True):
        mine = [row for row, answer in zip(rows, answers, strict=True) if answer == label]
        line[0].text(
            -0.15, 0.5, f"{label}\n{len(mine)}", transform=line[0].transAxes, ha="right",
            va="center", fontsize=10, weight="bold",
        )  # fmt: skip
        for number, axes in enumerate(line):
            axes.set_axis_off()
            if number < len(mine):
                _show(axes, store, mine[number], label)
    figure.suptitle(f"{title} (how many of {len(rows)}; above each picture its label)")
    write_atomically(path, lambda p: figure.savefig(p, format="png", dpi=80))


def _show(axes: Axes, store: FeatureStore, row: ManifestRow, answer: str) -> None:
    axes.imshow(store.read(row, "image")[0], cmap="gray", vmin=0, vmax=255)
    colour = "black" if row.emotion == answer else "#b02a4c"
    axes.set_title(row.emotion, fontsize=7, pad=2, color=colour)
