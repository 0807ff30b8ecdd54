"""What a run's folder says of it: ``run.json``; reading it needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avemotion.errors import UsageError
from avemotion.files import read_json

RUN_NAME = "run.json"
"""What a run was asked for, and whether it is finished."""


def run_in(folder: Path) -> dict[str, Any]:
    """Return what a run's folder says of it; nothing where that cannot be read."""
    try:
        return read_json(folder / RUN_NAME, "")
    except UsageError:
        return {}
