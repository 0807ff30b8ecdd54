"""The files of an evaluation: everything that its figures are computed from.

``evaluation.json``: protocol, settings, versions; ``clips.csv``: the tested clips;
``predictions.csv``: each network's predictions for them; ``corrupted.csv``: predictions for the
corrupted clips; ``votes.csv``: the raters' votes; ``actors.csv``: demographics, where known;
``units.csv``: the action units of the clips, where the corpus has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from avemotion.config import MODALITIES, Modality
from avemotion.data.annotations import (
    UNITS_NAME,
    read_demographics,
    read_ratings,
    read_units,
    write_demographics,
    write_ratings,
    write_units,
)
from avemotion.data.types import Rating
from avemotion.errors import UsageError
from avemotion.files import read_csv, read_json, write_csv, write_json

FORMAT = 6
"""Version of these files."""

METADATA_NAME = "evaluation.json"
METADATA_FIELDS = (
    "protocol", "target", "seeds", "labels", "units", "corpus", "corpus_clips", "synthetic",
    "preprocessing", "models", "reported", "training", "data", "clips", "conditions", "command",
    "versions", "notes",
)  # fmt: skip
"""Fields of that file."""


@dataclass(frozen=True, slots=True)
class ClipPrediction:
    """A network's prediction for one test clip."""

    seed: int
    """Seed of the training that made the network."""
    fold: str
    """The fold that tested it."""
    clip: str
    """Name of the clip."""
    actor: str
    """Who is in it; never an actor of the fold's training or validation."""
    target: str
    """The emotion that counts as right: the intended one, or the crowd's."""
    probabilities: tuple[float, ...]
    """In the order of the labels."""
    temperature: float = 1.0
    """Divides the logits for calibrated probabilities; fitted on validation actors alone."""
    units: tuple[float, ...] = ()
    """Probabilities of the action units; empty where the corpus has none."""


Predictions = dict[str, list[ClipPrediction]]
"""System (``ar5/av``) -> its predictions for the test clips, all seeds."""

CorruptedPredictions = dict[str, dict[str, list[ClipPrediction]]]
"""System -> condition -> its predictions for the corrupted test clips, all seeds."""

Groups = dict[tuple[str, ...], list[ClipPrediction]]
"""Values of a table's first columns -> predictions in the rows with these values."""


@dataclass(frozen=True, slots=True)
class TestedClip:
    """A clip that every system was tested on."""

    clip: str
    """Name of the clip."""
    actor: str
    """Who is in it."""
    sentence: str
    """Code of the sentence that is spoken."""
    emotion: str
    """The intended emotion."""
    level: str
    """Intended intensity."""
    target: str
    """The emotion that counts as right: the intended one, or the crowd's."""


@dataclass(frozen=True, slots=True)
class Records:
    """The content of an evaluation's files."""

    metadata: dict[str, Any]
    """Protocol, target, seeds, settings, data, versions, command: the `METADATA_FIELDS`."""
    labels: tuple[str, ...]
    """The emotions in the order of the probabilities."""
    clips: tuple[TestedClip, ...]
    """The clips that were tested."""
    predictions: Predictions
    """Predictions for these clips."""
    corrupted: CorruptedPredictions
    """Predictions for the same clips, corrupted; empty without robustness."""
    ratings: tuple[Rating, ...]
    """The raters' votes on these clips."""
    demographics: dict[str, dict[str, str]]
    """Actor -> ``Age``, ``Sex`` and the like, where known."""
    units_of: dict[str, tuple[float, ...]]
    """Clip -> 1 or 0 for each action unit; empty where the corpus has none."""

    @property
    def units(self) -> tuple[str, ...]:
        """The action units in the order of their probabilities."""
        return tuple(self.metadata["units"])


def write_records(out: Path, records: Records) -> None:
    """Write ``evaluation.json`` and the tables; a table without rows is left out.

    ``predictions.csv`` is removed first and written last: where it is, the evaluation is complete.
    """
    (out / "predictions.csv").unlink(missing_ok=True)
    write_json(out / METADATA_NAME, records.metadata)
    columns = [field.name for field in fields(TestedClip)]
    write_csv(out / "clips.csv", columns, ([getattr(c, n) for n in columns] for c in records.clips))
    outputs = (*records.labels, *records.units)
    corrupted: Groups = {
        (system, condition): found
        for system, conditions in records.corrupted.items()
        for condition, found in conditions.items()
    }
    for name, content in (
        ("corrupted.csv", corrupted),
        ("votes.csv", records.ratings),
        ("actors.csv", records.demographics),
        (UNITS_NAME, records.units_of),
    ):
        if not content:
            (out / name).unlink(missing_ok=True)
    if corrupted:
        write_predictions(out / "corrupted.csv", corrupted, outputs, ("system", "condition"))
    if records.ratings:
        write_ratings(out / "votes.csv", records.labels, records.ratings)
    if records.demographics:
        write_demographics(out / "actors.csv", records.demographics)
    if records.units_of:
        write_units(out / UNITS_NAME, records.units, records.units_of)
    write_predictions(
        out / "predictions.csv",
        {(system,): found for system, found in records.predictions.items()},
        outputs,
        ("system",),
    )


