"""Scores by groups of actors, against known demographics, scipy and scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
from report_maker import SYSTEMS, invented
from scipy import stats
from sklearn.metrics import recall_score

from avemotion.data.corpora import crema_d as corpus
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.types import Clip
from avemotion.evaluation.metrics.fairness import GroupScore, fairness, groups_of
from avemotion.evaluation.metrics.human_baseline import clip_credit
from avemotion.evaluation.predictions import ClipPrediction, modality_of

LABELS = ("b", "a", "c")

Groups = dict[tuple[str, str], GroupScore]


def by_name(found: tuple[GroupScore, ...]) -> Groups:
    return {(g.attribute, g.group): g for g in found}


def person(age: str, sex: str = "Male", race: str = "Caucasian") -> dict[str, str]:
    return {"Age": age, "Sex": sex, "Race": race, "Ethnicity": "Not Hispanic"}


@pytest.fixture(scope="module")
def real(crema_d: Path) -> Groups:
    """All clips of CREMA-D, answered as the crowd votes by the face alone."""
    votes = corpus.read_ratings(crema_d)
    clips = {
        r.clip: Clip(r.clip, *corpus.parse_name(r.clip), video=None, audio=None) for r in votes
    }
    predicted = [
        ClipPrediction(0, "f", r.clip, clips[r.clip].actor, clips[r.clip].emotion, r.votes)
        for r in votes
        if r.channel == "video"
    ]
    credit = clip_credit(votes, clips, EMOTIONS, "av")
    return by_name(fairness(predicted, EMOTIONS, corpus.read_demographics(crema_d), credit))


def test_groups_of_the_real_actors(real: Groups) -> None:
    assert {key: g.actors for key, g in real.items()} == {
        ("sex", "Female"): 43, ("sex", "Male"): 48,
        ("age", "<=29"): 34, ("age", "30-44"): 32, ("age", "45-59"): 19, ("age", "60+"): 6,
        ("race", "African American"): 22, ("race", "Asian"): 7, ("race", "Caucasian"): 61,
        ("race", "unknown"): 1,
        ("ethnicity", "Hispanic"): 10, ("ethnicity", "Not Hispanic"): 81,
    }  # fmt: skip
    assert list(real) == [
        ("sex", "Female"), ("sex", "Male"),
        ("age", "<=29"), ("age", "30-44"), ("age", "45-59"), ("age", "60+"),
        ("race", "African American"), ("race", "Asian"), ("race", "Caucasian"),
        ("race", "unknown"),
        ("ethnicity", "Hispanic"), ("ethnicity", "Not Hispanic"),
    ]  # fmt: skip
    small = {key for key, g in real.items() if g.too_small}
    assert small == {("age", "60+"), ("race", "Asian"), ("race", "unknown")}


def test_people_on_real_actors_by_sex(real: Groups) -> None:
    people = {sex: round(100 * real["sex", sex].human, 1) for sex in ("Female", "Male")}
    assert people == {"Female": 78.0, "Male": 71.1}


def test_every_attribute_holds_every_clip(real: Groups) -> None:
    for attribute in ("sex", "age", "race", "ethnicity"):
        groups = [g for (a, _), g in real.items() if a == attribute]
        assert (sum(g.clips for g in groups), sum(g.actors for g in groups)) == (7442, 91)


@pytest.mark.parametrize(
    ("age", "band"),
    [("20", "<=29"), ("29", "<=29"), ("30", "30-44"), ("44", "30-44"), ("45", "45-59"),
     ("59", "45-59"), ("60", "60+"), ("74", "60+"), (" 31 ", "30-44"),
     ("", "unknown"), ("old", "unknown"), ("-3", "unknown"), ("nan", "unknown"),
     ("4\u00b2", "unknown"), (None, "unknown")],
)  # fmt: skip
def test_age_bands(age: str, band: str) -> None:
    assert groups_of(person(age))["age"] == band


def answered(actors: int, seeds: int = 1) -> tuple[list[ClipPrediction], dict[str, float]]:
    """Actors with other numbers of clips, and what people score on each clip."""
    rng = np.random.default_rng(actors)
    predicted, credit = [], {}
    for actor in range(actors):
        for clip in range(4 + actor):
            name, target = f"{actor}_{clip}", LABELS[rng.integers(0, 3)]
            credit[name] = float(rng.choice([0, 0.5, 1]))
            predicted += [
                ClipPrediction(seed, "f", name, str(actor), target, tuple(rng.dirichlet([1] * 3)))
                for seed in range(seeds)
            ]
    return predicted, credit


def test_figures_of_a_group() -> None:
    """Two groups: scipy's one-sample intervals over the actors of each, pair by pair."""
    predicted, credit = answered(9, seeds=2)
    people = {str(a): person("30", "Male" if a % 3 else "Female") for a in range(9)}
    found = by_name(fairness(predicted, LABELS, people, credit))
    for sex, members in (("Female", "036"), ("Male", "124578")):
        of_group = [p for p in predicted if p.actor in members]
        right = {(p.clip, p.seed): LABELS[np.argmax(p.probabilities)] == p.target for p in of_group}

        def mean(values: dict[str, float], actor: str, of_group=of_group) -> float:
            return np.mean([values[p.clip, p.seed] for p in of_group if p.actor == actor])

        both = {key: credit[key[0]] for key in right}
        systems = np.array([mean(right, actor) for actor in members])
        humans = np.array([mean(both, actor) for actor in members])
        group = found["sex", sex]
        assert (group.actors, group.clips) == (len(members), sum(4 + int(a) for a in members))
        assert group.accuracy == pytest.approx(systems.mean())
        interval = stats.ttest_1samp(systems, 0).confidence_interval()
        interval = np.clip(interval, 0, 1)  # past which no accuracy is
        assert (group.accuracy_low, group.accuracy_high) == pytest.approx(tuple(interval))
        assert group.human == pytest.approx(humans.mean())
        assert group.over_human == pytest.approx((systems - humans).mean())
        interval = np.clip(stats.ttest_rel(systems, humans).confidence_interval(), -1, 1)
        assert (group.over_human_low, group.over_human_high) == pytest.approx(tuple(interval))
        truth = [p.target for p in of_group]
        answers = [LABELS[np.argmax(p.probabilities)] for p in of_group]
        assert group.recall == pytest.approx(recall_score(truth, answers, average="macro"))


