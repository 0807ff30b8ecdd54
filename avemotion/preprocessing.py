"""From a corpus' media to the feature store.

Media come from strangers, so a corpus is parsed in worker processes that may die or hang: that clip
is listed as failed with the reason, and the run goes on.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Generator, Sequence
from concurrent.futures import TimeoutError as ClipTimeoutError
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessFuture, ProcessPool
from tqdm import tqdm

from avemotion.config import Engine, PreprocessSettings
from avemotion.corpora import crema_d
from avemotion.engines import write_here, write_on_ray
from avemotion.errors import MediaError, UsageError
from avemotion.extraction import Extraction, extract
from avemotion.files import claimed
from avemotion.media import is_lfs_pointer
from avemotion.processes import cores, end_with_parent, one_thread, worker_pool
from avemotion.store import ClipFeatures, ManifestRow
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
    engine: Engine = "local",
    settings: PreprocessSettings = PreprocessSettings(),  # noqa: B008 (frozen)
    progress: bool = True,
) -> PreprocessReport:
    """Turn a corpus into a feature store; an interrupted run goes on where it stopped.

    Args:
        corpus: Folder of a CREMA-D checkout, whole or partial, or of a synthetic corpus.
        out: Folder of the store.
        workers: Processes; by default one a core, with Ray one a core of the cluster.
        engine: ``local`` works on this machine, ``ray`` on the cluster that the environment
            variable RAY_ADDRESS names, or on one that it starts here. The store is the same.
        settings: What the store is made with.
        progress: Show a progress bar.

    Returns:
        What was found in each clip.

    Raises:
        UsageError: The corpus has no clips, all of its media are Git LFS pointers, `out` holds
            something else, or a machine of the cluster does not see these folders.
    """
    found = crema_d.read_corpus(corpus)
    _refuse_pointers(found)
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}, but must be 1 or more.")
    start = time.monotonic()
    with claimed(out):
        writer = StoreWriter(out, found, settings)
        processed = _fill(writer, found, settings, workers, engine, progress)
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
    writer: StoreWriter,
    corpus: Corpus,
    settings: PreprocessSettings,
    workers: int | None,
    engine: Engine,
    progress: bool,
) -> int:
    """Process the actors that are not finished; return how many clips that were."""
    by_actor: dict[str, list[Clip]] = {}
    for clip in corpus.clips:
        by_actor.setdefault(clip.actor, []).append(clip)
    writer.forget_others(set(by_actor))
    todo = {
        actor: clips
        for actor, clips in by_actor.items()
        if not _is_finished(writer.finished(actor), clips, corpus)
    }
    shards = {
        writer.shard(actor): [clip for clip in clips if clip.name not in corpus.excluded]
        for actor, clips in todo.items()
    }
    total = sum(map(len, shards.values()))
    writer.unlist(todo)
    with tqdm(
        total=total, unit="clip", desc="preprocess", mininterval=0.5, disable=not progress
    ) as bar:
        if engine == "ray" and total:
            extract_one = partial(_extract_apart, settings=settings)
            clip_bytes = ClipFeatures.zeros(settings.views).nbytes
            engine_run = write_on_ray(shards, extract_one, clip_bytes, workers, bar.update)
        else:
            extract_all = partial(_extract_all, settings=settings, workers=workers or cores())
            engine_run = write_here(shards, extract_all, bar.update)
        with closing(engine_run) as written:
            for shard, outcomes in written:
                writer.enlist(shard.stem, _rows(todo[shard.stem], corpus, outcomes))
    return total


def _is_finished(rows: list[ManifestRow], clips: list[Clip], corpus: Corpus) -> bool:
    """Tell whether an actor need not be processed: same clips, same files, nothing to try again."""
    if len(rows) != len(clips):  # no need to look at every file
        return False
    now = [_row(clip, corpus, "", "") for clip in clips]
    return all(
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


def _extract_apart(clip: Clip, settings: PreprocessSettings) -> Extraction | str:
    """Extract a clip, or say why not, in a process beside this one that waits for the next."""
    return _outcome(clip, _schedule(_companion(), clip, settings))


@cache
def _companion() -> ProcessPool:
    return _COMPANIONS.enter_context(worker_pool(1, _prepare_companion))


_COMPANIONS = ExitStack()  # kept open as long as this process lives


def _prepare_companion() -> None:
    one_thread()
    end_with_parent()


def _rows(
    clips: Sequence[Clip], corpus: Corpus, outcomes: Sequence[Extraction | str]
) -> list[ManifestRow]:
    """Say what became of an actor's clips; the excluded ones have no outcome."""
    found = iter(outcomes)
    return [
        _row(clip, corpus, "excluded", corpus.excluded[clip.name])
        if clip.name in corpus.excluded
        else _row_of(clip, corpus, next(found))
        for clip in clips
    ]


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
