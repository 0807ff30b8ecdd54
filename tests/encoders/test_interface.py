"""What all encoders share: their names, identities, pooling, and what loading them imports."""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avemotion.encoders.interface import EncoderIdentity, pooled
from avemotion.encoders.registry import ENCODERS, encoder, entry_of, name_of
from avemotion.errors import UsageError
from avemotion.features.table import feature, is_embedding, is_table

IDENTITY = EncoderIdentity("moonshine-tiny", "0.0.49", "ab" * 32, "int8")


def test_an_identity_survives_json_and_names_its_feature() -> None:
    assert EncoderIdentity.from_dict(json.loads(json.dumps(asdict(IDENTITY)))) == IDENTITY
    assert IDENTITY.feature == "embedding:moonshine-tiny"


@pytest.mark.parametrize(
    ("change", "message"),
    [({"revision": 3}, "encoder.revision is 3, but must be text"), ({"x": ""}, "'x', but may")],
)
def test_a_damaged_identity_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EncoderIdentity.from_dict(asdict(IDENTITY) | change)


@given(
    layers=st.integers(1, 3), times=st.integers(1, 9), values=st.integers(1, 4), seed=st.integers(0)
)
def test_pooling_is_mean_and_deviation_over_time(
    layers: int, times: int, values: int, seed: int
) -> None:
    frames = np.random.default_rng(seed).normal(5, 2, (layers, times, values))
    found = pooled(frames.astype(np.float32))
    assert found.shape == (layers, 2, values) and found.dtype == np.float32
    for layer in range(layers):
        for value in range(values):
            column = [float(x) for x in frames[layer, :, value].astype(np.float32)]
            mean = sum(column) / times
            deviation = (sum((x - mean) ** 2 for x in column) / times) ** 0.5
            assert found[layer, :, value] == pytest.approx([mean, deviation], abs=1e-5)


def test_an_unknown_encoder_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="no encoder 'wav2vec3'. Encoders: avemotion-1-face, moon"):
        name_of("wav2vec3")
    with pytest.raises(UsageError, match="no encoder 'wav2vec3'"):
        feature("embedding:wav2vec3")


def test_each_entry_is_a_feature_of_its_stream() -> None:
    for name, entry in ENCODERS.items():
        found = feature(f"embedding:{name}")
        assert (found.stream, found.kind, found.shape) == (entry.stream, "embedding", entry.shape)
        assert is_embedding(f"embedding:{name}") and not is_table(f"embedding:{name}")
        assert entry.licence and entry.weights


def test_a_table_is_named_after_its_file_and_cannot_be_computed() -> None:
    assert name_of("video-table:some/where/openface.csv") == "video-table.openface"
    assert entry_of("video-table.openface").stream == "video"
    assert is_table("embedding:audio-table.egemaps")
    with pytest.raises(UsageError, match="is a table of features: other clips than those in it"):
        encoder("video-table.openface")


def test_where_weights_come_from_does_not_matter_but_their_hash_does() -> None:
    assert replace(IDENTITY, revision="a folder") == IDENTITY
    for change in ({"weights_sha256": "cd" * 32}, {"precision": "float32"}, {"version": 99}):
        assert replace(IDENTITY, **change) != IDENTITY


def test_a_file_is_no_name_of_a_table_in_a_store() -> None:
    with pytest.raises(UsageError, match="names a file. Embed it; models then read audio-table.NA"):
        entry_of("audio-table:x.csv")
    with pytest.raises(UsageError, match="rename it, in plain letters"):
        entry_of("video-table.a/../../b")


def test_a_network_of_timm_is_named_after_itself_and_has_weights_to_load() -> None:
    assert name_of("timm:resnet18.a1_in1k") == name_of("timm.resnet18.a1_in1k")
    entry = entry_of("timm.resnet18.a1_in1k")
    assert (entry.stream, entry.weights) == ("video", "timm/resnet18.a1_in1k")
    assert not is_table("embedding:timm.resnet18.a1_in1k")
    with pytest.raises(UsageError, match="Models read the embeddings of timm:x as timm.x"):
        entry_of("timm:x")
    with pytest.raises(UsageError, match="timm has no network 'a/../b'. Give its own name"):
        name_of("timm:a/../b")


@pytest.mark.parametrize("stem", ["a,b", "a:b", "a\nb"])
def test_a_table_of_a_name_that_no_folder_can_have_is_refused(stem: str) -> None:
    with pytest.raises(UsageError, match="rename it, in plain letters"):
        name_of(f"video-table:{stem}.csv")


def test_preprocessing_and_naming_encoders_load_neither_models_nor_their_packages() -> None:
    code = """
import sys
import avemotion.encoders.registry
from avemotion import embed, preprocess
heavy = ("avemotion.models", "torch", "transformers", "onnx", "onnxruntime", "huggingface_hub")
print([name for name in sys.modules if name.startswith(heavy)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
