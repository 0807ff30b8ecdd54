"""The figures of an evaluation as files of their own: they need no style, font or page around them.

PNG and SVG show the same; an SVG's letters are outlines. Those on synthetic data say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avemotion.evaluation.report import charts
from avemotion.evaluation.report.charts import Estimate
from avemotion.evaluation.report.results import EvaluationResults
from avemotion.evaluation.report.tables import ScoreRow, confusion_stem, one_line, score_rows

if TYPE_CHECKING:  # matplotlib is loaded only when something is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 300
"""Of the PNGs."""

MEASURES = {"accuracy": "accuracy (WAR), %", "recall": "mean recall (UAR), %"}
"""Measure -> label of its axis."""

_ROWS = 46  # actors in a column of their figure
_STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": charts.MUTED,
    "grid.color": charts.RULE,
    "svg.fonttype": "path",
    "svg.hashsalt": "avemotion",  # the same data give the same bytes
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), charts.INK),
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure that can be written as a file."""

    size: tuple[float, float]
    """Width and height in inches."""
    draw: Callable[[Figure], None]
    """Draws it."""

    def save(self, path: Path, format: str) -> None:
        """Write it as ``png`` or ``svg``."""
        import matplotlib
        from matplotlib.figure import Figure  # not pyplot: no display, no global state

        with matplotlib.rc_context(_STYLE):
            figure = Figure(figsize=self.size, layout="constrained", facecolor="white")
            self.draw(figure)
            undated = {"Date": None} if format == "svg" else {}
            figure.savefig(path, format=format, dpi=DOTS_PER_INCH, metadata=undated)


def drawings(results: EvaluationResults) -> dict[str, Drawing]:
    """Return the figures by the names of their files, without endings."""
    rows = list(score_rows(results))
    shown = [row for row in rows if row.kind != "rule"]
    actors = _by_accuracy(results.actor_accuracies)
    side = 0.5 * len(results.labels) + 1.4
    found = {"overview": Drawing((5.0, 0.24 * len(shown) + 1.1), partial(_overview, results, rows))}
    if actors:
        columns = ceil(len(actors) / _ROWS)
        in_column = ceil(len(actors) / columns)
        found["actors"] = Drawing(
            (max(5.0, 3.5 * columns), 0.14 * in_column + 1.5),
            partial(_actors, results, actors, columns),
        )
    return {
        **found,
        **{
            confusion_stem(system): Drawing(
                (side, side + 0.2), partial(_confusion, results, system)
            )
            for system in results.scores
        },
    }


def _title(results: EvaluationResults, title: str) -> str:
    notice = "LANDMARK VIDEO\n" if results.corpus == "ravdess_landmarks" else ""
    notice = "PARTIAL CORPUS\n" if results.coverage.partial else notice
    notice = "SYNTHETIC DATA\n" if results.synthetic is not None else notice
    return notice + _line(title)


def _line(text: str) -> str:
    """Return a label on one line, and short enough to leave room for the chart."""
    line = one_line(text)
    return line if len(line) <= 44 else f"{line[:43]}…"


