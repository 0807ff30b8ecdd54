"""How often answers are right is measured by `fit`, carried by the model, and said with answers."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from app_maker import save_model
from media_maker import make_wav, speech_like

import avemotion
from avemotion.cli import main
from avemotion.errors import UsageError
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint
from avemotion.models.metadata import CheckpointMetadata
from avemotion.models.recording_conditions import ConditionScore, Departure, TrainedRange
from avemotion.models.reliability import Reliability

NOISY = Departure("noisy", "white noise 10 dB", 0.5)
CLIPPED = Departure("clipped", "10 % clipped", 0.75)
STRANGE = Departure("unlike those of training")

KNOWN = (
    Reliability("audio", 0.336, "RAVDESS"),
    Reliability("av", None, "no corpus with both was at hand"),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = save_model(tmp_path_factory.mktemp("model"))
    network, metadata = load_checkpoint(path)
    save_checkpoint(path, network, replace(metadata, reliability=KNOWN))
    return path


def test_an_answer_says_what_is_known_of_answers_from_its_modality(
    model: Path, small_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voice = str(sorted((small_corpus / "AudioWAV").glob("*.wav"))[0])
    video = str(sorted((small_corpus / "VideoFlash").glob("*.flv"))[0])
    classifier = avemotion.Classifier(model)
    assert classifier.classify(voice).reliability == KNOWN[0]
    assert classifier.classify(video).reliability == KNOWN[1]
    assert classifier.classify(video, "video").reliability is None
    assert main(["classify", voice, video, "--checkpoint", str(model)]) == 0
    printed = capsys.readouterr().out
    assert (
        "  reliability: right in 34 of 100, each emotion counting the same, measured on RAVDESS\n"
        in printed
    )
    assert "  reliability: not measured: no corpus with both was at hand\n" in printed
    assert main(["classify", voice, "--json", "--checkpoint", str(model)]) == 0
    shown = json.loads(capsys.readouterr().out)["reliability"]
    assert shown["expected_accuracy"] == 0.336 and shown["measured_on"] == "RAVDESS"
    avemotion.write_predictions(
        [voice, video], tmp_path / "a.csv", checkpoint=model, progress=False
    )
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["expected_accuracy"] for row in rows] == ["0.336000", ""]
    assert [row["measured_on"] for row in rows] == [one.measured_on for one in KNOWN]


@pytest.mark.parametrize(
    ("unlike", "expected", "words"),
    [
        ((), 0.336, "on RAVDESS"),
        ((CLIPPED,), 0.252, "on RAVDESS; 75 % of 34, as under 10 % clipped"),
        ((CLIPPED, NOISY), 0.168, "on RAVDESS; 50 % of 34, as under white noise 10 dB"),
        (
            (CLIPPED, STRANGE),
            0.252,
            "as under 10 % clipped and this clip is unlike those in what was not measured",
        ),
        ((STRANGE,), 0.336, "RAVDESS; this clip is unlike those in what was not measured"),
        ((replace(NOISY, kept=1.0),), 0.336, "on RAVDESS"),
    ],
)
def test_the_worst_condition_of_a_clip_is_taken_off(
    unlike: tuple[Departure, ...], expected: float, words: str
) -> None:
    found = KNOWN[0].under(unlike)
    assert found.expected_accuracy == pytest.approx(expected) and str(found).endswith(words)
    assert KNOWN[1].under(unlike) == KNOWN[1]  # nothing is known that could be less


def test_a_noisy_clip_is_expected_to_be_answered_worse(model: Path, tmp_path: Path) -> None:
    """By the road of a file: its loudness range is below that of training."""
    network, metadata = load_checkpoint(model)
    noise = (ConditionScore("white noise 0 dB", -1.0, 0.3),)
    known = TrainedRange("loudness_range_db", 200.0, 300.0, 0.6, noise)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, network, replace(metadata, reliability=KNOWN, recordings=(known,)))
    sound = avemotion.DecodedClip(waveform=speech_like(2.0), sample_rate=16_000)
    answer = avemotion.Classifier(path).classify(sound)
    assert "white noise 0 dB" in answer.warnings[-1]
    assert answer.reliability and answer.reliability.expected_accuracy == pytest.approx(0.168)
    assert answer.reliability.condition == "50 % of 34, as under white noise 0 dB"


def test_a_long_clip_has_that_of_the_modality_of_its_windows(model: Path) -> None:
    sound = speech_like(24.0)
    answer = avemotion.Classifier(model).classify(
        avemotion.DecodedClip(waveform=sound, sample_rate=16_000)
    )
    assert answer.modality == "audio" and answer.reliability == KNOWN[0]


def test_a_timeline_says_what_is_known_of_whole_clips(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voice = make_wav(tmp_path / "voice.wav", speech_like(6.0))
    words = ["--timeline", "--out", str(tmp_path / "t.csv"), "--checkpoint", str(model)]
    assert main(["classify", str(voice), *words]) == 0
    printed = capsys.readouterr().out
    assert (
        "Whole clips, from the voice: right in 34 of 100, each emotion counting the same" in printed
    )


def test_fit_measures_it_on_the_validation_clips(fitted: Path) -> None:
    _, metadata = load_checkpoint(fitted / "ar5" / "video" / "checkpoint.safetensors")
    (known,) = metadata.reliability
    assert known.modality == "video"
    assert known.expected_accuracy == metadata.scores["val_uar"]
    actors = len(metadata.split.validation)
    assert f" of {actors} actor" in known.measured_on
    assert known.measured_on.endswith(", a synthetic corpus, which also chose the epoch")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [{"modality": "touch", "expected_accuracy": 0.5, "measured_on": "", "condition": ""}],
            "modality is 'touch'",
        ),
        (
            [{"modality": "av", "expected_accuracy": 1.5, "measured_on": "", "condition": ""}],
            "is 1.5, but must be",
        ),
        ([{"modality": "av", "expected_accuracy": 0.5}], "measured_on"),
        ("none", "must be a list"),
    ],
)
def test_what_nobody_measured_is_refused(model: Path, values: object, message: str) -> None:
    _, metadata = load_checkpoint(model)
    plain = json.loads(json.dumps(metadata.to_dict()))
    assert CheckpointMetadata.from_dict(plain) == metadata
    with pytest.raises(UsageError, match=message):
        CheckpointMetadata.from_dict(plain | {"reliability": values})
