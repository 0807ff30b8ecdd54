"""A network of each family of faces is exported to ONNX, and answers the same there."""

from pathlib import Path
from typing import Any

import pytest
from drawn_faces import drawn_store

import avemotion
from avemotion.config import TrainingSettings
from avemotion.data.store import FeatureStore
from avemotion.models.registry import settings_of

FAMILIES: dict[str, dict[str, Any]] = {
    "ar3": {"width": 0.25},
    "cnn5": {"width": 0.25},
    "bilstm": {"units": 16},
    "resnet18": {"width": 0.125},
    "mobilenet": {"width": 0.125},
    "vit": {"width": 0.125},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return drawn_store(tmp_path_factory.mktemp("drawn") / "features")


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_exported(name: str, store: FeatureStore, tmp_path: Path) -> None:
    training = TrainingSettings(
        epochs=1, batch_size=30, validation=0.0, early_stopping=False, precision="float32"
    )
    avemotion.fit(
        data=store.directory,
        model=name,
        out=tmp_path / "run",
        settings=settings_of(name, FAMILIES[name]),
        training=training,
        progress=False,
    )
    report = avemotion.export(tmp_path / "run", tmp_path / "x.onnx")
    assert report.largest_difference is not None and report.largest_difference < 1e-4
