"""Real faces pasted into larger, busy frames, so that where each face is, is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import sklearn.datasets
from numpy.typing import NDArray

from avemotion.features.face_detection import find_face
from avemotion.features.frame_sampling import even_grid
from avemotion.media.reader import read_frames
from avemotion.media.types import Box

HEIGHT, WIDTH = 720, 1280
"""Pixels: what the reader keeps of a 1080p video."""

FRAMES = 20

_PICTURES = ("coffee", "rocket", "brick", "grass", "page", "text", "cat", "hubble_deep_field")
_TILES = 14  # pictures in a frame
_HEAD = (1.75, 1.65)  # the head's width and height, hair and chin included, in those of the crop
_NOISE = 2.0  # standard deviation in grey levels, new in each frame


@dataclass(frozen=True, slots=True)
class Head:
    """The frames of a real clip, and where its face is."""

    name: str
    frames: NDArray[np.uint8]
    """uint8 (20, height, width)."""
    box: Box
    """The face, in pixels of the frames."""


@dataclass(frozen=True, slots=True)
class Pasted:
    """Where a face is pasted."""

    head: Head
    share: float
    """Height of the face's box, as a share of the frame's height."""
    across: float
    """Its centre, as a share of the frame's width."""
    down: float
    """Its centre, as a share of the frame's height."""
    tilt_degrees: float = 0.0
    """Counter-clockwise."""
    drift: float = 0.0
    """How far it moves across during the clip, in widths of the box."""
    bend: float = 0.0
    """How much lower it is at both ends of its way than in the middle, in widths of the box."""
    growth: float = 1.0
    """How many times larger it is at the end than at the start."""
    hidden: range = range(0)
    """Frames on which it is not there."""

    def box(self, frame: int = FRAMES // 2) -> Box:
        """Return where the face is on a frame, in pixels."""
        time = frame / (FRAMES - 1) - 0.5
        height = self.share * HEIGHT
        width = height * self.head.box.width / self.head.box.height
        x = self.across * WIDTH + self.drift * width * time
        y = self.down * HEIGHT + self.bend * width * (2 * time) ** 2
        height, width = height * self.growth**time, width * self.growth**time
        return Box(
            round(x - width / 2), round(y - height / 2), round(width), round(height)
        )  # fmt: skip


def read_head(clip: Path) -> Head:
    """Read 20 frames of a clip and find its face, which is large and upright."""
    frames = read_frames(clip, lambda n: even_grid(n, 0, 0.0)).frames
    track = find_face(list(frames))
    assert track is not None, clip
    return Head(clip.stem, frames, track.box)


def pictures() -> list[NDArray[np.uint8]]:
    """Return photographs and prints without a human face, grey, uint8 (height, width) each."""
    colour = list(sklearn.datasets.load_sample_images().images)
    colour += [getattr(skimage.data, name)() for name in _PICTURES]
    colour += list(skimage.data.stereo_motorcycle()[:1])
    return [
        np.asarray(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) if p.ndim == 3 else p, np.uint8)
        for p in colour
    ]


def busy_frames(
    backgrounds: Sequence[NDArray[np.uint8]],
    pasted: Sequence[Pasted],
    seed: int,
    light: float = 1.0,
) -> NDArray[np.uint8]:
    """Return a video of a hand-held camera: pictures side by side, and faces in front of them.

    Args:
        backgrounds: See `pictures`.
        pasted: The faces.
        seed: Seeds the choice of pictures, their places, and the noise.
        light: Factor on all grey levels.

    Returns:
        uint8 (20, 720, 1280).
    """
    rng = np.random.default_rng(seed)
    wide = _wall(backgrounds, rng)
    video = np.empty((FRAMES, HEIGHT, WIDTH), np.uint8)
    shake = rng.normal(0, 1, (FRAMES, 2)).cumsum(axis=0).clip(-15, 15).round().astype(int) + 16
    for number, (down, across) in enumerate(shake):
        frame = wide[down : down + HEIGHT, across : across + WIDTH].astype(np.float32)
        for face in pasted:
            if number not in face.hidden:
                _paste(frame, face, number)
        frame = frame * light + _NOISE * max(light, 0.3) * rng.standard_normal(
            frame.shape, np.float32
        )
        video[number] = np.clip(np.rint(frame), 0, 255)
    return video


def _wall(backgrounds: Sequence[NDArray[np.uint8]], rng: np.random.Generator) -> NDArray[np.uint8]:
    wall = np.full((HEIGHT + 32, WIDTH + 32), 128, np.uint8)
    for number in range(_TILES):
        picture = backgrounds[rng.integers(len(backgrounds))]
        least = 1.0 if number < 2 else 0.3
        scale = rng.uniform(least, 1.5) * max(1.0 if number else 3.0, 1.0)
        tile = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        tile = tile[: wall.shape[0], : wall.shape[1]]
        y = rng.integers(0, wall.shape[0] - tile.shape[0] + 1)
        x = rng.integers(0, wall.shape[1] - tile.shape[1] + 1)
        wall[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return wall


def _paste(frame: NDArray[np.float32], face: Pasted, number: int) -> None:
    """Paste a head with a soft border into a frame, turned about the face's centre."""
    head, box = face.head, face.box(number)
    scale = box.height / head.box.height
    centre = (head.box.x + head.box.width / 2, head.box.y + head.box.height / 2)
    left, top = box.x - box.width // 2, box.y - box.height // 2  # room for a turned head
    size = (2 * box.width, 2 * box.height)
    turn = cv2.getRotationMatrix2D(centre, face.tilt_degrees, scale)
    turn[:, 2] += (size[0] / 2 - centre[0], size[1] / 2 - centre[1])
    mask = np.zeros(head.frames[number].shape, np.float32)
    axes = (round(head.box.width * _HEAD[0] / 2), round(head.box.height * _HEAD[1] / 2))
    cv2.ellipse(mask, (round(centre[0]), round(centre[1])), axes, 0, 0, 360, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 4)
    source = np.asarray(head.frames[number])
    if scale < 0.5:  # without this, shrinking would skip pixels
        source = cv2.GaussianBlur(source, (0, 0), 0.4 / scale)
    weight = cv2.warpAffine(mask, turn, size, flags=cv2.INTER_LINEAR)
    turned = cv2.warpAffine(source, turn, size, flags=cv2.INTER_LINEAR)
    inside = np.s_[max(0, -top) : frame.shape[0] - top, max(0, -left) : frame.shape[1] - left]
    weight, turned = weight[inside], turned[inside]
    part = frame[max(0, top) :, max(0, left) :][: weight.shape[0], : weight.shape[1]]
    part += weight * (turned - part)
