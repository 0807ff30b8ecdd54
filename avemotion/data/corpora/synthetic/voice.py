"""Speaks CREMA-D's twelve sentences by formant synthesis, with an emotion in the manner.

A glottal pulse train and noise go through four resonators that follow the vowels (the classic
source-filter model). The emotion lives in how the pitch moves, in rhythm, accents and timbre;
mean pitch and level belong mostly to the actor and to chance, so that they show little.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avemotion.data.corpora.synthetic.phones import PHONES, SPOKEN

FloatArray = npt.NDArray[np.float64]

SAMPLE_RATE = 16000
"""Hz, CREMA-D's WAV rate."""
_BLOCK = 80
"""Samples, 5 ms: the filters hold still this long."""
_BLOCKS_A_SECOND = SAMPLE_RATE / _BLOCK
_PACE = 1.4  # actors take their time: stretches the sounds to the 1 to 2 s that CREMA-D's last


@dataclass(frozen=True)
class Manner:
    """How an emotion is spoken."""

    rate: float
    """Speed relative to normal."""
    swing: float
    """Semitones that accents lift the pitch."""
    slope: float
    """Semitones that the pitch rises from start to end of the sentence."""
    ending: float
    """Semitones added in the last quarter of the sentence."""
    glide: float
    """Semitones that the pitch rises within each accent."""
    tremor: tuple[float, float]
    """Rate in Hz and depth in semitones of a regular wavering."""
    jitter: float
    """Irregularity of the pitch from one 5 ms block to the next, as a fraction."""
    tilt: float
    """Pole of the low-pass that darkens the source, 0 (bright) to 1."""
    breath: float
    """Share of breath noise in the voice."""
    accent: float
    """Decibels by which accents stand out."""
    pitch: float = 0.0
    """Semitones by which the mean pitch is moved: small beside what chance moves it."""
    level: float = 0.0
    """Decibels by which the mean level is moved: small beside what chance moves it."""


# Directions after Scherer (2003) and Juslin & Laukka (2003): anger is hard, accented and bright,
# sadness slow, dark and falling, fear fast, breathy and trembling, joy wide and rising, disgust
# slow, creaky and dropping.
MANNERS: dict[str, Manner] = {
    "anger": Manner(1.08, 3.0, -2.5, -3.0, -2.5, (0, 0), 0.010, 0.35, 0.03, 11, 0.4, 1.5),
    "disgust": Manner(0.85, 1.2, -2.0, -4.0, -3.0, (0, 0), 0.060, 0.72, 0.06, 6, -0.4, -0.5),
    "fear": Manner(1.20, 1.0, 2.5, 1.5, 0.0, (8.5, 0.9), 0.015, 0.68, 0.28, 3, 0.8, 0.0),
    "happiness": Manner(1.05, 4.5, 1.0, 3.5, 3.0, (0, 0), 0.008, 0.55, 0.05, 7, 0.6, 1.0),
    "neutral": Manner(1.00, 1.2, -1.5, -1.5, -0.5, (0, 0), 0.008, 0.68, 0.05, 4, 0.0, 0.0),
    "sadness": Manner(0.82, 0.8, -3.5, -1.0, -1.0, (4.5, 0.4), 0.012, 0.88, 0.22, 2, -0.5, -1.5),
}


@dataclass(frozen=True)
class Voice:
    """One actor's voice."""

    pitch: float
    """Hz, the actor's middle pitch."""
    tract: float
    """Factor on the formants: about 1 for men, 1.17 for women."""
    breath: float
    """Share of breath noise on top of the manner's."""
    tilt: float
    """Added to the manner's tilt."""
    rate: float
    """Factor on the speed."""
    swing: float
    """Factor on all pitch movements."""
    level: float
    """Decibels relative to full scale."""


@dataclass(frozen=True)
class Speech:
    """One spoken clip."""

    samples: FloatArray
    """float64 (samples,) in (-1, 1), 16 kHz."""
    opening: FloatArray
    """float64 (blocks,) in [0, 1]: how far the mouth is open, every 5 ms."""

    def mouth(self, times: FloatArray) -> FloatArray:
        """How far the mouth is open at `times` (seconds), float64 of the same shape."""
        blocks = (np.arange(len(self.opening)) + 0.5) / _BLOCKS_A_SECOND
        return np.interp(times, blocks, self.opening)


