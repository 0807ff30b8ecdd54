"""What face and voice show for each intended emotion, and the best accuracy that leaves.

An actor *intends* one of the six emotions (the label of the clip). What the face then *shows* is
drawn from row ``intended`` of a 6 x 6 table, what the voice shows from the same row of another,
independently. Since the labels are equally frequent, the best any classifier can do is known
exactly, and a trained network has a number to be compared with: its ceiling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.errors import UsageError, require

FloatArray = npt.NDArray[np.float64]
TableName = Literal["complementary", "human"]


@dataclass(frozen=True)
class ConfusionTables:
    """The two tables one corpus is drawn from; rows are intended, columns shown emotions."""

    name: str
    """Name of this pair on the command line."""
    face: FloatArray
    """float64, (6, 6), rows sum to 1: ``face[y, f]`` = P(the face shows f | intended y)."""
    voice: FloatArray
    """float64, (6, 6), rows sum to 1: ``voice[y, v]`` = P(the voice shows v | intended y)."""


# Faces mix up anger with disgust, fear with sadness, happiness with neutral; voices anger with
# happiness, disgust with fear, neutral with sadness. Joined, the pairs form one ring through all
# six emotions, so that what one channel leaves open within a pair the other one decides.
_COMPLEMENTARY = ConfusionTables(
    name="complementary",
    face=np.array(
        [
            [0.65, 0.27, 0.02, 0.02, 0.02, 0.02],
            [0.27, 0.65, 0.02, 0.02, 0.02, 0.02],
            [0.02, 0.02, 0.65, 0.02, 0.02, 0.27],
            [0.02, 0.02, 0.02, 0.65, 0.27, 0.02],
            [0.02, 0.02, 0.02, 0.27, 0.65, 0.02],
            [0.02, 0.02, 0.27, 0.02, 0.02, 0.65],
        ]
    ),
    voice=np.array(
        [
            [0.55, 0.03, 0.03, 0.33, 0.03, 0.03],
            [0.03, 0.55, 0.33, 0.03, 0.03, 0.03],
            [0.03, 0.33, 0.55, 0.03, 0.03, 0.03],
            [0.33, 0.03, 0.03, 0.55, 0.03, 0.03],
            [0.03, 0.03, 0.03, 0.03, 0.55, 0.33],
            [0.03, 0.03, 0.03, 0.03, 0.33, 0.55],
        ]
    ),
)

# Provenance: CREMA-D, processedResults/tabulatedVotes.csv, all 7,442 clips. The vote counts A D F H
# N S of the face rows (2xxxxx) and of the voice rows (1xxxxx) were summed by intended emotion,
# each row divided by its sum and rounded to hundredths by largest remainders: it still sums to 1.
_HUMAN = ConfusionTables(
    name="human",
    face=np.array(
        [
            [0.57, 0.19, 0.05, 0.03, 0.14, 0.02],
            [0.08, 0.55, 0.10, 0.01, 0.06, 0.20],
            [0.09, 0.10, 0.44, 0.01, 0.22, 0.14],
            [0.01, 0.01, 0.01, 0.88, 0.08, 0.01],
            [0.04, 0.08, 0.04, 0.04, 0.72, 0.08],
            [0.03, 0.10, 0.12, 0.02, 0.41, 0.32],
        ]
    ),
    voice=np.array(
        [
            [0.53, 0.21, 0.05, 0.02, 0.18, 0.01],
            [0.12, 0.28, 0.09, 0.03, 0.38, 0.10],
            [0.07, 0.06, 0.32, 0.03, 0.38, 0.14],
            [0.07, 0.08, 0.08, 0.29, 0.45, 0.03],
            [0.04, 0.06, 0.05, 0.02, 0.76, 0.07],
            [0.02, 0.07, 0.12, 0.01, 0.53, 0.25],
        ]
    ),
)

TABLES: dict[str, ConfusionTables] = {"complementary": _COMPLEMENTARY, "human": _HUMAN}
"""The pairs of tables by name."""


def find_tables(name: str) -> ConfusionTables:
    """Return the pair of tables of that name.

    Raises:
        UsageError: there is no such pair.
    """
    require(name in TABLES, "--tables", name, " or ".join(TABLES))
    return TABLES[name]


def _joint(face_table: FloatArray, voice_table: FloatArray) -> FloatArray:
    """Return P(face f, voice v | intended y), float64 (labels, faces, voices): independent."""
    joint: FloatArray = face_table[:, :, None] * voice_table[:, None, :]
    return joint


def ceilings(face_table: npt.ArrayLike, voice_table: npt.ArrayLike) -> dict[str, float]:
    """Return the best possible accuracy, that of the Bayes rule, for equally frequent labels.

    Seeing ``f``, the best guess is the label that makes ``f`` likeliest; it is right with
    probability ``max_y P(f | y) / labels``, summed over all ``f``. Nothing trained on faces alone
    can beat ``video`` except by luck in the draw; likewise ``audio``, and ``av`` for both.

    Args:
        face_table: (labels, shown) P(face shows f | intended y), rows sum to 1.
        voice_table: (labels, shown) P(voice shows v | intended y), rows sum to 1.

    Returns:
        Accuracies in [0, 1] under the keys ``video``, ``audio``, ``av``.

    Examples:
        >>> ceilings([[1, 0], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]])
        {'video': 0.75, 'audio': 0.5, 'av': 0.75}
    """
    face = np.asarray(face_table, dtype=np.float64)
    voice = np.asarray(voice_table, dtype=np.float64)
    labels = len(face)
    return {
        "video": float(face.max(axis=0).sum() / labels),
        "audio": float(voice.max(axis=0).sum() / labels),
        "av": float(_joint(face, voice).max(axis=0).sum() / labels),
    }


def posterior(tables: ConfusionTables, face: int | None, voice: int | None) -> FloatArray:
    """Return P(intended | what was shown) when all labels are equally frequent.

    Args:
        tables: the pair of tables.
        face: index of the emotion that the face shows; None: face not seen.
        voice: index of the emotion that the voice shows; None: voice not heard.

    Returns:
        float64 (labels,), sums to 1; the uniform prior when neither was perceived.
    """
    likelihood = np.ones(len(tables.face))
    if face is not None:
        likelihood = likelihood * tables.face[:, face]
    if voice is not None:
        likelihood = likelihood * tables.voice[:, voice]
    normalised: FloatArray = likelihood / likelihood.sum()
    return normalised


def bayes_predictions(
    tables: ConfusionTables,
    face: Sequence[str] | None = None,
    voice: Sequence[str] | None = None,
) -> list[str]:
    """Return the predictions of the Bayes rule, given what each face and voice really show.

    Its accuracy on the clips of one corpus is the ceiling of that very draw, which differs from
    `ceilings` by sampling noise only.

    Args:
        tables: the pair of tables that the corpus was drawn from.
        face: name of the emotion that each face shows (column ``face`` of ``shown.csv``), or None.
        voice: name of the emotion that each voice shows, or None.

    Returns:
        One emotion name a clip; the first in the order of the labels where several tie.

    Raises:
        UsageError: neither was given, or they differ in length.

    Examples:
        >>> bayes_predictions(TABLES["complementary"], face=["anger"], voice=["disgust"])
        ['disgust']
    """
    if face is None and voice is None:
        raise UsageError("face and voice are both None; give what at least one of them shows.")
    clips = len(face if face is not None else voice or ())
    if face is not None and voice is not None and len(face) != len(voice):
        raise UsageError(
            f"face holds {len(face)} clips and voice {len(voice)}; give both for the same clips."
        )
    answers = []
    for clip in range(clips):
        shown_face = None if face is None else EMOTIONS.index(face[clip])
        shown_voice = None if voice is None else EMOTIONS.index(voice[clip])
        answers.append(EMOTIONS[int(posterior(tables, shown_face, shown_voice).argmax())])
    return answers
