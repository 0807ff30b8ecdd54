"""Logistic regression on embeddings of frozen encoders: of the voice, of the face, or of both.

Each value is standardised over the training clips. The strength is chosen among the training actors
alone, by cross-validation over groups of them, and so are the weights of face and voice: their
log-probabilities are added (log-linear pooling), each times a weight that fits best the answers to
actors that were left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from avemotion.config import Modality, Stream
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.errors import UsageError, require, require_types
from avemotion.features.table import feature
from avemotion.models.base import About
from avemotion.models.inputs import Input, embedding_inputs
from avemotion.models.learner import Learner
from avemotion.models.pooling import pooling_weights
from avemotion.models.standardisation import mean_and_scale

SEED = 0
"""Seed of the groups of training actors."""
_ARRAYS = ("mean", "scale", "coefficients", "intercepts", "pooling")
"""What is kept of each stream: float32 (value,), (value,), (label, value), (label,), and the weight
of its log-probabilities alone and beside the other stream's, (2,)."""
_TOLERANCE = 1e-3  # of the gradient; a tenth of it changes no answer, and takes twice as long
_ITERATIONS = 1000
_LEAST = -16.0  # logarithm of the probability of a label that no training clip of a group has


@dataclass(frozen=True)
class ProbeSettings:
    """The embeddings, and how the regression is fitted."""

    voice: str = "moonshine-tiny"
    """Encoder of the voice, of which the store has embeddings (`avemotion embed`)."""
    face: str = "avemotion-1-face"
    """Encoder of the face, of which the store has embeddings, too."""
    strengths: tuple[float, ...] = (0.0003, 0.001, 0.003)
    """Inverse strengths of the regularisation (C of scikit-learn), of which the best is chosen."""
    groups: int = 4
    """Groups of training actors among which it is chosen."""
    balanced: bool = True
    """Weigh clips so that each label counts the same."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_types(self, "")
        right = self.strengths and all(0 < value <= 1e6 for value in self.strengths)
        require(bool(right), "strengths", self.strengths, "one or more numbers above 0")
        require(2 <= self.groups <= 100, "groups", self.groups, "from 2 to 100")


class Probe(Learner):
    """Its weights are plain arrays: on loading, nothing but numbers is read."""

    Settings = ProbeSettings
    about = About(
        title="Probe",
        source="avemotion; logistic regression (scikit-learn) on embeddings",
        modalities=("audio", "video", "av"),
        extra="speech",
    )
    learns_all_views = True
    exportable = True

    def __init__(self, task: Task, modality: Modality, settings: ProbeSettings) -> None:
        """Make room for the weights; what size they have is known when it is fitted or loaded."""
        super().__init__(task, modality, settings)
        for stream in self._streams():
            for name in _ARRAYS:
                self.register_buffer(f"{stream}_{name}", torch.zeros(0))

    @classmethod
    def answers_alone(cls, settings: ProbeSettings) -> bool:
        """Return that it does: its streams learn apart."""
        return True

    @classmethod
    def reads(cls, modality: Modality, settings: ProbeSettings) -> tuple[Input, ...]:
        """Return the embeddings of what it is to read: see `embedding_inputs`."""
        return embedding_inputs("probe", modality, face=settings.face, voice=settings.voice)

    def _streams(self) -> list[Stream]:
        return [feature(part.name).stream for part in self.inputs]

    def vectors_of(self, batch: Batch[Tensor]) -> dict[Stream, Tensor]:
        """Return the embeddings of each stream side by side, float32 (clip, value)."""
        return {
            stream: batch.inputs[part.name].flatten(1)
            for stream, part in zip(self._streams(), self.inputs, strict=True)
        }

    def typical(self, name: str) -> tuple[Tensor, Tensor] | None:
        """Return mean and deviation of an embedding over the training clips."""
        stream = feature(name).stream
        return getattr(self, f"{stream}_mean"), getattr(self, f"{stream}_scale")

    def forward(self, batch: Batch[Tensor]) -> Tensor:
        """Map a batch from `read` to the logarithms of probabilities, float (clip, label).

        Each clip is answered from what it has; one that has neither, with equal probabilities.
        """
        streams = self._streams()
        there = torch.stack([batch.present[stream] for stream in streams]).float()
        both = (there.sum(dim=0) > 1).long()
        logits = torch.zeros(there.shape[1], len(self.task.labels))
        for stream, vectors, has in zip(
            streams, self.vectors_of(batch).values(), there, strict=True
        ):
            arrays = {name: getattr(self, f"{stream}_{name}") for name in _ARRAYS}
            weight = arrays["pooling"][both] * has
            logits = logits + weight[:, None] * _log_probabilities(arrays, vectors)
        return functional.log_softmax(logits, dim=1)

    def learn_clips(self, clips: Batch[Tensor], actors: Sequence[str]) -> None:
        """Fit the regressions, and choose their strengths and weights.

        Args:
            clips: All training clips, from `read`.
            actors: Who is in each clip; one is never on both sides of a choice.

        Raises:
            UsageError: There are fewer actors than groups.
        """
        assert clips.targets is not None
        s, targets = self.settings, clips.targets.numpy()
        people, most = len(set(actors)), int(np.bincount(targets).max())
        require(people >= s.groups, "--probe.groups", s.groups, f"at most the {people} actors")
        require(s.groups <= most, "--probe.groups", s.groups, f"at most {most} clips")
        left_out = {}
        for stream, vectors in self.vectors_of(clips).items():
            search = _Search(vectors.numpy(), targets, len(self.task.labels), s)
            strength, left_out[stream] = search.best(_groups(targets, actors, s))
            for name, array in search.fit(slice(None), strength).items():
                setattr(self, f"{stream}_{name}", array)
        together = _pooling(left_out, targets, s.balanced)
        for stream, answers in left_out.items():
            alone = _pooling({stream: answers}, targets, s.balanced)
            pair = torch.tensor([alone[stream], together[stream]])
            setattr(self, f"{stream}_pooling", pair)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Take over arrays of any size; `torch.nn.Module.load_state_dict` calls it.

        Raises:
            ValueError: Their sizes do not fit together.
        """
        for stream in self._streams():
            names = [f"{prefix}{stream}_{name}" for name in _ARRAYS]
            found: list[Tensor] = [state_dict[name] for name in names if name in state_dict]
            if len(found) == len(names):  # else the base class says what is missing
                _check_sizes(found, len(self.task.labels))
                for name, array in zip(_ARRAYS, found, strict=True):
                    setattr(self, f"{stream}_{name}", torch.empty_like(array))
        super()._load_from_state_dict(state_dict, prefix, *others)