def draw_voice(female: bool, rng: np.random.Generator) -> Voice:
    """Draw one actor's voice from the actor's own generator."""
    return Voice(
        pitch=float(rng.uniform(165, 235) if female else rng.uniform(90, 145)),
        tract=float(rng.uniform(1.1, 1.22) if female else rng.uniform(0.94, 1.06)),
        breath=rng.uniform(0.0, 0.06),
        tilt=rng.uniform(-0.06, 0.06),
        rate=rng.uniform(0.93, 1.07),
        swing=rng.uniform(0.8, 1.25),
        level=rng.uniform(-30, -20),
    )


@dataclass(frozen=True)
class _Score:
    """What is spoken when: one value for every 5 ms block of the sentence."""

    formants: FloatArray  # (blocks, 3), Hz
    voiced: FloatArray
    hiss: FloatArray
    rush: FloatArray
    opening: FloatArray
    accent: FloatArray  # 0 to 1: the middle of accented vowels
    glide: FloatArray  # -0.5 to 0.5 through every accented vowel


def _smooth(track: FloatArray, blocks: int) -> FloatArray:
    """Move from sound to sound as a tongue does: a Hann window over `blocks` blocks."""
    window = np.hanning(blocks + 2)[1:-1]
    padded = np.pad(track, (blocks // 2, blocks - 1 - blocks // 2), mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")


def _score(sentence: str, rate: float, rng: np.random.Generator) -> _Score:
    """Lay the sounds of a sentence out in time; every third vowel or so bears an accent."""
    phones = [PHONES[name] for name in SPOKEN[sentence].split()]
    lengths = [
        max(4, round(_PACE * phone.seconds * rng.uniform(0.85, 1.15) / rate * _BLOCKS_A_SECOND))
        for phone in phones
    ]
    accent, glide = np.zeros(sum(lengths)), np.zeros(sum(lengths))
    vowels = [index for index, phone in enumerate(phones) if phone.voiced == 1.0]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    for index in vowels[int(rng.integers(0, 2)) :: 2]:
        course = np.linspace(0, 1, lengths[index])
        where = slice(starts[index], starts[index + 1])
        accent[where], glide[where] = np.sin(np.pi * course), course - 0.5

    def track(values: list[float], blocks: int) -> FloatArray:
        return _smooth(np.repeat(values, lengths), blocks)

    formants = [track([phone.formants[i] for phone in phones], 9) for i in range(3)]
    return _Score(
        formants=np.stack(formants, axis=1),
        voiced=track([phone.voiced for phone in phones], 5),
        hiss=track([phone.hiss for phone in phones], 5),
        rush=track([phone.rush for phone in phones], 4),
        opening=track([phone.opening for phone in phones], 13),
        accent=_smooth(accent, 7),
        glide=_smooth(glide, 5),
    )


def _pitch_track(
    score: _Score, manner: Manner, voice: Voice, strength: float, rng: np.random.Generator
) -> FloatArray:
    """The melody: fundamental frequency of every block in Hz, float64 (blocks,)."""
    blocks = len(score.accent)
    time = np.linspace(0, 1, blocks)  # as a share of the sentence
    seconds = np.arange(blocks) / _BLOCKS_A_SECOND
    melody = manner.slope * (time - 0.5) + manner.ending * np.clip(4 * time - 3, 0, 1)
    melody = melody + manner.swing * score.accent + manner.glide * score.glide
    rate, depth = manner.tremor
    melody = melody + depth * np.sin(2 * np.pi * (rate * seconds + rng.uniform()))
    # Taking the mean out leaves mean pitch to the actor and to chance.
    melody = strength * voice.swing * (melody - melody.mean())
    wander = _smooth(rng.normal(0, 1, blocks), 41) * 2.0
    semitones = melody + wander + manner.pitch + rng.normal(0, 2.2)
    irregular = 1 + manner.jitter * strength * rng.normal(0, 1, blocks)
    pitch: FloatArray = voice.pitch * 2 ** (semitones / 12) * irregular
    return pitch.clip(55, 480)


def _source(pitch: FloatArray, tilt: float, breath: float, rng: np.random.Generator) -> FloatArray:
    """The sound of the glottis: float64 (samples,), about unit power."""
    from scipy.signal import lfilter

    blocks = np.arange(len(pitch))
    times = np.arange(len(pitch) * _BLOCK) / _BLOCK - 0.5
    phase = np.cumsum(np.interp(times, blocks, pitch)) / SAMPLE_RATE % 1.0
    # Rosenberg's pulse: the glottis opens over 60 % of a period and snaps shut; what the mouth
    # radiates is the derivative of that flow.
    flow = np.where(phase < 0.6, np.sin(np.pi * (phase / 0.6) ** 1.7) ** 2, 0.0)
    pulses = np.diff(flow, prepend=0.0)
    pulses = lfilter([1 - tilt], [1, -tilt], pulses)
    pulses = pulses / (pulses.std() + 1e-9)
    noise = rng.normal(0, 1, len(phase)) * (0.4 + flow)
    mixed: FloatArray = (1 - breath) * pulses + 1.6 * breath * noise
    return mixed


def _through_tract(source: FloatArray, formants: FloatArray, tract: float) -> FloatArray:
    """Filter the source by four resonators that follow the formants.

    Args:
        source: float64 (samples,).
        formants: float64 (blocks, 3), Hz; a fourth stays at 3,500 Hz.
        tract: factor on all formants.
    """
    from scipy.signal import sosfilt

    fourth = np.full((len(formants), 1), 3500.0)
    centres = np.concatenate([formants, fourth], axis=1) * tract
    widths = np.array([70.0, 100.0, 150.0, 220.0])
    radius = np.exp(-np.pi * widths / SAMPLE_RATE)
    sections = np.zeros((len(formants), 4, 6))
    sections[..., 3] = 1.0
    sections[..., 4] = -2 * radius * np.cos(2 * np.pi * centres / SAMPLE_RATE)
    sections[..., 5] = radius**2
    # Unit gain at 0 Hz, so that a cascade gives vowels their natural relative levels.
    sections[..., 0] = 1 + sections[..., 4] + sections[..., 5]
    out = np.empty_like(source)
    state = np.zeros((4, 2))
    for block, section in enumerate(sections):
        where = slice(block * _BLOCK, (block + 1) * _BLOCK)
        out[where], state = sosfilt(section, source[where], zi=state)
    return out


def speak(
    sentence: str, emotion: str, voice: Voice, strength: float, rng: np.random.Generator
) -> Speech:
    """Speak one sentence.

    Args:
        sentence: code of the sentence, such as ``IEO``.
        emotion: name of the emotion that the voice shows.
        voice: the actor's voice.
        strength: how strongly the emotion is played, about 0.8 to 1.2.
        rng: the clip's generator.

    Returns:
        A speech of 1.8 to 2.6 s, silence before and after included.
    """
    from scipy.signal import lfilter

    manner = MANNERS[emotion]
    rate = manner.rate**strength * voice.rate * rng.uniform(0.93, 1.07)
    score = _score(sentence, rate, rng)
    pitch = _pitch_track(score, manner, voice, strength, rng)
    tilt = float(np.clip(manner.tilt + voice.tilt + rng.normal(0, 0.02), 0.1, 0.95))
    breath = manner.breath * strength + voice.breath
    source = _source(pitch, tilt, breath, rng)
    times = np.arange(len(source)) / _BLOCK - 0.5
    blocks = np.arange(len(pitch))
    emphasis = 10 ** (manner.accent * strength * (score.accent - 0.5) / 20)

    def loudness(track: FloatArray) -> FloatArray:
        return np.interp(times, blocks, track * emphasis)

    spoken = _through_tract(source * loudness(score.voiced), score.formants, voice.tract)
    noise = rng.normal(0, 1, len(source))
    spoken = spoken / (spoken.std() + 1e-9)
    spoken = spoken + 0.5 * loudness(score.hiss) * lfilter([1, -1.2, 0.5], [1, 0.7, 0.3], noise)
    spoken = spoken + 0.5 * loudness(score.rush) * lfilter([1, 0, -0.6], [1, -0.6, 0.4], noise)
    return _placed(spoken, score.opening, voice.level + manner.level + rng.normal(0, 4), rng)


def _placed(
    spoken: FloatArray, opening: FloatArray, level: float, rng: np.random.Generator
) -> Speech:
    """Set the level (dB re full scale) and put room noise and silence around the sentence."""
    fade = np.minimum(1, np.minimum(np.arange(len(spoken)), np.arange(len(spoken))[::-1]) / 400)
    spoken = spoken * fade / (spoken.std() + 1e-9) * 10 ** (level / 20)
    spoken_blocks = len(opening)
    shortest, longest = round(1.8 * _BLOCKS_A_SECOND), round(2.6 * _BLOCKS_A_SECOND)
    total = int(np.clip(spoken_blocks + rng.integers(60, 140), shortest, longest))
    total = max(total, spoken_blocks + 20)
    before = int(rng.integers(10, total - spoken_blocks - 9))
    samples = rng.normal(0, 10 ** (-62 / 20), total * _BLOCK)
    samples[before * _BLOCK : (before + spoken_blocks) * _BLOCK] += spoken
    mouth = np.zeros(total)
    mouth[before : before + spoken_blocks] = opening
    return Speech(np.tanh(samples), _smooth(mouth, 9))
