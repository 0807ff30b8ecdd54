"""Scores by groups of actors, for a network and for people given the same.

Groups come from the corpus' demographics. Some are so small that their figures are about those few
actors: they are marked, not hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from avemotion.evaluation.metrics.intervals import LEADS, SHARES, mean_interval
from avemotion.evaluation.metrics.scores import actor_means, predicted_labels
from avemotion.evaluation.predictions import ClipPrediction

SMALL = 10
"""Groups of fewer actors are too small for a claim."""

UNKNOWN = "unknown"
"""The group of actors for whom the corpus does not give the attribute."""

AGE_BANDS: tuple[tuple[int, str], ...] = ((29, "<=29"), (44, "30-44"), (59, "45-59"))
"""Highest age in years of each band, and its name; all older actors are one more."""
OLDEST = "60+"


@dataclass(frozen=True, slots=True)
class GroupScore:
    """How a system, and people, did on the actors of one group.

    Accuracies are means over actors of their accuracies, and intervals 95 % t over actors: None
    where there is one actor.
    """

    attribute: str
    """``sex``, ``age``, ``race`` or ``ethnicity``."""
    group: str
    """Its value; a band in years for age."""
    actors: int
    """Actors in the group."""
    clips: int
    """Clips of them."""
    accuracy: float
    """The system's accuracy, 0 to 1; with several seeds, its mean over them."""
    accuracy_low: float | None
    """Lower end of its interval."""
    accuracy_high: float | None
    """Upper end of it."""
    recall: float
    """The system's mean of the emotions' recalls (UAR), pooled over clips, 0 to 1."""
    human: float | None
    """Accuracy of people given the same, on these clips; None without votes."""
    over_human: float | None
    """Mean over actors of the system's lead over people on the clips that have votes."""
    over_human_low: float | None
    """Lower end of its interval."""
    over_human_high: float | None
    """Upper end of it."""
    too_small: bool
    """Fewer than 10 actors: no claim about such people."""


@dataclass(frozen=True, slots=True)
class _Prediction:
    """One prediction for one clip."""

    clip: str
    """Name of the clip."""
    actor: str
    """Who is in it."""
    target: str
    """The emotion that counts as right."""
    emotion: str
    """The predicted emotion."""


def fairness(
    predictions: Sequence[ClipPrediction],
    labels: Sequence[str],
    demographics: Mapping[str, Mapping[str, str]],
    credit: Mapping[str, float],
) -> tuple[GroupScore, ...]:
    """Score a system by groups of actors, next to people given the same.

    Args:
        predictions: Of one seed or several.
        labels: Emotions in the order of the probabilities.
        demographics: Actor -> ``Age``, ``Sex``, ``Race``, ``Ethnicity`` as in CREMA-D's table;
            an actor who is missing belongs to the group ``unknown``.
        credit: Clip -> people's score on it, as `human_baseline.clip_credit` returns; empty without
            votes, or where the target is not the intended emotion.

    Returns:
        By attribute; ages ascend, other groups by name, ``unknown`` last. An attribute that is
        known of none of the actors is left out.
    """
    actors = {p.actor for p in predictions}
    groups_by_actor = {actor: groups_of(demographics.get(actor, {})) for actor in actors}
    known = {a for of in groups_by_actor.values() for a, group in of.items() if group != UNKNOWN}
    groups: dict[tuple[str, str], list[_Prediction]] = {}
    for p, label in zip(predictions, predicted_labels(predictions), strict=True):
        prediction = _Prediction(clip=p.clip, actor=p.actor, target=p.target, emotion=labels[label])
        for key in groups_by_actor[p.actor].items():
            groups.setdefault(key, []).append(prediction)
    shown = sorted((key for key in groups if key[0] in known), key=_order)
    return tuple(_score(*key, groups[key], credit) for key in shown)


def groups_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return an actor's group of each attribute.

    >>> groups_of({"Age": "51", "Sex": "Male", "Race": "Caucasian", "Ethnicity": ""})
    {'sex': 'Male', 'age': '45-59', 'race': 'Caucasian', 'ethnicity': 'unknown'}
    """
    return {
        "sex": _named(metadata.get("Sex")),
        "age": _age_band(metadata.get("Age")),
        "race": _named(metadata.get("Race")),
        "ethnicity": _named(metadata.get("Ethnicity")),
    }


def _named(value: str | None) -> str:
    """Return a group's name; CREMA-D's table has ``Unknown`` for one actor, a cut row nothing."""
    name = (value or "").strip()
    return UNKNOWN if name.lower() in ("", UNKNOWN) else name


def _age_band(value: str | None) -> str:
    years = (value or "").strip()
    if not years.isdecimal():
        return UNKNOWN
    return next((name for highest, name in AGE_BANDS if int(years) <= highest), OLDEST)


_ATTRIBUTES = tuple(groups_of({}))
_BANDS = (*(name for _, name in AGE_BANDS), OLDEST)


def _order(key: tuple[str, str]) -> tuple[int, bool, int, str]:
    """Return the sorting key of a group."""
    attribute, group = key
    band = _BANDS.index(group) if attribute == "age" and group != UNKNOWN else 0
    return _ATTRIBUTES.index(attribute), group == UNKNOWN, band, group


def _score(
    attribute: str, group: str, found: Sequence[_Prediction], credit: Mapping[str, float]
) -> GroupScore:
    from sklearn.metrics import recall_score

    accuracies = actor_means((p.actor, p.emotion == p.target) for p in found)
    accuracy, low, high = mean_interval(list(accuracies.values()), SHARES)
    rated = [p for p in found if p.clip in credit]
    human: float | None = None
    lead: tuple[float | None, float | None, float | None] = (None, None, None)
    if rated:
        people = actor_means((p.actor, credit[p.clip]) for p in rated)
        human = float(np.mean(list(people.values())))
        ours = actor_means((p.actor, p.emotion == p.target) for p in rated)
        lead = mean_interval([ours[actor] - people[actor] for actor in ours], LEADS)
    truth = [p.target for p in found]
    recall = recall_score(
        truth,
        [p.emotion for p in found],
        labels=sorted(set(truth)),
        average="macro",
        zero_division=0,
    )
    return GroupScore(
        attribute=attribute,
        group=group,
        actors=len(accuracies),
        clips=len({p.clip for p in found}),
        accuracy=accuracy,
        accuracy_low=low,
        accuracy_high=high,
        recall=float(recall),
        human=human,
        over_human=lead[0],
        over_human_low=lead[1],
        over_human_high=lead[2],
        too_small=len(accuracies) < SMALL,
    )
