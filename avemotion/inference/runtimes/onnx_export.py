"""`export`: a checkpoint as an ONNX model, for programs without torch.

The inputs of the graph are the arrays of `Batch.flat` for any number of clips, those alone that the
model reads; it normalises them and returns probabilities at the model's temperature. Its metadata
are those of the checkpoint, each as JSON, and ``answers``, the modalities that it supports.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from avemotion.compat import install_line
from avemotion.errors import UsageError
from avemotion.files import write_atomically
from avemotion.inference.runtimes.loading import ONNX_SUFFIX, find_checkpoint
from avemotion.models.metadata import CheckpointMetadata


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The exported model, and how well it agrees with the checkpoint."""

    file: Path
    """The exported model."""
    metadata: CheckpointMetadata
    """Metadata of the model."""
    largest_difference: float | None
    """Largest difference from torch's probabilities, on random clips; None without onnxruntime."""


def export(checkpoint: Path, file: Path) -> ExportReport:
    """Export a checkpoint as an ONNX model, and compare its probabilities with torch's.

    Args:
        checkpoint: A checkpoint, or the folder of its run.
        file: The file to write, ``*.onnx``; an existing one is replaced. In the folder of a run,
            `classify --runtime onnx` looks for checkpoint.onnx.

    Returns:
        File, metadata, and the largest difference of a probability.

    Raises:
        UsageError: There is no such checkpoint, the file has another suffix, or onnx or onnxscript
            is missing.
        AvemotionError: The probabilities of the exported model differ from the checkpoint's;
            nothing is written.

    Examples:
        >>> from pathlib import Path
        >>> from avemotion import Classifier, export
        >>> report = export(Path("runs/latest"), Path("model.onnx"))
        >>> report.largest_difference < 1e-4
        True
        >>> Classifier("model.onnx").classify("clip.mp4").modality  # needs no torch
        'av'
    """
    checkpoint, file = Path(checkpoint), Path(file)
    if file.suffix != ONNX_SUFFIX or file.is_dir():
        raise UsageError(f"FILE is {file}, but must be a file name that ends in .onnx.")
    if checkpoint.suffix == ONNX_SUFFIX:
        raise UsageError(f"CHECKPOINT is {checkpoint}, which is already exported.")
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise UsageError(f"Exporting needs {' and '.join(missing)}: {install_line('onnx')}.")
    from avemotion.inference.runtimes import onnx_graph  # torch takes seconds to load
    from avemotion.models.base import EmotionModel
    from avemotion.models.checkpoint import load_checkpoint

    network, metadata = load_checkpoint(find_checkpoint(checkpoint, "torch"))
    name = metadata.experiment.model
    parts = [part for part in network.modules() if isinstance(part, EmotionModel)]
    if stuck := [part for part in parts if not part.exportable]:  # itself, or members of it
        why = "" if stuck[0] is network else f", since {stuck[0].about.title} cannot"
        raise UsageError(f"{name} cannot be exported to ONNX{why}.")
    model = onnx_graph.graph_of(network, metadata)
    onnx_graph.describe(model, metadata)
    content = model.SerializeToString()
    difference = onnx_graph.check(network, metadata, content, file.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, lambda p: p.write_bytes(content))
    return ExportReport(file, metadata, difference)
