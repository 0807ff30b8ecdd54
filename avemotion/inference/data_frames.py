"""Answers as a data frame of pandas."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from avemotion.compat import missing_package
from avemotion.errors import UsageError
from avemotion.inference.prediction import ClipFailure, Prediction
from avemotion.inference.prediction_table import table_of
from avemotion.inference.timeline_rows import TimelineRow, table_columns, table_row


def to_frame(results: Iterable[Prediction | ClipFailure] | Iterable[TimelineRow]) -> Any:
    """Return answers as a data frame of pandas, which must be installed.

    Args:
        results: Predictions and failures, from `classify_clips` and the like; or the rows of a
            `timeline`.

    Returns:
        A `pandas.DataFrame` with a row for each, and the columns of the CSV file that
        `write_predictions` or `write_timeline` writes. Probabilities are not rounded; what is
        missing is None or NaN.

    Raises:
        UsageError: pandas is not installed, or a result is of another kind.

    Examples:
        >>> from avemotion import classify_clips, to_frame
        >>> frame = to_frame(classify_clips(["clip.mp4", "missing.mp4"]))
        >>> list(frame["reason"])
        ['', 'no such file: missing.mp4']
    """
    try:
        pandas = import_module("pandas")
    except ModuleNotFoundError as error:
        raise missing_package("to_frame", error) from error
    given = [results] if isinstance(results, Prediction | ClipFailure | TimelineRow) else [*results]
    windows = [result for result in given if isinstance(result, TimelineRow)]
    clips = [result for result in given if isinstance(result, Prediction | ClipFailure)]
    if len(windows) != len(given) and len(clips) != len(given):
        kinds = ", ".join(sorted({type(result).__name__ for result in given}))
        raise UsageError(
            f"to_frame takes predictions and failures, or rows of a timeline, but got {kinds}."
        )
    if windows:
        answers = [row.probabilities for row in windows if row.probabilities]
        labels = tuple(answers[0]) if answers else ()
        cells = [table_row(row, labels, exact=True) for row in windows]
        return pandas.DataFrame(cells, columns=table_columns(labels))
    table = table_of(clips)
    return pandas.DataFrame([table.cells(result) for result in clips], columns=table.columns)
