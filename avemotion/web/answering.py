"""What the process beside the server does with an upload: read it, classify it, draw what was seen.

The server never opens a file that it was given: decoders of media have bugs, and some files are
made to use them. See `avemotion.isolation`.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.decoding import is_video, opened
from avemotion.errors import AvemotionError, MediaError
from avemotion.extraction import extract
from avemotion.inference import Classifier
from avemotion.processes import one_thread
from avemotion.store import ClipFeatures
from avemotion.types import Prediction

MAX_PIXELS = 4096 * 2304
"""Largest frame, 4K: a few hundred bytes can stand for frames that fill the memory."""

_SHEET_COLUMNS = 10


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to answer for."""

    path: Path
    """Where it lies."""
    name: str
    """What the user calls it."""
    length_seconds: float
    """The longest that is answered."""


@cache
def _classifier(checkpoint: Path) -> Classifier:
    """Return this process' model."""
    return Classifier(checkpoint, "cpu")


def prepare(checkpoint: Path) -> None:
    """Prepare a process: the model loaded, and one thread."""
    _classifier(checkpoint)
    one_thread()


def answer(checkpoint: Path, upload: Upload) -> dict[str, Any]:
    """Tell the emotion of an uploaded clip.

    Args:
        checkpoint: The model.
        upload: The file.

    Returns:
        ``prediction`` as `classify --json` prints it, and ``pictures``: what the network saw of
        face and voice, as data URLs.

    Raises:
        MediaError: There is no answer; the message is the reason, without our own paths.
    """
    classifier = _classifier(checkpoint)
    try:
        check_size(upload.path, upload.length_seconds)
        prediction = classifier.classify(upload.path)
        pictures = _pictures(classifier, upload.path, prediction)
    except AvemotionError as error:
        reason = str(error).replace(str(upload.path), upload.path.name)
        raise MediaError(reason.replace(upload.path.name, upload.name, 1)) from error
    return {"prediction": asdict(replace(prediction, clip=upload.name)), "pictures": pictures}


def check_size(path: Path, longest_seconds: float) -> None:
    """Refuse media that are too long, or whose frames are too large, before any is decoded.

    Args:
        path: A media file.
        longest_seconds: Counted from packets, since headers lie.

    Raises:
        MediaError: It is too long or too large, or cannot be read.
    """
    with opened(path) as container:
        for stream in filter(is_video, container.streams.video):
            if stream.width * stream.height > MAX_PIXELS:
                raise MediaError(
                    f"the frames of {path.name} have {stream.width} x {stream.height} pixels: more "
                    "than 4K. Send a smaller version"
                )
        first: float | None = None
        for packet in container.demux():
            if packet.pts is None or packet.time_base is None:
                continue
            time = float(packet.pts * packet.time_base)
            first = time if first is None else min(first, time)
            if time - first > longest_seconds:
                raise MediaError(
                    f"{path.name} lasts longer than {longest_seconds / 60:g} minutes. Send a part "
                    "of it, or start the page with a larger --length-minutes"
                )


def _pictures(classifier: Classifier, path: Path, prediction: Prediction) -> dict[str, str]:
    """Draw what the network read: the faces, the spectrogram, or both."""
    seen, heard = prediction.modality != "audio", prediction.modality != "video"
    settings = replace(classifier.facts.preprocessing, views=1)
    clip = extract(path.stem, path if seen else None, path if heard else None, settings)
    pictures = {}
    if seen:
        pictures["faces"] = _data_url(contact_sheet(clip.features.faces[0]))
    if heard:
        kind = classifier.facts.experiment.network.spectrogram
        pictures["spectrogram"] = _data_url(spectrogram_picture(clip.features, kind))
    return pictures


def contact_sheet(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay faces, uint8 (20, 98, 80), out in two rows of ten: uint8 (196, 800)."""
    _, height, width = faces.shape
    grid = faces.reshape(-1, _SHEET_COLUMNS, height, width).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(grid.reshape(-1, _SHEET_COLUMNS * width))


def spectrogram_picture(features: ClipFeatures, kind: str) -> NDArray[np.uint8]:
    """Draw the spectrogram of view 0, uint8 (row, column, 3): low below, loud yellow."""
    if kind == "log_mel":
        levels = features.log_mels[0, ::-1, : features.log_mel_length].astype(np.float32)
    else:
        power = features.spectrograms[0]
        levels = 10 * np.log10(np.maximum(power, max(float(power.max()), 1e-30) * 1e-8))
    span = max(float(np.ptp(levels)), 1e-6)
    grey = ((levels - levels.min()) / span * 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), np.uint8)


def _data_url(picture: NDArray[np.uint8]) -> str:
    _, png = cv2.imencode(".png", picture)
    return f"data:image/png;base64,{b64encode(png.tobytes()).decode()}"
