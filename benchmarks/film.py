"""Joins clips into a film: H.264 and FLAC, sound at 48 kHz, so that it has to be resampled."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from avemotion.config import SAMPLE_RATE
from avemotion.media.reader import read_clip

RATE = 30
"""Frames per second of the film; frames of the clips (29.97 per second) are copied one by one."""
SOUND_RATE = 48_000
"""Hz of its sound."""

Scene = tuple[np.ndarray, np.ndarray]
"""Frames, uint8 (frame, height, width), and sound, int16 (sample,) at 16 kHz."""


def scene_of(clip: Path) -> Scene:
    """Read a clip; its sound is cut, or filled with zeros, to the length of its video."""
    media = read_clip(clip, clip, np.arange)
    assert media.frames is not None and media.sound is not None
    frames = media.frames.frames
    length = len(frames) * SAMPLE_RATE // RATE
    samples = media.sound.samples[:length]
    return frames, np.pad(samples, (0, length - len(samples)))


def write_film(path: Path, scenes: Iterable[Scene]) -> Fraction:
    """Write scenes one after the other; return the seconds they last."""
    count = samples = 0
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        audio = container.add_stream("flac", rate=SOUND_RATE, layout="mono")
        video.pix_fmt, video.max_b_frames = "yuv420p", 0
        for frames, sound in scenes:
            if not count:
                video.height, video.width = frames.shape[1:]
            for grey in frames:
                frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
                frame.pts, frame.time_base = count, Fraction(1, RATE)
                container.mux(video.encode(frame))
                count += 1
            sound = np.repeat(sound, SOUND_RATE // SAMPLE_RATE)
            block = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
            block.sample_rate, block.time_base = SOUND_RATE, Fraction(1, SOUND_RATE)
            block.pts = samples
            container.mux(audio.encode(block))
            samples += len(sound)
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return Fraction(count, RATE)
