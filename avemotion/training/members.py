"""The members of `late`: trained models, and the people that none of them learned from.

Reading them needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from avemotion.config import TrainingSettings
from avemotion.data.checksums import sha256_of
from avemotion.data.store import FeatureStore
from avemotion.data.types import Split
from avemotion.errors import UsageError
from avemotion.models.header import read_header
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata, Origin
from avemotion.models.packaged import PACKAGED
from avemotion.models.registry import settings_class
from avemotion.training.run_file import RUN_NAME, run_in
from avemotion.training.same_store import check_same_store

if TYPE_CHECKING:
    from avemotion.models.late import LateSettings

LATE = "late"
"""Name of the model that pools others."""

_NAMED_AT_MOST = 5  # actors in a message


@dataclass(frozen=True, slots=True)
class Member:
    """One trained model."""

    path: Path
    """Its checkpoint."""
    sha256: str
    """SHA-256 of that file, hexadecimal."""
    metadata: CheckpointMetadata
    """What it says of itself."""

    @classmethod
    def of(cls, run: Path) -> Member:
        """Read what a checkpoint, or the one in the folder of a run, says of itself.

        Raises:
            UsageError: There is none, this version cannot read it, or its training is not finished.
        """
        if str(run) == PACKAGED:
            raise UsageError(
                f"--members names {PACKAGED}, which learned from other clips than yours: members "
                "are pooled on people that none of them learned from. Begin a member with its "
                f"weights in place: fit --init {PACKAGED}."
            )
        path = run / CHECKPOINT_NAME if run.is_dir() else run
        metadata = read_header(path)
        if run_in(path.parent).get("finished", True) is not True:
            raise UsageError(
                f"The training in {path.parent} was interrupted. Finish it with the same "
                f"`avemotion fit` as before ({metadata.experiment.system}): it resumes where it "
                "stopped."
            )
        return cls(path, sha256_of(path), metadata)


@dataclass(frozen=True, slots=True)
class Members:
    """Two or more of them, in the order in which they were named."""

    each: tuple[Member, ...]
    """The members."""

    @classmethod
    def of(cls, runs: Sequence[Path]) -> Members:
        """Read the members.

        Args:
            runs: Folders of runs, or checkpoints.

        Raises:
            UsageError: One is no finished run, or is named twice.
        """
        found = tuple(Member.of(Path(run)) for run in runs)
        for index, one in enumerate(found):
            if one.sha256 in [other.sha256 for other in found[:index]]:
                raise UsageError(
                    f"--members names {one.path} twice, or a copy of it. Name each member once."
                )
        return cls(found)

    @property
    def settings(self) -> LateSettings:
        """The settings of `late` with these members; loading their class needs torch.

        Raises:
            UsageError: There is but one, or one has members itself.
        """
        made: LateSettings = settings_class(LATE)(
            tuple(one.metadata.experiment.to_dict() for one in self.each)
        )
        return made

    @property
    def training(self) -> TrainingSettings:
        """What settled the members' split; all else of their training is each one's own."""
        first = self.each[0].metadata.experiment.training
        return TrainingSettings(
            seed=first.seed,
            split=first.split,
            holdout=first.holdout,
            validation=first.validation or TrainingSettings().validation,
        )

    @property
    def origins(self) -> tuple[Origin, ...]:
        """What the members' trainings began with, each once."""
        every = [origin for one in self.each for origin in one.metadata.initialised_from]
        return tuple(dict.fromkeys(every))

    def check_fits(self, store: FeatureStore) -> None:
        """Refuse members that learned from another store, or something else than emotions.

        Raises:
            UsageError: The message names the member.
        """
        for one in self.each:
            metadata, system = one.metadata, one.metadata.experiment.system
            if units := metadata.task.units:
                raise UsageError(
                    f"{one.path} ({system}) learned action units ({', '.join(units)}), which late "
                    "does not pool. Name members that learned emotions alone."
                )
            theirs = (metadata.corpus, metadata.corpus_clips)
            if theirs != (ours := (store.info["corpus"], store.info["clips"])):
                raise UsageError(
                    f"{one.path} ({system}) learned from {theirs[0]} with {theirs[1]:,} clips, but "
                    f"{store.directory} is {ours[0]} with {ours[1]:,}. All members must be trained "
                    "on the store that --data names."
                )
            run = run_in(one.path.parent) if (one.path.parent / RUN_NAME).is_file() else None
            check_same_store(store, one.path, metadata, run)

    def split(self) -> Split:
        """Return who trained any member, who validates all, and whom no member saw.

        An actor who trained one member and validates another counts as trained.

        Raises:
            UsageError: A member has no validation actors, all members together have none, or one
                learned from people that are held out from another.
        """
        splits = [one.metadata.split for one in self.each]
        self._check_alike(splits)
        first = splits[0]
        for one, split in zip(self.each, splits, strict=True):
            if not split.validation:
                raise UsageError(
                    f"{one.path} has no validation {first.unit}s, on which temperatures and "
                    "weights are fitted. Fit it with --training.validation above 0."
                )
        for one in self.each:
            self._check_no_leak(one)
        validation = set.intersection(*(set(split.validation) for split in splits))
        learned = {n for split in splits for n in (*split.train, *split.validation)} - validation
        if not validation:
            raise UsageError(
                f"The members have no validation {first.unit} in common, so that nobody is left on "
                "whom temperatures and weights could be fitted: "
                + "; ".join(f"{m.path}: {_named(m.metadata.split.validation)}" for m in self.each)
                + ". Fit them on the same store with the same --training.seed, --training.holdout "
                "and --training.validation."
            )
        test = {name for split in splits for name in split.test}
        return Split(
            train=tuple(sorted(learned)),
            validation=tuple(sorted(validation)),
            test=tuple(sorted(test)),
            unit=first.unit,
            held_out_sentences=first.held_out_sentences,
        )

    def _check_alike(self, splits: Sequence[Split]) -> None:
        first = splits[0]
        for one, split in zip(self.each, splits, strict=True):
            if (split.unit, split.held_out_sentences) != (first.unit, first.held_out_sentences):
                raise UsageError(
                    f"{one.path} was split otherwise than {self.each[0].path} (by actors, by the "
                    "corpus' own parts, or without some sentences). Name members of one kind of "
                    "split."
                )

    def _check_no_leak(self, one: Member) -> None:
        split = one.metadata.split
        for other in self.each:
            held_out = set(other.metadata.split.test)
            if seen := held_out & {*split.train, *split.validation}:
                raise UsageError(
                    f"{one.path} learned from {_named(sorted(seen))}, held out from {other.path}: "
                    "tested on them, late would know them. Fit the members with the same "
                    "--training.holdout and --training.seed."
                )


def _named(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(names[:_NAMED_AT_MOST]) + more
