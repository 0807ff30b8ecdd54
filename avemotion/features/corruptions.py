"""Corruptions of a clip's face or voice, and the table of conditions that networks are tested on.

Each corruption is a pure function of features as the store holds them, the 20 sampled face crops or
the noise-free waveform, so that trained networks can be tested without the corpus. Those of the
waveform are in `avemotion.features.waveform_effects`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_HEIGHT, Modality
from avemotion.features.waveform_effects import (
    add_at_snr,
    amplify,
    babble,
    change_tempo,
    clip_peaks,
    mp3,
    room,
    shift_pitch,
    telephone,
)

BABBLE_VOICES = 4
"""Clips that speak at once in the babble."""
EYE_ROWS = (18, 46)
"""Rows of the crop that hold brows and eyes, half-open; fixed, since crops are aligned."""
MOUTH_ROWS = (58, 86)
"""Rows of the crop that hold the mouth, half-open; as many as those of the eyes."""

_GREY = 127  # what the network reads as 0


def drop_frames(
    faces: NDArray[np.uint8], share: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Replace some of the sampled frames by the last one before them, as a player does.

    Args:
        faces: uint8 (frame, 98, 80); the first frame is always kept.
        share: Share of the frames that are lost, 0 to 1. From the same `rng` a larger share loses
            the same frames and further ones.
        rng: Chooses the lost frames.

    Returns:
        uint8 (frame, 98, 80).
    """
    shown = np.arange(len(faces))
    shown[rng.permutation(shown[1:])[: round(share * len(faces))]] = 0
    return faces[np.maximum.accumulate(shown)]


