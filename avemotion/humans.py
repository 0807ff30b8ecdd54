"""How well people recognise the intended emotion: the baselines that a network is held against.

Two readings of the same ratings. *Single response*: the share of all answers that name the intended
emotion, as Cao et al. (2014) report. *Majority*: the vote of a clip's raters, a tie counting as the
chance of picking the intended emotion among the tied ones; far higher, since errors average out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avemotion.corpora import crema_d
from avemotion.emotions import EMOTIONS
from avemotion.errors import UsageError
from avemotion.types import Rating


@dataclass(frozen=True, slots=True)
class HumanScore:
    """How people did on one channel."""

    channel: str
    """``voice``, ``face`` or ``both``."""
    clips: int
    """Clips with ratings."""
    responses: int
    """Answers on them."""
    single_response: float
    """Share of the answers that name the intended emotion, 0 to 1."""
    majority: float
    """Share of the clips whose vote names it, ties split, 0 to 1."""


def human_scores(
    ratings: Iterable[Rating], intended: Mapping[str, str], labels: Sequence[str]
) -> dict[str, HumanScore]:
    """Score the crowd on some clips.

    Args:
        ratings: Votes; those on clips not in `intended` are left out.
        intended: Clip -> intended emotion.
        labels: The emotions in the order of the votes.

    Returns:
        Channel -> score, for each channel that has a rating with at least one answer.

    >>> human_scores([Rating("a", "voice", (3, 3, 0))], {"a": "x"}, "xyz")["voice"].majority
    0.5
    """
    votes: dict[str, list[tuple[tuple[int, ...], int]]] = {}
    for rating in ratings:
        if rating.clip in intended and any(rating.votes):
            target = labels.index(intended[rating.clip])
            votes.setdefault(rating.channel, []).append((rating.votes, target))
    return {
        channel: HumanScore(
            channel,
            len(answers),
            sum(sum(counts) for counts, _ in answers),
            sum(counts[target] for counts, target in answers)
            / sum(sum(counts) for counts, _ in answers),
            sum(
                (counts[target] == max(counts)) / counts.count(max(counts))
                for counts, target in answers
            )
            / len(answers),
        )
        for channel, answers in votes.items()
    }


def ratings(corpus: Path) -> dict[str, HumanScore]:
    """Score the crowd on every clip that a corpus has ratings of, with media or without.

    Args:
        corpus: Folder of a CREMA-D checkout, or of a synthetic corpus.

    Returns:
        Channel (``voice``, ``face``, ``both``) -> score.

    Raises:
        UsageError: There is no vote table, or it holds no rating.
    """
    if not corpus.is_dir():
        raise UsageError(f"{corpus} is not a folder. Give the folder of a CREMA-D checkout.")
    votes = crema_d.read_ratings(corpus)
    if not votes:
        raise UsageError(
            f"{corpus} has no ratings: {crema_d.VOTES_FILE} is missing or empty. "
            "Get it with the rest of CREMA-D (see data_prep/README.md)."
        )
    intended = {r.clip: parts[2] for r in votes if (parts := crema_d.parse_name(r.clip))}
    return human_scores(votes, intended, EMOTIONS)
