"""How often a model was right, and on which clips; this module needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from avemotion.config import MODALITIES, Modality
from avemotion.errors import UsageError, require, require_keys, require_type


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often answers from a modality were right, where that was measured."""

    modality: Modality | Literal["picture"]
    """What the answers are from; a picture where it is known of pictures alone."""
    expected_accuracy: float | None
    """Share of such answers that are right, each emotion being as frequent as any other (mean
    recall), 0 to 1; None where it was not measured."""
    measured_on: str
    """The clips that it was measured on, in words; or why it was not measured."""

    def __post_init__(self) -> None:
        """Refuse what nobody can have measured.

        Raises:
            UsageError: A value is of another type or out of range.
        """
        allowed = (*MODALITIES, "picture")
        right = self.modality in allowed
        require(right, "reliability.modality", self.modality, " or ".join(allowed))
        require_type(self.measured_on, str, "reliability.measured_on")
        if (expected := self.expected_accuracy) is not None:
            require_type(expected, float, "reliability.expected_accuracy")
            require(0 <= expected <= 1, "reliability.expected_accuracy", expected, "from 0 to 1")

    def __str__(self) -> str:
        """Return it in words.

        >>> str(Reliability("audio", 0.336, "RAVDESS"))
        'right in 34 of 100, each emotion counting the same, measured on RAVDESS'
        """
        if self.expected_accuracy is None:
            return f"not measured: {self.measured_on}"
        right = f"right in {100 * self.expected_accuracy:.0f} of 100"
        return f"{right}, each emotion counting the same, measured on {self.measured_on}"


def reliability_of(
    known: Sequence[Reliability], modality: str, is_picture: bool = False
) -> Reliability | None:
    """Return what is known of answers from a modality, or from a picture; None for nothing."""
    found: dict[str, Reliability] = {one.modality: one for one in known}
    of_pictures = found.get("picture") if is_picture else None
    return of_pictures or found.get(modality)


def reliabilities_from(values: object) -> tuple[Reliability, ...]:
    """Rebuild all that a model carries from what JSON made of them.

    Raises:
        UsageError: A key is missing or unknown, or a value of another type or out of range.
    """
    if not isinstance(values, list | tuple):
        raise UsageError(f"reliability is {values!r}, but must be a list.")
    names = [f.name for f in fields(Reliability)]
    return tuple(Reliability(**require_keys(one, names, "reliability")) for one in values)
