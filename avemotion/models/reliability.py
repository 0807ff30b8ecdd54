"""How often a model was right, and on which clips; this module needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from avemotion.config import MODALITIES, Modality
from avemotion.errors import require, require_keys, require_list, require_type
from avemotion.models.recording_conditions import Departure


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
    condition: str = ""
    """In what the clip is unlike those, and what that does to the expected accuracy, in words;
    empty where it is like them."""

    def __post_init__(self) -> None:
        """Refuse what nobody can have measured.

        Raises:
            UsageError: A value is of another type or out of range.
        """
        allowed = (*MODALITIES, "picture")
        right = self.modality in allowed
        require(right, "reliability.modality", self.modality, " or ".join(allowed))
        for name in ("measured_on", "condition"):
            require_type(getattr(self, name), str, f"reliability.{name}")
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
        found = f"{right}, each emotion counting the same, measured on {self.measured_on}"
        return f"{found}; {self.condition}" if self.condition else found

    def under(self, departures: Sequence[Departure]) -> Reliability:
        """Return what is to be expected of a clip that is unlike those of training.

        The expected accuracy is multiplied by the share of it that stayed under the worst of the
        clip's conditions: an estimate, since both were measured on other clips.
        """
        if self.expected_accuracy is None or not departures:
            return self
        words, expected = [], self.expected_accuracy
        lost = [(d.kept, d.condition) for d in departures if d.kept is not None and d.kept < 1]
        if lost:
            kept, condition = min(lost)
            words.append(f"{100 * kept:.0f} % of {100 * expected:.0f}, as under {condition}")
            expected *= kept
        if any(d.kept is None for d in departures):
            words.append("this clip is unlike those in what was not measured")
        return replace(self, expected_accuracy=expected, condition=" and ".join(words))


def reliability_of(
    known: Sequence[Reliability],
    modality: str,
    departures: Sequence[Departure] = (),
    is_picture: bool = False,
) -> Reliability | None:
    """Return what is known of answers to such a clip; None for nothing.

    Args:
        known: What the model carries.
        modality: What the clip is answered from.
        departures: In what it is unlike those of training.
        is_picture: Whether it is a picture.
    """
    found: dict[str, Reliability] = {one.modality: one for one in known}
    of_pictures = found.get("picture") if is_picture else None
    fitting = of_pictures or found.get(modality)
    return fitting and fitting.under(departures)


def reliabilities_from(values: object) -> tuple[Reliability, ...]:
    """Rebuild all that a model carries from what JSON made of them.

    Raises:
        UsageError: A key is missing or unknown, or a value of another type or out of range.
    """
    names, every = [f.name for f in fields(Reliability)], require_list(values, "reliability")
    return tuple(Reliability(**require_keys(one, names, "reliability")) for one in every)
