"""Whose answers the temperature is fitted on: the validation actors', never the test actors'."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from avemotion.data.splits import part_of
from avemotion.data.store import FeatureStore
from avemotion.data.types import Split
from avemotion.evaluation.predict import predict
from avemotion.models.checkpoint import load_checkpoint
from avemotion.training.resumption import Progress
from avemotion.training.trainer import train


def test_the_temperature_comes_from_the_validation_actors(
    small_store: Path, fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run = FeatureStore(small_store), tmp_path / "run"
    shutil.copytree(fitted / "ar5" / "audio", run)
    network, metadata = load_checkpoint(run / "checkpoint.safetensors")
    split, rows, labels = metadata.split, store.rows, store.labels
    # As if early stopping had just ended the training: the weights stay as they are.
    ended = Progress(run / "state", metadata.epoch, stopped_early=True)
    monkeypatch.setattr("avemotion.training.trainer.progress_of", lambda _: ended)

    def temperature(emotions: Mapping[str, str]) -> float:
        """Fit it where some clips have another emotion."""
        store.rows = [replace(row, emotion=emotions.get(row.clip, row.emotion)) for row in rows]
        found = train(store, split, metadata.experiment, run, progress=False).temperature
        network, saved = load_checkpoint(run / "checkpoint.safetensors")
        tested = part_of(store.rows, split, "test")
        answers = predict(store, tested, network, saved, "fold")
        assert found == saved.temperature
        assert {p.temperature for p in answers} == {found}
        return found

    assert temperature({}) == metadata.temperature
    unsplit = replace(metadata, split=Split((), (), ()))
    predictions = predict(store, rows, network, unsplit, "fold")
    best, worst = (
        {p.clip: labels[p.probabilities.index(choose(p.probabilities))] for p in predictions}
        for choose in (max, min)
    )

    # Right on three quarters of the validation clips, but unsure: the temperature is far below 1.
    validation = [row.clip for row in part_of(rows, split, "validation")]
    mostly = {clip: (best if n % 4 else worst)[clip] for n, clip in enumerate(validation)}
    sharp = temperature(mostly)
    assert sharp < 0.6
    # One clip of each emotion keeps it, or there would be nothing to train on.
    kept = {row.emotion: row.clip for row in part_of(rows, split, "train")}.values()
    for part in ("test", "train"):
        clips = {row.clip for row in part_of(rows, split, part)} - set(kept)
        for emotions in (best, worst):
            assert temperature(mostly | {clip: emotions[clip] for clip in clips}) == sharp
    assert temperature({clip: worst[clip] for clip in validation}) > 10


def test_without_validation_actors_there_is_none(small_store: Path, fitted: Path) -> None:
    """Predictions are then given as they are."""
    store = FeatureStore(small_store)
    network, metadata = load_checkpoint(fitted / "ar5" / "audio" / "checkpoint.safetensors")
    without = replace(metadata, temperature=None)
    tested = part_of(store.rows, metadata.split, "test")
    found = predict(store, tested, network, without, "fold")
    assert {p.temperature for p in found} == {1.0}
    with_it = predict(store, tested, network, metadata, "fold")
    assert [p.probabilities for p in with_it] == [p.probabilities for p in found]
