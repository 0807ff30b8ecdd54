"""`fit`: what it leaves behind, who trains, interruption, refusals."""

import csv
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from conftest import QUICK
from network_maker import experiment_of
from safetensors.torch import load_file

import avemotion
from avemotion.cli.text_output import fit_text
from avemotion.config import TrainingSettings
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.files import claimed
from avemotion.models.base import probabilities
from avemotion.models.calibration import fit_temperature
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.inputs import names_of
from avemotion.training.lightning_module import EmotionModule
from avemotion.training.precision import uses_bfloat16


def test_a_run_leaves_checkpoint_metrics_and_curves(fitted: Path) -> None:
    run = fitted / "ar5/av"
    assert sorted(p.name for p in run.iterdir() if p.name != ".lock") == [
        "checkpoint.safetensors", "curves.png", "metrics.csv", "model_card.md", "run.json",
    ]  # fmt: skip
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["val_uar"]) <= 1 for row in rows)
    assert all(float(row["train_loss"]) > 0 for row in rows)
    assert all(0 <= float(row["train_accuracy"]) <= 1 for row in rows)
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((run / "run.json").read_text())["finished"]
    assert (fitted / "latest").resolve() == (fitted / "ar5/av").resolve()


def test_the_checkpoint_carries_all_that_is_needed(fitted: Path, small_store: Path) -> None:
    _, metadata = load_checkpoint(fitted / "ar5/av" / "checkpoint.safetensors")
    store = FeatureStore(small_store)
    assert metadata.labels == store.labels
    assert metadata.preprocessing == store.settings
    used = "bfloat16" if uses_bfloat16(QUICK) else "float32"
    training = dataclasses.replace(QUICK, precision=used)
    assert metadata.experiment == dataclasses.replace(experiment_of("av"), training=training)
    assert names_of(metadata.inputs) == ("faces", "log_mel")
    assert metadata.split_versions == {p: version(p) for p in ("numpy", "scikit-learn")}
    assert metadata.answers == ("av", "video", "audio")
    assert metadata.synthetic is not None
    split = metadata.split
    parts = [set(split.train), set(split.validation), set(split.test)]
    assert all(parts) and set.union(*parts) == {row.actor for row in store.rows}
    assert sum(map(len, parts)) == 4


def test_modalities_keep_the_same_actors_away(fitted: Path) -> None:
    splits = [load_checkpoint(fitted / "ar5" / m / "checkpoint.safetensors")[1].split
              for m in ("av", "video", "audio")]  # fmt: skip
    assert splits[0].test == splits[1].test == splits[2].test != ()


def test_the_kept_epoch_is_the_best_on_the_validation_actors(fitted: Path) -> None:
    for modality in ("av", "video", "audio"):
        with (fitted / "ar5" / modality / "metrics.csv").open(newline="") as file:
            losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
        _, metadata = load_checkpoint(fitted / "ar5" / modality / "checkpoint.safetensors")
        assert metadata.epoch == losses.index(min(losses)) + 1
        assert metadata.scores["val_loss"] == pytest.approx(min(losses))


def test_the_temperature_is_fitted_on_the_validation_actors(
    fitted: Path, small_store: Path
) -> None:
    store = FeatureStore(small_store)
    for modality in ("av", "video", "audio"):
        network, metadata = load_checkpoint(fitted / "ar5" / modality / "checkpoint.safetensors")
        rows = [row for row in store.usable(modality) if row.actor in metadata.split.validation]
        batch = ClipDataset(store, rows, names_of(metadata.inputs))[
            [(clip, 0) for clip in range(len(rows))]
        ]
        expected = fit_temperature(probabilities(network, batch), batch.targets.numpy())
        assert metadata.temperature == pytest.approx(expected, rel=1e-3)


def test_a_finished_run_is_not_trained_again(fitted: Path, small_store: Path) -> None:
    checkpoint = fitted / "ar5/video" / "checkpoint.safetensors"
    before = checkpoint.stat().st_mtime_ns
    report = avemotion.fit(
        data=small_store, modality="video", out=fitted / "ar5/video", training=QUICK, progress=False
    )
    assert report.was_finished
    assert checkpoint.stat().st_mtime_ns == before


