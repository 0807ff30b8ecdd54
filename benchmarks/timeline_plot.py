"""Plot the timeline of a film of synthetic clips, whose faces and voices are known."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from film import RATE, Scene, scene_of, write_film
from reporting import RESULTS

import avemotion
from avemotion.config import TimelineSettings

ACTS = ("NEU", "HAP", "SAD", "ANG", "FEA", "DIS")
"""Emotions, one act of the film each."""


def scenes_of(corpus: Path, actor: str, repeats: int) -> Iterator[Scene]:
    """Yield an act for each emotion; between them faces without sound, and sound without faces."""
    for number, emotion in enumerate(ACTS):
        clips = sorted((corpus / "VideoFlash").glob(f"{actor}_*_{emotion}_*.flv"))
        scenes = [scene_of(clip) for clip in clips]
        yield from scenes * repeats
        frames, sound = scenes[0]
        wall = np.random.default_rng(number).integers(60, 180, (len(frames), 9, 12), np.uint8)
        nobody = np.stack([cv2.resize(w, frames.shape[:0:-1]) for w in wall])
        if number == 1:
            yield from [(frames, np.zeros_like(sound))] * 6
        if number == 3:
            yield from [(nobody, sound)] * 6
        if number == 4:
            yield from [(nobody, np.zeros_like(sound))] * 5


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("corpus", type=Path, help="what `avemotion synth` wrote")
    arguments.add_argument("checkpoint", type=Path, help="a model trained on it")
    arguments.add_argument("--actor", default="1001", help="whose clips the film is made of")
    arguments.add_argument("--repeats", type=int, default=3, help="times that an act is shown")
    arguments.add_argument("--face", choices=("main", "all"), default="main")
    arguments.add_argument("--out", type=Path, default=RESULTS / "timeline.png")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        film = Path(temporary, "film.mkv")
        seconds = write_film(film, scenes_of(given.corpus, given.actor, given.repeats))
        print(f"{float(seconds):.0f} s, {RATE} frames a second")
        report = avemotion.write_timeline(
            film,
            out=given.out.with_suffix(".csv") if given.out.parent != RESULTS else None,
            plot=given.out,
            checkpoint=given.checkpoint,
            settings=TimelineSettings(face=given.face),
        )
    print(report)


if __name__ == "__main__":
    main()
