"""Frames come out upright, whatever display matrix a file has."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_maker import noise_frames

from avemotion.config import TimelineSettings
from avemotion.features.face_detection import find_face
from avemotion.media.reader import read_frames
from avemotion.media.windows import stream_windows

ORIENTATIONS = {
    "upright": (1, 0, 0, 1),
    "90 degrees": (0, 1, -1, 0),
    "180 degrees": (-1, 0, 0, -1),
    "270 degrees": (0, -1, 1, 0),
    "mirrored left to right": (-1, 0, 0, 1),
    "mirrored top to bottom": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transverse": (0, -1, -1, 0),
}
"""a, b, c, d of ISO/IEC 14496-12: column x and row y are shown at (a x + c y, b x + d y)."""


def every(n: int) -> np.ndarray:
    return np.arange(n)


def stored(upright: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Return the frames that the matrix maps to these, pixel by pixel."""
    height, width = upright.shape[1:] if a else upright.shape[:0:-1]
    rows, columns = np.mgrid[:height, :width]
    x, y = a * columns + c * rows, b * columns + d * rows
    return np.ascontiguousarray(upright[:, y - y.min(), x - x.min()])


def write(path: Path, frames: np.ndarray, matrix: tuple[float, ...]) -> Path:
    """Write an MP4 whose tkhd box has this matrix."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=Fraction(30))
        video.height, video.width = frames.shape[1:]
        video.pix_fmt, video.options = "yuv420p", {"qp": "1", "preset": "ultrafast"}
        a, b, c, d = (round(65_536 * value) for value in matrix)
        video.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for grey in frames:
            out.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
        out.mux(video.encode(None))
    words = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    assert b"".join(word.to_bytes(4, "big", signed=True) for word in words) in path.read_bytes()
    return path


@pytest.fixture(scope="module")
def real(real_videos: list[Path]) -> np.ndarray:
    """Twenty frames of an actor."""
    return read_frames(real_videos[0], lambda n: np.arange(20) * 2).frames


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_frames_come_upright_and_the_face_is_found(
    name: str, real: np.ndarray, tmp_path: Path
) -> None:
    matrix = ORIENTATIONS[name]
    path = write(tmp_path / "a.mp4", stored(real, *matrix), matrix)
    video = read_frames(path, every)
    assert video.frames.shape == real.shape and video.scale == (1, 1)
    assert np.abs(video.frames.astype(int) - real).mean() < 2
    here, there = find_face(list(video.frames)), find_face(list(real))
    assert here is not None and there is not None
    assert np.abs(here.box.edges - there.box.edges).max() <= 6
    (window,) = stream_windows(path, TimelineSettings())
    assert window.frames is not None and np.array_equal(window.frames, video.frames)


def test_pixels_that_are_not_square_are_turned_too(tmp_path: Path) -> None:
    """Stored 96 x 128 with pixels twice as high as wide; shown transposed: 128 x 192."""
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as out:
        video = out.add_stream("mjpeg", rate=Fraction(25))
        video.height, video.width, video.pix_fmt = 96, 128, "yuvj420p"
        video.codec_context.sample_aspect_ratio = Fraction(1, 2)
        video.set_display_rotation(90)
        for grey in noise_frames(20):
            out.mux(video.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
        out.mux(video.encode(None))
    video = read_frames(path, every)
    assert video.frames.shape == (20, 128, 192) and video.scale == (1, 0.5)


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, -1), (1, 1, 1, 1)])
def test_a_matrix_without_an_inverse_counts_as_none(
    matrix: tuple[int, ...], tmp_path: Path
) -> None:
    frames = noise_frames(20)
    video = read_frames(write(tmp_path / "a.mp4", frames, matrix), every)
    assert video.frames.shape == frames.shape
    assert np.abs(video.frames.astype(int) - frames).mean() < 2


@pytest.mark.parametrize("degrees, turns", [(10, 0), (45, 0), (80, 3), (-100, 1), (170, 2)])
def test_other_angles_count_as_the_nearest_quarter_turn(
    degrees: int, turns: int, tmp_path: Path
) -> None:
    frames, angle = noise_frames(20), np.radians(degrees)  # clockwise
    matrix = (np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle))
    video = read_frames(write(tmp_path / "a.mp4", frames, matrix), every)
    expected = np.rot90(frames, turns, axes=(1, 2))
    assert video.frames.shape == expected.shape
    assert np.abs(video.frames.astype(int) - expected).mean() < 2


def test_a_matrix_may_also_scale(tmp_path: Path) -> None:
    """Mirrored, and each axis with a scale of its own: FFmpeg takes it for the pixels' shape."""
    frames = noise_frames(20)
    path = write(tmp_path / "a.mp4", frames[:, :, ::-1].copy(), (-2, 0, 0, 1))
    video = read_frames(path, every)
    assert video.frames.shape == (20, 96, 256)
    assert np.abs(video.frames[:, :, 4::16].astype(int) - frames[:, :, 2::8]).mean() < 4
