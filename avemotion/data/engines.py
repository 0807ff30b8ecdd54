"""Where preprocessing happens: in processes of this machine, or on a Ray cluster.

Both take the same shards and give the same ones back, with the same outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from avemotion.data.manifest import without_features
from avemotion.data.shards import write_shard
from avemotion.features.extraction import Extraction
from avemotion.parallel.isolation import Lost
from avemotion.types import Clip

Shards = Mapping[Path, Sequence[Clip]]
"""The files of actors' arrays, and the clips that go into them."""

Written = Generator[tuple[Path, list[Extraction | Lost]], None, None]
"""Each file once it is written, with what its clips gave (without features), or why nothing."""


def write_here(
    shards: Shards,
    extract_all: Callable[[list[Clip]], Generator[Extraction | Lost, None, None]],
    tell: Callable[[], object],
) -> Written:
    """Write shards on this machine, one after the other.

    Args:
        shards: What is written.
        extract_all: Yields what clips give, in their order.
        tell: Called when a clip is done.
    """
    with closing(extract_all([clip for clips in shards.values() for clip in clips])) as results:
        for shard, clips in shards.items():
            outcomes, features = [], []
            for _ in clips:
                outcome, found = without_features(next(results))
                tell()
                outcomes.append(outcome)
                if found is not None:
                    features.append(found)
            write_shard(shard, features)
            yield shard, outcomes
        next(results, None)  # there is no further one: the workers end by themselves


def write_on_ray(
    shards: Shards,
    extract_one: Callable[[Clip], Extraction | Lost],
    clip_bytes: int,
    workers: int | None,
    tell: Callable[[], object],
) -> Written:
    """Write shards on a cluster, as their clips are done; see `ray_preprocessing.write_shards`."""
    from avemotion.data import ray_preprocessing
    from avemotion.parallel import ray_cluster

    out = next(iter(shards)).parents[1].absolute()
    media = (p for clips in shards.values() for clip in clips for p in (clip.video, clip.audio))
    sample = next((path for path in media if path and path.is_file()), out / "store.json")
    absolute = ((path.absolute(), [c.absolute() for c in clips]) for path, clips in shards.items())
    with ray_cluster.cluster(out, sample.absolute()) as admitted:
        yield from ray_preprocessing.write_shards(
            absolute, extract_one, clip_bytes, workers, admitted, tell
        )
