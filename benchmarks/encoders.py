"""A probe on a frozen speech encoder: real voices of CREMA-D, and RAVDESS with its landmarks.

Beside each figure of the voice stands the one with the sentence held out as well, since the encoder
knows words. Strengths and weights are chosen among the training actors; none is set aside.
An interrupted run goes on where it stopped, fold by fold. With `--across` a probe learns from each
corpus' voices and is asked about the other's, and nothing else is measured.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from answers import adapted, predictions_of
from campaign import ROOT, with_ends
from reporting import parser, publish, table

import avemotion
from avemotion.config import ExperimentSettings, Modality, PreprocessSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.task import Task
from avemotion.encoders.interface import PREFIX
from avemotion.evaluation.evaluate import Protocol, evaluate
from avemotion.evaluation.metrics.scores import score
from avemotion.evaluation.predictions import Records, read_records
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.models.base import probabilities
from avemotion.models.probe import Probe, ProbeSettings
from avemotion.models.registry import create

sys.path.insert(0, str(ROOT / "data_prep"))
from ravdess import TABLE_NAME, fill, write_table  # noqa: E402

ALL_LEARN = TrainingSettings(validation=0.0, early_stopping=False)
SYSTEM = "probe/audio"
SIX = EMOTIONS
"""Emotions that CREMA-D and RAVDESS share: all of the former."""
FACE = "video-table.landmarks"


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--crema", type=Path, help="a CREMA-D checkout")
    arguments.add_argument("--ravdess", type=Path, help="folder of the speech and the landmarks")
    arguments.add_argument("--work", type=Path, required=True, help="stores and runs; kept")
    arguments.add_argument("--jobs", type=int, default=None)
    arguments.add_argument("--across", action="store_true", help="from each corpus to the other")
    given = arguments.parse_args()
    if given.across:
        _across(given.crema, given.ravdess, given.work / "across", given.out, given.jobs)
        return
    if given.crema:
        _crema_d(given.crema, given.work / "crema_d", given.out, given.jobs)
    if given.ravdess:
        _publish_ravdess(given.out, *_ravdess(given.ravdess, given.work / "ravdess", given.jobs))


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
            store, folder, protocols, ("audio",), ProbeSettings(), jobs
        )
        _predictions(out, f"crema_d-views-{views}", records)
    _publish_crema_d(out, found)


def _ravdess(folder: Path, work: Path, jobs: int | None) -> tuple[Found, dict[str, Records]]:
    store = work / "features"
    fill(folder, store, PreprocessSettings(views=1))
    avemotion.embed(store, jobs=jobs)
    table_of_movement = work / TABLE_NAME
    write_table(folder, table_of_movement)
    avemotion.embed(store, f"video-table:{table_of_movement}", jobs=jobs)
    protocols: tuple[Protocol, ...] = ("luna-jimenez", "sentences")
    modalities: tuple[Modality, ...] = ("av", "video", "audio")
    settings = ProbeSettings(face=FACE, strengths=(0.001, 0.01, 0.1))
    return _evaluated(store, work, protocols, modalities, settings, jobs)


def _across(crema: Path, ravdess: Path, work: Path, out: Path, jobs: int | None) -> None:
    """Learn from each corpus, and answer the other as it is and without the lean of the answers."""
    settings = PreprocessSettings(views=1, features=("waveform",))
    stores = {"CREMA-D": work / "crema_d", "RAVDESS": work / "ravdess"}
    avemotion.preprocess(crema, out=stores["CREMA-D"], settings=settings)
    fill(ravdess, stores["RAVDESS"], settings)
    voices = {}
    for name, store in stores.items():
        avemotion.embed(store, views=max(VIEWS), jobs=jobs)
        voices[name] = _voices(FeatureStore(store))
    rows, result = [], {}
    for learned, asked in (("CREMA-D", "RAVDESS"), ("RAVDESS", "CREMA-D")):
        told = voices[asked].rows
        alike = {"as they are": None, "adapted to all clips": [""] * len(told)}
        if asked == "RAVDESS":  # of CREMA-D's actors too few clips are at hand
            alike["adapted to the clips of each speaker"] = [row.actor for row in told]
        for views, words in VIEWS.items():
            shares = probabilities(voices[learned].probe(views), voices[asked].batch(1))
            for how, groups in alike.items():
                found = score(
                    predictions_of(told, adapted(shares, groups) if groups else shares), SIX
                )
                name = f"{learned} -> {asked}"
                uar = with_ends(found.recall, found.recall_low, found.recall_high)
                recalls = ", ".join(f"{c.emotion} {100 * c.recall:.0f}" for c in found.classes)
                rows.append([name, words, how, uar, recalls])
                result[f"{name}, {views} views, {how}"] = found.recall
    _publish_across(out, voices, rows, result)


@dataclass(frozen=True)
class _Voices:
    """The embedded voices of a corpus that show one of the six emotions."""

    clips: ClipDataset
    rows: tuple[ManifestRow, ...]

    def batch(self, views: int) -> Batch[torch.Tensor]:
        """Return all of them in their first views."""
        return self.clips[[(i, view) for view in range(views) for i in range(len(self.rows))]]

    def probe(self, views: int) -> Probe:
        """Return a probe that learned from all of them in their first views."""
        made = create(Task(SIX), ExperimentSettings("probe", "audio"))
        assert isinstance(made, Probe)
        actors = [row.actor for row in self.rows] * views
        targets = torch.tensor([SIX.index(row.emotion) for row in self.rows] * views)
        made.learn_clips(replace(made.read(self.batch(views)), targets=targets), actors)
        return made


def _voices(store: FeatureStore) -> _Voices:
    rows = tuple(row for row in store.usable("audio") if row.emotion in SIX)
    return _Voices(ClipDataset(store, rows, [f"{PREFIX}{ProbeSettings().voice}"]), rows)


def _publish_across(
    out: Path,
    voices: Mapping[str, _Voices],
    rows: Sequence[Sequence[str]],
    result: Mapping[str, float],
) -> None:
    clips = {name: f"{len(found.rows):,}" for name, found in voices.items()}
    people = {name: len({row.actor for row in found.rows}) for name, found in voices.items()}
    publish(
        out,
        "encoders_across",
        "A frozen speech encoder from corpus to corpus",
        [
            f"Real voices of the six emotions that both corpora have: {clips['CREMA-D']} of "
            f"{people['CREMA-D']} actors of a partial, unbalanced CREMA-D, {clips['RAVDESS']} of "
            f"{people['RAVDESS']} of RAVDESS (without calm and surprise). A probe on four layers "
            "of `moonshine-tiny` learns from all of one, and is asked about all of the other; "
            "everything is chosen among the actors that it learns from. One seed, nothing is "
            "random. Mean recall (UAR) in per cent, with 95 % over actors; guessing has 16.7.",
            table(["", "learned from", "answers", "UAR", "recalls"], rows),
            "Adapted: the mean log-probabilities over the unlabelled clips asked about are taken "
            "out, as `classify --adapt` does. It takes each emotion to be as frequent as any "
            "other, which it is not among these clips of CREMA-D, and neutral is half as frequent "
            "in RAVDESS.",
        ],
        dict(result),
    )


def _evaluated(
    store: Path,
    work: Path,
    protocols: tuple[Protocol, ...],
    modalities: tuple[Modality, ...],
    settings: ProbeSettings,
    jobs: int | None,
) -> tuple[Found, dict[str, Records]]:
    found, records = {}, {}
    for protocol in protocols:
        out = work / protocol
        found[protocol] = evaluate(
            data=store,
            protocol=protocol,
            models=("probe",),
            modalities=modalities,
            settings={"probe": settings},
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


def _publish_ravdess(out: Path, found: Found, records: Mapping[str, Records]) -> None:
    _predictions(out, "ravdess", records)
    results = found["luna-jimenez"]
    named = {"av": "face and voice", "video": "face", "audio": "voice"}
    rows = [
        _row(f"{words}, {what}", found[protocol], f"probe/{modality}")
        for protocol, words in (
            ("luna-jimenez", "five published folds"),
            ("sentences", "sentences, too"),
        )
        for modality, what in named.items()
    ]
    publish(
        out,
        "encoders_ravdess",
        "A frozen speech encoder and landmarks on RAVDESS",
        [
            f"{results.clips} clips of {results.actors} actors, eight emotions. **The face is "
            "tracked landmarks**, not the video: statistics of their movement, by OpenFace in a "
            "studio. The voice is four layers of `moonshine-tiny`. Probes (logistic regression); "
            "strengths, and the weights of face and voice, by cross-validation among the training "
            "actors (strengths 0.001, 0.01, 0.1). One seed, nothing is random. Per cent, with "
            "95 % over actors:",
            table(["", "UAR", "WAR"], rows),
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
