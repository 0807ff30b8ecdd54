"""The speech encoder that runs without a download: what it gives, and what it refuses."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from avemotion.encoders import moonshine
from avemotion.encoders.registry import encoder
from avemotion.errors import UsageError
from avemotion.features.table import ClipSignals, embedding

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("moonshine_voice")


def tone(seconds: float, hertz: float = 220.0) -> np.ndarray:
    time = np.arange(round(16_000 * seconds)) / 16_000
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)
    return (3_000 * envelope * np.sin(2 * np.pi * hertz * time)).astype(np.int16)


def embedded(samples: np.ndarray, view: int = 0) -> np.ndarray:
    return embedding("moonshine-tiny").compute(ClipSignals("clip", 0, None, samples), view)


def test_the_fourth_block_is_the_published_one(tmp_path: Path) -> None:
    """The rest of the published graph makes of it what the whole graph makes of the sound."""
    found = encoder("moonshine-tiny")
    assert isinstance(found, moonshine.Moonshine)
    path = moonshine._file("moonshine-tiny", "moonshine-voice")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(tmp_path / "whole.onnx")
    whole = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    sound = (tone(1.5) / 32_768).astype(np.float32)
    fed = {"input_values": sound[None], "attention_mask": np.ones((1, len(sound)), np.int64)}
    (wanted,) = whole.run(None, fed)
    graph = onnx.load(tmp_path / "whole.onnx")
    cut = "/layers.3/Add_1_output_0"
    for node in graph.graph.node:  # the block's own output is no longer computed, but fed
        node.output[:] = ["unused" if name == cut else name for name in node.output]
    graph.graph.input.append(onnx.helper.make_tensor_value_info(cut, 1, [1, None, 288]))
    rest = onnxruntime.InferenceSession(graph.SerializeToString())
    blocks = found._frames(sound)
    assert blocks.shape == (4, wanted.shape[1], 288)
    (again,) = rest.run(None, fed | {cut: blocks[3:4]})
    np.testing.assert_allclose(again, wanted, atol=1e-4)
    (other,) = rest.run(None, fed | {cut: blocks[2:3]})
    assert np.abs(other - wanted).max() > 0.1


def test_the_level_of_a_recording_changes_nothing() -> None:
    samples = tone(1.0)
    quiet = (samples // 8).astype(np.int16)
    found, softer = embedded(samples), embedded(quiet)
    assert found.shape == (4, 2, 288) and found.dtype == np.float32
    assert np.abs(found - softer).max() < 0.05 * np.abs(found).max()
    assert np.abs(found - embedded(tone(1.0, 900.0))).max() > 0.2 * np.abs(found).max()


@pytest.mark.parametrize("samples", [1, 399, 1_600, 16_001])
def test_sounds_of_any_length(samples: int) -> None:
    assert np.isfinite(embedded(tone(2.0)[1000 : 1000 + samples])).all()


def test_a_long_sound_is_pooled_over_all_of_it() -> None:
    long = np.concatenate([tone(9.0), tone(9.0, 700.0)])
    found, first, second = embedded(long), embedded(long[:144_000]), embedded(long[144_000:])
    between = (first[:, 0] + second[:, 0]) / 2
    assert np.abs(found[:, 0] - between).max() < 0.1 * np.abs(found[:, 0]).max()


def test_views_are_other_recordings_of_the_same_clip() -> None:
    samples = tone(1.0)
    views = [embedded(samples, view) for view in range(3)]
    np.testing.assert_array_equal(views[1], embedded(samples, 1))
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert np.abs(views[one] - views[other]).max() > 0.1


def test_its_identity_is_that_of_the_file() -> None:
    identity = encoder("moonshine-tiny").identity
    assert identity.revision == "moonshine-voice 0.0.49" and identity.precision == "int8"
    assert identity.weights_sha256 == (
        "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221"
    )


def test_a_damaged_or_missing_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = moonshine._file("moonshine-tiny", "moonshine-voice")
    package = tmp_path / "moonshine_voice"
    (package / moonshine.FILE.parent).mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('its code is not run')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "moonshine_voice", raising=False)
    with pytest.raises(UsageError, match="another version of moonshine-voice is installed"):
        moonshine.Moonshine("moonshine-tiny", "moonshine-voice")
    copy = package / moonshine.FILE
    shutil.copy(path, copy)
    copy.write_bytes(copy.read_bytes()[:5_000_000])
    with pytest.raises(UsageError, match="cannot be loaded .*pip install --force-reinstall"):
        moonshine.Moonshine("moonshine-tiny", "moonshine-voice")
