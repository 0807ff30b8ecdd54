"""The marks that make a face: brows, eyes, nose, mouth, and the creases that come and go.

Everything that moves is a polygon or a line, computed from the facial actions for all frames at
once, in face units: the origin lies between the eyes, x to the right, y down.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avemotion.data.corpora.synthetic.look import Colour, Look

FloatArray = npt.NDArray[np.float64]
Actions = dict[str, FloatArray]
"""Strength of each facial action by name, float64 (frames,)."""


@dataclass(frozen=True)
class Stroke:
    """A mark that moves: filled shapes in a colour, or soft lines that darken the skin."""

    points: FloatArray
    """float64 (frames, shapes, points, 2): x, y in face units."""
    colour: Colour | None = None
    """Fill colour; None: a line, see `depth`."""
    depth: FloatArray | None = None
    """float64 (frames,): how much a line darkens the skin, 0 to 1."""
    thickness: int = 2
    """Width of a line in pixels."""


def _shape(x: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
    """Join x and y, broadcast to (frames, points), into one shape: (frames, 1, points, 2)."""
    return np.stack(np.broadcast_arrays(x, y), axis=-1)[:, None].astype(np.float64)


def _band(x: FloatArray, upper: FloatArray, lower: FloatArray) -> FloatArray:
    """The area between two curves over the same x, each (frames, points): one closed shape."""
    x, upper, lower = np.broadcast_arrays(x, upper, lower)
    return _shape(
        np.concatenate([x, x[:, ::-1]], axis=1), np.concatenate([upper, lower[:, ::-1]], axis=1)
    )


def _both_sides(shape: FloatArray) -> FloatArray:
    """Add the mirror image: (frames, shapes, points, 2) -> (frames, 2 shapes, points, 2)."""
    return np.concatenate([shape, shape * np.array([-1.0, 1.0])], axis=1)


def _dim(colour: Colour, factor: float) -> Colour:
    """The colour at `factor` times its brightness."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def brow_strokes(look: Look, act: Actions) -> list[Stroke]:
    """Brows, the furrow between them and the lines on the forehead."""
    a = {name: value[:, None] for name, value in act.items()}
    along = np.linspace(0, 1, 9)[None, :]
    inner_x = 0.17 - 0.06 * a["brow_lower"]
    x = inner_x + (look.eye_x + 0.27 - inner_x) * along
    y = look.brow_y + look.brow_tilt * (along - 0.5) - 0.055 * np.sin(np.pi * along)
    y = y - 0.14 * a["inner_brow"] * (1 - along) ** 1.5 - 0.13 * a["outer_brow"] * along
    y = y + 0.105 * a["brow_lower"] * (1 - 0.55 * along)
    half = 0.5 * look.brow_thick * (1 - 0.65 * along**2)
    brows = Stroke(_both_sides(_band(x, y - half, y + half)), _dim(look.hair, 0.75))

    top = look.brow_y + 0.02 + 0.05 * a["brow_lower"]
    furrow_x = np.array([[0.075, 0.06, 0.065]])
    furrow_y = top + np.array([[-0.06, 0.06, 0.15]])
    furrow = Stroke(_both_sides(_shape(furrow_x, furrow_y)), depth=1.1 * act["brow_lower"])

    across = np.linspace(-1, 1, 11)[None, :]
    lift = 0.05 * (a["inner_brow"] + a["outer_brow"])
    strokes = [brows, furrow]
    raised = np.clip(0.5 * act["inner_brow"] + 0.5 * act["outer_brow"], 0, 1)
    for height in (-0.2, -0.32):
        reach = 0.22 + 0.3 * np.clip(a["outer_brow"], 0, 1)
        wrinkle_y = look.brow_y + height - lift + 0.03 * across**2 + 0.01 * np.sin(9 * across)
        line = _shape(reach * across, wrinkle_y)
        strokes.append(Stroke(line, depth=0.12 * look.creases + 0.6 * raised, thickness=1))
    return strokes


