"""Make embeddings of a store's clips: the command `embed`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avemotion.data.embeddings import (
    Made,
    claim,
    folder_of,
    is_current,
    made_from,
)
from avemotion.data.shards import write_shard
from avemotion.data.store import USABLE, FeatureStore, ManifestRow
from avemotion.encoders.interface import PREFIX, EncoderIdentity
from avemotion.encoders.registry import encoder as loaded
from avemotion.encoders.registry import entry_of, name_of
from avemotion.errors import UsageError, require
from avemotion.features.table import ClipSignals, embedding, is_table
from avemotion.features.types import ClipFeatures
from avemotion.files import claimed
from avemotion.parallel.pool import run_all
from avemotion.parallel.processes import cores
from avemotion.progress import progress_bar

READ_FEATURE = {"video": "faces", "audio": "waveform"}
"""What an encoder reads -> the feature of the store that it is made from."""


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """What `embed` made."""

    feature: str
    """Name of the embedding, as models read it."""
    identity: EncoderIdentity
    """What decides its values."""
    views: int
    """Of each clip."""
    clips: int
    """Clips with an embedding: those that have what the encoder reads."""
    without: int
    """Usable clips that lack it: zeros, which no model reads."""
    made: int
    """Files that this call made; those of an earlier one are kept."""


def embed(
    data: Path | str = "features",
    encoder: str = "moonshine-tiny",
    views: int = 1,
    jobs: int | None = None,
    progress: bool = True,
) -> EmbedReport:
    """Make embeddings of all clips of a feature store; an interrupted call goes on.

    They are kept beside the features, actor by actor, and read by models such as `probe`. Sounds
    are heard at one level, faces in view 0. The result does not depend on `jobs`.

    Args:
        data: The feature store.
        encoder: Name of an encoder (moonshine-tiny, avemotion-1-face, wavlm-base-plus...), a
            network of timm (timm:NAME), or a table of features of your own: video-table:FILE.csv or
            audio-table:FILE.csv, with a column `clip`.
        views: Embeddings of each voice: of the clip, and, from 2 on, of it as other recordings
            would have it (a room, noise, a narrow channel), so that what learns from them does not
            fall for the recording. Faces and tables have one.
        jobs: Processes; by default one a core.
        progress: Show a progress bar.

    Raises:
        UsageError: There is no such store or encoder, its weights are missing or damaged, the store
            lacks what it reads, or holds embeddings of other weights.
        AvemotionError: Clips could not be read; those of other actors are done.

    Examples:
        >>> from avemotion import embed
        >>> embed("features", "moonshine-tiny", progress=False).feature
        'embedding:moonshine-tiny'
    """
    data, jobs = Path(data), cores() if jobs is None else jobs
    require(jobs >= 1, "--jobs", jobs, "1 or more")
    require(1 <= views <= 64, "--views", views, "from 1 to 64")
    entry, store = entry_of(name_of(encoder)), FeatureStore(data)
    stream, cut = entry.stream, store.settings
    if entry.plain_crops and (cut.crop_margin or cut.equalise):
        raise UsageError(
            f"{encoder} needs plain face crops, but those of {data} have --crop_margin "
            f"{cut.crop_margin:g} and --equalise {str(cut.equalise).lower()}. Preprocess into "
            "another folder without these."
        )
    if not is_table(f"{PREFIX}{name_of(encoder)}"):
        store.check_has([READ_FEATURE[stream]], encoder)
    identity, views = loaded(encoder).identity, views if embedding(encoder).has_views else 1
    folder = folder_of(data, identity.feature)
    tasks = {
        shard: _Task(data, encoder, views, shard, digest, folder / f"{shard}.safetensors")
        for shard, digest in store.shard_hashes.items()
    }
    store.check_shards(progress)
    with claimed(folder):
        claim(data, Made(identity, views))
        left = {
            name: task
            for name, task in tasks.items()
            if not is_current(task.path, task.shard_sha256, identity)
        }
        done = len(tasks) - len(left)
        with progress_bar(
            total=len(tasks), initial=done, unit="actor", disable=not progress
        ) as bar:
            for name in run_all(_embed_shard, left, jobs):
                bar.set_description(name)
                bar.update()
    there = len(store.usable(stream))
    usable = sum(row.status in USABLE for row in store.rows)
    return EmbedReport(identity.feature, identity, views, there, usable - there, len(left))


@dataclass(frozen=True, slots=True)
class _Task:
    store: Path
    encoder: str
    views: int
    shard: str
    shard_sha256: str
    path: Path


def _embed_shard(task: _Task) -> None:
    """Make the embeddings of one shard; runs in a process of its own."""
    store, made = FeatureStore(task.store), embedding(task.encoder)
    identity = loaded(task.encoder).identity
    of_table = is_table(identity.feature)
    signals_of = partial(_presence if of_table else _signals, stream=made.stream)
    rows = [row for row in store.rows if row.shard == task.shard and row.status in USABLE]
    features = {
        row.clip: ClipFeatures({identity.feature: made.of(signals, task.views)})
        for row, signals in zip(rows, signals_of(store, rows), strict=True)
    }
    write_shard(task.path, features, made_from(task.shard_sha256, identity))


def _presence(
    store: FeatureStore, rows: Sequence[ManifestRow], stream: str
) -> Iterator[ClipSignals]:
    """Yield what a table needs to know of each clip: whether it has what the table is about."""
    for row in rows:
        there = row.status in ("av", stream)
        faces = np.zeros((1, 1, 1, 1), np.uint8) if there and stream == "video" else None
        samples = np.zeros(1, np.int16) if there and stream == "audio" else None
        yield ClipSignals(row.clip, store.settings.seed, faces, samples)


def _signals(
    store: FeatureStore, rows: Sequence[ManifestRow], stream: str
) -> Iterator[ClipSignals]:
    for row in rows:
        faces: NDArray[np.uint8] | None = None
        samples: NDArray[np.int16] | None = None
        if row.status in ("av", stream):
            found = store.read(row, READ_FEATURE[stream])
            faces, samples = (found[:1], None) if stream == "video" else (None, found)
        yield ClipSignals(row.clip, store.settings.seed, faces, samples)
