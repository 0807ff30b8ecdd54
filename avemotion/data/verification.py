"""Check a checkout of CREMA-D: what is there, what is missing, what is broken.

Names are compared with the corpus' own list, and every media file is examined: its header and its
length, or, on request, all of its content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tabulate import tabulate

from avemotion.data.corpora import crema_d, fer2013
from avemotion.data.corpora.crema_d import EMOTIONS, parse_name
from avemotion.data.media_check import inspect, listed
from avemotion.data.picture_check import PictureVerification, verify_pictures
from avemotion.data.types import Clip, Corpus
from avemotion.errors import UsageError, counted, require

PROBLEMS: dict[str, str] = {
    "pointers": "Git LFS pointers instead of media (run `git lfs pull` in the corpus)",
    "empty": "empty files (fetch them again)",
    "unreadable": "files that cannot be read (fetch them again)",
    "soundless": "sound files without sound (fetch them again)",
    "missing_videos": f"clips without a video in {crema_d.VIDEO_FOLDER}",
    "missing_audio": f"clips without sound in {crema_d.AUDIO_FOLDER}",
    "unlisted": f"clips that {crema_d.NAMES_FILE} does not list",
    "unrecognised_files": "files whose names are not CREMA-D's (move them elsewhere)",
    "tables": "tables that are missing or not whole",
}
"""Field of `Verification` -> description of its entries, in the order of the summary."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Content and problems of a checkout."""

    directory: Path
    """The folder that was checked."""
    synthetic: bool
    """Whether it is a synthetic corpus, with a list of its own."""
    clips: int
    """Clips of which at least one file is there, whatever its state."""
    expected: int
    """Clips on the official list; 7,442 where the list itself is missing."""
    videos: int
    """Files in ``VideoFlash`` with a clip's name."""
    sounds: int
    """Files in ``AudioWAV`` with a clip's name."""
    clips_by_actor: dict[str, tuple[int, int]]
    """Actor -> clips that are there, and clips expected."""
    clips_by_emotion: dict[str, tuple[int, int]]
    """Emotion -> clips that are there, and clips expected."""
    decoded: int
    """Files that were decoded; 0 where only headers were read."""
    known_bad: tuple[str, ...]
    """Clips that are there and known to be bad: left out by `preprocess`, and no problem."""
    pointers: tuple[str, ...]
    """Git LFS pointers, as paths in the corpus."""
    empty: tuple[str, ...]
    """Files of 0 bytes, as paths in the corpus."""
    unreadable: tuple[str, ...]
    """Files that cannot be opened or are shorter than they say, each with the reason; if `decoded`
    also those that do not decode, or decode to an image that never changes."""
    soundless: tuple[str, ...]
    """Files that should hold a clip's sound and hold none, each with the reason; silent or nearly
    empty tracks are found only if `decoded`."""
    missing_videos: tuple[str, ...]
    """Expected clips without a video."""
    missing_audio: tuple[str, ...]
    """Expected clips without a WAV."""
    unlisted: tuple[str, ...]
    """Clips whose names are well formed, but not on the list."""
    unrecognised_files: tuple[str, ...]
    """Files among the media whose names are not CREMA-D's, as paths in the corpus."""
    tables: tuple[str, ...]
    """What is wrong with the votes, the demographics and the list of names."""

    @property
    def ok(self) -> bool:
        """Whether everything is there and whole."""
        return self.clips == self.expected and not any(getattr(self, name) for name in PROBLEMS)

    def summary(self) -> str:
        """Return the tables and lists that the command prints."""
        counts = [
            ["clips", self.clips, self.expected],
            ["videos", self.videos, self.expected],
            ["sounds", self.sounds, self.expected],
            ["actors", sum(n > 0 for n, _ in self.clips_by_actor.values()), self._actors],
            *([emotion, *pair] for emotion, pair in self.clips_by_emotion.items()),
        ]
        parts = [
            f"{self.directory}" + (" (a synthetic corpus)" if self.synthetic else ""),
            tabulate(counts, headers=["", "found", "expected"], intfmt=","),
        ]
        uneven = [
            f"{actor}: {found} of {wanted}"
            for actor, (found, wanted) in self.clips_by_actor.items()
            if found != wanted
        ]
        parts += listed("actors with a different number of clips than expected", uneven)
        for name, meaning in PROBLEMS.items():
            parts += listed(meaning, getattr(self, name))
        parts += listed("known bad clips, which preprocessing leaves out", self.known_bad)
        parts.append(
            f"Decoded: {counted(self.decoded, 'file')}."
            if self.decoded
            else "Only the headers of files were read; --decode decodes them."
        )
        parts.append("The corpus is complete." if self.ok else "The corpus is not complete.")
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields and `ok` as plain values, ready for JSON."""
        return {"ok": self.ok, **asdict(self), "directory": str(self.directory)}

    @property
    def _actors(self) -> int:
        return len(self.clips_by_actor)


def verify(
    directory: Path,
    *,
    corpus: Literal["crema_d", "fer2013"] = "crema_d",
    decode: bool = False,
    progress: bool = True,
) -> Verification | PictureVerification:
    """Check a CREMA-D checkout, a synthetic corpus or FER2013 against its own list or counts.

    Args:
        directory: Folder of the corpus.
        corpus: What it holds: crema_d (also for a synthetic corpus), or fer2013.
        decode: Decode every file as `preprocess` does, which takes minutes for all of CREMA-D and
            starts anew when interrupted. Clips known to be bad are left out.
        progress: Show a progress bar.

    Returns:
        Counts, and all files that are missing, broken or unrecognised.

    Raises:
        UsageError: The folder is missing or holds no clip.

    Examples:
        >>> from pathlib import Path
        >>> from avemotion import verify
        >>> verify(Path("crema")).ok
        True
    """
    directory = Path(directory)
    require(corpus in (crema_d.NAME, fer2013.NAME), "corpus", corpus, "crema_d or fer2013")
    if corpus == fer2013.NAME:
        return verify_pictures(directory, decode=decode, progress=progress)
    found = crema_d.read_corpus(directory, ratings=False)
    names, complaints = _read_list(found)
    media = inspect(found, decode=decode, progress=progress)
    clips = {clip.name: clip for clip in found.clips}
    here = set(clips)
    expected = set(names) or here
    return Verification(
        directory=directory,
        synthetic=found.synthetic is not None,
        clips=len(clips),
        expected=len(names) or _stated_clips(found),
        videos=sum(clip.video is not None for clip in found.clips),
        sounds=sum(clip.audio is not None for clip in found.clips),
        clips_by_actor=_by_actor(here, names),
        clips_by_emotion=_by_emotion(here, names),
        decoded=media.decoded,
        known_bad=tuple(f"{name}: {reason}" for name, reason in found.excluded.items()),
        pointers=media.complaints.get("pointers", ()),
        empty=media.complaints.get("empty", ()),
        unreadable=media.complaints.get("unreadable", ()),
        soundless=media.complaints.get("soundless", ()),
        missing_videos=_lacking(expected, clips, lambda clip: clip.video),
        missing_audio=_lacking(expected, clips, lambda clip: clip.audio),
        unlisted=tuple(sorted(here - expected)),
        unrecognised_files=tuple(
            path.relative_to(directory).as_posix() for path in found.unrecognised_files
        ),
        tables=(*complaints, *_check_tables(directory, expected)),
    )


def _read_list(found: Corpus) -> tuple[list[str], list[str]]:
    """Return the names on the corpus' own list, and what is wrong with it."""
    try:
        names = crema_d.read_names(found.directory)
    except UsageError as error:
        return [], [str(error)]
    if not names:
        return [], [f"{crema_d.NAMES_FILE} is missing: no clip can be named as missing"]
    wanted = _stated_clips(found)
    distinct = {name for name in names if parse_name(name)}
    if len(names) == len(distinct) == wanted:
        return names, []
    return sorted(distinct), [
        f"{crema_d.NAMES_FILE} has {len(names):,} rows with {len(distinct):,} different clips, "
        f"expected {wanted:,}"
    ]


