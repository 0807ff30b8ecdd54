"""Tasks that crash, hang or eat memory: each costs itself, in whatever number they come."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from avemotion.errors import MediaError, UsageError
from avemotion.media.sources import MemoryFile, as_portable
from avemotion.parallel.isolated_worker import ProcessFailure, TaskFailure
from avemotion.parallel.isolation import IsolatedProcess, map_isolated


def act(what: str) -> object:
    """Runs in a process and does as told."""
    if what == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "aborts":
        os.abort()
    if what == "exits":
        os._exit(0)
    if what == "hangs":
        time.sleep(1000)
    if what == "takes memory":
        return len(bytearray(2**30))
    if what == "raises":
        raise MediaError("the tea is gone")
    if what == "is a surprise":
        return {}["no such key"]
    if what == "is killed while it answers":
        threading.Thread(target=_die_soon, daemon=True).start()
        return bytes(2**27)
    return what


def _die_soon() -> None:
    time.sleep(0.03)
    os.kill(os.getpid(), signal.SIGKILL)


def outcomes(tasks: list[str], seconds: float = 60, workers: int = 2) -> list[object]:
    return list(
        map_isolated(act, tasks, workers=workers, timeout_seconds=seconds, memory_mebibytes=512)
    )


@pytest.mark.parametrize(
    "what, reason",
    [
        ("is killed", "the process crashed (SIGKILL: perhaps the machine ran short of memory)"),
        ("exits", "the process crashed (exit code 0)"),
        ("is killed while it answers", "the process crashed (SIGKILL"),
    ],
)
def test_crashes_in_a_row_cost_themselves_alone(what: str, reason: str) -> None:
    got = outcomes(["whole", *[what] * 3, "whole", what, "whole"])
    assert [got[i] for i in (0, -3, -1)] == ["whole"] * 3
    lost = got[1:-3] + got[-2:-1]
    assert all(isinstance(one, ProcessFailure) and one.reason.startswith(reason) for one in lost), (
        lost
    )


def test_hanging_tasks_in_a_row_are_killed_at_the_limit() -> None:
    got = outcomes([*["hangs"] * 4, "whole"], seconds=0.2)
    assert got == [TaskFailure("took longer than 0.2 s")] * 4 + ["whole"]
    assert not multiprocessing.active_children()


def yield_slowly(pauses: list[float]) -> Iterator[str]:
    for number, pause in enumerate(pauses):
        time.sleep(pause)
        yield f"value {number}"


def test_each_value_that_a_task_yields_shows_that_it_has_not_hung() -> None:
    tasks = [[0.6] * 4, [0.0, 30.0], [0.0]]
    got = list(map_isolated(yield_slowly, tasks, workers=1, timeout_seconds=2.0))
    assert got == ["value 3", TaskFailure("took longer than 2 s"), "value 0"]


def die(marks: Path, often: int) -> None:
    """Runs first in each process."""
    (marks / str(os.getpid())).touch()
    if len(list(marks.iterdir())) <= often:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_before_its_task_is_replaced_and_nobody_blamed(tmp_path: Path) -> None:
    def results(often: int) -> list[object]:
        prepare = partial(die, tmp_path, often)
        return list(map_isolated(act, ["one"], workers=1, timeout_seconds=60, prepare=prepare))

    assert results(often=2) == ["one"]
    assert results(often=99) == [
        ProcessFailure("no worker process could be started: perhaps memory is short")
    ]


def lack_a_package() -> None:
    raise ModuleNotFoundError("No module named 'torch'")


def test_a_process_that_cannot_be_prepared_says_why() -> None:
    (failure,) = map_isolated(act, ["one"], workers=1, timeout_seconds=60, prepare=lack_a_package)
    assert isinstance(failure, TaskFailure) and "No module named 'torch'" in failure.reason


def test_memory_beyond_the_limit_is_refused_to_that_task_alone() -> None:
    got = outcomes(["takes memory", "whole", "takes memory"])
    assert got == [
        TaskFailure("needed more memory than 512 MiB"),
        "whole",
        TaskFailure(got[0].reason),
    ]


def test_errors_are_reasons() -> None:
    expected, surprise, whole = outcomes(["raises", "is a surprise", "whole"])
    assert expected == TaskFailure("the tea is gone") and whole == "whole"
    assert surprise == TaskFailure("unexpected error: KeyError: 'no such key'")


class Unreadable:
    """Can be pickled, but not restored."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return int, ("no such number",)


