"""Clips longer than 10 s: one prediction from windows over the whole, as a timeline reads them."""

import pickle
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from app_maker import save_model, save_picture_model
from media_maker import make_clip, make_wav, speech_like

import avemotion
from avemotion.config import TimelineSettings
from avemotion.errors import MissingModalityError
from avemotion.inference import long_clips
from avemotion.inference.prediction import Prediction
from avemotion.inference.timeline_rows import TimelineRow
from avemotion.media.reader import read_clip

RATE = 30


def write(path: Path, clips: list[Path], seconds: float, gap: tuple[float, float] = (0, 0)) -> Path:
    """People side by side, again and again; in the gap nobody, and silence."""
    media = [read_clip(clip, clip, np.arange) for clip in clips]
    length = min(len(one.frames.frames) for one in media)
    once = np.concatenate([one.frames.frames[:length, ::2, ::2] for one in media], axis=2)
    frames = np.tile(once, (round(seconds * RATE) // length + 1, 1, 1))[: round(seconds * RATE)]
    samples = media[0].sound.samples[: length * 16_000 // RATE].astype(np.float32) / 32_768
    sound = np.resize(samples, round(seconds * 16_000))
    first, last = gap
    frames[round(first * RATE) : round(last * RATE)] = 90
    sound[round(first * 16_000) : round(last * 16_000)] = 0
    return make_clip(path, frames, RATE, sound, 16_000, codec="mpeg4")


@pytest.fixture(scope="module")
def people(small_corpus: Path) -> list[Path]:
    clips = sorted((small_corpus / "VideoFlash").glob("*.flv"))
    return [next(c for c in clips if c.name.startswith(actor)) for actor in ("1001", "1002")]


@pytest.fixture(scope="module")
def film(people: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    return write(path, people[:1], 13, gap=(4, 8))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    named = {name: save_model(folder, name) for name in ("av", "video", "audio")}
    return named | {"picture": save_picture_model(folder)}


def mean_of(rows: list[TimelineRow]) -> dict[str, float]:
    """The geometric mean of the windows' probabilities, computed anew."""
    found = [row.probabilities for row in rows if row.probabilities]
    table = np.array([[max(p, 1e-6) for p in one.values()] for one in found])
    product = np.prod(table ** (1 / len(table)), axis=0)
    return dict(zip(found[0], (product / product.sum()).tolist(), strict=True))


def check(prediction: Prediction, classifier: avemotion.Classifier, film: Path) -> None:
    rows = list(classifier.timeline(film))
    answered = [row for row in rows if row.probabilities]
    expected = mean_of(rows)
    assert prediction.probabilities == pytest.approx(expected, abs=1e-6)
    assert prediction.label == max(expected, key=expected.get)
    assert prediction.faces_found == sum(row.faces_found for row in answered)
    assert prediction.modality in {row.modality for row in answered} | {"av"}
    strongest = prediction.strongest_windows
    assert 2 <= len(strongest) <= 3
    surest = max(answered, key=lambda row: row.probabilities[row.label])
    assert (strongest[0].start_seconds, strongest[0].label) == (surest.start_seconds, surest.label)
    for window in strongest:
        (row,) = [row for row in answered if row.start_seconds == window.start_seconds]
        assert (row.end_seconds, row.label) == (window.end_seconds, window.label)
        assert row.probabilities[row.label] == pytest.approx(window.probability, abs=1e-6)
    for one, other in combinations(strongest, 2):
        assert one.probability >= other.probability
        assert one.end_seconds <= other.start_seconds or other.end_seconds <= one.start_seconds


@pytest.mark.parametrize("kind", ["av", "video", "audio", "picture"])
def test_it_is_the_mean_of_the_timelines_windows(
    kind: str, film: Path, models: dict[str, Path]
) -> None:
    classifier = avemotion.Classifier(models[kind], "cpu")
    prediction = classifier.classify(film)
    check(prediction, classifier, film)
    windows = len(list(classifier.timeline(film)))
    text = "\n".join(prediction.warnings)
    assert "the clip lasts 13.0 s" in text and "windows of 2.5 s" in text
    assert f"of {windows} windows have no prediction, mostly because: " in text
    # What holds for every window is said once, and plainly.
    synthetic = [text for text in prediction.warnings if "trained on synthetic data" in text]
    assert len(synthetic) == (classifier.metadata.synthetic is not None)
    assert all(text.startswith("the model was") for text in synthetic)


def test_an_exported_model_answers_the_same(film: Path, exported: Path) -> None:
    by_torch = avemotion.Classifier(exported / "av", "cpu").classify(film)
    classifier = avemotion.Classifier(exported / "av", "cpu", "onnx")
    by_onnx = classifier.classify(film)
    check(by_onnx, classifier, film)
    assert by_onnx.probabilities == pytest.approx(by_torch.probabilities, abs=1e-4)


def test_every_kind_of_source_and_process_gives_the_same(
    film: Path, models: dict[str, Path]
) -> None:
    classifier = avemotion.Classifier(models["av"], "cpu")
    expected = classifier.classify(film, parts=True)
    assert set(expected.parts) == {"video", "audio"}
    others = [classifier.classify(film.read_bytes(), parts=True)]
    with film.open("rb") as file:
        others.append(classifier.classify(file, parts=True))
        others += avemotion.classify_clips([film, file], classifier, parts=True, workers=1)
    others += avemotion.classify([film], checkpoint=models["av"], parts=True)
    for other in others:
        # The noise is seeded by the name, which bytes do not have.
        tolerance = 1e-6 if other.clip in (str(film), film.name) else 0.2
        for probabilities, others_own in [
            (other.probabilities, expected.probabilities),
            (other.parts["audio"], expected.parts["audio"]),
        ]:
            assert probabilities == pytest.approx(others_own, abs=tolerance)
        assert other.faces_found == expected.faces_found
        assert len(other.strongest_windows) == len(expected.strongest_windows)
    assert others[2].clip == str(film) and others[2].warnings == expected.warnings


def test_up_to_ten_seconds_nothing_changes(
    people: list[Path], models: dict[str, Path], tmp_path: Path
) -> None:
    clip = write(tmp_path / "short.mkv", people[:1], 9.9)
    classifier = avemotion.Classifier(models["av"], "cpu")
    (expected,) = classifier.answer(classifier.prepare(clip))
    assert classifier.classify(clip) == expected
    assert expected.strongest_windows == () and expected.frames_sampled == 20


def test_the_length_counts_and_not_what_the_header_says(
    people: list[Path], models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = avemotion.Classifier(models["av"], "cpu")
    short = write(tmp_path / "short.mkv", people[:1], 4)
    expected = classifier.classify(short)
    monkeypatch.setattr(long_clips, "_SMALL_BYTES", 0)
    monkeypatch.setattr(long_clips, "known_seconds", lambda file: 3_600.0)
    assert classifier.classify(short) == expected
    monkeypatch.setattr(long_clips, "known_seconds", lambda file: None)
    voice = make_wav(tmp_path / "voice.wav", speech_like(12))
    assert classifier.classify(voice).strongest_windows


def test_each_face_has_the_mean_of_its_windows(
    people: list[Path], models: dict[str, Path], tmp_path: Path
) -> None:
    path = write(tmp_path / "both.mkv", people, 11)
    classifier = avemotion.Classifier(models["video"], "cpu")
    predictions = classifier.classify_faces(path)
    rows = list(classifier.timeline(path, settings=TimelineSettings(face="all")))
    assert {one.face for one in predictions} == {row.face for row in rows} == {1, 2}
    for one in predictions:
        own = [row for row in rows if row.face == one.face]
        assert one.probabilities == pytest.approx(mean_of(own), abs=1e-6)
        assert any(f"this face is in {len(own)} of" in text for text in one.warnings)


def test_without_a_usable_window_the_reason_is_given(
    people: list[Path], models: dict[str, Path], tmp_path: Path
) -> None:
    path = write(tmp_path / "empty.mkv", people[:1], 12, gap=(0, 12))
    classifier = avemotion.Classifier(models["av"], "cpu")
    with pytest.raises(MissingModalityError, match="none of its 11 windows has .*silent"):
        classifier.classify(path)


def test_no_frames_are_kept(
    film: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour has 3,598 windows: what is kept of them must be small."""
    pools = []

    class Watched(long_clips.WindowPool):
        def predictions(self) -> list[Prediction]:
            pools.append(self)
            return super().predictions()

    monkeypatch.setattr(long_clips, "WindowPool", Watched)
    avemotion.Classifier(models["av"], "cpu").classify(film)
    (pool,) = pools
    kept = {name: value for name, value in vars(pool).items() if name not in ("_request", "surest")}
    assert pool.surest is not None and len(pickle.dumps(kept)) < 2_000 * pool._windows
