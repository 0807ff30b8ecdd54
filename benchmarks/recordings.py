"""What level, noise, room and channel of a recording cost the voice, before and after.

*Before*: levels as they were recorded, no change of the sound in training but the recorder's noise.
*After*: the defaults: without the level, and with noise, babble, rooms and narrow channels. Real
voices, the same folds and seeds; an interrupted run goes on where it stopped, fold by fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from campaign import with_ends
from reporting import parser, publish, table

import avemotion
from avemotion.config import TrainingSettings
from avemotion.evaluation.evaluate import Protocol, evaluate
from avemotion.evaluation.metrics.recalls import Tally, difference, tally
from avemotion.evaluation.metrics.scores import credits_of
from avemotion.evaluation.predictions import ClipPrediction, Records, read_records
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.files import write_csv
from avemotion.models.ar5 import AR5Settings

SYSTEM = "ar5/audio"
PLAIN = {"sound_noise": 0.0, "sound_room": 0.0, "sound_channel": 0.0, "sound_gain_db": 0.0}
VARIANTS = {
    "before": (AR5Settings(level_range_db=None), TrainingSettings(**PLAIN)),
    "level alone": (AR5Settings(), TrainingSettings(**PLAIN)),
    "gain alone": (
        AR5Settings(level_range_db=None),
        TrainingSettings(**(PLAIN | {"sound_gain_db": 20.0})),
    ),
    "half as often": (
        AR5Settings(),
        TrainingSettings(sound_noise=0.25, sound_room=0.125, sound_channel=0.25),
    ),
    "after": (AR5Settings(), TrainingSettings()),
}
"""What is compared: settings of AR5, and of its training."""

AIMS = {
    "gain -20 dB": 2.0, "gain +20 dB": 2.0, "white noise 20 dB": 8.0, "babble 20 dB": 8.0,
    "telephone band": 10.0,
}  # fmt: skip
"""Points of mean recall that a condition may cost at most."""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--corpus", choices=("crema_d", "ravdess"), default="crema_d")
    arguments.add_argument("--media", type=Path, required=True, help="folder of the corpus")
    arguments.add_argument("--work", type=Path, required=True, help="store and runs; kept")
    arguments.add_argument("--variants", nargs="+", choices=VARIANTS, default=["before", "after"])
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--epochs", type=int, default=TrainingSettings().epochs)
    arguments.add_argument("--jobs", type=int, default=None)
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    store = avemotion.preprocess(
        given.media, corpus=given.corpus, out=given.work / "features"
    ).store
    protocol: Protocol = "stratified" if given.corpus == "crema_d" else "luna-jimenez"
    found, records = {}, {}
    for name in given.variants:
        settings, training = VARIANTS[name]
        out = given.work / name.replace(" ", "-")
        found[name] = evaluate(
            data=store,
            protocol=protocol,
            modalities=("audio",),
            seeds=given.seeds,
            jobs=given.jobs,
            settings={"ar5": settings},
            training=replace(training, epochs=given.epochs),
            out=out,
        )
        records[name] = read_records(out)
        _keep(given.out, f"recordings_{given.corpus}_{out.name}.csv", records[name])
    _publish(given.out, given.corpus, found, records)


def _conditions(records: Records) -> dict[str, Sequence[ClipPrediction]]:
    return {"clean": records.predictions[SYSTEM], **records.corrupted[SYSTEM]}


def _tally(found: Sequence[ClipPrediction], labels: Sequence[str]) -> Tally:
    return tally(credits_of(found, labels), labels)


def _keep(out: Path, name: str, records: Records) -> None:
    """Write right answers and clips by condition, actor and emotion: what the table stands on."""
    rows = []
    for condition, predictions in _conditions(records).items():
        counts = _tally(predictions, records.labels)
        for actor, right, clips in zip(counts.actors, counts.credit, counts.clips, strict=True):
            for label, r, n in zip(records.labels, right, clips, strict=True):
                rows += [[condition, actor, label, int(r), int(n)]] if n else []
    write_csv(out / name, ["condition", "actor", "emotion", "right", "answers"], rows)


def _publish(
    out: Path, corpus: str, found: dict[str, EvaluationResults], records: dict[str, Records]
) -> None:
    first = next(iter(found.values()))
    tallies = {
        name: {c: _tally(p, r.labels) for c, p in _conditions(r).items()}
        for name, r in records.items()
    }
    rows, figures = [], {name: {} for name in found}
    for condition in next(iter(tallies.values())):
        cells: list[object] = [condition]
        for name, of in tallies.items():
            cells.append(with_ends(of[condition].recall, *of[condition].interval()))
            figures[name][condition] = of[condition].recall
        for of in tallies.values():
            lost = difference(of[condition], of["clean"])
            cells.append(f"{100 * lost.recall:+.1f}" if condition != "clean" else "")
        rows.append([*cells, f"-{AIMS[condition]:g}" if condition in AIMS else ""])
    names = list(found)
    publish(
        out,
        f"recordings_{corpus}",
        f"Level, noise, rooms and channels: real voices ({corpus})",
        [
            f"{first.clips} clips of {first.actors} actors"
            + (" (a partial, unbalanced CREMA-D). " if corpus == "crema_d" else ". ")
            + f"AR5, voice alone, protocol `{first.protocol}`, {first.folds} folds over actors, "
            f"seeds {', '.join(map(str, first.seeds))}, at most "
            f"{first.settings['training']['ar5']['epochs']} epochs. Mean recall (UAR) in per cent "
            "with its 95 % interval over actors; then the change against the same network's clean "
            "clips, in points, and the aim for it:",
            table(["", *names, *(f"{name}: change" for name in names), "aim"], rows),
        ],
        figures,
    )


if __name__ == "__main__":
    main()
