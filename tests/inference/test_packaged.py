"""The model that comes with the package answers at once, whoever asks, with torch or without."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from app_maker import save_model
from media_maker import speech_like

import avemotion
from avemotion.cli import main
from avemotion.data.corpora.crema_d import EMOTION_BY_CODE, EMOTIONS
from avemotion.inference import adaptation
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.packaged import PACKAGED, packaged_file

MOST_BYTES = 10_000_000


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without runs, and no model in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AVEMOTION_CHECKPOINT", raising=False)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    """A photograph in the public domain (NASA: Eileen Collins, who smiles)."""
    data = pytest.importorskip("skimage.data")
    return np.asarray(data.astronaut())


def test_a_photograph_of_a_smile_is_happiness(astronaut: np.ndarray) -> None:
    found = avemotion.classify_image(astronaut)
    assert (found.label, found.checkpoint) == ("happiness", PACKAGED)
    assert found.probabilities["happiness"] > 0.8 and tuple(found.probabilities) == EMOTIONS
    assert found.reliability is not None and found.reliability.modality == "picture"
    assert 0.5 < (found.reliability.expected_accuracy or 0) < 0.8
    assert found.warnings == ()
    picture = avemotion.DecodedClip(astronaut[None], frame_rate=1.0, name="picture")
    assert avemotion.classify_clip(picture) == replace(found, clip="picture")


@pytest.mark.parametrize("light", [0.3, 0.6])
def test_less_light_changes_little(astronaut: np.ndarray, light: float) -> None:
    dark = (astronaut * light).astype(np.uint8)
    assert avemotion.classify_image(dark).probabilities["happiness"] > 0.8


def test_a_clip_of_one_picture_is_answered_as_the_picture(astronaut: np.ndarray) -> None:
    clip = avemotion.DecodedClip(np.repeat(astronaut[None], 30, axis=0), frame_rate=30.0)
    found, picture = avemotion.classify_clip(clip), avemotion.classify_image(astronaut)
    assert found.probabilities == pytest.approx(picture.probabilities, abs=1e-4)


def test_real_faces_are_told_apart(real_videos: list[Path]) -> None:
    """One actor, who was in no training of the face; a sixth would be chance."""
    meant = [EMOTION_BY_CODE[video.stem.split("_")[2]] for video in real_videos]
    found = [avemotion.classify_clip(video, modality="video").label for video in real_videos]
    assert sum(a == b for a, b in zip(found, meant, strict=True)) >= 4


def test_each_modality_says_how_reliable_it_is(real_videos: list[Path]) -> None:
    classifier = avemotion.Classifier()
    video = real_videos[0]
    both, face, voice = (classifier.classify(video, m) for m in ("av", "video", "audio"))
    assert voice.reliability and 0.25 < (voice.reliability.expected_accuracy or 0) < 0.6
    assert "RAVDESS" in voice.reliability.measured_on
    for one in (face, both):  # no videos of strangers were at hand
        assert one.reliability and one.reliability.expected_accuracy is None


def test_both_runtimes_answer_the_same(astronaut: np.ndarray) -> None:
    sound = speech_like(2.0)
    for source in (
        avemotion.DecodedClip(astronaut[None], frame_rate=1.0, name="still"),
        avemotion.DecodedClip(waveform=sound, sample_rate=16_000, name="voice"),
    ):
        torch, onnx = (
            avemotion.Classifier(runtime=name).classify(source) for name in ("torch", "onnx")
        )
        assert onnx.probabilities == pytest.approx(torch.probabilities, abs=1e-4)
        assert torch.checkpoint == onnx.checkpoint == PACKAGED


def test_ones_own_run_comes_first_and_the_name_chooses_the_packaged_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = avemotion.DecodedClip(waveform=speech_like(2.0), sample_rate=16_000, name="voice")
    assert avemotion.classify_clip(sound).checkpoint == PACKAGED
    run = tmp_path / "runs" / "ar5" / "av"
    run.mkdir(parents=True)
    save_model(run).rename(run / "checkpoint.safetensors")
    (tmp_path / "runs" / "latest").symlink_to(Path("ar5", "av"))
    own = avemotion.classify_clip(sound).checkpoint
    assert own == str(Path("runs", "ar5", "av", "checkpoint.safetensors"))
    assert avemotion.classify_clip(sound, PACKAGED).checkpoint == PACKAGED
    main(["classify", "none.wav"])
    assert f"model: {own}\n" in capsys.readouterr().err
    assert main(["classify", "none.wav", "--checkpoint", PACKAGED]) == 1
    shown = capsys.readouterr()
    assert "none.wav: FAILED: no such file" in shown.out and shown.err == ""
    assert avemotion.classify_clip(sound, Path(PACKAGED)).checkpoint == PACKAGED
    (tmp_path / "runs" / "ar5").rename(tmp_path / "moved")
    assert main(["classify", "none.wav"]) == 2
    assert "runs/latest points to ar5/av, which is not there" in capsys.readouterr().err
    (tmp_path / "runs" / "latest").unlink()
    main(["classify", "none.wav"])
    assert f"model: {PACKAGED}\n" in capsys.readouterr().err


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_parts_are_what_a_clip_has(astronaut: np.ndarray, runtime: str) -> None:
    classifier = avemotion.Classifier(runtime=runtime)
    voice = avemotion.DecodedClip(waveform=speech_like(2.0), sample_rate=16_000)
    picture = avemotion.DecodedClip(astronaut[None], frame_rate=1.0)
    for clip, part in ((voice, "audio"), (picture, "video")):
        found = classifier.classify(clip, parts=True)
        assert found.parts == {part: found.probabilities}


def test_it_adapts_to_voices(small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "FEWEST_CLIPS", 4)
    voices = sorted((small_corpus / "AudioWAV").glob("*.wav"))[:4]
    classifier = avemotion.Classifier()
    classifier.adapt(voices)
    found = classifier.classify(voices[0], parts=True)
    assert "adapted to 4 unlabelled clips" in found.warnings[-1] and found.reliability is None
    assert found.parts == {"audio": found.probabilities}


def test_it_is_small_and_loads_like_any_checkpoint() -> None:
    for suffix in (".safetensors", ".onnx"):
        assert packaged_file(suffix).stat().st_size < MOST_BYTES
    _, metadata = load_checkpoint(packaged_file(".safetensors"))
    assert metadata.labels == EMOTIONS and metadata.answers == ("av", "video", "audio")
    assert metadata.recordings and len(metadata.reliability) == 4
    assert len(metadata.split.train + metadata.split.validation) == 91 and not metadata.split.test
    assert [origin.corpus for origin in metadata.initialised_from] == ["fer2013"]
    assert metadata.temperature is None


WITHOUT_TORCH = """
import json, sys

class Hide:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        hidden = name.split(".")[0] in ("torch", "torchaudio", "pytorch_lightning", "sklearn")
        return None if hidden else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Hide, sys.meta_path)
from avemotion import classify_clip

found = classify_clip(sys.argv[1])
print(json.dumps([found.label, found.checkpoint, found.modality]))
"""


def test_it_answers_where_torch_is_not_installed(small_corpus: Path, tmp_path: Path) -> None:
    voice = next((small_corpus / "AudioWAV").glob("*.wav"))
    expected = avemotion.classify_clip(voice)
    words = [sys.executable, "-c", WITHOUT_TORCH, str(voice)]
    done = subprocess.run(words, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [expected.label, PACKAGED, "audio"]


def test_of_a_longer_sound_the_first_seconds_are_heard_and_said() -> None:
    sound = speech_like(6.0)
    long, first = (
        avemotion.classify_clip(avemotion.DecodedClip(waveform=s, sample_rate=16_000))
        for s in (sound, sound[: 3 * 16_000])
    )
    assert long.probabilities == pytest.approx(first.probabilities, abs=1e-6)
    assert "the audio lasts 6.0 s; the prediction uses its first 3 s" in long.warnings
