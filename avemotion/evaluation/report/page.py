"""The page of an evaluation: everything in ``results.json`` as one self-contained HTML file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import ceil
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from avemotion.data.corpora import PICTURES, TITLES
from avemotion.evaluation.predictions import modality_of, read_records
from avemotion.evaluation.report import charts, formatting
from avemotion.evaluation.report.charts import Dot, Estimate
from avemotion.evaluation.report.exports import Format, checked_formats, exports
from avemotion.evaluation.report.headline import headline
from avemotion.evaluation.report.results import EvaluationResults, evaluation_results
from avemotion.files import write_atomically, write_json

PREVIEW_NAME = "preview.png"
"""Contact sheet of the systems' input, in an evaluation's folder; optional."""

# Beside the page's folder: file -> what it holds.
_FILES = {
    "results.json": "every figure",
    "predictions.csv": "every prediction",
    "clips.csv": "the tested clips",
    "evaluation.json": "protocol, settings and versions",
}
_CORRUPTED = {"corrupted.csv": "predictions for corrupted clips"}

PAGE = Path("report", "index.html")
"""Path of the page in an evaluation's folder."""


def report(evaluation: Path, *, format: Format | Sequence[Format] = "html") -> EvaluationResults:
    """Write the report of an evaluation again from its files: nothing is trained.

    Args:
        evaluation: Folder that `evaluate` wrote.
        format: What is written into its folder ``report``, one or several: the page (``html``),
            tables for a paper (``latex``, ``csv``), the figures as files (``png``, ``svg``).

    Returns:
        What the page shows; ``results.json`` holds the same.

    Raises:
        UsageError: The folder holds no finished evaluation, another version wrote it, or a file is
            damaged; or there is no such format.

    Examples:
        >>> from pathlib import Path
        >>> from avemotion import report
        >>> report(Path("evaluation/holdout")).clips
        12
    """
    evaluation, formats = Path(evaluation), checked_formats(format)
    results = evaluation_results(read_records(evaluation), str(evaluation))
    plain = asdict(results)
    write_json(evaluation / "results.json", plain)
    page = evaluation / PAGE
    page.parent.mkdir(exist_ok=True)
    if "html" in formats:
        html = render(plain, _embedded(evaluation / PREVIEW_NAME))
        write_atomically(page, lambda path: path.write_text(html, encoding="utf-8"))
    for name, write in exports(results, formats).items():
        write(page.with_name(name))
    return results


def _embedded(image: Path) -> str:
    """Return a PNG as a ``data:`` address; "" where there is no such file."""
    if not image.is_file():
        return ""
    return "data:image/png;base64," + b64encode(image.read_bytes()).decode()