def test_a_folder_with_another_run_is_refused(fitted: Path, small_store: Path) -> None:
    other = dataclasses.replace(QUICK, learning_rate=0.5)
    with pytest.raises(UsageError, match=r"learning_rate: 0\.002 -> 0\.5"):
        avemotion.fit(data=small_store, modality="av", out=fitted / "ar5/av", training=other)
    with pytest.raises(UsageError, match="modality: 'av' -> 'audio'"):
        avemotion.fit(data=small_store, modality="audio", out=fitted / "ar5/av", training=QUICK)


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
        patch.setattr("avemotion.training.finishing.draw_curves", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            avemotion.fit(**words, progress=False)
    weights, metrics = load_file(run / "checkpoint.safetensors"), (run / "metrics.csv").read_bytes()
    _, metadata = load_checkpoint(run / "checkpoint.safetensors")
    monkeypatch.setattr(EmotionModule, "training_step", lambda *_: 1 / 0)
    assert avemotion.fit(**words, progress=False).metadata == metadata
    again = load_file(run / "checkpoint.safetensors")
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    assert load_checkpoint(run / "checkpoint.safetensors")[1] == metadata
    assert (run / "metrics.csv").read_bytes() == metrics
    assert not (run / "state").exists()


def test_ctrl_c_is_exit_code_130_and_says_how_to_resume(small_store: Path, tmp_path: Path) -> None:
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


def test_latest_is_the_model_for_face_and_voice_that_was_fitted_last(
    fitted: Path, small_store: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"

    def again(modality: str) -> Path:
        """Fit a run of `fitted`, which is finished: its folder is copied."""
        out = runs / "ar5" / modality
        shutil.copytree(fitted / "ar5" / modality, out, dirs_exist_ok=True)
        words = {"data": small_store, "modality": modality, "training": QUICK}
        report = avemotion.fit(**words, out=out, progress=False)
        assert report.was_finished
        assert report.latest == runs / (runs / "latest").readlink()
        stays = f"The latest model stays {report.latest}," in fit_text(report)
        assert stays == (report.latest != out)
        return report.latest

    assert again("audio") == runs / "ar5/audio"  # there is no other
    assert again("video") == runs / "ar5/video"
    assert again("av") == again("audio") == again("video") == runs / "ar5/av"
    (runs / "latest").unlink()
    assert again("audio") == runs / "ar5/av"
    (runs / "ar5" / "av" / "checkpoint.safetensors").unlink()
    (runs / "latest").unlink()
    assert again("audio") == runs / "ar5/audio"


FINISHED = """
import sys
from avemotion.cli import main
code = main(sys.argv[1:])
print("torch" in sys.modules, "sklearn" in sys.modules)
sys.exit(code)
"""


def test_a_finished_run_says_so_without_loading_torch(fitted: Path, small_store: Path) -> None:
    words = ["fit", "--data", small_store, "--out", fitted / "ar5/av", "--training.epochs", "2"]
    words += ["--training.batch_size", "16", "--training.holdout", "0.25"]

    def run(*more: str) -> str:
        command = [sys.executable, "-c", FINISHED, *map(str, words), *more]
        done = subprocess.run(command, capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    out = run()
    expected = avemotion.fit(
        data=small_store, modality="av", out=fitted / "ar5/av", training=QUICK, progress=False
    )
    assert out.startswith("This run was finished before; nothing was trained.\n")
    assert fit_text(expected) in out and out.endswith("False False\n")
    assert "learning_rate: 0.002 -> 0.5" in run("--training.learning_rate", "0.5")


def test_latest_never_points_to_itself(fitted: Path, small_store: Path) -> None:
    latest = fitted / "latest"
    before = latest.resolve()
    report = avemotion.fit(
        data=small_store, modality=before.name, out=latest, training=QUICK, progress=False
    )
    assert report.was_finished and latest.resolve() == before


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
    weights = [p for p in network.parameters() if p.ndim > 1]  # no gains of batch norms
    assert max(float(p.abs().max()) for p in weights) <= 0.02 + 1e-6


def test_without_validation_the_last_epoch_is_kept(small_store: Path, tmp_path: Path) -> None:
    training = dataclasses.replace(QUICK, validation=0.0, early_stopping=False)
    report = avemotion.fit(
        data=small_store, modality="audio", out=tmp_path / "run", training=training, progress=False
    )
    assert report.metadata.epoch == 2 and report.metadata.scores == {}
    assert report.metadata.temperature is None
    assert report.metadata.split.validation == ()
