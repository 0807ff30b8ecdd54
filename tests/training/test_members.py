"""`fit --model late`: trained members are pooled; what is refused; one answer on every road."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import avemotion
from avemotion.cli import main
from avemotion.config import TrainingSettings
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.data.task import Task
from avemotion.data.types import Split
from avemotion.errors import UsageError
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import load_checkpoint, save_checkpoint
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CheckpointMetadata, Origin
from avemotion.training.fit import FitReport
from avemotion.training.members import Members

Changed = Callable[[str, dict[str, Any]], Path]


@pytest.fixture(scope="module")
def late(fitted: Path, small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> FitReport:
    """Face, voice, and a network for both, pooled."""
    return avemotion.fit(
        data=small_store, model="late", members=tuple(fitted / "ar5" / m for m in MODALITIES),
        out=tmp_path_factory.mktemp("late") / "runs" / "late" / "av", progress=False,
    )  # fmt: skip


MODALITIES = ("video", "audio", "av")


def clip_batch(store: FeatureStore, names: tuple[str, ...], actors: tuple[str, ...]) -> Any:
    rows = [row for row in store.rows if row.actor in actors]
    return ClipDataset(store, rows, names)[[(i, 0) for i in range(len(rows))]]


def test_people_are_those_of_the_members(late: FitReport, fitted: Path) -> None:
    splits = [load_checkpoint(fitted / "ar5" / m / "checkpoint.safetensors")[1].split
              for m in MODALITIES]  # fmt: skip
    assert late.metadata.split == splits[0] == splits[1] == splits[2]
    assert late.metadata.experiment.training.holdout == 0.25
    assert late.metadata.answers == ("av", "video", "audio")
    assert late.metadata.experiment.modality == "av"
    assert names_of(late.metadata.inputs) == ("faces", "log_mel")
    (known,) = late.metadata.reliability
    assert known.measured_on.endswith("on which the members' weights were fitted")


def test_the_members_are_those_that_were_trained(
    late: FitReport, fitted: Path, small_store: Path
) -> None:
    """The answer follows from the members' own checkpoints, by hand."""
    store = FeatureStore(small_store)
    network, metadata = load_checkpoint(late.checkpoint)
    batch = clip_batch(store, names_of(network.inputs), metadata.split.test)
    logits = 0.0
    for index, modality in enumerate(MODALITIES):
        own, _ = load_checkpoint(fitted / "ar5" / modality / "checkpoint.safetensors")
        temperature, weight = float(network.temperatures[0, index]), network.weights[0, index]
        answers = np.log(probabilities(own, batch, temperature).astype(float))
        logits = logits + float(weight) * answers
    shares = np.exp(logits / (metadata.temperature or 1.0))
    expected = shares / shares.sum(axis=1, keepdims=True)
    found = probabilities(network, batch, metadata.temperature)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_weights_are_fitted_to_the_validation_actors_alone(
    late: FitReport, fitted: Path, small_store: Path
) -> None:
    network, metadata = load_checkpoint(late.checkpoint)
    again, _ = load_checkpoint(late.checkpoint)
    store = FeatureStore(small_store)
    names = names_of(network.inputs)
    again.fit_pooling([clip_batch(store, names, metadata.split.validation)])
    torch.testing.assert_close(again.weights, network.weights, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(again.temperatures, network.temperatures, rtol=1e-4, atol=0.0)
    again.fit_pooling([clip_batch(store, names, metadata.split.test)])
    assert not torch.equal(again.temperatures, network.temperatures)


def test_a_file_gets_the_answer_of_the_store(
    late: FitReport, small_store: Path, small_corpus: Path, tmp_path: Path
) -> None:
    """By torch, and exported; and the page's parts, from the face and from the voice."""
    store = FeatureStore(small_store)
    network, metadata = load_checkpoint(late.checkpoint)
    row = store.rows[5]
    batch = ClipDataset(store, [row], names_of(network.inputs))[[(0, 0)]]
    stored = probabilities(network, batch, metadata.temperature)[0]
    report = avemotion.export(late.checkpoint, tmp_path / "late.onnx")
    assert report.largest_difference is not None and report.largest_difference < 1e-4
    for model in (late.checkpoint, report.file):
        classifier = avemotion.Classifier(model)
        found = classifier.classify(small_corpus / row.video_file, parts=True)
        asked = [found.probabilities[label] for label in store.labels]
        assert found.modality == "av" and found.parts.keys() == {"video", "audio"}
        if row.audio_file == row.video_file:
            np.testing.assert_allclose(asked, stored, atol=1e-4)
        sound = classifier.classify(small_corpus / row.audio_file)
        assert sound.modality == "audio"
    alone = replace(batch, present=batch.present | {"video": torch.tensor([False])})
    wanted = probabilities(network, alone, metadata.temperature)[0]
    found = [sound.probabilities[label] for label in store.labels]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_card_names_the_members(late: FitReport) -> None:
    card = (late.checkpoint.parent / "model_card.md").read_text()
    assert "It pools the answers of 3 members" in card
    network, _ = load_checkpoint(late.checkpoint)
    face = network.pooled()[0]
    assert face.by_kind.keys() == {"av", "video"}
    temperature, weight = face.by_kind["video"]
    assert f"| {round(temperature, 2)} | {round(weight, 2)} | | |" in card
    assert "fitted temperatures and weights, and chose the members' epochs" in card
    assert "fit --data FEATURES --model late --members MEMBER-1,MEMBER-2,MEMBER-3\n" in card
    assert "late.members" not in card


def test_the_same_command_again_is_done_at_once(
    late: FitReport, fitted: Path, small_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = late.checkpoint.parent
    words = ["fit", "--data", str(small_store), "--model", "late", "--out", str(run), "--members"]
    members = [str(fitted / "ar5" / m) for m in MODALITIES]
    assert main([*words, ",".join(members)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("This run was finished before; nothing was trained.\n")
    assert "late/av: members trained on 2 actors, their weights fitted on 1 validation" in printed
    assert main([*words, ",".join(members[:2])]) == 2
    assert "holds a run with other settings" in capsys.readouterr().err


def test_members_of_other_bytes_are_another_run(
    late: FitReport, changed: Changed, fitted: Path, small_store: Path
) -> None:
    other = changed("audio", {"epoch": 2, "scores": {"val_accuracy": 0.5}})
    members = (fitted / "ar5/video", other, fitted / "ar5/av")
    with pytest.raises(UsageError, match="(?s)other settings.*members: "):
        avemotion.fit(
            data=small_store, model="late", members=members, out=late.checkpoint.parent,
            progress=False,
        )  # fmt: skip


@pytest.fixture
def changed(fitted: Path, tmp_path: Path) -> Changed:
    """A copy of a run, whose checkpoint says something else of itself."""

    def change(modality: str, values: dict[str, Any]) -> Path:
        run = Path(shutil.copytree(fitted / "ar5" / modality, tmp_path / f"other-{modality}"))
        network, metadata = load_checkpoint(run / "checkpoint.safetensors")
        save_checkpoint(run / "checkpoint.safetensors", network, replace(metadata, **values))
        return run

    return change


def pooled(store: Path, out: Path, *members: Path) -> CheckpointMetadata:
    return avemotion.fit(
        data=store, model="late", members=members, out=out / "late", progress=False
    ).metadata


NOBODY: Split = Split(("1001", "1002", "1003"), (), ("1004",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"split": NOBODY}, "has no validation actors, on which temperatures and weights"),
        ({"corpus": "ravdess"}, "learned from ravdess with 48 clips, but .* is crema_d with 48"),
        ({"corpus_clips": 47}, "learned from crema_d with 47 clips"),
        ({"synthetic": None}, "trained on a store with other origin"),
        ({"task": Task(("anger", "joy"))}, "trained on a store with other labels"),
        ({"task": Task(("a", "b"), ("AU1",))}, r"learned action units \(AU1\)"),
    ],
)
def test_members_that_do_not_fit_are_refused(
    values: dict[str, Any], message: str, changed: Changed, fitted: Path, small_store: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    with pytest.raises(UsageError, match=message):
        pooled(small_store, tmp_path, fitted / "ar5/video", changed("audio", values))
    assert not (tmp_path / "late").exists()


def test_people_who_are_held_out_from_one_must_be_from_all(
    changed: Changed, fitted: Path, small_store: Path, tmp_path: Path
) -> None:
    _, metadata = load_checkpoint(fitted / "ar5/audio" / "checkpoint.safetensors")
    split = metadata.split
    for train, validation in ((split.train + split.test, split.validation), ((), split.test)):
        everyone = {*split.train, *split.validation, *split.test}
        rest = tuple(sorted(everyone - {*validation})) if not train else train
        other = replace(split, train=rest, validation=validation, test=())
        run = changed("audio", {"split": other})
        with pytest.raises(UsageError, match=f"learned from {split.test[0]}, held out from"):
            pooled(small_store, tmp_path, fitted / "ar5/video", run)
        shutil.rmtree(run)


def test_who_trained_one_member_validates_none(
    changed: Changed, fitted: Path, small_store: Path, tmp_path: Path
) -> None:
    _, metadata = load_checkpoint(fitted / "ar5/audio" / "checkpoint.safetensors")
    split = metadata.split
    swapped = replace(split, train=(split.train[0], *split.validation), validation=split.train[1:])
    run = changed("audio", {"split": swapped})
    with pytest.raises(UsageError, match="have no validation actor in common"):
        pooled(small_store, tmp_path, fitted / "ar5/video", run)
    wider = replace(split, train=split.train[:1], validation=split.validation + split.train[1:])
    shutil.rmtree(run)
    run = changed("audio", {"split": wider})
    found = pooled(small_store, tmp_path, fitted / "ar5/video", run)
    assert found.split == split  # who trained the face, and validated the voice, has trained


def test_runs_that_cannot_be_members_are_refused(
    fitted: Path, small_store: Path, tmp_path: Path, late: FitReport
) -> None:
    face, voice = fitted / "ar5/video", fitted / "ar5/audio"
    run = Path(shutil.copytree(voice, tmp_path / "voice"))
    content = json.loads((run / "run.json").read_text())
    for key, value, message in (
        ("finished", False, "was interrupted. Finish it"),
        ("data", "0" * 64, "was trained on other data than"),
    ):
        (run / "run.json").write_text(json.dumps(content | {key: value}))
        with pytest.raises(UsageError, match=message):
            pooled(small_store, tmp_path, face, run)
    with pytest.raises(UsageError, match="twice, or a copy of it"):
        pooled(small_store, tmp_path, face, face / "checkpoint.safetensors")
    with pytest.raises(UsageError, match="No checkpoint at"):
        pooled(small_store, tmp_path, face, tmp_path / "nothing")
    with pytest.raises(UsageError, match="late/av cannot be a member of late"):
        pooled(small_store, tmp_path, face, late.checkpoint.parent)
    with pytest.raises(UsageError, match="late has one member"):
        pooled(small_store, tmp_path, face)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"model": "ar5"}, "--members names trained models to pool, but --model is ar5"),
        ({"model": None}, "but --model is ar5"),
        ({"training": TrainingSettings(epochs=3)}, "late trains nothing"),
        ({"modality": "video"}, "late of these members reads av"),
        ({"members": ()}, "late pools trained models. Name the folders"),
        ({"init": "avemotion-1"}, "--init gives weights to begin with, but late takes those of"),
    ],
)
def test_what_does_not_go_with_members_is_refused(
    asked: dict[str, Any], message: str, fitted: Path, small_store: Path, tmp_path: Path
) -> None:
    members = (fitted / "ar5/video", fitted / "ar5/audio")
    words = {"data": small_store, "model": "late", "members": members, "out": tmp_path / "late"}
    with pytest.raises(UsageError, match=message):
        avemotion.fit(**words | asked, progress=False)
    assert not (tmp_path / "late").exists()


def test_members_are_named_once(fitted: Path, small_store: Path, tmp_path: Path) -> None:
    members = (fitted / "ar5/video", fitted / "ar5/audio")
    with pytest.raises(UsageError, match="Both --members and --late.members name the members"):
        avemotion.fit(
            data=small_store, model="late", members=members, out=tmp_path,
            settings=Members.of(members).settings, progress=False,
        )  # fmt: skip


def test_what_members_began_with_is_kept(
    changed: Changed, fitted: Path, small_store: Path, tmp_path: Path
) -> None:
    _, metadata = load_checkpoint(fitted / "ar5/audio" / "checkpoint.safetensors")
    before = Origin("ar5/av", "f" * 64, "crema_d", 9, True, Split(("1009",), (), ()), ())
    run = changed("audio", {"initialised_from": (before,)})
    found = pooled(small_store, tmp_path, fitted / "ar5/video", run)
    assert found.initialised_from == (before,)
    card = (tmp_path / "late" / "model_card.md").read_text()
    assert "Among what members began with are the weights of ar5" in card
    assert "need --init, too" in card
