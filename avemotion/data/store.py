"""The feature store: one safetensors file an actor, a manifest of every clip, and the settings.

features/manifest.csv               the outcome of each clip, and the files it was made from
features/manifest.journal           the same for actors finished since; removed once all are
features/actors/1001.safetensors    faces, spectrograms, log-mels, waveforms of an actor's clips
features/store.json                 format, settings, labels
features/ratings.csv                the crowd's votes, where the corpus has them
features/demographics.csv           attributes of the actors, where the corpus has them
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from avemotion.config import PreprocessSettings
from avemotion.data.annotations import read_demographics, read_ratings
from avemotion.data.types import Rating
from avemotion.errors import UsageError
from avemotion.files import read_csv, read_json

RATINGS_NAME, DEMOGRAPHICS_NAME = "ratings.csv", "demographics.csv"

JOURNAL_NAME = "manifest.journal"
"""Changes of the manifest since it was written, a line of JSON each.

A line holds an actor and the cells of its rows, none where the actor is no longer listed. Without
the journal, every actor would cost a rewriting of the whole manifest.
"""

FORMAT = 2
"""Changes with the layout or the content of the files; a store of another format is refused."""

USABLE = ("av", "video", "audio")
"""Statuses of clips that have features: with both modalities, or with one."""

STATUS_WORDS: dict[str, str] = {
    "av": "with face and voice",
    "video": "with a face alone",
    "audio": "with a voice alone",
    "excluded": "excluded as known to be bad",
    "failed": "failed",
}
"""Status of a clip -> how messages call it; in the order of summaries."""


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """The outcome of one clip."""

    clip: str
    """Name of the clip."""
    actor: str
    """Who is seen and heard."""
    sentence: str
    """Code of the spoken sentence."""
    emotion: str
    """Intended emotion, one of the store's labels."""
    level: str
    """Intended intensity."""
    status: str
    """``av``, ``video`` or ``audio``: what the clip offers; else ``excluded`` or ``failed``."""
    reason: str
    """Why it is excluded or failed, or what it lacks; empty for a whole clip."""
    frames_decoded: int
    """Frames of the whole video."""
    faces_found: int
    """Of the 20 sampled frames of view 0, those on which a face is seen."""
    searched_frames: int
    """Frames searched whole for the face."""
    searched_frames_with_face: int
    """Those on which the clip's face was found."""
    face_box: str
    """The crop in pixels of the video: ``x y width height``; empty without a face."""
    video_file: str
    """Path in the corpus of the file that the faces come from."""
    video_bytes: int
    """Its size: a file of another size is processed again."""
    audio_file: str
    """Path in the corpus of the file that the sound comes from: the video's where it has no own."""
    audio_bytes: int
    """Its size."""


_INFO_TYPES: dict[str, type | tuple[type, ...]] = {
    "corpus": str,
    "labels": list,
    "settings": dict,
    "synthetic": (dict, type(None)),
    "clips": int,
}
COLUMNS = [f.name for f in fields(ManifestRow)]
"""Columns of the manifest."""
_COLUMN_TYPES = get_type_hints(ManifestRow)


def read_info(directory: Path) -> dict[str, Any]:
    """Read ``store.json``.

    Raises:
        UsageError: There is no store, or its description is damaged.
    """
    path = directory / "store.json"
    if not path.is_file():
        raise UsageError(
            f"{directory} is not a feature store (no store.json). "
            "Make one with `avemotion preprocess DIR`, or give its folder with --data."
        )
    remedy = f"Remove {directory} and preprocess anew."
    info = read_json(path, remedy)
    if info.get("format") == FORMAT:  # of another format nothing else is known
        for key, kind in _INFO_TYPES.items():
            if not isinstance(info.get(key, ...), kind):
                raise UsageError(f"{path} is damaged: {key!r} is {info.get(key)!r}. {remedy}")
    return info


def read_manifest(directory: Path) -> list[ManifestRow]:
    """Read ``manifest.csv`` with the journal's changes; none where no actor is finished yet.

    Raises:
        UsageError: The table is damaged.
    """
    path, journal = directory / "manifest.csv", directory / JOURNAL_NAME
    remedy = f"Remove {directory} and preprocess anew."
    rows = read_csv(path, COLUMNS, _manifest_row, remedy) if path.is_file() else []
    try:
        return _with_journal(rows, journal.read_bytes()) if journal.is_file() else rows
    except (ValueError, TypeError) as error:
        raise UsageError(f"{journal} is damaged ({error}). {remedy}") from error


