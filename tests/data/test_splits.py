"""No actor is ever in two parts of a split, whatever the corpus looks like."""

from dataclasses import replace
from pathlib import Path, PurePath
from zipfile import ZipFile

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from avemotion.config import TrainingSettings
from avemotion.data.corpora import ravdess
from avemotion.data.corpora.crema_d import EMOTIONS, parse_name, read_corpus
from avemotion.data.splits import (
    MIN_ACTORS,
    PROTOCOLS,
    actors_of,
    check_trainable,
    five_folds,
    leave_one_actor_out,
    luna_jimenez_folds,
    part_of,
    split_actors,
    split_for,
    stratified_folds,
    take_actors,
)
from avemotion.data.store import ManifestRow
from avemotion.data.types import PARTS, Split
from avemotion.errors import UsageError


def row(actor: str, emotion: str, number: int, part: str = "") -> ManifestRow:
    return ManifestRow(
        f"{actor}_{number}", actor, "IEO", emotion, "XX", part, actor, "av", "", 60, 20, 5, 5, "",
        "", 0, "", 0,
    )  # fmt: skip


@st.composite
def corpora(draw: st.DrawFn) -> list[ManifestRow]:
    """Any number of actors, each with any emotions: skewed ones too."""
    rows = []
    for actor in range(draw(st.integers(2, 16))):
        emotions = draw(st.lists(st.sampled_from(EMOTIONS), min_size=1, max_size=8))
        rows += [row(str(1001 + actor), emotion, i) for i, emotion in enumerate(emotions)]
    return rows


@st.composite
def ravdess_rows(draw: st.DrawFn) -> list[ManifestRow]:
    """RAVDESS' actors, or most of them: at least one of each published fold."""
    missing = draw(st.sets(st.sampled_from(ravdess.ACTORS), max_size=3))
    actors = [actor for actor in ravdess.ACTORS if actor not in missing]
    return [row(actor, emotion, i) for actor in actors for i, emotion in enumerate(EMOTIONS)]


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS.keys() - {"official", "sentences"}))
@settings(deadline=None, max_examples=40)
@given(data=st.data(), seed=st.integers(0, 5))
def test_no_actor_is_in_two_parts_and_all_are_tested_once(
    protocol: str, data: st.DataObject, seed: int
) -> None:
    rows = data.draw(ravdess_rows() if protocol == "luna-jimenez" else corpora())
    actors = actors_of(rows)
    assume(len(actors) >= MIN_ACTORS[protocol])
    folds = PROTOCOLS[protocol](rows)
    assert sorted(a for fold in folds for a in fold.test) == sorted(actors)
    assert len({fold.name for fold in folds}) == len(folds) and all(fold.test for fold in folds)
    for fold in folds:
        split = split_actors(rows, fold.test, TrainingSettings(seed=seed))
        parts = [set(split.train), set(split.validation), set(split.test)]
        assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
        assert set.union(*parts) == set(actors)
        assert set(split.test) == set(fold.test)


@settings(deadline=None, max_examples=40)
@given(rows=corpora(), spoken=st.data(), seed=st.integers(0, 5))
def test_neither_actors_nor_sentences_of_a_test_are_in_its_training(
    rows: list[ManifestRow], spoken: st.DataObject, seed: int
) -> None:
    codes = st.sampled_from(["DFA", "IEO", "IOM", "ITH", "ITS"])
    rows = [replace(one, sentence=spoken.draw(codes)) for one in rows]
    sentences = {one.sentence for one in rows}
    assume(len(actors_of(rows)) >= MIN_ACTORS["sentences"] and len(sentences) > 1)
    folds = PROTOCOLS["sentences"](rows)
    tested = [one.clip for fold in folds for one in fold.tested(rows)]
    assert sorted(tested) == sorted(one.clip for one in rows)  # each once
    assert len({fold.name for fold in folds}) == len(folds)
    for fold in folds:
        split = fold.split(rows, TrainingSettings(seed=seed))
        learned = part_of(rows, split, "train") + part_of(rows, split, "validation")
        asked = fold.tested(rows)
        assert asked and not {r.actor for r in learned} & {r.actor for r in asked}
        assert not {r.sentence for r in learned} & {r.sentence for r in asked}
        others = [r for r in rows if r.actor not in fold.test and r.sentence not in fold.sentences]
        assert {r.clip for r in learned} == {r.clip for r in others}


def test_clips_without_a_sentence_cannot_be_held_out() -> None:
    rows = [row("1001", "fear", 0), replace(row("1002", "fear", 1), sentence="")]
    with pytest.raises(UsageError, match="needs the sentence of each clip; 1 have none"):
        PROTOCOLS["sentences"](rows)


def test_one_sentence_cannot_be_held_out() -> None:
    with pytest.raises(UsageError, match="needs clips of two sentences or more; the store has 'IE"):
        PROTOCOLS["sentences"]([row("1001", "fear", 0), row("1002", "fear", 1)])


def test_an_actor_in_two_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="1002"):
        Split(train=("1001", "1002"), validation=(), test=("1002",))
    with pytest.raises(ValueError, match="parts in two parts of a split: test"):
        Split(train=("train", "test"), validation=(), test=("test",), unit="part")


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(("", *PARTS))), max_size=12))
def test_an_official_split_is_the_one_in_the_manifest(found: list[tuple[int, str]]) -> None:
    """Whoever is in it: an actor may be in several parts, and clips of no part are in none."""
    parts = [*PARTS, *(part for _, part in found)]
    rows = [row("1001", "fear", i, part) for i, part in enumerate(parts)]
    (fold,) = PROTOCOLS["official"](rows)
    split = split_for(rows, (), TrainingSettings(split="official"))
    assert fold.official and split.unit == "part"
    for part in PARTS:
        mine = [r for r in rows if r.part == part]
        assert part_of(rows, split, part) == mine
        assert part != "test" or fold.tested(rows) == mine


