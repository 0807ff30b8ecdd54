"""From a corpus' media to the feature store, and from one clip to its features.

Media come from strangers, so a corpus is parsed in worker processes that may die or hang: that clip
is listed as failed with the reason, and the run goes on.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as ClipTimeoutError
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessFuture, ProcessPool
from tqdm import tqdm

from avemotion.config import FACE_FRAMES, PreprocessSettings
from avemotion.corpora import crema_d
from avemotion.errors import MediaError, NoAudioError, NoVideoError, UsageError
from avemotion.faces import crop_faces, find_face
from avemotion.grids import GRIDS
from avemotion.media import check_file, is_lfs_pointer, read_frames, read_sound
from avemotion.spectrogram import add_noise, log_mel, power_spectrogram
from avemotion.store import USABLE, ClipFeatures, ManifestRow, StoreWriter
from avemotion.types import Box, Clip, Corpus, Sound

CLIP_TIMEOUT_SECONDS = 120
"""A clip that takes longer has hung: real ones take well under a second."""

_AHEAD = 8  # clips a worker has waiting, so that neither workers nor memory run out


@dataclass(frozen=True, slots=True)
class Extraction:
    """What one clip gave."""

    features: ClipFeatures
    """All views; a missing modality is zeros."""
    status: str
    """``av``, ``video``, ``audio``, or ``failed`` where the clip offers neither."""
    warnings: tuple[str, ...] = ()
    """What is missing, and why."""
    frames_decoded: int = 0
    """Frames of the whole video."""
    faces_found: int = 0
    """Sampled frames of view 0 on which a face is seen."""
    key_frames: int = 0
    """Frames searched whole for the face."""
    key_frames_found: int = 0
    """Those on which the clip's face was found."""
    box: Box | None = None
    """The crop, in pixels of the video."""
    sound_seconds: float = 0.0
    """Length of the sound."""


def draws(clip: str, view: int, seed: int) -> np.random.Generator:
    """Return the random numbers of one view: the same on every machine, whatever ran before."""
    digest = hashlib.sha256(f"{seed}/{clip}/{view}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def extract(
    name: str, video: Path | None, audio: Path | None, settings: PreprocessSettings
) -> Extraction:
    """Turn one clip's media into features.

    Args:
        name: Seeds the draws; the clip's name without folder and suffix.
        video: File with the faces, and with the sound where `audio` is None.
        audio: File with the sound.
        settings: Views, frame grid, seed and reader.

    Returns:
        The features. Where there is no face or no sound, that part is zeros and `warnings` say so.

    Raises:
        MediaError: A file is missing or broken. A broken part never passes for a missing one.
    """
    warnings: list[str] = []
    faces, track = _extract_faces(name, video, settings, warnings)
    sound = _extract_sound(audio or video, warnings)
    features = _features(name, settings, faces, sound)
    has_face, has_sound = track.box is not None, sound is not None
    status = {(True, True): "av", (True, False): "video", (False, True): "audio"}
    return Extraction(
        features,
        status.get((has_face, has_sound), "failed"),
        tuple(warnings),
        track.frames_decoded,
        track.faces_found,
        track.key_frames,
        track.key_frames_found,
        track.box,
        sound.duration_seconds if sound else 0.0,
    )


@dataclass(frozen=True, slots=True)
class _FaceFacts:
    frames_decoded: int = 0
    faces_found: int = 0
    key_frames: int = 0
    key_frames_found: int = 0
    box: Box | None = None


def _extract_faces(
    name: str, video: Path | None, settings: PreprocessSettings, warnings: list[str]
) -> tuple[NDArray[np.uint8] | None, _FaceFacts]:
    """Return the faces of all views, uint8 (view, 20, 98, 80), or None, and what was found."""
    if video is None:
        warnings.append("no video")
        return None, _FaceFacts()
    shifts = [draws(name, view, settings.seed).random() for view in range(settings.views)]

    def grids(n_frames: int) -> list[NDArray[np.intp]]:
        grid = GRIDS[settings.grid]
        return [grid(n_frames, view, shift) for view, shift in enumerate(shifts)]

    try:
        frames = read_frames(
            video, lambda n: np.unique(np.concatenate(grids(n))), settings.reader
        )
    except NoVideoError as error:
        warnings.append(str(error))
        return None, _FaceFacts()
    views = [np.searchsorted(frames.indices, grid) for grid in grids(frames.decoded)]
    track = find_face(frames.frames[views[0]])
    if track is None:
        warnings.append(f"no face found in the {FACE_FRAMES} frames sampled from {video.name}")
        return None, _FaceFacts(frames.decoded)
    crops = crop_faces(frames.frames, track.box)
    facts = _FaceFacts(
        frames.decoded, sum(track.found), track.key_frames, track.key_frames_found, track.box
    )
    return np.stack([crops[view] for view in views]), facts


