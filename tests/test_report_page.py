"""The page of an evaluation: what it shows, what it leaves out, and that it stands alone."""

import copy
import doctest
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from avemotion import records, report_charts, report_page
from avemotion.config import Modality
from avemotion.corpora import CorpusName
from avemotion.emotions import EMOTIONS
from avemotion.report_page import render
from avemotion.results import REPORTED, evaluation_results
from avemotion.scores import ClipPrediction
from avemotion.spoiling import conditions_for
from avemotion.types import Rating

MODALITIES: dict[Modality, float] = {"av": 0.7, "video": 0.62, "audio": 0.5}
"""How often the invented networks are right."""

WITH_SPOILED = ("white noise 20 dB", "white noise 0 dB", "blur of 2 px", "audio missing")

FACTS: dict[str, Any] = {
    "protocol": "loso",
    "target": "intended",
    "corpus": "crema_d",
    "synthetic": {"tables": "default", "ceilings": {"av": 0.851, "video": 0.653, "audio": 0.563}},
    "notes": ["3 clips of the store are not scored: they have no face"],
    "network": {"spectrogram": "log_mel", "width": 1.0, "dropout": 0.4},
    "training": {"epochs": 30, "optimizer": "adamw", "clamp_weights": None, "mixup": 0.2},
    "preprocessing": {"views": 4, "grid": "even", "seed": 0, "reader": "pyav"},
    "versions": {"avemotion": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
    "command": "avemotion evaluate --data features --protocol loso --seeds 3",
    "data": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}


def invented(actors: int, seeds: int = 3, spoiled: Sequence[str] = WITH_SPOILED) -> dict[str, Any]:
    """What ``results.json`` holds after drawn answers of networks and people, all parts filled."""
    rng = np.random.default_rng(0)
    names = [str(1001 + i) for i in range(actors)]
    clips = tuple(
        records.TestedClip(f"{actor}_{level}_{emotion}", actor, "IEO", emotion, level, emotion)
        for actor in names
        for level, emotions in (("LO", EMOTIONS), ("XX", EMOTIONS[:4]))  # so WAR is not UAR
        for emotion in emotions
    )
    skill = dict(zip(names, rng.normal(0, 0.08, actors), strict=True))

    def shares(emotion: str, hit: float) -> Any:
        return np.full(6, (1 - hit) / 5) + np.eye(6)[EMOTIONS.index(emotion)] * (1.2 * hit - 0.2)

    def said(level: float) -> list[ClipPrediction]:
        return [
            ClipPrediction(
                seed,
                clip.actor,
                clip.clip,
                clip.actor,
                clip.emotion,
                tuple(rng.dirichlet(2 * shares(clip.emotion, level + skill[clip.actor])).tolist()),
                temperature=0.8,
            )
            for seed in range(seeds)
            for clip in clips
        ]

    ratings = tuple(
        Rating(clip.clip, channel, tuple(rng.multinomial(9, shares(clip.emotion, hit)).tolist()))
        for channel, hit in {"voice": 0.4, "face": 0.57, "both": 0.63}.items()
        for clip in clips
    )
    races = ["Caucasian", "Caucasian", "African American", "Asian"]
    people = {
        name: {
            "Age": str(20 + i % 43),
            "Sex": ("Male", "Female")[i % 2],
            "Race": races[i % 4] if i % 13 else races[0],
            "Ethnicity": "Hispanic" if i % 8 == 3 else "Not Hispanic",
        }
        for i, name in enumerate(names)
    }
    hurt = {
        m: {
            c.name: said(level - rng.uniform(0, 0.3))
            for c in conditions_for(m)
            if c.name in spoiled
        }
        for m, level in MODALITIES.items()
    }
    answers = {m: said(level) for m, level in MODALITIES.items()}
    left = records.Records(FACTS, EMOTIONS, clips, answers, hurt, ratings, people)
    results = asdict(evaluation_results(left, "evaluation/loso"))
    results["reported"] = [asdict(found) for found in REPORTED]
    return dict(json.loads(json.dumps(results)))


def minimal() -> dict[str, Any]:
    """One modality, one actor, nothing else: all that may be absent is."""
    results = invented(1, seeds=1, spoiled=())
    kept = "protocol target corpus labels clips actors seeds folds".split()
    return {
        **dict.fromkeys(results),
        **{name: results[name] for name in kept},
        "scores": {"audio": results["scores"]["audio"]},
    }


VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """Elements, text and tables of a page; refuses one whose tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.tables: dict[str, dict[str, list[str]]] = {}
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows = []
        elif tag in ("tr", "caption"):
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "table":
            caption, *rows = self.rows
            self.tables[caption[0]] = {row[0]: row[1:] for row in rows}

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        data = " ".join(data.replace("\N{NO-BREAK SPACE}", " ").split())
        self.text += f" {data}"
        if "caption" in self.open and data:
            self.rows[-1].append(data)
        elif {"td", "th"} & set(self.open):
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data}".strip()

    def table(self, about: str) -> dict[str, list[str]]:
        """The rows of the table whose caption begins so, by their heads."""
        (found,) = [rows for caption, rows in self.tables.items() if caption.startswith(about)]
        return found

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


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
    title = {"crema_d": "CREMA-D", "ravdess": "RAVDESS", "folder": "a folder of clips"}[name]
    assert f'<p class="byline">{title} ·' in page


def test_main_table(full: Page, results: dict[str, Any]) -> None:
    table = full.table("Networks and people")
    for m, score in results["scores"].items():
        (row,) = [cells for head, cells in table.items() if head.startswith(f"{m} ")]
        scores = [spread(score, name) for name in ("accuracy", "recall", "f1", "")]
        deviation, ceiling = score["seed_deviation"], results["ceilings"][m]
        assert row == [*scores, shown(deviation), shown(ceiling)]
    for channel, head in {"voice": "voice", "both": "face and voice"}.items():
        human = results["humans"][channel]
        assert table[f"{head}, single response"][0] == shown(human["single_response"])
        majority = {**human, "actor_mean": human["majority"]}
        assert table[f"{head}, majority"][0] == spread(majority)
    ours = results["scores"]["video"]["accuracy"]
    assert table["AR5, video"][0] == f"62.84 ours {100 * ours:.2f}"
    assert table["AR5, video"][1].startswith("reported, other data and protocol may differ")


def columns(full: Page, about: str, row: str, at: int, width: int, before: int = 0) -> list[str]:
    """The cells of one modality in a table of several."""
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
            assert columns(full, "Damaged input", r["condition"], i, 3) == wanted
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
    found = results["differences"]["av - video"]
    low, high = shown(found["low"]), shown(found["high"])
    assert f"av is {shown(found['mean'])} points above video (95 % {low} to {high}, p" in full.text
    people = results["differences"]["audio - people (voice, majority)"]
    side = "above" if people["mean"] > 0 else "below"
    words = f"audio is {shown(abs(people['mean']))} points {side} people (voice, majority)"
    assert words in full.text


@pytest.mark.parametrize(
    ("mean", "ends", "p", "words"),
    [
        (0.004, (-0.01, 0.018), 0.5, "a is 0.4 points above b (95 % −1.0 to 1.8, p = 0.500,"),
        (-0.004, (-0.018, 0.01), 0.5, "a is 0.4 points below b (95 % −1.0 to 1.8, p = 0.500,"),
        (0.02, (None, None), None, "a is 2.0 points above b (1 actor)."),
    ],
)
def test_a_difference_is_told_from_the_side_it_is_on(
    mean: float, ends: tuple[float | None, float | None], p: float | None, words: str
) -> None:
    found = {"mean": mean, "low": ends[0], "high": ends[1], "p": p, "actors": 1 + 8 * bool(p)}
    assert report_page.versus(found, "a - b").startswith(words)


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
    assert {a["href"][1:] for a in found.all("a")} == ids


@pytest.mark.parametrize("absent", [{}, None, "missing"])
def test_minimal(absent: object) -> None:
    """One modality, one actor, all else null, empty or not there at all."""
    results = {
        name: value if value is not None or name == "synthetic" else absent
        for name, value in minimal().items()
        if value is not None or absent != "missing"
    }
    found = Page(render(results))
    assert [a["id"] for a in found.all("h2")] == ["scores", "emotions", "method", "limits"]
    assert "(one actor: no interval)" in found.text
    assert "None" not in found.text and "SYNTHETIC" not in found.text
    assert found.table("Networks")["audio the voice alone"][4] == "–"


def test_a_modality_may_lack_any_part(results: dict[str, Any]) -> None:
    lacking = copy.deepcopy(results)
    for part in ("calibration", "crowd_distance", "fairness", "robustness", "actor_accuracies"):
        del lacking[part]["video"]
    lacking["calibration"]["av"] |= {"tempered": None, "temperature": None}
    lacking["scores"]["audio"] |= {"classes": None, "confusion": None, "seeds": None}
    found = Page(render(lacking))
    assert found.table("Calibration")["av"][1::2] == ["–"] * 3
    assert found.table("Calibration")["av"][-1] == "–"
    assert found.table("Recall, precision")["fear"][-3:] == ["–"] * 3


def test_summary(full: Page, results: dict[str, Any]) -> None:
    for words in (
        "tested on 260 clips of 26 actors of a synthetic corpus laid out like CREMA-D",
        "leaving one actor out , with 3 training seeds",
        f"av is right on {shown(results['scores']['av']['actor_mean'])} % of an actor’s clips",
        "Guessing would be right on 16.7 %",
        "SYNTHETIC DATA : drawn faces and synthesized voices; figures say nothing about people",
    ):
        assert words.replace(" ,", ",") in full.text.replace(" ,", ",")


DRAWN = {"g", "path", "rect", "text", "use"}
"""Elements of a chart; as many as there is room for."""

HOSTILE = (
    """<script>alert("1")</script>' "><img src=x onerror='alert(1)'> $\\frac{ font-family: a"""
    " fill: #1d1d1b; "
)


