"""From a corpus' media to the feature store.

Media come from strangers, so a corpus is parsed in worker processes that may die or hang: that clip
is listed as failed with the reason, and the run goes on.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Generator
from concurrent.futures import TimeoutError as ClipTimeoutError
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessFuture, ProcessPool
from tqdm import tqdm

from avemotion.config import PreprocessSettings
from avemotion.corpora import crema_d
from avemotion.errors import MediaError, UsageError
from avemotion.extraction import Extraction, extract
from avemotion.files import claimed
from avemotion.media import is_lfs_pointer
from avemotion.preview import check_preview, draw_preview
from avemotion.processes import cores, one_thread, worker_pool
from avemotion.store import USABLE, FeatureStore, ManifestRow
from avemotion.store_writer import StoreWriter
from avemotion.types import Clip, Corpus

CLIP_TIMEOUT_SECONDS = 120
"""A clip that takes longer has hung: real ones take well under a second."""

_AHEAD = 8  # clips a worker has waiting, so that neither workers nor memory run out


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
    preview: Path | None = None,
    progress: bool = True,
) -> PreprocessReport:
    """Turn a corpus into a feature store; an interrupted run goes on where it stopped.

    Args:
        corpus: Folder of a CREMA-D checkout, whole or partial, or of a synthetic corpus.
        out: Folder of the store.
        workers: Processes; by default one a core.
        settings: What the store is made with.
        preview: PNG to draw at the end: faces and spectrograms, clips with the fewest faces first.
        progress: Show a progress bar.

    Returns:
        What was found in each clip.

    Raises:
        UsageError: The corpus has no clips, all of its media are Git LFS pointers, or `out` holds
            something else, or `preview` is no PNG.
    """
    if preview is not None:
        check_preview(preview)
    found = crema_d.read_corpus(corpus)
    _refuse_pointers(found)
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}, but must be 1 or more.")
    start = time.monotonic()
    with claimed(out):
        writer = StoreWriter(out, found, settings)
        processed = _fill(writer, found, settings, workers or cores(), progress)
        if preview is not None:
            draw_preview(FeatureStore(out), preview)
    rows = tuple(writer.rows())
    return PreprocessReport(
        out,
        rows,
        found.strangers,
        processed,
        time.monotonic() - start,
        dict(Counter(row.status for row in rows)),
    )


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
    with (
        tqdm(
            total=len(waiting),
            unit="clip",
            desc="preprocess",
            mininterval=0.5,
            disable=not progress,
        ) as bar,
        closing(_extract_all(waiting, settings, workers)) as results,
    ):
        for clips in todo:
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
        next(results, None)  # there is no further one: the workers end by themselves
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
) -> Generator[Extraction | str, None, None]:
    """Extract clips in worker processes and yield the outcomes, or the reasons, in their order."""
    if not clips:
        return
    with worker_pool(min(workers, len(clips)), one_thread) as pool:
        running: deque[tuple[Clip, ProcessFuture[Any]]] = deque()
        left = iter(clips)
        while True:
            while len(running) < _AHEAD * workers and (clip := next(left, None)) is not None:
                running.append((clip, _schedule(pool, clip, settings)))
            if not running:
                break
            yield _outcome(*running.popleft())


def _schedule(pool: ProcessPool, clip: Clip, settings: PreprocessSettings) -> ProcessFuture[Any]:
    args = (clip.name, clip.video, clip.audio or clip.video, settings)
    return pool.schedule(_extract_or_reason, args=args, timeout=CLIP_TIMEOUT_SECONDS)


def _extract_or_reason(
    name: str, video: Path | None, audio: Path | None, settings: PreprocessSettings
) -> Extraction | str:
    """Run in a worker: a broken file is a reason, not an exception."""
    try:
        return extract(name, video, audio, settings)
    except MediaError as error:
        return str(error)


def _outcome(clip: Clip, future: ProcessFuture[Any]) -> Extraction | str:
    try:
        outcome: Extraction | str = future.result()
    except ClipTimeoutError:
        return f"took longer than {CLIP_TIMEOUT_SECONDS} s to decode"
    except ProcessExpired as error:
        return f"the decoder crashed (exit code {error.exitcode})"
    except Exception as error:  # OpenCV's and others': no single clip may end the run
        return f"{type(error).__name__}: {error}"
    return outcome


def _row_of(clip: Clip, corpus: Corpus, outcome: Extraction | str) -> ManifestRow:
    if isinstance(outcome, str):
        return _row(clip, corpus, "failed", outcome)
    reasons = [reason for reason in (outcome.no_face, outcome.no_sound) if reason]
    return _row(clip, corpus, outcome.status, "; ".join(reasons), outcome)


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
