"""Every picture system of the sources on FER2013, one after the other, beside what they report.

Official split, one seed. A system that is done has its answers under ``results/systems/`` and is
not trained again: whoever goes on starts there, on any machine. `--full` trains for as many epochs
as each source did.
"""

from __future__ import annotations

import csv
import platform
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from campaign import with_ends
from reporting import parser, publish, table

import avemotion
from avemotion.config import TrainingSettings
from avemotion.data.annotations import crowd_channel
from avemotion.data.store import FeatureStore
from avemotion.data.types import UNKNOWN_ACTOR, unit_of
from avemotion.evaluation.metrics.scores import Score, score
from avemotion.evaluation.predict import predict
from avemotion.evaluation.predictions import ClipPrediction
from avemotion.files import write_csv
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.miene import Miene
from avemotion.models.registry import settings_of

PLAIN = {"label_smoothing": 0.0, "mixup": 0.0, "mirror": False, "rotation_degrees": 0.0,
         "scale": 0.0, "shift": 0.0}  # fmt: skip
"""No augmentation, as the sources have it that name none."""
OURS = {
    "batch_size": 64,
    "learning_rate": 2e-3,
    "rotation_degrees": 10.0,
    "scale": 0.1,
    "shift": 0.06,
}
"""Augmentation and rates that are ours."""


@dataclass(frozen=True, slots=True)
class System:
    """One row of the table."""

    name: str
    model: str
    reported: str
    """What its source reports, with the part that it reports it on."""
    epochs: int = 0
    """Epochs here; 0 for learners."""
    full_epochs: int = 0
    """Epochs of the source, or as many as it would take where it gives none."""
    settings: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    needs_weights: bool = False
    """Whether the system is what it is by weights learned elsewhere."""


_FN1 = "on FN1, a set that nobody else has: "
_PARTS = "PrivateTest: "
_FIFTH = "weighted F1 on a fifth of all pictures that also chose the epoch: "

SYSTEMS = (
    System("K-Means, fitted mapping, HOG", "kmeans", "", settings={"features": "hog"}),
    System("K-Means, literal, 200 x 200, 436 each", "kmeans", "35 pictures: 20",
           settings={"features": "pixels200", "mapping": "literal", "per_class": 436}),
    System("k-nearest neighbours, HOG", "knn", "\"much the same\"", settings={"features": "hog"}),
    System("naive Bayes, HOG", "naive_bayes", "\"much the same\"", settings={"features": "hog"}),
    System("BiLSTM over rows", "bilstm", _PARTS + "45.21", 12, 40, training=OURS),
    System("CNN 32-64-128", "cnn3", _PARTS + "58.34", 12, 40, training=OURS),
    System("AR2", "ar2", "none", 10, 30, training=OURS),
    System("AR1", "ar1", "none", 10, 30, training=OURS),
    System("AR4", "ar4", "none", 10, 30, training=OURS),
    System("five stages, ReLU", "cnn5", _FIFTH + "0.61", 15, 50, training=OURS),
    System("five stages, ELU", "cnn5", _FIFTH + "0.61", 15, 50, {"activation": "elu"}, OURS),
    System("five stages, ReLU, as its source", "cnn5", _FIFTH + "0.61", 15, 50,
           training=PLAIN | {"optimizer": "adam", "schedule": "plateau", "learning_rate": 1e-3,
                             "batch_size": 64, "choose_by": "accuracy"}),
    System("five stages, ReLU, class weights", "cnn5", _FIFTH + "0.60", 15, 50,
           training=OURS | {"balance": "weights"}),
    System("five stages, ReLU, SMOTE", "cnn5", _FIFTH + "0.62", 15, 50,
           training=OURS | {"balance": "smote"}),
    System("ResNet-18, 98 x 80", "resnet18", _FN1 + "75.4 / 88.6", 6, 100, training=OURS),
    System("Inception-v4, 98 x 80", "inception_v4", _FN1 + "68.5 / 71.6", 3, 15, training=OURS),
    System("Inception-ResNet, 98 x 80", "inception_resnet_v2", _FN1 + "86.7 / 88.2", 3, 15,
           training=OURS),
    System("VGG-16 with batch norm", "vgg16_bn", _PARTS + "68.01", 3, 50, training=OURS),
    System("ResNet-101, extra convolution", "resnet101", _PARTS + "54.97", 3, 40,
           {"stem": "extra_convolution"}, OURS),
    System("ResNet-101, kernels averaged", "resnet101", _PARTS + "54.97", needs_weights=True),
    System("MobileNet, frozen", "mobilenet", "none", needs_weights=True),
    System("vision transformer", "vit", _PARTS + "56.21", needs_weights=True),
)  # fmt: skip
"""In the order of their cost."""


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--media", type=Path, required=True, help="folder with FER2013")
    arguments.add_argument("--work", type=Path, required=True, help="store and runs; kept")
    arguments.add_argument("--only", nargs="+", help="names of systems; by default all")
    arguments.add_argument("--full", action="store_true", help="as many epochs as the sources")
    arguments.add_argument("--epochs", type=int, help="at most so many, to try it out")
    given = arguments.parse_args()
    store = avemotion.preprocess(given.media, corpus="fer2013", out=given.work / "features").store
    if FeatureStore(store).info["parts_note"]:
        raise SystemExit("The table is of FER2013's official parts: remove parts.csv.")
    name = "systems-trial" if given.epochs else "systems"
    answers = given.out / name
    answers.mkdir(parents=True, exist_ok=True)
    for system in _all():
        chosen = not given.only or system.name in given.only
        if chosen and not system.needs_weights and not _file(answers, system).exists():
            _run(system, store, given, answers)
            _publish(given.out, name, FeatureStore(store), answers)
    _publish(given.out, name, FeatureStore(store), answers)


