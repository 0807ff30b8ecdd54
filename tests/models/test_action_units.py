"""Action units go the whole road: learned, scored, shown, exported."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_faces import LABELS, UNITS, UNITS_OF, drawn_face, drawn_store

import avemotion
from avemotion.cli import main
from avemotion.config import TrainingSettings
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.data.task import Task
from avemotion.errors import UsageError
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.registry import settings_of
from avemotion.training.neutral_threshold import with_threshold

QUICK = TrainingSettings(
    epochs=6, batch_size=6, mixup=0.0, label_smoothing=0.0, mirror=False, rotation_degrees=0.0,
    scale=0.0, shift=0.0, precision="float32", early_stopping=False,
)  # fmt: skip
SMALL = settings_of("cnn3", {"width": 0.25, "units": 64})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return drawn_store(tmp_path_factory.mktemp("drawn") / "features", UNITS)


@pytest.fixture(scope="module")
def run(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for which neutral is where no other emotion is probable (E2)."""
    out = tmp_path_factory.mktemp("runs") / "run"
    training = replace(QUICK, neutral="rest", holdout=0.34, validation=0.25)
    avemotion.fit(data=store.directory, model="cnn3", settings=SMALL, training=training, out=out,
                  progress=False)  # fmt: skip
    return out


def test_every_unit_is_scored_on_actors_not_seen(store: FeatureStore, tmp_path: Path) -> None:
    results = avemotion.evaluate(
        data=store.directory, protocol="loso", models=("cnn3",), settings={"cnn3": SMALL},
        training=replace(QUICK, validation=0.0), robustness=False, out=tmp_path, progress=False,
    )  # fmt: skip
    assert results.scores["cnn3/video"].accuracy > 0.9
    scores = {score.unit: score for score in results.unit_scores["cnn3/video"]}
    assert list(scores) == [*UNITS, "mean"]
    assert [scores[unit].present for unit in UNITS] == [30, 30, 60]
    assert scores["mean"].accuracy > 0.9 and scores["mean"].f1 > 0.9
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    emotion_of = {row.clip: row.emotion for row in store.rows}
    for number, unit in enumerate(UNITS):
        right = [
            (float(row[unit]) >= 0.5) == bool(UNITS_OF[emotion_of[row["clip"]]][number])
            for row in rows
        ]
        assert scores[unit].accuracy == pytest.approx(np.mean(right))
    again = avemotion.report(tmp_path, format=["html", "text", "csv", "latex"])
    assert again.unit_scores == results.unit_scores
    page = (tmp_path / "report/index.html").read_text()
    assert '<h2 id="units">Action units</h2>' in page and ">AU12<" in page
    assert "AU12" in (tmp_path / "report/classification_report.txt").read_text()
    assert r"& AU12 & 30 &" in (tmp_path / "report/units.tex").read_text()
    with (tmp_path / "report/units.csv").open(newline="") as file:
        assert [row["unit"] for row in csv.DictReader(file)] == [*UNITS, "mean"]


def test_a_picture_is_answered_with_its_units(run: Path, store: FeatureStore) -> None:
    network, metadata = load_checkpoint(run / "checkpoint.safetensors")
    assert metadata.task.neutral_below is not None and metadata.task == network.task
    with (run / "metrics.csv").open(newline="") as file:
        first, *_, last = csv.DictReader(file)
    assert float(first["train_accuracy"]) < float(last["train_accuracy"])
    assert float(first["val_unit_f1"]) < float(last["val_unit_f1"])
    stored = ClipDataset(
        store, [r for r in store.rows if r.actor in metadata.split.validation], ["image"]
    )
    shares, _ = network.task.split(
        probabilities(network, stored[[(i, 0) for i in range(len(stored))]])
    )
    accuracy = (shares.argmax(axis=1) == stored.targets.numpy()).mean()
    assert metadata.scores["val_accuracy"] == pytest.approx(accuracy), "scores of another threshold"
    card = (run / "model_card.md").read_text()
    assert "and the action units AU4, AU12, AU25." in card
    assert "It answers neutral where the output of no other emotion reaches 0." in card
    assert "from avemotion import classify_image" in card
    for number, label in enumerate(LABELS):
        found = avemotion.classify_image(drawn_face(label, 900 + number), run)
        assert found.label == label
        assert list(found.units) == list(UNITS)
        assert [value >= 0.5 for value in found.units.values()] == [
            bool(has) for has in UNITS_OF[label]
        ]
        assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_the_command_line_shows_them(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.fromarray(drawn_face("happy", 5)).save(tmp_path / "happy.png")
    main(["classify", str(tmp_path / "happy.png"), "--checkpoint", str(run)])
    assert "  action units: AU" in capsys.readouterr().out
    main(["classify", str(tmp_path / "happy.png"), "--checkpoint", str(run), "--json"])
    assert set(json.loads(capsys.readouterr().out)["units"]) == set(UNITS)


def test_exported_it_answers_the_same(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    report = avemotion.export(run, tmp_path / "units.onnx")
    assert report.largest_difference < 1e-4
    for label in LABELS:
        ours = avemotion.classify_image(drawn_face(label, 7), run, runtime="torch")
        theirs = avemotion.classify_image(drawn_face(label, 7), tmp_path / "units.onnx")
        assert theirs.units == pytest.approx(ours.units, abs=1e-4)
        assert theirs.probabilities == pytest.approx(ours.probabilities, abs=1e-4)


def test_the_threshold_is_that_of_the_highest_mean_recall() -> None:
    task = Task(("joy", "neutral"), ("AU12",), neutral_below=0.5)
    joy = torch.tensor([0.9, 0.4, 0.35, 0.2, 0.1])
    logits = torch.stack([torch.logit(joy), torch.full((5,), 9.0), torch.zeros(5)], dim=1)
    wanted = task.target(torch.tensor([0, 0, 0, 1, 1]), torch.zeros(5, 1))
    found = with_threshold(task, logits, wanted)
    assert 0.2 < found.neutral_below < 0.35
    assert found.neutral_below == pytest.approx(0.28), "the middle of those that are as good"


def test_models_and_corpora_that_do_not_fit(store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="knn learns no action units, but the corpus has AU4"):
        avemotion.fit(data=store.directory, model="knn", out=tmp_path / "a", progress=False)
    plain = drawn_store(tmp_path / "plain")
    with pytest.raises(UsageError, match="units_perceptron learns emotions from action units"):
        avemotion.fit(
            data=plain.directory, model="units_perceptron", out=tmp_path / "b", progress=False
        )
    with pytest.raises(UsageError, match="--training.neutral is rest, .* the units none"):
        avemotion.fit(
            data=plain.directory, model="cnn3", out=tmp_path / "c", progress=False,
            training=replace(QUICK, neutral="rest"),
        )  # fmt: skip
    with pytest.raises(UsageError, match="miene learns no action units"):
        avemotion.evaluate(
            data=store.directory, protocol="loso", models=("cnn3", "miene"), out=tmp_path / "d",
            training=QUICK, robustness=False, progress=False,
        )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["plain"], "a folder is left behind"
