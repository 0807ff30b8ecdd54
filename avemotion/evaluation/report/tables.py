"""The content of an evaluation's tables, as files of their own hold it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from tabulate import tabulate

from avemotion.evaluation.metrics.unit_scores import UnitScore
from avemotion.evaluation.predictions import modality_of
from avemotion.evaluation.report.charts import Estimate
from avemotion.evaluation.report.results import EvaluationResults

UNIT_COLUMNS = tuple(field.name for field in fields(UnitScore))
"""Columns of the table of action units, after the system."""

CsvTable = tuple[Sequence[str], list[Sequence[object]]]
"""Names of the columns, and the rows."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One row of the table of overall scores; shares are fractions from 0 to 1."""

    name: str
    """A system, a rule that looks at no clip, or people."""
    kind: Literal["system", "rule", "people"]
    """Which of these."""
    accuracy: Estimate
    """Share of clips that are right (WAR), with its 95 % interval over actors."""
    recall: Estimate
    """Mean of the emotions' recalls (UAR), with its interval."""
    f1: Estimate | None = None
    """Mean of the emotions' F1, with its interval; of systems alone."""


def one_line(text: object) -> str:
    r"""Return text on one line, without characters that cannot be shown.

    >>> one_line("very\n sad\x07")
    'very sad'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def confusion_stem(system: str) -> str:
    """Return the name, without its ending, of the files of a system's confusion matrix.

    >>> confusion_stem("ar5/av")
    'confusion-ar5-av'
    """
    return f"confusion-{system.replace('/', '-')}"


def score_rows(results: EvaluationResults) -> Iterator[ScoreRow]:
    """Yield systems, rules that look at no clip, and people who were given what a system reads."""
    for system, s in results.scores.items():
        yield ScoreRow(
            name=system,
            kind="system",
            accuracy=(s.accuracy, s.accuracy_low, s.accuracy_high),
            recall=(s.recall, s.recall_low, s.recall_high),
            f1=(s.f1, s.f1_low, s.f1_high),
        )
    for rule in results.rules:
        yield ScoreRow(rule.name, "rule", (rule.accuracy, None, None), (rule.recall, None, None))
    given = {modality_of(system) for system in results.scores}
    for channel, human in results.humans.items():
        if channel in given:
            yield ScoreRow(
                name=f"people, {channel}: single response",
                kind="people",
                accuracy=(human.single_response, None, None),
                recall=(human.single_recall, None, None),
            )
            yield ScoreRow(
                name=f"people, {channel}: majority",
                kind="people",
                accuracy=(human.majority, human.low, human.high),
                recall=(human.recall, human.recall_low, human.recall_high),
            )


def classification_reports(results: EvaluationResults) -> str:
    """Return each system's classification report as text, as scikit-learn lays it out."""
    parts = []
    for system, score in results.scores.items():
        rows = [
            [c.emotion, f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.f1:.3f}", f"{c.clips}"]
            for c in (*score.classes, *score.averages)
        ]
        rows.insert(len(score.classes), [""] * 5)
        table = _plain_table(["", "precision", "recall", "f1", "clips"], rows)
        parts.append(f"{system}\n\n{table}\n")
        if units := results.unit_scores.get(system):
            parts.append(f"{system}, action units\n\n{_units_text(units)}\n")
    return "\n".join(parts)


def _units_text(units: Sequence[UnitScore]) -> str:
    rows = [
        [u.unit, f"{u.accuracy:.3f}", *("" if x is None else f"{x:.3f}" for x in (u.f1, u.auc))]
        for u in units
    ]
    return _plain_table(["", "accuracy", "f1", "auc"], rows)


def _plain_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    align = ("left", *["right"] * (len(heads) - 1))
    return tabulate(rows, heads, tablefmt="plain", disable_numparse=True, colalign=align)


def csv_tables(results: EvaluationResults) -> dict[str, CsvTable]:
    """Return each table by the name of its file, without ``.csv``; shares are not rounded."""
    measures = ("accuracy", "recall", "f1")
    about = {
        "corpus": results.corpus,
        "partial": str(results.coverage.partial).lower(),
        "synthetic": str(results.synthetic is not None).lower(),
        "protocol": results.protocol,
        "target": results.target,
        "clips": results.clips,
        "actors": results.actors,
        "seeds": " ".join(map(str, results.seeds)),
    }
    ends = [f"{measure}{end}" for measure in measures for end in ("", "_low", "_high")]
    scores: list[Sequence[object]] = []
    for row in score_rows(results):
        estimates = [getattr(row, measure) or (None, None, None) for measure in measures]
        scores.append([row.name, row.kind, *sum(estimates, ()), *about.values()])
    classes: list[Sequence[object]] = [
        (system, c.emotion, c.clips, c.recall, c.precision, c.f1)
        for system, score in results.scores.items()
        for c in (*score.classes, *score.averages)
    ]
    confusions: dict[str, CsvTable] = {
        confusion_stem(system): (
            ("target", *results.labels),
            [[label, *counts] for label, counts in zip(results.labels, s.confusion, strict=True)],
        )
        for system, s in results.scores.items()
    }
    units: list[Sequence[object]] = [
        [system, *(getattr(score, column) for column in UNIT_COLUMNS)]
        for system, scored in results.unit_scores.items()
        for score in scored
    ]
    return {
        **({"units": (("system", *UNIT_COLUMNS), units)} if units else {}),
        "scores": (("name", "kind", *ends, *about), scores),
        "classes": (("system", "emotion", "clips", "recall", "precision", "f1"), classes),
        **confusions,
    }
