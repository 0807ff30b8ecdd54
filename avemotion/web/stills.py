"""A still image, classified from its face alone, like the frames of the camera.

The library refuses a still image where it expects a clip: in a corpus it is a broken video. On the
page somebody chose an image on purpose, and the prediction carries a warning.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from avemotion.config import FACE_FRAMES
from avemotion.errors import MediaError, MissingModalityError
from avemotion.features.crops import face_crops, scaled_box
from avemotion.features.face_detection import find_face
from avemotion.features.table import shows_motion
from avemotion.inference.preparation import (
    FaceCrops,
    PreparedClip,
    combine,
    sound_features,
)
from avemotion.inference.request import InferenceRequest
from avemotion.media.decoder import decode, opened
from avemotion.media.types import ClipMedia
from avemotion.models.inputs import names_of

WARNING = (
    "low reliability: a still image has no motion and no voice; the model was trained on video. "
    "Upload a clip"
)
"""First warning of a still image, where the model reads motion."""

_FORMATS = {"image2", "jpeg_pipe", "png_pipe", "webp_pipe"}  # of FFmpeg, which probes the content


def is_still(path: Path) -> bool:
    """Return whether a file is a JPEG, PNG or WebP image.

    Raises:
        MediaError: The file cannot be read.
    """
    with opened(path) as container:
        return container.format.name in _FORMATS


def prepare_still(path: Path, request: InferenceRequest) -> PreparedClip:
    """Compute the network's input for a still image: its face, repeated for all 20 frames.

    Args:
        path: A JPEG, PNG or WebP image.
        request: Model and modality.

    Returns:
        The prepared clip; `frames_sampled` is 1.

    Raises:
        MediaError: The file cannot be read, or is animated.
        MissingModalityError: No face was found, or the model does not support video alone.
    """
    video = decode(path, lambda _: np.zeros(1, np.intp), with_sound=False).frames
    if video is None or video.decoded > 1:
        raise MediaError(f"{path.name} is an animated image. Upload it as a video")
    track = find_face(list(video.frames))
    if track is None:
        raise MissingModalityError(f"{path.name} cannot be classified: no face found in it.")
    crops, box = face_crops(video.frames, track.box, request.metadata.preprocessing)
    face = FaceCrops(
        np.repeat(crops, FACE_FRAMES, axis=0),
        FACE_FRAMES * track.found,
        scaled_box(box, video.scale),
    )
    media = ClipMedia(video, None, no_sound="a still image has no sound")
    silence = sound_features(path.stem, media, request)
    clip = combine(path.name, media, face, silence, request)
    reads_motion = shows_motion(names_of(request.metadata.inputs))
    warnings = (WARNING, *clip.warnings) if reads_motion else clip.warnings
    return replace(clip, faces_found=1, frames_sampled=1, warnings=warnings)
