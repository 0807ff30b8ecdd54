"""Below which probability of all other emotions a face counts as neutral.

Source: N.-C. Ristea, "Emotion recognition using deep neural networks", 2019, section 6.1.1,
experiment E2: neutral "when the scores of the other emotions are very small", without a number.
Here the number is chosen on people who did not train.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from avemotion.data.task import Task

UNCHOSEN = 0.5
"""Threshold where there are no validation clips."""

_TRIED = tuple(np.linspace(0.02, 0.98, 49).round(2).tolist())


def with_threshold(task: Task, logits: Tensor, targets: Tensor) -> Task:
    """Return a task with the threshold that has the highest mean recall; of equals, the middle one.

    Args:
        task: One with `Task.neutral_below`.
        logits: float (clip, output).
        targets: int64 (clip,): index of each clip's label.
    """
    wanted = task.target(targets, torch.zeros(len(targets), len(task.units)))
    tried = [replace(task, neutral_below=below) for below in _TRIED]
    recalls = np.array([float(one.scores(logits, wanted)["uar"]) for one in tried])
    best = np.flatnonzero(recalls == recalls.max())
    return tried[int(best[len(best) // 2])]
