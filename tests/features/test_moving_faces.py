"""Crops follow a face that moves, and only such a face: real and drawn faces on ways of all kinds.

Where the pasted face is on each frame is known, so that every crop is checked against it.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest
import sklearn.datasets
from hypothesis import given
from hypothesis import strategies as st
from media_maker import make_clip
from network_maker import EXPERIMENTS, metadata_of

import avemotion
from avemotion.config import PreprocessSettings
from avemotion.features.crops import crop_faces, face_crops
from avemotion.features.extraction import extract
from avemotion.features.face_detection import find_face, find_faces
from avemotion.features.face_path import boxes_at, follow, smooth_path
from avemotion.features.face_tracking import ranked_faces
from avemotion.features.frame_sampling import even_grid
from avemotion.inference.preparation import prepare_clip
from avemotion.inference.request import InferenceRequest
from avemotion.media.reader import read_frames
from avemotion.media.types import Box

HEIGHT, WIDTH = 540, 960
FACE_SHARE = 0.3
"""Height of the face, of the frame's."""


@pytest.fixture(scope="module", params=["real", "drawn"])
def head(request) -> tuple[np.ndarray, Box]:
    """A clip's frames, uint8 (20, height, width), and its face."""
    if request.param == "real":
        video = request.getfixturevalue("real_videos")[0]
    else:
        folder = request.getfixturevalue("tmp_path_factory").mktemp("drawn") / "crema"
        avemotion.synth(folder, actors=1, clips_per_actor=6, progress=False)
        video = min(folder.glob("VideoFlash/*.flv"))
    frames = read_frames(video, lambda n: even_grid(n, 0, 0.0)).frames
    return frames, find_face(list(frames)).box


@pytest.fixture(scope="module")
def room() -> np.ndarray:
    """A photograph without a person, uint8 (540, 960)."""
    china = cv2.cvtColor(sklearn.datasets.load_sample_image("china.jpg"), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(china, (WIDTH, 640))[:HEIGHT])


