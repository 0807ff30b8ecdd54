"""Augmentation of training batches, so that a network learns the emotion and not the clip.

All functions work on whole batches on the device that holds them, and draw anew in each step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from avemotion.compat import import_torchaudio
from avemotion.config import SAMPLE_RATE, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.data.store import FeatureStore
from avemotion.features.batched_spectrograms import middle
from avemotion.features.table import feature, is_embedding
from avemotion.models.inputs import Input, names_of
from avemotion.training.face_degradation import degrade_faces
from avemotion.training.sound_augmentation import augment_waveforms

_SOUND_CHANGES = ("room", "channel", "equaliser", "gain_db", "noise")

MASKED_BANDS = 10
"""Widest band of frequencies that is masked, in rows of the spectrogram."""
MASKED_SHARE = 0.2
"""Longest stretch of time that is masked, as a share of the sound's mean length in the batch."""


def augment_faces(faces: Tensor, settings: TrainingSettings) -> Tensor:
    """Mirror, rotate, scale, shear and shift each clip's faces alike; degrade and cover them.

    Args:
        faces: float (clip, frame, row, column), normalised.
        settings: Ranges of the random transforms.

    Returns:
        The same shape; beyond the border the last pixels repeat.
    """
    s = settings
    if s.mirror or s.rotation_degrees or s.scale or s.shift or s.shear:
        grid = functional.affine_grid(
            _random_affine(faces.shape, settings).to(faces.device),
            [len(faces), 1, *faces.shape[-2:]],
            align_corners=False,
        )
        faces = functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)
    if settings.degradation:
        faces = degrade_faces(faces, settings.degradation)
    if settings.pixel_noise:
        faces = faces + settings.pixel_noise * torch.randn_like(faces)
    return _cut_out(faces, settings.cutout) if settings.cutout else faces


def _cut_out(faces: Tensor, share: float) -> Tensor:
    """Lay a square of mean grey at a random place (cutout, DeVries and Taylor 2017).

    Args:
        faces: float (clip, frame, row, column), normalised: grey is 0.
        share: Side of the square, as a share of the rows and of the columns.
    """
    clips, *_, rows, columns = faces.shape
    inside = []
    for size in (rows, columns):
        centre = torch.rand(clips, 1) * size
        inside.append((torch.arange(size) + 0.5 - centre).abs() < share * size / 2)
    square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return faces.masked_fill(square.to(faces.device), 0)


def _random_affine(shape: Sequence[int], settings: TrainingSettings) -> Tensor:
    """Draw float (clip, 2, 3): maps output to input coordinates, -1 to 1 across the crop."""
    clips, *_, rows, columns = shape

    def draw(limit: float) -> Tensor:
        return (torch.rand(clips) * 2 - 1) * limit

    angle = draw(math.radians(settings.rotation_degrees))
    size = 1 + draw(settings.scale)
    flip = torch.ones(clips)
    if settings.mirror:
        flip -= 2 * torch.randint(2, (clips,))
    aspect = rows / columns  # a rotation in pixels, not in the stretched coordinates
    cosine, sine = angle.cos() / size, angle.sin() / size
    slant = draw(settings.shear) if settings.shear else torch.zeros(clips)
    # Shear first, then rotate: the matrix of the rotation times [[1, slant], [0, 1]], in pixels.
    across = torch.stack(
        [cosine * flip, (cosine * flip * slant - sine) * aspect, 2 * draw(settings.shift)], dim=1
    )
    down = torch.stack(
        [sine / aspect * flip, sine * flip * slant + cosine, 2 * draw(settings.shift)], dim=1
    )
    return torch.stack([across, down], dim=1)


def heard_anew(
    batch: Batch[Tensor], names: Sequence[str], settings: TrainingSettings
) -> Batch[Tensor]:
    """Change the sound of a batch, and compute from it what a network reads.

    Args:
        batch: Clips with their waveforms in place of the features that are computed from them; or,
            of a store without waveforms, with these features.
        names: The features that the network reads.
        settings: What is changed, and how often.

    Returns:
        Clips with the features.
    """
    if "waveform" not in batch.inputs:
        return _changed(batch, settings)
    seconds = [f.longest_seconds for f in map(feature, names) if f.stream == "audio"]
    limit = round(max(seconds) * SAMPLE_RATE)  # a clip of minutes is not changed as a whole
    heard, lengths = middle(batch.inputs["waveform"], batch.lengths["waveform"], limit)
    sound = augment_waveforms(heard, lengths, settings)
    inputs = {name: array for name, array in batch.inputs.items() if name != "waveform"}
    found = {name: length for name, length in batch.lengths.items() if name != "waveform"}
    for name in names:
        about = feature(name)
        if about.stream == "audio":
            assert about.columns
            inputs[name] = about.of_waveforms(sound, lengths) if about.of_waveforms else sound
            columns = [about.columns(length) for length in lengths.tolist()]
            found[name] = torch.tensor(columns, device=lengths.device)
    return replace(batch, inputs=inputs, lengths=found)


