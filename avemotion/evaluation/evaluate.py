"""Compare systems with each other and with people, on actors that none of them saw.

A system is a model with what it reads: ``ar5/av``. Either score the checkpoints of `fit` on its
held-out actors (``holdout``) or on another corpus (``other-corpus``), or train a model for each
fold of a protocol and test it on that fold's actors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from avemotion.config import (
    DEFAULT_MODEL,
    MODALITIES,
    Engine,
    ExperimentSettings,
    Modality,
    TrainingSettings,
)
from avemotion.data.contact_sheet import draw_preview
from avemotion.data.corrupted_batches import check_corruptible
from avemotion.data.splits import check_known
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.types import UNKNOWN_ACTOR, UNKNOWN_GROUPS
from avemotion.errors import UsageError
from avemotion.evaluation.checkpoints import Trained, answers_of, experiments_of, find_trained
from avemotion.evaluation.cross_validation import train_and_test
from avemotion.evaluation.holdout import check_same_data, unseen
from avemotion.evaluation.other_corpus import open_other, unnamed
from avemotion.evaluation.plan import WITHOUT_TRAINING, EvaluationPlan, open_evaluation
from avemotion.evaluation.predictions import CorruptedPredictions, Predictions, write_records
from avemotion.evaluation.report.page import PREVIEW_NAME, report
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.evaluation.targets import choose_targets, with_targets
from avemotion.files import claimed
from avemotion.models.inputs import names_of
from avemotion.models.registry import check_learns, inputs_of, model_class, with_settings
from avemotion.training.augmentation import left_out
from avemotion.training.neutral_threshold import learned_task
from avemotion.training.precision import with_precision

_PREVIEW_CLIPS = 24  # of real people these are 0.9 MB, which the page holds as text

Protocol = Literal[
    "holdout",
    "other-corpus",
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
    mapping: Mapping[str, str] | None = None,
    out: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    training: TrainingSettings = TrainingSettings(),  # noqa: B008 (frozen)
    progress: bool = True,
) -> EvaluationResults:
    """Score systems on the same clips of actors that none of them saw, and compare any two.

    Args:
        data: Feature store written by `preprocess`.
        protocol: ``holdout`` scores the checkpoints of `fit` on its held-out actors,
            ``other-corpus`` on all clips of a store of another corpus. The others train a model for
            each fold, system and seed, and test every actor once: ``loso`` leaves one actor out,
            ``5fold`` cuts the sorted actors in five, ``stratified`` assigns them so that the folds
            have about the same emotions, ``luna-jimenez`` takes RAVDESS' published folds.
            ``sentences`` holds out actors and sentences at once, for what knows words.
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
        mapping: For ``other-corpus``: emotion of the store -> the models' that it counts as, beside
            those of the same name; by default calm -> neutral. Other clips are left out.
        out: Folder of the evaluation; by default ``evaluation/PROTOCOL``.
        settings: Model -> an instance of its `Settings`; by default its best known values.
        training: How the models are trained.
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
    data, runs, out = Path(data), Path(runs), Path(out or Path("evaluation", protocol))
    store = FeatureStore(data)
    _check_options(protocol, settings, training, seeds, jobs, engine)
    _check_mapping(protocol, mapping)
    if protocol == "official":
        training = replace(training, split="official")
    if protocol != "other-corpus":
        _check_actors(store)
    trained: dict[str, Trained] = {}
    notes: list[str] = []
    if protocol in WITHOUT_TRAINING:
        trained = find_trained(runs, models, modalities)
        store, notes = _opened(store, trained, protocol, mapping)
        experiments = experiments_of(trained)
    else:
        models = models or (DEFAULT_MODEL,)
        experiments = _experiments(store, models, modalities, settings, training)
        lost = [left_out(store, inputs_of(e), e.training) for e in experiments.values()]
        notes = [note for note in dict.fromkeys(lost) if note]
    rows, untested = _tested_clips(store, experiments, protocol, robustness)
    targets, target_notes = choose_targets(store, rows, target)
    plan = EvaluationPlan(
        protocol=protocol,
        target=target,
        experiments=experiments,
        seeds=seeds,
        robustness=robustness,
        mapping=mapping,
    )
    tasks = [] if trained else plan.tasks(store, rows, out)
    metadata = plan.metadata(store, rows, runs, out) | {"notes": [*notes, *untested, *target_notes]}
    store.check_shards(progress)
    with claimed(out):
        open_evaluation(out, metadata)
        predictions, corrupted = (
            _scored(store, trained, rows, protocol, robustness, progress)
            if trained
            else train_and_test(tasks, store.task, jobs, progress, engine)
        )
        draw_preview(store, out / PREVIEW_NAME, clips=_PREVIEW_CLIPS)
        write_records(out, with_targets(store, metadata, targets, predictions, corrupted))
        del predictions, corrupted  # `report` reads them again; a large evaluation's take 1 GB
        return report(out)


def _opened(
    store: FeatureStore,
    trained: Mapping[str, Trained],
    protocol: Protocol,
    mapping: Mapping[str, str] | None,
) -> tuple[FeatureStore, list[str]]:
    """Return the store as checkpoints are to be tested on it, and notes on that.

    Raises:
        UsageError: They cannot be tested on it.
    """
    if protocol == "other-corpus":
        return open_other(store, trained, mapping)
    check_same_data(trained, store)
    return store, []


def _scored(
    store: FeatureStore,
    trained: Mapping[str, Trained],
    rows: Sequence[ManifestRow],
    protocol: Protocol,
    robustness: bool,
    progress: bool,
) -> tuple[Predictions, CorruptedPredictions]:
    """Return the checkpoints' predictions for the clips that none of them saw."""
    if protocol == "other-corpus":
        trained = unnamed(trained)
    else:
        rows = unseen(store, trained, rows)
    return answers_of(store, trained, rows, protocol, robustness, progress)


