"""How well people recognise the intended emotion: the baselines that networks are compared with.

Two readings of the same ratings. *Single response*: the share of all answers that name the intended
emotion, as Cao et al. (2014) report. *Majority*: the vote of a clip's raters, a tie counting as the
chance of picking the intended emotion among the tied ones; far higher, since errors average out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from avemotion.data.corpora import crema_d, fer2013
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.types import Clip, Rating, unit_of
from avemotion.errors import UsageError, require
from avemotion.evaluation.metrics.recalls import tally


class ActedClip(Protocol):
    """What must be known of a clip: `data.types.Clip` and `data.store.ManifestRow` have it."""

    @property
    def actor(self) -> str:
        """Who is in it."""

    @property
    def emotion(self) -> str:
        """The intended emotion."""

    @property
    def level(self) -> str:
        """Intended intensity."""


@dataclass(frozen=True, slots=True)
class HumanGroupScore:
    """How people did on the clips of one emotion or one level."""

    name: str
    """The emotion or level."""
    clips: int
    """Clips with ratings."""
    single_response: float
    """Share of the answers that name the intended emotion, 0 to 1."""
    majority: float
    """Share of the clips whose vote names it, ties split, 0 to 1."""


@dataclass(frozen=True, slots=True)
class HumanScore:
    """How people did on one channel."""

    channel: str
    """``audio``, ``video`` or ``av``."""
    clips: int
    """Clips with ratings."""
    responses: int
    """Answers on them."""
    single_response: float
    """Share of the answers that name the intended emotion, 0 to 1."""
    single_response_by_clip: float
    """Mean over clips of that share: clips with many answers weigh no more than others."""
    majority: float
    """Share of the clips whose vote names it, ties split, 0 to 1."""
    low: float | None
    """Lower end of the 95 % BCa interval over actors of that share; None with fewer than 6."""
    high: float | None
    """Upper end of it."""
    recall: float
    """Mean over emotions of the majority's shares (UAR), 0 to 1."""
    recall_low: float | None
    """Lower end of its 95 % BCa interval over actors; None with fewer than 6."""
    recall_high: float | None
    """Upper end of it."""
    single_recall: float
    """Mean over emotions of the single responses' shares, 0 to 1."""
    by_emotion: tuple[HumanGroupScore, ...]
    """By intended emotion, in the order of the labels."""
    by_level: tuple[HumanGroupScore, ...]
    """By intended intensity: those of CREMA-D in its order, then others by name."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """The raters' answers to one clip."""

    clip: str
    """Name of the clip."""
    channel: str
    """What the raters were given."""
    acted: ActedClip
    """Its actor, intended emotion and level."""
    votes: tuple[int, ...]
    """Answers for each emotion."""
    right: int
    """Answers that name the intended emotion."""
    given: int
    """All answers, those for none of the emotions too."""

    @property
    def single_response(self) -> float:
        """The chance that an answer picked at random is right."""
        return self.right / self.given

    @property
    def majority(self) -> float:
        """The chance that the vote is right when ties are broken at random."""
        most = max(self.votes)
        if self.given - sum(self.votes) >= most:  # as many say that it is none of the emotions
            return 0.0
        return (self.right == most) / self.votes.count(most)


def human_scores(
    ratings: Iterable[Rating], clips: Mapping[str, ActedClip], labels: Sequence[str]
) -> dict[str, HumanScore]:
    """Score the crowd on some clips.

    Args:
        ratings: Votes; those on clips not in `clips` are left out.
        clips: Name of a clip -> its actor, intended emotion and level.
        labels: The emotions in the order of the votes.

    Returns:
        Channel -> score, for each channel that has a rating with at least one answer.

    >>> clip = Clip("a", "1001", "DFA", "x", "XX", video=None, audio=None)
    >>> human_scores([Rating("a", "audio", (3, 3, 0))], {"a": clip}, "xyz")["audio"].majority
    0.5
    """
    channels: dict[str, list[_Answers]] = {}
    for answers in _answered(ratings, clips, labels):
        channels.setdefault(answers.channel, []).append(answers)
    return {channel: _score(channel, found, labels) for channel, found in channels.items()}


def clip_credit(
    ratings: Iterable[Rating],
    clips: Mapping[str, ActedClip],
    labels: Sequence[str],
    channel: str,
) -> dict[str, float]:
    """Return the chance that the crowd's majority names a clip's intended emotion, by rated clip.

    Args:
        ratings: Votes; those on clips not in `clips` are left out.
        clips: Name of a clip -> its actor, intended emotion and level.
        labels: The emotions in the order of the votes.
        channel: What the raters were given: ``audio``, ``video`` or ``av``.
    """
    return {
        answers.clip: answers.majority
        for answers in _answered(ratings, clips, labels)
        if answers.channel == channel
    }


