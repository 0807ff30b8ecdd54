"""The results of an evaluation: a pure function of its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, TypeVar

from avemotion.data.annotations import crowd_channel
from avemotion.data.corpora import has_all_labels, people_reported
from avemotion.data.types import UNKNOWN_ACTOR, unit_of
from avemotion.evaluation.metrics.calibration import (
    Calibration,
    CrowdDistance,
    calibration,
    crowd_distance,
)
from avemotion.evaluation.metrics.coverage import Coverage, coverage
from avemotion.evaluation.metrics.fairness import GroupScore, fairness
from avemotion.evaluation.metrics.human_baseline import HumanScore, clip_credit, human_scores
from avemotion.evaluation.metrics.recalls import Difference, difference, holm, tally
from avemotion.evaluation.metrics.reference_rules import (
    UNBALANCED,
    ReferenceRule,
    Verdict,
    imbalance,
    reference_rules,
    verdicts,
)
from avemotion.evaluation.metrics.robustness import RobustnessScore, robustness_scores
from avemotion.evaluation.metrics.scores import Score, actor_accuracies, credits_of, score
from avemotion.evaluation.metrics.unit_scores import UnitScore, unit_scores
from avemotion.evaluation.predictions import ClipPrediction, Predictions, Records, modality_of

Figure = TypeVar("Figure")


@dataclass(frozen=True, slots=True)
class CalibrationScore:
    """Calibration of a system."""

    plain: Calibration
    """Of its probabilities as they are."""
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
    """How actors were split into training and test."""
    target: str
    """The emotion that counts as right: ``intended``, or the ``crowd``'s vote."""
    corpus: str
    """The corpus' name."""
    labels: tuple[str, ...]
    """The emotions in the order of probabilities and confusions."""
    synthetic: dict[str, Any] | None
    """Metadata of a synthetic corpus; None for a recorded one."""
    clips: int
    """Number of clips that all systems are tested on."""
    actors: int
    """Number of actors in them."""
    folds: int
    """Number of folds; each has networks of its own."""
    seeds: tuple[int, ...]
    """Training seeds; each fold is trained with every one."""
    notes: tuple[str, ...]
    """Clips and figures that were left out, and why."""
    coverage: Coverage
    """Which part of the corpus is tested."""
    imbalance: float
    """How many times as many clips the commonest emotion has as the rarest."""
    over: str
    """What intervals and tests draw: ``actors``; ``pictures`` where nobody in the pictures of an
    official split is known, so that random groups of them stand for actors."""
    leading: str
    """The measure that leads: ``recall`` (UAR) where emotions are unbalanced, else ``accuracy``."""
    rules: tuple[ReferenceRule, ...]
    """What rules that look at no clip reach on the same clips."""
    scores: dict[str, Score]
    """System (``ar5/av``) -> score."""
    verdicts: dict[str, Verdict]
    """System -> whether it is better than the rules."""
    actor_accuracies: dict[str, dict[str, float]]
    """System -> actor -> accuracy, the mean over seeds."""
    differences: dict[str, Difference]
    """``ar5/av - ar5/video``, ``ar5/av - people (av, majority)``...: mean recall, by actors."""
    humans: dict[str, HumanScore]
    """What the raters were given -> their score on the same clips; empty without votes."""
    reported: tuple[dict[str, Any], ...]
    """Figures from the literature on this corpus: see `avemotion.models.base.Reported`."""
    calibration: dict[str, CalibrationScore]
    """System -> calibration."""
    crowd_distance: dict[str, CrowdDistance]
    """System -> how far its probabilities are from the shares of the crowd's votes."""
    fairness: dict[str, tuple[GroupScore, ...]]
    """System -> scores by group of actors."""
    robustness: dict[str, tuple[RobustnessScore, ...]]
    """System -> scores by condition."""
    unit_scores: dict[str, tuple[UnitScore, ...]]
    """System -> how well it finds each action unit, and their mean; empty without units."""
    ceilings: dict[str, float]
    """System -> best possible accuracy on a synthetic corpus; empty for a recorded one."""
    settings: dict[str, Any]
    """Settings of the models, and of their training."""
    preprocessing: dict[str, Any]
    """Settings of the feature store."""
    versions: dict[str, str]
    """Versions of Python, of this package and of its dependencies."""
    command: str
    """Command that repeats the evaluation."""
    data: str
    """SHA-256 of the feature store's settings and manifest."""


