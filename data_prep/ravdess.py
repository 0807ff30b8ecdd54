"""Fill a feature store with RAVDESS' real voices and line faces drawn from its real landmarks.

    python data_prep/ravdess.py ~/ravdess --out features/ravdess

The folder holds ``speech-16khz.zip`` (the speech takes ``03-01-*`` as 16 kHz mono FLAC) and
``landmarks.npz`` (68 face points of each frame of the same takes); see data_prep/README.md
they come from the official archives. What a network learns from such a store is called "RAVDESS,
landmark video": people's movement without their texture. ``landmarks.csv`` in its folder has
statistics of the movement, which `avemotion embed` takes as a table.

Exit codes: 0 the store is written, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from avemotion.config import FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH, PreprocessSettings
from avemotion.data.corpora import ravdess
from avemotion.data.store import ManifestRow
from avemotion.data.store_writer import StoreWriter, plain_row
from avemotion.data.types import Clip, Corpus
from avemotion.errors import UsageError
from avemotion.features.extraction import view_grids
from avemotion.features.table import ClipSignals
from avemotion.features.types import ClipFeatures
from avemotion.files import claimed, write_csv
from avemotion.media.reader import read_sound
from avemotion.media.types import Box

CORPUS_NAME = "ravdess_landmarks"
"""The store's: its faces are drawings, so it never mixes with one made from the videos."""

SOUNDS_FILE = "speech-16khz.zip"
LANDMARKS_FILE = "landmarks.npz"
TABLE_NAME = "landmarks.csv"
"""Statistics of each take's landmarks, in the folder of the store."""

# Runs of the 68 points (iBUG 300-W order), and whether the line closes.
STROKES: tuple[tuple[int, int, bool], ...] = (
    (0, 17, False),  # jaw
    (17, 22, False),  # brows
    (22, 27, False),
    (27, 31, False),  # nose: bridge, wings
    (31, 36, False),
    (36, 42, True),  # eyes
    (42, 48, True),
    (48, 60, True),  # lips: outer, inner edge
    (60, 68, True),
)

_SCALE = 4  # drawn this much larger and shrunk: lines move by fractions of a pixel
_LINE = 5  # pixels, before shrinking
_SHIFT = 4  # bits of fraction in OpenCV's coordinates


def read_landmarks(path: Path) -> dict[str, NDArray[np.int16]]:
    """Read the face points of all takes.

    Returns:
        Clip -> int16 (frame, 68, 2): x and y in pixels of the 1280 x 720 video.

    Raises:
        UsageError: The file is missing or is no such table.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            points, starts = file["points"], file["start"]
            names = [ravdess.clip_name(name) for name in file["clip"]]
        if not names:
            raise ValueError("it lists no take")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be read ({error}). See data_prep/README.md.") from error
    return {
        name: points[start:stop]
        for name, start, stop in zip(names, starts[:-1], starts[1:], strict=True)
    }


def landmark_statistics(points: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return what a regression reads of a face's movement.

    Args:
        points: int16 (frame, 68, 2), the points of Multi-PIE's scheme.

    Returns:
        float64 (680,): of each coordinate, with 0 between the eyes and their distance as 1, the
        mean, the standard deviation, the mean absolute step, the 10th and the 90th percentile.
    """
    left, right = points[:, 36:42].mean(axis=1), points[:, 42:48].mean(axis=1)
    distance = np.linalg.norm(right - left, axis=1)
    relative = (points - ((left + right) / 2)[:, None]) / distance[:, None, None]
    flat = relative.reshape(len(points), -1)
    steps = np.abs(np.diff(flat, axis=0)) if len(flat) > 1 else np.zeros((1, flat.shape[1]))
    low, high = np.percentile(flat, (10, 90), axis=0)
    return np.concatenate([flat.mean(axis=0), flat.std(axis=0), steps.mean(axis=0), low, high])


def write_table(directory: Path, path: Path) -> None:
    """Write the `landmark_statistics` of all takes as a table with a column ``clip``.

    Raises:
        UsageError: The landmarks are missing or damaged.
    """
    landmarks = read_landmarks(directory / LANDMARKS_FILE)
    values = {clip: landmark_statistics(landmarks[clip]).tolist() for clip in sorted(landmarks)}
    columns = ["clip", *(f"x{i}" for i in range(len(next(iter(values.values())))))]
    write_csv(path, columns, ([clip, *row] for clip, row in values.items()))


def face_box(points: NDArray[np.int16]) -> Box:
    """Return one crop for a take: around the median jaw line and brows, of the crops' shape.

    Args:
        points: int16 (frame, 68, 2).
    """
    left, top = np.median(points.min(axis=1), axis=0)
    right, bottom = np.median(points.max(axis=1), axis=0)
    height = max(bottom - top, (right - left) * FACE_HEIGHT / FACE_WIDTH) * 1.2
    width = height * FACE_WIDTH / FACE_HEIGHT
    x, y = (left + right - width) / 2, (top + bottom - height) / 2
    return Box(round(x), round(y), round(width), round(height))


