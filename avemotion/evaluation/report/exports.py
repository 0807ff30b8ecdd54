"""What a paper takes from an evaluation: tables as text, LaTeX and CSV, figures as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from avemotion.errors import UsageError
from avemotion.evaluation.report.figures import drawings
from avemotion.evaluation.report.latex import latex_tables
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.evaluation.report.tables import classification_reports, csv_tables
from avemotion.files import write_atomically, write_csv

Format = Literal["html", "text", "latex", "csv", "png", "svg"]
"""What a report is written as."""

Writers = dict[str, Callable[[Path], object]]
"""File name -> what writes the file at a path, atomically."""


def checked_formats(format: Format | Sequence[Format]) -> tuple[Format, ...]:
    """Return the formats that are asked for, each once.

    Raises:
        UsageError: There is none, or one is unknown.
    """
    asked = (format,) if isinstance(format, str) else tuple(format)
    allowed = get_args(Format)
    if not asked or (unknown := [one for one in asked if one not in allowed]):
        found = repr(unknown[0]) if asked else "empty"
        raise UsageError(
            f"--format is {found}, but must be one or several of {', '.join(allowed)}, with commas."
        )
    return tuple(dict.fromkeys(asked))


def exports(results: EvaluationResults, formats: Sequence[Format]) -> Writers:
    """Return what the formats need written beside the page; for ``html``, nothing.

    Args:
        results: The evaluation.
        formats: As `checked_formats` returns them.
    """
    writers: Writers = {}
    for format in formats:
        if format == "text":
            text = classification_reports(results)
            writers["classification_report.txt"] = partial(_write_text, text)
        elif format == "latex":
            for stem, text in latex_tables(results).items():
                writers[f"{stem}.tex"] = partial(_write_text, text)
        elif format == "csv":
            for stem, (columns, rows) in csv_tables(results).items():
                writers[f"{stem}.csv"] = partial(write_csv, columns=columns, rows=rows)
        elif format in ("png", "svg"):
            for stem, drawing in drawings(results).items():
                writers[f"{stem}.{format}"] = partial(_write_figure, drawing.save, format)
    return writers


def _write_text(text: str, path: Path) -> None:
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))


def _write_figure(save: Callable[[Path, str], None], format: str, path: Path) -> None:
    write_atomically(path, lambda p: save(p, format))
