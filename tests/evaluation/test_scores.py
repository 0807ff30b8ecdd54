"""Scores and intervals against closed forms, scikit-learn, scipy and simulation."""

import dataclasses
import functools
import json
import math
import random
import statistics
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import (
    balanced_accuracy_score,
    classification_report,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from avemotion.data.types import UNKNOWN_ACTOR, unit_of
from avemotion.evaluation.metrics.intervals import mean_interval
from avemotion.evaluation.metrics.recalls import difference, tally
from avemotion.evaluation.metrics.scores import Score, actor_accuracies, credits_of, score
from avemotion.evaluation.predictions import ClipPrediction

LABELS = ("c", "a", "b")  # not in alphabetical order: a store's labels need not be

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def predictions(table: list[tuple[int, int, int]], seed: int = 0) -> list[ClipPrediction]:
    """From (actor, truth, predicted)."""
    return [
        ClipPrediction(
            seed, "f", str(i), str(actor), LABELS[truth], tuple(np.eye(3)[predicted].tolist())
        )
        for i, (actor, truth, predicted) in enumerate(table)
    ]


def corpus(actors: int, clips: int = 30, seeds: int = 1) -> list[ClipPrediction]:
    """Actors that are read ever better, one class better than the others."""
    rng = np.random.default_rng(actors)
    truth = rng.integers(0, 3, (actors, clips))
    found = []
    for seed in range(seeds):
        right = rng.random((actors, clips)) < np.linspace(0.3, 0.9, actors)[:, None]
        predicted = np.where(right, truth, rng.integers(0, 2, (actors, clips)))
        table = [(a, truth[a, c], predicted[a, c]) for a in range(actors) for c in range(clips)]
        found += predictions(table, seed)
    return found


TABLES = st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=40)


@settings(deadline=None)
@given(TABLES)
def test_accuracy_and_recall(table: list[tuple[int, int, int]]) -> None:
    result = score(predictions(table), LABELS)
    truth, predicted = [t for _, t, _ in table], [s for _, _, s in table]
    assert result.accuracy == pytest.approx(np.mean(np.array(truth) == np.array(predicted)))
    present = [(t, s) for t, s in zip(truth, predicted, strict=True)]
    recalls = [np.mean([s == t for t, s in present if t == label]) for label in sorted(set(truth))]
    assert result.recall == pytest.approx(np.mean(recalls))
    if set(predicted) <= set(truth) and len(set(truth)) > 1:
        assert result.recall == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert result.actors == len({a for a, _, _ in table})


