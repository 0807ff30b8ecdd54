"""Filling the feature store, actor by actor.

An actor is finished once the manifest or its journal lists its clips; since its arrays are renamed
into place before that, a killed run loses no finished actor.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avemotion.config import PreprocessSettings
from avemotion.data.annotations import write_demographics, write_ratings
from avemotion.data.shards import write_shard
from avemotion.data.store import (
    COLUMNS,
    DEMOGRAPHICS_NAME,
    FORMAT,
    JOURNAL_NAME,
    RATINGS_NAME,
    USABLE,
    ClipFeatures,
    ManifestRow,
    read_info,
    read_manifest,
)
from avemotion.errors import UsageError
from avemotion.files import PARTIAL, write_csv, write_json, writing
from avemotion.types import Corpus

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
            known = {a: facts for a, facts in corpus.demographics.items() if a in actors}
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
