"""Do the networks learn all there is to learn? A synthetic corpus knows the best answer."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from baselines import FEATURES, logistic
from campaign import (
    PROTOCOL,
    ROOT,
    add_options,
    certain_predictions,
    corpus_line,
    lead,
    make_store,
    name_of,
    percent,
    plain,
    read_settings,
    train_and_test,
)
from reporting import parser, publish, table

from avemotion.config import MODALITIES
from avemotion.data.corpora.synthetic import TABLES, bayes_predictions
from avemotion.data.store import FeatureStore
from avemotion.evaluation.metrics.recalls import Difference
from avemotion.evaluation.metrics.scores import score
from avemotion.evaluation.predictions import ClipPrediction

COMPARED_WITH = {
    "av": "av",
    "video": "video",
    "audio": "audio",
    "logistic_face": "video",
    "logistic_voice": "audio",
}
"""System -> the modality whose Bayes rule it is compared with."""

TITLES = {
    "av": "AR5, av",
    "video": "AR5, video",
    "audio": "AR5, audio",
    "logistic_face": "logistic regression, 16 x 16 mean face",
    "logistic_voice": "logistic regression, mean pitch and energy",
}


def bayes_rule(
    store: FeatureStore, shown: Path, clips: Sequence[ClipPrediction]
) -> dict[str, list[ClipPrediction]]:
    """Return the predictions of the Bayes rule, given what each face and voice really show."""
    with shown.open(newline="", encoding="utf-8") as file:
        rows = {row["clip"]: row for row in csv.DictReader(file)}
    face = [rows[p.clip]["face"] for p in clips]
    voice = [rows[p.clip]["voice"] for p in clips]
    tables = TABLES[(store.synthetic or {})["tables"]]
    answers = {
        "av": bayes_predictions(tables, face, voice),
        "video": bayes_predictions(tables, face=face),
        "audio": bayes_predictions(tables, voice=voice),
    }
    return {m: certain_predictions(clips, labels, store.labels) for m, labels in answers.items()}


def main() -> None:
    arguments = parser(__doc__)
    add_options(arguments)
    arguments.add_argument("--modalities", nargs="+", choices=MODALITIES, default=MODALITIES)
    arguments.add_argument("--config", type=Path, default=ROOT / "configs" / "ar5.yaml")
    given = arguments.parse_args()
    store = make_store(given)
    out = given.work / "evaluation" / given.config.stem
    systems = train_and_test(store, given.config, given.modalities, out)
    clips = next(iter(systems.values()))
    everything = {**systems, **{name: logistic(store, clips, name) for name in FEATURES}}
    bayes = bayes_rule(store, given.work / "crema" / "shown.csv", clips)
    _publish(
        given.out, store, everything, bayes, given.config, corpus_line(store, clips, given.seed)
    )


def _publish(
    out: Path,
    store: FeatureStore,
    systems: dict[str, list[ClipPrediction]],
    bayes: dict[str, list[ClipPrediction]],
    config: Path,
    about: str,
) -> None:
    labels, ceilings = store.labels, (store.synthetic or {})["ceilings"]
    best = {m: score(p, labels) for m, p in bayes.items()}
    shares, rows = {}, []
    for name, predictions in systems.items():
        modality = COMPARED_WITH[name]
        found = score(predictions, labels)
        shares[name] = found.accuracy / best[modality].accuracy
        behind = lead(predictions, bayes[modality], labels)
        rows.append([TITLES[name], percent(found), f"{100 * best[modality].accuracy:.1f}",
                     f"{shares[name]:.3f}", percent(behind),
                     f"{100 * ceilings[modality]:.1f}"])  # fmt: skip
    pairs = {
        f"av_minus_{other}": lead(systems["av"], systems[other], labels)
        for other in ("video", "audio")
        if {"av", other} <= systems.keys()
    }
    _, training = read_settings(config)
    publish(
        out,
        "synthetic",
        "Networks against the best possible answer (SYNTHETIC corpus)",
        [
            about,
            f"Protocol `{PROTOCOL}`, `{name_of(config)}`, at most {training.epochs} epochs, "
            f"training seed {training.seed}. *Bayes*: the best rule, given what face and voice "
            "really show, on the same clips; *ceiling*: what it gets on endlessly many. The "
            "logistic regressions train on all four other folds. Accuracy in per cent; minus "
            "Bayes: difference of the mean recalls in points:",
            table(["system", "accuracy", "Bayes", "share", "minus Bayes", "ceiling"], rows),
            *_pair_lines(pairs),
        ],
        {
            **{_share_key(name): share for name, share in shares.items()},
            **{key: plain(value) for key, value in pairs.items()},
            "accuracies": {name: score(p, labels).accuracy for name, p in systems.items()},
            "bayes": {m: value.accuracy for m, value in best.items()},
            "ceilings": ceilings,
        },
    )


def _share_key(name: str) -> str:
    return f"share_{name}" if name in MODALITIES else f"{name}_share"


def _pair_lines(pairs: dict[str, Difference]) -> list[str]:
    if not pairs:
        return []
    rows = [[key.replace("_minus_", " - "), percent(value)] for key, value in pairs.items()]
    return [
        "Differences of the mean recalls on the same clips, in points:",
        table(["pair", "difference"], rows),
    ]


if __name__ == "__main__":
    main()
