"""Give FER2013 other parts than its official ones: a share of all pictures, each emotion alike.

    python data_prep/fer2013.py ~/fer2013 --test 0.2

This writes ``parts.csv`` into the folder, which `avemotion preprocess --corpus fer2013` then uses:
a stratified share of all 35,887 pictures tests, as some reports have it. Figures on such parts and
on the official ones (Training, PublicTest, PrivateTest) are not comparable. Remove the table to
have the official parts back.

Exit codes: 0 the table is written, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sklearn.model_selection import train_test_split

from avemotion.data.corpora import fer2013
from avemotion.errors import UsageError
from avemotion.files import write_csv


def write_parts(directory: Path, test: float, validation: float, seed: int) -> dict[str, int]:
    """Write ``parts.csv``.

    Args:
        directory: Folder with FER2013.
        test: Share of all pictures that tests, above 0 and below 1.
        validation: Share of the others that validates, from 0 and below 1.
        seed: Seed of both draws.

    Returns:
        Pictures in each part.
    """
    clips = fer2013.read_corpus(directory, official_parts=True).clips
    names, emotions = [c.name for c in clips], [c.emotion for c in clips]
    rest, tests, left, _ = train_test_split(
        names, emotions, test_size=test, stratify=emotions, random_state=seed
    )
    validates: list[str] = []
    if validation:
        rest, validates = train_test_split(
            rest, test_size=validation, stratify=left, random_state=seed
        )
    parts = dict.fromkeys(rest, "train")
    parts |= dict.fromkeys(validates, "validation") | dict.fromkeys(tests, "test")
    rows = ([name, parts[name]] for name in sorted(names))
    write_csv(directory / fer2013.PARTS_TABLE, ["file", "part"], rows)
    return {"train": len(rest), "validation": len(validates), "test": len(tests)}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="folder with FER2013")
    parser.add_argument("--test", type=float, default=0.2, help="share of all pictures (0.2)")
    parser.add_argument(
        "--validation", type=float, default=0.1, help="share of the others (0.1); 0 for none"
    )
    parser.add_argument("--seed", type=int, default=42)
    given = parser.parse_args(words)
    if not (0 < given.test < 1 and 0 <= given.validation < 1):
        parser.error("--test must be above 0, --validation at least 0, and both below 1")
    try:
        counts = write_parts(given.directory, given.test, given.validation, given.seed)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    except ValueError as error:  # scikit-learn: shares too small for each emotion, a seed below 0
        print(f"The pictures cannot be split so: {error}", file=sys.stderr)
        return 2
    table = given.directory / fer2013.PARTS_TABLE
    print(f"{table}: " + ", ".join(f"{part} {n:,}" for part, n in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
