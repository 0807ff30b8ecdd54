"""An actor's arrays as one safetensors file, written clip by clip.

`safetensors.numpy.save` would need them stacked and then serialised, each a copy of 90 MB during
which no other thread of Python runs: the workers, whose results wait to be read, would stand still
for a fifth of a second. The bytes are the same (a test compares them).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from avemotion.data.store import ClipFeatures
from avemotion.files import write_atomically, writing

_CODES = {"float32": "F32", "float16": "F16", "int16": "I16", "uint8": "U8", "int64": "I64"}
_ORDER = ("I64", "F32", "F16", "I16", "U8")  # of arrays in the file; those of a kind by name
_ALIGNMENT = 8  # bytes


def write_shard(path: Path, features: Sequence[ClipFeatures]) -> None:
    """Write an actor's arrays, or remove them where no clip is usable.

    A machine that was given up for lost may still be writing the same shard: whole files alone
    meet, and they are the same.

    Args:
        path: The file.
        features: Of the actor's usable clips, with as many views each.

    Raises:
        AvemotionError: The disk is full, or writing there is not allowed.
    """
    if not features:
        with writing(path):
            path.unlink(missing_ok=True)
        return
    write_atomically(path, lambda p: _write(p, features), writer=f".{uuid4().hex}")


def _write(path: Path, features: Sequence[ClipFeatures]) -> None:
    lengths = np.array([f.log_mel_length for f in features], np.int64)
    offsets = np.cumsum([0] + [len(f.waveform) for f in features], dtype=np.int64)
    parts: dict[str, tuple[tuple[int, ...], list[NDArray[np.generic]]]] = {
        "faces": _stack([f.faces for f in features]),
        "spectrograms": _stack([f.spectrograms for f in features]),
        "log_mels": _stack([f.log_mels for f in features]),
        "log_mel_lengths": (lengths.shape, [lengths]),
        "waveforms": ((int(offsets[-1]),), [f.waveform for f in features]),
        "waveform_offsets": (offsets.shape, [offsets]),
    }
    codes = {name: _CODES[arrays[0].dtype.name] for name, (_, arrays) in parts.items()}
    names = sorted(parts, key=lambda name: (_ORDER.index(codes[name]), name))
    header, end = {}, 0
    for name in names:
        shape, arrays = parts[name]
        start, end = end, end + sum(array.nbytes for array in arrays)
        header[name] = {"dtype": codes[name], "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            for array in parts[name][1]:
                file.write(np.ascontiguousarray(array).data)


def _stack(
    arrays: list[NDArray[np.generic]],
) -> tuple[tuple[int, ...], list[NDArray[np.generic]]]:
    """Return the shape that they have together, and them."""
    return (len(arrays), *arrays[0].shape), arrays
