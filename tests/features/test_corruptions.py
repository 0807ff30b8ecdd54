"""Each disturbance against closed forms, scipy and real crops; and the table of conditions."""

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from media_maker import sine

import avemotion
from avemotion.config import PreprocessSettings
from avemotion.data.store import FeatureStore
from avemotion.features.corruptions import (
    CONDITIONS,
    EYE_ROWS,
    MOUTH_ROWS,
    blur,
    conditions_for,
    cover,
    darken,
    drop_frames,
    h264,
    halve,
    move_box,
)
from avemotion.features.waveform_effects import change_tempo, shift_pitch


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def some_faces() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 98, 80), dtype=np.uint8)


@given(
    arrays(np.int16, st.integers(50, 400), elements=st.integers(-3000, 3000)),
    st.sampled_from([name for name, c in CONDITIONS.items() if "SNR" in c.family]),
    st.integers(0, 9),
)
def test_noise_has_the_asked_ratio_to_the_clip(samples: np.ndarray, name: str, seed: int) -> None:
    """Rounding moves no sample by more than a half, so neither the noise's root mean square."""
    condition = CONDITIONS[name]
    voices = [
        np.random.default_rng(i).integers(-900, 900, 99 * (i + 2), np.int16) for i in range(4)
    ]
    assert condition.corrupt and condition.level is not None
    corrupted = condition.corrupt(samples, np.random.default_rng(seed), lambda _: voices)
    assert corrupted.dtype == np.int16 and corrupted.shape == samples.shape
    noise = corrupted.astype(float) - samples
    asked = rms(samples) / 10 ** (condition.level / 20)
    assert abs(rms(noise) - asked) <= 0.5


@pytest.mark.parametrize("voices", [[], [np.zeros(30, np.int16)], [np.ones(30, np.int16)]])
def test_silence_stays_silence(voices: list[np.ndarray]) -> None:
    silence = np.zeros(2000, np.int16)
    with np.errstate(all="raise"):
        for condition in conditions_for("audio"):
            assert condition.corrupt
            corrupted = condition.corrupt(silence, np.random.default_rng(0), lambda _: voices)
            assert not corrupted.any()
            faster = condition.level if condition.family == "tempo (%)" else 0
            assert len(corrupted) == round(len(silence) / (1 + faster / 100))


@pytest.mark.parametrize(
    "name, corrupt",
    [
        ("pitch -10 %", lambda x: shift_pitch(x, 12 * math.log2(0.9))),
        ("pitch +10 %", lambda x: shift_pitch(x, 12 * math.log2(1.1))),
        ("gain -20 dB", lambda x: x / 10),
        ("gain +20 dB", lambda x: x.astype(float) * 10),
        ("tempo -10 %", lambda x: change_tempo(x, 0.9)),
        ("tempo +10 %", lambda x: change_tempo(x, 1.1)),
    ],
)
def test_conditions_of_pitch_tempo_and_gain(name: str, corrupt: Any) -> None:
    tone = (sine(440, 3, 16_000, 0.5) * 32_767).astype(np.int16)
    found = CONDITIONS[name].corrupt
    assert found
    corrupted = found(tone, np.random.default_rng(0), lambda _: [])
    np.testing.assert_allclose(corrupted, corrupt(tone), rtol=1e-12)


def test_numba_waits_until_a_voice_is_changed() -> None:
    code = "import sys, avemotion.evaluation.evaluate\nprint('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]


@pytest.mark.parametrize("share, lost", [(0.25, 5), (0.5, 10), (0.0, 0)])
def test_lost_frames_show_the_last_that_arrived(share: float, lost: int) -> None:
    faces = np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((98, 80), np.uint8)
    ever_lost = np.zeros(20)
    for seed in range(400):
        shown = drop_frames(faces, share, np.random.default_rng(seed))[:, 0, 0]
        arrived = [i for i in range(20) if shown[i] == i]
        assert arrived[0] == 0 and len(arrived) == 20 - lost
        assert shown.tolist() == [max(a for a in arrived if a <= i) for i in range(20)]
        ever_lost[shown != range(20)] += 1
    # Each but the first is lost equally often: 5 standard deviations either way.
    assert ever_lost[1:] / 400 == pytest.approx(lost / 19, abs=0.125)


