"""The first sentences of a result, the same on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avemotion.evaluation.predictions import modality_of
from avemotion.evaluation.report.formatting import channel, percent

TOO_OFTEN = 2.0
"""The answer given most often is named from so many times the share of its clips on."""


def headline(results: Mapping[str, Any]) -> list[str]:
    """Say for each system how well it did, beside what a rule and people reach on the same clips.

    A system that is no better than a rule that looks at no clip is called that first.

    Args:
        results: The content of ``results.json``.
    """
    scores, verdicts = results.get("scores") or {}, results.get("verdicts") or {}
    rules = results.get("rules") or ()
    ranked = sorted(scores, key=lambda system: _is_better(verdicts.get(system)))
    sentences = [_system(s, scores[s], verdicts.get(s), rules, results) for s in ranked]
    if rules and results.get("leading") == "recall":
        sentences.append(
            f"The commonest emotion has {results['imbalance']:.1f} times as many clips as the "
            "rarest, so mean recall (UAR) leads, not accuracy."
        )
    given = dict.fromkeys(map(modality_of, scores))
    humans = results.get("humans") or {}
    sentences += [_people(name, humans[name]) for name in given if name in humans]
    return sentences


def _is_better(verdict: Mapping[str, Any] | None) -> bool:
    return not verdict or bool(verdict["better"])


def _system(
    system: str,
    score: Mapping[str, Any],
    verdict: Mapping[str, Any] | None,
    rules: Any,
    results: Mapping[str, Any],
) -> str:
    recall = f"mean recall (UAR) {_with_interval(score, 'recall', results)}"
    accuracy = f"right on {_with_interval(score, 'accuracy', results)} of the clips"
    by_recall = results.get("leading") == "recall"
    if not rules or not verdict or verdict["better"]:
        figures = f"{recall}; {accuracy}" if by_recall else f"{accuracy}; {recall}"
        bar = ""
        if rules:
            name = rules[0]["name"]
            bar = (
                f" {name[:1].upper()}{name[1:]}, would have a mean recall of "
                f"{percent(rules[0]['recall'])} % and be right on "
                f"{percent(rules[0]['accuracy'])} %."
            )
        return f"{system}: {figures}.{bar}{_lopsided(verdict) if verdict else ''}"
    claim = "is no better" if verdict["close"] else "is not shown to be better"
    return (
        f"{system} {claim} than {rules[0]['name']}: {recall}, that rule "
        f"{percent(rules[0]['recall'])} %; {accuracy}, that rule on "
        f"{percent(rules[0]['accuracy'])} %. It answers “{verdict['answer']}” to "
        f"{percent(verdict['answer_share'])} % of the clips."
    )


def _lopsided(verdict: Mapping[str, Any]) -> str:
    """Say what a system that is better than the rules answers too often, and what never."""
    said = ""
    if verdict["answer_share"] >= TOO_OFTEN * verdict["target_share"]:
        said += (
            f" It answers “{verdict['answer']}” to {percent(verdict['answer_share'])} % of the "
            f"clips; that is the target of {percent(verdict['target_share'])} %."
        )
    if verdict["never"]:
        said += f" It never answers {', '.join(f'“{emotion}”' for emotion in verdict['never'])}."
    return said


def _with_interval(score: Mapping[str, Any], name: str, results: Mapping[str, Any]) -> str:
    low, high = score.get(f"{name}_low"), score.get(f"{name}_high")
    found = f"{percent(score[name])} %"
    if low is None or high is None:
        return f"{found} ({'one actor: ' if results.get('actors') == 1 else ''}no interval)"
    return f"{found} (95 % over {results.get('over', 'actors')} {percent(low)} to {percent(high)})"


def _people(name: str, human: Mapping[str, Any]) -> str:
    return (
        f"People given the same ({channel(name)}): the majority of a clip’s raters has a mean "
        f"recall of {percent(human['recall'])} % and is right on {percent(human['majority'])} %, "
        f"single answers {percent(human['single_recall'])} % and "
        f"{percent(human['single_response'])} %."
    )
