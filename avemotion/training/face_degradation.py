"""Faces as poor cameras, small pictures and video calls show them."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLUR = (0.005, 0.03)
"""Standard deviation of the blur, as a share of the rows: 0.24 to 1.4 pixels of 48."""
RESOLUTION = (0.3, 0.9)
"""Rows and columns that are left, as a share."""
JPEG_QUALITY = (10, 60)
"""Quality of the compression, of 100."""


def degrade_faces(faces: Tensor, chance: float) -> Tensor:
    """Blur the faces of some clips, show them at a lower resolution, or compress them.

    Each of the three happens to half of these clips, so that some stay as they are; all frames of
    a clip are changed alike.

    Args:
        faces: float (clip, frame, row, column), in any range of values.
        chance: Probability for each clip, 0 to 1.

    Returns:
        The same shape.
    """
    chosen = (torch.rand(len(faces)) < chance).nonzero()[:, 0]
    if not len(chosen):
        return faces
    rng = np.random.default_rng(int(torch.randint(2**31, ())))
    chosen = chosen.to(faces.device)
    found = np.stack([_degraded(clip.float().cpu().numpy(), rng) for clip in faces[chosen]])
    return faces.index_copy(0, chosen, torch.from_numpy(found).to(faces))


def _degraded(frames: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Degrade one clip's faces, float32 (frame, row, column)."""
    rows, columns = frames.shape[1:]
    blurred, smaller, compressed = rng.random(3) < 0.5
    sigma, scale = rng.uniform(*BLUR) * rows, rng.uniform(*RESOLUTION)
    quality = int(rng.integers(*JPEG_QUALITY, endpoint=True))
    found = []
    for frame in frames:
        if blurred:
            frame = cv2.GaussianBlur(frame, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        if smaller:
            size = max(1, round(scale * columns)), max(1, round(scale * rows))
            small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
            frame = cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR)
        if compressed:
            frame = through_jpeg(np.asarray(frame), quality)
        found.append(np.asarray(frame, np.float32))
    return np.stack(found)


def through_jpeg(frame: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    """Return a frame after compression as JPEG, its darkest value as 0, its brightest as 255."""
    low, contrast = frame.min(), np.ptp(frame) or np.float32(1)
    grey = np.rint((frame - low) / contrast * 255).astype(np.uint8)
    _, coded = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
    seen = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.float32)
    return np.asarray(seen / 255 * contrast + low, np.float32)
