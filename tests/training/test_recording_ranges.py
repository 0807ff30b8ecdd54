from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from avemotion import DecodedClip, classify_clip
from avemotion.data.corrupted_batches import Waveforms, corrupted_batches
from avemotion.data.splits import part_of
from avemotion.data.store import FeatureStore
from avemotion.features.corruptions import CONDITIONS
from avemotion.features.recording_quality import QUALITIES
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.inputs import names_of
from avemotion.training.recording_ranges import recording_ranges


def checkpoint_of(runs: Path, modality: str) -> Path:
    return runs / "ar5" / modality / "checkpoint.safetensors"


@pytest.mark.parametrize(
    ("modality", "expected"),
    [
        ("av", set(QUALITIES)),
        ("video", {"brightness", "sharpness"}),
        ("audio", {"speech_level_db", "loudness_range_db", "clipped_percent"}),
    ],
)
def test_a_run_knows_how_what_it_reads_was_recorded(
    fitted: Path, modality: str, expected: set[str]
) -> None:
    _, metadata = load_checkpoint(checkpoint_of(fitted, modality))
    assert {known.quality for known in metadata.recordings} == expected
    for known in metadata.recordings:
        assert known.low < known.high and known.uar is not None and known.conditions


def test_ranges_are_those_of_the_training_clips_and_scores_of_the_validation_clips(
    fitted: Path, small_store: Path
) -> None:
    store = FeatureStore(small_store)
    network, metadata = load_checkpoint(checkpoint_of(fitted, "audio"))
    rows = store.usable("audio")
    train, validation = (part_of(rows, metadata.split, part) for part in ("train", "validation"))
    waveforms = Waveforms(store)
    known = next(r for r in metadata.recordings if r.quality == "loudness_range_db")
    values = [QUALITIES[known.quality].measure(waveforms.of(row)) for row in train]
    assert (known.low, known.high) == pytest.approx(np.percentile(values, (1, 99)))
    targets = [store.labels.index(row.emotion) for row in validation]
    for score in known.conditions:
        found = corrupted_batches(
            store, validation, names_of(network.inputs), "audio", CONDITIONS[score.name]
        )
        predicted = np.concatenate([probabilities(network, b).argmax(axis=1) for b in found])
        assert score.uar == pytest.approx(balanced_accuracy_score(targets, predicted))
    noisiest_last = [score.typical for score in known.conditions]
    assert noisiest_last == sorted(noisiest_last, reverse=True)


def test_without_validation_actors_no_score_is_given(fitted: Path, small_store: Path) -> None:
    network, metadata = load_checkpoint(checkpoint_of(fitted, "video"))
    alone = replace(metadata, split=replace(metadata.split, validation=()))
    found = recording_ranges(FeatureStore(small_store), network, alone)
    assert found and all(known.uar is None and known.conditions == () for known in found)


def test_classify_warns_of_a_recording_unlike_those_of_training(
    fitted: Path, small_store: Path
) -> None:
    store = FeatureStore(small_store)
    _, metadata = load_checkpoint(checkpoint_of(fitted, "audio"))
    (row, *_) = part_of(store.usable("audio"), metadata.split, "train")
    voice = Waveforms(store).of(row)

    def warned(samples: np.ndarray) -> str:
        clip = DecodedClip(waveform=samples, sample_rate=16_000)
        found = classify_clip(clip, checkpoint=checkpoint_of(fitted, "audio"))
        return "\n".join(found.warnings)

    assert "the recording is" not in warned(voice)
    assert "the recording is quiet" in warned(voice // 100)
    noise = np.random.default_rng(0).integers(-9_000, 9_000, len(voice)).astype(np.int16)
    assert "the recording is noisy" in warned(noise)
    assert "mean recall on clips that it did not learn was" in warned(noise)
    clipped = np.clip(voice, -200, 200)
    assert "the recording is clipped" in warned(clipped)
