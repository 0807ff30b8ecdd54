"""What the worker process does with an upload: read it, classify it, draw the network's input.

The server itself opens no uploaded file: media decoders have bugs, and some files are made to
exploit them. See `avemotion.parallel.isolation`.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import TimelineSettings
from avemotion.data.spectrogram_plot import spectrogram_png
from avemotion.errors import AvemotionError, MediaError, MissingModalityError
from avemotion.features.face_detection import find_faces
from avemotion.features.table import feature
from avemotion.files import csv_rows
from avemotion.inference.classifier import Classifier
from avemotion.inference.long_clips import WindowPool
from avemotion.inference.one_clip import check_reads_pictures
from avemotion.inference.preparation import LONG_CLIP_SECONDS, PreparedClip
from avemotion.inference.timeline_rows import smoothed, table_columns, table_row
from avemotion.inference.timeline_windows import WindowAnswer, window_rows
from avemotion.media.decoder import opened
from avemotion.media.kinds import kind_of
from avemotion.media.video_tracks import is_video
from avemotion.parallel.processes import one_thread

MAX_PIXELS = 4096 * 2304
"""Largest video frame, 4K: a file of a few hundred bytes can hold frames that fill the memory."""

MAX_STILL_PIXELS = 64_000_000
"""Largest still image: photos have more pixels than video frames."""

_SHEET_COLUMNS = 10
_COUNTED_WINDOWS = 12  # of a long clip, in which all faces are counted
_TIMELINE_FACES = 48  # crops sent with a timeline, more than a page shows side by side


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file to classify."""

    path: Path
    """Its path."""
    name: str
    """Its name on the user's machine."""
    length_seconds: float
    """Longest duration that is classified."""


@cache
def _classifier(checkpoint: Path) -> Classifier:
    """Load the model once per process."""
    return Classifier(checkpoint, "cpu")


def prepare(checkpoint: Path) -> None:
    """Initialise the worker process: load the model, and use one thread."""
    _classifier(checkpoint)
    one_thread()


def answer(checkpoint: Path, upload: Upload) -> Iterator[dict[str, Any]]:
    """Predict the emotion of an uploaded clip.

    Args:
        checkpoint: The model.
        upload: The file.

    Yields:
        For a clip longer than `LONG_CLIP_SECONDS`, its timeline first: ``timeline`` (duration,
        settings of the windows, header of the CSV table), then each ``row`` as
        `TimelineRow.to_dict` returns it, its ``cells`` in the CSV table, and sometimes a
        ``face``. For every clip, last: ``prediction`` as `classify --json` prints it, and
        ``images`` of the network's input as data URLs (of a long clip, of its surest window), and
        the number of ``further_faces``, which the prediction is not about.

    Raises:
        MediaError: The clip cannot be classified; the message gives the reason, without paths of
            the server.
    """
    classifier = _classifier(checkpoint)
    both = {"video", "audio"} <= set(classifier.metadata.answers)
    try:
        with opened(upload.path) as container:
            still = kind_of(container, upload.path.name) == "picture"
        seconds = check_size(upload.path, upload.length_seconds, still)
        if still:
            check_reads_pictures(upload.path.name, classifier.metadata)
        if seconds > LONG_CLIP_SECONDS and not still:
            pool = WindowPool(upload.path.name, classifier.request())
            faces = _FaceCount(seconds)
            yield from _timeline(classifier, upload.path, seconds, [pool.add, faces.add], both)
            (prediction,), clip, further = pool.predictions(), pool.surest, faces.most - 1
        else:
            (clip,) = classifier.prepare(upload.path)
            (prediction,) = classifier.answer([clip], parts=both and clip.modality == "av")
            further = _further_faces(classifier, upload.path) if clip.faces_found else 0
    except AvemotionError as error:
        reason = str(error).replace(str(upload.path), upload.path.name)
        raise MediaError(reason.replace(upload.path.name, upload.name, 1)) from error
    yield {
        "prediction": replace(prediction, clip=upload.name).to_dict(),
        "images": _images(clip) if clip else {},
        "further_faces": further,
    }


def _timeline(
    classifier: Classifier,
    path: Path,
    seconds: float,
    watchers: Sequence[Callable[[Sequence[WindowAnswer]], None]],
    parts: bool,
) -> Iterator[dict[str, Any]]:
    """Yield the header of a timeline, then its rows; the watchers are given each window, too."""

    def watch(answers: Sequence[WindowAnswer]) -> None:
        for watcher in watchers:
            watcher(answers)

    labels, settings = classifier.labels, TimelineSettings()
    yield {
        "timeline": asdict(settings) | {"seconds": seconds, "cells": _csv(table_columns(labels))}
    }
    next_face = 0.0
    windows = window_rows(
        path,
        classifier.request(),
        settings,
        lambda window: classifier.answer([window], parts)[0],
        watch=watch,
    )
    for row in smoothed(windows, settings.smooth_seconds):
        part = {"row": row.to_dict(), "cells": _csv(table_row(row, labels))}
        if row.face_crop is not None and row.start_seconds >= next_face:
            part["face"] = _face_url(row.face_crop)
            next_face = row.start_seconds + seconds / _TIMELINE_FACES
        yield part