def read_metadata(out: Path) -> dict[str, Any]:
    """Read ``evaluation.json`` of a finished evaluation.

    Raises:
        UsageError: There is no finished evaluation, another version wrote it, or it is damaged.
    """
    if not (out / "predictions.csv").is_file():
        raise UsageError(
            f"{out} holds no finished evaluation (no predictions.csv). Give the folder that "
            "`avemotion evaluate` wrote, or run that command to its end."
        )
    metadata = read_json(out / METADATA_NAME, "Evaluate again.")
    check_format(out, metadata)
    missing = [name for name in METADATA_FIELDS if name not in metadata]
    if missing:
        raise UsageError(f"{out / METADATA_NAME} lacks {', '.join(missing)}. Evaluate again.")
    return metadata


def read_records(out: Path) -> Records:
    """Read an evaluation back.

    Raises:
        UsageError: There is no finished evaluation, another version wrote it, or a file is damaged.
    """
    metadata = read_metadata(out)
    labels, units = tuple(metadata["labels"]), tuple(metadata["units"])
    predictions = read_predictions(out / "predictions.csv", labels, ("system",), units)
    units_of = read_units(out / UNITS_NAME, units)
    if units and (
        missing := {p.clip for found in predictions.values() for p in found} - {*units_of}
    ):
        raise UsageError(f"{out / UNITS_NAME} lacks {min(missing)}. Evaluate again.")
    corrupted: CorruptedPredictions = {}
    if (out / "corrupted.csv").is_file():
        groups = read_predictions(out / "corrupted.csv", labels, ("system", "condition"), units)
        for (system, condition), found in groups.items():
            corrupted.setdefault(_checked(system), {})[condition] = found
    return Records(
        metadata=metadata,
        labels=labels,
        clips=tuple(
            read_csv(
                out / "clips.csv",
                [field.name for field in fields(TestedClip)],
                lambda row: TestedClip(**row),
                "Evaluate again.",
            )
        ),
        predictions={_checked(system): found for (system,), found in predictions.items()},
        corrupted=corrupted,
        ratings=tuple(read_ratings(out / "votes.csv", labels)),
        demographics=read_demographics(out / "actors.csv"),
        units_of=units_of,
    )


def check_format(out: Path, metadata: Mapping[str, Any]) -> None:
    """Refuse the files of another version.

    Args:
        out: Folder of the evaluation.
        metadata: Content of one of its JSON files.

    Raises:
        UsageError: Their format is not `FORMAT`.
    """
    if metadata.get("format") != FORMAT:
        version = "0.1" if "format" not in metadata else "of another version"
        raise UsageError(
            f"{out} was written by avemotion {version}, whose files do not name the systems that "
            "they compare. Evaluate again into another folder (--out)."
        )


def modality_of(system: str) -> Modality:
    """Return what a system reads.

    >>> modality_of("ar5/video")
    'video'

    Raises:
        ValueError: It is no name of a system.
    """
    model, _, name = system.rpartition("/")
    for modality in MODALITIES:
        if model and modality == name:
            return modality
    raise ValueError(f"{system!r} is no system: a model and a modality, as ar5/av")


def _checked(system: str) -> str:
    try:
        modality_of(system)
    except ValueError as error:
        raise UsageError(f"{error} (in predictions.csv). Evaluate again.") from error
    return system


_COLUMNS = ("seed", "fold", "clip", "actor", "target", "temperature")
"""Columns of a table of predictions, before those of the labels."""


def write_predictions(
    path: Path,
    groups: Mapping[tuple[str, ...], Sequence[ClipPrediction]],
    outputs: Sequence[str],
    columns: Sequence[str] = (),
) -> None:
    """Write predictions as CSV, atomically.

    Args:
        path: The file; its folder is made.
        groups: Predictions by the values of `columns`; one group, ``()``, where there are none.
        outputs: The emotions in the order of their probabilities, then the action units.
        columns: Names of the columns that come first.
    """

    def rows() -> Iterator[list[object]]:
        for key, predictions in groups.items():
            for p in predictions:
                values = [p.seed, p.fold, p.clip, p.actor, p.target, f"{p.temperature:.6f}"]
                yield [*key, *values, *(f"{x:.9g}" for x in (*p.probabilities, *p.units))]

    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, [*columns, *_COLUMNS, *outputs], rows())


def read_predictions(
    path: Path, labels: Sequence[str], columns: Sequence[str] = (), units: Sequence[str] = ()
) -> Groups:
    """Read what `write_predictions` wrote.

    Raises:
        UsageError: The file is damaged.
    """

    def parse(row: dict[str, str]) -> tuple[tuple[str, ...], ClipPrediction]:
        prediction = ClipPrediction(
            seed=int(row["seed"]),
            fold=row["fold"],
            clip=row["clip"],
            actor=row["actor"],
            target=row["target"],
            probabilities=tuple(float(row[label]) for label in labels),
            temperature=float(row["temperature"]),
            units=tuple(float(row[unit]) for unit in units),
        )
        return tuple(row[column] for column in columns), prediction

    groups: Groups = {}
    remedy = "Remove that file and evaluate again."
    for key, prediction in read_csv(path, [*columns, *_COLUMNS, *labels, *units], parse, remedy):
        groups.setdefault(key, []).append(prediction)
    return groups
