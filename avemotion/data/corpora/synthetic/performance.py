"""An actor in front of the camera: one planned clip becomes one FLV and one WAV."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avemotion.data.corpora.synthetic.face import face_frames
from avemotion.data.corpora.synthetic.look import Look, draw_look
from avemotion.data.corpora.synthetic.media import FRAME_RATE, write_flv, write_wav
from avemotion.data.corpora.synthetic.names import PlannedClip
from avemotion.data.corpora.synthetic.voice import SAMPLE_RATE, Voice, draw_voice, speak

_STRENGTHS = {"LO": 0.85, "MD": 1.0, "HI": 1.15}

# Every clip has generators of its own for what it shows, its votes, its voice and its face, so
# that a change to one leaves the draws of the others as they were.
SHOWN_STREAM, VOTES_STREAM, VOICE_STREAM, FACE_STREAM = range(4)


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
    """Drawn at random to fill the column; it says nothing about the rendered face."""
    ethnicity: str
    """Drawn at random likewise."""
    look: Look
    voice: Voice


def cast_actor(seed: int, number: int) -> Actor:
    """Draws an actor; the same for the same seed and number, however many others there are."""
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
    """Where the FLV and the WAV of a clip belong."""
    return directory / "VideoFlash" / f"{clip}.flv", directory / "AudioWAV" / f"{clip}.wav"


def record(directory: Path, clip: PlannedClip) -> None:
    """Renders and writes one clip; what it contains depends on the clip alone.

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
