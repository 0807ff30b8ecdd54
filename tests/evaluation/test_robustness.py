"""Scores under corruption, against scikit-learn, plain loops and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import recall_score

from avemotion.errors import UsageError
from avemotion.evaluation.metrics.intervals import RESAMPLES
from avemotion.evaluation.metrics.robustness import RobustnessScore, robustness_scores
from avemotion.evaluation.predictions import ClipPrediction

LABELS = ("a", "b", "c")
NAME = "babble 10 dB"
Table = list[tuple[int, int, int, int]]


def predictions(table: Table, which: int, seed: int = 0) -> list[ClipPrediction]:
    """From (actor, truth, predicted on the clean clip, on the corrupted one): one of the two."""
    return [
        ClipPrediction(
            seed, "f", str(i), str(row[0]), LABELS[row[1]], tuple(np.eye(3)[row[which]].tolist())
        )
        for i, row in enumerate(table)
    ]


def scored(table: Table) -> RobustnessScore:
    clean, corrupted = predictions(table, 2), predictions(table, 3)
    (result,) = robustness_scores(clean, {NAME: corrupted[::-1]}, LABELS)  # in any order
    return result


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 4), min_size=1, max_size=30))
def test_recall_and_its_change(table: Table) -> None:
    result = scored(table)
    _, truth, on_clean, on_corrupted = zip(*table, strict=True)
    before, after = (
        recall_score(truth, answers, labels=sorted(set(truth)), average="macro", zero_division=0)
        for answers in (on_clean, on_corrupted)
    )
    assert result.recall == pytest.approx(after)
    assert result.change == pytest.approx(after - before)
    same = [a == b for a, b in zip(on_clean, on_corrupted, strict=True)]
    assert result.unchanged == pytest.approx(np.mean(same))
    assert (result.condition, result.family, result.level) == (NAME, "babble (dB SNR)", 10.0)


def some_table(actors: int, clips: int, seed: int = 0) -> Table:
    """Three emotions recognised unequally well, and worse when corrupted; actors differ."""
    rng = np.random.default_rng(seed)
    table = []
    for actor in range(actors):
        harm = rng.uniform(0, 0.6)
        for truth in rng.integers(0, 3, clips):
            on_clean = truth if rng.random() < 0.8 - 0.2 * truth else (truth + 1) % 3
            on_corrupted = (on_clean + 1) % 3 if rng.random() < harm else on_clean
            table.append((actor, int(truth), int(on_clean), int(on_corrupted)))
    return table


def test_the_interval_draws_actors_with_all_their_clips() -> None:
    """The same bootstrap written out: actors are drawn, their clips pooled, both recalls taken."""
    table = np.array(some_table(9, 12))

    def recall(rows: np.ndarray, which: int) -> float:
        each = [rows[rows[:, 1] == label] for label in range(3)]
        return float(np.mean([np.mean(r[:, which] == r[:, 1]) for r in each if len(r)]))

    def change(drawn: np.ndarray) -> float:
        rows = np.concatenate([table[table[:, 0] == actor] for actor in drawn])
        return recall(rows, 3) - recall(rows, 2)

    expected = stats.bootstrap(
        (np.arange(9),), change, vectorized=False, n_resamples=RESAMPLES, method="BCa",
        random_state=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    result = scored([tuple(row) for row in table.tolist()])
    assert (result.change_low, result.change_high) == pytest.approx((expected.low, expected.high))
    assert result.change_low < result.change < result.change_high < 0


def test_more_clips_of_the_same_actors_leave_the_interval_as_it_is() -> None:
    table = some_table(6, 10)
    once, often = scored(table), scored(table * 5)
    assert (once.change_low, once.change_high) == pytest.approx(
        (often.change_low, often.change_high)
    )


def test_seeds_are_pooled() -> None:
    """Two seeds of the same actors are twice their clips, however they are split into seeds."""
    table = some_table(6, 10)
    clean, corrupted = (
        [replace(p, seed=i % 2, clip=str(i // 2)) for i, p in enumerate(predictions(table, which))]
        for which in (2, 3)
    )
    (pooled,) = robustness_scores(clean, {NAME: corrupted}, LABELS)
    assert pooled == scored(table)


@pytest.mark.parametrize(
    "table",
    [
        some_table(1, 12),  # one actor
        [(actor, truth, truth, 0) for actor in range(4) for truth in range(3)],  # all alike
        [(actor, truth, truth, truth) for actor in range(4) for truth in range(3)],  # no change
    ],
)
@pytest.mark.filterwarnings("error")
def test_no_interval_where_nothing_varies(table: Table) -> None:
    result = scored(table)
    assert result.change_low is None and result.change_high is None
    assert np.isfinite([result.recall, result.change, result.unchanged]).all()


def test_other_clips_and_seeds_are_refused() -> None:
    table = some_table(2, 3)
    clean, corrupted = predictions(table, 2), predictions(table, 3)
    others = [replace(p, seed=1) for p in corrupted]
    for wrong in (corrupted[1:], corrupted + corrupted[:1], others):
        with pytest.raises(UsageError, match=f"{NAME}.*other clips or seeds"):
            robustness_scores(clean, {NAME: wrong}, LABELS)
    with pytest.raises(UsageError, match="'thunder' is not a condition.*\\(gain -20 dB"):
        robustness_scores(clean, {"thunder": corrupted}, LABELS)
