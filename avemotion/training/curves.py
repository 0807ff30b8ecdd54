"""The picture of a training run: loss and scores over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from avemotion.files import write_atomically


def draw_curves(
    rows: Sequence[Mapping[str, float]], best_epoch: int, title: str, path: Path
) -> None:
    """Draw the rows of ``metrics.csv`` as a PNG.

    Args:
        rows: One mapping an epoch, with ``epoch``, ``train_loss`` and perhaps ``val_...``.
        best_epoch: The epoch that was kept; marked.
        title: Says what was trained.
        path: Where the picture goes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, scores = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    names = {
        losses: {"train_loss": "training (augmented)", "val_loss": "validation actors"},
        scores: {"val_accuracy": "accuracy (WAR)", "val_uar": "mean recall (UAR)"},
    }
    for axes, lines in names.items():
        for column, label in lines.items():
            if column in rows[0]:
                axes.plot(epochs, [row[column] for row in rows], label=label)
        axes.axvline(best_epoch, color="grey", linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.set_xlabel("epoch")
        axes.legend()
    losses.set_ylabel("cross-entropy")
    scores.set_ylabel("score on validation actors")
    scores.set_ylim(0, 1)
    figure.suptitle(title)
    write_atomically(path, lambda p: figure.savefig(p, format="png", dpi=120))
