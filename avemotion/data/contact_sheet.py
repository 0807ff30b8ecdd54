"""A contact sheet of a feature store: what the networks see, the clips with the fewest faces first.

Each clip is a strip: some frames of view 0 at their true size, 80 x 98 pixels, and its log-mel
beside them. Of each actor the worst clips are shown, so that a bad crop strikes the eye.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH
from avemotion.data.spectrogram_plot import draw_spectrogram
from avemotion.data.store import STATUS_WORDS, USABLE, FeatureStore, ManifestRow
from avemotion.errors import UsageError, counted
from avemotion.features.table import feature
from avemotion.files import write_atomically

if TYPE_CHECKING:  # matplotlib is loaded only when something is drawn
    from matplotlib.figure import Figure

CLIPS = 96
"""About how many clips a sheet holds: more are too many to look at."""

FRAMES = (0, 6, 13, 19)
"""Frames of view 0 that a strip shows."""

_COLUMNS = 3
# In pixels:
_LINE, _GAP, _MARGIN, _CAPTION, _TICK_LABELS = 18, 14, 20, 18, 14
_SEAM, _FREQUENCIES, _MEL_WIDTH = 2, 34, 150
_FACES_WIDTH = len(FRAMES) * (FACE_WIDTH + _SEAM)
_STRIP_WIDTH = _FACES_WIDTH + _FREQUENCIES + _MEL_WIDTH
_LISTED = 4  # failed clips that are named
_LIMITS_DB = (30.0, 105.0)  # of a log-mel: the same for all clips, so that quiet ones show
_INK, _MUTED, _WARNING = "#1d1d1b", "#64645e", "#a3290f"
_BLANK = 240  # grey of missing faces
_DOTS_PER_INCH = 72  # so that a point of text is a pixel


@dataclass(frozen=True, slots=True)
class Layout:
    """The arrangement of the clips."""

    rows: tuple[tuple[ManifestRow, ...], ...]
    """The clips of each row of strips, from the top."""
    each: int
    """Clips shown of an actor, at most."""
    actors: int
    """Actors that are shown."""

    @property
    def columns(self) -> int:
        """Strips in the widest row."""
        return max(map(len, self.rows), default=1)


def badness(row: ManifestRow) -> tuple[bool, int, float, str]:
    """Return the key to sort clips by: those with the fewest faces in their video come first.

    Then those whose face was found on the smallest share of the searched frames, since its box
    rests on these; clips that never had a video come last.
    """
    share = row.searched_frames_with_face / row.searched_frames if row.searched_frames else 1.0
    return not row.video_file, row.faces_found, share, row.clip


def lay_out(rows: Sequence[ManifestRow], clips: int = CLIPS) -> Layout:
    """Choose the worst clips of each actor, the actor with the worst clip first.

    An actor has a row of strips; where each has a single one, several share a row.

    Args:
        rows: The manifest; clips without features are left out.
        clips: How many to show, at most; where there are more actors, the worst of them.
    """
    by_actor: dict[str, list[ManifestRow]] = {}
    for row in sorted((row for row in rows if row.status in USABLE), key=badness):
        by_actor.setdefault(row.actor, []).append(row)
    actors = list(by_actor.values())[:clips]  # in the order of their worst clips
    each = min(_COLUMNS, max(1, clips // max(1, len(actors))))
    strips = [tuple(found[:each]) for found in actors]
    if each == 1:
        flat = [row for strip in strips for row in strip]
        strips = [tuple(flat[i : i + _COLUMNS]) for i in range(0, len(flat), _COLUMNS)]
    return Layout(tuple(strips), each, len(actors))


def caption(row: ManifestRow) -> tuple[str, str, bool]:
    """Return the text above a strip, left and right, and whether it is a warning."""
    name = f"{row.actor}   {row.clip}   {row.emotion}"
    if not row.video_file:
        return name, "no video", False
    found = f"found {row.faces_found}/{FACE_FRAMES}"
    if row.searched_frames_with_face < row.searched_frames:
        found += f", in {row.searched_frames_with_face}/{row.searched_frames} searched"
    thin = row.searched_frames_with_face * 2 < row.searched_frames
    return name, found, thin or row.faces_found < FACE_FRAMES


def heading(store: FeatureStore, layout: Layout) -> list[str]:
    """Return the lines above the strips: the content of the store, and what is shown of it."""
    counts = Counter(row.status for row in store.rows)
    actors = len({row.actor for row in store.rows})
    synthetic = " (SYNTHETIC: drawn faces and synthesised voices)" if store.synthetic else ""
    parts = [f"{counts[s]:,} {words}" for s, words in STATUS_WORDS.items() if counts[s]]
    which = "the clip" if layout.each == 1 else f"up to {layout.each} clips"
    of = "each actor" if layout.actors == actors else f"each of {layout.actors} actors"
    lines = [
        f"{store.info['corpus']}: {counted(len(store.rows), 'clip')} of "
        f"{counted(actors, 'actor')}{synthetic}",
        ", ".join(parts),
        f"Of {of}, {which} with the fewest faces found, worst first. "
        f"{len(FRAMES)} of {FACE_FRAMES} frames of view 0, and the {_title(store)}.",
    ]
    failed = [row.clip for row in store.rows if row.status == "failed"]
    if failed:
        more = f" and {len(failed) - _LISTED} more" if len(failed) > _LISTED else ""
        named = ", ".join(failed[:_LISTED])
        lines.insert(2, f"Failed: {named}{more}; see manifest.csv for the reasons.")
    return lines


def check_preview(path: Path) -> None:
    """Check that a sheet can be written to a path.

    Raises:
        UsageError: It does not end in .png, is a folder, or lies in something that is no folder.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"--preview is {path}, but must end in .png.")
    if path.is_dir() or any(parent.is_file() for parent in path.parents):
        raise UsageError(f"--preview is {path}, but no file can be written there.")


