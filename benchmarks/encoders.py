"""A probe on a frozen speech encoder: real voices of CREMA-D, and RAVDESS with its landmarks.

Beside each figure of the voice stands the one with the sentence held out as well, since the encoder
knows words. Strengths and weights are chosen among the training actors; none is set aside.
On RAVDESS a small network on the same embeddings (`fusion`) stands beside the probe. An interrupted
run goes on where it stopped, fold by fold.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from campaign import ROOT, lead, percent, with_ends
from reporting import parser, publish, table

import avemotion
from avemotion.config import Modality, PreprocessSettings
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.evaluation.evaluate import Protocol, evaluate
from avemotion.evaluation.metrics.recalls import Difference
from avemotion.evaluation.predictions import Records, read_records
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.models.fusion import FusionSettings
from avemotion.models.probe import ProbeSettings

sys.path.insert(0, str(ROOT / "data_prep"))
from ravdess import TABLE_NAME, fill, write_table  # noqa: E402

ALL_LEARN = {"validation": 0.0, "early_stopping": False}
SYSTEM = "probe/audio"
SIX = EMOTIONS
"""Emotions that CREMA-D and RAVDESS share: all of the former."""
FACE = "video-table.landmarks"
NAMED: dict[Modality, str] = {"av": "face and voice", "video": "face", "audio": "voice"}
"""What is learned from on RAVDESS."""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--crema", type=Path, help="a CREMA-D checkout")
    arguments.add_argument("--ravdess", type=Path, help="folder of the speech and the landmarks")
    arguments.add_argument("--work", type=Path, required=True, help="stores and runs; kept")
    arguments.add_argument("--modalities", nargs="+", choices=NAMED, default=[*NAMED])
    arguments.add_argument("--jobs", type=int, default=None)
    given = arguments.parse_args()
    if given.crema:
        _crema_d(given.crema, given.work / "crema_d", given.out, given.jobs)
    if given.ravdess:
        work, modalities = given.work / "ravdess", tuple(given.modalities)
        _publish_ravdess(given.out, *_ravdess(given.ravdess, work, modalities, given.jobs))


Found = dict[str, EvaluationResults]
"""Protocol -> results."""


VIEWS = {1: "the clips alone", 3: "the clips and two other recordings of each"}


def _crema_d(crema: Path, work: Path, out: Path, jobs: int | None) -> None:
    settings = PreprocessSettings(views=1, features=("waveform",))
    protocols: tuple[Protocol, ...] = ("stratified", "sentences")
    found: dict[int, Found] = {}
    for views in VIEWS:
        folder = work / f"views-{views}"
        store = avemotion.preprocess(crema, out=folder / "features", settings=settings).store
        avemotion.embed(store, views=views, jobs=jobs)
        found[views], records = _evaluated(
            store, folder, protocols, ("audio",), {"probe": ProbeSettings()}, jobs
        )
        _predictions(out, f"crema_d-views-{views}", records)
    _publish_crema_d(out, found)


def _ravdess(
    folder: Path, work: Path, modalities: tuple[Modality, ...], jobs: int | None
) -> tuple[Found, dict[str, Records]]:
    store = work / "features"
    fill(folder, store, PreprocessSettings(views=1))
    avemotion.embed(store, jobs=jobs)
    table_of_movement = work / TABLE_NAME
    write_table(folder, table_of_movement)
    avemotion.embed(store, f"video-table:{table_of_movement}", jobs=jobs)
    protocols: tuple[Protocol, ...] = ("luna-jimenez", "sentences")
    settings = {
        "probe": ProbeSettings(face=FACE, strengths=(0.001, 0.01, 0.1)),
        "fusion": FusionSettings(face=FACE),
    }
    return _evaluated(store, work, protocols, modalities, settings, jobs)


def _evaluated(
    store: Path,
    work: Path,
    protocols: tuple[Protocol, ...],
    modalities: tuple[Modality, ...],
    settings: Mapping[str, ProbeSettings | FusionSettings],
    jobs: int | None,
) -> tuple[Found, dict[str, Records]]:
    """Train models by their own recipes, but with all actors of the training side."""
    found, records = {}, {}
    for protocol in protocols:
        out = work / protocol
        found[protocol] = evaluate(
            data=store,
            protocol=protocol,
            models=tuple(settings),
            modalities=modalities,
            settings=settings,
            training=ALL_LEARN,
            robustness=False,
            jobs=jobs,
            out=out,
        )
        records[protocol] = read_records(out)
    return found, records


def _predictions(out: Path, corpus: str, records: Mapping[str, Records]) -> None:
    """Keep the answer to each clip as CSV: probabilities in thousandths."""
    for protocol, found in records.items():
        for system, clips in found.predictions.items():
            name = f"encoders/{corpus}-{protocol}-{system.replace('/', '-')}.csv"
            (out / name).parent.mkdir(exist_ok=True)
            with (out / name).open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(["clip", "fold", *found.labels])
                writer.writerows(
                    [p.clip, p.fold, *(round(1000 * x) for x in p.probabilities)] for p in clips
                )


def _row(name: str, results: EvaluationResults, system: str) -> list[str]:
    score = results.scores[system]
    uar = with_ends(score.recall, score.recall_low, score.recall_high)
    war = with_ends(score.accuracy, score.accuracy_low, score.accuracy_high)
    return [name, uar, war]


def _publish_crema_d(out: Path, found: Mapping[int, Found]) -> None:
    results = found[1]["stratified"]
    people = results.humans["audio"]
    heard = 100 * float(np.mean([group.majority for group in people.by_emotion]))
    publish(
        out,
        "encoders_crema_d",
        "A frozen speech encoder on real voices of a partial CREMA-D",
        [
            f"{results.clips} clips of {results.actors} actors (a partial, unbalanced CREMA-D), "
            "voice alone, target: the intended emotion. A probe (logistic regression) on four "
            "layers of `moonshine-tiny`; strength (of 0.0003, 0.001, 0.003) and calibration by "
            "cross-validation among the training actors; layers and views by trials on these "
            "clips. One seed, nothing is random. Per cent, with 95 % over actors:",
            table(
                ["", "UAR", "WAR"],
                [
                    *(
                        _row(f"{held_out}; learned from {words}", found[v][protocol], SYSTEM)
                        for v, words in VIEWS.items()
                        for protocol, held_out in (
                            ("stratified", "actors held out"),
                            ("sentences", "actors and sentences"),
                        )
                    ),
                    ["people, majority of each clip's raters", f"{heard:.1f}",
                     f"{100 * people.majority:.1f}"],
                ],
            ),
            "With sentences held out a fold learns from a third fewer clips, so not all of the "
            "difference is words.",
        ],
        {
            f"{views} views, {protocol}": results.scores[SYSTEM].recall
            for views, each in found.items()
            for protocol, results in each.items()
        },
    )  # fmt: skip


def _ahead(records: Records, modality: Modality) -> Difference:
    """Compare the mean recall of fusion with the probe's."""
    systems = records.predictions
    return lead(systems[f"fusion/{modality}"], systems[f"probe/{modality}"], records.labels)


