"""The page of an evaluation: what it shows, what it leaves out, and that it needs no other file."""

import copy
import doctest
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from report_maker import SYSTEMS, Page, invented, minimal

from avemotion.config import MODALITIES
from avemotion.data.corpora import CorpusName
from avemotion.evaluation.report import charts as report_charts
from avemotion.evaluation.report import formatting
from avemotion.evaluation.report.formatting import versus
from avemotion.evaluation.report.page import render


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return invented(26)


@pytest.fixture(scope="module")
def full(results: dict[str, Any]) -> Page:
    return Page(render(results))


def shown(share: float, sign: str = "") -> str:
    digits = f"{100 * share:{sign}.1f}".replace("-", "−")
    return "0.0" if digits in ("+0.0", "−0.0") else digits


def spread(row: dict[str, Any], name: str = "", sign: str = "") -> str:
    """A value with its interval, as a cell shows it."""
    value, *ends = (row[name or "actor_mean"], *(row[f"{name}_{e}".strip("_")] for e in ENDS))
    interval = f" {shown(ends[0], sign)} to {shown(ends[1], sign)}" if None not in ends else ""
    return shown(value, sign) + interval


ENDS = ("low", "high")


def test_drawn_faces_are_never_taken_for_videos(results: dict[str, Any]) -> None:
    assert "LANDMARK VIDEO" not in render(results)
    landmarks = results | {"corpus": "ravdess_landmarks", "synthetic": None}
    assert "LANDMARK VIDEO" in render(landmarks)


@pytest.mark.parametrize("name", get_args(CorpusName))
def test_every_corpus_has_a_name_for_readers(results: dict[str, Any], name: str) -> None:
    page = render(results | {"corpus": name, "synthetic": None})
    title = {
        "crema_d": "CREMA-D",
        "ravdess": "RAVDESS",
        "fer2013": "FER2013",
        "ck_plus": "CK+",
        "ck_plus_units": "CK+ with action units",
        "pictures": "pictures with a table",
        "folder": "a folder of clips",
    }[name]
    assert f'<p class="byline">{title} ·' in page


def test_main_table(full: Page, results: dict[str, Any]) -> None:
    table = full.table("Systems and people")
    for m, score in results["scores"].items():
        (row,) = [cells for head, cells in table.items() if head.startswith(f"{m} ")]
        scores = [spread(score, name) for name in ("accuracy", "recall", "f1")]
        std, ceiling = score["seed_std"], results["ceilings"][m]
        assert row == [*scores, shown(std), shown(ceiling)]
    for rule in results["rules"]:
        assert table[rule["name"]][:2] == [shown(rule["accuracy"]), shown(rule["recall"])]
    for channel, head in {"audio": "voice", "av": "face and voice"}.items():
        human = results["humans"][channel]
        single = [shown(human["single_response"]), shown(human["single_recall"])]
        assert table[f"{head}, single response"][:2] == single
        majority = {**human, "actor_mean": human["majority"]}
        assert table[f"{head}, majority"][:2] == [spread(majority), spread(human, "recall")]
    ours = results["scores"]["ar5/video"]["accuracy"]
    assert table["AR5, video"][0] == f"62.84 ours {100 * ours:.2f}"
    assert table["AR5, video"][1].startswith("reported, other data and protocol may differ")


def columns(full: Page, about: str, row: str, at: int, width: int, before: int = 0) -> list[str]:
    """The cells of one system in a table of several."""
    start = before + at * width
    return full.table(about)[row][start : start + width]


