"""Check FER2013: how many pictures each part has, which are there twice, and which are no faces."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from avemotion.data.checksums import sha256_of
from avemotion.data.corpora import fer2013
from avemotion.data.media_check import listed
from avemotion.data.types import PARTS, Clip, Corpus
from avemotion.errors import MediaError, are, counted
from avemotion.features.extraction import read_views
from avemotion.parallel.isolated_worker import TaskFailure
from avemotion.parallel.isolation import CLIP_TIMEOUT_SECONDS, map_isolated
from avemotion.parallel.processes import cores, one_thread
from avemotion.progress import progress_bar

_PARTS = {part: usage for usage, part in fer2013.USAGES.items()}


@dataclass(frozen=True, slots=True)
class PictureVerification:
    """Content and problems of a folder with FER2013."""

    directory: Path
    """The folder that was checked."""
    pictures_by_part: dict[str, tuple[int, int]]
    """Training, PublicTest, PrivateTest -> pictures that are there, and published ones."""
    pictures_by_emotion: dict[str, int]
    """Emotion -> pictures."""
    rated: int
    """Pictures with votes of FER+."""
    decoded: int
    """Pictures that were decoded; 0 where only their bytes were compared."""
    unreadable: tuple[str, ...]
    """Pictures that are empty or do not decode, each with the reason; the latter if `decoded`."""
    unrecognised_files: tuple[str, ...]
    """What is no picture or no emotion's folder, as paths in the folder."""
    duplicates: int
    """Pictures that are there before, byte by byte."""
    duplicates_between_parts: int
    """Those of them that are in another part, too: a test on them says less."""
    contradictions: int
    """Those of them that have another emotion the second time."""
    non_faces: tuple[str, ...]
    """Pictures that more than half of FER+'s raters call no face; of ``fer2013.csv``, also those of
    one grey value."""

    @property
    def ok(self) -> bool:
        """Whether all published pictures are there and readable."""
        whole = all(found == wanted for found, wanted in self.pictures_by_part.values())
        return whole and not self.unreadable and not self.unrecognised_files

    def summary(self) -> str:
        """Return the tables and lists that the command prints."""
        counts: list[list[Any]] = [[part, *pair] for part, pair in self.pictures_by_part.items()]
        counts += [[emotion, found, ""] for emotion, found in self.pictures_by_emotion.items()]
        counts.append(["with votes of FER+", self.rated, ""])
        parts = [str(self.directory), tabulate(counts, ["", "found", "expected"], intfmt=",")]
        parts += [
            f"{counted(self.duplicates, 'picture')} {are(self.duplicates)} duplicates: "
            f"{self.duplicates_between_parts:,} of them in two parts, "
            f"{self.contradictions:,} with two emotions. FER2013 was published like this."
        ]
        for meaning, entries in (
            ("pictures cannot be read (fetch them again)", self.unreadable),
            ("files are not FER2013's (move them elsewhere)", self.unrecognised_files),
            ("pictures show no face; FER2013 was published with them", self.non_faces),
        ):
            parts += listed(meaning, entries)
        parts.append(
            f"Decoded: {counted(self.decoded, 'picture')}."
            if self.decoded
            else "No picture was decoded: add --decode to decode those in files."
        )
        parts.append("The corpus is complete." if self.ok else "The corpus is not complete.")
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and `ok` as plain values, ready for JSON."""
        return {"ok": self.ok, **asdict(self), "directory": str(self.directory)}


def verify_pictures(directory: Path, *, decode: bool, progress: bool) -> PictureVerification:
    """Check a folder with FER2013 against its published numbers.

    Args:
        directory: See `avemotion.data.corpora.fer2013`.
        decode: Decode every picture.
        progress: Show a progress bar.

    Raises:
        UsageError: The folder holds no FER2013, or a damaged table.
    """
    found = fer2013.read_corpus(directory, official_parts=True)
    parts = Counter(_PARTS[clip.part] for clip in found.clips)
    files = [clip for clip in found.clips if clip.image is None]
    unreadable = dict(_undecodable(files, progress)) if decode else {}
    digests = {clip.name: _digest(clip) for clip in found.clips}
    unreadable |= {name: "the file is empty" for name, digest in digests.items() if not digest}
    first: dict[str, Clip] = {}
    twice = [
        (clip, before)
        for clip in sorted(found.clips, key=lambda clip: PARTS.index(clip.part))
        if digests[clip.name] and (before := first.setdefault(digests[clip.name], clip)) is not clip
    ]
    return PictureVerification(
        directory=directory,
        pictures_by_part={
            part: (parts[part], wanted) for part, wanted in fer2013.PICTURES_BY_USAGE.items()
        },
        pictures_by_emotion=dict(sorted(Counter(clip.emotion for clip in found.clips).items())),
        rated=len({rating.clip for rating in found.ratings}),
        decoded=len(files) if decode else 0,
        unreadable=tuple(f"{name}: {reason}" for name, reason in sorted(unreadable.items())),
        unrecognised_files=tuple(
            path.relative_to(directory).as_posix() for path in found.unrecognised_files
        ),
        duplicates=len(twice),
        duplicates_between_parts=sum(clip.part != before.part for clip, before in twice),
        contradictions=sum(clip.emotion != before.emotion for clip, before in twice),
        non_faces=tuple(_non_faces(found)),
    )


def _digest(clip: Clip) -> str:
    """Return what tells the same picture again; empty for an empty file."""
    if clip.image is not None:
        return hashlib.sha256(clip.image.tobytes()).hexdigest()
    assert clip.video
    try:
        if not clip.video.is_file():  # a pipe would never end
            return clip.name
        return sha256_of(clip.video) if clip.video.stat().st_size else ""
    except OSError:  # found again where it is decoded
        return clip.name


def _undecodable(clips: list[Clip], progress: bool) -> list[tuple[str, str]]:
    """Return the pictures that do not decode, and why."""
    found = []
    with (
        progress_bar(total=len(clips), unit="picture", desc="verify", disable=not progress) as bar,
        closing(
            map_isolated(
                _complaint,
                clips,
                workers=cores(),
                timeout_seconds=CLIP_TIMEOUT_SECONDS,
                prepare=one_thread,
            )
        ) as outcomes,
    ):
        for clip, outcome in zip(clips, outcomes, strict=True):
            bar.update()
            reason = outcome.reason if isinstance(outcome, TaskFailure) else outcome
            if reason:
                found.append((clip.name, reason))
    return found


def _complaint(clip: Clip) -> str:
    """Return why a picture does not decode; empty where it does. Runs in a worker."""
    try:
        media, _ = read_views(clip.name, clip.video, None, fer2013.SETTINGS)
    except (MediaError, OSError) as error:
        return str(error)
    return media.no_frames


def _non_faces(found: Corpus) -> list[str]:
    """Return pictures of one grey value, and those without a face to most of FER+'s raters."""
    flat = {clip.name for clip in found.clips if clip.image is not None and not np.ptp(clip.image)}
    none = {
        name
        for name, votes in fer2013.read_votes(found.directory)
        if 2 * votes[fer2013.NO_FACE] > sum(votes.values())
    }
    return sorted(flat | none & {clip.name for clip in found.clips})
