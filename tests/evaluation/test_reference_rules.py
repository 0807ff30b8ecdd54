"""Systems that are no better than a rule that looks at no clip are called that, first."""

import dataclasses
import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_maker import METADATA, Page

from avemotion.cli.text_output import evaluate_text
from avemotion.data.corpora.crema_d import EMOTIONS, parse_name, read_ratings
from avemotion.evaluation.metrics.coverage import coverage
from avemotion.evaluation.metrics.reference_rules import imbalance, reference_rules
from avemotion.evaluation.predictions import ClipPrediction, Records
from avemotion.evaluation.predictions import TestedClip as ScoredClip
from avemotion.evaluation.report.page import render
from avemotion.evaluation.report.results import EvaluationResults, evaluation_results


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40))
def test_the_rules_reach_what_they_would_if_they_were_tried(targets: list[str]) -> None:
    always, by_share = reference_rules(targets)
    counts = Counter(targets)
    most = max(counts.values())
    commonest = [label for label, count in counts.items() if count == most]
    assert always.accuracy == most / len(targets)
    assert (f"“{commonest[0]}”" in always.name) == (len(commonest) == 1)
    assert always.recall == by_share.recall == 1 / len(counts)
    pairs = [(a, b) for a in targets for b in targets]  # a guess by share is another clip's target
    assert by_share.accuracy == pytest.approx(np.mean([a == b for a, b in pairs]))
    assert imbalance(targets) == most / min(counts.values())


def results_of(
    crema_d: Path, answer: Any, systems: tuple[str, ...] = ("ar5/audio",)
) -> EvaluationResults:
    """Results on the real voices of a partial CREMA-D, given an answer to each clip."""
    names = sorted(path.stem for path in (crema_d / "AudioWAV").glob("*.wav"))
    clips = [ScoredClip(name, *parse_name(name), target=parse_name(name)[2]) for name in names]
    given = [answer(i, clip.target) for i, clip in enumerate(clips)]
    predictions = [
        ClipPrediction(
            seed=0, fold="f", clip=clip.clip, actor=clip.actor, target=clip.target,
            probabilities=tuple(np.eye(6)[EMOTIONS.index(emotion)].tolist()),
        )
        for clip, emotion in zip(clips, given, strict=True)
    ]  # fmt: skip
    changed = {"synthetic": None, "protocol": "stratified", "corpus_clips": len(clips), "notes": []}
    records = Records(
        metadata=METADATA | changed,
        labels=EMOTIONS,
        clips=tuple(clips),
        predictions=dict.fromkeys(systems, predictions),
        corrupted={},
        ratings=tuple(r for r in read_ratings(crema_d) if r.clip in set(names)),
        demographics={},
        units_of={},
    )
    return evaluation_results(records, "evaluation/stratified")


