"""Clips as users have them: every row of docs/inputs.md, and what else a source may be."""

import dataclasses
import io
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from awkward_inputs import (
    PAGE,
    RATE,
    SECTIONS,
    Row,
    Track,
    decoded,
    face,
    film,
    page,
    piped,
    speaking,
    two_faces,
    voice,
    wide,
)
from media_maker import noise_frames
from network_maker import EXPERIMENTS, metadata_of, untrained

import avemotion
from avemotion.config import TrainingSettings
from avemotion.errors import MediaError, MissingModalityError, UsageError
from avemotion.features.face_tracking import ranked_faces
from avemotion.features.frame_sampling import even_grid
from avemotion.inference.prediction import ClipFailure, Prediction
from avemotion.media import audio, sources, timestamps
from avemotion.media.frames import FrameCollector
from avemotion.media.reader import read_clip, read_frames
from avemotion.media.types import Box
from avemotion.models.checkpoint import save_checkpoint

ROWS = [row for rows in SECTIONS.values() for row in rows]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> avemotion.Classifier:
    """Random weights, without the mark of synthetic data: no warnings but the clip's."""
    path = tmp_path_factory.mktemp("model") / "checkpoint.safetensors"
    metadata = dataclasses.replace(metadata_of(EXPERIMENTS["av"]), synthetic=None)
    save_checkpoint(path, untrained(EXPERIMENTS["av"]), metadata)
    return avemotion.Classifier(path, device="cpu")


@pytest.fixture(scope="module")
def plain_box(classifier: avemotion.Classifier, tmp_path_factory: pytest.TempPathFactory) -> Box:
    clip = film(tmp_path_factory.mktemp("plain") / "plain.mp4", face(), speaking())
    box = classifier.classify(clip).face_box
    assert box is not None
    return box


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(0, width) * max(0, height)
    return shared / (a.width * a.height + b.width * b.height - shared)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_awkward_input(
    row: Row, classifier: avemotion.Classifier, plain_box: Box, tmp_path: Path
) -> None:
    if not isinstance(row.result, str):
        with pytest.raises(row.result) as caught:
            classifier.classify(row.make(tmp_path))
        assert type(caught.value) is row.result
        assert all(message in str(caught.value) for message in row.messages)
        return
    prediction = classifier.classify(row.make(tmp_path))
    assert isinstance(prediction, Prediction)
    assert prediction.modality == row.result
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert len(prediction.warnings) == len(row.messages), prediction.warnings
    for warning, message in zip(prediction.warnings, row.messages, strict=True):
        assert message in warning
    assert (prediction.face_box is None) == (row.result == "audio")
    if row.box is not None:
        assert prediction.face_box is not None
        assert overlap(prediction.face_box, row.box(plain_box)) > 0.75, prediction.face_box


def test_the_page_shows_these_rows() -> None:
    assert len(ROWS) >= 40 and len({row.what for row in ROWS}) == len(ROWS)
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/awkward_inputs.py"


def test_a_variable_frame_rate_is_sampled_evenly_in_time(tmp_path: Path) -> None:
    """20 frames in 0.4 s, 20 more in 4 s; each holds its number as a level of grey."""
    times = [*range(0, 400, 20), *range(400, 4400, 200)]
    frames = np.stack([np.full((48, 64), 10 + 5 * number, np.uint8) for number in range(40)])
    path = film(tmp_path / "a.mkv", frames, codec="ffv1", pixels="gray", times=times)
    video = read_frames(path, lambda n: even_grid(n, 0, 0.0))
    shown = np.round((video.frames.mean(axis=(1, 2)) - 10) / 5).astype(int)
    wanted = [(4200 * index / 39) for index in even_grid(40, 0, 0.0)]
    expected = [max(n for n, time in enumerate(times) if time <= moment) for moment in wanted]
    np.testing.assert_array_equal(shown, expected)
    np.testing.assert_array_equal(video.indices, expected)
    assert video.duration_seconds == pytest.approx(4.2 * 40 / 39, abs=0.01)
    steady = film(tmp_path / "b.mkv", frames, codec="ffv1", pixels="gray")
    np.testing.assert_array_equal(
        read_frames(steady, lambda n: even_grid(n, 0, 0.0)).indices, even_grid(40, 0, 0.0)
    )


