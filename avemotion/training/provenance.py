"""How a result was made: the options that differ from the defaults, and the versions at work."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version

from avemotion.config import ExperimentSettings

_PACKAGES = ("avemotion", "torch", "pytorch-lightning", "numpy", "scipy", "scikit-learn")


def changed_options(experiment: ExperimentSettings) -> list[str]:
    """Return the options of network and training that are not defaults, as words of a command."""
    default, asked = ExperimentSettings().to_dict(), experiment.to_dict()
    words = []
    for part in ("network", "training"):
        for name, value in asked[part].items():
            if value != default[part][name]:
                plain = json.dumps(value) if not isinstance(value, str) else value
                words += [f"--{part}.{name}", plain]
    return words


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and what it rests on, and the platform."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
        "platform": platform.platform(),
    }
