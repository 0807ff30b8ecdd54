"""Encoders of the package transformers: small random networks of the published kinds."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from avemotion.compat import import_torchaudio, mend_torchvision
from avemotion.encoders import registry
from avemotion.encoders.interface import pooled
from avemotion.encoders.registry import EncoderEntry, encoder
from avemotion.errors import UsageError

pytest.importorskip("transformers")
mend_torchvision()
import_torchaudio()
import transformers  # noqa: E402

SOUND = (0.05 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
FACES = np.random.default_rng(1).integers(0, 256, (20, 98, 80), dtype=np.uint8)
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 37,
}  # fmt: skip
PROCESSOR = {"crop_size": 30, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}


def _speech(kind: str) -> Any:
    convolutions = {"conv_dim": [16] * 3, "conv_kernel": [10, 8, 4], "conv_stride": [8, 8, 5]}
    config = getattr(transformers, f"{kind}Config")(
        **SMALL, **convolutions, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2
    )
    return getattr(transformers, f"{kind}Model")(config)


def _whisper() -> Any:
    config = transformers.WhisperConfig(
        d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=37, decoder_ffn_dim=37, num_mel_bins=80,
        vocab_size=99, pad_token_id=1, bos_token_id=1, eos_token_id=1, decoder_start_token_id=1,
    )  # fmt: skip
    return transformers.WhisperModel(config)


def _clip() -> Any:
    vision = SMALL | {"image_size": 30, "patch_size": 6}
    config = transformers.CLIPConfig(vision_config=vision, text_config=SMALL)
    return transformers.CLIPModel(config)


def _dinov2() -> Any:
    config = transformers.Dinov2Config(**SMALL, image_size=30, patch_size=6)
    return transformers.Dinov2Model(config)


MAKERS = {
    "wav2vec2-base": lambda: _speech("Wav2Vec2"),
    "hubert-base": lambda: _speech("Hubert"),
    "wavlm-base-plus": lambda: _speech("WavLM"),
    "whisper-base": _whisper,
    "clip-vit-base-patch32": _clip,
    "dinov2-small": _dinov2,
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Writes a small network of a kind where its weights are looked for; returns its folder."""
    monkeypatch.setenv("AVEMOTION_ENCODERS", str(tmp_path))
    registry._loaded.cache_clear()

    def write(name: str) -> Path:
        folder = tmp_path / name
        torch.manual_seed(0)
        MAKERS[name]().save_pretrained(folder, safe_serialization=True)
        if registry.ENCODERS[name].stream == "video":
            (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
        elif name == "whisper-base":
            transformers.WhisperFeatureExtractor().save_pretrained(folder)
        else:
            transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
        real = registry.ENCODERS[name]
        entry = EncoderEntry(real.stream, (3, 2, 32), real.home, real.weights, real.licence)
        monkeypatch.setitem(registry.ENCODERS, name, entry)
        return folder

    yield write
    registry._loaded.cache_clear()


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_every_hidden_layer_is_pooled(small: Any, name: str) -> None:
    folder = small(name)
    found = encoder(name)
    signal = SOUND if registry.ENCODERS[name].stream == "audio" else FACES
    embedding = found.encode(signal, "clip")
    assert embedding.shape == found.shape == (3, 2, 32) and embedding.dtype == np.float32
    np.testing.assert_array_equal(embedding, found.encode(signal, "another name"))
    assert np.abs(embedding - found.encode(signal[: len(signal) // 2], "clip")).max() > 1e-3
    np.testing.assert_allclose(embedding, _wanted(name, folder, signal), atol=1e-4)
    identity = found.identity
    assert (identity.name, identity.revision, identity.precision) == (name, "local", "float32")


def _wanted(name: str, folder: Path, signal: np.ndarray) -> np.ndarray:
    """The same by the package's own words for each kind of network."""
    kind = type(MAKERS[name]())
    model = kind.from_pretrained(folder).eval()
    with torch.inference_mode():
        if name == "whisper-base":
            read = transformers.WhisperFeatureExtractor()(
                signal, sampling_rate=16_000, return_tensors="pt"
            )
            states = model.encoder(read.input_features, output_hidden_states=True).hidden_states
            return pooled(np.concatenate([s.numpy() for s in states])[:, :50])  # of 1 s
        if name in ("clip-vit-base-patch32", "dinov2-small"):
            faces = torch.from_numpy(signal).float()[:, None] / 255
            faces = torch.nn.functional.interpolate(
                faces, (30, 30), mode="bicubic", antialias=True
            ).clamp(0, 1)
            shift = [
                torch.tensor(PROCESSOR[k]).view(1, 3, 1, 1) for k in ("image_mean", "image_std")
            ]
            network = model.vision_model if name.startswith("clip") else model
            states = network(
                ((faces - shift[0]) / shift[1]), output_hidden_states=True
            ).hidden_states
            return pooled(np.stack([s[:, 0].numpy() for s in states]))
        standardised = (signal - signal.mean()) / np.sqrt(signal.var() + 1e-7)
        states = model(
            torch.from_numpy(standardised)[None], output_hidden_states=True
        ).hidden_states
    return pooled(np.concatenate([s.numpy() for s in states]))


def test_pickled_weights_are_refused(small: Any) -> None:
    folder = small("wav2vec2-base")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="no .safetensors file. Weights in other formats are pick"):
        encoder("wav2vec2-base")


def test_damaged_weights_are_refused(small: Any) -> None:
    folder = small("wav2vec2-base")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UsageError, match="The weights in .* cannot be loaded .* files of facebook"):
        encoder("wav2vec2-base")


def test_weights_that_lack_a_layer_are_refused(small: Any) -> None:
    """Else the layer would be random, and another one in each process."""
    path = small("dinov2-small") / "model.safetensors"
    arrays = load_file(path)
    del arrays["encoder.layer.1.mlp.fc1.weight"]
    save_file(arrays, path, {"format": "pt"})
    with pytest.raises(UsageError, match="lack encoder.layer.1.mlp.fc1.weight and 0 others"):
        encoder("dinov2-small")


@pytest.mark.parametrize("missing", ["config.json", "preprocessor_config.json"])
def test_a_missing_file_is_named(small: Any, missing: str) -> None:
    folder = small("dinov2-small")
    (folder / missing).unlink()
    with pytest.raises(UsageError, match=missing):
        encoder("dinov2-small")


def test_weights_of_another_size_are_refused(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small("hubert-base")
    real = registry.ENCODERS["hubert-base"]
    other = EncoderEntry(real.stream, (13, 2, 768), real.home, real.weights, real.licence)
    monkeypatch.setitem(registry.ENCODERS, "hubert-base", other)
    with pytest.raises(UsageError, match=r"shape \(3, 2, 32\), but those of .* \(13, 2, 768\)"):
        encoder("hubert-base")


def test_without_a_network_it_says_where_to_put_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A hub that refuses connections; none is asked on the way."""
    monkeypatch.setenv("AVEMOTION_ENCODERS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    registry._loaded.cache_clear()
    with pytest.raises(UsageError, match="could not be downloaded .*AVEMOTION_ENCODERS"):
        encoder("wavlm-base-plus")
    assert not list(tmp_path.rglob("*.safetensors"))
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
