"""Answers and failures of clips as rows of one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from avemotion.inference.prediction import ClipFailure, Prediction, StrongWindow
from avemotion.media.types import Box

UNIT = "clip"
"""The column that names what a row is about."""


@dataclass(frozen=True, slots=True)
class PredictionTable:
    """The columns of a table of predictions, and the cells of its rows."""

    labels: Sequence[str]
    """The emotions."""
    units: Sequence[str] = ()
    """The action units; none where the model has none."""
    parts: Sequence[str] = ()
    """The modalities that are predicted from alone, too: ``video``, ``audio``."""

    @property
    def columns(self) -> list[str]:
        """The columns of the table."""
        return [
            *(UNIT, "face", "label"),
            *(f"p_{label}" for label in self.labels),
            *(f"p_{unit}" for unit in self.units),
            *(f"{part}_p_{label}" for part in self.parts for label in self.labels),
            *("modality", "faces_found", "frames_sampled"),
            *("face_x", "face_y", "face_width", "face_height"),
            *("strongest_windows", "expected_accuracy", "measured_on", "condition"),
            *("checkpoint", "reason", "warnings"),
        ]

    def cells(self, result: Prediction | ClipFailure) -> list[object]:
        """Return a row's cells in the order of the columns; what is missing is None."""
        if not isinstance(result, Prediction):
            row = dict.fromkeys(self.columns) | {UNIT: result.clip, "reason": result.reason}
            return list(row.values())
        return [
            *(result.clip, result.face, result.label),
            *(result.probabilities[label] for label in self.labels),
            *(result.units.get(unit) for unit in self.units),
            *(
                result.parts.get(part, {}).get(label)
                for part in self.parts
                for label in self.labels
            ),
            *(result.modality, result.faces_found, result.frames_sampled),
            *box_cells(result.face_box),
            "; ".join(map(window_text, result.strongest_windows)) or None,
            result.reliability and result.reliability.expected_accuracy,
            result.reliability and result.reliability.measured_on,
            (result.reliability and result.reliability.condition) or None,
            *(result.checkpoint, "", "; ".join(result.warnings)),
        ]


def window_text(window: StrongWindow) -> str:
    """Name a window.

    >>> window_text(StrongWindow(12.0, 14.5, "joy", 0.914))
    '12.0 to 14.5 s joy 0.91'
    """
    when = f"{window.start_seconds:.1f} to {window.end_seconds:.1f} s"
    return f"{when} {window.label} {window.probability:.2f}"


def box_cells(box: Box | None) -> list[int | None]:
    """Return left, top, width and height of a box, or None for each."""
    return [box.x, box.y, box.width, box.height] if box else [None] * 4


def rounded(cells: Sequence[object]) -> list[object]:
    """Return cells with probabilities at six decimals, as tables show them."""
    return [f"{cell:.6f}" if isinstance(cell, float) else cell for cell in cells]


def table_of(results: Sequence[Prediction | ClipFailure]) -> PredictionTable:
    """Return the table that fits some results.

    >>> table_of([ClipFailure("missing.mp4", "no such file: missing.mp4")]).columns[:4]
    ['clip', 'face', 'label', 'modality']
    """
    answers = [result for result in results if isinstance(result, Prediction)]
    return PredictionTable(
        labels=_names(answer.probabilities for answer in answers),
        units=_names(answer.units for answer in answers),
        parts=_names(answer.parts for answer in answers),
    )


def _names(mappings: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for mapping in mappings for name in mapping))