def _extract_sound(source: Path | None, warnings: list[str]) -> Sound | None:
    if source is None:
        warnings.append("no sound")
        return None
    try:
        return read_sound(source)
    except NoAudioError as error:
        warnings.append(str(error))
        return None


def _features(
    name: str,
    settings: PreprocessSettings,
    faces: NDArray[np.uint8] | None,
    sound: Sound | None,
) -> ClipFeatures:
    zeros = ClipFeatures.zeros(settings.views)
    spectrograms, log_mels, length = zeros.spectrograms, zeros.log_mels, 0
    if sound is not None:
        for view in range(settings.views):
            rng = draws(name, view, settings.seed)
            rng.random()  # the first number of the stream is the grid's shift
            noisy = add_noise(sound.samples, rng)
            spectrograms[view] = power_spectrogram(noisy)
            log_mels[view], length = log_mel(noisy)
    return ClipFeatures(
        faces=zeros.faces if faces is None else faces,
        spectrograms=spectrograms,
        log_mels=log_mels,
        log_mel_length=length,
        waveform=zeros.waveform if sound is None else sound.samples,
    )


@dataclass(frozen=True, slots=True)
class PreprocessReport:
    """What a run of `preprocess` did."""

    store: Path
    """Where the features are."""
    rows: tuple[ManifestRow, ...]
    """The whole manifest."""
    strangers: tuple[Path, ...]
    """Files whose names are not the corpus'."""
    processed: int
    """Clips that this run decoded; the others were finished before."""
    seconds: float
    """Time that the run took."""
    counts: dict[str, int] = field(default_factory=dict)
    """Clips by status."""

    @property
    def failed(self) -> list[ManifestRow]:
        """The clips that could not be used, with their reasons."""
        return [row for row in self.rows if row.status == "failed"]


def preprocess(
    corpus: Path,
    *,
    out: Path = Path("features"),
    workers: int | None = None,
    settings: PreprocessSettings = PreprocessSettings(),  # noqa: B008 (frozen)
    progress: bool = True,
) -> PreprocessReport:
    """Turn a corpus into a feature store; an interrupted run goes on where it stopped.

    Args:
        corpus: Folder of a CREMA-D checkout, whole or partial, or of a synthetic corpus.
        out: Folder of the store.
        workers: Processes; by default one a core.
        settings: What the store is made with.
        progress: Show a progress bar.

    Returns:
        What was found in each clip.

    Raises:
        UsageError: The corpus has no clips, all of its media are Git LFS pointers, or `out` holds
            something else.
    """
    found = crema_d.read_corpus(corpus)
    _refuse_pointers(found)
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}, but must be 1 or more.")
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    try:
        with FileLock(out / ".lock", timeout=0):
            writer = StoreWriter(out, found, settings)
            processed = _fill(writer, found, settings, workers or _cores(), progress)
    except Timeout:
        raise UsageError(f"{out} is being written by another run. Wait for it to end.") from None
    rows = tuple(writer.rows())
    return PreprocessReport(
        out,
        rows,
        found.strangers,
        processed,
        time.monotonic() - start,
        dict(Counter(row.status for row in rows)),
    )


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _refuse_pointers(corpus: Corpus) -> None:
    """Stop at once where nothing was pulled; a few pointers are failed clips like others."""
    media = [path for clip in corpus.clips for path in (clip.video, clip.audio) if path]
    if all(path.is_file() and is_lfs_pointer(path) for path in media):
        raise UsageError(
            f"All {len(media)} media files in {corpus.directory} are Git LFS pointers, not media. "
            "Run `git lfs install && git lfs pull` in that folder, then try again."
        )