def draw_preview(store: FeatureStore, path: Path, *, clips: int = CLIPS) -> None:
    """Draw the sheet of a store.

    Args:
        store: A finished store; nothing else is read.
        path: The PNG to write; its folder is made.
        clips: How many clips to show, at most.

    Raises:
        UsageError: `path` cannot be such a file, or the store is damaged.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    check_preview(path)
    layout = lay_out(store.rows, clips)
    # Drawn by itself: a user's matplotlibrc may make `savefig` scale or crop.
    canvas = FigureCanvasAgg(_figure(store, layout))
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Software": None}  # the same store gives the same bytes

    def write(temporary: Path) -> None:
        canvas.print_png(temporary, metadata=metadata)  # type: ignore[no-untyped-call]

    write_atomically(path, write)


def _figure(store: FeatureStore, layout: Layout) -> Figure:
    """Draw the heading and the strips."""
    lines = heading(store, layout)
    top = _MARGIN + _LINE * len(lines) + _GAP
    row_height = _CAPTION + FACE_HEIGHT + _TICK_LABELS + _GAP
    columns = max(layout.columns, 2)  # the heading needs the width
    sheet = _Sheet(
        width=2 * _MARGIN + columns * (_STRIP_WIDTH + _GAP) - _GAP,
        height=top + len(layout.rows) * row_height + _MARGIN - _GAP,
    )
    for number, line in enumerate(lines):
        weight = "bold" if number == 0 else "normal"
        y = _MARGIN + _LINE * number + 12
        sheet.write(_MARGIN, y, line, fontsize=12, color=_INK, weight=weight)
    for r, clips in enumerate(layout.rows):
        for c, row in enumerate(clips):
            x, y = _MARGIN + c * (_STRIP_WIDTH + _GAP), top + r * row_height + _CAPTION
            sheet.add_strip(store, row, x, y)
    sheet.figure.figimage(sheet.faces, origin="upper", zorder=-1)
    return sheet.figure


class _Sheet:
    """A figure for captions and spectrograms, and the pixels of the faces under it."""

    def __init__(self, width: int, height: int) -> None:
        from matplotlib.figure import Figure  # not pyplot: no display, no global state

        self.size = (width, height)
        inches = (width / _DOTS_PER_INCH, height / _DOTS_PER_INCH)
        self.figure = Figure(figsize=inches, dpi=_DOTS_PER_INCH)
        self.faces = np.full((height, width, 3), 255, np.uint8)

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write text whose lower edge lies on pixel row `y`."""
        width, height = self.size
        self.figure.text(x / width, 1 - y / height, text, parse_math=False, **style)

    def add_strip(self, store: FeatureStore, row: ManifestRow, x: int, y: int) -> None:
        """Draw a clip: caption, faces (upper left corner at `x`, `y`) and log-mel."""
        name, found, warns = caption(row)
        style = {"color": _WARNING, "weight": "bold"} if warns else {"color": _MUTED}
        self.write(x, y - 5, name, fontsize=11, color=_INK)
        self.write(x + _STRIP_WIDTH, y - 5, found, fontsize=11, ha="right", **style)
        centre = y + FACE_HEIGHT / 2
        note: dict[str, Any] = {"fontsize": 11, "color": _MUTED, "ha": "center", "va": "center"}
        strip = self.faces[y : y + FACE_HEIGHT, x : x + _FACES_WIDTH]
        stored = store.settings.features
        faces = next((name for name in ("faces", "stills", "image") if name in stored), "")
        if row.status == "audio" or not faces:
            strip[:] = _BLANK
            why = "no face" if row.status == "audio" else "faces are not stored"
            self.write(x + _FACES_WIDTH / 2, centre, why, **note)
        else:
            strip[:] = _side_by_side(_frames(store.read(row, faces)[0]))[..., None]
        left = x + _STRIP_WIDTH - _MEL_WIDTH
        sound = _drawn_sound(store)
        if row.status == "video" or not sound:
            why = "no sound" if row.status == "video" else "no spectrogram"
            self.write(left + _MEL_WIDTH / 2, centre, why, **note)
            return
        about = feature(sound).axes
        assert about
        width, height = self.size
        box = (left, height - y - FACE_HEIGHT, _MEL_WIDTH, FACE_HEIGHT)
        axes = self.figure.add_axes(tuple(np.divide(box, (width, height, width, height))))
        length = int(store.read(row, f"{sound}_lengths"))
        spectrogram = store.read(row, sound)[:, :length]
        draw_spectrogram(
            axes, spectrogram, sound, limits_db=_LIMITS_DB if about.columns_a_second else None
        )
        axes.tick_params(labelsize=9, labelcolor=_MUTED, length=2, width=0.5, pad=2)


