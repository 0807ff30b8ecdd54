"""The package's configuration against the one closest to the thesis, on the same clips."""

from __future__ import annotations

from pathlib import Path

from campaign import (
    PROTOCOL,
    ROOT,
    add_options,
    corpus_line,
    lead,
    make_store,
    name_of,
    percent,
    plain,
    train_and_test,
)
from reporting import parser, publish, table

from avemotion.config import MODALITIES
from avemotion.evaluation.metrics.scores import score


def main() -> None:
    arguments = parser(__doc__)
    add_options(arguments)
    configs = ROOT / "configs"
    arguments.add_argument("--modalities", nargs="+", choices=MODALITIES, default=["av"])
    arguments.add_argument("--ours", type=Path, default=configs / "ar5.yaml")
    arguments.add_argument("--theirs", type=Path, default=configs / "ar5_thesis.yaml")
    given = arguments.parse_args()
    store = make_store(given)
    # One folder with `synthetic.py`: what it trained with the same settings is not trained again.
    ours, theirs = (
        train_and_test(store, config, given.modalities, given.work / "evaluation" / config.stem)
        for config in (given.ours, given.theirs)
    )
    clips = ours[given.modalities[0]]
    rows, result = [], {}
    for modality in given.modalities:
        pair = [ours[modality], theirs[modality]]
        ahead = lead(*pair, store.labels)
        scores = [score(p, store.labels) for p in pair]
        rows.append([modality, *map(percent, scores), percent(ahead)])
        result[f"{modality}_ours_over_theirs"] = scores[0].accuracy / scores[1].accuracy
        result[f"{modality}_ours_minus_theirs"] = plain(ahead)
        result[f"{modality}_accuracies"] = {
            "ours": scores[0].accuracy,
            "theirs": scores[1].accuracy,
        }
    names = [f"`{name_of(config)}`" for config in (given.ours, given.theirs)]
    publish(
        given.out,
        "configurations",
        f"{names[0]} against {names[1]} (SYNTHETIC corpus)",
        [
            corpus_line(store, clips, given.seed),
            f"Protocol `{PROTOCOL}`; the same clips, folds and validation actors for both. "
            "Accuracy in per cent, difference of the mean recalls in points:",
            table(["modality", *names, "difference"], rows),
        ],
        result,
    )


if __name__ == "__main__":
    main()