def _publish_ravdess(out: Path, found: Found, records: Mapping[str, Records]) -> None:
    _predictions(out, "ravdess", records)
    results = found["luna-jimenez"]
    rows = [
        [*_row(f"{words}, {what}", one, f"probe/{modality}"),
         *_row("", one, f"fusion/{modality}")[1:], percent(_ahead(records[protocol], modality))]
        for protocol, words in (
            ("luna-jimenez", "five published folds"),
            ("sentences", "sentences, too"),
        )
        if (one := found[protocol])
        for modality, what in NAMED.items()
        if f"probe/{modality}" in one.scores
    ]  # fmt: skip
    publish(
        out,
        "encoders_ravdess",
        "A frozen speech encoder and landmarks on RAVDESS",
        [
            f"{results.clips} clips of {results.actors} actors, eight emotions. **The face is "
            "tracked landmarks**, not the video: statistics of their movement, by OpenFace in a "
            "studio. The voice is four layers of `moonshine-tiny`. Probes (logistic regression); "
            "strengths, and the weights of face and voice, by cross-validation among the training "
            "actors (strengths 0.001, 0.01, 0.1); one seed, nothing is random. Fusion: the small "
            "network with a gate, by its own recipe, of which the amounts were chosen by trials on "
            "these folds; one seed, all 20 epochs, no validation actors. Per cent, with 95 % over "
            "actors; then fusion's UAR less the probe's, paired over actors:",
            table(["", "probe: UAR", "WAR", "fusion: UAR", "WAR", "difference"], rows),
            "Its two sentences are each said in every emotion, by every actor. Where they are held "
            "out, a fold learns from half of the clips.",
        ],
        {
            f"{protocol}, {system}": one.scores[system].recall
            for protocol, one in found.items()
            for system in one.scores
        },
    )


if __name__ == "__main__":
    main()
