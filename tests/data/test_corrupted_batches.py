"""Networks tested on corrupted clips of a store: their input, and their predictions."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from store_maker import written

from avemotion.config import PreprocessSettings
from avemotion.data.corrupted_batches import Waveforms, corrupted_batches
from avemotion.data.preprocessing import preprocess
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.evaluation.predict import predict
from avemotion.features.corruptions import (
    CONDITIONS,
    EYE_ROWS,
    Condition,
    conditions_for,
    cover,
)
from avemotion.features.spectrogram import log_mel
from avemotion.features.table import ClipSignals
from avemotion.features.waveform_effects import change_tempo, telephone
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import load_checkpoint

UNDISTURBED = {
    modality: Condition("nothing", "nothing", None, modality, lambda media, *_: media)
    for modality in ("video", "audio")
}


READ = {"av": ("faces", "log_mel"), "video": ("faces",), "audio": ("log_mel",)}
"""The features that models read, by modality."""


def corrupted(store: FeatureStore, rows: list, modality: str, condition: Condition) -> Any:
    (batch,) = corrupted_batches(store, rows, READ[modality], modality, condition)
    return batch


def noisy_sound(clip: str, seed: int, samples: np.ndarray) -> np.ndarray:
    """The sound with the noise of its recorder."""
    return ClipSignals(clip, seed, None, samples).noisy()


@pytest.mark.parametrize("name", ["log_mel", "power"])
def test_undisturbed_sound_gives_the_stored_spectrogram(small_store: Path, name: str) -> None:
    store = FeatureStore(small_store)
    (batch,) = corrupted_batches(store, store.rows, [name], "audio", UNDISTURBED["audio"])
    for i, row in enumerate(store.rows):
        np.testing.assert_array_equal(batch.inputs[name][i], store.read(row, name), strict=True)
        assert batch.lengths[name][i] == store.read(row, f"{name}_lengths")


def test_undisturbed_features_of_any_kind_are_the_stored_ones(
    small_corpus: Path, tmp_path: Path
) -> None:
    """Pictures and waveforms, too; the shorter waveforms of a batch end with zeros."""
    names = ("image", "waveform")
    for path in small_corpus.iterdir():
        if path.is_dir():
            (tmp_path / "corpus" / path.name).mkdir(parents=True)
            for file in path.glob("1001_*"):
                (tmp_path / "corpus" / path.name / file.name).symlink_to(file)
    settings = PreprocessSettings(views=1, features=names)
    out = tmp_path / "features"
    preprocess(tmp_path / "corpus", out=out, settings=settings, progress=False)
    store = FeatureStore(out)
    for condition in UNDISTURBED.values():
        (batch,) = corrupted_batches(store, store.rows, names, "av", condition)
        for i, row in enumerate(store.rows):
            image, sound = (store.read(row, name) for name in names)
            np.testing.assert_array_equal(batch.inputs["image"][i], image[0], strict=True)
            found = batch.inputs["waveform"][i].numpy()
            np.testing.assert_array_equal(found[: len(sound)], sound, strict=True)
            assert not found[len(sound) :].any() and batch.lengths["waveform"][i] == len(sound)
    (batch,) = corrupted_batches(store, store.rows, names, "av", CONDITIONS["eyes covered"])
    for i, row in enumerate(store.rows):
        covered = cover(store.read(row, "image"), EYE_ROWS)[0]
        np.testing.assert_array_equal(batch.inputs["image"][i], covered)


def test_a_store_without_waveforms_says_what_it_lacks(tmp_path: Path) -> None:
    """Sound is corrupted in the waveform; faces, and a missing voice, need none."""
    names = ("1001_DFA_ANG_XX", "1002_DFA_ANG_XX")
    plain = written(tmp_path / "s", dict.fromkeys(names, "av"), ("faces", "log_mel"))
    for name in ("telephone band", "white noise 0 dB", "babble 0 dB"):
        with pytest.raises(UsageError, match="no waveform, which --robustness .*log_mel,waveform"):
            corrupted(plain, plain.rows, "av", CONDITIONS[name])
    for name in ("eyes covered", "audio missing", "video missing"):
        assert len(corrupted(plain, plain.rows, "av", CONDITIONS[name])) == 2


def test_one_modality_is_corrupted_and_the_other_left_as_it_was(small_store: Path) -> None:
    store = FeatureStore(small_store)
    heard = corrupted(store, store.rows, "av", CONDITIONS["telephone band"])
    seen = corrupted(store, store.rows, "av", CONDITIONS["eyes covered"])
    for i, row in enumerate(store.rows):
        samples = telephone(store.read(row, "waveform"))
        image, length = log_mel(noisy_sound(row.clip, store.settings.seed, samples))
        np.testing.assert_array_equal(heard.inputs["log_mel"][i], image, strict=True)
        assert heard.lengths["log_mel"][i] == length
        faces = store.read(row, "faces")[0]
        np.testing.assert_array_equal(heard.inputs["faces"][i], faces)
        np.testing.assert_array_equal(seen.inputs["faces"][i], cover(faces, EYE_ROWS))
        log_mels = store.read(row, "log_mel")
        np.testing.assert_array_equal(seen.inputs["log_mel"][i], log_mels, strict=True)


@pytest.mark.parametrize("name, factor", [("tempo -10 %", 0.9), ("tempo +10 %", 1.1)])
def test_lengths_follow_the_tempo(small_store: Path, name: str, factor: float) -> None:
    store = FeatureStore(small_store)
    found = corrupted(store, store.rows, "av", CONDITIONS[name])
    clean = corrupted(store, store.rows, "av", UNDISTURBED["audio"])
    for i, row in enumerate(store.rows):
        samples = store.read(row, "waveform")
        changed = noisy_sound(row.clip, store.settings.seed, change_tempo(samples, factor))
        assert found.lengths["log_mel"][i] == min(500, round(len(samples) / factor) // 160)
        np.testing.assert_array_equal(found.inputs["log_mel"][i], log_mel(changed)[0])
    assert (found.lengths["log_mel"] != clean.lengths["log_mel"]).all()
    (power,) = corrupted_batches(store, store.rows, ["power"], "audio", CONDITIONS[name])
    assert power.lengths["power"].tolist() == [128] * len(store.rows)


def test_a_clip_is_corrupted_in_the_same_way_in_any_batch(small_store: Path) -> None:
    store = FeatureStore(small_store)
    for name in ("white noise 0 dB", "babble 10 dB", "50 % of frames lost"):
        whole = corrupted(store, store.rows, "av", CONDITIONS[name])
        some = [31, 5, 12]
        part = corrupted(store, [store.rows[i] for i in some], "av", CONDITIONS[name])
        many = (store.rows * 3)[:129]
        found = list(corrupted_batches(store, many, READ["av"], "av", CONDITIONS[name]))
        assert len(found) == 2
        repeated = torch.arange(129) % len(store.rows)
        for read in READ["av"]:
            assert torch.equal(part.inputs[read], whole.inputs[read][some])
            again = torch.cat([b.inputs[read] for b in found])
            assert torch.equal(again, whole.inputs[read][repeated])


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

        corrupted(store, store.rows, "audio", replace(condition, corrupt=listen))
    np.testing.assert_array_equal(drawn["20"], drawn["0"])
    assert len(np.unique(drawn["0"], axis=0)) == len(store.rows)


def test_babble_is_of_four_clips_of_other_actors(small_store: Path) -> None:
    store = FeatureStore(small_store)
    waveforms = Waveforms(store)
    owner = {store.read(row, "waveform").tobytes(): row.actor for row in store.rows}
    assert len(owner) == len(store.rows)
    speakers = set()
    for seed, row in enumerate(store.rows * 5):
        voices = waveforms.others(row, np.random.default_rng(seed))
        assert len({voice.tobytes() for voice in voices}) == 4
        actors = {owner[voice.tobytes()] for voice in voices}
        assert row.actor not in actors
        speakers |= actors
    assert speakers == {row.actor for row in store.rows}


def test_a_modality_that_a_clip_lacks_stays_away(tmp_path: Path) -> None:
    names = ["1001_DFA_ANG_XX", "1001_DFA_DIS_XX", "1002_DFA_ANG_XX"]
    store = written(tmp_path / "s", dict(zip(names, ("audio", "video", "av"), strict=True)))
    seen = corrupted(store, store.rows, "av", CONDITIONS["eyes covered"])
    clean = corrupted(store, store.rows, "av", UNDISTURBED["video"])
    assert torch.equal(seen.inputs["faces"][0], clean.inputs["faces"][0])
    assert seen.present["video"].tolist() == [0, 1, 1]
    assert not torch.equal(seen.inputs["faces"][1], clean.inputs["faces"][1])
    heard = corrupted(store, store.rows, "av", CONDITIONS["babble 0 dB"])
    assert torch.equal(heard.inputs["log_mel"][1], clean.inputs["log_mel"][1])
    assert heard.present["audio"].tolist() == [1, 0, 1]
    assert not torch.equal(heard.inputs["log_mel"][0], clean.inputs["log_mel"][0])
    voices = Waveforms(store).others(store.rows[2], np.random.default_rng(0))
    assert [len(voice) for voice in voices] == [3000]  # of actor 1001 one clip has sound


def test_nobody_else_to_babble(tmp_path: Path) -> None:
    store = written(tmp_path / "s", {"1001_DFA_ANG_XX": "av", "1001_DFA_DIS_XX": "av"})
    with pytest.raises(UsageError, match="actor 1001 only"):
        corrupted(store, store.rows, "av", CONDITIONS["babble 0 dB"])


def test_a_missing_modality_is_zero_and_flagged(small_store: Path) -> None:
    store = FeatureStore(small_store)
    deaf = corrupted(store, store.rows, "av", CONDITIONS["audio missing"])
    assert not deaf.present["audio"].any() and not deaf.inputs["log_mel"].any()
    assert not deaf.lengths["log_mel"].any()
    assert deaf.present["video"].all() and deaf.inputs["faces"].any()
    blind = corrupted(store, store.rows, "av", CONDITIONS["video missing"])
    assert not blind.present["video"].any() and not blind.inputs["faces"].any()
    assert blind.present["audio"].all() and blind.inputs["log_mel"].any()
    assert blind.lengths["log_mel"].all()


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
    model, metadata = load_checkpoint(fitted / "ar5" / modality / "checkpoint.safetensors")
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
    model, metadata = load_checkpoint(fitted / "ar5" / "av" / "checkpoint.safetensors")
    rows = [row for row in store.rows if row.actor in metadata.split.test]
    whole = corrupted(store, rows, "av", UNDISTURBED["audio"])
    for name, stream in (("audio missing", "audio"), ("video missing", "video")):
        nobody = torch.zeros_like(whole.present[stream])
        hidden = replace(whole, present=whole.present | {stream: nobody})
        expected = probabilities(model, hidden).tolist()
        predictions = predict(store, rows, model, metadata, "holdout", CONDITIONS[name])
        assert [list(p.probabilities) for p in predictions] == expected
