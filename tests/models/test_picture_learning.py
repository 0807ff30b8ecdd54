"""Every model of faces goes the whole road on drawn faces: fit, save, load, answer."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_faces import LABELS, UNITS, drawn_store
from safetensors.torch import save_file

import avemotion
from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.models import timm_networks
from avemotion.models.base import EmotionModel, probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.inputs import names_of
from avemotion.models.registry import MODELS, create, settings_of
from avemotion.training.answered_pictures import in_random_order

QUICK = TrainingSettings(
    epochs=3, batch_size=6, holdout=0.34, validation=0.0, early_stopping=False, precision="float32",
    mixup=0.0, label_smoothing=0.0, mirror=False, rotation_degrees=0.0, scale=0.0, shift=0.0,
)  # fmt: skip
SLIM: dict[str, Any] = {"width": 0.125}
HOW: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ar1": ({"width": 0.25}, {}),
    "ar2": ({"width": 0.25}, {}),
    "ar3": ({"width": 0.25}, {}),
    "ar4": ({"width": 0.25}, {}),
    "resnet18": (SLIM, {"epochs": 4}),
    "inception_v4": (SLIM, {"epochs": 6, "batch_size": 12, "learning_rate": 1e-2}),
    "inception_resnet_v2": (SLIM, {"batch_size": 8}),
    "units_perceptron": (SLIM, {"epochs": 8, "learning_rate": 5e-3}),
    "vgg16_bn": (SLIM, {}),
    "resnet101": (SLIM, {}),
    "mobilenet": ({"width": 0.25}, {"epochs": 4, "learning_rate": 1e-2}),
    "vit": (SLIM, {"epochs": 4}),
    "cnn3": ({"width": 0.25, "units": 64}, {}),
    "cnn5": ({"width": 0.25}, {"epochs": 4}),
    "bilstm": ({"units": 32}, {"epochs": 6, "learning_rate": 1e-2}),
    "miene": ({"channels": [16, 32], "votes_share": 0.0}, {"epochs": 4}),
    "miene_stimme": ({"face_channels": [16, 32], "frames": 2}, {"epochs": 4}),
    "kmeans": ({}, {}),
    "knn": ({}, {}),
    "naive_bayes": ({}, {}),
}
"""Model -> its settings, and what its training needs to be done in seconds."""

Answers = Callable[[EmotionModel], tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return drawn_store(tmp_path_factory.mktemp("drawn") / "features")


@pytest.fixture(scope="module")
def store_with_units(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return drawn_store(tmp_path_factory.mktemp("drawn") / "features", UNITS)


def fitted(store: FeatureStore, out: Path, name: str, values: dict, changed: dict) -> Path:
    report = avemotion.fit(
        data=store.directory,
        model=name,
        modality="video",
        out=out,
        settings=settings_of(name, values),
        training=replace(QUICK, **changed),
        progress=False,
    )
    return report.checkpoint


def test_no_model_is_left_out() -> None:
    assert HOW.keys() | {"ar5", "stimme", "probe", "fusion", "late"} == MODELS.keys()


@pytest.mark.parametrize("name", HOW)
def test_it_tells_drawn_faces_apart(
    name: str, store: FeatureStore, store_with_units: FeatureStore, tmp_path: Path
) -> None:
    """Faces of actors that it has not seen; a third would be chance."""
    store = store_with_units if name == "units_perceptron" else store
    network, metadata = load_checkpoint(fitted(store, tmp_path, name, *HOW[name]))
    assert metadata.task.labels == LABELS
    assert (tmp_path / "answers.png").is_file() == (name not in ("ar3", "miene_stimme")), (
        "they read no single picture"
    )
    unseen = [row for row in store.rows if row.actor in metadata.split.test]
    clips = ClipDataset(store, unseen, names_of(network.inputs))[[(i, 0) for i in range(30)]]
    answers, _ = metadata.task.split(probabilities(network, clips))
    assert answers.shape == (30, 3)
    assert clips.targets is not None
    assert (answers.argmax(axis=1) == clips.targets.numpy()).mean() > 0.6
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (metadata.experiment.training.epochs if network.learns_in_epochs else 1)


def test_pictures_that_are_drawn_are_of_every_label(store: FeatureStore) -> None:
    by_label = sorted(store.rows, key=lambda row: row.emotion)
    drawn = in_random_order(by_label)
    assert sorted(drawn, key=lambda row: row.clip) == sorted(by_label, key=lambda row: row.clip)
    assert {row.emotion for row in drawn[:12]} == set(LABELS)
    assert drawn == in_random_order(by_label)


def test_weights_to_begin_with_are_read_once(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By training: a checkpoint is loaded where the file is not, and nothing is downloaded."""
    torch.manual_seed(5)
    task, slim = store.task, dict(SLIM)
    other = create(task, ExperimentSettings("mobilenet", "video", slim))
    save_file(other.trunk.state_dict(), tmp_path / "weights.safetensors")
    slim["pretrained"] = str(tmp_path / "weights.safetensors")
    checkpoint = fitted(store, tmp_path / "run", "mobilenet", slim, {"epochs": 1})
    (tmp_path / "weights.safetensors").unlink()

    def forbidden(*_: object) -> None:
        raise AssertionError("weights to begin with are asked for")

    monkeypatch.setattr(timm_networks, "_weights", forbidden)
    network, metadata = load_checkpoint(checkpoint)
    assert metadata.experiment.settings == slim
    loaded = network.trunk.state_dict()
    for key, values in other.trunk.state_dict().items():
        assert torch.equal(loaded[key], values), key
    assert network.std[0].item() == pytest.approx(0.5 * 255 / 128)
    with pytest.raises(AssertionError, match="asked for"):
        network.prepare(ClipDataset(store, store.rows, ["image"]))
