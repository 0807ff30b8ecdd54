"""Preprocessing as tasks of a Ray cluster: one a clip, and one that writes an actor's shard.

Features go from the machines that extract to the one that writes, never through the process that
submits the tasks. A decoder runs in a process of its own beside the Ray worker: where it crashes or
hangs, the clip fails, as on one machine. If a Ray worker is lost, Ray does the clip again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from avemotion.data.shards import Shards, Written, without_features, write_shard
from avemotion.data.store import USABLE
from avemotion.data.types import Clip
from avemotion.errors import AvemotionError
from avemotion.features.extraction import Extraction
from avemotion.features.types import ClipFeatures
from avemotion.parallel.cluster_check import ClusterCheck
from avemotion.parallel.isolated_worker import TaskFailure
from avemotion.parallel.ray_cluster import (
    RETRIES,
    cancelled_at_end,
    cluster,
    failure_reason,
    finished,
)

import ray  # isort: skip  (after ray_cluster, which says what to do where it is missing)
from ray.exceptions import RayError, RayTaskError  # isort: skip

_AHEAD = 4  # clips under way for each core, so that none is idle between two
_STORE_SHARE = 0.5  # of the cluster's object stores, for features that wait to be written

ExtractOne = Callable[[Clip], Extraction | TaskFailure]
"""Extracts a clip, or returns why that failed."""


def write_on_ray(
    shards: Shards,
    extract_one: ExtractOne,
    clip_bytes: int,
    workers: int | None,
    on_done: Callable[[], object],
) -> Generator[Written, None, None]:
    """Write shards on a cluster, as their clips are done; see `write_shards`."""
    out = next(iter(shards)).parents[1].absolute()
    media = (p for clips in shards.values() for clip in clips for p in (clip.video, clip.audio))
    sample = next((path for path in media if path and path.is_file()), out / "store.json")
    absolute = ((path.absolute(), [c.absolute() for c in clips]) for path, clips in shards.items())
    with cluster(out, sample.absolute()) as check:
        yield from write_shards(absolute, extract_one, clip_bytes, workers, check, on_done)


def write_shards(
    shards: Iterable[tuple[Path, Sequence[Clip]]],
    extract_one: ExtractOne,
    clip_bytes: int,
    workers: int | None,
    check: ClusterCheck,
    on_done: Callable[[], object],
) -> Generator[Written, None, None]:
    """Extract clips and write shards; the features never pass through this process.

    Args:
        shards: File and clips of each, with absolute paths.
        extract_one: Importable by name; extracts a clip, in a process apart, so that a decoder
            that crashes or hangs takes no Ray worker with it.
        clip_bytes: Size of a clip's features: those that wait to be written fill no more than a
            share of the cluster's object stores.
        workers: Clips under way at once; None for what keeps the cluster's cores busy.
        check: From `cluster`.
        on_done: Called when a clip is done.

    Yields:
        Each shard when it is written.

    Raises:
        AvemotionError: A shard cannot be written.
    """
    work = _ShardWork(extract_one, check, on_done)
    with cancelled_at_end(work.extracting), cancelled_at_end(work.writing):
        for path, clips in shards:
            has = ray.cluster_resources()
            ahead = workers or max(1, round(_AHEAD * has.get("CPU", 1)))
            room = _STORE_SHARE * has.get("object_store_memory", 0) / clip_bytes
            shard = _Shard(path, [clip.name for clip in clips])
            for index, clip in enumerate(clips):
                # A shard alone may fill more than its share: it can only be written as a whole.
                while len(work.extracting) >= ahead or work.held > max(room, index):
                    yield from work.advance()
                work.extract(shard, index, clip)
            if not clips:
                work.write(shard)
        while work.extracting or work.writing:
            yield from work.advance()


class _Shard:
    """A shard that is not written yet."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, names
        self.outcomes: list[Extraction | TaskFailure] = [TaskFailure("")] * len(names)
        self.features: dict[int, Any] = {}  # references, by the clip's index
        self.left = len(names)


class _ShardWork:
    """The running tasks, and what follows when one of them ends."""

    def __init__(
        self,
        extract_one: ExtractOne,
        check: ClusterCheck,
        on_done: Callable[[], object],
    ) -> None:
        self._extract_one, self._check, self._on_done = extract_one, check, on_done
        self.extracting: dict[Any, tuple[_Shard, int, Any]] = {}
        self.writing: dict[Any, _Shard] = {}
        self.held = 0
        """Clips that were started and whose shard is not written yet."""

    def extract(self, shard: _Shard, index: int, clip: Clip) -> None:
        task: Any = _extract.remote(self._check, self._extract_one, clip)
        metadata, features = task  # num_returns=2, which the type does not say
        self.extracting[metadata] = shard, index, features
        self.held += 1

    def write(self, shard: _Shard) -> None:
        indices = sorted(shard.features)
        names = [shard.names[index] for index in indices]
        features = [shard.features[index] for index in indices]  # Ray resolves arguments alone
        self.writing[_write.remote(self._check, shard.path, names, *features)] = shard

    def advance(self) -> Iterator[Written]:
        """Wait until a task ends; write shards whose clips are done, and yield the written ones."""
        for done in finished([*self.extracting, *self.writing]):
            if done in self.writing:
                shard = self.writing.pop(done)
                sha256 = _written_sha256(done, shard.path)
                self.held -= len(shard.outcomes)
                yield shard.path, sha256, shard.outcomes
                continue
            shard, index, features = self.extracting.pop(done)
            shard.outcomes[index] = outcome = _outcome(done)
            if isinstance(outcome, Extraction) and outcome.status in USABLE:
                shard.features[index] = features
            shard.left -= 1
            self._on_done()
            if not shard.left:
                self.write(shard)


@ray.remote(num_cpus=1, num_returns=2, max_retries=RETRIES)
def _extract(
    check: ClusterCheck, extract_one: ExtractOne, clip: Clip
) -> tuple[Extraction | TaskFailure, ClipFeatures | None]:
    check.require()
    return without_features(extract_one(clip))


@ray.remote(num_cpus=1, max_retries=RETRIES)
def _write(check: ClusterCheck, path: Path, names: list[str], *features: ClipFeatures) -> str:
    check.require()
    return write_shard(path, dict(zip(names, features, strict=True)))


def _outcome(task: Any) -> Extraction | TaskFailure:
    try:
        outcome: Extraction | TaskFailure = ray.get(task)
    except RayTaskError as error:  # not of the clip: those are outcomes
        raise error.cause from None
    except RayError as error:
        return TaskFailure(failure_reason(error))
    return outcome


def _written_sha256(task: Any, path: Path) -> str:
    try:
        sha256: str = ray.get(task)
    except RayError as error:
        raise AvemotionError(
            f"{path} could not be written: {failure_reason(error)}\n"
            "All other tasks are done. Run the same command again to try the failed ones."
        ) from error
    return sha256
