"""Embeddings beside the store's features, for reading.

features/embeddings/NAME/encoder.json          what decides their values
features/embeddings/NAME/1001.safetensors      those of an actor's clips

They are made by `avemotion.data.embedding`, from the clips that the store holds: no media are read.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open

from avemotion.encoders.interface import PREFIX, EncoderIdentity
from avemotion.errors import UsageError
from avemotion.files import read_json, write_json

MADE_FROM_KEY = "made_from"
"""Metadata of a file: SHA-256 of the shard with the features that it was made from."""
WEIGHTS_KEY = "weights_sha256"
"""Metadata of a file: that of the encoder's weights."""


def folder_of(store: Path, feature: str) -> Path:
    """Return the folder of an embedding in a store."""
    return store / "embeddings" / feature.removeprefix(PREFIX)


def embeddings_in(store: Path) -> list[str]:
    """Return the embeddings that a store has, finished or not: names of features."""
    found = sorted((store / "embeddings").glob("*/encoder.json"))
    return [f"{PREFIX}{path.parent.name}" for path in found]


def identity_in(store: Path, feature: str) -> EncoderIdentity | None:
    """Return what made an embedding of a store; None where it has none of that name.

    Raises:
        UsageError: The file that says so is damaged.
    """
    path = folder_of(store, feature) / "encoder.json"
    if not path.is_file():
        return None
    anew = f"Remove {path.parent} and run `avemotion embed` again."
    try:
        return EncoderIdentity.from_dict(read_json(path, anew))
    except UsageError as error:
        raise UsageError(f"{path} is damaged: {error} {anew}") from error


def claim(store: Path, identity: EncoderIdentity) -> None:
    """Write down what makes an embedding, before the first of its files.

    Raises:
        UsageError: The store holds some of the same name that others weights made.
    """
    found = identity_in(store, identity.feature)
    folder = folder_of(store, identity.feature)
    if found is not None and found != identity:
        raise UsageError(
            f"{folder} was made by other weights of {identity.name}:\n"
            f"  there: {json.dumps(asdict(found))}\n"
            f"  asked: {json.dumps(asdict(identity))}\n"
            "They cannot be mixed. Remove that folder to make all of them anew."
        )
    folder.mkdir(parents=True, exist_ok=True)
    if found is None:
        write_json(folder / "encoder.json", asdict(identity))


def is_current(path: Path, made_from: str, weights_sha256: str) -> bool:
    """Return whether a file of embeddings was made from a shard as it is now.

    Args:
        path: The file; it may be missing.
        made_from: SHA-256 of the shard.
        weights_sha256: That of the encoder's weights.
    """
    try:
        with safe_open(path, "np") as file:
            found = file.metadata() or {}
    except (SafetensorError, OSError):
        return False
    return (found.get(MADE_FROM_KEY), found.get(WEIGHTS_KEY)) == (made_from, weights_sha256)


def current_file(store: Path, identity: EncoderIdentity, shard: str, made_from: str) -> Path:
    """Return the file with the embeddings of a shard.

    Args:
        store: Folder of the store.
        identity: What made them.
        shard: Its name.
        made_from: SHA-256 of the shard.

    Raises:
        UsageError: It is missing, damaged, or was made from other clips.
    """
    path = folder_of(store, identity.feature) / f"{shard}.safetensors"
    if not is_current(path, made_from, identity.weights_sha256):
        raise UsageError(
            f"{path} is missing, damaged, or was made before the store changed. Run `avemotion "
            f"embed` with --encoder {identity.name} again: it makes this file anew."
        )
    return path
