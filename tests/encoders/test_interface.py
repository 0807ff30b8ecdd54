"""The interface of encoders, met by the smallest one: the mean of each band of the log-mel."""

import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avemotion.data.batch import Arrays
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.encoders.interface import PREFIX, Encoder, EncoderIdentity


@dataclass(frozen=True)
class MeanBands:
    """Needs no weights, so their hash is that of nothing."""

    identity: EncoderIdentity = EncoderIdentity("mean-bands", "1", "", "float32")
    reads: str = "log_mel"
    length: int = 64

    def encode(self, clips: Arrays) -> NDArray[np.float32]:
        sound, lengths = clips.inputs[self.reads], clips.lengths[self.reads]
        total = sound.astype(np.float32).sum(axis=2)  # the padding is zeros
        return total / np.maximum(lengths, 1)[:, None].astype(np.float32)


def test_an_encoder_reads_a_store_clip_by_clip_or_many_at_once(small_store: Path) -> None:
    encoder: Encoder = MeanBands()
    store = FeatureStore(small_store)
    dataset = ClipDataset(store, store.rows[:5], [encoder.reads])
    many = encoder.encode(dataset[[(i, 0) for i in range(5)]].map(lambda tensor: tensor.numpy()))
    assert many.shape == (5, encoder.length) and many.dtype == np.float32
    for i, row in enumerate(store.rows[:5]):
        one = encoder.encode(dataset[[(i, 0)]].map(lambda tensor: tensor.numpy()))
        np.testing.assert_array_equal(one[0], many[i])
        length = int(store.read(row, "log_mel_lengths"))
        wanted = store.read(row, "log_mel")[:, :length].astype(np.float64).mean(axis=1)
        np.testing.assert_allclose(one[0], wanted, rtol=1e-5)


def test_an_encoder_travels_to_workers_and_names_its_feature() -> None:
    encoder = pickle.loads(pickle.dumps(MeanBands()))
    assert encoder == MeanBands()
    assert encoder.identity.feature == f"{PREFIX}mean-bands" == "embedding:mean-bands"


def test_making_embeddings_and_preprocessing_load_no_model() -> None:
    code = """
import sys
import avemotion.encoders.interface
from avemotion import preprocess
print([name for name in sys.modules if name.startswith("avemotion.models")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
