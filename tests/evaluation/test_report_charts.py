"""The report's charts: to scale, and in both themes."""

import re
from collections.abc import Sequence
from html import escape

import numpy as np
import pytest
from report_maker import invented, minimal

from avemotion.evaluation.report import charts
from avemotion.evaluation.report.page import render


def test_charts_have_their_colours_in_both_themes() -> None:
    style = render(minimal()).split("</style>")[0]
    for name in charts.VARIABLES.values():
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
    """One row an actor, the best first, and all clips above."""
    shares = {"1001": 0.31, "1002": 0.75, "1003": 0.5}
    score = {**minimal()["scores"]["ar5/audio"], "accuracy": 0.52}
    given = {"scores": {"ar5/audio": score}, "actor_accuracies": {"ar5/audio": shares}}
    html = render({**minimal(), **given})
    chart = html[html.index('id="actors"') :].split("<svg")[1].split("</svg>")[0]
    x, y = markers(chart).T
    assert_to_scale(x, [0.52, 0.75, 0.5, 0.31])
    assert np.diff(y[1:]) == pytest.approx(np.full(2, y[2] - y[1]))
    names = re.findall(r">(all clips|\d{4})</text>", chart)
    assert names == ["all clips", "1002", "1003", "1001"]


def test_other_charts_are_to_scale() -> None:
    look = charts.LOOKS["audio"]
    dots = [charts.Dot(str(x), (x, None, None), look, people=1 - x) for x in (0.1, 0.7, 0.4)]
    drawn = charts.dot_plot("x", "ar5/audio", dots, (0, 100), 0.5, 345)
    assert_to_scale(markers(drawn)[:, 0], [0.1, 0.7, 0.4])
    changes = [-0.1, -0.13, -0.19]
    costs = {str(cost): {"ar5/audio": (cost, None, None)} for cost in changes}
    looks = charts.looks(["ar5/audio"])
    drawn = charts.degradation("x", "noise", costs, looks, (-20, 0), joined=True)
    (zero,) = re.findall(
        r'd="M \S+ (\S+) \nL \S+ \1 \n" clip-path="[^"]*" style="[^"]*--muted', drawn
    )
    assert_to_scale(np.array([*markers(drawn)[:, 1], float(zero)]), [*changes, 0])
    sure, right = [0.25, 0.5, 0.9], [0.8, 0.45, 0.2]
    bins = [
        {"low": i / 3, "high": (i + 1) / 3, "clips": 1, "confidence": s, "accuracy": r}
        for i, (s, r) in enumerate(zip(sure, right, strict=True))
    ]
    empty = {"low": 1, "high": 2, "clips": 0, "confidence": None, "accuracy": None}
    drawn = charts.reliability("x", "ar5/audio", look[0], {"tempered": [*bins, empty]})
    x, y = markers(drawn).T
    assert_to_scale(x, sure)
    assert_to_scale(y, right)


def test_confusion_shows_shares_of_rows_and_counts() -> None:
    drawn = charts.confusion("x", "ar5/av", [[3, 1], [1, 3]], ["joy", "fear"])
    texts = re.findall(r">([^<>]+)</text>", drawn)
    cells = [text for text in texts if re.fullmatch(r"[\d.]+", text)]
    assert cells == ["75.0", "3", "25.0", "1", "25.0", "1", "75.0", "3"]
    shares = re.findall(r"--heat, #5b93c9\); opacity: ([\d.]+)", drawn)
    assert shares == ["0.75", "0.25", "0.25", "0.75"]


def test_small_groups_are_marked_in_the_chart() -> None:
    groups = invented(26)["fairness"]["ar5/audio"]
    html = render({**minimal(), "fairness": {"ar5/audio": groups}})
    chart = html[html.index('id="fairness"') :].split("<svg")[1].split("</svg>")[0]
    names = re.findall(r"--(muted|ink)[^>]*>([^<]+\)†?)</text>", chart)
    assert names == [
        ("muted", f"{escape(g['group'])} ({g['actors']})†")
        if g["too_small"]
        else ("ink", f"{escape(g['group'])} ({g['actors']})")
        for g in groups
    ]
    assert {g["too_small"] for g in groups} == {True, False}


def test_levels_of_both_signs_meet_at_the_clean_clips() -> None:
    rows = invented(4)["robustness"]["ar5/audio"]
    html = render({**minimal(), "robustness": {"ar5/audio": rows}})
    (chart,) = [part for part in html.split("<svg") if "Change of UAR under pitch" in part]
    found = {row["level"]: row["change"] for row in rows if row["family"] == "pitch (%)"}
    assert re.findall(r">([−+]?1?0)</text>", chart)[:3] == ["−10", "0", "+10"]
    x, y = np.array(sorted(markers(chart).tolist())).T
    assert np.diff(x) == pytest.approx(x[1] - x[0])
    assert_to_scale(y, [found[-10], 0, found[10]])
    noise = [part for part in html.split("<svg") if "Change of UAR under white noise" in part]
    assert re.findall(r">(20|0)</text>", noise[0])[:2] == ["20", "0"]
