"""A still picture, answered as the camera's pictures are: from the face alone.

The library refuses a picture where it expects a clip, since a corpus or a video that holds one is
broken. Here someone chose a picture, and is told what its answer lacks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from avemotion.config import FACE_FRAMES
from avemotion.errors import MediaError, MissingModalityError
from avemotion.features.crops import crop_faces, scaled_box
from avemotion.features.face_detection import find_face
from avemotion.inference.preparation import (
    FaceCrops,
    PreparedClip,
    combine,
    compute_spectrogram,
)
from avemotion.inference.request import InferenceRequest
from avemotion.media.decoder import decode, opened
from avemotion.media.types import ClipMedia

WARNING = (
    "little better than a guess: a still picture has neither movement nor voice, and the network "
    "learned from moving faces. It was shown the same face 20 times. Ask with a clip"
)
"""Stands above every other warning of a picture."""

_FORMATS = {"image2", "jpeg_pipe", "png_pipe", "webp_pipe"}  # FFmpeg's names, told by content


def is_still(path: Path) -> bool:
    """Tell whether a file is a JPEG, PNG or WebP picture.

    Raises:
        MediaError: The file cannot be read.
    """
    with opened(path) as container:
        return container.format.name in _FORMATS


def prepare_still(path: Path, request: InferenceRequest) -> PreparedClip:
    """Turn a picture into what the network reads: its face in place of every frame of a clip.

    Args:
        path: A picture.
        request: What is asked of which model.

    Returns:
        As of a clip; it says that one frame was searched.

    Raises:
        MediaError: The file cannot be read, or is animated.
        MissingModalityError: It shows no face, or the model does not answer from the face alone.
    """
    video = decode(path, lambda _: np.zeros(1, np.intp), hear=False).frames
    if video is None or video.decoded > 1:
        raise MediaError(f"{path.name} is an animated picture. Send it as a video")
    track = find_face(list(video.frames))
    if track is None:
        raise MissingModalityError(f"{path.name} cannot be classified: no face found in it.")
    face = FaceCrops(
        np.repeat(crop_faces(video.frames, track.box), FACE_FRAMES, axis=0),
        FACE_FRAMES * track.found,
        scaled_box(track.box, video.scale),
    )
    media = ClipMedia(video, None, no_sound="a still image has no sound")
    spectrogram = compute_spectrogram(path.stem, media, request)  # silence
    clip = combine(path.name, media, face, spectrogram, request)
    return replace(clip, faces_found=1, frames_sampled=1, warnings=(WARNING, *clip.warnings))
