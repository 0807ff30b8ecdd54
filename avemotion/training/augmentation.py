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
from avemotion.config import TrainingSettings
from avemotion.data.batch import Batch
from avemotion.errors import UsageError
from avemotion.features.table import FEATURES, feature
from avemotion.models.inputs import Input

NOISE_SNR_DB = (0.0, 30.0)
"""Signal-to-noise ratio of added noise in dB: drawn evenly between the two for each clip."""
NOISE_FALL_DB = 10.0
"""Steepest fall of that noise, in dB a decade of frequency: 0 is white, 10 is pink."""
MASKED_BANDS = 10
"""Widest band of frequencies that is masked, in rows of the spectrogram."""
MASKED_SHARE = 0.2
"""Longest stretch of time that is masked, as a share of the sound's mean length in the batch."""


def augment_faces(faces: Tensor, settings: TrainingSettings) -> Tensor:
    """Mirror, rotate, scale and shift each clip's faces alike, then add white noise.

    Args:
        faces: float (clip, frame, row, column), normalised.
        settings: Ranges of the random transforms.

    Returns:
        The same shape; beyond the border the last pixels repeat.
    """
    if settings.mirror or settings.rotation_degrees or settings.scale or settings.shift:
        grid = functional.affine_grid(
            _random_affine(faces.shape, settings).to(faces.device),
            [len(faces), 1, *faces.shape[-2:]],
            align_corners=False,
        )
        faces = functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)
    if settings.pixel_noise:
        faces = faces + settings.pixel_noise * torch.randn_like(faces)
    return faces


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
    across = torch.stack([cosine * flip, -sine * aspect, 2 * draw(settings.shift)], dim=1)
    down = torch.stack([sine / aspect * flip, cosine, 2 * draw(settings.shift)], dim=1)
    return torch.stack([across, down], dim=1)


def add_sound_noise(name: str, spectrograms: Tensor, lengths: Tensor, chance: float) -> Tensor:
    """Add noise of random level and colour to the sound of some clips.

    Args:
        name: The feature, one that noise can be added to.
        spectrograms: float (clip, 1, row, column).
        lengths: int64 (clip,): number of columns that hold sound.
        chance: Probability that a clip gets noise, 0 to 1.

    Returns:
        float (clip, 1, row, column).
    """
    add_noise = feature(name).add_noise
    assert add_noise
    chosen = (torch.rand(len(lengths)) < chance).nonzero()[:, 0].to(spectrograms.device)
    low, high = NOISE_SNR_DB
    snr_db = low + (high - low) * torch.rand(len(chosen))
    fall_db = NOISE_FALL_DB * torch.rand(len(chosen))
    noisy = add_noise(spectrograms[chosen], lengths[chosen], snr_db, fall_db)
    return spectrograms.index_copy(0, chosen, noisy)


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


def check_augmentable(inputs: Sequence[Input], settings: TrainingSettings) -> None:
    """Refuse augmentation that the inputs of a model do not take.

    Raises:
        UsageError: Noise is asked for, and the model's spectrogram takes none.
    """
    deaf = [part.name for part in inputs if feature(part.name).stream == "audio"]
    deaf = [name for name in deaf if feature(name).add_noise is None]
    if settings.sound_noise and deaf:
        able = ", ".join(name for name, about in FEATURES.items() if about.add_noise)
        raise UsageError(
            f"--training.sound_noise works only with {able}, but the model reads "
            f"{', '.join(deaf)}. Set the noise to 0, or let the model read {able}."
        )
