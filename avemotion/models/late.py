"""Late fusion: the answers of several trained models, its members, are pooled.

Each member answers alone. Its logits are divided by a temperature, and its log-probabilities are
added to the others', each times a weight (log-linear pooling). Both are fitted to people that no
member learned from: for clips with face and voice, and for each of these alone, where those members
count that can answer so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avemotion.config import MODALITIES, ExperimentSettings, Modality
from avemotion.data.batch import STREAMS, Batch
from avemotion.data.task import Task
from avemotion.errors import UsageError, require_types
from avemotion.models.base import About, EmotionModel
from avemotion.models.calibration import at_temperature, fit_temperature
from avemotion.models.inputs import Input, names_of
from avemotion.models.pooling import pooling_weights
from avemotion.models.publications import POOLING
from avemotion.models.registry import create, inputs_of, model_class

_SHRINKAGE_CLIPS = 10.0
"""How strongly weights are pulled together: a square of 1 between them costs as much as this many
clips' log loss. The clips of a person are alike, and there may be few people."""


@dataclass(frozen=True)
class LateSettings:
    """Which models are pooled."""

    members: tuple[dict[str, Any], ...] = ()
    """Model, modality, settings and training of each member; `--members` reads them from runs."""

    def __post_init__(self) -> None:
        """Refuse fewer than two members, and those that are no models or pooled themselves."""
        require_types(self, "--late.")
        if len(self.members) == 1:
            raise UsageError(
                "late has one member, but must have two or more. Name the others' runs, too: "
                "--members RUN,RUN."
            )
        for one in self.experiments:
            if model_class(one.model).composed:
                raise UsageError(
                    f"{one.system} cannot be a member of late: it has members itself. Name those."
                )

    @property
    def experiments(self) -> tuple[ExperimentSettings, ...]:
        """What each member is."""
        return tuple(map(ExperimentSettings.from_dict, self.members))


def _can_answer(member: ExperimentSettings, streams: set[str]) -> bool:
    """Return whether a member answers clips that have these streams."""
    return any(_streams(answer) <= streams for answer in member.answers)


def _streams(modality: str) -> set[str]:
    return set(STREAMS) if modality == "av" else {modality}


@dataclass(frozen=True, slots=True)
class Pooled:
    """How a member counts."""

    experiment: ExperimentSettings
    """What it is."""
    by_kind: dict[Modality, tuple[float, float]]
    """Kind of clips (``av``: with face and voice) -> temperature and weight; without those that it
    cannot answer."""


