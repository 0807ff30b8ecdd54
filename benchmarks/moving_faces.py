"""Faces that move across busy frames: how many of the crops hold them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pasted_faces import (
    FRAMES,
    HEIGHT,
    WIDTH,
    Head,
    Pasted,
    busy_frames,
    pictures,
    read_head,
)
from reporting import table

from avemotion.features.face_detection import find_face
from avemotion.media.types import Box

INSIDE_SHARE = 0.85
"""Of the face's box, so much must be in a crop."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the face of a row of the table moves."""

    name: str
    share: float
    """Height of the face in the middle of the way, as a share of the frame's height."""
    drift: float = 0.0
    """How far it moves across, in widths: to the right and to the left in turn."""
    across: float = 0.5
    """The middle of the way, as a share of the frame's width."""
    bend: float = 0.0
    growth: float = 1.0
    hidden: range = range(0)

    def pasted(self, heads: Sequence[Head], number: int) -> Pasted:
        """Return the face of a video."""
        drift = self.drift * (-1) ** number
        return Pasted(heads[number], self.share, self.across, 0.5, 0.0, drift, self.bend,
                      self.growth, self.hidden)  # fmt: skip


WAYS = (
    *(Way(f"30 %, moves by {widths:g} widths", 0.3, widths)
      for widths in (0, 0.2, 0.4, 0.8, 1.5, 3, 5)),
    *(Way(f"12 %, moves by {widths:g} widths", 0.12, widths) for widths in (1.5, 3, 5, 8)),
    Way("30 %, moves by 3 widths on a curve", 0.3, 3, bend=0.7),
    Way("30 %, moves by 3 widths, hidden on frames 7 to 12", 0.3, 3, hidden=range(7, 13)),
    Way("30 %, moves by 3 widths, the last frames past the border", 0.3, 3, across=0.8),
    Way("21 to 42 %, moves nearer", 0.3, growth=2),
)  # fmt: skip


def inside(boxes: Sequence[Box], truth: Sequence[Box]) -> float:
    """Return the share of boxes that hold the face, as far as it is in the frame."""
    held = []
    for box, face in zip(boxes, truth, strict=True):
        shown = _shared(face.edges, Box(0, 0, WIDTH, HEIGHT).edges)
        held.append(_area(_shared(shown, box.edges)) >= INSIDE_SHARE * _area(shown))
    return float(np.mean(held))


def _shared(box: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of one box that is in another; both float64 (4,)."""
    start = np.maximum(box[:2], other[:2])
    end = np.minimum(box[:2] + box[2:], other[:2] + other[2:])
    return np.concatenate([start, np.maximum(0, end - start)])


def _area(box: NDArray[np.float64]) -> float:
    return float(box[2] * box[3])


def moving_table(clips: Sequence[Path], only: str) -> tuple[str, dict[str, float]]:
    """Follow faces on all ways; return the table, and the mean shares of crops that hold them."""
    heads, backgrounds = [read_head(clip) for clip in clips], pictures()
    rows: list[list[object]] = []
    means = []
    cv2.setNumThreads(1)
    for row, way in enumerate(way for way in WAYS if only in way.name):
        found, one, path, milliseconds = [], [], [], []
        for number in range(len(heads)):
            pasted = way.pasted(heads, number)
            frames = list(busy_frames(backgrounds, [pasted], 1000 * row + number))
            start = time.process_time()
            track = find_face(frames)
            milliseconds.append(1000 * (time.process_time() - start))
            shown = [k for k in range(FRAMES) if k not in way.hidden]
            truth = [pasted.box(k) for k in shown]
            found.append(sum(track.found) if track else 0)
            one.append(inside([pasted.box()] * len(shown), truth))
            path.append(inside([track.boxes[k] for k in shown], truth) if track else 0.0)
        means.append((np.mean(one), np.mean(path)))
        rows.append([way.name, len(heads), f"{np.mean(found):.1f}", f"{means[-1][0]:.0%}",
                     f"{means[-1][1]:.0%}", f"{np.mean(milliseconds):.0f}"])  # fmt: skip
        print(*rows[-1], sep=" | ", flush=True)
    one_box, along = np.mean(means, axis=0).tolist() if means else (0.0, 0.0)
    header = ["", "videos", "face on, of 20", "one box: inside", "crops: inside", "ms"]
    return table(header, rows), {"inside_one_box": one_box, "inside_crops": along}
