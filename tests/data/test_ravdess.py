"""RAVDESS: names, and the landmark video that fills a store."""

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from media_maker import landmark_face, write_takes

from avemotion.config import PreprocessSettings
from avemotion.data.corpora import ravdess
from avemotion.data.store import FeatureStore
from avemotion.encoders.table import Table
from avemotion.errors import UsageError
from avemotion.media.types import Box

SCRIPT = Path(__file__).parents[2] / "data_prep" / "ravdess.py"
spec = importlib.util.spec_from_file_location("data_prep_ravdess", SCRIPT)
assert spec and spec.loader
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)

ONE_VIEW = PreprocessSettings(views=1)


@pytest.mark.parametrize("name", ["03-02-05-01-01-01-12", "03-01-09-01-01-01-12", "03-01-05-01-01"])
def test_songs_and_other_names_are_no_takes_of_speech(name: str) -> None:
    assert ravdess.parse_name(name) is None
    assert ravdess.parse_name("01-01-05-01-01-01-25") is None


@given(st.text(max_size=24))
def test_any_name_is_read_or_refused(name: str) -> None:
    parts = ravdess.parse_name(name)
    assert parts is None or parts[0] in ravdess.ACTORS


def test_the_published_folds_hold_every_actor_once() -> None:
    dealt = [actor for fold in ravdess.FOLDS for actor in fold]
    assert sorted(dealt) == list(ravdess.ACTORS)


def test_a_face_is_drawn_where_its_points_are() -> None:
    """A box of 80 x 98 pixels: one point of the video is one pixel of the crop."""
    drawn = script.draw_faces(
        np.stack([landmark_face(40, 40, 30), landmark_face(43, 42, 30)]), Box(0, 0, 80, 98)
    )
    assert drawn.shape == (2, 98, 80) and drawn.dtype == np.uint8
    assert drawn[0, 40, 10] > 100 and drawn[0, 70, 40] > 100  # the jaw's left end, the chin
    assert drawn[0, 60, 40] == 0  # nothing between lips and chin
    moved = np.subtract(*map(np.array, map(scipy.ndimage.center_of_mass, (drawn[1], drawn[0]))))
    assert moved == pytest.approx((2, 3), abs=0.1)


def test_the_box_holds_the_face_and_is_shaped_like_a_crop() -> None:
    points = np.stack(
        [landmark_face(640, 300, 150), landmark_face(650, 310, 150), landmark_face(900, 310, 150)]
    )
    box = script.face_box(points)
    assert box.width / box.height == pytest.approx(80 / 98, abs=0.01)
    for x, y in points[1]:
        assert box.x < x < box.x + box.width and box.y < y < box.y + box.height


def test_statistics_of_landmarks_are_those_of_a_face_of_one_size_and_place() -> None:
    steps = [0, 2, 3, 7]
    points = np.stack([landmark_face(100 + step, 50, 40) for step in steps])
    points[:, 30, 1] += np.array(steps)  # the nose alone moves down
    found = script.landmark_statistics(points).reshape(5, 68, 2)
    eyes = points[0, 36:48].astype(float).reshape(2, 6, 2).mean(axis=1)
    between, distance = eyes.mean(axis=0), float(np.hypot(*(eyes[1] - eyes[0])))
    nose = (points[:, 30, 1] - between[1]) / distance
    wanted = [nose.mean(), nose.std(), np.abs(np.diff(nose)).mean(), *np.percentile(nose, (10, 90))]
    assert found[:, 30, 1] == pytest.approx(wanted)
    assert np.abs(found[1:3, 40]).max() < 1e-12  # an eye moves with the head
    larger = script.landmark_statistics((3 * points + 11).astype(np.int16))
    assert larger == pytest.approx(found.ravel())


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    """A folder like RAVDESS' with four takes of two actors."""
    write_takes(tmp_path, actors=(1, 2), emotions=(1, 5))
    return tmp_path


def test_the_store_is_whole_and_goes_on_after_an_interruption(takes: Path, tmp_path: Path) -> None:
    assert script.main([str(takes), "--out", str(tmp_path / "whole")]) == 0
    store = FeatureStore(tmp_path / "whole")
    table = Table("video-table.landmarks", str(tmp_path / "whole" / "landmarks.csv"))
    assert table.shape == (680,)
    points = script.read_landmarks(takes / "landmarks.npz")[store.rows[2].clip]
    statistics = script.landmark_statistics(points).astype(np.float32)
    np.testing.assert_array_equal(table.encode(np.zeros(0), store.rows[2].clip), statistics)
    assert store.labels == ravdess.LABELS and len(store.usable("av")) == 4
    assert Counter(row.emotion for row in store.rows) == {"neutral": 2, "anger": 2}
    assert store.demographics() == {"01": {"Sex": "Male"}, "02": {"Sex": "Female"}}
    row = store.rows[0]
    assert store.read(row, "faces").shape == (4, 20, 98, 80)
    assert len(store.read(row, "waveform")) == 16_000
    shards = sorted((tmp_path / "whole" / "actors").iterdir())
    before = [shard.read_bytes() for shard in shards]
    shards[0].unlink()
    assert script.main([str(takes), "--out", str(tmp_path / "whole")]) == 0
    assert [shard.read_bytes() for shard in shards] == before


def test_what_is_missing_or_damaged_is_named(
    takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (takes / "speech-16khz.zip").write_bytes(b"no zip")
    assert script.main([str(takes), "--out", str(tmp_path / "a")]) == 2
    assert "speech-16khz.zip cannot be read" in capsys.readouterr().err
    (takes / "landmarks.npz").unlink()
    assert script.main([str(takes), "--out", str(tmp_path / "b")]) == 2
    assert "landmarks.npz cannot be read" in capsys.readouterr().err


def test_real_takes(test_data: Path) -> None:
    folder = test_data / "ravdess"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    landmarks = script.read_landmarks(folder / "landmarks.npz")
    assert len(landmarks) == ravdess.CLIPS
    per_actor = Counter(ravdess.parse_name(name)[0] for name in landmarks)
    assert per_actor == dict.fromkeys(ravdess.ACTORS, 60)
    points = landmarks["01-01-03-02-01-02-01"]
    drawn = script.draw_faces(points[::5], script.face_box(points))
    lit = (drawn > 60).mean(axis=(1, 2))
    assert (lit > 0.03).all() and (lit < 0.2).all()


def test_wrong_names_are_refused(takes: Path, tmp_path: Path) -> None:
    np.savez(
        takes / "landmarks.npz",
        clip=np.array(["02-02-01-01-01-01-01"]),
        start=np.array([0, 25]),
        points=np.zeros((25, 68, 2), np.int16),
    )
    with pytest.raises(UsageError, match="no take"):
        script.fill(takes, tmp_path / "out", ONE_VIEW)
