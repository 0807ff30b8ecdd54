"""What a model predicts: one label a clip and, where a corpus has them, its action units.

Loss, probabilities, decision and scores are chosen here and nowhere else. Importing this module
loads no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from avemotion.compat import mend_torchvision
from avemotion.data.types import check_labels
from avemotion.errors import AvemotionError, UsageError, require

if TYPE_CHECKING:
    from torch import Tensor

NEUTRAL = "neutral"
"""The label that a task with `Task.neutral_below` answers where the others are improbable."""

_TOLERANCE = 1e-3  # of a sum of float32 values


def most_probable(probabilities: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the index of the most probable label in each row of (clip, label), int (clip,)."""
    return np.asarray(probabilities.argmax(axis=1))


@dataclass(frozen=True, slots=True)
class Task:
    """Labels in the order of a model's outputs, of which a clip has one, then action units.

    Without units, the probabilities are a softmax. With them each output is a yes or no of its own
    (Ristea 2019, section 6.1: 22 sigmoids), and those of the labels are divided by their sum.

    Examples:
        >>> import torch
        >>> from avemotion.data.task import Task, most_probable
        >>> task = Task(("calm", "happy", "sad"))
        >>> probabilities = task.probabilities(torch.tensor([[0.0, 2.0, 1.0]])).numpy()
        >>> task.labels[most_probable(probabilities)[0]]
        'happy'
    """

    labels: tuple[str, ...]
    """Two or more, unique and printable."""
    units: tuple[str, ...] = ()
    """Action units, of which a clip has any number: AU12."""
    neutral_below: float | None = None
    """Probability of every other label, before they are divided by their sum, below which the
    answer is neutral, whose own output is then not used (Ristea 2019, experiment E2); None where
    neutral is a label like any other (E1)."""

    def __post_init__(self) -> None:
        """Refuse labels and units that no model can have.

        Raises:
            UsageError: The message names what is wrong.
        """
        for name, texts in (("labels", self.labels), ("units", self.units)):
            try:
                if texts or name == "labels":
                    check_labels(texts)
            except ValueError as error:
                raise UsageError(f"{name} are wrong: {error}.") from error
        require(len(self.labels) > 1, "labels", self.labels, "two or more")
        if both := {*self.labels} & {*self.units}:
            raise UsageError(f"{min(both)!r} is both a label and a unit.")
        if self.neutral_below is not None:
            require(0 < self.neutral_below < 1, "neutral_below", self.neutral_below, "from 0 to 1")
            if not self.units or NEUTRAL not in self.labels:
                raise UsageError(
                    "The answer can be neutral where all else is improbable only if neutral is a "
                    f"label and there are action units. Labels: {', '.join(self.labels)}; units: "
                    f"{', '.join(self.units) or 'none'}."
                )

    @property
    def outputs(self) -> tuple[str, ...]:
        """What a model answers: the labels, then the units."""
        return self.labels + self.units

    def target(self, indices: Tensor, units: Tensor | None = None) -> Tensor:
        """Return what a perfect model would answer.

        Args:
            indices: int64 (clip,): index of each clip's label.
            units: float (clip, unit): 1 for those it has; None without units.

        Returns:
            float32 (clip, output).
        """
        from torch.nn import functional

        return self.beside(functional.one_hot(indices, len(self.labels)).float(), units)

    def beside(self, shares: Tensor, units: Tensor | None) -> Tensor:
        """Set units beside the shares of the labels, float (clip, label): float (clip, output)."""
        import torch

        return shares if units is None else torch.cat([shares, units], dim=1)

    def smooth(self, targets: Tensor, share: float) -> Tensor:
        """Take a share of each target and spread it evenly: over all labels, or over yes and no.

        Args:
            targets: float (clip, output).
            share: 0 to 1.
        """
        even = 0.5 if self.units else 1 / len(self.labels)
        return targets * (1 - share) + share * even

    def loss(
        self,
        logits: Tensor,
        targets: Tensor,
        reduction: str = "mean",
        weights: Tensor | None = None,
    ) -> Tensor:
        """Return the cross-entropy: over the labels; with units the mean over each yes or no.

        Args:
            logits: float (clip, output).
            targets: float (clip, output): shares, or probabilities of each output.
            reduction: ``mean`` over the clips, or ``none`` for one value a clip.
            weights: float (label,): what each label counts; None for 1 each.
        """
        from torch.nn import functional

        if not self.units:
            return functional.cross_entropy(logits, targets, weights, reduction=reduction)
        counts = logits.new_ones(len(self.outputs))
        if weights is not None:
            counts[: len(self.labels)] = weights
        if self.neutral_below is not None:
            counts[self.labels.index(NEUTRAL)] = 0.0
        each = functional.binary_cross_entropy_with_logits(
            logits, targets, counts, reduction="none"
        )
        return each.mean() if reduction == "mean" else each.mean(dim=1)

    def probabilities(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """Return probabilities of logits, float (clip, output); those of the labels sum to 1.

        Args:
            logits: float (clip, output).
            temperature: Divides the logits of the labels: see `avemotion.models.calibration`.
        """
        import torch
        from torch.nn import functional

        if not self.units:
            return (logits / temperature).softmax(dim=1)
        labels, units = logits[:, : len(self.labels)], logits[:, len(self.labels) :]
        shares = functional.logsigmoid(labels)
        if self.neutral_below is not None:
            threshold = torch.full_like(shares[:, :1], math.log(self.neutral_below))
            at = self.labels.index(NEUTRAL)
            shares = torch.cat([shares[:, :at], threshold, shares[:, at + 1 :]], dim=1)
        return torch.cat([(shares / temperature).softmax(dim=1), units.sigmoid()], dim=1)

    def split(
        self, probabilities: NDArray[np.floating]
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return the probabilities of the labels and those of the units: (clip, ...) each."""
        return probabilities[:, : len(self.labels)], probabilities[:, len(self.labels) :]

    def scores(
        self, logits: Tensor, targets: Tensor, weights: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the loss, and how many labels are right.

        Args:
            logits: float (clip, output).
            targets: float (clip, output).
            weights: float (label,): what each label counts in the loss.

        Returns:
            ``loss``; ``accuracy`` (WAR); ``uar``, the unweighted mean recall over the labels that
            occur; and with units ``unit_f1``, the mean F1 of those that some clip has, at a
            probability of 0.5.
        """
        mend_torchvision()  # which torchmetrics imports
        from torchmetrics.functional import classification

        n, found = len(self.labels), self.probabilities(logits)
        wanted = targets[:, :n].argmax(dim=1)
        scores = {
            "loss": self.loss(logits, targets, weights=weights),
            "accuracy": classification.multiclass_accuracy(
                found[:, :n], wanted, n, average="micro"
            ),
            "uar": classification.multiclass_accuracy(found[:, :n], wanted, n, average="macro"),
        }
        if self.units:
            has, said = (targets[:, n:] >= 0.5).float(), (found[:, n:] >= 0.5).float()
            f1 = 2 * (has * said).sum(dim=0) / (has.sum(dim=0) + said.sum(dim=0)).clamp(min=1)
            there = has.any(dim=0)
            scores["unit_f1"] = f1[there].mean() if there.any() else f1.new_zeros(())
        return scores

    def checked(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a model's answers, or refuse them: one that diverged must not look sure.

        Args:
            probabilities: (clip, output).

        Raises:
            AvemotionError: A row is not finite or out of range, or the labels do not sum to 1.
        """
        if probabilities.shape[1:] != (len(self.outputs),):
            raise AvemotionError(
                f"The model answers an array of shape {probabilities.shape}, but has "
                f"{len(self.outputs)} outputs: it is damaged. Use another model."
            )
        with np.errstate(invalid="ignore"):  # infinity less infinity
            right = ((probabilities >= 0) & (probabilities <= 1 + _TOLERANCE)).all(axis=1)
            shares, _ = self.split(probabilities)
            right &= np.abs(shares.sum(axis=1) - 1) <= _TOLERANCE
        if not right.all():
            answer = ", ".join(f"{value:.3g}" for value in probabilities[~right][0])
            raise AvemotionError(
                f"The model answers {answer}, but probabilities must be finite and sum to 1 (units "
                "aside): it is damaged, or its training diverged. Use another model, or train it "
                "anew."
            )
        return probabilities