def _further_faces(classifier: Classifier, path: Path) -> int:
    """Return how many faces a short clip or image shows beside the one that is answered for."""
    try:
        return len(classifier.prepare(path, face="all")) - 1
    except MissingModalityError:
        return 0


class _FaceCount:
    """Counts the faces in some windows of a long clip: the largest number at once."""

    def __init__(self, seconds: float) -> None:
        self.most = 1
        self._every, self._next = seconds / _COUNTED_WINDOWS, 0.0

    def add(self, answers: Sequence[WindowAnswer]) -> None:
        window, face = answers[0].window, answers[0].face
        if window.start_seconds >= self._next and window.frames is not None and face.box:
            self.most = max(self.most, len(find_faces(list(window.frames)).tracks))
            self._next = window.start_seconds + self._every


def _csv(cells: list[Any]) -> str:
    text = io.StringIO(newline="")
    csv_rows(text)(cells)
    return text.getvalue()


def check_size(path: Path, longest_seconds: float, still: bool) -> float:
    """Refuse media that are too long, or whose frames are too large, before decoding them.

    Args:
        path: A media file.
        longest_seconds: Longest duration; it is measured from the packets, since headers may lie.
        still: Whether it is a still image, which may have more pixels.

    Returns:
        Seconds from the first packet to the last.

    Raises:
        MediaError: It is too long or too large, or cannot be read.
    """
    with opened(path) as container:
        for stream in filter(is_video, container.streams.video):
            if stream.width * stream.height > (MAX_STILL_PIXELS if still else MAX_PIXELS):
                what = path.name if still else f"a frame of {path.name}"
                most = f"{MAX_STILL_PIXELS / 1e6:g} million" if still else "4K"
                raise MediaError(
                    f"{what} has {stream.width} x {stream.height} pixels: more than {most}. "
                    "Upload a smaller version"
                )
        first = last = None
        untimed: defaultdict[int, float] = defaultdict(
            float
        )  # seconds of streams without timestamps
        used = [*filter(is_video, container.streams.video), *container.streams.audio]
        for packet in container.demux(used) if used else ():
            if packet.size == 0:  # it only flushes the decoder
                continue
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is None or packet.time_base is None:
                untimed[packet.stream.index] += _packet_seconds(path, packet)
                time = untimed[packet.stream.index]
            else:
                time = float(stamp * packet.time_base)
            first = time if first is None else min(first, time)
            last = time if last is None else max(last, time)
            if last - first > longest_seconds:
                raise MediaError(
                    f"{path.name} is longer than {longest_seconds / 60:g} minutes. Upload a part "
                    "of it, or start the page with a larger --length-minutes"
                )
    return last - first if first is not None and last is not None else 0.0


def _packet_seconds(path: Path, packet: Any) -> float:
    """Return the duration of a packet without a timestamp, as raw streams have them.

    Raises:
        MediaError: The duration is unknown.
    """
    if packet.duration and packet.time_base:
        return float(packet.duration * packet.time_base)
    rate = getattr(packet.stream, "average_rate", None)  # audio streams have none
    if not rate:
        raise MediaError(
            f"the duration of {path.name} is unknown: it has no timestamps. Convert it to MP4 or "
            "Matroska"
        )
    return float(1 / rate)


def _images(clip: PreparedClip) -> dict[str, str]:
    """Draw what the model read, the faces, the spectrogram, or both, as data URLs of PNGs."""
    images = {}
    for name, array in clip.arrays.inputs.items():
        about = feature(name)
        if not clip.arrays.present[about.stream][0]:
            continue
        if about.kind == "image":
            images["faces"] = _face_url(array[0])
        elif about.kind == "frames":
            is_still = clip.frames_sampled == 1
            images["faces"] = _face_url(array[0, 0] if is_still else contact_sheet(array[0]))
        elif about.kind == "spectrogram":
            columns = clip.arrays.lengths[name][0]
            png = spectrogram_png(array[0, :, :columns], name)
            images["spectrogram"] = _data_url(png)
    return images


def contact_sheet(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Arrange faces, uint8 (20, 98, 80), in two rows of ten: uint8 (196, 800)."""
    _, height, width = faces.shape
    grid = faces.reshape(-1, _SHEET_COLUMNS, height, width).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(grid.reshape(-1, _SHEET_COLUMNS * width))


def _face_url(face: NDArray[np.uint8]) -> str:
    return _data_url(cv2.imencode(".png", face)[1].tobytes())


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"
