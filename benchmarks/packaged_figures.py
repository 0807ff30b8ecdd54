"""What avemotion-1 answers to people that it has never seen or heard: see `packaged_model.py`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from answers import adapted, predictions_of
from campaign import with_ends
from numpy.typing import NDArray
from reporting import publish, table

import avemotion
from avemotion.config import Modality, PreprocessSettings
from avemotion.data.batch import Batch
from avemotion.data.corpora.crema_d import EMOTION_BY_CODE, EMOTIONS
from avemotion.data.corrupted_batches import clean_or_corrupted
from avemotion.data.dataset import ClipDataset
from avemotion.data.relabelled import RelabelledStore
from avemotion.data.splits import actors_of
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.types import Split
from avemotion.evaluation.metrics.calibration import calibration
from avemotion.evaluation.metrics.scores import Score, score
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.evaluation.targets import choose_targets
from avemotion.features.corruptions import Condition, conditions_for
from avemotion.models.base import EmotionModel, probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.header import read_header
from avemotion.models.miene_stimme import MieneStimme
from avemotion.models.recording_conditions import TrainedRange
from avemotion.models.reliability import Reliability
from avemotion.models.training_distance import TrainingSpace
from avemotion.training.recording_ranges import recording_ranges, training_spaces

_BATCH = 256
_SAME = {emotion: emotion for emotion in EMOTIONS}


@dataclass
class Figures:
    """The table, and what the model carries of it."""

    rows: list[list[str]] = field(default_factory=list)
    result: dict[str, float] = field(default_factory=dict)
    groups: list[list[str]] = field(default_factory=list)
    conditions: list[list[str]] = field(default_factory=list)
    of_metadata: dict[str, Any] = field(default_factory=dict)
    pairs: str = ""

    def add(self, name: str, asked: str, found: Score) -> Score:
        """Add a row."""
        recall = with_ends(found.recall, found.recall_low, found.recall_high)
        accuracy = with_ends(found.accuracy, found.accuracy_low, found.accuracy_high)
        each = ", ".join(f"{c.emotion} {100 * c.recall:.0f}" for c in found.classes)
        self.rows.append([name, asked, f"{found.clips:,}", recall, accuracy, each])
        self.result[name] = found.recall
        return found

    def people(self, folds: EvaluationResults) -> None:
        """Add a row for those who were given the same voices."""
        if one := folds.humans.get("audio"):
            self.rows.append(
                [f"CREMA-D, {folds.folds} folds", "people, majority", f"{folds.clips:,}",
                 with_ends(one.recall, one.recall_low, one.recall_high),
                 with_ends(one.majority, one.low, one.high),
                 ", ".join(f"{g.name} {100 * g.majority:.0f}" for g in one.by_emotion)]
            )  # fmt: skip

    def publish(self, out: Path) -> None:
        """Write the table."""
        publish(
            out,
            "packaged_model",
            "avemotion-1 on people that it has never seen or heard",
            [
                "CREMA-D's six emotions (FER2013 without surprise, RAVDESS without calm and "
                "surprise). Mean recall (UAR) and accuracy in per cent, with 95 % intervals over "
                "actors, or over pictures of unknown people; recall of each emotion. Guessing has "
                "16.7.",
                table(["data", "from", "clips", "UAR", "accuracy", "recalls"], self.rows),
                "FER+: the same photographs by what more than half of ten raters answered. "
                "PrivateTest trained nothing, but comes from the same collection of photographs as "
                "the training pictures, whose people are not known. Whether and how the face "
                "network sees poor pictures in training was chosen on PublicTest and the six "
                "videos, but after figures of PrivateTest had been seen: 64.7 without, 62.0 with "
                "them in all 45 epochs. "
                "The voices of CREMA-D are scored by networks of the same recipe, each on actors "
                "that it did not learn (each answer: `packaged_voice.csv`); people heard whole "
                "clips, with their level. Of the "
                "packaged network 82 of the 91 actors trained the weights, 9 its temperature. "
                "RAVDESS trained nothing, but chose between two recipes of the voice network: the "
                "other one, which heard 40 dB and less noise in training, had 31.7 there (adapted "
                "45.1 and 50.3) and, on 19 actors of CREMA-D that it did not learn, 60.4 where "
                "this one has 57.9. Adapted: to the unlabelled clips of all, or of the same "
                "speaker. The six videos are of one actor, whose voice the packaged network "
                "learned; they chose how frames are pooled. Made pairs: a voice of an actor who "
                "was not learned beside a photograph of PrivateTest of the same emotion, drawn at "
                "random. They show that the two answers are added rightly, not what a talking face "
                "is worth. Calibration error (ECE) of the probabilities there: "
                f"{self.pairs}.",
                "The voices of CREMA-D by group of the actors; accuracy is the mean over actors, "
                "with a 95 % t interval; groups of fewer than ten are too small for a claim:",
                table(["", "actors", "accuracy"], self.groups),
                "Answers that stay under other conditions, in per cent. The voice: clips of the "
                "same held-out actors of which the waveform is at hand, by the same network. The "
                "face: each fifth picture of PrivateTest.",
                table(["condition", "from", "clips", "answers that stay"], self.conditions),
            ],
            self.result,
        )


def measure(
    given: argparse.Namespace,
    network: MieneStimme,
    face: Path,
    voice: Path,
    heard: Path,
    folds: EvaluationResults,
) -> Figures:
    """Score the packaged network, and the networks that stand for its parts.

    Args:
        given: The options of `packaged_model.py`.
        network: The packaged network.
        face: Checkpoint of the face network.
        voice: Checkpoint of the voice network.
        heard: Checkpoint of a voice network of the same recipe that did not learn some actors.
        folds: What voice networks of that recipe score, each on actors that it did not learn.
    """
    found = Figures()
    pictures = FeatureStore(given.work / "faces")
    six = [r for r in pictures.usable("video") if r.part == "test" and r.emotion in EMOTIONS]
    shown = _face_answers(network, _batches(pictures, six, ("image",)))
    found.add("FER2013, PrivateTest", "face", _scored(shown, six))
    rated = _rated(pictures)
    named = _face_answers(network, _batches(pictures, rated, ("image",)))
    found.add("FER+, PrivateTest", "face", _scored(named, rated))
    found.add(f"CREMA-D, {folds.folds} folds", "voice", folds.scores["stimme/audio"])
    for group in folds.fairness["stimme/audio"]:
        accuracy = with_ends(group.accuracy, group.accuracy_low, group.accuracy_high)
        found.groups.append([f"{group.attribute}: {group.group}", str(group.actors), accuracy])
    found.people(folds)
    _pairs(found, given, heard, read_header(voice).temperature or 1.0, shown, six)
    others = FeatureStore(
        avemotion.preprocess(
            given.ravdess, corpus="ravdess", out=given.work / "ravdess",
            settings=PreprocessSettings(views=1, features=("mel",)),
        ).store
    )  # fmt: skip
    takes = [row for row in others.usable("audio") if row.emotion in EMOTIONS]
    shares = _shares(network, others, takes)
    found.add("RAVDESS", "voice", _scored(shares, takes))
    for how, groups in (("all", [""] * len(takes)), ("speaker", [row.actor for row in takes])):
        found.add(f"RAVDESS, adapted, {how}", "voice", _scored(adapted(shares, groups), takes))
    _under_conditions(found, given, network, heard)
    _six_videos(found, given)
    recordings, spaces = _known_clips(given, network, face, heard)
    found.of_metadata |= {"recordings": recordings, "spaces": spaces}
    found.of_metadata["reliability"] = (
        Reliability(
            "picture", found.result["FER2013, PrivateTest"],
            "photographs of the collection that it learned from (FER2013, PrivateTest)",
        ),
        Reliability("video", None, "no videos of strangers were at hand"),
        Reliability(
            "audio", found.result["RAVDESS"],
            "the voices of RAVDESS, which it did not learn, but which chose its recipe",
        ),
        Reliability("av", None, "no corpus of strangers' faces and voices was at hand"),
    )  # fmt: skip
    return found


def _rated(pictures: FeatureStore) -> list[ManifestRow]:
    """Return the pictures of PrivateTest of which most raters named one of the six emotions."""
    rows = [r for r in pictures.usable("video") if r.part == "test"]
    named, _ = choose_targets(pictures, rows, "majority")
    found = [replace(row, emotion=named.get(row.clip, "")) for row in rows]
    return [row for row in found if row.emotion in EMOTIONS]


def _pairs(
    found: Figures,
    given: argparse.Namespace,
    heard: Path,
    temperature: float,
    shown: NDArray[np.float32],
    pictures: Sequence[ManifestRow],
) -> None:
    """Score pictures and voices of one emotion together, as the packaged network adds them.

    Args:
        found: Takes the rows.
        given: The options of `packaged_model.py`.
        heard: Checkpoint of a voice network that did not learn some actors.
        temperature: That of the packaged voice network.
        shown: Answers to pictures, float32 (picture, emotion).
        pictures: Their rows.
    """
    network, metadata = load_checkpoint(heard)
    voices = FeatureStore(given.work / "voices")
    unheard = [r for r in voices.usable("audio") if r.actor in metadata.split.test]
    spoken = _shares(network, voices, unheard, temperature)
    rng = np.random.default_rng(0)
    fitting = {e: [i for i, r in enumerate(pictures) if r.emotion == e] for e in EMOTIONS}
    seen = shown[[rng.choice(fitting[row.emotion]) for row in unheard]]
    both = seen.astype(np.float64) * spoken
    errors = []
    for words, shares in (
        ("face", seen), ("voice", spoken), ("both", both / both.sum(axis=1, keepdims=True))
    ):  # fmt: skip
        found.add("made pairs", words, _scored(shares, unheard))
        error = calibration(predictions_of(unheard, shares), EMOTIONS).calibration_error
        errors.append(f"{words} {100 * error:.1f} %")
    found.pairs = ", ".join(errors)


def _face_answers(
    network: MieneStimme, batches: Iterable[Batch[torch.Tensor]]
) -> NDArray[np.float32]:
    """Ask the face network alone: it answers a picture as the whole does a clip of it."""
    return np.concatenate([probabilities(network.face, batch) for batch in batches])


def _shares(
    network: EmotionModel,
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    temperature: float = 1.0,
) -> NDArray[np.float32]:
    names = ("mel",)
    found = (probabilities(network, b, temperature) for b in _batches(store, rows, names))
    return np.concatenate(list(found))


def _batches(
    store: FeatureStore, rows: Sequence[ManifestRow], names: Sequence[str]
) -> Iterable[Batch[torch.Tensor]]:
    clips = ClipDataset(store, rows, names)
    for start in range(0, len(rows), _BATCH):
        yield clips[[(i, 0) for i in range(start, min(start + _BATCH, len(rows)))]]


def _scored(shares: NDArray[np.floating], rows: Sequence[ManifestRow]) -> Score:
    return score(predictions_of(rows, shares), EMOTIONS)


def _under_conditions(
    found: Figures, given: argparse.Namespace, network: MieneStimme, heard: Path
) -> None:
    pictures = FeatureStore(given.work / "faces")
    rows = [r for r in pictures.usable("video") if r.part == "test" and r.emotion in EMOTIONS][::5]

    def seen(condition: Condition | None) -> NDArray[np.float32]:
        return _face_answers(
            network, clean_or_corrupted(pictures, rows, ("image",), "video", condition)
        )

    _compare(found, "face", "video", len(rows), seen)
    voice, metadata = load_checkpoint(heard)
    sounds = _sounds(given, given.crema, "crema_d", "waveforms")
    clips = [row for row in sounds.usable("audio") if row.actor in metadata.split.test]

    def answers(condition: Condition | None) -> NDArray[np.float32]:
        batches = clean_or_corrupted(sounds, clips, ("mel",), "audio", condition)
        return np.concatenate([probabilities(voice, batch) for batch in batches])

    _compare(found, "voice", "audio", len(clips), answers)


def _compare(
    found: Figures,
    name: str,
    modality: Modality,
    clips: int,
    ask: Callable[[Condition | None], NDArray[np.float32]],
) -> None:
    plain = ask(None).argmax(axis=1)
    for condition in conditions_for(modality):
        if not condition.of_motion:
            stay = float((ask(condition).argmax(axis=1) == plain).mean())
            found.conditions.append([condition.name, name, f"{clips:,}", f"{100 * stay:.0f}"])
            found.result[f"{name}, {condition.name}"] = stay


def _six_videos(found: Figures, given: argparse.Namespace) -> None:
    """Ask the model itself, by the road that users take."""
    classifier = avemotion.Classifier(given.work / "avemotion-1.safetensors")
    videos = sorted((given.crema / "VideoFlash").glob("*.flv"))
    meant = {video: EMOTION_BY_CODE[video.stem.split("_")[2]] for video in videos}
    for asked, words in (("video", "face"), ("audio", "voice"), ("av", "both")):
        answers = [classifier.classify(video, asked) for video in videos]
        right = [a.label == meant[v] for a, v in zip(answers, videos, strict=True)]
        each = ", ".join(f"{meant[v]}: {a.label}" for a, v in zip(answers, videos, strict=True))
        share = f"{sum(right)} of {len(right)} right"
        found.rows.append(["six videos of CREMA-D", words, str(len(right)), "", share, each])
        found.result[f"six videos, {words}"] = float(np.mean(right))


def _known_clips(
    given: argparse.Namespace, network: MieneStimme, face: Path, voice: Path
) -> tuple[tuple[TrainedRange, ...], tuple[TrainingSpace, ...]]:
    """Measure pictures and voices of training, and what worse ones cost, as `fit` does.

    What they cost is measured on PrivateTest and on RAVDESS, as the reliability is.
    """
    pictures = RelabelledStore(given.work / "faces", EMOTIONS, _SAME)
    seen = read_header(face)
    seen = replace(seen, split=replace(seen.split, validation=seen.split.test, test=()))
    heard, sounds = read_header(voice), _sounds(given, given.crema, "crema_d", "waveforms")
    unheard = replace(heard, split=replace(heard.split, validation=(), test=()))
    learned = recording_ranges(sounds, network.voice, unheard)
    strange = RelabelledStore(
        _sounds(given, given.ravdess, "ravdess", "ravdess-waveforms").directory, EMOTIONS, _SAME
    )
    one, *others = actors_of(strange.rows)
    asked = replace(heard, split=Split((one,), tuple(others), ()))
    costs = {r.quality: r for r in recording_ranges(strange, network.voice, asked)}
    return (
        (
            *recording_ranges(pictures, network.face, seen),
            *(
                replace(r, uar=costs[r.quality].uar, conditions=costs[r.quality].conditions)
                for r in learned
            ),
        ),
        (
            *training_spaces(pictures, seen),
            *training_spaces(
                sounds,
                replace(heard, split=replace(heard.split, validation=heard.split.test, test=())),
            ),
        ),
    )


def _sounds(given: argparse.Namespace, media: Path, corpus: str, name: str) -> FeatureStore:
    """Return the voices of a corpus of which the sound itself is at hand."""
    return FeatureStore(
        avemotion.preprocess(
            media, corpus=corpus, out=given.work / name,
            settings=PreprocessSettings(views=1, features=("mel", "waveform")),
        ).store
    )  # fmt: skip
