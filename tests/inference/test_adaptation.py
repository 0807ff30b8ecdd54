"""Answers that are adapted to a setting: what is said of all its clips alike is taken out."""

import csv
import json
import math
import wave
from pathlib import Path

import numpy as np
import pytest
from app_maker import save_model
from hypothesis import given, settings
from hypothesis import strategies as st

import avemotion
from avemotion.cli import main
from avemotion.errors import UsageError
from avemotion.inference import adaptation
from avemotion.inference.adaptation import Adaptation
from avemotion.inference.prediction import ClipFailure, Prediction

ADAPTED = "adapted to {} unlabelled clips, each emotion taken to be as frequent as any other"

LABELS = ("anger", "calm", "sadness")


def predicted(shares: np.ndarray, modality: str = "audio", **parts: np.ndarray) -> Prediction:
    def named(values: np.ndarray) -> dict[str, float]:
        return dict(zip(LABELS, values.tolist(), strict=True))

    by_label = named(shares)
    return Prediction(
        clip="clip.wav",
        label=max(by_label, key=by_label.__getitem__),
        probabilities=by_label,
        modality=modality,
        faces_found=0,
        frames_sampled=0,
        face_box=None,
        face=None,
        checkpoint="x",
        warnings=("first",),
        parts={name: named(values) for name, values in parts.items()},
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.integers(0, 1000))
def test_a_lean_that_all_clips_share_is_taken_out(lean: list[float], seed: int) -> None:
    """Logits with a constant added, whatever it is, give the answers that they give without."""
    logits = np.random.default_rng(seed).normal(size=(30, 3))
    logits -= logits.mean(axis=0)
    plain = softmax(logits - logits.mean(axis=1, keepdims=True))
    logits = np.log(plain) - np.log(plain).mean(axis=0)
    expected = softmax(logits)
    leaning = [predicted(row) for row in softmax(np.log(plain) + lean)]
    setting = Adaptation.to(leaning)
    for one, shares in zip(leaning, expected, strict=True):
        found = setting.applied(one)
        np.testing.assert_allclose(list(found.probabilities.values()), shares, atol=1e-6)
        assert found.probabilities[found.label] == max(found.probabilities.values())
        assert found.warnings == ("first", ADAPTED.format(30))


def test_each_modality_has_its_own_lean() -> None:
    """An answer from both is adapted as both, its parts as face and voice."""
    rng = np.random.default_rng(0)
    rows = [[rng.dirichlet(np.ones(3)) for _ in range(3)] for _ in range(20)]
    both = [predicted(b, "av", video=f, audio=v) for b, f, v in rows]
    heard = [predicted(rng.dirichlet(np.ones(3)), "audio") for _ in range(5)]
    setting = Adaptation.to([*both, *heard, ClipFailure("gone.wav", "no such file")])
    assert setting.clips == {"av": 20, "video": 20, "audio": 25}
    found = setting.applied(both[0])
    voices = np.log([v for _, _, v in rows] + [list(p.probabilities.values()) for p in heard])
    expected = softmax(np.log(rows[0][2]) - voices.mean(axis=0))
    np.testing.assert_allclose(list(found.parts["audio"].values()), expected)


def test_a_modality_of_few_clips_is_left_as_it_is_and_says_so() -> None:
    rng = np.random.default_rng(0)
    seen = [predicted(rng.dirichlet(np.ones(3)), "video") for _ in range(20)]
    heard = predicted(np.array([0.5, 0.3, 0.2]), "audio")
    found = Adaptation.to([*seen, heard]).applied(heard)
    assert found.probabilities == heard.probabilities
    assert found.warnings[-1] == "not adapted: fewer than 20 clips were answered from audio"


def test_too_few_clips_are_refused() -> None:
    few = [predicted(np.array([0.5, 0.3, 0.2]))] * 19
    with pytest.raises(UsageError, match="Only 19 clips .* needs 20 or more"):
        Adaptation.to([*few, ClipFailure("gone.wav", "no such file")])
    with pytest.raises(UsageError, match="Only 0 clips"):
        Adaptation.to([])


def test_a_probability_of_0_does_not_decide_alone() -> None:
    shares = [predicted(np.array([1.0, 0.0, 0.0])), *[predicted(np.array([0.4, 0.3, 0.3]))] * 19]
    found = Adaptation.to(shares).applied(shares[1])
    assert all(math.isfinite(value) for value in found.probabilities.values())
    assert found.probabilities["calm"] < 0.6


