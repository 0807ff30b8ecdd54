"""Many clips of one setting: what a model says of all of them alike is no emotion.

In a room, with a microphone or of a speaker that it has never heard, a model leans to some
emotions. The mean log-probabilities over many unlabelled clips show to which, and are taken out:
each emotion is taken to be as frequent as any other among the clips. No label is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FaceChoice
from avemotion.errors import UsageError, counted
from avemotion.inference.prediction import ClipFailure, Prediction
from avemotion.inference.timeline_rows import most_probable

FEWEST_CLIPS = 20
"""Clips that must be answered from a modality, so that their mean says something."""

_LEAST = 1e-6  # a probability of 0 would decide the mean alone


@dataclass(frozen=True, slots=True)
class Adaptation:
    """How a model leans on the clips of a setting."""

    means: Mapping[str, NDArray[np.float64]]
    """Modality -> mean log-probability of each label, (label,)."""
    clips: Mapping[str, int]
    """Modality -> clips that were answered from it."""

    @classmethod
    def to(cls, predictions: Iterable[Prediction | ClipFailure]) -> Adaptation:
        """Return how a model leans.

        Args:
            predictions: Its answers, not adapted, to clips of one setting, in which each emotion is
                about as frequent as any other.

        Raises:
            UsageError: Fewer than `FEWEST_CLIPS` were answered from each modality.
        """
        found: dict[str, list[dict[str, float]]] = {}
        for one in predictions:
            if isinstance(one, Prediction):
                for modality, shares in {one.modality: one.probabilities, **one.parts}.items():
                    found.setdefault(modality, []).append(shares)
        enough = {m: shares for m, shares in found.items() if len(shares) >= FEWEST_CLIPS}
        if not enough:
            most = max(map(len, found.values()), default=0)
            raise UsageError(
                f"Only {counted(most, 'clip')} could be answered, but adapting needs "
                f"{FEWEST_CLIPS} or more of one setting. Give more clips, or leave --adapt out."
            )
        return cls(
            {m: lean_of(_table(shares)) for m, shares in enough.items()},
            {m: len(shares) for m, shares in enough.items()},
        )

    def applied(self, prediction: Prediction) -> Prediction:
        """Return a prediction with what the model says of all clips taken out, and a note."""
        if prediction.modality not in self.means:
            few = f"fewer than {FEWEST_CLIPS} clips were answered from {prediction.modality}"
            return replace(prediction, warnings=(*prediction.warnings, f"not adapted: {few}"))
        shares = self._without_lean(prediction.modality, prediction.probabilities)
        note = (
            f"adapted to {self.clips[prediction.modality]} unlabelled clips, each emotion taken to "
            "be as frequent as any other"
        )
        return replace(
            prediction,
            label=most_probable(shares),
            probabilities=shares,
            parts={m: self._without_lean(m, p) for m, p in prediction.parts.items()},
            reliability=None,  # it is of answers that are not adapted
            strongest_windows=(),  # of a long clip: they are of the answers before
            warnings=(*prediction.warnings, note),
        )

    def _without_lean(self, modality: str, shares: dict[str, float]) -> dict[str, float]:
        if modality not in self.means:
            return shares
        (found,) = without_lean(_table([shares]), self.means[modality])
        return dict(zip(shares, found.tolist(), strict=True))


def check_adapts(adapt: bool, face: FaceChoice) -> None:
    """Refuse to adapt to faces in place of clips: one person in many frames would weigh double.

    Raises:
        UsageError: Both are asked for.
    """
    if adapt and face == "all":
        raise UsageError("--adapt does not go with --face all: leave one of them out.")


def adapted(answers: Sequence[Prediction | ClipFailure]) -> list[Prediction | ClipFailure]:
    """Return all answers to clips of one setting, the predictions adapted to it.

    Raises:
        UsageError: There are too few.
    """
    setting = Adaptation.to(answers)
    return [setting.applied(one) if isinstance(one, Prediction) else one for one in answers]


def lean_of(shares: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mean log-probabilities, (label,), of clips, float (clip, label)."""
    return np.asarray(_logs(shares).mean(axis=0))


def without_lean(shares: NDArray[np.floating], lean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take mean log-probabilities, (label,), out of the answers to clips, float (clip, label)."""
    logits = _logs(shares) - lean
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _logs(shares: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.log(np.maximum(shares.astype(np.float64), _LEAST))


def _table(shares: Sequence[dict[str, float]]) -> NDArray[np.float64]:
    return np.array([list(one.values()) for one in shares])