def _answered(
    ratings: Iterable[Rating], clips: Mapping[str, ActedClip], labels: Sequence[str]
) -> Iterator[_Answers]:
    """Yield the ratings of known clips that have an answer."""
    for rating in ratings:
        if rating.clip in clips and (any(rating.votes) or rating.other_votes):
            acted = clips[rating.clip]
            yield _Answers(
                clip=rating.clip,
                channel=rating.channel,
                acted=acted,
                votes=rating.votes,
                right=rating.votes[labels.index(acted.emotion)],
                given=sum(rating.votes) + rating.other_votes,
            )


def _score(channel: str, answers: Sequence[_Answers], labels: Sequence[str]) -> HumanScore:
    by_emotion: dict[str, list[_Answers]] = {label: [] for label in labels}
    by_level: dict[str, list[_Answers]] = {level: [] for level in crema_d.LEVELS}
    for a in sorted(answers, key=lambda a: a.acted.level):
        by_emotion[a.acted.emotion].append(a)
        by_level.setdefault(a.acted.level, []).append(a)
    whole = _group("", answers)
    credits = [(a.acted.actor, a.acted.emotion, a.majority) for a in answers]
    recalls, pooled = (
        tally(credits, labels),
        tally([(a, labels[0], c) for a, _, c in credits], labels),
    )
    (low, high), (recall_low, recall_high) = pooled.interval(), recalls.interval()
    emotions = [_group(name, found) for name, found in by_emotion.items() if found]
    return HumanScore(
        channel=channel,
        clips=whole.clips,
        responses=sum(a.given for a in answers),
        single_response=whole.single_response,
        single_response_by_clip=float(np.mean([a.single_response for a in answers])),
        majority=whole.majority,
        low=low,
        high=high,
        recall=recalls.recall,
        recall_low=recall_low,
        recall_high=recall_high,
        single_recall=float(np.mean([group.single_response for group in emotions])),
        by_emotion=tuple(emotions),
        by_level=tuple(_group(name, found) for name, found in by_level.items() if name and found),
    )


def _group(name: str, answers: Sequence[_Answers]) -> HumanGroupScore:
    return HumanGroupScore(
        name=name,
        clips=len(answers),
        single_response=sum(a.right for a in answers) / sum(a.given for a in answers),
        majority=float(np.mean([a.majority for a in answers])),
    )


def ratings(
    directory: Path, *, corpus: Literal["crema_d", "fer2013"] = "crema_d"
) -> dict[str, HumanScore]:
    """Score the crowd on every clip that a corpus has ratings of, with media or without.

    Args:
        directory: Folder of the corpus.
        corpus: What it holds: crema_d (also for a synthetic corpus), or fer2013 with the votes of
            FER+; then the test pictures (PrivateTest) alone are scored.

    Returns:
        Channel (``audio``, ``video``, ``av``) -> score.

    Raises:
        UsageError: There is no vote table, or it holds no rating.

    Examples:
        >>> from pathlib import Path
        >>> from avemotion import ratings
        >>> ratings(Path("crema"))["av"].clips
        36
    """
    directory = Path(directory)
    require(corpus in (crema_d.NAME, fer2013.NAME), "corpus", corpus, "crema_d or fer2013")
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a folder. Give the folder of a corpus.")
    if corpus == fer2013.NAME:
        pictures = fer2013.read_corpus(directory)
        if not pictures.ratings:
            tables = " or ".join(fer2013.VOTE_TABLES)
            raise UsageError(f"{directory} has no votes of FER+: put {tables} there.")
        tested = {
            clip.name: replace(clip, actor=unit_of(clip.actor, clip.name))
            for clip in pictures.clips
            if clip.part == "test"
        }
        return human_scores(pictures.ratings, tested, pictures.labels)
    votes = crema_d.read_ratings(directory)
    if not votes:
        raise UsageError(
            f"{directory} has no ratings: {crema_d.VOTES_FILE} is missing or empty. "
            "Get it with the rest of CREMA-D (see data_prep/README.md)."
        )
    clips = {
        rating.clip: Clip(rating.clip, *parts, video=None, audio=None)
        for rating in votes
        if (parts := crema_d.parse_name(rating.clip))
    }
    return human_scores(votes, clips, EMOTIONS)
