"""From a corpus' media to the feature store.

Media come from strangers, so a corpus is parsed in worker processes that may die or hang: that clip
is listed as failed with the reason, and the run goes on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from avemotion.config import PreprocessSettings
from avemotion.corpora import CorpusName, read_corpus
from avemotion.errors import UsageError
from avemotion.extraction import Extraction, extract
from avemotion.files import claimed
from avemotion.isolation import Lost, map_isolated
from avemotion.media import is_lfs_pointer
from avemotion.preview import check_preview, draw_preview
from avemotion.processes import cores, one_thread
from avemotion.store import USABLE, FeatureStore, ManifestRow
from avemotion.store_writer import StoreWriter
from avemotion.types import Clip, Corpus

CLIP_TIMEOUT_SECONDS = 120
"""A clip that takes longer has hung: real ones take well under a second."""


@dataclass(frozen=True, slots=True)
class PreprocessReport:
    """What a run of `preprocess` did."""

    store: Path
    """Where the features are."""
    rows: tuple[ManifestRow, ...]
    """The whole manifest."""
    strangers: tuple[Path, ...]
    """Files whose names are not the corpus'."""
    notes: tuple[str, ...]
    """What of the corpus was left aside on purpose."""
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
    directory: Path,
    *,
    corpus: CorpusName = "crema_d",
    out: Path = Path("features"),
    workers: int | None = None,
    settings: PreprocessSettings = PreprocessSettings(),  # noqa: B008 (frozen)
    preview: Path | None = None,
    progress: bool = True,
) -> PreprocessReport:
    """Turn a corpus into a feature store; an interrupted run goes on where it stopped.

    Args:
        directory: Folder of the corpus, whole or partial.
        corpus: What it holds: ``crema_d`` (also for a synthetic corpus), ``ravdess``, or
            ``folder``: clips of one's own, in a folder for each emotion.
        out: Folder of the store.
        workers: Processes; by default one a core.
        settings: What the store is made with.
        preview: PNG to draw at the end: faces and spectrograms, clips with the fewest faces first.
        progress: Show a progress bar.

    Returns:
        What was found in each clip.

    Raises:
        UsageError: The folder does not hold the corpus, all of its media are Git LFS pointers, or
            `out` holds something else, or `preview` is no PNG.
    """
    if preview is not None:
        check_preview(preview)
    found = read_corpus(corpus, directory)
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
        found.notes,
        processed,
        time.monotonic() - start,
        dict(Counter(row.status for row in rows)),
    )


def _refuse_pointers(corpus: Corpus) -> None:
    """Stop at once where nothing was pulled; a few pointers are failed clips like others."""
    media = [path for clip in corpus.clips for path in (clip.video, clip.audio) if path]
    if all(map(is_lfs_pointer, media)):
        raise UsageError(
            f"All {len(media)} media files in {corpus.directory} are Git LFS pointers, not media. "
            + corpus.remedy
        )


def _fill(
    writer: StoreWriter, corpus: Corpus, settings: PreprocessSettings, workers: int, progress: bool
) -> int:
    """Process the actors that are not finished; return how many clips that were."""
    by_actor: dict[str, list[Clip]] = {}
    for clip in corpus.clips:
        by_actor.setdefault(clip.actor, []).append(clip)
    writer.forget_others(set(by_actor))
    stale = {a for a, clips in by_actor.items() if not _is_current(writer, a, clips, corpus)}
    retried, mended = _retry_failed(writer, corpus, stale, settings, workers, progress)
    todo = [clips for actor, clips in by_actor.items() if actor in stale | mended]
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
    return len(retried | {clip.name for clip in waiting})


def _is_current(writer: StoreWriter, actor: str, clips: list[Clip], corpus: Corpus) -> bool:
    """Tell whether what the manifest lists of an actor was made from the files that are there."""
    rows = writer.finished(actor)
    now = [_row(clip, corpus, "", "") for clip in clips]
    return (
        len(rows) == len(now)
        and all(
            (old.status == "excluded") == (new.clip in corpus.excluded)
            and (old.clip, old.video_file, old.video_bytes, old.audio_file, old.audio_bytes)
            == (new.clip, new.video_file, new.video_bytes, new.audio_file, new.audio_bytes)
            and (old.sentence, old.emotion, old.level) == (new.sentence, new.emotion, new.level)
            for old, new in zip(rows, now, strict=True)
        )
        and not _have_changed(clips, writer.written_ns(actor))
    )


def _have_changed(clips: list[Clip], since_ns: int) -> bool:
    """Tell whether files changed after an actor's arrays were written from them.

    A file's time of change (ctime) tells it even where the size is the same and where a copying
    tool set the time of modification back. The store keeps no times: its bytes depend on the
    corpus' alone. At worst, after copying a corpus, clips are processed once more.
    """
    return since_ns > 0 and any(
        path.stat().st_ctime_ns >= since_ns
        for clip in clips
        for path in (clip.video, clip.audio)
        if path and _size(path)
    )


def _retry_failed(
    writer: StoreWriter,
    corpus: Corpus,
    stale: set[str],
    settings: PreprocessSettings,
    workers: int,
    progress: bool,
) -> tuple[set[str], set[str]]:
    """Try again the clips, and they alone, that failed in an earlier run.

    What was wrong may lie outside the file: too little memory, no permission, a busy machine.

    Args:
        writer: Lists them.
        corpus: Has them.
        stale: Actors who are processed anyway.
        settings: What the store is made with.
        workers: Processes.
        progress: Show a progress bar.

    Returns:
        The clips that were tried, and the actors of those that ended otherwise than before.
    """
    before = {row.clip: row for row in writer.rows() if row.status == "failed"}
    clips = [clip for clip in corpus.clips if clip.name in before and clip.actor not in stale]
    bar = tqdm(
        total=len(clips), unit="clip", desc="failed before", disable=not progress or not clips
    )
    mended = set()
    with bar, closing(_extract_all(clips, settings, workers)) as results:
        for clip, outcome in zip(clips, results, strict=True):
            bar.update()
            if _row_of(clip, corpus, outcome) != before[clip.name]:
                mended.add(clip.actor)
    return {clip.name for clip in clips}, mended


def _extract_all(
    clips: list[Clip], settings: PreprocessSettings, workers: int
) -> Generator[Extraction | Lost, None, None]:
    """Extract clips in worker processes and yield the outcomes in their order."""
    return map_isolated(
        _extract,
        [(clip.name, clip.video, clip.audio or clip.video, settings) for clip in clips],
        workers=workers,
        timeout_seconds=CLIP_TIMEOUT_SECONDS,
        prepare=one_thread,
    )


def _extract(task: tuple[str, Path | None, Path | None, PreprocessSettings]) -> Extraction:
    """Run in a worker."""
    return extract(*task)


def _row_of(clip: Clip, corpus: Corpus, outcome: Extraction | Lost) -> ManifestRow:
    if isinstance(outcome, Lost):
        return _row(clip, corpus, "failed", outcome.reason)
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
    try:
        return path.stat().st_size if path and path.is_file() else 0
    except OSError:  # a loop of links, a folder that may not be read: the clip's reason says it
        return 0
