"""Where the first search finds no face: look for small ones, in dark frames, and tilted heads.

A second search in large and busy frames meets many things that look like a face to one cascade. So
each find is confirmed by another cascade, which was trained on its own, and on half of the frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.features.face_cascade import CASCADE_SIDE, look_around, search
from avemotion.features.face_path import follow
from avemotion.features.face_tracking import Face, Seen, overlaps, ranked_faces
from avemotion.media.types import Box

TILTS = (30.0, -30.0)
"""Degrees, counter-clockwise. Upright heads are found up to some 15 degrees."""

_FINE_HEIGHT = 660  # pixels: the cascade's smallest face is a box of 4 % of the height
_TILTED_HEIGHT = 330  # of the same frames: 8 %
_STEP = 1.2  # from one size of faces to the next
_NEIGHBOURS = 3  # of a first find; then both cascades look closely around it, and at one face
_SURE_NEIGHBOURS = 9  # see some 12 to 80 windows that show it, at other things fewer than 8
_LOOKS = (0.25, 0.75)  # frames searched whole, among the searched ones
_MARGIN = 0.75  # how far a face moves from one searched frame to another, in widths

_BRIGHT_PERCENTILE = 95  # a lamp or two may be brighter
_DARK_LEVEL = 80  # grey levels, of that; cascades pass over what has little contrast
_BRIGHT_LEVEL = 240
_MAX_GAIN = 24.0


def brightened(frames: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Multiply the grey levels of dark frames; nothing where they are not dark.

    Args:
        frames: uint8 (height, width) each.
    """
    level = float(np.percentile(frames[len(frames) // 2][::4, ::4], _BRIGHT_PERCENTILE))
    if level >= _DARK_LEVEL:
        return []
    gain = min(_MAX_GAIN, _BRIGHT_LEVEL / max(level, 1.0))
    levels = np.clip(np.rint(np.arange(256) * gain), 0, 255).astype(np.uint8)
    return [np.asarray(cv2.LUT(frame, levels), np.uint8) for frame in frames]


def small_faces(frames: Sequence[NDArray[np.uint8]], keys: NDArray[np.intp]) -> list[Face]:
    """Search for faces down to 4 % of the height, without those of one cascade alone.

    Args:
        frames: uint8 (height, width) each.
        keys: Indices of the frames to search, int (frame,).

    Returns:
        The box of each face, float64 (4,), by frame, the most prominent face first.
    """
    faces = _confirmed({int(key): frames[key] for key in keys}, _FINE_HEIGHT)
    return [
        face if 2 * len(face) >= len(keys) else _along_its_way(frames, keys, face) for face in faces
    ]


def _along_its_way(frames: Sequence[NDArray[np.uint8]], keys: NDArray[np.intp], face: Face) -> Face:
    """Add where a face has moved to on other frames to search; both cascades must see it."""
    way = follow(frames, face)
    further = {int(key): way[key] for key in keys if key in way and key not in face}
    seen = {key: _confirmed_face(frames[key], box) for key, box in further.items()}
    return face | {key: box for key, box in seen.items() if box is not None}


def tilted_faces(
    frames: Sequence[NDArray[np.uint8]], keys: NDArray[np.intp], degrees: float
) -> list[Face]:
    """Search turned frames, as `small_faces` does, for faces down to 8 % of the height.

    Args:
        frames: uint8 (height, width) each, as they are.
        keys: Indices of the frames to search, int (frame,).
        degrees: As for `turned_frame`.

    Returns:
        As `small_faces`, in pixels of the turned frames.
    """
    turned = {int(key): turned_frame(frames[key], degrees) for key in keys}
    larger = min(turned[int(keys[0])].shape) / min(frames[0].shape)
    return _confirmed(turned, round(_TILTED_HEIGHT * larger))


def _confirmed(frames: Mapping[int, NDArray[np.uint8]], height: int) -> list[Face]:
    """Search some frames whole, and look for what is found there on the others."""
    keys = list(frames)
    seen: Seen = {}
    for share in _LOOKS:
        key = keys[round(share * (len(keys) - 1))]
        if any(np.array_equal(frames[key], frames[other]) for other in seen):
            continue
        boxes = search(frames[key], height, _STEP, _NEIGHBOURS, CASCADE_SIDE / height, "alt2")
        kept = [face for box in boxes if (face := _confirmed_face(frames[key], box)) is not None]
        seen[key] = np.array(kept, np.float64).reshape(-1, 4)
    faces = ranked_faces(seen, frames[keys[0]].shape)
    return [_followed(frames, face) for face in faces]


def _followed(frames: Mapping[int, NDArray[np.uint8]], face: Face) -> Face:
    """Look for a face on the other frames, near where it was; both cascades must see it."""
    known = np.median(np.array(list(face.values())), axis=0)
    followed = dict(face)
    for key in frames.keys() - face.keys():
        box = _confirmed_face(frames[key], known, _MARGIN)
        if box is not None:
            followed[key] = box
    return followed


def _confirmed_face(
    frame: NDArray[np.uint8], known: NDArray[np.float64], margin: float = 0.3
) -> NDArray[np.float64] | None:
    """Return the face nearest to where one was seen; None unless both cascades are sure of it."""
    near = look_around(frame, known, margin, cascade="alt2", neighbours=_SURE_NEIGHBOURS)
    if not len(near):
        return None
    box = near[overlaps(known, near).argmax()]
    sure = look_around(frame, box, neighbours=_SURE_NEIGHBOURS)
    return sure[overlaps(box, sure).argmax()] if len(sure) else None


def turned_frame(frame: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """Turn a frame clockwise, so that heads tilted counter-clockwise stand upright.

    Returns:
        uint8 (height, width), large enough for all of the frame.
    """
    turn, size = _turn(frame.shape, degrees)
    return np.asarray(cv2.warpAffine(frame, turn, size), np.uint8)


def turned_back(box: Box, shape: tuple[int, ...], degrees: float) -> Box:
    """Return where the centre of a box of a turned frame is in the frame; its size stays.

    Args:
        box: In pixels of the turned frame.
        shape: Height and width of the frame.
        degrees: As for `turned_frame`.
    """
    turn, _ = _turn(shape, degrees)
    back = cv2.invertAffineTransform(turn)
    x, y = back @ (box.x + box.width / 2, box.y + box.height / 2, 1.0)
    return Box(round(x - box.width / 2), round(y - box.height / 2), box.width, box.height)


def _turn(shape: tuple[int, ...], degrees: float) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Return the affine map, float64 (2, 3), and the width and height of the turned frame."""
    height, width = shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    across, along = abs(turn[0, 0]), abs(turn[0, 1])
    size = (round(width * across + height * along), round(width * along + height * across))
    turn[:, 2] += (size[0] / 2 - width / 2, size[1] / 2 - height / 2)
    return np.asarray(turn), size
