import cv2
import numpy as np
import pytest
from media_maker import noise_frames

from avemotion.config import FACE_HEIGHT, FACE_WIDTH, PreprocessSettings
from avemotion.features import face_detection
from avemotion.features.crops import crop_faces, face_crops
from avemotion.features.face_detection import SEARCHED_FRAMES, find_face, find_faces
from avemotion.features.face_tracking import ranked_faces
from avemotion.features.frame_sampling import even_grid
from avemotion.media.reader import read_frames
from avemotion.media.types import Box


def sampled(path) -> np.ndarray:
    return read_frames(path, lambda n: even_grid(n, 0, 0.0)).frames


@pytest.fixture(scope="module")
def frames(real_videos) -> np.ndarray:
    return sampled(real_videos[0])


def overlap(a: Box, b: Box) -> float:
    """Intersection over union, counted in pixels."""
    masks = np.zeros((2, 800, 1200), bool)
    for mask, box in zip(masks, (a, b), strict=True):
        mask[100 + box.y : 100 + box.y + box.height, 100 + box.x : 100 + box.x + box.width] = True
    return float((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def test_real_faces_are_found_on_every_frame(real_videos):
    for path in real_videos:
        track = find_face(sampled(path))
        assert track is not None, path.name
        assert sum(track.found) == 20, path.name
        assert track.searched_frames == track.searched_frames_with_face == SEARCHED_FRAMES
        assert abs(track.box.width * FACE_HEIGHT - track.box.height * FACE_WIDTH) <= FACE_HEIGHT


def test_a_glance_finds_what_a_search_at_length_finds(real_videos, monkeypatch):
    quick = [find_face(sampled(path)).box for path in real_videos]
    monkeypatch.setattr(face_detection, "_GLANCE_HEIGHT", 1)  # sees nothing
    for box, path in zip(quick, real_videos, strict=True):
        assert overlap(box, find_face(sampled(path)).box) > 0.8


def test_a_face_that_moves_is_followed(frames):
    """The head slides by a third of its width: the box is where it is in the middle of the way."""
    steps = np.linspace(-20, 20, 20).round().astype(int)
    moving = np.stack([np.roll(f, s, axis=1) for f, s in zip(frames, steps, strict=True)])
    track = find_face(moving)
    assert sum(track.found) == 20 and overlap(track.box, find_face(frames).box) > 0.85


def test_box_holds_the_faces_of_a_full_search(frames):
    """Against the cascade at full size on every frame: the box holds the median face's middle."""
    cascade = cv2.CascadeClassifier(
        cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml"  # another one than ours
    )
    boxes = [max(cascade.detectMultiScale(f, 1.1, 5), key=lambda b: b[2]) for f in frames]
    x, y, width, height = np.median(boxes, axis=0)
    box = find_face(frames).box
    assert abs(box.x + box.width / 2 - (x + width / 2)) < 0.1 * width
    assert abs(box.y + box.height / 2 - (y + height / 2)) < 0.2 * height
    assert 0.6 * width < box.width < 1.4 * width


@pytest.mark.parametrize("paint", ["black", "noise"])
@pytest.mark.parametrize("hidden", [range(7), range(6, 13), range(13, 20), range(0, 20, 3)])
def test_painted_over_faces_are_not_counted(frames, hidden, paint):
    whole = find_face(frames)
    box = whole.box
    painted = frames.copy()
    rng = np.random.default_rng(0)
    for number in hidden:
        area = painted[number, max(0, box.y - 20) : box.y + box.height + 20,
                       max(0, box.x - 20) : box.x + box.width + 20]  # fmt: skip
        area[:] = 0 if paint == "black" else rng.integers(0, 255, area.shape)
    track = find_face(painted)
    assert [k for k in range(20) if not track.found[k]] == list(hidden)
    assert sum(track.found) == 13
    assert overlap(track.box, box) > 0.85


def test_a_face_on_a_few_frames_is_not_enough(frames):
    rare = np.full_like(frames, 90)
    rare[8:12] = frames[8:12]
    assert find_face(rare) is None
    rare[8:13] = frames[8:13]
    assert sum(find_face(rare).found) == 5


@pytest.mark.parametrize("level", [0, 128, 255])
def test_blank_videos_have_no_face(level):
    assert find_face(np.full((20, 360, 480), level, np.uint8)) is None


def test_noise_has_no_face():
    rng = np.random.default_rng(0)
    assert find_face(rng.integers(0, 255, (20, 360, 480), dtype=np.uint8)) is None
    assert find_face(noise_frames(20, 360, 480, smooth=12)) is None


@pytest.mark.parametrize("shape", [(20, 16, 16), (20, 2, 500), (1, 40, 40), (3, 1, 1)])
def test_tiny_videos_have_no_face(shape):
    assert find_face(np.full(shape, 100, np.uint8)) is None


def test_short_clips_need_a_face_on_all_frames(frames):
    assert sum(find_face(frames[:3]).found) == 3
    partly = frames[:3].copy()
    partly[0] = 90
    assert find_face(partly) is None


def two_faces(frames: np.ndarray, second: float, on: int) -> np.ndarray:
    """The real frames, and beside them the same ones at a smaller scale, on the first `on`."""
    small = [
        cv2.resize(f, None, fx=second, fy=second, interpolation=cv2.INTER_AREA) for f in frames
    ]
    canvas = np.full((20, frames.shape[1], frames.shape[2] + small[0].shape[1]), 90, np.uint8)
    canvas[:, :, : frames.shape[2]] = frames
    for number in range(on):
        height, width = small[number].shape
        canvas[number, :height, frames.shape[2] : frames.shape[2] + width] = small[number]
    return canvas


def test_of_two_faces_the_larger_one_is_taken(frames):
    alone = find_face(frames).box
    for flipped in (False, True):
        both = two_faces(frames, 0.6, on=20)
        if flipped:
            both = np.ascontiguousarray(both[:, :, ::-1])
        box = find_face(both).box
        if flipped:
            box = Box(both.shape[2] - box.x - box.width, box.y, box.width, box.height)
        assert overlap(box, alone) > 0.8


def test_a_larger_face_that_passes_by_is_not_taken(frames):
    both = two_faces(frames, 0.6, on=20)
    both[6:, :, : frames.shape[2]] = 90  # the large one leaves after 6 of 20 frames
    track = find_face(both)
    assert track.box.x > frames.shape[2] and sum(track.found) == 20


@pytest.mark.parametrize("on, faces", [(11, 2), (8, 1)])
def test_another_face_must_be_on_half_of_the_searched_frames(frames, on, faces):
    """Frames 3, 6, 10, 13 and 16 are searched: the smaller face is on three of them, or on two."""
    assert len(find_faces(two_faces(frames, 0.6, on=on)).tracks) == faces


@pytest.mark.parametrize("on, first", [(3, 150.0), (2, 100.0)])
def test_a_large_face_comes_first_if_it_is_seen_half_as_often(on, first):
    small, large = np.array([[0.0, 0, 100, 100]]), np.array([[200.0, 100, 150, 150]])
    seen = {n: np.concatenate([small, large]) if n < on else small for n in range(5)}
    faces = ranked_faces(seen, (360, 480))
    assert [len(face) for face in faces] == ([on, 5] if first > 100 else [5, on])
    assert faces[0][0][2] == first


def test_face_at_the_border_gives_whole_crops(real_videos):
    whole = sampled(real_videos[1])
    box = find_face(whole).box
    cut = np.ascontiguousarray(whole[:, : box.y + box.height - 16])  # the chin is past the border
    track = find_face(cut)
    assert overlap(track.box, box) > 0.6
    assert track.box.y + track.box.height > cut.shape[1]
    assert crop_faces(cut, track.boxes).shape == (20, 98, 80)


def test_crops_inside_the_frame_are_plain_slices(frames):
    box = Box(150, 60, 160, 196)
    crops = crop_faces(frames, [box] * 20)
    for crop, frame in zip(crops, frames, strict=True):
        expected = cv2.resize(frame[60:256, 150:310], (80, 98), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(crop, expected)


def test_crops_of_the_very_size_are_untouched(frames):
    crops = crop_faces(frames, [Box(100, 50, FACE_WIDTH, FACE_HEIGHT)] * 20)
    np.testing.assert_array_equal(crops, frames[:, 50 : 50 + FACE_HEIGHT, 100 : 100 + FACE_WIDTH])


@pytest.mark.parametrize("x, y", [(-30, -20), (430, 300), (-10, 290), (200, -40)])
def test_past_the_border_the_last_pixels_repeat(frames, x, y):
    """Written out with clipped indices instead of padding."""
    crops = crop_faces(frames[:2], [Box(x, y, FACE_WIDTH, FACE_HEIGHT)] * 2)
    rows = np.clip(np.arange(y, y + FACE_HEIGHT), 0, frames.shape[1] - 1)
    columns = np.clip(np.arange(x, x + FACE_WIDTH), 0, frames.shape[2] - 1)
    np.testing.assert_array_equal(crops, frames[:2][:, rows][:, :, columns])


def test_faces_are_equalised_after_they_were_cropped_and_resized(frames):
    """The thesis' order, by the definition of equalisation: its cumulated share of grey values."""
    box = Box(150, 60, 160, 196)
    ours, _ = face_crops(frames, [box] * 20, PreprocessSettings(equalise=True))
    for crop, plain in zip(ours, crop_faces(frames, [box] * 20), strict=True):
        counts = np.bincount(plain.ravel(), minlength=256)
        below = counts.cumsum() - counts[counts > 0][0]
        expected = np.rint(below * 255.0 / (plain.size - counts[counts > 0][0]))[plain]
        assert np.abs(crop - expected).max() <= 1  # rounding
    whole = np.stack([cv2.equalizeHist(frame) for frame in frames])
    assert np.abs(crop_faces(whole, [box] * 20).astype(int) - ours).mean() > 5


def test_the_margin_of_a_crop_is_a_share_of_it(frames):
    settings = PreprocessSettings(crop_margin=0.1)
    crops, boxes = face_crops(frames, [Box(150, 60, 160, 200)] * 20, settings)
    assert boxes == [Box(134, 40, 192, 240)] * 20
    np.testing.assert_array_equal(crops, crop_faces(frames, boxes))
