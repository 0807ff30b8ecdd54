"""Grey faces as networks of coloured pictures read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def as_pictures(
    faces: NDArray[np.uint8], size: tuple[int, int], mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Return faces as float (frame, channel, row, column), standardised by channel.

    They are stretched to the size, so that no part of a face is cropped away.

    Args:
        faces: uint8 (frame, row, column).
        size: Rows and columns.
        mean: Of each channel, of values from 0 to 1.
        std: The same.
    """
    import torch
    from torch.nn import functional

    grey = torch.from_numpy(faces)[:, None].float() / 255
    grey = functional.interpolate(grey, size, mode="bicubic", antialias=True).clamp(0, 1)
    shift, scale = (torch.tensor(values)[:, None, None] for values in (mean, std))
    found: Tensor = (grey - shift) / scale
    return found
