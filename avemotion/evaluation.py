"""Compare networks with each other and with people, on actors that none of the networks saw.

Two ways: score the checkpoints of `fit` on the actors it kept away (``holdout``), or train a
network for each fold of a protocol and test it on that fold's actors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from avemotion.config import (
    MODALITIES,
    ExperimentSettings,
    Modality,
    NetworkSettings,
    TrainingSettings,
)
from avemotion.errors import UsageError
from avemotion.evaluation_plan import EvaluationPlan, open_evaluation
from avemotion.files import claimed, write_json
from avemotion.folds import Predictions, SpoiledPredictions, score_checkpoints, train_and_test
from avemotion.models.checkpoint import CHECKPOINT_NAME, load_checkpoint
from avemotion.processes import cores
from avemotion.records import FACTS_NAME, Records, TestedClip, write_records
from avemotion.reports import report
from avemotion.results import EvaluationResults
from avemotion.scores import ClipPrediction
from avemotion.splits import MIN_ACTORS, actors_of
from avemotion.store import FeatureStore, ManifestRow
from avemotion.types import Rating

Protocol = Literal["holdout", "5fold", "loso", "luna-jimenez", "stratified"]
Target = Literal["intended", "crowd"]


def evaluate(
    *,
    data: Path = Path("features"),
    protocol: Protocol = "holdout",
    modalities: tuple[Modality, ...] = (),
    target: Target = "intended",
    seeds: int = 1,
    jobs: int | None = None,
    robustness: bool = True,
    runs: Path = Path("runs"),
    out: Path | None = None,
    network: NetworkSettings = NetworkSettings(),  # noqa: B008 (frozen)
    training: TrainingSettings = TrainingSettings(),  # noqa: B008 (frozen)
    progress: bool = True,
) -> EvaluationResults:
    """Score av, video and audio on the same clips of actors that none of the networks saw.

    Args:
        data: Feature store written by `preprocess`.
        protocol: ``holdout`` scores the checkpoints of `fit` on the actors it kept away. The others
            train a network a fold, modality and seed, and test every actor once: ``loso`` leaves
            one actor out, ``5fold`` cuts the sorted actors in five, ``stratified`` deals them so
            that the folds have about the same emotions, ``luna-jimenez`` takes RAVDESS' published
            folds.
        modalities: What to compare; by default all that the store (or `runs`) offers.
        target: What counts as right: the ``intended`` emotion, or what most of the ``crowd``
            saw and heard in the clip; clips without a winner are then left out.
        seeds: Trainings of each fold, with the seeds `training.seed`, that plus one, and so on.
        jobs: Networks trained at once, each with one thread; by default one a core, or one on a
            GPU. It changes no result.
        robustness: Test the networks on spoiled clips too (noise, blur, a missing modality...).
        runs: Folder with the runs of `fit` that ``holdout`` scores.
        out: Folder of the evaluation; by default ``evaluation/PROTOCOL``.
        network: Sizes of the networks that are trained.
        training: How they are trained.
        progress: Show a progress bar.

    Returns:
        Scores with intervals over actors, and how people did on the same clips; the folder holds
        the same as ``results.json`` and as a page, ``report/index.html``.

    Raises:
        UsageError: The store, the runs or `out` do not fit what is asked.
        AvemotionError: A training failed; the others are done.
    """
    store = FeatureStore(data)
    out = out or Path("evaluation", protocol)
    experiment = ExperimentSettings(network=network, training=training)
    if seeds < 1 or (jobs is not None and jobs < 1):
        name, value = ("--seeds", seeds) if seeds < 1 else ("--jobs", jobs)
        raise UsageError(f"{name} is {value}, but must be 1 or more.")
    if protocol == "holdout":
        if experiment != ExperimentSettings() or seeds > 1:
            raise UsageError(
                "--protocol holdout trains nothing, so it takes no settings of network or training "
                "(nor --config, nor --seeds). Give them to `avemotion fit`, or choose another "
                "--protocol."
            )
        models = _fitted(runs, modalities)
        experiment = load_checkpoint(next(iter(models.values())))[1].experiment
    chosen = tuple(models) if protocol == "holdout" else modalities or _offered(store)
    rows, notes = _common_clips(store, chosen)
    plan = EvaluationPlan(protocol, target, chosen, seeds, robustness, experiment)
    with claimed(out):
        if protocol == "holdout":
            said, spoiled = score_checkpoints(store, models, rows, robustness)
        else:
            _check_actors(rows, protocol)
            open_evaluation(out, plan.facts(store, rows))
            tasks = plan.tasks(store, rows, out)
            said, spoiled = train_and_test(tasks, store.labels, jobs or _default_jobs(), progress)
        _record(store, out, plan.facts(store, rows), said, spoiled, notes)
        return report(out)


def _offered(store: FeatureStore) -> tuple[Modality, ...]:
    return tuple(m for m in MODALITIES if store.usable(m))


def _default_jobs() -> int:
    return 1 if torch.cuda.is_available() else cores()


def _fitted(runs: Path, modalities: Sequence[Modality]) -> dict[Modality, Path]:
    """Return the checkpoints of `fit`, by modality."""
    models = {m: runs / m / CHECKPOINT_NAME for m in modalities or MODALITIES}
    missing = [m for m, path in models.items() if not path.is_file()]
    if missing and modalities or len(missing) == len(models):
        raise UsageError(
            f"No checkpoint of {', '.join(missing)} in {runs}. Train it with "
            f"`avemotion fit --modality {missing[0]}`, or give another --runs."
        )
    return {m: path for m, path in models.items() if m not in missing}


def _common_clips(
    store: FeatureStore, modalities: Sequence[Modality]
) -> tuple[list[ManifestRow], tuple[str, ...]]:
    """Return the clips that every modality can use, and a note on those left out."""
    usable = [{row.clip for row in store.usable(m)} for m in modalities]
    common = set.intersection(*usable) if usable else set()
    rows = [row for row in store.rows if row.clip in common]
    counts = Counter(row.status for row in store.rows if row.clip not in common)
    notes = tuple(
        f"{n} clips of the store are not scored: {_WHY_NOT[status]}"
        for status, n in sorted(counts.items())
    )
    if not rows:
        raise UsageError(
            f"No clip of {store.directory} can be used for all of "
            f"{', '.join(modalities or MODALITIES)}. Choose fewer with --modalities."
        )
    return rows, notes


_WHY_NOT = {
    "audio": "they have no face",
    "video": "they have no sound",
    "excluded": "known to be bad",
    "failed": "they could not be read",
}


def _check_actors(rows: Sequence[ManifestRow], protocol: str) -> None:
    actors = actors_of(rows)
    if len(actors) < MIN_ACTORS[protocol]:
        raise UsageError(
            f"--protocol {protocol} needs at least {MIN_ACTORS[protocol]} actors; "
            f"{len(actors)} have clips that every modality can use. "
            "Choose fewer with --modalities, or another --protocol."
        )


def _record(
    store: FeatureStore,
    out: Path,
    facts: dict[str, Any],
    said: Predictions,
    spoiled: SpoiledPredictions,
    notes: tuple[str, ...],
) -> None:
    """Write the evaluation's files, with what counts as right beside each clip."""
    tested = {p.clip for p in next(iter(said.values()))}
    rows = [row for row in store.rows if row.clip in tested]
    ratings = [rating for rating in store.ratings() if rating.clip in tested]
    targets = {row.clip: row.emotion for row in rows}
    if facts["target"] == "crowd":
        targets = _crowd_targets(ratings, store)
        left_out = len(rows) - len(targets)
        notes += (
            f"{left_out} clips are not scored: the crowd has no winner there, or did not vote",
            "people are not compared: here their own vote is the target",
        )

    def judged(predictions: list[ClipPrediction]) -> list[ClipPrediction]:
        return [replace(p, target=targets[p.clip]) for p in predictions if p.clip in targets]

    clips = tuple(
        TestedClip(r.clip, r.actor, r.sentence, r.emotion, r.level, targets[r.clip])
        for r in rows
        if r.clip in targets
    )
    actors = {clip.actor for clip in clips}
    people = {a: known for a, known in store.demographics().items() if a in actors}
    facts = facts | {"notes": list(notes)}
    write_json(out / FACTS_NAME, facts)
    write_records(
        out,
        Records(
            facts,
            store.labels,
            clips,
            {modality: judged(predictions) for modality, predictions in said.items()},
            {m: {name: judged(p) for name, p in found.items()} for m, found in spoiled.items()},
            tuple(rating for rating in ratings if rating.clip in targets),
            people,
        ),
    )


def _crowd_targets(ratings: Sequence[Rating], store: FeatureStore) -> dict[str, str]:
    """Return what most raters saw and heard in each clip that has one winner."""
    winners = {
        rating.clip: store.labels[rating.votes.index(max(rating.votes))]
        for rating in ratings
        if rating.channel == "both" and rating.votes.count(max(rating.votes)) == 1
    }
    if not winners:
        raise UsageError(
            f"--target crowd needs audio-visual votes, but {store.directory} has none on these "
            "clips. Choose --target intended."
        )
    return winners