class Growing:
    """Small when pickled, too large when restored."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return bytearray, (2**30,)


def test_tasks_that_cannot_be_received_cost_themselves_and_nobody_complains(
    capfd: pytest.CaptureFixture[str],
) -> None:
    tasks: list[Any] = [Unreadable(), "whole", bytes(600 * 2**20), "whole", Growing(), "whole"]
    unreadable, *rest = outcomes(tasks)
    assert isinstance(unreadable, TaskFailure) and "no such number" in unreadable.reason
    assert "could not be sent to a worker process (ValueError" in unreadable.reason
    large = TaskFailure("needed more memory than 512 MiB")
    assert rest == ["whole", large, "whole", large, "whole"]
    assert capfd.readouterr().err == ""


def refusal() -> str:
    """Runs in a daemonic process."""
    with pytest.raises(UsageError) as refused:
        outcomes(["whole"])
    return str(refused.value)


def test_a_daemonic_process_is_told_what_to_do_instead() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        said = pool.apply(refusal)
    assert "daemonic" in said and "`Classifier.classify` in it, without isolated=True" in said


class ScriptsFile(io.BytesIO):
    """Stands for a class of the caller's script."""


def test_of_files_of_the_callers_own_class_the_content_is_sent() -> None:
    for source in (ScriptsFile(b"content"), MemoryFile("clip", ScriptsFile(b"content"))):
        sent = as_portable(source)
        assert isinstance(sent, MemoryFile) and type(sent.handle) is io.BytesIO
        assert sent.handle.read() == b"content"
    plain = io.BytesIO(b"content")
    assert as_portable(MemoryFile("clip", plain)).handle is plain, "nothing is copied in vain"


def yield_some(what: str) -> Iterator[str]:
    yield "one"
    yield "two"
    act(what)


def test_values_that_a_task_yields_arrive_as_they_come() -> None:
    process = IsolatedProcess(yield_some, None)
    yielded: list[str] = []
    assert process.run("whole", 60, yielded.append) is None and yielded == ["one", "two"]
    for what, reason in (("is killed", "SIGKILL"), ("raises", "the tea is gone")):
        yielded.clear()
        lost = process.run(what, 60, yielded.append)
        assert isinstance(lost, TaskFailure) and reason in lost.reason and yielded == ["one", "two"]
    start = time.monotonic()
    assert process.run("hangs", 1, yielded.append) == TaskFailure("took longer than 1 s")
    assert time.monotonic() - start < 60
    assert process.run("whole", 60) == "two", "where nobody listens, the last one is the result"
    process.end()


def test_leaving_early_ends_the_processes() -> None:
    results = map_isolated(act, ["whole", *["hangs"] * 20], workers=2, timeout_seconds=600)
    assert next(results) == "whole"
    results.close()
    assert not multiprocessing.active_children()


SCRIPT = """
from avemotion.parallel.isolation import map_isolated
print("the script runs")
print(list(map_isolated(abs, [-1, 2], workers=2, timeout_seconds=60)))
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.stdout == "the script runs\n[1, 2]\n" and not done.stderr


def test_memory_and_time_need_not_be_limited() -> None:
    unlimited = map_isolated(
        act, ["takes memory"], workers=1, timeout_seconds=None, memory_mebibytes=None
    )
    assert list(unlimited) == [2**30]