def _title(store: FeatureStore) -> str:
    """Return the name of the drawn spectrogram in words."""
    return _drawn_sound(store).replace("_", "-") or "sound"


def _drawn_sound(store: FeatureStore) -> str:
    """Return the spectrogram of a store that shows most: its last one; "" for none."""
    found = store.settings.features
    return next((name for name in reversed(found) if feature(name).kind == "spectrogram"), "")


def _frames(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return some frames of a view, uint8 (frame, 98, 80); a picture stands for all of them."""
    some = faces[list(FRAMES)] if faces.ndim == 3 else [faces] * len(FRAMES)
    return np.stack([_fitted(face) for face in some])


def _fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Resize an image of any size into uint8 (98, 80), with blank borders."""
    rows, columns = image.shape
    scale = min(FACE_HEIGHT / rows, FACE_WIDTH / columns)
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    fitted = np.full((FACE_HEIGHT, FACE_WIDTH), _BLANK, np.uint8)
    top, left = (FACE_HEIGHT - height) // 2, (FACE_WIDTH - width) // 2
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    fitted[top : top + height, left : left + width] = resized
    return fitted


def _side_by_side(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return faces, uint8 (frame, 98, 80), beside each other, uint8 (98, width), with seams."""
    seams = np.pad(faces, ((0, 0), (0, 0), (0, _SEAM)), constant_values=255)
    return np.hstack(list(seams))
