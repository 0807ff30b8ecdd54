"""One clip or picture: `classify_clip`, `classify_faces` and `classify_image`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avemotion.config import AskedModality
from avemotion.errors import MediaError, UsageError
from avemotion.features.table import shows_motion
from avemotion.inference.classifier import Classifier
from avemotion.inference.prediction import Prediction
from avemotion.inference.runtimes.interface import RuntimeName
from avemotion.media.sources import DecodedClip, Source, source_name
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CheckpointMetadata


def classify_clip(
    source: Source,
    checkpoint: Path | str | None = None,
    modality: AskedModality = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
    *,
    parts: bool = False,
    isolated: bool = False,
) -> Prediction:
    """Predict the emotion of one clip; to classify many, keep a `Classifier`.

    Of several faces, the largest and most central one counts; `classify_faces` returns a
    prediction for each. The 20 frames are spread evenly over the clip's duration, also at a
    variable frame rate. A file longer than 10 s is classified in windows over the whole of it, as
    `timeline` does by default; the prediction is the geometric mean of theirs, and names the
    strongest windows.

    Args:
        source: Path of a media file, its content as bytes, an open binary file (read from its
            start; a pipe is read to its end), or a `DecodedClip` of arrays.
        checkpoint: The model; see `find_checkpoint`.
        modality: ``av``, ``video`` or ``audio``; ``auto`` uses all that the clip and the model
            have.
        device: ``auto``, ``cpu``, ``cuda``...
        runtime: See `find_checkpoint`.
        parts: Also return the predictions from each modality alone.
        isolated: Decode in a separate process, which may crash, hang, or run out of memory.

    Returns:
        The prediction. Its `warnings` name a missing modality and other peculiarities of the clip.

    Raises:
        MediaError: The clip cannot be read.
        MissingModalityError: The clip lacks the face or the sound that the prediction needs.
        UsageError: The model does not exist or support the modality, its runtime is not installed,
            or the source is not a clip.

    Examples:
        >>> from avemotion import classify_clip
        >>> prediction = classify_clip("clip.mp4")
        >>> prediction.modality, prediction.label in prediction.probabilities
        ('av', True)
    """
    classifier = Classifier(checkpoint, device, runtime)
    return classifier.classify(source, modality, parts=parts, isolated=isolated)


def check_reads_pictures(name: str, metadata: CheckpointMetadata) -> None:
    """Refuse a model that needs motion where a picture is to be classified.

    Args:
        name: What the message calls the picture.
        metadata: Of the model.

    Raises:
        UsageError: It reads several frames of a clip, or no face at all.
    """
    names = names_of(metadata.inputs)
    if shows_motion(names) or "video" not in metadata.answers:
        experiment = metadata.experiment
        raise UsageError(
            f"{name} is a picture, but the model {experiment.system} reads clips. Use a model for "
            "pictures: one that `avemotion models` lists with the input image."
        )


def classify_image(
    source: Source | NDArray[np.uint8],
    checkpoint: Path | str | None = None,
    device: str = "auto",
    runtime: RuntimeName = "auto",
    *,
    isolated: bool = False,
) -> Prediction:
    """Predict the emotion of the face in one picture, by a model for pictures.

    Of several faces, the largest and most central one counts; `classify_faces` returns a
    prediction for each. A picture of at most twice the size of those of training is taken as a face
    as a whole, with a warning, where these were faces themselves.

    Args:
        source: Path of a picture, its content as bytes, an open binary file, or an array: uint8
            (row, column) grey, or (row, column, 3) RGB.
        checkpoint: The model; see `find_checkpoint`.
        device: ``auto``, ``cpu``, ``cuda``...
        runtime: See `find_checkpoint`.
        isolated: Decode in a separate process, which may crash, hang, or run out of memory.

    Raises:
        MediaError: The picture cannot be read, or is a video.
        MissingModalityError: No face was found.
        UsageError: The model does not exist or reads clips, its runtime is not installed, or the
            source is no picture.

    Examples:
        >>> from avemotion import classify_image
        >>> prediction = classify_image("face.jpg", "pictures.safetensors")
        >>> prediction.frames_sampled, prediction.label in prediction.probabilities
        (1, True)
    """
    classifier = Classifier(checkpoint, device, runtime)
    if isinstance(source, np.ndarray):
        source = DecodedClip(source[None], frame_rate=1.0, name="picture")
    name = source_name(source)
    check_reads_pictures(name, classifier.metadata)
    found = classifier.classify(source, "video", isolated=isolated)
    if found.frames_sampled != 1:
        raise MediaError(f"{name} is a video, or animated. Use classify_clip")
    return found


def classify_faces(
    source: Source,
    checkpoint: Path | str | None = None,
    modality: AskedModality = "auto",
    device: str = "auto",
    runtime: RuntimeName = "auto",
    *,
    parts: bool = False,
    isolated: bool = False,
) -> list[Prediction]:
    """Predict the emotion of every face in one clip.

    Args:
        source: As for `classify_clip`.
        checkpoint: The model; see `find_checkpoint`.
        modality: As for `classify_clip`. The audio is the same for every face.
        device: ``auto``, ``cpu``, ``cuda``...
        runtime: See `find_checkpoint`.
        parts: Also return the predictions from each modality alone.
        isolated: Decode in a separate process, which may crash, hang, or run out of memory.

    Returns:
        One prediction per face, numbered from 1; the face that `classify_clip` uses comes first,
        of a file longer than 10 s the face that is in most windows. Without a face, a single
        prediction from the audio.

    Raises:
        MediaError, MissingModalityError, UsageError: As for `classify_clip`.

    Examples:
        >>> from avemotion import classify_faces
        >>> [(prediction.face, prediction.modality) for prediction in classify_faces("clip.mp4")]
        [(1, 'av')]
    """
    classifier = Classifier(checkpoint, device, runtime)
    return classifier.classify_faces(source, modality, parts=parts, isolated=isolated)
