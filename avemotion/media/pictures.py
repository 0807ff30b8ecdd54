"""A decoded frame as it is searched for faces: upright, grey, with square pixels, not too large."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LARGEST_SIDE = 720
"""Frames whose smaller side is longer are shrunk to it: faces are searched from a seventh of it up,
and so none loses detail that a crop of 80 x 98 could show."""

# Planar or semi-planar 8-bit YUV: plane 0 is the luma of every pixel.
_LUMA_FORMATS = {"yuv420p", "yuv422p", "yuv444p", "nv12", "nv21"}
_JPEG_RANGE = 2  # AVCOL_RANGE_JPEG: luma already spans 0 to 255

_FULL_RANGE = np.clip(np.rint((np.arange(256.0) - 16) * 255 / 219), 0, 255).astype(np.uint8)
"""Limited-range luma (16 black to 235 white) to grey (0 to 255)."""

_PIXEL_ASPECTS = (0.25, 4.0)  # beyond these a file is wrong about its pixels
_HDR = {16: "PQ", 18: "HLG"}  # AVCOL_TRC_SMPTE2084, AVCOL_TRC_ARIB_STD_B67


def hdr_of(frame: Any) -> str:
    """Return the name of a frame's high dynamic range; empty where it has none."""
    return _HDR.get(int(frame.color_trc or 0), "")


def hdr_note(hdr: str) -> list[str]:
    """Say what a video of a high dynamic range is unlike."""
    return [f"the video is HDR ({hdr}): its greys are not those of training"] if hdr else []


def quarter_turns(frame: Any) -> int:
    """Return how often a stored frame must be turned counter-clockwise to be upright."""
    turns: int = round(frame.rotation / 90) % 4
    return turns


def upright_size(frame: Any) -> tuple[int, int]:
    """Return the height and width of an upright frame, in pixels of the video."""
    stored = (frame.height, frame.width)
    return stored[::-1] if quarter_turns(frame) % 2 else stored


def kept_size(height: int, width: int, pixel_aspect: float = 1.0) -> tuple[int, int]:
    """Return the size at which an upright frame is kept.

    Args:
        height: Of the frame.
        width: Of the frame.
        pixel_aspect: Width of a pixel over its height; strange ones are taken for 1.
    """
    if not _PIXEL_ASPECTS[0] <= pixel_aspect <= _PIXEL_ASPECTS[1]:
        pixel_aspect = 1.0
    shown = width * pixel_aspect
    scale = min(1.0, LARGEST_SIDE / min(height, shown))
    return max(1, round(height * scale)), max(1, round(shown * scale))


def pixel_aspect(stream: Any, frame: Any) -> float:
    """Return the width of an upright frame's pixels over their height; 1 where unknown."""
    aspect = float(stream.sample_aspect_ratio or 0)
    if aspect <= 0:
        return 1.0
    return 1 / aspect if quarter_turns(frame) % 2 else aspect


def write_grey(frame: Any, upright: NDArray[np.uint8]) -> None:
    """Write a decoded frame, upright, into an array uint8 (height, width), 0 to 255."""
    turns = quarter_turns(frame)
    if turns == 0 and upright.shape == (frame.height, frame.width) and _is_luma(frame):
        cv2.LUT(_luma(frame), _FULL_RANGE, dst=upright)
        return
    grey: Any = frame.to_ndarray(format="gray") if not _is_luma(frame) else _luma(frame)
    if _is_luma(frame):
        grey = cv2.LUT(grey, _FULL_RANGE)
    write_resized(grey, np.rot90(upright, -turns))


def write_resized(grey: NDArray[np.uint8], kept: NDArray[np.uint8]) -> None:
    """Write a grey frame into an array of the size at which it is kept."""
    if grey.shape != kept.shape:
        grey = np.asarray(cv2.resize(grey, kept.shape[::-1], interpolation=cv2.INTER_AREA))
    kept[:] = grey


def _is_luma(frame: Any) -> bool:
    return frame.format.name in _LUMA_FORMATS and frame.color_range != _JPEG_RANGE


def _luma(frame: Any) -> NDArray[np.uint8]:
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return np.asarray(rows[: frame.height, : frame.width])
