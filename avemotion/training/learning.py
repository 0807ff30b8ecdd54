"""How a learner without epochs is fitted: once, on all training clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset
from avemotion.models.learner import Learner

if TYPE_CHECKING:
    from avemotion.training.recorder import RunRecorder

_BATCH_CLIPS = 256


def learn(
    model: Learner,
    dataset: ClipDataset,
    validation: DataLoader[Batch[Tensor]] | None,
    recorder: RunRecorder,
) -> None:
    """Fit a learner to the training clips that it chooses, and record it as epoch 1.

    Args:
        model: The learner.
        dataset: The training clips.
        validation: Batches of the validation clips, if any.
        recorder: Writes scores and checkpoint.
    """
    chosen = model.chosen(dataset.targets.numpy())
    views = dataset.views if model.learns_all_views else [1] * len(dataset)
    picks = [(int(clip), view) for clip in chosen for view in range(views[clip])]
    groups = [picks[start : start + _BATCH_CLIPS] for start in range(0, len(picks), _BATCH_CLIPS)]
    clips = [model.read(dataset[group].to("cpu")) for group in groups]
    model.learn_clips(_joined(clips), [dataset.rows[clip].actor for clip, _ in picks])
    model.eval()
    learned = _scores(model, clips)
    scores = {f"train_{name}": learned[name] for name in ("loss", "accuracy")}
    if validation is not None:
        seen = [model.read(batch.to("cpu")) for batch in validation]
        scores |= {f"val_{name}": value for name, value in _scores(model, seen).items()}
    recorder.record(model, 1, scores)


def _joined(batches: list[Batch[Tensor]]) -> Batch[Tensor]:
    """Return all clips as one batch, as a learner reads it."""

    def cat(parts: list[Mapping[Any, Tensor]]) -> dict[Any, Tensor]:
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    return Batch(
        inputs=cat([batch.inputs for batch in batches]),
        present=cat([batch.present for batch in batches]),
        targets=torch.cat([batch.targets for batch in batches if batch.targets is not None]),
    )


def _scores(model: Learner, clips: list[Batch[Tensor]]) -> dict[str, float]:
    logits = torch.cat([model(batch) for batch in clips])
    targets = torch.cat([batch.targets for batch in clips if batch.targets is not None])
    found = model.task.scores(logits, model.task.target(targets))
    return {name: float(value) for name, value in found.items()}
