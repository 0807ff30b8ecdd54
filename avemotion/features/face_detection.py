"""Find the face of a clip: where to crop each frame, and on which of them a face is seen.

Viola-Jones Haar cascades, as in the thesis. On real clips their boxes jitter by a few pixels while
the head is nearly still, so a few frames are searched and one box is chosen; only where the face
leaves it, the boxes follow on a smooth path: see `face_path`. Whether a frame *has* a face is
decided on that frame's own pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES
from avemotion.features.crops import square_crop
from avemotion.features.face_cascade import (
    LIKENESS,
    MIN_FACE_SHARE,
    cut,
    look_alike,
    look_around,
    region,
    search,
)
from avemotion.features.face_path import (
    follow,
    may_move,
    moves,
    refined,
    smooth_path,
)
from avemotion.features.face_tracking import Face, Seen, is_same_face, overlaps, ranked_faces
from avemotion.features.second_search import (
    TILTS,
    brightened,
    small_faces,
    tilted_faces,
    turned_back,
    turned_frame,
)
from avemotion.media.types import Box

SEARCHED_FRAMES = 5
"""Frames searched at length, spread evenly over the sampled ones."""

MIN_FACES = 5
"""Fewer sampled frames with a face than this, and the clip counts as having none."""

# One glance at the middle of the clip finds nearly every face, and where the same image is
# found on the other searched frames, these need no search; any doubt means a search at length.
_GLANCE_HEIGHT = 90  # pixels: at least a quarter of the frame's height is the face
_SEARCH_HEIGHT = 180  # frames are searched at this height: half of CREMA-D's
_GLANCE_REACH = 0.25  # how far around the face in the middle, in widths
_CHECK_FACE = 32  # side in pixels of the face in that check


def no_face(decoded: int) -> str:
    """Say why the face is missing of a clip, or of a picture: a single frame.

    >>> no_face(1)
    'no face found in the picture'
    """
    where = "picture" if decoded == 1 else f"{FACE_FRAMES} frames sampled"
    return f"no face found in the {where}"


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """Where a clip's face is, and on which frames it was seen."""

    boxes: tuple[Box, ...]
    """For each frame searched the crop, of the same shape (80 : 98) as the faces: one and the same
    where the face stays, a smooth path where it moves."""
    found: tuple[bool, ...]
    """For each frame searched: is there a face in the box?"""
    searched_frames: int
    """Frames that were searched for it."""
    searched_frames_with_face: int
    """Those on which the clip's face was found."""
    tilt_degrees: float = 0.0
    """How far the head leans, counter-clockwise; boxes are upright, about the same centre."""
    note: str = ""
    """What the second search did to find it; empty where the first one did."""

    @property
    def box(self) -> Box:
        """The crop on the middle frame."""
        return self.boxes[len(self.boxes) // 2]


@dataclass(frozen=True, slots=True)
class FoundFaces:
    """All faces of a clip."""

    tracks: list[FaceTrack]
    """The face of `find_face` comes first."""
    left_out: int
    """Further faces, which both cascades saw, but on too few frames."""


def find_face(frames: Sequence[NDArray[np.uint8]], again: bool = True) -> FaceTrack | None:
    """Find the clip's face: of those seen on many frames, the largest and most central one.

    Args:
        frames: Grey frames of the clip, each uint8 (height, width).
        again: Where nothing is found, search for small, dark and tilted faces: see
            `second_search`. It takes longer than the first search.

    Returns:
        The track, or None where a face is seen on fewer than `MIN_FACES` frames (of a clip with
        fewer frames: not on all).
    """
    keys = _searched_frames(frames)
    chosen, searched = _glance(frames, keys), len(keys)
    if not chosen:
        seen = _search_at_length(frames, keys)
        chosen, searched = next(iter(ranked_faces(seen, frames[0].shape)), {}), len(seen)
    track = _track(frames, chosen, searched) if chosen else None
    return _found_again(frames, keys) if track is None and again else track


def find_faces(frames: Sequence[NDArray[np.uint8]], again: bool = True) -> FoundFaces:
    """Find every face of a clip: first that of `find_face`, with the same box.

    All searched frames are searched for others, and some more finely for small ones. Only faces
    seen on at least half of them count: what the cascade sees but once is rarely a face.

    Args:
        frames: Grey frames of the clip, each uint8 (height, width).
        again: Search for small faces, too, and where nothing is found for dark and tilted ones.
    """
    main = find_face(frames, again)
    if main is None:
        return FoundFaces([], 0)
    keys = _searched_frames(frames)
    seen = _search_at_length(frames, keys)
    tracks = [main]
    for group in ranked_faces(seen, frames[0].shape):
        _add_other(tracks, frames, group, len(seen))
    if not again:
        return FoundFaces(tracks, 0)
    lit = brightened(frames) or frames
    small = [_add_other(tracks, lit, group, len(keys)) for group in small_faces(lit, keys)]
    return FoundFaces(tracks, small.count(False))


def _add_other(
    tracks: list[FaceTrack],
    frames: Sequence[NDArray[np.uint8]],
    group: Face,
    searched: int,
) -> bool:
    """Add a further face; return whether it is among the tracks, now or before."""
    edges = square_crop(_middle(group)).edges
    for known in tracks:
        there = np.median([known.boxes[frame].edges for frame in group], axis=0)
        if is_same_face(edges, np.asarray(there)):
            return True
    track = _track(frames, group, searched) if 2 * len(group) >= searched else None
    tracks += [track] if track else []
    return track is not None


def _found_again(frames: Sequence[NDArray[np.uint8]], keys: NDArray[np.intp]) -> FaceTrack | None:
    """Search for what the first search misses: small, dark and tilted faces, in this order."""
    bright = brightened(frames)
    dark = "the frames are dark and were brightened to find the face" if bright else ""
    lit = bright or frames
    for group in small_faces(lit, keys):
        if 2 * len(group) >= len(keys) and (track := _track(lit, group, len(keys))):
            share = track.box.height / min(frames[0].shape)
            small = f"the face is small: {share:.0%} of the picture's height"
            small = small if share < MIN_FACE_SHARE else ""
            return replace(track, note="; ".join(filter(None, (small, dark))))
    for degrees in TILTS:
        for group in tilted_faces(lit, keys, degrees):
            if 2 * len(group) < len(keys):
                continue
            turned = [turned_frame(frame, degrees) for frame in lit]
            if track := _track(turned, group, len(keys)):
                boxes = tuple(turned_back(box, frames[0].shape, degrees) for box in track.boxes)
                tilt = (
                    f"the head is tilted by about {abs(degrees):.0f} degrees: it is turned upright"
                )
                note = "; ".join(filter(None, (tilt, dark)))
                return replace(track, boxes=boxes, tilt_degrees=degrees, note=note)
    return None


def _searched_frames(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.intp]:
    indices = np.linspace(0, len(frames) - 1, SEARCHED_FRAMES + 2).round()
    return np.unique(indices.astype(np.intp)[1:-1])


def _middle(boxes: Face) -> NDArray[np.float64]:
    return np.asarray(np.median(np.array(list(boxes.values())), axis=0))


def _track(frames: Sequence[NDArray[np.uint8]], chosen: Face, searched: int) -> FaceTrack | None:
    """Look for a face on all frames; None where it is seen on too few."""
    square, least = _middle(chosen), min(MIN_FACES, len(frames))
    squares = np.tile(square, (len(frames), 1))
    found, seen = _check_frames(frames, squares, chosen)
    if not all(found) or may_move(np.array(list(seen.values())), square):
        followed = follow(frames, chosen)
        if len(followed) >= least and moves(smooth_path(followed, len(frames)), square):
            squares = smooth_path(refined(frames, followed), len(frames))
            found, _ = _check_frames(frames, squares, followed)
    if sum(found) < least:
        return None
    return FaceTrack(tuple(map(square_crop, squares)), found, searched, len(chosen))


def _glance(frames: Sequence[NDArray[np.uint8]], keys: NDArray[np.intp]) -> Face:
    """Find a single large face in the middle of the clip, and it on all searched frames.

    Returns:
        Its box by frame, float64 (4,); nothing where any doubt is left.
    """
    middle = frames[keys[len(keys) // 2]]
    faces = search(middle, _GLANCE_HEIGHT, step=1.2)
    if len(faces) == 1:
        faces = look_around(middle, faces[0], margin=0.15, sizes=(0.9, 1.15))
    if len(faces) != 1:
        return {}
    template, _ = region(middle, faces[0], margin=0.0)
    boxes: Face = {}
    for k in keys:
        box = faces[0]
        if frames[k] is not middle:
            box = look_alike(frames[k], template, box, _GLANCE_REACH)
        if box is None:
            return {}
        boxes[int(k)] = box
    return boxes


def _search_at_length(frames: Sequence[NDArray[np.uint8]], keys: NDArray[np.intp]) -> Seen:
    """Search some frames, and all others where few of them show a face.

    Returns:
        All boxes, float64 (face, 4), by the frame that was searched.
    """
    seen = {int(k): search(frames[k], _SEARCH_HEIGHT) for k in keys}
    # A face on fewer than half of the searched frames is too little evidence for the box.
    if sum(len(boxes) > 0 for boxes in seen.values()) * 2 <= len(keys):
        rest = set(range(len(frames))) - seen.keys()
        seen |= {k: search(frames[k], _SEARCH_HEIGHT) for k in sorted(rest)}
    return seen


def _check_frames(
    frames: Sequence[NDArray[np.uint8]],
    squares: NDArray[np.float64],
    known: Face,
) -> tuple[tuple[bool, ...], Face]:
    """Tell for each frame whether the face is there, from that frame's own pixels.

    A frame that looks like the faces already found needs no search: the correlation of its small
    crop with their mean is quick. Any other frame is searched around its square.

    Returns:
        Whether each frame has the face; and of those searched, now or before, where it is.
    """
    small = np.stack([_thumbnail(cut(f, s)) for f, s in zip(frames, squares, strict=True)])
    small -= small.mean(axis=1, keepdims=True)
    small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)  # a flat one stays 0
    typical = small[sorted(known)].mean(axis=0)
    typical /= max(float(np.linalg.norm(typical)), 1e-6)
    likeness = small @ typical
    seen = dict(known)
    for k in np.flatnonzero(~(likeness > LIKENESS)).tolist():  # a flat region has none
        if k not in known and len(near := look_around(frames[k], squares[k])):
            seen[k] = near[overlaps(squares[k], near).argmax()]
    found = tuple(k in seen or bool(likeness[k] > LIKENESS) for k in range(len(frames)))
    return found, seen


def _thumbnail(face: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the face as float32 (32 x 32,)."""
    small = cv2.resize(face, (_CHECK_FACE, _CHECK_FACE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(small, np.float32).ravel()