def test_harsher_loss_contains_the_milder_one() -> None:
    faces = some_faces()
    mild, harsh = (drop_frames(faces, x, np.random.default_rng(3)) for x in (0.25, 0.5))
    lost = [(x != faces).any(axis=(1, 2)) for x in (mild, harsh)]
    assert (lost[0] <= lost[1]).all() and lost[0].sum() == 5 and lost[1].sum() == 10


@pytest.mark.parametrize("sigma", [1, 2, 4])
def test_blur_is_scipys(sigma: float) -> None:
    """OpenCV cuts its 8-bit kernel off at three deviations and rounds its weights."""
    faces = some_faces()
    expected = [
        scipy.ndimage.gaussian_filter(face.astype(float), sigma, mode="nearest", truncate=3)
        for face in faces
    ]
    blurred = blur(faces, sigma)
    assert blurred.dtype == np.uint8
    np.testing.assert_allclose(blurred, expected, atol=1.5)


def test_darkening_scales_the_grey_values() -> None:
    faces = some_faces()
    np.testing.assert_allclose(darken(faces, 0.25), faces / 4, atol=0.5)
    assert darken(faces, 0.5).dtype == np.uint8 and darken(faces, 0.5).max() == 128


def test_a_block_covers_its_rows_alone() -> None:
    faces = some_faces()
    for rows in (EYE_ROWS, MOUTH_ROWS):
        covered = cover(faces, rows)
        assert (covered[:, rows[0] : rows[1]] == 127).all()
        for part in (slice(0, rows[0]), slice(rows[1], None)):
            np.testing.assert_array_equal(covered[:, part], some_faces()[:, part])
    np.testing.assert_array_equal(faces, some_faces())


