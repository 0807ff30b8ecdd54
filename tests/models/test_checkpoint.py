"""Files that are no checkpoint, or one that this version cannot read."""

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from avemotion.errors import UsageError
from avemotion.models.checkpoint import load_checkpoint


class TestUnreadableCheckpoints:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="No checkpoint"):
            load_checkpoint(tmp_path / "none.safetensors")

    def test_a_pickle_is_never_executed(self, tmp_path: Path) -> None:
        class Bomb:
            def __reduce__(self) -> tuple[object, tuple[str]]:
                return os.mkdir, (str(tmp_path / "executed"),)

        torch.save(Bomb(), tmp_path / "bomb.safetensors")
        with pytest.raises(UsageError, match="not a checkpoint of avemotion"):
            load_checkpoint(tmp_path / "bomb.safetensors")
        assert not (tmp_path / "executed").exists()

    def test_of_another_kind(self, tmp_path: Path) -> None:
        save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
        with pytest.raises(UsageError, match="another kind .unmarked"):
            load_checkpoint(tmp_path / "other.safetensors")

    def test_of_version_0_1(self, tmp_path: Path) -> None:
        header = {"kind": "avemotion/ar5/1", "facts": '{"labels": ["neutral"], "version": "0.1.0"}'}
        save_file({"audio.deviation": torch.ones(64, 1)}, tmp_path / "old.safetensors", header)
        with pytest.raises(UsageError, match=r"by avemotion 0\.1.* anew with `avemotion fit`"):
            load_checkpoint(tmp_path / "old.safetensors")

    def test_truncated(self, fitted: Path, tmp_path: Path) -> None:
        whole = (fitted / "ar5/audio" / "checkpoint.safetensors").read_bytes()
        (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UsageError, match="not a checkpoint of avemotion"):
            load_checkpoint(tmp_path / "half.safetensors")

    def test_with_weights_of_another_size(self, fitted: Path, tmp_path: Path) -> None:
        path = fitted / "ar5/audio" / "checkpoint.safetensors"
        weights = load_file(path)
        with safe_open(path, "pt") as file:
            header = file.metadata()
        name = "classifier.0.weight"
        save_file(weights | {name: weights[name][:5].clone()}, tmp_path / "x.safetensors", header)
        with pytest.raises(UsageError, match="damaged"):
            load_checkpoint(tmp_path / "x.safetensors")
