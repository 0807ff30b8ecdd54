"""The tiny English speech encoder of Moonshine, by onnxruntime on the CPU.

Source: N. Jeffries et al., "Moonshine: speech recognition for live transcription and voice
commands", 2024. Its weights (MIT) come in the package ``moonshine-voice``, whose own code is not
imported: its ONNX graph is cut after the fourth of six blocks.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.compat import missing_package
from avemotion.config import SAMPLE_RATE
from avemotion.encoders.interface import EncoderIdentity, frames_in_parts, pooled
from avemotion.encoders.weights import sha256_of_weights
from avemotion.errors import UsageError, first_line

FILE = Path("assets", "tiny-en", "encoder_model.ort")
"""The encoder in the package."""
BLOCKS = 4
"""Blocks of the graph whose outputs are read; each is a layer of the embedding."""
_LONGEST = 10 * SAMPLE_RATE  # samples
_SHORTEST = 1_600  # samples; below about 1,100 the graph has no frame


class Moonshine:
    """Frames of 24 ms, 288 values each, after each of the first four blocks."""

    def __init__(self, name: str, package: str) -> None:
        """Load it.

        Args:
            name: Of the encoder.
            package: That brings the weights.

        Raises:
            UsageError: The package, onnx or onnxruntime is not installed, or the file is missing,
                damaged or of another revision.
        """
        self.shape = (BLOCKS, 2, 288)
        path = _file(name, package)
        try:
            self._session = _cut(path)
        except ModuleNotFoundError as error:
            raise missing_package(f"The encoder {name}", error) from error
        except Exception as error:  # what onnxruntime raises is not known
            raise UsageError(
                f"{path} cannot be loaded ({first_line(error)}). Install it anew: "
                f"pip install --force-reinstall {package}=={REVISION}"
            ) from error
        self.identity = EncoderIdentity(
            name, f"{package} {REVISION}", sha256_of_weights([path]), "int8"
        )

    def encode(self, signal: NDArray[np.float32], clip: str) -> NDArray[np.float32]:
        """Return mean and deviation over time of each block, float32 (4, 2, 288)."""
        return pooled(frames_in_parts(signal, _LONGEST, _SHORTEST, self._frames))

    def _frames(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what each block gives, float32 (block, frame, 288)."""
        fed = {"input_values": signal[None], "attention_mask": np.ones((1, len(signal)), np.int64)}
        return np.concatenate(self._session.run(None, fed))


REVISION = "0.0.49"
"""Version of the package; later ones may lack the encoder."""


def _file(name: str, package: str) -> Path:
    module = package.replace("-", "_")
    found = importlib.util.find_spec(module)  # its code is not run
    if found is None or found.origin is None:
        raise missing_package(f"The encoder {name}", ModuleNotFoundError(name=module))
    path = Path(found.origin).parent / FILE
    if not path.is_file():
        raise UsageError(
            f"The encoder {name} is not in {path.parent}: another version of {package} is "
            f"installed. pip install {package}=={REVISION}"
        )
    return path


def _cut(path: Path) -> Any:
    """Return a session that gives the outputs of the first blocks, and computes no more."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    cpu = ["CPUExecutionProvider"]
    with tempfile.TemporaryDirectory() as folder:  # onnxruntime's own format has no other reader
        options.optimized_model_filepath = f"{folder}/encoder.onnx"
        onnxruntime.InferenceSession(path, options, providers=cpu)
        graph = onnx.load(options.optimized_model_filepath)
    del graph.graph.output[:]
    for block in range(BLOCKS):
        output = onnx.helper.make_empty_tensor_value_info(f"/layers.{block}/Add_1_output_0")
        graph.graph.output.append(output)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the work is spread over processes
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=cpu)
