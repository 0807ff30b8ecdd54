"""The emotion over a long video: `timeline` yields rows, `write_timeline` saves and plots them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path

from avemotion.config import AskedModality, TimelineSettings
from avemotion.errors import UsageError
from avemotion.files import write_atomically
from avemotion.inference.classifier import Classifier
from avemotion.inference.result_file import (
    TABLE_SUFFIXES,
    ResultFile,
    check_output,
    identity,
    result_file,
)
from avemotion.inference.runtimes.interface import RuntimeName
from avemotion.inference.timeline_rows import (
    UNIT,
    TimelineRow,
    row_from_csv,
    row_from_json,
    table_columns,
    table_row,
)
from avemotion.media.windows import known_seconds
from avemotion.models.packaged import model_name
from avemotion.models.reliability import Reliability

_WINDOWS = TimelineSettings()


@dataclass(frozen=True, slots=True)
class TimelineReport:
    """Summary of a timeline, and the files written."""

    clip: str
    """Path of the video, as it was given."""
    seconds: float
    """End of the last window."""
    rows: int
    """Number of rows: one per window, or one per window and face."""
    modalities: dict[str, int]
    """Number of rows by modality used: ``av``, ``video``, ``audio``; empty without a prediction."""
    labels: dict[str, int]
    """Number of rows by most probable emotion after smoothing, in the model's order."""
    checkpoint: str
    """The model that was used."""
    synthetic: bool
    """Whether it was trained on synthetic data."""
    reliability: tuple[Reliability, ...]
    """What is known of the model's answers from the modalities used: of whole clips, not of windows
    or of smoothed answers."""
    files: tuple[Path, ...]
    """The files written."""


def timeline(
    clip: Path | str,
    *,
    checkpoint: Path | str | None = None,
    modality: AskedModality = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
    settings: TimelineSettings = _WINDOWS,
) -> Iterator[TimelineRow]:
    """Predict the emotion in each window of a video of any length, lazily and in constant memory.

    Args:
        clip: A media file; it is read once.
        checkpoint: The model; see `classify`.
        modality: ``av``, ``video`` or ``audio``; ``auto`` uses all that a window and the model
            have.
        device: ``auto``, ``cpu``, ``cuda``...
        runtime: See `classify`.
        settings: Windows, smoothing and faces.

    Returns:
        The rows, in the order of time.

    Raises:
        UsageError: There is no such model, its runtime is not installed, or it does not support
            the modality.
        MediaError: The file cannot be read; the rows before the error were yielded.
        MissingModalityError: The file has none of the streams that the prediction needs.

    Examples:
        >>> from avemotion import timeline
        >>> first, *others = timeline("clip.mp4")
        >>> first.start_seconds, first.modality
        (0.0, 'av')
    """
    return Classifier(checkpoint, device, runtime).timeline(clip, modality, settings)