def test_every_score_is_in_its_table(full: Page, results: dict[str, Any]) -> None:
    for i, (m, score) in enumerate(results["scores"].items()):
        for c in score["classes"]:
            wanted = [shown(c[key]) for key in ("recall", "precision", "f1")]
            assert columns(full, "Recall, precision", c["emotion"], i, 3, before=1) == wanted
        for s in score["seeds"]:
            wanted = [shown(s[key]) for key in ("accuracy", "recall", "f1")]
            assert columns(full, "Each training seed", str(s["seed"]), i, 3) == wanted
        for actor, share in results["actor_accuracies"][m].items():
            assert columns(full, "Accuracy on each actor", actor, i, 1) == [shown(share)]
        for g in results["fairness"][m]:
            head = g["group"] + "† too few actors to judge" * g["too_small"]
            cells = full.table(f"{m} by group")[head][2:]
            wanted = [spread(g, "accuracy"), shown(g["recall"]), shown(g["human"])]
            assert cells == [*wanted, spread(g, "over_human", "+")]
        for r in results["robustness"][m]:
            wanted = [shown(r["recall"]), spread(r, "change", "+"), shown(r["unchanged"])]
            assert columns(full, "Corrupted clips", r["condition"], i, 3) == wanted
        versions = [results["calibration"][m][version] for version in ("plain", "tempered")]
        decimals = [f"{v[key]:.3f}" for key in ("log_loss", "brier") for v in versions]
        errors = [shown(v["calibration_error"]) for v in versions]
        assert full.table("Calibration")[m] == [*decimals, *errors, "0.80"]
    for i, human in enumerate(results["humans"].values()):
        for group in human["by_emotion"]:
            wanted = [shown(group["single_response"]), shown(group["majority"])]
            assert columns(full, "People by emotion", group["name"], i, 2, before=1) == wanted
        wanted = [shown(human["by_level"][0]["single_response"])]
        assert columns(full, "People by intended intensity", "low", 2 * i, 1, before=1) == wanted


def test_differences_in_words(full: Page, results: dict[str, Any]) -> None:
    found = results["differences"]["ar5/av - ar5/video"]
    low, high = shown(found["low"]), shown(found["high"])
    words = f"ar5/av is {shown(found['recall'])} points above ar5/video (95 % {low} to {high}, p"
    assert words in full.text
    people = results["differences"]["ar5/audio - people (audio, majority)"]
    side = "above" if people["recall"] > 0 else "below"
    words = f"ar5/audio is {shown(abs(people['recall']))} points {side} people (audio, majority)"
    assert words in full.text


@pytest.mark.parametrize(
    ("lead", "ends", "p", "words"),
    [
        (0.004, (-0.01, 0.018), 0.5, "a is 0.4 points above b (95 % −1.0 to 1.8, p = 0.500,"),
        (-0.004, (-0.018, 0.01), 0.5, "a is 0.4 points below b (95 % −1.0 to 1.8, p = 0.500,"),
        (0.02, (None, None), None, "a is 2.0 points above b (1 actor)."),
    ],
)
def test_a_difference_is_told_from_the_side_it_is_on(
    lead: float, ends: tuple[float | None, float | None], p: float | None, words: str
) -> None:
    found = {"recall": lead, "low": ends[0], "high": ends[1], "p": p, "p_holm": p}
    found["actors"] = 1 + 8 * bool(p)
    assert versus(found, "a - b").startswith(words)


SECTIONS = {
    "differences": "differences",
    "actor_accuracies": "actors",
    "calibration": "calibration",
    "crowd_distance": "crowd",
    "humans": "humans",
    "fairness": "fairness",
    "robustness": "robustness",
}


@pytest.mark.parametrize("part", SECTIONS)
def test_a_section_comes_and_goes_with_its_data(part: str, results: dict[str, Any]) -> None:
    """Added to the least there can be, a part brings its own section and no other."""
    found = Page(render({**minimal(), part: results[part]}))
    ids = {a["id"] for a in found.all("h2")}
    assert ids == {"scores", "emotions", "method", "limits", SECTIONS[part]}
    links = {a["href"] for a in found.all("a")}
    assert {link[1:] for link in links if link.startswith("#")} == ids
    assert ("../corrupted.csv" in links) == (part == "robustness")


@pytest.mark.parametrize("absent", [{}, None, "missing"])
def test_minimal(absent: object) -> None:
    """One system, one actor, all else null, empty or not there at all."""
    results = {
        name: value if value is not None or name == "synthetic" else absent
        for name, value in minimal().items()
        if value is not None or absent != "missing"
    }
    found = Page(render(results))
    assert [a["id"] for a in found.all("h2")] == ["scores", "emotions", "method", "limits"]
    assert "(one actor: no interval)" in found.text
    assert "None" not in found.text and "SYNTHETIC" not in found.text
    assert found.table("Systems")["ar5/audio the voice alone"][3] == "–"