def _all() -> tuple[System, ...]:
    """Return the systems, ours last."""
    training = dict(Miene.recipe)
    epochs = training.pop("epochs")
    return (*SYSTEMS, System("Miene", "miene", "ours", epochs, epochs, training=training))


def _file(answers: Path, system: System) -> Path:
    stem = "".join(c if c.isalnum() else "-" for c in system.name.lower())
    return answers / f"{stem}.csv"


def _run(system: System, store: Path, given: Any, answers: Path) -> None:
    """Train and test a system; write its answers, and what it took."""
    epochs = max(1, system.full_epochs if given.full else system.epochs)
    epochs = min(epochs, given.epochs or epochs)
    training = replace(TrainingSettings(**system.training), epochs=epochs, split="official")
    out = given.work / "runs" / f"{_file(answers, system).stem}-{epochs}"
    start = time.monotonic()
    report = avemotion.fit(
        data=store, model=system.model, modality="video", out=out,
        settings=settings_of(system.model, system.settings), training=training,
    )  # fmt: skip
    minutes = (time.monotonic() - start) / 60
    network, metadata = load_checkpoint(report.checkpoint)
    opened = FeatureStore(store)
    rows = [row for row in opened.usable("video") if row.part == "test"]
    begin = time.monotonic()
    found = predict(opened, rows, network, metadata, "official")
    rate = len(rows) / (time.monotonic() - begin)
    heads = {"label": found}
    if system.model == "miene":
        network.settings = replace(network.settings, head="votes")
        heads["votes"] = predict(opened, rows, network, metadata, "official")
    labels = opened.labels
    columns = ["picture", *heads]
    picked = {h: [labels[int(np.argmax(p.probabilities))] for p in f] for h, f in heads.items()}
    about = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "epochs": metadata.epoch, "trained_epochs": epochs, "minutes": round(minutes, 1),
        "pictures_per_second": round(rate), "precision": metadata.experiment.training.precision,
        "seed": training.seed, "processor": platform.processor() or platform.machine(),
    }  # fmt: skip
    write_csv(answers / f"{_file(answers, system).stem}.about.csv", list(about), [about.values()])
    lines = ([row.clip, *(p[i] for p in picked.values())] for i, row in enumerate(rows))
    write_csv(_file(answers, system), columns, lines)


def _publish(out: Path, name: str, store: FeatureStore, answers: Path) -> None:
    rows, figures = [], {}
    for system in _all():
        path = _file(answers, system)
        if not path.exists():
            why = "needs weights" if system.needs_weights else "not run yet"
            rows.append([system.name, why, "", "", "", "", "", "", system.reported])
            continue
        found, about = _read(path)
        result = _scored(store, found["label"], "intended")
        majority = _scored(store, found.get("votes", found["label"]), "majority")
        ends = (result.accuracy, result.accuracy_low, result.accuracy_high)
        rows.append([
            system.name, with_ends(*ends), f"{100 * result.recall:.1f}",
            f"{result.averages[2].f1:.3f}",
            f"{100 * majority.accuracy:.1f}", f"{int(about['parameters']):,}",
            f"{about['epochs']} of {about['trained_epochs']}", about["minutes"], system.reported,
        ])  # fmt: skip
        figures[system.name] = {
            "accuracy": result.accuracy,
            "recall": result.recall,
            "majority": majority.accuracy,
        }
    publish(
        out,
        name,
        "The picture systems of the sources on FER2013",
        [
            "Official split: Training (28,709 pictures) trains, PublicTest chooses the epoch (not "
            "of learners, nor of Miene), "
            "PrivateTest (3,589) tests; one seed. The people are not known and may be in several "
            "parts. Accuracy and mean recall (UAR) in per cent against FER2013's labels, with a "
            "95 % interval over pictures; weighted F1; accuracy against the majority of FER+'s "
            "raters (more than half of ten votes). Epochs: the one that was kept, of those "
            "trained. Minutes: of wall clock, with other work beside it. Reported: by the source, "
            "of its own protocol:",
            table(
                ["", "accuracy (95 %)", "UAR", "weighted F1", "FER+ majority", "parameters",
                 "epochs", "minutes", "reported"],
                rows,
            ),
        ],
        figures,
    )  # fmt: skip


def _read(path: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Return each head's answers by picture, and what the training took."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with path.with_suffix(".about.csv").open(newline="", encoding="utf-8") as file:
        (about,) = csv.DictReader(file)
    heads = [name for name in rows[0] if name != "picture"]
    return {head: {row["picture"]: row[head] for row in rows} for head in heads}, about


def _scored(store: FeatureStore, found: dict[str, str], target: str) -> Score:
    """Score answers against FER2013's labels, or the majority of FER+'s raters."""
    targets = {row.clip: row.emotion for row in store.rows}
    if target == "majority":
        ratings = store.ratings()
        channel = crowd_channel(ratings)
        targets = {
            r.clip: store.labels[r.votes.index(max(r.votes))]
            for r in ratings
            if r.channel == channel and 2 * max(r.votes) > sum(r.votes) + r.other_votes
        }
    sure = {label: tuple(float(label == other) for other in store.labels) for label in store.labels}
    predictions = [
        ClipPrediction(
            seed=0, fold="official", clip=clip, actor=unit_of(UNKNOWN_ACTOR, clip),
            target=targets[clip], probabilities=sure[answer],
        )
        for clip, answer in found.items()
        if clip in targets
    ]  # fmt: skip
    return score(predictions, store.labels)


if __name__ == "__main__":
    main()