@pytest.fixture(scope="module")
def voices(small_corpus: Path) -> list[Path]:
    return sorted((small_corpus / "AudioWAV").glob("*.wav"))[:4]


def test_the_command_adapts_to_the_clips_that_it_is_given(
    voices: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(adaptation, "FEWEST_CLIPS", 4)
    model = save_model(tmp_path)
    words = ["classify", *map(str, voices), str(tmp_path / "none.wav"), "--checkpoint", str(model)]
    assert main([*words, "--json"]) == 1
    plain = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert main([*words, "--json", "--adapt"]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found[-1]["reason"] and len(found) == 5
    logs = np.log([list(row["probabilities"].values()) for row in plain[:-1]])
    expected = softmax(logs - logs.mean(axis=0))
    shown = [list(row["probabilities"].values()) for row in found[:-1]]
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    assert main([*words, "--adapt", "--out", str(tmp_path / "a.csv")]) == 1
    with (tmp_path / "a.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["label"] for row in table[:-1]] == [row["label"] for row in found[:-1]]
    assert all("adapted to 4 unlabelled clips" in row["warnings"] for row in table[:-1])


def test_a_classifier_stays_adapted(
    voices: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "FEWEST_CLIPS", 4)
    classifier = avemotion.Classifier(save_model(tmp_path))
    plain = [classifier.classify(voice) for voice in voices]
    classifier.adapt(voices)
    expected = [Adaptation.to(plain).applied(one) for one in plain]
    for voice, wanted in zip(voices, expected, strict=True):
        found = classifier.classify(voice)
        assert found.warnings == wanted.warnings
        for label, value in wanted.probabilities.items():
            assert found.probabilities[label] == pytest.approx(value, abs=1e-6)
    classifier.adapt(voices)  # from the plain answers, not from adapted ones
    assert classifier.classify(voices[0]).probabilities == pytest.approx(
        expected[0].probabilities, abs=1e-6
    )


def test_a_long_clip_is_adapted_once(
    voices: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "FEWEST_CLIPS", 4)
    with wave.open(str(voices[0])) as file:
        rate, sound = file.getframerate(), file.readframes(file.getnframes())
    long = tmp_path / "long.wav"
    with wave.open(str(long), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound * 8)
    classifier = avemotion.Classifier(save_model(tmp_path))
    plain = classifier.classify(long)
    assert "windows" in plain.warnings[0]
    short = [classifier.classify(voice) for voice in voices]
    classifier.adapt(voices)
    wanted = Adaptation.to(short).applied(plain)
    for isolated in (False, True):
        found = classifier.classify(long, isolated=isolated)
        assert found.probabilities == pytest.approx(wanted.probabilities, abs=1e-6)
        assert plain.strongest_windows and not found.strongest_windows


def test_only_whole_clips_are_adapted(
    voices: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_model(tmp_path)
    words = ["classify", "--timeline", str(voices[0]), "--adapt", "--checkpoint", str(model)]
    assert main(words) == 2
    assert "--adapt does not go with --timeline" in capsys.readouterr().err
    assert main(["classify", str(voices[0]), "--adapt", "--checkpoint", str(model)]) == 2
    assert "Only 1 clip could be answered" in capsys.readouterr().err


def test_faces_are_no_clips_and_one_clip_is_no_list(voices: list[Path], tmp_path: Path) -> None:
    model = save_model(tmp_path)
    with pytest.raises(UsageError, match="--adapt does not go with --face all"):
        list(avemotion.classify(voices, checkpoint=model, adapt=True, face="all"))
    classifier = avemotion.Classifier(model)
    with pytest.raises(UsageError, match="clips must be a list, not str"):
        classifier.adapt(str(voices[0]))


def test_an_adaptation_that_fails_leaves_the_one_before(
    voices: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = avemotion.Classifier(save_model(tmp_path))
    monkeypatch.setattr(adaptation, "FEWEST_CLIPS", 4)
    classifier.adapt(voices)
    found = classifier.classify(voices[0])
    monkeypatch.setattr(adaptation, "FEWEST_CLIPS", 20)
    with pytest.raises(UsageError, match="Only 4 clips"):
        classifier.adapt(voices)
    assert classifier.classify(voices[0]) == found
