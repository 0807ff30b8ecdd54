"""Batches from the feature store: memory-mapped arrays, whole batches gathered at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, cast

import torch
from safetensors import safe_open
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from avemotion.data.annotations import crowd_channel
from avemotion.data.batch import STREAMS, Batch
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.features.frame_sampling import distinct_views
from avemotion.features.table import feature, is_embedding

Pick = tuple[int, int]
"""Index of a clip in a dataset, and one of its views."""


class ClipDataset(Dataset[Batch[Tensor]]):
    """Clips of a store; indexed by a list of picks, it returns a batch."""

    def __init__(
        self,
        store: FeatureStore,
        rows: Sequence[ManifestRow],
        names: Sequence[str],
        votes: bool = False,
        device: str = "cpu",
    ) -> None:
        """Map the arrays that are read, or load them into a GPU's memory.

        Args:
            store: The store.
            rows: The clips, in the order of their indices.
            names: The features that are read.
            votes: Whether batches hold the shares of the raters' votes.
            device: Device of the arrays: mapped from the files on ``cpu``; on ``cuda`` all of
                CREMA-D in four views takes 7 GB, and a batch is gathered without a transfer.

        Raises:
            UsageError: The store has no such feature, or no votes.
        """
        store.check_has(names)
        self._device = device
        self.rows, self.names = list(rows), tuple(names)
        heard = max((store.made(name).views for name in names if is_embedding(name)), default=1)
        self.views = [max(heard, _distinct_views(store, row, names)) for row in rows]
        self._shards = {shard: self._map(store, shard) for shard in {row.shard for row in rows}}
        self._indices = [store.index_of(row.clip) for row in rows]
        self.targets = torch.tensor([store.labels.index(row.emotion) for row in rows])
        self._units = _units(store, self.rows)
        self._votes = _vote_shares(store, self.rows) if votes else None
        self._present = {
            stream: torch.tensor([row.status in ("av", stream) for row in rows])
            for stream in STREAMS
        }

    def _map(self, store: FeatureStore, shard: str) -> dict[str, Tensor]:
        plain = [name for name in self.names if not is_embedding(name)]
        files = [(store.shard(shard), plain)] if plain else []
        files += [(store.file_of(n, shard), [n]) for n in self.names if is_embedding(n)]
        found: dict[str, Tensor] = {}
        for path, names in files:
            wanted = list(names)
            wanted += [f"{name}_lengths" for name in names if feature(name).columns]
            wanted += [f"{name}_offsets" for name in names if feature(name).varies]
            # On the CPU they are memory-mapped, not read.
            with safe_open(path, "pt", device=self._device) as file:
                found |= {key: file.get_tensor(key) for key in wanted}
        return found

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.rows)

    @property
    def has_votes(self) -> bool:
        """Whether batches hold the crowd's votes."""
        return self._votes is not None

    def __getitem__(self, picks: Sequence[Pick]) -> Batch[Tensor]:
        """Gather a batch."""
        found = [(self._shards[self.rows[i].shard], self._indices[i], view) for i, view in picks]
        which = torch.tensor([i for i, _ in picks])
        return Batch(
            inputs={
                name: stacked([_array(name, arrays, index, view) for arrays, index, view in found])
                for name in self.names
            },
            lengths={
                name: torch.stack([arrays[f"{name}_lengths"][index] for arrays, index, _ in found])
                for name in self.names
                if feature(name).columns
            },
            present={stream: there[which] for stream, there in self._present.items()},
            targets=self.targets[which],
            units=None if self._units is None else self._units[which],
            votes=None if self._votes is None else self._votes[which],
        )

    def label_weights(self, labels: int) -> Tensor:
        """Return float (label,): how much rarer than on average each label is; 0 where it has none.

        Weighted by them, every label that occurs counts the same, and a clip 1 on average.
        """
        counts = torch.bincount(self.targets, minlength=labels).float()
        there = counts > 0
        weights = torch.zeros(labels)
        weights[there] = len(self) / (there.sum() * counts[there])
        return weights

    def statistics(
        self, name: str, read: Callable[[Tensor, Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return each row's mean and standard deviation over the sound of all clips.

        Args:
            name: A spectrogram.
            read: What a network makes of it: float (1, 1, row, column) and its length, int64 (1,),
                to the same shape.

        Returns:
            Two float32 tensors (row, 1).
        """
        count, total, square = 0.0, torch.zeros(1), torch.zeros(1)
        for i, row in enumerate(self.rows):
            arrays, index = self._shards[row.shard], self._indices[i]
            image, length = _array(name, arrays, index, 0), arrays[f"{name}_lengths"][[index]]
            image = read(image.cpu().float()[None, None], length.cpu())[0, 0].double()
            image = image[:, : int(length)]
            count += image.shape[1]
            total = total + image.sum(dim=1, keepdim=True)
            square = square + image.square().sum(dim=1, keepdim=True)
        mean = total / max(count, 1)
        std = (square / max(count, 1) - mean.square()).clamp(min=1e-6).sqrt()
        return mean.float(), std.float()


def _units(store: FeatureStore, rows: Sequence[ManifestRow]) -> Tensor | None:
    """Return float (clip, unit): 1 for the action units that a clip has; None without units."""
    if not store.task.units:
        return None
    found = store.units()
    return torch.tensor([found[row.clip] for row in rows]).reshape(-1, len(store.task.units))


def _distinct_views(store: FeatureStore, row: ManifestRow, names: Sequence[str]) -> int:
    """Return how many views of a clip differ in what is read of them."""
    seen = [feature(name) for name in names if not is_embedding(name)]
    if not any(f.has_views for f in seen) or row.status == "audio":
        return 1
    return distinct_views(store.settings.grid, row.frames_decoded, store.settings.views)


def _array(name: str, arrays: dict[str, Tensor], index: int, view: int) -> Tensor:
    """Return a feature of one clip, in one view."""
    if feature(name).varies:
        start, stop = arrays[f"{name}_offsets"][index : index + 2].tolist()
        return arrays[name][start:stop]
    if not feature(name).has_views:
        return arrays[name][index]
    stored = arrays[name].shape[1]  # of faces and voice, one may have fewer
    return arrays[name][index, view % stored]


def stacked(arrays: Sequence[Tensor]) -> Tensor:
    """Stack arrays; where the last axis varies, the shorter ones end with zeros."""
    if len({array.shape for array in arrays}) == 1:
        return torch.stack(list(arrays))
    return torch.nn.utils.rnn.pad_sequence(list(arrays), batch_first=True)


def roomy_device(store: FeatureStore, rows: Sequence[ManifestRow]) -> str:
    """Return the device for some clips' arrays: a GPU if they fit into half of its free memory.

    Their files hold more than a network reads, so this errs on the safe side.
    """
    if not torch.cuda.is_available():
        return "cpu"
    needed = sum(store.shard(name).stat().st_size for name in {row.shard for row in rows})
    free, _ = torch.cuda.mem_get_info()
    return "cuda" if needed < free / 2 else "cpu"


def _vote_shares(store: FeatureStore, rows: Sequence[ManifestRow]) -> Tensor:
    """Return float (clip, classes): the crowd's votes as shares.

    Raises:
        UsageError: The corpus has no such votes.
    """
    ratings = store.ratings()
    channel = crowd_channel(ratings)
    votes = {
        rating.clip: torch.tensor(rating.votes).float()
        for rating in ratings
        if rating.channel == channel and any(rating.votes)
    }
    if not votes:
        raise UsageError(
            f"The model is to learn the crowd's votes, but {store.directory} has none. Use "
            "--training.labels intended (of Miene: --miene.votes_share 0), or preprocess the "
            "corpus with its vote table."
        )
    intended = torch.eye(len(store.labels))
    shares = []
    for row in rows:
        counts = votes.get(row.clip, intended[store.labels.index(row.emotion)])
        shares.append(counts / counts.sum())
    return torch.stack(shares)


class EpochSampler(Sampler[list[Pick]]):
    """The batches of an epoch: every clip once, or once in each of its views.

    With a seed, order and views are drawn by seed and epoch, so that a resumed run goes on as it
    would have; without, the clips come in order and in view 0.
    """

    def __init__(
        self,
        views: Sequence[int],
        batch_size: int,
        seed: int | None,
        all_views: bool = False,
        weights: Tensor | None = None,
    ) -> None:
        """Plan the batches of some clips.

        Args:
            views: How many views each clip has.
            batch_size: Clips in a batch.
            seed: Seed of order and views; None for the clips in order.
            all_views: Whether each view counts as a clip.
            weights: float (clip,): as many clips as there are, drawn with these chances, in place
                of each of them once.
        """
        self.views, self.batch_size, self.seed = torch.tensor(views), batch_size, seed
        self.all_views, self.weights = all_views, weights
        self.size = sum(views) if all_views else len(views)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next (Lightning does)."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches."""
        # A last batch of one clip would have no batch statistics: it joins the one before.
        return max(1, (self.size + self.batch_size - 2) // self.batch_size)

    def __iter__(self) -> Iterator[list[Pick]]:
        """Yield the batches of the epoch."""
        clips, views = torch.arange(self.size), torch.zeros(self.size, dtype=torch.int64)
        if self.all_views:
            clips = torch.arange(len(self.views)).repeat_interleave(self.views)
            views = torch.cat([torch.arange(n) for n in self.views.tolist()])
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
            order = (
                torch.randperm(self.size, generator=generator)
                if self.weights is None
                else torch.multinomial(
                    self.weights[clips], self.size, replacement=True, generator=generator
                )
            )
            clips, views = clips[order], views[order]
            if not self.all_views:
                drawn = torch.rand(self.size, generator=generator)
                views = (drawn * self.views[clips]).long()
        picks = list(zip(clips.tolist(), views.tolist(), strict=True))
        cuts = [i * self.batch_size for i in range(len(self))]
        return iter([picks[a:b] for a, b in zip(cuts, [*cuts[1:], self.size], strict=True)])


class Batched(Protocol):
    """What `batches` reads: clips, indexed by a list of picks."""

    @property
    def views(self) -> Sequence[int]:
        """How many views each clip has."""

    def __getitem__(self, picks: Sequence[Pick]) -> Batch[Tensor]:
        """Gather a batch."""


def batches(
    dataset: Batched,
    batch_size: int,
    seed: int | None = None,
    all_views: bool = False,
    weights: Tensor | None = None,
) -> DataLoader[Batch[Tensor]]:
    """Return a loader of whole batches: see `EpochSampler`.

    Gathering a batch is a few memory copies, so it is done in place: no worker processes.
    """
    sampler = EpochSampler(dataset.views, batch_size, seed, all_views, weights)
    clips = cast(Dataset[Batch[Tensor]], dataset)
    return DataLoader(clips, sampler=sampler, batch_size=None)
