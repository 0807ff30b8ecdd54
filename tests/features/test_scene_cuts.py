"""A cut is told from movement, noise and light."""

import numpy as np
import pytest
from media_maker import noise_frames

from avemotion.features.scene_cuts import SceneCuts, cuts_among
from avemotion.media.reader import read_frames

SHAPE = (20, 80, 120)


@pytest.fixture(scope="module")
def scenes() -> np.ndarray:
    """Two still pictures, of ten frames each, with noise."""
    pictures = noise_frames(2, *SHAPE[1:], smooth=20).astype(float)
    rng = np.random.default_rng(0)
    noisy = pictures[[0] * 10 + [1] * 10] + rng.normal(0, 3, SHAPE)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def test_a_cut_is_found_at_its_frame(scenes):
    assert cuts_among(scenes) == [10]


def test_movement_and_light_are_no_cut(scenes, real_videos):
    lamp = scenes[:10] // 2
    lamp[5:] += 60
    assert cuts_among(lamp) == []
    moving = np.stack([np.roll(scenes[0], 3 * i, axis=1) for i in range(20)])
    assert cuts_among(moving) == []
    for path in real_videos:
        assert cuts_among(read_frames(path, lambda n: np.arange(0, n, 4)).frames) == []


def test_frames_that_repeat_and_single_ones_have_no_cut(scenes):
    assert cuts_among(scenes[:1]) == cuts_among(np.repeat(scenes[:1], 20, axis=0)) == []
    assert cuts_among(np.repeat(scenes[[0, 10]], 10, axis=0)) == [10]


def test_overlapping_windows_see_a_cut_once(scenes):
    cuts = SceneCuts()
    cuts.add(scenes, [0.1 * i for i in range(20)])
    cuts.add(scenes[4:16], [0.1 * i for i in range(4, 16)])
    assert cuts.any_between(0.9, 1.0) and cuts.any_between(1.5, 0.2)
    assert not cuts.any_between(0.0, 0.9) and not cuts.any_between(1.0, 1.9)
