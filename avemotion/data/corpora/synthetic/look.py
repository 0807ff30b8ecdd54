"""The appearance of a synthetic actor: lengths in face units, colours, light, background.

One face unit is half a face width, about 55 pixels; the origin lies between the eyes, x to the
right, y down. Proportions follow real CREMA-D frames: chin near 1.45, top of the skull near -1.4.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 480, 360
"""Frame size of CREMA-D in pixels."""

Colour = tuple[float, float, float]
"""Blue, green, red, each 0 to 255."""
FloatImage = npt.NDArray[np.float32]
ByteImage = npt.NDArray[np.uint8]

_SKINS: tuple[Colour, ...] = (
    (160, 187, 232), (140, 170, 222), (125, 155, 208), (105, 140, 196),
    (95, 125, 180), (82, 110, 160),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (28, 26, 30), (30, 40, 58), (38, 62, 96), (50, 90, 140), (120, 125, 130), (70, 75, 80),
)  # fmt: skip
_BACKDROPS: tuple[Colour, ...] = (
    (70, 150, 75), (120, 110, 80), (140, 140, 135), (90, 120, 110), (150, 120, 95), (85, 95, 120),
)  # fmt: skip
_IRISES: tuple[Colour, ...] = ((40, 60, 85), (95, 85, 60), (60, 85, 70), (30, 38, 52))


@dataclass(frozen=True)
class Look:
    """One actor's appearance; lengths in face units unless stated otherwise."""

    scale: float
    """Pixels a face unit."""
    centre: tuple[float, float]
    """Where the point between the eyes is in the frame, x and y in pixels."""
    half_width: float
    """Half the width of the face."""
    chin: float
    """y of the chin."""
    jaw: float
    """Exponent of the outline below the eyes: 2 is an ellipse, more is squarer."""
    hairline: float
    """y of the hairline above the nose; negative is up."""
    long_hair: float
    """How far the hair falls beside the face, y; below 0 it stays short."""
    eye_x: float
    """Distance of an eye from the middle."""
    eye_width: float
    """Half the width of an eye."""
    eye_open: float
    """Half the opening of an eye at rest."""
    brow_y: float
    """y of the brows at rest."""
    brow_tilt: float
    """How much lower the outer end of a brow is than the inner one."""
    brow_thick: float
    """Thickness of the brows at the inner end."""
    nose_y: float
    """y of the nostrils."""
    nose_width: float
    """Half the width of the nose at the nostrils."""
    mouth_y: float
    """y of the mouth."""
    mouth_width: float
    """Half the width of the mouth."""
    mouth_curve: float
    """How much lower the corners of the mouth are at rest."""
    lip: float
    """Thickness of the upper lip."""
    creases: float
    """How deep the lines of the resting face are, 0 to 1: age."""
    stubble: float
    """Darkening of the lower face, 0 to 0.2."""
    skin: Colour
    hair: Colour
    iris: Colour
    backdrop: Colour
    shirt: Colour
    light: float
    """Where the light comes from: sideways component, -1 (left) to 1 (right)."""


def _tinted(colours: tuple[Colour, ...], rng: np.random.Generator, spread: float) -> Colour:
    """Pick a colour and change its brightness and tint a little."""
    picked = np.array(colours[int(rng.integers(len(colours)))])
    blue, green, red = np.clip(picked * rng.uniform(1 - spread, 1 + spread, 3), 5, 250)
    return float(blue), float(green), float(red)


def draw_look(rng: np.random.Generator) -> Look:
    """Draw one actor's appearance from the actor's own generator."""
    return Look(
        scale=rng.uniform(50, 62),
        centre=(rng.uniform(205, 270), rng.uniform(125, 150)),
        half_width=rng.uniform(0.92, 1.04),
        chin=rng.uniform(1.36, 1.54),
        jaw=rng.uniform(2.0, 2.7),
        hairline=rng.uniform(-1.0, -0.76),
        long_hair=float(rng.choice([-1.0, rng.uniform(0.6, 1.5)])),
        eye_x=rng.uniform(0.41, 0.46),
        eye_width=rng.uniform(0.18, 0.215),
        eye_open=rng.uniform(0.058, 0.092),
        brow_y=rng.uniform(-0.36, -0.24),
        brow_tilt=rng.uniform(-0.09, 0.1),
        brow_thick=rng.uniform(0.05, 0.085),
        nose_y=rng.uniform(0.52, 0.62),
        nose_width=rng.uniform(0.17, 0.23),
        mouth_y=rng.uniform(0.88, 1.02),
        mouth_width=rng.uniform(0.28, 0.4),
        mouth_curve=rng.uniform(-0.05, 0.065),
        lip=rng.uniform(0.035, 0.08),
        creases=rng.uniform(0.1, 0.7),
        stubble=max(0.0, rng.uniform(-0.15, 0.15)),
        skin=_tinted(_SKINS, rng, 0.05),
        hair=_tinted(_HAIRS, rng, 0.15),
        iris=_tinted(_IRISES, rng, 0.15),
        backdrop=_tinted(_BACKDROPS, rng, 0.12),
        shirt=_tinted(_BACKDROPS, rng, 0.5),
        light=rng.uniform(-0.7, 0.7),
    )


