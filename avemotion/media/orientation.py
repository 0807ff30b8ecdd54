"""How a stored frame is turned and mirrored to be upright, by the display matrix of the file."""

from __future__ import annotations

from typing import Any, NamedTuple

import av
import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray


class Orientation(NamedTuple):
    """One of the eight ways in which a frame may be stored; by default it is upright."""

    transposed: bool = False
    """Whether rows are stored as columns."""
    down: int = 1
    """-1 where the upright frame is read from the bottom up, else 1."""
    across: int = 1
    """-1 where the upright frame is read from right to left, else 1."""

    def as_stored(self, upright: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a view of an upright frame, uint8 (height, width), that lies as it is stored."""
        view = upright[:: self.down, :: self.across]
        return view.T if self.transposed else view


UPRIGHT = Orientation()


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return how a decoded frame is stored, as FFmpeg's autorotation sees it.

    The matrix maps column x and row y to columns ``a x + c y`` and rows ``b x + d y``. A matrix
    without an inverse would leave nothing of the frame, and counts as none. Of other angles the
    nearest multiple of 90 degrees is taken: FFmpeg would cut corners off and leave black ones.
    """
    try:
        side_data: Any = frame.side_data  # PyAV's stub has another type
        matrix = side_data.get(Type.DISPLAYMATRIX) if side_data else None
    except ValueError:  # side data that PyAV has no name for, such as Exif
        return _TURNS[round(frame.rotation / 90) % 4]
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()
    if a * d == b * c:
        return UPRIGHT
    if abs(a * d) >= abs(b * c):
        return Orientation(False, _sign(d), _sign(a))
    return Orientation(True, _sign(b), _sign(c))


def _sign(value: int) -> int:
    return -1 if value < 0 else 1


_TURNS = (
    UPRIGHT,
    Orientation(True, -1, 1),
    Orientation(False, -1, -1),
    Orientation(True, 1, -1),
)
"""By quarter turns counter-clockwise."""
