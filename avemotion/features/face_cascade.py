"""Viola-Jones Haar cascades: search a whole frame, or the surroundings of a box.

Where a face was found before, looking for the same image is quicker.

P. Viola, M. Jones, "Rapid object detection using a boosted cascade of simple features", CVPR 2001,
as OpenCV comes with them.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

CascadeName = Literal["default", "alt2"]

MIN_FACE_SHARE = 1 / 7
"""Smallest face of the first search, as a share of the frame's smaller side."""

CASCADE_SIDE = 24
"""Pixels: the cascade knows no smaller face."""

ROI_FACE = 40
"""Width in pixels of the face when a frame's own region is searched."""

LIKENESS = 0.75
"""Correlation with a face found before above which a frame needs no search."""

_of_thread = threading.local()


def _cascade(name: CascadeName) -> Any:
    """Return this thread's cascade: OpenCV's searches with one from two threads go wrong."""
    if not hasattr(_of_thread, name):
        path = Path(cv2.__file__).parent / "data" / f"haarcascade_frontalface_{name}.xml"
        setattr(_of_thread, name, cv2.CascadeClassifier(str(path)))
    return getattr(_of_thread, name)


def search(
    frame: NDArray[np.uint8],
    height: int,
    step: float = 1.1,
    neighbours: int = 5,
    smallest: float = MIN_FACE_SHARE,
    cascade: CascadeName = "default",
) -> NDArray[np.float64]:
    """Search a whole frame for faces.

    Args:
        frame: uint8 (height, width).
        height: Shrink the frame's smaller side to so many pixels first.
        step: From one size of faces to the next.
        neighbours: How many windows beside one another must each show the face.
        smallest: The smallest face, as a share of the frame's smaller side.
        cascade: Which of OpenCV's frontal cascades searches.

    Returns:
        float64 (face, 4): x, y, width, height in pixels of the frame.
    """
    scale = min(1.0, height / min(frame.shape))
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    side = max(CASCADE_SIDE, round(min(small.shape) * smallest))
    boxes = _cascade(cascade).detectMultiScale(small, step, neighbours, minSize=(side, side))
    return np.asarray(np.asarray(boxes, np.float64).reshape(-1, 4) / scale)


def look_around(
    frame: NDArray[np.uint8],
    square: NDArray[np.float64],
    margin: float = 0.3,
    sizes: tuple[float, float] = (0.75, 1.35),
    cascade: CascadeName = "default",
    neighbours: int = 3,
) -> NDArray[np.float64]:
    """Search the surroundings of a box for faces of about its size and position.

    Args:
        frame: uint8 (height, width).
        square: x, y, width, height in pixels of the frame.
        margin: How far around, as a share of the side.
        sizes: The smallest and the largest face, as shares of the side.
        cascade: Which of OpenCV's frontal cascades searches.
        neighbours: How many windows beside one another must each show the face.

    Returns:
        As `search`.
    """
    small, (x, y) = region(frame, square, margin)
    smallest, largest = (round(share * ROI_FACE) for share in sizes)
    boxes = _cascade(cascade).detectMultiScale(
        small, 1.05, neighbours, minSize=(smallest, smallest), maxSize=(largest, largest)
    )
    found = np.asarray(boxes, np.float64).reshape(-1, 4) * (square[2] / ROI_FACE)
    found[:, :2] += (x, y)
    return np.asarray(found)


def look_alike(
    frame: NDArray[np.uint8],
    template: NDArray[np.uint8],
    square: NDArray[np.float64],
    margin: float,
) -> NDArray[np.float64] | None:
    """Look around a box for the image of a face seen on another frame.

    Args:
        frame: uint8 (height, width).
        template: The face: what `region` cuts without a margin.
        square: x, y, width, height in pixels of the frame.
        margin: How far around, as a share of the side.

    Returns:
        The box of that size, float64 (4,); None where nothing is like it.
    """
    around, (x, y) = region(frame, square, margin)
    if around.shape[0] < template.shape[0] or around.shape[1] < template.shape[1]:
        return None
    scores = cv2.matchTemplate(around, template, cv2.TM_CCOEFF_NORMED)
    _, best, _, (column, row) = cv2.minMaxLoc(scores)
    if not best > LIKENESS:  # a flat region has no score
        return None
    side = square[2]
    scale = side / ROI_FACE
    return np.array([x + column * scale, y + row * scale, side, side])


def region(
    frame: NDArray[np.uint8], square: NDArray[np.float64], margin: float
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Cut a box and its surroundings, shrunk so that the box is 40 pixels wide.

    Returns:
        uint8 (height, width), and its left and top edge in pixels of the frame.
    """
    side = square[2]
    x, y = square[:2] - margin * side
    part = cut(frame, np.array([x, y, side * (1 + 2 * margin)]))
    scale = ROI_FACE / side
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small), (max(0, int(x)), max(0, int(y)))


def cut(frame: NDArray[np.uint8], square: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Cut a square out of a frame: what of it is inside."""
    x, y, side = square[0], square[1], square[2]
    x0, y0 = max(0, int(x)), max(0, int(y))
    return frame[y0 : int(y + side), x0 : int(x + side)]
