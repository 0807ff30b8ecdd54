"""The emotion over a long video: `timeline` tells it, `write_timeline` keeps and draws it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from avemotion.config import AskedModality, TimelineSettings
from avemotion.errors import UsageError
from avemotion.files import write_atomically
from avemotion.inference.classifier import Classifier
from avemotion.inference.runtimes.interface import RuntimeName
from avemotion.inference.timeline_rows import TABLE_SUFFIXES, TimelineRow, check_output, row_file
from avemotion.media.windows import known_seconds

_WINDOWS = TimelineSettings()


@dataclass(frozen=True, slots=True)
class TimelineReport:
    """What was written of one video."""

    clip: str
    """The file, as it was given."""
    seconds: float
    """End of the last window."""
    rows: int
    """Rows in all: one a window, or one a window and face."""
    modalities: dict[str, int]
    """How many rows rest on ``av``, ``video``, ``audio``, or nothing (an empty name)."""
    labels: dict[str, int]
    """How often each emotion is the most probable after smoothing."""
    checkpoint: str
    """The model that answered."""
    synthetic: bool
    """Was it trained on synthetic data?"""
    files: tuple[Path, ...]
    """What was written."""


def timeline(
    clip: Path | str,
    *,
    checkpoint: Path | str | None = None,
    modality: AskedModality = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
    settings: TimelineSettings = _WINDOWS,
) -> Iterator[TimelineRow]:
    """Tell the emotion in each window of a video of any length, as the rows are asked for.

    Args:
        clip: A media file; it is read once, in memory that does not grow with its length.
        checkpoint: The model; see `classify`.
        modality: What to answer from; ``auto`` takes all that a window and the model have.
        device: ``auto``, ``cpu``, ``cuda``...
        runtime: See `classify`.
        settings: Windows, smoothing and faces.

    Returns:
        The rows, by time.

    Raises:
        UsageError: There is no such model, its runtime is not installed, or it cannot answer from
            that modality.
        MediaError: The file cannot be read; rows until then have been given.
        MissingModalityError: The file has none of the streams that the answer needs.
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
    """Write the timeline of a video into a file, and draw it.

    Args:
        clip: A media file of any length.
        out: The table: FILE.csv, or FILE.jsonl for one JSON object a row.
        plot: FILE.png: the smoothed probabilities over time, faces above.
        checkpoint: As for `timeline`.
        modality: As for `timeline`.
        device: As for `timeline`.
        runtime: As for `timeline`.
        settings: Windows, smoothing and faces.
        progress: Show a progress bar.

    Raises:
        UsageError: As for `timeline`; or nothing is to be written, or it could not be.
        MediaError: The file cannot be read; the rows until then are in a file that is named.
        MissingModalityError: The file has none of the streams that the answer needs.
    """
    from tqdm import tqdm  # for those alone who see a bar

    if out is None and plot is None:
        raise UsageError("Nothing is to be written: give --out, --plot, or both.")
    out, plot = out and Path(out), plot and Path(plot)
    check_output("--out", out, TABLE_SUFFIXES)
    check_output("--plot", plot, (".png",))
    classifier = Classifier(checkpoint, device, runtime)
    labels, drawing = classifier.labels, None
    if plot:
        from avemotion.inference.timeline_plot import (
            TimelinePlot,  # matplotlib, for a picture alone
        )

        drawing = TimelinePlot(Path(clip).name, labels, settings)
    seconds, modalities, emotions = 0.0, Counter[str](), Counter[str]()
    rows = classifier.timeline(clip, modality, settings)
    whole = known_seconds(Path(clip))
    bar = tqdm(
        total=whole and ceil(whole),
        desc="timeline",
        bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} s [{elapsed}<{remaining}]",
        disable=not progress,
    )
    with bar, row_file(out, labels) if out else nullcontext() as write:
        for row in rows:
            if write:
                write(row)
            if drawing:
                drawing.add(row)
            modalities[row.modality] += 1
            emotions.update([row.smoothed_label] if row.smoothed_label else [])
            bar.update(int(row.end_seconds) - int(seconds))
            seconds = row.end_seconds
    synthetic = classifier.metadata.synthetic is not None
    if plot and drawing:
        write_atomically(plot, lambda path: drawing.write(path, synthetic))
    return TimelineReport(
        clip=str(clip),
        seconds=seconds,
        rows=modalities.total(),
        modalities=dict(modalities),
        labels=dict(emotions.most_common()),
        checkpoint=str(classifier.checkpoint),
        synthetic=synthetic,
        files=tuple(file for file in (out, plot) if file),
    )
