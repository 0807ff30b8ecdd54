"""Check a corpus' media files: is each readable, and does it hold what it should?

Of a plain FLV or WAV the first bytes and the length are enough; any other header is read by the
decoder, and on request every file is decoded. Damaged media can crash or hang a decoder, so that
happens in worker processes: such a file is named with the reason, and the others are still checked.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from avemotion.config import PreprocessSettings
from avemotion.data.types import Corpus
from avemotion.errors import MediaError
from avemotion.features.extraction import read_views
from avemotion.media.integrity import is_lfs_pointer, is_plainly_whole
from avemotion.media.reader import read_streams
from avemotion.parallel.isolated_worker import TaskFailure
from avemotion.parallel.isolation import CLIP_TIMEOUT_SECONDS, map_isolated
from avemotion.parallel.processes import cores, one_thread
from avemotion.progress import progress_bar

_HEAD_WORKERS = 2  # few files are no plain FLV or WAV
_HEAD_BYTES = 16_384  # CREMA-D's first frame and first sound lie within 8 kB
_HEAD_TIMEOUT_SECONDS = 30
_SHOWN = 10  # entries of a long list that a summary prints


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file of a clip, and what is read from it."""

    path: Path
    """The file."""
    clip: str
    """The clip's name: which frames `preprocess` samples depends on it."""
    images: bool
    """Whether the clip's faces come from it."""
    sound: bool
    """Whether the clip's sound comes from it."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a file."""

    state: str
    """The field of `Verification` that lists it."""
    reason: str
    """The message that `preprocess` gives for the same damage."""


Outcomes: TypeAlias = Generator[Complaint | TaskFailure | None, None, None]
"""For each file what is wrong with it, why it could not be checked, or None."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is wrong with a corpus' media."""

    decoded: int
    """Files that were decoded."""
    complaints: dict[str, tuple[str, ...]]
    """Field of `Verification` -> paths in the corpus, those of broken files with the reason."""


def inspect(corpus: Corpus, *, decode: bool, progress: bool) -> Inspection:
    """Check every media file of a corpus.

    Args:
        corpus: Its clips; those known to be bad are never decoded, as `preprocess` leaves them out.
        decode: Decode the files.
        progress: Show a progress bar.
    """
    files = list(_media_files(corpus))
    found: dict[str, list[str]] = {}
    to_open: list[MediaFile] = []
    to_decode: list[MediaFile] = []
    with progress_bar(total=len(files), unit="file", desc="verify", disable=not progress) as bar:

        def note(state: str, file: MediaFile, reason: str = "") -> None:
            where = file.path.relative_to(corpus.directory).as_posix()
            found.setdefault(state, []).append(f"{where}: {reason}" if reason else where)

        for file in files:
            state = _glance(file)
            if state in ("empty", "pointers"):
                note(state, file)
            elif decode and file.clip not in corpus.excluded:
                to_decode.append(file)
            elif state == "doubtful":
                to_open.append(file)
        bar.update(len(files) - len(to_open) - len(to_decode))
        for part, look in ((to_open, read_heads), (to_decode, decode_all)):
            with closing(look(part)) as outcomes:
                for file, outcome in zip(part, outcomes, strict=True):
                    bar.update()
                    if isinstance(outcome, TaskFailure):
                        note("unreadable", file, outcome.reason)
                    elif outcome:
                        note(outcome.state, file, outcome.reason)
    return Inspection(len(to_decode), {state: tuple(sorted(e)) for state, e in found.items()})


def _media_files(corpus: Corpus) -> Iterator[MediaFile]:
    for clip in corpus.clips:
        if clip.video:
            yield MediaFile(clip.video, clip.name, images=True, sound=clip.audio is None)
        if clip.audio:
            yield MediaFile(clip.audio, clip.name, images=False, sound=True)


def _glance(file: MediaFile) -> str:
    """Return a file's state as far as its first bytes and its length show it.

    Returns:
        ``whole``, ``empty``, ``pointers``, or ``doubtful`` where a decoder must look.
    """
    try:
        if not file.path.is_file():
            return "doubtful"
        if file.path.stat().st_size == 0:
            return "empty"
        if is_lfs_pointer(file.path):
            return "pointers"
        return "whole" if is_plainly_whole(file.path, file.images) else "doubtful"
    except OSError:  # the decoder's own error gives the reason
        return "doubtful"


def listed(meaning: str, entries: Iterable[str]) -> list[str]:
    """Return a heading with the first entries under it; nothing where there are none."""
    lines = list(entries)
    if not lines:
        return []
    rest = [f"and {len(lines) - _SHOWN:,} more"] if len(lines) > _SHOWN else []
    return ["\n  ".join([f"{len(lines):,} {meaning}:", *lines[:_SHOWN], *rest])]


def read_heads(files: list[MediaFile]) -> Outcomes:
    """Open files in worker processes, without decoding; yield what is wrong with each, in order."""
    return map_isolated(
        _complaint_on_head, files, workers=_HEAD_WORKERS, timeout_seconds=_HEAD_TIMEOUT_SECONDS
    )


def decode_all(files: list[MediaFile]) -> Outcomes:
    """Decode files in worker processes; yield what is wrong with each, in order."""
    return map_isolated(
        _complaint_on_content,
        files,
        workers=cores(),
        timeout_seconds=CLIP_TIMEOUT_SECONDS,
        prepare=one_thread,
    )


def _complaint_on_head(file: MediaFile) -> Complaint | None:
    """Return what is wrong with a file as far as its streams show it; runs in a worker."""
    wanted = 0 if file.images else 1
    try:
        if read_streams(file.path, _HEAD_BYTES)[wanted] or read_streams(file.path)[wanted]:
            return None
    except (MediaError, OSError) as error:
        return Complaint("unreadable", str(error))
    if file.images:
        return Complaint("unreadable", f"{file.path.name} has no video stream")
    return Complaint("soundless", f"{file.path.name} has no audio track")


def _complaint_on_content(file: MediaFile) -> Complaint | None:
    """Decode what `preprocess` takes from a file; return what is wrong; runs in a worker."""
    video, audio = (file.path if asked else None for asked in (file.images, file.sound))
    try:
        media, _ = read_views(file.clip, video, audio, PreprocessSettings())
    except (MediaError, OSError) as error:
        return Complaint("unreadable", str(error))
    if file.images and media.no_frames:
        return Complaint("unreadable", media.no_frames)
    if file.sound and media.no_sound:
        return Complaint("soundless", media.no_sound)
    return None
