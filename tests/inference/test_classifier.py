"""`Classifier`: agreement with the store, missing modalities, wrong input, choice of the model."""

import dataclasses
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import QUICK
from media_maker import make_clip, noise_frames, sine, write_pointer

import avemotion
from avemotion.config import PreprocessSettings
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.errors import MediaError, MissingModalityError, UsageError
from avemotion.inference.prediction import ClipFailure, Prediction
from avemotion.inference.runtimes.loading import find_checkpoint
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.inputs import names_of


@pytest.fixture(scope="module")
def video_only_store(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the FLVs alone, so that the sound is the video's own, as `classify` reads it."""
    corpus = tmp_path_factory.mktemp("flv") / "crema"
    corpus.mkdir()
    (corpus / "VideoFlash").symlink_to(small_corpus / "VideoFlash")
    out = corpus.parent / "features"
    settings = PreprocessSettings(views=2)
    avemotion.preprocess(corpus, out=out, settings=settings, progress=False)
    return out


def store_probabilities(store: FeatureStore, checkpoint: Path, clips: list[str]) -> np.ndarray:
    network, metadata = load_checkpoint(checkpoint)
    rows = [row for row in store.rows if row.clip in clips]
    batch = ClipDataset(store, rows, names_of(metadata.inputs))[[(i, 0) for i in range(len(rows))]]
    assert metadata.temperature is not None
    return probabilities(network, batch, metadata.temperature)


@pytest.mark.parametrize("modality", ["av", "video", "audio"])
def test_equals_the_store(
    modality: str, video_only_store: Path, small_corpus: Path, fitted: Path
) -> None:
    store = FeatureStore(video_only_store)
    clips = [row.clip for row in store.rows[:5]]
    checkpoint = fitted / "ar5" / modality / "checkpoint.safetensors"
    expected = store_probabilities(store, checkpoint, clips)
    classifier = avemotion.Classifier(checkpoint)
    found = [classifier.classify(small_corpus / "VideoFlash" / f"{clip}.flv") for clip in clips]
    np.testing.assert_allclose([list(p.probabilities.values()) for p in found], expected, atol=1e-4)
    assert len({p.probabilities["anger"] for p in found}) == 5
    for prediction in found:
        assert prediction.modality == modality
        assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.get)
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert tuple(prediction.probabilities) == store.labels
        assert prediction.faces_found == (0 if modality == "audio" else 20)


def test_real_clips(real_videos: list[Path], fitted: Path, tmp_path: Path) -> None:
    """Six real FLVs, a model of synthetic people: only what is read can be right."""
    corpus = tmp_path / "crema"
    (corpus / "VideoFlash").mkdir(parents=True)
    for video in real_videos:
        (corpus / "VideoFlash" / video.name).symlink_to(video)
    settings = PreprocessSettings(views=2)
    avemotion.preprocess(corpus, out=tmp_path / "features", settings=settings, progress=False)
    store = FeatureStore(tmp_path / "features")
    results = list(avemotion.classify(real_videos, checkpoint=fitted / "ar5/av"))
    assert all(isinstance(r, Prediction) for r in results)
    assert [r.faces_found for r in results] == [20] * 6
    found = np.array([list(r.probabilities.values()) for r in results])
    expected = store_probabilities(
        store, fitted / "ar5/av" / "checkpoint.safetensors", [v.stem for v in real_videos]
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert len(np.unique(found.round(6), axis=0)) == 6
    assert all("synthetic data" in r.warnings[0] for r in results)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, small_corpus: Path) -> dict[str, Path]:
    """One clip of each kind: face and voice, face alone, voice alone, neither."""
    folder = tmp_path_factory.mktemp("clips")
    whole = next((small_corpus / "VideoFlash").glob("*.flv"))
    voice = small_corpus / "AudioWAV" / f"{whole.stem}.wav"
    faces = [frame for frame in _grey_frames(whole)]
    mute = make_clip(folder / "mute.mp4", np.stack(faces), codec="mpeg4")
    faceless = make_clip(folder / "faceless.flv", noise_frames(40), sound=sine(300, 1.6, 44_100))
    neither = make_clip(folder / "neither.flv", noise_frames(40))
    return {"av": whole, "video": mute, "audio": voice, "faceless": faceless, "neither": neither}


def _grey_frames(path: Path) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def test_a_missing_modality_is_answered_from_the_other_with_a_warning(
    clips: dict[str, Path], fitted: Path
) -> None:
    classifier = avemotion.Classifier(fitted / "ar5/av")
    mute = classifier.classify(clips["video"])
    assert mute.modality == "video" and mute.faces_found >= 18
    assert any("video alone" in w and "no audio track" in w for w in mute.warnings)
    sound, faceless = (classifier.classify(clips[kind]) for kind in ("audio", "faceless"))
    for found in (sound, faceless):
        assert found.modality == "audio" and found.face_box is None
    assert any("audio alone" in w and "no face found" in w for w in faceless.warnings)
    assert not any("alone" in w for w in sound.warnings)  # of a sound nobody expects a face


def test_neither_modality_is_an_error(clips: dict[str, Path], fitted: Path) -> None:
    for run in ("av", "video", "audio"):
        with pytest.raises(MissingModalityError, match="no face found|no audio track"):
            avemotion.classify_clip(clips["neither"], checkpoint=fitted / "ar5" / run)


