"""The emotions of CREMA-D: codes in file names, names, letters in the vote tables.

Everything after the corpus follows the *store's* ordered labels, so a corpus with other emotions
brings its own table; this one serves CREMA-D and the synthetic corpus laid out like it.
"""

EMOTION_BY_CODE: dict[str, str] = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
"""Code in a CREMA-D file name -> name of the emotion, in the order of the labels."""

EMOTIONS: tuple[str, ...] = tuple(EMOTION_BY_CODE.values())
"""The six labels in their fixed order; a network's output ``i`` is ``EMOTIONS[i]``."""

CODE_BY_EMOTION: dict[str, str] = {name: code for code, name in EMOTION_BY_CODE.items()}
"""Name of the emotion -> code in a CREMA-D file name."""

VOTE_LETTERS: tuple[str, ...] = tuple(code[0] for code in EMOTION_BY_CODE)
"""Columns of ``tabulatedVotes.csv`` in the order of the labels: A D F H N S."""
