"""Filling the feature store, actor by actor.

An actor is finished once the manifest or its journal lists its clips; since its arrays are renamed
into place before that, a killed run loses no finished actor.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from avemotion.config import PreprocessSettings
from avemotion.data.annotations import write_demographics, write_ratings
from avemotion.data.store import (
    COLUMNS,
    DEMOGRAPHICS_NAME,
    FORMAT,
    JOURNAL_NAME,
    RATINGS_NAME,
    USABLE,
    ManifestRow,
    read_info,
    read_manifest,
)
from avemotion.data.types import Clip, Corpus
from avemotion.errors import UsageError
from avemotion.features.extraction import Extraction
from avemotion.features.types import ClipFeatures
from avemotion.files import PARTIAL, write_atomically, write_csv, write_json, writing
from avemotion.parallel.isolated_worker import TaskFailure

_UNFINISHED = {".lock", ".store.json.partial"}  # what a run killed at its very start leaves


class StoreWriter:
    """Fills a store actor by actor; opening an existing one goes on where it stopped."""

    def __init__(self, directory: Path, corpus: Corpus, settings: PreprocessSettings) -> None:
        """Open or create the store.

        Raises:
            UsageError: The folder holds a store made with other settings or of another corpus, or
                something that is no store.
        """
        self.directory = directory
        self._clips = len(corpus.clips)
        info = {
            "format": FORMAT,
            "corpus": corpus.name,
            "labels": list(corpus.labels),
            "settings": asdict(settings),
            "synthetic": corpus.synthetic,
            "clips": self._clips,
        }
        self._rows: dict[str, list[ManifestRow]] = {}
        if (directory / "store.json").exists():
            self._check_same(read_info(directory), info)
            for row in read_manifest(directory):
                self._rows.setdefault(row.actor, []).append(row)
        elif directory.exists() and {p.name for p in directory.iterdir()} - _UNFINISHED:
            raise UsageError(
                f"{directory} is neither empty nor a feature store. Give another --out."
            )
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / "store.json", info)
        with writing(directory / "actors"):
            (directory / "actors").mkdir(exist_ok=True)
            for left in directory.rglob(PARTIAL):  # of a killed run
                left.unlink()
        if (directory / JOURNAL_NAME).exists():
            self._write_manifest()
        if corpus.ratings:
            write_ratings(directory / RATINGS_NAME, corpus.labels, corpus.ratings)
        if corpus.demographics:
            actors = {clip.actor for clip in corpus.clips}
            known = {a: metadata for a, metadata in corpus.demographics.items() if a in actors}
            write_demographics(directory / DEMOGRAPHICS_NAME, known)

    def _check_same(self, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
        for key in ("format", "corpus", "labels", "settings", "synthetic"):
            if theirs.get(key) != ours[key]:
                raise UsageError(
                    f"{self.directory} holds a store made with other {key}:\n"
                    f"  there: {json.dumps(theirs.get(key))}\n"
                    f"  asked: {json.dumps(ours[key])}\n"
                    "Give another --out, or remove that folder to make it anew."
                )

    def finished(self, actor: str) -> list[ManifestRow]:
        """Return the rows of an actor that an earlier run finished; empty if there is none."""
        rows = self._rows.get(actor, [])
        usable = any(row.status in USABLE for row in rows)
        return rows if not usable or self.shard(actor).exists() else []

    def shard(self, actor: str) -> Path:
        """Return where an actor's arrays are, or will be."""
        return self.directory / "actors" / f"{actor}.safetensors"

    def unlist(self, actors: Iterable[str]) -> None:
        """Drop actors from the manifest: no row may describe arrays that are being replaced."""
        for actor in actors:
            if self._rows.get(actor):
                self._change(actor, [])

    def enlist(self, actor: str, rows: Sequence[ManifestRow]) -> None:
        """List an actor's clips, whose arrays are written: the actor is finished.

        Args:
            actor: Whose clips these are.
            rows: One a clip, whatever its status.
        """
        self._change(actor, rows)

    def written_ns(self, actor: str) -> int:
        """Return when an actor's arrays were written, in ns since the epoch; 0 without arrays."""
        shard = self.shard(actor)
        return shard.stat().st_mtime_ns if shard.exists() else 0

    def add(
        self, actor: str, rows: Sequence[ManifestRow], features: Sequence[ClipFeatures]
    ) -> None:
        """Write an actor's features, then list its clips in the manifest.

        Args:
            actor: Whose clips these are.
            rows: One a clip, whatever its status.
            features: Those of the usable rows, in their order.
        """
        assert len(features) == sum(row.status in USABLE for row in rows)
        self.unlist([actor])
        write_shard(self.shard(actor), features)
        self.enlist(actor, rows)

    def forget_others(self, actors: set[str]) -> None:
        """Drop actors whom the corpus no longer has."""
        for actor in self._rows.keys() - actors:
            self.unlist([actor])
            write_shard(self.shard(actor), [])

    def rows(self) -> list[ManifestRow]:
        """Return the rows of all finished actors."""
        return [row for actor in sorted(self._rows) for row in self._rows[actor]]

    def _change(self, actor: str, rows: Sequence[ManifestRow]) -> None:
        """Write what an actor's rows now are: into the journal, and at the end as a whole."""
        self._rows[actor] = list(rows)
        line = json.dumps([actor, [[getattr(row, c) for c in COLUMNS] for row in rows]])
        journal = self.directory / JOURNAL_NAME
        with writing(journal), journal.open("ab") as file:
            file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        if sum(map(len, self._rows.values())) == self._clips:
            self._write_manifest()

    def _write_manifest(self) -> None:
        cells = ([getattr(row, c) for c in COLUMNS] for row in self.rows())
        write_csv(self.directory / "manifest.csv", COLUMNS, cells)
        (self.directory / JOURNAL_NAME).unlink(missing_ok=True)
        for left in (self.directory / "actors").glob(PARTIAL):
            left.unlink(missing_ok=True)  # of a machine that was lost


