"""Photographs of phones: HEIC in tiles, put together before a face is sought."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from heic_maker import write_tiled

from avemotion.errors import MediaError
from avemotion.media.decoder import decode
from avemotion.media.sources import as_media


def gradient(width: int, height: int) -> np.ndarray:
    """A picture of which every corner, and every tile, has its own colour."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([across, down, 255 - across], axis=-1).astype(np.uint8)


def read(path: Path) -> np.ndarray:
    frames = decode(path, lambda number: np.arange(number), with_sound=False).frames
    assert frames is not None and len(frames.frames) == 1
    return frames.frames[0]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_the_tiles_are_put_together_upright(turns: int, tmp_path: Path) -> None:
    pixels = gradient(1100, 700)
    write_tiled(tmp_path / "IMG_0001.HEIC", pixels, quarter_turns=turns)
    upright = cv2.cvtColor(np.ascontiguousarray(np.rot90(pixels, turns)), cv2.COLOR_RGB2GRAY)
    found = read(tmp_path / "IMG_0001.HEIC")
    wanted = cv2.resize(upright, found.shape[::-1], interpolation=cv2.INTER_AREA)
    assert found.shape[0] / found.shape[1] == pytest.approx(
        upright.shape[0] / upright.shape[1], 0.01
    )
    assert np.abs(found.astype(float) - wanted).mean() < 3


def test_an_open_file_is_read_as_the_path(tmp_path: Path) -> None:
    write_tiled(tmp_path / "one.heic", gradient(600, 600))
    with (tmp_path / "one.heic").open("rb") as file:
        frames = decode(as_media(file), lambda number: np.arange(number), with_sound=False).frames
    np.testing.assert_array_equal(frames.frames[0], read(tmp_path / "one.heic"))


def test_a_damaged_photograph_is_refused(tmp_path: Path) -> None:
    write_tiled(tmp_path / "whole.heic", gradient(1100, 700))
    content = (tmp_path / "whole.heic").read_bytes()
    (tmp_path / "cut.heic").write_bytes(content[: content.index(b"mdat") + 200])
    with pytest.raises(MediaError, match=r"cut.heic"):
        read(tmp_path / "cut.heic")


def test_a_photograph_that_is_too_large_is_not_decoded(tmp_path: Path) -> None:
    write_tiled(tmp_path / "huge.heic", gradient(600, 600), size=(40_000, 40_000))
    with pytest.raises(MediaError, match=r"huge.heic"):
        read(tmp_path / "huge.heic")
