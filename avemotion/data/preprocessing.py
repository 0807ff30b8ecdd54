"""From a corpus' media to the feature store.

Media may be malformed, so they are decoded in worker processes. Where one crashes or hangs, its
clip is listed as failed with the reason, and the run goes on.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from avemotion.config import Engine, PreprocessSettings
from avemotion.data.contact_sheet import check_preview, draw_preview
from avemotion.data.corpora import CorpusName, read_corpus, settings_for
from avemotion.data.corpora.folder import NO_TABLE
from avemotion.data.shards import write_here
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.store_writer import (
    StoreWriter,
    plain_row,
    row_of,
    rows_of,
    shards_of,
    size_of,
)
from avemotion.data.types import Clip, Corpus
from avemotion.errors import UsageError, counted
from avemotion.features.extraction import Extraction, extract, extract_image
from avemotion.features.table import ClipSignals, check_features
from avemotion.features.types import ClipFeatures
from avemotion.files import claimed
from avemotion.media.integrity import is_lfs_pointer
from avemotion.parallel.isolated_worker import TaskFailure
from avemotion.parallel.isolation import CLIP_TIMEOUT_SECONDS, IsolatedProcess, map_isolated
from avemotion.parallel.processes import cores, one_thread
from avemotion.progress import progress_bar

_Task = tuple[Clip, PreprocessSettings]


@dataclass(frozen=True, slots=True)
class PreprocessReport:
    """What a run of `preprocess` did."""

    store: Path
    """Where the features are."""
    rows: tuple[ManifestRow, ...]
    """The whole manifest."""
    unrecognised_files: tuple[Path, ...]
    """Files whose names do not follow the corpus' scheme."""
    notes: tuple[str, ...]
    """What of the corpus was left out on purpose."""
    processed: int
    """Clips that this run decoded; the others were finished before."""
    seconds: float
    """Time that the run took."""
    counts: dict[str, int] = field(default_factory=dict)
    """Clips by status."""

    @property
    def failed(self) -> list[ManifestRow]:
        """The clips that could not be used; their reasons are in the rows."""
        return [row for row in self.rows if row.status == "failed"]


def preprocess(
    directory: Path,
    *,
    corpus: CorpusName = "crema_d",
    out: Path = Path("features"),
    workers: int | None = None,
    engine: Engine = "local",
    settings: PreprocessSettings | None = None,
    labels: tuple[str, ...] = (),
    preview: Path | None = None,
    progress: bool = True,
) -> PreprocessReport:
    """Turn a corpus into a feature store, or complete one that an interrupted run left.

    Args:
        directory: Folder of the corpus, whole or partial.
        corpus: What it holds: ``crema_d`` (also for a synthetic corpus), ``ravdess``, ``fer2013``,
            ``ck_plus``; ``folder``: clips of one's own, in a folder for each emotion; ``pictures``:
            pictures of one's own, with a table.
        out: Folder of the store.
        workers: Processes; by default one a core, with Ray one a core of the cluster.
        engine: ``local`` works on this machine, ``ray`` on the cluster that the environment
            variable RAY_ADDRESS names, or on one that it starts here. The store is the same.
        settings: How clips become features; by default as suits the corpus.
        labels: Take the clips of these emotions alone; by default of all.
        preview: PNG to draw at the end: faces and spectrograms, clips with the fewest faces first.
        progress: Show a progress bar, and at once what training will lack.

    Returns:
        The manifest, and what this run did.

    Raises:
        UsageError: The folder does not hold the corpus, all of its media are Git LFS pointers,
            `out` holds something else, `preview` is no PNG, or a machine of the cluster does not
            see these folders.

    Examples:
        >>> from pathlib import Path
        >>> from avemotion import preprocess
        >>> from avemotion.config import PreprocessSettings
        >>> two_views = PreprocessSettings(views=2)
        >>> preprocess(Path("crema"), settings=two_views, progress=False).counts
        {'av': 36}
    """
    directory, out, preview = Path(directory), Path(out), preview and Path(preview)
    if preview is not None:
        check_preview(preview)
    found = read_corpus(corpus, directory)
    if labels:
        found = found.only(labels)
    _refuse_pointers(found)
    if workers is not None and workers < 1:
        raise UsageError(f"--workers is {workers}, but must be 1 or more.")
    settings = settings_for(corpus) if settings is None else settings
    check_features(settings.features)
    if progress and NO_TABLE in found.notes:  # before the work, which would be done again
        print(f"{NO_TABLE} Ctrl-C stops here.", file=sys.stderr)
    start = time.monotonic()
    with claimed(out):
        writer = StoreWriter.open(out, found, settings)
        processed = _fill(writer, found, settings, workers, engine, progress)
        if preview is not None:
            draw_preview(FeatureStore(out), preview)
    rows = tuple(writer.rows())
    return PreprocessReport(
        store=out,
        rows=rows,
        unrecognised_files=found.unrecognised_files,
        notes=found.notes,
        processed=processed,
        seconds=time.monotonic() - start,
        counts=dict(Counter(row.status for row in rows)),
    )


def _refuse_pointers(corpus: Corpus) -> None:
    """Refuse a corpus of pointers alone; where only some are, these clips fail like others."""
    media = [path for clip in corpus.clips for path in (clip.video, clip.audio) if path]
    if all(map(is_lfs_pointer, media)):
        raise UsageError(
            f"All of the {counted(len(media), 'media file')} in {corpus.directory} are Git LFS "
            "pointers, not media. " + corpus.remedy
        )


