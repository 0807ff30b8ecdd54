"""What the networks learn from: soft labels, noise, and auxiliary losses."""

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from network_maker import TASK
from torch import Tensor
from torch.nn import functional

from avemotion.config import TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.checksums import write_checksums
from avemotion.data.dataset import ClipDataset, batches
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.models.ar5 import AR5, AR5Settings
from avemotion.models.inputs import names_of
from avemotion.training.augmentation import trained_names
from avemotion.training.lightning_module import EmotionModule

PLAIN = TrainingSettings(
    label_smoothing=0.0,
    mixup=0.0,
    spectrogram_masking=False,
    sound_noise=0.0,
    sound_room=0.0,
    sound_channel=0.0,
    modality_dropout=0.0,
    mirror=False,
    rotation_degrees=0.0,
    scale=0.0,
    shift=0.0,
)
"""Nothing that would change inputs or targets."""

SMALL = AR5Settings(width=0.25, dropout=0.0)


def module_and_batch(store: Path, **changes: object) -> tuple[EmotionModule, Batch[Tensor]]:
    """A fresh av network, always with the same weights, and the first eight clips."""
    settings = dataclasses.replace(PLAIN, **changes)
    torch.manual_seed(0)
    network = AR5(TASK, "av", SMALL)
    opened, votes = FeatureStore(store), settings.labels == "votes"
    dataset = ClipDataset(opened, opened.rows[:8], names_of(network.inputs), votes)
    return EmotionModule(network, settings), dataset[[(i, 0) for i in range(8)]]


@pytest.mark.parametrize("weight", [0.25, 1.0])
def test_votes_are_mixed_into_the_target_by_their_weight(small_store: Path, weight: float) -> None:
    module, batch = module_and_batch(small_store, labels="votes", vote_weight=weight)
    _, targets = module.augmented(batch)
    store = FeatureStore(small_store)
    votes = {r.clip: r.votes for r in store.ratings() if r.channel == "av"}
    for row, target in zip(store.rows[:8], targets, strict=True):
        counts = torch.tensor(votes[row.clip], dtype=torch.float64)
        wanted = weight * counts / counts.sum()
        wanted[store.labels.index(row.emotion)] += 1 - weight
        torch.testing.assert_close(target.double(), wanted, atol=1e-6, rtol=0)


def test_intended_labels_need_no_votes(small_store: Path) -> None:
    module, batch = module_and_batch(small_store)
    assert batch.votes is None
    _, targets = module.augmented(batch)
    assert torch.equal(targets, functional.one_hot(batch.targets, 6).float())


def test_votes_that_are_not_there_are_refused(small_store: Path, tmp_path: Path) -> None:
    bare = tmp_path / "features"
    shutil.copytree(small_store, bare, ignore=shutil.ignore_patterns("ratings.csv"))
    write_checksums(bare)
    with pytest.raises(UsageError, match="is to learn the crowd's votes, but .* has none"):
        module_and_batch(bare, labels="votes")


def test_a_clip_without_votes_keeps_its_intended_emotion(small_store: Path, tmp_path: Path) -> None:
    partial = tmp_path / "features"
    shutil.copytree(small_store, partial)
    first = FeatureStore(small_store).rows[0]
    lines = (partial / "ratings.csv").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(f"{first.clip},av")]
    assert len(kept) == len(lines) - 1
    (partial / "ratings.csv").write_text("".join(kept))
    write_checksums(partial)
    module, batch = module_and_batch(partial, labels="votes", vote_weight=1.0)
    _, targets = module.augmented(batch)
    assert torch.equal(targets[0], functional.one_hot(batch.targets[0], 6).float())


def test_noise_is_added_to_voices_with_the_chance_that_is_set(small_store: Path) -> None:
    for chance in (0.0, 1.0):
        module, batch = module_and_batch(small_store, sound_noise=chance)
        given = module.network.read(batch).inputs["log_mel"]
        seen = module.augmented(batch)[0].inputs["log_mel"]
        changed = (seen != given).any(dim=(1, 2, 3))
        assert changed.all() if chance else torch.equal(seen, given)


@pytest.mark.parametrize("spectrogram", ["log_mel", "power"])
def test_training_draws_the_noise_of_the_recorder_anew(small_store: Path, spectrogram: str) -> None:
    """N(0, 1) int16 steps at each reading (thesis, annex 2); all else is what the store holds."""
    network = AR5(TASK, "audio", dataclasses.replace(SMALL, spectrogram=spectrogram))
    store = FeatureStore(small_store)
    names = trained_names(store, network.inputs)
    assert names == ("waveform",)
    batch = ClipDataset(store, store.rows[:8], names)[[(i, 0) for i in range(8)]]
    module = EmotionModule(network, PLAIN)
    first, again = (module.augmented(batch)[0] for _ in range(2))
    stored = ClipDataset(store, store.rows[:8], [spectrogram])[[(i, 0) for i in range(8)]]
    kept = network.read(stored)
    assert not torch.equal(first.inputs[spectrogram], again.inputs[spectrogram])
    assert torch.equal(first.lengths[spectrogram], kept.lengths[spectrogram])
    loud = kept.inputs[spectrogram] > (40 if spectrogram == "log_mel" else 0.05)
    for heard in (first, again):
        differences = (heard.inputs[spectrogram] - kept.inputs[spectrogram])[loud].abs()
        assert differences.median() < 0.02


