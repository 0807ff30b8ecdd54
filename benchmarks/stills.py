"""Accuracy on still images: clips of unseen actors, and the middle frame of each alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from reporting import parser, publish, table

from avemotion.config import FACE_FRAMES
from avemotion.data.store import FeatureStore
from avemotion.features.table import ClipSignals
from avemotion.features.types import ClipFeatures
from avemotion.inference.classifier import Classifier
from avemotion.inference.preparation import as_batch
from avemotion.models.inputs import names_of


def compare(data: Path, checkpoint: Path) -> dict[str, float]:
    """Classify the faces of the test actors of a model, moving and still."""
    store, classifier = FeatureStore(data), Classifier(checkpoint, "cpu")
    test_actors = set(classifier.metadata.split.test)
    rows = [row for row in store.usable("video") if row.actor in test_actors]
    right = [classifier.labels.index(row.emotion) for row in rows]
    faces = [np.array(store.read(row, "faces")[:1]) for row in rows]
    middle = FACE_FRAMES // 2
    stills = [np.repeat(face[:, middle : middle + 1], FACE_FRAMES, axis=1) for face in faces]
    moving, still = predicted(classifier, faces), predicted(classifier, stills)
    return {
        "clips": len(rows),
        "emotions": len(classifier.labels),
        "moving": float(np.mean(moving == right)),
        "still": float(np.mean(still == right)),
        "agree": float(np.mean(moving == still)),
    }


def predicted(classifier: Classifier, faces: list[NDArray[np.uint8]]) -> NDArray[np.intp]:
    """Return the index of the most probable emotion per clip, int (clip,), from the face alone."""
    task, names = classifier.metadata.task, names_of(classifier.metadata.inputs)
    clips = [ClipFeatures.of(ClipSignals("", 0, face, None), names, views=1) for face in faces]
    answers = [classifier.probabilities(as_batch(clip, "video")) for clip in clips]
    return np.concatenate([task.decide(answer) for answer in answers])


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, nargs="+", required=True, help="feature stores")
    arguments.add_argument(
        "--checkpoints", type=Path, nargs="+", required=True, help="of `fit`, one a store"
    )
    given = arguments.parse_args()
    results: dict[str, dict[str, float]] = {}
    for data, checkpoint in zip(given.data, given.checkpoints, strict=True):
        info = FeatureStore(data).info
        results["synthetic" if info["synthetic"] else info["corpus"]] = compare(data, checkpoint)
    rows = [
        [
            corpus,
            f"{found['clips']:.0f}",
            *(f"{100 * found[name]:.1f}" for name in ("moving", "still")),
            f"{100 / found['emotions']:.1f}",
            f"{100 * found['agree']:.1f}",
        ]
        for corpus, found in results.items()
    ]
    publish(
        given.out,
        "stills",
        "What a still picture is worth",
        [
            "Clips of the actors that `fit` held out, answered from their 20 face frames, and "
            "from the middle one alone, 20 times, in per cent; one network a corpus.",
            table(
                ["corpus", "clips", "moving: right", "still: right", "guessing", "same answer"],
                rows,
            ),
        ],
        {f"{corpus} {name}": value for corpus, r in results.items() for name, value in r.items()},
    )


if __name__ == "__main__":
    main()
