"""K-Means, nearest neighbours and naive Bayes: what they see, choose, answer, and are kept as."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_faces import LABELS, drawn_face, drawn_store
from sklearn.cluster import KMeans
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import avemotion
from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.errors import UsageError
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.registry import create, settings_of

TASK = Task(LABELS)


def learner_of(name: str, task: Task = TASK, **settings: Any) -> Any:
    return create(task, ExperimentSettings(name, "video", settings))


def groups(clips: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds of points, one a label, drawn so that none touches another."""
    rng = np.random.default_rng(0)
    targets = np.arange(clips) % 3
    return (rng.normal(0, 1, (clips, 4)) + 20 * targets[:, None]).astype(np.float32), targets


def answers_of(learner: Any, vectors: np.ndarray) -> np.ndarray:
    """What `forward` answers of given vectors, float (clip, label): probabilities."""
    learner.vectors = lambda _: vectors
    return learner(Batch({}, {})).exp().numpy()


@pytest.mark.parametrize(
    ("features", "length"), [("pixels", 48 * 48), ("pixels200", 200 * 200), ("hog", 5 * 5 * 4 * 9)]
)
def test_what_it_sees(features: str, length: int) -> None:
    learner = learner_of("knn", features=features)
    face = torch.from_numpy(np.stack([drawn_face("happy", 0), drawn_face("angry", 1)]))
    there = torch.ones(2, dtype=torch.bool)
    found = learner.vectors(learner.read(Batch({"image": face}, {"video": there})))
    assert found.shape == (2, length) and found.dtype == np.float32
    assert np.isfinite(found).all() and not np.allclose(found[0], found[1])
    if features == "hog":  # of directions, not of brightness
        darker = learner.vectors(learner.read(Batch({"image": face // 2}, {"video": there})))
        assert np.abs(darker - found).mean() < 0.02 < np.abs(found[0] - found[1]).mean()


def test_clips_of_each_label_are_chosen_at_random() -> None:
    targets = np.array([0] * 50 + [2] * 5 + [1] * 20)
    chosen = learner_of("kmeans", per_class=10).chosen(targets)
    assert np.bincount(targets[chosen]).tolist() == [10, 10, 5]  # of the rarest, all there are
    assert len(set(chosen)) == 25 and (np.diff(chosen) > 0).all()
    assert not np.array_equal(chosen[:10], np.arange(10)), "the first ones, not random ones"
    np.testing.assert_array_equal(chosen, learner_of("kmeans", per_class=10).chosen(targets))
    np.testing.assert_array_equal(learner_of("kmeans").chosen(targets), np.arange(75))


class TestKMeans:
    def test_clusters_are_given_the_labels_that_fit(self) -> None:
        vectors, targets = groups()
        learner = learner_of("kmeans")
        learner.learn(vectors, targets)
        np.testing.assert_array_equal(answers_of(learner, vectors).argmax(axis=1), targets)

    def test_each_cluster_gets_a_label_of_its_own(self) -> None:
        """Where a label is in the majority in two clusters, one of them must give way."""
        learner = learner_of("kmeans")
        clusters = np.array([0] * 10 + [1] * 10 + [2] * 10)
        targets = np.array([0] * 9 + [1] + [0] * 6 + [1] * 4 + [2] * 10)
        assert learner._named(clusters, targets).tolist() == [0, 1, 2]

    def test_a_cluster_is_read_as_a_place_in_the_alphabet(self) -> None:
        """As its source does: labels here are happy, neutral, angry."""
        vectors, targets = groups()
        learner = learner_of("kmeans", mapping="literal")
        learner.learn(vectors, targets)
        scaled = StandardScaler().fit_transform(vectors)
        clusters = KMeans(3, n_init=10, random_state=0).fit(scaled).labels_
        wanted = [sorted(LABELS)[cluster] for cluster in clusters]
        found = answers_of(learner, vectors).argmax(axis=1)
        assert [LABELS[index] for index in found] == wanted

    def test_what_is_kept_answers_as_the_clusters_do(self) -> None:
        rng = np.random.default_rng(1)
        vectors, targets = rng.normal(size=(200, 5)).astype(np.float32), np.arange(200) % 3
        learner = learner_of("kmeans", mapping="literal")
        learner.learn(vectors, targets)
        scaler = StandardScaler().fit(vectors)
        clusters = KMeans(3, n_init=10, random_state=0).fit(scaler.transform(vectors))
        new = rng.normal(size=(100, 5)).astype(np.float32)
        order = np.argsort(LABELS)
        wanted = order[clusters.predict(scaler.transform(new))]
        np.testing.assert_array_equal(answers_of(learner, new).argmax(axis=1), wanted)

    def test_fewer_clips_than_labels_are_refused(self) -> None:
        vectors, targets = groups(2)
        with pytest.raises(UsageError, match="per_class is 0, but must be larger"):
            learner_of("kmeans").learn(vectors, targets)


@pytest.mark.parametrize(
    ("name", "settings", "estimator"),
    [
        ("knn", {}, KNeighborsClassifier(3)),
        ("knn", {"neighbours": 7}, KNeighborsClassifier(7)),
        ("naive_bayes", {}, GaussianNB()),
    ],
)
def test_it_answers_as_scikit_learn_does(name: str, settings: dict, estimator: Any) -> None:
    rng = np.random.default_rng(0)
    targets = np.arange(90) % 3
    vectors = (rng.normal(size=(90, 4)) * [1, 9, 1, 1] + targets[:, None]).astype(np.float32)
    learner = learner_of(name, **settings)
    learner.learn(vectors, targets)
    scaler = StandardScaler().fit(vectors)
    wanted = estimator.fit(scaler.transform(vectors), targets)
    new = rng.normal(size=(50, 4)).astype(np.float32)
    expected = wanted.predict_proba(scaler.transform(new))
    np.testing.assert_allclose(answers_of(learner, new), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["kmeans", "knn", "naive_bayes"])
def test_a_saved_learner_answers_the_same(name: str) -> None:
    vectors, targets = groups()
    vectors[::7] += 9  # some are between the groups
    learner, loaded = learner_of(name), learner_of(name)
    learner.learn(vectors, targets)
    loaded.set_extra_state(learner.get_extra_state())
    np.testing.assert_array_equal(answers_of(loaded, vectors), answers_of(learner, vectors))
    with pytest.raises(ValueError, match="must be"):
        other = learner_of("knn" if name == "naive_bayes" else "naive_bayes")
        other.set_extra_state(learner.get_extra_state())


def test_only_the_chosen_clips_are_learned(tmp_path: Path) -> None:
    store = drawn_store(tmp_path / "features")
    report = avemotion.fit(
        data=store.directory,
        model="knn",
        out=tmp_path / "run",
        settings=settings_of("knn", {"per_class": 4, "features": "hog"}),
        training=TrainingSettings(holdout=0.34, validation=0.0, early_stopping=False),
        progress=False,
    )
    network, _ = load_checkpoint(report.checkpoint)
    assert network._fitted[-1].n_samples_fit_ == 3 * 4


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    learner_of("knn")
    with pytest.raises(UsageError, match=r"features hog needs skimage.*pip install '.\[images\]'"):
        learner_of("knn", features="hog")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("knn", {"neighbours": 0}, "neighbours is 0, but must be 1 or more"),
        ("knn", {"per_class": -1}, "per_class is -1, but must be 0 for all, or more"),
        ("kmeans", {"mapping": "best"}, "--kmeans.mapping is 'best'"),
        ("naive_bayes", {"features": "lbp"}, "--naive_bayes.features is 'lbp'"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, settings: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings_of(name, settings)