def blur(faces: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """Blur each face by a Gaussian, as a lens out of focus does.

    Args:
        faces: uint8 (frame, 98, 80).
        sigma: Standard deviation in pixels of the crop.

    Returns:
        uint8 (frame, 98, 80); past the border the last pixels repeat.
    """
    channels = np.ascontiguousarray(np.moveaxis(faces, 0, -1))  # all frames at once: 5 times faster
    blurred = cv2.GaussianBlur(channels, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.moveaxis(np.asarray(blurred, np.uint8).reshape(channels.shape), -1, 0)


def darken(faces: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Multiply the grey values, uint8 (frame, 98, 80), by a factor from 0 to 1."""
    darkened = np.rint(np.arange(256) * factor).astype(np.uint8)
    return np.asarray(darkened[faces])


def cover(faces: NDArray[np.uint8], rows: tuple[int, int]) -> NDArray[np.uint8]:
    """Lay a grey block over rows (half-open, of 98) of the faces, edge to edge."""
    covered = faces.copy()
    first, end = (round(row * faces.shape[1] / FACE_HEIGHT) for row in rows)
    covered[:, first:end] = _GREY
    return covered


def halve(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Show the faces, uint8 (frame, 98, 80), at half the resolution."""
    rows, columns = faces.shape[1:]
    small = [
        cv2.resize(face, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA) for face in faces
    ]
    return np.stack(
        [cv2.resize(face, (columns, rows), interpolation=cv2.INTER_LINEAR) for face in small]
    ).astype(np.uint8)


def move_box(faces: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cut the faces beside where they are, all frames alike, as a search that is a little off.

    Args:
        faces: uint8 (frame, 98, 80).
        share: How far, as a share of the crop.
        rng: Draws the direction.

    Returns:
        uint8 (frame, 98, 80); past the border the last pixels repeat.
    """
    rows, columns = faces.shape[1:]
    angle = rng.uniform(0, 2 * np.pi)
    down, across = round(share * rows * np.sin(angle)), round(share * columns * np.cos(angle))
    i = np.clip(np.arange(rows) + down, 0, rows - 1)
    j = np.clip(np.arange(columns) + across, 0, columns - 1)
    return faces[:, i[:, None], j]


def h264(faces: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Encode the faces as H.264 and decode them again.

    Args:
        faces: uint8 (frame, 98, 80).
        quality: Constant rate factor: 23 is usual, 40 shows blocks and smears.

    Returns:
        uint8 (frame, 98, 80).
    """
    import av

    rows, columns = faces.shape[1:]
    even = np.pad(faces, ((0, 0), (0, rows % 2), (0, columns % 2)), mode="edge")  # as H.264 needs
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        # x264's vector code reads memory that nobody wrote: the same faces gave other bytes.
        options = {"crf": str(quality), "x264-params": "asm=0"}
        stream = container.add_stream("libx264", rate=8, options=options)
        stream.height, stream.width = even.shape[1:]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # several would give other bytes
        for face in even:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(face), format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as container:
        decoded = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return np.stack(decoded)[:, :rows, :columns].astype(np.uint8)


Voices = Callable[[np.random.Generator], list[NDArray[np.int16]]]
"""Draws the waveforms of some clips of other actors than the clip's own."""

Corruption = Callable[[NDArray[Any], np.random.Generator, Voices], NDArray[Any]]
"""Corrupts a clip's faces, uint8 (20, 98, 80), or its waveform, int16 (sample,)."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One corruption at one level."""

    name: str
    """Unique: ``white noise 20 dB``."""
    family: str
    """Name of the corruption with the unit of its levels: ``white noise (dB SNR)``."""
    level: float | None
    """Level in that unit; None where there is only one."""
    modality: Literal["video", "audio"]
    """The modality that is corrupted."""
    corrupt: Corruption | None
    """Corrupts it; None removes the modality."""
    of_motion: bool = False
    """Whether it changes nothing on a single frame."""

    def applies_to(self, modality: Modality) -> bool:
        """Return whether a network reads that modality, and has input left."""
        return modality == "av" or (modality == self.modality and self.corrupt is not None)


def conditions_for(modality: Modality) -> list[Condition]:
    """Return the conditions that a network of a modality is tested on.

    >>> [c.name for c in conditions_for("audio")][-2:]
    ['tempo -10 %', 'tempo +10 %']
    """
    return [condition for condition in CONDITIONS.values() if condition.applies_to(modality)]


def _white_noise(level: float) -> Corruption:
    return lambda samples, rng, _: add_at_snr(samples, rng.standard_normal(len(samples)), level)


def _babble(level: float) -> Corruption:
    return lambda samples, rng, voices: add_at_snr(
        samples, babble(voices(rng), len(samples)), level
    )


def _gain(level: float) -> Corruption:
    return lambda samples, *_: amplify(samples, level)


def _clipping(level: float) -> Corruption:
    return lambda samples, *_: clip_peaks(samples, level / 100)


def _room(level: float) -> Corruption:
    return lambda samples, rng, _: room(samples, level, rng)


def _mp3(level: float) -> Corruption:
    return lambda samples, *_: mp3(samples, round(level * 1000))


def _pitch(level: float) -> Corruption:
    return lambda samples, *_: shift_pitch(samples, 12 * math.log2(1 + level / 100))


def _tempo(level: float) -> Corruption:
    return lambda samples, *_: change_tempo(samples, 1 + level / 100)


def _drop_frames(level: float) -> Corruption:
    return lambda faces, rng, _: drop_frames(faces, level / 100, rng)


def _blur(level: float) -> Corruption:
    return lambda faces, *_: blur(faces, level)


def _darken(level: float) -> Corruption:
    return lambda faces, *_: darken(faces, level)


def _h264(level: float) -> Corruption:
    return lambda faces, *_: h264(faces, round(level))


def _move_box(level: float) -> Corruption:
    return lambda faces, rng, _: move_box(faces, level / 100, rng)


def _cover(rows: tuple[int, int]) -> Corruption:
    return lambda faces, *_: cover(faces, rows)


def _series(
    name: str,
    family: str,
    modality: Literal["video", "audio"],
    make: Callable[[float], Corruption],
    *levels: float,
) -> list[Condition]:
    """Return a corruption at several levels, in their order on a chart."""
    return [Condition(name.format(x), family, float(x), modality, make(x)) for x in levels]


CONDITIONS: dict[str, Condition] = {
    condition.name: condition
    for condition in [
        *_series("gain {:+g} dB", "gain (dB)", "audio", _gain, -20, -10, 10, 20),
        *_series("{:g} % clipped", "clipped peaks (% of samples)", "audio", _clipping, 1, 10),
        *_series("white noise {:g} dB", "white noise (dB SNR)", "audio", _white_noise, 20, 10, 0),
        *_series("babble {:g} dB", "babble (dB SNR)", "audio", _babble, 20, 10, 0),
        Condition("telephone band", "telephone", None, "audio", lambda x, *_: telephone(x)),
        *_series("room of {:g} s", "room (s of reverberation)", "audio", _room, 0.4, 0.8),
        *_series("MP3 at {:g} kbit/s", "MP3 (kbit/s)", "audio", _mp3, 32),
        *_series("pitch {:+g} %", "pitch (%)", "audio", _pitch, -10, 10),
        *_series("tempo {:+g} %", "tempo (%)", "audio", _tempo, -10, 10),
        *(
            replace(lost, of_motion=True)
            for lost in _series(
                "{:g} % of frames lost", "frames lost (%)", "video", _drop_frames, 25, 50
            )
        ),
        *_series("blur of {:g} px", "blur (sigma in pixels)", "video", _blur, 1, 2, 4),
        *_series("darkened to {:g}", "darkening (factor)", "video", _darken, 0.5, 0.25, 0.1),
        Condition("half size", "half size", None, "video", lambda x, *_: halve(x)),
        *_series("H.264 at CRF {:g}", "H.264 (CRF)", "video", _h264, 40),
        *_series("box off by {:g} %", "box off (% of the crop)", "video", _move_box, 10),
        Condition("eyes covered", "face covered", None, "video", _cover(EYE_ROWS)),
        Condition("mouth covered", "face covered", None, "video", _cover(MOUTH_ROWS)),
        Condition("audio missing", "modality missing", None, "audio", None),
        Condition("video missing", "modality missing", None, "video", None),
    ]
}
"""Conditions by name, at levels that networks are commonly tested at."""
