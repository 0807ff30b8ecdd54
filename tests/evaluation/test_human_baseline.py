"""The human baselines, against published and independently computed figures."""

import csv
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from avemotion import ratings
from avemotion.data.corpora.crema_d import EMOTION_BY_CODE
from avemotion.data.types import Clip, Rating
from avemotion.errors import UsageError
from avemotion.evaluation.metrics.human_baseline import clip_credit, human_scores

LABELS = ("b", "a", "c")


def acted(emotion: str, actor: str = "1001", level: str = "XX") -> Clip:
    return Clip("", actor, "DFA", emotion, level, video=None, audio=None)


def test_real_votes_give_the_known_figures(crema_d: Path) -> None:
    """All of tabulatedVotes.csv; Cao et al. (2014) report 40.9 / 58.2 / 63.6 for one answer."""
    scores = ratings(crema_d)
    assert {c: s.clips for c, s in scores.items()} == {"audio": 7442, "video": 7442, "av": 7442}
    single = {c: round(100 * s.single_response, 2) for c, s in scores.items()}
    assert single == {"audio": 40.00, "video": 57.44, "av": 63.07}
    majority = {c: round(100 * s.majority, 2) for c, s in scores.items()}
    assert majority == {"audio": 44.62, "video": 68.51, "av": 74.36}


def test_real_votes_by_emotion_and_level(crema_d: Path) -> None:
    both = ratings(crema_d)["av"]
    by_emotion = {g.name: round(100 * g.majority, 1) for g in both.by_emotion}
    assert by_emotion == {
        "anger": 77.2, "disgust": 76.7, "fear": 67.9, "happiness": 95.3, "neutral": 96.7,
        "sadness": 35.5,
    }  # fmt: skip
    assert [g.clips for g in both.by_emotion] == [1271, 1271, 1271, 1271, 1087, 1271]
    by_level = [(g.name, g.clips, round(100 * g.majority)) for g in both.by_level]
    assert by_level == [("LO", 455, 50), ("MD", 455, 65), ("HI", 455, 80), ("XX", 6077, 76)]


def test_real_votes_against_the_bare_table(crema_d: Path) -> None:
    """What the known figures leave out, from the table's own columns and scipy's interval."""
    shares, credit, by_code, right = [], {}, {}, {}
    with (crema_d / "processedResults" / "tabulatedVotes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if not row[""].startswith("3"):
                continue
            actor, _, emotion, level = row["fileName"].split("_")
            counts = [int(row[letter]) for letter in "ADFHNS"]
            hits = int(row[emotion[0]])
            shares.append(hits / sum(counts))
            vote = (hits == max(counts)) / counts.count(max(counts))
            credit.setdefault(actor, []).append(vote)
            by_code.setdefault(emotion, []).append(vote)
            found = right.setdefault(level, [0, 0])
            found[0] += hits
            found[1] += sum(counts)
    both = ratings(crema_d)["av"]
    assert both.single_response_by_clip == pytest.approx(np.mean(shares))
    votes = {EMOTION_BY_CODE[code]: np.mean(values) for code, values in by_code.items()}
    assert {g.name: g.majority for g in both.by_emotion} == pytest.approx(votes)
    means = [np.mean(values) for values in credit.values()]
    oracle = stats.t.interval(0.95, 90, np.mean(means), stats.sem(means))
    assert (both.low, both.high) == pytest.approx(oracle, abs=0.004)  # theirs is a bootstrap
    assert both.recall == pytest.approx(np.mean(list(votes.values())))
    assert both.recall_low < both.recall < both.recall_high
    singles = {g.name: g.single_response for g in both.by_level}
    assert singles == pytest.approx({level: a / b for level, (a, b) in right.items()})


@settings(deadline=None)
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
    votes = [Rating(str(i), "audio", counts) for i, (counts, _) in enumerate(table)]
    clips = {str(i): acted(emotion) for i, (_, emotion) in enumerate(table)}
    scores = human_scores(votes, clips, LABELS)
    answered = [(counts, emotion) for counts, emotion in table if sum(counts)]
    if not answered:
        assert scores == {}
        return
    # Written out with exact fractions: each tied winner is picked with equal chance.
    right = Fraction(0)
    for counts, emotion in answered:
        winners = [LABELS[i] for i in range(3) if counts[i] == max(counts)]
        right += Fraction(winners.count(emotion), len(winners))
    assert scores["audio"].majority == pytest.approx(float(right / len(answered)))
    assert scores["audio"].clips == len(answered)
    assert scores["audio"].responses == sum(sum(counts) for counts, _ in answered)
    assert sum(g.clips for g in scores["audio"].by_emotion) == len(answered)


VOTES = [
    Rating("x", "video", (2, 0, 0)),
    Rating("y", "video", (1, 2, 1)),
    Rating("z", "video", (3, 3, 2)),
    Rating("w", "video", (0, 0, 0)),
    Rating("x", "audio", (0, 1, 0)),
]
CLIPS = {
    "x": acted("b", "1001", "HI"),
    "y": acted("b", "1001", "LO"),
    "z": acted("a", "1002", "strange"),
    "w": acted("a", "1003", "LO"),
}


def test_groups_and_both_readings_by_hand() -> None:
    face = human_scores(VOTES, CLIPS, LABELS)["video"]
    assert (face.clips, face.responses) == (3, 14)
    assert face.single_response == pytest.approx(6 / 14)
    assert face.single_response_by_clip == pytest.approx((1 + 1 / 4 + 3 / 8) / 3)
    assert face.majority == pytest.approx((1 + 0 + 1 / 2) / 3)
    assert [g.name for g in face.by_emotion] == ["b", "a"]
    assert [g.single_response for g in face.by_emotion] == pytest.approx([3 / 6, 3 / 8])
    assert [g.majority for g in face.by_emotion] == [0.5, 0.5]
    assert [(g.name, g.clips) for g in face.by_level] == [("LO", 1), ("HI", 1), ("strange", 1)]
    # Both actors' means are 0.5, though one has twice the clips: every draw gives the same.
    assert (face.low, face.high) == (None, None)
    assert face.recall == pytest.approx(0.5) and face.single_recall == pytest.approx(0.4375)


def test_one_actor_has_no_interval() -> None:
    voice = human_scores(VOTES, CLIPS, LABELS)["audio"]
    assert voice.low is None and voice.high is None


def test_credit_of_clips() -> None:
    """A clip without an answer has no credit."""
    assert clip_credit(VOTES, CLIPS, LABELS, "video") == {"x": 1, "y": 0, "z": 0.5}
    assert clip_credit(VOTES, CLIPS, LABELS, "audio") == {"x": 0}
    assert clip_credit(VOTES, CLIPS, LABELS, "av") == {}


def test_only_the_asked_clips_count() -> None:
    votes = [Rating("x", "video", (5, 0, 0)), Rating("y", "video", (0, 5, 0))]
    assert human_scores(votes, {"x": acted("b")}, LABELS)["video"].single_response == 1.0


def test_a_folder_without_ratings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no ratings"):
        ratings(tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        ratings(tmp_path / "nothing")
