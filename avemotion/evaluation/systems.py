"""The systems of an evaluation: checkpoints of `fit`, or what is trained; and their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avemotion.config import (
    DEFAULT_MODEL,
    MODALITIES,
    Engine,
    ExperimentSettings,
    GivenTraining,
    Modality,
    TrainingSettings,
)
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.evaluation.checkpoints import (
    Trained,
    answers_of,
    experiments_of,
    find_trained,
)
from avemotion.evaluation.cross_validation import FoldTask, train_and_test
from avemotion.evaluation.holdout import check_same_data, notes_on_initial_weights, unseen
from avemotion.evaluation.other_corpus import open_other, unnamed
from avemotion.evaluation.plan import WITHOUT_TRAINING, EvaluationPlan
from avemotion.evaluation.predictions import CorruptedPredictions, Predictions
from avemotion.models.inputs import names_of
from avemotion.models.registry import (
    check_learns,
    inputs_of,
    model_class,
    settings_of,
    training_for,
    with_settings,
)
from avemotion.training.augmentation import left_out
from avemotion.training.members import LATE, Members
from avemotion.training.neutral_threshold import learned_task
from avemotion.training.precision import with_precision


@dataclass(frozen=True, slots=True)
class Systems:
    """The systems of an evaluation, and the clips that they are compared on."""

    store: FeatureStore
    """The clips; of another corpus, with the emotions that count as the models' own."""
    experiments: dict[str, ExperimentSettings]
    """By system."""
    trained: dict[str, Trained]
    """Their checkpoints; empty where a model is trained for each fold."""
    notes: list[str]
    """What the report says of them."""


def find_systems(
    store: FeatureStore,
    protocol: str,
    models: Sequence[str],
    modalities: Sequence[Modality],
    settings: Mapping[str, Any] | None,
    training: GivenTraining,
    runs: Path,
    mapping: Mapping[str, str] | None,
) -> Systems:
    """Find the checkpoints that are scored, or settle what is trained.

    Arguments and errors are those of `avemotion.evaluate`.
    """
    if protocol in WITHOUT_TRAINING:
        trained = find_trained(runs, models, modalities)
        store, notes = opened(store, trained, protocol, mapping)
        return Systems(store, experiments_of(trained), trained, notes)
    models = models or (DEFAULT_MODEL,)
    trainings = {model: _training(model, training, protocol) for model in models}
    found = _experiments(store, trainings, modalities, settings)
    each = [one for experiment in found.values() for one in _with_its_members(experiment)]
    lost = [left_out(store, inputs_of(one), one.training) for one in each]
    return Systems(store, found, {}, [note for note in dict.fromkeys(lost) if note])


def _with_its_members(experiment: ExperimentSettings) -> tuple[ExperimentSettings, ...]:
    """Return what is trained for a system: of `late`, its members."""
    if not model_class(experiment.model).composed:
        return (experiment,)
    found: tuple[ExperimentSettings, ...] = settings_of(
        experiment.model, experiment.settings
    ).experiments
    return found


def with_members(
    settings: Mapping[str, Any] | None, members: Sequence[Path], models: Sequence[str]
) -> Mapping[str, Any] | None:
    """Return the settings of models, those of `late` with what its members are.

    Args:
        settings: Model -> an instance of its `Settings`.
        members: Folders of runs, or checkpoints.
        models: The models that are compared.

    Raises:
        UsageError: They are no finished runs, `late` is not compared or has members already, or a
            member began with weights that are not made anew.
    """
    if not members:
        return settings
    if LATE not in models:
        raise UsageError(
            f"--members names the members of late, but --models is {','.join(models) or 'empty'}. "
            "Add late to --models, or leave --members out."
        )
    if (given := (settings or {}).get(LATE)) is not None and given.members:
        raise UsageError(
            "Both --members and --late.members name the members. Leave one of them out."
        )
    found = Members.of(members)
    for one in found.each:
        if one.metadata.initialised_from:
            raise UsageError(
                f"{one.path} began with the weights of {one.metadata.initialised_from[0].name} "
                "(--init), but in an evaluation each member is trained from random weights. Name a "
                "run without --init, or score checkpoints with --protocol holdout."
            )
    return {**(settings or {}), LATE: found.settings}


def opened(
    store: FeatureStore,
    trained: Mapping[str, Trained],
    protocol: str,
    mapping: Mapping[str, str] | None,
) -> tuple[FeatureStore, list[str]]:
    """Return the store as checkpoints are to be tested on it, and notes on that.

    Raises:
        UsageError: They cannot be tested on it.
    """
    notes: list[str] = []
    if protocol == "other-corpus":
        store, notes = open_other(store, trained, mapping)
    else:
        check_same_data(trained, store)
    return store, notes + notes_on_initial_weights(store, trained)


def predictions_of(
    systems: Systems,
    plan: EvaluationPlan,
    rows: Sequence[ManifestRow],
    tasks: Sequence[FoldTask],
    jobs: int | None,
    engine: Engine,
    progress: bool,
) -> tuple[Predictions, CorruptedPredictions]:
    """Return the systems' predictions for clips that they did not see: trained first, if need be.

    Args:
        systems: Checkpoints, or what is trained.
        plan: How they are compared.
        rows: The clips that every system can use.
        tasks: The models to train; none where there are checkpoints.
        jobs: See `avemotion.evaluate`.
        engine: See `avemotion.evaluate`.
        progress: Show a progress bar.
    """
    store, trained = systems.store, systems.trained
    if not trained:
        return train_and_test(tasks, store.task, jobs, progress, engine)
    if plan.protocol == "other-corpus":
        trained = unnamed(trained)
    else:
        rows = unseen(store, trained, rows)
    return answers_of(store, trained, rows, plan.protocol, plan.robustness, progress)


def _training(model: str, given: GivenTraining, protocol: str) -> TrainingSettings:
    """Return how a model is trained; on whom, the protocol says.

    Raises:
        UsageError: There is no such model, a setting is wrong, or does not go with the protocol.
    """
    training = training_for(model, given)
    if protocol == "official":
        return replace(training, split="official")
    if training.split == "official":
        raise UsageError(
            f"--training.split official does not go with --protocol {protocol}, which splits by "
            "actors. Choose --protocol official, or leave that setting out."
        )
    return training


def _experiments(
    store: FeatureStore,
    trainings: Mapping[str, TrainingSettings],
    modalities: Sequence[Modality],
    settings: Mapping[str, Any] | None,
) -> dict[str, ExperimentSettings]:
    """Return what is trained, by system, given how each model is trained.

    Raises:
        UsageError: There is no such model, none reads the modalities, or the store lacks a feature.
    """
    if unknown := [model for model in settings or {} if model not in trainings]:
        raise UsageError(
            f"settings are given for {', '.join(unknown)}, but the models are "
            f"{', '.join(trainings)}."
        )
    wanted = modalities or tuple(m for m in MODALITIES if store.usable(m))
    found: dict[str, ExperimentSettings] = {}
    for model, training in trainings.items():
        kind, given = model_class(model), (settings or {}).get(model)
        for modality in wanted:
            if modality not in kind.can_read(given or kind.Settings()):
                continue
            plain = ExperimentSettings(model, modality, training=training)
            experiment = with_precision(with_settings(plain, given))
            inputs = inputs_of(experiment)
            store.check_has(names_of(inputs), model)
            check_learns(learned_task(store.task, training), experiment)
            found[experiment.system] = experiment
    if not found:
        raise UsageError(
            f"None of the models {', '.join(trainings)} reads "
            f"{' or '.join(wanted) or 'these clips'}. Choose other --models "
            "or --modalities."
        )
    return found