def draw_faces(points: NDArray[np.int16], box: Box) -> NDArray[np.uint8]:
    """Draw white lines on black through the points.

    Args:
        points: int16 (frame, 68, 2).
        box: What of the video is shown.

    Returns:
        uint8 (frame, 98, 80).
    """
    size = (FACE_WIDTH * _SCALE, FACE_HEIGHT * _SCALE)
    pixels = (points - (box.x, box.y)) * (size[0] / box.width, size[1] / box.height)
    pixels = np.rint(pixels * 2**_SHIFT).astype(np.int32)
    faces = np.empty((len(points), FACE_HEIGHT, FACE_WIDTH), np.uint8)
    for face, frame in zip(faces, pixels, strict=True):
        image = np.zeros(size[::-1], np.uint8)
        for start, stop, closed in STROKES:
            line = [frame[start:stop]]
            cv2.polylines(image, line, closed, 255, _LINE, cv2.LINE_AA, shift=_SHIFT)
        face[:] = cv2.resize(image, (FACE_WIDTH, FACE_HEIGHT), interpolation=cv2.INTER_AREA)
    return faces


def fill(directory: Path, out: Path, settings: PreprocessSettings) -> int:
    """Write the store, or go on where an interrupted run stopped; return the number of takes.

    Raises:
        UsageError: A file is missing or damaged, a take lacks its sound, or `out` holds something
            else.
    """
    landmarks = read_landmarks(directory / LANDMARKS_FILE)
    clips = []
    for name in sorted(landmarks):
        parts = ravdess.parse_name(name)
        if parts is None:
            raise UsageError(
                f"{name!r} in {directory / LANDMARKS_FILE} is no take of RAVDESS' speech."
            )
        clips.append(Clip(name, *parts, video=None, audio=None))
    corpus = Corpus(
        CORPUS_NAME,
        directory,
        ravdess.LABELS,
        tuple(clips),
        demographics=ravdess.demographics(),
    )
    with claimed(out), _opened(directory / SOUNDS_FILE) as sounds:
        writer = StoreWriter.open(out, corpus, settings)
        for actor in tqdm(ravdess.ACTORS, unit="actor"):
            own = [clip for clip in clips if clip.actor == actor]
            if own and not writer.finished(actor):
                writer.add(actor, *_features_of(own, corpus, landmarks, sounds, settings))
    return len(clips)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be read ({error}). See data_prep/README.md.") from error


def _features_of(
    clips: Sequence[Clip],
    corpus: Corpus,
    landmarks: dict[str, NDArray[np.int16]],
    sounds: zipfile.ZipFile,
    settings: PreprocessSettings,
) -> tuple[list[ManifestRow], list[ClipFeatures]]:
    rows, features = [], []
    with tempfile.TemporaryDirectory() as unpacked:
        for clip in clips:
            member = f"03{clip.name[2:]}.flac"
            if member not in sounds.namelist():
                raise UsageError(f"{sounds.filename} lacks {member}, the sound of {clip.name}.")
            samples = read_sound(Path(sounds.extract(member, unpacked))).samples
            points = landmarks[clip.name]
            rows.append(_row(clip, corpus, points, sounds.getinfo(member).file_size))
            grids = view_grids(clip.name, len(points), settings)
            faces = np.stack([draw_faces(points[grid], face_box(points)) for grid in grids])
            signals = ClipSignals(clip.name, settings.seed, faces, samples)
            features.append(ClipFeatures.of(signals, settings.features, settings.views))
    return rows, features


def _row(clip: Clip, corpus: Corpus, points: NDArray[np.int16], sound_bytes: int) -> ManifestRow:
    box = face_box(points)
    return replace(
        plain_row(clip.actor, clip, corpus, "av"),
        frames_decoded=len(points),
        faces_found=FACE_FRAMES,
        face_box=f"{box.x} {box.y} {box.width} {box.height}",
        video_file=LANDMARKS_FILE,
        video_bytes=points.nbytes,
        audio_file=f"03{clip.name[2:]}.flac",
        audio_bytes=sound_bytes,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "directory", type=Path, help=f"folder of {SOUNDS_FILE} and {LANDMARKS_FILE}"
    )
    parser.add_argument("--out", type=Path, default=Path("features"), help="folder of the store")
    options = parser.parse_args(arguments)
    try:
        clips = fill(options.directory, options.out, PreprocessSettings())
        write_table(options.directory, options.out / TABLE_NAME)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{clips} takes in {options.out}: real voices, line faces from real landmarks")
    spec = f"video-table:{options.out / TABLE_NAME}"
    print(f"For a probe of the face: avemotion embed --data {options.out} --encoder {spec}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
