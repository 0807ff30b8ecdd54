"""`fit`: what it leaves behind, who trains, interruption, refusals."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import QUICK
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import avemotion
from avemotion.config import ExperimentSettings, NetworkSettings, TrainingSettings
from avemotion.data.dataset import ClipDataset, EpochSampler, batches
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.files import claimed
from avemotion.models.ar5 import AR5
from avemotion.models.checkpoint import load_checkpoint
from avemotion.training.lightning_module import EmotionModule, validation_scores
from avemotion.training.trainer import uses_bfloat16


def test_a_run_leaves_checkpoint_metrics_and_curves(fitted: Path) -> None:
    run = fitted / "av"
    assert sorted(p.name for p in run.iterdir() if p.name != ".lock") == [
        "checkpoint.safetensors", "curves.png", "metrics.csv", "model_card.md", "run.json",
    ]  # fmt: skip
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["val_uar"]) <= 1 for row in rows)
    assert all(float(row["train_loss"]) > 0 for row in rows)
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((run / "run.json").read_text())["finished"]
    assert (fitted / "latest").resolve() == (fitted / "audio").resolve()


def test_the_checkpoint_carries_all_that_is_needed(fitted: Path, small_store: Path) -> None:
    _, metadata = load_checkpoint(fitted / "av" / "checkpoint.safetensors")
    store = FeatureStore(small_store)
    assert metadata.labels == store.labels
    assert metadata.preprocessing == store.settings
    assert metadata.experiment == ExperimentSettings("av", NetworkSettings(), QUICK)
    assert metadata.answers == ("av", "video", "audio")
    assert metadata.synthetic is not None
    split = metadata.split
    parts = [set(split.train), set(split.validation), set(split.test)]
    assert all(parts) and set.union(*parts) == {row.actor for row in store.rows}
    assert sum(map(len, parts)) == 4


def test_modalities_keep_the_same_actors_away(fitted: Path) -> None:
    splits = [load_checkpoint(fitted / m / "checkpoint.safetensors")[1].split
              for m in ("av", "video", "audio")]  # fmt: skip
    assert splits[0].test == splits[1].test == splits[2].test != ()


def test_the_kept_epoch_is_the_best_on_the_validation_actors(fitted: Path) -> None:
    for modality in ("av", "video", "audio"):
        with (fitted / modality / "metrics.csv").open(newline="") as file:
            losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
        _, metadata = load_checkpoint(fitted / modality / "checkpoint.safetensors")
        assert metadata.epoch == losses.index(min(losses)) + 1
        assert metadata.scores["val_loss"] == pytest.approx(min(losses))


def test_a_finished_run_is_not_trained_again(fitted: Path, small_store: Path) -> None:
    checkpoint = fitted / "video" / "checkpoint.safetensors"
    before = checkpoint.stat().st_mtime_ns
    report = avemotion.fit(
        data=small_store, modality="video", out=fitted / "video", training=QUICK, progress=False
    )
    assert report.was_finished
    assert checkpoint.stat().st_mtime_ns == before


def test_a_folder_with_another_run_is_refused(fitted: Path, small_store: Path) -> None:
    other = dataclasses.replace(QUICK, learning_rate=0.5)
    with pytest.raises(UsageError, match=r"learning_rate: 0\.002 -> 0\.5"):
        avemotion.fit(data=small_store, modality="av", out=fitted / "av", training=other)
    with pytest.raises(UsageError, match="modality: 'av' -> 'audio'"):
        avemotion.fit(data=small_store, modality="audio", out=fitted / "av", training=QUICK)


FIT = """
import sys
from pathlib import Path
import avemotion
from avemotion.config import TrainingSettings
training = TrainingSettings(epochs=30, patience=30, batch_size=8, holdout=0.25)
data, out = map(Path, sys.argv[1:])
avemotion.fit(data=data, modality="audio", out=out, training=training, progress=False)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_ends_like_an_undisturbed_one(
    how: signal.Signals, small_store: Path, tmp_path: Path
) -> None:
    def start(out: Path) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", FIT, str(small_store), str(out)]
        return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)

    undisturbed, disturbed = tmp_path / "a", tmp_path / "b"
    assert start(undisturbed).wait() == 0

    process = start(disturbed)
    deadline = time.monotonic() + 120
    while not (disturbed / "state" / "last.ckpt").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, how)
    assert process.wait() != 0
    if how == signal.SIGINT:  # Lightning would end the process itself
        assert "KeyboardInterrupt" in process.stderr.read()
    # What is there now can be used.
    _, metadata = load_checkpoint(disturbed / "checkpoint.safetensors")
    assert 1 <= metadata.epoch < 30
    assert not json.loads((disturbed / "run.json").read_text())["finished"]

    assert start(disturbed).wait() == 0
    for name in ("metrics.csv", "model_card.md"):
        assert (disturbed / name).read_text() == (undisturbed / name).read_text()
    ours = load_file(disturbed / "checkpoint.safetensors")
    theirs = load_file(undisturbed / "checkpoint.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not (disturbed / "state").exists()


STOPS_EARLY = dataclasses.replace(
    QUICK, epochs=30, patience=2, learning_rate=50.0, schedule="constant"
)
"""With a huge learning rate nothing gets better: after `patience` epochs it ends."""


@pytest.mark.parametrize("training", [QUICK, STOPS_EARLY], ids=["all epochs", "stopped early"])
def test_a_run_stopped_after_training_is_not_trained_again(
    small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, training: TrainingSettings
) -> None:
    run = tmp_path / "run"
    words = {"data": small_store, "modality": "audio", "out": run, "training": training}
    with monkeypatch.context() as patch:
        patch.setattr("avemotion.training.fit.draw_curves", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            avemotion.fit(**words, progress=False)
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    before = checkpoint.stat().st_mtime_ns, (run / "metrics.csv").read_bytes()
    avemotion.fit(**words, progress=False)
    assert (checkpoint.stat().st_mtime_ns, (run / "metrics.csv").read_bytes()) == before
    assert not (tmp_path / "run" / "state").exists()


def test_ctrl_c_is_exit_code_130_and_says_how_to_go_on(small_store: Path, tmp_path: Path) -> None:
    words = ["--data", small_store, "--modality", "audio", "--out", tmp_path / "run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "avemotion", "fit", *map(str, words), "--training.batch_size", "4"],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "state" / "last.ckpt").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert err.rstrip().endswith("The same command goes on where it stopped.")


def test_a_damaged_run_is_named(small_store: Path, tmp_path: Path) -> None:
    for content in ("{", "[]", "{}"):
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(UsageError, match="damaged|other data"):
            avemotion.fit(data=small_store, modality="audio", out=tmp_path, training=QUICK)


def test_two_runs_in_one_folder_are_refused(small_store: Path, tmp_path: Path) -> None:
    with claimed(tmp_path), pytest.raises(UsageError, match="another run"):
        avemotion.fit(data=small_store, modality="audio", out=tmp_path, training=QUICK)


def test_latest_never_points_to_itself(fitted: Path, small_store: Path) -> None:
    latest = fitted / "latest"
    before = latest.resolve()
    report = avemotion.fit(
        data=small_store, modality=before.name, out=latest, training=QUICK, progress=False
    )
    assert report.was_finished and latest.resolve() == before


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 1}, {"modality_dropout": 0.6}, {"holdout": 0.8}, {"epochs": 0}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        TrainingSettings(**wrong)


@pytest.mark.parametrize(
    ("processor", "expected"),
    [({"avx512_bf16": True}, True), ({"amx_tile": True}, True), ({"avx512_f": True}, False),
     ({"neon": True, "bf16": True}, False)],
)  # fmt: skip
def test_bfloat16_is_chosen_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, processor: dict[str, bool], expected: bool
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: processor)
    assert uses_bfloat16(TrainingSettings()) == expected
    assert uses_bfloat16(TrainingSettings(precision="bfloat16"))
    assert not uses_bfloat16(TrainingSettings(precision="float32"))


def test_early_stopping_stops(small_store: Path, tmp_path: Path) -> None:
    report = avemotion.fit(
        data=small_store,
        modality="audio",
        out=tmp_path / "run",
        training=STOPS_EARLY,
        progress=False,
    )
    epochs = len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) - 1
    assert epochs == report.metadata.epoch + 2 < 30


