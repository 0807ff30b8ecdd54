"""Learners without epochs, which are fitted once, to all training clips: by scikit-learn.

They go the road of every other model. The checkpoint of an `EstimatorLearner` holds the estimator
as skops writes it: on loading, only types of scikit-learn, NumPy and SciPy are built, and nothing
is executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avemotion.data.batch import Batch
from avemotion.models.base import EmotionModel

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

_LEAST = 1e-7  # a probability of 0 has no logarithm


class Learner(EmotionModel):
    """Base of models that learn all clips at once."""

    learns_in_epochs: ClassVar[bool] = False
    exportable: ClassVar[bool] = False

    def chosen(self, targets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which training clips it learns, by their indices: all by default.

        Args:
            targets: (clip,), index of each clip's label.
        """
        return np.arange(len(targets))

    def learn_clips(self, clips: Batch[Tensor], actors: Sequence[str]) -> None:
        """Learn.

        Args:
            clips: All clips that it chose, from `read`; every label occurs.
            actors: Who is in each.
        """
        raise NotImplementedError

    def to(self, *_: Any, **__: Any) -> Learner:
        """Stay where it is: scikit-learn computes on the CPU."""
        return self


class EstimatorLearner(Learner):
    """Base of models around an estimator; a subclass says which, and of which vectors."""

    _fitted: BaseEstimator | None = None

    def estimator(self) -> BaseEstimator:
        """Return the estimator, not fitted yet; it must have `predict_proba`."""
        raise NotImplementedError

    def vectors(self, batch: Batch[Tensor]) -> NDArray[np.float32]:
        """Return a vector for each clip, float (clip, value): by default all values of its inputs.

        Args:
            batch: Clips from `read`.
        """
        parts = [batch.inputs[part.name].flatten(1) for part in self.inputs]
        return torch.cat(parts, dim=1).cpu().numpy()

    def learn_clips(self, clips: Batch[Tensor], actors: Sequence[str]) -> None:
        """Fit the estimator to the vectors of the clips."""
        assert clips.targets is not None
        self.learn(self.vectors(clips), clips.targets.numpy())

    def learn(self, vectors: NDArray[np.float32], targets: NDArray[np.int64]) -> None:
        """Fit the estimator.

        Args:
            vectors: (clip, value).
            targets: (clip,), index of each clip's label; every label occurs.
        """
        self._fitted = self.estimator().fit(vectors, targets)

    def forward(self, batch: Batch[Tensor]) -> Tensor:
        """Map a batch from `read` to the logarithms of probabilities, float (clip, label)."""
        assert self._fitted is not None
        found = self._fitted.predict_proba(self.vectors(batch))
        return torch.from_numpy(np.log(np.maximum(found, _LEAST)).astype(np.float32))

    def get_extra_state(self) -> Tensor:
        """Return the fitted estimator as skops writes it, uint8 (byte,)."""
        import skops.io

        return torch.frombuffer(bytearray(skops.io.dumps(self._fitted)), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over a fitted estimator.

        Raises:
            ValueError: It holds a type that is not trusted, is another estimator, or was fitted to
                other labels.
        """
        import skops.io

        try:
            self._fitted = skops.io.loads(state.numpy().tobytes(), trusted=[])
        except Exception as error:  # skops raises what its parts raise
            raise ValueError(f"its estimator cannot be loaded: {error}") from error
        wanted, found = _types(self.estimator()), _types(self._fitted)
        if found != wanted:
            raise ValueError(f"its estimator is {found}, but must be {wanted}")
        classes = getattr(self._fitted, "classes_", None)
        if classes is None or list(classes) != list(range(len(self.task.labels))):
            raise ValueError("its estimator was not fitted to the model's labels")


def _types(estimator: Any) -> list[str]:
    """Return the types of an estimator, and of a pipeline's steps."""
    steps = [step for _, step in getattr(estimator, "steps", [])]
    return [type(part).__name__ for part in (estimator, *steps)]
