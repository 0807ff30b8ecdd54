"""What a training leaves: a row of each epoch, the best checkpoint, and its temperature."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.data.types import Split
from avemotion.errors import AvemotionError
from avemotion.files import write_csv
from avemotion.models.base import EmotionModel, probabilities
from avemotion.models.calibration import fit_temperature
from avemotion.models.checkpoint import load_checkpoint, not_finite, save_checkpoint
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata
from avemotion.training.lightning import pl
from avemotion.training.lightning_module import EmotionModule
from avemotion.training.neutral_threshold import with_threshold
from avemotion.training.resumption import forget_state

_TRIED = 16  # clips that a finished network must answer


class RunRecorder(pl.Callback):
    """Write a row of metrics after each epoch, and the checkpoint if the epoch is the best yet."""

    def __init__(self, out: Path, metadata: CheckpointMetadata) -> None:
        """Record into a folder.

        Args:
            out: The run's folder.
            metadata: Metadata of the checkpoint; epoch and scores are filled in here.
        """
        self.out, self.metadata = out, metadata
        self.rows: list[dict[str, float]] = []
        self.lowest_cost = float("inf")

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs, for Lightning to keep."""
        return {"rows": self.rows, "lowest_cost": self.lowest_cost}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what an interrupted run had recorded."""
        self.rows, self.lowest_cost = state["rows"], state["lowest_cost"]

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Write the row of the epoch, and the checkpoint if it is to be kept.

        Raises:
            AvemotionError: The training diverged, and no earlier epoch is to be kept.
        """
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        assert isinstance(module, EmotionModule)
        self.record(module.kept, trainer.current_epoch + 1, {"learning_rate": rate, **scores})

    def record(self, network: EmotionModel, epoch: int, scores: dict[str, float]) -> None:
        """Write the row of an epoch, and the checkpoint if it is to be kept.

        Args:
            network: The network after it.
            epoch: From 1.
            scores: The cells of the row.

        Raises:
            AvemotionError: The training diverged, and no earlier epoch is to be kept.
        """
        self.rows.append({"epoch": epoch, **scores})
        columns = list(self.rows[0])
        write_csv(self.out / "metrics.csv", columns, ([r[c] for c in columns] for r in self.rows))
        chosen = self.metadata.experiment.training.early_stopping
        diverged = not all(map(math.isfinite, scores.values())) or bool(not_finite(network))
        if diverged and not chosen:
            raise divergence(self.out, self.metadata.experiment.training)
        cost = self._cost(scores) if chosen else -math.inf
        if not diverged and (not chosen or cost < self.lowest_cost):
            self.lowest_cost = cost
            validation = {k: v for k, v in scores.items() if k.startswith("val_")}
            metadata = replace(self.metadata, epoch=epoch, scores=validation)
            save_checkpoint(self.out / CHECKPOINT_NAME, network, metadata)

    def _cost(self, scores: dict[str, float]) -> float:
        """Return what the best epoch has least of: the loss, or the accuracy with a minus."""
        by_loss = self.metadata.experiment.training.choose_by == "loss"
        return scores["val_loss"] if by_loss else -scores["val_accuracy"]


def finished(
    out: Path,
    dataset: ClipDataset,
    validation: DataLoader[Batch[Tensor]] | None,
    settings: TrainingSettings,
) -> CheckpointMetadata:
    """Check the answers of a trained network, and add the temperature to its checkpoint.

    Args:
        out: Folder of the run.
        dataset: Clips, of which it must answer some.
        validation: Batches of the validation clips, if any.
        settings: How it was trained.

    Returns:
        Metadata of the checkpoint.

    Raises:
        AvemotionError: The training diverged.
    """
    network, metadata = load_checkpoint(out / CHECKPOINT_NAME)
    tried = dataset[[(clip, 0) for clip in range(min(_TRIED, len(dataset)))]]
    try:
        probabilities(network, tried.to("cpu"))
        if validation is None:
            return metadata
        logits, targets, wanted = logits_of(network, validation)
        task = network.task
        if task.neutral_below is not None:
            task = with_threshold(task, logits, wanted)
            found = {f"val_{k}": float(v) for k, v in task.scores(logits, wanted).items()}
            metadata = replace(metadata, scores=found | {"val_loss": metadata.scores["val_loss"]})
        shares, _ = task.split(task.checked(task.probabilities(logits).numpy()))
    except AvemotionError as error:
        raise divergence(out, settings) from error
    temperature = fit_temperature(shares, targets.numpy())
    metadata = replace(metadata, task=task, temperature=temperature)
    save_checkpoint(out / CHECKPOINT_NAME, network, metadata)
    return metadata


@torch.inference_mode()
def logits_of(
    network: EmotionModel, clips: Iterable[Batch[Tensor]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a network's logits, the clips' labels, and what a perfect network would answer.

    Returns:
        float32 (clip, output), int64 (clip,), float32 (clip, output).
    """
    logits, targets, wanted = [], [], []
    for batch in clips:
        batch = batch.to("cpu")
        assert batch.targets is not None
        logits.append(network(network.read(batch)).float())
        targets.append(batch.targets)
        wanted.append(network.task.target(batch.targets, batch.units))
    return torch.cat(logits), torch.cat(targets), torch.cat(wanted)


def divergence(out: Path, settings: TrainingSettings) -> AvemotionError:
    """Remove checkpoint and state of a training that diverged; return the error to raise."""
    forget_state(out)
    (out / CHECKPOINT_NAME).unlink(missing_ok=True)
    return AvemotionError(
        f"Training in {out} diverged: its loss, its weights or its answers are not finite. Lower "
        f"--training.learning_rate (it is {settings.learning_rate:g}), and remove that folder or "
        "give another --out."
    )


def initial_metadata(
    store: FeatureStore, split: Split, experiment: ExperimentSettings, network: EmotionModel
) -> CheckpointMetadata:
    """Return the metadata of a run before its first epoch."""
    return CheckpointMetadata(
        experiment=experiment,
        corpus=store.info["corpus"],
        corpus_clips=store.info["clips"],
        task=network.task,
        inputs=network.inputs,
        preprocessing=store.settings,
        split=split,
        epoch=1,
        scores={},
        synthetic=store.synthetic,
        encoders=store.encoders_of(names_of(network.inputs)),
    )
