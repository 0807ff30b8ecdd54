"""How many people must be recorded, from scratch and from avemotion-1's voice: RAVDESS.

Networks learn the eight emotions from the voices of 2 to 16 actors, drawn anew in each repeat, and
are tested on eight others, always the same. From scratch and with `fit --init avemotion-1`, all
else but the learning rate alike.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from campaign import with_ends
from reporting import parser, publish, table

import avemotion
from avemotion.config import PreprocessSettings, TrainingSettings
from avemotion.data.store import FeatureStore
from avemotion.evaluation.metrics.scores import Score, score
from avemotion.evaluation.predict import predict
from avemotion.evaluation.predictions import ClipPrediction
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.packaged import PACKAGED, packaged_file
from avemotion.models.registry import settings_of

TESTED = tuple(f"{number:02d}" for number in range(17, 25))
SETTINGS = PreprocessSettings(views=1, features=("mel",))
RATES = {"from scratch": 2e-3, f"--init {PACKAGED}": 5e-4}
"""Highest learning rate of either way, not tuned."""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--ravdess", type=Path, required=True, help="RAVDESS' speech")
    arguments.add_argument("--work", type=Path, required=True, help="stores and runs; kept")
    arguments.add_argument("--sizes", type=int, nargs="+", default=[2, 4, 8, 16])
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=20)
    given = arguments.parse_args()
    tested = _store(given.ravdess, given.work / "tested", TESTED)
    others = sorted(
        path.name.removeprefix("Actor_")
        for path in given.ravdess.glob("Actor_*")
        if path.name.removeprefix("Actor_") not in TESTED
    )
    rows, result = [], {}
    for size in given.sizes:
        found: dict[str, list[ClipPrediction]] = {way: [] for way in RATES}
        for repeat in range(given.repeats):
            drawn = np.random.default_rng(repeat).permutation(others)[:size].tolist()
            work = given.work / f"{size}-{repeat}"
            learned = _store(given.ravdess, work / "features", tuple(sorted(drawn)))
            for way in RATES:
                found[way] += _answers(way, learned, tested, work, repeat, given.epochs)
        scores = {way: score(predictions, tested.labels) for way, predictions in found.items()}
        rows.append([size, *map(_shown, scores.values())])
        result[str(size)] = {way: one.recall for way, one in scores.items()}
    publish(
        given.out,
        "fine_tuning",
        "Learning a corpus of few people, from scratch and from avemotion-1",
        [
            f"RAVDESS' voices, eight emotions (12.5 by guessing), tested on {len(TESTED)} actors "
            f"who are never learned; {given.repeats} draws of the actors who are, {given.epochs} "
            "epochs, no actor chooses one. Mean recall (UAR) in per cent, with 95 % intervals over "
            "the tested actors. avemotion-1 did not learn RAVDESS, but RAVDESS chose its recipe.",
            table(["actors learned", *RATES], rows),
        ],
        result,
    )


def _store(ravdess: Path, work: Path, actors: tuple[str, ...]) -> FeatureStore:
    """Return a store of some actors."""
    media = work.with_name(f"{work.name}-media")
    media.mkdir(parents=True, exist_ok=True)
    for actor in actors:
        link = media / f"Actor_{actor}"
        if not link.exists():
            link.symlink_to((ravdess / link.name).resolve())
    report = avemotion.preprocess(media, corpus="ravdess", out=work, settings=SETTINGS)
    return FeatureStore(report.store)


def _answers(
    way: str, learned: FeatureStore, tested: FeatureStore, work: Path, seed: int, epochs: int
) -> list[ClipPrediction]:
    _, packaged = load_checkpoint(packaged_file(".safetensors"))
    checkpoint = avemotion.fit(
        data=learned.directory,
        model="miene_stimme",
        modality="audio",
        out=work / way.split()[-1],
        init=Path(PACKAGED) if PACKAGED in way else None,
        settings=settings_of("miene_stimme", packaged.experiment.settings),
        training=TrainingSettings(
            epochs=epochs, learning_rate=RATES[way], early_stopping=False, holdout=0.0,
            validation=0.0, seed=seed, sound_noise=0.25, sound_room=0.0, sound_channel=0.25,
            sound_equaliser=0.5,
        ),
    ).checkpoint  # fmt: skip
    return predict(tested, tested.usable("audio"), *load_checkpoint(checkpoint), "tested")


def _shown(found: Score) -> str:
    return with_ends(found.recall, found.recall_low, found.recall_high)


if __name__ == "__main__":
    main()
