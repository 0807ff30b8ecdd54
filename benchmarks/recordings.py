"""What level, noise, room and channel of a recording cost the voice, by what it was trained with.

*As recorded*: levels and all, no change of the sound in training but the recorder's noise. *Level
alone*: without the level. *Noise on a quarter*: that, and noise or babble under a quarter of the
voices, rooms and narrow channels, as by default; *on half*: each twice as often. Real voices, the
same folds and seeds; an interrupted run goes on where it stopped, fold by fold.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from campaign import with_ends
from reporting import parser, publish, table

import avemotion
from avemotion.config import TrainingSettings
from avemotion.evaluation.evaluate import Protocol, evaluate
from avemotion.evaluation.metrics.recalls import Tally, difference, tally
from avemotion.evaluation.metrics.scores import credits_of
from avemotion.evaluation.predictions import Records, read_records
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.files import write_csv
from avemotion.models.ar5 import AR5Settings

SYSTEM = "ar5/audio"
PLAIN = {"sound_noise": 0.0, "sound_room": 0.0, "sound_channel": 0.0, "sound_gain_db": 0.0}
VARIANTS = {
    "as recorded": (AR5Settings(level_range_db=None), TrainingSettings(**PLAIN)),
    "level alone": (AR5Settings(), TrainingSettings(**PLAIN)),
    "gain alone": (
        AR5Settings(level_range_db=None),
        TrainingSettings(**(PLAIN | {"sound_gain_db": 20.0})),
    ),
    "noise on a quarter": (
        AR5Settings(),
        TrainingSettings(sound_noise=0.25, sound_room=0.125, sound_channel=0.25),
    ),
    "noise on half": (
        AR5Settings(),
        TrainingSettings(sound_noise=0.5, sound_room=0.25, sound_channel=0.5),
    ),
}
"""What is compared: settings of AR5, and of its training. All chances are written out, so that the
tables that are kept mean the same whatever the defaults are."""

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
    arguments.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=["as recorded", "noise on a quarter"]
    )
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--epochs", type=int, default=TrainingSettings().epochs)
    arguments.add_argument("--jobs", type=int, default=None)
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    store = avemotion.preprocess(
        given.media, corpus=given.corpus, out=given.work / "features"
    ).store
    protocol: Protocol = "stratified" if given.corpus == "crema_d" else "luna-jimenez"
    found, tallies = {}, {}
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
        records = read_records(out)
        tallies[name] = _by_condition(records)
        _keep(given.out / f"recordings_{given.corpus}_{out.name}.csv", records, tallies[name])
    _publish(given.out, given.corpus, found, tallies)


def _by_condition(records: Records) -> dict[str, Tally]:
    conditions = {"clean": records.predictions[SYSTEM], **records.corrupted[SYSTEM]}
    return {
        condition: tally(credits_of(answers, records.labels), records.labels)
        for condition, answers in conditions.items()
    }


def _keep(path: Path, records: Records, tallies: dict[str, Tally]) -> None:
    """Write right answers and clips by condition, actor and emotion: what the table stands on."""
    rows = []
    for condition, counts in tallies.items():
        for actor, right, clips in zip(counts.actors, counts.credit, counts.clips, strict=True):
            for label, r, n in zip(records.labels, right, clips, strict=True):
                rows += [[condition, actor, label, int(r), int(n)]] if n else []
    write_csv(path, ["condition", "actor", "emotion", "right", "answers"], rows)


def _publish(
    out: Path,
    corpus: str,
    found: dict[str, EvaluationResults],
    tallies: dict[str, dict[str, Tally]],
) -> None:
    first = next(iter(found.values()))
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
