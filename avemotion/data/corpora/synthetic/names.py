"""Which clips a synthetic actor records: CREMA-D's sentences, levels and file names."""

from dataclasses import dataclass

import numpy as np

from avemotion.data.corpora.crema_d import CODE_BY_EMOTION, EMOTIONS, LEVELS, SENTENCES

FIRST_ACTOR = 1001
"""Number of the first actor; CREMA-D has 91 of them, 1001 to 1091."""

MAX_ACTORS = 91
MAX_CLIPS_PER_ACTOR = 82
"""Distinct names of one actor: 5 emotions x (3 + 11), and 12 for neutral."""

# The order of CREMA-D's own list of files:
_SENTENCE_ORDER = tuple(SENTENCES)
_EMOTION_ORDER = ("neutral", "happiness", "sadness", "anger", "fear", "disgust")


@dataclass(frozen=True)
class PlannedClip:
    """One clip to be written: its name, and everything drawn before rendering."""

    name: str
    """CREMA-D's file name without extension, such as ``1001_IEO_ANG_HI``."""
    actor: int
    """1001 and up."""
    sentence: str
    """A key of `SENTENCES`."""
    level: str
    """LO, MD, HI or XX."""
    intended: str
    """Emotion name: the label."""
    face: str
    """Emotion name that the face shows."""
    voice: str
    """Emotion name that the voice shows."""
    seed: tuple[int, ...]
    """Seeds the clip's own generator, whichever process renders it."""


def names_of(emotion: str) -> list[tuple[str, str]]:
    """Return all (sentence, level) of one actor and emotion: 14, or 12 for neutral."""
    rest = [(sentence, "XX") for sentence in _SENTENCE_ORDER if sentence != "IEO"]
    if emotion == "neutral":
        return [("IEO", "XX"), *rest]
    return [("IEO", level) for level in LEVELS if level != "XX"] + rest


def clips_of_each(clips: int, first: int) -> dict[str, int]:
    """Spread one actor's clips over the emotions as equally as the names allow.

    Args:
        clips: clips of this actor, up to 82.
        first: index of the emotion that gets the first of the left-over clips; going on with it
            from actor to actor keeps the whole corpus equal too.
    """
    counts = dict.fromkeys(EMOTIONS, 0)
    turn = first
    while sum(counts.values()) < clips:
        emotion = EMOTIONS[turn % len(EMOTIONS)]
        turn += 1
        if counts[emotion] < len(names_of(emotion)):
            counts[emotion] += 1
    return counts


def actor_names(
    actor_index: int, clips: int, rng: np.random.Generator
) -> list[tuple[str, str, str]]:
    """Draw which (emotion, sentence, level) one actor records, in the order of CREMA-D's list."""
    chosen = []
    for emotion, count in clips_of_each(clips, first=actor_index * clips).items():
        available = names_of(emotion)
        picks = rng.permutation(len(available))[:count]
        chosen += [(emotion, *available[pick]) for pick in picks]
    return sorted(
        chosen,
        key=lambda clip: (
            _SENTENCE_ORDER.index(clip[1]),
            _EMOTION_ORDER.index(clip[0]),
            LEVELS.index(clip[2]),
        ),
    )


def clip_name(actor: int, emotion: str, sentence: str, level: str) -> str:
    """Return CREMA-D's file name without extension: ``1001_IEO_ANG_HI``."""
    return f"{actor}_{sentence}_{CODE_BY_EMOTION[emotion]}_{level}"
