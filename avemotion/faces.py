"""Find the face of a clip: one steady box for all frames, and on which of them a face is seen.

Viola-Jones Haar cascades, as in the thesis. On real clips their boxes jitter by a few pixels while
the head is nearly still, so a few key frames are searched and one box is agreed on. Whether a frame
*has* a face is decided on that frame's own pixels.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_HEIGHT, FACE_WIDTH
from avemotion.types import Box

KEY_FRAMES = 5
"""Frames searched whole, spread evenly over the sampled ones."""

MIN_FACES = 5
"""Fewer sampled frames with a face than this, and the clip counts as having none."""

_SEARCH_HEIGHT = 180  # key frames are searched at this height: half of CREMA-D's
_MIN_FACE_SHARE = 1 / 7  # smallest face searched for, as a share of the frame's height
_SAME_FACE_IOU = 0.4  # boxes overlapping more than this show the same face
_LIKENESS = 0.75  # correlation with the clip's typical face above which a frame needs no search
_CHECK_FACE = 32  # side in pixels of the face in that check
_ROI_FACE = 40  # width in pixels of the face when a frame's own region is searched

# The cascade's square reaches from mid-forehead to the lower lip. A crop of 80 : 98 that holds
# brows and chin is 0.9 of it wide, and its centre lies a little lower.
_CROP_WIDTH = 0.9
_CROP_DROP = 0.06


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """Where a clip's face is, and on which frames it was seen."""

    box: Box
    """The crop, of the same shape (80 : 98) as the faces."""
    found: tuple[bool, ...]
    """For each frame searched: is there a face in the box?"""
    key_frames: int
    """Frames that were searched whole."""
    key_frames_found: int
    """Those on which the clip's face was found."""


_of_thread = threading.local()


def _cascade() -> Any:
    """Return this thread's cascade: OpenCV's searches with one from two threads go wrong."""
    if not hasattr(_of_thread, "cascade"):
        _of_thread.cascade = _load_cascade()
    return _of_thread.cascade


def _load_cascade() -> Any:
    path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    return cv2.CascadeClassifier(str(path))


def find_face(frames: NDArray[np.uint8]) -> FaceTrack | None:
    """Find the clip's face: the one seen on most key frames, the largest of these.

    Args:
        frames: uint8 (frame, height, width), in grey.

    Returns:
        The track, or None where a face is seen on fewer than `MIN_FACES` frames (of a clip with
        fewer frames: not on all).
    """
    keys = np.unique(np.linspace(0, len(frames) - 1, KEY_FRAMES + 2).round().astype(int)[1:-1])
    seen = {int(k): _search(frames[k]) for k in keys}
    # A face on fewer than half of the key frames is too thin a ground for the box.
    if sum(len(boxes) > 0 for boxes in seen.values()) * 2 <= len(keys):
        seen |= {k: _search(frames[k]) for k in range(len(frames)) if k not in seen}
    chosen = _commonest(seen)
    if not chosen:
        return None
    square = np.median(np.array(list(chosen.values())), axis=0)
    found = _check_frames(frames, square, set(chosen))
    if sum(found) < min(MIN_FACES, len(frames)):
        return None
    return FaceTrack(_crop_box(square), found, len(seen), len(chosen))


def _search(frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Search a whole frame; float64 (face, 4): x, y, width, height in pixels of the frame."""
    scale = min(1.0, _SEARCH_HEIGHT / min(frame.shape))
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    side = max(24, round(min(small.shape) * _MIN_FACE_SHARE))
    boxes = _cascade().detectMultiScale(small, 1.1, 5, minSize=(side, side))
    return np.asarray(np.asarray(boxes, np.float64).reshape(-1, 4) / scale)


def _commonest(seen: dict[int, NDArray[np.float64]]) -> dict[int, NDArray[np.float64]]:
    """Return, of the faces seen, the one on most frames (then the largest): its box by frame."""
    best: dict[int, NDArray[np.float64]] = {}
    best_rank = (0, 0.0)
    for boxes in seen.values():
        for box in boxes:
            same = {}
            for frame, others in seen.items():
                overlaps = _overlaps(box, others)
                if len(others) and overlaps.max() > _SAME_FACE_IOU:
                    same[frame] = others[overlaps.argmax()]
            rank = (len(same), float(box[2]))
            if rank > best_rank:
                best, best_rank = same, rank
    return best


def _overlaps(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of a box with each of the others."""
    left_top = np.maximum(box[:2], others[:, :2])
    right_bottom = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = np.prod(np.maximum(0, right_bottom - left_top), axis=1)
    union = box[2] * box[3] + others[:, 2] * others[:, 3] - shared
    return np.asarray(shared / union)


def _check_frames(
    frames: NDArray[np.uint8], square: NDArray[np.float64], keys: set[int]
) -> tuple[bool, ...]:
    """Tell for each frame whether the face is there, from that frame's own pixels.

    A frame that looks like the faces already found needs no search: the correlation of its small
    crop with their mean is quick. Any other frame is searched around the box.
    """
    small = np.stack([_standardised(_cut(frame, square)) for frame in frames])
    typical = small[sorted(keys)].mean(axis=0)
    typical /= np.linalg.norm(typical) or 1.0
    likeness = small.reshape(len(frames), -1) @ typical.ravel()
    return tuple(
        k in keys or bool(likeness[k] > _LIKENESS) or _face_around(frame, square)
        for k, frame in enumerate(frames)
    )


def _cut(frame: NDArray[np.uint8], square: NDArray[np.float64]) -> NDArray[np.uint8]:
    x, y, side = square[0], square[1], square[2]
    x0, y0 = max(0, int(x)), max(0, int(y))
    return frame[y0 : int(y + side), x0 : int(x + side)]


def _standardised(face: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the face as float64 (32, 32) with mean 0 and norm 1; a flat one stays 0."""
    small = cv2.resize(face, (_CHECK_FACE, _CHECK_FACE), interpolation=cv2.INTER_AREA)
    centred = small - small.mean()
    return np.asarray(centred / (np.linalg.norm(centred) or 1.0))


def _face_around(frame: NDArray[np.uint8], square: NDArray[np.float64]) -> bool:
    """Search the surroundings of the box for a face of about its size and place."""
    x, y, side = square[0], square[1], square[2]
    margin = 0.3 * side
    region = _cut(frame, np.array([x - margin, y - margin, side + 2 * margin]))
    scale = _ROI_FACE / side
    small = cv2.resize(region, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    smallest, largest = round(0.75 * _ROI_FACE), round(1.35 * _ROI_FACE)
    boxes = _cascade().detectMultiScale(
        small, 1.05, 3, minSize=(smallest, smallest), maxSize=(largest, largest)
    )
    return len(boxes) > 0


def _crop_box(square: NDArray[np.float64]) -> Box:
    """Turn the cascade's square into the upright crop around brows and chin."""
    x, y, side = square[0], square[1], square[2]
    width = _CROP_WIDTH * side
    height = width * FACE_HEIGHT / FACE_WIDTH
    centre_x, centre_y = x + side / 2, y + side / 2 + _CROP_DROP * side
    return Box(
        round(centre_x - width / 2), round(centre_y - height / 2), round(width), round(height)
    )


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
