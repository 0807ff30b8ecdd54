"""Networks tested on corrupted clips of a store: their input, and their predictions."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from store_maker import corpus_of, features_of, row_of

from avemotion.config import ExperimentSettings, NetworkSettings, PreprocessSettings
from avemotion.data.store import FeatureStore
from avemotion.data.store_writer import StoreWriter
from avemotion.errors import UsageError
from avemotion.evaluation.corrupted_batches import Waveforms, corrupted_batches
from avemotion.evaluation.corruptions import (
    CONDITIONS,
    EYE_ROWS,
    Condition,
    conditions_for,
    cover,
)
from avemotion.evaluation.predict import predict
from avemotion.features.extraction import noisy_sound
from avemotion.features.spectrogram import log_mel
from avemotion.features.waveform_effects import change_tempo, telephone
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import load_checkpoint

UNDISTURBED = {
    modality: Condition("nothing", "nothing", None, modality, lambda media, *_: media)
    for modality in ("video", "audio")
}


def experiment_of(modality: str, spectrogram: str = "log_mel") -> ExperimentSettings:
    return ExperimentSettings(modality, NetworkSettings(spectrogram=spectrogram))


def corrupted(store: FeatureStore, rows: list, modality: str, condition: Condition) -> Any:
    (batch,) = corrupted_batches(store, rows, experiment_of(modality), condition)
    return batch


@pytest.mark.parametrize("kind, name", [("log_mel", "log_mels"), ("power", "spectrograms")])
def test_undisturbed_sound_gives_the_stored_spectrogram(
    small_store: Path, kind: str, name: str
) -> None:
    store = FeatureStore(small_store)
    (batch,) = corrupted_batches(
        store, store.rows, experiment_of("audio", kind), UNDISTURBED["audio"]
    )
    for row, image in zip(store.rows, batch.spectrograms, strict=True):
        np.testing.assert_array_equal(image[0], store.read(row, name)[0].astype(np.float32))


def test_one_modality_is_corrupted_and_the_other_left_as_it_was(small_store: Path) -> None:
    store = FeatureStore(small_store)
    heard = corrupted(store, store.rows, "av", CONDITIONS["telephone band"])
    seen = corrupted(store, store.rows, "av", CONDITIONS["eyes covered"])
    for i, row in enumerate(store.rows):
        samples = telephone(store.read(row, "waveforms"))
        image, length = log_mel(noisy_sound(row.clip, 0, store.settings.seed, samples))
        np.testing.assert_array_equal(heard.spectrograms[i, 0], image.astype(np.float32))
        assert heard.lengths[i] == length
        faces = store.read(row, "faces")[0]
        np.testing.assert_array_equal(heard.faces[i], faces)
        np.testing.assert_array_equal(seen.faces[i], cover(faces, EYE_ROWS))
        log_mels = store.read(row, "log_mels")[0].astype(np.float32)
        np.testing.assert_array_equal(seen.spectrograms[i, 0], log_mels)


@pytest.mark.parametrize("name, factor", [("tempo -10 %", 0.9), ("tempo +10 %", 1.1)])
def test_lengths_follow_the_tempo(small_store: Path, name: str, factor: float) -> None:
    store = FeatureStore(small_store)
    found = corrupted(store, store.rows, "av", CONDITIONS[name])
    clean = corrupted(store, store.rows, "av", UNDISTURBED["audio"])
    for i, row in enumerate(store.rows):
        samples = store.read(row, "waveforms")
        changed = noisy_sound(row.clip, 0, store.settings.seed, change_tempo(samples, factor))
        assert found.lengths[i] == min(500, round(len(samples) / factor) // 160)
        np.testing.assert_array_equal(found.spectrograms[i, 0], log_mel(changed)[0])
    assert (found.lengths != clean.lengths).all()
    (power,) = corrupted_batches(
        store, store.rows, experiment_of("audio", "power"), CONDITIONS[name]
    )
    assert power.lengths.tolist() == [128] * len(store.rows)


def test_a_clip_is_corrupted_in_the_same_way_in_any_batch(small_store: Path) -> None:
    store = FeatureStore(small_store)
    for name in ("white noise 0 dB", "babble 10 dB", "50 % of frames lost"):
        whole = corrupted(store, store.rows, "av", CONDITIONS[name])
        some = [31, 5, 12]
        part = corrupted(store, [store.rows[i] for i in some], "av", CONDITIONS[name])
        assert torch.equal(part.spectrograms, whole.spectrograms[some])
        assert torch.equal(part.faces, whole.faces[some])
        many = (store.rows * 3)[:129]
        found = list(corrupted_batches(store, many, experiment_of("av"), CONDITIONS[name]))
        assert len(found) == 2
        repeated = torch.arange(129) % len(store.rows)
        assert torch.equal(torch.cat([b.spectrograms for b in found]), whole.spectrograms[repeated])
        assert torch.equal(torch.cat([b.faces for b in found]), whole.faces[repeated])


def test_each_clip_has_its_own_noise_and_the_levels_share_it(small_store: Path) -> None:
    """Read back from the one function that both conditions hand their draws to."""
    store = FeatureStore(small_store)
    drawn: dict[str, list[np.ndarray]] = {}
    for level in ("20", "0"):
        condition = CONDITIONS[f"white noise {level} dB"]

        def listen(
            media: np.ndarray, rng: np.random.Generator, _: Any, to: str = level
        ) -> np.ndarray:
            drawn.setdefault(to, []).append(rng.standard_normal(5))
            return media

        list(
            corrupted_batches(
                store, store.rows, experiment_of("audio"), replace(condition, corrupt=listen)
            )
        )
    np.testing.assert_array_equal(drawn["20"], drawn["0"])
    assert len(np.unique(drawn["0"], axis=0)) == len(store.rows)


def test_babble_is_of_four_clips_of_other_actors(small_store: Path) -> None:
    store = FeatureStore(small_store)
    waveforms = Waveforms(store)
    owner = {store.read(row, "waveforms").tobytes(): row.actor for row in store.rows}
    assert len(owner) == len(store.rows)
    speakers = set()
    for seed, row in enumerate(store.rows * 5):
        voices = waveforms.others(row, np.random.default_rng(seed))
        assert len({voice.tobytes() for voice in voices}) == 4
        actors = {owner[voice.tobytes()] for voice in voices}
        assert row.actor not in actors
        speakers |= actors
    assert speakers == {row.actor for row in store.rows}


def written(folder: Path, statuses: dict[str, str]) -> FeatureStore:
    """A store of clips, by name, with these statuses."""
    writer = StoreWriter.open(
        folder, corpus_of(folder, tuple(statuses)), PreprocessSettings(views=2)
    )
    for actor in sorted({name[:4] for name in statuses}):
        rows = [row_of(name, status) for name, status in statuses.items() if name[:4] == actor]
        writer.add(actor, rows, [features_of(i, 3000 + i) for i in range(len(rows))])
    return FeatureStore(folder)


def test_a_modality_that_a_clip_lacks_stays_away(tmp_path: Path) -> None:
    names = ["1001_DFA_ANG_XX", "1001_DFA_DIS_XX", "1002_DFA_ANG_XX"]
    store = written(tmp_path / "s", dict(zip(names, ("audio", "video", "av"), strict=True)))
    seen = corrupted(store, store.rows, "av", CONDITIONS["eyes covered"])
    clean = corrupted(store, store.rows, "av", UNDISTURBED["video"])
    assert torch.equal(seen.faces[0], clean.faces[0]) and seen.has_face.tolist() == [0, 1, 1]
    assert not torch.equal(seen.faces[1], clean.faces[1])
    heard = corrupted(store, store.rows, "av", CONDITIONS["babble 0 dB"])
    assert torch.equal(heard.spectrograms[1], clean.spectrograms[1])
    assert heard.has_sound.tolist() == [1, 0, 1]
    assert not torch.equal(heard.spectrograms[0], clean.spectrograms[0])
    voices = Waveforms(store).others(store.rows[2], np.random.default_rng(0))
    assert [len(voice) for voice in voices] == [3000]  # of actor 1001 one clip has sound


def test_nobody_else_to_babble(tmp_path: Path) -> None:
    store = written(tmp_path / "s", {"1001_DFA_ANG_XX": "av", "1001_DFA_DIS_XX": "av"})
    with pytest.raises(UsageError, match="actor 1001 only"):
        corrupted(store, store.rows, "av", CONDITIONS["babble 0 dB"])


def test_a_missing_modality_is_zero_and_flagged(small_store: Path) -> None:
    store = FeatureStore(small_store)
    deaf = corrupted(store, store.rows, "av", CONDITIONS["audio missing"])
    assert not deaf.has_sound.any() and not deaf.spectrograms.any() and not deaf.lengths.any()
    assert deaf.has_face.all() and deaf.faces.any()
    blind = corrupted(store, store.rows, "av", CONDITIONS["video missing"])
    assert not blind.has_face.any() and not blind.faces.any()
    assert blind.has_sound.all() and blind.spectrograms.any() and blind.lengths.all()


@pytest.mark.parametrize(
    "modality, name",
    [("audio", "blur of 1 px"), ("video", "babble 0 dB"), ("audio", "audio missing")],
)
def test_a_condition_that_does_not_apply_is_refused(
    small_store: Path, modality: str, name: str
) -> None:
    store = FeatureStore(small_store)
    with pytest.raises(ValueError, match=f"{name}.* does not apply to {modality}"):
        corrupted(store, store.rows, modality, CONDITIONS[name])


@pytest.mark.parametrize("modality", ["av", "video", "audio"])
def test_a_network_on_every_condition(small_store: Path, fitted: Path, modality: str) -> None:
    store = FeatureStore(small_store)
    model, metadata = load_checkpoint(fitted / modality / "checkpoint.safetensors")
    rows = [row for row in store.rows if row.actor in metadata.split.test]
    answer = partial(predict, store, rows, model, metadata, "holdout")
    clean = answer()
    for condition in UNDISTURBED.values():
        if condition.applies_to(modality):
            assert answer(condition) == clean
    before = np.array([p.probabilities for p in clean])
    for condition in conditions_for(modality):
        predictions = answer(condition)
        assert [(p.clip, p.target) for p in predictions] == [(p.clip, p.target) for p in clean]
        after = np.array([p.probabilities for p in predictions])
        assert after.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert (after != before).any(axis=1).all(), condition.name


def test_without_a_modality_the_other_one_answers(small_store: Path, fitted: Path) -> None:
    store = FeatureStore(small_store)
    model, metadata = load_checkpoint(fitted / "av" / "checkpoint.safetensors")
    rows = [row for row in store.rows if row.actor in metadata.split.test]
    whole = corrupted(store, rows, "av", UNDISTURBED["audio"])
    for name, flag in (("audio missing", "has_sound"), ("video missing", "has_face")):
        hidden = replace(whole, **{flag: torch.zeros_like(whole.has_face)})
        expected = probabilities(model, hidden.inputs()).tolist()
        predictions = predict(store, rows, model, metadata, "holdout", CONDITIONS[name])
        assert [list(p.probabilities) for p in predictions] == expected
