"""The files of an evaluation: all that its figures need, so that they can be drawn anew.

``evaluation.json``: what was asked; ``clips.csv``: which clips were tested; ``predictions.csv``:
each network's predictions on them; ``corrupted.csv``: predictions on the corrupted clips;
``votes.csv``: how the crowd voted; ``actors.csv``: who the actors are, where that is known.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from avemotion.config import MODALITIES, Modality
from avemotion.data.annotations import (
    read_demographics,
    read_ratings,
    write_demographics,
    write_ratings,
)
from avemotion.data.types import Rating
from avemotion.errors import UsageError
from avemotion.files import read_json, write_csv, write_json

METADATA_NAME = "evaluation.json"
METADATA_FIELDS = (
    "protocol", "target", "seeds", "labels", "corpus", "synthetic", "preprocessing", "network",
    "training", "data", "clips", "command", "versions", "notes",
)  # fmt: skip
"""What that file says."""


@dataclass(frozen=True, slots=True)
class ClipPrediction:
    """What a network said of one test clip."""

    seed: int
    """Seed of the training that made the network."""
    fold: str
    """The fold that tested it."""
    clip: str
    """Name of the clip."""
    actor: str
    """Who is in it; nobody in the fold's training or validation."""
    target: str
    """The emotion that counts as right: the intended one, or the crowd's."""
    probabilities: tuple[float, ...]
    """In the order of the labels."""
    temperature: float = 1.0
    """Divides the logits for calibrated probabilities; fitted on validation actors alone."""


Groups = dict[tuple[str, ...], list[ClipPrediction]]
"""Predictions by what the columns before them say."""


@dataclass(frozen=True, slots=True)
class TestedClip:
    """A clip that every system was tested on."""

    clip: str
    """Name of the clip."""
    actor: str
    """Who is in it."""
    sentence: str
    """Code of what is said."""
    emotion: str
    """The intended emotion."""
    level: str
    """Intended intensity."""
    target: str
    """The emotion that counts as right: the intended one, or the crowd's."""


@dataclass(frozen=True, slots=True)
class Records:
    """What an evaluation leaves."""

    metadata: dict[str, Any]
    """What was asked: protocol, target, seeds, settings, data, versions, command."""
    labels: tuple[str, ...]
    """The emotions in the order of the probabilities."""
    clips: tuple[TestedClip, ...]
    """The clips that were tested."""
    predictions: dict[Modality, list[ClipPrediction]]
    """Modality -> what its networks said, all seeds."""
    corrupted: dict[Modality, dict[str, list[ClipPrediction]]]
    """Modality -> condition -> what they said of the spoiled clips."""
    ratings: tuple[Rating, ...]
    """The crowd's votes on these clips."""
    demographics: dict[str, dict[str, str]]
    """What is known of the actors."""


def write_records(out: Path, records: Records) -> None:
    """Write ``evaluation.json`` and the tables; a table without rows is left out.

    ``predictions.csv`` goes first and comes last: with it the evaluation is whole.
    """
    (out / "predictions.csv").unlink(missing_ok=True)
    write_json(out / METADATA_NAME, records.metadata)
    columns = [field.name for field in fields(TestedClip)]
    write_csv(out / "clips.csv", columns, ([getattr(c, n) for n in columns] for c in records.clips))
    corrupted: Groups = {
        (modality, condition): found
        for modality, conditions in records.corrupted.items()
        for condition, found in conditions.items()
    }
    for name, there in (
        ("corrupted.csv", corrupted),
        ("votes.csv", records.ratings),
        ("actors.csv", records.demographics),
    ):
        if not there:
            (out / name).unlink(missing_ok=True)
    if corrupted:
        write_predictions(
            out / "corrupted.csv", corrupted, records.labels, ("modality", "condition")
        )
    if records.ratings:
        write_ratings(out / "votes.csv", records.labels, records.ratings)
    if records.demographics:
        write_demographics(out / "actors.csv", records.demographics)
    write_predictions(
        out / "predictions.csv",
        {(modality,): found for modality, found in records.predictions.items()},
        records.labels,
        ("modality",),
    )


