"""RAVDESS: the Ryerson Audio-Visual Database of Emotional Speech and Song; its speech.

1,440 takes of 24 actors (12 male, 12 female) saying two sentences in eight emotions, each twice
and, but for neutral, at two intensities.

Citation: S. R. Livingstone, F. A. Russo. "The Ryerson Audio-Visual Database of Emotional Speech and
Song (RAVDESS)." PLoS ONE 13(5), e0196391, 2018. https://doi.org/10.5281/zenodo.1188976

Licence: Creative Commons BY-NC-SA 4.0.

Names: ``01-01-05-01-02-01-12`` is modality (01 face and voice, 02 face, 03 voice), channel (01
speech), emotion, intensity, sentence, repetition and actor (odd male, even female).
"""

from __future__ import annotations

import re

NAME = "ravdess"

EMOTION_BY_CODE: dict[str, str] = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
"""Third field of a name -> the emotion."""

LABELS: tuple[str, ...] = tuple(EMOTION_BY_CODE.values())
"""The eight emotions in the order of a network's outputs."""

LEVELS: dict[str, str] = {"01": "normal", "02": "strong"}
"""Fourth field -> intended intensity."""

SENTENCES: dict[str, str] = {
    "01": "Kids are talking by the door.",
    "02": "Dogs are sitting by the door.",
}
"""Fifth field -> what is said."""

ACTORS: tuple[str, ...] = tuple(f"{i:02}" for i in range(1, 25))

CLIPS = 1_440
"""Takes of speech: 60 an actor."""

FOLDS: tuple[tuple[str, ...], ...] = (
    ("02", "05", "14", "15", "16"),
    ("03", "06", "07", "13", "18"),
    ("10", "11", "12", "19", "20"),
    ("08", "17", "21", "23", "24"),
    ("01", "04", "09", "22"),
)
"""Test actors of the five folds of Luna-Jimenez et al. (Sensors 21(22), 7665, 2021)."""

_NAME = re.compile(
    r"0[123]-01-(?P<emotion>0[1-8])-(?P<level>0[12])-(?P<sentence>0[12])-0[12]-(?P<actor>\d\d)"
)


def parse_name(stem: str) -> tuple[str, str, str, str] | None:
    """Take a take's name apart, whichever modality its first field says.

    Returns:
        Actor, code of the sentence, emotion's name and level; None where the name is not that of
        a take of RAVDESS' speech.

    >>> parse_name("03-01-05-02-01-01-12")
    ('12', '01', 'anger', 'strong')
    """
    match = _NAME.fullmatch(stem)
    if match is None or match["actor"] not in ACTORS:
        return None
    emotion = EMOTION_BY_CODE[match["emotion"]]
    return match["actor"], match["sentence"], emotion, LEVELS[match["level"]]


def demographics() -> dict[str, dict[str, str]]:
    """Return each actor's sex, which the number tells; RAVDESS publishes no more by actor."""
    return {actor: {"Sex": "Male" if int(actor) % 2 else "Female"} for actor in ACTORS}
