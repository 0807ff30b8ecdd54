"""Augmentation of batches, against closed forms and noisy recordings."""

from pathlib import Path

import numpy as np
import pytest
import torch
from store_maker import written

from avemotion.config import TrainingSettings
from avemotion.data.batch import Batch
from avemotion.features.log_mel_noise import with_noise
from avemotion.features.mel import mel, mel_columns
from avemotion.features.spectrogram import log_mel, mel_edges
from avemotion.features.waveform_effects import add_at_snr
from avemotion.models.inputs import Input
from avemotion.training.augmentation import (
    MASKED_BANDS,
    augment_faces,
    heard_anew,
    hide_modalities,
    left_out,
    mask_spectrograms,
    mix,
)
from avemotion.training.face_degradation import through_jpeg

NOTHING = {
    "mirror": False, "rotation_degrees": 0.0, "scale": 0.0, "shift": 0.0, "pixel_noise": 0.0,
}  # fmt: skip


def faces(clips: int = 4) -> torch.Tensor:
    rows = torch.linspace(-1, 1, 98)[:, None]
    columns = torch.linspace(-1, 1, 80)[None]
    return (torch.sin(3 * rows) + columns**2 + columns).expand(clips, 20, 98, 80).contiguous()


def batch(clips: int, has_face: bool = True, has_sound: bool = True) -> Batch[torch.Tensor]:
    number = torch.arange(clips)
    values = number.float()[:, None, None, None]
    return Batch(
        inputs={
            "faces": values.expand(clips, 20, 98, 80),
            "log_mel": values.expand(clips, 1, 64, 500),
        },
        present={
            "video": torch.full((clips,), has_face),
            "audio": torch.full((clips,), has_sound),
        },
        lengths={"log_mel": 200 + number},
    )


def test_nothing_asked_nothing_done() -> None:
    assert torch.equal(augment_faces(faces(), TrainingSettings(**NOTHING)), faces())