def test_clamped_weights_stay_within_the_interval(small_store: Path, tmp_path: Path) -> None:
    training = dataclasses.replace(QUICK, epochs=1, clamp_weights=0.02)
    avemotion.fit(
        data=small_store, modality="audio", out=tmp_path / "run", training=training, progress=False
    )
    network, _ = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    assert max(float(p.abs().max()) for p in network.parameters()) <= 0.02 + 1e-6


def test_without_validation_the_last_epoch_is_kept(small_store: Path, tmp_path: Path) -> None:
    training = dataclasses.replace(QUICK, validation=0.0, early_stopping=False)
    report = avemotion.fit(
        data=small_store, modality="audio", out=tmp_path / "run", training=training, progress=False
    )
    assert report.metadata.epoch == 2 and report.metadata.scores == {}
    assert report.metadata.split.validation == ()


def test_a_network_learns_ten_clips_by_heart(small_store: Path) -> None:
    store = FeatureStore(small_store)
    plain = TrainingSettings(
        mixup=0, label_smoothing=0, modality_dropout=0, spectrogram_masking=False, mirror=False,
        rotation_degrees=0, scale=0, shift=0, pixel_noise=0,
    )  # fmt: skip
    experiment = ExperimentSettings("av", NetworkSettings(dropout=0), plain)
    torch.manual_seed(0)
    batch = ClipDataset(store, store.rows[:10], experiment)[[(i, 0) for i in range(10)]]
    network = AR5("av", 6, experiment.network).to(memory_format=torch.channels_last)
    module = EmotionModule(network, experiment, 6)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(25):
        loss = module.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_validation_scores_closed_form() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 0.0]])
    scores = validation_scores(logits, torch.tensor([0, 1, 1, 0]))
    assert float(scores["val_accuracy"]) == pytest.approx(3 / 4)
    assert float(scores["val_uar"]) == pytest.approx((2 / 2 + 1 / 2) / 2)
    near_zero = torch.log1p(torch.exp(torch.tensor(-9.0)))
    expected = (torch.log(torch.tensor(2.0)) + 9 + 3 * near_zero) / 4
    assert float(scores["val_loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_views_are_drawn_in_training_only(small_store: Path) -> None:
    store = FeatureStore(small_store)
    row = store.rows[0]
    experiment = ExperimentSettings("av")
    stored = torch.from_numpy(store.read(row, "faces"))
    assert not torch.equal(stored[0], stored[1])
    dataset = ClipDataset(store, [row], experiment)
    training, plain = batches(dataset, 4, seed=0), batches(dataset, 4)
    drawn = set()
    for epoch in range(20):
        training.sampler.set_epoch(epoch)
        drawn |= {batch.faces[0].numpy().tobytes() for batch in training}
        assert all(torch.equal(batch.faces[0], stored[0]) for batch in plain)
    assert drawn == {stored[view].numpy().tobytes() for view in (0, 1)}


@pytest.mark.parametrize(("size", "batch_size"), [(10, 4), (9, 4), (1, 4), (8, 4), (5, 1)])
def test_every_clip_comes_once_an_epoch_and_never_alone(size: int, batch_size: int) -> None:
    sampler = EpochSampler(size, 3, batch_size, seed=0)
    first = list(sampler)
    assert len(first) == len(sampler)
    assert sorted(i for batch in first for i, _ in batch) == list(range(size))
    assert {view for batch in first for _, view in batch} <= {0, 1, 2}
    if size > 1 and batch_size > 1:
        assert min(map(len, first)) > 1  # batch norm cannot work on one clip
    sampler.set_epoch(1)
    if size > 4:
        assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first


class TestUnreadableCheckpoints:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="No checkpoint"):
            load_checkpoint(tmp_path / "none.safetensors")

    def test_a_pickle_is_never_executed(self, tmp_path: Path) -> None:
        class Bomb:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.mkdir, (str(tmp_path / "executed"),)

        torch.save(Bomb(), tmp_path / "bomb.safetensors")
        with pytest.raises(UsageError, match="not a checkpoint of avemotion"):
            load_checkpoint(tmp_path / "bomb.safetensors")
        assert not (tmp_path / "executed").exists()

    def test_of_another_kind(self, tmp_path: Path) -> None:
        save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
        with pytest.raises(UsageError, match="another kind .unmarked"):
            load_checkpoint(tmp_path / "other.safetensors")

    def test_of_version_0_1(self, tmp_path: Path) -> None:
        header = {"kind": "avemotion/ar5/1", "facts": '{"labels": ["neutral"], "version": "0.1.0"}'}
        save_file({"audio.deviation": torch.ones(64, 1)}, tmp_path / "old.safetensors", header)
        with pytest.raises(UsageError, match=r"by avemotion 0\.1.* anew with `avemotion fit`"):
            load_checkpoint(tmp_path / "old.safetensors")

    def test_truncated(self, fitted: Path, tmp_path: Path) -> None:
        whole = (fitted / "audio" / "checkpoint.safetensors").read_bytes()
        (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UsageError, match="not a checkpoint of avemotion"):
            load_checkpoint(tmp_path / "half.safetensors")

    def test_with_weights_of_another_size(self, fitted: Path, tmp_path: Path) -> None:
        path = fitted / "audio" / "checkpoint.safetensors"
        weights = load_file(path)
        with safe_open(path, "pt") as file:
            header = file.metadata()
        name = "classifier.0.weight"
        save_file(weights | {name: weights[name][:5].clone()}, tmp_path / "x.safetensors", header)
        with pytest.raises(UsageError, match="damaged"):
            load_checkpoint(tmp_path / "x.safetensors")
