"""Numbers and sentences as the page shows them: the filters of its template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avemotion.errors import counted as counted

MISSING = "–"
"""Shown where there is no figure."""


def percent(share: float | None, digits: int = 1, sign: str = "") -> str:
    """Format a fraction in per cent.

    >>> percent(0.7125)
    '71.2'
    """
    if not isinstance(share, float | int):
        return MISSING
    value = round(100 * share, digits)
    return f"{value:{sign}.{digits}f}".replace("-", "−") if value else f"{0:.{digits}f}"


def points(change: float | None) -> str:
    """Format a difference of fractions in points, with its sign.

    >>> points(-0.031), points(0.02)
    ('−3.1', '+2.0')
    """
    return percent(change, sign="+")


def decimal(value: float | None, digits: int = 3) -> str:
    """Format a number that is no share."""
    return f"{value:.{digits}f}" if isinstance(value, float | int) else MISSING


def people(actors: int) -> str:
    """Say of how many people clips are.

    >>> people(91), people(0)
    ('91 actors', 'unknown people')
    """
    return counted(actors, "actor") if actors else "unknown people"


def channel(name: str) -> str:
    """Return in words what raters were given."""
    return {"av": "face and voice", "video": "face", "audio": "voice"}.get(name, name)


def versus(difference: Mapping[str, Any], pair: str) -> str:
    """Return in words which of two systems did better, by how much, and with what certainty.

    >>> found = {"recall": 0.03, "low": 0.01, "high": 0.05, "p": 1e-4, "p_holm": 2e-4, "actors": 9}
    >>> versus(found, "av - video")
    'av is 3.0 points above video (95 % 1.0 to 5.0, p < 0.001, corrected p < 0.001, 9 actors).'
    """
    ours, _, theirs = pair.partition(" - ")
    lead, ends = difference["recall"], (difference["low"], difference["high"])
    side, sign = ("above", 1) if lead >= 0 else ("below", -1)
    evidence = [people(difference["actors"])]
    for name, p in (("corrected p", difference["p_holm"]), ("p", difference["p"])):
        if p is not None:
            evidence.insert(0, f"{name} < 0.001" if p < 0.001 else f"{name} = {p:.3f}")
    if None not in ends:
        low, high = map(percent, sorted(sign * end for end in ends))
        evidence.insert(0, f"95 % {low} to {high}")
    return f"{ours} is {percent(abs(lead))} points {side} {theirs} ({', '.join(evidence)})."


FILTERS = {f.__name__: f for f in (percent, points, decimal, counted, people, channel, versus)}
"""Filter's name in the template -> function."""
