"""A feature store read with other labels than its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from avemotion.data.annotations import RATINGS_NAME, read_ratings
from avemotion.data.store import FeatureStore
from avemotion.data.task import Task
from avemotion.data.types import Rating, without_ceilings


class RelabelledStore(FeatureStore):
    """A store with the labels of a model that learned from another corpus."""

    def __init__(self, directory: Path, labels: Sequence[str], partners: Mapping[str, str]) -> None:
        """Open a store; clips whose label has no partner are as if they were not there.

        Args:
            directory: The store.
            labels: The labels of the model.
            partners: Label of the store -> the one of `labels` that it counts as.

        Raises:
            UsageError: As `FeatureStore`.
        """
        super().__init__(directory)
        self.own_labels = self.labels
        """The labels that the store was made with."""
        self.partners = dict(partners)
        """Label of the store -> the label that it counts as."""
        self.left_out = Counter(r.emotion for r in self.rows if r.emotion not in partners)
        """Label without a partner -> its clips."""
        self.task = Task(tuple(labels))
        self.rows = [
            replace(row, emotion=partners[row.emotion])
            for row in self.rows
            if row.emotion in partners
        ]
        if self.synthetic and len(set(partners.values())) < len(self.own_labels):
            self.synthetic = without_ceilings(self.synthetic)

    @property
    def votes_fit(self) -> bool:
        """Whether raters chose among just the labels of the model, but for their names."""
        return {self.partners.get(label) for label in self.own_labels} == set(self.labels)

    @property
    def has_votes(self) -> bool:
        """Whether the store holds votes, on whatever labels."""
        return (self.directory / RATINGS_NAME).is_file()

    def ratings(self) -> list[Rating]:
        """Return the votes on the labels of the model; none where `votes_fit` is false.

        Raises:
            UsageError: The table is damaged.
        """
        if not self.votes_fit:
            return []
        columns = [
            [i for i, own in enumerate(self.own_labels) if self.partners[own] == label]
            for label in self.labels
        ]
        return [
            replace(r, votes=tuple(sum(r.votes[i] for i in column) for column in columns))
            for r in read_ratings(self.directory / RATINGS_NAME, self.own_labels)
        ]
