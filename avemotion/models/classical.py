"""K-Means, nearest neighbours and naive Bayes on one face picture.

Source: a student report on FER2013, which says of the last two only that they do much the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avemotion.compat import missing_package
from avemotion.config import Modality
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.errors import require, require_types
from avemotion.models.base import About, Reported
from avemotion.models.inputs import Input
from avemotion.models.learner import EstimatorLearner
from avemotion.models.pictures import FER_SIZE

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

LARGE_SIZE = (200, 200)
"""Rows and columns of the pictures that the report clusters."""
SEED = 0
"""Seed of K-Means, as in the report, and of the choice of clips."""
STARTS = 10
"""Times that K-Means begins anew; the report does not say."""

_SOURCE = "a student report on FER2013 that clusters pictures with K-Means"


@dataclass(frozen=True)
class PictureSettings:
    """What a learner sees of a picture, and how many it learns."""

    features: Literal["pixels", "pixels200", "hog"] = "pixels"
    """Pixels of 48 x 48 or, as the report, of 200 x 200; or histograms of oriented gradients of
    48 x 48 (9 directions, cells of 8 x 8 pixels, blocks of 2 x 2 cells: our choice). Each value is
    standardised over the clips."""
    per_class: int = 0
    """Random training clips of each label, always the same ones; of rarer labels all. 0 takes all
    clips; the report has 436."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_types(self, "")
        require(self.per_class >= 0, "per_class", self.per_class, "0 for all, or more")


@dataclass(frozen=True)
class KMeansSettings(PictureSettings):
    """What it sees, and how a cluster becomes a label."""

    mapping: Literal["fitted", "literal"] = "fitted"
    """`fitted`: clusters are given the labels with which most training clips are right, one each;
    `literal`: the number of a cluster, which is arbitrary, is the index of its label in
    alphabetical order, as the report reads it."""


@dataclass(frozen=True)
class NeighbourSettings(PictureSettings):
    """What it sees, and how many neighbours vote."""

    neighbours: int = 3
    """Nearest training clips that vote; the report's ties suggest 3."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        require(self.neighbours >= 1, "neighbours", self.neighbours, "1 or more")


def _about(title: str, *reported: Reported) -> About:
    return About(title=title, source=_SOURCE, modalities=("video",), reported=reported)


class PictureLearner(EstimatorLearner):
    """Base of learners of one face picture; values are standardised first."""

    def __init__(self, task: Task, modality: Modality, settings: Any) -> None:
        """Keep the settings.

        Raises:
            UsageError: They ask for histograms of gradients, and scikit-image is not installed.
        """
        super().__init__(task, modality, settings)
        if settings.features == "hog":
            try:
                import skimage.feature  # noqa: F401
            except ModuleNotFoundError as error:
                raise missing_package("features hog", error) from error

    @classmethod
    def reads(cls, modality: Modality, settings: PictureSettings) -> tuple[Input, ...]:
        """Return the picture."""
        return (Input("image", LARGE_SIZE if settings.features == "pixels200" else FER_SIZE),)

    def vectors(self, batch: Batch[Tensor]) -> NDArray[np.float32]:
        """Return the pixels, or the histograms, of each clip, float32 (clip, value)."""
        if self.settings.features != "hog":
            return super().vectors(batch)
        from skimage.feature import hog

        pictures = batch.inputs["image"][:, 0].cpu().numpy()
        found = [hog(p, 9, (8, 8), (2, 2), feature_vector=True) for p in pictures]
        return np.asarray(found, np.float32)

    def chosen(self, targets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indices of `per_class` random clips of each label, in their order."""
        most = self.settings.per_class
        if not most:
            return super().chosen(targets)
        rng = np.random.default_rng(SEED)
        of_each = (np.flatnonzero(targets == label) for label in np.unique(targets))
        return np.sort(np.concatenate([rng.permutation(found)[:most] for found in of_each]))

    def estimator(self) -> BaseEstimator:
        """Return the scaling and the classifier."""
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), self.classifier())

    def classifier(self) -> BaseEstimator:
        """Return what classifies standardised vectors, not fitted yet."""
        raise NotImplementedError


class KMeansLearner(PictureLearner):
    """As many clusters as labels; a clip gets the label of the nearest centre.

    What is kept is a classifier of the nearest neighbour among the labelled centres: the same
    answers.
    """

    Settings = KMeansSettings
    about = _about(
        "K-Means",
        Reported("K-Means", "video", 0.20, "a student report; FER2013, 35 pictures", "fer2013"),
    )

    def classifier(self) -> BaseEstimator:
        """Return a classifier of the nearest centre."""
        return _nearest(1)

    def learn(self, vectors: NDArray[np.float32], targets: NDArray[np.int64]) -> None:
        """Cluster the clips, and name the clusters."""
        from sklearn.cluster import KMeans

        labels = len(self.task.labels)
        require(len(vectors) >= labels, "per_class", self.settings.per_class, "larger")
        fitted: Any = self.estimator()
        scaler, nearest = fitted[0], fitted[-1]
        found = KMeans(labels, n_init=STARTS, random_state=SEED).fit(scaler.fit_transform(vectors))
        nearest.fit(found.cluster_centers_, self._named(found.labels_, targets))
        self._fitted = fitted

    def _named(self, clusters: NDArray[np.int32], targets: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the label of each cluster: indices, each once."""
        from scipy.optimize import linear_sum_assignment

        labels = self.task.labels
        if self.settings.mapping == "literal":
            return np.argsort(labels, kind="stable")
        counts = np.zeros((len(labels), len(labels)), np.int64)
        np.add.at(counts, (clusters, targets), 1)
        _, named = linear_sum_assignment(counts, maximize=True)
        return np.asarray(named)


class NearestNeighbours(PictureLearner):
    """The training clips that are most alike vote; the checkpoint holds them all."""

    Settings = NeighbourSettings
    about = _about("k nearest neighbours")

    def learn(self, vectors: NDArray[np.float32], targets: NDArray[np.int64]) -> None:
        """Fit it.

        Raises:
            UsageError: There are fewer training clips than neighbours.
        """
        asked = self.settings.neighbours
        require(asked <= len(vectors), "neighbours", asked, f"at most the {len(vectors)} clips")
        super().learn(vectors, targets)

    def classifier(self) -> BaseEstimator:
        """Return a classifier of the nearest neighbours."""
        return _nearest(self.settings.neighbours)


class NaiveBayes(PictureLearner):
    """Gaussian naive Bayes: each value is independent of the others, and normal in each label."""

    Settings = PictureSettings
    about = _about("Naive Bayes")

    def classifier(self) -> BaseEstimator:
        """Return a Gaussian naive Bayes."""
        from sklearn.naive_bayes import GaussianNB

        return GaussianNB()


def _nearest(neighbours: int) -> BaseEstimator:
    from sklearn.neighbors import KNeighborsClassifier

    # No tree: of thousands of values it is no faster, and a checkpoint need not hold one.
    return KNeighborsClassifier(neighbours, algorithm="brute")