def test_a_model_of_one_modality_refuses_the_other(clips: dict[str, Path], fitted: Path) -> None:
    with pytest.raises(MissingModalityError, match="cannot be classified from video"):
        avemotion.classify_clip(clips["audio"], checkpoint=fitted / "ar5/video")
    with pytest.raises(MissingModalityError, match="cannot be classified from audio"):
        avemotion.classify_clip(clips["video"], checkpoint=fitted / "ar5/audio")
    with pytest.raises(UsageError, match="does not support modality 'audio', only video"):
        avemotion.classify_clip(clips["av"], checkpoint=fitted / "ar5/video", modality="audio")


def test_modality_can_be_chosen(clips: dict[str, Path], fitted: Path) -> None:
    answers = {
        m: avemotion.classify_clip(clips["av"], checkpoint=fitted / "ar5/av", modality=m)
        for m in ("auto", "av", "video", "audio")
    }
    assert answers["auto"].probabilities == answers["av"].probabilities
    assert answers["video"].modality == "video" and answers["audio"].modality == "audio"
    assert len({p.probabilities["anger"] for p in answers.values()}) == 3


def test_the_thesis_model_needs_both(
    clips: dict[str, Path], small_store: Path, tmp_path: Path
) -> None:
    training = dataclasses.replace(QUICK, epochs=1, modality_dropout=0.0)
    avemotion.fit(data=small_store, out=tmp_path / "run", training=training, progress=False)
    assert avemotion.classify_clip(clips["av"], checkpoint=tmp_path / "run").modality == "av"
    for clip in ("video", "audio"):
        with pytest.raises(MissingModalityError, match="needs both"):
            avemotion.classify_clip(clips[clip], checkpoint=tmp_path / "run")


def test_wrong_input_is_named_and_stops_no_other(
    clips: dict[str, Path], fitted: Path, tmp_path: Path
) -> None:
    whole = clips["av"].read_bytes()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "half.flv").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("not a film\n" * 500)
    (tmp_path / "folder.flv").mkdir()
    write_pointer(tmp_path / "pointer.flv")
    reasons = {
        "missing.mp4": "no such file",
        "empty.mp4": "empty",
        "half.flv": "truncated",
        "text.mp4": "cannot be decoded",
        "folder.flv": "not a regular file",
        "pointer.flv": "Git LFS pointer",
    }
    paths = [*(tmp_path / name for name in reasons), clips["av"]]
    results = list(avemotion.classify(paths, checkpoint=fitted / "ar5/av"))
    for result, reason in zip(results, reasons.values(), strict=False):
        assert isinstance(result, ClipFailure) and reason in result.reason
    assert isinstance(results[-1], Prediction)
    with pytest.raises(MediaError, match="truncated"):
        avemotion.classify_clip(tmp_path / "half.flv", checkpoint=fitted / "ar5/av")


class TestWhichModelAnswers:
    def test_latest_then_variable_then_argument(
        self, fitted: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(fitted.parent)
        monkeypatch.delenv("AVEMOTION_CHECKPOINT", raising=False)
        # The link is named by what it points to: the model that answers.
        assert find_checkpoint() == Path("runs/ar5/av/checkpoint.safetensors")
        assert find_checkpoint("runs/latest") == find_checkpoint()
        monkeypatch.setenv("AVEMOTION_CHECKPOINT", "runs/ar5/video")
        assert find_checkpoint() == Path("runs/ar5/video/checkpoint.safetensors")
        assert find_checkpoint("runs/ar5/av") == Path("runs/ar5/av/checkpoint.safetensors")
        file = "runs/ar5/av/checkpoint.safetensors"
        assert find_checkpoint(file) == Path(file)
        assert avemotion.Classifier("runs/ar5/av").metadata.experiment.modality == "av"


def test_two_threads_answer_as_one_does(clips: dict[str, Path], fitted: Path) -> None:
    classifier = avemotion.Classifier(fitted / "ar5/av")
    alone = classifier.classify(clips["av"])
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda _: classifier.classify(clips["av"]), range(12)))
    assert all(p.face_box == alone.face_box for p in together)
    for prediction in together:
        assert prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_a_clip_longer_than_what_is_heard_says_what_was_used(fitted: Path, tmp_path: Path) -> None:
    for seconds, text in ((4, ""), (8, "uses its middle 5 s"), (12, "lasts 12.0 s")):
        path = make_clip(
            tmp_path / f"{seconds}.wav", None, sound=sine(300, seconds, 16_000), sound_rate=16_000
        )
        warnings = avemotion.classify_clip(path, checkpoint=fitted / "ar5/audio").warnings
        lengths = [w for w in warnings if "the audio lasts" in w or "the clip lasts" in w]
        assert len(lengths) == bool(text) and all(text in w for w in lengths)


def test_a_device_that_is_not_there(fitted: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match="--device cuda"):
        avemotion.Classifier(fitted / "ar5/av", device="cuda")


def test_prediction_goes_into_json(clips: dict[str, Path], fitted: Path) -> None:
    prediction = avemotion.classify_clip(clips["av"], checkpoint=fitted / "ar5/av")
    back = json.loads(json.dumps(prediction.to_dict()))
    assert back["label"] == prediction.label
    assert back["face_box"]["width"] == prediction.face_box.width
    with pytest.raises(dataclasses.FrozenInstanceError):
        prediction.label = "joy"


def test_classifying_loads_no_lightning(clips: dict[str, Path], fitted: Path) -> None:
    code = (
        "import sys, avemotion\n"
        f"avemotion.classify_clip({str(clips['av'])!r}, checkpoint={str(fitted / 'ar5/av')!r})\n"
        "heavy = {'pytorch_lightning', 'lightning_fabric', 'sklearn', 'librosa', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
