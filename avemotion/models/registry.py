"""The models by name. A new one is a file in this folder and a line in `MODELS`.

Another package brings one through the entry point ``avemotion.models``. A model's module is
imported only when it is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from avemotion.compat import missing_package
from avemotion.config import (
    DEFAULT_MODEL,
    ExperimentSettings,
    GivenTraining,
    TrainingSettings,
)
from avemotion.data.task import Task
from avemotion.errors import UsageError, settings_from

if TYPE_CHECKING:
    from avemotion.models.base import EmotionModel
    from avemotion.models.inputs import Input

MODELS = {
    "ar5": "avemotion.models.ar5:AR5",
    "miene": "avemotion.models.miene:Miene",
    "stimme": "avemotion.models.stimme:Stimme",
    "miene_stimme": "avemotion.models.miene_stimme:MieneStimme",
    "probe": "avemotion.models.probe:Probe",
    "fusion": "avemotion.models.fusion:Fusion",
    "late": "avemotion.models.late:Late",
    "ar1": "avemotion.models.thesis_pictures:AR1",
    "ar2": "avemotion.models.thesis_pictures:AR2",
    "ar3": "avemotion.models.thesis_pictures:AR3",
    "ar4": "avemotion.models.thesis_pictures:AR4",
    "resnet18": "avemotion.models.timm_networks:ResNet18",
    "inception_v4": "avemotion.models.timm_networks:InceptionV4",
    "inception_resnet_v2": "avemotion.models.timm_networks:InceptionResNetV2",
    "units_perceptron": "avemotion.models.action_units:UnitsPerceptron",
    "vgg16_bn": "avemotion.models.timm_networks:VGG16",
    "resnet101": "avemotion.models.timm_networks:ResNet101",
    "mobilenet": "avemotion.models.timm_networks:MobileNet",
    "vit": "avemotion.models.timm_networks:ViT",
    "cnn3": "avemotion.models.fer_cnns:CNN3",
    "cnn5": "avemotion.models.fer_cnns:CNN5",
    "bilstm": "avemotion.models.bilstm:BiLSTM",
    "kmeans": "avemotion.models.classical:KMeansLearner",
    "knn": "avemotion.models.classical:NearestNeighbours",
    "naive_bayes": "avemotion.models.classical:NaiveBayes",
}
"""Name -> module and class."""

SETTINGS = {"ar5": "avemotion.models.ar5_settings:AR5Settings"}
"""Settings that can be loaded without their model, and so without torch: the default model's."""

ENTRY_POINTS = "avemotion.models"
"""Group of the entry points of other packages: ``mynet = "mypackage.mynet:MyNet"``."""


def model_names() -> tuple[str, ...]:
    """Return the names of all models, those of other packages last."""
    return tuple(_homes())


def _homes() -> dict[str, str]:
    homes = dict(MODELS)
    for name, home in models_of_other_packages():
        if homes.setdefault(name, home) != home:
            raise UsageError(
                f"Two packages bring a model named {name!r}: {homes[name]} and {home}. Uninstall "
                "one of them."
            )
    return homes


@cache
def models_of_other_packages() -> tuple[tuple[str, str], ...]:
    """Return the names of installed entry points, with module and class; they are sought once."""
    return tuple((point.name, point.value) for point in entry_points(group=ENTRY_POINTS))


def model_class(name: str) -> type[EmotionModel]:
    """Return the class of a model.

    Raises:
        UsageError: There is none of that name, or a package that it needs is not installed.
    """
    homes = _homes()
    if name not in homes:
        raise UsageError(
            f"There is no model {name!r}. Models: {', '.join(homes)}. Others come with packages "
            "that must be installed."
        )
    module, _, attribute = homes[name].partition(":")
    try:
        found: type[EmotionModel] = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise missing_package(f"The model {name}", error) from error
    except Exception as error:  # what the module of another package raises is not known
        raise UsageError(
            f"The model {name} cannot be loaded from {homes[name]}: {error}. Mend or uninstall the "
            "package that brings it."
        ) from error
    from avemotion.models.base import EmotionModel

    if not (isinstance(found, type) and issubclass(found, EmotionModel)):
        raise UsageError(f"The model {name}, {homes[name]}, is no subclass of EmotionModel.")
    return found


def settings_class(name: str) -> Any:
    """Return the class of a model's settings.

    Raises:
        UsageError: There is no such model, or a package that it needs is not installed.
    """
    if name not in SETTINGS:
        return model_class(name).Settings
    module, _, attribute = SETTINGS[name].partition(":")
    return getattr(import_module(module), attribute)


def settings_of(name: str, values: Mapping[str, Any] | None = None) -> Any:
    """Return a model's settings, built from plain values; those that are missing are defaults.

    Raises:
        UsageError: There is no such model, or a value is unknown, of another type or out of range.
    """
    return _changed(settings_class(name)(), values or {}, name)


def _changed(settings: Any, given: Mapping[str, Any], name: str) -> Any:
    """Return settings with other values of some, which are called by the name.

    Raises:
        UsageError: A value is unknown, of another type or out of range.
    """
    known = asdict(settings)
    if unknown := [one for one in given if one not in known]:
        raise UsageError(
            f"{name} has no setting {unknown[0]!r}. Its settings: {', '.join(known) or 'none'}."
        )
    return settings_from(type(settings), known | dict(given), name, option=f"--{name}.")


