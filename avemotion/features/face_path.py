"""Follow a face that moves over a clip: where it is on each frame, along a smooth path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avemotion.features.face_cascade import look_alike, look_around, region
from avemotion.features.face_tracking import Face
from avemotion.features.scene_cuts import cuts_among
from avemotion.media.types import Box

# Shares of the width by which an edge is off the one box. On real clips of CREMA-D it is 0.03 to
# 0.12 on single frames, most of that the cascade's jitter; faces that drift by 0.4 widths in all
# begin to be cut (benchmarks/results/faces.md).
_MOVES = 0.15  # a face moves
_MAY_MOVE = 0.1  # what is known without a further search makes it worth one
_REACH = 0.6  # how far a face is from where it is expected, in widths
_SIZES = (0.8, 1.25)  # and how much smaller or larger
_CLOSE = 0.2  # how far from where its image was seen
_PAST_BORDER = 0.1  # so much of a face that is cut by the border does not matter, in widths
_AT_BORDER = 0.05  # so near to it, a face that seems smaller than before is cut
_SMALLER = 0.95
_FAR = 3  # frames: so far on, a face is expected to move as it did
_SMOOTH_PLACE = 7  # frames that decide where the face is on one
_SMOOTH_SIZE = 15  # cascades are less sure of its size


def follow(frames: Sequence[NDArray[np.uint8]], seen: Face) -> Face:
    """Look for a face on the other frames, from those nearest to where it was seen outward.

    First for its image on the frame nearest in time, which is quick, then for any face. The way
    ends at a scene cut, beyond which is somebody else, and where it leads out of the frame: what is
    still seen of the face passes for a smaller one.

    Args:
        frames: uint8 (height, width) each.
        seen: The cascade's square of the face, float64 (4,), by frame.

    Returns:
        The squares by frame, in the order of time, those of `seen` among them, but for what seems
        smaller at the border.
    """
    usual = float(np.median([square[2] for square in seen.values()]))
    shape = frames[0].shape
    known = {k: square for k, square in seen.items() if not _is_rest(square, usual, shape)}
    scene = np.searchsorted(cuts_among(np.stack(frames)), np.arange(len(frames)), side="right")
    scenes = {int(scene[frame]) for frame in seen}
    left = {frame for frame in range(len(frames)) if int(scene[frame]) in scenes} - known.keys()
    while left:
        frame = min(left, key=lambda k: (min(abs(k - other) for other in known), k))
        left.remove(frame)
        expected = _expected(known, frame)
        if _past_border(expected, shape) > _PAST_BORDER:
            left -= set(range(frame) if frame < min(known) else range(frame, len(frames)))
            continue
        nearest = min(known, key=lambda k: (abs(k - frame), k))
        image, _ = region(frames[nearest], known[nearest], margin=0.0)
        box = look_alike(frames[frame], image, expected, _REACH)
        box = _nearest(frames[frame], expected, _REACH) if box is None else box
        if box is not None and not _is_rest(box, known[nearest][2], shape):
            known[frame] = box
    return dict(sorted(known.items()))


def refined(frames: Sequence[NDArray[np.uint8]], followed: Face) -> Face:
    """Return the squares as the cascade sees them: images alone drift, and have one size.

    Args:
        frames: uint8 (height, width) each.
        followed: The result of `follow`.
    """
    seen = {frame: _nearest(frames[frame], box, _CLOSE) for frame, box in followed.items()}
    return {frame: followed[frame] if box is None else box for frame, box in seen.items()}


def _nearest(
    frame: NDArray[np.uint8], expected: NDArray[np.float64], margin: float
) -> NDArray[np.float64] | None:
    """Return the face that is nearest to where it is expected; None without one."""
    found = look_around(frame, expected, margin, _SIZES)
    if not len(found):
        return None
    off = np.abs(_centres(found) - _centres(expected[None])).max(axis=1)
    return np.asarray(found[off.argmin()])


def _expected(known: Face, frame: int) -> NDArray[np.float64]:
    """Return where a face should be: between two frames, or on its way from the nearest two."""
    at = sorted(known)
    nearest = min(at, key=lambda k: abs(k - frame))
    behind = [k for k in at if 0 < abs(k - nearest) <= _FAR]
    if at[0] < frame < at[-1] or not behind or abs(frame - nearest) > _FAR:
        boxes = np.array([known[k] for k in at])
        return np.asarray(_between(np.array(at), boxes, np.array([frame]))[0])
    other = max(behind, key=lambda k: abs(k - nearest))
    step = (known[nearest] - known[other])[:2] / (nearest - other)
    return np.concatenate([known[nearest][:2] + step * (frame - nearest), known[nearest][2:]])


def _is_rest(square: NDArray[np.float64], side: float, shape: tuple[int, ...]) -> bool:
    """Tell whether a square is what the border leaves of a face whose side was larger."""
    return _past_border(square, shape) > -_AT_BORDER and bool(square[2] < _SMALLER * side)


def _past_border(square: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """Return how far a square is past the border of a frame, in widths; below 0, inside."""
    past = max(-square[:2].min(), (square[:2] + square[2:] - shape[::-1]).max())
    return float(past / square[2])


def smooth_path(seen: Face, frames: int) -> NDArray[np.float64]:
    """Return the boxes of a face on all frames, without the jitter of the searches.

    Between the frames that show it the face moves evenly; before and after them it stays.

    Args:
        seen: The box of the face by frame, all of one shape.
        frames: Number of frames.

    Returns:
        float64 (frame, 4).
    """
    at = np.array(sorted(seen))
    boxes = np.array([seen[int(k)] for k in at])
    values = np.column_stack([_centres(boxes), np.log(boxes[:, 2])])
    beside = np.concatenate([values[:1], values, values[-1:]])
    values = np.median([beside[:-2], beside[1:-1], beside[2:]], axis=0)  # one may be wrong
    values = _between(at, values, np.arange(frames))
    centres = _smoothed(values[:, :2], _SMOOTH_PLACE)
    sizes = np.exp(_smoothed(values[:, 2:], _SMOOTH_SIZE)) * (1.0, boxes[0, 3] / boxes[0, 2])
    return np.hstack([centres - sizes / 2, sizes])


def _smoothed(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Fit a line to the values around each, float64 (frame, value)."""
    window = min(window, len(values))
    smooth = np.empty_like(values)
    for frame in range(len(values)):
        start = min(max(0, frame - window // 2), len(values) - window)
        around = np.arange(start, start + window) - frame
        line = np.polyfit(around, values[start : start + window], min(1, window - 1))
        smooth[frame] = line[-1]
    return smooth


def moves(boxes: NDArray[np.float64], box: NDArray[np.float64]) -> bool:
    """Tell whether a face leaves its one box.

    Args:
        boxes: Where it is on each frame, float64 (frame, 4), without jitter.
        box: The one box, float64 (4,).
    """
    return _furthest_off(boxes, box) > _MOVES


def may_move(boxes: NDArray[np.float64], box: NDArray[np.float64]) -> bool:
    """Tell whether it is worth a search if a face leaves its one box; as for `moves`.

    Args:
        boxes: Where it was found on some frames, float64 (frame, 4).
        box: The one box, float64 (4,).
    """
    return _furthest_off(boxes, box) > _MAY_MOVE


def _furthest_off(boxes: NDArray[np.float64], box: NDArray[np.float64]) -> float:
    """Return how far edges of boxes are from those of one, at most, as a share of its width."""
    edges = [np.concatenate([b[..., :2], b[..., :2] + b[..., 2:]], -1) for b in (boxes, box)]
    return float(np.abs(edges[0] - edges[1]).max() / box[2])


def boxes_at(
    boxes: Sequence[Box], positions: NDArray[np.intp], others: NDArray[np.intp]
) -> list[Box]:
    """Return the boxes on other frames of a video: those of a path lie between its own.

    Args:
        boxes: On some frames.
        positions: Numbers of these frames, int (box,), ascending; they may repeat.
        others: Numbers of the other frames, int (other,).

    Returns:
        A box for each of the others.
    """
    at, first = np.unique(positions, return_index=True)
    edges = np.array([boxes[index].edges for index in first])
    return [Box(*map(round, box)) for box in _between(at, edges, others).tolist()]


def _between(
    at: NDArray[np.intp], values: NDArray[np.float64], others: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Interpolate each column of values, float64 (position, value)."""
    return np.column_stack([np.interp(others, at, column) for column in values.T])


def _centres(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(boxes[:, :2] + boxes[:, 2:] / 2)