def _stated_clips(found: Corpus) -> int:
    """Return how many clips the corpus should have; a synthetic one states it in its settings."""
    if found.synthetic is None:
        return crema_d.CLIPS
    actors, each = found.synthetic.get("actors"), found.synthetic.get("clips_per_actor")
    if not isinstance(actors, int) or not isinstance(each, int):
        raise UsageError(
            f"{found.directory / crema_d.SYNTHETIC_FILE} is damaged: actors is {actors!r} and "
            f"clips_per_actor {each!r}, but both must be numbers. Run `avemotion synth` anew."
        )
    return actors * each


def _by_actor(here: set[str], names: list[str]) -> dict[str, tuple[int, int]]:
    have = Counter(name[:4] for name in here)
    want = Counter(name[:4] for name in names) or have
    return {actor: (have[actor], want[actor]) for actor in sorted(have | want)}


def _by_emotion(here: set[str], names: list[str]) -> dict[str, tuple[int, int]]:
    have, want = _emotions(here), _emotions(names) or crema_d.CLIPS_BY_EMOTION
    return {emotion: (have[emotion], want.get(emotion, 0)) for emotion in EMOTIONS}


def _emotions(names: Iterable[str]) -> Counter[str]:
    return Counter(parts[2] for parts in map(parse_name, names) if parts)


def _lacking(
    expected: set[str], clips: dict[str, Clip], file: Callable[[Clip], Path | None]
) -> tuple[str, ...]:
    return tuple(n for n in sorted(expected) if n not in clips or file(clips[n]) is None)


def _check_tables(directory: Path, expected: set[str]) -> list[str]:
    """Return what is wrong with the votes and the demographics."""
    complaints = []
    for file, check in (
        (crema_d.VOTES_FILE, _check_votes),
        (crema_d.DEMOGRAPHICS_FILE, _check_demographics),
    ):
        if not (directory / file).is_file():
            complaints.append(f"{file} is missing (restore it with `git checkout`)")
            continue
        try:
            complaints += check(directory, expected)
        except UsageError as error:
            complaints.append(str(error))
    return complaints


def _check_votes(directory: Path, expected: set[str]) -> list[str]:
    rows = {(rating.clip, rating.channel) for rating in crema_d.read_ratings(directory)}
    wanted = {(name, channel) for name in expected for channel in crema_d.CHANNELS.values()}
    if not (lacking := len(wanted - rows)):
        return []
    return [
        f"{crema_d.VOTES_FILE} lacks {lacking:,} of {len(wanted):,} rows: each clip has one for "
        f"{', '.join(crema_d.CHANNELS.values())}"
    ]


def _check_demographics(directory: Path, expected: set[str]) -> list[str]:
    known = crema_d.read_demographics(directory).keys()
    lacking = sorted({name[:4] for name in expected} - known)
    return [f"{crema_d.DEMOGRAPHICS_FILE} lacks {', '.join(lacking)}"] if lacking else []
