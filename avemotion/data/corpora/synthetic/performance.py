"""An actor in front of the camera: one planned clip becomes one FLV and one WAV."""

import wave
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from avemotion.data.corpora.crema_d import (
    AUDIO_FOLDER,
    AUDIO_SUFFIX,
    VIDEO_FOLDER,
    VIDEO_SUFFIX,
)
from avemotion.data.corpora.synthetic.face import face_frames
from avemotion.data.corpora.synthetic.look import HEIGHT, WIDTH, ByteImage, Look, draw_look
from avemotion.data.corpora.synthetic.names import PlannedClip
from avemotion.data.corpora.synthetic.voice import SAMPLE_RATE, Voice, draw_voice, speak
from avemotion.files import write_atomically

_STRENGTHS = {"LO": 0.85, "MD": 1.0, "HI": 1.15}
# Every clip has generators of its own for what it shows, its votes, its voice and its face, so
# that a change to one leaves the draws of the others as they were.
SHOWN_STREAM, VOTES_STREAM, VOICE_STREAM, FACE_STREAM = range(4)
FRAME_RATE = Fraction(30000, 1001)
"""Frames a second of CREMA-D's videos."""

FLV_SAMPLE_RATE = 44100
"""Hz, the sound track of CREMA-D's videos."""

_VIDEO_BITS_A_SECOND = 700_000
_AUDIO_BITS_A_SECOND = 64_000


@dataclass(frozen=True)
class Actor:
    """One synthetic person."""

    number: int
    """1001 and up."""
    age: int
    """Years."""
    sex: str
    """Female or Male, as in CREMA-D's demographics."""
    race: str
    """Drawn at random to fill the column; unrelated to the rendered face."""
    ethnicity: str
    """Drawn at random likewise."""
    look: Look
    voice: Voice


def cast_actor(seed: int, number: int) -> Actor:
    """Draw an actor; the same for the same seed and number, however many others there are."""
    rng = np.random.default_rng([seed, number])
    female = number % 2 == 0
    return Actor(
        number=number,
        age=int(rng.integers(20, 75)),
        sex="Female" if female else "Male",
        race=str(rng.choice(["Caucasian", "African American", "Asian"])),
        ethnicity=str(rng.choice(["Hispanic", "Not Hispanic"])),
        look=draw_look(rng),
        voice=draw_voice(female, rng),
    )


def media_paths(directory: Path, clip: str) -> tuple[Path, Path]:
    """Return the paths of a clip's FLV and WAV."""
    video = directory / VIDEO_FOLDER / f"{clip}{VIDEO_SUFFIX}"
    return video, directory / AUDIO_FOLDER / f"{clip}{AUDIO_SUFFIX}"


def record(directory: Path, clip: PlannedClip) -> None:
    """Render and write one clip; what it contains depends on the clip alone.

    Args:
        directory: the corpus, its folders already made.
        clip: what to perform.
    """
    actor = cast_actor(clip.seed[0], clip.actor)
    voice_rng = np.random.default_rng([*clip.seed, VOICE_STREAM])
    face_rng = np.random.default_rng([*clip.seed, FACE_STREAM])
    strength = _STRENGTHS.get(clip.level, 1.0)
    speech = speak(
        clip.sentence, clip.voice, actor.voice, strength * voice_rng.uniform(0.9, 1.1), voice_rng
    )
    frame_count = int(len(speech.samples) * FRAME_RATE / SAMPLE_RATE)
    frames = face_frames(
        actor.look,
        clip.face,
        speech.mouth(np.arange(frame_count) / float(FRAME_RATE)),
        float(FRAME_RATE),
        strength * face_rng.uniform(0.75, 1.05),
        face_rng,
    )
    flv, wav = media_paths(directory, clip.name)
    write_flv(flv, frames, speech.samples, SAMPLE_RATE)
    write_wav(wav, speech.samples, SAMPLE_RATE)


def write_wav(path: Path, samples: npt.NDArray[np.float64], sample_rate: int) -> None:
    """Write mono PCM16; `samples` float64 (samples,) in (-1, 1), `sample_rate` in Hz."""
    pcm = np.round(samples * 32767).astype("<i2")

    def write(temporary: Path) -> None:
        with wave.open(str(temporary), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(sample_rate)
            file.writeframes(pcm.tobytes())

    write_atomically(path, write)


def write_flv(
    path: Path, frames: Iterable[ByteImage], samples: npt.NDArray[np.float64], sample_rate: int
) -> None:
    """Write an FLV with FLV1 video and MP3 sound, one thread, the same bytes every time.

    CREMA-D's own videos are VP6, for which no free encoder exists; FLV1 is the other codec that
    the container knows and every reader decodes.

    Args:
        path: the file to write.
        frames: uint8 (540, 480) each, I420 planes, 29.97 a second.
        samples: float64 (samples,) in (-1, 1).
        sample_rate: Hz of `samples`; the track is resampled to 44.1 kHz.
    """
    from scipy.signal import resample_poly

    common = gcd(FLV_SAMPLE_RATE, sample_rate)
    track = resample_poly(samples, FLV_SAMPLE_RATE // common, sample_rate // common)

    def write(temporary: Path) -> None:
        bitexact = {"fflags": "+bitexact"}
        with av.open(str(temporary), "w", format="flv", options=bitexact) as container:
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

    write_atomically(path, write)
