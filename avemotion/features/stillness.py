"""A video that shows one photograph: its frames differ by what compression did to them, no more."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_BLOCKS = 12  # to a side of a crop: the mean of each hides noise, but not a lip or an eyelid
_STILL = 0.25
"""Largest change of a block in a video of a photograph, in standard deviations of the crop's grey
levels, so that a dark face counts as much as a bright one.

A photograph as H.264 (CRF 23 and 40, 60 kbit/s), MPEG-4, FLV and VP8, clean and with noise, changed
by at most 0.16; six videos of an actor by 1.4 or more, darkened to 0.3 by 1.2, re-encoded at a
third of their size (CRF 38) by 0.68, and half a second of them by 0.48. Photographs so badly
compressed that their blocks flicker (CRF 51) are not told: no real face may be called one."""


def largest_change(crops: NDArray[np.uint8]) -> float:
    """Return how much the most changing place of a face changes, in standard deviations of grey.

    Args:
        crops: uint8 (frame, row, column).
    """
    size = (_BLOCKS, _BLOCKS)
    blocks = np.stack([cv2.resize(crop, size, interpolation=cv2.INTER_AREA) for crop in crops])
    return float(np.ptp(blocks, axis=0).max()) / max(float(crops.std()), 1.0)


def is_one_picture(crops: NDArray[np.uint8]) -> bool:
    """Tell whether all crops of a face show the same picture, but for compression.

    Args:
        crops: uint8 (frame, row, column).
    """
    return largest_change(crops) < _STILL
