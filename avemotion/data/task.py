"""What a model predicts: its labels, and all that follows from how many of them a clip has.

Loss, probabilities, decision and scores are chosen here and nowhere else. Importing this module
loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from avemotion.compat import mend_torchvision
from avemotion.data.types import check_labels
from avemotion.errors import AvemotionError, UsageError, require

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["single", "multi"]
"""``single``: a clip has one of the labels; ``multi``: any number of them, as action units."""

THRESHOLD = 0.5
"""A label of a ``multi`` task is predicted where its probability is at least this."""

_TOLERANCE = 1e-3  # of a sum of float32 values


def most_probable(probabilities: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the index of the most probable label in each row of (clip, label), int (clip,)."""
    return np.asarray(probabilities.argmax(axis=1))


@dataclass(frozen=True, slots=True)
class Task:
    """Labels in the order of a model's outputs, and whether a clip has one or several of them.

    Examples:
        >>> import torch
        >>> from avemotion.data.task import Task
        >>> task = Task(("calm", "happy", "sad"))
        >>> probabilities = task.probabilities(torch.tensor([[0.0, 2.0, 1.0]])).numpy()
        >>> task.labels[task.decide(probabilities)[0]]
        'happy'
    """

    labels: tuple[str, ...]
    """Unique and printable; two or more for a ``single`` task."""
    kind: Kind = "single"
    """How many of the labels a clip has."""

    def __post_init__(self) -> None:
        """Refuse labels that no model can have.

        Raises:
            UsageError: The message names the labels or the kind.
        """
        require(self.kind in get_args(Kind), "kind", self.kind, " or ".join(get_args(Kind)))
        try:
            check_labels(self.labels)
        except ValueError as error:
            raise UsageError(f"labels are wrong: {error}.") from error
        if self.kind == "single":
            require(len(self.labels) > 1, "labels", self.labels, "two or more")

    def target(self, indices: Tensor) -> Tensor:
        """Return what a perfect model would answer.

        Args:
            indices: int64 (clip,): index of each clip's label; or, for a ``multi`` task, bool or
                float (clip, label), returned as float.

        Returns:
            float32 (clip, label).
        """
        from torch.nn import functional

        if self.kind == "multi":
            return indices.float()
        return functional.one_hot(indices, len(self.labels)).float()

    def smooth(self, targets: Tensor, share: float) -> Tensor:
        """Take a share of each target and spread it evenly: over all labels, or over yes and no.

        Args:
            targets: float (clip, label).
            share: 0 to 1.
        """
        even = 1 / len(self.labels) if self.kind == "single" else 0.5
        return targets * (1 - share) + share * even

    def loss(
        self,
        logits: Tensor,
        targets: Tensor,
        reduction: str = "mean",
        weights: Tensor | None = None,
    ) -> Tensor:
        """Return the cross-entropy: over the labels, or the mean over each yes or no.

        Args:
            logits: float (clip, label).
            targets: float (clip, label): shares, or probabilities of each label.
            reduction: ``mean`` over the clips, or ``none`` for one value a clip.
            weights: float (label,): what each label counts; None for 1 each.
        """
        from torch.nn import functional

        if self.kind == "single":
            return functional.cross_entropy(logits, targets, weights, reduction=reduction)
        each = functional.binary_cross_entropy_with_logits(
            logits, targets, weights, reduction="none"
        )
        return each.mean() if reduction == "mean" else each.mean(dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return probabilities of logits, float (clip, label)."""
        return logits.softmax(dim=1) if self.kind == "single" else logits.sigmoid()

    def decide(self, probabilities: NDArray[np.floating]) -> NDArray[np.intp] | NDArray[np.bool_]:
        """Return what is predicted.

        Args:
            probabilities: (clip, label).

        Returns:
            int (clip,), the index of the most probable label; for a ``multi`` task bool
            (clip, label): probabilities from `THRESHOLD` on.
        """
        if self.kind == "multi":
            return np.asarray(probabilities >= THRESHOLD)
        return most_probable(probabilities)

    def scores(
        self, logits: Tensor, targets: Tensor, weights: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the loss, and how many labels are right.

        Args:
            logits: float (clip, label).
            targets: float (clip, label).
            weights: float (label,): what each label counts in the loss.

        Returns:
            ``loss``; ``accuracy``, of clips (WAR) or, for a ``multi`` task, of all yes and no; and
            ``uar``, the unweighted mean over the labels that occur: of their recalls, or of the F1
            of a ``multi`` task, which is then called ``f1``.
        """
        mend_torchvision()  # which torchmetrics imports
        from torchmetrics.functional import classification

        loss = self.loss(logits, targets, weights=weights)
        if self.kind == "multi":
            n, answers = len(self.labels), self.probabilities(logits)
            wanted = targets.round().long()
            accuracy = classification.multilabel_accuracy(answers, wanted, n, average="micro")
            f1 = classification.multilabel_f1_score(answers, wanted, n, average="macro")
            return {"loss": loss, "accuracy": accuracy, "f1": f1}
        n, wanted = len(self.labels), targets.argmax(dim=1)
        accuracy = classification.multiclass_accuracy(logits, wanted, n, average="micro")
        uar = classification.multiclass_accuracy(logits, wanted, n, average="macro")
        return {"loss": loss, "accuracy": accuracy, "uar": uar}

    def checked(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a model's answers, or refuse them: one that diverged must not look sure.

        Args:
            probabilities: (clip, label).

        Raises:
            AvemotionError: A row is not finite or out of range, or does not sum to 1 where a clip
                has one label.
        """
        if probabilities.shape[1:] != (len(self.labels),):
            raise AvemotionError(
                f"The model answers an array of shape {probabilities.shape}, but has "
                f"{len(self.labels)} labels: it is damaged. Use another model."
            )
        with np.errstate(invalid="ignore"):  # infinity less infinity
            right = ((probabilities >= 0) & (probabilities <= 1 + _TOLERANCE)).all(axis=1)
            if self.kind == "single":
                right &= np.abs(probabilities.sum(axis=1) - 1) <= _TOLERANCE
        if not right.all():
            answer = ", ".join(f"{value:.3g}" for value in probabilities[~right][0])
            rule = "sum to 1" if self.kind == "single" else "lie from 0 to 1"
            raise AvemotionError(
                f"The model answers {answer}, but probabilities must be finite and {rule}: it is "
                "damaged, or its training diverged. Use another model, or train it anew."
            )
        return probabilities
