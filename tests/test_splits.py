"""No actor is ever in two parts of a split, whatever the corpus looks like."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from avemotion.config import TrainingSettings
from avemotion.emotions import EMOTIONS
from avemotion.errors import UsageError
from avemotion.splits import (
    MIN_ACTORS,
    PROTOCOLS,
    actors_of,
    check_trainable,
    five_folds,
    leave_one_actor_out,
    split_actors,
    take_actors,
)
from avemotion.store import ManifestRow
from avemotion.types import Split


def row(actor: str, emotion: str, number: int) -> ManifestRow:
    return ManifestRow(
        f"{actor}_{number}", actor, "IEO", emotion, "XX", "av", "", 60, 20, 5, 5, "", "", 0, "", 0
    )


@st.composite
def corpora(draw: st.DrawFn) -> list[ManifestRow]:
    """Any number of actors, each with any emotions: skewed ones too."""
    rows = []
    for actor in range(draw(st.integers(2, 16))):
        emotions = draw(st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=8))
        rows += [row(str(1001 + actor), emotion, i) for i, emotion in enumerate(emotions)]
    return rows


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(deadline=None, max_examples=40)
@given(rows=corpora(), seed=st.integers(0, 5))
def test_no_actor_is_in_two_parts_and_all_are_tested_once(
    protocol: str, rows: list[ManifestRow], seed: int
) -> None:
    actors = actors_of(rows)
    assume(len(actors) >= MIN_ACTORS[protocol])
    folds = PROTOCOLS[protocol](actors)
    assert sorted(a for fold in folds for a in fold.test) == sorted(actors)
    assert len({fold.name for fold in folds}) == len(folds)
    for fold in folds:
        split = split_actors(rows, fold.test, TrainingSettings(seed=seed))
        parts = [set(split.train), set(split.validation), set(split.test)]
        assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
        assert set.union(*parts) == set(actors)
        assert set(split.test) == set(fold.test)


def test_an_actor_in_two_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="1002"):
        Split(train=("1001", "1002"), validation=(), test=("1002",))


def test_leave_one_actor_out_has_a_fold_an_actor() -> None:
    actors = [str(a) for a in range(1001, 1092)]
    folds = leave_one_actor_out(actors)
    assert len(folds) == 91
    assert all(fold.test == (fold.name,) for fold in folds)


def test_five_folds_are_runs_of_neighbours() -> None:
    actors = [str(a) for a in range(1001, 1092)]
    folds = five_folds(actors)
    assert [len(fold.test) for fold in folds] == [19, 18, 18, 18, 18]
    assert [a for fold in folds for a in fold.test] == actors


@settings(deadline=None)
@given(rows=corpora(), share=st.floats(0, 0.9), seed=st.integers(0, 3))
def test_taken_actors_are_never_all(rows: list[ManifestRow], share: float, seed: int) -> None:
    taken = take_actors(rows, share, seed)
    assert set(taken) < set(actors_of(rows))
    assert taken == take_actors(rows, share, seed)


def test_taken_actors_have_the_emotions_of_all() -> None:
    """Only 5 of 25 actors have all emotions: the held-out fifth gets one of them."""
    rows = []
    for actor in range(25):
        emotions = EMOTIONS if actor < 5 else ("disgust", "fear")
        rows += [row(str(1001 + actor), emotion, i) for i, emotion in enumerate(emotions)]
    taken = set(take_actors(rows, 0.2, seed=0))
    assert {r.emotion for r in rows if r.actor in taken} == set(EMOTIONS)
    assert {r.emotion for r in rows if r.actor not in taken} == set(EMOTIONS)


def test_too_few_actors_or_a_missing_class_is_refused() -> None:
    one_actor = [row("1001", emotion, i) for i, emotion in enumerate(EMOTIONS)]
    with pytest.raises(UsageError, match="two actors"):
        check_trainable(one_actor, EMOTIONS, "av")
    no_fear = [row(a, e, 0) for a in ("1001", "1002") for e in EMOTIONS if e != "fear"]
    with pytest.raises(UsageError, match="No clip of fear"):
        check_trainable(no_fear, EMOTIONS, "av")
    check_trainable(one_actor + [row("1002", "fear", 9)], EMOTIONS, "av")
