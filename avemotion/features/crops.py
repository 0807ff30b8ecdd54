"""Cut the face's box out of the frames."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_HEIGHT, FACE_WIDTH, PreprocessSettings
from avemotion.media.types import Box


def scaled_box(box: Box, scale: tuple[float, float]) -> Box:
    """Return a box in pixels of the video; `scale`: video pixels per frame pixel, down, across."""
    down, across = scale
    return Box(
        round(box.x * across), round(box.y * down), round(box.width * across),
        round(box.height * down),
    )  # fmt: skip


def with_margin(box: Box, margin: float) -> Box:
    """Return a box that is wider and higher by a share of it on each side; below 0, smaller."""
    across, down = round(margin * box.width), round(margin * box.height)
    return Box(box.x - across, box.y - down, box.width + 2 * across, box.height + 2 * down)


def face_crops(
    frames: NDArray[np.uint8], box: Box, settings: PreprocessSettings
) -> tuple[NDArray[np.uint8], Box]:
    """Crop, resize and, if asked, equalise the faces, in this order (thesis, chapter 7).

    Args:
        frames: uint8 (frame, height, width).
        box: The face as it was found, in pixels of the frames.
        settings: Margin around it, and whether histograms are equalised.

    Returns:
        uint8 (frame, 98, 80), and the crop in pixels of the frames.
    """
    box = with_margin(box, settings.crop_margin)
    faces = crop_faces(frames, box)
    if settings.equalise:
        for face in faces:
            cv2.equalizeHist(face, dst=face)
    return faces, box


def crop_faces(frames: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """Cut the box from each frame and resize it; past the border the last pixels repeat.

    Args:
        frames: uint8 (frame, height, width).
        box: In pixels of the frames.

    Returns:
        uint8 (frame, 98, 80).
    """
    height, width = frames.shape[1:]
    left, top = max(0, -box.x), max(0, -box.y)
    right = max(0, box.x + box.width - width)
    bottom = max(0, box.y + box.height - height)
    faces = np.empty((len(frames), FACE_HEIGHT, FACE_WIDTH), np.uint8)
    for face, frame in zip(faces, frames, strict=True):
        cut = frame[max(0, box.y) : box.y + box.height, max(0, box.x) : box.x + box.width]
        if left or top or right or bottom:
            cut = cv2.copyMakeBorder(cut, top, bottom, left, right, cv2.BORDER_REPLICATE)
        shrinks = box.height > FACE_HEIGHT
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        cv2.resize(cut, (FACE_WIDTH, FACE_HEIGHT), dst=face, interpolation=method)
    return faces
