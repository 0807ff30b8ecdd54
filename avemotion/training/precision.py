"""The precision of training: the one that is set, or the one that suits this machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from avemotion.config import ExperimentSettings, TrainingSettings


def with_precision(experiment: ExperimentSettings) -> ExperimentSettings:
    """Return settings that name the precision of training on this machine in place of ``auto``."""
    precision: Literal["float32", "bfloat16"]
    precision = "bfloat16" if uses_bfloat16(experiment.training) else "float32"
    return replace(experiment, training=replace(experiment.training, precision=precision))


def uses_bfloat16(settings: TrainingSettings) -> bool:
    """Return whether training runs in bfloat16: as set, or where the processor has it."""
    if settings.precision != "auto":
        return settings.precision == "bfloat16"
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()  # other processors than x86 have other names
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_tile"))
