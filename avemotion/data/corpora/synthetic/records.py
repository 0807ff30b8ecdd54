"""CREMA-D's tables for a synthetic corpus: ratings, demographics, file list."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from avemotion.data.corpora.crema_d import (
    DEMOGRAPHICS_FILE,
    EMOTIONS,
    NAMES_FILE,
    VOTE_LETTERS,
    VOTES_FILE,
)
from avemotion.data.corpora.synthetic.names import PlannedClip
from avemotion.data.corpora.synthetic.performance import VOTES_STREAM, Actor
from avemotion.data.corpora.synthetic.tables import ConfusionTables, posterior
from avemotion.files import write_atomically

_INTENSITY_NAMES = ("Emo", "Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad")
VOTE_COLUMNS: tuple[str, ...] = (
    "", *VOTE_LETTERS, "fileName", "numResponses", "agreement", "emoVote",
    *(f"mean{name}Resp" for name in _INTENSITY_NAMES), "medianEmoResp",
    *(f"mean{name}RespNorm" for name in _INTENSITY_NAMES), "medianEmoRespNorm",
)  # fmt: skip
"""Header of ``tabulatedVotes.csv``; the 16 intensity columns are -1: no one rated intensity."""
_NO_INTENSITIES = [-1] * 16


def draw_votes(tables: ConfusionTables, clip: PlannedClip) -> list[list[int]]:
    """Draw what raters answer who hear, see, or hear and see a clip.

    Each rater answers independently by a draw from the posterior over intended emotions given what
    the clip shows in that channel. Raters thus know no more than the clip shows: their majority
    tends to the Bayes rule, and human baselines stay at or below the corpus' ceilings.

    Args:
        tables: the tables of the corpus.
        clip: the clip; its seed makes the draw.

    Returns:
        Votes in the order of the labels for audio, video and av; 8 to 12 raters each.
    """
    rng = np.random.default_rng([*clip.seed, VOTES_STREAM])
    face, voice = EMOTIONS.index(clip.face), EMOTIONS.index(clip.voice)
    channels = (
        posterior(tables, None, voice),
        posterior(tables, face, None),
        posterior(tables, face, voice),
    )
    return [
        [int(count) for count in rng.multinomial(rng.integers(8, 13), chances)]
        for chances in channels
    ]


def winners(votes: Sequence[int]) -> str:
    """Return the letter with most votes; several, as in ``A:D``, where they tie."""
    letters = zip(VOTE_LETTERS, votes, strict=True)
    return ":".join(letter for letter, count in letters if count == max(votes))


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CREMA-D does: strings quoted, numbers bare."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, lambda p: p.write_text(text.getvalue(), encoding="utf-8"))


def write_records(
    directory: Path, clips: Sequence[PlannedClip], actors: Sequence[Actor], tables: ConfusionTables
) -> None:
    """Write every table of the corpus; the folders must exist."""
    _write_csv(
        directory / DEMOGRAPHICS_FILE,
        ("ActorID", "Age", "Sex", "Race", "Ethnicity"),
        ((actor.number, actor.age, actor.sex, actor.race, actor.ethnicity) for actor in actors),
    )
    _write_csv(
        directory / NAMES_FILE,
        ("Stimulus_Number", "Filename"),
        ((number, clip.name) for number, clip in enumerate(clips, start=1)),
    )
    _write_csv(
        directory / "shown.csv",
        ("clip", "intended", "face", "voice"),
        ((clip.name, clip.intended, clip.face, clip.voice) for clip in clips),
    )
    votes = [draw_votes(tables, clip) for clip in clips]
    _write_csv(
        directory / VOTES_FILE,
        VOTE_COLUMNS,
        (
            (
                f"{channel + 1}{number:05d}", *counts[channel], clip.name, sum(counts[channel]),
                max(counts[channel]) / sum(counts[channel]), winners(counts[channel]),
                *_NO_INTENSITIES,
            )
            for channel in range(3)
            for number, (clip, counts) in enumerate(zip(clips, votes, strict=True), start=1)
        ),
    )  # fmt: skip
    _write_csv(
        directory / VOTES_FILE.with_name("summaryTable.csv"),
        ("", "FileName", "VoiceVote", "VoiceLevel", "FaceVote", "FaceLevel",
         "MultiModalVote", "MultiModalLevel"),
        (
            (str(number), clip.name, *(cell for c in counts for cell in (winners(c), "-1")))
            for number, (clip, counts) in enumerate(zip(clips, votes, strict=True), start=1)
        ),
    )  # fmt: skip
