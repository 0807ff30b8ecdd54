"""How a network learns, whatever it is and reads: one LightningModule."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from avemotion.config import TrainingSettings
from avemotion.data.batch import Batch
from avemotion.features.table import feature
from avemotion.models.base import EmotionModel
from avemotion.models.inputs import names_of
from avemotion.training.augmentation import (
    augment_faces,
    heard_anew,
    hide_modalities,
    mask_spectrograms,
    mix,
)
from avemotion.training.lightning import pl


class EmotionModule(pl.LightningModule):
    """Training and validation steps of a network; its task says what they minimise and score."""

    label_weights: Tensor | None

    def __init__(
        self,
        network: EmotionModel,
        settings: TrainingSettings,
        label_weights: Tensor | None = None,
    ) -> None:
        """Wrap a network.

        Args:
            network: The network to train.
            settings: How it is trained.
            label_weights: float (label,): what each label counts in the loss of the validation
                clips and, with `balance` weights, of the training clips.
        """
        super().__init__()
        self.register_buffer("label_weights", label_weights, persistent=False)
        self.network = network
        self.task = network.task
        self.settings = settings
        self._accuracy = torch.zeros(())
        self._validated: list[tuple[Tensor, Tensor]] = []
        self._plateau: torch.optim.lr_scheduler.ReduceLROnPlateau | None = None
        self._resumed_plateau: dict[str, Any] | None = None
        averaging = partial(_moving_average, decay=settings.weight_averaging)
        self._averaged = (
            AveragedModel(network, avg_fn=averaging, use_buffers=True)
            if settings.weight_averaging
            else None
        )
        self.auxiliary_heads = self._auxiliary_heads()

    def _auxiliary_heads(self) -> nn.ModuleDict | None:
        """Build a classifier on each branch, so that each learns although the other is easier.

        Without them the branch that learns first takes over (Wang et al., CVPR 2020). They are used
        in training only and are no part of the network.
        """
        sizes = self.network.embedding_sizes
        if not self.settings.auxiliary_loss_weight or len(sizes) < 2:
            return None
        outputs = len(self.task.outputs)
        return nn.ModuleDict({stream: nn.Linear(size, outputs) for stream, size in sizes.items()})

    @property
    def kept(self) -> EmotionModel:
        """The model that is validated and kept: with `weight_averaging` the averaged one."""
        if self._averaged is None:
            return self.network
        assert isinstance(self._averaged.module, EmotionModel)
        return self._averaged.module

    def training_step(self, batch: Batch[Tensor], number: int) -> Tensor:
        """Log the loss and the accuracy on the augmented clips; return the loss."""
        if number == 0:  # a resumed run draws the same numbers as one that was not interrupted
            torch.manual_seed(self.settings.seed * 100_003 + self.current_epoch + 1)
        loss = self.loss(batch)
        for name, value in (("train_loss", loss), ("train_accuracy", self._accuracy)):
            self.log(name, value, on_step=False, on_epoch=True, batch_size=len(batch))
        return loss

    def loss(self, batch: Batch[Tensor]) -> Tensor:
        """Augment a batch; return the loss of its task plus the weighted auxiliary losses."""
        clips, targets = self.augmented(batch)
        weights = self.label_weights if self.settings.balance == "weights" else None
        if share := self.network.votes_share:
            labels, votes = targets.chunk(2, dim=1)
            logits, vote_logits = self.network.both_logits(clips)
            self._score(logits, labels)
            loss = self.task.loss(logits, labels, weights=weights)
            return torch.lerp(loss, self.task.loss(vote_logits, votes, weights=weights), share)
        embeddings = {} if self.auxiliary_heads is None else self.network.embeddings(clips)
        logits = self.network.classify(embeddings) if embeddings else self.network(clips)
        self._score(logits, targets)
        loss = self.task.loss(logits, targets, weights=weights)
        if self.auxiliary_heads is None:
            return loss
        for stream, embedding in embeddings.items():
            answers = self.auxiliary_heads[stream](embedding)
            each = self.task.loss(answers, targets, "none", weights)
            weight = self.settings.auxiliary_loss_weight
            loss = loss + weight * (each * clips.present[stream]).mean()
        return loss

    @torch.no_grad()
    def _score(self, logits: Tensor, targets: Tensor) -> None:
        """Keep the share of clips whose most probable label has the largest part of the target."""
        n = len(self.task.labels)
        said = self.task.probabilities(logits)[:, :n].argmax(dim=1)
        self._accuracy = (said == targets[:, :n].argmax(dim=1)).float().mean()

    def augmented(self, batch: Batch[Tensor]) -> tuple[Batch[Tensor], Tensor]:
        """Return the augmented clips as the network reads them, and float (clip, output) targets.

        For a network with a second head, the votes stand beside the targets.
        """
        s = self.settings
        # In float32: of a power of 1e-9 bfloat16 leaves nothing beside one of 1.
        with torch.autocast(batch.present["video"].device.type, enabled=False):
            clips = self.network.read(heard_anew(batch, names_of(self.network.inputs), s))
        for name in clips.inputs:
            if feature(name).kind in ("frames", "image"):
                clips = clips.with_inputs(**{name: augment_faces(clips.inputs[name], s)})
            elif feature(name).kind == "spectrogram" and s.spectrogram_masking:
                clips = clips.with_inputs(**{name: self._masked(name, clips)})
        assert batch.targets is not None
        targets = self.task.target(batch.targets, batch.units)
        if s.labels == "votes":
            assert batch.votes is not None
            votes = self.task.beside(batch.votes, batch.units)
            targets = torch.lerp(targets, votes, s.vote_weight)
        targets = self.task.smooth(targets, s.label_smoothing)
        if self.network.votes_share:
            assert batch.votes is not None
            targets = torch.cat([targets, self.task.smooth(batch.votes, s.label_smoothing)], dim=1)
        if s.mixup:
            clips, targets = mix(clips, targets, s.mixup)
        if s.modality_dropout and self.network.modality == "av":
            clips = hide_modalities(clips, s.modality_dropout)
        return clips, targets

    def _masked(self, name: str, clips: Batch[Tensor]) -> Tensor:
        sound, lengths = clips.inputs[name], clips.lengths[name]
        return mask_spectrograms(sound, lengths, self.network.masked_value(name))

    def validation_step(self, batch: Batch[Tensor], _: int) -> None:
        """Collect the logits of a batch of the validation actors."""
        assert batch.targets is not None
        logits = self.kept(self.kept.read(batch)).float()
        self._validated.append((logits, self.task.target(batch.targets, batch.units)))

    def on_validation_epoch_end(self) -> None:
        """Log the scores over all validation clips."""
        logits, targets = (torch.cat(part) for part in zip(*self._validated, strict=True))
        self._validated.clear()
        scores = self.task.scores(logits, targets, self.label_weights)
        self.log_dict({f"val_{name}": value for name, value in scores.items()}, prog_bar=True)
        if self._plateau is not None:  # here, since Lightning saves its state before it would step
            self._plateau.step(scores[self.settings.choose_by])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of the plateau for a resumed run."""
        if self._plateau is not None:
            checkpoint["plateau"] = self._plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the state of the plateau over, once the optimizer is there."""
        self._resumed_plateau = checkpoint.get("plateau")

    def on_train_batch_end(self, *_: Any) -> None:
        """Clamp the weights if `clamp_weights` is set; average them if `weight_averaging` is."""
        limit = self.settings.clamp_weights
        if limit is not None:
            with torch.no_grad():
                for parameter in self.network.parameters():
                    # Convolutions and linear layers, not batch norms; nor what is not trained.
                    if parameter.ndim > 1 and parameter.requires_grad:
                        parameter.clamp_(-limit, limit)
        if self._averaged is not None:
            self._averaged.update_parameters(self.network)

    def configure_optimizers(self) -> Any:
        """Return the optimizer and its learning rate schedule, one step a batch."""
        s = self.settings
        parameters = [
            p for n, p in self.named_parameters() if p.requires_grad and not n.startswith("_ave")
        ]
        if s.optimizer == "adam":
            optimizer: torch.optim.Optimizer = torch.optim.Adam(parameters, s.learning_rate)
        elif s.optimizer == "sgd":
            optimizer = torch.optim.SGD(
                parameters, s.learning_rate, 0.9, weight_decay=s.weight_decay, nesterov=True
            )
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
        if s.schedule == "plateau":
            higher_is_better = s.choose_by == "accuracy"
            falling = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, "max" if higher_is_better else "min", 0.2, max(0, s.patience // 3 - 1)
            )
            if self._resumed_plateau:
                falling.load_state_dict(self._resumed_plateau)
            self._plateau = falling
            return optimizer
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            s.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=0.15,
            cycle_momentum=s.optimizer != "sgd",
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def _moving_average(averaged: Tensor, current: Tensor, steps: Tensor, decay: float) -> Tensor:
    """Return the new average; at first it follows fast, so that it forgets the initial weights."""
    if not averaged.is_floating_point():  # a batch norm counts its batches
        return current
    n = float(steps)
    return torch.lerp(current, averaged, min(decay, (1 + n) / (10 + n)))
