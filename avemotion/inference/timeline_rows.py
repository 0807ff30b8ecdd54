"""Rows of a timeline: one window each, their smoothing, and their tables."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.inference.prediction_table import box_cells, rounded
from avemotion.media.types import Box

_LEAST_PROBABILITY = 1e-6  # keeps logarithms finite, and one certain window from ruling the mean
UNIT = "window"
"""The column that names what several rows share."""


@dataclass(frozen=True, slots=True, eq=False)
class TimelineRow:
    """The emotion in one window, or of one face in it, with the evidence."""

    window: int
    """Number of the window, from 0; several faces share it."""
    start_seconds: float
    """Start of the window, in seconds from the start of the file."""
    end_seconds: float
    """End of the window, exclusive."""
    face: int | None
    """Number of the face, from 1, where all are requested; None for a row without a face."""
    label: str | None
    """The most probable emotion; None without a prediction."""
    smoothed_label: str | None
    """The most probable emotion after smoothing; None without a prediction."""
    probabilities: dict[str, float] | None
    """Probability of each emotion by name, 0 to 1; they sum to 1. None without a prediction."""
    smoothed: dict[str, float] | None
    """The same after smoothing; None without a prediction."""
    modality: str
    """Modality used: ``av``, ``video`` or ``audio``; empty without a prediction."""
    faces_found: int
    """Sampled frames in which the face was found, 0 to 20."""
    face_box: Box | None
    """The crop in pixels of the upright video, of a face that moves that on the middle one of the
    window's 20 frames; None without a face."""
    reason: str
    """Why there is no prediction; empty where there is one."""
    warnings: tuple[str, ...]
    """What was missing or unusual in the window."""
    face_crop: NDArray[np.uint8] | None = field(default=None, repr=False)
    """One of the face crops, uint8 (98, 80); None without a face. Not in `to_dict`."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "face_crop"}
        box = self.face_box
        return plain | {
            "face_box": box and {f.name: getattr(box, f.name) for f in fields(box)},
            "warnings": list(self.warnings),
        }


def table_columns(labels: Sequence[str]) -> list[str]:
    """Return the columns of a table of rows."""
    return [
        *("window", "start_seconds", "end_seconds", "face", "label", "smoothed_label"),
        *(f"p_{label}" for label in labels),
        *(f"smoothed_p_{label}" for label in labels),
        *("modality", "faces_found", "face_x", "face_y", "face_width", "face_height"),
        *("reason", "warnings"),
    ]


def table_row(row: TimelineRow, labels: Sequence[str], *, exact: bool = False) -> list[object]:
    """Return a row's cells in the order of the columns; missing values are None.

    Args:
        row: The row.
        labels: The emotions.
        exact: Keep probabilities as they are; by default they are texts with six decimals.
    """
    shares = [
        probabilities[label] if probabilities else None
        for probabilities in (row.probabilities, row.smoothed)
        for label in labels
    ]
    return [
        *(row.window, row.start_seconds, row.end_seconds, row.face, row.label, row.smoothed_label),
        *(shares if exact else rounded(shares)),
        *(row.modality, row.faces_found),
        *box_cells(row.face_box),
        *(row.reason, "; ".join(row.warnings)),
    ]


def row_from_csv(cells: Mapping[str, str], labels: Sequence[str]) -> TimelineRow:
    """Rebuild a row from its cells in a CSV table; its warnings are left together."""

    def shares(prefix: str) -> dict[str, float] | None:
        if not cells["label"]:
            return None
        return {label: float(cells[f"{prefix}{label}"]) for label in labels}

    edges = [cells[f"face_{edge}"] for edge in ("x", "y", "width", "height")]
    return TimelineRow(
        window=int(cells["window"]),
        start_seconds=float(cells["start_seconds"]),
        end_seconds=float(cells["end_seconds"]),
        face=int(cells["face"]) if cells["face"] else None,
        label=cells["label"] or None,
        smoothed_label=cells["smoothed_label"] or None,
        probabilities=shares("p_"),
        smoothed=shares("smoothed_p_"),
        modality=cells["modality"],
        faces_found=int(cells["faces_found"]),
        face_box=Box(*map(int, edges)) if edges[0] else None,
        reason=cells["reason"],
        warnings=(cells["warnings"],) if cells["warnings"] else (),
    )


def row_from_json(values: Mapping[str, Any]) -> TimelineRow:
    """Rebuild a row from what `TimelineRow.to_dict` makes of it."""
    box = values["face_box"]
    return TimelineRow(
        **{**values, "face_box": box and Box(**box), "warnings": tuple(values["warnings"])}
    )


def most_probable(probabilities: Mapping[str, float]) -> str:
    """Return the emotion with the highest probability."""
    return max(probabilities, key=probabilities.__getitem__)


def mean_of_logarithms(predictions: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average predictions: the mean of log-probabilities, renormalised (the geometric mean).

    >>> mean = mean_of_logarithms([{"joy": 0.9, "fear": 0.1}, {"joy": 0.5, "fear": 0.5}])
    >>> round(mean["joy"], 6)  # 3 : 1, the geometric mean of 9 : 1 and 1 : 1
    0.75
    """
    table = np.array([list(prediction.values()) for prediction in predictions])
    means = np.log(np.maximum(table, _LEAST_PROBABILITY)).mean(axis=0)
    powers = np.exp(means - means.max())
    return dict(zip(predictions[0], (powers / powers.sum()).tolist(), strict=True))


def smoothed(
    windows: Iterable[Sequence[TimelineRow]], smooth_seconds: float
) -> Iterator[TimelineRow]:
    """Yield each row with its smoothed probabilities, a centred moving average over time.

    The mean is over the predictions for the same face in windows whose centres lie at most half of
    `smooth_seconds` away. Windows without a prediction are left out, and stay without one.

    Args:
        windows: The rows of each window, in the order of time.
        smooth_seconds: Width of the average; 0 leaves the probabilities unchanged.
    """
    half = smooth_seconds / 2 + 1e-9
    near: deque[tuple[float, Sequence[TimelineRow]]] = deque()
    waiting: deque[tuple[float, Sequence[TimelineRow]]] = deque()
    for rows in windows:
        centre = (rows[0].start_seconds + rows[0].end_seconds) / 2
        while waiting and waiting[0][0] < centre - half:
            yield from _smoothed_window(*waiting.popleft(), near, half)
        near.append((centre, rows))
        waiting.append((centre, rows))
        while near[0][0] < waiting[0][0] - half:
            near.popleft()
    while waiting:
        yield from _smoothed_window(*waiting.popleft(), near, half)


def _smoothed_window(
    centre: float,
    rows: Sequence[TimelineRow],
    near: Iterable[tuple[float, Sequence[TimelineRow]]],
    half: float,
) -> Iterator[TimelineRow]:
    around = [other for at, others in near if abs(at - centre) <= half for other in others]
    for row in rows:
        if row.probabilities is None:
            yield row
            continue
        predictions = [o.probabilities for o in around if o.face == row.face and o.probabilities]
        # A single prediction is its own mean, exactly.
        mean = row.probabilities if len(predictions) == 1 else mean_of_logarithms(predictions)
        yield replace(row, smoothed=mean, smoothed_label=most_probable(mean))