def eyes(face: np.ndarray) -> list[float]:
    """Rows of the eyes that OpenCV's own detector finds in the crop's upper half."""
    path = Path(cv2.__file__).parent / "data" / "haarcascade_eye.xml"
    large = cv2.resize(face[:55], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    found = cv2.CascadeClassifier(str(path)).detectMultiScale(
        large, 1.05, 6, minSize=(30, 30), maxSize=(90, 90)
    )
    return [(y + height / 2) / 3 for _, y, _, height in found]


@pytest.fixture(scope="module", params=["real", "synthetic"])
def crops(request: Any, tmp_path_factory: Any, small_store: Path) -> np.ndarray:
    """uint8 (clip, 20, 98, 80)."""
    if request.param == "synthetic":
        store = FeatureStore(small_store)
    else:
        corpus = tmp_path_factory.mktemp("faces") / "corpus"
        corpus.mkdir()
        (corpus / "VideoFlash").symlink_to(request.getfixturevalue("crema_d") / "VideoFlash")
        out = corpus.parent / "features"
        avemotion.preprocess(corpus, out=out, settings=PreprocessSettings(views=1), progress=False)
        store = FeatureStore(out)
    return np.stack([store.read(row, "faces")[0] for row in store.usable("video")])


def test_the_blocks_lie_over_eyes_and_mouth(crops: np.ndarray) -> None:
    middle = crops[:, 10]
    rows = [row for face in middle for row in eyes(face)]
    assert len(rows) > len(middle)
    assert EYE_ROWS[0] + 8 < min(rows) and max(rows) < EYE_ROWS[1] - 3
    left = [row for face in cover(middle, EYE_ROWS) for row in eyes(face)]
    assert not [row for row in left if row < EYE_ROWS[1]]  # below, nostrils may pass for eyes
    assert len(left) < len(rows) / 5
    # Of a speaking face's lower half, the mouth moves most.
    motion = np.abs(np.diff(crops[:, :, 50:, 20:60].astype(float), axis=1)).mean(axis=(1, 3))
    peaks = 50 + scipy.ndimage.uniform_filter1d(motion, 9, axis=1).argmax(axis=1)
    assert MOUTH_ROWS[0] + 3 < peaks.min() and peaks.max() < MOUTH_ROWS[1] - 3
    still = np.abs(np.diff(cover(crops[0], MOUTH_ROWS).astype(int), axis=0))
    assert not still[:, MOUTH_ROWS[0] : MOUTH_ROWS[1]].any()


def test_a_box_that_is_off_shows_the_face_beside_its_middle() -> None:
    faces = some_faces()
    for seed in range(20):
        moved = move_box(faces, 0.1, np.random.default_rng(seed))
        found = [
            (down, across)
            for down in range(-10, 11)
            for across in range(-8, 9)
            if np.array_equal(
                moved[:, 10:-10, 8:-8], faces[:, 10 + down : 88 + down, 8 + across : 72 + across]
            )
        ]
        assert len(found) == 1
        ((down, across),) = found
        assert math.hypot(down / 98, across / 80) == pytest.approx(0.1, abs=0.008)


def test_half_the_size_keeps_what_is_large_and_loses_what_is_small() -> None:
    stripes = np.zeros((2, 98, 80), np.uint8)
    stripes[0, :, ::2] = 200  # a pixel wide
    stripes[1, :, (np.arange(80) // 20) % 2 == 1] = 200
    found = halve(stripes)
    assert found.dtype == np.uint8 and found.shape == stripes.shape
    assert found[0].std() < 3 and abs(found[1].astype(int) - stripes[1]).mean() < 6


def test_h264_at_a_low_rate_smears_but_keeps_order_and_size(small_store: Path) -> None:
    store = FeatureStore(small_store)
    faces = store.read(store.rows[0], "faces")[0]
    found = h264(faces, 40)
    assert found.dtype == np.uint8 and found.shape == faces.shape
    distance = np.abs(found[:, None].astype(float) - faces[None]).mean(axis=(2, 3))
    assert 1 < distance.diagonal().mean() < 25
    assert np.abs(h264(faces, 10).astype(float) - faces).mean() < distance.diagonal().mean() / 2
    np.testing.assert_array_equal(found, h264(faces, 40))


def test_networks_meet_what_touches_their_modality() -> None:
    voice = ["gain -20 dB", "gain -10 dB", "gain +10 dB", "gain +20 dB", "1 % clipped"]
    voice += ["10 % clipped", "white noise 20 dB", "white noise 10 dB", "white noise 0 dB"]
    voice += ["babble 20 dB", "babble 10 dB", "babble 0 dB", "telephone band"]
    voice += ["room of 0.4 s", "room of 0.8 s", "MP3 at 32 kbit/s"]
    voice += ["pitch -10 %", "pitch +10 %", "tempo -10 %", "tempo +10 %"]
    face = ["25 % of frames lost", "50 % of frames lost", "blur of 1 px", "blur of 2 px"]
    face += ["blur of 4 px", "darkened to 0.5", "darkened to 0.25", "darkened to 0.1", "half size"]
    face += ["H.264 at CRF 40", "box off by 10 %", "eyes covered", "mouth covered"]
    assert [c.name for c in conditions_for("audio")] == voice
    assert [c.name for c in conditions_for("video")] == face
    missing = ["audio missing", "video missing"]
    assert [c.name for c in conditions_for("av")] == [*voice, *face, *missing]
    for name, condition in CONDITIONS.items():
        assert condition.name == name
        strength = re.findall(r"[-+]?[\d.]+", name.replace("MP3", "").replace("H.264", ""))
        assert [float(x) for x in strength] == [x for x in [condition.level] if x is not None]
