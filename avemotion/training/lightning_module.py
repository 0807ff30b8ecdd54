"""How AR5 learns: one LightningModule for av, video and audio."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_accuracy

from avemotion.config import ExperimentSettings
from avemotion.data.batch import Batch, ClipInputs
from avemotion.models.ar5 import AR5
from avemotion.training.augmentation import (
    add_sound_noise,
    augment_faces,
    hide_modalities,
    mask_spectrograms,
    mix,
)


class EmotionModule(pl.LightningModule):
    """Training and validation steps of a network; their scores are pure functions."""

    def __init__(self, network: AR5, experiment: ExperimentSettings, classes: int) -> None:
        """Wrap a network.

        Args:
            network: The network to train.
            experiment: Modality, network and training settings.
            classes: Number of emotions.
        """
        super().__init__()
        self.network = network
        self.settings = experiment.training
        self.modality = experiment.modality
        self.classes = classes
        self._validated: list[tuple[Tensor, Tensor]] = []
        self.auxiliary_heads = self._auxiliary_heads(experiment)

    def _auxiliary_heads(self, experiment: ExperimentSettings) -> nn.ModuleList | None:
        """Build a classifier on each branch, so that each learns although the other is easier.

        Without them the branch that learns first takes over (Wang et al., CVPR 2020). They are used
        in training only and are no part of the network.
        """
        if not experiment.training.auxiliary_loss_weight or experiment.modality != "av":
            return None
        sizes = experiment.network.video_features, experiment.network.audio_features
        return nn.ModuleList(nn.Linear(size, self.classes) for size in sizes)

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """Log and return the loss."""
        if number == 0:  # a resumed run draws the same numbers as one that was not interrupted
            torch.manual_seed(self.settings.seed * 100_003 + self.current_epoch + 1)
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.labels))
        return loss

    def loss(self, batch: Batch) -> Tensor:
        """Augment a batch; return its cross-entropy plus the weighted auxiliary losses."""
        inputs, targets = self.augmented(batch)
        embeddings = self.network.embeddings(inputs)
        loss = functional.cross_entropy(self.network.classify(embeddings), targets)
        if self.auxiliary_heads is not None:
            present = inputs.has_face, inputs.has_sound
            for head, embedding, mask in zip(
                self.auxiliary_heads, embeddings, present, strict=True
            ):
                each = functional.cross_entropy(head(embedding), targets, reduction="none")
                loss = loss + self.settings.auxiliary_loss_weight * (each * mask).mean()
        return loss

    def augmented(self, batch: Batch) -> tuple[ClipInputs, Tensor]:
        """Return the augmented inputs, and their targets, float (clip, classes)."""
        s = self.settings
        inputs = batch.inputs()
        if inputs.faces is not None:
            inputs = replace(inputs, faces=augment_faces(inputs.faces, s))
        if inputs.spectrograms is not None:
            inputs = replace(inputs, spectrograms=self._augmented_sound(inputs))
        targets = functional.one_hot(batch.labels, self.classes).float()
        if s.labels == "votes":
            assert batch.votes is not None
            targets = torch.lerp(targets, batch.votes, s.vote_weight)
        targets = targets * (1 - s.label_smoothing) + s.label_smoothing / self.classes
        if s.mixup:
            inputs, targets = mix(inputs, targets, s.mixup)
        if s.modality_dropout and self.modality == "av":
            inputs = hide_modalities(inputs, s.modality_dropout)
        return inputs, targets

    def _augmented_sound(self, inputs: ClipInputs) -> Tensor:
        sound, lengths = inputs.spectrograms, inputs.lengths
        assert sound is not None and lengths is not None and self.network.audio is not None
        if self.settings.sound_noise:
            sound = add_sound_noise(sound, lengths, self.settings.sound_noise)
        if self.settings.spectrogram_masking:
            sound = mask_spectrograms(sound, lengths, self.network.audio.mean)
        return sound

    def validation_step(self, batch: Batch, _: int) -> None:
        """Collect the logits of a batch of the validation actors."""
        self._validated.append((self.network(batch.inputs()).float(), batch.labels))

    def on_validation_epoch_end(self) -> None:
        """Log the scores over all validation clips."""
        logits = torch.cat([x for x, _ in self._validated])
        labels = torch.cat([y for _, y in self._validated])
        self._validated.clear()
        self.log_dict(validation_scores(logits, labels), prog_bar=True)

    def on_train_batch_end(self, *_: Any) -> None:
        """Clamp the weights if `clamp_weights` is set."""
        limit = self.settings.clamp_weights
        if limit is not None:
            with torch.no_grad():
                for parameter in self.network.parameters():
                    parameter.clamp_(-limit, limit)

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its learning rate schedule, one step a batch."""
        s = self.settings
        parameters = list(self.parameters())
        if s.optimizer == "adam":
            optimizer: torch.optim.Optimizer = torch.optim.Adam(parameters, s.learning_rate)
        else:
            # Biases and batch norm (one dimension) are not decayed.
            groups: list[dict[str, Any]] = [
                {"params": [p for p in parameters if p.ndim > 1]},
                {
                    "params": [p for p in parameters if p.ndim <= 1],
                    "weight_decay": 0.0,
                },
            ]
            optimizer = torch.optim.AdamW(groups, s.learning_rate, weight_decay=s.weight_decay)
        if s.schedule == "constant":
            return optimizer
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            s.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=0.15,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def validation_scores(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return cross-entropy, accuracy (WAR) and unweighted mean recall (UAR).

    Args:
        logits: float (clip, classes).
        labels: int64 (clip,), index of the right class.
    """
    classes = logits.shape[1]
    return {
        "val_loss": functional.cross_entropy(logits, labels),
        "val_accuracy": multiclass_accuracy(logits, labels, classes, average="micro"),
        "val_uar": multiclass_accuracy(logits, labels, classes, average="macro"),
    }
