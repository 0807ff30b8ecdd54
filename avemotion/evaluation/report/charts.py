"""Charts of the evaluation's page: inline SVG in the colours and fonts of the page.

Every function returns one ``<svg>`` element. Shares are fractions from 0 to 1, shown in per cent.
The same data give the same bytes. A chart's unit is a CSS pixel: matplotlib's point, renamed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np

from avemotion.config import MODALITIES

if TYPE_CHECKING:  # matplotlib is loaded only when something is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE, HEAT = "#1d1d1b", "#64645e", "#dddcd6", "#5b93c9"
LOOKS = {
    "av": ("#1f5c99", "o"),
    "video": ("#b3560b", "s"),
    "audio": ("#0b7a68", "^"),
    "look4": ("#8a3b8f", "*"),
    "look5": ("#7d6a00", "v"),
    "look6": ("#b02a4c", "P"),
    "look7": ("#3a6b1f", "X"),
    "look8": ("#5a5ac4", "<"),
    "look9": ("#7a4a2b", ">"),
}
"""Name of a look on the page -> colour and marker: told apart without colour too."""
GLYPHS = dict(zip(LOOKS, "●■▲★▼✚✖◀▶", strict=True))
"""Name of a look -> its marker as a character."""
PEOPLE = (INK, "D")
"""Colour and marker of human raters."""
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    HEAT: "heat",
    **{colour: name for name, (colour, _) in LOOKS.items()},
}
"""Colour -> the page's variable that takes its place, so that one chart serves both themes."""

PANEL, WIDE = 345, 520
"""Widths in pixels: three or two stand side by side on a screen, one on a telephone."""

TILTED: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
"""Labels of columns that are narrower than the words."""

Estimate = tuple[float, float | None, float | None]
"""A value with the ends of its interval, if it has one."""

Looks = Mapping[str, str]
"""System -> the name of its look."""

Span = tuple[float, float]
"""Ends of an axis, in per cent."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A row of a dot plot."""

    label: str
    """Label of the row."""
    estimate: Estimate | None
    """Share and its interval; None makes the row a heading."""
    look: tuple[str, str]
    """Colour and marker."""
    people: float | None = None
    """People's share on the same clips; drawn as a tick."""
    faint: bool = False
    """Drawn hollow and grey: too few actors."""