@settings(deadline=None)
@given(TABLES, st.integers(1, 3), st.randoms(use_true_random=False))
def test_every_figure_over_several_seeds(
    table: list[tuple[int, int, int]], seeds: int, chance: random.Random
) -> None:
    """Each seed gives other answers on the same clips; scikit-learn scores them by name."""
    tables = [[(a, t, chance.randrange(3)) for a, t, _ in table] for _ in range(seeds)]
    found = [p for seed, table in enumerate(tables) for p in predictions(table, seed)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = score(found, LABELS)
    truth = [LABELS[t] for table in tables for _, t, _ in table]
    predicted = [LABELS[s] for table in tables for _, _, s in table]
    present = [label for label in LABELS if label in truth]
    mean = {"labels": present, "average": "macro", "zero_division": 0}
    assert result.clips == len(table)
    assert result.accuracy == pytest.approx(np.mean(np.array(truth) == np.array(predicted)))
    assert result.recall == pytest.approx(recall_score(truth, predicted, **mean))
    assert result.f1 == pytest.approx(f1_score(truth, predicted, **mean))
    assert np.array_equal(result.confusion, confusion_matrix(truth, predicted, labels=list(LABELS)))

    each = {"labels": present, "average": None, "zero_division": 0}
    assert [c.emotion for c in result.classes] == present
    counts = Counter(LABELS[t] for _, t, _ in table)
    assert [c.clips for c in result.classes] == [counts[label] for label in present]
    for name, function in (("recall", recall_score), ("precision", precision_score)):
        ours = [getattr(c, name) for c in result.classes]
        assert ours == pytest.approx(function(truth, predicted, **each))
    assert [c.f1 for c in result.classes] == pytest.approx(f1_score(truth, predicted, **each))

    alone = [score(predictions(table), LABELS) for table in tables]
    assert [s.seed for s in result.seeds] == list(range(seeds))
    for name in ("accuracy", "recall", "f1"):
        ours = [getattr(s, name) for s in result.seeds]
        assert ours == pytest.approx([getattr(s, name) for s in alone])
    if seeds > 1:
        spread = statistics.stdev(s.accuracy for s in alone)
        assert result.seed_std == pytest.approx(spread)
    else:
        assert result.seed_std is None
    for name in ("accuracy", "recall", "f1"):
        low, high = getattr(result, f"{name}_low"), getattr(result, f"{name}_high")
        assert (low is None) == (high is None)
        assert low is None or 0 <= low <= high <= 1


def test_f1_by_hand() -> None:
    """Precision 2/3 and recall 1/2 of c, 1 and 1/3 of a; b is no target, though it is predicted."""
    table = [(0, 0, 0), (0, 0, 0), (0, 0, 1), (0, 0, 2), (1, 1, 0), (1, 1, 1), (1, 1, 2)]
    table[2] = (0, 0, 2)
    result = score(predictions(table), LABELS)
    assert [c.emotion for c in result.classes] == ["c", "a"]
    assert [c.precision for c in result.classes] == pytest.approx([2 / 3, 1])
    assert [c.recall for c in result.classes] == pytest.approx([1 / 2, 1 / 3])
    assert result.f1 == pytest.approx((4 / 7 + 1 / 2) / 2)
    assert result.confusion == ((2, 0, 2), (1, 1, 1), (0, 0, 0))


def test_a_seed_that_lacks_a_clip_is_refused() -> None:
    table = [(0, 0, 0), (1, 1, 2)]
    for wrong in (table[:1], table * 2):
        with pytest.raises(ValueError, match="same clips"):
            score(predictions(table) + predictions(wrong, seed=1), LABELS)
    with pytest.raises(ValueError, match="same clips"):
        score(predictions(table) * 2, LABELS)


def test_interval_is_over_actors_not_clips() -> None:
    """Ten times the clips of the same actors leave the intervals as they are."""
    table = [(0, 0, 0), (0, 1, 2), (1, 0, 0), (1, 1, 1), (2, 2, 0), (2, 1, 2), (3, 2, 2), (3, 0, 2)]
    once, often = score(predictions(table), LABELS), score(predictions(table * 10), LABELS)
    assert once.actor_mean == pytest.approx(np.mean([0.5, 1.0, 0.0, 0.5]))
    assert (once.low, once.high) == pytest.approx((often.low, often.high))
    for name in ("accuracy", "recall", "f1"):
        ends = [(getattr(s, f"{name}_low"), getattr(s, f"{name}_high")) for s in (once, often)]
        assert ends[0] == pytest.approx(ends[1])


def test_bootstrap_of_accuracy_is_that_of_actors_means() -> None:
    """Where actors have equally many clips, scipy's BCa of the mean over actors is the oracle."""
    found = corpus(actors=12, seeds=2)
    result = score(found, LABELS)
    # Whole numbers, since equal means that rounding sets apart would count as unequal.
    right = [round(60 * mean) for mean in actor_accuracies(found, LABELS).values()]
    assert len(set(right)) > 6

    def mean(drawn: np.ndarray, axis: int) -> np.ndarray:
        return drawn.sum(axis=axis) / (60 * drawn.shape[axis])

    oracle = stats.bootstrap(
        (right,), mean, n_resamples=2000, random_state=np.random.default_rng(0)
    ).confidence_interval
    assert (result.accuracy_low, result.accuracy_high) == pytest.approx(tuple(oracle))


def test_bootstrap_of_recall_and_f1_draws_whole_actors() -> None:
    """Against scikit-learn on the clips of the drawn actors, a class missing from some."""
    # Actors 0 and 1 alone act the last class, and actors have other numbers of clips.
    full = corpus(actors=6, clips=9)
    found = [p for i, p in enumerate(full) if (p.target != "b" or int(p.actor) < 2) and i % 5 > 0]
    result = score(found, LABELS)
    predicted = [LABELS[int(np.argmax(p.probabilities))] for p in found]
    by_actor = [
        [(p.target, s) for p, s in zip(found, predicted, strict=True) if p.actor == str(actor)]
        for actor in range(6)
    ]
    assert len({len(clips) for clips in by_actor}) > 1

    @functools.cache  # six actors are drawn in 462 ways, if their order does not count
    def oracle(drawn: tuple[int, ...]) -> tuple[float, float]:
        truth, predicted = zip(*[clip for actor in drawn for clip in by_actor[actor]], strict=True)
        settings = {"labels": sorted(set(truth)), "average": "macro", "zero_division": 0}
        return recall_score(truth, predicted, **settings), f1_score(truth, predicted, **settings)

    for place, name in enumerate(("recall", "f1")):
        wanted = stats.bootstrap(
            (np.arange(6),),
            lambda drawn, place=place: oracle(tuple(sorted(drawn)))[place],
            vectorized=False,
            n_resamples=2000,
            random_state=np.random.default_rng(0),
        ).confidence_interval
        ours = (getattr(result, f"{name}_low"), getattr(result, f"{name}_high"))
        assert ours == pytest.approx(tuple(wanted))


def test_the_same_predictions_give_the_same_score() -> None:
    found = corpus(actors=6, seeds=2)
    mixed = random.Random(0).sample(found, len(found))
    assert score(found, LABELS) == score(mixed, LABELS)
    saved = json.dumps(dataclasses.asdict(score(found, LABELS)), allow_nan=False)
    assert saved == json.dumps(dataclasses.asdict(score(found, LABELS)))


def test_all_of_crema_d_is_scored_in_no_time() -> None:
    found = corpus(actors=91, clips=82, seeds=3)
    start = time.perf_counter()
    result = score(found, LABELS)
    assert time.perf_counter() - start < 2
    assert (result.clips, result.actors, len(result.seeds)) == (91 * 82, 91, 3)


def test_t_interval_closed_form() -> None:
    """Three values a tenth apart: margin t * 0.1 / sqrt(3), t(0.975, 2) = 4.30265 from tables."""
    mean, low, high = mean_interval([0.5, 0.6, 0.7])
    assert mean == pytest.approx(0.6)
    assert high - mean == pytest.approx(4.30265 * 0.1 / math.sqrt(3), rel=1e-5)
    assert mean - low == pytest.approx(high - mean)


def ends(result: Score) -> list[float | None]:
    names = ("accuracy_low", "accuracy_high", "recall_low", "recall_high", "f1_low", "f1_high")
    return [getattr(result, name) for name in names]


def test_one_actor_has_no_interval() -> None:
    result = score(predictions([(0, 0, 0), (0, 1, 0)]), LABELS)
    assert result.low is None and result.high is None
    assert ends(result) == [None] * 6


def test_few_actors_have_no_bootstrap() -> None:
    """Two draws are both, or one of them twice: no more than their own scores. Six are enough."""
    right, half = [("0", t, t) for t in (0, 1, 2, 2)], [("1", t, t and 2) for t in (0, 1, 2, 1)]
    result = score(predictions(right + half), LABELS)
    assert ends(result) == [None] * 6 and None not in (result.low, result.high)
    assert ends(score(corpus(5), LABELS)) == [None] * 6
    assert None not in ends(score(corpus(6), LABELS))


def test_equal_actors_have_no_bootstrap() -> None:
    """All alike: BCa is not defined, so there is no interval, no NaN and no warning."""
    table = [(actor, t, t if t else 1) for actor in range(5) for t in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = score(predictions(table), LABELS)
    assert ends(result) == [None] * 6
    assert (result.low, result.high) == pytest.approx((2 / 3, 2 / 3))


def test_interval_covers_the_truth() -> None:
    """Actors differ in how easily they are read: over 2,000 draws about 95 % cover the truth."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        skill = rng.normal(0.6, 0.1, 24).clip(0, 1)
        _, low, high = mean_interval((rng.binomial(80, skill) / 80).tolist())
        covered += low <= 0.6 <= high
    assert 0.935 < covered / 2000 < 0.965


def test_benchmark_of_intervals(tmp_path: Path) -> None:
    """150 draws: four standard errors of a coverage of 95 % are 7 points."""
    quick = ("--draws", "150", "--actors", "24", "--corpora", "2", "--out", str(tmp_path))
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "intervals.py"), *quick],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["design_effect"] == pytest.approx(5, abs=0.5)
    coverage, width = result["coverage"]["24"], result["width"]["24"]
    for name in ("t", "bca_accuracy", "bca_recall", "bca_f1", "percentile"):
        assert 0.88 <= coverage[name] < 1
        assert width[name] == pytest.approx(width["t"], rel=0.15)
    # Clips taken as independent: sqrt(5) too narrow, so 62 % where 95 % is claimed.
    assert coverage["binomial"] < 0.78
    assert width["t"] / width["binomial"] == pytest.approx(math.sqrt(5), rel=0.2)
    for name, count in result["first_twenty_corpora"].items():
        assert result["share_of_corpora"][name] == count / 2
    assert "python benchmarks/intervals.py" in (tmp_path / "intervals.md").read_text("utf-8")


def test_actor_accuracies() -> None:
    table = predictions([(1, 0, 0), (1, 0, 1), (0, 2, 2)])
    assert actor_accuracies(table, LABELS) == {"0": 1.0, "1": 0.5}


def test_clips_of_unknown_people_have_the_interval_of_single_clips() -> None:
    """Against the closed form of a share: of 2,000 clips, 1.96 standard errors each way."""
    rng = np.random.default_rng(0)
    labels = ("anger", "fear")
    found = [
        ClipPrediction(
            seed=0, fold="official", clip=f"{n}", actor=unit_of(UNKNOWN_ACTOR, f"{n}"),
            target=labels[n % 2], probabilities=(0.9, 0.1) if p < 0.5 else (0.1, 0.9),
        )
        for n, p in enumerate(rng.random(2000))
    ]  # fmt: skip
    result = score(found, labels)
    assert result.actors == 0
    margin = 1.96 * np.sqrt(result.accuracy * (1 - result.accuracy) / 2000)
    assert result.accuracy_low == pytest.approx(result.accuracy - margin, abs=0.004)
    assert result.accuracy_high == pytest.approx(result.accuracy + margin, abs=0.004)
    counts = tally(credits_of(found, labels), labels)
    half = tally([(a, t, c / 2) for a, t, c in credits_of(found, labels)], labels)
    assert difference(counts, half).actors == 0


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_averages_are_those_of_scikit_learns_classification_report(
    pairs: list[tuple[int, int]],
) -> None:
    labels = ("a", "b", "c", "d")
    found = [
        ClipPrediction(
            seed=0, fold="f", clip=f"{n}", actor=f"{n % 3}", target=labels[target],
            probabilities=tuple(float(i == predicted) for i in range(4)),
        )
        for n, (target, predicted) in enumerate(pairs)
    ]  # fmt: skip
    truth, predicted = [labels[t] for t, _ in pairs], [labels[p] for _, p in pairs]
    theirs = classification_report(
        truth, predicted, labels=sorted(set(truth)), output_dict=True, zero_division=0
    )
    ours = score(found, labels)
    micro, macro, weighted = ours.averages
    for average, name in ((macro, "macro avg"), (weighted, "weighted avg")):
        wanted = theirs[name]
        assert (average.precision, average.recall, average.f1) == pytest.approx(
            (wanted["precision"], wanted["recall"], wanted["f1-score"])
        )
        assert average.clips == wanted["support"]
    assert micro.f1 == micro.precision == pytest.approx(np.mean(np.equal(truth, predicted)))
