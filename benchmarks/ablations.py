"""The effect of single settings: one change at a time, on the same folds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from campaign import (
    about_corpus,
    add_options,
    add_recorded_options,
    chosen_store,
    lead,
    percent,
    plain,
    read_settings,
    with_ends,
)
from reporting import parser, publish, table

from avemotion.config import TrainingSettings
from avemotion.data.store import FeatureStore
from avemotion.evaluation.evaluate import evaluate
from avemotion.evaluation.predictions import read_records
from avemotion.evaluation.report.results import EvaluationResults


@dataclass(frozen=True, slots=True)
class Ablation:
    """One change of the settings."""

    name: str
    changes: dict[str, object]
    """Settings of the training."""
    for_av_alone: bool


BASE = "as configured"

ABLATIONS = (
    Ablation("no modality dropout", {"modality_dropout": 0.0}, True),
    Ablation("modality dropout 0.15", {"modality_dropout": 0.15}, True),
    Ablation("no auxiliary loss", {"auxiliary_loss_weight": 0.0}, True),
    Ablation("auxiliary loss, weight 0.5", {"auxiliary_loss_weight": 0.5}, True),
    Ablation("auxiliary loss, weight 1", {"auxiliary_loss_weight": 1.0}, True),
    Ablation(
        "no noise, room or channel",
        {"sound_noise": 0.0, "sound_room": 0.0, "sound_channel": 0.0},
        False,
    ),
    Ablation("rare emotions weigh more", {"balance": "weights"}, False),
    Ablation("rare emotions drawn more often", {"balance": "sampling"}, False),
    Ablation("votes, weight 0.25", {"labels": "votes", "vote_weight": 0.25}, False),
)
"""Those that the given configuration already has are left out."""

CORRUPTIONS = ("audio missing", "video missing", "white noise 20 dB", "babble 10 dB")
"""Corrupted conditions whose recall is shown."""


def main() -> None:
    arguments = parser(__doc__)
    add_options(arguments)
    add_recorded_options(arguments)
    arguments.add_argument("--modality", choices=("av", "audio"), default="av")
    arguments.add_argument("--name", default="ablations", help="name of the table")
    arguments.add_argument("--only", nargs="+", help="names of the changes that are tried")
    arguments.add_argument("--robustness", choices=("true", "false"), default="true")
    given = arguments.parse_args()
    store = chosen_store(given)
    settings, training = read_settings(given.config)
    chosen = {BASE: training} | {
        a.name: changed
        for a in ABLATIONS
        if (changed := replace(training, **a.changes)) != training
        and (given.modality == "av" or not a.for_av_alone)
        and _possible(a, store)
        and (not given.only or a.name in given.only)
    }
    found = {
        name: evaluate(
            data=store.directory,
            protocol=given.protocol,
            modalities=(given.modality,),
            jobs=given.jobs,
            robustness=given.robustness == "true",
            out=given.work / given.name / name.replace(",", "").replace(" ", "-"),
            settings={"ar5": settings},
            training=trained,
        )
        for name, trained in chosen.items()
    }
    _publish(given, store, training, found)


def _possible(ablation: Ablation, store: FeatureStore) -> bool:
    return ablation.changes.get("labels") != "votes" or bool(store.ratings())


def _publish(
    given, store: FeatureStore, training: TrainingSettings, found: dict[str, EvaluationResults]
) -> None:
    system, base = f"ar5/{given.modality}", found[BASE]
    tested = {r.condition for r in base.robustness.get(system, ())}
    shown = [condition for condition in CORRUPTIONS if condition in tested]
    rows, result = [], {}
    answers = {n: read_records(Path(o.out)).predictions[system] for n, o in found.items()}
    for name, ours in found.items():
        ahead = lead(answers[name], answers[BASE], base.labels)
        recalls = {r.condition: r.recall for r in ours.robustness.get(system, ())}
        corrupted = [f"{100 * recalls[c]:.1f}" if c in recalls else "" for c in shown]
        crowd, score = ours.crowd_distance.get(system), ours.scores[system]
        rows.append([
            name, with_ends(score.recall, score.recall_low, score.recall_high),
            "" if name == BASE else percent(ahead), percent(score), *corrupted,
            f"{ours.calibration[system].plain.log_loss:.3f}",
            f"{crowd.mean:.3f}" if crowd else "",
        ])  # fmt: skip
        result[name] = {
            "accuracy": ours.scores[system].accuracy,
            "recall": ours.scores[system].recall,
            "ahead": plain(ahead),
            "corrupted": {k: v for k, v in recalls.items() if k in CORRUPTIONS},
        }
    clips = answers[BASE]
    publish(
        given.out,
        given.name,
        f"One change at a time ({'SYNTHETIC corpus' if store.synthetic else base.corpus})",
        [
            about_corpus(store, clips, given.seed),
            f"Protocol `{base.protocol}`, {base.folds} folds, {given.modality}, training seed "
            f"{training.seed}, at most {training.epochs} epochs. Mean recall (UAR) in per cent, "
            "its difference to the first row, paired over actors, and accuracy, with 95 % "
            f"intervals over actors; {'UAR on corrupted clips; ' if shown else ''}log loss; "
            "Jensen-Shannon distance to the audio-visual votes:",
            table(
                ["settings", "UAR", "difference", "accuracy", *shown, "log loss", "to the crowd"],
                rows,
            ),
        ],
        result,
    )


if __name__ == "__main__":
    main()