def test_ten_actors_are_enough() -> None:
    predicted, credit = answered(19)
    people = {str(a): person("30", "Male" if a < 10 else "Female") for a in range(19)}
    found = by_name(fairness(predicted, LABELS, people, credit))
    assert found["sex", "Male"].actors == 10 and not found["sex", "Male"].too_small
    assert found["sex", "Female"].actors == 9 and found["sex", "Female"].too_small


def test_people_are_compared_on_the_clips_that_have_votes() -> None:
    """One right clip with votes that all name something else, one wrong without votes."""
    sure = {"right": (1.0, 0.0, 0.0), "wrong": (0.0, 1.0, 0.0)}
    predicted = [ClipPrediction(0, "f", name, "1", "b", sure[name]) for name in sure]
    group = fairness(predicted, LABELS, {"1": person("30")}, {"right": 0.0, "other": 1.0})[0]
    assert (group.accuracy, group.human, group.over_human) == (0.5, 0.0, 1.0)
    assert (group.accuracy_low, group.over_human_low, group.over_human_high) == (None,) * 3
    without = fairness(predicted, LABELS, {"1": person("30")}, {})[0]
    assert (without.accuracy, without.human, without.over_human) == (0.5, None, None)


def test_each_network_is_held_against_people_given_the_same() -> None:
    results = invented(26)
    people = {channel: found["majority"] for channel, found in results["humans"].items()}
    assert len(set(people.values())) == 3
    for system in SYSTEMS:
        sexes = [g for g in results["fairness"][system] if g["attribute"] == "sex"]
        mean = np.average([g["human"] for g in sexes], weights=[g["actors"] for g in sexes])
        assert mean == pytest.approx(people[modality_of(system)])  # all actors have as many clips


def test_unknown_comes_last() -> None:
    predicted, credit = answered(5)
    ages = ("", "70", "20", "35", "50")
    people = {str(i): person(age, race="" if i else "white") for i, age in enumerate(ages)}
    found = [(g.attribute, g.group) for g in fairness(predicted, LABELS, people, credit)]
    assert found[1:8] == [
        ("age", "<=29"), ("age", "30-44"), ("age", "45-59"), ("age", "60+"), ("age", "unknown"),
        ("race", "white"), ("race", "unknown"),
    ]  # fmt: skip


def test_actors_of_whom_nothing_is_known() -> None:
    predicted, credit = answered(3)
    assert fairness(predicted, LABELS, {}, credit) == ()
    assert fairness(predicted, LABELS, {"someone": person("30")}, credit) == ()
    # A corpus may say some facts alone: what is known of nobody is left out.
    found = by_name(fairness(predicted, LABELS, {"1": {"Sex": "Male", "Race": " Unknown"}}, credit))
    assert {key: g.actors for key, g in found.items()} == {
        ("sex", "Male"): 1,
        ("sex", "unknown"): 2,
    }
