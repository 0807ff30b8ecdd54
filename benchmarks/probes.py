"""What a leave-one-actor-out of probes costs on embeddings as large as those of all of CREMA-D."""

from __future__ import annotations

import time

import numpy as np
import torch
from reporting import parser, publish, table

from avemotion.config import ExperimentSettings
from avemotion.data.batch import Batch
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.task import Task
from avemotion.models.probe import Probe
from avemotion.models.registry import create

ACTORS, CLIPS, VALUES = 91, 7_442, 4 * 2 * 288
FEATURE = "embedding:moonshine-tiny"


def synthetic(views: int) -> tuple[Batch[torch.Tensor], list[str]]:
    """Return embeddings with the spread of real ones: few directions hold most of it."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, len(EMOTIONS), CLIPS)
    actors = np.sort(rng.integers(0, ACTORS, CLIPS))
    spread = (1 / np.sqrt(np.arange(1, VALUES + 1)))[:, None] * rng.normal(0, 1, (VALUES, VALUES))
    centres, people = rng.normal(0, 0.25, (6, VALUES)), rng.normal(0, 0.5, (ACTORS, VALUES))
    coordinates = rng.normal(0, 1, (CLIPS, VALUES)) + centres[targets] + people[actors]
    plain = torch.from_numpy((coordinates @ spread).astype(np.float32))
    each = [plain + 0.1 * torch.randn(plain.shape) for _ in range(views)]
    there = torch.ones(CLIPS * views, dtype=torch.bool)
    return (
        Batch(
            {FEATURE: torch.cat(each)},
            {"audio": there, "video": ~there},
            targets=torch.from_numpy(targets).repeat(views),
        ),
        [str(actor) for actor in actors] * views,
    )


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--views", type=int, nargs="+", default=[1, 3])
    given = arguments.parse_args()
    torch.set_num_threads(1)
    rows = []
    for views in given.views:
        clips, actors = synthetic(views)
        for strengths in ((0.001,), (0.0003, 0.001, 0.003)):
            made = create(
                Task(EMOTIONS), ExperimentSettings("probe", "audio", {"strengths": [*strengths]})
            )
            assert isinstance(made, Probe)
            start = time.process_time()
            made.learn_clips(clips, actors)
            seconds = time.process_time() - start
            rows.append([views, len(strengths), f"{seconds:.0f}", f"{ACTORS * seconds / 120:.0f}"])
    publish(
        given.out,
        "probes",
        "Leave-one-actor-out by probes",
        [
            f"Synthetic embeddings: {CLIPS:,} clips of {ACTORS} actors, {VALUES:,} values. The "
            "processor's seconds of one fold on one core, measured; and what 91 of them take on "
            "two cores, computed from it. Each strength is tried on four groups of actors.",
            table(
                ["views of a clip", "strengths tried", "s a fold", "min for 91 on two cores"], rows
            ),
        ],
        {f"{views} views, {tried} strengths": float(s) for views, tried, s, _ in rows},
    )


if __name__ == "__main__":
    main()
