"""Embeddings beside the store's features, for reading.

features/embeddings/NAME/encoder.json          what decides their values
features/embeddings/NAME/1001.safetensors      those of an actor's clips

They are made by `avemotion.data.embedding`, from the clips that the store holds: no media are read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from avemotion.encoders.interface import PREFIX, EncoderIdentity
from avemotion.encoders.registry import TABLES
from avemotion.errors import UsageError, require, require_keys, require_type
from avemotion.files import read_json, write_json

MADE_FROM_KEY = "made_from"
"""Metadata of a file: see `made_from`."""


@dataclass(frozen=True, slots=True)
class Made:
    """How the embeddings of a store were made."""

    encoder: EncoderIdentity
    """What decides their values."""
    views: int
    """Views of each clip: the first is the clip as it is."""

    @property
    def key(self) -> list[str | int]:
        """What a run must have read to be gone on with, ready for JSON."""
        e = self.encoder
        return [e.name, e.weights_sha256, e.precision, e.version, self.views]


def folder_of(store: Path, feature: str) -> Path:
    """Return the folder of an embedding in a store."""
    return store / "embeddings" / feature.removeprefix(PREFIX)


def made_in(store: Path, feature: str) -> Made | None:
    """Return what made an embedding of a store; None where it has none of that name.

    Raises:
        UsageError: The file that says so is damaged.
    """
    path = folder_of(store, feature) / "encoder.json"
    if not path.is_file():
        return None
    anew = f"Remove {path.parent} and run `avemotion embed` again."
    try:
        given = require_keys(read_json(path, anew), ["encoder", "views"], "it")
        require_type(given["views"], int, "views")
        require(given["views"] >= 1, "views", given["views"], "1 or more")
        return Made(EncoderIdentity.from_dict(given["encoder"]), given["views"])
    except UsageError as error:
        raise UsageError(f"{path} is damaged: {error} {anew}") from error


def command_in(store: Path, feature: str) -> str:
    """Return the options of `embed` that make an embedding, with its views if it is there."""
    name = feature.removeprefix(PREFIX)
    kind, _, table = name.partition(".")
    spec = f"{kind}:{table}.csv" if kind in TABLES else name
    made = made_in(store, feature)
    views = f" --views {made.views}" if made and kind not in TABLES else ""
    return f"--data {store} --encoder {spec}{views}"


def claim(store: Path, made: Made) -> None:
    """Write down what makes an embedding, before the first of its files.

    Raises:
        UsageError: The store holds some of the same name that were made otherwise.
    """
    feature = made.encoder.feature
    found, folder = made_in(store, feature), folder_of(store, feature)
    if found is not None and found != made:
        raise UsageError(
            f"{folder} was made otherwise, by other weights or with other views:\n"
            f"  there: {json.dumps(asdict(found))}\n"
            f"  asked: {json.dumps(asdict(made))}\n"
            "They cannot be mixed. Remove that folder to make all of them anew."
        )
    if found is None:
        write_json(folder / "encoder.json", asdict(made))


def made_from(shard_sha256: str, identity: EncoderIdentity) -> str:
    """Return what a file of embeddings says of its making."""
    return f"{shard_sha256} {identity.weights_sha256} {identity.precision} {identity.version}"


def is_current(path: Path, shard_sha256: str, identity: EncoderIdentity) -> bool:
    """Return whether a file of embeddings was made from a shard as it is now.

    Args:
        path: The file; it may be missing.
        shard_sha256: That of the shard.
        identity: What the embeddings are of.
    """
    try:
        with safe_open(path, "np") as file:
            found = file.metadata() or {}
    except (SafetensorError, OSError):
        return False
    return found.get(MADE_FROM_KEY) == made_from(shard_sha256, identity)


def current_file(store: Path, identity: EncoderIdentity, shard: str, shard_sha256: str) -> Path:
    """Return the file with the embeddings of a shard.

    Args:
        store: Folder of the store.
        identity: What made them.
        shard: Its name.
        shard_sha256: That of the shard.

    Raises:
        UsageError: It is missing, damaged, or was made from other clips.
    """
    path = folder_of(store, identity.feature) / f"{shard}.safetensors"
    if not is_current(path, shard_sha256, identity):
        raise UsageError(
            f"{path} is missing, damaged, or was made before the store changed. Run the same "
            f"`avemotion embed` again ({command_in(store, identity.feature)}): it makes this file "
            "anew."
        )
    return path
