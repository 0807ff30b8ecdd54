"""Batches from the feature store: memory-mapped arrays, whole batches gathered at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from safetensors import safe_open
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from avemotion.config import ExperimentSettings
from avemotion.data.batch import Batch
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError

Pick = tuple[int, int]
"""Index of a clip in a dataset, and one of its views."""


class ClipDataset(Dataset[Batch]):
    """Clips of a store; indexed by a list of picks, it returns a batch."""

    def __init__(
        self,
        store: FeatureStore,
        rows: Sequence[ManifestRow],
        experiment: ExperimentSettings,
        device: str = "cpu",
    ) -> None:
        """Map the arrays that the experiment reads, or load them into a GPU's memory.

        Args:
            store: The store.
            rows: The clips, in the order of their indices.
            experiment: Says which modalities and which spectrogram are read.
            device: Device of the arrays: mapped from the files on ``cpu``; on ``cuda`` all of
                CREMA-D in four views takes 7 GB, and a batch is gathered without a transfer.
        """
        self._device = device
        self.rows = list(rows)
        self.views = store.settings.views
        self._reads_faces = experiment.modality != "audio"
        self._sound = (
            None
            if experiment.modality == "video"
            else {"log_mel": "log_mels", "power": "spectrograms"}[experiment.network.spectrogram]
        )
        self._arrays = {actor: self._map(store, actor) for actor in {row.actor for row in rows}}
        self._indices = [store.index_of(row.clip) for row in rows]
        self.labels = torch.tensor([store.labels.index(row.emotion) for row in rows])
        self._votes = (
            _vote_shares(store, self.rows) if experiment.training.labels == "votes" else None
        )
        self._has_face = torch.tensor([row.status in ("av", "video") for row in rows])
        self._has_sound = torch.tensor([row.status in ("av", "audio") for row in rows])

    def _map(self, store: FeatureStore, actor: str) -> dict[str, Tensor]:
        names = ["faces"] if self._reads_faces else []
        names += [self._sound, "log_mel_lengths"] if self._sound else []
        # On the CPU they are memory-mapped, not read.
        with safe_open(store.shard(actor), "pt", device=self._device) as file:
            return {name: file.get_tensor(name) for name in names}

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.rows)

    def __getitem__(self, picks: Sequence[Pick]) -> Batch:
        """Gather a batch."""
        found = [(self._arrays[self.rows[i].actor], self._indices[i], view) for i, view in picks]
        which = torch.tensor([i for i, _ in picks])
        faces = spectrograms = lengths = None
        if self._reads_faces:
            faces = torch.stack([arrays["faces"][index, view] for arrays, index, view in found])
        if self._sound:
            images = [arrays[self._sound][index, view] for arrays, index, view in found]
            spectrograms = torch.stack(images).float().unsqueeze(1)
            lengths = torch.stack([arrays["log_mel_lengths"][index] for arrays, index, _ in found])
            if self._sound == "spectrograms":  # stretched to its shape: every column holds sound
                lengths = torch.where(lengths > 0, spectrograms.shape[-1], 0)
        return Batch(
            faces=faces,
            spectrograms=spectrograms,
            lengths=lengths,
            has_face=self._has_face[which],
            has_sound=self._has_sound[which],
            labels=self.labels[which],
            votes=None if self._votes is None else self._votes[which],
        )

    def sound_statistics(self) -> tuple[Tensor, Tensor]:
        """Return each spectrogram row's mean and standard deviation over the sound of view 0.

        Returns:
            Two float32 tensors (row, 1).
        """
        assert self._sound
        count, total, square = 0.0, torch.zeros(1), torch.zeros(1)
        for i, row in enumerate(self.rows):
            arrays, index = self._arrays[row.actor], self._indices[i]
            image = arrays[self._sound][index, 0].cpu().double()
            if self._sound == "log_mels":
                image = image[:, : int(arrays["log_mel_lengths"][index])]
            count += image.shape[1]
            total = total + image.sum(dim=1, keepdim=True)
            square = square + image.square().sum(dim=1, keepdim=True)
        mean = total / max(count, 1)
        std = (square / max(count, 1) - mean.square()).clamp(min=1e-6).sqrt()
        return mean.float(), std.float()


def roomy_device(store: FeatureStore, actors: Sequence[str]) -> str:
    """Return the device for some actors' arrays: a GPU if they fit into half of its free memory.

    Their files hold more than a network reads, so this errs on the safe side.
    """
    if not torch.cuda.is_available():
        return "cpu"
    needed = sum(store.shard(actor).stat().st_size for actor in actors)
    free, _ = torch.cuda.mem_get_info()
    return "cuda" if needed < free / 2 else "cpu"


def _vote_shares(store: FeatureStore, rows: Sequence[ManifestRow]) -> Tensor:
    """Return float (clip, classes): the audio-visual votes as shares.

    Raises:
        UsageError: The corpus has no such votes.
    """
    votes = {
        rating.clip: torch.tensor(rating.votes).float()
        for rating in store.ratings()
        if rating.channel == "av" and any(rating.votes)
    }
    if not votes:
        raise UsageError(
            f"--training.labels votes needs audio-visual votes, but {store.directory} has none. "
            "Use --training.labels intended, or preprocess the corpus with its vote table."
        )
    intended = torch.eye(len(store.labels))
    shares = []
    for row in rows:
        counts = votes.get(row.clip, intended[store.labels.index(row.emotion)])
        shares.append(counts / counts.sum())
    return torch.stack(shares)


class EpochSampler(Sampler[list[Pick]]):
    """The batches of an epoch: every clip once.

    With a seed, order and views are drawn by seed and epoch, so that a resumed run goes on as it
    would have; without, the clips come in order and in view 0.
    """

    def __init__(self, size: int, views: int, batch_size: int, seed: int | None) -> None:
        """Plan the batches of some clips."""
        self.size, self.views, self.batch_size, self.seed = size, views, batch_size, seed
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
        order, views = torch.arange(self.size), torch.zeros(self.size, dtype=torch.int64)
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
            order = torch.randperm(self.size, generator=generator)
            views = torch.randint(self.views, (self.size,), generator=generator)
        picks = list(zip(order.tolist(), views.tolist(), strict=True))
        cuts = [i * self.batch_size for i in range(len(self))]
        return iter([picks[a:b] for a, b in zip(cuts, [*cuts[1:], self.size], strict=True)])


def batches(dataset: ClipDataset, batch_size: int, seed: int | None = None) -> DataLoader[Batch]:
    """Return a loader of whole batches: see `EpochSampler`.

    Gathering a batch is a few memory copies, so it is done in place: no worker processes.
    """
    sampler = EpochSampler(len(dataset), dataset.views, batch_size, seed)
    return DataLoader(dataset, sampler=sampler, batch_size=None)
