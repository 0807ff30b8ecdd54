"""How a face moves for each emotion: facial actions over time, named after FACS.

Every emotion is a row of a table of actions; a clip plays that row with its own onset, apex and
offset, over small movements that mean nothing (blinks, brow flashes, speech, a swaying head).
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Expression:
    """Strength of each facial action at the apex, 0 (rest) to about 1 (full)."""

    inner_brow: float = 0.0
    """AU1: the inner ends of the brows go up."""
    outer_brow: float = 0.0
    """AU2: the outer ends of the brows go up."""
    brow_lower: float = 0.0
    """AU4: the brows go down and together, with a furrow between them."""
    lid_raise: float = 0.0
    """AU5: the upper lids go up, the white shows above the iris."""
    cheek_raise: float = 0.0
    """AU6: the cheeks push the lower lids up; crow's feet."""
    lid_tight: float = 0.0
    """AU7: both lids tighten to a narrower eye."""
    nose_wrinkle: float = 0.0
    """AU9: nostrils go up, wrinkles across the bridge."""
    upper_lip: float = 0.0
    """AU10: the upper lip goes up and squares, the fold beside the nose deepens."""
    corner_up: float = 0.0
    """AU12: the corners of the mouth go up and out."""
    corner_down: float = 0.0
    """AU15: the corners of the mouth go down."""
    stretch: float = 0.0
    """AU20: the mouth is pulled wide and flat."""
    press: float = 0.0
    """AU24: the lips are pressed thin."""
    jaw: float = 0.0
    """AU26: the mouth hangs open."""
    lower_lip: float = 0.0
    """AU16: the lower lip is pulled down, the lower teeth show."""
    chin_raise: float = 0.0
    """AU17: the chin goes up and wrinkles, the lower lip is pushed up."""
    tighten: float = 0.0
    """AU23: the lips are drawn together, narrow and thin."""


ACTIONS: tuple[str, ...] = tuple(field.name for field in fields(Expression))
"""Names of the facial actions, in the order of `Expression`."""

UNITS: dict[str, str] = {
    "AU1": "inner_brow",
    "AU2": "outer_brow",
    "AU4": "brow_lower",
    "AU5": "lid_raise",
    "AU6": "cheek_raise",
    "AU7": "lid_tight",
    "AU9": "nose_wrinkle",
    "AU10": "upper_lip",
    "AU12": "corner_up",
    "AU15": "corner_down",
    "AU16": "lower_lip",
    "AU17": "chin_raise",
    "AU20": "stretch",
    "AU23": "tighten",
    "AU26": "jaw",
}
"""The 15 action units that the thesis predicts (section 6.1), and their actions."""

EXPRESSIONS: dict[str, Expression] = {
    "anger": Expression(brow_lower=1.0, lid_tight=0.8, lid_raise=0.2, press=1.0),
    "disgust": Expression(
        brow_lower=0.5, nose_wrinkle=1.0, upper_lip=1.0, cheek_raise=0.3, lid_tight=0.5
    ),
    "fear": Expression(
        inner_brow=0.9, outer_brow=0.6, brow_lower=0.3, lid_raise=1.0, stretch=1.0, jaw=0.45
    ),
    "happiness": Expression(corner_up=1.0, cheek_raise=0.9, lid_tight=0.2, jaw=0.15),
    "neutral": Expression(),
    "sadness": Expression(inner_brow=0.9, brow_lower=0.25, corner_down=1.0, lid_tight=0.35),
}
"""The apex of each emotion, after the action units that FACS coders most often list for it."""

_PLAYED = [name for name in ACTIONS if any(getattr(e, name) for e in EXPRESSIONS.values())]
"""Actions that some emotion has: only they take random numbers, so that corpora stay the same."""

_GESTURES = (("inner_brow", "outer_brow"), ("brow_lower",), ("corner_up",), ("corner_down",))
"""What people do for an instant while they speak, whatever they feel."""


def _bump(time: FloatArray, start: float, rise: float, hold: float, fall: float) -> FloatArray:
    """A smooth 0 -> 1 -> 0 course, float64 like `time`; all arguments in seconds."""
    up = np.clip((time - start) / rise, 0.0, 1.0)
    down = np.clip((time - start - rise - hold) / fall, 0.0, 1.0)
    smooth: FloatArray = (up * up * (3 - 2 * up)) * (1 - down * down * (3 - 2 * down))
    return smooth


def expression_course(time: FloatArray, rng: np.random.Generator) -> FloatArray:
    """How far the expression is played, frame by frame: onset, apex, offset.

    Args:
        time: float64 (frames,), seconds from the start of the clip.
        rng: the clip's generator.

    Returns:
        float64 (frames,) in [0, 1]; the apex covers a fifth to a third of the clip, so that
        an average over the clip sees little of what the apex shows.
    """
    length = float(time[-1])
    rise = rng.uniform(0.12, 0.35)
    hold = rng.uniform(0.2, 0.32) * length
    fall = rng.uniform(0.15, 0.4)
    start = rng.uniform(0.06, max(0.08, 0.95 * length - rise - hold))
    return _bump(time, start, rise, hold, fall)


def blinks(time: FloatArray, rng: np.random.Generator) -> FloatArray:
    """How far the lids are closed by blinking, float64 (frames,) in [0, 1]; zero to two blinks."""
    closed = np.zeros_like(time)
    for _ in range(int(rng.integers(0, 3))):
        closed = np.maximum(closed, _bump(time, rng.uniform(0, time[-1]), 0.06, 0.03, 0.1))
    return closed


def play(
    shown: str, time: FloatArray, intensity: float, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Play one emotion on top of movements that carry no emotion.

    Args:
        shown: name of the emotion that the face shows.
        time: float64 (frames,), seconds.
        intensity: strength at the apex; 1 is the table's own.
        rng: the clip's generator.

    Returns:
        For each name in `ACTIONS` its strength, float64 (frames,).
    """
    course = expression_course(time, rng)
    actions = {name: np.zeros_like(time) for name in ACTIONS}
    for name in _PLAYED:
        # Each action follows the course with its own strength: no two apexes look quite the same.
        apex = getattr(EXPRESSIONS[shown], name) * intensity * rng.uniform(0.85, 1.15)
        actions[name] = apex * course
    for gesture in _GESTURES:
        flash = _bump(time, rng.uniform(0, time[-1]), 0.12, rng.uniform(0.05, 0.2), 0.15)
        flash = flash * rng.uniform(0.0, 0.5)
        for name in gesture:
            actions[name] = actions[name] + flash
    return actions


def head_motion(time: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A head held at a slight tilt and swaying: slow sums of sines, different in every clip.

    Returns:
        float64 (frames, 4): right and down in pixels (a few), roll in radians, and scale.
    """
    phases = rng.uniform(0, 2 * np.pi, (3, 4))
    rates = rng.uniform([[0.2], [0.6], [1.4]], [[0.5], [1.1], [2.4]], (3, 4))
    amplitudes = np.array([[1.0], [0.5], [0.2]]) * rng.uniform(0.4, 1.0, (1, 4))
    angles = 2 * np.pi * rates * time[:, None, None] + phases
    sway: FloatArray = (amplitudes * np.sin(angles)).sum(axis=1)
    held = np.array([0.0, 0.0, float(np.clip(rng.normal(0, 0.065), -0.11, 0.11)), 1.0])
    scaled: FloatArray = held + sway * np.array([3.0, 2.2, 0.018, 0.008])
    return scaled
