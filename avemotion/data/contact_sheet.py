"""A contact sheet of a feature store: what the networks see, the clips with the fewest faces first.

Each clip is a strip: some frames of view 0 at their true size, 80 x 98 pixels, and its log-mel of
5 s beside them. Of each actor the worst clips are shown, so that a bad crop strikes the eye.
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
from avemotion.data.store import USABLE, FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.files import write_atomically

if TYPE_CHECKING:  # matplotlib is loaded only when something is drawn
    from matplotlib.figure import Figure

CLIPS = 96
"""About how many clips a sheet holds: more are too many to look at."""

FRAMES = (0, 6, 13, 19)
"""Frames of view 0 that a strip shows."""

_COLUMNS = 3
_MEL_WIDTH = 128
_GAP, _MARGIN, _CAPTION = 14, 20, 18  # pixels
_SEAM = 2
_STRIP_WIDTH = len(FRAMES) * (FACE_WIDTH + _SEAM) + _SEAM + _MEL_WIDTH
_LISTED = 4  # failed clips that are named
_QUIET_DB, _LOUD_DB = 20.0, 90.0  # of the log-mel: white and black
_INK, _MUTED, _WARNING = "#1d1d1b", "#64645e", "#a3290f"
_MEANS = {
    "av": "with face and voice",
    "video": "with a face alone",
    "audio": "with a voice alone",
    "excluded": "known to be bad",
    "failed": "failed",
}
_BLANK = 240  # grey of a missing face, and of silence
_DOTS_PER_INCH = 72  # so that a point of text is a pixel


@dataclass(frozen=True, slots=True)
class Layout:
    """Which clips stand where."""

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
    """Return what clips are sorted by: those with the fewest faces in their video come first.

    Then those whose face was found on the smallest share of the key frames, since its box rests on
    these; clips that never had a video come last.
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
    """Return what stands above a strip, at its left and right, and whether it is a warning."""
    name = f"{row.actor}   {row.clip}   {row.emotion}"
    if not row.video_file:
        return name, "no video", False
    found = f"found {row.faces_found}/{FACE_FRAMES}"
    if row.searched_frames_with_face < row.searched_frames:
        found += f", key frames {row.searched_frames_with_face}/{row.searched_frames}"
    thin = row.searched_frames_with_face * 2 < row.searched_frames
    return name, found, thin or row.faces_found < FACE_FRAMES


def heading(store: FeatureStore, layout: Layout) -> list[str]:
    """Return the lines above the strips: what the store holds, and what is shown of it."""
    counts = Counter(row.status for row in store.rows)
    actors = len({row.actor for row in store.rows})
    synthetic = " (SYNTHETIC: drawn faces and synthesised voices)" if store.synthetic else ""
    parts = [f"{counts[status]:,} {what}" for status, what in _MEANS.items() if counts[status]]
    which = "the clip" if layout.each == 1 else f"up to {layout.each} clips"
    of = "each actor" if layout.actors == actors else f"each of {layout.actors} actors"
    lines = [
        f"{store.info['corpus']}: {len(store.rows):,} clips of {actors} actors{synthetic}",
        ", ".join(parts),
        f"Of {of}, {which} with the fewest faces found, worst first. "
        f"{len(FRAMES)} of {FACE_FRAMES} frames of view 0; log-mel of 5 s, low frequencies below.",
    ]
    failed = [row.clip for row in store.rows if row.status == "failed"]
    if failed:
        more = f" and {len(failed) - _LISTED} more" if len(failed) > _LISTED else ""
        named = ", ".join(failed[:_LISTED])
        lines.insert(2, f"Failed: {named}{more}; manifest.csv says why.")
    return lines


def check_preview(path: Path) -> None:
    """Refuse a path that no sheet can be written to.

    Raises:
        UsageError: It does not end in .png, is a folder, or lies in what is no folder.
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
    """Put pictures into one array, pixel by pixel, and letters above it."""
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    lines = heading(store, layout)
    top = _MARGIN + 18 * len(lines) + _GAP
    row_height = _CAPTION + FACE_HEIGHT + _GAP
    height = top + len(layout.rows) * row_height + _MARGIN
    columns = max(layout.columns, 2)  # the heading needs the width
    width = 2 * _MARGIN + columns * (_STRIP_WIDTH + _GAP) - _GAP
    sheet = np.full((height, width, 3), 255, np.uint8)
    figure = Figure(figsize=(width / _DOTS_PER_INCH, height / _DOTS_PER_INCH), dpi=_DOTS_PER_INCH)

    def write(x: int, y: int, text: str, **look: Any) -> None:
        """Write text whose lower edge lies on pixel row `y`."""
        figure.text(x / width, 1 - y / height, text, parse_math=False, **look)

    for number, line in enumerate(lines):
        weight = "bold" if number == 0 else "normal"
        write(_MARGIN, _MARGIN + 18 * number + 12, line, fontsize=12, color=_INK, weight=weight)
    for r, clips in enumerate(layout.rows):
        for c, row in enumerate(clips):
            x, y = _MARGIN + c * (_STRIP_WIDTH + _GAP), top + r * row_height + _CAPTION
            sheet[y : y + FACE_HEIGHT, x : x + _STRIP_WIDTH] = _strip(store, row)[..., None]
            name, found, warns = caption(row)
            write(x, y - 5, name, fontsize=11, color=_INK)
            for status, part, missing in (
                ("audio", len(FRAMES) * (FACE_WIDTH + _SEAM) // 2, "no face"),
                ("video", _STRIP_WIDTH - _MEL_WIDTH // 2, "no sound"),
            ):
                if row.status == status:
                    centre = {"ha": "center", "va": "center", "color": _MUTED}
                    write(x + part, y + FACE_HEIGHT // 2, missing, fontsize=11, **centre)
            look = {"color": _WARNING, "weight": "bold"} if warns else {"color": _MUTED}
            write(x + _STRIP_WIDTH, y - 5, found, fontsize=11, ha="right", **look)
    figure.figimage(sheet, origin="upper", zorder=-1)
    return figure


def _strip(store: FeatureStore, row: ManifestRow) -> NDArray[np.uint8]:
    """Return a clip's frames and log-mel side by side, uint8 (98, width)."""
    strip = np.full((FACE_HEIGHT, _STRIP_WIDTH), 255, np.uint8)
    faces = store.read(row, "faces")[0, list(FRAMES)]
    for number, face in enumerate(faces):
        x = number * (FACE_WIDTH + _SEAM)
        strip[:, x : x + FACE_WIDTH] = face if faces.any() else _BLANK
    log_mel = store.read(row, "log_mels")[0].astype(np.float32)
    strip[:, -_MEL_WIDTH:] = _ink(log_mel)
    return strip


def _ink(log_mel: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Draw a log-mel, float32 (64, 500), dark where it is loud, high frequencies at the top."""
    size = (_MEL_WIDTH, FACE_HEIGHT)
    resized = cv2.resize(log_mel[::-1], size, interpolation=cv2.INTER_AREA)
    loudness = np.clip((resized - _QUIET_DB) / (_LOUD_DB - _QUIET_DB), 0, 1)
    return np.asarray(_BLANK * (1 - loudness), np.uint8)
