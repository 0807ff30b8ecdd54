"""The state that an interrupted run resumes from: whole, or not there at all."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

from avemotion.files import write_atomically, writing
from avemotion.training.lightning import TorchCheckpointIO

STATE = "state"
"""Folder in a run that holds the state."""

_NAME = "last.ckpt"


class Progress(NamedTuple):
    """How far an interrupted run came."""

    state: Path | None
    """File of the state; None where nothing is to be resumed."""
    epochs: int
    """Epochs that are done."""
    stopped_early: bool
    """Whether early stopping ended the run; resumed, Lightning would train on."""


def progress_of(out: Path) -> Progress:
    """Read how far a run came; a damaged state is renamed, and said so, and counts as none.

    Args:
        out: Folder of the run.
    """
    path = out / STATE / _NAME
    if not path.exists():
        return Progress(None, 0, False)
    try:
        state = torch.load(path, weights_only=True)  # nothing in it is executed
        stopped_early = any(
            callback["wait_count"] >= callback["patience"]
            for name, callback in state["callbacks"].items()
            if name.startswith("EarlyStopping")
        )
        return Progress(path, int(state["epoch"]) + 1, stopped_early)
    except Exception as error:  # what half a file raises depends on where it ends
        aside = path.replace(path.with_name(f"{_NAME}.damaged"))
        reason = str(error).partition(". ")[0]
        print(
            f"{path} is damaged ({reason}): it is {aside.name} now, and training starts anew.",
            file=sys.stderr,
        )
        return Progress(None, 0, False)


def forget_state(out: Path) -> None:
    """Remove the state of a run, which a finished one no longer needs."""
    shutil.rmtree(out / STATE, ignore_errors=True)


class AtomicFiles(TorchCheckpointIO):
    """Writes Lightning's state beside its final name, then renames it.

    Lightning itself writes to the folder for temporary files. Where that is another file system,
    a full disk leaves half a state.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a state.

        Raises:
            AvemotionError: The disk is full, or writing there is not allowed.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with writing(path := Path(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda temporary: temporary.write_bytes(content.getbuffer()))
