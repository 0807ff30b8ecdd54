"""Writes one clip's files: FLV (video and sound) and WAV, each complete or not there at all."""

import os
import wave
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from math import gcd
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from avemotion.data.corpora.synthetic.look import HEIGHT, WIDTH, ByteImage

FRAME_RATE = Fraction(30000, 1001)
"""Frames a second of CREMA-D's videos."""
FLV_SAMPLE_RATE = 44100
"""Hz, the sound track of CREMA-D's videos."""
_VIDEO_BITS_A_SECOND = 700_000
_AUDIO_BITS_A_SECOND = 64_000


@contextmanager
def finished_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path that becomes `path` only if the block ends well."""
    temporary = path.with_name(f".{path.name}.part")
    yield temporary
    os.replace(temporary, path)


def write_wav(path: Path, samples: npt.NDArray[np.float64], sample_rate: int) -> None:
    """Writes mono PCM16; `samples` float64 (samples,) in (-1, 1), `sample_rate` in Hz."""
    pcm = np.round(samples * 32767).astype("<i2")
    with finished_file(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.tobytes())


def write_flv(
    path: Path, frames: Iterable[ByteImage], samples: npt.NDArray[np.float64], sample_rate: int
) -> None:
    """Writes an FLV with FLV1 video and MP3 sound, one thread, the same bytes every time.

    CREMA-D's own videos are VP6, for which no free encoder exists; FLV1 is the other codec that
    the container knows and every reader decodes.

    Args:
        path: the file to write.
        frames: uint8 (540, 480) each, I420 planes, 29.97 a second.
        samples: float64 (samples,) in (-1, 1).
        sample_rate: Hz of `samples`; the track is resampled to 44.1 kHz.
    """
    common = gcd(FLV_SAMPLE_RATE, sample_rate)
    track = resample_poly(samples, FLV_SAMPLE_RATE // common, sample_rate // common)
    with (
        finished_file(path) as temporary,
        av.open(str(temporary), "w", format="flv", options={"fflags": "+bitexact"}) as container,
    ):
        video = container.add_stream("flv", rate=FRAME_RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = _VIDEO_BITS_A_SECOND
        video.thread_count = 1
        audio = container.add_stream("libmp3lame", rate=FLV_SAMPLE_RATE, layout="mono")
        audio.bit_rate = _AUDIO_BITS_A_SECOND
        audio.options = {"compression_level": "9"}  # the fastest search of the MP3 encoder
        for planes in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(
            track.astype(np.float32)[None, :].clip(-1, 1), format="fltp", layout="mono"
        )
        sound.sample_rate = FLV_SAMPLE_RATE
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