def walking(
    head: tuple[np.ndarray, Box],
    room: np.ndarray,
    places: list[tuple[float, float]],
    sizes: list[float] | None = None,
    hidden: range = range(0),
) -> tuple[np.ndarray, list[Box]]:
    """Paste the head, centred at a place on each frame; return the frames and the true boxes."""
    frames, box = head
    video, truth = [], []
    for number, (x, y) in enumerate(places):
        scale = FACE_SHARE * HEIGHT / box.height * (sizes[number] if sizes else 1.0)
        width, height = round(scale * box.width), round(scale * box.height)
        truth.append(Box(round(x - width / 2), round(y - height / 2), width, height))
        picture = room.copy()
        if number not in hidden:
            around = Box(box.x - box.width // 3, box.y - box.height // 3,
                         box.width * 5 // 3, box.height * 5 // 3)  # fmt: skip
            size = (round(scale * around.height), round(scale * around.width))
            (patch,) = crop_faces(frames[number % 20][None], [around], size)
            left = round(x - width / 2 - scale * (box.x - around.x))
            top = round(y - height / 2 - scale * (box.y - around.y))
            inside = patch[max(0, -top) : HEIGHT - top, max(0, -left) : WIDTH - left]
            top, left = max(0, top), max(0, left)
            picture[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        video.append(picture)
    return np.stack(video), truth


def line(widths: float, start: float = 0.5, count: int = 20) -> list[tuple[float, float]]:
    """Places on a way across by so many widths of the face; `start`: its middle, in the frame."""
    width = FACE_SHARE * HEIGHT * 80 / 98
    return [
        (start * WIDTH + widths * width * t, 0.5 * HEIGHT) for t in np.linspace(-0.5, 0.5, count)
    ]


def held(box: Box, face: Box) -> float:
    """Share of a face, as far as it is in the frame, that is in a box; counted in pixels."""
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    for mask, one in zip(masks, (box, face), strict=True):
        mask[max(0, one.y) : one.y + one.height, max(0, one.x) : one.x + one.width] = True
    return float((masks[0] & masks[1]).sum() / masks[1].sum())


def assert_follows(boxes, truth, largest: float = 1.3) -> None:
    shares = [held(box, face) for box, face in zip(boxes, truth, strict=True)]
    assert min(shares) > 0.85, np.round(shares, 2)
    sizes = np.array([box.height / face.height for box, face in zip(boxes, truth, strict=True)])
    assert 0.8 < sizes.min() and sizes.max() < largest, sizes.round(2)


@pytest.mark.parametrize("widths", [0.6, 1.5, 3.0, -4.0])
def test_a_face_that_moves_is_whole_in_all_crops(head, room, widths):
    video, truth = walking(head, room, line(widths))
    track = find_face(list(video))
    assert sum(track.found) == 20
    assert_follows(track.boxes, truth)
    assert track.box == track.boxes[10]
    one_box = [held(track.box, face) for face in truth]
    assert min(one_box) < 0.85  # which is why there is a path
    crops, _ = face_crops(video, track.boxes, PreprocessSettings())
    still, _ = face_crops(video, truth, PreprocessSettings())
    like = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(crops, still, strict=True)]
    assert min(like) > 0.6, np.round(like, 2)


def test_a_face_on_a_curve_that_comes_nearer(head, room):
    places = [(x, y + 60 * np.sin(np.pi * k / 19)) for k, (x, y) in enumerate(line(2))]
    video, truth = walking(head, room, places, sizes=list(np.geomspace(0.7, 1.4, 20)))
    track = find_face(list(video))
    assert_follows(track.boxes, truth, largest=1.5)  # where it is small, a drawn face is all alike
    assert track.boxes[19].width > 1.3 * track.boxes[0].width


def test_a_path_is_smooth(head, room):
    """From frame to frame the boxes go as far as the face does, within a fiftieth of a width."""
    video, truth = walking(head, room, line(3))
    boxes = np.array([box.edges for box in find_face(list(video)).boxes])
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    steps = np.diff(centres, axis=0) - np.diff([face.edges[:2] for face in truth], axis=0)
    assert np.abs(steps).max() < 0.03 * truth[0].width
    assert np.abs(np.diff(boxes[:, 2])).max() < 0.02 * truth[0].width


@pytest.mark.parametrize("sway", [0.0, 0.02])
def test_a_face_that_stays_has_the_one_box(head, room, sway):
    rng = np.random.default_rng(0)
    width = FACE_SHARE * HEIGHT * 80 / 98
    places = [(x + sway * width * rng.normal(), y) for x, y in line(0)]
    video, _ = walking(head, room, places)
    track = find_face(list(video))
    assert set(track.boxes) == {track.box}
    crops, boxes = face_crops(video, track.boxes, PreprocessSettings())
    np.testing.assert_array_equal(crops, crop_faces(video, [track.box] * 20))
    assert boxes == list(track.boxes)


def test_clips_of_the_corpus_have_one_box(real_videos):
    for path in real_videos:
        track = find_face(list(read_frames(path, lambda n: even_grid(n, 0, 0.0)).frames))
        assert set(track.boxes) == {track.box}, path.name


@pytest.mark.parametrize("hidden", [range(7, 13), range(14, 20), range(4)])
def test_where_the_face_is_hidden_the_path_goes_on(head, room, hidden):
    video, truth = walking(head, room, line(2), hidden=hidden)
    track = find_face(list(video))
    shown = [k for k in range(20) if k not in hidden]
    assert [k for k in range(20) if not track.found[k]] == list(hidden)
    assert_follows([track.boxes[k] for k in shown], [truth[k] for k in shown])
    if hidden[0] and hidden[-1] < 19:  # in between it moves on
        assert_follows(track.boxes, truth)
    else:  # before and after it stays
        nearest = shown[0] if not hidden[0] else shown[-1]
        for k in hidden:
            assert held(track.boxes[k], track.boxes[nearest]) > 0.8


@pytest.mark.parametrize("start, widths", [(0.85, 3.0), (0.15, -3.0), (0.85, -3.0)])
def test_a_face_that_crosses_the_border(head, room, start, widths):
    """All that the frame shows of it is in the crops, which have their full size all the same."""
    video, truth = walking(head, room, line(widths, start))
    assert any(face.x < 0 or face.x + face.width > WIDTH for face in truth)
    track = find_face(list(video))
    half = truth[0].width / 2
    shown = [k for k in range(20) if -half < truth[k].x < WIDTH - half]
    assert len(shown) < 20
    shares = [held(track.boxes[k], truth[k]) for k in shown]
    assert min(shares) > 0.7, np.round(shares, 2)
    crops, _ = face_crops(video, track.boxes, PreprocessSettings())
    assert crops.shape == (20, 98, 80)


def test_a_path_is_not_followed_across_a_scene_cut(head, room):
    first, _ = walking(head, room, line(0, 0.3)[:6])
    then, truth = walking(head, room[:, ::-1], line(0, 0.5)[6:])
    track = find_face(list(np.concatenate([first, then])))
    assert_follows(track.boxes[6:], truth)
    assert set(track.boxes) == {track.box}


def test_a_face_that_moves_is_one_face(head, room):
    """Seen at five places, it is not taken for several; nor is one beside it that stays."""
    video, truth = walking(head, room, line(3))
    found = find_faces(list(video))
    assert (len(found.tracks), found.left_out) == (1, 0)
    assert_follows(found.tracks[0].boxes, truth)
    places = [(x, 0.25 * HEIGHT) for x, _ in line(3)]
    video, truth = walking(head, room, places)
    both, other = walking(head, room, [(0.5 * WIDTH, 0.8 * HEIGHT)] * 20)
    video[:, HEIGHT // 2 + 20 :] = both[:, HEIGHT // 2 + 20 :]
    tracks = find_faces(list(video)).tracks
    assert len(tracks) == 2
    for boxes in (truth, other):
        assert any(
            min(held(a, b) for a, b in zip(track.boxes, boxes, strict=True)) > 0.85
            for track in tracks
        )


@pytest.fixture(scope="module")
def clip(head, room, tmp_path_factory) -> tuple[Path, list[Box]]:
    """A video of 60 frames of a face that moves, and where it is on each."""
    video, truth = walking(head, room, line(2, count=60))
    return make_clip(tmp_path_factory.mktemp("walk") / "walk.mkv", video, codec="mpeg4"), truth


def test_all_views_follow_and_classification_sees_the_same(clip):
    """Views sample other frames, which lie between those that were searched."""
    path, truth = clip
    found = extract("walk", path, None, PreprocessSettings(views=3, features=("faces",)))
    views = found.features.arrays["faces"]
    frames = read_frames(path, lambda n: np.arange(n)).frames
    for view in range(3):
        for crop in views[view]:  # is it that of some frame, where its face is?
            like = [np.corrcoef(crop.ravel(), c.ravel())[0, 1] for c in crop_faces(frames, truth)]
            assert max(like) > 0.6
    middle = truth[even_grid(60, 0, 0.0)[10]]
    assert held(found.box, middle) > 0.85
    request = InferenceRequest(metadata_of(EXPERIMENTS["video"]), "model")
    (prepared,) = prepare_clip(path, request)
    np.testing.assert_array_equal(prepared.arrays.inputs["faces"][0], views[0])
    assert prepared.face_box == found.box


def squares(places: dict[int, tuple[float, float]], side: float = 100.0):
    return {k: np.array([[x, y, side, side]]) for k, (x, y) in places.items()}


def test_a_moving_face_outranks_what_is_seen_once():
    seen = squares({3: (0, 50), 6: (120, 50), 10: (240, 50), 13: (360, 50), 16: (480, 50)})
    seen[6] = np.concatenate([seen[6], [[100.0, 200, 300, 300]]])
    first, *others = ranked_faces(seen, (600, 800))
    assert sorted(first) == [3, 6, 10, 13, 16] and first[16][0] == 480
    assert [list(face) for face in others] == [[6]]


def test_boxes_too_far_apart_are_no_way():
    seen = squares({3: (0, 50), 6: (600, 50), 10: (0, 400), 13: (600, 400), 16: (300, 50)})
    assert all(len(face) == 1 for face in ranked_faces(seen, (600, 800)))


def test_nothing_is_followed_out_of_the_frame():
    """A search past the border would have no pixels."""
    frames = list(np.random.default_rng(0).integers(0, 255, (20, 120, 160), dtype=np.uint8))
    seen = {9: np.array([60.0, 40, 40, 40]), 10: np.array([118.0, 40, 40, 40])}
    assert list(follow(frames, seen)) == [9, 10]


@given(
    speed=st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4)),
    growth=st.floats(-0.03, 0.03),
    lost=st.sets(st.integers(0, 19), max_size=10),
    wrong=st.integers(0, 19),
    seed=st.integers(0, 99),
)
def test_any_even_path_is_found_back(speed, growth, lost, wrong, seed):
    """From jittering boxes of some of the frames, and one that is half a width off."""
    frames = np.arange(20)
    sides = 100 * np.exp(growth * (frames - 9.5))
    centres = np.stack([500 + 100 * s * (frames - 9.5) for s in speed], axis=1)
    rng = np.random.default_rng(seed)
    shown = [k for k in range(20) if k not in lost]
    seen = {}
    for k in shown:
        x, y = centres[k] + 0.02 * sides[k] * rng.uniform(-1, 1, 2)
        x += 0.5 * sides[k] if k == wrong and k in shown[1:-1] else 0
        side = sides[k] * (1 + 0.03 * rng.uniform(-1, 1))
        seen[k] = np.array([x - side / 2, y - side / 2, side, side])
    path = smooth_path(seen, 20)
    between = slice(shown[0], shown[-1] + 1)
    off = np.abs(path[:, :2] + path[:, 2:] / 2 - centres).max(axis=1) / sides
    assert path.shape == (20, 4) and off[between].max() < 0.45
    assert np.abs(np.log(path[between, 2] / sides[between])).max() < 0.2


@given(st.lists(st.integers(0, 300), min_size=20, max_size=20), st.integers(-50, 50))
def test_boxes_of_other_frames_lie_between(positions, speed):
    at = np.sort(positions)
    boxes = [Box(speed * k, 7, 80, 98) for k in at.tolist()]
    assert boxes_at(boxes, at, at) == boxes
    others = np.arange(at[0], at[-1] + 1)
    assert boxes_at(boxes, at, others) == [Box(speed * k, 7, 80, 98) for k in others.tolist()]
    assert boxes_at(boxes, at, np.array([400])) == [boxes[-1]]  # after the last it stays