def render(results: dict[str, Any], preview: str = "") -> str:
    """Make the page.

    Args:
        results: The content of ``results.json``; optional parts may be missing, null or empty, as
            a whole or for a system.
        preview: The contact sheet of the systems' input as a ``data:`` address; "" leaves it out.

    Returns:
        HTML that needs no other file, no network and no script. The same results give the same
        text.
    """
    environment = Environment(
        loader=PackageLoader("avemotion.evaluation.report"),
        autoescape=True,
        undefined=ChainableUndefined,  # a system may lack any part
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= formatting.FILTERS
    parts = _parts(results) | {"preview": preview}
    page = environment.get_template("report.html")
    return page.render(
        parts,
        results=results,
        parts=parts,
        corpus_titles=TITLES,
        of_pictures=results.get("corpus") in PICTURES,
        figures=_figures(parts),
    ).strip()


def _parts(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of each section; empty where there are none."""
    scores, humans = _present(results.get("scores")), _present(results.get("humans"))
    actors = _present(results.get("actor_accuracies"))
    seeds = _each(scores, "seeds")
    classes = _beside(_each(scores, "classes"), "emotion")
    classes += _beside(_each(scores, "averages"), "emotion")
    people = {by: _beside(_each(humans, f"by_{by}"), "name") for by in ("emotion", "level")}
    fairness = _present(results.get("fairness"))
    robustness = _present(results.get("robustness"))
    calibration = _present(results.get("calibration"))
    unit_scores = _present(results.get("unit_scores"))
    systems = dict.fromkeys([*scores, *actors, *calibration, *fairness, *robustness])
    conditions = _beside(robustness, "family", "condition")
    settings = {
        "Preprocessing": results.get("preprocessing"),
        "Models and training": results.get("settings"),
    }
    return {
        "labels": results["labels"],
        "files": {**_FILES, **(_CORRUPTED if robustness else {})},
        "looks": charts.looks(systems),
        "glyphs": charts.GLYPHS,
        "leading": "recall" if results.get("leading") == "recall" else "accuracy",
        "bar": _bar(results),
        "headline": headline(results),
        "rules": results.get("rules") or [],
        "scores": scores,
        "humans": humans,
        "given": {modality_of(m) for m in scores},
        "by_seed": _beside(seeds, "seed") if any(len(s) > 1 for s in seeds.values()) else [],
        "differences": _present(results.get("differences")),
        "actors": actors,
        "actor_order": _actor_order(actors),
        "emotions": _present({"rows": classes, "confusions": _each(scores, "confusion")}),
        "units": _beside(unit_scores, "unit"),
        "unit_systems": list(unit_scores),
        "calibration": calibration,
        "crowd": _present(results.get("crowd_distance")),
        "people": _present(people),
        "fairness": fairness,
        "groups": {m: _grouped(rows, "attribute") for m, rows in fairness.items()},
        "robustness": robustness,
        "conditions": conditions,
        "families": _grouped(conditions, "family"),
        "settings": {name: dict(_flat(values)) for name, values in _present(settings).items()},
    }


def _bar(results: Mapping[str, Any]) -> dict[str, float]:
    """Return what a rule that looks at no clip reaches at best: measure -> figure."""
    rules = results.get("rules") or [
        dict.fromkeys(("accuracy", "recall"), 1 / len(results["labels"]))
    ]
    return {name: max(rule[name] for rule in rules) for name in ("accuracy", "recall")}


def _present(part: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what has data in an optional part."""
    return {name: value for name, value in (part or {}).items() if value}


def _each(part: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return one key of every system that has data there."""
    return _present({name: value.get(key) for name, value in part.items()})


def _beside(tables: Mapping[str, Sequence[Mapping[str, Any]]], *keys: str) -> list[dict[str, Any]]:
    """Join tables of several systems, or channels, side by side.

    Returns:
        Rows in the order of their first appearance, each with its keys, and ``by``: system ->
        that system's row, where it has one.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, table in tables.items():
        for row in table:
            rows.setdefault(tuple(row[key] for key in keys), {**row, "by": {}})["by"][name] = row
    return list(rows.values())


def _actor_order(actors: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Sort actors by how well the first system did on them, best first."""
    leading = next(iter(actors.values()), {})
    everyone = sorted({actor for found in actors.values() for actor in found})
    return sorted(everyone, key=lambda actor: -leading.get(actor, -1))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List nested settings as ``training.epochs`` and the like."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _figures(parts: Mapping[str, Any]) -> dict[str, list[Markup]]:
    """Draw the charts of each section."""
    figures = {
        "scores": _overview(parts),
        "actors": _forests(parts),
        "emotions": [
            charts.confusion(_id("confusion", m), m, counts, parts["labels"])
            for m, counts in parts["emotions"].get("confusions", {}).items()
        ],
        "calibration": [
            charts.reliability(
                _id("reliability", m), m, _look(parts, m)[0], _each(_versions(found), "bins")
            )
            for m, found in parts["calibration"].items()
        ],
        "fairness": _groups(parts),
        "robustness": _degradations(parts),
    }
    return {key: [Markup(svg) for svg in drawn] for key, drawn in figures.items()}


def _versions(calibration: Mapping[str, Any]) -> dict[str, Any]:
    return _present({name: calibration.get(name) for name in ("plain", "tempered")})


def _look(parts: Mapping[str, Any], system: str) -> tuple[str, str]:
    """Return colour and marker of a system."""
    return charts.LOOKS[parts["looks"][system]]


def _id(section: str, system: str) -> str:
    """Return a name that is unique on the page: ``groups-ar5-av``."""
    return f"{section}-{system.replace('/', '-')}"


def _estimate(row: Mapping[str, Any], value: str, prefix: str = "") -> Estimate:
    return row[value], row.get(f"{prefix}low"), row.get(f"{prefix}high")


def _overview(parts: Mapping[str, Any]) -> list[str]:
    """Draw systems, and people given the same, on one scale: that of the leading measure."""
    leading, by_recall = parts["leading"], parts["leading"] == "recall"
    systems = [
        Dot(m, _estimate(score, leading, f"{leading}_"), _look(parts, m))
        for m, score in parts["scores"].items()
    ]
    people = [
        Dot(f"{formatting.channel(given)}, {kind}", estimate, charts.PEOPLE)
        for given, human in parts["humans"].items()
        if given in parts["given"]
        for kind, estimate in (
            (
                "single response",
                (human["single_recall" if by_recall else "single_response"], None, None),
            ),
            (
                "majority",
                _estimate(human, "recall", "recall_")
                if by_recall
                else _estimate(human, "majority"),
            ),
        )
    ]
    bar = parts["bar"][leading]
    measure = "mean recall (UAR)" if by_recall else "accuracy (WAR)"
    heading = [Dot("People", None, charts.PEOPLE)] if people else []
    dots = [*systems, *heading, *people]
    within = charts.limits([bar, *_ends(dot.estimate for dot in dots)])
    title = "systems and people" if people else "systems"
    return [charts.dot_plot("overview", title, dots, within, bar, charts.WIDE, measure)]


def _forests(parts: Mapping[str, Any]) -> list[str]:
    """Draw all actors, in up to three columns so that each row can be read."""
    actors, order, scores = parts["actors"], parts["actor_order"], parts["scores"]
    if not order:
        return []
    means = {m: _estimate(scores[m], "accuracy", "accuracy_") for m in actors if m in scores}
    bar = parts["bar"]["accuracy"]
    shares = [share for found in actors.values() for share in found.values()]
    within = charts.limits([bar, *shares, *_ends(means.values())])
    columns = min(3, ceil(len(order) / 24))
    rows = ceil(len(order) / columns)
    chunks = [order[start : start + rows] for start in range(0, len(order), rows)]
    width = charts.PANEL if columns == 3 else charts.WIDE
    return [
        charts.forest(
            f"actors-{n}",
            chunk,
            actors,
            means,
            parts["looks"],
            bar,
            within,
            width,
            rows,
        )
        for n, chunk in enumerate(chunks)
    ]


def _groups(parts: Mapping[str, Any]) -> list[str]:
    """Draw accuracy by group of actors, one panel for each system."""
    panels: dict[str, list[Dot]] = {}
    for system, attributes in parts["groups"].items():
        look, dots = _look(parts, system), panels.setdefault(system, [])
        for attribute, members in attributes.items():
            dots.append(Dot(attribute.capitalize(), None, look))
            for row in members:
                label = f"{row['group']} ({row['actors']})" + "†" * bool(row["too_small"])
                estimate = _estimate(row, "accuracy", "accuracy_")
                dots.append(Dot(label, estimate, look, row.get("human"), row["too_small"]))
    all_dots = [dot for dots in panels.values() for dot in dots]
    ends = [*_ends(dot.estimate for dot in all_dots), *(dot.people for dot in all_dots)]
    within = charts.limits(ends)
    means = _each(parts["scores"], "actor_mean")
    return [
        charts.dot_plot(_id("groups", m), m, dots, within, means.get(m), charts.PANEL)
        for m, dots in panels.items()
    ]


def _degradations(parts: Mapping[str, Any]) -> list[str]:
    """Draw the cost of corruptions: a panel for each family with levels, one for all others."""
    ladders: dict[str, dict[float, dict[str, Estimate]]] = {}
    single: dict[str, dict[str, Estimate]] = {}
    for row in parts["conditions"]:
        changes = {m: _estimate(r, "change", "change_") for m, r in row["by"].items()}
        if row["level"] is None:
            single[row["condition"]] = changes
        else:
            ladders.setdefault(row["family"], {})[row["level"]] = changes
    panels = {family: _ladder(levels) for family, levels in ladders.items()}
    panels = _present({**panels, "other corruptions": single})
    costs = [e for levels in panels.values() for by in levels.values() for e in by.values()]
    within = charts.limits([0.0, *_ends(costs)], least=-100)
    return [
        charts.degradation(
            f"degradation-{n}", kind, levels, parts["looks"], within, joined=kind in ladders
        )
        for n, (kind, levels) in enumerate(panels.items())
    ]


def _ladder(levels: Mapping[float, dict[str, Estimate]]) -> dict[str, dict[str, Estimate]]:
    """Label levels; where they are of both signs, the clean clips stand between them, at 0."""
    if min(levels) >= 0:
        return {f"{level:g}": changes for level, changes in levels.items()}
    systems = next(iter(levels.values()))
    clean: dict[str, Estimate] = {system: (0.0, None, None) for system in systems}
    return {
        f"{level:+g}".replace("-", "−") if level else "0": changes
        for level, changes in sorted({**levels, 0.0: clean}.items())
    }


def _grouped(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, list[Mapping[str, Any]]]:
    """Group rows by the value of a key, in the order of first appearance."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups


def _ends(estimates: Iterable[Estimate | None]) -> list[float | None]:
    """Return values and the ends of their intervals."""
    return [end for estimate in estimates if estimate for end in estimate]
