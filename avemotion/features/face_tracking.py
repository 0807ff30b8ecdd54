"""Tell apart several faces found on some frames, rank them, and track them over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avemotion.features.scene_cuts import SceneCuts
from avemotion.media.types import Box

_SAME_FACE_IOU = 0.4  # boxes overlapping more than this show the same face
_PART_SHARE = 0.3  # a box that shares more of its area with a face shows a part of it
_STEP = 0.5  # a face that moves goes so far from frame to frame at most, in widths
_STEP_SIZE = 1.35  # and becomes so much larger or smaller from one searched frame to the next
_LEAST_WAY = 3  # frames
_SAME_PERSON_IOU = 0.3  # boxes of one face overlap more than this from one window to the next
_REMEMBERED_SECONDS = 5.0  # a face that is away for longer comes back under a new number

Face = dict[int, NDArray[np.float64]]
"""The box of a face, float64 (4,): x, y, width, height, by frame."""

Seen = dict[int, NDArray[np.float64]]
"""All boxes, float64 (face, 4), by frame."""


def ranked_faces(seen: Seen, shape: tuple[int, ...]) -> list[Face]:
    """Tell the faces apart, and rank them.

    Args:
        seen: Boxes, float64 (face, 4), by frame.
        shape: Height and width of the frames.

    Returns:
        The box of each face by frame; of one that moves, along its way. Of those on at least half
        as many frames as the commonest one, the largest and most central comes first; then the
        others, commonest first.
    """
    faces = []
    left = dict(seen)
    while face := _commonest(left):
        faces.append(face)
        left = _without(left, face)
    faces = _with_ways(faces, seen)
    often = [face for face in faces if 2 * len(face) >= len(faces[0])]
    often.sort(key=lambda face: _prominence(face, shape), reverse=True)
    return often + [face for face in faces if 2 * len(face) < len(faces[0])]


def _without(seen: Seen, face: Face) -> Seen:
    """Leave out a face and its parts; where it was not seen, what is where it mostly was."""
    mean = np.median(np.array(list(face.values())), axis=0)
    return {
        frame: boxes[[not is_same_face(box, face.get(frame, mean)) for box in boxes]]
        for frame, boxes in seen.items()
    }


def _with_ways(faces: list[Face], seen: Seen) -> list[Face]:
    """Join what is at each place on few of the frames only: a face that moves. Commonest first.

    Just what is then on more than half of the frames is joined: what cascades see once or twice is
    rarely a face.
    """
    often = [face for face in faces if 2 * len(face) > len(seen)]
    rare = [face for face in faces if 2 * len(face) <= len(seen)]
    for face in often:
        seen = _without(seen, face)
    while True:
        way = _longest_way(seen)
        if len(way) < _LEAST_WAY or 2 * len(way) <= len(seen):
            return sorted([*often, *rare], key=len, reverse=True)
        often.append(way)
        seen = _without(seen, way)
        rest = [{k: box for k, box in face.items() if not _is_part(k, box, way)} for face in rare]
        rare = [face for face in rest if face]


def _is_part(frame: int, box: NDArray[np.float64], way: Face) -> bool:
    return frame in way and is_same_face(box, way[frame])


def _longest_way(seen: Seen) -> Face:
    """Return, of what is seen as it moves, that on most frames (then the largest)."""
    ways = [_way(frame, box, seen) for frame, boxes in seen.items() for box in boxes]
    return max(ways, key=lambda way: (len(way), max(box[2] for box in way.values())), default={})


def _way(start: int, box: NDArray[np.float64], seen: Seen) -> Face:
    """Go from a box on a frame to the nearest one on the frames after it, and before it."""
    way = {start: box}
    frames = sorted(seen)
    for side in ([k for k in frames if k > start], [k for k in frames[::-1] if k < start]):
        at, last = start, box
        for frame in side:
            steps = [_step(last, other) / abs(frame - at) for other in seen[frame]]
            if steps and min(steps) <= _STEP:
                at, last = frame, seen[frame][int(np.argmin(steps))]
                way[frame] = last
    return way


def _step(box: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return how far one box is from another, in widths; infinite where its size differs."""
    if not 1 / _STEP_SIZE < other[2] / box[2] < _STEP_SIZE:
        return np.inf
    return float(np.abs(box[:2] + box[2:] / 2 - other[:2] - other[2:] / 2).max() / box[2])


