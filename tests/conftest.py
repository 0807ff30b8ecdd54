import os
import subprocess
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: see avemotion.cli
from pathlib import Path

import hypothesis
import pytest

import avemotion
from avemotion.config import PreprocessSettings, TrainingSettings

hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")  # a busy machine is no failure


def pytest_configure() -> None:
    """Give each of xdist's workers one core: every command starts a process a core by default."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder that holds ``crema-d/``, a real checkout, whole or partial."""
    where = os.environ.get("AVEMOTION_TEST_DATA")
    if not where:
        pytest.skip("AVEMOTION_TEST_DATA is not set: give the folder that holds crema-d/")
    folder = Path(where)
    if not (folder / "crema-d").is_dir():
        pytest.fail(f"AVEMOTION_TEST_DATA is {where}, but that folder holds no crema-d/")
    return folder


@pytest.fixture(scope="session")
def crema_d(test_data: Path) -> Path:
    return test_data / "crema-d"


@pytest.fixture(scope="session")
def real_videos(crema_d: Path) -> list[Path]:
    videos = sorted((crema_d / "VideoFlash").glob("*.flv"))[:6]
    assert videos
    return videos


@pytest.fixture(scope="session")
def real_sounds(crema_d: Path) -> list[Path]:
    return sorted((crema_d / "AudioWAV").glob("*.wav"))


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic corpus of 4 actors with 12 clips each."""
    folder = tmp_path_factory.mktemp("corpus") / "crema"
    avemotion.synth(folder, actors=4, clips_per_actor=12, progress=False)
    return folder


@pytest.fixture(scope="session")
def small_store(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its feature store, with two views."""
    folder = tmp_path_factory.mktemp("store") / "features"
    settings = PreprocessSettings(views=2)
    avemotion.preprocess(small_corpus, out=folder, settings=settings, progress=False)
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a run of each of network_maker's experiments: its checkpoint, and its export."""
    from network_maker import EXPERIMENTS, metadata_of, untrained

    from avemotion.models.checkpoint import save_checkpoint

    folder = tmp_path_factory.mktemp("exported")
    for name, experiment in EXPERIMENTS.items():
        run = folder / name
        run.mkdir()
        save_checkpoint(
            run / "checkpoint.safetensors", untrained(experiment), metadata_of(experiment)
        )
        if name == "av":  # the command itself, in a process of its own: what it prints, too
            words = ["export", str(run), str(run / "checkpoint.onnx")]
            command = [sys.executable, "-m", "avemotion", *words]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0 and done.stderr == "", done.stderr
            assert "answers from av, video, audio" in done.stdout and "SYNTHETIC" in done.stdout
        else:
            (run / "checkpoint.onnx").write_text("an older file of this name is replaced")
            avemotion.export(run, run / "checkpoint.onnx")
        assert {path.name for path in run.iterdir()} == {
            "checkpoint.safetensors",
            "checkpoint.onnx",
        }
    return folder


QUICK = TrainingSettings(epochs=2, batch_size=16, holdout=0.25)
"""Training that takes seconds: enough to see that it works, not to learn."""


@pytest.fixture(scope="session")
def fitted(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder `runs` with a finished run of each modality."""
    runs = tmp_path_factory.mktemp("fitted") / "runs"
    for modality in ("av", "video", "audio"):
        avemotion.fit(
            data=small_store,
            modality=modality,
            out=runs / "ar5" / modality,
            training=QUICK,
            progress=False,
        )
    return runs
