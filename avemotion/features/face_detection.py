"""Find the face of a clip: one steady box for all frames, and on which of them a face is seen.

Viola-Jones Haar cascades, as in the thesis. On real clips their boxes jitter by a few pixels while
the head is nearly still, so a few frames are searched and one box is chosen. Whether a frame
*has* a face is decided on that frame's own pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH
from avemotion.features.face_cascade import (
    MIN_FACE_SHARE,
    ROI_FACE,
    cut,
    look_around,
    region,
    search,
)
from avemotion.features.face_tracking import is_same_face, ranked_faces
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
_LIKENESS = 0.75  # correlation with the clip's typical face above which a frame needs no search
_CHECK_FACE = 32  # side in pixels of the face in that check

# The cascade's square reaches from mid-forehead to the lower lip. A crop of 80 : 98 that holds
# brows and chin is 0.9 of it wide, and its centre lies a little lower.
_CROP_WIDTH = 0.9
_CROP_DROP = 0.06


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

    box: Box
    """The crop, of the same shape (80 : 98) as the faces."""
    found: tuple[bool, ...]
    """For each frame searched: is there a face in the box?"""
    searched_frames: int
    """Frames that were searched for it."""
    searched_frames_with_face: int
    """Those on which the clip's face was found."""
    tilt_degrees: float = 0.0
    """How far the head leans, counter-clockwise; the box is upright, about the same centre."""
    note: str = ""
    """What the second search did to find it; empty where the first one did."""


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
    group: dict[int, NDArray[np.float64]],
    searched: int,
) -> bool:
    """Add a further face; return whether it is among the tracks, now or before."""
    edges = _crop_box(_middle(group)).edges
    if any(is_same_face(edges, track.box.edges) for track in tracks):
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
                box = turned_back(track.box, frames[0].shape, degrees)
                tilt = (
                    f"the head is tilted by about {abs(degrees):.0f} degrees: it is turned upright"
                )
                note = "; ".join(filter(None, (tilt, dark)))
                return replace(track, box=box, tilt_degrees=degrees, note=note)
    return None


def _searched_frames(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.intp]:
    indices = np.linspace(0, len(frames) - 1, SEARCHED_FRAMES + 2).round()
    return np.unique(indices.astype(np.intp)[1:-1])


def _middle(boxes: dict[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.asarray(np.median(np.array(list(boxes.values())), axis=0))


def _track(
    frames: Sequence[NDArray[np.uint8]], chosen: dict[int, NDArray[np.float64]], searched: int
) -> FaceTrack | None:
    """Look for a face on all frames; None where it is seen on too few."""
    square = _middle(chosen)
    found = _check_frames(frames, square, set(chosen))
    if sum(found) < min(MIN_FACES, len(frames)):
        return None
    return FaceTrack(_crop_box(square), found, searched, len(chosen))


def _glance(
    frames: Sequence[NDArray[np.uint8]], keys: NDArray[np.intp]
) -> dict[int, NDArray[np.float64]]:
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
    boxes: dict[int, NDArray[np.float64]] = {}
    for k in keys:
        box = faces[0] if frames[k] is middle else _tracked(frames[k], template, faces[0])
        if box is None:
            return {}
        boxes[int(k)] = box
    return boxes


def _tracked(
    frame: NDArray[np.uint8], template: NDArray[np.uint8], square: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return the box of a face seen on another frame; None where nothing is like it."""
    around, (x, y) = region(frame, square, margin=0.25)
    if around.shape[0] < template.shape[0] or around.shape[1] < template.shape[1]:
        return None
    scores = cv2.matchTemplate(around, template, cv2.TM_CCOEFF_NORMED)
    _, best, _, (column, row) = cv2.minMaxLoc(scores)
    if not best > _LIKENESS:  # a flat region has no score
        return None
    side = square[2]
    scale = side / ROI_FACE
    return np.array([x + column * scale, y + row * scale, side, side])


def _search_at_length(
    frames: Sequence[NDArray[np.uint8]], keys: NDArray[np.intp]
) -> dict[int, NDArray[np.float64]]:
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
    frames: Sequence[NDArray[np.uint8]], square: NDArray[np.float64], keys: set[int]
) -> tuple[bool, ...]:
    """Tell for each frame whether the face is there, from that frame's own pixels.

    A frame that looks like the faces already found needs no search: the correlation of its small
    crop with their mean is quick. Any other frame is searched around the box.
    """
    small = np.stack([_thumbnail(cut(frame, square)) for frame in frames])
    small -= small.mean(axis=1, keepdims=True)
    small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)  # a flat one stays 0
    typical = small[sorted(keys)].mean(axis=0)
    typical /= max(float(np.linalg.norm(typical)), 1e-6)
    likeness = small @ typical
    return tuple(
        k in keys or bool(likeness[k] > _LIKENESS) or len(look_around(frame, square)) > 0
        for k, frame in enumerate(frames)
    )


def _thumbnail(face: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the face as float32 (32 x 32,)."""
    small = cv2.resize(face, (_CHECK_FACE, _CHECK_FACE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(small, np.float32).ravel()


def _crop_box(square: NDArray[np.float64]) -> Box:
    """Turn the cascade's square into the upright crop around brows and chin."""
    x, y, side = square[0], square[1], square[2]
    width = _CROP_WIDTH * side
    height = width * FACE_HEIGHT / FACE_WIDTH
    centre_x, centre_y = x + side / 2, y + side / 2 + _CROP_DROP * side
    return Box(
        round(centre_x - width / 2), round(centre_y - height / 2), round(width), round(height)
    )