def _changed(batch: Batch[Tensor], settings: TrainingSettings) -> Batch[Tensor]:
    """Change spectrograms for which there are no waveforms, as far as it is known how."""
    changed: dict[str, Tensor] = {}
    for name, array in batch.inputs.items():
        for what, change in feature(name).changes.items():
            if not (chance := getattr(settings, f"sound_{what}")):
                continue
            lengths, spectrograms = batch.lengths[name], changed.get(name, array).float()[:, None]
            chosen = (torch.rand(len(lengths)) < chance).nonzero()[:, 0].to(array.device)
            if len(chosen):
                altered = change(spectrograms[chosen], lengths[chosen])
                changed[name] = spectrograms.index_copy(0, chosen, altered)[:, 0]
    return batch.with_inputs(**changed)


def mask_spectrograms(spectrograms: Tensor, lengths: Tensor, fill: Tensor | float) -> Tensor:
    """Mask a band of frequencies and a stretch of time in each clip.

    SpecAugment (Park et al. 2019) by torchaudio, without its warping of time.

    Args:
        spectrograms: float (clip, 1, row, column).
        lengths: int64 (clip,): number of columns that hold sound.
        fill: float (row, 1), or a number: value of masked parts, as the mean of each row.

    Returns:
        float (clip, 1, row, column).
    """
    transforms = import_torchaudio().transforms
    bands = transforms.FrequencyMasking(MASKED_BANDS, iid_masks=True)
    stretch = max(1, int(MASKED_SHARE * float(lengths.float().mean())))
    times = transforms.TimeMasking(stretch, iid_masks=True)
    masked: Tensor = times(bands(spectrograms - fill)) + fill  # they mask with 0
    return masked


def mix(batch: Batch[Tensor], targets: Tensor, strength: float) -> tuple[Batch[Tensor], Tensor]:
    """Blend each clip, face and voice alike, with another of the batch (mixup, Zhang et al. 2018).

    Args:
        batch: Clips as the network reads them.
        targets: float (clip, label): probabilities.
        strength: Both parameters of the Beta distribution of the blend; above 0.

    Returns:
        The blended clips and targets.
    """
    share = float(torch.distributions.Beta(strength, strength).sample())
    share = max(share, 1 - share)
    other = torch.randperm(len(targets), device=targets.device)

    blended = replace(
        batch,
        inputs={name: torch.lerp(x[other], x, share) for name, x in batch.inputs.items()},
        lengths={name: torch.maximum(n, n[other]) for name, n in batch.lengths.items()},
    )
    return blended, torch.lerp(targets[other], targets, share)


def hide_modalities(batch: Batch[Tensor], chance: float) -> Batch[Tensor]:
    """Hide the face of some clips and the voice of others, never both.

    A network trained so can also predict where one modality is missing.

    Args:
        batch: Clips of which the network reads face and voice.
        chance: Probability for each of the two; at most 0.5.
    """
    face, voice = batch.present["video"], batch.present["audio"]
    draw = torch.rand(len(face), device=face.device)
    return replace(
        batch,
        present={
            "video": face & ~((draw < chance) & voice),
            "audio": voice & ~((draw > 1 - chance) & face),
        },
    )


def left_out(store: FeatureStore, inputs: Sequence[Input], settings: TrainingSettings) -> str:
    """Return which changes of the sound have no effect; empty where all have, or nothing is heard.

    Rooms and gains need waveforms from which training computes what is read; noise, narrow channels
    and equalisers need them, or a feature that takes such `changes`. Embeddings are never changed.
    """
    names = trained_names(store, inputs)
    heard = [name for name in names if feature(name).stream == "audio" and not is_embedding(name)]
    sound = [name for name in heard if name != "waveform"]
    if not sound:
        return ""
    taken = {what for name in sound for what in feature(name).changes}
    asked = {w: getattr(settings, f"sound_{w}") for w in _SOUND_CHANGES if w not in taken}
    lost = [f"--training.sound_{what} {value:g}" for what, value in asked.items() if value]
    takes_waveforms = any(feature(name).of_waveforms for name in sound)
    if "waveform" in store.settings.features or not takes_waveforms:
        lacking = f"training does not compute {' or '.join(sound)} anew"
        return f"{lacking}: {', '.join(lost)} without effect" if lost else ""
    return (
        f"{store.directory} has no waveforms: the recorder's noise is the same in each epoch"
        + (f", and {', '.join(lost)} without effect" if lost else "")
        + ". Preprocess with --features that name waveform, too"
    )


def trained_names(store: FeatureStore, inputs: Sequence[Input]) -> tuple[str, ...]:
    """Return the features that training reads: waveforms, where the store has them.

    From them the features of the sound are computed anew in each step.
    """
    names = names_of(inputs)
    sound = [name for name in names if feature(name).stream == "audio"]
    if not sound or "waveform" not in store.settings.features:
        return names
    if not all(feature(name).of_waveforms or name == "waveform" for name in sound):
        return names
    return (*(name for name in names if name not in sound), "waveform")
