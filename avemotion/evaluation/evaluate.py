"""Compare systems with each other and with people, on actors that none of them saw.

A system is a model with what it reads: ``ar5/av``. Either score the checkpoints of `fit` on its
held-out actors (``holdout``) or on another corpus (``other-corpus``), or train a model for each
fold of a protocol and test it on that fold's actors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from avemotion.config import Engine, GivenTraining, Modality
from avemotion.data.store import FeatureStore
from avemotion.evaluation.predictions import (
    CorruptedPredictions,
    Predictions,
    write_records,
)
from avemotion.evaluation.report.page import PREVIEW_NAME, report
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.evaluation.targets import choose_targets, with_targets
from avemotion.files import claimed

_PREVIEW_CLIPS = 24  # of real people these are 0.9 MB, which the page holds as text

Protocol = Literal[
    "holdout",
    "other-corpus",
    "10fold",
    "5fold",
    "loso",
    "luna-jimenez",
    "official",
    "sentences",
    "stratified",
]
Target = Literal["intended", "crowd", "majority"]


def evaluate(
    *,
    data: Path = Path("features"),
    protocol: Protocol = "holdout",
    models: tuple[str, ...] = (),
    modalities: tuple[Modality, ...] = (),
    target: Target = "intended",
    seeds: int = 1,
    jobs: int | None = None,
    engine: Engine = "local",
    robustness: bool = True,
    runs: Path = Path("runs"),
    members: tuple[Path, ...] = (),
    mapping: Mapping[str, str] | None = None,
    out: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    training: GivenTraining = None,
    progress: bool = True,
) -> EvaluationResults:
    """Score systems on the same clips of actors that none of them saw, and compare any two.

    Args:
        data: Feature store written by `preprocess`.
        protocol: ``holdout`` scores the checkpoints of `fit` on its held-out actors,
            ``other-corpus`` on all clips of a store of another corpus. The others train a model for
            each fold, system and seed, and test every actor once: ``loso`` leaves one actor out,
            ``5fold`` cuts the sorted actors in five (``10fold``: in ten), ``stratified`` assigns
            them so that the folds have about the same emotions, ``luna-jimenez`` takes RAVDESS'
            published folds. ``sentences`` holds out actors and sentences at once, for what knows
            words.
            ``official`` takes the split that the corpus comes with; people may then be in several
            parts.
        models: Names of the models to compare; by default ar5, or all that `runs` offers.
        modalities: What they read; by default all that the store (or `runs`) offers. A model that
            does not read one is left out there.
        target: The emotion that counts as right: the ``intended`` one, or what most of the
            ``crowd`` answered, or more than half of it (``majority``); clips without such an answer
            are then left out.
        seeds: Trainings of each fold, with the seeds `training.seed`, that plus one, and so on.
        jobs: Models trained at once, each with one thread; by default one per core, or one on a
            GPU. On CPUs it changes no result.
        engine: Where models are trained: on this machine (``local``), or on the cluster (``ray``)
            that the environment variable RAY_ADDRESS names, or one that is started here.
        robustness: Test the models on corrupted clips too (noise, pitch, blur, a missing
            modality...).
        runs: Folder with the runs of `fit` that ``holdout`` and ``other-corpus`` score.
        members: For the model `late`, where it is trained: folders of runs, or checkpoints. Models
            and settings are theirs, and each is trained anew in each fold; their weights are not
            used.
        mapping: For ``other-corpus``: emotion of the store -> the models' that it counts as, beside
            those of the same name; by default calm -> neutral. Other clips are left out.
        out: Folder of the evaluation; by default ``evaluation/PROTOCOL``.
        settings: Model -> an instance of its `Settings`; by default its best known values.
        training: How the models are trained: single settings by name, which count over each model's
            own recipe; an instance of `TrainingSettings`, which is taken whole for all of them; by
            default the recipes.
        progress: Show a progress bar.

    Returns:
        Scores with intervals over actors, and how people did on the same clips; the folder holds
        the same as ``results.json`` and as a page, ``report/index.html``.

    Raises:
        UsageError: The store, the runs or `out` do not fit the request.
        AvemotionError: A training failed; the others are done.

    Examples:
        >>> from pathlib import Path
        >>> from avemotion import evaluate
        >>> results = evaluate(modalities=("av", "video"), out=Path("two"), progress=False)
        >>> sorted(results.scores)
        ['ar5/av', 'ar5/video']
    """
    # What needs torch is loaded here: that takes seconds, which `--help` has no need to wait.
    from avemotion.evaluation import comparison
    from avemotion.evaluation.plan import EvaluationPlan
    from avemotion.evaluation.systems import find_systems, predictions_of, with_members

    data, runs, out = Path(data), Path(runs), Path(out or Path("evaluation", protocol))
    store = FeatureStore(data)
    comparison.check_options(protocol, settings, training, seeds, jobs, engine, members)
    comparison.check_mapping(protocol, mapping)
    settings = with_members(settings, members, models)
    if protocol != "other-corpus":
        comparison.check_actors(store)
    systems = find_systems(store, protocol, models, modalities, settings, training, runs, mapping)
    store = systems.store
    rows, untested = comparison.tested_clips(store, systems.experiments, protocol, robustness)
    targets, target_notes = choose_targets(store, rows, target)
    plan = EvaluationPlan(
        protocol=protocol,
        target=target,
        experiments=systems.experiments,
        seeds=seeds,
        robustness=robustness,
        mapping=mapping,
    )
    tasks = [] if systems.trained else plan.tasks(store, rows, out)
    metadata = plan.metadata(store, rows, runs, out)
    metadata["notes"] = [*systems.notes, *untested, *target_notes]
    store.check_shards(progress)
    answers = partial(predictions_of, systems, plan, rows, tasks, jobs, engine, progress)
    return _recorded(store, out, metadata, targets, answers)


def _recorded(
    store: FeatureStore,
    out: Path,
    metadata: dict[str, Any],
    targets: Mapping[str, str],
    answers: Callable[[], tuple[Predictions, CorruptedPredictions]],
) -> EvaluationResults:
    """Get the predictions, and write all that the report is made of, and the report."""
    from avemotion.data.contact_sheet import draw_preview
    from avemotion.evaluation.plan import open_evaluation

    with claimed(out):
        open_evaluation(out, metadata)
        predictions, corrupted = answers()
        draw_preview(store, out / PREVIEW_NAME, clips=_PREVIEW_CLIPS)
        write_records(out, with_targets(store, metadata, targets, predictions, corrupted))
        del predictions, corrupted  # `report` reads them again; a large evaluation's take 1 GB
        return report(out)
