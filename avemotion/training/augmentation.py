"""Augmentation of training batches, so that a network learns the emotion and not the clip.

All functions work on whole batches on the device that holds them, and draw anew in each step.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from avemotion.compat import import_torchaudio
from avemotion.config import FACE_HEIGHT, FACE_WIDTH, TrainingSettings
from avemotion.data.batch import ClipInputs
from avemotion.features.spectrogram import mel_edges, mel_values

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
        faces: float (clip, 20, 98, 80), normalised.
        settings: Ranges of the random transforms.

    Returns:
        float (clip, 20, 98, 80); beyond the border the last pixels repeat.
    """
    if settings.mirror or settings.rotation_degrees or settings.scale or settings.shift:
        grid = functional.affine_grid(
            _random_affine(len(faces), settings).to(faces.device),
            [len(faces), 1, FACE_HEIGHT, FACE_WIDTH],
            align_corners=False,
        )
        faces = functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)
    if settings.pixel_noise:
        faces = faces + settings.pixel_noise * torch.randn_like(faces)
    return faces


def _random_affine(clips: int, settings: TrainingSettings) -> Tensor:
    """Draw float (clip, 2, 3): maps output to input coordinates, -1 to 1 across the crop."""

    def draw(limit: float) -> Tensor:
        return (torch.rand(clips) * 2 - 1) * limit

    angle = draw(math.radians(settings.rotation_degrees))
    size = 1 + draw(settings.scale)
    flip = torch.ones(clips)
    if settings.mirror:
        flip -= 2 * torch.randint(2, (clips,))
    aspect = FACE_HEIGHT / FACE_WIDTH  # a rotation in pixels, not in the stretched coordinates
    cosine, sine = angle.cos() / size, angle.sin() / size
    across = torch.stack([cosine * flip, -sine * aspect, 2 * draw(settings.shift)], dim=1)
    down = torch.stack([sine / aspect * flip, cosine, 2 * draw(settings.shift)], dim=1)
    return torch.stack([across, down], dim=1)


def add_sound_noise(log_mels: Tensor, lengths: Tensor, chance: float) -> Tensor:
    """Add noise of random level and colour to the sound of some clips.

    Args:
        log_mels: float (clip, 1, 64, 500), as `spectrogram.log_mel` makes them.
        lengths: int64 (clip,): number of columns that hold sound.
        chance: Probability that a clip gets noise, 0 to 1.

    Returns:
        float (clip, 1, 64, 500).
    """
    chosen = (torch.rand(len(lengths)) < chance).nonzero()[:, 0].to(log_mels.device)
    low, high = NOISE_SNR_DB
    snr_db = low + (high - low) * torch.rand(len(chosen))
    fall_db = NOISE_FALL_DB * torch.rand(len(chosen))
    noisy = with_noise(log_mels[chosen], lengths[chosen], snr_db, fall_db)
    return log_mels.index_copy(0, chosen, noisy)


def with_noise(log_mels: Tensor, lengths: Tensor, snr_db: Tensor, fall_db: Tensor) -> Tensor:
    """Add noise to sounds of which only the log-mel is at hand.

    Voice and noise are independent, so on average their powers add. A band of noise is the mean of
    m exponential values (`mel_values`); its logarithm is drawn from a normal distribution with the
    same moments, `digamma(m) - ln m` and `trigamma(m)`. Not modelled: the interference of voice and
    noise, and the correlation of noise in neighbouring bands and columns.

    Args:
        log_mels: float (clip, 1, 64, 500).
        lengths: int64 (clip,): number of columns that hold sound.
        snr_db: float (clip,): mean power of the voice over that of the noise, in dB.
        fall_db: float (clip,): fall of the noise in dB a decade of frequency: 0 is white, 10 pink.

    Returns:
        float (clip, 1, 64, 500); columns without sound stay as they are.
    """
    device = log_mels.device
    edges = torch.from_numpy(mel_edges()).float().to(device)
    widths = (edges[2:] - edges[:-2]) / 2  # Hz: bands hold power densities
    colour = (edges[1:-1] / edges[1]) ** (-fall_db.to(device) / 10)[:, None]
    sounding = torch.arange(log_mels.shape[-1], device=device) < lengths[:, None]
    power = 10 ** (log_mels[:, 0] / 10)
    voice = (power * sounding[:, None]).sum(dim=-1) / lengths.clamp(min=1)[:, None]
    level = (voice * widths).sum(dim=1) / (colour * widths).sum(dim=1)
    level = level * 10 ** (-snr_db.to(device) / 10)
    values = torch.from_numpy(mel_values()).float().to(device)
    offset, spread = torch.digamma(values) - values.log(), torch.polygamma(1, values).sqrt()
    drawn = (offset[:, None] + spread[:, None] * torch.randn_like(power)).exp()
    mixed = 10 * (power + (level[:, None] * colour)[..., None] * drawn).log10()
    return torch.where(sounding[:, None, None], mixed[:, None], log_mels)


def mask_spectrograms(spectrograms: Tensor, lengths: Tensor, fill: Tensor) -> Tensor:
    """Mask a band of frequencies and a stretch of time in each clip.

    SpecAugment (Park et al. 2019) by torchaudio, without its warping of time.

    Args:
        spectrograms: float (clip, 1, row, column).
        lengths: int64 (clip,): number of columns that hold sound.
        fill: float (row, 1): value of masked parts: the network's mean of each row.

    Returns:
        float (clip, 1, row, column).
    """
    transforms = import_torchaudio().transforms
    bands = transforms.FrequencyMasking(MASKED_BANDS, iid_masks=True)
    stretch = max(1, int(MASKED_SHARE * float(lengths.float().mean())))
    times = transforms.TimeMasking(stretch, iid_masks=True)
    masked: Tensor = times(bands(spectrograms - fill)) + fill  # they mask with 0
    return masked


def mix(inputs: ClipInputs, targets: Tensor, strength: float) -> tuple[ClipInputs, Tensor]:
    """Blend each clip, face and voice alike, with another of the batch (mixup, Zhang et al. 2018).

    Args:
        inputs: Inputs of the batch.
        targets: float (clip, classes): probabilities.
        strength: Both parameters of the Beta distribution of the blend; above 0.

    Returns:
        The blended inputs and targets.
    """
    share = float(torch.distributions.Beta(strength, strength).sample())
    share = max(share, 1 - share)
    other = torch.randperm(len(targets), device=targets.device)

    def blend(values: Tensor | None) -> Tensor | None:
        return None if values is None else torch.lerp(values[other], values, share)

    lengths = inputs.lengths
    blended = replace(
        inputs,
        faces=blend(inputs.faces),
        spectrograms=blend(inputs.spectrograms),
        lengths=None if lengths is None else torch.maximum(lengths, lengths[other]),
    )
    return blended, torch.lerp(targets[other], targets, share)


def hide_modalities(inputs: ClipInputs, chance: float) -> ClipInputs:
    """Hide the face of some clips and the voice of others, never both.

    An av network trained so can also predict where one modality is missing.

    Args:
        inputs: Inputs of the batch.
        chance: Probability for each of the two; at most 0.5.
    """
    draw = torch.rand(len(inputs.has_face), device=inputs.has_face.device)
    return replace(
        inputs,
        has_face=inputs.has_face & ~((draw < chance) & inputs.has_sound),
        has_sound=inputs.has_sound & ~((draw > 1 - chance) & inputs.has_face),
    )
