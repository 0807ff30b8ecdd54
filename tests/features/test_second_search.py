"""Small, dark and tilted faces: found by a second search, where the first finds nothing."""

import cv2
import numpy as np
import pytest
import sklearn.datasets

from avemotion.config import PreprocessSettings
from avemotion.features import face_detection
from avemotion.features.crops import face_crops
from avemotion.features.face_detection import FaceTrack, find_face, find_faces
from avemotion.features.frame_sampling import even_grid
from avemotion.features.second_search import turned_back, turned_frame
from avemotion.media.reader import read_frames
from avemotion.media.types import Box

HEIGHT, WIDTH = 540, 960


@pytest.fixture(scope="module")
def frames(real_videos) -> np.ndarray:
    return read_frames(real_videos[0], lambda n: even_grid(n, 0, 0.0)).frames


@pytest.fixture(scope="module")
def room() -> np.ndarray:
    """A photograph without a person, uint8 (540, 960)."""
    china = cv2.cvtColor(sklearn.datasets.load_sample_image("china.jpg"), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(china, (WIDTH, 640))[:HEIGHT])


def beside(room: np.ndarray, frames: np.ndarray, share: float, on: int = 20) -> list[np.ndarray]:
    """The real clip, small, in the room on the first frames; `share`: of the face's height."""
    scale = share * HEIGHT / find_face(frames).box.height
    video = []
    for number, frame in enumerate(frames):
        picture = room.copy()
        if number < on:
            small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            picture[200 : 200 + small.shape[0], 600 : 600 + small.shape[1]] = small
        video.append(picture)
    return video


def is_at(track: FaceTrack | None, box: Box) -> bool:
    """Whether a track's centre is within a fifth of a box' width of the box' centre."""
    assert track is not None
    here, there = track.box, box
    across = here.x + here.width / 2 - there.x - there.width / 2
    down = here.y + here.height / 2 - there.y - there.height / 2
    return max(abs(across), abs(down)) < 0.2 * there.width


def small_box(frames: np.ndarray, share: float) -> Box:
    box = find_face(frames).box
    scale = share * HEIGHT / box.height
    x, y, width, height = (round(scale * n) for n in box.edges)
    return Box(600 + x, 200 + y, width, height)


def test_a_plain_clip_is_searched_once(real_videos, monkeypatch):
    monkeypatch.setattr(face_detection, "_found_again", None)
    monkeypatch.setattr(face_detection, "small_faces", None)
    for path in real_videos:
        track = find_face(read_frames(path, lambda n: even_grid(n, 0, 0.0)).frames)
        assert track.note == "" and track.tilt_degrees == 0


def test_a_small_face_is_found(frames, room):
    video = beside(room, frames, 0.06)
    assert find_face(video, again=False) is None
    track = find_face(video)
    assert is_at(track, small_box(frames, 0.06)) and sum(track.found) == 20
    assert track.note == "the face is small: 6% of the picture's height"


def test_a_small_face_on_a_few_frames_is_not_enough(frames, room):
    assert find_face(beside(room, frames, 0.1, on=8)) is None


def test_a_place_without_people_has_no_face(room):
    rng = np.random.default_rng(0)
    noisy = [np.clip(room + rng.normal(0, 3, room.shape), 0, 255).astype(np.uint8)] * 20
    assert find_face(noisy) is None


def test_a_dark_face_is_found(frames):
    dark = (frames // 10).astype(np.uint8)
    assert find_face(dark, again=False) is None
    track = find_face(dark)
    assert is_at(track, find_face(frames).box)
    assert track.note == "the frames are dark and were brightened to find the face"


@pytest.mark.parametrize("degrees", [35, -35])
def test_a_tilted_face_is_found_and_cropped_upright(frames, degrees):
    upright = find_face(frames).box
    centre = (upright.x + upright.width / 2, upright.y + upright.height / 2)
    turn = cv2.getRotationMatrix2D(centre, degrees, 1.0)
    tilted = np.stack([cv2.warpAffine(f, turn, f.shape[::-1]) for f in frames])
    assert find_face(tilted, again=False) is None
    track = find_face(tilted)
    assert is_at(track, upright) and track.tilt_degrees == np.copysign(30, degrees)
    settings = PreprocessSettings()
    plain, _ = face_crops(frames, [upright] * 20, settings)
    turned, _ = face_crops(tilted, track.boxes, settings, track.tilt_degrees)
    as_it_is, _ = face_crops(tilted, track.boxes, settings)
    like = [np.corrcoef(plain.ravel(), crops.ravel())[0, 1] for crops in (turned, as_it_is)]
    assert like[0] > 0.6 and like[0] > like[1] + 0.2


def test_a_point_of_a_turned_frame_is_found_back():
    frame = np.zeros((300, 500), np.uint8)
    frame[100:104, 420:424] = 255
    y, x = np.argwhere(turned_frame(frame, 30) > 100).mean(axis=0)
    box = turned_back(Box(round(x) - 10, round(y) - 10, 20, 20), frame.shape, 30)
    assert abs(box.x + 10 - 422) <= 1 and abs(box.y + 10 - 102) <= 1


@pytest.mark.parametrize("on, faces, left_out", [(20, 2, 0), (8, 1, 1)])
def test_a_small_face_beside_a_large_one(frames, room, on, faces, left_out):
    video = beside(room, frames, 0.07, on)
    for picture, frame in zip(video, frames, strict=True):
        picture[100:460, :480] = frame
    found = find_faces(video)
    assert (len(found.tracks), found.left_out) == (faces, left_out)
    assert found.tracks[0] == find_face(video)
    if faces == 2:
        assert is_at(found.tracks[1], small_box(frames, 0.07))
    assert len(find_faces(video, again=False).tracks) == 1
