"""The length of the feature vectors as the weight of the modality (thesis, section 5.2.5).

AR5 with short and long vectors of face and voice, the same folds: what each reaches, and what is
left of it when the voice or the face of the tested clips is taken away. An interrupted run goes on
where it stopped, fold by fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from answers import predictions_of
from campaign import (
    add_options,
    corpus_line,
    lead,
    make_store,
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
    arguments.add_argument("--store", type=Path, help="a recorded corpus' features instead")
    arguments.add_argument("--protocol", default="5fold")
    arguments.add_argument("--config", type=Path, help="YAML of what differs from the defaults")
    arguments.add_argument("--jobs", type=int, default=None)
    given = arguments.parse_args()
    store = FeatureStore(given.store) if given.store else make_store(given)
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
    first = next(iter(found.values()))
    rows, result = [], {}
    for name, answers in found.items():
        ahead = lead(answers[WHOLE], first[WHOLE], store.labels)
        recalls = {column: _recall(answers[column], store.labels) for column in answers}
        cells = [percent(ahead) if answers is not first else "", *recalls.values()]
        rows.append([name, cells[1], cells[0], *cells[2:]])
        result[name] = {
            column: score(answers[column], store.labels).recall for column in answers
        } | {"ahead": plain(ahead)}
    actors = len({prediction.actor for prediction in first[WHOLE]})
    corpus = store.info["corpus"]
    about = f"Corpus `{corpus}`: {actors} actors, {len(first[WHOLE])} clips."
    if corpus == "ravdess_landmarks":
        about += " Real voices; the faces are lines drawn from tracked landmarks, not the videos."
    publish(
        given.out,
        "lengths",
        f"Length of the feature vectors ({'SYNTHETIC corpus' if store.synthetic else corpus})",
        [
            corpus_line(store, first[WHOLE], given.seed) if store.synthetic else about,
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


def _recall(answers: Sequence[ClipPrediction], labels: Sequence[str]) -> str:
    found = score(answers, labels)
    return with_ends(found.recall, found.recall_low, found.recall_high)


if __name__ == "__main__":
    main()
