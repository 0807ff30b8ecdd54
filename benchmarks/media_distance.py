"""How far a clip that was written anew is from the original, by what a network is shown of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from media_files import Variant, read_original, write
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE, PreprocessSettings
from avemotion.errors import MediaError
from avemotion.features.extraction import FrameChooser
from avemotion.features.face_detection import find_face
from avemotion.features.spectrogram import add_noise, log_mel, mel_filters
from avemotion.media.reader import read_clip
from avemotion.media.types import ClipMedia

_LOUD_DB = 30.0  # cells of the log-mel this far below the loudest one are compared
_MAX_LAG = 12  # columns of 10 ms: encoders delay the sound, and few containers say by how much
_KEPT = 0.4  # of the sample rate: what lossy codecs and resampling keep


@dataclass(frozen=True, slots=True)
class Task:
    """A file to write and to compare."""

    clip: Path
    """The original."""
    variant: Variant
    """How it is written."""
    folder: Path
    """Where."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a file is from its original; None where it has no frames, or no sound."""

    frames: float | None = None
    """Mean absolute difference of the 20 frames, in grey levels."""
    box: float | None = None
    """Largest difference of an edge of the face's box, in percent of its width."""
    sound: float | None = None
    """Mean absolute difference of the louder cells of the log-mel, in dB."""
    lag: float | None = None
    """By how much the sound is later, in ms."""
    message: str = ""
    """Why the file is not read."""
    unwritten: str = ""
    """Why FFmpeg does not write such a file."""
    notes: tuple[str, ...] = ()
    """What was said about the file."""


def measure(task: Task) -> Distance:
    """Write a file, read it as `classify` does, and compare it with the original."""
    path = task.folder / f"{task.clip.stem}.{task.variant.container}"
    try:
        write(path, read_original(task.clip), task.variant)
    except (av.error.FFmpegError, ValueError) as error:
        return Distance(unwritten=f"{type(error).__name__}: {str(error)[:80]}")
    choose = FrameChooser(task.clip.stem, PreprocessSettings(views=1))
    original = read_clip(task.clip, task.clip, choose)
    try:
        ours = read_clip(path if task.variant.video else None, path, choose)
    except MediaError as error:
        return Distance(message=str(error).replace(path.name, "FILE"))
    finally:
        path.unlink()
    if ours.sound is None or (task.variant.video and ours.frames is None):
        return Distance(message=(ours.no_sound or ours.no_frames).replace(path.name, "FILE"))
    frames = _frame_distance(original, ours) if task.variant.video else (None, None)
    sound = _sound_distance(original, ours, min(task.variant.rate, SAMPLE_RATE))
    return Distance(*frames, *sound, notes=ours.notes)


def _frame_distance(original: ClipMedia, ours: ClipMedia) -> tuple[float, float]:
    assert original.frames and ours.frames
    theirs, mine = original.frames.frames, ours.frames.frames
    if theirs.shape != mine.shape:
        return np.inf, np.inf
    tracks = [find_face(list(frames)) for frames in (theirs, mine)]
    edges = [track.box.edges if track else np.full(4, np.inf) for track in tracks]
    difference = np.abs(theirs.astype(np.float32) - mine).mean()
    return float(difference), 100 * float(np.abs(edges[0] - edges[1]).max() / edges[0][2])


def _sound_distance(original: ClipMedia, ours: ClipMedia, rate: int) -> tuple[float, float]:
    """Return the distance in dB, whatever the level and the delay, and the delay in ms."""
    theirs, mine = _log_mel(original), _log_mel(ours)
    loud = theirs > theirs.max() - _LOUD_DB
    loud[_highest_hertz() > _KEPT * rate] = False
    found = []
    for lag in range(-_MAX_LAG, _MAX_LAG + 1):
        difference = (np.roll(mine, -lag, axis=1) - theirs)[loud]
        found.append((float(np.abs(difference - np.median(difference)).mean()), 10.0 * lag))
    return min(found)


def _log_mel(media: ClipMedia) -> NDArray[np.float32]:
    """Return the log-mel, float32 (64, 500), with the same noise for every file."""
    assert media.sound
    noisy = add_noise(media.sound.samples, np.random.default_rng(0))
    return log_mel(noisy)[0].astype(np.float32)


def _highest_hertz() -> NDArray[np.float64]:
    """Return where each band of the log-mel ends, float64 (64,), in Hz."""
    filters = mel_filters()
    bins = filters.shape[1] - np.argmax(filters[:, ::-1] > 0, axis=1)
    return bins * (SAMPLE_RATE / 2) / (filters.shape[1] - 1)
