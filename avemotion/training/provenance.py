"""How a result was made: the options that differ from the defaults, and the versions at work."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

from avemotion.config import ExperimentSettings
from avemotion.models.registry import default_training, defaults_of
from avemotion.parallel.cluster_check import package_versions


def changed_options(experiment: ExperimentSettings, initialised: bool = False) -> list[str]:
    """Return the options of model and training that are not defaults, as words of a command.

    Of training the defaults are the model's own recipe.

    Args:
        experiment: The settings.
        initialised: Whether training began with a checkpoint (``--init``), whose settings are then
            the model's defaults and not known here: all of them are returned.
    """
    default = {
        "settings": defaults_of(experiment.model),
        "training": asdict(default_training(experiment)),
    }
    given, words = experiment.to_dict(), []
    for part, option in (("settings", experiment.model), ("training", "training")):
        for name, value in given[part].items():
            if value != default[part][name] or (initialised and part == "settings"):
                plain = json.dumps(value) if not isinstance(value, str) else value
                words += [f"--{option}.{name}", plain]
    return words


def precision_advice(changed: Sequence[str]) -> str:
    """Return a line on how to go on in another machine's precision, if `differences` has one."""
    if not any("precision:" in line for line in changed):
        return ""
    return (
        "\nThe precision `auto` depends on the machine. To go on with what another one began, give "
        "its precision with --training.precision."
    )


def versions() -> dict[str, str]:
    """Return the platform, and the versions of Python and of all packages that results need."""
    return {
        "python": platform.python_version(),
        "avemotion": version("avemotion"),
        **{name: found for name, found in package_versions().items() if found},
        "platform": platform.platform(),
    }