@dataclass(frozen=True)
class Head:
    """A head without the parts that move: what each frame is drawn upon."""

    skin: ByteImage
    """uint8 (height, width, 3), BGR: shaded skin, ears, hair; values below the alpha's edge too."""
    alpha: FloatImage
    """float32 (height, width) in [0, 1]: where the head covers the backdrop."""
    origin: tuple[float, float]
    """Where the point between the eyes lies in `skin`, x and y in pixels."""


def _blob(
    x: FloatImage, y: FloatImage, at: tuple[float, float], spread: tuple[float, float]
) -> FloatImage:
    """A soft spot of height 1: a Gaussian around `at`; x (1, width), y (height, 1)."""
    across = np.exp(-0.5 * ((x - at[0]) / spread[0]) ** 2)
    down = np.exp(-0.5 * ((y - at[1]) / spread[1]) ** 2)
    spot: FloatImage = across * down
    return spot


def _relief(look: Look, x: FloatImage, y: FloatImage, light: float) -> FloatImage:
    """Brightness of the skin, about 0.4 to 1.2: an ellipsoid under the light, sockets, nose."""
    across = x / (1.25 * look.half_width)
    down = (y - 0.1) / 1.9
    depth = np.sqrt(np.clip(1 - across**2 - down**2, 0.05, 1))
    shade = 0.55 + 0.5 * np.clip(0.35 * light * across - 0.3 * down + 0.85 * depth, 0, 1)
    side = 1.0 if light > 0 else -1.0
    for eye in (-1.0, 1.0):
        shade = shade * (1 - 0.34 * _blob(x, y, (eye * look.eye_x, -0.04), (0.21, 0.12)))
        # The inner corner beside the nose is the darkest part of a socket.
        shade = shade * (1 - 0.2 * _blob(x, y, (eye * 0.2, -0.03), (0.07, 0.12)))
        shade = shade * (1 + 0.09 * _blob(x, y, (eye * 0.52, 0.42), (0.2, 0.17)))
        wing = (eye * look.nose_width, look.nose_y - 0.03)
        shade = shade * (1 - 0.18 * _blob(x, y, wing, (0.045, 0.07)))
    shade = shade * (1 - 0.14 * abs(light) * _blob(x, y, (-side * 0.15, 0.28), (0.06, 0.24)))
    shade = shade * (1 + 0.14 * _blob(x, y, (0.0, 0.2), (0.055, 0.3)))
    shade = shade * (1 - 0.22 * _blob(x, y, (0.0, look.nose_y + 0.07), (0.16, 0.045)))
    under_lip = (0.0, look.mouth_y + 0.2)
    shade = shade * (1 - 0.14 * _blob(x, y, under_lip, (0.2, 0.05)))
    shade = shade * (1 + 0.07 * _blob(x, y, (0.0, -0.55), (0.4, 0.2)))
    beard = _blob(x, y, (0.0, 1.1), (0.6, 0.3))
    lit: FloatImage = (shade * (1 - look.stubble * beard)).astype(np.float32)
    return lit


def _outline(look: Look, top: float, grow: float) -> FloatImage:
    """The head's contour, float32 (points, 2) in face units, `grow` times as wide."""
    angle = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    across, down = np.cos(angle), np.sin(angle)
    power = np.where(down > 0, 2 / look.jaw, 1.0)
    x = look.half_width * grow * np.sign(across) * np.abs(across) ** power
    y = np.where(down > 0, look.chin, -top * grow) * np.abs(down) ** np.where(down > 0, 0.92, 1.0)
    points: FloatImage = np.stack([x, y], axis=1).astype(np.float32)
    return points


