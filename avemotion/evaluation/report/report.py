"""From an evaluation's records to ``results.json`` and the page ``report/index.html``."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict
from pathlib import Path

from avemotion.evaluation.predictions import read_records
from avemotion.evaluation.report.page import render
from avemotion.evaluation.report.results import EvaluationResults, evaluation_results
from avemotion.files import write_atomically, write_json

PREVIEW_NAME = "preview.png"
"""What the networks saw, in an evaluation's folder; the page does without where it is missing."""

PAGE = Path("report", "index.html")
"""Where the page lies in an evaluation's folder."""


def report(evaluation: Path) -> EvaluationResults:
    """Draw the report of an evaluation anew from its files: nothing is trained.

    Args:
        evaluation: Folder that `evaluate` wrote.

    Returns:
        What the page shows; ``results.json`` holds the same.

    Raises:
        UsageError: The folder holds no finished evaluation, or a file is damaged.
    """
    evaluation = Path(evaluation)
    results = evaluation_results(read_records(evaluation), str(evaluation))
    plain = asdict(results)
    write_json(evaluation / "results.json", plain)
    page = evaluation / PAGE
    page.parent.mkdir(exist_ok=True)
    html = render(plain, _embedded(evaluation / PREVIEW_NAME))
    write_atomically(page, lambda path: path.write_text(html, encoding="utf-8"))
    return results


def _embedded(image: Path) -> str:
    """Return a PNG as an address that holds it whole; "" without one."""
    if not image.is_file():
        return ""
    return "data:image/png;base64," + b64encode(image.read_bytes()).decode()
