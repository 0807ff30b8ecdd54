"""What a model reads of a clip. This module needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from avemotion.config import Modality, PreprocessSettings, Stream, differences
from avemotion.data.batch import STREAMS
from avemotion.encoders.interface import PREFIX
from avemotion.encoders.registry import entry_of
from avemotion.errors import UsageError, require, require_keys, require_type
from avemotion.features.table import feature


@dataclass(frozen=True, slots=True)
class Input:
    """A feature that a model reads, and in which form."""

    name: str
    """The feature: see `avemotion.features.table.FEATURES`."""
    size: tuple[int, int] | None = None
    """Rows and columns that pictures are resized to; None takes them as the store holds them."""
    channels: int | None = None
    """Channels that a grey picture is repeated to; None for one, or for one a frame."""

    def __post_init__(self) -> None:
        """Refuse what no feature can give.

        Raises:
            UsageError: There is no such feature, or it has no rows and columns to resize.
        """
        require_type(self.name, str, "name")
        kind = feature(self.name).kind
        if self.size is not None:
            sides = isinstance(self.size, tuple) and len(self.size) == 2
            right = sides and all(isinstance(n, int) and 1 <= n <= 4096 for n in self.size)
            require(right, "size", self.size, "two whole numbers from 1 to 4096")
            require(kind in ("frames", "image"), "size", self.size, f"null for {self.name}")
        if self.channels is not None:
            require(self.channels in (1, 3), "channels", self.channels, "1 or 3")
            require(kind == "image", "channels", self.channels, f"null for {self.name}")

    @classmethod
    def from_dict(cls, values: object) -> Input:
        """Rebuild from what JSON made of `dataclasses.asdict`.

        Raises:
            UsageError: A key is missing or unknown, or a value of another type or out of range.
        """
        given = require_keys(values, [f.name for f in fields(cls)], "an input")
        size: Any = given["size"]
        return cls(**given | {"size": tuple(size) if isinstance(size, list) else size})


def names_of(inputs: Sequence[Input]) -> tuple[str, ...]:
    """Return the features that are read."""
    return tuple(part.name for part in inputs)


def embedding_inputs(model: str, modality: Modality, *, face: str, voice: str) -> tuple[Input, ...]:
    """Return the embeddings that a model reads.

    Args:
        model: Its name, for messages.
        modality: What it reads of a clip.
        face: Encoder of the face; not looked at where the face is not read.
        voice: Encoder of the voice; likewise.

    Raises:
        UsageError: There is no such encoder, or it reads the other part of a clip.
    """
    asked: tuple[tuple[Stream, str, str], ...] = (
        ("video", "face", face),
        ("audio", "voice", voice),
    )
    found = []
    for stream, option, name in asked:
        if modality not in ("av", stream):
            continue
        if not name:
            raise UsageError(
                f"--{model}.{option} is empty, but --modality {modality} needs an encoder of the "
                f"{option}: its name, or {stream}-table.NAME of a table that was embedded. Or "
                "choose another --modality (--modalities)."
            )
        if entry_of(name).stream != stream:
            raise UsageError(f"--{model}.{option} is {name}, which does not read the {option}.")
        found.append(Input(f"{PREFIX}{name}"))
    return tuple(found)


def streams_of(inputs: Sequence[Input]) -> tuple[Stream, ...]:
    """Return what they are computed from: the face (``video``), the sound (``audio``), or both."""
    found = {feature(part.name).stream for part in inputs}
    return tuple(stream for stream in STREAMS if stream in found)


_NEVER_READ = {"views", "seed", "features"}  # of view 0, they change nothing a model relies on
_OF_FACES = {"grid", "face", "crop_rows", "crop_columns", "crop_margin", "equalise", "reader"}


def preprocessed_otherwise(
    inputs: Sequence[Input], theirs: PreprocessSettings, ours: PreprocessSettings
) -> list[str]:
    """List in which settings two stores differ so that a model reads other things in them.

    Returns:
        ``crop_margin: 0.05 -> 0.0`` and the like, theirs first.
    """
    seen = "video" in streams_of(inputs)
    skipped = _NEVER_READ if seen else _NEVER_READ | _OF_FACES
    read = {name: value for name, value in asdict(ours).items() if name not in skipped}
    return differences(asdict(theirs), read)


def graph_shapes(
    inputs: Sequence[Input], crop_size: tuple[int, int]
) -> Mapping[str, list[int | None]]:
    """Return the arrays that an exported network reads: the shape of each for one clip.

    Args:
        inputs: What it reads.
        crop_size: Rows and columns of a face crop.

    Raises:
        UsageError: The length of an input varies, which no graph takes yet.
    """
    shapes: dict[str, list[int | None]] = {}
    for name in names_of(inputs):
        if feature(name).varies:
            raise UsageError(f"A model that reads {name} cannot be exported to ONNX.")
        shapes[name] = list(feature(name).shape_at(crop_size))
    shapes |= {f"{name}_lengths": [] for name in names_of(inputs) if feature(name).columns}
    return shapes | {f"has_{stream}": [] for stream in streams_of(inputs)}
