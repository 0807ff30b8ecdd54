"""Compare networks with each other and with people, on actors that none of the networks saw.

Either score the checkpoints of `fit` on its held-out actors (``holdout``), or train a network for
each fold of a protocol and test it on that fold's actors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from avemotion.config import (
    MODALITIES,
    Engine,
    ExperimentSettings,
    Modality,
    NetworkSettings,
    TrainingSettings,
)
from avemotion.data.contact_sheet import draw_preview
from avemotion.data.splits import check_known
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.evaluation.cross_validation import train_and_test
from avemotion.evaluation.holdout import find_checkpoints, score_checkpoints, shared_experiment
from avemotion.evaluation.plan import EvaluationPlan, open_evaluation
from avemotion.evaluation.predictions import write_records
from avemotion.evaluation.report.page import PREVIEW_NAME, report
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.evaluation.targets import choose_targets, with_targets
from avemotion.files import claimed
from avemotion.training.precision import with_precision

_PREVIEW_CLIPS = 24  # of real people these are 0.9 MB, which the page holds as text

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
        protocol: ``holdout`` scores the checkpoints of `fit` on its held-out actors. The others
            train a network for each fold, modality and seed, and test every actor once: ``loso``
            leaves one actor out, ``5fold`` cuts the sorted actors in five, ``stratified`` assigns
            them so that the folds have about the same emotions, ``luna-jimenez`` takes RAVDESS'
            published folds.
        modalities: What to compare; by default all that the store (or `runs`) offers.
        target: The emotion that counts as right: the ``intended`` one, or what most of the
            ``crowd`` saw and heard in the clip; clips without a single winner are then left out.
        seeds: Trainings of each fold, with the seeds `training.seed`, that plus one, and so on.
        jobs: Networks trained at once, each with one thread; by default one per core, or one on a
            GPU. On CPUs it changes no result.
        engine: Where networks are trained: on this machine (``local``), or on the cluster (``ray``)
            that the environment variable RAY_ADDRESS names, or one that is started here.
        robustness: Test the networks on corrupted clips too (noise, pitch, blur, a missing
            modality...).
        runs: Folder with the runs of `fit` that ``holdout`` scores.
        out: Folder of the evaluation; by default ``evaluation/PROTOCOL``.
        network: Sizes of the networks that are trained.
        training: Settings of their training.
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
        ['av', 'video']
    """
    data, runs, out = Path(data), Path(runs), Path(out or Path("evaluation", protocol))
    store = FeatureStore(data)
    check_known(store.rows)
    experiment = ExperimentSettings(network=network, training=training)
    _check_options(protocol, experiment, seeds, jobs, engine)
    checkpoints: dict[Modality, Path] = {}
    if protocol == "holdout":
        checkpoints = find_checkpoints(runs, modalities, store)
        experiment = shared_experiment(checkpoints)
    else:
        experiment = with_precision(experiment)
    compared = tuple(checkpoints) or modalities or tuple(m for m in MODALITIES if store.usable(m))
    rows, notes = _common_clips(store, compared)
    targets, target_notes = choose_targets(store, rows, target)
    plan = EvaluationPlan(
        protocol=protocol,
        target=target,
        modalities=compared,
        seeds=seeds,
        robustness=robustness,
        experiment=experiment,
    )
    tasks = [] if checkpoints else plan.tasks(store, rows, out)
    metadata = plan.metadata(store, rows, runs, out) | {"notes": [*notes, *target_notes]}
    store.check_shards(progress)
    with claimed(out):
        open_evaluation(out, metadata)
        predictions, corrupted = (
            score_checkpoints(store, checkpoints, rows, robustness, progress)
            if checkpoints
            else train_and_test(tasks, store.labels, jobs, progress, engine)
        )
        draw_preview(store, out / PREVIEW_NAME, clips=_PREVIEW_CLIPS)
        write_records(out, with_targets(store, metadata, targets, predictions, corrupted))
        del predictions, corrupted  # `report` reads them again; a large evaluation's take 1 GB
        return report(out)


def _check_options(
    protocol: Protocol,
    experiment: ExperimentSettings,
    seeds: int,
    jobs: int | None,
    engine: Engine,
) -> None:
    for name, value in (("--seeds", seeds), ("--jobs", jobs)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}, but must be 1 or more.")
    trains = experiment != ExperimentSettings() or (seeds, jobs, engine) != (1, None, "local")
    if protocol == "holdout" and trains:
        raise UsageError(
            "--protocol holdout trains nothing, so it takes no settings of network or training "
            "(nor --config, --seeds, --jobs, --engine). Give them to `avemotion fit`, or "
            "choose another --protocol."
        )


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
    "excluded": "they are known to be bad",
    "failed": "they could not be read",
}