def read_records(out: Path) -> Records:
    """Read an evaluation back.

    Raises:
        UsageError: There is no finished evaluation, or a file is damaged.
    """
    if not (out / "predictions.csv").is_file():
        raise UsageError(
            f"{out} holds no finished evaluation (no predictions.csv). Give the folder that "
            "`avemotion evaluate` wrote, or run that command to its end."
        )
    metadata = read_json(out / METADATA_NAME, "Evaluate again.")
    missing = [name for name in METADATA_FIELDS if name not in metadata]
    if missing:
        raise UsageError(
            f"{out / METADATA_NAME} lacks {', '.join(missing)}: another version may have written "
            "it. Evaluate again."
        )
    labels = tuple(metadata["labels"])
    predictions = read_predictions(out / "predictions.csv", labels, ("modality",))
    corrupted: dict[Modality, dict[str, list[ClipPrediction]]] = {}
    if (out / "corrupted.csv").is_file():
        found = read_predictions(out / "corrupted.csv", labels, ("modality", "condition"))
        for (modality, condition), said in found.items():
            corrupted.setdefault(_modality(modality), {})[condition] = said
    try:
        with (out / "clips.csv").open(newline="", encoding="utf-8") as file:
            clips = tuple(TestedClip(**row) for row in csv.DictReader(file))
    except (OSError, TypeError, csv.Error) as error:
        raise UsageError(f"{out / 'clips.csv'} is damaged ({error}). Evaluate again.") from error
    return Records(
        metadata,
        labels,
        clips,
        {_modality(modality): said for (modality,), said in predictions.items()},
        corrupted,
        tuple(read_ratings(out / "votes.csv", labels)),
        read_demographics(out / "actors.csv"),
    )


def _modality(name: str) -> Modality:
    for modality in MODALITIES:
        if modality == name:
            return modality
    raise UsageError(f"{name!r} in predictions.csv is no modality. Evaluate again.")


def write_predictions(
    path: Path,
    groups: Mapping[tuple[str, ...], Sequence[ClipPrediction]],
    labels: Sequence[str],
    columns: Sequence[str] = (),
) -> None:
    """Write predictions as CSV, atomically.

    Args:
        path: The file; its folder is made.
        groups: Predictions by the values of `columns`; one group, ``()``, where there are none.
        labels: The emotions in the order of the probabilities.
        columns: Columns that come first.
    """

    def rows() -> Iterator[list[object]]:
        for key, predictions in groups.items():
            for p in predictions:
                chances = (f"{x:.9g}" for x in p.probabilities)
                about = [p.seed, p.fold, p.clip, p.actor, p.target, f"{p.temperature:.6f}"]
                yield [*key, *about, *chances]

    path.parent.mkdir(parents=True, exist_ok=True)
    names = ["seed", "fold", "clip", "actor", "target", "temperature"]
    write_csv(path, [*columns, *names, *labels], rows())


def read_predictions(path: Path, labels: Sequence[str], columns: Sequence[str] = ()) -> Groups:
    """Read what `write_predictions` wrote.

    Raises:
        UsageError: The file is damaged.
    """
    groups: Groups = {}
    with path.open(newline="", encoding="utf-8") as file:
        try:
            for row in csv.DictReader(file):
                prediction = ClipPrediction(
                    int(row["seed"]),
                    row["fold"],
                    row["clip"],
                    row["actor"],
                    row["target"],
                    tuple(float(row[label]) for label in labels),
                    float(row["temperature"]),
                )
                groups.setdefault(tuple(row[c] for c in columns), []).append(prediction)
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise UsageError(
                f"{path} is damaged ({error}). Remove that file and evaluate again."
            ) from error
    return groups
