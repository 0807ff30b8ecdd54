"""Machines lost while a Ray cluster preprocesses: is the store still the same?

Each round starts two nodes on this machine, lets `avemotion preprocess --engine ray` work on them,
and kills one node at a random moment; in every other round the command itself is killed too, and
given again. The store is compared with that of one machine, byte for byte.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decoding import found_clips
from ray.cluster_utils import Cluster
from reporting import parser, publish, table

import avemotion
from avemotion.data.corpora.crema_d import EMOTION_BY_CODE, SENTENCES

PER_ACTOR = 6
"""Clips in a shard: few, so that many shards are on their way."""

NODE = {"num_cpus": 1, "object_store_memory": 150 * 2**20}


@dataclass(frozen=True, slots=True)
class Round:
    """What happened in one round."""

    node_lost_at: int
    """Shards that were written when the node was killed."""
    command_killed_at: int | None
    """Shards that were written when the command was killed, if it was."""
    failed: int
    """Clips without features at the end."""
    same: bool
    """The store is that of one machine, byte for byte."""
    seconds: float
    """From the first start of the command to the end of its last."""


def link_corpus(clips: list[Path], folder: Path, wanted: int) -> None:
    """Lay the clips out as CREMA-D's, under as many names as wanted."""
    names = [f"{s}_{e}_XX" for s in SENTENCES for e in EMOTION_BY_CODE][:PER_ACTOR]
    (folder / "VideoFlash").mkdir(parents=True)
    for number in range(wanted):
        name = f"{1001 + number // PER_ACTOR}_{names[number % PER_ACTOR]}.flv"
        (folder / "VideoFlash" / name).symlink_to(clips[number % len(clips)].resolve())


def contents(store: Path) -> dict[str, bytes]:
    """Return every file of a store but its lock."""
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@contextmanager
def two_nodes() -> Iterator[tuple[Cluster, Any]]:
    """Start a cluster on this machine; yield it with the node that may be killed."""
    soon = {"health_check_period_ms": 1000, "health_check_timeout_ms": 2000}
    head = NODE | {"include_dashboard": False, "_system_config": soon}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster, cluster.add_node(**NODE)
    finally:
        cluster.shutdown()


def start(corpus: Path, out: Path, address: str) -> subprocess.Popen[bytes]:
    """Start the command."""
    words = ["preprocess", str(corpus), "--out", str(out), "--engine", "ray"]
    return subprocess.Popen(
        [sys.executable, "-m", "avemotion", *words],
        env=os.environ | {"RAY_ADDRESS": address},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def shards(out: Path) -> int:
    """Return how many shards are written."""
    return len(list((out / "actors").glob("*.safetensors")))


def wait_for_shards(out: Path, least: int, running: subprocess.Popen[bytes]) -> int:
    """Wait until so many shards are written, or the command ends; return how many there are."""
    while shards(out) < least and running.poll() is None:
        time.sleep(0.01)
    return shards(out)


def run_round(corpus: Path, reference: Path, out: Path, chance: random.Random, kill: bool) -> Round:
    """Preprocess on two nodes, one of which is lost; perhaps kill the command before that."""
    total = shards(reference)
    first, second = sorted(chance.randrange(total) for _ in range(2))
    with two_nodes() as (cluster, node):
        begin = time.monotonic()
        command = start(corpus, out, cluster.address)
        killed_at = None
        if kill:
            killed_at = wait_for_shards(out, first, command)
            command.kill()
            command.wait()
            command = start(corpus, out, cluster.address)
        wait_for_shards(out, second, command)
        time.sleep(chance.random())
        lost_at = shards(out)
        cluster.remove_node(node, allow_graceful=False)
        command.wait()
        seconds = time.monotonic() - begin
    text = (out / "manifest.csv").read_text(encoding="utf-8")
    same = contents(out) == contents(reference)
    return Round(lost_at, killed_at, text.count(",failed,"), same, seconds)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=int, default=600, help="of the corpus")
    arguments.add_argument("--media", type=Path, help="folder of FLV files")
    arguments.add_argument("--rounds", type=int, default=10, help="nodes that are killed")
    arguments.add_argument("--seed", type=int, default=0, help="of the moments")
    given = arguments.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    home = str(Path(avemotion.__file__).parents[1])  # the nodes run this package
    os.environ["PYTHONPATH"] = os.pathsep.join([home, os.environ.get("PYTHONPATH", "")])
    chance = random.Random(given.seed)
    with found_clips(given.media) as (clips, called), tempfile.TemporaryDirectory() as folder:
        corpus, reference = Path(folder, "crema"), Path(folder, "reference")
        link_corpus(clips, corpus, given.clips)
        avemotion.preprocess(corpus, out=reference, progress=False)
        rounds = [
            run_round(corpus, reference, Path(folder, str(number)), chance, kill)
            for number, kill in zip(range(given.rounds), itertools.cycle([False, True]))
        ]
        total = shards(reference)
    rows = [
        [i, r.node_lost_at, "-" if r.command_killed_at is None else r.command_killed_at,
         f"{r.seconds:.0f}", r.failed, "same" if r.same else "OTHER"]
        for i, r in enumerate(rounds, 1)
    ]  # fmt: skip
    same = sum(r.same for r in rounds)
    killed = sum(r.command_killed_at is not None for r in rounds)
    publish(
        given.out,
        "ray_cluster",
        "Nodes lost while a Ray cluster preprocesses",
        [
            f"{given.clips} clips ({called}, linked under other names) of {total} actors, four "
            "views. Two Ray nodes on this machine, one core each; one node is killed (SIGKILL) at "
            "a random moment, in every other round the command too, which is then given again. "
            "*Store*: compared with that of `--engine local`, every byte of every file.",
            table(
                [
                    "round",
                    "shards written when a node was killed",
                    "... when the command was",
                    "seconds",
                    "failed clips",
                    "store",
                ],
                rows,
            ),  # fmt: skip
            f"**{same} of {len(rounds)}** stores are the same; {killed} commands were killed. "
            "Seconds include the start of the workers and the time in which Ray notices a loss.",
        ],
        {
            "rounds": len(rounds),
            "same": same,
            "failed_clips": sum(r.failed for r in rounds),
            "commands_killed": killed,
            "clips": given.clips,
        },
    )


if __name__ == "__main__":
    main()
