"""Which frames of a clip are sampled: one pure function a policy.

Each takes the number of frames in the clip, the view and that view's random number in [0, 1), and
returns 20 ascending frame indices. View 0 is the plain grid, whatever the random number.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES


def even_grid(n_frames: int, view: int, draw: float) -> NDArray[np.intp]:
    """Spread 20 frames evenly from the first to the last: ``round(i (n - 1) / 19)``.

    Further views shift the grid by up to half a step either way. Clips shorter than 20 frames
    repeat some. There are no ties to round: 2 i (n - 1) is even, and 19 is odd.

    >>> even_grid(56, 0, 0.0)[:4]
    array([0, 3, 6, 9])
    >>> even_grid(56, 0, 0.0)[-1]
    np.int64(55)
    """
    step = (n_frames - 1) / (FACE_FRAMES - 1)
    shift = (draw - 0.5) * step if view else 0.0
    indices = np.rint(np.arange(FACE_FRAMES) * step + shift)
    return np.asarray(np.clip(indices, 0, n_frames - 1), dtype=np.intp)


def thesis_grid(n_frames: int, view: int, draw: float) -> NDArray[np.intp]:
    """Take every (n // 20)-th frame, as the thesis' listing does: ``k + i (n // 20)``.

    View v is its phase k = v mod (n mod 20 + 1), so nothing is drawn. Taken literally the grid
    leaves out the clip's end: of 56 frames the last one sampled is 38.

    >>> thesis_grid(56, 0, 0.0)[-1]
    np.int64(38)
    """
    step, rest = divmod(n_frames, FACE_FRAMES)
    indices = view % (rest + 1) + np.arange(FACE_FRAMES) * step
    if step == 0:  # fewer than 20 frames: the listing has no answer, so repeat as the even grid
        return even_grid(n_frames, 0, draw)
    return indices.astype(np.intp)


def distinct_views(grid: str, n_frames: int, views: int) -> int:
    """Return how many of a clip's stored views differ: the thesis' grid has n mod 20 + 1 phases."""
    if grid != "thesis" or n_frames < FACE_FRAMES:
        return views if grid == "even" else 1
    return min(views, n_frames % FACE_FRAMES + 1)


GRIDS: dict[str, Callable[[int, int, float], NDArray[np.intp]]] = {
    "even": even_grid,
    "thesis": thesis_grid,
}
"""Policies by name."""
