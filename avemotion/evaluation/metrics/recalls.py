"""Mean recall (UAR) of systems and of people alike, its intervals, and differences between two.

Networks are right or wrong on a clip; of people, the majority may be right by chance where votes
are tied. Both are a credit of 0 to 1 on each clip, counted by actor and by emotion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avemotion.data.types import is_group
from avemotion.evaluation.metrics.intervals import Interval, bootstrap_intervals

Credit = tuple[str, str, float]
"""Actor and target of a clip, and how right the answer is, 0 to 1."""

_FLIPS = 9_999  # random swaps of a permutation test; with fewer than 14 actors, all are tried


@dataclass(frozen=True, slots=True)
class Tally:
    """Credit and clips by actor and emotion."""

    actors: tuple[str, ...]
    """The actors, sorted; groups of clips stand for unknown ones."""
    credit: NDArray[np.float64]
    """(actor, emotion): sum of the credits of the clips with that target."""
    clips: NDArray[np.float64]
    """(actor, emotion): number of these clips; with several seeds, each counts."""

    @property
    def recall(self) -> float:
        """Mean over emotions of the recalls (UAR), 0 to 1; emotions without a clip do not count."""
        return float(_uar(self.credit.sum(axis=0), self.clips.sum(axis=0)))

    def interval(self) -> Interval:
        """Return the 95 % BCa interval of the mean recall over actors."""

        def drawn(who: NDArray[np.intp]) -> NDArray[np.float64]:
            return _uar(self.credit[who].sum(axis=-2), self.clips[who].sum(axis=-2))[None]

        return bootstrap_intervals(drawn, len(self.actors))[0]


@dataclass(frozen=True, slots=True)
class Difference:
    """How much higher the mean recall (UAR) of one system is than another's on the same clips."""

    recall: float
    """Difference of the mean recalls, -1 to 1."""
    low: float | None
    """Lower end of its 95 % BCa interval over actors; None with fewer than 6 of them."""
    high: float | None
    """Upper end of it."""
    p: float | None
    """Two-sided permutation test: the two systems swapped at random, actor by actor; None with one
    actor, 1 where none differs."""
    p_holm: float | None
    """The same, corrected by Holm for the comparisons that stand beside it."""
    actors: int
    """Actors compared; 0 where groups of pictures of unknown people stand for them."""


def tally(credits: Iterable[Credit], labels: Sequence[str]) -> Tally:
    """Count credits by actor and emotion.

    Args:
        credits: One for each answer to a clip.
        labels: The emotions, in the order of the columns.
    """
    found = list(credits)
    actors, who = np.unique([actor for actor, _, _ in found], return_inverse=True)
    which = np.array([labels.index(target) for _, target, _ in found], np.intp)
    credit, clips = np.zeros((2, len(actors), len(labels)))
    np.add.at(credit, (who, which), [value for _, _, value in found])
    np.add.at(clips, (who, which), 1)
    return Tally(tuple(map(str, actors)), credit, clips)


def _uar(credit: NDArray[np.float64], clips: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean recall, (...), of credits and clips by emotion, (..., emotion)."""
    recalls = np.divide(credit, clips, out=np.zeros_like(credit), where=clips > 0)
    return np.asarray(recalls.sum(axis=-1) / np.maximum((clips > 0).sum(axis=-1), 1))


def difference(ours: Tally, theirs: Tally) -> Difference:
    """Compare the mean recalls of two systems, or of a system and people, on the same clips.

    The number of seeds may differ: each clip weighs the same in both.

    Raises:
        ValueError: The two were tested on other clips.
    """
    if ours.actors != theirs.actors:
        others = sorted(set(ours.actors) ^ set(theirs.actors))
        raise ValueError(f"only one of the two has the actors {', '.join(others)}")
    ours, theirs = _per_clip(ours), _per_clip(theirs)
    if not np.allclose(ours.clips, theirs.clips):
        raise ValueError("the two were tested on other clips")

    def drawn(who: NDArray[np.intp]) -> NDArray[np.float64]:
        clips = ours.clips[who].sum(axis=-2)
        ahead = (ours.credit - theirs.credit)[who].sum(axis=-2)
        return _uar(ahead, clips)[None]

    low, high = bootstrap_intervals(drawn, len(ours.actors))[0]
    return Difference(
        recall=ours.recall - theirs.recall,
        low=low,
        high=high,
        p=_permutation_test(ours, theirs),
        p_holm=None,
        actors=sum(not is_group(unit) for unit in ours.actors),
    )


def _per_clip(found: Tally) -> Tally:
    """Return a tally in which each clip counts once, whatever the number of seeds."""
    least = np.min(found.clips[found.clips > 0])
    seeds = np.gcd.reduce(found.clips.astype(np.int64), axis=None) if least >= 1 else 1
    return replace(found, credit=found.credit / seeds, clips=found.clips / seeds)


def _permutation_test(ours: Tally, theirs: Tally) -> float | None:
    from scipy import stats

    if len(ours.actors) < 2:
        return None
    total = ours.clips.sum(axis=0)
    there = total > 0
    # What each actor adds to the mean recall: a swap of the systems on an actor swaps these.
    parts = [(t.credit[:, there] / total[there]).mean(axis=1) for t in (ours, theirs)]
    if np.abs(parts[0] - parts[1]).max() < 1e-12:
        return 1.0
    tested = stats.permutation_test(
        parts,
        # Rounded: swaps that lead as far are ties, whatever their last bits.
        lambda x, y, axis: np.round(x.sum(axis=axis) - y.sum(axis=axis), 9),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_FLIPS,
        rng=np.random.default_rng(0),  # the same figure at every call
    )
    return float(tested.pvalue)


def holm(differences: dict[str, Difference]) -> dict[str, Difference]:
    """Return differences with their p-values corrected for one another (Holm 1979).

    >>> ds = {n: Difference(0, None, None, p, None, 9) for n, p in zip("abc", (0.01, 0.04, 0.03))}
    >>> [round(d.p_holm, 2) for d in holm(ds).values()]
    [0.03, 0.06, 0.06]
    """
    tested = sorted((d.p, name) for name, d in differences.items() if d.p is not None)
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, (p, name) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        corrected[name] = highest
    return {name: replace(d, p_holm=corrected.get(name)) for name, d in differences.items()}