def eye_strokes(look: Look, act: Actions, closed: FloatArray, gaze: FloatArray) -> list[Stroke]:
    """Eyes, lids and crow's feet.

    Args:
        look: the actor.
        act: strength of each facial action, float64 (frames,) each.
        closed: float64 (frames,), how far a blink closes the lids.
        gaze: float64 (frames,), where the irises point, face units to the right.
    """
    a = {name: value[:, None] for name, value in act.items()}
    open_lids = 1 - closed[:, None]
    raised = 1 + 0.58 * a["lid_raise"] - 0.38 * a["lid_tight"] + 0.12 * a["inner_brow"]
    upper = look.eye_open * np.clip(raised, 0.25, 2) * open_lids + 0.004
    lower_raised = 1 - 0.45 * a["cheek_raise"] - 0.45 * a["lid_tight"] + 0.25 * a["lid_raise"]
    lower = 0.75 * look.eye_open * np.clip(lower_raised, 0.2, 2) * open_lids + 0.004
    across = np.linspace(-1, 1, 11)[None, :]
    arch = 1 - across**2
    x = look.eye_x + look.eye_width * across
    white = _both_sides(_band(x, -upper * arch, lower * arch))

    def disc(radius: float) -> FloatArray:
        """A round patch that the lids cover: circle clipped to the opening, for both eyes."""
        angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)[None, :]
        eyes = []
        for side in (-1.0, 1.0):
            disc_x = side * look.eye_x + gaze[:, None] + radius * np.cos(angle)
            room = 1 - np.clip((disc_x - side * look.eye_x) / look.eye_width, -1, 1) ** 2
            disc_y = np.clip(radius * np.sin(angle) - 0.008, -upper * room, lower * room)
            eyes.append(_shape(disc_x, disc_y))
        return np.concatenate(eyes, axis=1)

    lash = _both_sides(_band(x, -upper * arch - 0.026, -upper * arch))
    frames = len(closed)
    steady = np.ones(frames)
    crease = _both_sides(_shape(x, -upper * arch**0.8 - 0.065 + 0.02 * a["lid_tight"]))
    bag = _both_sides(_shape(x, lower * arch + 0.055 * arch + 0.012))
    feet = []
    for angle in (-0.45, 0.0, 0.45):
        reach = np.array([[0.05, 0.15]])
        feet.append(
            _shape(look.eye_x + look.eye_width + reach * np.cos(angle),
                   0.02 + reach * np.sin(angle) + 0 * upper)
        )  # fmt: skip
    return [
        Stroke(crease, depth=0.35 * steady),
        Stroke(bag, depth=0.15 * look.creases + 0.55 * act["cheek_raise"] + 0.2 * act["lid_tight"]),
        Stroke(
            _both_sides(np.concatenate(feet, axis=1)), depth=0.7 * act["cheek_raise"], thickness=1
        ),
        Stroke(white, (168, 176, 180)),
        Stroke(disc(0.088), look.iris),
        Stroke(disc(0.042), (14, 14, 16)),
        Stroke(lash, _dim(look.skin, 0.22)),
    ]


def nose_strokes(look: Look, act: Actions) -> list[Stroke]:
    """Nostrils, the wrinkles across the bridge and the folds beside the nose."""
    a = {name: value[:, None] for name, value in act.items()}
    lift = 0.045 * a["nose_wrinkle"] + 0.015 * a["upper_lip"]
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)[None, :]
    hole_x = 0.5 * look.nose_width + 0.045 * np.cos(angle) + 0 * lift
    hole_y = look.nose_y - lift + 0.024 * np.sin(angle)
    strokes = [Stroke(_both_sides(_shape(hole_x, hole_y)), _dim(look.skin, 0.3))]
    across = np.linspace(-1, 1, 5)[None, :]
    for height in (-0.03, 0.08, 0.19):
        line = _shape((0.09 + 0.3 * height) * across, height + 0.03 * across**2 - 0.3 * lift)
        strokes.append(Stroke(line, depth=0.9 * act["nose_wrinkle"], thickness=1))
    along = np.linspace(0, 1, 7)[None, :]
    end_x = look.mouth_width + 0.1 + 0.07 * a["corner_up"] + 0.02 * a["stretch"]
    fold_x = look.nose_width + 0.02 + (end_x - look.nose_width - 0.02) * along
    bulge = (0.05 + 0.05 * a["corner_up"] + 0.03 * a["upper_lip"]) * np.sin(np.pi * along)
    start_y = look.nose_y - 0.05 - lift
    fold_y = start_y + (look.mouth_y - 0.02 - start_y) * along - 0.5 * bulge
    depth = 0.3 * look.creases + 0.35 * act["corner_up"] + 0.45 * act["upper_lip"]
    strokes.append(Stroke(_both_sides(_shape(fold_x + bulge, fold_y)), depth=depth))
    return strokes


