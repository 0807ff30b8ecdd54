"""The effect of single training settings: one change at a time, on the same folds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from campaign import add_options, corpus_line, make_store, percent, plain, read_settings
from reporting import parser, publish, table

from avemotion.config import TrainingSettings
from avemotion.data.corpora.crema_d import CLIPS
from avemotion.data.store import FeatureStore
from avemotion.evaluation.evaluate import evaluate
from avemotion.evaluation.metrics.scores import difference
from avemotion.evaluation.predictions import read_records
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.models.ar5 import AR5Settings


@dataclass(frozen=True, slots=True)
class Ablation:
    """One change of the training settings."""

    name: str
    changes: dict[str, object]
    for_av_alone: bool


BASE = "as configured"

ABLATIONS = (
    Ablation("no modality dropout", {"modality_dropout": 0.0}, True),
    Ablation("modality dropout 0.15", {"modality_dropout": 0.15}, True),
    Ablation("no auxiliary loss", {"auxiliary_loss_weight": 0.0}, True),
    Ablation("auxiliary loss, weight 0.5", {"auxiliary_loss_weight": 0.5}, True),
    Ablation("auxiliary loss, weight 1", {"auxiliary_loss_weight": 1.0}, True),
    Ablation("noise under half of the voices", {"sound_noise": 0.5}, False),
    Ablation("votes, weight 0.25", {"labels": "votes", "vote_weight": 0.25}, False),
)
"""Those that the given configuration already has are left out."""

CORRUPTIONS = ("audio missing", "video missing", "white noise 20 dB", "babble 10 dB")
"""Corrupted conditions whose recall is shown."""


def main() -> None:
    arguments = parser(__doc__)
    add_options(arguments)
    arguments.add_argument("--store", type=Path, help="a recorded corpus' features instead")
    arguments.add_argument("--protocol", default="5fold")
    arguments.add_argument("--modality", choices=("av", "audio"), default="av")
    arguments.add_argument("--config", type=Path, help="YAML of what differs from the defaults")
    arguments.add_argument("--name", default="ablations", help="name of the table")
    arguments.add_argument("--jobs", type=int, default=None)
    given = arguments.parse_args()
    store = FeatureStore(given.store) if given.store else make_store(given)
    settings, training = read_settings(given.config)
    chosen = {BASE: training} | {
        a.name: changed
        for a in ABLATIONS
        if (changed := replace(training, **a.changes)) != training
        and (given.modality == "av" or not a.for_av_alone)
        and _possible(a, store, settings)
    }
    found = {
        name: evaluate(
            data=store.directory,
            protocol=given.protocol,
            modalities=(given.modality,),
            jobs=given.jobs,
            out=given.work / given.name / name.replace(" ", "-"),
            settings={"ar5": settings},
            training=changed,
        )
        for name, changed in chosen.items()
    }
    _publish(given, store, training, found)


def _possible(ablation: Ablation, store: FeatureStore, settings: AR5Settings) -> bool:
    if "sound_noise" in ablation.changes:
        return settings.spectrogram == "log_mel"
    return ablation.changes.get("labels") != "votes" or bool(store.ratings())


def _publish(
    given, store: FeatureStore, training: TrainingSettings, found: dict[str, EvaluationResults]
) -> None:
    system, base = f"ar5/{given.modality}", found[BASE]
    rows, result = [], {}
    for name, ours in found.items():
        ahead = difference(ours.actor_accuracies[system], base.actor_accuracies[system])
        recalls = {r.condition: r.recall for r in ours.robustness.get(system, ())}
        corrupted = [f"{100 * recalls[c]:.1f}" if c in recalls else "" for c in CORRUPTIONS]
        crowd = ours.crowd_distance.get(system)
        rows.append([
            name, percent(ours.scores[system]), "" if name == BASE else percent(ahead),
            f"{100 * ours.scores[system].recall:.1f}", *corrupted,
            f"{ours.calibration[system].plain.log_loss:.3f}",
            f"{crowd.mean:.3f}" if crowd else "",
        ])  # fmt: skip
        result[name] = {
            "accuracy": ours.scores[system].accuracy,
            "recall": ours.scores[system].recall,
            "ahead": plain(ahead),
            "corrupted": {k: v for k, v in recalls.items() if k in CORRUPTIONS},
        }
    clips = read_records(Path(base.out)).predictions[system]
    about = corpus_line(store, clips, given.seed) if store.synthetic else _about(base)
    publish(
        given.out,
        given.name,
        f"One change at a time ({'SYNTHETIC corpus' if store.synthetic else base.corpus})",
        [
            about,
            f"Protocol `{base.protocol}`, {base.folds} folds, {given.modality}, training seed "
            f"{training.seed}, at most {training.epochs} epochs. Accuracy (mean over actors) and "
            "mean recall (UAR) in per cent, difference to the first row paired over actors; UAR "
            "on corrupted clips; log loss; Jensen-Shannon distance to the audio-visual votes:",
            table(
                [
                    "training",
                    "accuracy",
                    "difference",
                    "UAR",
                    *CORRUPTIONS,
                    "log loss",
                    "to the crowd",
                ],
                rows,
            ),  # fmt: skip
        ],
        result,
    )


def _about(found: EvaluationResults) -> str:
    about = f"Corpus `{found.corpus}`: {found.actors} actors, {found.clips} clips"
    if found.corpus == "ravdess_landmarks":
        return f"{about}. RAVDESS, landmark video: real voices, line faces from real landmarks."
    if found.corpus == "crema_d" and found.clips < CLIPS:
        return f'{about}: a partial, very unbalanced one, **not "the CREMA-D result"**.'
    return f"{about}."


if __name__ == "__main__":
    main()
