"""The voice alone on the real recordings of a partial, skewed CREMA-D, beside human listeners.

With ``--ravdess`` instead: a network that learned these voices, on those of RAVDESS.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from reporting import parser, publish, table

import avemotion
from avemotion.config import PreprocessSettings, TrainingSettings
from avemotion.evaluation.evaluate import evaluate
from avemotion.evaluation.metrics.scores import score
from avemotion.evaluation.predictions import Records, read_records
from avemotion.evaluation.report.results import EvaluationResults


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--crema", type=Path, required=True, help="a CREMA-D checkout")
    arguments.add_argument(
        "--work", type=Path, required=True, help="folder of the store and the runs; kept"
    )
    arguments.add_argument("--ravdess", type=Path, help="RAVDESS' speech: test on it instead")
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--epochs", type=int, default=TrainingSettings().epochs)
    arguments.add_argument("--jobs", type=int, default=None)
    given = arguments.parse_args()
    store = avemotion.preprocess(given.crema, out=given.work / "features").store
    if given.ravdess:
        _elsewhere(given, store)
        return
    out = given.work / "stratified"
    results = evaluate(
        data=store,
        protocol="stratified",
        modalities=("audio",),
        seeds=given.seeds,
        jobs=given.jobs,
        robustness=False,
        training=TrainingSettings(epochs=given.epochs),
        out=out,
    )
    _publish(given.out, results, read_records(out))


def _elsewhere(given: argparse.Namespace, store: Path) -> None:
    """Test a network that learned these voices on those of another corpus."""
    learned = avemotion.fit(
        data=store,
        modality="audio",
        out=given.work / "runs" / "ar5" / "audio",
        training=TrainingSettings(epochs=given.epochs),
    )
    heard = avemotion.preprocess(
        given.ravdess,
        corpus="ravdess",
        settings=PreprocessSettings(views=1, features=("log_mel", "waveform")),
        out=given.work / "ravdess",
    ).store
    results = evaluate(
        data=heard,
        protocol="other-corpus",
        modalities=("audio",),
        robustness=False,
        runs=given.work / "runs",
        out=given.work / "other-corpus",
    )
    ours, verdict = results.scores["ar5/audio"], results.verdicts["ar5/audio"]
    publish(
        given.out,
        "real_voices_ravdess",
        "From the real voices of a partial CREMA-D to those of RAVDESS",
        [
            f"AR5 had {learned.clips:,} clips of a partial, very unbalanced CREMA-D for training "
            f"and validation, voice alone, at most {given.epochs} epochs, one seed, default "
            f"configuration else. Tested on {results.clips:,} clips of all {results.actors} actors "
            "of RAVDESS' speech; calm counts as neutral, surprise is left out; guessing has a UAR "
            "of 16.7. In per cent:",
            table(
                ["", "UAR", "95 % over actors", "WAR"],
                [["AR5, voice", f"{100 * ours.recall:.1f}",
                  _range(ours.recall_low, ours.recall_high), f"{100 * ours.accuracy:.1f}"]],
            ),
            f"It answers {verdict.answer} to {100 * verdict.answer_share:.1f} % of the clips; that "
            f"is the target of {100 * verdict.target_share:.1f} %. By emotion:",
            table(
                ["", "clips", "recall", "precision"],
                [
                    [c.emotion, c.clips, f"{100 * c.recall:.1f}", f"{100 * c.precision:.1f}"]
                    for c in ours.classes
                ],
            ),
        ],
        {"recall": ours.recall, "accuracy": ours.accuracy},
    )  # fmt: skip


def _publish(out: Path, results: EvaluationResults, records: Records) -> None:
    predictions, ours = records.predictions["ar5/audio"], results.scores["ar5/audio"]
    by_fold = {
        fold: score([p for p in predictions if p.fold == fold], records.labels)
        for fold in sorted({p.fold for p in predictions})
    }
    recalls = [found.recall for found in by_fold.values()]
    kinds = Counter(
        len({clip.emotion for clip in records.clips if clip.actor == actor})
        for actor in {clip.actor for clip in records.clips}
    )
    people = results.humans["audio"]
    ears = {group.name: group for group in people.by_emotion}
    ear_recall = float(np.mean([group.majority for group in ears.values()]))
    single_recall = float(np.mean([group.single_response for group in ears.values()]))
    publish(
        out,
        "real_voices",
        "Real voices of a partial CREMA-D",
        [
            f"**Not \"the CREMA-D result\"**: {results.clips} of 7,442 clips, of {results.actors} "
            "actors, with very unequal emotions; only "
            f"{kinds[len(results.labels)]} actors have all of them, and each fold tests at least "
            "one of these. Actors and emotions go together here, so a network can gain from "
            "knowing which emotions are frequent, which people did not. Voice alone, protocol "
            "`stratified` (five folds over actors), default configuration, seeds "
            f"{', '.join(map(str, results.seeds))}; target: the intended emotion. People: the same "
            "clips, by ear.",
            table(
                ["", "UAR", "95 % over actors", "range over folds", "WAR"],
                [
                    ["AR5, voice", f"{100 * ours.recall:.1f}",
                     _range(ours.recall_low, ours.recall_high),
                     _range(min(recalls), max(recalls)),
                     f"{100 * ours.accuracy:.1f}"],
                    ["people, voice: majority", f"{100 * ear_recall:.1f}", "", "",
                     f"{100 * people.majority:.1f}"],
                    ["people, voice: single response", f"{100 * single_recall:.1f}", "", "",
                     f"{100 * people.single_response:.1f}"],
                ],
            ),
            "Recall by emotion in per cent:",
            table(
                ["", "clips", "AR5, voice", "people, majority"],
                [
                    [c.emotion, c.clips, f"{100 * c.recall:.1f}",
                     f"{100 * ears[c.emotion].majority:.1f}"]
                    for c in ours.classes
                ],
            ),
        ],
        {
            "recall": ours.recall,
            "recall_by_fold": {fold: found.recall for fold, found in by_fold.items()},
            "people_recall": ear_recall,
            "accuracy": ours.accuracy,
        },
    )  # fmt: skip


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"


if __name__ == "__main__":
    main()