def test_weights_of_convolutions_and_linear_layers_are_kept_in_an_interval(
    small_store: Path,
) -> None:
    """Gains of batch norms are no weights in the sense of the thesis: they stay about 1."""
    module, batch = module_and_batch(small_store, clamp_weights=0.05, schedule="constant")
    optimizer = module.configure_optimizers()
    module.loss(batch).backward()
    optimizer.step()
    limited = [p for p in module.network.parameters() if p.ndim > 1]
    beyond = sum(int((p.abs() > 0.05).sum()) for p in limited)
    module.on_train_batch_end()
    assert beyond > 100
    assert all(p.abs().max() <= 0.05 for p in limited)
    gains = [m.weight for m in module.network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(gain.min() > 0.9 for gain in gains)


def test_auxiliary_heads_add_each_branchs_own_loss(small_store: Path) -> None:
    module, batch = module_and_batch(small_store, auxiliary_loss_weight=0.5)
    module.eval()
    clips = module.network.read(batch)
    plain = functional.cross_entropy(module.network(clips), batch.targets)
    embeddings = module.network.embeddings(clips)
    assert embeddings.keys() == module.auxiliary_heads.keys() == {"video", "audio"}
    own = [
        functional.cross_entropy(module.auxiliary_heads[stream](embedding), batch.targets)
        for stream, embedding in embeddings.items()
    ]
    torch.testing.assert_close(module.loss(batch), plain + 0.5 * sum(own))


def test_a_missing_modality_adds_no_auxiliary_loss(small_store: Path) -> None:
    module, batch = module_and_batch(small_store, auxiliary_loss_weight=0.5)
    no_face = batch.present | {"video": torch.zeros(8, dtype=torch.bool)}
    module.loss(dataclasses.replace(batch, present=no_face)).backward()
    video, audio = module.auxiliary_heads["video"], module.auxiliary_heads["audio"]
    assert not video.weight.grad.any() and not video.bias.grad.any()
    assert audio.weight.grad.any()


def test_auxiliary_heads_are_learned_but_no_part_of_the_network(small_store: Path) -> None:
    module, _ = module_and_batch(small_store, auxiliary_loss_weight=0.5, schedule="constant")
    learned = {
        id(parameter)
        for group in module.configure_optimizers().param_groups
        for parameter in group["params"]
    }
    assert {id(p) for p in module.auxiliary_heads.parameters()} <= learned
    assert not any("auxiliary" in name for name in module.network.state_dict())


@pytest.mark.parametrize(("modality", "weight"), [("video", 0.5), ("audio", 0.5), ("av", 0.0)])
def test_no_auxiliary_heads_without_their_loss_or_two_branches(
    modality: str, weight: float
) -> None:
    settings = dataclasses.replace(PLAIN, auxiliary_loss_weight=weight)
    assert EmotionModule(AR5(TASK, modality, SMALL), settings).auxiliary_heads is None


def test_a_network_learns_ten_clips_by_heart(small_store: Path) -> None:
    store = FeatureStore(small_store)
    plain = TrainingSettings(
        mixup=0, label_smoothing=0, modality_dropout=0, spectrogram_masking=False, mirror=False,
        sound_noise=0, sound_room=0, sound_channel=0,
        rotation_degrees=0, scale=0, shift=0, pixel_noise=0,
    )  # fmt: skip
    torch.manual_seed(0)
    network = AR5(TASK, "av", AR5Settings(dropout=0)).to(memory_format=torch.channels_last)
    dataset = ClipDataset(store, store.rows[:10], names_of(network.inputs))
    batch = dataset[[(i, 0) for i in range(10)]]
    module = EmotionModule(network, plain)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(25):
        loss = module.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def unbalanced(store: Path) -> ClipDataset:
    opened = FeatureStore(store)
    by_emotion = {e: [r for r in opened.rows if r.emotion == e] for e in opened.labels}
    rows = [r for i, found in enumerate(by_emotion.values()) for r in found[: 1 + (i == 0) * 5]]
    return ClipDataset(opened, rows, ["log_mel"])


def test_weights_let_every_emotion_count_the_same(small_store: Path) -> None:
    dataset = unbalanced(small_store)
    weights = dataset.label_weights(6)
    counted = torch.zeros(6).index_add(0, dataset.targets, weights[dataset.targets])
    torch.testing.assert_close(counted, torch.full((6,), len(dataset) / 6))
    network = AR5(TASK, "audio", SMALL)
    settings = dataclasses.replace(PLAIN, balance="weights")
    module = EmotionModule(network, settings, weights).eval()
    batch = dataset[[(i, 0) for i in range(len(dataset))]]
    clips, _ = module.augmented(batch)
    each = functional.cross_entropy(network(clips), batch.targets, reduction="none")
    by_hand = (each * weights[batch.targets]).sum() / len(dataset)
    torch.testing.assert_close(module.loss(batch), by_hand)


def test_sampling_draws_rare_emotions_as_often_as_common_ones(small_store: Path) -> None:
    dataset = unbalanced(small_store)
    chances = dataset.label_weights(6)[dataset.targets]
    loader = batches(dataset, 4, 0, weights=chances)
    drawn = torch.zeros(6)
    for epoch in range(150):
        loader.sampler.set_epoch(epoch)
        picks = [pick for batch in loader.sampler for pick in batch]
        assert len(picks) == len(dataset)
        drawn += torch.bincount(dataset.targets[[i for i, _ in picks]], minlength=6)
    torch.testing.assert_close(drawn / drawn.sum(), torch.full((6,), 1 / 6), atol=0.03, rtol=0)
