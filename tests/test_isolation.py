"""Tasks that crash, hang or eat memory: each costs itself, in whatever number they come."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from avemotion.errors import MediaError
from avemotion.isolation import IsolatedProcess, Lost, map_isolated


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
    "what, said",
    [
        ("is killed", "the decoder crashed (SIGKILL: perhaps the machine ran short of memory)"),
        ("exits", "the decoder crashed (exit code 0)"),
        ("is killed while it answers", "the decoder crashed (SIGKILL"),
    ],
)
def test_crashes_in_a_row_cost_themselves_alone(what: str, said: str) -> None:
    got = outcomes(["whole", *[what] * 3, "whole", what, "whole"])
    assert [got[i] for i in (0, -3, -1)] == ["whole"] * 3
    lost = got[1:-3] + got[-2:-1]
    assert all(isinstance(one, Lost) and one.reason.startswith(said) for one in lost), lost


def test_hanging_tasks_in_a_row_are_killed_at_the_limit() -> None:
    got = outcomes([*["hangs"] * 4, "whole"], seconds=0.2)
    assert got == [Lost("took longer than 0.2 s")] * 4 + ["whole"]
    assert not multiprocessing.active_children()


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
        Lost("no process could be started for it: perhaps memory is short")
    ]


def test_memory_beyond_the_limit_is_refused_to_that_task_alone() -> None:
    got = outcomes(["takes memory", "whole", "takes memory"])
    assert got == [Lost("needed more memory than 512 MiB"), "whole", Lost(got[0].reason)]


def test_errors_are_reasons() -> None:
    expected, surprise, whole = outcomes(["raises", "is a surprise", "whole"])
    assert expected == Lost("the tea is gone") and whole == "whole"
    assert isinstance(surprise, Lost) and "KeyError: 'no such key'" in surprise.reason


def yield_some(what: str) -> Iterator[str]:
    yield "one"
    yield "two"
    act(what)


def test_what_a_task_yields_is_told_as_it_comes() -> None:
    process = IsolatedProcess(yield_some, None)
    told: list[str] = []
    assert process.do("whole", 60, told.append) is None and told == ["one", "two"]
    for what, reason in (("is killed", "SIGKILL"), ("raises", "the tea is gone")):
        told.clear()
        lost = process.do(what, 60, told.append)
        assert isinstance(lost, Lost) and reason in lost.reason and told == ["one", "two"]
    start = time.monotonic()
    assert process.do("hangs", 1, told.append) == Lost("took longer than 1 s")
    assert time.monotonic() - start < 60
    assert process.do("whole", 60) is None, "nobody needs to listen"
    process.end()


def test_leaving_early_ends_the_processes() -> None:
    results = map_isolated(act, ["whole", *["hangs"] * 20], workers=2, timeout_seconds=600)
    assert next(results) == "whole"
    results.close()
    assert not multiprocessing.active_children()
