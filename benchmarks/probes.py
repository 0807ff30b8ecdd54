"""What a leave-one-actor-out of probes costs on embeddings as large as those of all of CREMA-D."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
import yaml
from reporting import parser, publish, table

from avemotion.config import ExperimentSettings, Modality
from avemotion.data.batch import Batch
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.task import Task
from avemotion.models.probe import Probe
from avemotion.models.registry import create

ACTORS, CLIPS = 91, 7_442
VALUES = {"embedding:moonshine-tiny": 4 * 2 * 288, "embedding:avemotion-1-face": 2 * 160}
WORDS: dict[Modality, str] = {"audio": "voice", "av": "face and voice", "video": "face"}
RECIPE = Path(__file__).parents[1] / "configs" / "crema_d_encoders.yaml"


def synthetic(views: int) -> tuple[Batch[torch.Tensor], list[str]]:
    """Return embeddings with the spread of real ones: few directions hold most of it."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, len(EMOTIONS), CLIPS)
    actors = np.sort(rng.integers(0, ACTORS, CLIPS))
    inputs = {}
    for name, values in VALUES.items():
        spread = rng.normal(0, 1, (values, values)) / np.sqrt(np.arange(1, values + 1))[:, None]
        centres, people = rng.normal(0, 0.25, (6, values)), rng.normal(0, 0.5, (ACTORS, values))
        coordinates = rng.normal(0, 1, (CLIPS, values)) + centres[targets] + people[actors]
        plain = torch.from_numpy((coordinates @ spread).astype(np.float32))
        inputs[name] = torch.cat([plain + 0.1 * torch.randn(plain.shape) for _ in range(views)])
    there = torch.ones(CLIPS * views, dtype=torch.bool)
    return (
        Batch(
            inputs,
            {"audio": there, "video": there},
            targets=torch.from_numpy(targets).repeat(views),
        ),
        [str(actor) for actor in actors] * views,
    )


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--views", type=int, nargs="+", default=[1, 3])
    given = arguments.parse_args()
    torch.set_num_threads(1)
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["probe"]["strengths"]
    ways: list[tuple[Modality, list[float]]] = [
        ("audio", [0.001]), ("audio", [0.0003, 0.001, 0.003]), ("av", recipe)
    ]  # fmt: skip
    rows = []
    for views in given.views:
        clips, actors = synthetic(views)
        for modality, strengths in ways:
            settings = {"strengths": strengths}
            made = create(Task(EMOTIONS), ExperimentSettings("probe", modality, settings))
            assert isinstance(made, Probe)
            start = time.process_time()
            made.learn_clips(clips, actors)
            seconds = time.process_time() - start
            minutes = f"{ACTORS * seconds / 120:.0f}"
            rows.append([WORDS[modality], views, len(strengths), f"{seconds:.0f}", minutes])
    publish(
        given.out,
        "probes",
        "Leave-one-actor-out by probes",
        [
            f"Synthetic embeddings: {CLIPS:,} clips of {ACTORS} actors, a voice of 2,304 values, a "
            "face of 320. The processor's seconds of one fold on one core, measured; and what 91 "
            "of them take on two cores, computed from it. Each strength is tried on four groups of "
            "actors. Five strengths are those of `configs/crema_d_encoders.yaml`.",
            table(
                ["", "views of a clip", "strengths tried", "s a fold", "min for 91 on two cores"],
                rows,
            ),
        ],
        {
            f"{what}, {views} views, {tried} strengths": float(s)
            for what, views, tried, s, _ in rows
        },
    )


if __name__ == "__main__":
    main()