def _svg(name: str, title: str, size: tuple[int, int], draw: Callable[[Figure], object]) -> str:
    """Draw a figure and return it as an element that can stand inside a page.

    `name` is unique on the page and keeps the charts' identifiers apart; `title` is for screen
    readers; `size` is width and height in pixels.
    """
    import matplotlib
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": MUTED,
        "grid.color": RULE,
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    }
    buffer = io.StringIO()
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(size[0] / 72, size[1] / 72), layout="constrained")
        draw(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _inlined(buffer.getvalue(), title, size)


def _inlined(svg: str, title: str, size: tuple[int, int]) -> str:
    """Make a stand-alone SVG part of a page: with its colours and fonts, and unique identifiers."""
    (width, height), label = size, escape(title)
    start = (
        f'<svg class="chart" role="img" aria-label="{label}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><title>{label}</title>'
    )
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<svg[^>]*>", lambda _: start, body, count=1)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace("xlink:href", "href")
    body = re.sub(r" font-family: [^;\"<]*;?(?=[^<>]*>)", "", body)  # in tags, not in text
    return re.sub(
        r"(fill|stroke): (#[0-9a-f]{6})",
        lambda m: f"{m[1]}: var(--{VARIABLES[m[2]]}, {m[2]})" if m[2] in VARIABLES else m[0],
        body,
    )


def looks(systems: Iterable[str]) -> dict[str, str]:
    """Give each system a look: the first of a modality its own, further ones those that are left.

    >>> looks(["ar5/av", "ar5/video", "other/av"])
    {'ar5/av': 'av', 'ar5/video': 'video', 'other/av': 'look4'}
    """
    given = list(systems)
    own = {s.rpartition("/")[2]: s for s in reversed(given)}  # modality -> its first system
    rest = sorted((name for name in LOOKS if name not in own), key=lambda name: name in MODALITIES)
    further = [s for s in given if own[s.rpartition("/")[2]] != s]
    names = {s: modality for modality, s in own.items()}
    names |= {s: rest[i % len(rest)] for i, s in enumerate(further)}
    return {s: names[s] for s in given}


def limits(values: Iterable[float | None], least: float = 0) -> Span:
    """Return tens of per cent that hold all shares, from `least` to 100, at least 20 apart."""
    known = [100 * value for value in values if value is not None]
    low = max(least, 10 * floor(min(known, default=0) / 10))
    return low, max(min(100, 10 * ceil(max(known, default=0) / 10)), low + 20)


def _plain(text: object) -> str:
    """Return a label on one line, and short enough to leave room for the chart."""
    line = " ".join(str(text).split())
    return line if len(line) <= 32 else f"{line[:31]}…"


def _estimate(axes: Axes, at: float, estimate: Estimate, look: tuple[str, str], **how: Any) -> None:
    """Draw a marker and its interval in a row."""
    value, low, high = estimate
    if low is not None and high is not None:
        axes.hlines(at, 100 * low, 100 * high, color=look[0], linewidth=1.5)
    axes.plot(100 * value, at, look[1], color=look[0], markersize=6, clip_on=False, **how)


def _rows(axes: Axes, labels: Sequence[str], positions: Sequence[float]) -> None:
    """Label rows from the top down, with a thin guide line each."""
    axes.set_yticks(positions, list(map(_plain, labels)))
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def dot_plot(
    name: str,
    title: str,
    dots: Sequence[Dot],
    within: Span,
    line: float | None,
    width: int,
    measure: str = "accuracy (WAR)",
) -> str:
    """Draw a row an estimate, from the top; a dotted line marks a share of interest."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_title(title)
        _rows(axes, [dot.label for dot in dots], range(len(dots)))
        for at, (dot, label) in enumerate(zip(dots, axes.get_yticklabels(), strict=True)):
            if dot.estimate is None:
                label.set_fontweight("bold")
                continue
            if dot.faint:
                label.set_color(MUTED)
            look = (MUTED, dot.look[1]) if dot.faint else dot.look
            _estimate(axes, at, dot.estimate, look, fillstyle="none" if dot.faint else "full")
            if dot.people is not None:
                axes.plot(100 * dot.people, at, "|", color=INK, markersize=11, markeredgewidth=2)
        if line is not None:
            axes.axvline(100 * line, color=MUTED, linestyle=":", linewidth=1.2)
        axes.set(xlim=within, ylim=(len(dots) - 0.4, -0.6), xlabel=f"{measure}, %")

    return _svg(name, f"{measure.capitalize()}: {title}", (width, 22 * len(dots) + 72), draw)


def forest(
    name: str,
    actors: Sequence[str],
    accuracies: Mapping[str, Mapping[str, float]],
    means: Mapping[str, Estimate],
    looks: Looks,
    rule: float,
    within: Span,
    width: int,
    rows: int,
) -> str:
    """Draw each actor's accuracy by system in a row, below the accuracies on all clips.

    `rows` leaves room for that many actors, so that charts side by side are alike.
    """
    title = f"Accuracy of {', '.join(accuracies)} on each of {len(actors)} actors"

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        positions, middle = 2.0 + np.arange(len(actors)), 0.65 * (len(accuracies) - 1) / 2
        _rows(axes, ["all clips", *actors], [0, *positions])
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.hlines(positions, *within, color=RULE, linewidth=0.6)
        axes.axhline(1.15, color=MUTED, linewidth=0.8)
        for i, (system, found) in enumerate(accuracies.items()):
            hue, marker = LOOKS[looks[system]]
            shares = [100 * found.get(actor, np.nan) for actor in actors]
            whole: dict[str, Any] = {"clip_on": False, "zorder": 5 - i}  # the first lies on top
            axes.plot(shares, positions, marker, color=hue, markersize=4.5, **whole)
            if system in means:
                mean, low, high = estimate = means[system]
                _estimate(axes, 0.65 * i - middle, estimate, (hue, marker))
                axes.axvline(100 * mean, color=hue, linewidth=0.9, alpha=0.55, zorder=1)
                if low is not None and high is not None:
                    axes.axvspan(100 * low, 100 * high, color=hue, alpha=0.1, linewidth=0)
        axes.axvline(100 * rule, color=MUTED, linestyle=":", linewidth=1.2)
        axes.set(xlim=within, ylim=(rows + 1.6, -1.2), xlabel="accuracy (WAR), %")

    return _svg(name, title, (width, 14 * rows + 96), draw)


def confusion(name: str, title: str, counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Draw counts (target, answer) as shares of their row, with the counts below."""
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]

    def draw(figure: Figure) -> None:
        from matplotlib.patches import Rectangle

        axes = figure.subplots()
        axes.set_title(title)
        for y, x in np.ndindex(len(labels), len(labels)):
            share = shares[y][x]
            axes.add_patch(Rectangle((x, y), 1, 1, facecolor=HEAT, alpha=share, linewidth=0))
            centre: dict[str, Any] = {"ha": "center", "va": "center"}
            axes.text(x + 0.5, y + 0.4, f"{100 * share:.1f}", fontsize=11, **centre)
            axes.text(x + 0.5, y + 0.76, str(counts[y][x]), fontsize=8.5, **centre)
        middle, names = np.arange(len(labels)) + 0.5, list(map(_plain, labels))
        axes.set_yticks(middle, names)
        axes.set_xticks(middle, names, **TILTED)
        axes.tick_params(length=0)
        axes.spines[:].set(visible=True, color=RULE)
        axes.set(xlim=(0, len(labels)), ylim=(len(labels), 0), xlabel="prediction", ylabel="target")
        axes.set_aspect("equal")

    return _svg(name, title, (PANEL, PANEL + 5), draw)


