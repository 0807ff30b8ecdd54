"""Plot of a timeline: smoothed probabilities over time, with face crops above.

Rows are collected in a fixed number of columns, however long the video: when these are full,
neighbouring columns are merged, and a column shows the mean of its windows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray

from avemotion.config import TimelineSettings
from avemotion.data.task import most_probable
from avemotion.inference.timeline_rows import TimelineRow

_COLUMNS = 1150  # about as many as the axis has pixels
_FACES = 12  # above a panel
_PANELS = 3  # faces drawn where all are asked for
_DPI = 100
_WIDTH, _HEAD, _FACE_ROW, _EMOTION_ROW, _FOOT = 14.0, 0.8, 1.5, 0.44, 0.75  # inches
_LEFT, _RIGHT = 0.11, 0.975

_TICK_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)

# Okabe and Ito's colours, distinct for the colour-blind too; each row also has its label.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
_INK, _RULE = "#1d1d1b", "#cfcec8"

_SHADES = {
    "audio": ("#fbe3d2", "no face: from the voice alone"),
    "video": ("#dcebf7", "no sound: from the face alone"),
    "": ("#bdbcb6", "no prediction: neither face nor sound"),
}
"""Modality used -> colour of the shaded stretch, and its text in the legend."""


class TimelinePlot:
    """Collects rows, then plots them."""

    def __init__(self, name: str, labels: Sequence[str], settings: TimelineSettings) -> None:
        """Start an empty plot.

        Args:
            name: Name of the video, for the title.
            labels: The emotions, in the order of the rows.
            settings: Windows and smoothing of the timeline.
        """
        self._name, self._labels, self._settings = name, tuple(labels), settings
        self._column_seconds = self._slot_seconds = settings.hop_seconds
        # By face and column: sums of the probabilities, and the number of summands.
        self._sums: dict[int | None, dict[int, NDArray[np.float64]]] = defaultdict(dict)
        self._modalities: dict[int, Counter[str]] = defaultdict(Counter)
        self._crops: dict[int | None, dict[int, tuple[float, NDArray[np.uint8]]]] = defaultdict(
            dict
        )
        self._seconds = 0.0

    def add(self, row: TimelineRow) -> None:
        """Add the next row."""
        self._seconds = max(self._seconds, row.end_seconds)
        centre = (row.start_seconds + row.end_seconds) / 2
        self._merge_columns(centre)
        column = int(centre / self._column_seconds)
        self._modalities[column][row.modality] += 1
        if row.smoothed is not None:
            new = np.array([*row.smoothed.values(), 1.0])
            self._sums[row.face][column] = self._sums[row.face].get(column, 0.0) + new
        if row.face_crop is not None:
            slot = int(centre / self._slot_seconds)
            self._crops[row.face].setdefault(slot, (centre, row.face_crop))

    def _merge_columns(self, centre: float) -> None:
        """Merge columns in pairs until there is one for this time, in seconds."""
        while centre >= _COLUMNS * self._column_seconds:
            self._column_seconds *= 2
            for face, sums in self._sums.items():
                merged: dict[int, Any] = defaultdict(float)
                for column, one in sums.items():
                    merged[column // 2] += one
                self._sums[face] = dict(merged)
            old = self._modalities
            self._modalities = defaultdict(Counter)
            for column, counts in old.items():
                self._modalities[column // 2] += counts
        while centre >= 4 * _FACES * self._slot_seconds:
            self._slot_seconds *= 2
            for face, crops in self._crops.items():
                self._crops[face] = {slot // 2: crops[slot] for slot in sorted(crops, reverse=True)}

    def write(self, path: Path, synthetic: bool) -> None:
        """Draw a PNG.

        Args:
            path: File to write.
            synthetic: Add a notice that the model was trained on synthetic data.
        """
        faces = sorted(
            (face for face in self._sums if face is not None),
            key=lambda face: -sum(one[-1] for one in self._sums[face].values()),
        )
        panels: list[int | None] = [*sorted(faces[:_PANELS])] or [None]
        rows = [_FACE_ROW, *[_EMOTION_ROW] * len(self._labels)] * len(panels)
        height = _HEAD + sum(rows) + _FOOT
        style: dict[Any, Any] = {"text.parse_math": False, "font.size": 10, "text.color": _INK}
        with rc_context(style):
            figure = Figure(figsize=(_WIDTH, height), dpi=_DPI)
            grid = figure.subplots(
                len(rows), 1, squeeze=False,
                gridspec_kw={
                    "height_ratios": rows, "left": _LEFT, "right": _RIGHT, "hspace": 0.12,
                    "top": 1 - _HEAD / height, "bottom": _FOOT / height,
                },
            )[:, 0]  # fmt: skip
            each = len(self._labels) + 1
            for number, face in enumerate(panels):
                axes = grid[number * each : (number + 1) * each]
                self._draw_faces(axes[0], face)
                for axis, label in zip(axes[1:], self._labels, strict=True):
                    self._draw_emotion(axis, label, face)
            _time_axis(grid[-1])
            self._draw_text(figure, height, len(faces), synthetic)
            figure.savefig(path, format="png")

    def _draw_faces(self, axis: Axes, face: int | None) -> None:
        """Draw up to 12 crops in the middle of equal parts of the time, each with its time."""
        axis.set_axis_off()
        axis.set_xlim(0, self._seconds)
        axis.set_ylim(0, 1)
        if face is not None:
            axis.text(-0.012, 0.45, f"face {face}", ha="right", va="center", weight="bold",
                      transform=axis.transAxes)  # fmt: skip
        part = self._seconds / _FACES
        crops = list(self._crops[face].values())
        for number in range(_FACES):
            middle = (number + 0.5) * part
            near = [
                (abs(at - middle), at, crop) for at, crop in crops if abs(at - middle) <= part / 2
            ]
            if not near:
                continue
            _, at, crop = min(near, key=lambda candidate: candidate[0])
            box = axis.inset_axes(((number + 0.12) / _FACES, 0.12, 0.76 / _FACES, 0.66))
            box.imshow(crop, cmap="gray", vmin=0, vmax=255, aspect="equal")
            box.set_axis_off()
            box.set_title(_clock(at), fontsize=9, pad=2, color=_INK)
            axis.plot([middle, at], [0.1, 0.0], color=_INK, lw=0.8, clip_on=False)

    def _draw_emotion(self, axis: Axes, label: str, face: int | None) -> None:
        """Draw the mean probability of one emotion: solid where it is the most probable."""
        index = self._labels.index(label)
        colour = _COLOURS[index % len(_COLOURS)]
        columns = max([*self._modalities, 0]) + 1
        means = np.full((columns, len(self._labels)), np.nan)
        for column, one in self._sums[face].items():
            means[column] = one[:-1] / one[-1]
        there = ~np.isnan(means[:, 0])
        best = there & (most_probable(np.where(there[:, None], means, -1)) == index)
        edges = self._edges(columns)
        for shown, strength in ((there, 0.4), (best, 1.0)):
            heights = np.where(shown, means[:, index], 0.0)
            axis.stairs(heights, edges, fill=True, color=colour, alpha=strength, lw=0)
        self._shade(axis, edges)
        axis.set_xlim(0, self._seconds)
        axis.set_ylim(0, 1)
        axis.set_yticks([0, 1], ["", ""])
        axis.tick_params(labelbottom=False, bottom=False, left=False)
        axis.set_ylabel(label, rotation=0, ha="right", va="center", color=_INK, fontsize=11)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
        axis.spines["bottom"].set_color(_RULE)
        axis.axhline(0.5, color=_RULE, lw=0.6, ls=":", zorder=0.5)

    def _edges(self, columns: int) -> NDArray[np.float64]:
        """Return the columns' edges in seconds: the outermost windows reach the video's ends."""
        edges = np.arange(columns + 1, dtype=np.float64) * self._column_seconds
        edges[: min(self._modalities, default=0) + 1] = 0.0
        edges[-1] = max(edges[-1], self._seconds)
        return edges

    def _shades(self) -> dict[str, tuple[str, str]]:
        """Return the colours and texts of `_SHADES` that this timeline needs."""
        used = {modality for counts in self._modalities.values() for modality in counts}
        # A model of one modality does not miss the other.
        plain = "av" if "av" in used or {"audio", "video"} <= used else ""
        return {m: _SHADES[m] for m in _SHADES if m in used and (plain or not m)}

    def _shade(self, axis: Axes, edges: NDArray[Any]) -> None:
        for modality, (colour, _) in self._shades().items():
            most = [
                bool(counts) and counts.most_common(1)[0][0] == modality
                for counts in (self._modalities.get(c, Counter()) for c in range(len(edges) - 1))
            ]
            axis.stairs(np.array(most, float), edges, fill=True, color=colour, lw=0, zorder=0)

    def _draw_text(self, figure: Figure, height: float, faces: int, synthetic: bool) -> None:
        """Write title, explanation and legend."""
        chosen = self._settings
        smoothing = (
            f"smoothed over {chosen.smooth_seconds:g} s" if chosen.smooth_seconds else "plain"
        )
        text = (
            f"Probability of each emotion, 0 to 1 (dotted: 0.5), {smoothing}; solid where it is "
            f"the most probable. Windows of {chosen.window_seconds:g} s "
            f"every {chosen.hop_seconds:g} s"
        )
        merged = round(self._column_seconds / chosen.hop_seconds)
        text += f"; a column is the mean of {merged} windows." if merged > 1 else "."
        if faces > _PANELS:
            text += f" The {_PANELS} of {faces} faces with most windows."
        if synthetic:
            text += (
                "\nSYNTHETIC: the model was trained on drawn faces and says nothing about people."
            )
        top = 1 - 0.12 / height
        figure.text(0.012, top, self._name, fontsize=13, weight="bold", va="top")
        figure.text(0.012, top - 0.26 / height, text, fontsize=9.5, va="top")
        handles = [Patch(color=colour, label=text) for colour, text in self._shades().values()]
        if handles:
            figure.legend(handles=handles, loc="lower right", ncols=3, frameon=False, fontsize=9.5)


def _time_axis(axis: Axes) -> None:
    axis.tick_params(labelbottom=True, bottom=True, color=_RULE)
    seconds = axis.get_xlim()[1]
    steps = (step for step in _TICK_SECONDS if seconds / step <= _FACES)
    axis.xaxis.set_major_locator(MultipleLocator(next(steps, ceil(seconds / _FACES / 3600) * 3600)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _clock(seconds)))


def _clock(seconds: float) -> str:
    """Format a time like 4:05 or 1:04:05."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
