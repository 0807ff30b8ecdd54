"""Writing the feature store, shard by shard: the clips of an actor, or some of unknown ones.

A shard is finished once the manifest or its journal lists its clips; since its arrays are renamed
into place before that, a killed run loses no finished shard.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from avemotion.config import PreprocessSettings
from avemotion.data.annotations import (
    DEMOGRAPHICS_NAME,
    RATINGS_NAME,
    UNITS_NAME,
    write_demographics,
    write_ratings,
    write_units,
)
from avemotion.data.checksums import (
    CHECKSUMS_NAME,
    JOURNAL_NAME,
    check_tables,
    sha256_of,
    write_checksums,
)
from avemotion.data.shards import LIBRARY_PARTIAL, write_shard
from avemotion.data.store import (
    COLUMNS,
    FORMAT,
    USABLE,
    ManifestRow,
    read_info,
    read_manifest,
)
from avemotion.data.types import UNKNOWN_ACTOR, Clip, Corpus
from avemotion.errors import UsageError
from avemotion.features.extraction import Extraction
from avemotion.features.types import ClipFeatures
from avemotion.files import PARTIAL, write_csv, write_json, writing
from avemotion.parallel.isolated_worker import TaskFailure

UNKNOWN_CLIPS = 512
"""Clips in a shard where actors are unknown."""

_UNFINISHED = {".lock", ".store.json.partial"}  # what a run killed at its very start leaves


class StoreWriter:
    """Fills a store shard by shard; `open` makes one, or goes on where another stopped."""

    def __init__(
        self, directory: Path, clips: int, rows: Mapping[str, Sequence[ManifestRow]]
    ) -> None:
        """Keep the state of a store whose folders are there.

        Args:
            directory: Folder of the store.
            clips: Clips of the corpus; once all are listed, the manifest is written as a whole.
            rows: The rows of the shards that are finished, by shard.
        """
        self.directory = directory
        self._clips = clips
        self._rows = {shard: list(found) for shard, found in rows.items()}

    @classmethod
    def open(cls, directory: Path, corpus: Corpus, settings: PreprocessSettings) -> StoreWriter:
        """Open or create a store, and clear away what a killed run left half-written.

        Raises:
            UsageError: The folder holds a store made with other settings or of another corpus, or
                something that is no store.
        """
        info = {
            "format": FORMAT,
            "corpus": corpus.name,
            "labels": list(corpus.labels),
            "units": list(corpus.units),
            "settings": asdict(settings) | {"features": list(settings.features)},
            "synthetic": corpus.synthetic,
            "clips": len(corpus.clips),
            "parts_note": corpus.parts_note,
        }
        writer = cls(directory, len(corpus.clips), _finished_rows(directory, info))
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            if not writer.complete:
                (directory / CHECKSUMS_NAME).unlink(missing_ok=True)
        write_json(directory / "store.json", info)
        with writing(directory / "actors"):
            (directory / "actors").mkdir(exist_ok=True)
            _remove_partial(directory)
        if (directory / JOURNAL_NAME).exists():
            writer._write_manifest()
        _write_annotations(directory, corpus)
        if writer.complete:
            write_checksums(directory)
        return writer

    @property
    def complete(self) -> bool:
        """Whether as many clips are listed as the corpus has."""
        return sum(map(len, self._rows.values())) == self._clips

    def finished(self, shard: str) -> list[ManifestRow]:
        """Return the rows of a shard that an earlier run finished; empty if there is none.

        Its arrays are read: where they are not those that were written, it is unfinished.
        """
        rows, path = self._rows.get(shard, []), self.path(shard)
        listed = {row.shard_sha256 for row in rows if row.status in USABLE}
        whole = not listed or (path.is_file() and listed == {sha256_of(path)})
        return rows if whole else []

    def path(self, shard: str) -> Path:
        """Return the path of a shard's arrays, written or not."""
        return self.directory / "actors" / f"{shard}.safetensors"

    def drop(self, shards: Iterable[str]) -> None:
        """Drop shards from the manifest: no row may describe arrays that are being replaced."""
        for shard in shards:
            if self._rows.get(shard):
                self._change(shard, [])

    def record(self, shard: str, rows: Sequence[ManifestRow], shard_sha256: str) -> None:
        """List a shard's clips once their arrays are written: the shard is finished.

        Args:
            shard: Its name.
            rows: One for each clip, whatever its status.
            shard_sha256: That of the arrays, from `write_shard`.
        """
        hashed = [replace(r, shard_sha256=shard_sha256) if r.status in USABLE else r for r in rows]
        self._change(shard, hashed)

    def written_ns(self, shard: str) -> int:
        """Return when a shard's arrays were written, in ns since the epoch; 0 without arrays."""
        path = self.path(shard)
        return path.stat().st_mtime_ns if path.exists() else 0

    def add(
        self, shard: str, rows: Sequence[ManifestRow], features: Sequence[ClipFeatures]
    ) -> None:
        """Write a shard's features, then list its clips in the manifest.

        Args:
            shard: Its name.
            rows: One for each clip, whatever its status.
            features: Features of the usable rows, in their order.
        """
        names = [row.clip for row in rows if row.status in USABLE]
        by_name = dict(zip(names, features, strict=True))
        self.drop([shard])
        self.record(shard, rows, write_shard(self.path(shard), by_name))

    def drop_others(self, shards: Collection[str]) -> None:
        """Drop shards that the corpus no longer has."""
        for shard in self._rows.keys() - set(shards):
            self.drop([shard])
            write_shard(self.path(shard), {})

    def rows(self) -> list[ManifestRow]:
        """Return the rows of all finished shards."""
        return [row for shard in sorted(self._rows) for row in self._rows[shard]]

    def _change(self, shard: str, rows: Sequence[ManifestRow]) -> None:
        """Append a shard's rows to the journal; write the manifest once all clips are listed."""
        self._rows[shard] = list(rows)
        line = json.dumps([shard, [[getattr(row, c) for c in COLUMNS] for row in rows]])
        journal = self.directory / JOURNAL_NAME
        with writing(journal):
            (self.directory / CHECKSUMS_NAME).unlink(missing_ok=True)
            with journal.open("ab") as file:
                file.write(f"{line}\n".encode())
                file.flush()
                os.fsync(file.fileno())
        if self.complete:
            self._write_manifest()
            write_checksums(self.directory)

    def _write_manifest(self) -> None:
        cells = ([getattr(row, c) for c in COLUMNS] for row in self.rows())
        write_csv(self.directory / "manifest.csv", COLUMNS, cells)
        (self.directory / JOURNAL_NAME).unlink(missing_ok=True)
        _remove_partial(self.directory / "actors")  # of a machine that was lost