def _check_actors(store: FeatureStore) -> None:
    if not any(row.part for row in store.rows):  # no official split could do without the actors
        check_known(store.rows)


def _check_mapping(protocol: Protocol, mapping: Mapping[str, str] | None) -> None:
    if mapping is None:
        return
    if protocol != "other-corpus":
        raise UsageError(
            f"--mapping says which emotions of another corpus count as which, but --protocol "
            f"{protocol} tests on the models' own. Leave it out, or choose --protocol other-corpus."
        )
    texts: list[Any] = [*mapping, *mapping.values()] if isinstance(mapping, Mapping) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(
            f"mapping is {mapping!r}, but must be a mapping of texts: {{'calm': 'neutral'}}."
        )


def _check_options(
    protocol: Protocol,
    settings: Mapping[str, Any] | None,
    training: TrainingSettings,
    seeds: int,
    jobs: int | None,
    engine: Engine,
) -> None:
    if settings is not None and not isinstance(settings, Mapping):
        raise UsageError(
            f"settings are {type(settings).__name__}, but must be a mapping: "
            "{'ar5': AR5Settings(...)}."
        )
    for name, value in (("--seeds", seeds), ("--jobs", jobs)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}, but must be 1 or more.")
    trains = training != TrainingSettings() or (seeds, jobs, engine) != (1, None, "local")
    trains |= any(given != type(given)() for given in (settings or {}).values())
    if protocol in WITHOUT_TRAINING and trains:
        raise UsageError(
            f"--protocol {protocol} trains nothing, so it takes no settings of models or training "
            "(nor --config, --seeds, --jobs, --engine). Give them to `avemotion fit`, or "
            "choose another --protocol."
        )
    if protocol not in ("holdout", "official") and training.split == "official":
        raise UsageError(
            f"--training.split official does not go with --protocol {protocol}, which splits by "
            "actors. Choose --protocol official, or leave that setting out."
        )


def _tested_clips(
    store: FeatureStore,
    experiments: Mapping[str, ExperimentSettings],
    protocol: Protocol,
    robustness: bool,
) -> tuple[list[ManifestRow], list[str]]:
    """Return the clips that every system can use, and notes on the others and on the people.

    Raises:
        UsageError: There are none, they cannot be split by actors, or not be corrupted.
    """
    other = protocol == "other-corpus"  # which is not split
    official = not other and any(e.training.split == "official" for e in experiments.values())
    if not (other or official):
        check_known(store.rows)
    if robustness:
        read = {name for e in experiments.values() for name in names_of(inputs_of(e))}
        check_corruptible(store, sorted(read))
    rows, notes = _common_clips(store, experiments)
    if official and store.info["parts_note"]:
        notes = (*notes, store.info["parts_note"])
    return rows, [*notes, *_notes_on_people(rows, official)]


def _notes_on_people(rows: Sequence[ManifestRow], official: bool) -> list[str]:
    notes = [_PEOPLE_SHARED] if official else []
    if unknown := sum(row.actor == UNKNOWN_ACTOR for row in rows):
        if official and unknown == len(rows):
            notes.append(
                f"nobody in these {unknown} pictures is known: intervals and tests are over "
                f"pictures, in {UNKNOWN_GROUPS} random groups, and say nothing about other people"
            )
        else:
            notes.append(
                f"{unknown} clips are of people who are not known: they count as one actor, so "
                "that intervals and tests over actors say nothing about other people"
            )
    return notes


def _experiments(
    store: FeatureStore,
    models: Sequence[str],
    modalities: Sequence[Modality],
    settings: Mapping[str, Any] | None,
    training: TrainingSettings,
) -> dict[str, ExperimentSettings]:
    """Return what is trained, by system.

    Raises:
        UsageError: There is no such model, none reads the modalities, or the store lacks a feature.
    """
    if unknown := [model for model in settings or {} if model not in models]:
        raise UsageError(
            f"settings are given for {', '.join(unknown)}, but the models are {', '.join(models)}."
        )
    wanted = modalities or tuple(m for m in MODALITIES if store.usable(m))
    found: dict[str, ExperimentSettings] = {}
    for model in models:
        kind = model_class(model)
        for modality in wanted:
            if modality not in kind.about.modalities:
                continue
            plain = ExperimentSettings(model, modality, training=training)
            experiment = with_precision(with_settings(plain, (settings or {}).get(model)))
            inputs = inputs_of(experiment)
            store.check_has(names_of(inputs), model)
            check_learns(learned_task(store.task, training), experiment)
            found[experiment.system] = experiment
    if not found:
        raise UsageError(
            f"None of the models {', '.join(models)} reads {' or '.join(wanted) or 'these clips'}. "
            "Choose other --models or --modalities."
        )
    return found


def _common_clips(
    store: FeatureStore, experiments: Mapping[str, ExperimentSettings]
) -> tuple[list[ManifestRow], tuple[str, ...]]:
    """Return the clips that every system can use, and a note on those left out."""
    usable = [{row.clip for row in store.usable(e.modality)} for e in experiments.values()]
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
            f"{', '.join(experiments)}. Choose fewer with --modalities."
        )
    return rows, notes


_PEOPLE_SHARED = (
    "the split is the one that the corpus comes with: the same people may have trained and be "
    "tested, so that figures on people never seen would be lower"
)
_WHY_NOT = {
    "audio": "they have no face",
    "video": "they have no sound",
    "excluded": "they are known to be bad",
    "failed": "they could not be read",
}
