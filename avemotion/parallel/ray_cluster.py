"""Several machines: the same functions as tasks of a Ray cluster.

The machines share folders. Each task runs on a machine with a free core, reads and writes files
there, and returns only small values. A machine that is lost costs time: Ray runs its tasks again on
another one, and their results do not depend on where they run.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avemotion.compat import install_line
from avemotion.errors import UsageError
from avemotion.parallel.cluster_check import ClusterCheck, cluster_check
from avemotion.parallel.pool import Task, describe, init_training_worker, raise_failures

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ModuleNotFoundError as missing:
    raise UsageError(
        f"--engine ray needs Ray, which is not installed: {install_line('ray')}."
    ) from missing

RETRIES = 5
"""How often Ray starts a task again if its machine or worker was lost."""

_CONNECT_SECONDS = 10
_PROBE_SECONDS = 120  # a busy machine may take this long to start a process


@contextmanager
def cluster(out: Path, sample: Path) -> Iterator[ClusterCheck]:
    """Connect to the cluster, or start one on this machine and shut it down at the end.

    Args:
        out: Absolute path of the output folder, which all machines share.
        sample: Absolute path of an input file, likewise.

    Yields:
        The check that each worker makes before it works.

    Raises:
        UsageError: There is no such cluster, or one of its machines does not see the folders, or
            has other versions of what results depend on.
    """
    connects = not ray.is_initialized()
    if connects:
        _connect()
    try:
        with cluster_check(out, sample) as check:
            _check_machines(check)
            yield check
    finally:
        if connects:
            ray.shutdown()


def _connect() -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS")
    if address and address.startswith("ray://"):
        raise UsageError(
            f"RAY_ADDRESS is {address}, an address for Ray clients, but this command must run on a "
            "machine that sees the shared folders. Run it on a machine of the cluster, with "
            "RAY_ADDRESS=auto."
        )
    settings: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        if address and ":" in address:  # Ray itself gives up after minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **settings)
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"No Ray cluster answers at RAY_ADDRESS={address} ({error}). Start one with "
            "`ray start --head`, or unset RAY_ADDRESS to use only this machine."
        ) from error


def _check_machines(check: ClusterCheck) -> None:
    """Refuse a cluster with a machine that has other folders or other software."""
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise UsageError(
            "No machine of the Ray cluster has a CPU core for tasks (`ray start --num-cpus`)."
        )
    probes = {}
    for node in nodes:
        on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        probes[_probe.options(scheduling_strategy=on_node).remote(check)] = node
    answered, _ = ray.wait(list(probes), num_returns=len(probes), timeout=_PROBE_SECONDS)
    for probe, node in probes.items():
        problem = f"it did not answer within {_PROBE_SECONDS} s."
        if probe in answered:
            try:
                problem = ray.get(probe)
            except RayError as error:
                problem = failure_reason(error)
        if problem:
            raise UsageError(
                f"Node {node['NodeManagerAddress']} ({node['NodeID'][:8]}) of the Ray cluster "
                f"cannot take part: {problem}"
            )


@ray.remote(num_cpus=0)
def _probe(check: ClusterCheck) -> str:
    return check.problem()


def run_all(
    function: Callable[[Task], object],
    tasks: Mapping[str, Task],
    jobs: int | None,
    check: ClusterCheck,
) -> Iterator[str]:
    """Call a function on each task, and yield each task's name when it is done.

    Args:
        function: Importable by name; its result is ignored, so it writes its results to files.
        tasks: Its arguments by name; they must be picklable, with absolute paths.
        jobs: Most tasks at a time; None for one on each core of the cluster, or on each GPU if it
            has any.
        check: From `cluster`.

    Raises:
        AvemotionError: Tasks failed, or were lost too often; all others are done first.
    """
    run = _run.options(num_gpus=1 if ray.cluster_resources().get("GPU") else 0)
    failures: dict[str, str] = {}
    left = iter(tasks.items())
    running: dict[Any, str] = {}
    with cancelled_at_end(running):
        while True:
            while len(running) < (jobs or len(tasks)) and (task := next(left, None)):
                running[run.remote(check, function, task[1])] = task[0]
            if not running:
                break
            for done in finished(running):
                name = running.pop(done)
                try:
                    ray.get(done)
                except RayError as error:
                    failures[name] = failure_reason(error)
                else:
                    yield name
    raise_failures({name: failures[name] for name in tasks if name in failures})


@ray.remote(num_cpus=1, max_retries=RETRIES)
def _run(check: ClusterCheck, function: Callable[[Any], object], task: Any) -> None:
    check.require()
    init_training_worker()
    function(task)


def failure_reason(error: RayError) -> str:
    """Return why a task failed, without the remote traceback."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if not isinstance(cause, RayError):
        return describe(cause)
    lost = str(cause).strip().partition("\n")[0]
    return f"its machine or Ray worker was lost {RETRIES + 1} times ({lost})"


def finished(tasks: Iterable[Any]) -> list[Any]:
    """Wait until at least one task is done; return all that are."""
    tasks = list(tasks)
    ray.wait(tasks, num_returns=1)
    done, _ = ray.wait(tasks, num_returns=len(tasks), timeout=0)
    return list(done)


@contextmanager
def cancelled_at_end(tasks: Mapping[Any, object]) -> Iterator[None]:
    """Cancel the tasks that still run when the block ends early: they would go on writing."""
    try:
        yield
    finally:
        for task in tasks:
            ray.cancel(task, force=True)
