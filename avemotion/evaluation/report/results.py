"""Everything that an evaluation shows: a pure function of its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avemotion.config import Modality
from avemotion.evaluation.metrics.calibration import (
    Calibration,
    CrowdDistance,
    calibration,
    crowd_distance,
)
from avemotion.evaluation.metrics.fairness import GroupScore, fairness
from avemotion.evaluation.metrics.human_baseline import HumanScore, clip_credit, human_scores
from avemotion.evaluation.metrics.robustness import RobustnessScore, robustness_scores
from avemotion.evaluation.metrics.scores import (
    Difference,
    Score,
    actor_accuracies,
    actor_means,
    difference,
    score,
)
from avemotion.evaluation.predictions import ClipPrediction, Records


@dataclass(frozen=True, slots=True)
class Reported:
    """A figure of others that ours stands beside."""

    system: str
    """What it is of."""
    modality: Modality
    """What that system looks at."""
    value: float
    """Accuracy (WAR), 0 to 1."""
    source: str
    """Where it is reported, and on what."""


REPORTED = (
    Reported("AR5", "av", 0.6942, "Ristea 2019; CREMA-D, leave one actor out"),
    Reported("AR5", "video", 0.6284, "Ristea 2019; CREMA-D, leave one actor out"),
)
"""The thesis' figures; it does not say over how many actors."""


@dataclass(frozen=True, slots=True)
class CalibrationScore:
    """How well a modality's probabilities say what is right."""

    plain: Calibration
    """As the network says them."""
    tempered: Calibration | None
    """With temperatures fitted on validation actors; None where there were none."""
    temperature: float | None
    """Mean of these temperatures over the clips."""


@dataclass(frozen=True, slots=True)
class EvaluationResults:
    """The result of an evaluation; ``results.json`` holds the same."""

    out: str
    """Folder of the evaluation."""
    protocol: str
    """How actors were dealt to training and test."""
    target: str
    """What counts as right: ``intended``, or the ``crowd``'s vote."""
    corpus: str
    """The corpus' name."""
    labels: tuple[str, ...]
    """The emotions in the order of probabilities and confusions."""
    synthetic: dict[str, Any] | None
    """What a synthetic corpus says of itself; None for a recorded one."""
    clips: int
    """Clips that all systems are tested on."""
    actors: int
    """Who is in them."""
    folds: int
    """Tests with networks of their own."""
    seeds: tuple[int, ...]
    """Training seeds; each fold is trained with every one."""
    notes: tuple[str, ...]
    """What was left out, and why."""
    scores: dict[Modality, Score]
    """Modality -> score."""
    actor_accuracies: dict[Modality, dict[str, float]]
    """Modality -> actor -> accuracy, the mean over seeds."""
    differences: dict[str, Difference]
    """``av - video``, ``av - people (av, majority)``...: paired over actors."""
    humans: dict[str, HumanScore]
    """Channel -> how people did on exactly these clips; empty without votes."""
    reported: tuple[Reported, ...]
    """Figures of others on this corpus."""
    calibration: dict[Modality, CalibrationScore]
    """Modality -> how its probabilities fit."""
    crowd_distance: dict[Modality, CrowdDistance]
    """Modality -> how far its probabilities are from the crowd's answers."""
    fairness: dict[Modality, tuple[GroupScore, ...]]
    """Modality -> groups of actors."""
    robustness: dict[Modality, tuple[RobustnessScore, ...]]
    """Modality -> conditions."""
    ceilings: dict[str, float]
    """Modality -> best possible accuracy on a synthetic corpus; empty for a recorded one."""
    settings: dict[str, Any]
    """Of network and training."""
    preprocessing: dict[str, Any]
    """Settings of the feature store."""
    versions: dict[str, str]
    """Of this package and what it rests on."""
    command: str
    """What repeats the evaluation."""
    data: str
    """SHA-256 of the feature store's settings and manifest."""


def evaluation_results(records: Records, out: str) -> EvaluationResults:
    """Compute all figures."""
    labels, metadata = records.labels, records.metadata
    predictions = records.predictions
    first = next(iter(predictions.values()))
    clips = {clip.clip: clip for clip in records.clips}
    intended = metadata["target"] == "intended"
    votes = records.ratings if intended else ()  # people's hits are counted on the intention
    credit = {m: clip_credit(votes, clips, labels, m) for m in predictions}
    # Ceilings and reported figures, too, are about the intention.
    ceilings = (metadata["synthetic"] or {}).get("ceilings", {}) if intended else {}
    thesis = intended and metadata["corpus"] == "crema_d" and not metadata["synthetic"]
    distances = {m: crowd_distance(p, records.ratings, labels) for m, p in predictions.items()}
    return EvaluationResults(
        out=out,
        protocol=metadata["protocol"],
        target=metadata["target"],
        corpus=metadata["corpus"],
        labels=labels,
        synthetic=metadata["synthetic"],
        clips=len(clips),
        actors=len({clip.actor for clip in records.clips}),
        folds=len({p.fold for p in first}),
        seeds=tuple(sorted({p.seed for p in first})),
        notes=tuple(metadata["notes"]),
        scores={m: score(p, labels) for m, p in predictions.items()},
        actor_accuracies={m: actor_accuracies(p, labels) for m, p in predictions.items()},
        differences=_differences(records, credit),
        humans=human_scores(votes, clips, labels),
        reported=tuple(r for r in REPORTED if thesis and r.modality in predictions),
        calibration={m: _calibration(p, labels) for m, p in predictions.items()},
        crowd_distance={m: d for m, d in distances.items() if d is not None},
        fairness={
            m: found
            for m, p in predictions.items()
            if (found := fairness(p, labels, records.demographics, credit[m]))
        },
        robustness={
            m: tuple(robustness_scores(predictions[m], corrupted, labels))
            for m, corrupted in records.corrupted.items()
        },
        ceilings={m: ceilings[m] for m in predictions if m in ceilings},
        settings={key: metadata[key] for key in ("network", "training")},
        preprocessing=metadata["preprocessing"],
        versions=metadata["versions"],
        command=metadata["command"],
        data=metadata["data"],
    )


def _differences(
    records: Records, credit: Mapping[Modality, Mapping[str, float]]
) -> dict[str, Difference]:
    """Compare av with each branch alone, and each modality with people given the same."""
    labels, predictions = records.labels, records.predictions
    per_actor = {m: actor_accuracies(p, labels) for m, p in predictions.items()}
    found = {}
    others: tuple[Modality, ...] = ("video", "audio")
    for other in others:
        if {"av", other} <= per_actor.keys():
            found[f"av - {other}"] = difference(per_actor["av"], per_actor[other])
    clips = {clip.clip: clip for clip in records.clips}
    for modality, said in predictions.items():
        people = credit[modality]
        if people:
            ours = actor_accuracies([p for p in said if p.clip in people], labels)
            theirs = actor_means((clips[clip].actor, value) for clip, value in people.items())
            name = f"{modality} - people ({modality}, majority)"
            found[name] = difference(ours, theirs)
    return found


def _calibration(predictions: list[ClipPrediction], labels: tuple[str, ...]) -> CalibrationScore:
    temperatures = Counter(p.temperature for p in predictions)
    fitted = set(temperatures) != {1.0}
    mean = sum(t * n for t, n in temperatures.items()) / len(predictions)
    return CalibrationScore(
        calibration(predictions, labels),
        calibration(predictions, labels, tempered=True) if fitted else None,
        mean if fitted else None,
    )
