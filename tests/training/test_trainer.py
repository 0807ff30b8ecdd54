from pathlib import Path

import pytest
import torch
from network_maker import EXPERIMENTS, metadata_of

from avemotion.config import TrainingSettings
from avemotion.training.precision import uses_bfloat16
from avemotion.training.recorder import RunRecorder


def test_a_resumed_run_goes_on_with_what_was_recorded(tmp_path: Path) -> None:
    metadata = metadata_of(EXPERIMENTS["av"])
    interrupted, resumed = (RunRecorder(tmp_path, metadata) for _ in range(2))
    interrupted.rows, interrupted.lowest_cost = [{"epoch": 1, "val_loss": 0.5}], 0.5
    resumed.load_state_dict(interrupted.state_dict())
    assert (resumed.rows, resumed.lowest_cost) == (interrupted.rows, 0.5)


@pytest.mark.parametrize("supported", [True, False])
def test_a_gpu_is_asked_whether_it_has_bfloat16(
    supported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    assert uses_bfloat16(TrainingSettings(precision="auto")) is supported
