"""What the experiments on synthetic corpora share: the corpus, its store, settings, predictions."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import avemotion
from avemotion.config import Modality, TrainingSettings
from avemotion.data.corpora.crema_d import CLIPS
from avemotion.data.corpora.synthetic import TABLES
from avemotion.data.store import FeatureStore
from avemotion.evaluation.evaluate import evaluate
from avemotion.evaluation.metrics.recalls import Difference, difference, tally
from avemotion.evaluation.metrics.scores import Score, credits_of
from avemotion.evaluation.predictions import ClipPrediction, modality_of, read_records
from avemotion.models.ar5 import AR5Settings

PROTOCOL = "5fold"

ROOT = Path(__file__).parents[1]


def add_options(arguments: argparse.ArgumentParser) -> None:
    """Add the options that choose the corpus."""
    arguments.add_argument(
        "--work", type=Path, required=True, help="folder of the corpus, store and runs; kept"
    )
    arguments.add_argument("--actors", type=int, default=15)
    arguments.add_argument("--clips-per-actor", type=int, default=60)
    arguments.add_argument("--seed", type=int, default=0, help="seed of the corpus")
    arguments.add_argument("--tables", choices=tuple(TABLES), default="complementary")


def add_recorded_options(arguments: argparse.ArgumentParser) -> None:
    """Add the options of experiments that a recorded corpus can take, too."""
    arguments.add_argument("--store", type=Path, help="a recorded corpus' features instead")
    arguments.add_argument("--protocol", default=PROTOCOL)
    arguments.add_argument("--config", type=Path, help="YAML of what differs from the defaults")
    arguments.add_argument("--jobs", type=int, default=None)


def chosen_store(given: argparse.Namespace) -> FeatureStore:
    """Return the recorded corpus' store that is named, or that of a synthetic one."""
    return FeatureStore(given.store) if given.store else make_store(given)


def make_store(given: argparse.Namespace) -> FeatureStore:
    """Write the corpus and its store, or go on where an earlier run stopped."""
    avemotion.synth(
        given.work / "crema",
        actors=given.actors,
        clips_per_actor=given.clips_per_actor,
        seed=given.seed,
        tables=given.tables,
    )
    report = avemotion.preprocess(given.work / "crema", out=given.work / "features")
    assert not report.failed, report.failed
    return FeatureStore(report.store)


def read_settings(config: Path | None) -> tuple[AR5Settings, TrainingSettings]:
    """Read an experiment file, what differs from the defaults; without one these hold."""
    if config is None:
        return AR5Settings(), TrainingSettings()
    values = yaml.safe_load(config.read_text(encoding="utf-8")) or {}
    return (
        AR5Settings(**(values.get("ar5") or {})),
        TrainingSettings(**(values.get("training") or {})),
    )


def by_modality(systems: Mapping[str, Any]) -> dict[Modality, Any]:
    """Return the figures of one model's systems by what they read."""
    return {modality_of(system): figure for system, figure in systems.items()}


def train_and_test(
    store: FeatureStore, config: Path, modalities: Sequence[Modality], out: Path
) -> dict[Modality, list[ClipPrediction]]:
    """Evaluate with five folds over actors; a run that was interrupted goes on."""
    settings, training = read_settings(config)
    evaluate(
        data=store.directory,
        protocol=PROTOCOL,
        modalities=tuple(modalities),
        robustness=False,
        out=out,
        settings={"ar5": settings},
        training=training,
    )
    return by_modality(read_records(out).predictions)


def certain_predictions(
    clips: Sequence[ClipPrediction], answers: Sequence[str], labels: Sequence[str]
) -> list[ClipPrediction]:
    """Return predictions for the same clips with probability 1 for one answer each."""
    certain = {label: tuple(np.eye(len(labels))[i].tolist()) for i, label in enumerate(labels)}
    return [
        replace(p, probabilities=certain[answer]) for p, answer in zip(clips, answers, strict=True)
    ]


def about_corpus(store: FeatureStore, clips: Sequence[ClipPrediction], seed: int) -> str:
    """Describe the data behind the figures, recorded or synthetic."""
    if store.synthetic:
        return corpus_line(store, clips, seed)
    corpus, actors = store.info["corpus"], len({p.actor for p in clips})
    about = f"Corpus `{corpus}`: {actors} actors, {len(clips)} clips"
    if corpus == "ravdess_landmarks":
        return f"{about}. RAVDESS, landmark video: real voices, line faces from real landmarks."
    if corpus == "crema_d" and len(clips) < CLIPS:
        return f'{about}: a partial, very unbalanced one, **not "the CREMA-D result"**.'
    return f"{about}."


def corpus_line(store: FeatureStore, clips: Sequence[ClipPrediction], seed: int) -> str:
    """Describe the data behind the figures."""
    metadata = store.synthetic or {}
    actors = len({p.actor for p in clips})
    return (
        f"**SYNTHETIC DATA**: drawn faces and synthesised voices, not people. {actors} actors, "
        f"{len(clips)} clips, tables `{metadata.get('tables')}`, corpus seed {seed}, "
        f"{store.settings.views} views. Five folds over actors: every clip is tested once, by "
        "networks that saw neither its actor in training nor when choosing the epoch. Intervals: "
        "95 % over actors (BCa)."
    )


def name_of(config: Path) -> str:
    """Return a configuration's path in the checkout, or its name where it lies elsewhere."""
    path = config.resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def percent(value: Score | Difference) -> str:
    """Return an accuracy, or a difference of mean recalls, with its interval, in per cent."""
    if isinstance(value, Score):
        return with_ends(value.accuracy, value.accuracy_low, value.accuracy_high)
    return with_ends(value.recall, value.low, value.high, "+")


def with_ends(middle: float, low: float | None, high: float | None, sign: str = "") -> str:
    """Return a figure with its interval, if it has one, in per cent."""
    if low is None or high is None:
        return f"{100 * middle:{sign}.1f}"
    return f"{100 * middle:{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"


def lead(
    ours: Sequence[ClipPrediction], theirs: Sequence[ClipPrediction], labels: Sequence[str]
) -> Difference:
    """Compare the mean recalls of two systems on the same clips."""
    return difference(*(tally(credits_of(found, labels), labels) for found in (ours, theirs)))


def plain(value: Difference) -> dict[str, float]:
    """Return a difference as JSON holds it."""
    return {"recall": value.recall, "low": value.low, "high": value.high}
