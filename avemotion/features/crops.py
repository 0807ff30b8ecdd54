"""Cut the face's box out of each frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_HEIGHT, FACE_WIDTH, PreprocessSettings
from avemotion.media.types import Box

# The cascade's square reaches from mid-forehead to the lower lip. A crop of 80 : 98 that holds
# brows and chin is 0.9 of it wide, and its centre lies a little lower.
_CROP_WIDTH = 0.9
_CROP_DROP = 0.06


def square_crop(square: NDArray[np.float64]) -> Box:
    """Turn the cascade's square, float64 (4,), into the upright crop around brows and chin."""
    x, y, side = square[0], square[1], square[2]
    width = _CROP_WIDTH * side
    height = width * FACE_HEIGHT / FACE_WIDTH
    centre_x, centre_y = x + side / 2, y + side / 2 + _CROP_DROP * side
    return Box(
        round(centre_x - width / 2), round(centre_y - height / 2), round(width), round(height)
    )


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
    frames: NDArray[np.uint8],
    boxes: Sequence[Box],
    settings: PreprocessSettings,
    tilt_degrees: float = 0.0,
) -> tuple[NDArray[np.uint8], list[Box]]:
    """Crop, resize and, if asked, equalise the faces, in this order (thesis, chapter 7).

    Args:
        frames: uint8 (frame, height, width).
        boxes: The face on each frame as it was found, in pixels of the frames.
        settings: Margin around it, size of the crops, and whether histograms are equalised.
        tilt_degrees: How far the head leans, counter-clockwise; its crops stand upright.

    Returns:
        uint8 (frame, row, column), 98 x 80 by default, and the crops in pixels of the frames.
    """
    size = settings.crop_size
    boxes = [_with_shape(with_margin(box, settings.crop_margin), size) for box in boxes]
    if tilt_degrees:
        upright = zip(frames, boxes, strict=True)
        faces = [_upright(frame, box, tilt_degrees, size) for frame, box in upright]
        return _equalised(np.stack(faces), settings), boxes
    return _equalised(crop_faces(frames, boxes, size), settings), boxes


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
    boxes = [box] * len(frames)
    return _equalised(crop_faces(frames, boxes, settings.crop_size), settings), box


def _upright(
    frame: NDArray[np.uint8], box: Box, tilt_degrees: float, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Turn a frame about the centre of a box, and crop the box; past the border as `_cropped`."""
    centre = (box.x + box.width / 2, box.y + box.height / 2)
    turn = cv2.getRotationMatrix2D(centre, -tilt_degrees, 1.0)
    turn[:, 2] -= (box.x, box.y)
    turned = cv2.warpAffine(frame, turn, (box.width, box.height), borderMode=cv2.BORDER_REPLICATE)
    return _cropped(np.asarray(turned, np.uint8), Box(0, 0, box.width, box.height), size)


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
    frames: NDArray[np.uint8],
    boxes: Sequence[Box],
    size: tuple[int, int] = (FACE_HEIGHT, FACE_WIDTH),
) -> NDArray[np.uint8]:
    """Cut its box from each frame and resize it; past the border the last pixels repeat.

    Args:
        frames: uint8 (frame, height, width).
        boxes: One for each frame, in pixels of the frames.
        size: Rows and columns of a crop.

    Returns:
        uint8 (frame, row, column).
    """
    faces = [_cropped(frame, box, size) for frame, box in zip(frames, boxes, strict=True)]
    return np.stack(faces)


def _cropped(frame: NDArray[np.uint8], box: Box, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a box of a frame, uint8 (row, column)."""
    rows, columns = size
    height, width = frame.shape
    left, top = max(0, -box.x), max(0, -box.y)
    right = max(0, box.x + box.width - width)
    bottom = max(0, box.y + box.height - height)
    cut = frame[max(0, box.y) : box.y + box.height, max(0, box.x) : box.x + box.width]
    if left or top or right or bottom:
        cut = np.asarray(
            cv2.copyMakeBorder(cut, top, bottom, left, right, cv2.BORDER_REPLICATE), np.uint8
        )
    method = cv2.INTER_AREA if box.height > rows else cv2.INTER_LINEAR  # shrinks, or grows
    return np.asarray(cv2.resize(cut, (columns, rows), interpolation=method), np.uint8)
