"""Whose answers the temperature is fitted on: the validation actors', never the test actors'."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from avemotion.data.splits import of_actors
from avemotion.data.store import FeatureStore
from avemotion.data.types import Split
from avemotion.evaluation.predict import predict, predict_calibrated
from avemotion.models.checkpoint import load_checkpoint


def test_the_temperature_comes_from_the_validation_actors(small_store: Path, fitted: Path) -> None:
    store = FeatureStore(small_store)
    network, metadata = load_checkpoint(fitted / "audio" / "checkpoint.safetensors")
    split, rows, labels = metadata.split, store.rows, store.labels

    def temperature(emotions: Mapping[str, str]) -> float:
        """Fit it where some clips have another emotion."""
        store.rows = [replace(row, emotion=emotions.get(row.clip, row.emotion)) for row in rows]
        tested = of_actors(store.rows, split.test)
        (found,) = {
            p.temperature for p in predict_calibrated(store, tested, network, metadata, "fold")
        }
        return found

    unsplit = replace(metadata, split=Split((), (), ()))
    predictions = predict(store, rows, network, unsplit, "fold")
    best, worst = (
        {p.clip: labels[p.probabilities.index(choose(p.probabilities))] for p in predictions}
        for choose in (max, min)
    )

    # Right on three quarters of the validation clips, but unsure: the temperature is far below 1.
    validation = [row.clip for row in of_actors(rows, split.validation)]
    mostly = {clip: (best if n % 4 else worst)[clip] for n, clip in enumerate(validation)}
    sharp = temperature(mostly)
    assert sharp < 0.6
    for others in (split.test, split.train):
        clips = [row.clip for row in of_actors(rows, others)]
        for emotions in (best, worst):
            assert temperature(mostly | {clip: emotions[clip] for clip in clips}) == sharp
    assert temperature({clip: worst[clip] for clip in validation}) > 10