def defaults_of(name: str) -> dict[str, Any]:
    """Return a model's default settings as plain values."""
    return _plain(settings_of(name))


def _plain(settings: Any) -> dict[str, Any]:
    """Return settings as a file holds them: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return plain


def training_for(model: str, given: GivenTraining = None) -> TrainingSettings:
    """Return how a model is trained: by its recipe, and by what is given.

    Args:
        model: Its name.
        given: Single settings by name, which count over the recipe; all of them, which are taken as
            they are; or None for the recipe.

    Raises:
        UsageError: There is no such model, or a setting is unknown, of another type, out of range
            or contradicts another.
    """
    if isinstance(given, TrainingSettings):
        return given
    if not isinstance(given, Mapping | None):
        raise UsageError(
            f"training is {given!r}, but must be a mapping of single settings ({{'epochs': 5}}), "
            "TrainingSettings(...), or None for the model's own recipe."
        )
    # The defaults are the default model's recipe, whose module is not loaded for that.
    recipe = {} if model == DEFAULT_MODEL else model_class(model).recipe
    training: TrainingSettings = _changed(
        TrainingSettings(), {**recipe, **(given or {})}, "training"
    )
    return training


def default_training(experiment: ExperimentSettings) -> TrainingSettings:
    """Return how the model of an experiment is trained where nothing of training is given.

    Raises:
        UsageError: The experiment's model or its settings are wrong.
    """
    plain = replace(experiment, training=training_for(experiment.model))
    return with_settings(plain).training


_LEARNERS_TAKE = (
    ("labels", "intended", "learns intended emotions alone"),
    ("balance", "none", "is fitted once, to each clip alike"),
    ("views", "one", "is fitted once, and has no choice of views"),
)
"""Settings of the training, the value that learners take, and why."""


def with_settings(
    experiment: ExperimentSettings, settings: Any | None = None
) -> ExperimentSettings:
    """Return an experiment that names all settings of its model.

    Args:
        experiment: Names the model.
        settings: An instance of its `Settings`; None takes those of the experiment, and defaults.

    Raises:
        UsageError: The settings are another model's, or the model does not read the modality.
    """
    kind = model_class(experiment.model)
    built = settings_of(experiment.model, experiment.settings) if settings is None else settings
    if not isinstance(built, kind.Settings):
        raise UsageError(
            f"settings are {type(built).__name__}, but {experiment.model} takes "
            f"{kind.Settings.__name__}."
        )
    if experiment.modality not in (able := kind.can_read(built)):
        of_members = " of these members" if kind.composed else ""
        raise UsageError(
            f"--modality is {experiment.modality}, but {experiment.model}{of_members} reads "
            f"{' or '.join(able)}."
        )
    training = experiment.training
    if not kind.learns_in_epochs:  # nothing is hidden from it in training
        hidden = TrainingSettings().modality_dropout if kind.answers_alone(built) else 0.0
        training = replace(training, modality_dropout=hidden)
        for name, value, why in _LEARNERS_TAKE:
            if (given := getattr(training, name)) != value:
                raise UsageError(
                    f"--training.{name} is {given}, but {experiment.model} {why}. Leave that "
                    "setting out."
                )
    return replace(experiment, settings=_plain(built), training=training)


def inputs_of(experiment: ExperimentSettings) -> tuple[Input, ...]:
    """Return what the model of an experiment reads; nothing is built."""
    settings = settings_of(experiment.model, experiment.settings)
    return model_class(experiment.model).reads(experiment.modality, settings)


def create(task: Task, experiment: ExperimentSettings) -> EmotionModel:
    """Build a model with new weights.

    Args:
        task: Its labels.
        experiment: Model, modality and settings.

    Raises:
        UsageError: There is no such model, its settings are wrong, or it cannot learn the task.
    """
    check_learns(task, experiment)
    settings = settings_of(experiment.model, with_settings(experiment).settings)
    return model_class(experiment.model)(task, experiment.modality, settings)


def check_learns(task: Task, experiment: ExperimentSettings) -> None:
    """Refuse a model that cannot learn a task, before anything is trained.

    Raises:
        UsageError: It learns no action units, or needs some.
    """
    kind = model_class(experiment.model)
    if kind.composed:
        if not experiment.training.validation:
            raise UsageError(
                f"{experiment.model} fits temperatures and weights on validation actors, but "
                "--training.validation is 0. Give a share of actors."
            )
        for member in settings_of(experiment.model, experiment.settings).experiments:
            check_learns(task, member)
    if kind.about.units == "needed" and not task.units:
        raise UsageError(
            f"{experiment.model} learns emotions from action units, and the corpus has none. "
            "Preprocess one that has them (ck_plus_units, pictures), or choose another --model."
        )
    if kind.about.units == "none" and task.units:
        raise UsageError(
            f"{experiment.model} learns no action units, but the corpus has "
            f"{', '.join(task.units)}. Choose another --model: `avemotion models` lists those that "
            "do."
        )