def write_timeline(
    clip: Path | str,
    *,
    out: Path | None = None,
    plot: Path | None = None,
    checkpoint: Path | str | None = None,
    modality: AskedModality = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
    settings: TimelineSettings = _WINDOWS,
    progress: bool = True,
) -> TimelineReport:
    """Write the timeline of a video to a file, and plot it.

    Where an earlier run of the same call was interrupted, its rows are kept: the video is decoded
    from the start, but only the other windows are answered.

    Args:
        clip: A media file of any length.
        out: The table: FILE.csv, or FILE.jsonl for one JSON object per row.
        plot: FILE.png: the smoothed probabilities over time, faces above.
        checkpoint: As for `timeline`.
        modality: As for `timeline`.
        device: As for `timeline`.
        runtime: As for `timeline`.
        settings: Windows, smoothing and faces.
        progress: Show a progress bar.

    Returns:
        A summary of the rows, and the files that were written.

    Raises:
        UsageError: As for `timeline`; or neither file is requested, or it cannot be written, or it
            has the rows of an interrupted run with another video, model or settings.
        MediaError: The file cannot be read; the message says where the rows before the error are.
        MissingModalityError: The file has none of the streams that the prediction needs.

    Examples:
        >>> from pathlib import Path
        >>> from avemotion import write_timeline
        >>> report = write_timeline("clip.mp4", out=Path("timeline.csv"), progress=False)
        >>> report.files[0].name
        'timeline.csv'
    """
    out, plot = _checked_outputs(out, plot)
    classifier = Classifier(checkpoint, device, runtime)
    drawing = None
    if plot:
        from avemotion.inference.timeline_plot import TimelinePlot  # imports matplotlib

        drawing = TimelinePlot(Path(clip).name, classifier.labels, settings)
    duration_seconds = known_seconds(Path(clip))  # an unreadable video leaves earlier rows alone
    seconds, modalities, emotions = 0.0, Counter[str](), Counter[str]()
    with _table(out, Path(clip), classifier, modality, settings) if out else nullcontext() as table:
        known = _known(table, classifier.labels) if table else {}
        written = len(known)
        rows = classifier.timeline(clip, modality, settings, _exact(known, settings))
        for row in _with_progress(rows, duration_seconds, progress):
            if table and row.window >= written:
                table.write([(table_row(row, classifier.labels), row.to_dict())])
            if drawing:
                drawing.add(row)
            modalities[row.modality] += 1
            emotions.update([row.smoothed_label] if row.smoothed_label else [])
            seconds = row.end_seconds
    synthetic = classifier.metadata.synthetic is not None
    if plot and drawing:
        write_atomically(plot, lambda path: drawing.write(path, synthetic))
    return TimelineReport(
        clip=str(clip),
        seconds=seconds,
        rows=modalities.total(),
        modalities=dict(modalities),
        labels={label: n for label in classifier.labels if (n := emotions[label])},
        checkpoint=model_name(classifier.checkpoint),
        synthetic=synthetic,
        reliability=tuple(r for r in classifier.metadata.reliability if r.modality in modalities),
        files=tuple(file for file in (out, plot) if file),
    )


def _table(
    out: Path,
    clip: Path,
    classifier: Classifier,
    modality: AskedModality,
    settings: TimelineSettings,
) -> AbstractContextManager[ResultFile]:
    """Open the table; its rows depend on all of these."""
    about = clip.stat()
    asked = {
        "video": str(clip),
        "video_bytes": about.st_size,
        "video_changed": about.st_mtime,
        "model": identity(classifier.checkpoint),
        "modality": modality,
        **asdict(settings),
    }
    return result_file(out, table_columns(classifier.labels), UNIT, asked)


def _known(table: ResultFile, labels: Sequence[str]) -> dict[int, list[TimelineRow]]:
    """Return the rows of an interrupted run by window."""
    known: dict[int, list[TimelineRow]] = {}
    for values in table.earlier:
        row = row_from_csv(values, labels) if table.is_csv else row_from_json(values)
        known.setdefault(row.window, []).append(row)
    return known


def _exact(
    known: Mapping[int, Sequence[TimelineRow]], settings: TimelineSettings
) -> dict[int, Sequence[TimelineRow]]:
    """Leave out the last windows: they count in later means, and tables round probabilities."""
    margin = ceil(settings.smooth_seconds / 2 / settings.hop_seconds) + 1
    return {window: rows for window, rows in known.items() if window < len(known) - margin}


def _checked_outputs(out: Path | None, plot: Path | None) -> tuple[Path | None, Path | None]:
    if out is None and plot is None:
        raise UsageError("There is nothing to write: give --out, --plot, or both.")
    out, plot = out and Path(out), plot and Path(plot)
    check_output("--out", out, TABLE_SUFFIXES)
    check_output("--plot", plot, (".png",))
    return out, plot


def _with_progress(
    rows: Iterable[TimelineRow], duration_seconds: float | None, progress: bool
) -> Iterator[TimelineRow]:
    """Pass rows on, and show a progress bar in seconds of the video."""
    from avemotion.progress import progress_bar

    with progress_bar(
        total=duration_seconds and ceil(duration_seconds),
        desc="timeline",
        unit="second",
        bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} s [{elapsed}<{remaining}]",
        disable=not progress,
    ) as bar:
        seconds = 0
        for row in rows:
            yield row
            bar.update(int(row.end_seconds) - seconds)
            seconds = int(row.end_seconds)
