"""The page of an evaluation: everything in ``results.json`` as one HTML file that stands alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from avemotion.evaluation.report import charts as charts
from avemotion.evaluation.report.charts import Dot, Estimate

MISSING = "–"
"""Stands where there is no figure."""


def render(results: dict[str, Any], preview: str = "") -> str:
    """Make the page.

    Args:
        results: The content of ``results.json``; optional parts may be missing, null or empty, as
            a whole or for a modality.
        preview: The address of a picture of what the networks saw: its content, as ``data:``.

    Returns:
        HTML that needs no other file, no network and no script. The same results give the same
        text.
    """
    environment = Environment(
        loader=PackageLoader("avemotion.evaluation.report"),
        autoescape=True,
        undefined=ChainableUndefined,  # a modality may lack any part
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (percent, points, decimal, counted, channel, versus)
    environment.filters |= {function.__name__: function for function in filters}
    parts = _parts(results) | {"preview": preview}
    page = environment.get_template("report.html")
    return page.render(parts, results=results, parts=parts, figures=_figures(parts)).strip()


def percent(share: float | None, digits: int = 1, sign: str = "") -> str:
    """Show a fraction in per cent.

    >>> percent(0.7125)
    '71.2'
    """
    if not isinstance(share, float | int):
        return MISSING
    value = round(100 * share, digits)
    return f"{value:{sign}.{digits}f}".replace("-", "−") if value else f"{0:.{digits}f}"


def points(change: float | None) -> str:
    """Show a difference of fractions in points, with its sign.

    >>> points(-0.031), points(0.02)
    ('−3.1', '+2.0')
    """
    return percent(change, sign="+")


def decimal(value: float | None, digits: int = 3) -> str:
    """Show a number that is no share."""
    return f"{value:.{digits}f}" if isinstance(value, float | int) else MISSING


def counted(number: int, noun: str) -> str:
    """Show how many there are.

    >>> counted(7442, "clip"), counted(1, "actor")
    ('7,442 clips', '1 actor')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def channel(name: str) -> str:
    """Say what raters were given."""
    return {"av": "face and voice", "video": "face", "audio": "voice"}.get(name, name)


def versus(difference: Mapping[str, Any], pair: str) -> str:
    """Say which of two systems did better, by how much, and how sure that is.

    >>> versus({"mean": 0.03, "low": 0.01, "high": 0.05, "p": 1e-4, "actors": 9}, "av - video")
    'av is 3.0 points above video (95 % 1.0 to 5.0, p < 0.001, 9 actors).'
    """
    ours, _, theirs = pair.partition(" - ")
    mean, ends = difference["mean"], (difference["low"], difference["high"])
    side, sign = ("above", 1) if mean >= 0 else ("below", -1)
    evidence = [counted(difference["actors"], "actor")]
    if (p := difference["p"]) is not None:
        evidence.insert(0, "p < 0.001" if p < 0.001 else f"p = {p:.3f}")
    if None not in ends:
        low, high = map(percent, sorted(sign * end for end in ends))
        evidence.insert(0, f"95 % {low} to {high}")
    return f"{ours} is {percent(abs(mean))} points {side} {theirs} ({', '.join(evidence)})."


def _parts(results: Mapping[str, Any]) -> dict[str, Any]:
    """Gather what each section shows; empty where there is nothing."""
    scores, humans = _present(results.get("scores")), _present(results.get("humans"))
    actors = _present(results.get("actor_accuracies"))
    seeds = _each(scores, "seeds")
    classes = _beside(_each(scores, "classes"), "emotion")
    people = {by: _beside(_each(humans, f"by_{by}"), "name") for by in ("emotion", "level")}
    fairness = _present(results.get("fairness"))
    robustness = _present(results.get("robustness"))
    conditions = _beside(robustness, "family", "condition")
    settings = {
        "Preprocessing": results.get("preprocessing"),
        "Network and training": results.get("settings"),
    }
    return {
        "labels": results["labels"],
        "chance": 1 / len(results["labels"]),
        "scores": scores,
        "humans": humans,
        "by_seed": _beside(seeds, "seed") if any(len(s) > 1 for s in seeds.values()) else [],
        "differences": _present(results.get("differences")),
        "actors": actors,
        "actor_order": _actor_order(actors),
        "emotions": _present({"rows": classes, "confusions": _each(scores, "confusion")}),
        "calibration": _present(results.get("calibration")),
        "crowd": _present(results.get("crowd_distance")),
        "people": _present(people),
        "fairness": fairness,
        "groups": {m: _grouped(rows, "attribute") for m, rows in fairness.items()},
        "robustness": robustness,
        "conditions": conditions,
        "families": _grouped(conditions, "family"),
        "settings": {name: dict(_flat(values)) for name, values in _present(settings).items()},
    }


def _present(part: Mapping[str, Any] | None) -> dict[str, Any]:
    """Keep what has data in an optional part."""
    return {name: value for name, value in (part or {}).items() if value}