def test_a_network_that_nearly_always_says_one_word_is_called_that(crema_d: Path) -> None:
    """After one epoch on these voices a network answered "disgust" to 97 % of the clips.

    It was right on nearly as many clips as people are, and on twice as many as by guessing.
    """
    results = results_of(crema_d, lambda i, _: "disgust" if i % 36 else EMOTIONS[i // 36 % 6])
    score, people = results.scores["ar5/audio"], results.humans["audio"]
    assert score.accuracy > 0.3 and score.recall < people.recall - 0.1
    assert results.leading == "recall" and not results.verdicts["ar5/audio"].better
    page = render(asdict(results))
    claim = (
        "ar5/audio is no better than always answering “disgust”, the commonest emotion: mean rec"
    )
    lead = re.search(r'<p class="lead">\s*<strong>(.*?)</strong>', page, re.S)
    assert lead and lead[1].startswith(claim)
    assert "It answers “disgust” to 9" in lead[1]
    assert evaluate_text(results).startswith(claim)
    behind = results.differences["ar5/audio - people (audio, majority)"]
    assert behind.recall < -0.2 and behind.high < 0 and behind.p < 0.05
    assert not [pair for pair in results.differences if "people (av" in pair]


def test_a_network_that_is_better_is_not_called_that(crema_d: Path) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.random(5_000) < 0.5
    results = results_of(crema_d, lambda i, t: t if drawn[i] else EMOTIONS[i % 6])
    assert results.verdicts["ar5/audio"].better
    text = evaluate_text(results)
    assert text.startswith("ar5/audio: mean recall (UAR) 5") and "no better" not in text
    assert "It answers" not in text and "It never answers" not in text


def test_what_a_better_network_answers_too_often_and_never_is_named_first(crema_d: Path) -> None:
    """After one epoch on these voices AR5 was a little better, and answered two of six emotions."""
    unheard = {"happiness", "neutral", "sadness"}
    results = results_of(crema_d, lambda i, t: t if i % 9 and t not in unheard else "disgust")
    assert results.verdicts["ar5/audio"].better
    silent = "It never answers “happiness”, “neutral”, “sadness”."
    often = "It answers “disgust” to 67.4 % of the clips; that is the target of 31.9 %."
    assert f"{often} {silent}" in evaluate_text(results).splitlines()[0]
    lead = re.search(r'<p class="lead">\s*<strong>(.*?)</strong>', render(asdict(results)), re.S)
    assert lead and lead[1].endswith(silent)


def test_a_partial_corpus_is_called_that(crema_d: Path) -> None:
    results = results_of(crema_d, lambda i, _: EMOTIONS[i % 6])
    assert results.coverage.partial and results.coverage.whole == 7_442
    (note,) = [note for note in results.notes if "partial" in note]
    actor, clips = results.coverage.busiest[0]
    assert f"{actor} ({clips})" in note and note in evaluate_text(results)
    page = Page(render(asdict(results)))
    assert f"{results.clips:,} clips of the 7,442 that CREMA-D has" in page.text
    assert note in page.text
    whole = dataclasses.replace(results.coverage, partial=False)
    assert "partial" not in render(asdict(dataclasses.replace(results, coverage=whole, notes=())))


def test_an_emotion_of_one_actor_alone_is_named(crema_d: Path) -> None:
    results = results_of(crema_d, lambda i, _: EMOTIONS[i % 6])
    assert results.coverage.of_one_actor == {}
    found = coverage("crema_d", 7_442, [("1001", "anger"), ("1002", "anger"), ("1002", "fear")])
    assert found.of_one_actor == {"fear": "1002"} and not found.partial
    assert "all clips of fear are of actor 1002" in found.notes[0]
    assert coverage("folder", 3, [("a", "x")]).whole is None


def test_reported_figures_stand_beside_ours_and_are_called_reported(crema_d: Path) -> None:
    """40.9 by ear (Cao et al. 2014), beside the same share of the votes on these clips."""
    results = results_of(crema_d, lambda i, _: EMOTIONS[i % 6])
    (found,) = [r for r in results.reported if r["ours"] == "people"]
    assert (found["modality"], found["value"]) == ("audio", 0.409)
    row = Page(render(asdict(results))).table("Systems and people")[
        "people, single response, audio"
    ]
    here = results.humans["audio"].single_response
    assert row[0] == f"40.90 here {100 * here:.2f}" and row[1].startswith("reported")


def test_what_sound_adds_to_people_stands_beside_what_it_adds_to_systems(crema_d: Path) -> None:
    both = results_of(crema_d, lambda i, _: EMOTIONS[i % 6], ("ar5/av", "ar5/video"))
    found = both.differences["people (av, majority) - people (video, majority)"]
    people = both.humans
    assert found.recall == pytest.approx(people["av"].recall - people["video"].recall)
    corrected = {pair: d.p_holm for pair, d in both.differences.items()}
    assert len(corrected) == 4 and all(p >= both.differences[n].p for n, p in corrected.items())
    alone = results_of(crema_d, lambda i, _: EMOTIONS[i % 6])
    assert not [pair for pair in alone.differences if pair.startswith("people")]
