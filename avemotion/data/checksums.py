"""SHA-256 of the tables of a feature store: one that changed later is refused, not believed.

``checksums.json`` is written last and removed before the first change, so a store without it is not
finished. The shards' own hashes stand in the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from avemotion.data.annotations import DEMOGRAPHICS_NAME, RATINGS_NAME, UNITS_NAME
from avemotion.errors import UsageError
from avemotion.files import read_json, write_json

CHECKSUMS_NAME = "checksums.json"

JOURNAL_NAME = "manifest.journal"
"""Changes of the manifest since it was written, a line of JSON each.

A line holds a shard and the cells of its rows, none where the shard is no longer listed. Without
the journal, every shard would cost a rewriting of the whole manifest.
"""

TABLES = ("store.json", "manifest.csv", RATINGS_NAME, DEMOGRAPHICS_NAME, UNITS_NAME)
"""Files of a store that are not shards; the last three only where the corpus has them."""

_MADE_FROM_MEDIA = ("store.json", "manifest.csv")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(directory: Path) -> None:
    """List the tables as they are now: the store is finished."""
    write_json(directory / CHECKSUMS_NAME, _found(directory, TABLES))


def check_tables(directory: Path, names: Sequence[str] = TABLES) -> bool:
    """Compare tables of a finished store with their listed SHA-256.

    Returns:
        Whether the store is finished; in another, nothing is compared.

    Raises:
        UsageError: One was changed, added or removed since, or the list is damaged.
    """
    if not (directory / CHECKSUMS_NAME).exists() or (directory / JOURNAL_NAME).exists():
        return False
    anew = f"Remove {directory} and preprocess anew."
    listed, found = read_json(directory / CHECKSUMS_NAME, anew), _found(directory, names)
    for name in names:
        if listed.get(name) != found.get(name):
            copy_again = "Run the same `avemotion preprocess` again: it copies that table anew."
            raise UsageError(
                f"{directory / name} is not as it was written: its SHA-256 is "
                f"{found.get(name, 'missing')}, in {CHECKSUMS_NAME} {listed.get(name, 'missing')}. "
                + (anew if name in _MADE_FROM_MEDIA else copy_again)
            )
    return True


def _found(directory: Path, names: Sequence[str]) -> dict[str, str]:
    return {name: sha256_of(directory / name) for name in names if (directory / name).is_file()}