def _each(part: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Take one key of every modality that has data there."""
    return _present({name: value.get(key) for name, value in part.items()})


def _beside(tables: Mapping[str, Sequence[Mapping[str, Any]]], *keys: str) -> list[dict[str, Any]]:
    """Lay tables of several modalities, or channels, beside each other.

    Returns:
        Rows in the order in which they are met, each with what names it, and ``by``: modality ->
        that modality's row, where it has one.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, table in tables.items():
        for row in table:
            rows.setdefault(tuple(row[key] for key in keys), {**row, "by": {}})["by"][name] = row
    return list(rows.values())


def _actor_order(actors: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Sort actors by how well av (else the first modality) did on them, best first."""
    leading = actors.get("av") or next(iter(actors.values()), {})
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
            charts.confusion(f"confusion-{m}", m, counts, parts["labels"])
            for m, counts in parts["emotions"].get("confusions", {}).items()
        ],
        "calibration": [
            charts.reliability(f"reliability-{m}", m, _each(_versions(found), "bins"))
            for m, found in parts["calibration"].items()
        ],
        "fairness": _groups(parts),
        "robustness": _damage(parts),
    }
    return {key: [Markup(svg) for svg in drawn] for key, drawn in figures.items()}


def _versions(calibration: Mapping[str, Any]) -> dict[str, Any]:
    return _present({name: calibration.get(name) for name in ("plain", "tempered")})


def _estimate(row: Mapping[str, Any], value: str, prefix: str = "") -> Estimate:
    return row[value], row.get(f"{prefix}low"), row.get(f"{prefix}high")


def _overview(parts: Mapping[str, Any]) -> list[str]:
    """Networks and people on one scale."""
    networks = [
        Dot(m, _estimate(score, "accuracy", "accuracy_"), charts.LOOKS[m])
        for m, score in parts["scores"].items()
    ]
    people = [
        Dot(f"{channel(given)}, {kind.replace('_', ' ')}", estimate, charts.PEOPLE)
        for given, human in parts["humans"].items()
        for kind, estimate in (
            ("single_response", (human["single_response"], None, None)),
            ("majority", _estimate(human, "majority")),
        )
    ]
    heading = [Dot("People", None, charts.PEOPLE)] if people else []
    dots = [*networks, *heading, *people]
    within = charts.limits([parts["chance"], *_ends(dot.estimate for dot in dots)])
    title = "networks and people" if people else "networks"
    return [charts.dot_plot("overview", title, dots, within, parts["chance"], charts.WIDE)]


def _forests(parts: Mapping[str, Any]) -> list[str]:
    """All actors, in up to three columns so that each row can be read."""
    actors, order, scores = parts["actors"], parts["actor_order"], parts["scores"]
    if not order:
        return []
    means = {m: _estimate(scores[m], "actor_mean") for m in actors if m in scores}
    shares = [share for found in actors.values() for share in found.values()]
    within = charts.limits([parts["chance"], *shares, *_ends(means.values())])
    columns = min(3, ceil(len(order) / 24))
    rows = ceil(len(order) / columns)
    chunks = [order[start : start + rows] for start in range(0, len(order), rows)]
    width = charts.PANEL if columns == 3 else charts.WIDE
    return [
        charts.forest(f"actors-{n}", chunk, actors, means, parts["chance"], within, width, rows)
        for n, chunk in enumerate(chunks)
    ]


def _groups(parts: Mapping[str, Any]) -> list[str]:
    """Accuracy by group of actors, one panel a modality."""
    panels: dict[str, list[Dot]] = {}
    for modality, attributes in parts["groups"].items():
        look, dots = charts.LOOKS[modality], panels.setdefault(modality, [])
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
        charts.dot_plot(f"groups-{m}", m, dots, within, means.get(m), charts.PANEL)
        for m, dots in panels.items()
    ]


def _damage(parts: Mapping[str, Any]) -> list[str]:
    """Cost of damaged input: a panel for each kind with levels, one for all kinds without."""
    ladders: dict[str, dict[str, dict[str, Estimate]]] = {}
    single: dict[str, dict[str, Estimate]] = {}
    for row in parts["conditions"]:
        changes = {m: _estimate(r, "change", "change_") for m, r in row["by"].items()}
        if row["level"] is None:
            single[row["condition"]] = changes
        else:
            ladders.setdefault(row["family"], {})[f"{row['level']:g}"] = changes
    panels = _present({**ladders, "without levels": single})
    costs = [e for levels in panels.values() for by in levels.values() for e in by.values()]
    within = charts.limits([0.0, *_ends(costs)], least=-100)
    return [
        charts.degradation(f"damage-{n}", kind, levels, within, joined=kind in ladders)
        for n, (kind, levels) in enumerate(panels.items())
    ]


def _grouped(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, list[Mapping[str, Any]]]:
    """Sort rows by what they say under a key, in the order in which that is met."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups


def _ends(estimates: Iterable[Estimate | None]) -> list[float | None]:
    """Return values and ends of intervals."""
    return [end for estimate in estimates if estimate for end in estimate]
