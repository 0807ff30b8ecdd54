"""The model that comes with the package answers at once, whoever asks, with torch or without."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from app_maker import save_model
from awkward_inputs import film
from media_maker import speech_like
from PIL import Image

import avemotion
from avemotion.cli import main
from avemotion.data.corpora.crema_d import EMOTION_BY_CODE, EMOTIONS
from avemotion.errors import MissingModalityError
from avemotion.inference import adaptation
from avemotion.inference.prediction import Prediction
from avemotion.media.reader import read_frames
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.packaged import PACKAGED, packaged_file
from avemotion.web.answering import Upload, answer

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
    found = avemotion.classify_image(dark)
    assert found.probabilities["happiness"] > 0.8
    assert not [text for text in found.warnings if "blurred" in text]  # of what the network reads


def test_a_clip_of_one_picture_is_answered_as_the_picture(astronaut: np.ndarray) -> None:
    clip = avemotion.DecodedClip(np.repeat(astronaut[None], 30, axis=0), frame_rate=30.0)
    found, picture = avemotion.classify_clip(clip), avemotion.classify_image(astronaut)
    assert found.probabilities == pytest.approx(picture.probabilities, abs=1e-4)


def _but_blurred(found: Prediction) -> tuple[str, ...]:
    """Its warnings, but that it is blurred, as what was made small or compressed is."""
    return tuple(text for text in found.warnings if "the face is blurred" not in text)


SAME = "all frames show the same picture: a photograph, or a video that stands still"
SINGLE = "the video holds a single frame: it is answered as a picture is"
WHOLE = "no face was found in the small picture: all of it is taken as the face"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("photo.mp4", {"codec": "libx264", "crf": "40"}, SAME),
        ("photo.avi", {"codec": "mpeg4", "qmin": "8"}, SAME),
        ("photo.gif", {"codec": "gif", "pixels": "gray"}, SINGLE),
        ("single.mp4", {"codec": "libx264"}, SINGLE),
    ],
)
def test_a_photograph_given_as_a_video_is_told(
    astronaut: np.ndarray, name: str, options: dict[str, str], said: str, tmp_path: Path
) -> None:
    """Noise and compression make its frames differ; one frame is one picture in any container."""
    grey = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)
    rng = np.random.default_rng(0)
    count = 1 if said == SINGLE else 25
    noisy = np.clip(grey + rng.normal(0, 4, (count, *grey.shape)), 0, 255).astype(np.uint8)
    found = avemotion.classify_clip(film(tmp_path / name, noisy, **options), modality="video")
    assert _but_blurred(found) == (said,) and found.label == "happiness"
    assert found.frames_sampled == (1 if said == SINGLE else 20)


def test_people_who_talk_are_no_photograph(real_videos: list[Path], tmp_path: Path) -> None:
    classifier = avemotion.Classifier()
    for video in real_videos:
        frames = read_frames(video, np.arange).frames[::2, ::3, ::3]  # small, and half a rate
        small = film(tmp_path / f"{video.stem}.mp4", frames, codec="libx264", crf="38")
        for given in (video, small):
            assert SAME not in classifier.classify(given, "video").warnings


@pytest.mark.parametrize("side", [24, 48, 128])
def test_a_face_that_fills_a_small_picture_is_the_picture(
    astronaut: np.ndarray, side: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = avemotion.classify_image(astronaut).face_box
    assert box is not None
    rows, columns = (slice(start + 12, start + box.width - 12) for start in (box.y, box.x))
    face = cv2.resize(astronaut[rows, columns], (side, side), interpolation=cv2.INTER_AREA)
    classifier, path = avemotion.Classifier(), tmp_path / "face.png"
    for picture, name in (
        (face, "face.jpg"),
        (cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), "grey.jpg"),
        (cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), "grey.png"),
        (face, path.name),
    ):
        Image.fromarray(picture).save(tmp_path / name, quality=95)
        found = classifier.classify(tmp_path / name)
        assert (found.label, _but_blurred(found)) == ("happiness", (WHOLE,))
        assert found.face_box is not None
        assert (found.face_box.width, found.face_box.height) == (side, side)
    (numbered,) = classifier.classify_faces(path)
    assert numbered.face == 1 and _but_blurred(numbered) == (WHOLE,)
    for same in (numbered, avemotion.classify_image(path, runtime="onnx")):
        assert same.probabilities == pytest.approx(found.probabilities, abs=1e-4)
    assert main(["classify", str(path)]) == 0 and WHOLE in capsys.readouterr().out
    *_, answered = answer(packaged_file(".safetensors"), Upload(path, path.name, 60.0))
    assert answered["prediction"]["warnings"][0] == WHOLE
    assert answered["prediction"]["probabilities"] == pytest.approx(found.probabilities)
    large = cv2.resize(face, (129, 129))
    with pytest.raises(MissingModalityError, match="no face found in the picture"):
        avemotion.classify_image(large)


def test_a_small_picture_with_more_than_a_face_is_searched(astronaut: np.ndarray) -> None:
    around = cv2.resize(astronaut[20:260, 100:340], (128, 128), interpolation=cv2.INTER_AREA)
    found = avemotion.classify_image(around)
    assert _but_blurred(found) == () and found.face_box is not None and found.face_box.width < 90


def test_a_blurred_face_is_called_so_and_expected_to_be_answered_worse(
    astronaut: np.ndarray,
) -> None:
    far = cv2.GaussianBlur(astronaut, (0, 0), 6.0)
    sharp, blurred = avemotion.classify_image(astronaut), avemotion.classify_image(far)
    assert "blurred, small or strongly compressed" in blurred.warnings[-1]
    assert sharp.reliability and blurred.reliability
    assert (blurred.reliability.expected_accuracy or 1) < (sharp.reliability.expected_accuracy or 0)
    assert "as under blur of" in blurred.reliability.condition


def test_tones_are_no_voice() -> None:
    seconds = np.arange(2 * 16_000) / 16_000
    chord = sum(np.sin(2 * np.pi * hertz * seconds) for hertz in (220, 277, 330))
    clip = avemotion.DecodedClip(waveform=(5000 * chord).astype(np.int16), sample_rate=16_000)
    (warning,) = (w for w in avemotion.classify_clip(clip).warnings if "unlike" in w)
    assert warning.startswith("the sound is unlike those that the model learned from")


def test_real_faces_and_voices_are_like_those_of_training(real_videos: list[Path]) -> None:
    found = [w for video in real_videos for w in avemotion.classify_clip(video).warnings]
    unlike = [text for text in found if "unlike" in text]
    assert not [text for text in unlike if "face" in text]
    assert len(unlike) <= 1  # their sound is MP3, and that of training was not


def test_a_picture_of_48_pixels_is_read_as_in_training() -> None:
    """What the network reads of it is the picture itself, grey level by grey level."""
    picture = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)  # no face is found
    clip = avemotion.DecodedClip(picture[None], frame_rate=1.0)
    (prepared,) = avemotion.Classifier().prepare(clip)
    assert (prepared.arrays.inputs["stills"] == picture).all()


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
    for name in ("avemotion-2", "nowhere.onnx"):
        assert main(["classify", "none.wav", "--checkpoint", name]) == 2
        assert f"{PACKAGED}, which comes with the package" in capsys.readouterr().err
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
