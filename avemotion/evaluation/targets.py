"""Which emotion counts as right for each clip: the intended one, or the crowd's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from avemotion.data.annotations import crowd_channel
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.types import Rating
from avemotion.errors import UsageError
from avemotion.evaluation.predictions import (
    ClipPrediction,
    CorruptedPredictions,
    Predictions,
    Records,
    TestedClip,
)


def choose_targets(
    store: FeatureStore, rows: Sequence[ManifestRow], target: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the emotion that counts as right for each clip.

    Args:
        store: Features, with the raters' votes.
        rows: The clips.
        target: ``intended``; ``crowd``: what most raters who saw and heard the clip answered; or
            ``majority``: that alone which more than half of them did.

    Returns:
        Clip -> emotion, without clips on which the crowd has no single winner; and notes for the
        report.

    Raises:
        UsageError: The target is the crowd, and there are no votes.
    """
    if target == "intended":
        return {row.clip: row.emotion for row in rows}, ()
    clips = {row.clip for row in rows}
    ratings = store.ratings()
    channel = crowd_channel(ratings)
    winners = {
        rating.clip: store.labels[rating.votes.index(max(rating.votes))]
        for rating in ratings
        if rating.clip in clips and rating.channel == channel and _is_decided(rating, target)
    }
    if not winners:
        raise UsageError(
            f"--target {target} needs votes on {', '.join(store.labels)}, but "
            f"{store.directory} has none on these clips. Choose --target intended."
        )
    notes = [
        "people are not compared: here their own vote is the target",
        "no temperature is applied: it is fitted to the intended emotions",
    ]
    if left_out := len(clips) - len(winners):
        lacks = "no single winner" if target == "crowd" else "no majority of more than half"
        notes.insert(0, f"clips not scored because the crowd has {lacks}: {left_out}")
    return winners, tuple(notes)


def _is_decided(rating: Rating, target: str) -> bool:
    """Return whether one emotion won: more votes than any other answer, or more than half of all.

    Answers that name no label count as one: that the emotion is none of the labels.
    """
    most = max(rating.votes)
    if target == "majority":
        return 2 * most > sum(rating.votes) + rating.other_votes
    return most > rating.other_votes and rating.votes.count(most) == 1


def with_targets(
    store: FeatureStore,
    metadata: dict[str, Any],
    targets: Mapping[str, str],
    predictions: Predictions,
    corrupted: CorruptedPredictions,
) -> Records:
    """Return an evaluation's records, each prediction with its target.

    Clips without a target are left out.

    Args:
        store: Where clips, votes and demographics are.
        metadata: Content of ``evaluation.json``.
        targets: Clip -> emotion, from `choose_targets`.
        predictions: Predictions for the tested clips.
        corrupted: Predictions for the same clips, corrupted.
    """
    tested = {p.clip for p in next(iter(predictions.values()))} & targets.keys()
    intended = metadata["target"] == "intended"

    def scored(found: list[ClipPrediction]) -> list[ClipPrediction]:
        if intended:  # as the folds wrote them
            return found
        return [
            replace(p, target=targets[p.clip], temperature=1.0) for p in found if p.clip in tested
        ]

    clips = tuple(
        TestedClip(
            clip=row.clip,
            actor=row.actor,
            sentence=row.sentence,
            emotion=row.emotion,
            level=row.level,
            target=targets[row.clip],
        )
        for row in store.rows
        if row.clip in tested
    )
    actors = {clip.actor for clip in clips}
    return Records(
        metadata=metadata,
        labels=store.labels,
        clips=clips,
        predictions={m: scored(found) for m, found in predictions.items()},
        corrupted={
            m: {name: scored(found) for name, found in conditions.items()}
            for m, conditions in corrupted.items()
        },
        ratings=tuple(rating for rating in store.ratings() if rating.clip in tested),
        units_of={c: found for c, found in store.units().items() if c in tested},
        demographics={a: known for a, known in store.demographics().items() if a in actors},
    )
