"""A table of invented voices, as `data_prep/crema_d_mel.py` reads it."""

import lzma
import subprocess
import sys
from pathlib import Path

import numpy as np

from avemotion.data.corpora.crema_d import EMOTION_BY_CODE

SCRIPT = Path(__file__).parents[1] / "data_prep" / "crema_d_mel.py"
ACTORS = ("1001", "1002", "1003", "1004", "1005", "1006")
CODES = tuple(EMOTION_BY_CODE)
SENTENCES = ("DFA", "IEO", "IOM", "ITH")


def invented(code: str, seed: int) -> np.ndarray:
    """Half decibels, uint8 (128, 130): a band of its own for each emotion, after some silence."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 40, (128, 130))
    start, stop = int(rng.integers(0, 30)), int(rng.integers(70, 130))
    band = 10 + 18 * CODES.index(code)
    image[band : band + 12, start:stop] = rng.integers(120, 161, (12, stop - start))
    image[:, stop:] = 0
    return image.astype(np.uint8)


def write(folder: Path, names: list[str], images: np.ndarray) -> Path:
    folder.mkdir()
    steps = np.diff(images, axis=1, prepend=np.uint8(0))
    with lzma.open(folder / "mel_half_db_diff.npy.xz", "wb") as file:
        np.save(file, steps)
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def write_voices(folder: Path) -> Path:
    """Six actors, four sentences in each emotion, and a clip without sound."""
    names = [f"{a}_{s}_{c}_XX" for a in ACTORS for s in SENTENCES for c in CODES]
    names[0] = names[0][:-1]  # one name lacks a letter, as in the corpus
    images = np.stack([invented(name[9:12], seed) for seed, name in enumerate(names)])
    names.append("1076_MTI_SAD_XX")
    images = np.concatenate([images, np.full((1, 128, 130), 160, np.uint8)])
    return write(folder, names, images)