@pytest.mark.parametrize("codec, options", [("libx264", {"bf": "3", "g": "50"}), ("mpeg4", {})])
def test_of_a_long_video_the_same_frames_are_decoded(
    codec: str, options: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = noise_frames(400, 48, 64)
    path = film(tmp_path / "a.mkv", frames, codec=codec, **options)
    whole = read_frames(path, lambda n: even_grid(n, 0, 0.0))
    monkeypatch.setattr(timestamps, "LONG_FRAMES", 100)
    taken: list[object] = []
    take = FrameCollector.take
    monkeypatch.setattr(FrameCollector, "take", lambda s, f: (taken.append(f.pts), take(s, f))[1])
    parts = read_frames(path, lambda n: even_grid(n, 0, 0.0)[[0, 7, 19]])
    assert len(taken) < 250
    np.testing.assert_array_equal(parts.frames, whole.frames[[0, 7, 19]])
    assert (parts.decoded, parts.duration_seconds) == (400, pytest.approx(16.0))


def test_of_a_long_sound_the_middle_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = voice(8.0)
    path = film(tmp_path / "a.mkv", None, [Track(whole, codec="flac")])
    monkeypatch.setattr(audio, "LONGEST_SOUND_SECONDS", 3.0)
    kept = read_clip(None, path, np.arange)
    assert kept.sound is not None and kept.sound_seconds == pytest.approx(8, abs=0.01)
    assert kept.sound.duration_seconds == pytest.approx(3, abs=0.2)
    match = np.correlate(whole * 32_768, kept.sound.samples[:400].astype(float))
    assert match.argmax() / RATE == pytest.approx(2.5, abs=0.2)


def test_frames_are_kept_no_larger_than_needed(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", wide(face(4), 6), codec="mjpeg", pixels="yuvj420p")
    video = read_frames(path, np.arange)
    assert video.frames.shape == (4, 720, 960) and video.scale == (3.0, 3.0)
    expected = cv2.resize(face()[0], (960, 720)).astype(float)
    assert np.abs(video.frames[0] - expected).mean() < 3


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("pair") / "two.mp4", two_faces(), speaking())


def test_every_face_has_an_answer_of_its_own(
    classifier: avemotion.Classifier, pair: Path, plain_box: Box
) -> None:
    main = classifier.classify(pair)
    large, small = classifier.classify_faces(pair)
    assert main.face_box is not None and large.face_box is not None and small.face_box is not None
    assert overlap(large.face_box, main.face_box) > 0.8
    assert small.face_box.x > 480 and small.face_box.width < 0.8 * large.face_box.width
    assert large.probabilities != small.probabilities
    clip = film(pair.with_name("none.mp4"), noise_frames(40), speaking())
    (voice_alone,) = classifier.classify_faces(clip)
    assert voice_alone.modality == "audio"
    assert (main.face, large.face, small.face, voice_alone.face) == (None, 1, 2, None)
    again = avemotion.classify_faces(pair, classifier.checkpoint, device="cpu", isolated=True)
    assert [face.probabilities for face in again] == [large.probabilities, small.probabilities]


def test_faces_cheek_to_cheek_are_two_and_a_part_of_a_face_is_none() -> None:
    left, right = np.array([[100.0, 50, 100, 100]]), np.array([[185.0, 50, 100, 100]])
    nose = np.array([[130.0, 90, 40, 40]])
    seen = {frame: np.concatenate([left + frame, right + frame, nose]) for frame in range(5)}
    faces = ranked_faces(seen, (360, 480))
    assert sorted(round(float(face[0][0])) for face in faces) == [100, 185]


def test_of_many_clips_every_face_is_answered(
    classifier: avemotion.Classifier, pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVEMOTION_CHECKPOINT", str(classifier.checkpoint))
    results = list(avemotion.classify_clips([pair, "nowhere.mp4", pair], face="all", workers=1))
    faces = [r.face if isinstance(r, Prediction) else r.reason for r in results]
    assert faces == [1, 2, "no such file: nowhere.mp4", 1, 2]
    alone = classifier.classify_faces(pair)
    assert list(avemotion.classify([pair], face="all")) == alone
    for one, many in zip(alone, results, strict=False):
        assert isinstance(many, Prediction)
        assert many.probabilities == pytest.approx(one.probabilities, abs=1e-5)


def test_parts_are_what_each_modality_alone_says(
    classifier: avemotion.Classifier, pair: Path
) -> None:
    whole = classifier.classify(pair, parts=True)
    assert set(whole.parts) == {"video", "audio"} and not classifier.classify(pair).parts
    for modality, part in whole.parts.items():
        alone = classifier.classify(pair, modality)
        assert alone.probabilities == pytest.approx(part, abs=1e-5)
        assert classifier.classify(pair, modality, parts=True).parts.keys() == {modality}


def test_the_main_face_is_the_same_one_among_all(
    classifier: avemotion.Classifier, pair: Path, small_corpus: Path
) -> None:
    for clip in [pair, *sorted((small_corpus / "VideoFlash").glob("*.flv"))[:4]]:
        main, first = classifier.classify(clip), classifier.classify_faces(clip)[0]
        assert main.face_box == first.face_box, clip
        assert main.probabilities == pytest.approx(first.probabilities, abs=1e-5)


@pytest.mark.parametrize("name", ["12:30.mp4", "file:x.mp4", "concat:a.mp4", "g\udcff.mp4"])
def test_any_name_is_that_of_a_file(
    classifier: avemotion.Classifier,
    pair: Path,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(pair, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert classifier.classify(name).modality == "av"


def test_a_list_of_other_files_is_not_followed(
    classifier: avemotion.Classifier, pair: Path, tmp_path: Path
) -> None:
    lists = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{pair}\n#EXT-X-ENDLIST\n",
        "b.mp4": f"ffconcat version 1.0\nfile {pair.name}\n",
    }
    shutil.copy(pair, tmp_path / pair.name)
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(MediaError, match="refers to other files"):
            classifier.classify(tmp_path / name)


def test_only_what_was_asked_for_is_called_missing(
    classifier: avemotion.Classifier, tmp_path: Path
) -> None:
    mute = film(tmp_path / "mute.mp4", face(40, 1007))
    with pytest.raises(MissingModalityError, match=r"from audio: mute.mp4 has no audio track\.$"):
        classifier.classify(mute, "audio")
    nobody = film(tmp_path / "nobody.mp4", noise_frames(40), speaking())
    with pytest.raises(MissingModalityError, match=r"no face found in the 20 frames sampled\.$"):
        classifier.classify(nobody, "video")


@pytest.mark.parametrize("single", ["clip.mp4", b"clip", Path("clip.mp4"), 7, None])
def test_a_single_clip_is_not_taken_for_several(
    classifier: avemotion.Classifier, single: Any
) -> None:
    with pytest.raises(UsageError, match="Put a single clip in a list"):
        avemotion.classify_clips(single, classifier)


def test_what_is_no_array_no_path_and_no_name_is_refused(classifier: avemotion.Classifier) -> None:
    given: Any = [[1]]
    with pytest.raises(UsageError, match="frames is a list, but must be a NumPy array"):
        sources.DecodedClip(frames=given, frame_rate=25)
    given = "25"
    with pytest.raises(UsageError, match="frame_rate is '25'"):
        sources.DecodedClip(np.zeros((2, 4, 4), np.uint8), given)
    given = b"abc"
    with pytest.raises(UsageError, match="a timeline needs the path of a file, not bytes"):
        classifier.timeline(given)
    with pytest.raises(MediaError, match="embedded null byte"):
        classifier.classify("a\0b.mp4")
    endless = bytes.fromhex("00000010") + b"ftypisom" + bytes(4)
    endless += bytes.fromhex("00000001") + b"mdat" + b"\xff" * 8
    with pytest.raises(MediaError, match="truncated"):
        classifier.classify(endless)


def test_a_model_without_modality_dropout_has_no_parts(pair: Path, tmp_path: Path) -> None:
    experiment = EXPERIMENTS["video"]
    save_checkpoint(tmp_path / "m.safetensors", untrained(experiment), metadata_of(experiment))
    video = avemotion.classify_clip(pair, tmp_path / "m.safetensors", parts=True)
    assert video.parts == {"video": video.probabilities}, "its answer is what the face says"
    training = TrainingSettings(modality_dropout=0.0)
    plain = dataclasses.replace(EXPERIMENTS["av"], training=training)
    save_checkpoint(tmp_path / "m.safetensors", untrained(plain), metadata_of(plain))
    both = avemotion.classify_clip(pair, tmp_path / "m.safetensors", parts=True)
    assert both.parts == {} and "per-modality predictions unavailable" in both.warnings[-1]


def test_isolated_and_in_batches_the_answers_are_the_same(
    classifier: avemotion.Classifier, pair: Path
) -> None:
    here = classifier.classify(pair)
    assert classifier.classify(pair, isolated=True) == here
    data = pair.read_bytes()
    given = [pair, pair.with_name("nowhere.mp4"), io.BytesIO(data), decoded(), data[:5000], 7]
    results = list(avemotion.classify_clips(given, classifier, workers=2))
    assert isinstance(results[0], Prediction) and results[0].clip == str(pair)
    assert results[0].probabilities == pytest.approx(here.probabilities, abs=1e-5)
    assert isinstance(results[2], Prediction) and results[2].modality == "av"
    assert isinstance(results[3], Prediction) and results[3].clip == "decoded clip"
    for index, message in ((1, "no such file"), (4, "truncated"), (5, "given as int")):
        assert isinstance(results[index], ClipFailure) and message in results[index].reason
    with pytest.raises(MediaError, match="no such file"):
        classifier.classify(pair.with_name("nowhere.mp4"), isolated=True)
    with pytest.raises(UsageError, match="workers is 0"):
        next(avemotion.classify_clips(given, classifier, workers=0))


def test_four_threads_answer_as_one_does(classifier: avemotion.Classifier, pair: Path) -> None:
    other = film(pair.with_name("other.mp4"), face(40, 1007), speaking())
    clips = [pair, other] * 8
    alone = [classifier.classify(clip) for clip in clips[:2]] * 8
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(classifier.classify, clips))
    for one, many in zip(alone, together, strict=True):
        assert (one.clip, one.face_box, one.warnings) == (many.clip, many.face_box, many.warnings)
        assert one.probabilities == pytest.approx(many.probabilities, abs=1e-5)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"frames": None, "waveform": None}, "neither"),
        ({"frames": np.zeros((4, 20, 30))}, "frames are float64"),
        ({"frames": np.zeros((4, 3, 20, 30), np.uint8)}, "frames are uint8 of shape"),
        ({"frame_rate": None}, "frame_rate is None"),
        ({"waveform": np.zeros((16_000, 2), np.float32)}, "float32 of shape"),
        ({"waveform": np.array([0.0, np.nan])}, "largest value is nan"),
        ({"waveform": np.array([0.0, 32_000.0])}, "largest value is 32000"),
        ({"sample_rate": 0.5}, "sample_rate is 0.5"),
    ],
)
def test_arrays_that_are_no_clip_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        decoded(**changes)


def test_a_pipe_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PIPE_LIMIT_BYTES", 10_000)
    with pytest.raises(MediaError, match="too much to keep in memory"):
        sources.as_media(piped(bytes(20_000)))
