"""Shards of the feature store: the arrays of one actor's clips, in one safetensors file."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from avemotion.data.checksums import sha256_of
from avemotion.data.store import CLIPS_KEY, USABLE
from avemotion.data.types import Clip
from avemotion.features.extraction import Extraction
from avemotion.features.table import feature
from avemotion.features.types import ClipFeatures
from avemotion.files import write_atomically, writing
from avemotion.parallel.isolated_worker import TaskFailure

LIBRARY_PARTIAL = ".tmp*"
"""Pattern of safetensors' own temporary names; a killed run may leave such files."""

Shards = Mapping[Path, Sequence[Clip]]
"""Path of each actor's arrays -> the clips whose features they hold."""

Written = tuple[Path, str, list[Extraction | TaskFailure]]
"""Path and SHA-256 of a shard that is written; the outcome of each of its clips, without features.
"""


def write_shard(
    path: Path, features: Mapping[str, ClipFeatures], notes: Mapping[str, str] | None = None
) -> str:
    """Write an actor's arrays, or remove them where no clip is usable.

    A machine that counts as lost may still be writing the same shard. Each writes whole files of
    the same bytes under a name of its own, so the last one to rename its file does no harm.

    Args:
        path: The file.
        features: By name those of the actor's usable clips, all with the same number of views.
        notes: Kept in the file's metadata, beside the names of the clips.

    Returns:
        Its SHA-256 in hexadecimal; empty where no clip is usable.

    Raises:
        AvemotionError: The disk is full, or writing there is not allowed.
    """
    if not features:
        with writing(path):
            path.unlink(missing_ok=True)
        return ""
    digests: list[str] = []

    def write(temporary: Path) -> None:
        _save(temporary, features, notes or {})
        digests.append(sha256_of(temporary))

    write_atomically(path, write, writer=f".{uuid4().hex}")
    return digests[0]


def _save(path: Path, features: Mapping[str, ClipFeatures], notes: Mapping[str, str]) -> None:
    """Write arrays with the permissions and the errors of other files.

    While it writes, the actor's features are in memory twice: the library takes whole arrays.

    Raises:
        OSError: The file cannot be written.
    """
    clips = list(features.values())
    arrays: dict[str, NDArray[Any]] = {}
    for name in clips[0].arrays:
        each = [clip.arrays[name] for clip in clips]
        if feature(name).varies:
            arrays[name] = np.concatenate(each)
            arrays[f"{name}_offsets"] = np.cumsum([0, *map(len, each)], dtype=np.int64)
        else:
            arrays[name] = np.stack(each)
    for name in clips[0].lengths:
        arrays[f"{name}_lengths"] = np.array([clip.lengths[name] for clip in clips], np.int64)
    metadata = {CLIPS_KEY: json.dumps(list(features)), **notes}
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(arrays, path, metadata)  # replaces the file by one that its owner alone may read
    except SafetensorError as error:
        found = re.search(r"os error (\d+)", str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, os.strerror(number)) from error
    with suppress(OSError):  # some network drives have no permissions
        path.chmod(mode)


def without_features(
    outcome: Extraction | TaskFailure,
) -> tuple[Extraction | TaskFailure, ClipFeatures | None]:
    """Split an outcome into one without features, and the features to be stored, if any."""
    if isinstance(outcome, TaskFailure):
        return outcome, None
    features = outcome.features if outcome.status in USABLE else None
    return replace(outcome, features=ClipFeatures()), features


def write_here(
    shards: Shards,
    extract_all: Callable[[list[Clip]], Generator[Extraction | TaskFailure, None, None]],
    on_done: Callable[[], object],
) -> Generator[Written, None, None]:
    """Write shards on this machine, one after the other.

    Args:
        shards: The shards, and the clips of each.
        extract_all: Extracts clips, and yields their outcomes in order.
        on_done: Called when a clip is done.
    """
    with closing(extract_all([clip for clips in shards.values() for clip in clips])) as results:
        for shard, clips in shards.items():
            outcomes: list[Extraction | TaskFailure] = []
            features: dict[str, ClipFeatures] = {}
            for clip in clips:
                outcome, found = without_features(next(results))
                on_done()
                outcomes.append(outcome)
                if found is not None:
                    features[clip.name] = found
            yield shard, write_shard(shard, features), outcomes
        next(results, None)  # there is no further one: the workers end by themselves
