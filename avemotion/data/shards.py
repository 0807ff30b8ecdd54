"""Shards of the feature store: the arrays of one actor's clips, in one safetensors file."""

from __future__ import annotations

import errno
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

from avemotion.data.store import USABLE
from avemotion.data.types import Clip
from avemotion.features.extraction import Extraction
from avemotion.features.types import ClipFeatures
from avemotion.files import write_atomically, writing
from avemotion.parallel.isolated_worker import TaskFailure

LIBRARY_PARTIAL = ".tmp*"
"""Pattern of safetensors' own temporary names; a killed run may leave such files."""

Shards = Mapping[Path, Sequence[Clip]]
"""Path of each actor's arrays -> the clips whose features they hold."""

Written = tuple[Path, list[Extraction | TaskFailure]]
"""Path of a shard that is written, and the outcome of each of its clips, without features."""


def write_shard(path: Path, features: Sequence[ClipFeatures]) -> None:
    """Write an actor's arrays, or remove them where no clip is usable.

    A machine that counts as lost may still be writing the same shard. Each writes whole files of
    the same bytes under a name of its own, so the last one to rename its file does no harm.

    Args:
        path: The file.
        features: Those of the actor's usable clips, all with the same number of views.

    Raises:
        AvemotionError: The disk is full, or writing there is not allowed.
    """
    if not features:
        with writing(path):
            path.unlink(missing_ok=True)
        return
    write_atomically(path, lambda p: _save(p, features), writer=f".{uuid4().hex}")


def _save(path: Path, features: Sequence[ClipFeatures]) -> None:
    """Write arrays with the permissions and the errors of other files.

    While it writes, the actor's features are in memory twice: the library takes whole arrays.

    Raises:
        OSError: The file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {
        "faces": np.stack([f.faces for f in features]),
        "spectrograms": np.stack([f.spectrograms for f in features]),
        "log_mels": np.stack([f.log_mels for f in features]),
        "log_mel_lengths": np.array([f.log_mel_length for f in features], np.int64),
        "waveforms": np.concatenate([f.waveform for f in features]),
        "waveform_offsets": np.cumsum([0, *(len(f.waveform) for f in features)], dtype=np.int64),
    }
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(arrays, path)  # replaces the file by one that its owner alone may read
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
    return replace(outcome, features=ClipFeatures.zeros(0)), features


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
            outcomes, features = [], []
            for _ in clips:
                outcome, found = without_features(next(results))
                on_done()
                outcomes.append(outcome)
                if found is not None:
                    features.append(found)
            write_shard(shard, features)
            yield shard, outcomes
        next(results, None)  # there is no further one: the workers end by themselves