def evaluation_results(records: Records, out: str) -> EvaluationResults:
    """Compute all figures of an evaluation.

    Args:
        records: Content of the evaluation's files.
        out: Folder of the evaluation.
    """
    known = {clip.actor for clip in records.clips} - {UNKNOWN_ACTOR}
    tested = [(clip.actor, clip.target) for clip in records.clips]
    over = "actors"
    if not known and records.metadata["protocol"] == "official":
        records, over = _in_groups(records), "pictures"
    labels, metadata, predictions = records.labels, records.metadata, records.predictions
    clips = {clip.clip: clip for clip in records.clips}
    # People, ceilings and reported figures are about the intended emotion.
    intended = metadata["target"] == "intended"
    votes = records.ratings if intended else ()
    credit = {s: clip_credit(votes, clips, labels, modality_of(s)) for s in predictions}
    first = next(iter(predictions.values()))
    targets = [clip.target for clip in records.clips]
    recorded = metadata["corpus"] if metadata["synthetic"] is None else None
    covered = coverage(recorded, metadata["corpus_clips"], tested)
    channel = crowd_channel(records.ratings)
    scores = {m: score(p, labels) for m, p in predictions.items()}
    rules = reference_rules(targets)
    return EvaluationResults(
        out=out,
        labels=labels,
        clips=len(clips),
        actors=len({clip.actor for clip in records.clips}) if over == "actors" else 0,
        over=over,
        folds=len({p.fold for p in first}),
        seeds=tuple(sorted({p.seed for p in first})),
        notes=(*covered.notes, *metadata["notes"]),
        coverage=covered,
        imbalance=imbalance(targets),
        leading="recall" if imbalance(targets) >= UNBALANCED else "accuracy",
        rules=rules,
        scores=scores,
        verdicts=verdicts(scores, labels, rules),
        actor_accuracies={m: actor_accuracies(p, labels) for m, p in predictions.items() if known},
        differences=_differences(records, credit),
        humans=human_scores(votes, clips, labels),
        reported=(*metadata["reported"], *_people_reported(records)) if intended else (),
        calibration={m: _calibration(p, labels) for m, p in predictions.items()},
        crowd_distance=_present(
            {m: crowd_distance(p, records.ratings, labels, channel) for m, p in predictions.items()}
        ),
        fairness=_present(
            {
                m: fairness(p, labels, records.demographics, credit[m])
                for m, p in predictions.items()
            }
        ),
        robustness={
            m: tuple(robustness_scores(predictions[m], corrupted, labels))
            for m, corrupted in records.corrupted.items()
        },
        unit_scores={
            m: unit_scores(p, records.units, records.units_of)
            for m, p in predictions.items()
            if records.units
        },
        ceilings=_ceilings(metadata, predictions) if intended else {},
        settings={key: metadata[key] for key in ("models", "training")},
        **{key: metadata[key] for key in _COPIED},
    )


def _in_groups(records: Records) -> Records:
    """Return records in which random groups of clips stand for the actors: see `unit_of`."""

    def grouped(found: Sequence[ClipPrediction]) -> list[ClipPrediction]:
        return [replace(p, actor=unit_of(p.actor, p.clip)) for p in found]

    return replace(
        records,
        clips=tuple(replace(c, actor=unit_of(c.actor, c.clip)) for c in records.clips),
        predictions={system: grouped(found) for system, found in records.predictions.items()},
        corrupted={
            system: {name: grouped(found) for name, found in conditions.items()}
            for system, conditions in records.corrupted.items()
        },
    )


def _people_reported(records: Records) -> list[dict[str, Any]]:
    """Return published figures of people who were given the same as a system, on this corpus."""
    metadata = records.metadata
    if metadata["synthetic"] is not None or metadata["protocol"] == "other-corpus":
        return []  # the labels may be others
    if not has_all_labels(metadata["corpus"], records.labels):
        return []
    given = {modality_of(system) for system in records.predictions}
    return [
        {
            "system": "people, single response",
            "modality": channel,
            "value": value,
            "source": "Cao et al. 2014, as the thesis of Ristea 2019 quotes it; the whole corpus",
            "corpus": metadata["corpus"],
            "ours": "people",
        }
        for channel, value in people_reported(metadata["corpus"]).items()
        if channel in given
    ]


_COPIED = (
    "protocol", "target", "corpus", "synthetic", "preprocessing", "versions", "command", "data",
)  # fmt: skip
"""Metadata that the results repeat."""


def _present(figures: Mapping[str, Figure | None]) -> dict[str, Figure]:
    """Leave out systems without a figure."""
    return {system: figure for system, figure in figures.items() if figure}


def _ceilings(metadata: Mapping[str, Any], predictions: Predictions) -> dict[str, float]:
    ceilings = (metadata["synthetic"] or {}).get("ceilings", {})
    return {s: ceilings[m] for s in predictions if (m := modality_of(s)) in ceilings}


def _differences(
    records: Records, credit: Mapping[str, Mapping[str, float]]
) -> dict[str, Difference]:
    """Compare any two systems, and each system with people given the same."""
    labels, predictions = records.labels, records.predictions
    tallies = {s: tally(credits_of(p, labels), labels) for s, p in predictions.items()}
    found = {
        f"{ours} - {theirs}": difference(tallies[ours], tallies[theirs])
        for ours, theirs in combinations(tallies, 2)
    }
    clips = {clip.clip: clip for clip in records.clips}
    for system, people in credit.items():
        if people:
            rated = [p for p in predictions[system] if p.clip in people]
            voted = [(clips[c].actor, clips[c].target, value) for c, value in people.items()]
            name = f"{system} - people ({modality_of(system)}, majority)"
            found[name] = difference(tally(credits_of(rated, labels), labels), tally(voted, labels))
    return holm(found | _what_sound_adds_to_people(records))


def _what_sound_adds_to_people(records: Records) -> dict[str, Difference]:
    """Compare people who saw and heard with those who saw alone, beside systems that do both."""
    labels, clips = records.labels, {clip.clip: clip for clip in records.clips}
    if not {"av", "video"} <= {modality_of(system) for system in records.predictions}:
        return {}
    if records.metadata["target"] != "intended":
        return {}
    both, seen = (clip_credit(records.ratings, clips, labels, given) for given in ("av", "video"))
    rated = sorted(both.keys() & seen.keys())
    if not rated:
        return {}
    found = [
        tally([(clips[c].actor, clips[c].target, credit[c]) for c in rated], labels)
        for credit in (both, seen)
    ]
    return {"people (av, majority) - people (video, majority)": difference(*found)}


def _calibration(predictions: list[ClipPrediction], labels: tuple[str, ...]) -> CalibrationScore:
    temperatures = Counter(p.temperature for p in predictions)
    fitted = set(temperatures) != {1.0}
    mean = sum(t * n for t, n in temperatures.items()) / len(predictions)
    return CalibrationScore(
        plain=calibration(predictions, labels),
        tempered=calibration(predictions, labels, tempered=True) if fitted else None,
        temperature=mean if fitted else None,
    )
