"""Photographs in tiles, as phones write HEIC: put together, since FFmpeg gives each tile alone."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from avemotion.errors import MediaError
from avemotion.media.kinds import kind_of
from avemotion.media.pictures import check_size
from avemotion.media.sources import MediaFile


def in_tiles(container: av.container.InputContainer, name: str) -> bool:
    """Tell whether the streams of an opened file are the tiles of one picture."""
    tiles = any(stream.disposition & Disposition.dependent for stream in container.streams.video)
    return tiles and kind_of(container, name) == "picture"


def joined(file: MediaFile) -> io.BytesIO:
    """Return the whole picture, upright, in a format without compression (PPM).

    Raises:
        MediaError: It is damaged, too large, or of a codec that libheif does not know (AVIF).
    """
    import pi_heif  # libheif, which few files need

    if not isinstance(file, Path):
        file.handle.seek(0)
    try:
        picture = pi_heif.open_heif(file if isinstance(file, Path) else file.handle)
        columns, rows = picture.size
        check_size(file.name, columns, rows)
        pixels = np.asarray(picture)
    except (OSError, RuntimeError, SyntaxError, ValueError) as error:
        raise MediaError(
            f"{file.name} is a photograph in tiles that cannot be put together ({error}). Save it "
            "as JPEG or PNG"
        ) from error
    colours = pixels[..., :3] if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1)
    header = f"P6\n{columns} {rows}\n255\n".encode()
    return io.BytesIO(header + np.ascontiguousarray(colours, np.uint8).tobytes())