def _fill(
    writer: StoreWriter,
    corpus: Corpus,
    settings: PreprocessSettings,
    workers: int | None,
    engine: Engine,
    progress: bool,
) -> int:
    """Process the shards that are not finished; return how many clips that were."""
    found = shards_of(corpus)
    writer.drop_others(found)
    names_bar = progress_bar(
        found, unit="file", desc="check", delay=1, leave=False, disable=not progress
    )
    stale = {name for name in names_bar if not _is_current(writer, name, found[name], corpus)}
    retried, mended = _retry_failed(writer, corpus, stale, settings, workers or cores(), progress)
    todo = {name: clips for name, clips in found.items() if name in stale | mended}
    shards = {
        writer.path(name): [clip for clip in clips if clip.name not in corpus.excluded]
        for name, clips in todo.items()
    }
    names = {clip.name for clips in shards.values() for clip in clips}
    writer.drop(todo)
    with progress_bar(
        total=len(names), unit="clip", desc="preprocess", mininterval=0.5, disable=not progress
    ) as bar:
        if engine == "ray" and names:
            from avemotion.data.ray_preprocessing import write_on_ray  # Ray may be missing

            extract_one = partial(_extract_apart, settings=settings)
            nothing = ClipSignals("", 0, None, None, settings.crop_size)
            clip_bytes = ClipFeatures.of(nothing, settings.features, settings.views).nbytes
            engine_run = write_on_ray(shards, extract_one, clip_bytes, workers, bar.update)
        else:
            extract_all = partial(_extract_all, settings=settings, workers=workers or cores())
            engine_run = write_here(shards, extract_all, bar.update)
        with closing(engine_run) as written:
            for shard, sha256, outcomes in written:
                rows = rows_of(shard.stem, todo[shard.stem], corpus, outcomes)
                writer.record(shard.stem, rows, sha256)
    return len(retried | names)


def _is_current(writer: StoreWriter, shard: str, clips: list[Clip], corpus: Corpus) -> bool:
    """Tell whether a shard's rows and arrays are whole, and were made from the present files."""
    rows = writer.finished(shard)
    now = [plain_row(shard, clip, corpus) for clip in clips]
    return (
        len(rows) == len(now)
        and all(
            (old.status == "excluded") == (new.clip in corpus.excluded)
            and (old.clip, old.video_file, old.video_bytes, old.audio_file, old.audio_bytes)
            == (new.clip, new.video_file, new.video_bytes, new.audio_file, new.audio_bytes)
            and (old.actor, old.sentence, old.emotion, old.level, old.part)
            == (new.actor, new.sentence, new.emotion, new.level, new.part)
            for old, new in zip(rows, now, strict=True)
        )
        and not _have_changed(clips, writer.written_ns(shard))
    )


def _have_changed(clips: list[Clip], since_ns: int) -> bool:
    """Tell whether files changed after a shard was written from them.

    A file's time of change (ctime) tells it even where the size is the same and where a copying
    tool set the time of modification back. The store keeps no times: its bytes depend on the
    corpus' alone. At worst, after copying a corpus, clips are processed once more.
    """
    return since_ns > 0 and any(
        path.stat().st_ctime_ns >= since_ns
        for clip in clips
        for path in (clip.video, clip.audio)
        if path and size_of(path)
    )


def _retry_failed(
    writer: StoreWriter,
    corpus: Corpus,
    stale: set[str],
    settings: PreprocessSettings,
    workers: int,
    progress: bool,
) -> tuple[set[str], set[str]]:
    """Extract the clips that failed in an earlier run once more.

    The cause may lie outside the file: too little memory, no permission, a busy machine.

    Args:
        writer: The store.
        corpus: The corpus.
        stale: Shards that are processed anyway.
        settings: Settings of the store.
        workers: Number of processes.
        progress: Show a progress bar.

    Returns:
        The clips that were extracted, and the shards of those with another outcome than before.
    """
    before = {row.clip: row for row in writer.rows() if row.status == "failed"}
    clips = [
        clip
        for clip in corpus.clips
        if clip.name in before and before[clip.name].shard not in stale
    ]
    bar = progress_bar(
        total=len(clips), unit="clip", desc="failed before", disable=not progress or not clips
    )
    mended = set()
    with bar, closing(_extract_all(clips, settings, workers)) as results:
        for clip, outcome in zip(clips, results, strict=True):
            bar.update()
            shard = before[clip.name].shard
            if row_of(shard, clip, corpus, outcome) != before[clip.name]:
                mended.add(shard)
    return {clip.name for clip in clips}, mended


def _extract_all(
    clips: list[Clip], settings: PreprocessSettings, workers: int
) -> Generator[Extraction | TaskFailure, None, None]:
    """Extract clips in worker processes and yield the outcomes in their order."""
    return map_isolated(
        _extract,
        [_task(clip, settings) for clip in clips],
        workers=workers,
        timeout_seconds=CLIP_TIMEOUT_SECONDS,
        prepare=_init_worker,
    )


def _task(clip: Clip, settings: PreprocessSettings) -> _Task:
    return clip, settings


def _init_worker() -> None:
    """Load what extraction needs before the first clip, and keep the process to one thread."""
    import scipy.signal  # noqa: F401  (it has a BLAS of its own: before threads are limited)

    one_thread()


def _extract(task: _Task) -> Extraction:
    """Run in a worker."""
    clip, settings = task
    if clip.image is not None:
        return extract_image(clip.name, clip.image, settings)
    return extract(clip.name, clip.video, clip.audio or clip.video, settings)


def _extract_apart(clip: Clip, settings: PreprocessSettings) -> Extraction | TaskFailure:
    """Extract a clip in a process beside this one, which then waits for the next clip."""
    outcome: Extraction | TaskFailure = _companion().run(
        _task(clip, settings), CLIP_TIMEOUT_SECONDS
    )
    return outcome


@cache
def _companion() -> IsolatedProcess:
    return IsolatedProcess(_extract, _init_worker)