def test_mirror_flips_about_half_of_the_clips() -> None:
    torch.manual_seed(0)
    original = faces(64)
    found = augment_faces(original, TrainingSettings(**(NOTHING | {"mirror": True})))
    flipped = [
        torch.allclose(f, o.flip(-1), atol=1e-4) for f, o in zip(found, original, strict=True)
    ]
    same = [torch.allclose(f, o, atol=1e-4) for f, o in zip(found, original, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 16 < sum(flipped) < 48


def test_all_frames_of_a_clip_move_alike() -> None:
    found = augment_faces(faces(), TrainingSettings(**(NOTHING | {"rotation_degrees": 20.0})))
    assert torch.equal(found[:, 0], found[:, 19])
    assert not torch.allclose(found[0], found[1])


def test_rotation_turns_pixels_not_stretched_coordinates() -> None:
    """A disc stays a disc: its width and height stay equal in pixels."""
    rows, columns = torch.arange(98.0)[:, None] - 48.5, torch.arange(80.0)[None] - 39.5
    disc = ((rows**2 + columns**2) < 30**2).float().expand(8, 20, 98, 80).contiguous()
    torch.manual_seed(0)
    found = augment_faces(disc, TrainingSettings(**(NOTHING | {"rotation_degrees": 45.0})))
    torch.testing.assert_close(found, disc, atol=1.0, rtol=0)  # only border pixels may change
    assert float((found - disc).abs().mean()) < 0.01


def test_shift_moves_by_at_most_its_share() -> None:
    torch.manual_seed(0)
    dot = torch.zeros(16, 20, 98, 80)
    dot[:, :, 49, 40] = 1
    found = augment_faces(dot, TrainingSettings(**(NOTHING | {"shift": 0.1})))[:, 0]
    indices = found.flatten(1).argmax(dim=1)
    rows, columns = indices // 80, indices % 80
    assert (rows - 49).abs().max() <= 10 and (columns - 40).abs().max() <= 8
    assert len(set(indices.tolist())) > 8


def voice(seconds: float = 5.0) -> np.ndarray:
    """Harmonics of a gliding 150 Hz, syllables and pauses: int16 (sample,)."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    phase = 2 * np.pi * np.cumsum(150 + 30 * np.sin(2 * np.pi * time)) / 16_000
    tone = sum(np.sin(k * phase) / k for k in range(1, 40))
    return (3_000 * tone * np.clip(np.sin(8 * np.pi * time), 0.001, 1)).astype(np.int16)


def images(samples: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    image, length = log_mel(samples.astype(np.float64))
    return torch.from_numpy(image).float()[None, None], torch.tensor([length])


def noise(samples: int, fall_db: float) -> np.ndarray:
    """White, or falling in a decade of frequency, flat below the first band."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(samples))
    hertz = np.fft.rfftfreq(samples, 1 / 16_000)
    return np.fft.irfft(spectrum * np.maximum(hertz / mel_edges()[1], 1) ** (-fall_db / 20))


@pytest.mark.parametrize("fall_db", [0.0, 10.0])
@pytest.mark.parametrize("snr_db", [-10.0, 5.0, 20.0])
def test_noise_in_the_log_mel_is_that_of_a_noisy_recording(snr_db: float, fall_db: float) -> None:
    """The oracle adds noise to the samples."""
    torch.manual_seed(0)
    clean, length = images(voice())
    recorded, _ = images(add_at_snr(voice(), noise(len(voice()), fall_db), snr_db))
    ours = with_noise(clean, length, torch.tensor([snr_db]), torch.tensor([fall_db]))
    ours, recorded = (x[0, 0, :, : int(length)] for x in (ours, recorded))
    assert float((ours - recorded).mean()) == pytest.approx(0, abs=0.5)
    ours, recorded = ours[1:], recorded[1:]  # the first band reaches down to 0 Hz
    torch.testing.assert_close(ours.mean(dim=1), recorded.mean(dim=1), atol=1.2, rtol=0)
    torch.testing.assert_close(ours.std(dim=1), recorded.std(dim=1), atol=0.9, rtol=0)


def test_each_clip_gets_noise_of_its_own() -> None:
    """Where noise covers all, its level under a louder voice is as much higher."""
    torch.manual_seed(0)
    quiet, length = images(voice())
    clips = torch.cat([quiet, quiet + 20, quiet])
    lengths = torch.stack([length[0], length[0], length[0] // 2])
    snr_db = torch.tensor([-40.0, -40.0, -60.0])
    found = with_noise(clips, lengths, snr_db, torch.zeros(3))[:, 0, :, : int(lengths[2])]
    levels = found.mean(dim=(1, 2))
    assert float(levels[1] - levels[0]) == pytest.approx(20, abs=0.3)
    assert float(levels[2] - levels[0]) == pytest.approx(20, abs=1.5)  # half of the voice


def test_without_waveforms_the_set_share_of_clips_gets_noise_where_they_sound() -> None:
    torch.manual_seed(0)
    image, length = images(voice(3.0))
    clips, lengths = image[0].expand(200, -1, -1), length.repeat(200)
    lengths[::2] -= 100
    batch = Batch({"log_mel": clips}, {"audio": lengths > 0}, {"log_mel": lengths})

    def heard(chance: float) -> torch.Tensor:
        settings = TrainingSettings(sound_noise=chance, sound_room=0.0, sound_channel=0.0)
        return heard_anew(batch, ["log_mel"], settings).inputs["log_mel"]

    found = heard(0.3)
    changed = (found != clips).any(dim=1)  # (clip, column)
    assert 40 < int(changed.any(dim=1).sum()) < 80
    for columns, end in zip(changed, lengths.tolist(), strict=True):
        assert not columns[end:].any() and columns[:end].any() == columns[:end].all()
    louder = (found - clips).mean(dim=(1, 2))[changed.any(dim=1)]
    assert len(set(louder.tolist())) == len(louder) and louder.max() > 2 * louder.min()
    assert torch.equal(heard(0.0), clips)


@pytest.mark.parametrize("what", ["noise", "channel", "equaliser"])
def test_without_waveforms_mels_are_changed_by_their_own_chances(what: str) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    sound = torch.from_numpy(mel(rng.normal(0, 500, 40_000))).float()
    clips, lengths = sound.expand(200, -1, -1), torch.full((200,), mel_columns(40_000))
    batch = Batch({"mel": clips}, {"audio": lengths > 0}, {"mel": lengths})
    silent = {f"sound_{name}": 0.0 for name in ("noise", "room", "channel", "equaliser")}
    settings = TrainingSettings(**(silent | {f"sound_{what}": 0.3}))
    found = heard_anew(batch, ["mel"], settings).inputs["mel"]
    changed = (found - clips).abs().amax(dim=(1, 2)) > 0.01
    assert found.shape == clips.shape and 40 < int(changed.sum()) < 80
    untouched = heard_anew(batch, ["mel"], TrainingSettings(**silent)).inputs["mel"]
    assert torch.equal(untouched, clips)


def test_silence_gets_no_more_than_its_own_level() -> None:
    silent = torch.zeros(1, 1, 64, 500)
    unheard = with_noise(silent, torch.tensor([0]), *torch.zeros(2, 1))
    assert torch.equal(unheard, silent)
    floor = with_noise(silent, torch.tensor([200]), *torch.zeros(2, 1))[..., :200]
    assert 1 < float(floor.mean()) < 3.1  # two equal powers are 3 dB above one


def test_masking_fills_bands_and_stretches_with_the_mean() -> None:
    torch.manual_seed(0)
    spectrograms = torch.full((32, 1, 64, 500), 50.0)
    fill = torch.arange(64.0)[:, None]
    found = mask_spectrograms(spectrograms, torch.full((32,), 250), fill)
    masked = found != 50.0
    assert masked.any()
    assert torch.allclose(found[masked], fill.expand(32, 1, 64, 500)[masked])
    whole_rows = masked.all(dim=-1).sum(dim=-1)
    whole_columns = masked.all(dim=-2).sum(dim=-1)
    assert whole_rows.max() <= MASKED_BANDS
    assert whole_columns.max() <= 50


def test_mixup_blends_inputs_and_targets_with_one_share() -> None:
    torch.manual_seed(0)
    targets = torch.eye(6)
    for _ in range(20):
        mixed, probabilities = mix(batch(6), targets, 0.4)
        # Clip i has the value i everywhere, so the blend's value is the targets' mean number.
        expected = probabilities @ torch.arange(6.0)
        torch.testing.assert_close(mixed.inputs["faces"][:, 0, 0, 0], expected)
        torch.testing.assert_close(mixed.inputs["log_mel"][:, 0, 0, 0], expected)
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(6))
        # The longer sound counts: that of the highest number with a share.
        longest = [200 + max(row.nonzero().flatten().tolist()) for row in probabilities]
        assert mixed.lengths["log_mel"].tolist() == longest


@pytest.mark.parametrize("chance", [0.15, 0.5])
def test_hiding_never_takes_both(chance: float) -> None:
    torch.manual_seed(0)
    hidden = hide_modalities(batch(4000), chance)
    assert (hidden.present["video"] | hidden.present["audio"]).all()
    for left in hidden.present.values():
        assert abs(float((~left).float().mean()) - chance) < 0.03


def test_hiding_leaves_a_lone_modality() -> None:
    hidden = hide_modalities(batch(100, has_sound=False), 0.5)
    assert hidden.present["video"].all() and not hidden.present["audio"].any()


def test_what_a_store_does_not_allow_is_said(tmp_path: Path) -> None:
    """Stores may hold some features only: then no waveform is there to be changed."""
    asked = TrainingSettings(sound_noise=0.5, sound_room=0.2, sound_channel=0.1, sound_gain_db=6.0)
    lost = "--training.sound_room 0.2, --training.sound_channel 0.1, --training.sound_gain_db 6"
    names = {"1001_DFA_ANG_XX": "av"}
    whole = written(tmp_path / "whole", names, ("faces", "log_mel", "waveform"))
    log_mels = written(tmp_path / "log_mels", names, ("faces", "log_mel"))
    powers = written(tmp_path / "powers", names, ("faces", "power"))
    assert left_out(whole, [Input("log_mel")], asked) == ""
    assert lost in (said := left_out(log_mels, [Input("log_mel")], asked))
    assert "sound_noise" not in said and "noise is the same in each epoch" in said
    assert f"{lost}, --training.sound_noise 0.5" in left_out(powers, [Input("power")], asked)
    assert left_out(log_mels, [Input("faces")], asked) == ""
    said = left_out(log_mels, [Input("mel")], asked)  # waveforms would not help
    room, gain = "--training.sound_room 0.2", "--training.sound_gain_db 6"
    assert said == f"training does not compute mel anew: {room}, {gain} without effect"
    quiet = TrainingSettings(sound_noise=0.0, sound_room=0.0, sound_channel=0.0)
    assert "without effect" not in left_out(powers, [Input("power")], quiet)


def test_of_a_long_clip_only_what_is_read_is_changed() -> None:
    """The middle 5 s of a log-mel: a minute in the batch must not cost every clip a minute."""
    torch.manual_seed(0)
    lengths = torch.tensor([16_000, 960_000])
    waveform = torch.zeros(2, 960_000, dtype=torch.int16)
    waveform[1, 440_000:520_000] = 9_000 * torch.sin(torch.arange(80_000) / 3)
    batch = Batch({"waveform": waveform}, {"audio": lengths > 0}, {"waveform": lengths})
    plain = TrainingSettings(sound_noise=0.0, sound_room=0.0, sound_channel=0.0)
    found = heard_anew(batch, ["log_mel"], plain)
    assert found.lengths["log_mel"].tolist() == [100, 500]
    image, length = log_mel(waveform[1, 440_000:520_000].numpy().astype(float))
    assert length == 500
    loud = image > 60
    difference = found.inputs["log_mel"][1].numpy()[loud] - image[loud]
    assert np.abs(difference).max() < 0.5


def test_shear_moves_a_row_across_by_its_distance_from_the_middle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "rand", lambda *shape: torch.ones(shape))  # each draw at its limit
    images = torch.zeros(1, 1, 41, 41)
    images[0, 0, :, 20] = 1.0  # an upright line through the middle
    sheared = augment_faces(images, TrainingSettings(**(NOTHING | {"shear": 0.25})))
    for row in range(41):
        across = 20 - 0.25 * (row - 20)  # where the line is in the output
        weights = sheared[0, 0, row]
        assert float((weights * torch.arange(41)).sum() / weights.sum()) == pytest.approx(
            across, abs=1e-3
        )


def test_cutout_is_one_grey_square_of_its_size_at_any_place() -> None:
    torch.manual_seed(0)
    images = torch.ones(500, 1, 40, 60)
    cut = augment_faces(images, TrainingSettings(**(NOTHING | {"cutout": 0.3})))
    assert set(cut.unique().tolist()) == {0.0, 1.0}
    holes = (cut[:, 0] == 0).float()
    whole = holes.sum(dim=(1, 2)) == 12 * 18
    assert 0.3 < whole.float().mean() < 0.7  # the centre is anywhere: others are cut by the border
    for hole in holes[:50]:
        rows, columns = hole.any(dim=1), hole.any(dim=0)
        assert hole.sum() == rows.sum() * columns.sum()  # a rectangle
    assert (holes.mean(dim=0) > 0).all()  # no place is spared


def test_without_shear_and_cutout_nothing_changes() -> None:
    images = torch.rand(2, 1, 20, 20)
    assert augment_faces(images, TrainingSettings(**NOTHING)) is images


def test_degradation_spares_the_others_and_keeps_the_face() -> None:
    torch.manual_seed(0)
    images = faces(200)[:, :2] + 0.5 * torch.randn(200, 1, 98, 80)  # what is lost first
    seen = augment_faces(images, TrainingSettings(**(NOTHING | {"degradation": 0.5})))
    worse = (seen != images).flatten(1).any(dim=1)
    assert 0.3 < worse.float().mean() < 0.6  # each of three changes to half of the half
    plain = faces(200)[:, :2]
    before, after = images - plain, seen - plain
    assert after[worse].std() < 0.8 * before[worse].std()  # grain is lost
    assert after[worse].mean().abs() < 0.05  # and nothing else is


def test_compression_costs_more_at_a_lower_quality() -> None:
    rng = np.random.default_rng(0)
    face = faces(1)[0, 0].numpy() + 0.1 * rng.standard_normal((98, 80)).astype(np.float32)
    lost = [float(np.abs(through_jpeg(face, quality) - face).mean()) for quality in (95, 60, 10)]
    assert lost[0] < lost[1] < lost[2] < 0.2
    flat = np.full((98, 80), 3.0, np.float32)
    assert np.array_equal(through_jpeg(flat, 10), flat)