Shards = Mapping[Path, Sequence[Clip]]
"""The files of actors' arrays, and the clips that go into them."""


Written = tuple[Path, list[Extraction | TaskFailure]]
"""A file that is written, and what its clips gave (without features), or why nothing."""


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


def without_features(
    outcome: Extraction | TaskFailure,
) -> tuple[Extraction | TaskFailure, ClipFeatures | None]:
    """Part what a clip gave, or why nothing, from the features that are stored, if any are."""
    if isinstance(outcome, TaskFailure):
        return outcome, None
    features = outcome.features if outcome.status in USABLE else None
    return replace(outcome, features=ClipFeatures.zeros(0)), features


def rows_of(
    clips: Sequence[Clip], corpus: Corpus, outcomes: Sequence[Extraction | TaskFailure]
) -> list[ManifestRow]:
    """Say what became of an actor's clips; the excluded ones have no outcome."""
    found = iter(outcomes)
    return [
        plain_row(clip, corpus, "excluded", corpus.excluded[clip.name])
        if clip.name in corpus.excluded
        else row_of(clip, corpus, next(found))
        for clip in clips
    ]


def row_of(clip: Clip, corpus: Corpus, outcome: Extraction | TaskFailure) -> ManifestRow:
    """Say what became of a clip that was extracted."""
    if isinstance(outcome, TaskFailure):
        return plain_row(clip, corpus, "failed", outcome.reason)
    reasons = [reason for reason in (outcome.no_face, outcome.no_sound) if reason]
    return plain_row(clip, corpus, outcome.status, "; ".join(reasons), outcome)


def plain_row(
    clip: Clip,
    corpus: Corpus,
    status: str = "",
    reason: str = "",
    outcome: Extraction | None = None,
) -> ManifestRow:
    """Say what is known of a clip: its name, its files, and what it gave, if anything."""
    box = outcome.box if outcome else None
    audio = clip.audio or clip.video
    return ManifestRow(
        clip=clip.name,
        actor=clip.actor,
        sentence=clip.sentence,
        emotion=clip.emotion,
        level=clip.level,
        status=status,
        reason=reason,
        frames_decoded=outcome.frames_decoded if outcome else 0,
        faces_found=outcome.faces_found if outcome else 0,
        searched_frames=outcome.searched_frames if outcome else 0,
        searched_frames_with_face=outcome.searched_frames_with_face if outcome else 0,
        face_box=f"{box.x} {box.y} {box.width} {box.height}" if box else "",
        video_file=_relative(clip.video, corpus),
        video_bytes=size_of(clip.video),
        audio_file=_relative(audio, corpus),
        audio_bytes=size_of(audio),
    )


def _relative(path: Path | None, corpus: Corpus) -> str:
    return path.relative_to(corpus.directory).as_posix() if path else ""


def size_of(path: Path | None) -> int:
    """Return a file's length in bytes; 0 where there is none, or none that may be seen."""
    try:
        return path.stat().st_size if path and path.is_file() else 0
    except OSError:  # a loop of links, a folder that may not be read: the clip's reason says it
        return 0