def _finished_rows(directory: Path, info: dict[str, Any]) -> dict[str, list[ManifestRow]]:
    """Return the rows of a store's finished shards; none where there is no store yet.

    Raises:
        UsageError: The folder holds something else than the store that `info` describes.
    """
    rows: dict[str, list[ManifestRow]] = {}
    if (directory / "store.json").exists():
        _check_same(directory, read_info(directory), info)
        check_tables(directory, ["manifest.csv"])
        for row in read_manifest(directory):
            rows.setdefault(row.shard, []).append(row)
    elif directory.exists() and {p.name for p in directory.iterdir()} - _UNFINISHED:
        raise UsageError(f"{directory} is neither empty nor a feature store. Give another --out.")
    return rows


def _check_same(directory: Path, found: dict[str, Any], asked: dict[str, Any]) -> None:
    for key in ("format", "corpus", "labels", "units", "settings", "synthetic"):
        if found.get(key) != asked[key]:
            raise UsageError(
                f"{directory} holds a store made with other {key}:\n"
                f"  there: {json.dumps(found.get(key))}\n"
                f"  asked: {json.dumps(asked[key])}\n"
                "Give another --out, or remove that folder to make it anew."
            )


def _write_annotations(directory: Path, corpus: Corpus) -> None:
    """Copy the crowd's votes and what is known of the actors, where the corpus has them."""
    tables = {
        RATINGS_NAME: corpus.ratings,
        DEMOGRAPHICS_NAME: corpus.demographics,
        UNITS_NAME: corpus.units_of,
    }
    for name in [name for name, table in tables.items() if not table]:
        (directory / name).unlink(missing_ok=True)
    if corpus.ratings:
        write_ratings(directory / RATINGS_NAME, corpus.labels, corpus.ratings)
    if corpus.units_of:
        write_units(directory / UNITS_NAME, corpus.units, corpus.units_of)
    if corpus.demographics:
        actors = {clip.actor for clip in corpus.clips}
        known = {actor: about for actor, about in corpus.demographics.items() if actor in actors}
        write_demographics(directory / DEMOGRAPHICS_NAME, known)


def _remove_partial(folder: Path) -> None:
    for pattern in (PARTIAL, LIBRARY_PARTIAL):
        for path in folder.rglob(pattern):
            path.unlink(missing_ok=True)


def shards_of(corpus: Corpus) -> dict[str, list[Clip]]:
    """Return the clips of each shard: those of an actor, or a number of those of unknown actors."""
    shards: dict[str, list[Clip]] = {}
    unknown = 0
    for clip in corpus.clips:
        name = clip.actor
        if name == UNKNOWN_ACTOR:
            name = f"{UNKNOWN_ACTOR}-{unknown // UNKNOWN_CLIPS:05d}"
            unknown += 1
        shards.setdefault(name, []).append(clip)
    return shards


def rows_of(
    shard: str,
    clips: Sequence[Clip],
    corpus: Corpus,
    outcomes: Sequence[Extraction | TaskFailure],
) -> list[ManifestRow]:
    """Return the manifest rows of a shard's clips.

    Args:
        shard: Its name.
        clips: All of its clips.
        corpus: Their corpus.
        outcomes: Those of the clips that are not excluded, in order.
    """
    found = iter(outcomes)
    return [
        plain_row(shard, clip, corpus, "excluded", corpus.excluded[clip.name])
        if clip.name in corpus.excluded
        else row_of(shard, clip, corpus, next(found))
        for clip in clips
    ]


def row_of(
    shard: str, clip: Clip, corpus: Corpus, outcome: Extraction | TaskFailure
) -> ManifestRow:
    """Return the manifest row of a clip that was extracted."""
    if isinstance(outcome, TaskFailure):
        return plain_row(shard, clip, corpus, "failed", outcome.reason)
    reasons = [reason for reason in (outcome.no_face, outcome.no_sound) if reason]
    return plain_row(shard, clip, corpus, outcome.status, "; ".join(reasons), outcome)


def plain_row(
    shard: str,
    clip: Clip,
    corpus: Corpus,
    status: str = "",
    reason: str = "",
    outcome: Extraction | None = None,
) -> ManifestRow:
    """Return a manifest row: names, files, status, and the figures of an extraction, if any."""
    box = outcome.box if outcome else None
    audio = clip.audio or clip.video
    return ManifestRow(
        clip=clip.name,
        actor=clip.actor,
        sentence=clip.sentence,
        emotion=clip.emotion,
        level=clip.level,
        part=clip.part,
        shard=shard,
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
    """Return a file's size in bytes; 0 where it is missing or may not be read."""
    try:
        return path.stat().st_size if path and path.is_file() else 0
    except OSError:  # a loop of links, a folder without permission: the clip's reason names it
        return 0