def is_same_face(box: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Tell a face found twice, or a part of it, from a neighbour cheek to cheek with it.

    Args:
        box: float64 (4,): x, y, width, height.
        other: The same.
    """
    shared = np.maximum(
        0, np.minimum(box[:2] + box[2:], other[:2] + other[2:]) - np.maximum(box[:2], other[:2])
    )
    return bool(shared.prod() > _PART_SHARE * min(box[2:].prod(), other[2:].prod()))


def _prominence(face: Face, shape: tuple[int, ...]) -> float:
    """Return the width of a face, less where it is off the centre: half of it at the edge."""
    x, y, width, height = np.median(np.array(list(face.values())), axis=0)
    off = max(
        abs(x + width / 2 - shape[1] / 2) / (shape[1] / 2),
        abs(y + height / 2 - shape[0] / 2) / (shape[0] / 2),
    )
    return float(width * (1 - min(off, 1.0) / 2))


def _commonest(seen: Seen) -> Face:
    """Return, of the faces seen, the one on most frames (then the largest): its box by frame."""
    best: Face = {}
    best_rank = (0, 0.0)
    for boxes in seen.values():
        for box in boxes:
            same = {}
            for frame, others in seen.items():
                shared = overlaps(box, others)
                if len(others) and shared.max() > _SAME_FACE_IOU:
                    same[frame] = others[shared.argmax()]
            rank = (len(same), float(box[2]))
            if rank > best_rank:
                best, best_rank = same, rank
    return best


def overlaps(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of a box with each of the others."""
    left_top = np.maximum(box[:2], others[:, :2])
    right_bottom = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = np.prod(np.maximum(0, right_bottom - left_top), axis=1)
    union = box[2] * box[3] + others[:, 2] * others[:, 3] - shared
    return np.asarray(shared / union)


@dataclass(frozen=True, slots=True)
class _Sighting:
    start_seconds: float
    """Of its window."""
    seconds: float
    """In the middle of the frames that show the face."""
    box: Box


class FaceTracker:
    """Numbers faces 1, 2... as they appear, and tracks them by the overlap of their boxes.

    Pairs of a face seen before and one seen now are matched by intersection over union, the best
    pair first. Faces are not identified: who comes back after a scene cut gets another number.
    """

    def __init__(self, remembered_seconds: float = _REMEMBERED_SECONDS) -> None:
        """Start without any face.

        Args:
            remembered_seconds: A face that is gone for longer gets another number.
        """
        self._remembered_seconds = remembered_seconds
        self._last_seen: dict[int, _Sighting] = {}
        self._count = 0

    def forget(self) -> None:
        """Forget all faces; numbers go on."""
        self._last_seen.clear()

    def take_over(
        self, boxes: list[Box], numbers: list[int], start_seconds: float, seen_seconds: float
    ) -> None:
        """Take over the faces of a window that were numbered before.

        Args:
            boxes: As for `of`.
            numbers: Of each face.
            start_seconds: As for `of`.
            seen_seconds: When the faces are seen.
        """
        for number, box in zip(numbers, boxes, strict=True):
            self._last_seen[number] = _Sighting(start_seconds, seen_seconds, box)
            self._count = max(self._count, number)

    def of(
        self,
        boxes: list[Box],
        start_seconds: float,
        seen_seconds: Sequence[float] | None = None,
        cuts: SceneCuts | None = None,
    ) -> list[int]:
        """Return the numbers of a window's faces.

        Args:
            boxes: Their boxes, in pixels of the frames.
            start_seconds: Start of the window; later than that of the windows before.
            seen_seconds: When each face is seen; by default at the start.
            cuts: The scene cuts up to the end of the window, where a video may have some.
        """
        times = seen_seconds or [start_seconds] * len(boxes)
        self._last_seen = {
            number: seen
            for number, seen in self._last_seen.items()
            if start_seconds - seen.start_seconds <= self._remembered_seconds
        }
        known = np.array([seen.box.edges for seen in self._last_seen.values()]).reshape(-1, 4)
        pairs = sorted(
            (-share, now, number)
            for now, box in enumerate(boxes)
            for number, share in zip(self._last_seen, overlaps(box.edges, known), strict=True)
            if share > _SAME_PERSON_IOU
            and not (cuts and cuts.any_between(self._last_seen[number].seconds, times[now]))
        )
        numbers: dict[int, int] = {}
        for _, now, number in pairs:
            if now not in numbers and number not in numbers.values():
                numbers[now] = number
        for now in range(len(boxes)):
            if now not in numbers:
                self._count += 1
                numbers[now] = self._count
            self._last_seen[numbers[now]] = _Sighting(start_seconds, times[now], boxes[now])
        return [numbers[now] for now in range(len(boxes))]
