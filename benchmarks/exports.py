"""Every network of faces exported to ONNX at full width, and asked beside PyTorch.

The weights are random: what counts is that the graph answers as the network does, how large the
file is, and how long one picture takes on one core. `avemotion export` refuses a graph that differs
by more than 1e-4.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch and onnxruntime are imported

import torch
from reporting import interleave, parser, publish, ratio, table

import avemotion
from avemotion.config import ExperimentSettings, PreprocessSettings
from avemotion.data.corpora.ck_plus_units import UNITS
from avemotion.data.corpora.fer2013 import EMOTIONS
from avemotion.data.task import Task
from avemotion.data.types import Split
from avemotion.inference.runtimes.loading import load_runtime
from avemotion.inference.runtimes.onnx_graph import random_clips
from avemotion.models.checkpoint import save_checkpoint
from avemotion.models.metadata import CHECKPOINT_NAME, ONNX_NAME, CheckpointMetadata
from avemotion.models.registry import MODELS, create, inputs_of, model_class, with_settings


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--repeats", type=int, default=15)
    arguments.add_argument("--only", nargs="+", help="names of models; by default all")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    rows, figures = [], {}
    for name in given.only or MODELS:
        about = model_class(name).about
        if "video" not in about.modalities or not model_class(name).exportable:
            continue
        with tempfile.TemporaryDirectory() as folder:
            row = _export(name, Path(folder), given.repeats)
        rows.append([name, *row.values()])
        print(name, *row.values(), flush=True)
        figures[name] = row["ratio"]
    publish(
        given.out,
        "exports",
        "Networks of faces, exported at full width",
        [
            "Random weights; one picture (of `ar5` and `ar3` 20 faces) on one core. Difference: "
            "the largest of probabilities, on random clips.",
            table(
                ["", "parameters", "ONNX, MB", "difference", "ONNX time over PyTorch's"], rows
            ),
        ],
        figures,
    )  # fmt: skip


def _export(name: str, folder: Path, repeats: int) -> dict[str, object]:
    """Export a model with new weights; return its size, its difference, and how long it takes."""
    units = tuple(f"AU{unit}" for unit in UNITS) if model_class(name).about.units != "none" else ()
    experiment = with_settings(ExperimentSettings(name, "video"))
    torch.manual_seed(0)
    network = create(Task(EMOTIONS, units), experiment).eval()
    metadata = CheckpointMetadata(
        experiment=experiment,
        corpus="fer2013",
        corpus_clips=35_887,
        task=network.task,
        inputs=inputs_of(experiment),
        preprocessing=PreprocessSettings(),
        split=Split(("train",), ("validation",), ("test",), "part"),
        epoch=1,
        scores={},
        synthetic=None,
    )
    checkpoint, file = folder / CHECKPOINT_NAME, folder / ONNX_NAME
    save_checkpoint(checkpoint, network, metadata)
    report = avemotion.export(checkpoint, file)
    clip = random_clips(metadata, 1)
    ours, theirs = (load_runtime(path, "cpu") for path in (file, checkpoint))
    seconds = interleave(
        {"onnx": lambda: ours.probabilities(clip), "torch": lambda: theirs.probabilities(clip)},
        repeats,
    )
    return {
        "parameters": f"{sum(p.numel() for p in network.parameters()):,}",
        "megabytes": f"{file.stat().st_size / 1e6:.1f}",
        "difference": f"{report.largest_difference:.1g}",
        "ratio": ratio(seconds["onnx"], seconds["torch"]),
    }


if __name__ == "__main__":
    main()
