"""What `fit` is asked for; reading it needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avemotion.config import DEFAULT_MODEL, GivenTraining, Modality, TrainingSettings
from avemotion.errors import UsageError
from avemotion.models.registry import training_for
from avemotion.training.initial_weights import InitialWeights
from avemotion.training.members import LATE, Members


@dataclass(frozen=True, slots=True)
class FitRequest:
    """The arguments of `fit`, with what a checkpoint to begin with says in place of none."""

    model: str
    """Name of the model."""
    modality: Modality | None
    """What it is to read; None for the first that it can."""
    out: Path | None
    """Folder of the run; None for ``runs/MODEL/MODALITY``."""
    settings: Any | None
    """An instance of the model's `Settings`; None for the best known values."""
    training: TrainingSettings
    """How it is trained."""
    initial: InitialWeights | None
    """What it begins with; None for weights of its own."""
    members: Members | None = None
    """The trained models that `late` pools; None for another model."""

    @classmethod
    def of(
        cls,
        model: str | None,
        modality: Modality | None,
        out: Path | None,
        init: Path | None,
        settings: Any | None,
        training: GivenTraining,
        members: Sequence[Path],
    ) -> FitRequest:
        """Read the checkpoint to begin with, or the members; arguments are those of `fit`.

        Raises:
            UsageError: There is no such checkpoint, or it does not go with what is asked for.
        """
        out = out and Path(out)
        if members:
            _check_alone(model, init, settings, training)
            pooled = Members.of(members)
            return cls(LATE, modality, out, pooled.settings, pooled.training, None, pooled)
        initial = None if init is None else InitialWeights.of(Path(init))
        if initial is not None:
            initial.check_asked(model, modality, out)
            model = initial.metadata.experiment.model
            modality = modality or initial.metadata.experiment.modality
            settings = initial.settings if settings is None else settings
        model = model or DEFAULT_MODEL
        return cls(model, modality, out, settings, training_for(model, training), initial)


def _check_alone(
    model: str | None, init: Path | None, settings: Any | None, training: GivenTraining
) -> None:
    """Refuse what does not go with members.

    Raises:
        UsageError: The message names the option.
    """
    if model != LATE:
        raise UsageError(
            f"--members names trained models to pool, but --model is {model or DEFAULT_MODEL}. "
            f"Give --model {LATE}, or leave --members out."
        )
    if init is not None:
        raise UsageError(
            "--init gives weights to begin with, but late takes those of its members. Leave one of "
            "--init and --members out."
        )
    if settings is not None and settings.members:
        raise UsageError(
            "Both --members and --late.members name the members. Leave --late.members out."
        )
    if training_for(LATE, training) != training_for(LATE):
        raise UsageError(
            "--training says how a model is trained, but late trains nothing: its members are "
            "trained. Leave these settings out, or give them when a member is fitted."
        )
