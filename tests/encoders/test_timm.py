"""Networks of timm as encoders: small random ones, from a folder as the hub has it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from avemotion.compat import mend_torchvision
from avemotion.encoders import registry
from avemotion.encoders.interface import pooled
from avemotion.encoders.registry import encoder
from avemotion.errors import UsageError
from avemotion.features.table import ClipSignals, feature

mend_torchvision()
timm = pytest.importorskip("timm")

FACES = np.random.default_rng(1).integers(0, 256, (20, 98, 80), dtype=np.uint8)
NAME = "timm.resnet10t.c3_in1k"
ARGUMENTS: dict[str, Any] = {"channels": [8, 8, 8, 16], "stem_width": 8}
"""They make the network small: `model_args` of the file of settings."""
PICTURES = {
    "input_size": [3, 40, 32], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4],
    "interpolation": "bicubic", "num_classes": 7, "classifier": "fc", "first_conv": "conv1.0",
}  # fmt: skip


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A small random network with its classifier, where weights are looked for."""
    monkeypatch.setenv("AVEMOTION_ENCODERS", str(tmp_path))
    registry._loaded.cache_clear()
    folder = tmp_path / NAME
    folder.mkdir()
    torch.manual_seed(0)
    network = timm.create_model("resnet10t", num_classes=7, **ARGUMENTS)
    save_file(network.state_dict(), folder / "model.safetensors")
    settings = {
        "architecture": "resnet10t", "num_classes": 7, "num_features": 16,
        "model_args": ARGUMENTS, "pretrained_cfg": PICTURES,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    yield folder
    registry._loaded.cache_clear()


def test_it_gives_what_the_classifier_would_read(folder: Path) -> None:
    found = encoder("timm:resnet10t.c3_in1k")
    network = timm.create_model("resnet10t", num_classes=7, **ARGUMENTS).eval()
    network.load_state_dict(load_file(folder / "model.safetensors"))
    seen: list[torch.Tensor] = []
    network.fc.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    faces = torch.from_numpy(FACES).float()[:, None] / 255
    faces = torch.nn.functional.interpolate(faces, (40, 32), mode="bicubic", antialias=True)
    mean, std = (torch.tensor(PICTURES[k]).view(1, 3, 1, 1) for k in ("mean", "std"))
    with torch.inference_mode():
        network((faces.clamp(0, 1) - mean) / std)
    embedding = found.encode(FACES, "clip")
    assert embedding.shape == found.shape == (1, 2, 16) and embedding.dtype == np.float32
    np.testing.assert_allclose(embedding, pooled(seen[0].numpy()[None]), atol=1e-5)
    assert (found.identity.name, found.identity.revision) == (NAME, "local")


def test_its_shape_is_known_where_a_face_is_missing(folder: Path) -> None:
    made = feature(f"embedding:{NAME}").of(ClipSignals("clip", 0, None, None), 1)
    assert made.shape == (1, 2, 16) and not made.any()


def test_its_identity_is_that_of_weights_and_settings(folder: Path) -> None:
    before = encoder(NAME).identity
    for name, change in (("config.json", b" "), ("model.safetensors", b"")):
        path = folder / name
        if change:
            path.write_bytes(path.read_bytes() + change)
        else:
            arrays = load_file(path)
            arrays["fc.bias"] += 1
            save_file(arrays, path)
        registry._loaded.cache_clear()
        assert encoder(NAME).identity != before
        before = encoder(NAME).identity


def test_weights_that_lack_a_layer_are_refused(folder: Path) -> None:
    """timm itself would leave it random, and another one in each process."""
    path = folder / "model.safetensors"
    arrays = load_file(path)
    del arrays["layer1.0.conv1.weight"]
    save_file(arrays, path)
    with pytest.raises(UsageError, match="lacks layer1.0.conv1.weight and 0 others"):
        encoder(NAME)


def test_damaged_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UsageError, match="The network in .* cannot be loaded .* files of timm/res"):
        encoder(NAME)


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="no .safetensors file. Weights in other formats are pick"):
        encoder(NAME)
