"""Compare networks with each other and with people, on actors that none of the networks saw.

Two ways: score the checkpoints of `fit` on the actors it kept away (``holdout``), or train a
network for each fold of a protocol and test it on that fold's actors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from avemotion.config import (
    MODALITIES,
    Engine,
    ExperimentSettings,
    Modality,
    NetworkSettings,
    TrainingSettings,
    differences,
)
from avemotion.data.contact_sheet import draw_preview
from avemotion.data.splits import MIN_ACTORS, actors_of, check_known
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.evaluation.cross_validation import score_checkpoints, train_and_test
from avemotion.evaluation.plan import EvaluationPlan, open_evaluation
from avemotion.evaluation.predictions import write_records
from avemotion.evaluation.report.reports import PREVIEW_NAME, report
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.evaluation.targets import choose_targets, judged
from avemotion.files import claimed, read_json
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.metadata import CHECKPOINT_NAME

_PREVIEW_CLIPS = 24  # of real people they are 0.9 MB, which the page holds as text

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
    engine: Engine = "local",
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
            GPU. On CPUs it changes no result.
        engine: Where networks are trained: on this machine (``local``), or on the cluster (``ray``)
            that the environment variable RAY_ADDRESS names, or one that is started here.
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
    data, runs, out = Path(data), Path(runs), out and Path(out)
    store = FeatureStore(data)
    check_known(store.rows)
    out = out or Path("evaluation", protocol)
    experiment = ExperimentSettings(network=network, training=training)
    if seeds < 1 or (jobs is not None and jobs < 1):
        name, value = ("--seeds", seeds) if seeds < 1 else ("--jobs", jobs)
        raise UsageError(f"{name} is {value}, but must be 1 or more.")
    models: dict[Modality, Path] = {}
    if protocol == "holdout":
        trains = experiment != ExperimentSettings() or seeds > 1
        if trains or jobs is not None or engine != "local":
            raise UsageError(
                "--protocol holdout trains nothing, so it takes no settings of network or training "
                "(nor --config, --seeds, --jobs, --engine). Give them to `avemotion fit`, or "
                "choose another --protocol."
            )
        models = _fitted(runs, modalities)
        experiment = _same_experiment(models)
    chosen = tuple(models) or modalities or _offered(store)
    rows, notes = _common_clips(store, chosen)
    targets, why = choose_targets(store, rows, target)
    plan = EvaluationPlan(protocol, target, chosen, seeds, robustness, experiment)
    if protocol != "holdout":
        _check_actors(rows, protocol)
    tasks = [] if models else plan.tasks(store, rows, out)
    metadata = plan.metadata(store, rows, runs, out) | {"notes": [*notes, *why]}
    with claimed(out):
        open_evaluation(out, metadata)
        said, corrupted = (
            score_checkpoints(store, models, rows, robustness, progress)
            if models
            else train_and_test(tasks, store.labels, jobs, progress, engine)
        )
        draw_preview(store, out / PREVIEW_NAME, clips=_PREVIEW_CLIPS)
        write_records(out, judged(store, metadata, targets, said, corrupted))
        del (
            said,
            corrupted,
        )  # the report reads them from the files; a large evaluation has a gigabyte
        return report(out)


def _offered(store: FeatureStore) -> tuple[Modality, ...]:
    return tuple(m for m in MODALITIES if store.usable(m))


def _fitted(runs: Path, modalities: Sequence[Modality]) -> dict[Modality, Path]:
    """Return the checkpoints of `fit`, by modality."""
    models = {m: runs / m / CHECKPOINT_NAME for m in modalities or MODALITIES}
    missing = [m for m, path in models.items() if not path.is_file()]
    if missing and modalities or len(missing) == len(models):
        raise UsageError(
            f"No checkpoint of {', '.join(missing)} in {runs}. Train it with "
            f"`avemotion fit --modality {missing[0]}`, or give another --runs."
        )
    found = {m: path for m, path in models.items() if m not in missing}
    for modality, path in found.items():
        if not read_json(path.parent / "run.json", "Fit again.").get("finished"):
            raise UsageError(
                f"The training in {path.parent} was interrupted. Finish it with the same "
                f"`avemotion fit --modality {modality}` as before: it goes on where it stopped."
            )
    return found


def _same_experiment(models: Mapping[Modality, Path]) -> ExperimentSettings:
    """Return the settings that all checkpoints share but for their modality.

    Raises:
        UsageError: They differ, so that a comparison would be one of settings too.
    """
    found = {m: load_checkpoint(path)[1].experiment for m, path in models.items()}
    first, *others = (replace(e, modality="av") for e in found.values())
    for modality, other in zip(list(found)[1:], others, strict=True):
        if other != first:
            changed = differences(first.to_dict(), other.to_dict())
            raise UsageError(
                f"{models[modality]} was trained with other settings than "
                f"{next(iter(models.values()))}:\n  "
                + "\n  ".join(changed)
                + "\nFit both alike, or choose one with --modalities."
            )
    return first


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