def spoil(value: Any) -> Any:
    """Replace every string by a hostile one, but those that name a modality or a channel."""
    if isinstance(value, str):
        return value if value in {*MODALITIES, "voice", "face", "both"} else HOSTILE + value
    if isinstance(value, list):
        return [spoil(item) for item in value]
    if isinstance(value, dict):
        return {key: spoil(item) for key, item in value.items()}
    return value


def test_hostile_names_are_inert(full: Page, results: dict[str, Any]) -> None:
    hostile = spoil(results)
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
    used = set(references(full))
    assert {reference for reference in used if not reference.startswith("#")} == {"data:,"}
    assert {reference[1:] for reference in used if reference.startswith("#")} <= set(ids)
    assert not full.all("script", "iframe", "object", "img")
    (policy,) = [a["content"] for a in full.all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'")


def test_same_results_same_bytes(results: dict[str, Any]) -> None:
    """In another process too, whose sets and hashes are ordered otherwise."""
    code = (
        "import json, sys; from avemotion.report_page import render\n"
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
    assert len({*markers, report_charts.PEOPLE[1]}) == 4


def test_charts_have_their_colours_in_both_themes() -> None:
    style = render(minimal()).split("</style>")[0]
    for name in report_charts.VARIABLES.values():
        assert style.count(f"--{name}:") == 2, name


def markers(chart: str, variable: str = "audio") -> np.ndarray:
    """Places (marker, (x, y)) of the markers of a colour, from the top of the picture down."""
    found = re.findall(rf'<use href="#\w+" x="(\S+)" y="(\S+)" style="[^"]*--{variable},', chart)
    return np.array(sorted(found, key=lambda at: float(at[1])), float)


def assert_to_scale(places: np.ndarray, values: Sequence[float]) -> None:
    """Distances on paper are in proportion to those of the values."""
    slope, offset = np.polyfit(values, places, 1)
    assert places == pytest.approx(slope * np.array(values) + offset, abs=1e-3)
    assert abs(slope) > 50  # pixels from 0 to 1


def test_forest_is_to_scale() -> None:
    """One row an actor, the best first, and the mean above."""
    shares = {"1001": 0.31, "1002": 0.75, "1003": 0.5}
    score = {**minimal()["scores"]["audio"], "actor_mean": 0.52}
    html = render({**minimal(), "scores": {"audio": score}, "actor_accuracies": {"audio": shares}})
    chart = html[html.index('id="actors"') :].split("<svg")[1].split("</svg>")[0]
    x, y = markers(chart).T
    assert_to_scale(x, [0.52, 0.75, 0.5, 0.31])
    assert np.diff(y[1:]) == pytest.approx(np.full(2, y[2] - y[1]))
    names = re.findall(r">(mean of all|\d{4})</text>", chart)
    assert names == ["mean of all", "1002", "1003", "1001"]


def test_other_charts_are_to_scale() -> None:
    look = report_charts.LOOKS["audio"]
    dots = [report_charts.Dot(str(x), (x, None, None), look, people=1 - x) for x in (0.1, 0.7, 0.4)]
    drawn = report_charts.dot_plot("x", "audio", dots, (0, 100), 0.5, 345)
    assert_to_scale(markers(drawn)[:, 0], [0.1, 0.7, 0.4])
    changes = [-0.1, -0.13, -0.19]
    costs = {str(cost): {"audio": (cost, None, None)} for cost in changes}
    drawn = report_charts.degradation("x", "noise", costs, (-20, 0), joined=True)
    assert_to_scale(markers(drawn)[:, 1], changes)
    sure, right = [0.25, 0.5, 0.9], [0.8, 0.45, 0.2]
    bins = [
        {"low": i / 3, "high": (i + 1) / 3, "clips": 1, "confidence": s, "accuracy": r}
        for i, (s, r) in enumerate(zip(sure, right, strict=True))
    ]
    empty = {"low": 1, "high": 2, "clips": 0, "confidence": None, "accuracy": None}
    drawn = report_charts.reliability("x", "audio", {"tempered": [*bins, empty]})
    x, y = markers(drawn).T
    assert_to_scale(x, sure)
    assert_to_scale(y, right)


def test_confusion_shows_shares_of_rows_and_counts() -> None:
    drawn = report_charts.confusion("x", "av", [[3, 1], [1, 3]], ["joy", "fear"])
    texts = re.findall(r">([^<>]+)</text>", drawn)
    cells = [text for text in texts if re.fullmatch(r"[\d.]+", text)]
    assert cells == ["75.0", "3", "25.0", "1", "25.0", "1", "75.0", "3"]
    shares = re.findall(r"--heat, #5b93c9\); opacity: ([\d.]+)", drawn)
    assert shares == ["0.75", "0.25", "0.25", "0.75"]


def test_small_groups_are_marked_in_the_chart(results: dict[str, Any]) -> None:
    groups = results["fairness"]["audio"]
    html = render({**minimal(), "fairness": {"audio": groups}})
    chart = html[html.index('id="fairness"') :].split("<svg")[1].split("</svg>")[0]
    names = re.findall(r"--(muted|ink)[^>]*>([^<]+\)†?)</text>", chart)
    assert names == [
        ("muted", f"{escape(g['group'])} ({g['actors']})†")
        if g["too_small"]
        else ("ink", f"{escape(g['group'])} ({g['actors']})")
        for g in groups
    ]
    assert {g["too_small"] for g in groups} == {True, False}


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(report_page).failed == 0


def test_matplotlib_waits_until_something_is_drawn() -> None:
    code = "import sys, avemotion.report_page\nprint('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]


def test_template_is_packaged() -> None:
    root = Path(report_page.__file__).parent
    project = tomllib.loads((root.parent / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["avemotion"]
    packaged = {path for pattern in patterns for path in root.glob(pattern)}
    assert {root / "templates" / "report.html", root / "web" / "page" / "index.html"} <= packaged
