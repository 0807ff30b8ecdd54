"""The models that can be trained: the command `models`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from avemotion.data.corpora import TITLES
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.task import Task
from avemotion.errors import UsageError
from avemotion.models.header import read_header
from avemotion.models.inputs import names_of
from avemotion.models.packaged import PACKAGED, packaged_file
from avemotion.models.registry import model_class, model_names, settings_of

if TYPE_CHECKING:
    from avemotion.models.base import EmotionModel, Reported


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model; of one that is not installed, only name and needs are known."""

    name: str
    """What ``--model`` takes."""
    installed: bool
    """Whether all that it needs is installed."""
    needs: str
    """What must be installed for it; empty where avemotion alone is enough."""
    source: str = ""
    """Publication that describes it, or who wrote it."""
    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Modality -> the features that it reads by default; without those for which a setting must
    name one."""
    parameters: int | None = None
    """Trained parameters with face and voice, or what it reads of them, for six emotions; None for
    a learner without."""
    units: str = "none"
    """Whether it learns action units beside the emotion: ``none``, ``optional`` or ``needed``."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """The settings of training in which its recipe differs from the defaults."""
    reported: tuple[Reported, ...] = ()
    """Published figures; none is ours."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """The trained model that comes with the package."""

    name: str
    """What ``--checkpoint`` and ``--init`` take."""
    model: str
    """The model that was trained, a name of `ModelEntry`."""
    labels: tuple[str, ...]
    """The emotions that it tells."""
    inputs: dict[str, tuple[str, ...]]
    """Modality -> the features that it reads."""
    parameters: int
    """Trained parameters."""
    size_bytes: int
    """Size of its checkpoint."""
    learned_from: tuple[str, ...]
    """Its corpora, in words."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def packaged_model() -> PackagedModel:
    """Return what the packaged model is; its header is read, and its weights are not."""
    file = packaged_file(".safetensors")
    metadata = read_header(file)
    kind = model_class(metadata.experiment.model)
    settings = settings_of(metadata.experiment.model, metadata.experiment.settings)
    network = kind(metadata.task, metadata.experiment.modality, settings)
    corpora = (metadata.corpus, *(origin.corpus for origin in metadata.initialised_from))
    return PackagedModel(
        name=PACKAGED,
        model=metadata.experiment.model,
        labels=metadata.labels,
        inputs={m: names_of(kind.reads(m, settings)) for m in kind.about.modalities if m != "av"},
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        size_bytes=file.stat().st_size,
        learned_from=tuple(TITLES.get(name, name) for name in dict.fromkeys(corpora)),
    )


def list_models() -> list[ModelEntry]:
    """Return all models, those of other packages last.

    Examples:
        >>> from avemotion import list_models
        >>> list_models()[0].name
        'ar5'
    """
    return [_entry(name) for name in model_names()]


def _entry(name: str) -> ModelEntry:
    try:
        kind = model_class(name)
    except UsageError as error:
        return ModelEntry(name, installed=False, needs=str(error))
    about = kind.about
    return ModelEntry(
        name=name,
        installed=True,
        needs=about.extra,
        source=about.source,
        inputs=_inputs(kind),
        parameters=about.parameters or _counted(kind) or None,
        units=about.units,
        recipe=dict(kind.recipe),
        reported=about.reported,
    )


def _inputs(kind: type[EmotionModel]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for modality in kind.about.modalities:
        with suppress(UsageError):
            found[modality] = names_of(kind.reads(modality, kind.Settings()))
    return found


def _counted(kind: type[EmotionModel]) -> int:
    if kind.composed:  # of members that are not known
        return 0
    model = kind(Task(EMOTIONS), kind.about.modalities[0], kind.Settings())
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
