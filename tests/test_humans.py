"""The human baselines, against published and independently computed figures."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avemotion import ratings
from avemotion.errors import UsageError
from avemotion.humans import human_scores
from avemotion.types import Rating

LABELS = ("a", "b", "c")


def test_real_votes_give_the_known_figures(crema_d: Path) -> None:
    """All of tabulatedVotes.csv; Cao et al. (2014) report 40.9 / 58.2 / 63.6 for one answer."""
    scores = ratings(crema_d)
    assert {c: s.clips for c, s in scores.items()} == {"voice": 7442, "face": 7442, "both": 7442}
    single = {c: round(100 * s.single_response, 2) for c, s in scores.items()}
    assert single == {"voice": 40.00, "face": 57.44, "both": 63.07}
    majority = {c: round(100 * s.majority, 2) for c, s in scores.items()}
    assert majority == {"voice": 44.62, "face": 68.51, "both": 74.36}


@given(
    st.lists(
        st.tuples(st.tuples(*[st.integers(0, 6)] * 3), st.sampled_from(LABELS)),
        min_size=1,
        max_size=12,
    )
)
def test_ties_are_split_and_empty_votes_left_out(
    table: list[tuple[tuple[int, ...], str]],
) -> None:
    votes = [Rating(str(i), "voice", counts) for i, (counts, _) in enumerate(table)]
    intended = {str(i): emotion for i, (_, emotion) in enumerate(table)}
    scores = human_scores(votes, intended, LABELS)
    answered = [(counts, emotion) for counts, emotion in table if sum(counts)]
    if not answered:
        assert scores == {}
        return
    # Written out with exact fractions: each tied winner is picked with equal chance.
    right = Fraction(0)
    for counts, emotion in answered:
        winners = [LABELS[i] for i in range(3) if counts[i] == max(counts)]
        right += Fraction(winners.count(emotion), len(winners))
    assert scores["voice"].majority == pytest.approx(float(right / len(answered)))
    assert scores["voice"].clips == len(answered)
    assert scores["voice"].responses == sum(sum(counts) for counts, _ in answered)


def test_only_the_asked_clips_count() -> None:
    votes = [Rating("x", "face", (5, 0, 0)), Rating("y", "face", (0, 5, 0))]
    assert human_scores(votes, {"x": "a"}, LABELS)["face"].single_response == 1.0


def test_a_folder_without_ratings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no ratings"):
        ratings(tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        ratings(tmp_path / "nothing")
