"""Runs of `fit` on disk: which is finished, which one a folder may go on with, which is latest."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from avemotion.config import DEFAULT_MODEL, ExperimentSettings, differences
from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.files import read_json, write_json
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CHECKPOINT_NAME, LATEST
from avemotion.models.registry import inputs_of, settings_class
from avemotion.parallel.cluster_check import split_versions
from avemotion.training.provenance import precision_advice
from avemotion.training.request import FitRequest
from avemotion.training.run_file import RUN_NAME, run_in

COUNTS = {"clips", "left_out", "without_effect", "initial"}
"""What ``run.json`` keeps of a finished run's `FitReport`."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that is finished."""

    folder: Path
    """Its folder."""
    counts: dict[str, Any]
    """What `fit` said of its clips."""


def finished_run(store: FeatureStore, asked: FitRequest) -> FinishedRun | None:
    """Return the run that `fit` is asked for, if it is finished; needs no torch to see it.

    Where that cannot be told without the model's own module, as for a modality that only the model
    knows, it is None.
    """
    model, modality, out, settings = asked.model, asked.modality, asked.out, asked.settings
    if modality is None and model == DEFAULT_MODEL:
        modality = "av"
    if out is None and modality is not None:
        out = Path("runs", model, modality)
    if out is None or modality is None or not (out / CHECKPOINT_NAME).is_file():
        return None
    found = run_in(out)
    counts = found.get("counts")
    if not found.get("finished") or not isinstance(counts, dict) or counts.keys() != COUNTS:
        return None
    if found.get("encoders") != []:  # which embeddings the model reads, only itself knows
        return None
    built = settings_class(model)() if settings is None else settings
    plain = json.loads(json.dumps(asdict(built)))
    precision = asked.training.precision
    trainings = [
        replace(asked.training, precision=one)
        for one in (("float32", "bfloat16") if precision == "auto" else (precision,))
    ]
    ours = [ExperimentSettings(model, modality, plain, one).to_dict() for one in trainings]
    if found.get("experiment") not in ours or found.get("data") != store.content_hash():
        return None
    if any(found.get(name) != value for name, value in _made_of(asked).items()):
        return None
    return FinishedRun(out, counts)


def _made_of(asked: FitRequest) -> dict[str, Any]:
    """Return the SHA-256 of the checkpoints that a run begins with, or that it pools."""
    members = asked.members and [one.sha256 for one in asked.members.each]
    return {"init": asked.initial and asked.initial.sha256, "members": members}


def open_run(
    out: Path,
    experiment: ExperimentSettings,
    store: FeatureStore,
    asked: FitRequest,
) -> bool:
    """Write ``run.json`` into a new run's folder; return whether this run is already finished.

    Raises:
        UsageError: The folder holds a run with other settings or data, or one that other versions
            of the packages began that split the actors.
    """
    path, inputs = out / RUN_NAME, inputs_of(experiment)
    run = {
        "experiment": experiment.to_dict(),
        **_made_of(asked),
        "data": store.content_hash(),
        "encoders": [one.key for one in store.makings(names_of(inputs))],
        "split_versions": split_versions(),
        "finished": False,
    }
    if not path.exists():
        write_json(path, run)
        return False
    found = read_json(path, f"Remove {out}, or give another --out.")
    if found.get("data") != run["data"]:
        raise UsageError(
            f"{out} holds a run on other data than {store.directory}. "
            "Give another --out, or remove that folder."
        )
    if found.get("encoders") != run["encoders"]:
        raise UsageError(
            f"{out} holds a run on embeddings that were made otherwise than those in "
            f"{store.directory}. Give another --out, or remove that folder."
        )
    theirs, ours = _settings_in(found), _settings_in(run)
    if theirs != ours:
        changed = differences(theirs, ours)
        raise UsageError(
            f"{out} holds a run with other settings (its setting -> yours):\n  "
            + "\n  ".join(changed)
            + "\nGive another --out, or remove that folder."
            + precision_advice(changed)
        )
    if not found.get("finished") and found.get("split_versions") != run["split_versions"]:
        changed = differences(found.get("split_versions"), run["split_versions"])
        raise UsageError(
            f"{out} holds a run that other versions began, which may split the actors otherwise "
            "(its version -> yours):\n  "
            + "\n  ".join(changed)
            + "\nInstall its versions to go on, or give another --out to start anew."
        )
    return bool(found.get("finished"))


def _settings_in(run: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a run, and the SHA-256 of what it is made of, if anything."""
    experiment = run.get("experiment")
    made_of = {name: run.get(name) for name in ("init", "members")}
    return {**(experiment if isinstance(experiment, dict) else {}), **made_of}


def mark_finished(out: Path, counts: dict[str, Any]) -> None:
    """Write into a run's folder that it is finished, and what `fit` says of its clips."""
    run = read_json(out / RUN_NAME, f"Remove {out} and fit again.")
    write_json(out / RUN_NAME, run | {"finished": True, "counts": counts})


def choose_latest(out: Path) -> Path | None:
    """Point ``runs/latest`` to the model for face and voice that was fitted last.

    It answers for more clips than those for one of them. Where there is none, it is the run that
    was fitted last, which this one is.

    Args:
        out: Folder of the run.

    Returns:
        The run that it points to; None where the run is in no folder ``runs``.
    """
    run = out.resolve()  # where `out` is the link itself, the run that it points to
    runs = next((p for p in run.parents[:2] if p.name == LATEST.parent.name), None)
    if runs is None or run == runs / LATEST.name:
        return None
    link, chosen = runs / LATEST.name, run
    if not _reads_both(run):
        found = [
            path.parent for path in (*runs.glob(f"*/{RUN_NAME}"), *runs.glob(f"*/*/{RUN_NAME}"))
        ]
        both = [folder for folder in found if folder != link and _reads_both(folder)]
        kept = [folder for folder in both if folder.resolve() == link.resolve()]
        chosen = max(kept or both, key=_written_ns, default=run)
    partial = runs / f".{LATEST.name}.partial"
    partial.unlink(missing_ok=True)
    partial.symlink_to(chosen.relative_to(runs))
    partial.replace(link)
    if chosen == run:
        return out
    return chosen if out.is_absolute() else Path(os.path.relpath(chosen))


def _written_ns(folder: Path) -> int:
    return (folder / CHECKPOINT_NAME).stat().st_mtime_ns


def _reads_both(folder: Path) -> bool:
    """Tell whether a folder holds a finished run of a model for face and voice."""
    run = run_in(folder)
    experiment = run.get("experiment")
    return (
        bool(run.get("finished"))
        and isinstance(experiment, dict)
        and experiment.get("modality") == "av"
        and (folder / CHECKPOINT_NAME).is_file()
    )