def build_head(look: Look, light: float, rng: np.random.Generator) -> Head:
    """Shade one actor's head for one clip.

    Args:
        look: the actor.
        light: sideways direction of the light in this clip, -1 to 1.
        rng: the clip's generator (the grain of skin and hair).
    """
    scale = look.scale
    width, height = round(2.8 * scale), round(3.4 * scale)
    origin = (width / 2, 1.74 * scale)
    x = ((np.arange(width, dtype=np.float32) - origin[0]) / scale)[None, :]
    y = ((np.arange(height, dtype=np.float32) - origin[1]) / scale)[:, None]

    def mask(points: FloatImage, blur: float) -> FloatImage:
        """Fill a contour given in face units; float32 (height, width, 1), soft at the edge."""
        canvas = np.zeros((height, width), np.uint8)
        pixels = np.round((points * scale + np.array(origin)) * 16).astype(np.int32)
        cv2.fillPoly(canvas, [pixels], 255, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(canvas, (0, 0), blur).astype(np.float32)[..., None]
        return np.asarray(soft / 255, np.float32)

    grain = rng.normal(0, 1, (height, width, 1)).astype(np.float32)
    skin = _relief(look, x, y, light)[..., None] * np.array(look.skin, np.float32)
    skin = skin * (1 + 0.02 * grain)
    streaks = cv2.GaussianBlur(grain, (0, 0), sigmaX=0.8, sigmaY=6)[..., None]
    gloss = (0.9 + 0.35 * _blob(x, y, (0.4 * light, -1.2), (0.5, 0.25)))[..., None] + 0.5 * streaks
    hair = gloss * np.array(look.hair, np.float32)

    face = mask(_outline(look, 1.36, 1.0), 1.0)
    for ear in (-1.0, 1.0):
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        oval = np.stack([0.1 * np.cos(angle), 0.22 * np.sin(angle)], 1).astype(np.float32)
        lobe = mask(oval + np.array([ear * (look.half_width + 0.03), 0.12], np.float32), 1.0)
        face = np.maximum(face, lobe)
    crown = mask(_outline(look, 1.42, 1.04), 1.2)
    curve = look.hairline + 0.75 * np.abs(x / look.half_width) ** 3.2
    crown = crown * np.clip((curve - y) * scale / 3, 0, 1)[..., None]
    behind = np.zeros_like(face)
    if look.long_hair > 0:
        falls = 1.22 * _outline(look, 1.3, 1.0)
        falls[:, 1] = np.minimum(falls[:, 1], look.long_hair)
        behind = mask(falls, 2.0)
    image = hair * (1 - face) + skin * face
    image = image * (1 - crown) + hair * crown
    alpha = np.maximum(np.maximum(face, crown), behind)[..., 0]
    return Head(np.clip(image, 0, 255).astype(np.uint8), alpha, origin)


def build_backdrop(
    look: Look, centre: tuple[float, float], light: float, rng: np.random.Generator
) -> ByteImage:
    """Paint what is behind the head: a draped cloth, the neck, the shoulders.

    Args:
        look: the actor.
        centre: where the point between the eyes rests in this clip, x and y in pixels.
        light: sideways direction of the light, -1 to 1.
        rng: the clip's generator (the folds of the cloth).

    Returns:
        uint8 (360, 480, 3), BGR.
    """
    x = np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
    folds = 1 + np.float32(0.1 * light) * x - np.float32(0.08) * y
    for _ in range(3):
        rate, slant, phase = rng.uniform(2, 7), rng.uniform(-3, 3), rng.uniform(0, 2 * np.pi)
        wave = np.sin(np.float32(rate) * x + np.float32(slant) * y + np.float32(phase))
        folds = folds + np.float32(0.035) * wave
    image = np.clip(folds[..., None] * np.array(look.backdrop, np.float32), 0, 255).astype(np.uint8)
    skin = tuple(0.62 * channel for channel in look.skin)
    for points, colour in (
        ([(-0.5, 0.6), (0.5, 0.6), (0.56, 2.1), (-0.56, 2.1)], skin),
        ([(-0.55, 1.75), (-0.95, 1.95), (-1.9, 2.3), (-2.4, 5), (2.4, 5), (1.9, 2.3),
          (0.95, 1.95), (0.55, 1.75), (0.3, 1.95), (-0.3, 1.95)], look.shirt),
    ):  # fmt: skip
        pixels = np.round((np.array(points) * look.scale + np.array(centre)) * 16)
        cv2.fillPoly(image, [pixels.astype(np.int32)], colour, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.2), np.uint8)
