"""Batches of clips: which clips, which views, and what the network reads of them."""

from pathlib import Path

import pytest
import torch

from avemotion.config import ExperimentSettings
from avemotion.data.batch import normalise_faces
from avemotion.data.dataset import ClipDataset, EpochSampler, batches
from avemotion.data.store import FeatureStore


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


def test_faces_are_normalised_as_in_the_thesis() -> None:
    grey = torch.tensor([0, 127, 255], dtype=torch.uint8)
    torch.testing.assert_close(normalise_faces(grey), torch.tensor([-127 / 128, 0.0, 1.0]))
