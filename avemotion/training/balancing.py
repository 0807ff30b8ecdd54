"""As many training clips of each emotion: clips left out, repeated, or made by SMOTE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from avemotion.compat import missing_package
from avemotion.config import TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset, Pick
from avemotion.errors import UsageError

NEIGHBOURS = 6
"""Neighbours between which SMOTE makes pictures."""


class ResampledDataset(Dataset[Batch[Tensor]]):
    """Clips of a dataset, some left out or there several times; indexed like `ClipDataset`."""

    def __init__(self, dataset: ClipDataset, chosen: Sequence[int]) -> None:
        """Choose clips.

        Args:
            dataset: The clips.
            chosen: Their indices, in the order of the new ones.
        """
        self._dataset, self._chosen = dataset, list(chosen)
        self.views = [dataset.views[i] for i in self._chosen]
        self.targets = dataset.targets[self._chosen]

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._chosen)

    def __getitem__(self, picks: Sequence[Pick]) -> Batch[Tensor]:
        """Gather a batch."""
        return self._dataset[[(self._chosen[i], view) for i, view in picks]]


class SyntheticPictures(Dataset[Batch[Tensor]]):
    """Pictures in memory, among them some that are between real ones."""

    def __init__(self, images: Tensor, targets: Tensor) -> None:
        """Keep the pictures.

        Args:
            images: uint8 (picture, row, column).
            targets: int64 (picture,), indices of their labels.
        """
        self._images, self.targets = images, targets
        self.views = [1] * len(images)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._images)

    def __getitem__(self, picks: Sequence[Pick]) -> Batch[Tensor]:
        """Gather a batch."""
        which = torch.tensor([i for i, _ in picks])
        there = torch.ones(len(which), dtype=torch.bool)
        return Batch(
            inputs={"image": self._images[which]},
            present={"video": there, "audio": ~there},
            lengths={},
            targets=self.targets[which],
        )


Trainable = ClipDataset | ResampledDataset | SyntheticPictures
"""What a training reads batches from."""


def balanced(dataset: ClipDataset, settings: TrainingSettings) -> Trainable:
    """Return a dataset with equally many clips of each label, where the settings ask for that.

    Args:
        dataset: The training clips.
        settings: `balance` says how, `seed` seeds the draws.

    Raises:
        UsageError: imbalanced-learn is not installed; or SMOTE is to make something else than
            pictures, or votes on them, or an emotion has too few of them.
    """
    how = settings.balance
    if how not in ("oversampling", "undersampling", "smote"):
        return dataset
    try:
        from imblearn.over_sampling import SMOTE, RandomOverSampler
        from imblearn.under_sampling import RandomUnderSampler
    except ModuleNotFoundError as error:
        raise missing_package(f"--training.balance {how}", error) from error
    targets = dataset.targets.numpy()
    if how != "smote":
        kind = RandomOverSampler if how == "oversampling" else RandomUnderSampler
        sampler = kind(random_state=settings.seed)
        sampler.fit_resample(np.arange(len(dataset))[:, None], targets)
        return ResampledDataset(dataset, sampler.sample_indices_.tolist())
    if dataset.names != ("image",) or dataset.has_votes:
        reads = ", ".join(dataset.names) + (" and learns votes" if dataset.has_votes else "")
        raise UsageError(
            f"--training.balance smote makes pictures, on which nobody voted, but the model reads "
            f"{reads}. Use oversampling, sampling or weights."
        )
    if max(dataset.views) > 1:
        raise UsageError(
            "--training.balance smote makes pictures of one view, but the store has several that "
            "differ. Preprocess with --views 1, or use oversampling."
        )
    fewest = int(np.bincount(targets)[np.unique(targets)].min())
    if fewest <= NEIGHBOURS:
        raise UsageError(
            f"--training.balance smote needs more than {NEIGHBOURS} pictures of each emotion, but "
            f"one has {fewest}. Use oversampling."
        )
    images = dataset[[(i, 0) for i in range(len(dataset))]].inputs["image"].cpu().numpy()
    smote = SMOTE(k_neighbors=NEIGHBOURS, random_state=settings.seed)
    vectors, made = smote.fit_resample(images.reshape(len(images), -1).astype(np.float32), targets)
    pictures = np.rint(vectors).astype(np.uint8).reshape(-1, *images.shape[1:])
    return SyntheticPictures(torch.from_numpy(pictures), torch.from_numpy(made))
