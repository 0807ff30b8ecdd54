"""Files in worker processes: each outcome in its place, whatever becomes of the others."""

import os
import signal
import time

from avemotion.isolation import Lost, map_isolated


def behave(how: str) -> str:
    """Runs in a worker."""
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hangs":
        time.sleep(60)
    if how == "fails":
        raise ValueError("the tea is gone")
    return f"{how} well"


def test_outcomes_come_in_order_and_losses_name_their_reason():
    tasks = ["works", "dies", *["works"] * 20, "hangs", "works", "fails", "dies", "works"]
    outcomes = list(map_isolated(behave, tasks, workers=2, timeout_seconds=3))
    assert outcomes == [
        {
            "works": "works well",
            "dies": Lost("the decoder crashed (exit code -9)"),
            "hangs": Lost("took longer than 3 s to decode"),
            "fails": Lost("ValueError: the tea is gone"),
        }[task]
        for task in tasks
    ]


def test_an_abandoned_run_leaves_no_process():
    from multiprocessing import active_children

    before = active_children()
    outcomes = map_isolated(behave, ["works", "hangs", "hangs"], workers=2, timeout_seconds=60)
    assert next(outcomes) == "works well"
    outcomes.close()
    assert active_children() == before


def test_nothing_to_do():
    assert list(map_isolated(behave, [], workers=2, timeout_seconds=1)) == []
