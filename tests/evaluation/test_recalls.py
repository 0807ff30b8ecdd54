"""Mean recall, its intervals and differences, against scikit-learn, scipy and closed forms."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from avemotion.evaluation.metrics.recalls import Tally, difference, holm, tally

LABELS = ("anger", "disgust", "fear")


def answers(rng: np.random.Generator, actors: int, right: float) -> list[tuple[str, str, str]]:
    """Actor, target and answer of 5 to 12 clips an actor."""
    found = []
    for actor in range(actors):
        for _ in range(rng.integers(5, 13)):
            target = LABELS[rng.integers(3)]
            answer = target if rng.random() < right else LABELS[rng.integers(3)]
            found.append((f"a{actor:02}", target, answer))
    return found


def tallied(found: list[tuple[str, str, str]]) -> Tally:
    return tally(
        [(actor, target, float(target == given)) for actor, target, given in found], LABELS
    )


@given(st.integers(0, 1000), st.integers(1, 12))
@settings(deadline=None)
def test_the_mean_recall_is_the_balanced_accuracy(seed: int, actors: int) -> None:
    found = answers(np.random.default_rng(seed), actors, 0.5)
    _, truth, given = zip(*found, strict=True)
    if set(given) <= set(truth):
        assert tallied(found).recall == pytest.approx(balanced_accuracy_score(truth, given))


def test_a_difference_is_that_of_the_mean_recalls_and_its_sign_turns() -> None:
    rng = np.random.default_rng(0)
    ours = answers(rng, 20, 0.7)
    theirs = [(a, t, LABELS[rng.integers(3)]) for a, t, _ in ours]
    found = difference(tallied(ours), tallied(theirs))
    turned = difference(tallied(theirs), tallied(ours))
    assert found.recall == pytest.approx(tallied(ours).recall - tallied(theirs).recall)
    assert found.recall == pytest.approx(-turned.recall)
    assert found.low < found.recall < found.high and found.low > 0 and found.p < 0.001
    assert turned.p == pytest.approx(found.p, abs=2e-4) and turned.high < 0


@pytest.mark.parametrize("seed", range(12))
def test_with_few_actors_the_test_tries_all_swaps(seed: int) -> None:
    """Each of 2^6 swaps is as likely; the share of those at least as extreme is p."""
    rng = np.random.default_rng(seed)
    ours = answers(rng, 6, 0.5)
    theirs = [(a, t, t if rng.random() < 0.4 else LABELS[rng.integers(3)]) for a, t, _ in ours]
    found = difference(tallied(ours), tallied(theirs))
    if not found.recall:
        return

    def lead(swapped: tuple[bool, ...]) -> float:
        picked = {f"a{i:02}": s for i, s in enumerate(swapped)}
        first = [o if not picked[o[0]] else t for o, t in zip(ours, theirs, strict=True)]
        second = [t if not picked[o[0]] else o for o, t in zip(ours, theirs, strict=True)]
        return tallied(first).recall - tallied(second).recall

    leads = np.array([lead(s) for s in itertools.product([False, True], repeat=6)])
    extreme = np.mean(np.abs(leads) >= abs(found.recall) - 1e-9)
    assert found.p == pytest.approx(extreme, abs=1e-9)


def test_equal_leads_are_ties_in_the_last_bits() -> None:
    """One clip of each of six emotions an actor; whole numbers are the oracle."""
    labels = tuple("abcdef")
    right = [[2, 3, 3, 3, 3, 3, 5], [1, 1, 0, 0, 4, 1, 4]]
    ours, theirs = (
        tally(
            [
                (f"p{actor}", label, float(i < n))
                for actor, n in enumerate(counts)
                for i, label in enumerate(labels)
            ],
            labels,
        )
        for counts in right
    )
    steps = np.subtract(*right)
    leads = [abs(np.dot(signs, steps)) for signs in itertools.product([-1, 1], repeat=7)]
    assert difference(ours, theirs).p == pytest.approx(np.mean(np.array(leads) >= abs(sum(steps))))


def test_seeds_weigh_a_clip_no_more_than_one_answer_does() -> None:
    found = answers(np.random.default_rng(1), 9, 0.6)
    one, three = tallied(found), tallied([*found, *found, *found])
    alike = difference(one, three)
    assert alike.recall == pytest.approx(0) and alike.p == 1.0
    assert one.interval() == pytest.approx(three.interval())


def test_one_actor_has_no_interval_and_no_test() -> None:
    alone = tallied([("a", "anger", "anger"), ("a", "fear", "anger")])
    found = difference(alone, alone)
    assert (found.low, found.high, found.p) == (None, None, None)


def test_other_clips_are_refused() -> None:
    two = [("a", "anger", "anger"), ("b", "fear", "fear")]
    one = tallied(two)
    with pytest.raises(ValueError, match="only one of the two has the actors c"):
        difference(one, tallied([*two, ("c", "fear", "anger")]))
    with pytest.raises(ValueError, match="other clips"):
        difference(one, tallied([("a", "anger", "anger"), ("b", "disgust", "fear")]))


def test_holm_multiplies_by_the_comparisons_that_are_left() -> None:
    """The worked example of many textbooks: 0.01, 0.04, 0.03, 0.005 of four hypotheses."""
    rng = np.random.default_rng(0)
    plain = difference(*[tallied(answers(rng, 3, 0.5))] * 2)
    given = {name: p for name, p in zip("abcd", (0.01, 0.04, 0.03, 0.005), strict=True)}
    found = holm({name: replace(plain, p=p) for name, p in given.items()})
    assert {n: d.p_holm for n, d in found.items()} == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({"one": replace(plain, p=None)})["one"].p_holm is None


def test_intervals_hold_the_true_value_as_often_as_they_say() -> None:
    """Actors of different skill; the mean recall of a great many is what they estimate."""
    rng = np.random.default_rng(2)

    def corpus(actors: int) -> Tally:
        found = []
        for actor in range(actors):
            skill = rng.beta(6, 4)
            for _ in range(12):
                target = LABELS[rng.integers(3)]
                found.append((f"{actor:04}", target, float(rng.random() < skill)))
        return tally(found, LABELS)

    held = []
    for _ in range(60):
        low, high = corpus(30).interval()
        held.append(low <= 0.6 <= high)
    assert 0.85 <= np.mean(held) <= 1.0
