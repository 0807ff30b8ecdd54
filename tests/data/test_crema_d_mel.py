"""CREMA-D's voices from a table of mel spectrograms, and the network that reads them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from voices_maker import invented, run, write, write_voices

import avemotion
from avemotion.config import ExperimentSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.data.task import Task
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.registry import create


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voices(tmp_path_factory.mktemp("mel") / "table")


@pytest.fixture(scope="module")
def store(table: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    crema = tmp_path_factory.mktemp("crema")
    (crema / "VideoDemographics.csv").write_text(
        "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,Not Hispanic\n"
    )
    out = tmp_path_factory.mktemp("voices") / "features"
    done = run(table, "--crema", crema, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "145 clips" in done.stdout and "left out: 1076_MTI_SAD_XX" in done.stdout
    return FeatureStore(out)


def test_the_store_holds_the_table(store: FeatureStore) -> None:
    assert store.info["corpus"] == "crema_d" and store.info["clips"] == 145
    rows = {row.clip: row for row in store.rows}
    assert (
        rows["1001_DFA_ANG_XX"].emotion == "anger" and rows["1076_MTI_SAD_XX"].status == "excluded"
    )
    image = invented("ANG", 0)
    found = store.read(rows["1001_DFA_ANG_XX"], "mel")
    np.testing.assert_array_equal(found, image / 2)
    heard = np.flatnonzero(image.any(axis=0))[-1] + 1
    assert store.read(rows["1001_DFA_ANG_XX"], "mel_lengths") == heard
    assert store.demographics()["1001"]["Sex"] == "Male"
    store.check_shards(progress=False)


def test_an_interrupted_run_goes_on(table: Path, store: FeatureStore, tmp_path: Path) -> None:
    assert run(table, "--out", tmp_path / "f").returncode == 0
    again = run(table, "--out", tmp_path / "f")
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("names", "images", "message"),
    [
        (["1001_DFA_ANG_XX"], np.zeros((2, 128, 130), np.uint8), "1 names, but uint8 of the shape"),
        (["1001_DFA_ANG_XX"], np.zeros((1, 64, 130), np.uint8), "of the shape"),
        (["1001_DFA_ANG_XX"], np.zeros((1, 128, 130), np.float32), "float32 of the shape"),
        (["holiday"], np.zeros((1, 128, 130), np.uint8), "'holiday'.*is no clip of CREMA-D"),
    ],
)
def test_a_table_that_does_not_fit(
    names: list[str], images: np.ndarray, message: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "t", names, images)
    done = run(folder, "--out", tmp_path / "f")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert re.search(message, done.stderr), done.stderr
    (folder / "mel_half_db_diff.npy.xz").write_bytes(b"no archive")
    assert "cannot be read" in run(folder, "--out", tmp_path / "g").stderr


def batch(images: np.ndarray, lengths: list[int]) -> Batch:
    clips = len(images)
    return Batch(
        inputs={"mel": torch.from_numpy(images)},
        lengths={"mel": torch.tensor(lengths)},
        present={"video": torch.zeros(clips, dtype=torch.bool),
                 "audio": torch.ones(clips, dtype=torch.bool)},
    )  # fmt: skip


def test_neither_silence_before_the_voice_nor_noise_below_it_is_heard() -> None:
    torch.manual_seed(0)
    network = create(Task(tuple("abcdef")), ExperimentSettings("stimme", "audio", {})).eval()
    rng = np.random.default_rng(0)
    voice = np.zeros((1, 128, 130), np.float32)
    voice[0, 20:60, :70] = rng.uniform(45, 80, (40, 70))
    late = np.roll(voice, 25, axis=2)
    noisy = np.maximum(late, rng.uniform(0, 39, late.shape).astype(np.float32))
    with torch.inference_mode():
        found = [
            network(network.read(batch(image, [length])))
            for image, length in ((voice, 70), (late, 95), (noisy, 95))
        ]
        other = network(network.read(batch(np.flip(voice, axis=1).copy(), [70])))
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])
    assert not torch.allclose(found[0], other)


def test_it_tells_voices_of_people_it_has_not_heard_apart(
    store: FeatureStore, tmp_path: Path
) -> None:
    training = TrainingSettings(
        epochs=8, batch_size=8, holdout=0.34, validation=0.0, early_stopping=False, mixup=0.0,
        label_smoothing=0.0, learning_rate=5e-3, precision="float32",
    )  # fmt: skip
    report = avemotion.fit(
        data=store.directory, model="stimme", modality="audio", out=tmp_path / "run",
        training=training, progress=False,
    )  # fmt: skip
    network, metadata = load_checkpoint(report.checkpoint)
    unseen = [row for row in store.usable("audio") if row.actor in metadata.split.test]
    clips = ClipDataset(store, unseen, ["mel"])[[(i, 0) for i in range(len(unseen))]]
    answers = probabilities(network, clips).argmax(axis=1)
    assert (answers == clips.targets.numpy()).mean() > 0.8
    exported = avemotion.export(tmp_path / "run", tmp_path / "voice.onnx")
    assert exported.largest_difference is None or exported.largest_difference < 1e-4