def _check_sizes(arrays: Sequence[Tensor], labels: int) -> None:
    mean, *_ = arrays
    values = len(mean) if mean.ndim else 0
    wanted = [(values,), (values,), (labels, values), (labels,), (2,)]
    found = [tuple(array.shape) for array in arrays]
    if found != wanted or not values:
        raise ValueError(f"its arrays have the sizes {found}, but must have {wanted}")


def _log_probabilities(arrays: Mapping[str, Tensor], vectors: Tensor) -> Tensor:
    """Return what a regression answers, float32 (clip, label)."""
    standardised = (vectors - arrays["mean"]) / arrays["scale"]
    logits = functional.linear(standardised, arrays["coefficients"], arrays["intercepts"])
    return functional.log_softmax(logits, dim=1)


class _Search:
    """Fits regressions of several strengths to some of the clips of one stream."""

    def __init__(
        self,
        vectors: NDArray[np.float32],
        targets: NDArray[np.int64],
        labels: int,
        settings: ProbeSettings,
    ) -> None:
        self.vectors, self.targets, self.labels, self.settings = vectors, targets, labels, settings

    def best(
        self, groups: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
    ) -> tuple[float, NDArray[np.float32]]:
        """Return the strength that answers best to people left out, and these answers."""
        weights = _clip_weights(self.targets, self.settings.balanced)
        losses, answers = [], []
        for strength in self.settings.strengths:
            found = np.zeros((len(self.targets), self.labels), np.float32)
            for learned, asked in groups:
                arrays = self.fit(learned, strength)
                vectors = torch.from_numpy(self.vectors[asked])
                found[asked] = _log_probabilities(arrays, vectors).numpy()
            right = found[np.arange(len(found)), self.targets]
            losses.append(-float((weights * right).mean()))
            answers.append(found)
        best = int(np.argmin(losses))
        return self.settings.strengths[best], answers[best]

    def fit(self, clips: NDArray[np.intp] | slice, strength: float) -> dict[str, Tensor]:
        """Return a regression's arrays, fitted to some clips."""
        from sklearn.linear_model import LogisticRegression

        vectors, targets = self.vectors[clips], self.targets[clips]
        if len(np.unique(targets)) < 2:
            raise UsageError(
                "--probe.groups cannot be formed: one would be learned from clips of one emotion "
                "alone. Use a corpus in which more actors show more emotions, or fewer groups."
            )
        mean, scale = mean_and_scale(vectors)
        fitted = LogisticRegression(
            C=strength,
            class_weight="balanced" if self.settings.balanced else None,
            tol=_TOLERANCE,
            max_iter=_ITERATIONS,
        ).fit((vectors - mean) / scale, targets)
        coefficients = np.zeros((self.labels, vectors.shape[1]), np.float32)
        intercepts = np.full(self.labels, _LEAST, np.float32)
        known = fitted.classes_[-len(fitted.coef_) :]  # of two labels, the first has none
        intercepts[fitted.classes_] = 0.0
        coefficients[known], intercepts[known] = fitted.coef_, fitted.intercept_
        found = {
            "mean": mean, "scale": scale, "coefficients": coefficients, "intercepts": intercepts
        }  # fmt: skip
        return {name: torch.from_numpy(array) for name, array in found.items()}


def _groups(
    targets: NDArray[np.int64], actors: Sequence[str], settings: ProbeSettings
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return for each group the clips of all other actors, and its own: their indices."""
    from sklearn.model_selection import StratifiedGroupKFold

    split = StratifiedGroupKFold(settings.groups, shuffle=True, random_state=SEED)
    with warnings.catch_warnings():  # a label with fewer clips than groups is no reason to stop
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(split.split(np.zeros(len(targets)), targets, list(actors)))


def _clip_weights(targets: NDArray[np.int64], balanced: bool) -> NDArray[np.float64]:
    """Return how much each clip counts, 1 on average."""
    if not balanced:
        return np.ones(len(targets))
    counts = np.bincount(targets)
    return np.asarray(len(targets) / (counts > 0).sum() / counts[targets])


def _pooling(
    answers: Mapping[Stream, NDArray[np.float32]], targets: NDArray[np.int64], balanced: bool
) -> dict[Stream, float]:
    """Return the weight of each stream's log-probabilities that makes their sum fit best.

    Args:
        answers: Log-probabilities for people left out, (clip, label).
        targets: (clip,), index of each clip's label.
        balanced: Whether each label counts the same.
    """
    share = _clip_weights(targets, balanced) / len(targets)
    found = pooling_weights(np.stack(list(answers.values())), targets, share)
    return dict(zip(answers, map(float, found), strict=True))