def reliability(
    name: str, title: str, hue: str, versions: Mapping[str, Sequence[Mapping[str, Any]]]
) -> str:
    """Draw how often answers are right against how sure they are, above where the clips lie.

    `versions` has the bins of the ``plain`` probabilities and perhaps of the ``tempered`` ones.
    """
    styles = {"plain": ("o--", "none", MUTED), "tempered": ("o-", "full", hue)}

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        above.set_title(title)
        above.plot([0, 100], [0, 100], ":", color=MUTED, linewidth=1.2)
        for version, bins in versions.items():
            line, fill, colour = styles[version]
            sure = [100 * b["confidence"] for b in bins if b["clips"]]
            right = [100 * b["accuracy"] for b in bins if b["clips"]]
            above.plot(sure, right, line, color=colour, fillstyle=fill, markersize=5, clip_on=False)
            edges = [100 * b["low"] for b in bins] + [100 * bins[-1]["high"]]
            clips = np.array([b["clips"] for b in bins])
            below.stairs(100 * clips / max(1, clips.sum()), edges, color=colour, linestyle=line[1:])
        above.grid()
        below.grid()
        above.set(xlim=(0, 100), ylim=(0, 100), ylabel="right, %")
        below.set(ylim=(0, None), xlabel="confidence, %", ylabel="clips, %")

    return _svg(name, f"Reliability diagram of {title}", (PANEL, 360), draw)


def degradation(
    name: str,
    kind: str,
    levels: Mapping[str, Mapping[str, Estimate]],
    looks: Looks,
    within: Span,
    joined: bool,
) -> str:
    """Draw what each level of one kind of corruption costs: level -> system -> change of UAR.

    `joined` draws a line through the levels, where they have an order.
    """
    rungs = list(levels.values())
    systems = [s for s in looks if any(s in by for by in rungs)]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_title(_plain(kind))
        axes.grid(axis="y")
        axes.axhline(0, color=MUTED, linewidth=1.2)
        for i, system in enumerate(systems):
            hue, marker = LOOKS[looks[system]]
            dodge = 0.09 * (i - (len(systems) - 1) / 2)
            known = [(x + dodge, by[system]) for x, by in enumerate(rungs) if system in by]
            for x, (_, low, high) in known:
                if low is not None and high is not None:
                    axes.vlines(x, 100 * low, 100 * high, color=hue, linewidth=1.5)
            positions, values = [x for x, _ in known], [100 * cost for _, (cost, _, _) in known]
            axes.plot(positions, values, marker + "-" * joined, color=hue, markersize=5)
        axes.set_xticks(range(len(levels)), list(map(_plain, levels)), **({} if joined else TILTED))
        ylim = (within[0], within[1] + 3)  # room for a marker at no change
        axes.set(xlim=(-0.4, len(levels) - 0.6), ylim=ylim, ylabel="change of UAR, points")

    return _svg(name, f"Change of UAR under {kind}", (PANEL, 240), draw)
