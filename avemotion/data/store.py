"""The feature store: a safetensors file for each actor, a manifest of every clip, and the settings.

features/manifest.csv               the outcome of each clip, and the files it was made from
features/manifest.journal           the same for actors finished since; removed once all are
features/actors/1001.safetensors    faces, spectrograms, waveforms of an actor's clips
features/store.json                 format, settings, labels
features/checksums.json             SHA-256 of the other files but the arrays; written last
features/ratings.csv                the crowd's votes, where the corpus has them
features/demographics.csv           attributes of the actors, where the corpus has them
features/embeddings/                what `embed` made of the clips: see `avemotion.data.embeddings`
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
from avemotion.data.annotations import (
    DEMOGRAPHICS_NAME,
    RATINGS_NAME,
    UNITS_NAME,
    read_demographics,
    read_ratings,
    read_units,
)
from avemotion.data.checksums import JOURNAL_NAME, check_tables, sha256_of
from avemotion.data.embeddings import Made, command_in, current_file, made_in
from avemotion.data.task import Task
from avemotion.data.types import Rating
from avemotion.encoders.interface import EncoderIdentity
from avemotion.errors import UsageError, any_of, settings_from
from avemotion.features.table import feature, is_embedding
from avemotion.files import read_csv, read_json
from avemotion.progress import progress_bar

CLIPS_KEY = "clips"
"""Metadata of a shard: the names of its clips as a JSON list, in the order of its arrays."""

FORMAT = 6
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
    part: str
    """Part of the corpus' official split; empty where it has none."""
    shard: str
    """Names the file with its features: the actor, or a number where the actor is unknown."""
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
    shard_sha256: str = ""
    """SHA-256 of the file with the shard's features; empty for a clip without any."""