def test_a_corpus_without_an_official_split_is_told_so() -> None:
    official = TrainingSettings(split="official")
    plain = [row("1001", "fear", 0), row("1002", "fear", 1)]
    for rows in (plain, [row("1001", "fear", 0, "train"), row("1002", "fear", 1, "validation")]):
        with pytest.raises(UsageError, match="no official split with a training and a test part"):
            split_for(rows, (), official)
    two = [row("1001", "fear", 0, "train"), row("1001", "fear", 1, "test")]
    with pytest.raises(UsageError, match="no validation part.*--training.validation 0"):
        split_for(two, (), official)
    fixed = replace(official, validation=0.0, early_stopping=False)
    assert split_for(two, (), fixed) == Split(("train",), (), ("test",), "part")


CREMA_ACTORS = [str(actor) for actor in range(1001, 1092)]


def test_leave_one_actor_out_has_a_fold_an_actor() -> None:
    folds = leave_one_actor_out([row(actor, "fear", 0) for actor in CREMA_ACTORS])
    assert len(folds) == 91
    assert all(fold.test == (fold.name,) for fold in folds)


def test_five_folds_are_runs_of_neighbours() -> None:
    folds = five_folds([row(actor, "fear", 0) for actor in CREMA_ACTORS])
    assert [len(fold.test) for fold in folds] == [19, 18, 18, 18, 18]
    assert [a for fold in folds for a in fold.test] == CREMA_ACTORS


def test_stratified_folds_share_out_the_actors_with_all_emotions(crema_d: Path) -> None:
    """In the partial corpus five actors have all emotions: each fold gets one of them."""
    clips = {clip.name: (clip.actor, clip.emotion) for clip in read_corpus(crema_d).clips}
    packed = crema_d / "more-voices-flac.zip"  # voices, of which the names are enough
    if packed.exists():
        for name in map(PurePath, ZipFile(packed).namelist()):
            parts = parse_name(name.stem)
            assert parts
            clips[name.stem] = (parts[0], parts[2])
    rows = [row(actor, emotion, i) for i, (actor, emotion) in enumerate(clips.values())]
    folds = stratified_folds(rows)
    for fold in folds:
        assert len(set(fold.test) & {"1086", "1088", "1089", "1090", "1091"}) == 1
        for tested in (True, False):
            found = {r.emotion for r in rows if (r.actor in fold.test) == tested}
            assert found == set(EMOTIONS)
    sizes = [sum(r.actor in fold.test for r in rows) for fold in folds]
    assert max(sizes) < 1.3 * min(sizes)


def test_luna_jimenez_folds_are_the_published_ones() -> None:
    folds = luna_jimenez_folds([row(actor, "fear", 0) for actor in ravdess.ACTORS])
    assert [set(map(int, fold.test)) for fold in folds] == [
        {2, 5, 14, 15, 16}, {3, 6, 7, 13, 18}, {10, 11, 12, 19, 20}, {8, 17, 21, 23, 24},
        {1, 4, 9, 22},
    ]  # fmt: skip


def test_luna_jimenez_folds_are_for_ravdess_alone() -> None:
    with pytest.raises(UsageError, match="actors 1001"):
        luna_jimenez_folds([row("1001", "fear", 0)])
    with pytest.raises(UsageError, match="lacks a fold's actors"):
        luna_jimenez_folds([row("01", "fear", 0)])


@settings(deadline=None)
@given(rows=corpora(), share=st.floats(0, 0.9), seed=st.integers(0, 3))
def test_taken_actors_are_never_all(rows: list[ManifestRow], share: float, seed: int) -> None:
    taken = take_actors(rows, share, seed)
    assert set(taken) < set(actors_of(rows))
    assert taken == take_actors(rows, share, seed)


def test_of_three_actors_one_trains_one_chooses_and_one_is_tested() -> None:
    rows = [row(actor, emotion, 0) for actor in ("1001", "1002", "1003") for emotion in EMOTIONS]
    for fold in leave_one_actor_out(rows):
        split = split_actors(rows, fold.test, TrainingSettings())
        assert len(split.train) == len(split.validation) == len(split.test) == 1


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
    with pytest.raises(UsageError, match=r"needs at least 2 actors .* has 1 \(6 clips\)"):
        check_trainable(one_actor, EMOTIONS, "av")
    no_fear = [row(a, e, 0) for a in ("1001", "1002") for e in EMOTIONS if e != "fear"]
    with pytest.raises(UsageError, match="no clip of fear"):
        check_trainable(no_fear, EMOTIONS, "av")
    check_trainable(one_actor + [row("1002", "fear", 9)], EMOTIONS, "av")
    check_trainable([row(actor, "fear", 0) for actor in ("1001", "1002")], ("fear",), "av")
    check_trainable([row("1001", "fear", i) for i in range(2)], ("fear",), "av", least_actors=1)
    with pytest.raises(UsageError, match="1 clip of 1 actor is left"):
        check_trainable(one_actor[:1], EMOTIONS, "av", least_actors=1)
