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
    frames: NDArray[np.uint8], box: Box, settings: PreprocessSettings, tilt_degrees: float = 0.0
) -> tuple[NDArray[np.uint8], Box]:
    """Crop, resize and, if asked, equalise the faces, in this order (thesis, chapter 7).

    Args:
        frames: uint8 (frame, height, width).
        box: The face as it was found, in pixels of the frames.
        settings: Margin around it, size of the crops, and whether histograms are equalised.
        tilt_degrees: How far the head leans, counter-clockwise; its crops stand upright.

    Returns:
        uint8 (frame, row, column), 98 x 80 by default, and the crop in pixels of the frames.
    """
    size = settings.crop_size
    box = _with_shape(with_margin(box, settings.crop_margin), size)
    if tilt_degrees:
        frames, inside = _upright(frames, box, tilt_degrees), Box(0, 0, box.width, box.height)
        return _equalised(crop_faces(frames, inside, size), settings), box
    return _equalised(crop_faces(frames, box, size), settings), box


def whole_crops(
    frames: NDArray[np.uint8], settings: PreprocessSettings
) -> tuple[NDArray[np.uint8], Box]:
    """Resize whole pictures that are faces themselves and, if asked, equalise them.

    Args:
        frames: uint8 (frame, height, width).
        settings: Size of the crops, and whether histograms are equalised.

    Returns:
        uint8 (frame, row, column), and the whole picture as a box.
    """
    height, width = frames.shape[1:]
    box = Box(0, 0, width, height)
    return _equalised(crop_faces(frames, box, settings.crop_size), settings), box


def _upright(frames: NDArray[np.uint8], box: Box, tilt_degrees: float) -> NDArray[np.uint8]:
    """Turn frames about the centre of a box, and cut the box; past the border as `crop_faces`."""
    centre = (box.x + box.width / 2, box.y + box.height / 2)
    turn = cv2.getRotationMatrix2D(centre, -tilt_degrees, 1.0)
    turn[:, 2] -= (box.x, box.y)
    size = (box.width, box.height)
    cuts = [cv2.warpAffine(f, turn, size, borderMode=cv2.BORDER_REPLICATE) for f in frames]
    return np.asarray(cuts, np.uint8)


def _equalised(faces: NDArray[np.uint8], settings: PreprocessSettings) -> NDArray[np.uint8]:
    if settings.equalise:
        for face in faces:
            cv2.equalizeHist(face, dst=face)
    return faces


def _with_shape(box: Box, size: tuple[int, int]) -> Box:
    """Widen the box or make it higher, so that the crop is not squeezed."""
    rows, columns = size
    if size == (FACE_HEIGHT, FACE_WIDTH):  # which boxes have, but for rounding
        return box
    width = max(box.width, round(box.height * columns / rows))
    height = max(box.height, round(box.width * rows / columns))
    return Box(box.x - (width - box.width) // 2, box.y - (height - box.height) // 2, width, height)


def crop_faces(
    frames: NDArray[np.uint8], box: Box, size: tuple[int, int] = (FACE_HEIGHT, FACE_WIDTH)
) -> NDArray[np.uint8]:
    """Cut the box from each frame and resize it; past the border the last pixels repeat.

    Args:
        frames: uint8 (frame, height, width).
        box: In pixels of the frames.
        size: Rows and columns of a crop.

    Returns:
        uint8 (frame, row, column).
    """
    rows, columns = size
    height, width = frames.shape[1:]
    left, top = max(0, -box.x), max(0, -box.y)
    right = max(0, box.x + box.width - width)
    bottom = max(0, box.y + box.height - height)
    faces = np.empty((len(frames), rows, columns), np.uint8)
    for face, frame in zip(faces, frames, strict=True):
        cut = frame[max(0, box.y) : box.y + box.height, max(0, box.x) : box.x + box.width]
        if left or top or right or bottom:
            cut = cv2.copyMakeBorder(cut, top, bottom, left, right, cv2.BORDER_REPLICATE)
        shrinks = box.height > rows
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        cv2.resize(cut, (columns, rows), dst=face, interpolation=method)
    return faces
