"""Films talking faces: strokes that the facial actions move, over a shaded head.

The loop over the frames only fills, blurs and pastes; what can be computed for all frames at once
is. Frames leave as I420 (limited range, BT.601), which is what the video encoder takes.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from avemotion.data.corpora.synthetic.expression import blinks, head_motion, play
from avemotion.data.corpora.synthetic.look import (
    HEIGHT,
    WIDTH,
    ByteImage,
    Head,
    Look,
    build_backdrop,
    build_head,
)
from avemotion.data.corpora.synthetic.strokes import (
    Actions,
    FloatArray,
    Stroke,
    brow_strokes,
    eye_strokes,
    mouth_strokes,
    nose_strokes,
)

_SUBPIXEL_BITS = 4
_NEUTRAL_TONE = 128


def _fixed_point(strokes: list[Stroke], head: Head, scale: float) -> list[npt.NDArray[np.int32]]:
    """Face units -> OpenCV's fixed-point pixels of the head's image, per stroke."""
    origin = np.array(head.origin)
    factor = 1 << _SUBPIXEL_BITS
    return [
        np.round((stroke.points * scale + origin) * factor).astype(np.int32) for stroke in strokes
    ]


def _tones(depth: FloatArray | None, frames: int) -> npt.NDArray[np.int64]:
    """How a line's depth is drawn on the shading map: 128 leaves the skin, less darkens it."""
    course = np.zeros(frames) if depth is None else depth
    tones: npt.NDArray[np.int64] = np.round(
        _NEUTRAL_TONE * (1 - 0.55 * course.clip(0, 1.2))
    ).astype(np.int64)
    return tones


def draw_heads(head: Head, strokes: list[Stroke], scale: float) -> Iterator[ByteImage]:
    """Draw the strokes on the head, frame by frame; uint8 (height, width, 3), BGR."""
    frames = len(strokes[0].points)
    points = _fixed_point(strokes, head, scale)
    tones = [_tones(stroke.depth, frames) for stroke in strokes]
    for frame in range(frames):
        shading = np.full(head.alpha.shape, _NEUTRAL_TONE, np.uint8)
        for stroke, where, tone in zip(strokes, points, tones, strict=True):
            if stroke.colour is None and tone[frame] < _NEUTRAL_TONE:
                cv2.polylines(
                    shading, list(where[frame]), False, int(tone[frame]), stroke.thickness,
                    cv2.LINE_AA, _SUBPIXEL_BITS,
                )  # fmt: skip
        soft = cv2.GaussianBlur(shading, (0, 0), 1.0)
        image = cv2.multiply(head.skin, cv2.merge([soft] * 3), scale=1 / _NEUTRAL_TONE)
        for stroke, where in zip(strokes, points, strict=True):
            if stroke.colour is not None:
                cv2.fillPoly(image, list(where[frame]), stroke.colour, cv2.LINE_AA, _SUBPIXEL_BITS)
        yield np.asarray(cv2.GaussianBlur(image, (3, 3), 0.7), np.uint8)


def face_frames(
    look: Look,
    shown: str,
    speech: npt.NDArray[np.float64],
    frame_rate: float,
    intensity: float,
    rng: np.random.Generator,
) -> Iterator[ByteImage]:
    """Render one clip of a talking face.

    Args:
        look: the actor.
        shown: name of the emotion that the face shows.
        speech: float64 (frames,) in [0, 1]: how far speaking opens the mouth; gives the length.
        frame_rate: frames a second.
        intensity: strength of the expression at its apex, about 0.7 to 1.3.
        rng: the clip's generator.

    Returns:
        The frames, uint8 (540, 480), I420: the planes Y, U, V under one another as OpenCV lays
        them out.
    """
    act = play(shown, np.arange(len(speech)) / frame_rate, intensity, rng)
    return film(look, act, speech, frame_rate, rng)


def film(
    look: Look,
    act: Actions,
    speech: npt.NDArray[np.float64],
    frame_rate: float,
    rng: np.random.Generator,
) -> Iterator[ByteImage]:
    """Render a face whose actions are given; the rest is as `face_frames` does it.

    Args:
        look: the actor.
        act: strength of each facial action in `ACTIONS`, float64 (frames,) each.
        speech: float64 (frames,) in [0, 1].
        frame_rate: frames a second.
        rng: the clip's generator.

    Returns:
        The frames, uint8 (540, 480), I420.
    """
    time = np.arange(len(speech)) / frame_rate
    motion = head_motion(time, rng)
    gaze = 0.03 * np.repeat(rng.normal(0, 1, len(time) // 12 + 1), 12)[: len(time)]
    strokes = (
        eye_strokes(look, act, blinks(time, rng), gaze)
        + brow_strokes(look, act)
        + nose_strokes(look, act)
        + mouth_strokes(look, act, speech)
    )
    light = float(np.clip(look.light + rng.normal(0, 0.4), -1, 1))
    centre = (look.centre[0] + rng.normal(0, 6), look.centre[1] + rng.normal(0, 4))
    size = rng.uniform(0.95, 1.05)
    head = build_head(look, light, rng)
    backdrop = build_backdrop(look, centre, light, rng)
    return _filmed(head, draw_heads(head, strokes, look.scale), backdrop, centre,
                   motion * np.array([1, 1, 1, size]), rng)  # fmt: skip


def _filmed(
    head: Head,
    images: Iterator[ByteImage],
    backdrop: ByteImage,
    centre: tuple[float, float],
    motion: FloatArray,
    rng: np.random.Generator,
) -> Iterator[ByteImage]:
    """Paste each head onto the backdrop where it has moved to; the camera adds noise."""
    exposure = rng.uniform(0.82, 1.12)
    # Stretch and shear stand for a head that nods or turns a little away from the camera.
    pose = np.eye(2) + rng.normal(0, 0.04, (2, 2)).clip(-0.055, 0.055)
    # One sheet of noise, of which every frame sees another part: fresh noise would cost more than
    # drawing the face.
    sheet = rng.normal(0, 1.6, (HEIGHT + 40, WIDTH)).clip(-9, 9).round().astype(np.int8)
    offsets = rng.integers(0, 41, len(motion))
    height, width = head.alpha.shape
    left = int(np.clip(round(centre[0] - head.origin[0]) - 12, 0, WIDTH - width - 24))
    above = int(np.clip(round(centre[1] - head.origin[1]) - 12, -HEIGHT, HEIGHT))
    top, bottom = max(above, 0), min(above + height + 24, HEIGHT)
    region = np.s_[top:bottom, left : left + width + 24]
    behind = cv2.convertScaleAbs(backdrop, alpha=exposure)
    covered = behind[region].copy()
    for image, (right, down, roll, size), offset in zip(images, motion, offsets, strict=True):
        turned = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
        linear = size * turned @ pose
        shift = np.array(centre) - (left, top) + (right, down) - linear @ head.origin
        turn = np.column_stack([linear, shift])
        box = (width + 24, bottom - top)
        pasted = cv2.warpAffine(image, turn, box, borderMode=cv2.BORDER_REPLICATE)
        pasted = cv2.convertScaleAbs(pasted, alpha=exposure)
        alpha = cv2.warpAffine(head.alpha, turn, box)
        full = behind.copy()
        full[region] = cv2.blendLinear(pasted, covered, alpha, 1 - alpha)
        planes = cv2.cvtColor(full, cv2.COLOR_BGR2YUV_I420)
        luma = planes[:HEIGHT]
        cv2.add(luma, sheet[offset : offset + HEIGHT], luma, dtype=cv2.CV_8U)
        yield np.asarray(planes, np.uint8)
