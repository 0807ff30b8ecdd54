"""The media files that are meant by files, folders and patterns."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from avemotion.data.corpora.folder import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from avemotion.errors import UsageError
from avemotion.media.kinds import SOUND_SUFFIXES

_MOVING = VIDEO_SUFFIXES | SOUND_SUFFIXES


@dataclass(frozen=True, slots=True)
class MediaFiles:
    """Files to classify."""

    paths: tuple[Path, ...]
    """Each once, in the order in which they were given; those of a folder or pattern by name."""
    left_out: tuple[Path, ...]
    """Other files of the folders: by their suffix no media, or thumbnails."""


def media_files(given: Sequence[Path | str]) -> MediaFiles:
    """Return the media files that are meant by files, folders and patterns.

    A folder stands for the videos, sounds and pictures in it and in the folders below, by their
    suffix; a picture beside a video or sound of its name is a thumbnail, and hidden files are
    skipped. A pattern (``*``, ``?``, ``[...]``, ``**`` for any folders) stands for the files and
    folders that it matches, as in a shell. A file is taken as it is, whether it exists or not.

    Args:
        given: Paths.

    Raises:
        UsageError: Nothing matches a pattern, or all that is given are folders without media.
    """
    paths: dict[Path, None] = {}
    left_out: dict[Path, None] = {}
    empty: list[Path] = []
    for path in _matched(given):
        if path.is_dir():
            media, others = _in_folder(path)
            paths |= dict.fromkeys(media or [path])  # among others, it is a failure of its own
            empty += [] if media else [path]
            left_out |= dict.fromkeys(others)
        else:
            paths[path] = None
    if empty and len(paths) == len(empty):
        raise UsageError(
            f"{empty[0]} is a folder without a video, sound or picture file. Give another folder, "
            "or the files by their names."
        )
    return MediaFiles(tuple(paths), tuple(path for path in left_out if path not in paths))


def _matched(given: Sequence[Path | str]) -> Iterator[Path]:
    for word in map(Path, given):
        # A name may hold a bracket: what exists is no pattern.
        if not glob.has_magic(str(word)) or word.exists():
            yield word
            continue
        found = sorted(map(Path, glob.glob(str(word), recursive=True)))
        if not found:
            raise UsageError(
                f"no file matches {word}. Check the pattern, and the folder before it."
            )
        yield from found


def _in_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return a folder's media, and its other files."""
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    moving = {path.with_suffix("") for path in files if path.suffix.lower() in _MOVING}
    media: list[Path] = []
    others: list[Path] = []
    for path in files:
        suffix = path.suffix.lower()
        is_picture = suffix in PICTURE_SUFFIXES and path.with_suffix("") not in moving
        (media if suffix in _MOVING or is_picture else others).append(path)
    return media, others
