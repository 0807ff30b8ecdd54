"""From an evaluation's records to ``results.json`` and the page ``report/index.html``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from avemotion.files import write_atomically, write_json
from avemotion.records import read_records
from avemotion.report_page import render
from avemotion.results import EvaluationResults, evaluation_results

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
    results = evaluation_results(read_records(evaluation), str(evaluation))
    plain = asdict(results)
    write_json(evaluation / "results.json", plain)
    page = evaluation / PAGE
    page.parent.mkdir(exist_ok=True)
    html = render(plain)
    write_atomically(page, lambda path: path.write_text(html, encoding="utf-8"))
    return results