def _by_accuracy(accuracies: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Sort actors by how well the first system did on them, best first."""
    leading = next(iter(accuracies.values()), {})
    return sorted(leading, key=lambda actor: (-leading[actor], actor))


def _bar(results: EvaluationResults, measure: str) -> float:
    """Return the best that a rule which looks at no clip reaches: a dotted line."""
    return max(rule.recall if measure == "recall" else rule.accuracy for rule in results.rules)


def _mark(axes: Axes, at: float, estimate: Estimate, look: tuple[str, str]) -> None:
    """Draw a value and its interval in a row."""
    value, low, high = estimate
    if low is not None and high is not None:
        axes.hlines(at, 100 * low, 100 * high, color=look[0], linewidth=1.2)
    axes.plot(100 * value, at, look[1], color=look[0], markersize=5, clip_on=False)


def _dotted(axes: Axes, bar: float, measure: str, rows: Sequence[str]) -> None:
    """Label rows from the top down, and mark what a rule that looks at no clip reaches."""
    axes.set_yticks(range(len(rows)), list(map(_line, rows)))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", linewidth=0.6)
    axes.axvline(100 * bar, color=charts.MUTED, linestyle=":", linewidth=1)
    axes.set_xlabel(f"{MEASURES[measure]}\ndotted: the best rule that looks at no clip")
    axes.set_ylim(len(rows) - 0.4, -0.6)


def _overview(results: EvaluationResults, rows: Sequence[ScoreRow], figure: Figure) -> None:
    """Draw systems and people on the scale of the leading measure."""
    axes, measure, bar = figure.subplots(), results.leading, _bar(results, results.leading)
    looks = charts.looks(results.scores)
    shown = [row for row in rows if row.kind != "rule"]
    axes.set_title(_title(results, "Systems and people" if results.humans else "Systems"))
    _dotted(axes, bar, measure, [row.name for row in shown])
    estimates: list[Estimate] = [getattr(row, measure) for row in shown]
    for at, (row, estimate) in enumerate(zip(shown, estimates, strict=True)):
        look = charts.LOOKS[looks[row.name]] if row.kind == "system" else charts.PEOPLE
        _mark(axes, at, estimate, look)
    axes.set_xlim(charts.limits([bar, *(end for estimate in estimates for end in estimate)]))


def _actors(
    results: EvaluationResults, actors: Sequence[str], columns: int, figure: Figure
) -> None:
    """Draw each actor's accuracy by system in a row; lines and bands are the accuracies of all."""
    looks, bar = charts.looks(results.scores), _bar(results, "accuracy")
    accuracies = results.actor_accuracies
    wholes = [results.scores[system] for system in accuracies]
    ends = [end for s in wholes for end in (s.accuracy, s.accuracy_low, s.accuracy_high)]
    shares = [share for found in accuracies.values() for share in found.values()]
    rows = ceil(len(actors) / columns)
    for n, axes in enumerate(figure.subplots(1, columns, squeeze=False)[0]):
        chunk = actors[n * rows : (n + 1) * rows]
        _dotted(axes, bar, "accuracy", chunk)
        for system, whole in zip(accuracies, wholes, strict=True):
            hue, marker = charts.LOOKS[looks[system]]
            values = [100 * accuracies[system][actor] for actor in chunk]
            points = axes.plot(values, range(len(chunk)), marker, color=hue, markersize=3.5)
            points[0].set(clip_on=False, label=_line(system))
            axes.axvline(100 * whole.accuracy, color=hue, linewidth=0.8, alpha=0.6, zorder=1)
            if whole.accuracy_low is not None and whole.accuracy_high is not None:
                low, high = 100 * whole.accuracy_low, 100 * whole.accuracy_high
                axes.axvspan(low, high, color=hue, alpha=0.1, linewidth=0)
        axes.set(xlim=charts.limits([bar, *shares, *ends]), ylim=(rows - 0.4, -0.6))
    figure.suptitle(_title(results, "Actors, best first"), fontsize=9, fontweight="bold")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _confusion(results: EvaluationResults, system: str, figure: Figure) -> None:
    """Draw counts (target, prediction) as per cent of their row, with the counts below."""
    axes, names = figure.subplots(), list(map(_line, results.labels))
    counts = np.array(results.scores[system].confusion)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    edges = np.arange(len(names) + 1) - 0.5
    axes.pcolormesh(edges, edges, shares, cmap=_ramp(), vmin=0, vmax=1)
    centre: dict[str, Any] = {"ha": "center", "va": "center"}
    for row, column in np.ndindex(counts.shape):
        axes.text(column, row - 0.08, f"{100 * shares[row, column]:.1f}", fontsize=8, **centre)
        axes.text(column, row + 0.28, str(counts[row, column]), fontsize=6, **centre)
    axes.set_title(_title(results, system))
    axes.set_xticks(range(len(names)), names, **charts.TILTED)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.spines[:].set(visible=True, color=charts.RULE)
    axes.set(xlabel="prediction", ylabel="target", ylim=(edges[-1], edges[0]), aspect="equal")


def _ramp() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("heat", ["white", charts.HEAT])
