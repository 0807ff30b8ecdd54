"""Features that the user has (openSMILE, OpenFace): a CSV with a column ``clip``."""

from __future__ import annotations

import csv
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.encoders.interface import EncoderIdentity
from avemotion.encoders.weights import sha256_of_weights
from avemotion.errors import UsageError


class Table:
    """A row for each clip; or several, one a frame, of which mean and deviation are taken."""

    def __init__(self, name: str, file: str) -> None:
        """Read it.

        Args:
            name: Of its embeddings.
            file: Path of the CSV; its columns are separated by commas or semicolons.

        Raises:
            UsageError: It cannot be read, has no column ``clip``, or a value is no finite number.
        """
        self._path = Path(file)
        self._rows = _read(self._path)
        stems = Counter(Path(name).stem for name in self._rows)
        self._by_stem = {Path(n).stem: n for n in self._rows if stems[Path(n).stem] == 1}
        self._frames = max(len(rows) for rows in self._rows.values()) > 1
        values = len(next(iter(self._rows.values()))[0])
        self.shape = (2, values) if self._frames else (values,)
        self.identity = EncoderIdentity(name, "a table", sha256_of_weights([self._path]), "float64")

    def encode(self, signal: NDArray[Any], clip: str) -> NDArray[np.float32]:
        """Return the clip's row, float32 (value,), or mean and deviation of rows, (2, value).

        Raises:
            UsageError: The table lacks the clip.
        """
        name = clip if clip in self._rows else self._by_stem.get(clip)
        if name is None:
            raise UsageError(
                f"{self._path} has no row for the clip {clip}. Add it: its column `clip` names "
                "files, with or without folder and suffix, each in one way."
            )
        rows = np.array(self._rows[name])
        found = np.stack([rows.mean(axis=0), rows.std(axis=0)]) if self._frames else rows[0]
        return found.astype(np.float32)


def _read(path: Path) -> dict[str, list[list[float]]]:
    """Return the rows of each clip."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            separator = ";" if first.count(";") > first.count(",") else ","
            columns = [c.strip() for c in next(csv.reader([first], delimiter=separator), [])]
            lines = list(csv.reader(file, delimiter=separator))
    except (OSError, UnicodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as a table: {error}") from error
    if "clip" not in columns or len(columns) < 2:
        raise UsageError(
            f"{path} needs a column `clip` and one or more of numbers; its columns are "
            f"{', '.join(columns) or 'none'}."
        )
    index = columns.index("clip")
    rows: dict[str, list[list[float]]] = {}
    for number, cells in enumerate(lines, 2):
        if not cells:
            continue
        try:
            values = [float(cell) for i, cell in enumerate(cells) if i != index]
            if len(cells) != len(columns) or not all(map(math.isfinite, values)):
                raise ValueError("a cell is missing, or no finite number")
        except ValueError as error:
            raise UsageError(f"{path}, line {number}: {error}.") from error
        rows.setdefault(Path(cells[index].strip()).name, []).append(values)
    if not rows:
        raise UsageError(f"{path} has no rows.")
    return rows
