"""What counts as right, and an evaluation's records judged by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.evaluation.cross_validation import Predictions, SpoiledPredictions
from avemotion.evaluation.predictions import ClipPrediction, Records, TestedClip


def choose_targets(
    store: FeatureStore, rows: Sequence[ManifestRow], target: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Say which emotion counts as right for each clip.

    Args:
        store: Where the votes are.
        rows: The clips.
        target: ``intended``, or ``crowd``: what most audio-visual raters answered.

    Returns:
        Clip -> emotion, without clips on which the crowd has no single winner; and notes for the
        report.

    Raises:
        UsageError: The crowd is asked for, and did not vote.
    """
    if target == "intended":
        return {row.clip: row.emotion for row in rows}, ()
    clips = {row.clip for row in rows}
    winners = {
        rating.clip: store.labels[rating.votes.index(max(rating.votes))]
        for rating in store.ratings()
        if rating.clip in clips
        and rating.channel == "both"
        and rating.votes.count(max(rating.votes)) == 1
    }
    if not winners:
        raise UsageError(
            f"--target crowd needs audio-visual votes, but {store.directory} has none on these "
            "clips. Choose --target intended."
        )
    notes = [
        "people are not compared: here their own vote is the target",
        "no temperature is applied: it is fitted to the intended emotions",
    ]
    if left_out := len(clips) - len(winners):
        notes.insert(0, f"clips not scored because the crowd has no single winner: {left_out}")
    return winners, tuple(notes)


def judged(
    store: FeatureStore,
    metadata: dict[str, Any],
    targets: Mapping[str, str],
    said: Predictions,
    corrupted: SpoiledPredictions,
) -> Records:
    """Put what counts as right beside each prediction.

    Args:
        store: Where clips, votes and demographics are.
        metadata: What was asked.
        targets: From `choose_targets`.
        said: Predictions of the tested clips.
        corrupted: Predictions of the spoiled ones.
    """
    tested = {p.clip for p in next(iter(said.values()))} & targets.keys()
    intended = metadata["target"] == "intended"

    def judge(predictions: list[ClipPrediction]) -> list[ClipPrediction]:
        if intended:  # as the folds wrote them
            return predictions
        return [
            replace(p, target=targets[p.clip], temperature=1.0)
            for p in predictions
            if p.clip in tested
        ]

    clips = tuple(
        TestedClip(r.clip, r.actor, r.sentence, r.emotion, r.level, targets[r.clip])
        for r in store.rows
        if r.clip in tested
    )
    actors = {clip.actor for clip in clips}
    return Records(
        metadata,
        store.labels,
        clips,
        {modality: judge(predictions) for modality, predictions in said.items()},
        {m: {name: judge(p) for name, p in found.items()} for m, found in corrupted.items()},
        tuple(rating for rating in store.ratings() if rating.clip in tested),
        {actor: known for actor, known in store.demographics().items() if actor in actors},
    )
