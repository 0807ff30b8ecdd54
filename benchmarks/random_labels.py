"""Corpora whose labels mean nothing: the evaluation must find chance, and no differences."""

from __future__ import annotations

import csv
import random
import shutil
from pathlib import Path

import numpy as np
from campaign import add_options, make_store
from reporting import parser, publish, table

from avemotion.config import MODALITIES, TrainingSettings
from avemotion.data.checksums import write_checksums
from avemotion.data.store import FeatureStore
from avemotion.evaluation.evaluate import evaluate
from avemotion.evaluation.metrics.intervals import mean_interval
from avemotion.evaluation.metrics.scores import Score
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.models.ar5 import AR5Settings


def shuffled(store: FeatureStore, seed: int, out: Path) -> Path:
    """Copy a store with each actor's emotions dealt anew among the actor's clips."""
    if out.exists():
        return out
    shutil.rmtree(partial := out.with_suffix(".partial"), ignore_errors=True)
    partial.mkdir(parents=True)
    for name in ("store.json", "demographics.csv"):
        shutil.copy(store.directory / name, partial)
    (partial / "actors").symlink_to((store.directory / "actors").resolve())
    with (store.directory / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rng = random.Random(seed)
    for actor in sorted({row["actor"] for row in rows}):
        own = [row for row in rows if row["actor"] == actor]
        emotions = [row["emotion"] for row in own]
        rng.shuffle(emotions)
        for row, emotion in zip(own, emotions, strict=True):
            row["emotion"] = emotion
    with (partial / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    write_checksums(partial)
    return partial.rename(out)


def main() -> None:
    arguments = parser(__doc__)
    add_options(arguments)
    arguments.add_argument("--corpora", type=int, default=20)
    arguments.add_argument("--epochs", type=int, default=8)
    arguments.add_argument("--modalities", nargs="+", choices=MODALITIES, default=MODALITIES)
    arguments.add_argument("--jobs", type=int, default=None)
    given = arguments.parse_args()
    store = make_store(given)
    found = []
    for seed in range(given.corpora):
        found.append(
            evaluate(
                data=shuffled(store, seed, given.work / "shuffled" / str(seed)),
                protocol="5fold",
                modalities=tuple(given.modalities),
                jobs=given.jobs,
                robustness=False,
                out=given.work / "evaluation" / str(seed),
                settings={"ar5": AR5Settings(width=0.25)},
                training=TrainingSettings(  # no choice of the epoch: it would be the untrained one
                    epochs=given.epochs, early_stopping=False, validation=0.0
                ),
                progress=False,
            )
        )
        print(f"corpus {seed}: {_line(found[-1])}", flush=True)
    _publish(given, found)


def _line(result: EvaluationResults) -> str:
    accuracies = ", ".join(f"{m} {100 * s.accuracy:.1f}" for m, s in result.scores.items())
    return f"{accuracies}; " + ", ".join(f"{k}: p {d.p:.2f}" for k, d in result.differences.items())


def _holds(score: Score, chance: float) -> bool:
    low, high = score.accuracy_low, score.accuracy_high
    return low is not None and high is not None and low <= chance <= high


def _publish(given, found: list[EvaluationResults]) -> None:
    chance = 1 / len(found[0].labels)
    rows = []
    for system in found[0].scores:
        means = [result.scores[system].accuracy for result in found]
        mean, low, high = mean_interval(means)
        inside = sum(_holds(r.scores[system], chance) for r in found)
        rows.append([system, f"{100 * mean:.2f} [{100 * low:.2f}, {100 * high:.2f}]",
                     f"{inside} of {len(found)}"])  # fmt: skip
    small = {
        pair: sum(result.differences[pair].p < 0.05 for result in found)
        for pair in found[0].differences
    }
    any_small = sum(any(d.p < 0.05 for d in result.differences.values()) for result in found)
    first = found[0]
    publish(
        given.out,
        "random_labels",
        "Labels that mean nothing (SYNTHETIC corpora)",
        [
            f"**SYNTHETIC DATA**. {len(found)} corpora: {first.actors} actors, {first.clips} clips "
            f"each, every actor's emotions shuffled among the actor's clips. Five folds, "
            f"{', '.join(given.modalities)}, AR5 at width 0.25, {given.epochs} epochs. Chance is "
            f"{100 * chance:.2f} %. Accuracy: mean over corpora with its 95 % interval, and how "
            "often the evaluation's own interval over actors holds chance:",
            table(["", "accuracy", "interval holds chance"], rows),
            "Permutation test p below 0.05 by comparison (one in twenty is expected): "
            + ", ".join(f"{pair}: {n} of {len(found)}" for pair, n in small.items())
            + f"; in any of them: {any_small} of {len(found)}.",
        ],
        {
            "accuracies": {m: float(np.mean([r.scores[m].accuracy for r in found]))
                           for m in first.scores},
            "p_below_0.05": small,
            "any_p_below_0.05": any_small,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
