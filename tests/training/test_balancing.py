"""As many clips of each emotion, against counts by hand and the geometry of SMOTE."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import avemotion
from avemotion.config import TrainingSettings
from avemotion.data.dataset import ClipDataset
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.models.miene import MieneSettings
from avemotion.training.balancing import balanced

COUNTS = {0: 9, 1: 10, 2: 10, 3: 21, 4: 11, 5: 10, 6: 14}
"""Pictures by their number in ``fer2013.csv``; of each, one validates and one tests."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("fer")
    rng = np.random.default_rng(0)
    with (folder / "fer2013.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["emotion", "pixels", "Usage"])
        for code, count in COUNTS.items():
            for n in range(count):
                pixels = rng.integers(0, 256, 48 * 48)
                usage = {0: "PublicTest", 1: "PrivateTest"}.get(n, "Training")
                table.writerow([code, " ".join(map(str, pixels)), usage])
    report = avemotion.preprocess(folder, corpus="fer2013", out=folder / "store", progress=False)
    return FeatureStore(report.store)


def dataset(store: FeatureStore, votes: bool = False) -> ClipDataset:
    return ClipDataset(store, [r for r in store.rows if r.part == "train"], ["image"], votes)


def settings(how: str) -> TrainingSettings:
    return TrainingSettings(balance=how, seed=42)


@pytest.mark.parametrize(("how", "each"), [("oversampling", 19), ("undersampling", 7)])
def test_each_emotion_has_as_many_clips(store: FeatureStore, how: str, each: int) -> None:
    plain = dataset(store)
    found = balanced(plain, settings(how))
    assert torch.bincount(found.targets).tolist() == [each] * 7
    batch = found[[(i, 0) for i in range(len(found))]]
    assert batch.targets.tolist() == found.targets.tolist()
    own = {plain[[(i, 0)]].inputs["image"].numpy().tobytes() for i in range(len(plain))}
    shown = [image.numpy().tobytes() for image in batch.inputs["image"]]
    assert set(shown) <= own
    if how == "oversampling":
        assert set(shown) == own  # none is left out
    else:
        assert len(set(shown)) == len(shown)  # none is repeated


def test_smote_makes_pictures_between_two_of_the_same_emotion(store: FeatureStore) -> None:
    plain = dataset(store)
    found = balanced(plain, settings("smote"))
    assert torch.bincount(found.targets).tolist() == [19] * 7
    own = plain[[(i, 0) for i in range(len(plain))]].inputs["image"].float().flatten(1)
    batch = found[[(i, 0) for i in range(len(found))]]
    assert bool(batch.present["video"].all()) and not bool(batch.present["audio"].any())
    images = batch.inputs["image"].float().flatten(1)
    torch.testing.assert_close(images[: len(plain)], own)
    for image, target in list(zip(images, batch.targets, strict=True))[len(plain) :]:
        alike = own[plain.targets == target]
        # On the segment between two of them: the two distances add up to that of the two.
        away = torch.cdist(image[None], alike)[0]
        apart = torch.cdist(alike, alike)
        detour = (away[:, None] + away[None] - apart)[~torch.eye(len(alike), dtype=torch.bool)]
        assert float(detour.min()) < 6.0  # rounded to whole greys; of other pairs 20 and more


def test_without_resampling_the_dataset_is_left_as_it_is(store: FeatureStore) -> None:
    plain = dataset(store)
    assert all(balanced(plain, settings(how)) is plain for how in ("none", "weights", "sampling"))


@pytest.mark.parametrize("how", ["oversampling", "undersampling", "smote", "weights", "sampling"])
def test_a_network_trains_with_each(store: FeatureStore, how: str, tmp_path: Path) -> None:
    report = avemotion.fit(
        data=store.directory,
        model="miene",
        out=tmp_path / how,
        settings=MieneSettings(channels=(16,), votes_share=0.0),
        training=replace(settings(how), epochs=1, split="official", batch_size=8),
        progress=False,
    )
    assert report.metadata.experiment.training.balance == how


def test_what_smote_cannot_make_is_refused(
    store: FeatureStore, small_store: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="smote makes pictures.* but the model reads waveform"):
        avemotion.fit(data=small_store, modality="audio", out=tmp_path, training=settings("smote"))
    few = [r for r in store.rows if r.part == "train" and r.emotion != "anger"]
    few += [r for r in store.rows if r.part == "train" and r.emotion == "anger"][:6]
    with pytest.raises(UsageError, match="more than 6 pictures of each emotion, but one has 6"):
        balanced(ClipDataset(store, few, ["image"]), settings("smote"))
