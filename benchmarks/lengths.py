"""The length of the feature vectors as the weight of the modality (thesis, section 5.2.5).

AR5 with short and long vectors of face and voice, the same folds: what each reaches, and what is
left of it when the voice or the face of the tested clips is taken away. An interrupted run goes on
where it stopped, fold by fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from answers import predictions_of
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
from avemotion.data.corrupted_batches import corrupted_batches
from avemotion.data.store import FeatureStore
from avemotion.evaluation.evaluate import evaluate
from avemotion.evaluation.metrics.scores import score
from avemotion.evaluation.predictions import ClipPrediction, read_records
from avemotion.features.corruptions import CONDITIONS
from avemotion.models.ar5 import AR5Settings
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CHECKPOINT_NAME

SYSTEM = "ar5/av"
LENGTHS = ((128, 128), (32, 128), (128, 32))
"""Of face and voice, the default first."""
WHOLE = "face and voice"
MISSING = {"voice missing": "audio missing", "face missing": "video missing"}
"""Column -> condition."""


def main() -> None:
    arguments = parser(__doc__)
    add_options(arguments)
    add_recorded_options(arguments)
    given = arguments.parse_args()
    store = chosen_store(given)
    settings, training = read_settings(given.config)
    found = {}
    for face, voice in LENGTHS:
        out = given.work / "lengths" / f"face-{face}-voice-{voice}"
        evaluate(
            data=store.directory,
            protocol=given.protocol,
            modalities=("av",),
            jobs=given.jobs,
            robustness=False,  # most of its conditions are no question here, and take as long
            out=out,
            settings={"ar5": replace(settings, video_features=face, audio_features=voice)},
            training=training,
        )
        found[f"{face}, {voice}"] = _answers(store, out, training.seed)
    _publish(given, store, settings, training, found)


Answers = dict[str, list[ClipPrediction]]
"""Column -> predictions."""


def _answers(store: FeatureStore, out: Path, seed: int) -> Answers:
    """Return what the networks of all folds answer, also without a modality."""
    whole = read_records(out).predictions[SYSTEM]
    found: Answers = {WHOLE: whole, **{column: [] for column in MISSING}}
    for fold in sorted({prediction.fold for prediction in whole}):
        tested = {prediction.clip for prediction in whole if prediction.fold == fold}
        rows = [row for row in store.rows if row.clip in tested]
        run = out / "runs" / f"seed-{seed}" / SYSTEM / fold
        model, metadata = load_checkpoint(run / CHECKPOINT_NAME)
        names = names_of(metadata.inputs)
        for column, condition in MISSING.items():
            batches = corrupted_batches(store, rows, names, "av", CONDITIONS[condition])
            shares = np.concatenate([probabilities(model, batch) for batch in batches])
            found[column] += predictions_of(rows, shares)
    return found


def _publish(
    given,
    store: FeatureStore,
    settings: AR5Settings,
    training: TrainingSettings,
    found: Mapping[str, Answers],
) -> None:
    first = next(iter(found.values()))[WHOLE]
    rows, result = [], {}
    for name, answers in found.items():
        ahead = lead(answers[WHOLE], first, store.labels)
        scores = {column: score(some, store.labels) for column, some in answers.items()}
        whole, *others = (
            with_ends(one.recall, one.recall_low, one.recall_high) for one in scores.values()
        )
        rows.append([name, whole, "" if answers[WHOLE] is first else percent(ahead), *others])
        recalls = {column: one.recall for column, one in scores.items()}
        result[name] = recalls | {"ahead": plain(ahead)}
    corpus = "SYNTHETIC corpus" if store.synthetic else store.info["corpus"]
    publish(
        given.out,
        "lengths",
        f"Length of the feature vectors ({corpus})",
        [
            about_corpus(store, first, given.seed),
            f"AR5 for face and voice at width {settings.width:g}, protocol `{given.protocol}`, "
            f"training seed {training.seed}, {_epochs(training)}, modality dropout "
            f"{training.modality_dropout:g}. Mean recall (UAR) in per cent with 95 % over actors, "
            "the difference to the first row paired over actors; the same networks asked about "
            "the same clips without voice, and without face:",
            table(["lengths (face, voice)", "UAR", "difference", *MISSING], rows),
        ],
        result,
    )


def _epochs(training: TrainingSettings) -> str:
    if training.early_stopping:
        return f"at most {training.epochs} epochs"
    return f"all {training.epochs} epochs, validation share {training.validation:g}"


if __name__ == "__main__":
    main()
