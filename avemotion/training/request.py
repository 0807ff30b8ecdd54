"""What `fit` is asked for; reading it needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avemotion.config import DEFAULT_MODEL, Modality, TrainingSettings
from avemotion.training.initial_weights import InitialWeights


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

    @classmethod
    def of(
        cls,
        model: str | None,
        modality: Modality | None,
        out: Path | None,
        init: Path | None,
        settings: Any | None,
        training: TrainingSettings,
    ) -> FitRequest:
        """Read the checkpoint to begin with, if one is given; arguments are those of `fit`.

        Raises:
            UsageError: There is no such checkpoint, or it is another model's than is asked for.
        """
        out = out and Path(out)
        initial = None if init is None else InitialWeights.of(Path(init))
        if initial is not None:
            initial.check_asked(model, modality, out)
            model = initial.metadata.experiment.model
            modality = modality or initial.metadata.experiment.modality
            settings = initial.settings if settings is None else settings
        return cls(model or DEFAULT_MODEL, modality, out, settings, training, initial)