def test_a_system_may_lack_any_part(results: dict[str, Any]) -> None:
    lacking = copy.deepcopy(results)
    for part in ("calibration", "crowd_distance", "fairness", "robustness", "actor_accuracies"):
        del lacking[part]["ar5/video"]
    lacking["calibration"]["ar5/av"] |= {"tempered": None, "temperature": None}
    lacking["scores"]["ar5/audio"] |= {"classes": None, "confusion": None, "seeds": None}
    found = Page(render(lacking))
    assert found.table("Calibration")["ar5/av"][1::2] == ["–"] * 3
    assert found.table("Calibration")["ar5/av"][-1] == "–"
    assert found.table("Recall, precision")["fear"][-3:] == ["–"] * 3


def test_two_models_of_one_modality_are_told_apart(results: dict[str, Any]) -> None:
    both = copy.deepcopy(results)
    for part in ("scores", "actor_accuracies", "calibration", "fairness", "robustness", "ceilings"):
        both[part]["other/av"] = both[part]["ar5/av"]
    html = render(both)
    found = Page(html)
    assert set(re.findall(r'<b class="(\w+)" aria-hidden="true">(.)</b> ([\w/]+)', html)) == {
        ("av", "●", "ar5/av"), ("video", "■", "ar5/video"), ("audio", "▲", "ar5/audio"),
        ("look4", "★", "other/av"),
    }  # fmt: skip
    table = found.table("Systems and people")
    assert table["other/av face and voice"] == table["ar5/av face and voice"]
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_summary(full: Page, results: dict[str, Any]) -> None:
    score = results["scores"]["ar5/av"]
    people = results["humans"]["av"]
    for words in (
        "tested on 260 clips of 26 actors of a synthetic corpus laid out like CREMA-D",
        "leaving one actor out , with 3 training seeds",
        f"ar5/av: mean recall (UAR) {shown(score['recall'])} % (95 % over actors",
        f"right on {shown(score['accuracy'])} % (95 % over actors",
        "has 2.0 times as many clips as the rarest, so mean recall (UAR) leads, not accuracy",
        "Always answering one and the same emotion, would have a mean recall of 16.7 % and "
        "be right on 20.0 %",
        f"(face and voice): the majority of a clip’s raters has a mean recall of "
        f"{shown(people['recall'])} %",
        "SYNTHETIC DATA : drawn faces and synthesised voices; figures say nothing about people",
    ):
        assert words.replace(" ,", ",") in full.text.replace(" ,", ",")


DRAWN = {"g", "path", "rect", "text", "use"}
"""Elements of a chart; as many as there is room for."""

HOSTILE = (
    """<script>alert("1")</script>' "><img src=x onerror='alert(1)'> $\\frac{ font-family: a"""
    " fill: #1d1d1b; "
)


def make_hostile(value: Any) -> Any:
    """Replace every string by a hostile one, but those that name a system or modality."""
    if isinstance(value, str):
        return value if value in {*MODALITIES, *SYSTEMS} else HOSTILE + value
    if isinstance(value, list):
        return [make_hostile(item) for item in value]
    if isinstance(value, dict):
        return {key: make_hostile(item) for key, item in value.items()}
    return value


def test_hostile_names_are_inert(full: Page, results: dict[str, Any]) -> None:
    hostile = make_hostile(results)
    for part in ("preprocessing", "versions", "settings", "differences"):
        hostile[part] = {HOSTILE + key: value for key, value in hostile[part].items()}
    by_actor = hostile["actor_accuracies"]
    for m, shares in by_actor.items():
        by_actor[m] = {HOSTILE + actor: share for actor, share in shares.items()}
    found = Page(render(hostile))
    assert not found.all("script", "img")
    assert not [name for _, a in found.elements for name in a if name.startswith("on")]
    tags, usual = ([tag for tag, _ in page.elements] for page in (found, full))
    assert [tag for tag in tags if tag not in DRAWN] == [tag for tag in usual if tag not in DRAWN]
    for at in ("anger", "Asian† too few", "blur of 2 px", "1001", "avemotion evaluate", "3 clips"):
        assert " ".join((HOSTILE + at).split()) in found.text, at


