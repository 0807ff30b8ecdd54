"""Batches of clips: which clips, which views, and what the network reads of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from network_maker import TASK, experiment_of

from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset, EpochSampler, batches
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.features.frame_sampling import distinct_views, thesis_grid
from avemotion.models.registry import create


def test_views_are_drawn_in_training_only(small_store: Path) -> None:
    store = FeatureStore(small_store)
    row = store.rows[0]
    stored = torch.from_numpy(store.read(row, "faces"))
    assert not torch.equal(stored[0], stored[1])
    dataset = ClipDataset(store, [row], ["faces", "log_mel"])
    training, plain = batches(dataset, 4, seed=0), batches(dataset, 4)
    drawn = set()
    for epoch in range(20):
        training.sampler.set_epoch(epoch)
        drawn |= {batch.inputs["faces"][0].numpy().tobytes() for batch in training}
        assert all(torch.equal(batch.inputs["faces"][0], stored[0]) for batch in plain)
    assert drawn == {stored[view].numpy().tobytes() for view in (0, 1)}


@pytest.mark.parametrize(("size", "batch_size"), [(10, 4), (9, 4), (1, 4), (8, 4), (5, 1)])
def test_every_clip_comes_once_an_epoch_and_never_alone(size: int, batch_size: int) -> None:
    sampler = EpochSampler([3] * size, batch_size, seed=0)
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


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(2, 9))
def test_all_views_of_a_clip_come_once_an_epoch(views: list[int], batch_size: int) -> None:
    sampler = EpochSampler(views, batch_size, seed=3, all_views=True)
    picks = [pick for batch in sampler for pick in batch]
    assert sorted(picks) == [(clip, view) for clip, n in enumerate(views) for view in range(n)]


def test_the_phases_of_the_thesis_grid_are_its_views(tmp_path: Path) -> None:
    """Of n frames there are n mod 20 + 1 phases (its listing); further views would repeat them."""
    for frames, views, expected in ((56, 20, 17), (56, 4, 4), (60, 20, 1), (41, 20, 2), (19, 5, 1)):
        assert distinct_views("thesis", frames, views) == expected
        assert distinct_views("even", frames, views) == views
        grids = [tuple(thesis_grid(frames, view, 0.0)) for view in range(views)]
        assert len(set(grids)) == expected and len(set(grids[:expected])) == expected


def test_faces_are_normalised_as_in_the_thesis() -> None:
    grey = torch.tensor([0, 127, 255], dtype=torch.uint8)
    faces = grey[None].expand(20 * 98 * 80, 3).T.reshape(3, 20, 98, 80)
    there = torch.tensor([True] * 3)
    read = create(TASK, experiment_of("video")).read(Batch({"faces": faces}, {"video": there}))
    wanted = torch.tensor([-127 / 128, 0.0, 1.0])[:, None, None, None].expand(3, 20, 98, 80)
    torch.testing.assert_close(read.inputs["faces"], wanted)
    assert torch.equal(faces[:, 0, 0, 0], grey)  # what was read is left as it is


def test_a_batch_holds_what_the_store_holds(small_store: Path) -> None:
    """Every feature, each clip's own view; waveforms are of one length, and end with zeros."""
    store = FeatureStore(small_store)
    names = store.settings.features
    picks = [(5, 1), (0, 0), (30, 1)]
    batch = ClipDataset(store, store.rows, names)[picks]
    longest = max(len(store.read(store.rows[i], "waveform")) for i, _ in picks)
    assert batch.inputs["waveform"].shape == (3, longest)
    for place, (i, view) in enumerate(picks):
        row = store.rows[i]
        for name in names:
            found, stored = batch.inputs[name][place].numpy(), store.read(row, name)
            if name == "waveform":
                assert not found[len(stored) :].any()
                np.testing.assert_array_equal(found[: len(stored)], stored, strict=True)
            else:
                of_view = stored[view] if name == "faces" else stored
                np.testing.assert_array_equal(found, of_view, strict=True)
        for name in ("power", "log_mel", "waveform"):
            assert batch.lengths[name][place] == store.read(row, f"{name}_lengths")
        assert store.labels[batch.targets[place]] == row.emotion
    assert batch.present["video"].all() and batch.present["audio"].all()


def test_a_feature_that_a_store_lacks_is_refused(small_store: Path) -> None:
    store = FeatureStore(small_store)
    with pytest.raises(UsageError, match="has no image: it holds faces, .*waveform,image"):
        ClipDataset(store, store.rows, ["image"])


def test_statistics_are_of_the_sound_as_it_is_read(small_store: Path) -> None:
    store = FeatureStore(small_store)
    rows = store.rows[3:9]
    read = ClipDataset(store, rows, ["log_mel"]).statistics("log_mel", lambda x, _: 2 * x + 1)
    heard = np.concatenate(
        [store.read(r, "log_mel")[:, : store.read(r, "log_mel_lengths")] for r in rows], axis=1
    ).astype(np.float64)
    np.testing.assert_allclose(read[0][:, 0], 2 * heard.mean(axis=1) + 1, rtol=1e-5)
    np.testing.assert_allclose(read[1][:, 0], 2 * heard.std(axis=1), rtol=1e-4)
