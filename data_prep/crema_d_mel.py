"""Fill a feature store with the voices of all of CREMA-D, from a table of mel spectrograms.

    python data_prep/crema_d_mel.py ~/crema-d-mel --crema ~/crema-d --out features/voices

The folder holds ``mel_half_db_diff.npy.xz``: uint8 (clip, 128, 130), what librosa's defaults make
of the first 3 s of each voice (`avemotion.features.mel`), in steps of half a decibel from 0 (80 dB
below the loudest place) to 160, stored as differences along the bands; and ``names.txt``, the name
of each clip. ``--crema`` is a checkout of CREMA-D, without its media: the votes of its raters and
who the actors are come from there.

Exit codes: 0 the store is written, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import lzma
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from avemotion.config import PreprocessSettings
from avemotion.data.corpora import crema_d
from avemotion.data.store import ManifestRow
from avemotion.data.store_writer import StoreWriter, plain_row
from avemotion.data.types import Clip, Corpus, Rating
from avemotion.errors import UsageError
from avemotion.features.mel import MEL_SHAPE
from avemotion.features.types import ClipFeatures
from avemotion.files import claimed

MEL_FILE, NAMES_FILE = "mel_half_db_diff.npy.xz", "names.txt"
SETTINGS = PreprocessSettings(views=1, features=("mel",))


def read_mels(directory: Path) -> tuple[list[str], NDArray[np.uint8]]:
    """Read the names, and the spectrograms in steps of half a decibel, uint8 (clip, 128, 130).

    Raises:
        UsageError: A file is missing or damaged, or they do not fit.
    """
    try:
        names = (directory / NAMES_FILE).read_text(encoding="utf-8").split()
        with lzma.open(directory / MEL_FILE) as file:
            steps = np.load(file, allow_pickle=False)
        mels = np.cumsum(steps, axis=1, dtype=np.uint8)
        if steps.dtype != np.uint8 or mels.shape != (len(names), *MEL_SHAPE):
            raise ValueError(f"{len(names)} names, but {steps.dtype} of the shape {mels.shape}")
    except (OSError, ValueError, EOFError, lzma.LZMAError) as error:
        raise UsageError(
            f"{directory} cannot be read ({error}). It must hold {MEL_FILE} and {NAMES_FILE}."
        ) from error
    return names, mels


def fill(directory: Path, crema: Path | None, out: Path) -> tuple[int, dict[str, str]]:
    """Write the store, or go on where an interrupted run stopped.

    Returns:
        How many clips it has, and those that are left out, with the reason.

    Raises:
        UsageError: A file is missing or damaged, or `out` holds something else.
    """
    names, mels = read_mels(directory)
    spectrograms: dict[str, NDArray[np.uint8]] = {}
    clips = []
    for name, image in zip(names, mels, strict=True):
        parts = crema_d.parse_name(name)
        if parts is None:
            raise UsageError(f"{name!r} in {directory / NAMES_FILE} is no clip of CREMA-D.")
        whole = f"{name}X" if name.endswith("_X") else name
        spectrograms[whole] = image
        clips.append(Clip(whole, *parts, video=None, audio=None))
    excluded = {name: why for name, why in crema_d.KNOWN_BAD.items() if name in spectrograms}
    for name, image in spectrograms.items():
        if np.ptp(image) == 0:
            excluded.setdefault(name, "it holds no sound")
    corpus = Corpus(
        crema_d.NAME,
        directory,
        crema_d.EMOTIONS,
        tuple(sorted(clips, key=lambda clip: clip.name)),
        excluded=excluded,
        ratings=_ratings(crema, spectrograms.keys()),
        demographics=crema_d.read_demographics(crema) if crema else {},
    )
    with claimed(out):
        writer = StoreWriter.open(out, corpus, SETTINGS)
        for actor in tqdm(sorted({clip.actor for clip in clips}), unit="actor"):
            if not writer.finished(actor):
                own = [clip for clip in corpus.clips if clip.actor == actor]
                rows = [_row(clip, corpus) for clip in own]
                heard = [clip for clip in own if clip.name not in excluded]
                writer.add(actor, rows, [_features(spectrograms[c.name]) for c in heard])
    return len(clips), excluded


def _ratings(crema: Path | None, names: Collection[str]) -> tuple[Rating, ...]:
    if crema is None:
        return ()
    return tuple(r for r in crema_d.read_ratings(crema) if r.clip in names)


def _features(image: NDArray[np.uint8]) -> ClipFeatures:
    """Return a clip's features; what follows the voice is the floor, in all bands."""
    heard = np.flatnonzero(image.any(axis=0))
    decibels = (image / 2).astype(np.float16)
    return ClipFeatures({"mel": decibels}, {"mel": int(heard[-1]) + 1})


def _row(clip: Clip, corpus: Corpus) -> ManifestRow:
    excluded = corpus.excluded.get(clip.name, "")
    plain = plain_row(clip.actor, clip, corpus, "excluded" if excluded else "audio", excluded)
    return replace(plain, audio_file=MEL_FILE, audio_bytes=int(np.prod(MEL_SHAPE)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help=f"folder of {MEL_FILE} and {NAMES_FILE}")
    parser.add_argument("--crema", type=Path, help="checkout of CREMA-D: votes and demographics")
    parser.add_argument("--out", type=Path, default=Path("features"), help="folder of the store")
    options = parser.parse_args(arguments)
    try:
        clips, excluded = fill(options.directory, options.crema, options.out)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{clips} clips in {options.out}: voices alone, as mel spectrograms")
    for name, why in sorted(excluded.items()):
        print(f"  left out: {name}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
