"""What rules that look at no clip reach on the same clips, and who does better than they."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from avemotion.evaluation.metrics.scores import Score

UNBALANCED = 1.5
"""From this ratio of the commonest emotion's clips to the rarest's on, mean recall (UAR) leads:
accuracy then says mostly how well the commonest emotion is recognised. CREMA-D has 1.17."""
LEAST_LEAD = 0.02
"""A lead in mean recall below this counts as none: who gives one answer nearly always gets as much
by a few others."""


@dataclass(frozen=True, slots=True)
class ReferenceRule:
    """A rule that looks at no clip."""

    name: str
    """What it does."""
    accuracy: float
    """Share of clips on which it is right (WAR), 0 to 1; of a random rule, what is expected."""
    recall: float
    """Its mean recall (UAR), 0 to 1."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a system is better than rules that look at no clip."""

    better: bool
    """Whether its mean recall is, by at least `LEAST_LEAD` and with its whole interval."""
    close: bool
    """Whether its mean recall is within `LEAST_LEAD` of the rules'."""
    answer: str
    """The answer that it gives most often."""
    answer_share: float
    """Share of its answers that are that one, 0 to 1."""
    target_share: float
    """Share of the clips whose target it is, 0 to 1."""
    never: tuple[str, ...]
    """Emotions of the tested clips that it never answers."""


def imbalance(targets: Sequence[str]) -> float:
    """Return how many times as many clips the commonest emotion has as the rarest one there is."""
    counts = Counter(targets).values()
    return max(counts) / min(counts)


def reference_rules(targets: Sequence[str]) -> tuple[ReferenceRule, ReferenceRule]:
    """Return what the commonest emotion, and guessing by share, reach on clips with these targets.

    >>> [round(rule.accuracy, 3) for rule in reference_rules(["x", "x", "x", "y"])]
    [0.75, 0.625]
    """
    counts = Counter(targets)
    most = max(counts.values())
    commonest = [label for label, count in counts.items() if count == most]
    name = "always answering one and the same emotion"
    if len(commonest) == 1:
        name = f"always answering “{commonest[0]}”, the commonest emotion"
    shares = [count / len(targets) for count in counts.values()]
    recall = 1 / len(counts)
    return (
        ReferenceRule(name, most / len(targets), recall),
        ReferenceRule("guessing by share", sum(share**2 for share in shares), recall),
    )


def verdict(score: Score, labels: Sequence[str], rules: Sequence[ReferenceRule]) -> Verdict:
    """Compare a system with the rules."""
    given = dict(zip(labels, map(sum, zip(*score.confusion, strict=True)), strict=True))
    answer = max(given, key=lambda label: given[label])
    bar = max(rule.recall for rule in rules)
    close = score.recall - bar < LEAST_LEAD
    low = score.recall_low
    targets = {c.emotion: c.clips for c in score.classes}
    return Verdict(
        better=not close and low is not None and low > bar,
        close=close,
        answer=answer,
        answer_share=given[answer] / sum(given.values()),
        target_share=targets.get(answer, 0) / score.clips,
        never=tuple(emotion for emotion in targets if not given[emotion]),
    )


def verdicts(
    scores: Mapping[str, Score], labels: Sequence[str], rules: Sequence[ReferenceRule]
) -> dict[str, Verdict]:
    """Compare each system with the rules."""
    return {system: verdict(score, labels, rules) for system, score in scores.items()}