def _manifest_row(cells: dict[str, str]) -> ManifestRow:
    return ManifestRow(**{name: _COLUMN_TYPES[name](cell) for name, cell in cells.items()})


def _with_journal(rows: list[ManifestRow], journal: bytes) -> list[ManifestRow]:
    """Apply a journal; a killed run may have left half a line at its end, which is skipped."""
    by_actor: dict[str, list[ManifestRow]] = {}
    for row in rows:
        by_actor.setdefault(row.actor, []).append(row)
    for line in journal.split(b"\n")[:-1]:
        actor, cells = json.loads(line)
        by_actor[actor] = [ManifestRow(*row) for row in cells]
    return [row for actor in sorted(by_actor) for row in by_actor[actor]]


class FeatureStore:
    """A finished store, for reading."""

    def __init__(self, directory: Path) -> None:
        """Open a store.

        Raises:
            UsageError: There is no store, it is of another format, or not all of it is written.
        """
        self.directory = directory
        self.info = read_info(directory)
        if self.info.get("format") != FORMAT:
            raise UsageError(
                f"{directory} is a store of format {self.info.get('format')}, this version reads "
                f"{FORMAT} (since 0.2 sound is resampled by soxr, and columns have new names). "
                "Preprocess into another folder."
            )
        self.labels: tuple[str, ...] = tuple(self.info["labels"])
        self.settings = PreprocessSettings(**self.info["settings"])
        self.synthetic: dict[str, Any] | None = self.info["synthetic"]
        self.rows = read_manifest(directory)
        if len(self.rows) != self.info["clips"] or (directory / JOURNAL_NAME).exists():
            raise UsageError(
                f"{directory} is not finished: {len(self.rows)} of {self.info['clips']} clips. "
                "Run the same `avemotion preprocess` again: it goes on where it stopped."
            )
        self._indices = _indices(self.rows)

    def usable(self, modality: str) -> list[ManifestRow]:
        """Return the clips that a modality can use; ``av`` needs face and voice."""
        return [row for row in self.rows if row.status in ("av", modality)]

    def index_of(self, clip: str) -> int:
        """Return a clip's index in its actor's arrays."""
        return self._indices[clip]

    def shard(self, actor: str) -> Path:
        """Return the path of an actor's arrays.

        Raises:
            UsageError: The file is missing or damaged.
        """
        path = self.directory / "actors" / f"{actor}.safetensors"
        try:
            with safe_open(path, "np"):
                return path
        except (SafetensorError, OSError) as error:
            raise UsageError(
                f"{path} cannot be read ({error}). Remove it and run `avemotion preprocess` again."
            ) from error

    def read(self, row: ManifestRow, name: str) -> NDArray[Any]:
        """Return an array of one clip.

        Args:
            row: The clip, a usable one.
            name: ``faces``, uint8 (view, 20, 98, 80); ``spectrograms``, float32 (view, 128, 128);
                ``log_mels``, float16 (view, 64, 500); or ``waveforms``, int16 (sample,).

        Raises:
            UsageError: The actor's file is missing or damaged.
        """
        index = self.index_of(row.clip)
        with safe_open(self.shard(row.actor), "np") as file:
            if name == "waveforms":
                start, stop = file.get_tensor("waveform_offsets")[index : index + 2]
                return np.asarray(file.get_slice(name)[int(start) : int(stop)])
            return np.asarray(file.get_slice(name)[index])

    def content_hash(self) -> str:
        """Return the SHA-256 of the store's settings, manifest and votes, in hexadecimal."""
        digest = hashlib.sha256()
        for name in ("store.json", "manifest.csv", RATINGS_NAME):
            if (self.directory / name).is_file():
                digest.update((self.directory / name).read_bytes())
        return digest.hexdigest()

    def ratings(self) -> list[Rating]:
        """Return the crowd's votes on the store's clips; none where the corpus has none.

        Raises:
            UsageError: The table is damaged.
        """
        return read_ratings(self.directory / RATINGS_NAME, self.labels)

    def demographics(self) -> dict[str, dict[str, str]]:
        """Return what is known of each actor: see `Corpus.demographics`.

        Raises:
            UsageError: The table is damaged.
        """
        return read_demographics(self.directory / DEMOGRAPHICS_NAME)


def _indices(rows: Sequence[ManifestRow]) -> dict[str, int]:
    counts: dict[str, int] = {}
    indices: dict[str, int] = {}
    for row in rows:
        if row.status in USABLE:
            indices[row.clip] = counts.get(row.actor, 0)
            counts[row.actor] = indices[row.clip] + 1
    return indices
