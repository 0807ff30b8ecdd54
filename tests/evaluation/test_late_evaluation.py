"""An evaluation of late fusion: members are trained anew in each fold, on its people alone."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_faces import drawn_store

import avemotion
from avemotion.cli import main
from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.dataset import ClipDataset
from avemotion.data.splits import five_folds
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.evaluation.cross_validation import FoldTask, run_fold
from avemotion.evaluation.predictions import read_metadata
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.classical import NaiveBayes, NearestNeighbours
from avemotion.models.registry import with_settings
from avemotion.training.members import Members

TRAINING = TrainingSettings(holdout=0.2, validation=0.3)
NAMES = ("knn", "naive_bayes")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return drawn_store(tmp_path_factory.mktemp("drawn") / "features")


@pytest.fixture(scope="module")
def members(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    runs = tmp_path_factory.mktemp("members")
    for name in NAMES:
        avemotion.fit(
            data=store.directory, model=name, modality="video", out=runs / name,
            training=TRAINING, progress=False,
        )  # fmt: skip
    return tuple(runs / name for name in NAMES)


def fold_tasks(store: FeatureStore, members: tuple[Path, ...], out: Path) -> list[FoldTask]:
    plain = ExperimentSettings("late", "video", training=TrainingSettings(validation=0.3))
    experiment = with_settings(plain, Members.of(members).settings)
    return [
        FoldTask(
            store.directory, out, fold, experiment,
            frozenset(row.clip for row in fold.tested(store.rows)), False,
        )
        for fold in five_folds(store.rows)[:2]
    ]  # fmt: skip


def test_no_member_learns_from_people_who_validate_or_are_tested(
    store: FeatureStore, members: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[set[str]] = []
    for kind in (NearestNeighbours, NaiveBayes):
        original = kind.learn_clips

        def watched(self: Any, clips: Any, actors: Any, learn: Any = original) -> None:
            learned.append(set(actors))
            learn(self, clips, actors)

        monkeypatch.setattr(kind, "learn_clips", watched)
    clips = ClipDataset(store, store.rows, ["image"])[[(i, 0) for i in range(40)]]
    for task in fold_tasks(store, members, tmp_path):
        learned.clear()
        run_fold(task)
        network, metadata = load_checkpoint(task.run / "checkpoint.safetensors")
        split = metadata.split
        assert split.test == task.fold.test and split.validation and metadata.temperature
        assert learned == [set(split.train)] * 2
        assert not set(split.train) & {*split.validation, *split.test}
        for number, name in enumerate(NAMES, 1):
            run = task.run / "members" / f"{number}-{name}-video"
            own, theirs = load_checkpoint(run / "checkpoint.safetensors")
            assert theirs.split == split
            mine = network.members[number - 1]
            assert torch.equal(mine(mine.read(clips)), own(own.read(clips)))
        assert task.predictions.exists()
        learned.clear()
        task.predictions.unlink()  # interrupted there: nothing is trained again
        run_fold(task)
        assert not learned


def test_late_and_a_member_are_compared_on_the_same_clips(
    store: FeatureStore,
    members: tuple[Path, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And the command that the report shows repeats it, without the members' runs."""
    out = tmp_path / "compared"
    results = avemotion.evaluate(
        data=store.directory, protocol="5fold", models=("knn", "late"), modalities=("video",),
        members=members, robustness=False, jobs=1, out=out, progress=False,
    )  # fmt: skip
    assert set(results.scores) == {"knn/video", "late/video"}
    metadata = read_metadata(out)
    assert [one["model"] for one in metadata["models"]["late"]["members"]] == list(NAMES)
    words = shlex.split(metadata["command"])
    assert words[:2] == ["avemotion", "evaluate"] and "--members" not in words
    before = {p: p.stat().st_mtime_ns for p in (out / "folds").rglob("*.csv")}
    assert main(words[1:]) == 0  # goes on in the same folder: the folds are the same
    assert {p: p.stat().st_mtime_ns for p in (out / "folds").rglob("*.csv")} == before
    assert "late/video" in capsys.readouterr().out
    assert "genest1986combining" in avemotion.cite(out)


def test_what_no_late_is_asked_for_is_refused(
    store: FeatureStore, members: tuple[Path, ...], tmp_path: Path
) -> None:
    def evaluate(**asked: Any) -> None:
        words: dict[str, Any] = {"protocol": "5fold", "models": ("late",), "members": members}
        avemotion.evaluate(
            data=store.directory, out=tmp_path / "refused", progress=False, robustness=False,
            **words | asked,
        )  # fmt: skip

    for asked, message in (
        ({"models": ("knn",)}, "--members names the members of late, but --models is knn"),
        ({"members": ()}, "late pools trained models, but none is named"),
        ({"protocol": "holdout"}, "--protocol holdout trains nothing"),
        ({"settings": {"late": Members.of(members).settings}}, "Both --members and --late.members"),
        ({"modalities": ("audio",)}, "None of the models late reads audio"),
        (
            {"training": TrainingSettings(validation=0.0, early_stopping=False)},
            "late fits temperatures and weights on validation actors",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            evaluate(**asked)
    assert not (tmp_path / "refused").exists()


def test_held_out_actors_are_tested_with_the_checkpoint(
    store: FeatureStore, members: tuple[Path, ...], tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    avemotion.fit(
        data=store.directory, model="late", members=members, out=runs / "late" / "video",
        progress=False,
    )  # fmt: skip
    results = avemotion.evaluate(
        data=store.directory, runs=runs, robustness=False, out=tmp_path / "held", progress=False
    )
    assert set(results.scores) == {"late/video"}
    with pytest.raises(UsageError, match="late cannot be exported to ONNX, since "):
        avemotion.export(runs / "late" / "video", tmp_path / "x.onnx")
