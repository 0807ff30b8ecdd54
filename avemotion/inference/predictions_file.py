"""`write_predictions`: the answers of many clips in a file that goes on where it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from avemotion.config import AskedModality, FaceChoice
from avemotion.errors import UsageError
from avemotion.files import partial_name
from avemotion.inference.adaptation import adapted, check_adapts
from avemotion.inference.classifier import Classifier
from avemotion.inference.classify_clips import classify_clips
from avemotion.inference.media_files import MediaFiles, media_files
from avemotion.inference.prediction import ClipFailure, Prediction
from avemotion.inference.prediction_table import UNIT, PredictionTable, rounded
from avemotion.inference.result_file import (
    TABLE_SUFFIXES,
    check_output,
    identity,
    result_file,
    writable,
)
from avemotion.inference.runtimes.interface import RuntimeName
from avemotion.models.packaged import model_name
from avemotion.progress import progress_bar


@dataclass(frozen=True, slots=True)
class PredictionsReport:
    """Summary of a file of predictions."""

    out: Path
    """The file."""
    clips: int
    """Number of clips."""
    earlier: int
    """Of these, those that an interrupted run had answered."""
    labels: dict[str, int]
    """Number of rows by most probable emotion, in the model's order."""
    modalities: dict[str, int]
    """Number of rows by modality used: ``av``, ``video``, ``audio``."""
    failures: tuple[ClipFailure, ...]
    """The clips without a prediction."""
    left_out: tuple[Path, ...]
    """Files of folders that are no media by their suffix, or thumbnails."""
    checkpoint: str
    """The model that was used."""
    synthetic: bool
    """Whether it was trained on synthetic data."""


def write_predictions(
    clips: Sequence[Path | str],
    out: Path | str,
    *,
    checkpoint: Path | str | None = None,
    modality: AskedModality = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
    face: FaceChoice = "main",
    parts: bool = False,
    adapt: bool = False,
    progress: bool = True,
) -> PredictionsReport:
    """Write the predictions of many clips to a file; a clip that fails has a row with the reason.

    Where an earlier run of the same call was interrupted, its rows are kept, and only the other
    clips are answered.

    Args:
        clips: Media files, folders of such, and patterns; see `media_files`.
        out: The table: FILE.csv, or FILE.jsonl for one JSON object per row.
        checkpoint: As for `classify`.
        modality: As for `classify`.
        device: As for `classify`.
        runtime: As for `classify`.
        face: As for `classify`.
        parts: As for `classify`.
        adapt: As for `classify`. The rows are written once all clips are answered, so that an
            interrupted run begins anew.
        progress: Show a progress bar.

    Returns:
        A summary of the rows.

    Raises:
        UsageError: As for `classify`; or the file cannot be written, or has the rows of an
            interrupted run with another model or other options.

    Examples:
        >>> from avemotion import write_predictions
        >>> report = write_predictions(["clip.mp4", "missing.mp4"], "answers.csv", progress=False)
        >>> report.clips, [failure.clip for failure in report.failures]
        (2, ['missing.mp4'])
    """
    out = Path(out)
    check_output("--out", out, TABLE_SUFFIXES)
    check_adapts(adapt, face)
    files = media_files(clips)
    classifier = Classifier(checkpoint, device, runtime)
    table = PredictionTable(
        classifier.labels,
        classifier.metadata.task.units,
        ("video", "audio") if parts else (),
    )
    asked = {
        "model": identity(classifier.checkpoint),
        "modality": modality,
        "face": face,
        "parts": parts,
        "adapt": adapt,
    }
    found = _Counts()
    with result_file(out, table.columns, UNIT, asked) as results:
        left = _not_answered(files.paths, results.earlier, out, adapt)
        found.add_earlier(results.earlier)
        answers = classify_clips(left, classifier, modality, face=face, parts=parts)
        every = len(files.paths)
        with (
            closing(answers),
            progress_bar(
                total=every,
                initial=every - len(left),
                unit="clip",
                desc="classify",
                disable=not progress,
            ) as bar,
        ):
            for rows in _rows_to_write(answers, bar, adapt):
                results.write([(rounded(table.cells(row)), row.to_dict()) for row in rows])
                found.add(rows)
    return found.report(out, classifier, files, earlier=every - len(left))


_Rows = Sequence[Prediction | ClipFailure]


def _rows_to_write(
    answers: Iterable[Prediction | ClipFailure], bar: Any, adapt: bool
) -> Iterator[_Rows]:
    """Yield the rows of each clip; adapted ones all together, once every clip is answered."""
    plain: list[Prediction | ClipFailure] = []
    for _, rows in groupby(answers, key=lambda row: row.clip):
        clip = list(rows)
        if adapt:
            plain += clip
        else:
            yield clip
        bar.update()
    if adapt:
        yield adapted(plain)


def _not_answered(
    paths: Sequence[Path], earlier: Sequence[Mapping[str, Any]], out: Path, adapt: bool
) -> list[Path]:
    """Return the clips that an interrupted run did not answer.

    Raises:
        UsageError: It answered others than these, or the answers are to be adapted.
    """
    done = {row[UNIT] for row in earlier}
    names = {name for path in paths for name in (str(path), writable(str(path)))}
    if others := done - names:
        raise UsageError(
            f"{partial_name(out)} has the rows of an interrupted run over other clips, such as "
            f"{min(others)}. Delete it to start anew, or give another --out."
        )
    if adapt and earlier:
        raise UsageError(
            f"{partial_name(out)} has the rows of an interrupted run, but adapted answers are "
            "written at once. Delete it to start anew, or give another --out."
        )
    return [path for path in paths if not {str(path), writable(str(path))} & done]


class _Counts:
    """What is in the rows so far."""

    def __init__(self) -> None:
        self.labels, self.modalities = Counter[str](), Counter[str]()
        self.failures: list[ClipFailure] = []

    def add_earlier(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            if row["reason"]:
                self.failures.append(ClipFailure(row[UNIT], row["reason"]))
            else:
                self.labels[row["label"]] += 1
                self.modalities[row["modality"]] += 1

    def add(self, rows: _Rows) -> None:
        for row in rows:
            if isinstance(row, ClipFailure):
                self.failures.append(row)
            else:
                self.labels[row.label] += 1
                self.modalities[row.modality] += 1

    def report(
        self, out: Path, classifier: Classifier, files: MediaFiles, earlier: int
    ) -> PredictionsReport:
        return PredictionsReport(
            out=out,
            clips=len(files.paths),
            earlier=earlier,
            labels={label: n for label in classifier.labels if (n := self.labels[label])},
            modalities=dict(self.modalities),
            failures=tuple(self.failures),
            left_out=files.left_out,
            checkpoint=model_name(classifier.checkpoint),
            synthetic=classifier.metadata.synthetic is not None,
        )
