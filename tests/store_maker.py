"""A small store, written by hand: what a corpus, a row of its manifest and features look like."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from avemotion.config import PreprocessSettings
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.store_writer import StoreWriter
from avemotion.data.types import Clip, Corpus, Rating
from avemotion.features.types import ClipFeatures

SETTINGS = PreprocessSettings(views=2)
NAMES = ["1001_DFA_ANG_XX", "1001_DFA_DIS_XX", "1001_DFA_HAP_XX", "1002_DFA_ANG_XX"]


def corpus_of(directory: Path, names=tuple(NAMES), synthetic=None) -> Corpus:
    clips = tuple(
        Clip(name, name[:4], "DFA", "anger", "XX", directory / "v", directory / "a")
        for name in names
    )
    ratings = (Rating(names[0], "audio", (5, 0, 1, 0, 2, 0)),)
    return Corpus("crema_d", directory, EMOTIONS, clips, ratings=ratings, synthetic=synthetic)


def row_of(name: str, status: str = "av") -> ManifestRow:
    return ManifestRow(
        clip=name, actor=name[:4], sentence="DFA", emotion="anger", level="XX", part="",
        shard=name[:4], status=status,
        reason="" if status == "av" else 'of a kind, "quoted", with\na line break',
        frames_decoded=60, faces_found=20, searched_frames=5, searched_frames_with_face=5,
        face_box="1 2 80 98", video_file="v", video_bytes=7, audio_file="a", audio_bytes=8,
    )  # fmt: skip


def features_of(seed: int, samples: int) -> ClipFeatures:
    """Random features of the default settings, as large as those of a clip with that sound."""
    rng = np.random.default_rng(seed)
    views = SETTINGS.views
    return ClipFeatures(
        arrays={
            "faces": rng.integers(0, 255, (views, 20, 98, 80), dtype=np.uint8),
            "power": rng.random((128, 128), dtype=np.float32),
            "log_mel": rng.random((64, 500)).astype(np.float16),
            "waveform": rng.integers(-9, 9, samples, dtype=np.int16),
        },
        lengths={"power": 128, "log_mel": samples // 160, "waveform": samples},
    )


def some_of(features: ClipFeatures, names: tuple[str, ...]) -> ClipFeatures:
    return ClipFeatures(
        {name: array for name, array in features.arrays.items() if name in names},
        {name: length for name, length in features.lengths.items() if name in names},
    )


def written(
    folder: Path, statuses: dict[str, str], names: tuple[str, ...] = SETTINGS.features
) -> FeatureStore:
    """A store of clips, by name, with these statuses and features."""
    settings = replace(SETTINGS, features=names)
    writer = StoreWriter.open(folder, corpus_of(folder, tuple(statuses)), settings)
    for actor in sorted({name[:4] for name in statuses}):
        rows = [row_of(name, status) for name, status in statuses.items() if name[:4] == actor]
        every = [features_of(i, 3000 + i) for i in range(len(rows))]
        writer.add(actor, rows, [some_of(features, names) for features in every])
    return FeatureStore(folder)