def mouth_strokes(look: Look, act: Actions, speech: FloatArray) -> list[Stroke]:
    """Lips, teeth and the dark of the mouth; `speech` float64 (frames,) opens it, 0 to 1."""
    a = {name: value[:, None] for name, value in act.items()}
    across = np.linspace(-1, 1, 15)[None, :]
    arch = 1 - across**2
    spread = 1 + 0.24 * a["stretch"] + 0.2 * a["corner_up"] - 0.06 * a["press"]
    spread = spread - 0.24 * a["tighten"]
    spread = spread - 0.1 * speech[:, None] * (1 - a["stretch"].clip(0, 1))
    x = look.mouth_width * spread * across
    corner = look.mouth_curve - 0.14 * a["corner_up"] + 0.12 * a["corner_down"]
    corner = corner + 0.02 * a["stretch"]
    line = look.mouth_y + corner * np.abs(across) ** 1.7 - 0.3 * corner
    line = line - 0.05 * a["upper_lip"] * arch - 0.07 * a["chin_raise"] * arch
    open_ = 0.15 * speech[:, None] * (1 - 0.55 * a["press"].clip(0, 1))
    open_ = (open_ + 0.15 * a["jaw"] + 0.06 * a["upper_lip"] + 0.03 * a["corner_up"]).clip(0.006)
    box = arch ** (1 - 0.5 * np.clip(a["upper_lip"] + a["stretch"], 0, 1))
    top = line - 0.35 * open_ * box
    bottom = line + 0.65 * open_ * box + 0.09 * a["lower_lip"] * box
    thin = (1 - 0.72 * a["press"].clip(0, 1)) * (1 - 0.45 * a["tighten"].clip(0, 1))
    bow = arch**0.8 * (1 - 0.18 * np.exp(-((across / 0.12) ** 2)))
    lip_top = top - look.lip * thin * bow
    lip_bottom = bottom + 1.35 * look.lip * thin * arch**0.7
    lips = (0.75 * look.skin[0], 0.62 * look.skin[1], 0.82 * look.skin[2])
    bite = np.minimum(0.055, 0.6 * open_) * (0.4 + 0.6 * np.clip(
        a["corner_up"] + a["upper_lip"] + a["stretch"], 0, 1))  # fmt: skip
    dimple_x = np.array([[0.02, 0.07]]) + look.mouth_width * spread
    dimple_y = look.mouth_y + 0.7 * corner + np.array([[-0.05, 0.05]])
    boss = 0.02 * a["corner_down"] + 0.06 * a["chin_raise"]
    chin = _shape(0.2 * across, look.mouth_y + 0.24 + 0.05 * across**2 - boss)
    rim = _shape(0.8 * x, lip_bottom + 0.03)
    bared = 0.05 * a["lower_lip"].clip(0, 1) * box
    lower_teeth = Stroke(_band(0.85 * x, bottom - bared, bottom), (176, 188, 194))
    return [
        Stroke(_both_sides(_shape(dimple_x, dimple_y)),
               depth=0.15 * look.creases + 0.7 * act["press"] + 0.5 * act["corner_down"]
               + 0.6 * act["tighten"]),
        Stroke(chin, depth=0.6 * act["corner_down"] + 0.2 * act["press"] + act["chin_raise"]),
        Stroke(rim, depth=0.2 + 0.4 * act["press"]),
        Stroke(_band(x, lip_top, line), _dim(lips, 0.85)),
        Stroke(_band(x, line, lip_bottom), lips),
        Stroke(_band(x, top, bottom), (26, 22, 48)),
        Stroke(_band(0.92 * x, top, top + bite * box), (182, 194, 200)),
        *([lower_teeth] if act["lower_lip"].any() else []),  # a band of no height is a line
    ]  # fmt: skip
