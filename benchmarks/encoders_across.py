"""A probe on a frozen speech encoder, from corpus to corpus: it learns one and hears the other.

Answers are scored as they are, and adapted to unlabelled clips, as `classify --adapt` does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from answers import adapted, predictions_of
from campaign import ROOT, with_ends
from reporting import parser, publish, table

import avemotion
from avemotion.config import ExperimentSettings, PreprocessSettings
from avemotion.data.batch import Batch
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.task import Task
from avemotion.encoders.interface import PREFIX
from avemotion.evaluation.metrics.scores import score
from avemotion.models.base import probabilities
from avemotion.models.probe import Probe, ProbeSettings
from avemotion.models.registry import create

sys.path.insert(0, str(ROOT / "data_prep"))
from ravdess import fill  # noqa: E402

SIX = EMOTIONS
"""Emotions that CREMA-D and RAVDESS share: all of the former."""

VIEWS = {1: "the clips alone", 3: "the clips and two other recordings of each"}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--crema", type=Path, required=True, help="a CREMA-D checkout")
    arguments.add_argument(
        "--ravdess", type=Path, required=True, help="folder of the speech and the landmarks"
    )
    arguments.add_argument("--work", type=Path, required=True, help="stores; kept")
    arguments.add_argument("--jobs", type=int, default=None)
    given = arguments.parse_args()
    settings = PreprocessSettings(views=1, features=("waveform",))
    work = given.work / "across"
    stores = {"CREMA-D": work / "crema_d", "RAVDESS": work / "ravdess"}
    avemotion.preprocess(given.crema, out=stores["CREMA-D"], settings=settings)
    fill(given.ravdess, stores["RAVDESS"], settings)
    voices = {}
    for name, store in stores.items():
        avemotion.embed(store, views=max(VIEWS), jobs=given.jobs)
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
    _publish(given.out, voices, rows, result)


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


def _publish(
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


if __name__ == "__main__":
    main()