def _fill(
    writer: StoreWriter, corpus: Corpus, settings: PreprocessSettings, workers: int, progress: bool
) -> int:
    """Process the actors that are not finished; return how many clips that were."""
    by_actor: dict[str, list[Clip]] = {}
    for clip in corpus.clips:
        by_actor.setdefault(clip.actor, []).append(clip)
    writer.forget_others(set(by_actor))
    todo = [
        clips
        for actor, clips in by_actor.items()
        if not _is_finished(writer.finished(actor), clips, corpus)
    ]
    waiting = [clip for clips in todo for clip in clips if clip.name not in corpus.excluded]
    actors = iter(todo)
    with tqdm(
        total=len(waiting), unit="clip", desc="preprocess", mininterval=0.5, disable=not progress
    ) as bar:
        results = _extract_all(waiting, settings, workers)
        for clips in actors:
            rows, features = [], []
            for clip in clips:
                if clip.name in corpus.excluded:
                    row = _row(clip, corpus, "excluded", corpus.excluded[clip.name])
                else:
                    outcome = next(results)
                    bar.update()
                    row = _row_of(clip, corpus, outcome)
                    if row.status in USABLE and isinstance(outcome, Extraction):
                        features.append(outcome.features)
                rows.append(row)
            writer.add(clips[0].actor, rows, features)
    return len(waiting)


def _is_finished(rows: list[ManifestRow], clips: list[Clip], corpus: Corpus) -> bool:
    """Tell whether an actor need not be processed: same clips, same files, nothing to try again."""
    now = [_row(clip, corpus, "", "") for clip in clips]
    return len(rows) == len(now) and all(
        old.status != "failed"
        and (old.status == "excluded") == (new.clip in corpus.excluded)
        and (old.clip, old.video_file, old.video_bytes, old.audio_file, old.audio_bytes)
        == (new.clip, new.video_file, new.video_bytes, new.audio_file, new.audio_bytes)
        for old, new in zip(rows, now, strict=True)
    )


def _extract_all(
    clips: list[Clip], settings: PreprocessSettings, workers: int
) -> Iterator[Extraction | str]:
    """Extract clips in worker processes and yield the outcomes, or the reasons, in their order."""
    if not clips:
        return
    # Workers are started afresh: forking a process that runs threads can deadlock.
    pool = ProcessPool(max_workers=workers, context=get_context("spawn"), initializer=_one_thread)
    try:
        running: deque[tuple[Clip, ProcessFuture]] = deque()
        left = iter(clips)
        while True:
            while len(running) < _AHEAD * workers and (clip := next(left, None)) is not None:
                running.append((clip, _schedule(pool, clip, settings)))
            if not running:
                break
            yield _outcome(*running.popleft())
    finally:
        pool.stop()
        pool.join()


def _one_thread() -> None:
    """Keep a worker to one thread: the work is spread over processes."""
    import cv2

    cv2.setNumThreads(1)


def _schedule(pool: ProcessPool, clip: Clip, settings: PreprocessSettings) -> ProcessFuture:
    args = (clip.name, clip.video, clip.audio, settings)
    return pool.schedule(_extract_or_reason, args=args, timeout=CLIP_TIMEOUT_SECONDS)


def _extract_or_reason(
    name: str, video: Path | None, audio: Path | None, settings: PreprocessSettings
) -> Extraction | str:
    """Run in a worker: a broken file is a reason, not an exception."""
    try:
        return extract(name, video, audio, settings)
    except MediaError as error:
        return str(error)


def _outcome(clip: Clip, future: ProcessFuture) -> Extraction | str:
    try:
        outcome: Extraction | str = future.result()
    except ClipTimeoutError:
        return f"took longer than {CLIP_TIMEOUT_SECONDS} s to decode"
    except ProcessExpired as error:
        return f"the decoder crashed (exit code {error.exitcode})"
    except (OSError, MemoryError, ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return outcome


def _row_of(clip: Clip, corpus: Corpus, outcome: Extraction | str) -> ManifestRow:
    if isinstance(outcome, str):
        return _row(clip, corpus, "failed", outcome)
    return _row(clip, corpus, outcome.status, "; ".join(outcome.warnings), outcome)


def _row(
    clip: Clip, corpus: Corpus, status: str, reason: str, outcome: Extraction | None = None
) -> ManifestRow:
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
        video_bytes=_size(clip.video),
        audio_file=_relative(audio, corpus),
        audio_bytes=_size(audio),
    )


def _relative(path: Path | None, corpus: Corpus) -> str:
    return path.relative_to(corpus.directory).as_posix() if path else ""


def _size(path: Path | None) -> int:
    return path.stat().st_size if path and path.is_file() else 0
