"""The feature store: one safetensors file an actor, a manifest of every clip, and the settings.

features/manifest.csv               what became of each clip, and the files it was made from
features/manifest.journal           the same of actors finished since; gone once all are
features/actors/1001.safetensors    faces, spectrograms, log-mels, waveforms of an actor's clips
features/store.json                 format, settings, labels
features/ratings.csv                the crowd's votes, where the corpus has them
features/demographics.csv           who the actors are, where the corpus says it
"""

from __future__ import annotations

import csv
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

RATINGS_NAME, DEMOGRAPHICS_NAME = "ratings.csv", "demographics.csv"

JOURNAL_NAME = "manifest.journal"
"""What became of the manifest's actors since it was written: a line of JSON for each change.

A line is the actor and the rows' cells, none where the actor is no longer listed. Without it, every
actor would cost a rewriting of the whole manifest.
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
    """What became of one clip."""

    clip: str
    """Name of the clip."""
    actor: str
    """Who is seen and heard."""
    sentence: str
    """Code of what is said."""
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
    try:
        info = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{path} is damaged ({error}). Remove {directory} and preprocess anew."
        ) from error
    if info.get("format") == FORMAT:  # of another format nothing else is known
        for key, kind in _INFO_TYPES.items():
            if not isinstance(info.get(key, ...), kind):
                raise UsageError(
                    f"{path} is damaged: {key!r} is {info.get(key)!r}. "
                    f"Remove {directory} and preprocess anew."
                )
    return info


def read_manifest(directory: Path) -> list[ManifestRow]:
    """Read ``manifest.csv`` with the journal's changes; none where no actor is finished yet.

    Raises:
        UsageError: The table is damaged.
    """
    path = directory / "manifest.csv"
    rows: list[ManifestRow] = []
    try:
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                if reader.fieldnames != COLUMNS:
                    raise ValueError("its columns are not those of this version")
                rows = [
                    ManifestRow(**{c: _COLUMN_TYPES[c](row[c]) for c in COLUMNS}) for row in reader
                ]
        path = directory / JOURNAL_NAME
        return _with_journal(rows, path.read_bytes()) if path.is_file() else rows
    except (ValueError, TypeError, csv.Error) as error:
        raise UsageError(
            f"{path} is damaged ({error}). Remove {directory} and preprocess anew."
        ) from error


def _with_journal(rows: list[ManifestRow], journal: bytes) -> list[ManifestRow]:
    """Apply a journal; what follows its last line break was being written by a killed run."""
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
        self._places = _places(self.rows)

    def usable(self, modality: str) -> list[ManifestRow]:
        """Return the clips that offer what a modality needs: ``av`` needs both."""
        return [row for row in self.rows if row.status in ("av", modality)]

    def place(self, clip: str) -> int:
        """Return a clip's index in its actor's arrays."""
        return self._places[clip]

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
        """Return a clip's ``faces``, ``spectrograms``, ``log_mels`` (all views), ``waveforms``."""
        place = self.place(row.clip)
        with safe_open(self.shard(row.actor), "np") as file:
            if name == "waveforms":
                start, stop = file.get_tensor("waveform_offsets")[place : place + 2]
                return np.asarray(file.get_slice(name)[int(start) : int(stop)])
            return np.asarray(file.get_slice(name)[place])

    def content_hash(self) -> str:
        """Return what identifies the store: SHA-256 of its settings, manifest and votes."""
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


def _places(rows: Sequence[ManifestRow]) -> dict[str, int]:
    counts: dict[str, int] = {}
    places: dict[str, int] = {}
    for row in rows:
        if row.status in USABLE:
            places[row.clip] = counts.get(row.actor, 0)
            counts[row.actor] = places[row.clip] + 1
    return places
