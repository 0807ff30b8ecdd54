"""How many people must be recorded, from scratch and from avemotion-1's voice.

Networks learn the emotions of RAVDESS, or of a synthetic corpus whose voices are no speech, from
the voices of 2 to 16 actors, drawn anew in each repeat, and are tested on eight others, always the
same. From scratch and with `fit --init avemotion-1`, all else but the learning rate alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

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

ACTORS = 24
"""Of the synthetic corpus; RAVDESS has as many. The last third is tested."""
Corpus = Literal["ravdess", "crema_d"]
SETTINGS = PreprocessSettings(views=1, features=("mel",))
RATES = {"from scratch": 2e-3, f"--init {PACKAGED}": 5e-4}
"""Highest learning rate of either way, not tuned."""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--ravdess", type=Path, help="RAVDESS' speech; else a synthetic corpus")
    arguments.add_argument("--work", type=Path, required=True, help="stores and runs; kept")
    arguments.add_argument("--sizes", type=int, nargs="+", default=[2, 4, 8, 16])
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=20)
    given = arguments.parse_args()
    files = _ravdess(given.ravdess) if given.ravdess else _synthetic(given.work)
    actors = sorted(files)
    others, last = actors[: -(len(files) // 3)], actors[-(len(files) // 3) :]
    corpus: Corpus = "ravdess" if given.ravdess else "crema_d"
    tested = _store(files, corpus, given.work / "tested", last)
    rows, result = [], {}
    for size in given.sizes:
        found: dict[str, list[ClipPrediction]] = {way: [] for way in RATES}
        for repeat in range(given.repeats):
            drawn = np.random.default_rng(repeat).permutation(others)[:size].tolist()
            work = given.work / f"{size}-{repeat}"
            learned = _store(files, corpus, work / "features", sorted(drawn))
            for way in RATES:
                found[way] += _answers(way, learned, tested, work, repeat, given.epochs)
        scores = {way: score(predictions, tested.labels) for way, predictions in found.items()}
        rows.append([size, *map(_shown, scores.values())])
        result[str(size)] = {way: one.recall for way, one in scores.items()}
    voices = "RAVDESS' voices" if given.ravdess else "**Synthetic** voices, which are no speech"
    chose = " avemotion-1 did not learn RAVDESS, but RAVDESS chose its recipe."
    publish(
        given.out,
        "fine_tuning" if given.ravdess else "fine_tuning_synthetic",
        "Learning a corpus of few people, from scratch and from avemotion-1",
        [
            f"{voices}, {len(tested.labels)} emotions ({100 / len(tested.labels):.1f} by "
            f"guessing), tested on {len(last)} actors who are never learned; {given.repeats} draws "
            f"of the actors who are, {given.epochs} epochs, no actor chooses one. Mean recall "
            "(UAR) in per cent, with 95 % intervals over the tested actors."
            + (chose if given.ravdess else ""),
            table(["actors learned", *RATES], rows),
        ],
        result,
    )


def _ravdess(folder: Path) -> dict[str, list[Path]]:
    """Return actor -> folders."""
    return {path.name.removeprefix("Actor_"): [path] for path in folder.glob("Actor_*")}


def _synthetic(work: Path) -> dict[str, list[Path]]:
    """Write the synthetic corpus, and return actor -> voices."""
    root = work / "crema"
    avemotion.synth(root, actors=ACTORS, clips_per_actor=36)
    found: dict[str, list[Path]] = {}
    for path in sorted((root / "AudioWAV").glob("*.wav")):
        found.setdefault(path.name[:4], []).append(path)
    return found


def _store(
    files: Mapping[str, Sequence[Path]], corpus: Corpus, work: Path, actors: Sequence[str]
) -> FeatureStore:
    """Return a store of some actors."""
    media = work.with_name(f"{work.name}-media")
    for path in (path for actor in actors for path in files[actor]):
        link = media / (path.name if corpus == "ravdess" else f"AudioWAV/{path.name}")
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(path.resolve())
    if corpus == "crema_d":
        for table in path.parents[1].glob("*.*"):
            if table.is_file() and not (media / table.name).exists():
                (media / table.name).symlink_to(table.resolve())
    report = avemotion.preprocess(media, corpus=corpus, out=work, settings=SETTINGS)
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