@settings(deadline=None, max_examples=10)
@given(st.lists(st.text(min_size=1), min_size=2, max_size=3, unique=True))
@example(["x font-family: y", "b"])
@example(["$\\frac{$", "b"])  # not read as mathematics
@pytest.mark.filterwarnings("ignore:Glyph")  # matplotlib only measures; the browser draws
def test_any_emotion_can_be_drawn(labels: list[str]) -> None:
    counts = [[1] * len(labels)] * len(labels)
    drawn = Page(report_charts.confusion("x", "title", counts, labels))
    assert {tag for tag, _ in drawn.elements} <= {"svg", "title", "defs", "clippath", *DRAWN}
    if labels[0] == "x font-family: y":
        assert labels[0] in drawn.text


def references(found: Page) -> Iterator[str]:
    for _, attributes in found.elements:
        for name, value in attributes.items():
            if name in ("href", "src", "xlink:href", "srcset", "action", "data"):
                yield value
            yield from re.findall(r"url\((.*?)\)", value)


def test_it_stands_alone_and_every_reference_is_kept(full: Page) -> None:
    html = render(minimal())
    assert "://" not in html and "@import" not in html and "url(" not in html.split("</style>")[0]
    ids = [a["id"] for _, a in full.elements if "id" in a]
    assert len(ids) == len(set(ids))
    offered = {a["href"] for a in full.all("a") if "download" in a}  # for readers; not loaded
    assert offered and all(re.fullmatch(r"\.\./[a-z]+\.(csv|json)", href) for href in offered)
    used = set(references(full)) - offered
    assert {reference for reference in used if not reference.startswith("#")} == {"data:,"}
    assert {reference[1:] for reference in used if reference.startswith("#")} <= set(ids)
    assert not full.all("script", "iframe", "object", "img")
    (policy,) = [a["content"] for a in full.all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'")


def test_same_results_same_bytes(results: dict[str, Any]) -> None:
    """In another process too, whose sets and hashes are ordered otherwise."""
    code = (
        "import json, sys; from avemotion.evaluation.report.page import render\n"
        "sys.stdout.buffer.write(render(json.load(sys.stdin)).encode())"
    )
    asked = {**minimal(), "fairness": results["fairness"], "calibration": results["calibration"]}
    other = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(asked).encode(),
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert other.stdout.decode() == render(asked)


def test_it_can_be_read_without_eyes_or_colours(full: Page) -> None:
    assert full.all("html")[0]["lang"] == "en"
    assert len(full.all("h1")) == 1
    assert all(a["scope"] in ("row", "col", "rowgroup", "colgroup") for a in full.all("th"))
    assert len(full.all("caption")) == len(full.all("table"))
    assert len(full.all("figcaption")) == len(full.all("figure")) == 6
    charts = full.all("svg")
    assert all(a["role"] == "img" and a["aria-label"] for a in charts)
    assert len({a["aria-label"] for a in charts}) > 10
    labelled = {a["aria-labelledby"] for a in full.all("section")}
    assert labelled == {a["id"] for a in full.all("h2")}
    markers = [marker for _, marker in report_charts.LOOKS.values()]
    assert len({*markers, report_charts.PEOPLE[1]}) == len(report_charts.LOOKS) + 1
    assert len(set(report_charts.GLYPHS.values())) == len(report_charts.LOOKS)


def test_examples_in_docstrings() -> None:
    for module in (formatting, report_charts):
        assert doctest.testmod(module).failed == 0 < doctest.testmod(module).attempted


def test_matplotlib_waits_until_something_is_drawn() -> None:
    code = "import sys, avemotion.evaluation.report.page\nprint('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]
