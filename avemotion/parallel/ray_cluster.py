"""Past one machine: the same functions as tasks of a Ray cluster.

The machines share folders. Clips are read, and shards written, by whichever of them has a core
free, and only small facts come back to the process that asked. A machine that is lost costs time:
Ray does its tasks again elsewhere, and what they give does not depend on where they run.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avemotion.errors import UsageError
from avemotion.parallel.cluster_check import ClusterCheck, cluster_check
from avemotion.parallel.pool import Task, describe, init_training_worker, raise_failures

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ModuleNotFoundError as missing:
    raise UsageError(
        "--engine ray needs Ray, which is not installed: `pip install avemotion[ray]`."
    ) from missing

RETRIES = 5
"""How often Ray starts a task again whose machine or worker was lost."""

_ANSWER_SECONDS = 10
_PROBE_SECONDS = 120  # a busy machine may take this long to start a process


@contextmanager
def cluster(out: Path, sample: Path) -> Iterator[ClusterCheck]:
    """Connect to the cluster, or start one on this machine; only what was started is ended.

    Args:
        out: Absolute path of the folder that is written, shared by all machines.
        sample: Absolute path of a file that is read, likewise.

    Yields:
        What each worker must see and have before it works.

    Raises:
        UsageError: There is no such cluster, or one of its machines does not see the folders, or
            has other versions of what the results depend on.
    """
    connects = not ray.is_initialized()
    if connects:
        _connect()
    try:
        with cluster_check(out, sample) as admitted:
            _refuse_unfit_machines(admitted)
            yield admitted
    finally:
        if connects:
            ray.shutdown()


def _connect() -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS")
    if address and address.startswith("ray://"):
        raise UsageError(
            f"RAY_ADDRESS is {address}, which is for Ray's clients, but this command must see the "
            "shared folders itself. Run it on a machine of the cluster, with RAY_ADDRESS=auto."
        )
    settings: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        if address and ":" in address:  # Ray itself gives up after minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **settings)
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"No Ray cluster answers at RAY_ADDRESS={address} ({error}). Start one with "
            "`ray start --head`, or unset RAY_ADDRESS to work on this machine alone."
        ) from error


def _refuse_unfit_machines(admitted: ClusterCheck) -> None:
    """Let every machine say whether it sees the same folders and has the same software."""
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise UsageError("No machine of the Ray cluster has a core to work on.")
    probes = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        probes[_probe.options(scheduling_strategy=there).remote(admitted)] = node
    answered, _ = ray.wait(list(probes), num_returns=len(probes), timeout=_PROBE_SECONDS)
    for probe, node in probes.items():
        complaint = f"it did not answer in {_PROBE_SECONDS} s."
        if probe in answered:
            try:
                complaint = ray.get(probe)
            except RayError as error:
                complaint = plain(error)
        if complaint:
            raise UsageError(
                f"Node {node['NodeManagerAddress']} ({node['NodeID'][:8]}) of the Ray cluster "
                f"cannot take part: {complaint}"
            )


@ray.remote(num_cpus=0)
def _probe(admitted: ClusterCheck) -> str:
    return admitted.complaint()


def run_all(
    function: Callable[[Task], object],
    tasks: Mapping[str, Task],
    jobs: int | None,
    admitted: ClusterCheck,
) -> Iterator[str]:
    """Call a function on each task, and yield each task's name when it is done.

    Args:
        function: Importable by name; its result is ignored, so it writes what it finds to files.
        tasks: What it is called with, by name; picklable, with absolute paths.
        jobs: Tasks under way at once; None for as many as the cluster has cores, or GPUs where it
            has any: a task then takes one.
        admitted: From `cluster`.

    Raises:
        AvemotionError: Tasks failed, or were lost too often; the others are done first.
    """
    run = _run.options(num_gpus=1 if ray.cluster_resources().get("GPU") else 0)
    failures: dict[str, str] = {}
    left = iter(tasks.items())
    running: dict[Any, str] = {}
    with cancelled_at_end(running):
        while True:
            while len(running) < (jobs or len(tasks)) and (task := next(left, None)):
                running[run.remote(admitted, function, task[1])] = task[0]
            if not running:
                break
            for done in finished(running):
                name = running.pop(done)
                try:
                    ray.get(done)
                except RayError as error:
                    failures[name] = plain(error)
                else:
                    yield name
    raise_failures({name: failures[name] for name in tasks if name in failures})


@ray.remote(num_cpus=1, max_retries=RETRIES)
def _run(admitted: ClusterCheck, function: Callable[[Any], object], task: Any) -> None:
    admitted.require()
    init_training_worker()
    function(task)


def plain(error: RayError) -> str:
    """Say what went wrong, without the stack of a machine far away."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if not isinstance(cause, RayError):
        return f"{type(cause).__name__}: {cause}"
    lost = str(cause).strip().partition("\n")[0]
    return f"its machine or Ray worker was lost {RETRIES + 1} times ({lost})"


def finished(tasks: Iterable[Any]) -> list[Any]:
    """Wait until one of some tasks is done; return all that are."""
    tasks = list(tasks)
    ray.wait(tasks, num_returns=1)
    done, _ = ray.wait(tasks, num_returns=len(tasks), timeout=0)
    return list(done)


@contextmanager
def cancelled_at_end(tasks: Mapping[Any, object]) -> Iterator[None]:
    """End tasks that are under way when the block is left early: they would go on writing."""
    try:
        yield
    finally:
        for task in tasks:
            ray.cancel(task, force=True)
