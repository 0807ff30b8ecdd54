"""Tasks side by side: every one is tried, failures are named, dead processes are replaced."""

import os
import signal
from pathlib import Path

import pytest

from avemotion.errors import AvemotionError
from avemotion.parallel.pool import TRIES, run_all


def leave_a_mark(task: tuple[Path, str]) -> None:
    """Runs in a process: writes how often it was called, then does as told."""
    path, behaviour = task
    calls = len(path.read_text()) + 1 if path.exists() else 1
    path.write_text("x" * calls)
    if behaviour == "dies always" or (behaviour == "dies once" and calls == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "fails":
        raise FileNotFoundError("the tea is gone")


def tasks(folder: Path, *behaviours: str) -> dict[str, tuple[Path, str]]:
    return {f"task {i}": (folder / str(i), what) for i, what in enumerate(behaviours)}


def calls(folder: Path) -> dict[str, int]:
    return {path.name: len(path.read_text()) for path in folder.iterdir()}


def test_a_task_whose_process_dies_is_tried_again(tmp_path: Path) -> None:
    done = list(run_all(leave_a_mark, tasks(tmp_path, "works", "dies once", "works"), jobs=2))
    assert sorted(done) == ["task 0", "task 1", "task 2"]
    assert calls(tmp_path) == {"0": 1, "1": 2, "2": 1}


def test_all_others_are_done_before_a_failure_is_raised(tmp_path: Path) -> None:
    done = []
    with pytest.raises(AvemotionError, match="task 0 .* failed: .*the tea is gone") as error:
        for name in run_all(leave_a_mark, tasks(tmp_path, "fails", "works", "fails"), jobs=1):
            done.append(name)
    assert done == ["task 1"] and "and 1 more" in str(error.value)
    assert calls(tmp_path) == {"0": 1, "1": 1, "2": 1}  # an error is no accident: tried once


def test_a_process_that_always_dies_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(
        AvemotionError, match=f"task 0 failed: gave up after {TRIES} tries: .* crashed .SIGKILL"
    ):
        list(run_all(leave_a_mark, tasks(tmp_path, "dies always"), jobs=1))
    assert calls(tmp_path) == {"0": TRIES}


def test_nothing_to_do(tmp_path: Path) -> None:
    assert list(run_all(leave_a_mark, {}, jobs=2)) == []
