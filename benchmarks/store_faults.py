"""Ways to damage a feature store: its bytes, its rows, its files."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

Fault = Callable[[Path, np.random.Generator], object]
"""Changes files of a store; random numbers choose where."""

TABLES = ("manifest.csv", "ratings.csv", "demographics.csv")
ARRAYS = ("faces", "power", "log_mel", "log_mel_lengths", "waveform")
"""Arrays with a part for each clip."""


def shard_of(store: Path, rng: np.random.Generator) -> Path:
    """Return one of a store's shards."""
    shards = sorted((store / "actors").iterdir())
    return shards[rng.integers(len(shards))]


def flip(path: Path, rng: np.random.Generator, start: int = 0, stop: int | None = None) -> None:
    """Change one byte of a file to any other."""
    data = bytearray(path.read_bytes())
    data[rng.integers(start, len(data) if stop is None else stop)] ^= int(rng.integers(1, 256))
    path.write_bytes(data)


def flip_file(store: Path, rng: np.random.Generator, name: str) -> None:
    flip(store / name, rng)


def flip_header(store: Path, rng: np.random.Generator) -> None:
    shard = shard_of(store, rng)
    flip(shard, rng, stop=_header_bytes(shard))


def flip_array(store: Path, rng: np.random.Generator, name: str) -> None:
    shard = shard_of(store, rng)
    begin = _header_bytes(shard)
    header = json.loads(shard.read_bytes()[8:begin])
    start, stop = header[name]["data_offsets"]
    flip(shard, rng, begin + start, begin + stop)


def _header_bytes(shard: Path) -> int:
    return 8 + int.from_bytes(shard.read_bytes()[:8], "little")


def change_rows(
    store: Path,
    rng: np.random.Generator,
    name: str,
    change: Callable[[list[dict[str, str]], np.random.Generator], object],
) -> None:
    """Read a table, change its rows, and write it as the package does."""
    with (store / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0])
    change(rows, rng)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (store / name).write_text(text.getvalue(), encoding="utf-8")


def swap_rows(rows: list[dict[str, str]], rng: np.random.Generator) -> None:
    a, b = rng.choice(len(rows), 2, replace=False)
    rows[a], rows[b] = rows[b], rows[a]


def double_row(rows: list[dict[str, str]], rng: np.random.Generator) -> None:
    a, b = rng.choice(len(rows), 2, replace=False)
    rows.insert(b, dict(rows[a]))


def overwrite_row(rows: list[dict[str, str]], rng: np.random.Generator) -> None:
    a, b = rng.choice(len(rows), 2, replace=False)
    rows[a] = dict(rows[b])


def remove_row(rows: list[dict[str, str]], rng: np.random.Generator) -> None:
    del rows[rng.integers(len(rows))]


def swap_cells(rows: list[dict[str, str]], rng: np.random.Generator) -> None:
    """Exchange two cells of a column: each is valid by itself."""
    varied = [name for name in rows[0] if len({row[name] for row in rows}) > 1]
    name = varied[rng.integers(len(varied))]
    a = rows[rng.integers(len(rows))]
    others = [row for row in rows if row[name] != a[name]]
    b = others[rng.integers(len(others))]
    a[name], b[name] = b[name], a[name]


def set_cell(rows: list[dict[str, str]], rng: np.random.Generator, name: str, value: str) -> None:
    rows[rng.integers(len(rows))][name] = value


def swap_shards(store: Path, rng: np.random.Generator) -> None:
    shards = sorted((store / "actors").iterdir())
    a, b = (shards[i] for i in rng.choice(len(shards), 2, replace=False))
    first = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(first)


def cut_shard(store: Path, rng: np.random.Generator) -> None:
    shard = shard_of(store, rng)
    shard.write_bytes(shard.read_bytes()[: rng.integers(shard.stat().st_size)])


def older(store: Path, rng: np.random.Generator, earlier: Path, name: str) -> None:
    """Put back a file of an earlier preprocessing, of other sounds of the same length."""
    path = shard_of(store, rng) if name == "actors" else store / name
    shutil.copyfile(earlier / path.relative_to(store), path)


def faults(store: Path, earlier: Path, flips: int, others: int) -> Iterator[tuple[str, Fault, int]]:
    """Yield every kind of fault with its name, and how many times it is tried.

    Args:
        store: The whole store.
        earlier: That of the same clips with other sounds of the same length.
        flips: Trials of a changed byte, for each part of a file.
        others: Trials of each other fault.
    """
    files = sorted(path.name for path in store.iterdir() if path.suffix in (".csv", ".json"))
    for name in files:
        yield f"{name}: a byte changed", partial(flip_file, name=name), flips
    yield "shard, header: a byte changed", flip_header, flips
    for name in (*ARRAYS, "waveform_offsets"):
        yield f"shard, {name}: a byte changed", partial(flip_array, name=name), flips
    for name in TABLES:
        for what, change in (
            ("two rows exchanged", swap_rows),
            ("a row doubled", double_row),
            ("a row replaced by another", overwrite_row),
            ("a row removed", remove_row),
            ("two cells of a column exchanged", swap_cells),
        ):
            yield f"{name}: {what}", partial(change_rows, name=name, change=change), others
    for column, value in (("emotion", "joy"), ("status", "avx"), ("clip", ""), ("actor", "")):
        change = partial(set_cell, name=column, value=value)
        what = f"manifest.csv: {column} {value!r}"
        yield what, partial(change_rows, name="manifest.csv", change=change), others
    yield "two shards exchanged", swap_shards, others
    yield "a shard cut", cut_shard, others
    yield "a shard missing", lambda store, rng: shard_of(store, rng).unlink(), others
    for name in ("actors", "manifest.csv"):
        what = "a shard" if name == "actors" else name
        yield f"{what} of other sounds", partial(older, earlier=earlier, name=name), others
    for name in files:
        yield f"{name} missing", lambda store, _, name=name: (store / name).unlink(), 1
