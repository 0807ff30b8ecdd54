"""How a model's training clips were recorded, and what it scored where recordings were worse.

This module needs no torch: it is part of a model's metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from avemotion.errors import require, require_keys, require_list, require_type
from avemotion.features.recording_quality import QUALITIES


@dataclass(frozen=True, slots=True)
class ConditionScore:
    """What a model scored on the validation clips, corrupted in one way."""

    name: str
    """Name of the condition: ``white noise 10 dB``."""
    typical: float
    """Median of the quality over the corrupted clips, in its unit."""
    uar: float
    """Mean recall on them, 0 to 1."""


@dataclass(frozen=True, slots=True)
class TrainedRange:
    """What one quality was in the training clips, and what the model scores outside of it."""

    quality: str
    """A name of `avemotion.features.recording_quality.QUALITIES`."""
    low: float
    """1st percentile of the training clips, in the unit of the quality."""
    high: float
    """99th percentile."""
    uar: float | None
    """Mean recall on the validation clips as they are, or others that it did not learn, 0 to 1;
    None without such clips. Where they chose the epoch, it is optimistic."""
    conditions: tuple[ConditionScore, ...]
    """The same on corrupted ones; empty without such clips."""

    def __post_init__(self) -> None:
        """Refuse what no training measures.

        Raises:
            UsageError: There is no such quality, or a number is out of range or of another type.
        """
        known = self.quality in QUALITIES
        require(known, "quality", self.quality, f"one of {', '.join(QUALITIES)}")
        for name in ("low", "high"):
            require_type(getattr(self, name), float, f"{self.quality}.{name}")
        for name, uar in [("uar", self.uar), *((c.name, c.uar) for c in self.conditions)]:
            if uar is not None or name != "uar":
                require_type(uar, float, f"{self.quality}.{name}")
                require(0 <= (uar or 0) <= 1, f"{self.quality}.{name}", uar, "from 0 to 1")

    @classmethod
    def from_dict(cls, values: object) -> TrainedRange:
        """Rebuild from what `dataclasses.asdict` makes of it.

        Raises:
            UsageError: A key is missing or unknown, or a value of another type or out of range.
        """
        given = require_keys(values, [f.name for f in fields(cls)], "recordings")
        conditions = require_list(given["conditions"], "conditions")
        return cls(**given | {"conditions": tuple(map(_condition, conditions))})


def _condition(values: object) -> ConditionScore:
    given = require_keys(values, [f.name for f in fields(ConditionScore)], "conditions")
    require_type(given["name"], str, "conditions.name")
    require_type(given["typical"], float, "conditions.typical")
    return ConditionScore(**given)


def measured(media: Mapping[str, Any]) -> dict[str, float]:
    """Return each quality of a clip by name.

    Args:
        media: Stream -> its face crops, uint8 (frame, 98, 80), or waveform, int16 (sample,); a
            missing stream has no entry.
    """
    return {
        name: quality.measure(media[quality.stream])
        for name, quality in QUALITIES.items()
        if quality.stream in media
    }


@dataclass(frozen=True, slots=True)
class Departure:
    """In what a clip is unlike those of training."""

    warning: str
    """The whole of it, in words."""
    condition: str = ""
    """The condition that stands for it, in words; empty where what it costs was not measured."""
    kept: float | None = None
    """Share of its mean recall that the model kept under that condition, 0 to 1; None where that
    was not measured."""


def departures(
    qualities: Mapping[str, float],
    strangeness: Mapping[str, float],
    trained: Sequence[TrainedRange],
) -> Iterator[Departure]:
    """Yield in what a clip is outside of what the training clips were.

    Args:
        qualities: Of the clip, as `measured` returns them.
        strangeness: Distance of the clip from those of training by stream, 1 being the limit: see
            `avemotion.models.training_distance`.
        trained: What the model knows of its training clips.
    """
    for stream, distance in strangeness.items():
        if distance > 1:
            what = {"video": "face", "audio": "sound"}[stream]
            yield Departure(
                f"the {what} is unlike those that the model learned from: at {distance:.1f} times "
                "the distance that 99 % of the clips of its training stay within; how often "
                "answers to such are right was not measured"
            )
    for known in trained:
        quality, value = QUALITIES[known.quality], qualities.get(known.quality)
        if value is None:
            continue
        if known.low - quality.tolerance <= value <= known.high + quality.tolerance:
            continue
        is_low = value < known.low
        word = quality.low if is_low else quality.high
        if word is not None:
            yield _departure(
                known,
                value,
                is_low,
                f"the {quality.what} is {word}: {quality.shown.format(value)}, in 98 % of the "
                f"training clips {known.low:.3g} to {known.high:.3g}; ",
            )


def _departure(known: TrainedRange, value: float, is_low: bool, words: str) -> Departure:
    """Say what the model scored under a condition that is as bad as a clip's, or the worst."""
    sign = -1 if is_low else 1
    edge = known.low if is_low else known.high
    worse = sorted(
        (c for c in known.conditions if sign * c.typical > sign * edge),
        key=lambda condition: sign * condition.typical,
    )
    if known.uar is None or not worse:
        return Departure(f"{words}what that costs was not measured")
    # The mildest that is at least as bad; where none is, the worst that was measured.
    as_bad = next((c for c in worse if sign * c.typical >= sign * value), None)
    shown = as_bad or worse[-1]
    condition = shown.name if as_bad else f"{shown.name}, which is milder than this"
    return Departure(
        f"{words}under {condition}, mean recall on clips that it did not learn "
        f"was {100 * shown.uar:.0f} %, without {100 * known.uar:.0f} %",
        condition,
        min(1.0, shown.uar / known.uar) if known.uar else None,
    )


def ranges_from(values: object) -> tuple[TrainedRange, ...]:
    """Rebuild all ranges of a model from what JSON made of them.

    Raises:
        UsageError: A key is missing or unknown, or a value of another type or out of range.
    """
    return tuple(map(TrainedRange.from_dict, require_list(values, "recordings")))
