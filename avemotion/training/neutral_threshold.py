"""Below which probability of all other emotions a face counts as neutral.

Source: N.-C. Ristea, "Emotion recognition using deep neural networks", 2019, section 6.1.1,
experiment E2: neutral "when the scores of the other emotions are very small", without a number.
Here the number is chosen on people who did not train.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from avemotion.config import TrainingSettings
from avemotion.data.task import NEUTRAL, Task
from avemotion.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

UNCHOSEN = 0.5
"""Threshold where there are no validation clips."""

_TRIED = tuple(np.linspace(0.02, 0.98, 49).round(2).tolist())


def learned_task(task: Task, training: TrainingSettings) -> Task:
    """Return what is learned of a store's labels and units: perhaps neutral as what is left.

    Raises:
        UsageError: Neutral cannot be what is left: there are no units, or no such label.
    """
    if training.neutral == "label":
        return task
    if not task.units or NEUTRAL not in task.labels:
        raise UsageError(
            "--training.neutral is rest, which needs action units and the label neutral, but the "
            f"corpus has the units {', '.join(task.units) or 'none'} and the labels "
            f"{', '.join(task.labels)}. Leave it out."
        )
    return replace(task, neutral_below=UNCHOSEN)


def with_threshold(task: Task, logits: Tensor, wanted: Tensor) -> Task:
    """Return a task with the threshold that has the highest mean recall; of equals, the middle one.

    Args:
        task: One with `Task.neutral_below`.
        logits: float (clip, output).
        wanted: float (clip, output): what a perfect network would answer.
    """
    tried = [replace(task, neutral_below=below) for below in _TRIED]
    recalls = np.array([float(one.scores(logits, wanted)["uar"]) for one in tried])
    best = np.flatnonzero(recalls == recalls.max())
    return tried[int(best[len(best) // 2])]
