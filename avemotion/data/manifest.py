"""What the manifest says of a clip: from the clip and what it gave to a row, and to the shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from avemotion.data.store import USABLE, ClipFeatures, ManifestRow
from avemotion.features.extraction import Extraction
from avemotion.parallel.isolation import Lost
from avemotion.types import Clip, Corpus


def without_features(
    outcome: Extraction | Lost,
) -> tuple[Extraction | Lost, ClipFeatures | None]:
    """Part what a clip gave, or why nothing, from the features that are stored, if any are."""
    if isinstance(outcome, Lost):
        return outcome, None
    features = outcome.features if outcome.status in USABLE else None
    return replace(outcome, features=ClipFeatures.zeros(0)), features


def rows_of(
    clips: Sequence[Clip], corpus: Corpus, outcomes: Sequence[Extraction | Lost]
) -> list[ManifestRow]:
    """Say what became of an actor's clips; the excluded ones have no outcome."""
    found = iter(outcomes)
    return [
        plain_row(clip, corpus, "excluded", corpus.excluded[clip.name])
        if clip.name in corpus.excluded
        else row_of(clip, corpus, next(found))
        for clip in clips
    ]


def row_of(clip: Clip, corpus: Corpus, outcome: Extraction | Lost) -> ManifestRow:
    """Say what became of a clip that was extracted."""
    if isinstance(outcome, Lost):
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
        key_frames=outcome.key_frames if outcome else 0,
        key_frames_found=outcome.key_frames_found if outcome else 0,
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
