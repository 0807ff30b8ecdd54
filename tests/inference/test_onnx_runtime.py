"""Files that are no exported model, and one that is not there."""

from pathlib import Path

import pytest

from avemotion.errors import UsageError
from avemotion.inference.runtimes.onnx_runtime import load_onnx


def test_a_missing_model_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(UsageError, match="No ONNX model at .*avemotion export"):
        load_onnx(path)
    path.write_bytes(b"no model")
    with pytest.raises(UsageError, match="model.onnx") as damaged:
        load_onnx(path)
    assert "No ONNX model" not in str(damaged.value)