_MAKE_ANEW = "Run the same `avemotion preprocess` again: it makes this file anew."
_INFO_TYPES: dict[str, type | tuple[type, ...]] = {
    "corpus": str,
    "labels": list,
    "units": list,
    "settings": dict,
    "synthetic": (dict, type(None)),
    "clips": int,
    "parts_note": str,
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
    return _checked(ManifestRow(**{n: _COLUMN_TYPES[n](cell) for n, cell in cells.items()}))


def _checked(row: ManifestRow) -> ManifestRow:
    for name in ("clip", "actor", "shard"):
        if not getattr(row, name):
            raise ValueError(f"its {name} is empty")
    if row.status not in STATUS_WORDS:
        raise ValueError(f"its status is {row.status!r}, but must be {any_of(STATUS_WORDS)}")
    return row


def _with_journal(rows: list[ManifestRow], journal: bytes) -> list[ManifestRow]:
    """Apply a journal; a killed run may have left half a line at its end, which is skipped."""
    by_shard: dict[str, list[ManifestRow]] = {}
    for row in rows:
        by_shard.setdefault(row.shard, []).append(row)
    for line in journal.split(b"\n")[:-1]:
        shard, cells = json.loads(line)
        by_shard[shard] = [_checked(ManifestRow(*row)) for row in cells]
    return [row for shard in sorted(by_shard) for row in by_shard[shard]]


class FeatureStore:
    """A finished store, for reading."""

    def __init__(self, directory: Path) -> None:
        """Open a store.

        Raises:
            UsageError: There is no store, it is of another format, not all of it is written, or
                a table was changed since. Shards are not read: see `check_shards`.
        """
        self.directory = directory
        self.info = read_info(directory)
        if self.info.get("format") != FORMAT:
            raise UsageError(
                f"{directory} is a store of format {self.info.get('format')}, this version reads "
                f"{FORMAT} (since 0.2 sound is resampled by soxr and kept in one view, and a store "
                "names its action units). "
                "Preprocess into another folder."
            )
        finished = check_tables(directory)
        self.task = Task(tuple(self.info["labels"]), tuple(self.info["units"]))
        self.settings = settings_from(PreprocessSettings, self.info["settings"], "settings")
        self.synthetic: dict[str, Any] | None = self.info["synthetic"]
        self.rows = read_manifest(directory)
        if not finished or len(self.rows) != self.info["clips"]:
            raise UsageError(
                f"{directory} is not finished: {len(self.rows)} of {self.info['clips']} clips. "
                "Run the same `avemotion preprocess` again: it goes on where it stopped."
            )
        self._clips: dict[str, list[str]] = {}  # those in each shard
        for row in self.rows:
            if row.emotion not in self.labels:
                raise UsageError(
                    f"{directory / 'manifest.csv'} is damaged: the emotion of {row.clip} is "
                    f"{row.emotion!r}, but must be one of {', '.join(self.labels)}. "
                    f"Remove {directory} and preprocess anew."
                )
            if row.status in USABLE:
                self._clips.setdefault(row.shard, []).append(row.clip)
        self.shard_hashes = {r.shard: r.shard_sha256 for r in self.rows if r.status in USABLE}
        self._indices = {clip: i for clips in self._clips.values() for i, clip in enumerate(clips)}

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of a model's outputs."""
        return self.task.labels

    def usable(self, modality: str) -> list[ManifestRow]:
        """Return the clips that a modality can use; ``av`` needs face and voice."""
        return [row for row in self.rows if row.status in ("av", modality)]

    def index_of(self, clip: str) -> int:
        """Return a clip's index in its shard."""
        return self._indices[clip]

    def shard(self, name: str) -> Path:
        """Return the path of a shard: the arrays of an actor, or of some clips of unknown ones.

        Raises:
            UsageError: The file is missing or damaged, or holds other clips than the manifest says.
        """
        path = self.directory / "actors" / f"{name}.safetensors"
        try:
            with safe_open(path, "np") as file:
                clips = (file.metadata() or {}).get(CLIPS_KEY)
        except (SafetensorError, OSError) as error:
            raise UsageError(f"{path} cannot be read ({error}). {_MAKE_ANEW}") from error
        if clips != json.dumps(self._clips.get(name, [])):
            raise UsageError(f"{path} holds other clips than manifest.csv lists. {_MAKE_ANEW}")
        return path

    def check_shards(self, progress: bool) -> None:
        """Compare all shards with their SHA-256 in the manifest: once, before they are relied on.

        Args:
            progress: Show a progress bar if it takes more than a second.

        Raises:
            UsageError: One is missing or was changed since.
        """
        bar = progress_bar(
            self.shard_hashes, unit="file", desc="check", delay=1, leave=False, disable=not progress
        )
        for name in bar:
            found = sha256_of(path := self.shard(name))
            if found != self.shard_hashes[name]:
                raise UsageError(
                    f"{path} is damaged: its SHA-256 is {found}, but manifest.csv lists "
                    f"{self.shard_hashes[name]}. {_MAKE_ANEW}"
                )

    def read(self, row: ManifestRow, name: str) -> NDArray[Any]:
        """Return an array of one clip.

        Args:
            row: The clip, a usable one.
            name: A feature of the store: (view, *shape), or its shape alone where views do not
                differ; or, for a feature of the sound, its name with ``_lengths``: how many of the
                last axis hold sound.

        Raises:
            UsageError: The store has no such feature, or its file is missing or damaged.
        """
        plain = name.removesuffix("_lengths")
        self.check_has([plain])
        index = self.index_of(row.clip)
        with safe_open(self.file_of(plain, row.shard), "np") as file:
            if name == plain and feature(name).varies:
                start, stop = file.get_tensor(f"{name}_offsets")[index : index + 2]
                return np.asarray(file.get_slice(name)[int(start) : int(stop)])
            return np.asarray(file.get_slice(name)[index])

    def check_has(self, names: Sequence[str], reader: str = "") -> None:
        """Refuse features that the store does not hold.

        Args:
            names: The features.
            reader: What needs them, in a message.

        Raises:
            UsageError: One is missing; the message says how to preprocess with it.
        """
        made = [name for name in names if is_embedding(name)]
        for name in made:
            identity = self.made(name, reader).encoder
            for shard in self._clips:
                current_file(self.directory, identity, shard, self.shard_hashes[shard])
        plain = [name for name in names if name not in made]
        if missing := [name for name in plain if name not in self.settings.features]:
            wanted = ",".join([*self.settings.features, *missing])
            raise UsageError(
                f"{self.directory} has no {' and no '.join(missing)}"
                f"{f', which {reader} reads' if reader else ''}: it holds "
                f"{', '.join(self.settings.features)}. Preprocess into another folder with "
                f"--features {wanted}."
            )

    def made(self, name: str, reader: str = "") -> Made:
        """Return how an embedding was made.

        Args:
            name: The feature.
            reader: What needs it, in a message.

        Raises:
            UsageError: The store has no such embedding.
        """
        found = made_in(self.directory, name)
        if found is None:
            raise UsageError(
                f"{self.directory} has no {name}{f', which {reader} reads' if reader else ''}. "
                f"Make it: `avemotion embed {command_in(self.directory, name)}`."
            )
        return found

    def makings(self, names: Sequence[str]) -> list[Made]:
        """Return how each embedding among some features was made; errors are those of `made`."""
        return [self.made(name) for name in names if is_embedding(name)]

    def encoders_of(self, names: Sequence[str]) -> tuple[EncoderIdentity, ...]:
        """Return what made each embedding among some features.

        Raises:
            UsageError: The store has no such embedding.
        """
        return tuple(one.encoder for one in self.makings(names))

    def file_of(self, name: str, shard: str) -> Path:
        """Return the file that holds a feature of a shard's clips.

        Raises:
            UsageError: It is missing or damaged, or holds other clips than the manifest says.
        """
        if not is_embedding(name):
            return self.shard(shard)
        return current_file(
            self.directory, self.made(name).encoder, shard, self.shard_hashes[shard]
        )

    def content_hash(self) -> str:
        """Return the SHA-256 of the store's settings, manifest and votes, in hexadecimal.

        The manifest lists the SHA-256 of every shard, so it covers the features, too.
        """
        digest = hashlib.sha256()
        for name in ("store.json", "manifest.csv", RATINGS_NAME, UNITS_NAME):
            if (self.directory / name).is_file():
                digest.update((self.directory / name).read_bytes())
        return digest.hexdigest()

    def ratings(self) -> list[Rating]:
        """Return the crowd's votes on the store's clips; none where the corpus has none.

        Raises:
            UsageError: The table is damaged.
        """
        return read_ratings(self.directory / RATINGS_NAME, self.labels)

    def units(self) -> dict[str, tuple[float, ...]]:
        """Return 0 or 1 for each action unit by clip; empty where the corpus has none.

        Raises:
            UsageError: The table is missing or damaged.
        """
        return read_units(self.directory / UNITS_NAME, self.task.units)

    def demographics(self) -> dict[str, dict[str, str]]:
        """Return what is known of each actor: see `Corpus.demographics`.

        Raises:
            UsageError: The table is damaged.
        """
        return read_demographics(self.directory / DEMOGRAPHICS_NAME)