class Late(EmotionModel):
    """Its members, and for each kind of clips a temperature and a weight of each."""

    Settings = LateSettings
    settings: LateSettings
    about = About(
        title="Late fusion",
        source="avemotion; log-linear pooling (Genest and Zidek, Statistical Science 1986)",
        bibtex=POOLING,
    )
    learns_in_epochs = False
    composed = True
    temperatures: Tensor
    weights: Tensor
    can_answer: Tensor

    def __init__(self, task: Task, modality: Modality, settings: LateSettings) -> None:
        """Build the members; see `EmotionModel`."""
        super().__init__(task, modality, settings)
        members = settings.experiments
        self.members = nn.ModuleList(create(task, one) for one in members)
        self.kinds: tuple[Modality, ...] = MODALITIES if modality == "av" else (modality,)
        able = torch.tensor(
            [[_can_answer(m, _streams(kind)) for m in members] for kind in self.kinds]
        )
        self.register_buffer("can_answer", able, persistent=False)
        self.register_buffer("temperatures", torch.ones(able.shape))
        self.register_buffer("weights", able / able.sum(dim=1, keepdim=True).clamp(min=1))
        # A member that reads one stream does not run where no clip has it; another must take that.
        self.takes_missing = all(
            member.takes_missing or one.modality != "av"
            for member, one in zip(self._networks(), members, strict=True)
        )

    @classmethod
    def can_read(cls, settings: LateSettings) -> tuple[Modality, ...]:
        """Return what its members read together."""
        found = {stream for one in settings.experiments for stream in _streams(one.modality)}
        if len(found) == 1:
            return (cast(Modality, found.pop()),)
        return ("av",) if found else cls.about.modalities

    @classmethod
    def answers_alone(cls, settings: LateSettings) -> bool:
        """Return whether a member answers from the face, and one from the voice."""
        members = settings.experiments
        return all(any(_can_answer(one, {stream}) for one in members) for stream in STREAMS)

    @classmethod
    def reads(cls, modality: Modality, settings: LateSettings) -> tuple[Input, ...]:
        """Return the features that any member reads; each reads them in its own way.

        Raises:
            UsageError: It has no members, or there is no model of a member's name.
        """
        if not settings.members:
            raise UsageError(
                "late pools trained models, but none is named. Name the folders of two or more "
                "runs: --members RUN,RUN."
            )
        names = [name for one in settings.experiments for name in names_of(inputs_of(one))]
        return tuple(Input(name) for name in dict.fromkeys(names))

    def _networks(self) -> list[EmotionModel]:
        return [cast(EmotionModel, member) for member in self.members]

    def typical(self, name: str) -> tuple[Tensor, Tensor] | None:
        """Return what the first member that reads the feature says of it."""
        readers = [one for one in self._networks() if name in names_of(one.inputs)]
        return readers[0].typical(name) if readers else None

    def read(self, batch: Batch[Tensor]) -> Batch[Tensor]:
        """Return the batch as it is: each member reads it in `forward`."""
        return batch

    def forward(self, batch: Batch[Tensor]) -> Tensor:
        """Map a batch to the logarithms of probabilities, float (clip, label).

        A member whose face or voice a clip lacks does not count for it. A clip that none can
        answer gets equal probabilities.
        """
        if self.weights.device != (device := next(iter(batch.present.values())).device):
            batch = batch.to(self.weights.device)
        counts = self._kind_of(batch) @ (self.weights / self.temperatures * self.can_answer)
        found = [
            torch.where(counts[:, index, None] > 0, counts[:, index, None] * answer, 0.0)
            for index, answer in self._answers(batch).items()
        ]
        if not found:  # nobody is seen or heard
            return torch.zeros(len(batch), len(self.task.labels), device=device).log_softmax(dim=1)
        return torch.stack(found).sum(dim=0).log_softmax(dim=1)

    def _kind_of(self, batch: Batch[Tensor]) -> Tensor:
        """Return float (clip, kind): 1 for the kind of clips that each is, of `kinds`."""
        if self.modality != "av":
            return batch.present[self.modality].float()[:, None]
        face, voice = batch.present["video"], batch.present["audio"]
        return torch.stack([face & voice, face & ~voice, ~face & voice], dim=1).float()

    def _answers(self, batch: Batch[Tensor]) -> dict[int, Tensor]:
        """Return the log-probabilities, float (clip, label), of members that the batch suffices."""
        found = {}
        for index, member in enumerate(self._networks()):
            names = names_of(member.inputs)
            there = {name: batch.inputs[name] for name in names if name in batch.inputs}
            if there and (len(there) == len(names) or member.takes_missing):
                lengths = {name: n for name, n in batch.lengths.items() if name in there}
                own = replace(batch, inputs=there, lengths=lengths)
                found[index] = member(member.read(own)).float().log_softmax(dim=1)
        return found

    def take_over(self, members: Sequence[EmotionModel]) -> None:
        """Copy the weights of trained members, in the order of the settings."""
        for own, given in zip(self.members, members, strict=True):
            own.load_state_dict(given.state_dict())
        self.eval()

    def pooled(self) -> tuple[Pooled, ...]:
        """Return how each member counts."""
        return tuple(
            Pooled(
                experiment=one,
                by_kind={
                    kind: (float(self.temperatures[row, index]), float(self.weights[row, index]))
                    for row, kind in enumerate(self.kinds)
                    if self.can_answer[row, index]
                },
            )
            for index, one in enumerate(self.settings.experiments)
        )

    @torch.inference_mode()
    def fit_pooling(self, clips: Iterable[Batch[Tensor]]) -> None:
        """Fit temperatures and weights.

        Args:
            clips: Batches with their targets, of people that no member learned from.
        """
        for row, kind in enumerate(self.kinds):
            able = np.flatnonzero(self.can_answer[row].numpy())
            if not len(able):
                continue
            answers, targets = self._answers_of_all(clips, _streams(kind))
            each = answers[able]
            temperatures = [fit_temperature(np.exp(one), targets) for one in each]
            calibrated = np.log(
                [at_temperature(np.exp(one), t) for one, t in zip(each, temperatures, strict=True)]
            )
            shrinkage = _SHRINKAGE_CLIPS / len(targets)
            weights = pooling_weights(calibrated, targets, shrinkage=shrinkage)
            if len(able) == 1:  # the temperature says it all
                weights = np.ones(1)
            self.temperatures[row, able] = torch.tensor(temperatures, dtype=torch.float32)
            self.weights[row, able] = torch.from_numpy(weights).float()

    def _answers_of_all(
        self, clips: Iterable[Batch[Tensor]], streams: set[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return what the members say of clips with some streams alone, and the right labels.

        Returns:
            Log-probabilities, (member, clip, label), 0 of members that cannot answer; (clip,).
        """
        answers, targets = [], []
        for whole in clips:
            batch = whole.to(self.weights.device)
            assert batch.targets is not None
            shown = {s: there & (s in streams) for s, there in batch.present.items()}
            found = self._answers(replace(batch, present=shown))
            nothing = torch.zeros(len(batch), len(self.task.labels))
            answers.append(
                torch.stack([found.get(i, nothing).cpu() for i in range(len(self.members))])
            )
            targets.append(batch.targets.cpu())
        return torch.cat(answers, dim=1).double().numpy(), torch.cat(targets).numpy()

    def to(self, *args: Any, **kwargs: Any) -> Late:
        """Move its members, if all can: learners of scikit-learn compute on the CPU."""
        if all(member.learns_in_epochs for member in self._networks()):
            return super().to(*args, **kwargs)
        return self

    def folded(self) -> Late:
        """Return a copy whose members answer faster."""
        copy = deepcopy(self)
        copy.members = nn.ModuleList(member.folded() for member in self._networks())
        return copy
