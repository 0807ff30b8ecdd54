"""A still picture, answered as the camera's pictures are: from the face alone.

The library refuses a picture where it expects a clip, since a corpus or a video that holds one is
broken. Here someone chose a picture, and is told what its answer lacks.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from avemotion.config import FACE_FRAMES
from avemotion.decoding import decode, opened
from avemotion.errors import MediaError, MissingModalityError
from avemotion.extraction import Extraction
from avemotion.faces import crop_faces, find_face
from avemotion.inference import Classifier
from avemotion.store import ClipFeatures
from avemotion.types import Prediction

WARNING = (
    "a still picture has neither movement nor voice, and the network learned from moving faces: it "
    "was shown the same face 20 times. Ask with a clip where you can"
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


def predict_still(classifier: Classifier, path: Path) -> tuple[Prediction, Extraction]:
    """Tell the emotion of a picture: its face in place of every frame of a clip.

    Args:
        classifier: The model.
        path: A picture.

    Returns:
        The prediction, of one frame, and what the network saw.

    Raises:
        MediaError: The file cannot be read, or is animated.
        MissingModalityError: It shows no face, or the model does not answer from the face alone.
    """
    frames = decode(path, lambda _: np.zeros(1, np.intp), hear=False).frames
    if frames is None or frames.decoded > 1:
        raise MediaError(f"{path.name} is an animated picture. Send it as a video")
    track = find_face(list(frames.frames))
    if track is None:
        raise MissingModalityError(f"{path.name} cannot be classified: no face found in it.")
    face = crop_faces(frames.frames, track.box)
    clip = Extraction(
        replace(ClipFeatures.zeros(1), faces=np.repeat(face, FACE_FRAMES, axis=0)[None]),
        no_sound="a picture has no sound",
        frames_decoded=1,
        faces_found=FACE_FRAMES,
        box=track.box,
    )
    prediction = classifier.predict(path, clip)
    warnings = (WARNING, *prediction.warnings)
    return replace(prediction, faces_found=1, frames_sampled=1, warnings=warnings), clip
